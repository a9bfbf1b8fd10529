"""Measures: a score from what two sets share and do not share.

They work on numpy arrays and on those of JAX. JAX is imported for the latter
only: importing it takes longer than a search.
"""

from __future__ import annotations

import dataclasses
import fractions
import math
from typing import TYPE_CHECKING
from typing import Any
from typing import NamedTuple
from typing import Protocol

import numpy as np

if TYPE_CHECKING:
  from jax.typing import ArrayLike

  from dicejax.tversky import Counts


class SetCounts(NamedTuple):
  """Weights of concepts in both and in one: `Counts` without JAX."""

  tp: Any
  fp: Any
  fn: Any


class Measure(Protocol):
  """Computes a score from the counts of a query and a candidate; hashable."""

  def __call__(
    self, counts: Counts | SetCounts, contradiction: ArrayLike
  ) -> Any: ...


@dataclasses.dataclass(frozen=True)
class Asymmetric:
  r"""Prefers candidates that have too much to candidates that lack something.

  .. math::
    S = \frac{I}{I + \alpha f + \beta b}

  The default finds rare findings best, with information content as weights
  (`benchmarks/concepts.py`).

  Attributes:
    alpha: weight of what only the candidate has, at least 0.
    beta: weight of what only the query has, at least 0.
  """

  alpha: float = 0.1
  beta: float = 0.9

  def __call__(self, counts, contradiction=0):
    del contradiction
    return _index(counts, _fraction(self.alpha), _fraction(self.beta), 0)


@dataclasses.dataclass(frozen=True)
class Symmetric:
  r"""The paper's measure.

  .. math::
    S = \frac{I}{I + \beta\,(\alpha \min(f, b) + (1 - \alpha) \max(f, b)) + c}

  where c is the weight of the concepts that the query says are there and are
  not. :math:`\alpha = \tfrac12, \beta = 1` is Dice, :math:`\beta = 2` Jaccard.

  Attributes:
    alpha: share of the smaller difference, between 0 and 1.
    beta: weight of the differences, at least 0.
  """

  alpha: float = 0.5
  beta: float = 1.0

  def __post_init__(self):
    if self.alpha > 1:
      raise ValueError(
        f'alpha is at most 1 in the symmetric measure, got {self.alpha}.'
      )

  def __call__(self, counts, contradiction=0):
    both = counts.fp + counts.fn
    # The smaller of two exact sums, for arrays of either kind.
    smaller = (both - abs(counts.fp - counts.fn)) / 2
    alpha, beta = _fraction(self.alpha), _fraction(self.beta)
    counts = SetCounts(counts.tp, smaller, both - smaller)
    return _index(counts, beta * alpha, beta * (1 - alpha), contradiction)


def on_grid(weights: ArrayLike, step: float = 1 / 64) -> np.ndarray:
  """Rounds weights `[V]` to multiples of a step, so that sums are exact.

  Example:
    >>> on_grid([0.5, 0.33], step=1 / 4).tolist()
    [0.5, 0.25]
  """
  return (np.rint(np.asarray(weights, float) / step) * step).astype(np.float32)


def _fraction(number):
  """Finds the simple fraction that a decimal stands for, if there is one."""
  simple = fractions.Fraction(number).limit_denominator(1000)
  return simple if float(simple) == number else fractions.Fraction(number)


def _index(counts, alpha, beta, contradiction):
  # A tenth is not a float32, but ten times the counts are: all numbers of the
  # ratio stay whole, and only the division rounds.
  scale = math.lcm(alpha.denominator, beta.denominator)
  if scale > 1000:  # Whole numbers would outgrow float32: as they are.
    scale = 1
  shared, against = scale * counts.tp, scale * contradiction
  missed = float(alpha * scale) * counts.fp + float(beta * scale) * counts.fn
  total = shared + (missed + against)
  if isinstance(total, np.ndarray):
    return np.divide(shared, total, out=np.zeros_like(total), where=total != 0)
  from dicejax.tversky import Counts
  from dicejax.tversky import tversky_index

  return tversky_index(Counts(shared, missed, against), 1, 1)
