"""Every experiment can be built, and a typo in one is an error."""

import functools
import json
import math
import re

import numpy as np
import pytest
import tokenizers
from helpers import CONFIGS
from helpers import load_config

from configs import default
from configs import losses as presets
from configs import small
from configs.ablations import tversky_alpha
from dicejax import losses
from train import compare
from train import config_flag
from train import settings
from train import tasks
from train.inputs import packs

EXPERIMENTS = sorted(
  path
  for path in CONFIGS.rglob('*.py')
  if path.name not in ('__init__.py', 'losses.py')
)
# Settings in the scripts of the paper's code. final: the last learning rate,
# as a fraction of the peak; batch: after accumulation; gamma: for focal loss.
PUBLISHED = [
  row.split()
  for row in """
paraphrase/mrpc     cross_entropy       2e-5 0   .1   .01  .1 24x1 3  128 32 -
paraphrase/mrpc     self_adjusting_dice 3e-5 0   .002 .003 .2 20x1 5  128 32 -
paraphrase/mrpc     focal               3e-5 0   .1   .002 .1 38x1 3  128 32 2
mrc/squad1          cross_entropy       3e-5 0   .002 .002 .1 12x1 2  384 16 -
mrc/squad1          self_adjusting_dice 3e-5 0   0    0    .1 4x5  10 384 16 -
mrc/squad1          focal               3e-5 0   0    .01  .1 2x6  3  384 16 2
ner/conll2003_mrc   self_adjusting_dice 3e-5 .25 .01  .01  .2 36x8 10 256 16 -
ner/conll2003_mrc   focal               2e-5 .25 .06  .002 .2 18x4 10 256 16 3
ner/ontonotes5_mrc  self_adjusting_dice 2e-5 0   .1   .002 .1 12x6 5  300 16 -
ner/ontonotes5_mrc  focal               1e-5 0   .1   .002 .1 4x12 5  300 16 4
ner/msra_mrc        self_adjusting_dice 2e-5 .25 .02  .002 .1 10x3 5  275 16 -
ner/msra_mrc        focal               1e-5 0   .08  .002 .1 9x3  5  275 16 3
ner/ontonotes4_mrc  self_adjusting_dice 2e-5 .25 .1   .002 .1 8x2  5  300 16 -
ner/ontonotes4_mrc  focal               2e-5 .25 .1   .002 .1 8x2  5  300 16 4
text/tnews          self_adjusting_dice 3e-5 .25 .1   .002 .1 36x1 5  128 32 -
text/tnews          focal               3e-5 0   .02  .002 .2 18x1 5  128 16 4
""".strip().splitlines()
]
TOKENIZER = tokenizers.Tokenizer(tokenizers.models.WordPiece())


def labels_of(config):
  """Labels that the data of an experiment might have."""
  if config.task == 'tagging':
    if config.data.conll.scheme == 'token':
      return ('NN', 'O', 'VB')
    return ('O', 'B-PER', 'I-PER')
  if config.task == 'query_spans':
    return json.loads(queries(config))
  if config.task == 'multi_label':
    return ('art', 'law')
  return ('other', config.classification.positive or 'one')


def queries(config):
  path = CONFIGS.parent / config.query_spans.queries
  return path.read_text() if path.is_file() else '{"PER": "people"}'


def build(config):
  for varied in (
    compare.variations(config).values() if config.runs else [config]
  ):
    settings.check(varied)
    labels = labels_of(varied)
    task = tasks.make_task(varied, TOKENIZER, labels)
    sigmoid = varied.loss.activation == 'sigmoid'
    counts = np.arange(2 if sigmoid else max(2, len(labels)), 0, -1)
    task.objective(varied.loss, class_counts=counts)


@pytest.mark.parametrize(
  'path', EXPERIMENTS, ids=lambda path: str(path.relative_to(CONFIGS))
)
def test_experiment(path, monkeypatch):
  monkeypatch.chdir(CONFIGS.parent)
  get_config = load_config(path)
  config = get_config()
  build(config)
  assert config.is_locked
  with pytest.raises(AttributeError, match='batch_size'):
    config.batchsize = 1
  if not config.runs:
    for loss in ('cross_entropy', 'focal', 'dice+cross_entropy', 'tversky'):
      if path.stem not in ('small', 'study'):
        build(get_config(loss))


@pytest.mark.parametrize('row', PUBLISHED, ids=lambda row: '-'.join(row[:2]))
def test_published_settings(row):
  experiment, loss, rate, final, warmup, decay, dropout, *rest = row
  batch_size, epochs, length, bits, gamma = rest
  preset = f'paper_{loss}' if loss == 'self_adjusting_dice' else loss
  c = load_config(CONFIGS / f'{experiment}.py')(preset)
  assert c.optimizer.to_dict() == dict(
    name='adamw',
    options={},
    schedule='linear_schedule',
    schedule_options={},
    learning_rate=float(rate),
    final=float(final),
    warmup=float(warmup),
    weight_decay=float(decay),
    eps=1e-6,
    clip_norm=1.0,
  )
  assert c.batch_size == math.prod(map(int, batch_size.split('x')))
  assert (c.epochs, c.max_length) == (int(epochs), int(length))
  assert c.model.dropout == float(dropout)
  assert c.model.dtype == {'32': 'float32', '16': 'bfloat16'}[bits]
  assert (c.loss.name, c.loss.cross_entropy, c.loss.running) == (loss, 0.0, 0.0)
  options = c.loss.options
  if loss == 'focal':
    assert options.gamma == float(gamma)
  elif loss == 'self_adjusting_dice':  # All of their scripts have these.
    assert (options.alpha, options.smooth, options.square) == (0.01, 1.0, True)
    # With one logit the batch is a set; with several classes, each element is.
    assert options.axis == (None if c.loss.activation == 'sigmoid' else ())


@pytest.mark.parametrize(
  'path', EXPERIMENTS, ids=lambda path: str(path.relative_to(CONFIGS))
)
def test_flags_of_headers_exist(path):
  config = load_config(path)()
  for key in re.findall(r'--config\.([\w.]+)=', path.read_text()):
    if not key.startswith('loss.options.'):  # Each loss has its own.
      functools.reduce(getattr, key.split('.'), config)


@pytest.mark.parametrize('experiment', small.CHANGES)
def test_small_experiment(experiment, monkeypatch):
  monkeypatch.chdir(CONFIGS.parent)
  build(small.get_config(experiment))
  config = small.get_config(f'{experiment}:focal')
  build(config)
  assert config.loss.name == 'focal' and config.epochs <= 3
  assert config.optimizer.eps == 1e-8


@pytest.mark.parametrize('data', ['wnut17', 'ontonotes4', 'quoref'])
def test_tversky_alpha(data, monkeypatch):
  monkeypatch.chdir(CONFIGS.parent)
  config = tversky_alpha.get_config(data)
  build(config)
  options = [run.loss.options for run in config.runs.values()]
  assert [o.alpha for o in options] == [n / 10 for n in range(1, 10)]
  assert all(abs(o.alpha + o.beta - 1) < 1e-12 for o in options)
  assert {run.loss.cross_entropy for run in config.runs.values()} == {1.0}


@pytest.mark.parametrize('loss', presets.SOFTMAX)
def test_any_loss(loss):
  config = default.get_config(loss)
  build(config)
  assert config.loss.name == presets.SOFTMAX[loss]['name']


def test_every_loss_has_a_preset():
  both = [*presets.SOFTMAX.values(), *presets.SIGMOID.values()]
  assert {preset['name'] for preset in both} == set(losses.LOSSES)


def test_added_cross_entropy():
  weights = {
    'paper_dice': 0.0,
    'paper_dice+cross_entropy': 1.0,
    'paper_dice+0.1*cross_entropy': 0.1,
    'tversky': 1.0,
    'tversky+.25*cross_entropy': 0.25,
    'tversky+0*cross_entropy': 0.0,
  }
  for name, weight in weights.items():
    assert presets.get_loss(name).cross_entropy == weight


@pytest.mark.parametrize(
  'text, axis', [('None', None), ('()', ()), ('0', 0), ('(0,1)', (0, 1))]
)
@pytest.mark.parametrize('loss', ['dice', 'paper_dice'])
def test_flag_of_an_axis(text, axis, loss):
  config = config_flag.load(
    f'{CONFIGS}/default.py:{loss}',
    [f'--config.loss.options.axis={text}', '--config.loss.running=.9'],
  )
  assert config.loss.options.axis == axis
  assert json.loads(config.to_json())['loss']['running'] == 0.9


def test_unknown_loss():
  for name in ('focl', 'focal+dice', 'focal+', 'focal+x*cross_entropy'):
    with pytest.raises(ValueError, match='none of running_dice, dice'):
      presets.get_loss(name)


@pytest.mark.parametrize('loss', presets.SIGMOID | presets.SOFTMAX)
def test_any_loss_of_two_labels(loss):
  config = small.get_config(f'paraphrase/mrpc:{loss}')
  build(config)
  assert config.loss.name == (presets.SOFTMAX | presets.SIGMOID)[loss]['name']
  with pytest.raises(ValueError, match=f"The loss 'x' is none of .*{loss}"):
    presets.get_binary_loss('x')


def test_where_rows_are_packed():
  config = default.get_config()
  assert packs(config)
  for key, value in [
    ('packing', False),
    ('data.foreground', 0.5),
    ('task', 'multi_label'),
    ('task', 'query_spans'),
  ]:
    changed = default.get_config()
    changed.update_from_flattened_dict({key: value})
    assert not packs(changed), key
  for task, frozen, packed in [
    ('span_qa', True, True),
    ('classification', False, True),
    ('classification', True, False),
  ]:
    config.task, config.model.frozen = task, frozen
    assert packs(config) == packed


def test_bad_values():
  for key, value in [
    ('batch_size', 0),
    ('epochs', -1),
    ('max_length', 2),
    ('seed', -1),
    ('data.foreground', 1.0),
    ('model.pooling', 'max'),
  ]:
    config = default.get_config()
    config.update_from_flattened_dict({key: value})
    with pytest.raises(ValueError, match=key):
      settings.check(config)
  config = default.get_config()
  config.runs = {'a': {'losss': {}}}
  with pytest.raises(ValueError, match="runs.a: a config has no 'losss'"):
    compare.variations(config)
