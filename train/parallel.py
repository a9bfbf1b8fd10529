"""Places arrays on devices, and runs one step on many devices and processes."""

import contextlib
import os
from collections.abc import Callable
from collections.abc import Iterator
from typing import Any

import jax
import numpy as np
from jax import ad_checkpoint
from jax.experimental import multihost_utils
from jax.sharding import PartitionSpec

from train import interrupts

DATA = 'data'  # The mesh axis whose devices have different rows of a batch.
FSDP = 'fsdp'  # Devices along this axis share the parameters as well.
# Smaller arrays (biases, norms) are whole on every device: to shard them would
# save nothing and cost a message for each.
_MIN_SHARDED_SIZE = 2**14


def initialize(
  coordinator: str | None, processes: int | None, process: int | None
) -> None:
  """Makes this process one of several, before anything uses a device.

  Args:
    coordinator: `host:port` of process 0; None lets JAX ask Slurm, GKE, Open
      MPI or a TPU pod for all three.
    processes: the number of processes.
    process: the index of this process, from 0.

  Raises:
    ValueError: only some of the three are given, or none and JAX finds no
      cluster.
  """
  given = [x is not None for x in (coordinator, processes, process)]
  if any(given) and not all(given):
    raise ValueError(
      'Expected --coordinator, --processes and --process together.'
    )
  try:
    jax.distributed.initialize(coordinator, processes, process)
  except (RuntimeError, ValueError) as error:
    raise ValueError(f'Several processes: {error}') from None


def is_first() -> bool:
  """Whether this is the process that writes files and prints."""
  return jax.process_index() == 0


@contextlib.contextmanager
def only_first_prints() -> Iterator[None]:
  """Context: only the first process prints; each still reports its errors."""
  with contextlib.ExitStack() as stack:
    if not is_first():
      nowhere = stack.enter_context(open(os.devnull, 'w'))
      stack.enter_context(contextlib.redirect_stdout(nowhere))
    yield


@contextlib.contextmanager
def first_process_runs_first() -> Iterator[None]:
  """Context: the other processes enter when the first one has left."""
  if not is_first():
    multihost_utils.sync_global_devices('first process')
  yield
  if is_first():
    multihost_utils.sync_global_devices('first process')


def held_signals() -> contextlib.AbstractContextManager[list[int]]:
  """Holds signals as `interrupts.held` does, for a single process.

  With several processes JAX itself catches SIGTERM, see `preempted`.
  """
  if jax.process_count() == 1:
    return interrupts.held()
  return contextlib.nullcontext([])


def preempted(step: int) -> bool:
  """Whether all of several processes have to stop after this step.

  A process that receives SIGTERM informs the others, and all agree on a step
  that none of them has passed.
  """
  return (
    jax.process_count() > 1
    and multihost_utils.reached_preemption_sync_point(step)
  )


def make_mesh(fsdp: int = 1, devices=None) -> jax.sharding.Mesh:
  """Arranges all devices in rows of `fsdp`, the devices of a process together.

  Args:
    fsdp: number of devices that share one copy of the parameters; with 1, each
      device has its own copy.
    devices: devices to use; None for the devices of all processes.

  Raises:
    ValueError: `fsdp` does not divide the number of devices.
  """
  devices = jax.devices() if devices is None else devices
  devices = sorted(devices, key=lambda d: (d.process_index, d.id))
  if fsdp < 1 or len(devices) % fsdp:
    raise ValueError(
      f'fsdp is a divisor of the number of devices, {len(devices)}, not {fsdp}.'
    )
  return jax.sharding.Mesh(np.array(devices).reshape(-1, fsdp), (DATA, FSDP))


def padded_batch_size(
  batch_size: int, mesh: jax.sharding.Mesh, parts: int = 1
) -> int:
  """Rounds a batch size up to a multiple of the devices times the parts.

  Args:
    batch_size: number of rows with examples.
    mesh: from `make_mesh`.
    parts: micro-batches that each device makes of its rows.
  """
  return batch_size + -batch_size % (mesh.size * parts)


def local_rows(rows: int) -> slice:
  """The rows of a batch that this process prepares, out of `rows`."""
  size = rows // jax.process_count()
  first = size * jax.process_index()
  return slice(first, first + size)


def replicated(mesh: jax.sharding.Mesh) -> jax.NamedSharding:
  """A sharding that puts the whole array on every device."""
  return jax.NamedSharding(mesh, PartitionSpec())


def by_row(mesh: jax.sharding.Mesh) -> jax.NamedSharding:
  """A sharding that splits the first axis over all devices."""
  return jax.NamedSharding(mesh, PartitionSpec((DATA, FSDP)))


def shard_state(mesh: jax.sharding.Mesh, state: Any) -> Any:
  """Chooses where the arrays of a state live.

  Args:
    mesh: from `make_mesh`.
    state: a tree of arrays or of their shapes.

  Returns:
    A tree of shardings like `state`. Large arrays, and their moments in the
    optimizer, are split over `FSDP` along their longest axis whose length it
    divides; all others are replicated.
  """
  size = mesh.shape[FSDP]

  def shard(x):
    axes = [axis for axis, n in enumerate(x.shape) if n % size == 0]
    if size == 1 or not axes or np.prod(x.shape) < _MIN_SHARDED_SIZE:
      return replicated(mesh)
    longest = max(axes, key=lambda axis: x.shape[axis])
    return jax.NamedSharding(mesh, PartitionSpec(*[None] * longest, FSDP))

  return jax.tree.map(shard, state)


def gather_parameters(
  mesh: jax.sharding.Mesh,
) -> Callable[[Callable], Callable]:
  """Makes a decorator by which `forward(params, ...)` sees whole parameters.

  Sharded parameters are gathered once for the forward pass and once more for
  the gradient, and not kept in between.

  Args:
    mesh: from `make_mesh`.
  """
  # Without this constraint the compiler shards the activations like the
  # parameters, and devices exchange several times as much.
  if mesh.shape[FSDP] == 1:
    return lambda forward: forward

  def gather(x):
    x = jax.lax.with_sharding_constraint(x, replicated(mesh))
    return ad_checkpoint.checkpoint_name(x, 'gathered')

  def wrap(forward):
    return jax.checkpoint(
      lambda params, *args: forward(jax.tree.map(gather, params), *args),
      policy=jax.checkpoint_policies.save_anything_except_these_names(
        'gathered'
      ),
    )

  return wrap


def to_devices(rows: Any, mesh: jax.sharding.Mesh) -> Any:
  """Makes a batch on all devices from the `local_rows` of each process."""
  sharding = by_row(mesh)
  return jax.tree.map(
    lambda x: jax.make_array_from_process_local_data(sharding, x), rows
  )


def to_host(tree: Any) -> Any:
  """Copies arrays that are spread over devices to NumPy, in every process."""
  if jax.process_count() == 1:
    return jax.device_get(tree)
  return multihost_utils.process_allgather(tree, tiled=True)


def compile_step(
  step: Callable[[Any, Any], tuple[Any, Any]],
  mesh: jax.sharding.Mesh,
  state: Any,
  mode: str,
) -> Callable[[Any, Any], tuple[Any, Any]]:
  """Compiles a step for all devices.

  Args:
    step: `(state, batch) -> state, metrics`; for 'pmap', it names the mapped
      axis `DATA`.
    mesh: from `make_mesh`; for 'pmap', without shared parameters.
    state: a tree of arrays or of their shapes.
    mode: 'jit', where the compiler sees the whole batch and adds the
      communication between devices, or 'pmap', where `step` communicates.

  Returns:
    `(state, rows) -> state, metrics`; each process passes its `local_rows`.
    With 'jit', the memory of the given state is used again (donated).
  """
  if mode == 'pmap':
    mapped = jax.pmap(
      step,
      axis_name=DATA,
      in_axes=(None, 0),
      out_axes=(None, None),
      devices=mesh.devices.ravel().tolist(),
    )
    own = len(mesh.local_devices)

    def run(state, rows):
      return mapped(
        state, jax.tree.map(lambda x: x.reshape(own, -1, *x.shape[1:]), rows)
      )

    return run
  shardings = shard_state(mesh, state)
  compiled = jax.jit(
    step,
    in_shardings=(shardings, by_row(mesh)),
    out_shardings=(shardings, replicated(mesh)),
    donate_argnums=0,
  )
  return lambda state, rows: compiled(state, to_devices(rows, mesh))
