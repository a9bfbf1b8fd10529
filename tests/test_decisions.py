"""Decisions against SciPy, seqeval, scikit-learn and brute force."""

import itertools

import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import optimize
from scipy import special
from seqeval.metrics import f1_score as entity_f1
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import f1_score

from dicejax import metrics

_TAGS = ('O', 'B-PER', 'I-PER', 'B-LOC', 'I-LOC')


def _nll(logits, labels, temperature):
  log_p = special.log_softmax(logits / temperature, axis=-1)
  return -log_p[np.arange(len(labels)), labels].mean()


@pytest.mark.parametrize('scale', [0.2, 1.0, 7.0])
def test_temperature_is_the_minimum_that_scipy_finds(scale):
  random = np.random.default_rng(0)
  calibrated = 2 * random.normal(size=(2000, 4))
  labels = (calibrated + random.gumbel(size=(2000, 4))).argmax(axis=-1)
  logits = scale * calibrated + 1e3  # Adding a constant changes nothing.
  found = metrics.fit_temperature(logits, labels)
  best = optimize.minimize_scalar(
    lambda t: _nll(logits, labels, np.exp(t)), bounds=(-3, 3), method='bounded'
  )
  np.testing.assert_allclose(found, np.exp(best.x), rtol=1e-4)
  assert _nll(logits, labels, found) <= best.fun
  np.testing.assert_allclose(found, scale, rtol=0.1)
  two = metrics.fit_temperature(logits[:, :2], labels % 2)
  one = metrics.fit_temperature(logits[:, 1] - logits[:, 0], labels % 2)
  np.testing.assert_allclose(one, two, rtol=1e-10)
  square = metrics.fit_temperature(
    (logits[:, 1] - logits[:, 0]).reshape(50, 40), (labels % 2).reshape(50, 40)
  )
  np.testing.assert_allclose(square, two, rtol=1e-10)


def test_platt_is_the_regression_of_scikit_learn():
  """With many examples, Platt's targets are almost 0 and 1."""
  random = np.random.default_rng(0)
  logits = 3 * random.normal(size=20_000)
  labels = random.random(20_000) < special.expit(0.5 * logits - 2)
  slope, bias = metrics.fit_platt(logits, labels)
  model = LogisticRegression(C=np.inf).fit(logits[:, None], labels)
  np.testing.assert_allclose(slope, model.coef_[0, 0], rtol=2e-3)
  np.testing.assert_allclose(bias, model.intercept_[0], rtol=2e-3)
  # The mean of calibrated probabilities is the rate of the targets.
  p = special.expit(slope * logits + bias)
  np.testing.assert_allclose(p.mean(), labels.mean(), rtol=1e-3)
  far = metrics.fit_platt(0.1 * logits - 20, labels)
  np.testing.assert_allclose(far, [10 * slope, bias + 200 * slope], rtol=1e-4)
  again = metrics.fit_platt(2 * logits + 1, labels)
  np.testing.assert_allclose(again, [slope / 2, bias - slope / 2], rtol=1e-4)


def test_platt_by_hand():
  """There are two values; each gets the mean target of its examples."""
  slope, bias = metrics.fit_platt([1.0, 1, 1, 0, 0], [1, 1, 0, 0, 0])
  targets = np.array([3 / 4, 1 / 5])
  want = special.logit([(2 * targets[0] + targets[1]) / 3, targets[1]])
  np.testing.assert_allclose([slope + bias, bias], want, rtol=1e-5)
  slope, bias = metrics.fit_platt([-1.0, 1.0], [False, True])  # Separable.
  assert 0 < slope < 20 and abs(bias) < 1e-6
  for bad in ([0.0, np.nan], [0, 1]), ([0.0], [2]), ([0.0], [0, 1]):
    with pytest.raises(ValueError, match='Expected'):
      metrics.fit_platt(*bad)


@pytest.mark.parametrize(
  'logits, labels, temperature',
  [
    # If 0 separates all examples, the likelihood rises without end.
    ([[2.0, 0.0], [0.0, 0.1]], [0, 1], 1 / 20),
    ([-3.0, 1e-6, 1e4], [0, 1, 1], 1 / 20),
    # Worse than chance: it rises without end in the other direction.
    ([[2.0, 0.0], [0.0, 1.0]], [1, 0], 20),
    ([[3.0, 3.0], [-1.0, -1.0]], [0, 1], 1),
    # Three of four right: p = 3 / 4, so that z / T = log 3.
    ([1.0] * 4, [1, 1, 1, 0], 1 / np.log(3)),
    ([-1e3] * 4, [0, 0, 0, 1], 20),
  ],
)
def test_temperature_by_hand(logits, labels, temperature):
  found = metrics.fit_temperature(logits, labels)
  np.testing.assert_allclose(found, temperature, rtol=1e-10)


@pytest.mark.parametrize(
  'logits, labels, says',
  [
    ([[0.0, np.inf]], [0], 'finite'),
    ([[0.0, 1.0]], [2], 'from 0 to 1'),
    ([[0.0, 1.0]], [-1], 'from 0 to 1'),
    ([[0.0, 1.0]], [0.5], 'from 0 to 1'),
    ([[0.0, 1.0]], [0, 1], r'not \[2\] for \[1, 2\]'),
    ([0.0, 1.0], [0, 2], 'True or False'),
    ([], [], 'Expected logits'),
  ],
)
def test_no_temperature(logits, labels, says):
  with pytest.raises(ValueError, match=says):
    metrics.fit_temperature(logits, labels)


@given(st.lists(st.integers(0, 20), min_size=1, max_size=8).filter(any))
def test_plug_in_is_the_best_of_all_subsets(twentieths):
  p = np.array(twentieths) / 20
  threshold, f1 = metrics.plug_in_threshold(p)
  subsets = itertools.product([0, 1], repeat=len(p))
  best = max(2 * p @ s / (sum(s) + p.sum()) for s in map(np.array, subsets))
  np.testing.assert_allclose(f1, best, rtol=1e-12)
  assert threshold == f1 / 2
  positive = p >= threshold
  np.testing.assert_allclose(
    2 * p[positive].sum() / (positive.sum() + p.sum()), best, rtol=1e-12
  )


@given(
  st.dictionaries(st.integers(1, 20), st.integers(1, 5), min_size=1),
)
def test_plug_in_is_the_best_threshold_where_probabilities_are_true(sizes):
  # Exactly k n of 20 n examples with p = k / 20 are positive.
  p = np.repeat([k / 20 for k in sizes], [20 * n for n in sizes.values()])
  labels = np.concatenate([np.arange(20 * n) < k * n for k, n in sizes.items()])
  threshold, expected = metrics.plug_in_threshold(p)
  _, best = metrics.best_threshold(p, labels)
  np.testing.assert_allclose(expected, best, rtol=1e-12)
  assert f1_score(labels, p >= threshold) == pytest.approx(best, rel=1e-12)


@pytest.mark.parametrize(
  'probabilities, says',
  [
    ([], 'at least one'),
    ([[0.5]], 'at least one'),
    ([0.5, 1.1], 'between 0 and 1'),
    ([0.5, np.nan], 'between 0 and 1'),
    ([0.0, 0.0], 'No probability above 0'),
  ],
)
def test_no_plug_in(probabilities, says):
  with pytest.raises(ValueError, match=says):
    metrics.plug_in_threshold(probabilities)


def test_thresholds_of_labels_are_those_of_each():
  random = np.random.default_rng(0)
  labels = random.random((300, 5)) < [0.5, 0.1, 0.05, 0.2, 0.0]
  scores = random.normal(size=(300, 5)) + labels
  thresholds, f1 = metrics.best_thresholds(scores, labels, default=-1.0)
  for k in range(4):
    assert (thresholds[k], f1[k]) == metrics.best_threshold(
      scores[:, k], labels[:, k]
    )
  assert (thresholds[4], f1[4]) == (-1, 0)
  macro = f1_score(
    labels[:, :4], scores[:, :4] >= thresholds[:4], average='macro'
  )
  np.testing.assert_allclose(macro, f1[:4].mean(), rtol=1e-12)
  for bad, says in [
    (np.zeros_like(labels), 'No positive label'),
    (labels[:, :2], r'not \[300, 5\] and \[300, 2\]'),
  ]:
    with pytest.raises(ValueError, match=says):
      metrics.best_thresholds(scores, bad)


# Few different gaps: ties are likely. Any tags, also ill-formed ones.
_WORDS = st.tuples(
  st.integers(-3, 3).map(float) | st.just(np.inf),
  st.sampled_from(_TAGS[1:]),
  st.sampled_from(_TAGS),
)
_SENTENCES = st.lists(
  st.lists(_WORDS, max_size=5), min_size=1, max_size=4
).filter(lambda rows: any(gold != 'O' for row in rows for *_, gold in row))


def _columns(sentences):
  return [[[word[k] for word in row] for row in sentences] for k in range(3)]


def _decode(gaps, tags, offset):
  return [
    [tag if gap < offset else 'O' for gap, tag in zip(*rows, strict=True)]
    for rows in zip(gaps, tags, strict=True)
  ]


@given(_SENTENCES)
@pytest.mark.filterwarnings('ignore::UserWarning')  # No true, no found entity.
def test_best_offset_by_brute_force(sentences):
  gaps, tags, gold = _columns(sentences)
  offset, f1 = metrics.best_offset(gaps, tags, gold)
  by_offset = {
    k / 2: entity_f1(gold, _decode(gaps, tags, k / 2)) for k in range(-7, 9)
  }
  best = max(by_offset.values())
  np.testing.assert_allclose(f1, best, rtol=1e-12)
  found = _decode(gaps, tags, offset)
  np.testing.assert_allclose(entity_f1(gold, found), best, rtol=1e-12)
  assert (offset == 0) == (by_offset[0] > best - 1e-9)


@pytest.mark.parametrize(
  'gaps, gold, best',
  [
    # Midway between the last right word and the next.
    ([1, 2, 4], 'XXO', (3, 1)),
    ([-4, -2, 1], 'XOO', (-3, 1)),
    # The argmax is as good.
    ([-9, -8, 7], 'XOO', (-8.5, 1)),
    ([-1, 1, 2], 'XOO', (0, 1)),
    # One word gives as much as four, so the offset nearest to 0 is chosen.
    ([1, 3, 4, 8, 9], 'XOOXO', (2, 2 / 3)),
    # All entities, and one that can never be tagged.
    ([1, 2, np.inf], 'XXX', (np.nextafter(2, 3), 4 / 5)),
    ([-1, 3], 'OX', (np.nextafter(3, 4), 2 / 3)),
  ],
)
def test_best_offset_by_hand(gaps, gold, best):
  gaps = np.array(gaps, float)
  gold = ['B-X' if tag == 'X' else tag for tag in gold]
  found = metrics.best_offset([gaps], [['B-X'] * len(gaps)], [gold])
  assert found == pytest.approx(best, rel=1e-15)


@given(_SENTENCES)
def test_best_offset_of_a_strict_scheme(sentences):
  gaps, tags, gold = _columns(sentences)
  spans = [metrics.entity_spans(row, 'bio') for row in gold]
  if not any(spans):
    with pytest.raises(ValueError, match='No true entity'):
      metrics.best_offset(gaps, tags, gold, scheme='bio')
    return
  offset, f1 = metrics.best_offset(gaps, tags, gold, scheme='bio')

  def score(offset):
    found = [
      metrics.entity_spans(row, 'bio') for row in _decode(gaps, tags, offset)
    ]
    right = sum(
      len({*one} & {*other}) for one, other in zip(spans, found, strict=True)
    )
    return 2 * right / sum(map(len, spans + found))

  np.testing.assert_allclose(f1, score(offset), rtol=1e-12)
  np.testing.assert_allclose(f1, max(score(k / 2) for k in range(-7, 9)))


@pytest.mark.parametrize('dtype', [np.float64, np.float32, jnp.bfloat16])
@pytest.mark.parametrize('low', [0.3, -1.0, 1e30])
def test_neighbouring_gaps_are_parted(dtype, low):
  low = np.array(low, dtype)
  high = np.nextafter(low, np.array(np.inf, dtype))
  gaps, tags = np.array([high, low]), ['B-PER', 'B-PER']
  for gold, tagged in [(['O', 'B-PER'], [0, 1]), (tags, [1, 1])]:
    offset, f1 = metrics.best_offset([gaps], [tags], [gold])
    assert f1 == 1
    np.testing.assert_array_equal(gaps < offset, tagged)
    np.testing.assert_array_equal(gaps.astype(np.float64) < offset, tagged)


@pytest.mark.parametrize(
  'gaps, tags, gold, says',
  [
    ([[1.0]], [['B-X']], [['O']], 'No true entity'),
    ([], [], [], 'No true entity'),
    ([[np.nan]], [['B-X']], [['B-X']], 'found NaN'),
    ([[1.0]], [['B-X']], [['B-X', 'O']], 'not 1, 1, 2 in sentence 0'),
    ([[1.0]], [['B-X']], [], 'not 1, 1 and 0'),
    ([[1.0]], [['X']], [['B-X']], 'not a tag of the scheme'),
  ],
)
def test_no_best_offset(gaps, tags, gold, says):
  with pytest.raises(ValueError, match=says):
    metrics.best_offset(gaps, tags, gold)
