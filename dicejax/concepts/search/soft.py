"""The similarity of sets to which concepts belong in part."""

import jax
import jax.numpy as jnp

from dicejax.concepts.search.measures import Asymmetric
from dicejax.concepts.search.measures import Measure
from dicejax.tversky import Counts


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
