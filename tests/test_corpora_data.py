"""Published counts of parts of speech and texts, read from DICEJAX_DATA."""

import collections
import os
import pathlib
import zipfile

import pytest

from dicejax import metrics
from train.data import conllu
from train.data import tables
from train.data import texts
from train.data.fields import Text
from train.data.files import Skipped

_DATA = pathlib.Path(os.environ.get('DICEJAX_DATA', ''))


@pytest.mark.parametrize(
  'split, sentences, words',
  [('train', 3_997, 98_608), ('dev', 500, 12_663), ('test', 500, 12_012)],
)
@pytest.mark.parametrize('tag', ['upos', 'xpos'])
def test_ud_chinese(split, sentences, words, tag):
  path = _DATA / f'ud_zh_1.4/zh-ud-{split}.conllu'
  by_word = [*conllu.read_sentences(path, tag=tag)]
  assert len(by_word) == sentences
  assert sum(len(s.tokens) for s in by_word) == words
  # Spans over characters are the words, with their tags.
  by_character = conllu.read_sentences(path, tag=tag, unit='character')
  for words, characters in zip(by_word, by_character, strict=True):
    spans = metrics.entity_spans(characters.tags, 'bio')
    assert [s.type for s in spans] == words.tags
    assert [
      ''.join(characters.tokens[s.start : s.end]) for s in spans
    ] == words.tokens


def _labels(examples):
  return collections.Counter(text.label for text in examples)


@pytest.mark.parametrize(
  'file, negative, positive',
  [
    ('msr_paraphrase_train.txt', 1_323, 2_753),
    ('msr_paraphrase_test.txt', 578, 1_147),
    ('train.tsv', 1_194, 2_474),
    ('dev.tsv', 129, 279),
  ],
)
def test_mrpc(file, negative, positive):
  # Dolan and Brockett, 2005; GLUE.
  columns = {'text': '#1 String', 'pair': '#2 String', 'label': 'Quality'}
  found = [*tables.read_tsv(_DATA / 'mrpc' / file, **columns)]
  assert _labels(found) == {'0': negative, '1': positive}


def test_qqp_subset():
  path = _DATA / 'qqp/qqp_train_subset_23497.tsv'
  columns = {'header': False, 'text': '3', 'pair': '4', 'label': '5'}
  with pytest.raises(
    ValueError, match=f'{path}:1: expected 6 columns, found 5'
  ):
    list(tables.read_tsv(path, **columns))
  first, *rest = tables.read_tsv(path, **columns, skip_malformed=True)
  assert isinstance(first, Skipped)
  # One of 23,497 rows is left out, the first; it is not a duplicate.
  assert _labels(rest) == {'0': 23_496 - 8_747, '1': 8_747}


@pytest.mark.parametrize(
  'split, negative, positive',
  [('train', 29_780, 37_569), ('dev', 428, 444)],
)
def test_sst2(split, negative, positive):
  found = tables.read_tsv(_DATA / f'sst2/{split}.tsv')
  assert _labels(found) == {'0': negative, '1': positive}


def test_sms_spam():
  # Almeida et al., 2011.
  path = _DATA / 'sms_spam/SMSSpamCollection'
  found = tables.read_tsv(path, header=False, text='1', label='0')
  assert _labels(found) == {'ham': 4_827, 'spam': 747}


@pytest.mark.parametrize('split, size', [('train', 53_360), ('dev', 10_000)])
def test_tnews(split, size):
  found = [*texts.read_jsonl(_DATA / f'tnews/{split}.json', label='label_desc')]
  assert len(found) == size
  assert len(_labels(found)) == 15
  if split == 'train':
    assert min(_labels(found).values()) == _labels(found)['news_stock'] == 257


@pytest.fixture(scope='module')
def trees(tmp_path_factory):
  directory = tmp_path_factory.mktemp('trees')
  with zipfile.ZipFile(_DATA / 'sst5/trainDevTestTrees_PTB.zip') as archive:
    archive.extractall(directory)
  return directory / 'trees'


def _plain(text):
  # The flat files are in small letters and keep the brackets' names.
  text = text.lower().replace('-lrb-', '(').replace('-rrb-', ')')
  return text.replace('\\', '')


def _flat(kind, split):
  path = _DATA / f'sst5/stsa.{kind}.{split}'
  return collections.Counter(
    (_plain(text.text), text.label)
    for text in tables.read_tsv(
      path, header=False, text='1', label='0', separator=' '
    )
  )


@pytest.mark.parametrize(
  'split, fine, binary, positive',
  [
    ('train', 8_544, 6_920, 3_610),
    ('dev', 1_101, 872, 444),
    ('test', 2_210, 1_821, 909),
  ],
)
def test_sst_trees_are_the_flat_files(trees, split, fine, binary, positive):
  # Socher et al., 2013.
  for kind, size in (('fine', fine), ('binary', binary)):
    found = texts.read_trees(trees / f'{split}.txt', binary=kind == 'binary')
    sentences = collections.Counter(
      (_plain(x.text), x.label) for x in found if isinstance(x, Text)
    )
    assert sentences.total() == size
    assert sentences == _flat(kind, split)
  # The last sentences are those with two labels.
  counts = [n for (_, label), n in sentences.items() if label == '1']
  assert sum(counts) == positive


def test_sst_phrases(trees):
  found = [*texts.read_trees(trees / 'train.txt', phrases=True)]
  # A binary tree of n words has 2 n - 1 phrases.
  words = sum(
    len(text.text.split(' ')) for text in texts.read_trees(trees / 'train.txt')
  )
  assert len(found) == 2 * words - 8_544 == 318_582
