"""Published counts of real corpora, read from the folder DICEJAX_DATA."""

import collections
import os
import pathlib

import pytest

from dicejax import metrics
from train.data import conll

_DATA = pathlib.Path(os.environ.get('DICEJAX_DATA', ''))


def _counts(path, scheme):
  sentences = [*conll.read_sentences(_DATA / path, scheme=scheme)]
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
