"""Pure steps: nothing here knows of files, data sets or devices."""

from collections.abc import Callable
from typing import Any
from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax
from flax import linen as nn


class TrainState(NamedTuple):
  """All that changes in training."""

  step: jax.Array
  params: Any
  opt_state: optax.OptState


def init_state(params, optimizer: optax.GradientTransformation) -> TrainState:
  """The state before step 0."""
  return TrainState(jnp.zeros((), jnp.int32), params, optimizer.init(params))


def make_train_step(
  model: nn.Module,
  objective: Callable,
  optimizer: optax.GradientTransformation,
  seed: int,
) -> Callable[[TrainState, dict], tuple[TrainState, dict]]:
  """One update of the parameters.

  Args:
    model: called with a batch's `tokens`, `segments` if it has them, `mask`.
    objective: `(outputs, batch) -> scalar`.
    optimizer: of the gradients.
    seed: of dropout, together with the step: nothing random is stored.

  Returns:
    `(state, batch) -> state, metrics`.
  """

  def train_step(state, batch):
    key = jax.random.fold_in(jax.random.key(seed), state.step)

    def loss_of(params):
      outputs = _apply(
        model, params, batch, deterministic=False, rngs={'dropout': key}
      )
      return objective(outputs, batch)

    loss, grads = jax.value_and_grad(loss_of)(state.params)
    updates, opt_state = optimizer.update(grads, state.opt_state, state.params)
    params = optax.apply_updates(state.params, updates)
    metrics = {'loss': loss, 'grad_norm': optax.tree.norm(grads)}
    return TrainState(state.step + 1, params, opt_state), metrics

  return train_step


def make_predict_step(
  model: nn.Module, answer: Callable[[Any, dict], Any]
) -> Callable[[Any, dict], Any]:
  """What decoding needs of a batch.

  Args:
    model: as of `make_train_step`.
    answer: `(outputs, batch) -> arrays [batch, ...]`.

  Returns:
    `(params, batch) -> arrays [batch, ...]`.
  """

  def predict_step(params, batch):
    return answer(_apply(model, params, batch), batch)

  return predict_step


def _apply(model, params, batch, **kwargs):
  return model.apply(
    {'params': params},
    batch['tokens'],
    batch.get('segments'),
    batch['mask'],
    **kwargs,
  )
