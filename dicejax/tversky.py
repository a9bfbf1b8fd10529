"""The Tversky index: the formula that losses, metrics and concept sets share.

Two sets A (predicted) and B (true) are compared by three counts: how much they
have in common (true positives), what only A has (false positives) and what
only B has (false negatives). Dice, Jaccard, precision, recall and F-beta are
all the same ratio of these with other weights.
"""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class Counts:
  """True positives, false positives and false negatives; they add.

  The fields have one shape and may be hard counts (integers) or soft ones
  (sums of probabilities or of weights), numpy or JAX.
  """

  tp: jax.typing.ArrayLike
  fp: jax.typing.ArrayLike
  fn: jax.typing.ArrayLike

  def __add__(self, other: 'Counts') -> 'Counts':
    return Counts(self.tp + other.tp, self.fp + other.fp, self.fn + other.fn)


def tversky_index(
  counts: Counts,
  alpha: jax.typing.ArrayLike = 0.5,
  beta: jax.typing.ArrayLike = 0.5,
  *,
  smooth: jax.typing.ArrayLike = 0.0,
) -> jax.typing.ArrayLike:
  r"""Overlap of two sets, between 0 (nothing in common) and 1 (equal).

  .. math::
    T = \frac{TP + \gamma}{TP + \alpha\,FP + \beta\,FN + \gamma}

  :math:`\alpha=\beta=\tfrac12` is Dice (= F1), :math:`\alpha=\beta=1` Jaccard,
  :math:`(1, 0)` precision, :math:`(0, 1)` recall.

  Args:
    counts: the three counts, each `[...]`.
    alpha: weight of false positives, at least 0.
    beta: weight of false negatives, at least 0.
    smooth: :math:`\gamma \ge 0`, in the unit of the counts.

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
  return _share(counts.tp + smooth, missed)


def tversky_distance(
  counts: Counts,
  alpha: jax.typing.ArrayLike = 0.5,
  beta: jax.typing.ArrayLike = 0.5,
  *,
  smooth: jax.typing.ArrayLike = 0.0,
) -> jax.typing.ArrayLike:
  r"""One minus the Tversky index, without the subtraction.

  .. math::
    1 - T = \frac{\alpha\,FP + \beta\,FN}{TP + \alpha\,FP + \beta\,FN + \gamma}

  Written so, it keeps all its digits where the sets are almost equal.

  Args:
    counts: the three counts, each `[...]`.
    alpha: weight of false positives, at least 0.
    beta: weight of false negatives, at least 0.
    smooth: :math:`\gamma \ge 0`, in the unit of the counts.

  Returns:
    `[...]`, 0 where the denominator is 0: two empty sets do not differ.

  Example:
    >>> float(tversky_distance(Counts(tp=2, fp=1, fn=1)))
    0.3333333333333333
  """
  missed = alpha * counts.fp + beta * counts.fn
  return _share(missed, counts.tp + smooth)


def _share(part, rest):
  """part / (part + rest), 0 where that is 0 / 0."""
  if isinstance(part + rest, jax.Array):
    return _jax_share(part, rest)
  total = part + rest  # On the host scores stay float64.
  share = np.divide(part, np.where(total != 0, total, 1))
  return np.where(total != 0, share, np.zeros_like(share))


@jax.custom_jvp
def _jax_share(part, rest):
  total = part + rest
  return jnp.where(total != 0, part / jnp.where(total != 0, total, 1), 0)


@_jax_share.defjvp
def _jax_share_jvp(primals, tangents):
  # Of a quotient, the derivative would square, and underflow, small counts; and
  # it would cancel where the share is almost 1.
  (part, rest), (dpart, drest) = primals, tangents
  total = part + rest
  share, other = _jax_share(part, rest), _jax_share(rest, part)
  change = other * dpart - share * drest
  return share, change / jnp.where(total != 0, total, 1)
