"""Compiled programs on disk."""

import jax
import jax.numpy as jnp
import pytest
from jax.experimental import compilation_cache

from configs import default
from train.compiled import keep_programs

NAMES = (
  'jax_compilation_cache_dir',
  'jax_compilation_cache_max_size',
  'jax_persistent_cache_min_compile_time_secs',
)


@pytest.fixture
def config(tmp_path, monkeypatch):
  """A config whose cache is new, where nothing else names one."""
  monkeypatch.delenv('JAX_COMPILATION_CACHE_DIR', raising=False)
  before = {name: getattr(jax.config, name) for name in NAMES}
  config = default.get_config()
  config.data.cache = str(tmp_path)
  yield config
  for name, value in before.items():
    jax.config.update(name, value)
  compilation_cache.compilation_cache.reset_cache()


def _compile():
  compilation_cache.compilation_cache.reset_cache()
  # However fast the program of a test compiles.
  jax.config.update('jax_persistent_cache_min_compile_time_secs', 0.0)
  jax.clear_caches()
  jax.jit(lambda x: x * 3 + 1)(jnp.ones(3)).block_until_ready()


def test_programs_are_kept_where_the_config_says(config, tmp_path):
  keep_programs(config)
  assert jax.config.jax_compilation_cache_max_size == 2 * 2**30
  _compile()
  assert list((tmp_path / 'compiled').glob('*lambda*'))


def test_the_environment_comes_first(config, tmp_path, monkeypatch):
  monkeypatch.setenv('JAX_COMPILATION_CACHE_DIR', str(tmp_path / 'other'))
  before = jax.config.jax_compilation_cache_dir
  keep_programs(config)
  assert jax.config.jax_compilation_cache_dir == before


def test_nothing_is_kept_without_a_limit(config):
  config.compilation_cache = 0.0
  before = jax.config.jax_compilation_cache_dir
  keep_programs(config)
  assert jax.config.jax_compilation_cache_dir == before
