"""The Tversky index: the formula that losses, metrics and concept sets share.

Two sets A (predicted) and B (true) are compared by three counts: the elements
of both (true positives), of A alone (false positives) and of B alone (false
negatives). Dice, Jaccard, precision, recall and F-beta are the same ratio of
these with different weights.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class Counts:
  """True positives, false positives and false negatives, which add up.

  The three fields have one shape. They may be hard counts (integers) or soft
  ones (sums of probabilities or weights), in numpy or JAX.
  """

  tp: Any
  fp: Any
  fn: Any

  def __add__(self, other: Counts) -> Counts:
    return Counts(self.tp + other.tp, self.fp + other.fp, self.fn + other.fn)


def tversky_index(
  counts: Counts,
  alpha: ArrayLike = 0.5,
  beta: ArrayLike = 0.5,
  *,
  smooth: ArrayLike = 0.0,
) -> jax.Array | np.ndarray:
  r"""Computes the overlap of two sets, from 0 (disjoint) to 1 (equal).

  .. math::
    T = \frac{TP + \gamma}{TP + \alpha\,FP + \beta\,FN + \gamma}

  :math:`\alpha=\beta=\tfrac12` is Dice (= F1), :math:`\alpha=\beta=1` Jaccard,
  :math:`(1, 0)` precision, :math:`(0, 1)` recall.

  Args:
    counts: the three counts, each `[...]`.
    alpha: weight of false positives, at least 0.
    beta: weight of false negatives, at least 0.
    smooth: :math:`\gamma \ge 0`, in units of counts.

  Returns:
    `[...]`, 0 where the denominator is 0. Integer counts on the host (numpy
    arrays, Python numbers) give numpy float64, JAX arrays give JAX arrays.

  Example:
    >>> float(tversky_index(Counts(tp=2, fp=1, fn=1)))
    0.6666666666666666

  References:
    Tversky, `Features of similarity
    <https://doi.org/10.1037/0033-295X.84.4.327>`_, 1977.
  """
  missed = alpha * counts.fp + beta * counts.fn
  return _ratio(counts.tp + smooth, missed)


def tversky_distance(
  counts: Counts,
  alpha: ArrayLike = 0.5,
  beta: ArrayLike = 0.5,
  *,
  smooth: ArrayLike = 0.0,
) -> jax.Array | np.ndarray:
  r"""Computes one minus the Tversky index, without the subtraction.

  .. math::
    1 - T = \frac{\alpha\,FP + \beta\,FN}{TP + \alpha\,FP + \beta\,FN + \gamma}

  This form keeps all its digits where the sets are almost equal.

  Args:
    counts: the three counts, each `[...]`.
    alpha: weight of false positives, at least 0.
    beta: weight of false negatives, at least 0.
    smooth: :math:`\gamma \ge 0`, in units of counts.

  Returns:
    `[...]`, 0 where the denominator is 0: two empty sets do not differ.

  Example:
    >>> float(tversky_distance(Counts(tp=2, fp=1, fn=1)))
    0.3333333333333333
  """
  missed = alpha * counts.fp + beta * counts.fn
  return _ratio(missed, counts.tp + smooth)


def _ratio(part, rest) -> jax.Array | np.ndarray:
  """part / (part + rest), and 0 where that is 0 / 0."""
  if isinstance(part + rest, jax.Array):
    return _jax_ratio(part, rest)
  total = part + rest  # numpy, which keeps scores on the host in float64.
  ratio = np.divide(part, np.where(total != 0, total, 1))
  return np.where(total != 0, ratio, np.zeros_like(ratio))


@jax.custom_jvp
def _jax_ratio(part, rest):
  total = part + rest
  return jnp.where(total != 0, part / jnp.where(total != 0, total, 1), 0)


@_jax_ratio.defjvp
def _jax_ratio_jvp(primals, tangents):
  # The quotient rule would square small counts, which underflows, and would
  # cancel where the ratio is almost 1.
  (part, rest), (dpart, drest) = primals, tangents
  total = part + rest
  ratio, other = _jax_ratio(part, rest), _jax_ratio(rest, part)
  change = other * dpart - ratio * drest
  return ratio, change / jnp.where(total != 0, total, 1)
