"""Thresholds against scikit-learn, brute force and the scripts' own loop."""

import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import f1_score
from sklearn.metrics import precision_recall_curve

from dicejax import metrics

# Few different scores: most examples have ties.
_SCORES = st.integers(-4, 4).map(lambda i: i / 4)
_EXAMPLES = st.lists(
  st.tuples(_SCORES, st.booleans()), min_size=1, max_size=12
).filter(lambda examples: any(label for _, label in examples))


def _arrays(examples):
  return map(np.array, zip(*examples, strict=True))


@given(_EXAMPLES)
def test_best_threshold_by_brute_force(examples):
  scores, labels = _arrays(examples)
  threshold, f1 = metrics.best_threshold(scores, labels)
  by_score = {
    score: f1_score(labels, scores >= score) for score in np.unique(scores)
  }
  best = max(by_score.values())
  np.testing.assert_allclose(f1, best, rtol=1e-15)
  assert f1_score(labels, scores >= threshold) == pytest.approx(f1, 1e-15)
  # The largest of equal thresholds is chosen, half-way to the score below it.
  ties = [s for s, f in by_score.items() if f == pytest.approx(best, 1e-12)]
  high = max(ties)
  below = scores[scores < high]
  expected = (below.max() + high) / 2 if below.size else high
  assert threshold == expected


def test_best_threshold_agrees_with_scikit_learn():
  random = np.random.default_rng(0)
  labels = random.random(5000) < 0.1
  scores = random.normal(size=5000) + 1.5 * labels
  threshold, f1 = metrics.best_threshold(scores, labels)
  precision, recall, thresholds = precision_recall_curve(labels, scores)
  with np.errstate(invalid='ignore'):
    f1s = (2 * precision * recall / (precision + recall))[:-1]
  best = np.nanargmax(f1s)
  np.testing.assert_allclose(f1, f1s[best], rtol=1e-15)
  assert thresholds[best - 1] < threshold < thresholds[best]


@given(
  st.dictionaries(st.integers(1, 20), st.integers(1, 5), min_size=1),
)
def test_threshold_is_half_of_f1_for_calibrated_scores(sizes):
  # Exactly k n of 20 n examples with the score k / 20 are positive.
  scores = np.repeat([k / 20 for k in sizes], [20 * n for n in sizes.values()])
  labels = np.concatenate([np.arange(20 * n) < k * n for k, n in sizes.items()])
  threshold, f1 = metrics.best_threshold(scores, labels)
  # Lipton et al., 2014: examples above F1 / 2 are positive, in any set.
  assert (scores[scores >= threshold] >= f1 / 2 - 1e-12).all()
  assert (scores[scores < threshold] <= f1 / 2 + 1e-12).all()


@given(_EXAMPLES, st.randoms(use_true_random=False))
def test_best_threshold_has_no_order(examples, random):
  shuffled = random.sample(examples, len(examples))
  whole = metrics.best_threshold(*_arrays(examples))
  assert metrics.best_threshold(*_arrays(shuffled)) == whole


@pytest.mark.parametrize(
  'scores, labels, best',
  [
    ([0.5], [1], (0.5, 1)),
    ([0.25, 0.75], [0, 1], (0.5, 1)),
    ([0.75, 0.25], [0, 1], (0.25, 2 / 3)),
    ([0.5, 0.5, 0.5], [1, 0, 0], (0.5, 0.5)),
    # F1 is 2 / 3 for one positive and for all four: the fewest.
    ([1.0, 0.5, 0.25, 0.0], [1, 0, 0, 1], (0.75, 2 / 3)),
    # Logits as well as integers.
    ([-3, -1, 2], [0, 1, 1], (-2, 1)),
  ],
)
def test_best_threshold_by_hand(scores, labels, best):
  assert metrics.best_threshold(scores, labels) == pytest.approx(best, 1e-15)


@pytest.mark.parametrize(
  'dtype', [np.float64, np.float32, np.float16, jnp.bfloat16]
)
@pytest.mark.parametrize('low', [0.0, 0.3, 1.0, -1.0])
def test_neighbouring_floats_are_parted(dtype, low):
  low = np.array(low, dtype)
  high = np.nextafter(low, np.array(np.inf, dtype))
  for scores in ([low, high], [high, low]):
    scores = np.array(scores, dtype)
    threshold, f1 = metrics.best_threshold(scores, scores == high)
    assert f1 == 1
    # On the host, and on the device of the scores.
    np.testing.assert_array_equal(scores >= threshold, scores == high)
    np.testing.assert_array_equal(
      scores.astype(np.float64) >= threshold, scores == high
    )


def test_huge_scores():
  scores = np.array([-1e308, 1e308, 1.5e308])
  assert metrics.best_threshold(scores, [0, 0, 1])[0] == 1.25e308
  assert metrics.best_threshold(scores, [0, 1, 1])[0] == 0


@pytest.mark.parametrize(
  'scores, labels, says',
  [
    ([0.1, 0.2], [0, 0], 'No positive label'),
    ([], [], 'lengths of at least 1'),
    ([0.1], [0, 1], r'lengths .* \[\(1,\), \(2,\)\]'),
    ([[0.1]], [[1]], 'lengths'),
    ([np.nan, 0.1], [0, 1], 'finite'),
    ([np.inf, 0.1], [0, 1], 'finite'),
    ([0.1, 0.2], [1, 2], 'True or False'),
  ],
)
def test_no_best_threshold(scores, labels, says):
  with pytest.raises(ValueError, match=says):
    metrics.best_threshold(scores, labels)


def _official_loop(null_scores, answered, not_answered):
  """Does what find_best_thresh of evaluate-v2.0.py does."""
  score = best_score = sum(not_answered)
  best_threshold = 0.0
  for i in sorted(range(len(null_scores)), key=lambda i: null_scores[i]):
    score += answered[i] - not_answered[i]
    if score > best_score:
      best_score, best_threshold = score, null_scores[i]
  return best_threshold, best_score / len(null_scores)


def _questions(null_scores, **how):
  f1 = st.integers(0, 7).map(lambda i: i / 7)
  answerable = st.tuples(null_scores, f1, st.just(0.0))
  unanswerable = st.tuples(null_scores, st.just(0.0), st.just(1.0))
  question = st.one_of(answerable, unanswerable)
  return st.lists(question, min_size=1, max_size=12, **how)


@given(_questions(st.integers(1, 6).map(lambda i: i / 6)))
def test_best_null_threshold_agrees_with_the_official_loop(questions):
  columns = list(zip(*questions, strict=True))
  assert metrics.best_null_threshold(*columns) == _official_loop(*columns)


@given(_questions(st.floats(-9, 9, width=32), unique_by=lambda q: q[0]))
def test_best_null_threshold_does_what_it_says(questions):
  null, answered, not_answered = _arrays(questions)
  threshold, mean = metrics.best_null_threshold(null, answered, not_answered)

  def apply(threshold):
    return np.where(null > threshold, not_answered, answered).mean()

  np.testing.assert_allclose(apply(threshold), mean, rtol=1e-12)
  others = [apply(other) for other in [*null, -10]]
  assert max(others) <= mean + 1e-12


@pytest.mark.parametrize(
  'null, answered, not_answered, best',
  [
    ([0.2, 0.4, 0.6], [1, 1, 0], [0, 0, 1], (0.4, 1)),
    ([0.2, 0.4, 0.6], [1, 1, 1], [0, 0, 0], (0.6, 1)),
    # Giving no answer at all is best.
    ([0.2, 0.4], [0, 0], [1, 1], (0, 1)),
    ([0.0, 0.4], [0, 0], [1, 1], (-1, 1)),
    ([-5.0, 3.0], [0, 0], [1, 1], (-11, 1)),
    # The second gains nothing, so the smallest threshold is taken.
    ([0.2, 0.4], [1, 0], [0, 0], (0.2, 0.5)),
    # No threshold separates a tie; the script's number depends on the order.
    ([0.5, 0.5], [1, 0], [0, 1], (0.5, 1)),
    ([0.5, 0.5], [0, 1], [1, 0], (0, 0.5)),
  ],
)
def test_best_null_threshold_by_hand(null, answered, not_answered, best):
  assert metrics.best_null_threshold(null, answered, not_answered) == best


@pytest.mark.parametrize(
  'null, answered, says',
  [
    ([], [], 'lengths of at least 1'),
    ([0.5], [1, 0], 'lengths'),
    ([np.nan], [1], 'finite'),
  ],
)
def test_no_best_null_threshold(null, answered, says):
  with pytest.raises(ValueError, match=says):
    metrics.best_null_threshold(null, answered, answered)
