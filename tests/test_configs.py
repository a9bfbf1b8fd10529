"""Every experiment can be built, and a typo in one is an error."""

import importlib.util
import json
import pathlib
import sys

import pytest
import tokenizers
from absl import flags
from ml_collections import config_flags

from configs import default
from configs import losses as presets
from configs import small
from configs.ablations import tversky_alpha
from train import compare
from train import tasks
from train.loop import check_config

CONFIGS = pathlib.Path(default.__file__).parent
EXPERIMENTS = sorted(
  path
  for path in CONFIGS.rglob('*.py')
  if path.name not in ('__init__.py', 'losses.py')
)
TOKENIZER = tokenizers.Tokenizer(tokenizers.models.WordPiece())


def load(path):
  spec = importlib.util.spec_from_file_location(path.stem, path)
  module = importlib.util.module_from_spec(spec)
  spec.loader.exec_module(module)
  return module.get_config


def labels_of(config):
  """Labels that the data of an experiment might have."""
  if config.task == 'tagging':
    return ('O', 'B-PER', 'I-PER')
  if config.task == 'query_spans':
    return tuple(json.loads(queries(config)))
  return ('other', config.classification.positive or 'one')


def queries(config):
  path = CONFIGS.parent / config.query_spans.queries
  return path.read_text() if path.is_file() else '{"PER": "people"}'


def build(config):
  for varied in (
    compare.variations(config).values() if config.runs else [config]
  ):
    check_config(varied)
    task = tasks.make_task(varied, TOKENIZER, labels_of(varied))
    task.objective(varied.loss)


@pytest.mark.parametrize(
  'path', EXPERIMENTS, ids=lambda path: str(path.relative_to(CONFIGS))
)
def test_experiment(path, monkeypatch):
  monkeypatch.chdir(CONFIGS.parent)
  get_config = load(path)
  config = get_config()
  build(config)
  assert config.is_locked
  with pytest.raises(AttributeError, match='batch_size'):
    config.batchsize = 1
  if not config.runs:
    for loss in ('cross_entropy', 'focal', 'dice+cross_entropy', 'tversky'):
      if path.stem != 'small':
        build(get_config(loss))


@pytest.mark.parametrize('experiment', small.CHANGES)
def test_small_experiment(experiment, monkeypatch):
  monkeypatch.chdir(CONFIGS.parent)
  build(small.get_config(experiment))
  config = small.get_config(f'{experiment}:focal')
  build(config)
  assert config.loss.name == 'focal' and config.epochs <= 3


@pytest.mark.parametrize('data', ['wnut17', 'ontonotes4', 'quoref'])
def test_tversky_alpha(data, monkeypatch):
  monkeypatch.chdir(CONFIGS.parent)
  config = tversky_alpha.get_config(data)
  build(config)
  options = [run.loss.options for run in config.runs.values()]
  assert [o.alpha for o in options] == [n / 10 for n in range(1, 10)]
  assert all(abs(o.alpha + o.beta - 1) < 1e-12 for o in options)


@pytest.mark.parametrize('loss', presets.SOFTMAX)
def test_any_loss(loss):
  config = default.get_config(loss)
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
  for name in ('focl', 'focal+dice', 'focal+'):
    with pytest.raises(ValueError, match='none of cross_entropy, focal'):
      presets.get_loss(name)


def test_bad_values():
  for key, value in [
    ('batch_size', 0),
    ('epochs', -1),
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
