"""Tversky losses of a softmax with class ids, their gradient by hand.

What `_counts.py` does for anything, in fewer passes over the logits: of an
element one class has true positives, and all others one false positive.
"""

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp

from dicejax.losses._inputs import is_class
from dicejax.losses._softmax import split_top
from dicejax.tversky import Counts
from dicejax.tversky import tversky_distance


class Prices(NamedTuple):
  """Of a false positive and a false negative, and what smooths the ratio."""

  alpha: jax.typing.ArrayLike
  beta: jax.typing.ArrayLike
  smooth: jax.typing.ArrayLike


class Sets(NamedTuple):
  """Which elements form a set: axes of the logits, and mapped axes."""

  axis: tuple[int, ...]
  axis_name: str | tuple[str, ...] | None


@functools.partial(jax.custom_jvp, nondiff_argnums=(0,))
def element_loss(square, prices, logits, labels, shares, alpha, recoil):
  r"""Sum over classes of the Tversky distances of each element.

  Args:
    square: bool, whether misses count squared.
    prices: Prices.
    logits: float `[..., classes]`, two classes or more.
    labels: int `[...]`.
    shares: `[classes]` or `[]`, of a class in the sum.
    alpha: exponent of the decay of easy examples; None for no decay.
    recoil: alpha, or None to take the decay for a constant.

  Returns:
    `[...]`. Only the logits have a gradient.
  """
  s = split_top(logits)
  true = is_class(labels, logits)
  q = jnp.where(true, 0, _decayed(s.share * s.scale, alpha))
  wrong, _ = _of_wrong(q, square, prices)
  wrong *= jnp.broadcast_to(shares, logits.shape)
  wrong = jnp.sum(jnp.where(s.top, 0, wrong), axis=-1)
  own, _, top, _ = _of_rows(s, labels, square, prices, shares, alpha, recoil)
  return wrong + (own + top)[..., 0]


@element_loss.defjvp
def _element_loss_jvp(square, primals, tangents):
  prices, logits, labels, shares, alpha, recoil = primals
  s = split_top(logits)
  true = is_class(labels, logits)
  p = s.share * s.scale
  q = jnp.where(true, 0, _decayed(p, alpha))
  _, e = _of_wrong(q, square, prices)
  e *= jnp.broadcast_to(shares, logits.shape)
  if recoil is not None:
    e *= 1 - recoil * p / (1 - p)
  _, e_own, _, e_top = _of_rows(
    s, labels, square, prices, shares, alpha, recoil
  )
  e = jnp.where(s.top, 0, jnp.where(true, e_own, e))
  gradient = _gradient(s, e, e_top)
  loss = element_loss(square, *primals)
  return loss, jnp.sum(gradient * tangents[1], axis=-1)


@functools.partial(jax.custom_jvp, nondiff_argnums=(0, 1))
def sets_loss(
  square, sets, prices, logits, labels, where, shares, alpha, recoil
):
  """Sum over classes of the Tversky distances of sets.

  Args:
    square: as of `element_loss`, as for the other arguments.
    sets: Sets.
    prices: Prices.
    logits: float `[..., classes]`, two classes or more.
    labels: int `[...]`.
    where: bool `[...]` or None.
    shares: `[classes]` or `[]`.
    alpha: exponent of the decay, or None.
    recoil: alpha or None.

  Returns:
    `[...]` without the axes of a set. Only the logits have a gradient.
  """
  counts = _counts(square, sets, logits, labels, where, alpha)
  return _of_counts(counts, prices, shares)


@sets_loss.defjvp
def _sets_loss_jvp(square, sets, primals, tangents):
  prices, logits, labels, where, shares, alpha, recoil = primals
  counts = _counts(square, sets, logits, labels, where, alpha)
  slope = jax.grad(lambda c: jnp.sum(_of_counts(c, prices, shares)))(counts)
  tp, fp, fn = (
    jnp.broadcast_to(jnp.expand_dims(x, sets.axis), logits.shape)
    for x in (slope.tp, slope.fp, slope.fn)
  )
  s = split_top(logits)
  q, not_q, wrong = _scores(s, labels, alpha)
  if square:
    miss = fp + fn
    e_own, e = (tp - miss * not_q) * q, miss * jnp.square(wrong)
  else:
    e_own, e = (tp - fn) * q, fp * wrong
  e = jnp.where(is_class(labels, logits), e_own, e)
  if where is not None:
    e = jnp.where(where[..., None], e, 0)
  e_top = jnp.sum(jnp.where(s.top, e, 0), axis=-1, keepdims=True)
  not_top = s.rest * s.scale
  if recoil is None:
    e_top *= not_top
  else:
    p = s.share * s.scale
    e *= 1 - recoil * p / (1 - p)
    e_top *= not_top - recoil * s.p_top
  gradient = _gradient(s, jnp.where(s.top, 0, e), e_top)
  tangent = jnp.sum(gradient * tangents[1], axis=(*sets.axis, logits.ndim - 1))
  if sets.axis_name is not None:
    tangent = jax.lax.psum(tangent, sets.axis_name)
  return sets_loss(square, sets, *primals), tangent


def _gradient(s, e, e_top):
  """By the logits, from derivatives of the loss.

  Of a class with log odds u and the derivative e of the loss by log q,
    d log q = (1 - p - recoil p) du, where
    du = (dz - sum_j p_j dz_j) / (1 - p), but of the largest class
    du = dz - sum_{j != top} share_j dz_j / rest.

  Args:
    s: Split.
    e: `[..., classes]`, e (1 - p - recoil p) / (1 - p), 0 at the top.
    e_top: `[..., 1]`, e (1 - p - recoil p) of the largest.
  """
  total = jnp.sum(e, axis=-1, keepdims=True)
  return jnp.where(
    s.top,
    e_top - s.p_top * total,
    e - s.share * (s.scale * total + e_top / s.rest),
  )


def _decayed(p, alpha):
  """q of p up to one half."""
  return p if alpha is None else p * jnp.exp(alpha * jnp.log(1 - p))


def _of_wrong(q, square, prices):
  """Distance and derivative by log q of classes that are not the label's."""
  fp = prices.alpha * (jnp.square(q) if square else q)
  total = fp + prices.smooth
  total = jnp.where(total > jnp.finfo(total.dtype).tiny, total, 1)
  # A division of its own: XLA would keep one that two passes share.
  inverse = 1 / total
  slope = (2 if square else 1) * (fp * inverse) * (prices.smooth * inverse)
  return fp / total, slope


class _Own(NamedTuple):
  """Of the label's class, `[..., 1]`; q and not_q are 0 if it is no class."""

  label: jax.Array
  known: jax.Array
  right: jax.Array  # It is the largest.
  small: jax.Array  # p, unless it is the largest.
  q: jax.Array
  not_q: jax.Array
  q_top: jax.Array  # Of the largest.


def _of_label(s, labels, alpha):
  num_classes = s.share.shape[-1]
  known = ((labels >= 0) & (labels < num_classes))[..., None]
  label = jnp.clip(labels, 0, num_classes - 1)[..., None]
  right = (label == s.index) & known
  small = jnp.take_along_axis(s.share, label, axis=-1, mode='clip') * s.scale
  p = jnp.where(right, s.p_top, small)
  not_p = jnp.where(right, s.rest * s.scale, 1 - small)
  if alpha is None:
    q, not_q, q_top = p, not_p, s.p_top
  else:
    log_not_top = jnp.log(s.rest * s.p_top) - s.gap  # Does not underflow.
    # 1 - q = (1 - decay) + decay (1 - p), in which nothing cancels.
    log_not = jnp.where(right, log_not_top, jnp.log(1 - small))
    decay, lost = jnp.exp(alpha * log_not), -jnp.expm1(alpha * log_not)
    q, not_q = decay * p, lost + decay * not_p
    q_top = s.p_top * jnp.exp(alpha * log_not_top)
  q, not_q = jnp.where(known, q, 0), jnp.where(known, not_q, 0)
  return _Own(label, known, right, small, q, not_q, q_top)


def _scores(s, labels, alpha):
  """q and 1 - q of the label `[..., 1]`, q of the other classes."""
  own = _of_label(s, labels, alpha)
  q = jnp.where(s.top, own.q_top, _decayed(s.share * s.scale, alpha))
  return own.q, own.not_q, jnp.where(is_class(labels, s.share), 0, q)


def _counts(square, sets, logits, labels, where, alpha):
  q, not_q, wrong = _scores(split_top(logits), labels, alpha)
  if square:
    not_q, wrong = jnp.square(not_q), jnp.square(wrong)
  if where is not None:
    real = where[..., None]
    q, not_q, wrong = (jnp.where(real, x, 0) for x in (q, not_q, wrong))
  true = is_class(labels, logits)
  tp, fn, fp = (
    jnp.sum(x, sets.axis)
    for x in (jnp.where(true, q, 0), jnp.where(true, not_q, 0), wrong)
  )
  if square:  # Half of each miss.
    fp = fn = (fp + fn) / 2
  counts = Counts(tp, fp, fn)
  if sets.axis_name is not None:
    counts = jax.lax.psum(counts, sets.axis_name)
  return counts


def _of_counts(counts, prices, shares):
  distance = tversky_distance(
    counts, prices.alpha, prices.beta, smooth=prices.smooth
  )
  return jnp.sum(distance * jnp.broadcast_to(shares, distance.shape), axis=-1)


def _of_rows(s, labels, square, prices, shares, alpha, recoil):
  """Of the label, and of the largest class where that is another.

  Returns:
    Distance and derivative (see `_gradient`) of the label; the distance of the
    largest class if it is not the label, its derivative in any case; all
    `[..., 1]`.
  """
  own = _of_label(s, labels, alpha)
  q, not_q = own.q, own.not_q
  fn = prices.beta * (jnp.square(not_q) if square else not_q)
  dfn = -prices.beta * (2 * not_q if square else 1) * q
  total = q + fn + prices.smooth
  total = jnp.where(total > 0, total, 1)
  share = _at(shares, own.label)
  loss = fn / total
  # (1 - loss) dfn - loss q, in which nothing cancels.
  e = share * ((q + prices.smooth) / total * dfn - loss * q) / total
  loss *= share

  top, e_top = _of_wrong(own.q_top, square, prices)
  share = _at(shares, s.index)
  e_top = jnp.where(own.right, e, share * e_top)
  not_top = s.rest * s.scale
  if recoil is None:
    e_top *= not_top
  else:
    e *= 1 - recoil * own.small / (1 - own.small)
    e_top *= not_top - recoil * s.p_top
  return loss, e, jnp.where(own.right, 0, share * top), e_top


def _at(shares, index):
  return shares[index] if shares.ndim else shares
