"""Eight CPU devices, exact products, no silent broadcasting between ranks."""

import gc
import importlib.metadata
import importlib.util
import os
import pathlib

import hypothesis
import pytest

_here = pathlib.Path(__file__).parent
# Many tests compile the same programs, in processes of their own. With a limit
# the cache is locked: without, one could read what another has half written.
for _name, _value in {
  'JAX_COMPILATION_CACHE_DIR': _here.parent / '.pytest_cache' / 'compiled',
  'JAX_COMPILATION_CACHE_MAX_SIZE': 4_000_000_000,
  'JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS': 0.3,
  # Commands would start anew for huge pages: see train/memory.py.
  'GLIBC_TUNABLES': '',
}.items():
  os.environ.setdefault(_name, str(_value))
# Most of the time of these tests is compilation, and programs that run once
# need no optimiser. With XLA_FLAGS set to '', optimised programs are tested.
_flags = ['--xla_backend_optimization_level=0']
if importlib.metadata.version('jax').startswith('0.10.'):
  # Newer versions do not know the first flag. Without the second, each of the
  # small programs is split into parts that are compiled at the same time.
  _flags.append('--xla_cpu_use_fusion_emitters=false')
  _flags.append('--xla_cpu_parallel_codegen_split_count=1')
os.environ.setdefault('XLA_FLAGS', ' '.join(_flags))

import jax  # noqa: E402 (reads these variables when it is imported)

# How long an example takes says nothing about the code on a busy machine.
_wide = hypothesis.settings(hypothesis.settings.default, deadline=None)
hypothesis.settings.register_profile('wide', _wide)
hypothesis.settings.register_profile('quick', _wide, max_examples=10)
hypothesis.settings.load_profile('quick')

jax.config.update('jax_num_cpu_devices', 8)
jax.config.update('jax_numpy_rank_promotion', 'raise')
jax.config.update('jax_default_matmul_precision', 'highest')

CORPORA = 'DICEJAX_DATA'
_without = {
  path.name: not os.environ.get(CORPORA)
  and f'${CORPORA} names no folder of corpora'
  for path in sorted(_here.glob('test_corpora*.py'))
} | {
  'test_parity_torch.py': not importlib.util.find_spec('transformers')
  and "pip install '.[parity]' brings PyTorch",
}
collect_ignore = [file for file, reason in _without.items() if reason]


@pytest.fixture(scope='module')
def one_device():
  """Has the runs of a module use one device: eight compile and save longer."""
  from train import parallel

  make_mesh = parallel.make_mesh
  with pytest.MonkeyPatch.context() as patch:
    patch.setattr(
      parallel,
      'make_mesh',
      lambda fsdp=1: make_mesh(fsdp, jax.devices()[:1]),
    )
    yield


def pytest_report_header():
  return [
    f'not collected: {file}: {reason}'
    for file, reason in _without.items()
    if reason
  ]


def pytest_collection_finish():
  """Spares the garbage collector what is imported by now and stays.

  Tracing makes many objects, most of which need no collector. At its default
  threshold it takes a sixth of the time of tests that compile.
  """
  gc.collect()
  gc.freeze()
  gc.set_threshold(50_000)
