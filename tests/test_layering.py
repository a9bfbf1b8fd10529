"""Imports between packages, each checked in a fresh interpreter."""

import pathlib
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).parents[1]
PROGRAM = ['train', 'configs', 'absl', 'tensorflow_datasets', 'orbax']
NEVER = ['tensorflow', 'torch', 'transformers']


@pytest.mark.parametrize(
  'module, absent',
  [
    ('dicejax', ['flax', 'optax', 'safetensors', 'tokenizers', *PROGRAM[:2]]),
    ('dicejax.text.loading', ['safetensors', 'optax', *PROGRAM[:2], 'orbax']),
    ('dicejax.tversky', ['flax', 'optax', *PROGRAM[:2]]),
    ('dicejax.models', ['safetensors', 'huggingface_hub', *PROGRAM[:2]]),
    ('dicejax.concepts', ['flax', 'optax', 'dicejax.concepts.cli']),
    ('dicejax.concepts.__main__', ['flax', 'optax', 'tqdm', *PROGRAM[:2]]),
    ('train.step', ['configs', 'orbax', 'tensorflow_datasets', 'grain']),
    ('train.trainer', ['configs']),
    ('train.data.splits', ['tensorflow_datasets', 'faker', 'configs']),
    ('configs.default', ['jax', 'dicejax', 'train']),
  ],
)
def test_imports(module, absent):
  code = (
    f'import sys, {module}\nprint(*(set({absent + NEVER}) & set(sys.modules)))'
  )
  done = subprocess.run(
    [sys.executable, '-c', code],
    cwd=ROOT,
    capture_output=True,
    text=True,
    check=True,
  )
  assert done.stdout.split() == []


def test_losses_do_not_know_models():
  code = (
    'import sys, dicejax.losses\n'
    "print([m for m in sys.modules if m.startswith('dicejax.models')])"
  )
  done = subprocess.run(
    [sys.executable, '-c', code], cwd=ROOT, capture_output=True, check=True
  )
  assert done.stdout.strip() == b'[]'
