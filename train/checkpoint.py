"""Checkpoints: the latest two to resume from, the best to use, all checked.

The store reads a missing part as zeros and cannot see a flipped bit. So the
parameters and what goes with them are saved with checksums, and these and the
rest of `meta` with a digest; what does not fit is damaged.
"""

import contextlib
import hashlib
import json
import pathlib
import re
import zlib
from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import orbax.checkpoint as ocp

from train.step import TrainState


class _Checkpoints(ocp.CheckpointManager):
  """Keeps the latest two, and the best as the latest knows it.

  Orbax would find scores in files of their own, and could lose one unnoticed.
  """

  best: list | None = None  # Step and score.

  def __init__(self, directory, read_only):
    super().__init__(
      directory,
      options=ocp.CheckpointManagerOptions(
        read_only=read_only,
        cleanup_tmp_directories=not read_only,  # Of saves that were killed.
        lightweight_initialize=True,  # Else a damaged one could not be opened.
        preservation_policy=self,
      ),
      item_names=('params', 'rest', 'meta'),
    )

  def should_preserve(self, checkpoints, *, context):
    del context
    kept = {info.step for info in checkpoints[-2:]}
    if self.best:
      kept.add(self.best[0])
    return [info.step in kept for info in checkpoints]

  def best_step(self) -> int | None:
    """The best that was evaluated; a ValueError if this cannot be known."""
    latest = self.latest_step()
    best = None if latest is None else read_meta(self, latest)['best']
    return best and best[0]


def open_checkpoints(
  directory: pathlib.Path, *, read_only: bool = False
) -> ocp.CheckpointManager:
  """The checkpoints of a run; writing is asynchronous, `wait` waits for it."""
  return _Checkpoints(directory.absolute(), read_only)


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

  Raises:
    OSError: this one, or the one before, could not be written.
  """
  step = int(state.step)
  if score is not None and not (manager.best and score < manager.best[1]):
    manager.best = [step, score]
  items = {'params': state.params, 'rest': _rest(state)}
  checksums = {name: checksum(item) for name, item in items.items()}
  meta = meta | {'best': manager.best, 'checksums': checksums}
  with _writing(manager):
    manager.save(
      step,
      args=ocp.args.Composite(
        **{n: ocp.args.StandardSave(item) for n, item in items.items()},
        meta=ocp.args.JsonSave(meta | {'digest': _digest(meta)}),
      ),
    )


def wait(manager: ocp.CheckpointManager) -> None:
  """Returns when all is written.

  Raises:
    OSError: it could not be.
  """
  with _writing(manager):
    manager.wait_until_finished()


def restore(
  manager: ocp.CheckpointManager, like: TrainState
) -> tuple[TrainState, dict[str, Any]] | None:
  """The latest state that is whole, and its meta; None if none was saved.

  Later ones, which are damaged, are named and deleted: they will be made again.

  Args:
    manager: from `open_checkpoints`.
    like: has the shapes and shardings.

  Raises:
    ValueError: all are damaged. Nothing is deleted.
  """
  like = jax.tree.map(abstract, like)
  likes = {'params': like.params, 'rest': _rest(like)}
  damaged = {}
  for step in sorted(manager.all_steps(), reverse=True):
    try:
      meta = read_meta(manager, step)
      found = _restore(manager, step, likes, meta)
    except ValueError as error:
      damaged[step] = error
      continue
    for later, error in damaged.items():
      print(f'{error} {step} is used instead.')
      manager.delete(later)
    manager.best = meta['best']
    placed = jax.device_put(jnp.int32(step), like.step.sharding)
    return TrainState(placed, found['params'], **found['rest']), meta
  if damaged:
    raise ValueError(
      f'{damaged[max(damaged)]} No other one is whole: choose a new --workdir.'
    )
  return None


def restore_params(manager: ocp.CheckpointManager, step: int, like: Any) -> Any:
  """The parameters alone, as the shapes and shardings of `like` say.

  Raises:
    ValueError: they are damaged.
  """
  meta = read_meta(manager, step)
  return _restore(manager, step, {'params': like}, meta)['params']


def read_meta(manager: ocp.CheckpointManager, step: int) -> dict[str, Any]:
  """What `save` was given as meta, and what it added.

  Raises:
    ValueError: it is damaged.
  """
  meta = _read(manager, step, meta=ocp.args.JsonRestore())['meta']
  if meta.pop('digest', None) != _digest(meta):
    raise _damaged(manager, step, 'its meta is not what was saved')
  return meta


def _restore(manager, step, likes, meta):
  """Items of a checkpoint, checked."""
  args = {n: ocp.args.StandardRestore(like) for n, like in likes.items()}
  found = _read(manager, step, **args)
  for name in likes:
    if checksum(found[name]) != meta['checksums'][name]:
      raise _damaged(manager, step, f'its {name!r} is not what was saved')
  return found


def abstract(x: jax.Array) -> jax.ShapeDtypeStruct:
  """Shape, type and place of an array, without its values."""
  return jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=x.sharding)


def checksum(tree: Any) -> int:
  """A number that any flipped bit of the arrays changes.

  It does not depend on how they are spread over devices.
  """
  sums = jax.device_get([_sum(x) for x in jax.tree.leaves(tree)])
  return zlib.crc32(np.array(sums, '<u4').tobytes())


@jax.jit
def _sum(x):
  """Sum of bits[i] * (2 i + 1) modulo 2**32, exact in any order."""
  if x.dtype == bool:
    x = x.astype(jnp.uint8)
  # Of 64 bits, it makes an axis of two.
  unsigned = {1: jnp.uint8, 2: jnp.uint16}.get(x.dtype.itemsize, jnp.uint32)
  bits = jax.lax.bitcast_convert_type(x, unsigned).astype(jnp.uint32)
  # Not reshaped: that would gather an array that is spread over devices.
  i, stride = jnp.uint32(0), 1
  for axis in reversed(range(bits.ndim)):
    along = jax.lax.broadcasted_iota(jnp.uint32, bits.shape, axis)
    i += along * jnp.uint32(stride % 2**32)
    stride *= bits.shape[axis]
  return jnp.sum(bits * (2 * i + 1), dtype=jnp.uint32)


def _rest(state: TrainState) -> dict[str, Any]:
  return {'opt_state': state.opt_state, 'running': state.running}


def _digest(meta) -> str:
  text = json.dumps(meta, sort_keys=True)
  return hashlib.sha256(text.encode()).hexdigest()


def _read(manager, step, **args):
  """What orbax reads, and one sentence of whatever it raises."""
  try:
    return manager.restore(step, args=ocp.args.Composite(**args))
  except Exception as error:
    raise _damaged(manager, step, _short(error)) from error


def _damaged(manager, step, reason) -> ValueError:
  return ValueError(f'{manager.directory / str(step)} is damaged: {reason}.')


@contextlib.contextmanager
def _writing(manager) -> Iterator[None]:
  """Makes one sentence of whatever a full disk raises."""
  try:
    yield
  except Exception as error:
    raise OSError(
      f'{manager.directory}: a checkpoint could not be written: '
      f'{_short(error)}. Those before it are whole: once this is mended, the '
      'same command goes on.'
    ) from error


def _short(error) -> str:
  """The first line of what began it, without the store's specification."""
  while error.__cause__:
    error = error.__cause__
  text = str(error) or type(error).__name__
  return re.sub(r" \[[\w\[\]]+='.*", '', text.splitlines()[0]).rstrip('. ')
