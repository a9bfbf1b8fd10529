"""Where arrays live: parameters on every device, a batch cut across them."""

import jax
import numpy as np
from jax.sharding import PartitionSpec


def make_shardings(batch_size: int) -> tuple[jax.NamedSharding, ...]:
  """How parameters and batches are placed over all devices.

  Under `jit` with these, a loss over a batch is the loss of the whole batch:
  counts are summed over devices before any ratio.

  Args:
    batch_size: examples a step, all devices together.

  Returns:
    (replicated, by_example).

  Raises:
    ValueError: the batch size is no multiple of the number of devices.
  """
  devices = np.array(jax.devices())
  if batch_size % len(devices):
    raise ValueError(
      f'batch_size={batch_size} is no multiple of the {len(devices)} devices.'
    )
  mesh = jax.sharding.Mesh(devices, ('data',))
  return (
    jax.NamedSharding(mesh, PartitionSpec()),
    jax.NamedSharding(mesh, PartitionSpec('data')),
  )
