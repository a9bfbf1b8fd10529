"""Corpora of texts as the experiments read them, from DICEJAX_DATA."""

import collections
import importlib
import os
import pathlib

import numpy as np
import pytest
import tokenizers

from train.data import splits
from train.tasks.classification import Classification
from train.tasks.classification import get_labels

_DATA = pathlib.Path(os.environ.get('DICEJAX_DATA', ''))
_WORDS = tokenizers.Tokenizer(
  tokenizers.models.WordLevel({'[UNK]': 0}, '[UNK]')
)


def _config(name):
  return importlib.import_module(f'configs.{name}').get_config()


def _qqp_subset(name, cache):
  config = _config(name)
  config.data.dir = str(_DATA / 'qqp')
  config.data.files = dict(train='qqp_train_subset_23497.tsv', dev='', test='')
  config.data.tsv.header = False
  config.data.tsv.text, config.data.tsv.pair = '3', '4'
  config.data.tsv.label = '5'
  config.data.cache = str(cache)
  return config


@pytest.mark.parametrize(
  'name, file, size, positive',
  [
    # GLUE, and Dolan and Brockett, 2005.
    ('paraphrase.mrpc', 'mrpc/train.tsv', 3_668, 2_474),
    ('paraphrase.mrpc', 'mrpc/dev.tsv', 408, 279),
    ('paraphrase.mrpc', 'mrpc/msr_paraphrase_test.txt', 1_725, 1_147),
    # Socher et al., 2013, and the same in GLUE.
    ('text.sst2', 'sst5/trees/train.txt', 6_920, 3_610),
    ('text.sst2', 'sst5/trees/dev.txt', 872, 444),
    ('text.sst2', 'sst5/trees/test.txt', 1_821, 909),
    # Almeida et al., 2011.
    ('text.sms_spam', 'sms_spam/SMSSpamCollection', 5_574, 747),
  ],
)
def test_two_labels(name, file, size, positive):
  config = _config(name)
  examples = splits.read_files(config, [_DATA / file])
  assert len(examples) == size
  labels = get_labels(config, examples)
  assert sum(example.label == labels[-1] for example in examples) == positive
  _check_round_trip(config, labels, examples)


@pytest.mark.parametrize(
  'name, file, size, num_labels',
  [
    ('text.sst5', 'sst5/trees/train.txt', 8_544, 5),
    ('text.sst5', 'sst5/trees/dev.txt', 1_101, 5),
    ('text.sst5', 'sst5/trees/test.txt', 2_210, 5),
    ('text.tnews', 'tnews/train.json', 53_360, 15),
    ('text.tnews', 'tnews/dev.json', 10_000, 15),
  ],
)
def test_several_labels(name, file, size, num_labels):
  config = _config(name)
  examples = splits.read_files(config, [_DATA / file])
  labels = get_labels(config, examples)
  assert (len(examples), len(labels)) == (size, num_labels)
  _check_round_trip(config, labels, examples)


def test_sst2_of_glue_is_that_of_the_trees():
  config = _config('text.sst2')
  glue = _config('text.sst2')
  glue.data.format = 'tsv'
  theirs = splits.read_files(glue, [_DATA / 'sst2/dev.tsv'])
  ours = splits.read_files(config, [_DATA / 'sst5/trees/dev.txt'])
  counts = [
    collections.Counter(example.label for example in examples)
    for examples in (ours, theirs)
  ]
  assert counts[0] == counts[1] == {'0': 428, '1': 444}


def test_qqp_subset(tmp_path):
  """One row lacks a tab; 37.2 % are duplicates."""
  config = _qqp_subset('paraphrase.qqp', tmp_path)
  train = splits.read_splits(config, tmp_path)['train']
  labels = get_labels(config, train)
  counts = collections.Counter(example.label for example in train)
  assert sum(counts.values()) == 23_496
  assert counts['1'] in (8_746, 8_747)
  assert splits.count_skipped(config, tmp_path) == {
    'train': {'row with too few columns left out': 1}
  }
  _check_round_trip(config, labels, train)
  for name in ('qqp_balanced_down', 'qqp_balanced_up'):
    config = _qqp_subset(f'paraphrase.{name}', tmp_path)
    train = splits.read_splits(config, tmp_path)['train']
    balanced = collections.Counter(example.label for example in train)
    kept = '1' if name.endswith('down') else '0'
    assert balanced[kept] == counts[kept]
    assert 0.49 < balanced['1'] / len(train) < 0.51


def test_sms_spam_is_split(tmp_path):
  config = _config('text.sms_spam')
  config.data.dir = str(_DATA / 'sms_spam')
  config.data.cache = str(tmp_path)
  found = splits.read_splits(config, tmp_path)
  sizes = {split: len(examples) for split, examples in found.items()}
  assert sizes == {'train': 3_902, 'dev': 557, 'test': 1_115}
  lines = [x.line for examples in found.values() for x in examples]
  assert len(set(lines)) == 5_574


def _check_round_trip(config, labels, examples):
  """Features of each text, and a perfect score of its own label."""
  task = Classification(config, _WORDS, labels)
  features = task.features(examples)
  ids = np.array([feature['label'] for feature in features])
  answers = np.eye(len(labels), dtype=np.float32)[ids]
  predictions = task.decode(examples, features, answers)
  row, column = task.headline
  scores = task.score(examples, predictions, task.tune(examples, predictions))
  assert scores[row][column] == 1 and len(predictions) == len(examples)
