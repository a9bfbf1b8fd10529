"""Where arrays live, and one step over many devices and processes."""

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

DATA = 'data'  # Devices along it have rows of a batch of their own.
FSDP = 'fsdp'  # Those along this one besides share the parameters.
# Smaller arrays (biases, norms) are on every device: cutting them saves
# nothing and costs a message each.
_MIN_SHARDED_SIZE = 2**14


def initialize(
  coordinator: str | None, processes: int | None, process: int | None
) -> None:
  """Makes this process one of several, before anything uses a device.

  Args:
    coordinator: `host:port` of process 0; None: Slurm, GKE, Open MPI or a TPU
      pod says it, and the rest.
    processes: how many there are.
    process: which this is, from 0.

  Raises:
    ValueError: some of the three, or none where no cluster is found.
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
  """Whether this is the process that writes and speaks."""
  return jax.process_index() == 0


@contextlib.contextmanager
def only_first_prints() -> Iterator[None]:
  """Within, only the first process prints; errors are told by each."""
  with contextlib.ExitStack() as stack:
    if not is_first():
      nowhere = stack.enter_context(open(os.devnull, 'w'))
      stack.enter_context(contextlib.redirect_stdout(nowhere))
    yield


@contextlib.contextmanager
def first_process_runs_first() -> Iterator[None]:
  """Within, the other processes come when the first one has left."""
  if not is_first():
    multihost_utils.sync_global_devices('first process')
  yield
  if is_first():
    multihost_utils.sync_global_devices('first process')


def held_signals() -> contextlib.AbstractContextManager[list[int]]:
  """See `interrupts.held`; of several processes JAX itself holds SIGTERM."""
  if jax.process_count() == 1:
    return interrupts.held()
  return contextlib.nullcontext([])


def preempted(step: int) -> bool:
  """Whether all of several processes are to stop after this step.

  The one that is told to end (SIGTERM) tells the others, and all agree on a
  step that none of them is beyond.
  """
  return (
    jax.process_count() > 1
    and multihost_utils.reached_preemption_sync_point(step)
  )


def make_mesh(fsdp: int = 1, devices=None) -> jax.sharding.Mesh:
  """All devices in rows of `fsdp`, those of a process together.

  Args:
    fsdp: devices that share one copy of the parameters; 1: each has its own.
    devices: None for those of all processes.

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
  """Rows of a batch: its size, and as many empty ones as devices ask for."""
  return batch_size + -batch_size % (mesh.size * parts)


def local_rows(rows: int) -> slice:
  """Those of a batch that this process prepares."""
  size = rows // jax.process_count()
  first = size * jax.process_index()
  return slice(first, first + size)


def replicated(mesh: jax.sharding.Mesh) -> jax.NamedSharding:
  """The whole of an array on every device."""
  return jax.NamedSharding(mesh, PartitionSpec())


def by_row(mesh: jax.sharding.Mesh) -> jax.NamedSharding:
  """The first axis, cut into as many parts as there are devices."""
  return jax.NamedSharding(mesh, PartitionSpec((DATA, FSDP)))


def shard_state(mesh: jax.sharding.Mesh, state: Any) -> Any:
  """Where the arrays of a state are.

  Args:
    mesh: from `make_mesh`.
    state: a tree of arrays or of their shapes.

  Returns:
    Shardings as `state`: large arrays are cut along `fsdp`, at their longest
    axis that it divides, as are their moments in the optimizer.
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
  """What lets `forward(params, ...)` see whole parameters that are shared.

  They are gathered once for the forward pass and once more for the gradient,
  and not held between. Left to itself, the compiler cuts activations as the
  parameters are cut, and sends several times as much.

  Args:
    mesh: from `make_mesh`.
  """
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
  """A batch over all devices, of which each process has its `local_rows`."""
  sharding = by_row(mesh)
  return jax.tree.map(
    lambda x: jax.make_array_from_process_local_data(sharding, x), rows
  )


def to_host(tree: Any) -> Any:
  """NumPy arrays of what is spread over devices, in every process."""
  if jax.process_count() == 1:
    return jax.device_get(tree)
  return multihost_utils.process_allgather(tree, tiled=True)


def compile_step(
  step: Callable[[Any, Any], tuple[Any, Any]],
  mesh: jax.sharding.Mesh,
  state: Any,
  mode: str,
) -> Callable[[Any, Any], tuple[Any, Any]]:
  """A step over all devices.

  Args:
    step: `(state, batch) -> state, metrics`; for 'pmap' with `DATA` as the name
      of the axis.
    mesh: from `make_mesh`.
    state: a tree of arrays or of their shapes.
    mode: 'jit', in which the compiler sees the whole batch and adds what
      devices have to tell each other, or 'pmap', in which `step` says so.

  Returns:
    `(state, rows) -> state, metrics`, where each process has its `local_rows`.
    With 'jit', the memory of the state that it is given is used again.

  Raises:
    ValueError: an unknown mode, or 'pmap' where parameters are shared.
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
