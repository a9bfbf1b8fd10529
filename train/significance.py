"""Significance of a difference over seeds, test examples and many tests."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy import special


class Difference(NamedTuple):
  """A mean difference, its interval, and the p-value of no difference."""

  mean: float
  low: float
  high: float
  p: float


def paired_difference(
  scores: Sequence[float], baseline: Sequence[float], level: float = 0.95
) -> Difference:
  """Compares two groups of runs that share their seeds, by Student's t.

  Args:
    scores: scores of the runs, one per seed.
    baseline: scores of the runs to compare with, in the same order of seeds.
    level: confidence level of the interval.

  Returns:
    The mean of `scores - baseline`, its interval, and the two-sided p-value of
    the paired t-test. Where all differences are equal, the interval is a point,
    and p is 1 if they are 0 and 0 if not. A single pair has neither: nan.

  Raises:
    ValueError: groups that are empty or of two sizes.

  Example:
    >>> difference = paired_difference([0.5, 0.7, 0.6], [0.4, 0.4, 0.4])
    >>> [round(x, 3) for x in difference]
    [0.2, -0.048, 0.448, 0.074]
  """
  if not 0 < len(scores) == len(baseline):
    raise ValueError(
      f'Expected as many runs as of the baseline, not {len(scores)} and '
      f'{len(baseline)}.'
    )
  differences = np.asarray(scores, np.float64) - np.asarray(baseline)
  n, mean = len(differences), float(differences.mean())
  if n == 1:
    return Difference(mean, np.nan, np.nan, np.nan)
  error = differences.std(ddof=1) / np.sqrt(n)
  # Rounding leaves equal differences a few units of the last place apart.
  if error <= 1e-12 * np.abs(differences).max():
    return Difference(mean, mean, mean, float(mean == 0))
  margin = float(special.stdtrit(n - 1, (1 + level) / 2) * error)
  p = 2 * special.stdtr(n - 1, -abs(mean) / error)
  return Difference(mean, mean - margin, mean + margin, float(p))


def holm(p_values: Sequence[float]) -> list[float]:
  """Adjusts the p-values of a family of tests, by Holm's step-down method.

  The adjusted values may be held against the usual level: the chance of one
  false discovery in the whole family is below it.

  Args:
    p_values: p-values in any order; a nan stays and does not count as a test.

  Example:
    >>> holm([0.01, 0.04, 0.03])
    [0.03, 0.06, 0.06]

  References:
    Holm, `A simple sequentially rejective multiple test procedure
    <https://www.jstor.org/stable/4615733>`_, 1979.
  """
  adjusted = np.array(p_values, np.float64)
  tests = np.flatnonzero(~np.isnan(adjusted))
  order = tests[np.argsort(adjusted[tests], kind='stable')]
  scaled = adjusted[order] * np.arange(len(order), 0, -1)
  adjusted[order] = np.minimum(np.maximum.accumulate(scaled), 1)
  return adjusted.tolist()


def bootstrap_interval(
  counts: np.ndarray,
  baseline: np.ndarray,
  *,
  level: float = 0.95,
  samples: int = 2000,
  seed: int = 0,
) -> tuple[float, float]:
  """Computes the interval of a difference in F1 over resampled test sets.

  Test examples are drawn with replacement, the same ones for all runs; a
  sample's difference is between the mean F1 of both groups of runs.

  Args:
    counts: int `[runs, examples, 3]`: true positives, false positives and false
      negatives of each run in each example.
    baseline: `[runs, examples, 3]` of the runs to compare with, on the same
      examples in the same order; there may be more or fewer runs.
    level: confidence level of the interval.
    samples: number of test sets to draw.
    seed: seed of the draws.

  Returns:
    The ends of the percentile interval.

  Raises:
    ValueError: shapes that do not fit.

  References:
    Berg-Kirkpatrick et al., `An Empirical Investigation of Statistical
    Significance in NLP <https://aclanthology.org/D12-1091>`_, 2012.
  """
  if counts.shape[1:] != baseline.shape[1:] or counts.shape[2:] != (3,):
    raise ValueError(
      'Expected counts [runs, examples, 3] of the same examples, not '
      f'{counts.shape} and {baseline.shape}.'
    )
  n = counts.shape[1]
  stacked = np.concatenate([counts, baseline]).astype(np.float64)
  table = stacked.swapaxes(0, 1).reshape(n, -1)  # One row per example.
  rng = np.random.default_rng(seed)
  differences = []
  for size in [500] * (samples // 500) + [samples % 500]:  # Little memory.
    times = rng.multinomial(n, np.full(n, 1 / n), size=size)
    f1 = _f1((times @ table).reshape(size, len(stacked), 3))
    runs = len(counts)
    differences.append(f1[:, :runs].mean(axis=1) - f1[:, runs:].mean(axis=1))
  tail = (1 - level) / 2
  low, high = np.quantile(np.concatenate(differences), [tail, 1 - tail])
  return float(low), float(high)


def _f1(counts: np.ndarray) -> np.ndarray:
  tp, fp, fn = np.moveaxis(counts, -1, 0)
  total = 2 * tp + fp + fn
  return np.divide(2 * tp, total, out=np.zeros_like(tp), where=total > 0)
