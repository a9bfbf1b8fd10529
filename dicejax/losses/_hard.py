"""Hard example mining, as a mask for `where` of any loss."""

import chex
import jax
import jax.numpy as jnp

from dicejax.losses._inputs import check_not_negative


def keep_hardest(
  loss: jax.typing.ArrayLike,
  labels: jax.typing.ArrayLike,
  ratio: jax.typing.ArrayLike | None = None,
  where: jax.typing.ArrayLike | None = None,
  *,
  k: jax.typing.ArrayLike | None = None,
) -> jax.Array:
  r"""Online hard example mining: all positives and the hardest negatives.

  Kept are :math:`\lfloor r P \rfloor` negatives, with P the number of
  positives, or `k`; exactly so many, or all where there are fewer. All elements
  of `loss` compete; `jax.vmap` makes, say, each sentence a competition. Masks
  of the same loss contain one another: `keep_hardest(..., ratio=3) |
  keep_hardest(..., k=16)` keeps three negatives a positive, but at least 16.

  Args:
    loss: float `[...]`, a value for each element, such as `cross_entropy`; of
      two equal ones the first is the harder, and a NaN is the hardest.
    labels: int or bool `[...]`, positive where above 0: class 0 of class ids is
      the negative one. All 0 makes the whole a competition.
    ratio: r >= 0, negatives kept for each positive: 3 is usual. Without a
      positive none is kept.
    where: bool, broadcastable to `loss`; an element with False is not kept,
      not counted, and may be anything.
    k: the number of negatives, in place of `ratio`.

  Returns:
    Bool `[...]`, no gradient flows through it. Divide by what is kept:
    `loss.sum(where=kept) / jnp.maximum(kept.sum(), 1)`.

  Raises:
    AssertionError: types or shapes that do not fit, with both shapes.
    ValueError: not one of `ratio` and `k`, or a negative one.

  Example:
    >>> loss, labels = jnp.array([.1, .7, .2, .9]), jnp.array([1, 0, 0, 0])
    >>> print(keep_hardest(loss, labels, ratio=2))
    [ True  True False  True]

  References:
    Shrivastava et al., `Training Region-based Object Detectors with Online Hard
    Example Mining <https://arxiv.org/abs/1604.03540>`_, 2016.
  """
  if (ratio is None) == (k is None):
    raise ValueError(f'One of ratio and k is wanted, not {ratio=}, {k=}.')
  check_not_negative(ratio=ratio, k=k)
  loss, labels = jnp.asarray(loss), jnp.asarray(labels)
  got = (
    f'loss: {loss.dtype}{list(loss.shape)}, '
    f'labels: {labels.dtype}{list(labels.shape)}.'
  )
  chex.assert_type(loss, float, custom_message=f'Losses are float. {got}')
  chex.assert_equal_shape(
    [loss, labels], custom_message=f'Equal shapes wanted. {got}'
  )
  if jnp.issubdtype(labels.dtype, jnp.floating):
    raise ValueError(f'Which labels are positive? labels > 0.5? {got}')
  where = jnp.asarray(True if where is None else where)
  got = f'where: {where.dtype}{list(where.shape)}, loss: {list(loss.shape)}.'
  chex.assert_type(where, bool, custom_message=got)
  chex.assert_is_broadcastable(where.shape, loss.shape, custom_message=got)
  where = jnp.broadcast_to(where, loss.shape)

  positive, negative = where & (labels > 0), where & (labels <= 0)
  if k is None:
    # One step up: 0.072 * 375 is 27, though 0.072 is rounded down.
    k = jnp.floor(jnp.nextafter(ratio * jnp.sum(positive), jnp.inf))
  hardness = jnp.where(jnp.isnan(loss), jnp.inf, jax.lax.stop_gradient(loss))
  # Sorted by the last key first, and stable.
  order = jnp.lexsort((-hardness.ravel(), ~negative.ravel()))
  chosen = jnp.arange(order.size) < jnp.minimum(k, jnp.sum(negative))
  kept = jnp.zeros_like(chosen).at[order].set(chosen)
  return positive | kept.reshape(loss.shape)
