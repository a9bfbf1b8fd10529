"""Pure steps, which know nothing of files, data sets or devices."""

import contextlib
from collections.abc import Callable
from collections.abc import Iterator
from typing import Any
from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax
from flax import linen as nn

from train.objective import Objective


class TrainState(NamedTuple):
  """Everything that changes in training.

  Attributes:
    step: number of steps that were made, int32 `[]`.
    params: parameters of the model.
    opt_state: state of the optimizer.
    running: running counts of the objective, `()` if it has none.
    seed: seed of dropout, uint32 `[]`. It never changes, but as a constant of
      the step it would have every seed compile a program of its own.
  """

  step: jax.Array
  params: Any
  opt_state: optax.OptState
  running: Any = ()
  seed: jax.Array | int = 0


def init_state(
  params,
  optimizer: optax.GradientTransformation,
  running: Any = (),
  seed: jax.Array | int = 0,
) -> TrainState:
  """Makes the state before the first step."""
  return TrainState(
    jnp.zeros((), jnp.int32),
    params,
    optimizer.init(params),
    running,
    jnp.asarray(seed, jnp.uint32),
  )


def make_train_step(
  model: nn.Module,
  objective: Objective,
  optimizer: optax.GradientTransformation,
  *,
  micro_batches: int = 1,
  axis_name: str | None = None,
  wrap: Callable[[Callable], Callable] = lambda forward: forward,
) -> Callable[[TrainState, dict], tuple[TrainState, dict]]:
  """Makes the function that updates the parameters once.

  Args:
    model: called with `tokens`, `segments` (if there are any) and `mask` of a
      batch, each `[B, L]`. If the batch has `states` `[B, L, H]`, the encoder
      returns these.
    objective: scalar of the model's outputs and the batch.
    optimizer: transforms the gradients.
    micro_batches: number of parts of a batch that are encoded one after the
      other, in the memory of one part; divides the number of rows `B`. The
      objective still covers the whole batch.
    axis_name: mapped axis over which the rows of a batch are spread, if they
      are; the objective must then have the same value on all devices.
    wrap: decorator for the forward pass, `(params, batch, key) -> outputs`.

  Returns:
    `(state, batch) -> state, metrics`. Dropout is a function of the seed and
    the step in the state.
  """

  @wrap
  def forward(params, batch, key):
    return apply_model(
      model, params, batch, deterministic=False, rngs={'dropout': key}
    )

  def train_step(state, batch):
    def of_outputs(outputs):
      return objective.update(outputs, batch, state.running)

    key = jax.random.fold_in(jax.random.key(state.seed), state.step)
    if axis_name is not None:
      key = jax.random.fold_in(key, jax.lax.axis_index(axis_name))
    if micro_batches > 1:
      (loss, running), grads = _in_parts(
        forward, of_outputs, state.params, batch, key, micro_batches
      )
    else:
      (loss, running), grads = jax.value_and_grad(
        lambda params: of_outputs(forward(params, batch, key)), has_aux=True
      )(state.params)
    if axis_name is not None:
      # Sums over devices within the objective make each device's part of the
      # gradient as many times too large as there are devices.
      grads = jax.lax.pmean(grads, axis_name)
    updates, opt_state = optimizer.update(grads, state.opt_state, state.params)
    params = optax.apply_updates(state.params, updates)
    metrics = {
      'loss': loss,
      'grad_norm': optax.tree.norm(grads),
      'param_norm': optax.tree.norm(params),
    }
    state = TrainState(state.step + 1, params, opt_state, running, state.seed)
    return state, metrics

  return train_step


def init_params(model: nn.Module, batch: dict, seed: jax.Array | int) -> Any:
  """Makes fresh parameters; with `states` in the batch, only of the head."""
  key = jax.random.key(seed)
  like = jax.tree.map(lambda x: jnp.zeros((1, 1, *x.shape[2:]), x.dtype), batch)
  with _given_states(like.get('states')):
    return model.init(key, like['tokens'])['params']


def make_predict_step(
  model: nn.Module, postprocess: Callable[[Any, dict], Any]
) -> Callable[[Any, dict], Any]:
  """Makes the function that computes what decoding needs.

  Args:
    model: see `make_train_step`.
    postprocess: `(outputs, batch) -> arrays [B, ...]`, see `Task`.

  Returns:
    `(params, batch) -> arrays [B, ...]`.
  """

  def predict_step(params, batch):
    return postprocess(apply_model(model, params, batch), batch)

  return predict_step


def _in_parts(forward, objective, params, batch, key, parts):
  """Computes value and gradient of an objective, encoding a batch in parts.

  A first pass keeps only the outputs. The objective of all outputs gives the
  gradient with respect to each; the second pass computes the outputs again,
  part by part, and pulls that gradient back to the parameters. So the objective
  need not be a sum over examples, and its running counts cover the whole batch.
  """

  def split(tree):
    # A part takes every `parts`-th row, and so no row changes its device.
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
  value, slopes = jax.value_and_grad(objective, has_aux=True)(join(outputs))

  def pull_back(grads, xs):
    xs, slope = xs
    _, vjp = jax.vjp(lambda params: forward(params, *xs), params)
    return jax.tree.map(jnp.add, grads, vjp(slope)[0]), None

  zeros = jax.tree.map(jnp.zeros_like, params)
  grads, _ = jax.lax.scan(pull_back, zeros, (inputs, split(slopes)))
  return value, grads


def apply_model(model: nn.Module, params: Any, batch: dict, **kwargs) -> Any:
  """Applies a model to a batch, see `make_train_step`."""
  with _given_states(batch.get('states')):
    return model.apply(
      {'params': params},
      batch['tokens'],
      batch.get('segments'),
      batch['mask'],
      **kwargs,
    )


@contextlib.contextmanager
def _given_states(states: jax.Array | None) -> Iterator[None]:
  """Context: encoders return these hidden states instead of computing any.

  A model then has only the parameters of its head.

  Args:
    states: `[B, L, H]`; None changes nothing.
  """

  def intercept(method, args, kwargs, context):
    is_encoder = context.module.name == 'encoder'  # As all heads call it.
    if is_encoder and context.method_name == '__call__':
      return states
    return method(*args, **kwargs)

  if states is None:
    yield
  else:
    with nn.intercept_methods(intercept):
      yield
