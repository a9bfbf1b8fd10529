"""`python -m train.data`, and its description of a data set."""

import json
import os
import pathlib
import subprocess
import sys

import pytest

from train.data import describe
from train.data.conll import Sentence
from train.data.fields import Text
from train.data.mrc_ner import Query
from train.data.squad import Answer
from train.data.squad import Question

ROOT = pathlib.Path(__file__).parents[1]


def test_sentences_with_entities():
  train = [
    Sentence(['Ada', 'L', 'met', 'X'], ['B-PER', 'I-PER', 'O', 'B-ORG'], 1),
    Sentence(['no', 'one'], ['O', 'O'], 6),
    Sentence(['no', 'one'], ['O', 'O'], 9),
  ]
  dev = [Sentence(['no', 'one'], ['O', 'B-MISC'], 1)]
  report = describe.describe({'train': train, 'dev': dev})
  assert report['train'] == {
    'examples': 3,
    'tokens': 8,
    'length': {'median': 2.0, 'p95': pytest.approx(3.8), 'longest': 4},
    'labels': {'ORG': 1, 'PER': 1},
    'negative': 5,
    'positive': 3,
    'ratio': pytest.approx(5 / 3),
    'notes': {},
    'repeated': {'train': 1},
    'new_labels': [],
  }
  assert report['dev']['repeated'] == {'train': 1}
  assert report['dev']['new_labels'] == ['MISC']
  assert describe.remarks(report) == [
    'train: 1 × example more than once',
    'dev: 1 × example also in train',
    'dev: labels that train does not have: MISC',
  ]


def test_sentences_with_parts_of_speech():
  train = [Sentence(['a', 'b', 'c'], ['DT', 'O', 'DT'], 1)]
  report = describe.describe({'train': train})['train']
  assert report['labels'] == {'DT': 2, 'O': 1}
  assert report['ratio'] is None


def test_queries():
  queries = [
    # Words in two entities count once.
    Query('1', 'PER', 'q', ['a', 'b', 'c'], [(0, 2), (1, 2)], ['moved']),
    Query('2', 'ORG', 'q', ['a', 'b', 'c'], [], []),
  ]
  report = describe.describe({'dev': queries})['dev']
  assert report['labels'] == {'PER': 2}
  assert (report['negative'], report['positive']) == (4, 2)
  assert report['repeated'] == {}
  assert report['notes'] == {'moved': 1}


def test_questions():
  answers = [[Answer('b', 2)], [Answer('b c', 2)]]
  several = [[Answer('a', 0), Answer('b ', 2), Answer(' c', 3)]]
  nowhere = [[Answer('e', -1)]]
  questions = [
    Question('1', 't', 'q', 'a b c, d', answers, ['moved']),
    Question('2', 't', 'r', 'a b c, d', [], ['moved', 'cut']),
    Question('3', 't', 's', 'a b c, d', several, []),
    Question('4', 't', 'u', 'a b c, d', nowhere, []),
    Question('5', 't', 'v', 'a b c, d', [[Answer('b c', 2)]], []),
  ]
  report = describe.describe({'dev': questions})['dev']
  assert report['tokens'] == 20
  assert report['labels'] == {
    'answered': 4,
    'of several spans': 1,
    'unanswerable': 1,
  }
  # Words at an edge of the first answer: one, three and, of `b c`, two.
  assert (report['negative'], report['positive']) == (14, 6)
  assert describe.remarks({'dev': report}) == ['dev: 2 × moved', 'dev: 1 × cut']


def test_texts():
  texts = [
    Text('so good', None, '1', 1),
    Text('\u4f60\u597d\uff0cAda 7!', 'so', '0', 2),
    Text('bad', None, '0', 3),
  ]
  report = describe.describe({'dev': texts}, positive='1')['dev']
  assert report['tokens'] == 2 + (3 + 2 + 1) + 1
  assert report['labels'] == {'0': 2, '1': 1}
  assert report['ratio'] == 2.0
  assert describe.describe({'dev': texts})['dev']['ratio'] is None


def test_table():
  yes, no = Text('so good', None, 'positive', 1), Text('a', None, 'tokens', 2)
  texts = [yes] * 1200 + [no]
  report = describe.describe(
    {'train': texts, 'dev': texts[-1:]}, positive='positive'
  )
  assert describe.table_rows(report) == [
    ['', 'train', 'dev'],
    ['examples', '1,201', '1'],
    ['tokens', '2,401', '1'],
    ['median length', '2', '1'],
    ['95th percentile', '2', '1'],
    ['longest', '2', '1'],
    ['label positive', '1,200', '0'],
    ['label tokens', '1', '1'],
    ['negative', '1', '1'],
    ['positive', '1,200', '0'],
    ['ratio', '0.00', ''],
  ]


def _run(*args, cwd=ROOT):
  return subprocess.run(
    [sys.executable, '-m', 'train.data', *args],
    cwd=cwd,
    env=os.environ | {'PYTHONPATH': str(ROOT)},
    capture_output=True,
    text=True,
  )


@pytest.fixture
def directory(tmp_path):
  for split, size in (('train', 3), ('testa', 2), ('testb', 1)):
    path = tmp_path / f'eng.{split}'
    path.write_text(f'{split} NNP X I-PER\nsleeps VBZ X O\n\n' * size)
  return tmp_path


def test_name_and_directory(directory):
  done = _run('conll2003', '--dir', str(directory))
  assert (done.stderr, done.returncode) == ('', 0)
  lines = done.stdout.splitlines()
  assert lines[0].split() == ['train', 'dev', 'test']
  assert lines[1].split() == ['examples', '3', '2', '1']
  assert lines[-2] == 'train: 2 × example more than once'


def test_name_with_a_loss_behind_flags_in_another_folder(directory):
  done = _run('--dir', '.', '--json', 'conll2003:focal', cwd=directory)
  assert done.stderr == 'conll2003: the data are the same without :focal.\n'
  assert done.returncode == 0
  assert json.loads(done.stdout)['train']['examples'] == 3


def test_config_and_json(directory):
  (directory / 'eng.testb').write_text('Bob NNP X I-PER\n')
  done = _run(
    '--config=configs/ner/conll2003.py',
    f'--config.data.dir={directory}',
    '--json',
  )
  assert (done.stderr, done.returncode) == ('', 0)
  report = json.loads(done.stdout)
  assert list(report) == ['train', 'dev', 'test']
  assert report['dev']['labels'] == {'PER': 2}
  assert report['test']['tokens'] == 1
  assert report['test']['skipped'] == {}


@pytest.mark.parametrize(
  'args, message',
  [
    (
      ['nope'],
      'nope is not an experiment: expected one of cmrc2018, conll2003, '
      'conll2003_mrc, ctb5, ctb6, ',
    ),
    (['conll2003', '--dir=none'], 'none/eng.train: no such file'),
    (['conll2003', 'mrpc'], 'not understood: mrpc'),
    (['--config.data.format=tfds'], "data.format='tfds' needs data.tfds.name"),
  ],
)
def test_errors_are_one_sentence(args, message):
  done = _run(*args)
  of_command_line = 'none/eng' not in message and 'tfds' not in message
  assert done.returncode == (2 if of_command_line else 1)
  assert done.stdout == ''
  assert done.stderr.startswith(f'error: {message}')
  assert done.stderr.count('\n') == 1


def test_help():
  done = _run('--help')
  assert 'python -m train.data NAME [--dir=DIR]' in done.stdout
  assert ' --dir ' in done.stdout
