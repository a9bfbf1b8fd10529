"""Every experiment can be built, and a typo in one is an error."""

import importlib.util
import pathlib
import sys

import pytest
from absl import flags
from ml_collections import config_flags

from configs import default
from configs import losses as presets
from train import compare
from train.loop import check_config
from train.objective import make_objective

CONFIGS = pathlib.Path(default.__file__).parent
EXPERIMENTS = sorted(
  path
  for path in CONFIGS.rglob('*.py')
  if path.name not in ('__init__.py', 'losses.py')
)
LABELS = ('O', 'B-PER', 'I-PER')


def load(path):
  spec = importlib.util.spec_from_file_location(path.stem, path)
  module = importlib.util.module_from_spec(spec)
  spec.loader.exec_module(module)
  return module.get_config


def build(config):
  for varied in (
    compare.variations(config).values() if config.runs else [config]
  ):
    check_config(varied)
    make_objective(varied.loss, LABELS)


@pytest.mark.parametrize('path', EXPERIMENTS, ids=lambda path: path.stem)
def test_experiment(path):
  get_config = load(path)
  config = get_config()
  build(config)
  assert config.is_locked
  with pytest.raises(AttributeError, match='batch_size'):
    config.batchsize = 1


@pytest.mark.parametrize('loss', presets.PRESETS)
@pytest.mark.parametrize(
  'path',
  [CONFIGS / 'default.py', *sorted(CONFIGS.glob('*/[a-z]*.py'))],
  ids=lambda path: path.stem,
)
def test_any_loss(path, loss):
  config = load(path)(loss)
  build(config)
  assert config.loss.name == loss


def test_flags(monkeypatch):
  """What users type: a file, its loss, a setting and an option of the loss."""
  values = flags.FlagValues()
  config_flags.DEFINE_config_file('config', flag_values=values)
  argv = [
    'train',
    f'--config={CONFIGS}/ner/conll2003.py:focal',
    '--config.optimizer.learning_rate=3e-5',
    '--config.loss.options.gamma=1.5',
    '--config.data.dir=here',
  ]
  monkeypatch.setattr(sys, 'argv', argv)  # Where overrides are looked for.
  values(argv)
  assert values.config.optimizer.learning_rate == 3e-5
  assert values.config.loss.options.gamma == 1.5


def test_unknown_loss():
  with pytest.raises(ValueError, match="'focl' is none of cross_entropy"):
    presets.get_loss('focl')


def test_bad_values():
  for key, value in [
    ('batch_size', 0),
    ('epochs', -1),
    ('task', 'guess'),
    ('max_length', 2),
    ('seed', -1),
  ]:
    config = default.get_config()
    config[key] = value
    with pytest.raises(ValueError, match=key):
      check_config(config)
  config = default.get_config()
  config.runs = {'a': {'losss': {}}}
  with pytest.raises(ValueError, match="runs.a: a config has no 'losss'"):
    compare.variations(config)
