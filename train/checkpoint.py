"""Checkpoints: the latest to resume from, the best to use."""

import pathlib
from typing import Any

import jax
import orbax.checkpoint as ocp
from orbax.checkpoint.checkpoint_managers import preservation_policy

from train.step import TrainState


def open_checkpoints(
  directory: pathlib.Path, *, read_only: bool = False
) -> ocp.CheckpointManager:
  """The checkpoints of a run; writing is asynchronous, `close` waits for it."""
  return ocp.CheckpointManager(
    directory.absolute(),
    options=ocp.CheckpointManagerOptions(
      best_fn=_score,
      read_only=read_only,
      preservation_policy=preservation_policy.AnyPreservationPolicy(
        [
          preservation_policy.LatestN(1),
          preservation_policy.BestN(
            get_metric_fn=_score, n=1, keep_checkpoints_without_metrics=False
          ),
        ]
      ),
    ),
    item_names=('params', 'rest', 'meta'),
  )


def save(
  manager: ocp.CheckpointManager,
  state: TrainState,
  meta: dict[str, Any],
  score: float | None = None,
) -> None:
  """Starts to save a state; with a score, it may be kept as the best.

  Args:
    manager: from `open_checkpoints`.
    state: after `state.step` steps.
    meta: what is needed to use the parameters, for JSON.
    score: the more, the better.
  """
  manager.save(
    int(state.step),
    args=ocp.args.Composite(
      params=ocp.args.StandardSave(state.params),
      rest=ocp.args.StandardSave({'opt_state': state.opt_state}),
      meta=ocp.args.JsonSave(meta),
    ),
    metrics=None if score is None else {'score': score},
  )


def restore(
  manager: ocp.CheckpointManager, step: int, like: TrainState
) -> TrainState:
  """The state at a step, placed as `like` is."""
  like = jax.tree.map(abstract, like)
  found = manager.restore(
    step,
    args=ocp.args.Composite(
      params=ocp.args.StandardRestore(like.params),
      rest=ocp.args.StandardRestore({'opt_state': like.opt_state}),
    ),
  )
  placed = jax.device_put(jax.numpy.int32(step), like.step.sharding)
  return TrainState(placed, found['params'], found['rest']['opt_state'])


def restore_params(manager: ocp.CheckpointManager, step: int, like: Any) -> Any:
  """The parameters alone, as the shapes and shardings of `like` say."""
  args = ocp.args.Composite(params=ocp.args.StandardRestore(like))
  return manager.restore(step, args=args)['params']


def read_meta(manager: ocp.CheckpointManager, step: int) -> dict[str, Any]:
  """What `save` was given as meta."""
  args = ocp.args.Composite(meta=ocp.args.JsonRestore())
  return manager.restore(step, args=args)['meta']


def abstract(x: jax.Array) -> jax.ShapeDtypeStruct:
  """Shape, type and place of an array, without its values."""
  return jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=x.sharding)


def _score(metrics):
  return metrics['score']
