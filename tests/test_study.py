"""Statistics of the study against other minds, and its page."""

import itertools

import numpy as np
import pytest
from scipy import stats
from sklearn import metrics as sklearn

from train import significance


@pytest.mark.parametrize('n', [2, 5, 20])
def test_paired_difference_is_that_of_scipy(n):
  rng = np.random.default_rng(n)
  a, b = rng.normal(0.5, 0.1, (2, n))
  difference = significance.paired_difference(a, b, level=0.9)
  other = stats.ttest_rel(a, b)
  interval = other.confidence_interval(0.9)
  np.testing.assert_allclose(
    difference,
    [np.mean(a) - np.mean(b), interval.low, interval.high, other.pvalue],
    rtol=1e-10,
  )


def test_differences_without_a_spread():
  paired = significance.paired_difference
  assert paired([0.5, 0.7], [0.5, 0.7]) == (0, 0, 0, 1)
  equal = paired([0.3, 0.4, 0.7], [0.2, 0.3, 0.6])
  assert equal.low == equal.mean == equal.high and equal.p == 0
  assert np.isnan(paired([0.5], [0.25])[1:]).all()
  with pytest.raises(ValueError, match='not 2 and 1'):
    paired([0.5, 0.6], [0.5])


def test_a_true_difference_is_in_the_interval_as_often_as_it_says():
  rng = np.random.default_rng(0)
  runs = rng.normal(0, 0.02, (2, 4000, 5)) + rng.normal(0, 1, (4000, 5))
  found = [
    significance.paired_difference(*pair) for pair in runs.swapaxes(0, 1)
  ]
  covered = np.mean([d.low <= 0 <= d.high for d in found])
  assert abs(covered - 0.95) < 0.012  # Three and a half standard errors.
  assert covered == np.mean([d.p >= 0.05 for d in found])


def test_holm_is_the_closure_of_bonferroni():
  """A hypothesis falls if every intersection with it does."""
  rng = np.random.default_rng(0)
  for p in rng.uniform(0, 0.2, (20, 4)):
    subsets = [
      list(s) for k in range(1, 5) for s in itertools.combinations(range(4), k)
    ]
    closed = [
      max(min(1, len(s) * p[s].min()) for s in subsets if i in s)
      for i in range(4)
    ]
    np.testing.assert_allclose(significance.holm(p), closed)
  adjusted = significance.holm([0.01, np.nan, 0.02])
  np.testing.assert_allclose(adjusted, [0.02, np.nan, 0.02])
  assert significance.holm([]) == []


def binary_counts(gold, predicted):
  columns = gold & predicted, predicted & ~gold, gold & ~predicted
  return np.stack(columns, axis=-1).astype(int)


def test_bootstrap_is_resampling_with_f1_of_scikit_learn():
  rng = np.random.default_rng(0)
  n, samples = 60, 500
  gold = rng.random(n) < 0.3
  runs = gold ^ (rng.random((5, n)) < 0.2)
  counts = np.array([binary_counts(gold, run) for run in runs])
  # By hand, with the same draws.
  times = np.random.default_rng(7).multinomial(n, np.full(n, 1 / n), 500)
  f1 = [
    [
      sklearn.f1_score(gold, run, sample_weight=t, zero_division=0)
      for t in times
    ]
    for run in runs
  ]
  differences = np.mean(f1[:3], axis=0) - np.mean(f1[3:], axis=0)
  low, high = significance.bootstrap_interval(
    counts[:3], counts[3:], samples=500, seed=7
  )
  np.testing.assert_allclose(
    [low, high], np.quantile(differences, [0.025, 0.975])
  )
  # Not far from other draws, and nothing for equal runs.
  other = significance.bootstrap_interval(
    counts[:3], counts[3:], samples=samples, seed=8
  )
  np.testing.assert_allclose([low, high], other, atol=0.05)
  assert significance.bootstrap_interval(counts, counts) == (0, 0)


def test_bootstrap_is_as_wide_as_test_sets_differ():
  """The interval of one test set, beside the spread over many."""
  rng = np.random.default_rng(0)
  differences = []
  for _ in range(400):
    gold = rng.random(500) < 0.2
    runs = [gold ^ (rng.random(500) < wrong) for wrong in (0.1, 0.15)]
    counts = [binary_counts(gold, run)[None] for run in runs]
    f1 = [sklearn.f1_score(gold, run) for run in runs]
    differences.append(f1[0] - f1[1])
  low, high = significance.bootstrap_interval(*counts)
  spread = np.quantile(differences, [0.025, 0.975])
  assert (high - low) == pytest.approx(spread[1] - spread[0], rel=0.2)


def test_bootstrap_refuses_other_examples():
  with pytest.raises(ValueError, match=r'not \(2, 5, 3\) and \(2, 4, 3\)'):
    significance.bootstrap_interval(np.ones((2, 5, 3)), np.ones((2, 4, 3)))
