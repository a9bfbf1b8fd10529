"""Corpora of texts as the experiments read them, there and back."""

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
  'name, file, num_labels',
  [
    ('paraphrase.mrpc', 'mrpc/train.tsv', 2),
    ('paraphrase.mrpc', 'mrpc/msr_paraphrase_test.txt', 2),
    ('text.sst2', 'sst5/trees/test.txt', 2),
    ('text.sms_spam', 'sms_spam/SMSSpamCollection', 2),
    ('text.sst5', 'sst5/trees/test.txt', 5),
    ('text.tnews', 'tnews/dev.json', 15),
  ],
)
def test_round_trip(name, file, num_labels):
  # Their counts are in test_corpora_data.py.
  config = _config(name)
  examples = splits.read_files(config, [_DATA / file])
  labels = get_labels(config, examples)
  assert len(labels) == num_labels
  _check_round_trip(config, labels, examples)


def test_qqp_subset(tmp_path):
  """One row lacks a tab, and is counted; the rest can be balanced."""
  config = _qqp_subset('paraphrase.qqp', tmp_path)
  found, skipped = splits.read_and_count(config, tmp_path)
  train = found['train']
  labels = get_labels(config, train)
  counts = collections.Counter(example.label for example in train)
  assert skipped == {'train': {'row with too few columns left out': 1}}
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
  """Checks the features of each text, and that its own label scores 1."""
  task = Classification(config, _WORDS, labels)
  features = task.features(examples)
  ids = np.array([feature['label'] for feature in features])
  answers = np.eye(len(labels), dtype=np.float32)[ids]
  predictions = task.decode(examples, features, answers)
  row, column = task.headline
  scores = task.score(examples, predictions, task.tune(examples, predictions))
  assert scores[row][column] == 1 and len(predictions) == len(examples)
