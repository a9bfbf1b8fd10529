"""Soft counts of sets: what the overlap losses know of masks, axes, devices.

Here elements are masked and summed, over mapped devices too, and the ratio is
taken. What a single element adds comes from `_class_ids.py` where labels are
class ids, and else from the functions below.
"""

import numbers
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from dicejax.losses._class_ids import element_counts
from dicejax.losses._class_ids import element_loss
from dicejax.losses._inputs import check_class_weights
from dicejax.losses._inputs import check_inputs
from dicejax.losses._inputs import check_not_negative
from dicejax.losses._inputs import is_class
from dicejax.losses._softmax import one_vs_rest
from dicejax.losses._softmax import split_top
from dicejax.tversky import Counts
from dicejax.tversky import tversky_distance


class Prices(NamedTuple):
  """Of a false positive and a false negative, and what smooths the ratio."""

  alpha: jax.typing.ArrayLike
  beta: jax.typing.ArrayLike
  smooth: jax.typing.ArrayLike


# What an element adds to the counts of a class, from q, 1 - q and y; y is bool
# for class ids, else a number.


def products(q, not_q, y):
  """Soft counts as they are usually meant."""
  return _and(q, y), _and_not(q, y), _and(not_q, y)


def squares(q, not_q, y):
  """Misses squared: 2 tp + fp + fn becomes q^2 + y^2."""
  tp, fp, fn = products(q, not_q, y)
  miss = jnp.square(fp - fn) / 2
  return tp, miss, miss


def powers(gamma, q, not_q, y):
  """Misses to the power of gamma, at least 1."""
  tp, fp, fn = products(q, not_q, y)
  gamma = jnp.asarray(gamma, q.dtype)
  return tp, jnp.power(fp, gamma), jnp.power(fn, gamma)


def minima(q, not_q, y):
  """What q and y have in common and what one has more: 0 misses at q = y."""
  y = jnp.asarray(y, q.dtype)
  # 1 - y and 1 - q in place of y - q: digits of a q near 1. Where q rounds to a
  # y of 0 or 1 it still is on one side of it, and no tie.
  return (
    jnp.minimum(q, y),
    jnp.where(y < 1, jnp.maximum(q - y, 0), 0),
    jnp.where(y > 0, jnp.maximum(not_q - (1 - y), 0), 0),
  )


def _and(q, y):
  return jnp.where(y, q, 0) if y.dtype == bool else q * y


def _and_not(q, y):
  return jnp.where(y, 0, q) if y.dtype == bool else q * (1 - y)


def soft_counts(
  logits: jax.typing.ArrayLike,
  labels: jax.typing.ArrayLike,
  *,
  alpha: jax.typing.ArrayLike = 0.0,
  square: bool = False,
  decay_gradient: str = 'full',
  axis: int | tuple[int, ...] | None = None,
  where: jax.typing.ArrayLike | None = None,
  axis_name: str | tuple[str, ...] | None = None,
  activation: str | None = None,
) -> Counts:
  r"""Soft true positives, false positives and false negatives of sets.

  .. math::
    TP = \sum_i q_i y_i, \quad FP = \sum_i q_i (1 - y_i), \quad
    FN = \sum_i (1 - q_i) y_i, \qquad q_i = (1 - p_i)^\alpha p_i

  What the overlap losses are ratios of. Counts add: over parts of a set that do
  not fit in memory together, with `accumulate`, as over devices.

  Args:
    logits: float `[examples..., classes]` for softmax, `[examples...]` for
      independent sigmoids. Never probabilities: that cannot be checked.
    labels: int class ids `[examples...]` (softmax), or of the shape of the
      logits (sigmoid).
    alpha: exponent of the decay of `self_adjusting_dice`, at least 0.
    square: the misses FP and FN squared, each for a half, which makes
      :math:`2 TP + FP + FN` the sum of :math:`q_i^2` and :math:`y_i^2`.
    decay_gradient: see `self_adjusting_dice`.
    axis: see `dice`.
    where: see `dice`.
    axis_name: see `dice`.
    activation: see `dice`.

  Returns:
    Counts, float32 (float64 for such logits), of the example axes that are left
    and, with softmax, `classes`.

  Raises:
    AssertionError: types or shapes that do not fit, with both shapes.
    ValueError: as of `self_adjusting_dice`.

  Example:
    >>> logits = jnp.array([9., -9., 9.])
    >>> counts = soft_counts(logits, jnp.array([1, 0, 0]))
    >>> print(f'{tversky_distance(counts, smooth=.5):.3f}')  # dice, smooth=1
    0.250

  References:
    Li et al., `Dice Loss for Data-imbalanced NLP Tasks
    <https://aclanthology.org/2020.acl-main.45>`_, 2020.
  """
  x = check_inputs(logits, labels, where, activation)
  axis = example_axes(axis, x.logits.ndim, x.softmax)
  decay = _decay(x, alpha, decay_gradient)
  return _count(x, squares if square else products, decay, axis, axis_name)


def set_loss(
  prices: Prices,
  logits: jax.typing.ArrayLike,
  labels: jax.typing.ArrayLike,
  *,
  overlap: Callable = products,
  transform: Callable[[jax.Array], jax.Array] | None = None,
  alpha: jax.typing.ArrayLike = 0.0,
  decay_gradient: str = 'full',
  axis: int | tuple[int, ...] | None,
  where: jax.typing.ArrayLike | None,
  class_weights: jax.typing.ArrayLike | None,
  axis_name: str | tuple[str, ...] | None,
  activation: str | None,
) -> jax.Array:
  """Tversky distance of predicted and true sets, averaged over softmax classes.

  Args:
    prices: of misses.
    logits: float, see the public losses, as for the other arguments.
    labels: class ids, or of the shape of the logits.
    overlap: one of the functions above.
    transform: of the distance of each set and class, 0 at 0.
    alpha: exponent of the decay (1 - p)^alpha, at least 0.
    decay_gradient: 'full' or 'stop'.
    axis: axes of the logits whose elements form a set; None for all.
    where: bool, broadcastable to the example axes.
    class_weights: `[classes]`, at least 0, softmax only.
    axis_name: mapped axes over which a set extends.
    activation: None, 'softmax' or 'sigmoid'.

  Returns:
    `[example axes without axis]`.
  """
  x = check_inputs(logits, labels, where, activation)
  axis = example_axes(axis, x.logits.ndim, x.softmax)
  shares = None
  if x.softmax:
    shares = _class_shares(x.logits, class_weights)
  elif class_weights is not None:
    raise ValueError('class_weights weighs the classes of a softmax.')
  # Constants, in the type of the logits.
  prices = Prices(
    *(jax.lax.stop_gradient(jnp.asarray(p, x.logits.dtype)) for p in prices)
  )
  decay = _decay(x, alpha, decay_gradient)
  single = axis == () and axis_name is None
  if single and transform is None and _by_hand(x, overlap):
    square = overlap is squares
    loss = element_loss(square, prices, x.logits, x.labels, shares, *decay)
    return loss if x.where is None else jnp.where(x.where, loss, 0)
  counts = _count(x, overlap, decay, axis, axis_name)
  loss = tversky_distance(
    counts, prices.alpha, prices.beta, smooth=prices.smooth
  )
  if transform is not None:
    loss = transform(loss)
  if not x.softmax:
    return loss
  return jnp.sum(loss * jnp.broadcast_to(shares, loss.shape), axis=-1)


def set_mean(
  values: jax.Array,
  where: jax.Array | None,
  axis: tuple[int, ...],
  axis_name: str | tuple[str, ...] | None,
) -> jax.Array:
  """Mean over the elements of each set, 0 of none; values `[examples...]`."""
  real = jnp.ones(values.shape, bool) if where is None else where
  total = jnp.sum(values, axis), jnp.sum(real, axis)
  if axis_name is not None:
    total = jax.lax.psum(total, axis_name)
  return total[0] / jnp.maximum(total[1], 1)


def _count(x, overlap, decay, axis, axis_name):
  parts = _of_elements(x, overlap, decay)
  if x.where is not None:
    real = x.where[..., None] if x.softmax else x.where
    parts = jax.tree.map(lambda part: jnp.where(real, part, 0), parts)
  counts = jax.tree.map(lambda part: jnp.sum(part, axis), parts)
  return counts if axis_name is None else jax.lax.psum(counts, axis_name)


def _of_elements(x, overlap, decay):
  """What each element adds to the counts of each class."""
  if _by_hand(x, overlap):
    return element_counts(overlap is squares, x.logits, x.labels, *decay)
  q, not_q = _scores(x, *decay)
  y = is_class(x.labels, x.logits) if x.class_ids else x.labels
  return Counts(*overlap(q, not_q, y))


def _by_hand(x, overlap):
  """Whether `_class_ids.py` has it."""
  several = x.class_ids and x.logits.shape[-1] > 1
  return several and overlap in (products, squares)


def _decay(x, alpha, decay_gradient):
  """Exponents of q = (1-p)^alpha p and of its derivative; None for none."""
  if decay_gradient not in ('full', 'stop'):
    raise ValueError(
      f"decay_gradient is 'full' or 'stop', not {decay_gradient!r}."
    )
  check_not_negative(alpha=alpha)
  if isinstance(alpha, numbers.Real) and alpha == 0:
    return None, None
  alpha = jax.lax.stop_gradient(jnp.asarray(alpha, x.logits.dtype))
  return alpha, alpha if decay_gradient == 'full' else None


def _scores(x, alpha, recoil):
  """q and 1 - q of every logit, `[..., classes]` with softmax."""
  if not x.softmax:
    return _binary_scores(x.logits, alpha, recoil)
  if x.logits.shape[-1] == 1:
    return _binary_scores(one_vs_rest(x.logits), alpha, recoil)
  s = split_top(x.logits)
  q = s.share * s.scale
  if alpha is not None:
    decay = jnp.exp(alpha * jnp.log(1 - q))
    q *= decay if recoil is not None else jax.lax.stop_gradient(decay)
  q_top, not_q_top = _binary_scores(s.odds_top, alpha, recoil)
  return jnp.where(s.top, q_top, q), jnp.where(s.top, not_q_top, 1 - q)


def _binary_scores(odds, alpha, recoil):
  log_q = jax.nn.log_sigmoid(odds)
  if alpha is not None:
    log_decay = alpha * jax.nn.log_sigmoid(-odds)
    if recoil is None:
      log_decay = jax.lax.stop_gradient(log_decay)
    log_q += log_decay
  return jnp.exp(log_q), _one_minus_exp(log_q)


@jax.custom_jvp
def _one_minus_exp(x):
  """1 - e^x. JAX has the derivative of expm1 as expm1 + 1, which rounds it."""
  return -jnp.expm1(x)


@_one_minus_exp.defjvp
def _one_minus_exp_jvp(primals, tangents):
  (x,), (dx,) = primals, tangents
  return _one_minus_exp(x), -jnp.exp(x) * dx


def _class_shares(logits, class_weights):
  """Of each class in the mean over classes: `[classes]`, or one for all."""
  if class_weights is None:
    return jnp.asarray(1 / logits.shape[-1], logits.dtype)
  weights = check_class_weights(class_weights, logits)
  total = jnp.sum(weights)
  return weights / jnp.where(total > 0, total, 1)


def example_axes(axis, ndim: int, softmax: bool) -> tuple[int, ...]:
  """`axis` as non-negative axes of the logits, all example axes for None."""
  examples = range(ndim - 1 if softmax else ndim)
  if axis is None:
    return tuple(examples)
  axes = np.atleast_1d(axis).tolist()
  normal = tuple(a + ndim if a < 0 else a for a in axes)
  if len(set(normal)) < len(axes) or not set(normal) <= set(examples):
    class_axis = f'; axis {ndim - 1} holds the classes' if softmax else ''
    raise ValueError(
      f'axis={axis!r} does not name different example axes of logits of '
      f'rank {ndim}{class_axis}.'
    )
  return normal
