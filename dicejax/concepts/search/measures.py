"""Measures: a score from what two sets share and do not share."""

import dataclasses
import fractions
import math
from typing import Protocol

import jax
import jax.numpy as jnp
import numpy as np

from dicejax.tversky import Counts
from dicejax.tversky import tversky_index


class Measure(Protocol):
  """Computes a score from the counts of a query and a candidate; hashable."""

  def __call__(
    self, counts: Counts, contradiction: jax.typing.ArrayLike
  ) -> jax.Array: ...


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
    smaller = jnp.minimum(counts.fp, counts.fn)
    larger = counts.fp + counts.fn - smaller
    alpha, beta = _fraction(self.alpha), _fraction(self.beta)
    counts = Counts(counts.tp, smaller, larger)
    return _index(counts, beta * alpha, beta * (1 - alpha), contradiction)


def on_grid(weights: jax.typing.ArrayLike, step: float = 1 / 64) -> np.ndarray:
  """Rounds weights `[V]` to multiples of a step, so that sums are exact.

  Example:
    >>> on_grid([0.5, 0.33], step=1 / 4).tolist()
    [0.5, 0.25]
  """
  return (np.rint(np.asarray(weights, float) / step) * step).astype(np.float32)


def soft_similarity(
  query: jax.typing.ArrayLike,
  candidate: jax.typing.ArrayLike,
  weights: jax.typing.ArrayLike,
  *,
  measure: Measure = Asymmetric(),  # noqa: B008 -- immutable.
) -> jax.Array:
  r"""Compares sets to which concepts belong in part; differentiable.

  .. math::
    I = \sum w x y \qquad f = \sum w (1 - x) y \qquad b = \sum w x (1 - y)

  With `Asymmetric`, probabilities as `candidate` and labels as `query`, this is
  1 minus `losses.tversky` without smoothing: both papers have one formula.
  `Symmetric` has a kink where f = b.

  Args:
    query: x, `[..., V]` between 0 and 1.
    candidate: y, the same.
    weights: w, `[V]`.
    measure: of the counts.

  Returns:
    `[...]`.

  Example:
    >>> float(soft_similarity([1.0, 0.0], [0.5, 0.0], [1.0, 1.0]))
    0.5263158082962036
  """
  x, y = jnp.asarray(query), jnp.asarray(candidate)
  w = jnp.expand_dims(jnp.asarray(weights), range(x.ndim - 1))
  counts = Counts(
    tp=(w * x * y).sum(-1),
    fp=(w * (1 - x) * y).sum(-1),
    fn=(w * x * (1 - y)).sum(-1),
  )
  return measure(counts, 0)


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
  missed = float(alpha * scale) * counts.fp + float(beta * scale) * counts.fn
  return tversky_index(
    Counts(scale * counts.tp, missed, scale * contradiction), 1, 1
  )
