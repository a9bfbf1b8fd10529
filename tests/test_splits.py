"""Splits of a config: formats, what is held out, taken and resampled."""

import collections
import json
import pathlib

import pytest

from configs import default
from train import workdir as files
from train.data import catalogue
from train.data import conll
from train.data import splits
from train.data.conll import Sentence
from train.data.fields import Text
from train.data.squad import Question


@pytest.fixture
def config(tmp_path):
  c = default.get_config()
  c.data.dir = str(tmp_path)
  c.data.files = {'train': 'train', 'dev': '', 'test': ''}
  return c


@pytest.fixture
def read(config, tmp_path):
  def read(**texts):
    for name, text in texts.items():
      (tmp_path / name).write_text(text, encoding='utf-8')
      config.data.files[name] = name
    return splits.read_splits(config, tmp_path / 'workdir')

  return read


def _tsv(n, label='x'):
  return 'sentence\tlabel\n' + ''.join(f'{i}\t{label}\n' for i in range(n))


def _texts(examples):
  return [example.text for example in examples]


_QUESTION = {'id': '1', 'question': 'q', 'answers': []}
_SQUAD = {
  'data': [{'title': 't', 'paragraphs': [{'context': 'c', 'qas': [_QUESTION]}]}]
}
_QUERY = {
  'context': 'a b',
  'entity_label': 'PER',
  'query': 'q',
  'qas_id': '1.1',
  'start_position': [0],
  'end_position': [0],
  'span_position': ['0;0'],
  'impossible': False,
}


@pytest.mark.parametrize(
  'format, text, kind',
  [
    ('conll', 'a O\n', Sentence),
    ('conllu', '1\ta\t_\tX' + '\t_' * 6 + '\n', Sentence),
    ('tsv', _tsv(1), Text),
    ('jsonl', '{"sentence": "a", "label": 1}\n', Text),
    ('trees', '(3 good)\n', Text),
    ('squad', json.dumps(_SQUAD), Question),
    ('mrc_ner', json.dumps([_QUERY]), splits.mrc_ner.Query),
  ],
)
def test_formats(config, read, tmp_path, format, text, kind):
  config.data.format = format
  data = read(test=text, train=text, dev=text)
  assert list(data) == ['train', 'dev', 'test']
  assert [type(example) for example in data['dev']] == [kind]
  assert splits.read_files(config, [tmp_path / 'dev'] * 2) == data['dev'] * 2


def test_options_of_the_format(config, read):
  config.data.conll = {'token': 1, 'tag': 0, 'scheme': 'token'}
  assert read(train='NNP Ada\n')['train'] == [Sentence(['Ada'], ['NNP'], 1)]


def test_unknown_format(config, read):
  config.data.format = 'xml'
  with pytest.raises(ValueError, match="data.format .*'conll', .*, not 'xml'"):
    read(train='')
  with pytest.raises(ValueError, match="data.format .*'conll', .*, not 'xml'"):
    splits.read_files(config, [])
  config.data.format = 'tfds'
  with pytest.raises(ValueError, match="format='tfds' reads no local files"):
    splits.read_files(config, [])


def test_no_files(config, read):
  config.data.files.train = ''
  with pytest.raises(ValueError, match='data.files names no file'):
    read()


def test_missing_file(read):
  with pytest.raises(FileNotFoundError, match='train: no such file'):
    read()


def test_phrases_are_for_training(config, read, tmp_path):
  config.data.format = 'trees'
  config.data.trees.phrases = True
  data = read(train='(3 (2 a) (4 b))\n', dev='(3 (2 a) (4 b))\n')
  assert _texts(data['train']) == ['a b', 'a', 'b']
  assert _texts(data['dev']) == ['a b']
  assert splits.read_files(config, [tmp_path / 'train']) == data['dev']
  config.data.held_out.test = 0.5
  with pytest.raises(ValueError, match='takes whole trees, not phrases'):
    read()
  config.data.held_out.test = 0.0
  for alone, other, size in [('dev', 'train', 1), ('train', 'dev', 3)]:
    config.data.files = {alone: alone, other: ''}
    assert [len(x) for x in read().values()] == [size]


def test_what_is_left_out_is_told(config, read, tmp_path, capsys):
  config.data.format = 'tsv'
  config.data.tsv.skip_malformed = True
  read(train=_tsv(1), dev=_tsv(2) + 'a\n')
  message = '1 × row with too few columns left out\n'
  assert capsys.readouterr().err == f'dev: {message}'
  splits.read_files(config, [tmp_path / 'dev'])
  assert capsys.readouterr().err == f'{tmp_path}/dev: {message}'
  data, skipped = splits.read_and_count(config, tmp_path)
  assert data == splits.read_splits(config, tmp_path)
  assert skipped == {
    'train': {},
    'dev': {'row with too few columns left out': 1},
  }


def test_each_file_is_read_once_and_never_kept(config, read, monkeypatch):
  opened = []
  read_bytes = pathlib.Path.read_bytes

  def count(path):
    opened.append(path.name)
    return read_bytes(path)

  monkeypatch.setattr(pathlib.Path, 'read_bytes', count)
  for text in ('a O\n', 'b O\n'):
    data = read(train=text, dev=text)
    assert [x.tokens for x in data['train']] == [[text[0]]]
  assert opened == ['train', 'dev'] * 2


@pytest.mark.parametrize(
  'format, text',
  [
    ('tsv', 'sentence\tlabel\n'),
    ('jsonl', '\n'),
    ('trees', ''),
    ('squad', '{"data": []}'),
    ('conllu', '# text = none\n'),
  ],
)
def test_file_without_examples(config, read, tmp_path, format, text):
  config.data.format = format
  message = '/dev: expected at least one example'
  config.data.files.train = ''
  with pytest.raises(ValueError, match=message):
    read(dev=text)
  with pytest.raises(ValueError, match=message):
    splits.read_files(config, [tmp_path / 'dev'])


def test_missing_file_is_found_before_others_are_read(config, read):
  config.data.files.test = 'none'
  with pytest.raises(FileNotFoundError, match="none: .* for the split 'test'"):
    read(train='not a row of two columns')


def test_held_out_are_the_same_and_apart(config, read):
  config.data.format = 'tsv'
  config.data.held_out = {'dev': 0.1, 'test': 0.25}
  data = read(train=_tsv(40))
  assert {split: len(x) for split, x in data.items()} == {
    'train': 26,
    'dev': 4,
    'test': 10,
  }
  indices = [[int(text) for text in _texts(x)] for x in data.values()]
  assert sorted(sum(indices, [])) == list(range(40))
  assert all(x == sorted(x) for x in indices)
  assert indices[1] != [0, 1, 2, 3]
  assert read() == data


def _article(title, size):
  qas = [
    {'id': f'{title}{i}', 'question': 'q', 'answers': []} for i in range(size)
  ]
  return {'title': title, 'paragraphs': [{'context': 'c', 'qas': qas}]}


@pytest.fixture
def articles(config):
  config.data.format = 'squad'
  return json.dumps({'data': [_article(t, 5) for t in 'abcdefghij']})


def test_articles_stay_together(config, read, articles):
  config.data.held_out.dev = 0.2
  data = read(train=articles)
  titles = {split: {q.title for q in x} for split, x in data.items()}
  assert len(titles['dev']) == 2
  assert not titles['dev'] & titles['train']
  assert [len(data[split]) for split in ('train', 'dev')] == [40, 10]


@pytest.mark.parametrize('size, taken', [(1, 5), (7, 5), (8, 10), (50, 50)])
def test_articles_are_taken_whole(config, read, articles, size, taken):
  config.data.take.train = size
  questions = read(train=articles)['train']
  assert len(questions) == taken
  counts = collections.Counter(q.title for q in questions)
  assert set(counts.values()) == {5}


def test_queries_on_a_sentence_stay_together(config, read):
  config.data.format = 'mrc_ner'
  config.data.held_out.dev = 0.5
  items = [
    _QUERY | {'context': f'{i} b', 'entity_label': t, 'qas_id': f'{i}.{t}'}
    for i in range(10)
    for t in ('PER', 'ORG')
  ]
  data = read(train=json.dumps(items))
  words = {split: {q.tokens[0] for q in x} for split, x in data.items()}
  assert len(words['dev']) == len(words['train']) == 5
  assert not words['dev'] & words['train']


@pytest.mark.parametrize(
  'shares, message',
  [
    ({'dev': 1.0, 'test': 0.0}, 'leave some of it, not 1 for dev'),
    ({'dev': 0.5, 'test': 0.5}, 'leave some of it, not 0.5 for dev'),
    ({'dev': 0.0, 'test': -0.1}, 'leave some of it, not -0.1 for test'),
    ({'dev': 0.9, 'test': 0.0}, 'leaves nothing to train on'),
  ],
)
def test_shares_that_are_none(config, read, shares, message):
  config.data.format = 'tsv'
  config.data.held_out = shares
  with pytest.raises(ValueError, match=f'data.held_out.*{message}'):
    read(train=_tsv(2))


def test_held_out_beside_a_file(config, read):
  config.data.format = 'tsv'
  config.data.held_out.dev = 0.1
  with pytest.raises(ValueError, match='data.held_out.dev is 0.1, but data.fi'):
    read(train=_tsv(20), dev=_tsv(1))


def test_take_is_the_same_sample_in_order(config, read):
  config.data.format = 'tsv'
  config.data.take = {'train': 5, 'dev': 2, 'test': 0}
  data = read(train=_tsv(50), dev=_tsv(4))
  assert [len(data[split]) for split in ('train', 'dev')] == [5, 2]
  indices = [int(text) for text in _texts(data['train'])]
  assert indices == sorted(indices) != [0, 1, 2, 3, 4]
  assert read() == data


@pytest.mark.parametrize('split, size', [('train', 21), ('dev', 1)])
def test_take_of_more_than_there_is(config, read, split, size):
  config.data.format = 'tsv'
  config.data.take[split] = size
  with pytest.raises(ValueError, match=f'data.take.{split} .* not {size}'):
    read(train=_tsv(20))


@pytest.mark.parametrize(
  'factor, rare, common',
  [(2.0, 1, 8), (0.5, 1, 2), (1.25, 1, 5), (0.0, 1, 0)],
)
def test_resample(config, read, factor, rare, common):
  config.data.format = 'tsv'
  config.data.resample = {'common': factor}
  data = read(train=_tsv(4, 'common') + '9\trare\n')['train']
  counts = collections.Counter(x.label for x in data)
  assert (counts['rare'], counts['common']) == (rare, common)
  assert _texts(data) == sorted(_texts(data))
  assert set(collections.Counter(_texts(data)[:-1]).values()) <= {
    int(factor),
    int(factor) + 1,
  }


@pytest.mark.parametrize(
  'format, factors, message',
  [
    ('tsv', {'y': 2.0}, "resample.y: .* no text with this label, but with 'x'"),
    ('tsv', {'x': -1.0}, 'resample.x is at least 0, not -1'),
    ('tsv', {'x': 0.0}, "The split 'train' has no examples"),
    ('conll', {'x': 2.0}, 'resample.x: .*; only texts with one label'),
  ],
)
def test_resample_what_is_not_there(config, read, format, factors, message):
  config.data.format = format
  config.data.resample = factors
  with pytest.raises(ValueError, match=message):
    read(train='a O\n' if format == 'conll' else _tsv(2))


def test_synthetic_is_written_once(config, tmp_path):
  config.data.format = 'synthetic'
  config.data.synthetic.sentences = {'train': 300, 'dev': 300}
  data = splits.read_splits(config, tmp_path)
  path = tmp_path / files.CORPUS / 'dev.conll'
  assert data['dev'] == list(conll.read_sentences(path))
  assert splits.read_files(config, [path]) == data['dev']
  # The corpus stays with its run.
  (tmp_path / files.CONFIG).write_text('{}')
  path.write_text('Ada B-PER\n'.replace(' ', '\t'))
  assert splits.read_splits(config, tmp_path)['dev'] == [
    Sentence(['Ada'], ['B-PER'], 1)
  ]


def test_tfds_is_asked_for_its_splits(config, monkeypatch):
  asked = {}

  def load(name, named, **options):
    asked.update(options, name=name)
    return {split: [Text('t', None, 'x', 0)] for split in named}

  monkeypatch.setattr(catalogue, 'load', load)
  config.data.format = 'tfds'
  config.data.dir = ''
  config.data.tfds.name = 'glue/mrpc'
  config.data.files.dev = 'validation'
  data = splits.read_splits(config, pathlib.Path('unused'))
  assert list(data) == ['train', 'dev']
  assert asked['name'] == 'glue/mrpc'
  assert asked['directory'] == ''
  assert asked['builder'] == ''
  assert (asked['tag'], asked['unit']) == ('upos', 'word')
