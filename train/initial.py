"""The state before the first step: weights, published or fresh, and priors."""

from collections.abc import Callable
from typing import Any

import jax
import numpy as np
import optax
from flax import linen as nn

from train import parallel
from train.objective import Objective
from train.step import TrainState
from train.step import apply_model
from train.step import init_params
from train.step import init_state

_HEADS = {'head', 'start_head', 'end_head'}


def log_odds(counts: np.ndarray, sigmoid: bool) -> np.ndarray:
  """Computes the logits of a model that only knows how often classes occur.

  Args:
    counts: how often each class occurs, `[C]`, see `count_targets`.
    sigmoid: whether the head has a single logit, or one per label.

  Returns:
    `[C]`, or for sigmoids a scalar or `[labels]`.
  """
  # A class that the training split lacks counts as often as the rarest: the
  # logarithm of 0 would exclude it for good.
  logs = np.log(np.where(counts > 0, counts, counts[counts > 0].min()))
  return logs[1] - logs[0] if sigmoid else logs - np.log(counts.sum())


def make_init(
  model: nn.Module,
  objective: Objective,
  optimizer: optax.GradientTransformation,
  batch: dict,
  seed: int,
  mesh: jax.sharding.Mesh,
  *,
  weights: dict[str, Any],
  bias: np.ndarray | float = 0.0,
) -> tuple[TrainState, Callable[[], TrainState]]:
  """Makes the function that makes the state before the first step.

  Args:
    model: an encoder and a head.
    objective: may have running counts.
    optimizer: has a state of its own.
    batch: any batch; only its shapes matter.
    seed: seed of the fresh parameters and of dropout.
    mesh: all devices, from `parallel.make_mesh`.
    weights: published parameters by module, which replace fresh ones.
    bias: is added to the bias of each head, see `log_odds`.

  Returns:
    The shapes of the state, and `() -> state`, spread over all devices.
  """

  # The seed is an argument, so that all seeds share the compiled programs. Keys
  # have its last 32 bits.
  seed = np.uint32(seed % 2**32)

  def fresh(seed):
    params = init_params(model, batch, seed)
    for name in _HEADS & params.keys():
      params[name]['bias'] += bias
    return params

  outputs = jax.eval_shape(lambda: apply_model(model, fresh(seed), batch))

  def begin(params, seed):
    running = objective.init(outputs, batch)
    return init_state(params, optimizer, running, seed)

  shapes = jax.eval_shape(lambda: begin(fresh(seed), seed))
  shardings = parallel.shard_state(mesh, shapes)

  def init():
    # Compiled, because it takes much longer operation by operation, and because
    # no device then has to hold all of a state that is sharded.
    params = jax.jit(fresh, out_shardings=shardings.params)(seed)
    for name in weights.keys() & params.keys():  # Not every head has a pooler.
      params[name] = jax.device_put(weights[name], shardings.params[name])
    return jax.jit(begin, out_shardings=shardings)(params, seed)

  return shapes, init
