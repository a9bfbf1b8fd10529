"""Data sets as the package `datasets` saves them, and Parquet."""

import json

import pytest

from configs import default
from train.data import hub
from train.data import splits
from train.data.conll import Sentence
from train.data.fields import LabelledText
from train.data.fields import Text
from train.data.squad import Answer
from train.data.squad import Question

datasets = pytest.importorskip('datasets')

STRING = datasets.Value('string')
NAMES = datasets.ClassLabel(names=['ham', 'spam'])
TAGS = datasets.ClassLabel(names=['O', 'B-PER', 'I-PER'])
ROWS = {
  'texts': (
    {'sentence': STRING, 'label': NAMES, 'idx': datasets.Value('int32')},
    {'sentence': ['a', 'b'], 'label': [1, 0], 'idx': [0, 1]},
    [Text('a', None, 'spam', 1), Text('b', None, 'ham', 2)],
  ),
  'pairs': (
    {'sentence1': STRING, 'sentence2': STRING, 'label': NAMES},
    {'sentence1': ['a'], 'sentence2': ['b'], 'label': [1]},
    [Text('a', 'b', 'spam', 1)],
  ),
  'numbers': (
    {'text': STRING, 'label': datasets.Value('float32')},
    {'text': ['a'], 'label': [1.0]},
    [Text('a', None, '1', 1)],
  ),
  'label sets': (
    {'text': STRING, 'labels': datasets.List(NAMES), 'id': STRING},
    {'text': ['a', 'b'], 'labels': [[1, 0], []], 'id': ['x', 'y']},
    [
      LabelledText('a', None, ('spam', 'ham'), 1),
      LabelledText('b', None, (), 2),
    ],
  ),
  'words': (
    {
      'id': STRING,
      'tokens': datasets.List(STRING),
      'pos_tags': datasets.List(NAMES),
      'ner_tags': datasets.List(TAGS),
    },
    {
      'id': ['0'],
      'tokens': [['Ann', 'Lee', 'ran']],
      'pos_tags': [[0, 1, 1]],
      'ner_tags': [[2, 2, 0]],
    },
    [Sentence(['Ann', 'Lee', 'ran'], ['B-PER', 'I-PER', 'O'], 1)],
  ),
  'questions': (
    {
      'id': STRING,
      'title': STRING,
      'context': STRING,
      'question': STRING,
      'answers': {
        'text': datasets.List(STRING),
        'answer_start': datasets.List(datasets.Value('int32')),
      },
    },
    {
      'id': ['q'],
      'title': ['T'],
      'context': ['Ann met Bob.'],
      'question': ['Who?'],
      'answers': [{'text': ['Bob'], 'answer_start': [8]}],
    },
    [Question('q', 'T', 'Who?', 'Ann met Bob.', [[Answer('Bob', 8)]], [])],
  ),
}


def make(kind):
  features, columns, expected = ROWS[kind]
  features = datasets.Features(features)
  return datasets.Dataset.from_dict(columns, features=features), expected


@pytest.mark.parametrize('kind', ROWS)
def test_kinds_of_data_sets(tmp_path, kind):
  table, expected = make(kind)
  saved, both = tmp_path / 'one', tmp_path / 'both'
  table.save_to_disk(str(saved))
  datasets.DatasetDict({'train': table, 'validation': table}).save_to_disk(
    str(both)
  )
  table.to_parquet(str(tmp_path / 'a-1.parquet'))
  table.to_parquet(str(tmp_path / 'a-2.parquet'))
  config = default.get_config()
  config.data.format = 'hf'
  config.data.files = {'train': 'train', 'dev': '', 'test': ''}
  config.data.hf.name = str(saved)
  assert splits.read_splits(config, tmp_path) == {'train': expected}
  config.data.hf.name = str(both)
  config.data.files.dev = 'validation'
  found = splits.read_splits(config, tmp_path)
  assert found == {'train': expected, 'dev': expected}
  config.data.hf.name, config.data.dir = '', str(tmp_path)
  config.data.files = {'train': 'a-*.parquet', 'dev': 'a-1.parquet', 'test': ''}
  found = splits.read_splits(config, tmp_path)
  assert found['dev'] == expected
  assert len(found['train']) == 2 * len(expected)


def test_files_of_a_run_are_parquet(tmp_path):
  """Other files than those of the run may be scored."""
  table, expected = make('texts')
  file = tmp_path / 'a[1].parquet'
  table.to_parquet(str(file))
  config = default.get_config()
  config.data.format, config.data.hf.name = 'hf', 'nyu-mll/glue'
  assert splits.read_files(config, [file, file]) == 2 * expected
  with pytest.raises(FileNotFoundError, match='x.parquet: no such file'):
    splits.read_files(config, [tmp_path / 'x.parquet'])


def load(table, tmp_path, **options):
  table.to_parquet(str(tmp_path / 'x.parquet'))
  options = {'name': '', 'directory': str(tmp_path)} | options
  return hub.load(splits={'train': 'x.parquet'}, **options)['train']


def test_columns_by_name(tmp_path):
  columns = {'a': ['x', 'y'], 'b': ['1', '2'], 'c': [0, 1], 'd': [1, 1]}
  table = datasets.Dataset.from_dict(columns)
  assert load(table, tmp_path, text='b', label='a')[1] == Text(
    '2', None, 'y', 2
  )
  found = load(table, tmp_path, text='a', pair='b', labels='c, d')
  assert found[0] == LabelledText('x', '1', ('d',), 1)
  table, _ = make('words')
  assert load(table, tmp_path, tags='pos_tags')[0].tags == [
    'ham',
    'spam',
    'spam',
  ]


@pytest.mark.parametrize(
  'columns, options, message',
  [
    (
      {'a': ['x'], 'b': ['y'], 'c': ['z'], 'label': [1]},
      {},
      'data.hf.text names',
    ),
    ({'text': ['x'], 'c': [1.5]}, {}, "data.hf.label names .* are 'text', 'c'"),
    ({'text': ['x'], 'label': [1.5]}, {}, "row 1: .* as 'label', found 1.5"),
    ({'text': ['x'], 'label': [None]}, {}, "row 1: .* as 'label', found None"),
    (
      {'text': [' '], 'label': ['a']},
      {},
      "row 1: expected some text as 'text'",
    ),
    ({'text': ['x']}, {'label': 'y'}, "expected the column 'y', found 'text'"),
    (
      {'text': ['x'], 'y': [2]},
      {'labels': 'y'},
      "row 1: expected 1 or 0 as 'y'",
    ),
    (
      {'tokens': [['a']], 'tags': [['O', 'O']]},
      {},
      'row 1: expected as many ta',
    ),
    (
      {'tokens': [['a'], ['b']], 'tags': [['O'], None]},
      {},
      "row 2: expected a list as 'tags', found None",
    ),
    (
      {'tokens': [['a', None]], 'tags': [['O', 'O']]},
      {},
      "row 1: expected a list as 'tokens', found ",
    ),
    (
      {'tokens': [[1]], 'tags': [['O']]},
      {},
      "row 1: expected words as 'tokens', found ",
    ),
    ({'text': [], 'label': []}, {}, 'data.hf.text names|at least one example'),
  ],
)
def test_malformed(tmp_path, columns, options, message):
  table = datasets.Dataset.from_dict(columns)
  with pytest.raises(ValueError, match=f"^{tmp_path}, 'x.parquet'.*{message}"):
    load(table, tmp_path, **options)


def test_what_is_not_there(tmp_path):
  table, _ = make('texts')
  table = table.map(lambda row: {'label': -1})
  with pytest.raises(ValueError, match='row 1: the split has no labels'):
    load(table, tmp_path)
  with pytest.raises(FileNotFoundError, match='none.parquet: no such file'):
    hub.load('', {'train': 'none.parquet'}, directory=str(tmp_path))
  (tmp_path / 'bad.parquet').write_text(json.dumps({}))
  with pytest.raises(ValueError, match='bad.parquet: expected Parquet: '):
    hub.load('', {'train': 'bad.parquet'}, directory=str(tmp_path))
  datasets.Dataset.from_dict({'x': ['a']}).to_parquet(str(tmp_path / 'y'))
  with pytest.raises(ValueError, match='y: expected the columns of .*x.parq'):
    hub.load('', {'train': '[xy]*'}, directory=str(tmp_path))
  (tmp_path / 'broken').mkdir()
  (tmp_path / 'broken' / 'state.json').write_text('{')
  with pytest.raises(ValueError, match='broken.: .* that save_to_disk wrote'):
    hub.load(str(tmp_path / 'broken'), {'train': 'train'})
  table.save_to_disk(str(tmp_path / 'saved'))
  with pytest.raises(ValueError, match="expected the split 'dev', .* 'train'"):
    hub.load(str(tmp_path / 'saved'), {'dev': 'dev'})


def test_the_hub_cannot_be_reached(monkeypatch):
  def refuse(*args, **kwargs):
    raise ConnectionError("Couldn't reach 'a/b' on the Hub\nmore")

  monkeypatch.setattr(datasets, 'load_dataset', refuse)
  with pytest.raises(
    OSError, match="^data.hf.name='a/b', split 'train': Could"
  ):
    hub.load('a/b', {'train': 'train'}, subset='c')
