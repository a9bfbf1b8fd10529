"""Experiments from end to end on slices of their real data."""

import json
import math
import os
import pathlib

import pytest
from helpers import CONFIGS
from helpers import load_config

from train.trainer import Trainer

_DATA = pathlib.Path(os.environ.get('DICEJAX_DATA', ''))
_SQUAD = {
  'data.held_out': {'dev': 0.3, 'test': 0.3},
  'span_qa.max_question': 30,
  'span_qa.stride': 48,
}


CASES = {
  'pos/ud_chinese': ('ud_zh_1.4', {}),
  'mrc/quoref': (
    'quoref',
    _SQUAD | {'data.files': {'train': 'quoref-dev-v0.1.json'}},
  ),
}


def write_slices(config, folder, directory):
  """Copies the first articles or lines of each file: all would take minutes."""
  for name in filter(None, config.data.files.values()):
    text = (_DATA / folder / name).read_text('utf-8-sig')
    if folder in ('squad', 'quoref'):
      text = json.dumps({'data': json.loads(text)['data'][:60]})
    else:
      text = '\n'.join(text.split('\n')[:8000])
    (directory / name).write_text(text)


@pytest.mark.parametrize('name', CASES)
def test_slice(name, tmp_path, monkeypatch):
  monkeypatch.chdir(CONFIGS.parent)
  folder, changes = CASES[name]
  config = load_config(CONFIGS / f'{name}.py')('dice+cross_entropy')
  config.data.dir = str(tmp_path)
  config.data.cache = str(tmp_path / 'cache')
  for key, value in changes.items():
    if isinstance(value, dict):
      part = config
      for step in key.split('.'):
        part = part[step]
      part.update({k: type(v)() for k, v in part.items()} | value)
    else:
      config.update_from_flattened_dict({key: value})
  write_slices(config, folder, tmp_path)
  config.data.take.update(train=64, dev=16, test=16 if has_test(config) else 0)
  config.update(batch_size=16, epochs=1, evaluations_per_epoch=1, max_length=96)
  config.model.update(pretrained='', dtype='float32')
  config.model.scratch.update(
    vocab_size=12_000,
    hidden_size=16,
    num_hidden_layers=1,
    num_attention_heads=2,
    intermediate_size=16,
  )
  outcome = Trainer(config, tmp_path / 'run').train()
  row, column = outcome['headline']
  for scores in outcome['scores'].values():
    assert 0 <= scores[row][column] <= 1
    assert all(math.isfinite(v) for r in scores.values() for v in r.values())
  assert set(outcome['scores']) == (
    {'dev', 'test'} if has_test(config) else {'dev'}
  )
  assert len(list((tmp_path / 'run' / 'predictions').iterdir())) >= len(
    outcome['scores']
  )


def has_test(config) -> bool:
  return bool(config.data.files.test or config.data.held_out.test)
