"""Checkpoints: the latest two to resume from, the best to use, all checked.

The store reads a missing chunk as zeros and does not notice a flipped bit. So
`meta` holds checksums of the parameters and of the rest of the state, and a
digest of itself. A checkpoint that contradicts them is damaged.
"""

import contextlib
import hashlib
import json
import pathlib
import re
import shutil
import zlib
from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import orbax.checkpoint as ocp

from train.step import TrainState


class _Checkpoints(ocp.CheckpointManager):
  """Keeps the latest two checkpoints, and the best one.

  Each checkpoint knows the best so far. Orbax would keep the scores in separate
  files, one of which could get lost unnoticed.
  """

  best: list | None = None  # [step, score].

  def __init__(self, directory, read_only):
    super().__init__(
      directory,
      options=ocp.CheckpointManagerOptions(
        read_only=read_only,
        cleanup_tmp_directories=not read_only,  # Left by killed saves.
        lightweight_initialize=True,  # Else damage would prevent opening.
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
    """Returns the step of the best checkpoint; None before an evaluation.

    Raises:
      ValueError: the latest checkpoint is damaged, and so it cannot be known.
    """
    latest = self.latest_step()
    best = None if latest is None else read_meta(self, latest)['best']
    return best and best[0]


def open_checkpoints(
  directory: pathlib.Path, *, read_only: bool = False
) -> ocp.CheckpointManager:
  """Opens the checkpoints of a run, which are written in the background."""
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
    state: the state after `state.step` steps.
    meta: values for JSON that are needed to use the parameters.
    score: the higher, the better; of equal scores the later one is kept.

  Raises:
    OSError: this checkpoint, or the one before, could not be written.
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
  """Waits until everything is written.

  Raises:
    OSError: a checkpoint could not be written.
  """
  with _writing(manager):
    manager.wait_until_finished()


def keep_best(directory: pathlib.Path, best: int) -> None:
  """Deletes what a finished run does not need: all but the best parameters.

  The state of the optimizer is twice as large as these. What is deleted loses
  its name first: a kill leaves no damaged checkpoint.

  Args:
    directory: the checkpoints of the run, not open.
    best: the step of the best checkpoint.
  """
  for path in directory.iterdir():
    if path.name.isdigit() and int(path.name) != best:
      _delete(path, path.with_name(f'deleted-{path.name}'))
  rest = directory / str(best) / 'rest'
  if rest.is_dir():
    _delete(rest, directory / 'deleted-rest')


def _delete(path: pathlib.Path, name: pathlib.Path) -> None:
  # A run that was killed here left it.
  shutil.rmtree(name, ignore_errors=True)
  path.rename(name)
  shutil.rmtree(name, ignore_errors=True)


def restore(
  manager: ocp.CheckpointManager, like: TrainState
) -> tuple[TrainState, dict[str, Any]] | None:
  """Reads the latest whole checkpoint.

  Later ones, which are damaged, are named and deleted: training will make them
  again.

  Args:
    manager: from `open_checkpoints`.
    like: a state with the same shapes, shardings and seed.

  Returns:
    The state and its meta; None if there is no checkpoint.

  Raises:
    ValueError: all checkpoints are damaged. Nothing is deleted.
  """
  items = {'params': like.params, 'rest': _rest(like)}
  likes = jax.tree.map(abstract, items)
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
    params = found['params']
    return like._replace(step=placed, params=params, **found['rest']), meta
  if damaged:
    raise ValueError(
      f'{damaged[max(damaged)]} No other one is whole: choose a new --workdir.'
    )
  return None


def restore_params(manager: ocp.CheckpointManager, step: int, like: Any) -> Any:
  """Reads only the parameters of a checkpoint.

  Args:
    manager: from `open_checkpoints`.
    step: the step of the checkpoint.
    like: shapes and shardings of the parameters.

  Raises:
    ValueError: they are damaged.
  """
  meta = read_meta(manager, step)
  return _restore(manager, step, {'params': like}, meta)['params']


def read_meta(manager: ocp.CheckpointManager, step: int) -> dict[str, Any]:
  """Reads the meta that `save` was given, with its additions.

  Raises:
    ValueError: it is damaged.
  """
  meta = _read(manager, step, meta=ocp.args.JsonRestore())['meta']
  if meta.pop('digest', None) != _digest(meta):
    raise _damaged(manager, step, 'the checksum of its meta does not match')
  return meta


def _restore(manager, step, likes, meta):
  """Reads items of a checkpoint and compares their checksums."""
  args = {n: ocp.args.StandardRestore(like) for n, like in likes.items()}
  found = _read(manager, step, **args)
  for name in likes:
    if checksum(found[name]) != meta['checksums'][name]:
      raise _damaged(manager, step, f'the checksum of {name!r} does not match')
  return found


def abstract(x: jax.Array) -> jax.ShapeDtypeStruct:
  """Describes an array by shape, type and sharding, without its values."""
  return jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=x.sharding)


def checksum(tree: Any) -> int:
  """Computes a number that changes with any flipped bit of the arrays.

  It does not depend on how they are sharded.
  """
  sums = jax.device_get([_sum(x) for x in jax.tree.leaves(tree)])
  return zlib.crc32(np.array(sums, '<u4').tobytes())


@jax.jit
def _sum(x):
  """Sums bits[i] * (2 i + 1) modulo 2**32: exact in any order.

  The weights are odd, so that no bit is multiplied away.
  """
  if x.dtype == bool:
    x = x.astype(jnp.uint8)
  # A 64-bit value becomes two words of 32 bits, along a new last axis.
  unsigned = {1: jnp.uint8, 2: jnp.uint16}.get(x.dtype.itemsize, jnp.uint32)
  bits = jax.lax.bitcast_convert_type(x, unsigned).astype(jnp.uint32)
  # No reshape, which would gather an array that is spread over devices.
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
  """Reads with orbax; whatever it raises becomes one sentence."""
  try:
    return manager.restore(step, args=ocp.args.Composite(**args))
  except Exception as error:
    raise _damaged(manager, step, _short(error)) from error


def _damaged(manager, step, reason) -> ValueError:
  return ValueError(f'{manager.directory / str(step)} is damaged: {reason}.')


@contextlib.contextmanager
def _writing(manager) -> Iterator[None]:
  """Context: whatever a full disk raises becomes one sentence."""
  try:
    yield
  except Exception as error:
    raise OSError(
      f'{manager.directory}: a checkpoint could not be written: '
      f'{_short(error)}. Those before it are whole: once this is mended, the '
      'same command goes on.'
    ) from error


def _short(error) -> str:
  """Returns the first line of the first cause, without the store's spec."""
  while error.__cause__:
    error = error.__cause__
  text = str(error) or type(error).__name__
  return re.sub(r" \[[\w\[\]]+='.*", '', text.splitlines()[0]).rstrip('. ')
