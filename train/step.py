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
  *,
  micro_batches: int = 1,
  axis_name: str | None = None,
  wrap: Callable[[Callable], Callable] = lambda forward: forward,
) -> Callable[[TrainState, dict], tuple[TrainState, dict]]:
  """One update of the parameters.

  Args:
    model: called with a batch's `tokens`, `segments` if it has them, `mask`.
    objective: `(outputs, batch) -> scalar`.
    optimizer: of the gradients.
    seed: of dropout, together with the step: nothing random is stored.
    micro_batches: parts of a batch that are encoded one after another, in the
      memory of one; the number of rows is a multiple. The objective is that of
      the whole batch.
    axis_name: mapped axis over which the rows of a batch are spread, if it is;
      the objective then has the same value everywhere.
    wrap: what is made of the forward pass, `(params, batch, key) -> outputs`.

  Returns:
    `(state, batch) -> state, metrics`.
  """

  @wrap
  def forward(params, batch, key):
    return _apply(
      model, params, batch, deterministic=False, rngs={'dropout': key}
    )

  def train_step(state, batch):
    key = jax.random.fold_in(jax.random.key(seed), state.step)
    if axis_name is not None:
      key = jax.random.fold_in(key, jax.lax.axis_index(axis_name))
    if micro_batches > 1:
      loss, grads = _in_parts(
        forward, objective, state.params, batch, key, micro_batches
      )
    else:
      loss, grads = jax.value_and_grad(
        lambda params: objective(forward(params, batch, key), batch)
      )(state.params)
    if axis_name is not None:
      # Sums over devices within the objective make each device's part of the
      # gradient as many times too large as there are devices.
      grads = jax.lax.pmean(grads, axis_name)
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


def _in_parts(forward, objective, params, batch, key, parts):
  """Value and gradient of an objective of outputs that are made in parts.

  Only the outputs are kept of a first pass. The second one makes them again,
  part by part, and pulls back what the objective of them all says of each. So
  it need be neither a sum over examples nor a ratio of sums.
  """

  def split(tree):
    # Each device keeps its rows: of these, every one in `parts` goes together.
    return jax.tree.map(
      lambda x: x.reshape(-1, parts, *x.shape[1:]).swapaxes(0, 1), tree
    )

  def join(tree):
    return jax.tree.map(
      lambda x: x.swapaxes(0, 1).reshape(-1, *x.shape[2:]), tree
    )

  inputs = split(batch), jax.random.split(key, parts)
  _, outputs = jax.lax.scan(
    lambda _, xs: (None, forward(params, *xs)), None, inputs
  )
  loss, slopes = jax.value_and_grad(objective)(join(outputs), batch)

  def pull_back(grads, xs):
    xs, slope = xs
    _, vjp = jax.vjp(lambda params: forward(params, *xs), params)
    return jax.tree.map(jnp.add, grads, vjp(slope)[0]), None

  zeros = jax.tree.map(jnp.zeros_like, params)
  grads, _ = jax.lax.scan(pull_back, zeros, (inputs, split(slopes)))
  return loss, grads


def _apply(model, params, batch, **kwargs):
  return model.apply(
    {'params': params},
    batch['tokens'],
    batch.get('segments'),
    batch['mask'],
    **kwargs,
  )
