"""Data sets of TFDS: read without TensorFlow, never fetched."""

import numpy as np
import pytest
import requests
import tensorflow_datasets as tfds

from configs import default
from train.data import catalogue
from train.data import splits
from train.data.conll import Sentence
from train.data.fields import Text
from train.data.squad import Answer
from train.data.squad import Question


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
    # The order is not alphabetical.
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
  for name, builder in [('', ''), ('squad', tmp_path)]:
    with pytest.raises(ValueError, match=message):
      catalogue.load(name, {'dev': 'test'}, builder=builder, cache=tmp_path)


@pytest.mark.parametrize('name', ['glue/nope', 'nope'])
def test_unknown_data_set(tmp_path, name):
  with pytest.raises(ValueError, match=f"'{name}' is not a data set of TFDS"):
    catalogue.load(name, {'dev': 'test'}, directory='', cache=tmp_path)


@pytest.mark.parametrize('name', ['glue/stsb', 'mnist'])
def test_data_set_that_is_not_read(tmp_path, name):
  message = f'{name}: expected the features of .*, found .*label: '
  with pytest.raises(ValueError, match=message):
    catalogue.load(name, {'dev': 'test'}, directory='', cache=tmp_path)


def test_no_network(tmp_path, monkeypatch):
  def fail(self, **_):
    raise requests.ConnectionError('Failed to resolve host\nand more')

  monkeypatch.setattr(tfds.core.DatasetBuilder, 'download_and_prepare', fail)
  message = (
    '^glue/mrpc could not be downloaded: Failed to resolve host. Set data.dir'
  )
  with pytest.raises(OSError, match=message):
    catalogue.load('glue/mrpc', {'dev': 'train'}, directory='', cache=tmp_path)


def test_directory_with_another_file(tmp_path):
  for split in ('train', 'dev'):
    (tmp_path / f'{split}-v1.1.json').write_text('{"data": []}')
  with pytest.raises(
    OSError, match='^squad could not be downloaded: .*-v1.1.json'
  ):
    catalogue.load(
      'squad', {'dev': 'train'}, directory=tmp_path, cache=tmp_path / 'cache'
    )


_Features = tfds.features
_TEXTS = _Features.Sequence(_Features.Text())


@pytest.fixture
def prepare(tmp_path):
  """Writes a data set as its owner would; returns the directory."""

  def prepare(features, *examples):
    class Mine(tfds.core.GeneratorBasedBuilder, skip_registration=True):
      VERSION = tfds.core.Version('1.0.0')

      def _info(self):
        return tfds.core.DatasetInfo(
          builder=self,
          features=_Features.FeaturesDict(features),
          disable_shuffling=True,
        )

      def _split_generators(self, dl_manager):
        return {'train': iter(enumerate(examples))}

      def _generate_examples(self):
        raise NotImplementedError

    data_set = Mine(data_dir=tmp_path)
    data_set.download_and_prepare(file_format='array_record')
    return data_set.data_path

  return prepare


@pytest.mark.parametrize(
  'features, examples, expected',
  [
    (
      {
        'premise': _Features.Text(),
        'hypothesis': _Features.Text(),
        'gold': _Features.ClassLabel(names=['no', 'yes']),
        'idx': _Features.Scalar(np.int64),
      },
      [
        {'premise': 'p', 'hypothesis': '\u00e9', 'gold': 'yes', 'idx': 3},
        {'premise': 'q', 'hypothesis': 'i', 'gold': 'no', 'idx': 4},
      ],
      [Text('p', '\u00e9', 'yes', 0), Text('q', 'i', 'no', 1)],
    ),
    (
      {
        'tokens': _TEXTS,
        'ner': _Features.Sequence(
          _Features.ClassLabel(names=['O', 'I-PER', 'B-PER'])
        ),
      },
      [{'tokens': ['Ada', 'Bo', 'ran'], 'ner': ['I-PER', 'B-PER', 'O']}],
      [Sentence(['Ada', 'Bo', 'ran'], ['B-PER', 'B-PER', 'O'], 0)],
    ),
    (
      {
        'tokens': _TEXTS,
        'upos': _Features.Sequence(_Features.ClassLabel(names=['X', 'NOUN'])),
      },
      [{'tokens': ['ab', 'c'], 'upos': ['NOUN', 'X']}],
      [Sentence(['ab', 'c'], ['NOUN', 'X'], 0)],
    ),
    (
      {
        'id': _Features.Text(),
        'title': _Features.Text(),
        'context': _Features.Text(),
        'question': _Features.Text(),
        'answers': _Features.Sequence(
          {'text': _Features.Text(), 'answer_start': np.int32}
        ),
      },
      [_ANSWERED],
      [
        Question(
          **_ANSWERED
          | {'answers': [[Answer('\u00e9', 3)], [Answer('e', 8)]], 'notes': []}
        )
      ],
    ),
  ],
  ids=['glue', 'conll2003', 'universal_dependencies', 'squad'],
)
def test_directory_of_a_prepared_data_set(
  prepare, tmp_path, features, examples, expected
):
  config = default.get_config()
  config.data.format = 'tfds'
  config.data.tfds.builder = str(prepare(features, *examples))
  config.data.files = {'train': 'train', 'dev': 'train[:1]', 'test': ''}
  data = splits.read_splits(config, tmp_path / 'workdir')
  assert data == {'train': expected, 'dev': expected[:1]}


def _load(builder, **options):
  splits = {'dev': 'train'}
  return catalogue.load('', splits, builder=builder, cache='', **options)


def test_directory_of_other_features(prepare):
  directory = prepare({'text': _Features.Text()}, {'text': 'a'})
  message = f'^{directory}: expected the features of .* found text: Text.$'
  with pytest.raises(ValueError, match=message):
    _load(directory)


def test_directory_without_the_tag(prepare):
  tags = _Features.Sequence(_Features.ClassLabel(names=['X']))
  example = {'tokens': ['a'], 'upos': ['X']}
  directory = prepare({'tokens': _TEXTS, 'upos': tags}, example)
  with pytest.raises(ValueError, match="expected the feature 'xpos'"):
    _load(directory, tag='xpos')


def test_directory_of_no_data_set(tmp_path):
  message = f'^data.tfds.builder=.{tmp_path}.: expected .* dataset_info.json'
  with pytest.raises(FileNotFoundError, match=message):
    _load(tmp_path)


def test_directory_of_another_file_format(prepare):
  features = {
    'text': _Features.Text(),
    'label': _Features.ClassLabel(names=['x']),
  }
  directory = prepare(features, {'text': 'a', 'label': 'x'})
  info = directory / 'dataset_info.json'
  # Only TensorFlow itself can write its records.
  info.write_text(info.read_text().replace('array_record', 'tfrecord'))
  with pytest.raises(ValueError, match='expected a data set in array_record'):
    _load(directory)
