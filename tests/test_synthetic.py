"""The made-up corpus: its imbalance, its tags, its bytes."""

import collections

import pytest
from helpers import slow_except

from dicejax import metrics
from train.data import conll
from train.data import synthetic

_SIZES = {'train': 1000, 'dev': 400}


def _read(path):
  # In the strict scheme: an ill-formed sequence would raise.
  return [*conll.read_sentences(path, scheme='bio')]


@pytest.fixture(scope='module')
def paths(tmp_path_factory):
  directory = tmp_path_factory.mktemp('corpus')
  return synthetic.write_corpus(directory, seed=0, sizes=_SIZES)


@pytest.fixture(scope='module')
def sentences(paths):
  return _read(paths['train'])


@pytest.mark.parametrize(
  'imbalance', slow_except([10.5, 50], [3, 10.5, 50, 200])
)
def test_imbalance_and_size_of_every_split(tmp_path, imbalance):
  sizes = {'train': 2000, 'test': 1000}
  paths = synthetic.write_corpus(
    tmp_path, seed=1, sizes=sizes, imbalance=imbalance
  )
  for split, size in sizes.items():
    sentences = _read(paths[split])
    assert len(sentences) == size
    tags = [tag for sentence in sentences for tag in sentence.tags]
    outside = tags.count('O')
    ratio = outside / (len(tags) - outside)
    assert ratio == pytest.approx(imbalance, rel=0.05)


@pytest.mark.parametrize(
  'size, imbalance', [(1000, 1.5), (20, 200), (1000, 1e6), (0, 50)]
)
def test_imbalance_out_of_reach(tmp_path, size, imbalance):
  with pytest.raises(ValueError, match=f"{size} sentences of 'dev' have "):
    synthetic.write_corpus(
      tmp_path, seed=0, sizes={'dev': size}, imbalance=imbalance
    )


def test_same_seed_same_bytes(tmp_path, paths):
  again = synthetic.write_corpus(tmp_path, seed=0, sizes=_SIZES)
  for split, path in paths.items():
    assert again[split].read_bytes() == path.read_bytes()


def test_a_split_does_not_depend_on_the_others(tmp_path, paths):
  alone = synthetic.write_corpus(tmp_path, seed=0, sizes={'dev': _SIZES['dev']})
  assert alone['dev'].read_bytes() == paths['dev'].read_bytes()


def test_seeds_and_splits_differ(tmp_path, paths, sentences):
  other = synthetic.write_corpus(tmp_path, seed=1, sizes=_SIZES)
  train = {tuple(sentence.tokens) for sentence in sentences}
  for path in (other['train'], paths['dev']):
    tokens = [tuple(sentence.tokens) for sentence in _read(path)]
    # Sentences without a slot are in all of them.
    assert sum(sentence in train for sentence in tokens) < len(tokens) / 5


def test_words_are_ambiguous(sentences):
  kinds = collections.defaultdict(set)
  types = set()
  for sentence in sentences:
    types |= {span.type for span in metrics.entity_spans(sentence.tags)}
    for token, tag in zip(sentence.tokens, sentence.tags, strict=True):
      kinds[token.lower()].add(tag == 'O')
  assert types == {'PER', 'ORG', 'LOC', 'DATE', 'EMAIL', 'PHONE'}
  # These tokens are entities here and plain words there.
  ambiguous = {token for token, kind in kinds.items() if len(kind) == 2}
  assert {'may', 'and', ','} <= ambiguous
  assert len(ambiguous) > 30
