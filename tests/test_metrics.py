"""Span metrics against conlleval's rules, seqeval, and counts by hand."""

import functools
import warnings

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from seqeval.metrics import sequence_labeling
from seqeval.metrics import v1
from seqeval.scheme import IOB2
from seqeval.scheme import IOBES
from sklearn.exceptions import UndefinedMetricWarning
from sklearn.metrics import accuracy_score
from sklearn.metrics import precision_recall_fscore_support
from sklearn.utils.multiclass import unique_labels

from dicejax import metrics
from dicejax.metrics import Span
from dicejax.tversky import Counts

_TYPES = ['LOC', 'PER', 'creative-work']
_ALL_PREFIXES = 'BIES'


def _corpora(prefixes):
  """Corpora of [(gold tags, predicted tags)], mostly ill-formed."""
  tags = ['O', *(f'{p}-{type_}' for p in prefixes for type_ in _TYPES)]
  word = st.tuples(st.sampled_from(tags), st.sampled_from(tags))
  sentence = st.lists(word, min_size=1, max_size=10)
  return st.lists(
    sentence.map(lambda words: tuple(map(list, zip(*words, strict=True)))),
    min_size=1,
    max_size=4,
  )


def _count(corpus, scheme, types=_TYPES):
  zero = np.zeros(len(types), np.int64)
  return sum(
    (
      metrics.span_counts(
        metrics.entity_spans(gold, scheme),
        metrics.entity_spans(predicted, scheme),
        types,
      )
      for gold, predicted in corpus
    ),
    Counts(zero, zero, zero),
  )


def _seqeval(function, corpus, average):
  with warnings.catch_warnings():
    # It warns wherever a score is 0/0; its value is 0, like ours.
    warnings.simplefilter('ignore', UndefinedMetricWarning)
    gold, predicted = map(list, zip(*corpus, strict=True))
    return function(gold, predicted, average=average)


def _assert_same_scores(corpus, scheme, function):
  types = sorted(
    {
      span.type
      for tags in sum(corpus, ())
      for span in metrics.entity_spans(tags, scheme)
    }
  )
  ours = metrics.class_scores(_count(corpus, scheme, types), types)
  by_type = np.array(_seqeval(function, corpus, average=None)).T
  theirs = dict(zip(types, by_type, strict=True))
  if types:  # Without types, seqeval's averages are NaN, and ours 0.
    for average in ('micro', 'macro'):
      theirs[average] = _seqeval(function, corpus, average=average)
  for row, (precision, recall, f1, support) in theirs.items():
    assert ours[row]['precision'] == precision
    assert ours[row]['recall'] == recall
    assert ours[row]['support'] == support
    # seqeval divides three times where the formula in counts divides once.
    np.testing.assert_allclose(ours[row]['f1'], f1, rtol=1e-15)


@given(_corpora(_ALL_PREFIXES))
def test_spans_agree_with_seqeval(corpus):
  for tags in sum(corpus, ()):
    theirs = [
      Span(type_, start, last + 1)
      for type_, start, last in sequence_labeling.get_entities(tags)
    ]
    assert metrics.entity_spans(tags) == theirs


@given(_corpora(_ALL_PREFIXES))
def test_scores_agree_with_seqeval(corpus):
  _assert_same_scores(
    corpus, 'conll', sequence_labeling.precision_recall_fscore_support
  )


@given(_corpora('BI'))
def test_scores_agree_with_seqeval_strict_bio(corpus):
  strict = functools.partial(v1.precision_recall_fscore_support, scheme=IOB2)
  _assert_same_scores(corpus, 'bio', strict)


@given(_corpora(_ALL_PREFIXES))
def test_scores_agree_with_seqeval_strict_bioes(corpus):
  strict = functools.partial(v1.precision_recall_fscore_support, scheme=IOBES)
  _assert_same_scores(corpus, 'bioes', strict)


@pytest.mark.parametrize(
  'tags, cuts',
  [
    # startOfChunk, one case per rule.
    ('B-X B-X', [1, 1]),
    ('I-X B-X', [1, 1]),
    ('I-X S-X', [1, 1]),
    ('E-X E-X', [1, 1]),
    ('E-X I-X', [1, 1]),
    ('S-X E-X', [1, 1]),
    ('S-X I-X', [1, 1]),
    ('O I-X', [1]),
    ('O E-X', [1]),
    ('I-X I-Y', [1, 1]),
    ('B-X E-Y', [1, 1]),
    # endOfChunk.
    ('B-X S-X', [1, 1]),
    ('B-X O', [1]),
    ('I-X O', [1]),
    ('E-X O', [1]),
    ('S-X O', [1]),
    ('S-X S-X', [1, 1]),
    ('E-X B-X', [1, 1]),
    # Entities that go on.
    ('B-X I-X', [2]),
    ('I-X I-X', [2]),
    ('B-X E-X', [2]),
    ('B-X I-X E-X', [3]),
    ('O I-X E-X I-X', [2, 1]),
    ('O O', []),
    ('', []),
  ],
)
def test_conlleval_rules(tags, cuts):
  spans = metrics.entity_spans(tags.split())
  assert [end - start for _, start, end in spans] == cuts


@pytest.mark.parametrize(
  'scheme, tags, spans, first_ill_formed',
  [
    ('iob1', 'I-X I-X B-X O I-Y', [(0, 2), (2, 3), (4, 5)], None),
    ('iob1', 'I-X B-X B-X I-X', [(0, 1), (1, 2), (2, 4)], None),
    ('iob1', 'O B-X I-X O I-X', [(4, 5)], 1),
    ('iob1', 'I-Y B-X', [(0, 1)], 1),
    ('bio', 'B-X I-X B-X O B-Y', [(0, 2), (2, 3), (4, 5)], None),
    ('bio', 'O I-X I-X B-X', [(3, 4)], 1),
    ('bio', 'B-X I-Y I-Y', [(0, 1)], 1),
    ('bioes', 'B-X I-X E-X S-X S-Y', [(0, 3), (3, 4), (4, 5)], None),
    ('bioes', 'S-X B-X I-X O S-X', [(0, 1), (4, 5)], 1),
    ('bioes', 'S-X E-X', [(0, 1)], 1),
    ('bioes', 'B-X E-X I-X E-X', [(0, 2)], 2),
    ('bioes', 'B-X E-Y', [], 0),
    ('conll', 'E-X I-Y B-Y', [(0, 1), (1, 2), (2, 3)], None),
  ],
)
def test_schemes(scheme, tags, spans, first_ill_formed):
  tags = tags.split()
  found = metrics.entity_spans(tags, scheme)
  assert [(start, end) for _, start, end in found] == spans
  assert metrics.first_ill_formed(tags, scheme) == first_ill_formed


@pytest.mark.parametrize('tag', ['', 'B', 'B-', 'X-PER', 'BI-PER', '-PER', 'o'])
def test_unknown_tag(tag):
  with pytest.raises(ValueError, match=f"^'{tag}' is not a tag of .*'conll'"):
    metrics.entity_spans(['O', tag])


@pytest.mark.parametrize('scheme', ['iob1', 'bio'])
def test_tag_of_another_scheme(scheme):
  with pytest.raises(
    ValueError, match=f"'S-X' is not a tag .*'{scheme}'.* B, I,"
  ):
    metrics.entity_spans(['S-X'], scheme)


def test_unknown_scheme():
  with pytest.raises(ValueError, match="'IOB9' is not one of conll, iob1, bio"):
    metrics.entity_spans([], 'IOB9')


@given(_corpora(_ALL_PREFIXES))
def test_bio_tags_invert_entity_spans(corpus):
  for tags in sum(corpus, ()):
    spans = metrics.entity_spans(tags)
    bio = metrics.bio_tags(reversed(spans), len(tags))
    assert metrics.first_ill_formed(bio, 'bio') is None
    assert metrics.entity_spans(bio, 'bio') == spans


@pytest.mark.parametrize('span', [(-1, 1), (2, 4), (1, 1), (2, 1)])
def test_bio_tags_out_of_range(span):
  with pytest.raises(ValueError, match='not a span of a sentence of 3 words'):
    metrics.bio_tags([Span('X', *span)], length=3)


@pytest.mark.parametrize('span', [(0, 1), (1, 3), (0, 4), (2, 3)])
def test_bio_tags_overlap(span):
  with pytest.raises(ValueError, match='overlaps'):
    metrics.bio_tags([Span('X', 0, 3), Span('Y', *span)], length=4)


@pytest.mark.parametrize(
  'wrong', [Span('X', 1, 4), Span('X', 1, 2), Span('X', 0, 3), Span('Y', 1, 3)]
)
def test_only_the_exact_span_counts(wrong):
  gold = [Span('X', 1, 3)]
  right = metrics.span_counts(gold, [*gold, *gold], ['X', 'Y'])
  assert jax.tree.map(list, right) == Counts([1, 0], [0, 0], [0, 0])
  counts = metrics.span_counts(gold, [wrong], ['X', 'Y'])
  assert jax.tree.map(sum, counts) == Counts(0, 1, 1)
  assert counts.fn.dtype == np.int64


def test_type_that_is_not_counted():
  with pytest.raises(ValueError, match=r"\['Y'\] are not among \['X'\]"):
    metrics.span_counts([], [Span('Y', 0, 1)], ['X'])


@given(_corpora(_ALL_PREFIXES), st.integers(0, 4))
def test_counts_add(corpus, cut):
  whole = _count(corpus, 'conll')
  parts = _count(corpus[:cut], 'conll') + _count(corpus[cut:], 'conll')
  jax.tree.map(np.testing.assert_array_equal, whole, parts)


def test_scores_by_hand():
  counts = Counts(
    tp=np.array([3, 0, 0, 0]),
    fp=np.array([3, 2, 0, 0]),
    fn=np.array([9, 0, 1, 0]),
  )
  assert metrics.class_scores(counts, ['A', 'B', 'C', 'D']) == {
    'A': {'precision': 1 / 2, 'recall': 1 / 4, 'f1': 1 / 3, 'support': 12},
    'B': {'precision': 0, 'recall': 0, 'f1': 0, 'support': 0},
    'C': {'precision': 0, 'recall': 0, 'f1': 0, 'support': 1},
    'D': {'precision': 0, 'recall': 0, 'f1': 0, 'support': 0},
    'micro': {'precision': 3 / 8, 'recall': 3 / 13, 'f1': 2 / 7, 'support': 13},
    # D occurs nowhere, so the mean leaves it out.
    'macro': {'precision': 1 / 6, 'recall': 1 / 12, 'f1': 1 / 9, 'support': 13},
  }


def test_scores_of_nothing():
  nothing = Counts(*np.zeros((3, 1), np.int64))
  row = {'precision': 0, 'recall': 0, 'f1': 0, 'support': 0}
  scores = metrics.class_scores(nothing, ['X'])
  assert scores == {'X': row, 'micro': row, 'macro': row}


@given(
  st.lists(
    st.tuples(st.integers(0, 3), st.integers(0, 3)), min_size=1, max_size=20
  )
)
def test_labels_agree_with_scikit_learn(labels):
  gold, predicted = map(list, zip(*labels, strict=True))
  names = ['A', 'B', 'C', 'D']
  counts = metrics.label_counts(gold, predicted, num_labels=4)
  ours = metrics.class_scores(counts, names)
  by_class = precision_recall_fscore_support(
    gold, predicted, labels=range(4), zero_division=0
  )
  theirs = dict(zip(names, np.array(by_class).T, strict=True))
  for average in ('micro', 'macro'):
    theirs[average] = precision_recall_fscore_support(
      gold,
      predicted,
      labels=unique_labels(gold, predicted),
      average=average,
      zero_division=0,
    )
  assert list(ours) == list(theirs)
  for row, (*scores, support) in theirs.items():
    *our_scores, our_support = ours[row].values()
    np.testing.assert_allclose(our_scores, scores, rtol=1e-15)
    assert our_support == (len(labels) if support is None else support)
  accuracy = accuracy_score(gold, predicted)
  np.testing.assert_allclose(ours['micro']['f1'], accuracy, rtol=1e-15)


def test_label_counts_add_and_may_be_none():
  none = metrics.label_counts([], [], num_labels=3)
  jax.tree.map(lambda n: np.testing.assert_array_equal(n, [0, 0, 0]), none)
  one = metrics.label_counts([2], np.array([0], np.uint8), num_labels=3)
  assert jax.tree.map(list, one + one) == Counts(
    [0, 0, 0], [2, 0, 0], [0, 0, 2]
  )
  assert one.fn.dtype == none.fn.dtype == np.int64


@pytest.mark.parametrize(
  'gold, predicted, says',
  [
    ([0, 1], [0], '2 true labels, but 1 predicted'),
    ([0, 3], [0, 1], 'Label 3 is not among 0 to 2'),
    ([0, 1], [0, -1], 'Label -1 is not among'),
    ([0.0], [0], r'ids of labels, not float64\(1,\)'),
    ([[0]], [0], 'ids of labels'),
  ],
)
def test_ids_that_are_no_labels(gold, predicted, says):
  with pytest.raises(ValueError, match=says):
    metrics.label_counts(gold, predicted, num_labels=3)


@pytest.mark.parametrize('names', [['X', 'micro'], ['macro', 'X'], ['X', 'X']])
def test_rows_of_one_name(names):
  counts = metrics.label_counts([0, 1], [0, 1], num_labels=2)
  with pytest.raises(ValueError, match='Two rows of scores would be called'):
    metrics.class_scores(counts, names)


@pytest.mark.parametrize('beta', [0.0, 0.5, 1.0, 2.0])
def test_scores_by_formula_and_under_jit(beta):
  counts = Counts(*np.arange(1, 13).reshape(3, 4))
  precision = counts.tp / (counts.tp + counts.fp)
  recall = counts.tp / (counts.tp + counts.fn)
  mean = (1 + beta**2) * precision * recall / (beta**2 * precision + recall)
  np.testing.assert_array_equal(metrics.precision(counts), precision)
  np.testing.assert_array_equal(metrics.recall(counts), recall)
  np.testing.assert_allclose(metrics.f_score(counts, beta), mean, rtol=1e-15)
  assert metrics.f_score(counts, beta).dtype == np.float64
  on_device = jax.jit(lambda c: metrics.f_score(c, beta))(
    jax.tree.map(jnp.asarray, counts)
  )
  np.testing.assert_allclose(on_device, mean, rtol=1e-6)
