"""TFDS's own data sets: found without TensorFlow, made ours, never fetched."""

import pytest
import requests
import tensorflow_datasets as tfds

from train.data import catalogue
from train.data.conll import Sentence
from train.data.squad import Answer
from train.data.texts import Text


@pytest.fixture
def load(tmp_path, monkeypatch):
  """Loads hand-made examples through the real features of a data set."""

  def load(name, *examples, split='train', **options):
    import tensorflow_datasets.text  # noqa: F401

    def generators(self, dl_manager):
      return {'train': iter(enumerate(examples))}

    kind = tfds.builder_cls(name.split('/')[0])
    monkeypatch.setattr(kind, '_split_generators', generators)
    data = catalogue.load(
      name, {'dev': split}, directory='', cache=tmp_path, **options
    )
    return data['dev']

  return load


def test_conll2003(load):
  example = {
    'tokens': ['Ada', 'L\u00f6velace', 'wrote'],
    'pos': ['NNP', 'NNP', 'VBD'],
    'chunks': ['B-NP', 'I-NP', 'B-VP'],
    # IOB1, as in the files of the shared task.
    'ner': ['I-PER', 'I-PER', 'O'],
  }
  assert load('conll2003', example) == [
    Sentence(['Ada', 'L\u00f6velace', 'wrote'], ['B-PER', 'I-PER', 'O'], 0)
  ]


@pytest.mark.parametrize(
  'name, fields, label',
  [
    ('sst2', {'sentence': 'a'}, 'positive'),
    ('mrpc', {'sentence1': 'a', 'sentence2': 'b'}, 'equivalent'),
    ('qqp', {'question1': 'a', 'question2': 'b'}, 'duplicate'),
    # Not in the order of the alphabet.
    ('mnli', {'premise': 'a', 'hypothesis': 'b'}, 'contradiction'),
  ],
)
def test_glue(load, name, fields, label):
  found = load(f'glue/{name}', {**fields, 'label': label, 'idx': 7})
  assert found == [Text('a', 'b' if len(fields) == 2 else None, label, 0)]


def test_glue_without_labels(load):
  example = {'sentence': 'a', 'label': -1, 'idx': 7}
  with pytest.raises(ValueError, match="glue/sst2, 'train': .* no labels"):
    load('glue/sst2', example)


_ANSWERED = {
  'id': 'x1',
  'title': 't',
  'context': 'in \u00e9 or e',
  'question': 'q',
  'answers': [
    {'text': '\u00e9', 'answer_start': 3},
    {'text': 'e', 'answer_start': 8},
  ],
}


def test_squad(load):
  (question,) = load('squad', _ANSWERED)
  assert question._asdict() == _ANSWERED | {
    'answers': [[Answer('\u00e9', 3)], [Answer('e', 8)]],
    'notes': [],
  }


def test_squad_2(load):
  unanswerable = _ANSWERED | {
    'id': 'x2',
    'answers': [],
    'is_impossible': True,
    'plausible_answers': [{'text': 'e', 'answer_start': 8}],
  }
  answered = _ANSWERED | {'is_impossible': False, 'plausible_answers': []}
  questions = load('squad/v2.0', answered, unanswerable)
  answers = {question.id: question.answers for question in questions}
  assert answers['x2'] == []
  assert len(answers['x1']) == 2


@pytest.mark.parametrize(
  'options, tokens, tags',
  [
    ({}, ['ab', 'c'], ['NOUN', 'PUNCT']),
    ({'tag': 'xpos'}, ['ab', 'c'], ['NN', '.']),
    ({'unit': 'character'}, ['a', 'b', 'c'], ['B-NOUN', 'I-NOUN', 'B-PUNCT']),
  ],
)
def test_universal_dependencies(load, options, tokens, tags):
  columns = ('lemmas', 'feats', 'head', 'deprel', 'deps', 'misc')
  example = {
    'idx': '1',
    'text': 'abc',
    'tokens': ['ab', 'c'],
    'upos': ['NOUN', 'PUNCT'],
    'xpos': ['NN', '.'],
    **{column: ['_', '_'] for column in columns},
  }
  found = load('universal_dependencies/en_ewt', example, **options)
  assert found == [Sentence(tokens, tags, 0)]


def test_slices_and_unknown_splits(load):
  examples = [{'sentence': str(i), 'label': 1, 'idx': i} for i in range(10)]
  assert len(load('glue/sst2', *examples, split='train[:30%]')) == 3
  with pytest.raises(ValueError, match="glue/sst2, 'dev': .* splits train;"):
    load('glue/sst2', *examples, split='dev')


def test_no_name(tmp_path):
  message = '^data.format=.tfds. needs data.tfds.name, .* data.files TFDS'
  with pytest.raises(ValueError, match=message):
    catalogue.load('', {'dev': 'dev.txt'}, directory='', cache=tmp_path)


@pytest.mark.parametrize('name', ['glue/nope', 'nope'])
def test_unknown_data_set(tmp_path, name):
  with pytest.raises(ValueError, match=f"'{name}' is no data set of TFDS"):
    catalogue.load(name, {'dev': 'test'}, directory='', cache=tmp_path)


@pytest.mark.parametrize('name', ['glue/stsb', 'imdb_reviews'])
def test_data_set_that_is_not_read(tmp_path, name):
  kind = name.split('/')[0]
  with pytest.raises(ValueError, match=f'Of TFDS, .* are read, not {kind!r}'):
    catalogue.load(name, {'dev': 'test'}, directory='', cache=tmp_path)


def test_no_network(tmp_path, monkeypatch):
  def fail(self, **_):
    raise requests.ConnectionError('Failed to resolve host\nand more')

  monkeypatch.setattr(tfds.core.DatasetBuilder, 'download_and_prepare', fail)
  message = '^glue/mrpc could not be had: Failed to resolve host. data.dir may'
  with pytest.raises(OSError, match=message):
    catalogue.load('glue/mrpc', {'dev': 'train'}, directory='', cache=tmp_path)


def test_directory_with_another_file(tmp_path):
  for split in ('train', 'dev'):
    (tmp_path / f'{split}-v1.1.json').write_text('{"data": []}')
  with pytest.raises(OSError, match='^squad could not be had: .*-v1.1.json'):
    catalogue.load(
      'squad', {'dev': 'train'}, directory=tmp_path, cache=tmp_path / 'cache'
    )
