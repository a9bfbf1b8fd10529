"""Hard example mining, as a mask for `where` of any loss."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from dicejax.losses._inputs import check_not_negative
from dicejax.losses._inputs import check_shape
from dicejax.losses._inputs import check_where
from dicejax.losses._inputs import describe


def keep_hardest(
  loss: ArrayLike,
  labels: ArrayLike,
  ratio: ArrayLike | None = None,
  where: ArrayLike | None = None,
  *,
  k: ArrayLike | None = None,
) -> jax.Array:
  r"""Selects all positives and the hardest negatives (OHEM).

  Keeps exactly :math:`\lfloor r P \rfloor` negatives, with P the number of
  positives, or exactly `k`; all of them where there are fewer. All elements of
  `loss` compete with each other; `jax.vmap` makes each sentence, say, a
  competition of its own. If two masks are made from one loss, one contains the
  other, and so
  `keep_hardest(..., ratio=3) | keep_hardest(..., k=16)` keeps three negatives
  per positive, but at least 16.

  Args:
    loss: float `[...]`, a value for each element, such as `cross_entropy`. Of
      equal values the first counts as the hardest, and NaN as harder than any
      number.
    labels: int or bool `[...]`, positive where above 0: class 0 of class ids is
      the negative one. With labels of 0 only, all elements compete.
    ratio: r >= 0, negatives kept per positive; 3 is usual. Without a positive
      none is kept.
    where: bool, broadcastable to `loss`; an element with False is neither kept
      nor counted, whatever its values are.
    k: the number of negatives, instead of `ratio`.

  Returns:
    bool `[...]`, for `where`; no gradient flows through it. Divide by the
    number kept: `loss.sum(where=kept) / jnp.maximum(kept.sum(), 1)`.

  Raises:
    AssertionError: shapes that do not fit; the message has both.
    TypeError: a loss that is not floating point, labels that are not int or
      bool, a `where` that is not bool.
    ValueError: both or neither of `ratio` and `k`, or a negative one.

  Example:
    >>> loss, labels = jnp.array([.1, .7, .2, .9]), jnp.array([1, 0, 0, 0])
    >>> print(keep_hardest(loss, labels, ratio=2))
    [ True  True False  True]

  References:
    Shrivastava et al., `Training Region-based Object Detectors with Online Hard
    Example Mining <https://arxiv.org/abs/1604.03540>`_, 2016.
  """
  if (ratio is None) == (k is None):
    raise ValueError(f'Pass exactly one of ratio and k, got {ratio=}, {k=}.')
  check_not_negative(ratio=ratio, k=k)
  loss, labels = jnp.asarray(loss), jnp.asarray(labels)
  arrays = describe(loss=loss, labels=labels)
  if not jnp.issubdtype(loss.dtype, jnp.floating):
    raise TypeError(f'{arrays}: loss must be floating point.')
  check_shape(
    labels, loss.shape, f'{arrays}: labels must be shaped like the loss.'
  )
  if jnp.issubdtype(labels.dtype, jnp.floating):
    raise TypeError(
      f'{arrays}: labels must be int or bool. Pass `labels > 0.5` to choose a '
      'threshold.'
    )
  where = check_where(True if where is None else where, loss.shape)

  positive, negative = where & (labels > 0), where & (labels <= 0)
  if ratio is not None:
    # One float up before rounding down: 0.072 * 375 is 27, but comes out below.
    k = jnp.floor(jnp.nextafter(ratio * jnp.sum(positive), jnp.inf))
  assert k is not None  # Exactly one of the two is given.
  hardness = jnp.where(jnp.isnan(loss), jnp.inf, jax.lax.stop_gradient(loss))
  k = jnp.minimum(k, jnp.sum(negative))
  keys = _sortable_bits(hardness)
  least = _kth_largest(keys, k, negative)
  above, tied = negative & (keys > least), negative & (keys == least)
  # The first of those that tie fill the places that are left.
  places = k - jnp.sum(above)
  first = jnp.cumsum(tied.ravel()).reshape(tied.shape) <= places
  return positive | above | (tied & first)


def _sortable_bits(x):
  """Maps floats to unsigned integers of the same order."""
  x = x.astype(jnp.promote_types(x.dtype, jnp.float32))
  x = jnp.where(x == 0, 0.0, x)  # -0.0 equals 0.0, but has other bits.
  bits = jax.lax.bitcast_convert_type(x, f'uint{8 * x.dtype.itemsize}')
  sign = jnp.array(1 << (8 * x.dtype.itemsize - 1), bits.dtype)
  # The bits of a negative float rise as it falls.
  return jnp.where((bits & sign) > 0, ~bits, bits | sign)


def _kth_largest(keys, k, where):
  """Returns the k-th largest of some unsigned integers; k may be traced.

  It finds one bit after another by counting. That takes 32 passes over the
  keys, a small part of the time of sorting them.
  """
  width = 8 * keys.dtype.itemsize

  def set_bit(i, found):
    higher = found | jnp.left_shift(
      jnp.array(1, keys.dtype), (width - 1 - i).astype(keys.dtype)
    )
    enough = jnp.sum(where & (keys >= higher)) >= k
    return jnp.where(enough, higher, found)

  return jax.lax.fori_loop(0, width, set_bit, jnp.zeros((), keys.dtype))
