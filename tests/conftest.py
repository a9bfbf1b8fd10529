"""Eight CPU devices, exact products, no silent broadcasting between ranks."""

import importlib.util
import os
import pathlib

import hypothesis
import jax

# How long an example takes says nothing about the code on a busy machine.
hypothesis.settings.register_profile(
  'untimed', parent=hypothesis.settings.default, deadline=None
)
hypothesis.settings.load_profile('untimed')

jax.config.update('jax_num_cpu_devices', 8)
jax.config.update('jax_numpy_rank_promotion', 'raise')
jax.config.update('jax_default_matmul_precision', 'highest')

CORPORA = 'DICEJAX_DATA'
_here = pathlib.Path(__file__).parent
_without = {
  path.name: not os.environ.get(CORPORA)
  and f'${CORPORA} names no folder of corpora'
  for path in sorted(_here.glob('test_corpora*.py'))
} | {
  'test_parity_torch.py': not importlib.util.find_spec('transformers')
  and "pip install '.[parity]' brings PyTorch",
}
collect_ignore = [file for file, reason in _without.items() if reason]


def pytest_report_header():
  return [
    f'not collected: {file}: {reason}'
    for file, reason in _without.items()
    if reason
  ]
