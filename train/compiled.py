"""Keeps compiled programs on disk, so that later runs start at once."""

import os
import pathlib

import jax
from ml_collections import config_dict

_GIB = 2**30


def keep_programs(config: config_dict.ConfigDict) -> None:
  """Makes JAX keep compiled programs in `data.cache`, for later processes.

  JAX finds a program by everything that it depends on, such as its shapes, the
  devices and the versions, and deletes the least recently used ones beyond the
  limit. Several processes may use the directory at the same time. A directory
  that the environment names as JAX_COMPILATION_CACHE_DIR comes first.

  Args:
    config: the config of a run.
  """
  if not config.compilation_cache or 'JAX_COMPILATION_CACHE_DIR' in os.environ:
    return
  directory = pathlib.Path(config.data.cache).expanduser() / 'compiled'
  jax.config.update('jax_compilation_cache_dir', str(directory))
  # With a limit, JAX locks the directory: without, a process could read what
  # another has half written.
  limit = int(config.compilation_cache * _GIB)
  jax.config.update('jax_compilation_cache_max_size', limit)
  # Programs that compile faster than that are not worth reading from a disk.
  jax.config.update('jax_persistent_cache_min_compile_time_secs', 0.3)
