"""Published counts of entities, read from the folder DICEJAX_DATA."""

import collections
import functools
import os
import pathlib

import pytest

from dicejax import metrics
from train.data import conll
from train.data import describe

_DATA = pathlib.Path(os.environ.get('DICEJAX_DATA', ''))


@functools.lru_cache(maxsize=3)  # Two tests read one file; one file is large.
def _read(path, scheme):
  return [*conll.read_sentences(_DATA / path, scheme=scheme)]


def _counts(path, scheme):
  sentences = _read(path, scheme)
  entities = collections.Counter(
    span.type
    for sentence in sentences
    for span in metrics.entity_spans(sentence.tags, 'bio')
  )
  tokens = sum(len(sentence.tokens) for sentence in sentences)
  return len(sentences), tokens, dict(entities)


@pytest.mark.parametrize(
  'file, sentences, tokens, loc, misc, org, per',
  [
    ('eng.train', 14_041, 203_621, 7_140, 3_438, 6_321, 6_600),
    ('eng.testa', 3_250, 51_362, 1_837, 922, 1_341, 1_842),
    ('eng.testb', 3_453, 46_435, 1_668, 702, 1_661, 1_617),
  ],
)
def test_conll2003(file, sentences, tokens, loc, misc, org, per):
  # Tjong Kim Sang and De Meulder, 2003, tables 1 and 2; their sentences count
  # the -DOCSTART- lines. Two B-MISC after O break IOB1.
  entities = {'LOC': loc, 'MISC': misc, 'ORG': org, 'PER': per}
  assert _counts(f'conll03/{file}', 'conll') == (sentences, tokens, entities)


def test_conll2003_imbalance():
  # Li et al., 2020, table 1: 170K and 34K, 4.98.
  sentences = _read('conll03/eng.train', 'conll')
  report = describe.describe({'train': sentences})['train']
  assert (report['negative'], report['positive']) == (169_578, 34_043)
  assert round(report['ratio'], 2) == 4.98


def test_conll2003_parts_of_speech():
  path = _DATA / 'conll03/eng.testa'
  sentences = [*conll.read_sentences(path, tag=1, scheme='token')]
  tags = collections.Counter(tag for s in sentences for tag in s.tags)
  assert sum(tags.values()) == 51_362
  assert {'NNP', ',', '$', "''"} <= tags.keys()


@pytest.mark.parametrize(
  'file, sentences, tokens, entities',
  [
    ('wnut17train.conll', 3_394, 62_730, 1_975),
    ('emerging.dev.conll', 1_009, 15_733, 836),
    ('emerging.test.annotated', 1_287, 23_394, 1_079),
  ],
)
def test_wnut2017(file, sentences, tokens, entities):
  # Derczynski et al., 2017.
  *size, by_type = _counts(f'wnut17/{file}', 'bio')
  assert size == [sentences, tokens]
  assert sum(by_type.values()) == entities


@pytest.mark.parametrize(
  'file, sentences, characters, loc, org, per',
  [
    ('msra_train_bio', 45_000, 2_171_573, 36_860, 20_584, 17_615),
    ('msra_test_bio', 3_442, 172_601, 2_886, 1_331, 1_973),
  ],
)
def test_msra(file, sentences, characters, loc, org, per):
  entities = {'LOC': loc, 'ORG': org, 'PER': per}
  assert _counts(f'msra/{file}', 'bio') == (sentences, characters, entities)
