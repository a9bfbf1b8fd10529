"""Imports between packages, each checked where nothing else is imported."""

import pathlib
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).parents[1]
PROGRAM = ['train', 'configs', 'absl', 'tensorflow_datasets', 'orbax']
NEVER = ['tensorflow', 'torch', 'transformers']


CASES = {
  'dicejax': ['flax', 'optax', 'safetensors', 'tokenizers', *PROGRAM[:2]],
  'dicejax.losses': ['dicejax.models'],
  'dicejax.text.loading': ['safetensors', 'optax', *PROGRAM[:2], 'orbax'],
  'dicejax.tversky': ['flax', 'optax', *PROGRAM[:2]],
  'dicejax.models': ['safetensors', 'huggingface_hub', *PROGRAM[:2]],
  'dicejax.concepts': ['flax', 'optax', 'dicejax.concepts.cli'],
  'dicejax.concepts.__main__': ['flax', 'optax', 'tqdm', *PROGRAM[:2]],
  'train.step': ['configs', 'orbax', 'tensorflow_datasets', 'grain'],
  'train.trainer': ['configs'],
  'train.data.splits': ['tensorflow_datasets', 'faker', 'configs'],
}
# Each module is imported by a copy of one process, which has JAX already.
CODE = f"""
import importlib, os, sys
import jax
for module, absent in {CASES}.items():
  if not os.fork():
    try:
      importlib.import_module(module)
      print(module, *{{*absent, *{NEVER}}} & {{*sys.modules}}, flush=True)
    finally:
      os._exit(0)
  os.wait()
"""


def run(code):
  return subprocess.run(
    [sys.executable, '-c', code],
    cwd=ROOT,
    capture_output=True,
    text=True,
    check=True,
  )


@pytest.fixture(scope='module')
def imports():
  done = run(CODE)
  return done.stdout.splitlines(), done.stderr


@pytest.mark.parametrize('module', CASES)
def test_imports(module, imports):
  found, errors = imports
  assert module in found, (found, errors)


def test_settings_import_nothing_of_the_program():
  absent = ['jax', 'dicejax', 'train', *NEVER]
  done = run(
    f'import sys, configs.default\nprint(*{{*{absent}}} & {{*sys.modules}})'
  )
  assert done.stdout.split() == []


def test_searches_of_reports_do_not_wait_for_jax():
  absent = ['jax', 'scipy', *NEVER]
  done = run(
    f'import sys, dicejax.concepts.__main__\n'
    f'print(*{{*{absent}}} & {{*sys.modules}})'
  )
  assert done.stdout.split() == []
