"""Tversky losses of elements with class ids, their derivatives by hand.

What `_counts.py` does for any labels, in fewer passes over the logits: of an
element one class has true positives, and all others one false positive. Masks,
sets, devices and the ratio of a set are there; here are elements.
"""

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp

from dicejax.losses._inputs import is_class
from dicejax.losses._softmax import split_top
from dicejax.tversky import Counts


@functools.partial(jax.custom_jvp, nondiff_argnums=(0,))
def element_counts(square, logits, labels, alpha, recoil):
  """What each element adds to the soft counts of each class.

  Args:
    square: bool, whether misses count squared, for a half each.
    logits: float `[..., classes]`, two classes or more.
    labels: int `[...]`.
    alpha: exponent of the decay of easy examples; None for no decay.
    recoil: alpha, or None to take the decay for a constant.

  Returns:
    Counts `[..., classes]`. Only the logits have a gradient.
  """
  q, not_q, wrong = _scores(split_top(logits), labels, alpha)
  true = is_class(labels, logits)
  tp = jnp.where(true, q, 0)
  if square:
    miss = jnp.where(true, jnp.square(not_q), jnp.square(wrong)) / 2
    return Counts(tp, miss, miss)
  return Counts(tp, wrong, jnp.where(true, not_q, 0))


@element_counts.defjvp
def _element_counts_jvp(square, primals, tangents):
  logits, labels, alpha, recoil = primals
  s = split_top(logits)
  q, not_q, wrong = _scores(s, labels, alpha)
  true = is_class(labels, logits)
  change, change_top = _change_of_log_q(s, recoil, tangents[0])
  change = jnp.where(s.top, change_top, change)
  dtp = jnp.where(true, q * change, 0)
  if square:
    dmiss = jnp.where(true, -not_q * q, jnp.square(wrong)) * change
    dcounts = Counts(dtp, dmiss, dmiss)
  else:
    dcounts = Counts(dtp, wrong * change, -dtp)
  return element_counts(square, *primals), dcounts


@functools.partial(jax.custom_jvp, nondiff_argnums=(0,))
def element_loss(square, prices, logits, labels, shares, alpha, recoil):
  """Sum over classes of the Tversky distances of each element.

  A ratio for each element and class would be many passes, were it taken of
  `element_counts`: that takes up to four times as long.

  Args:
    square: see `element_counts`, as for the other arguments.
    prices: Prices, see `_counts.py`.
    logits: float `[..., classes]`, two classes or more.
    labels: int `[...]`.
    shares: `[classes]` or `[]`, of a class in the sum.
    alpha: exponent of the decay, or None.
    recoil: alpha or None.

  Returns:
    `[...]`. Only the logits have a gradient.
  """
  s = split_top(logits)
  true = is_class(labels, logits)
  q = jnp.where(true, 0, _decayed(s.share * s.scale, alpha))
  wrong, _ = _of_wrong(q, square, prices)
  wrong *= jnp.broadcast_to(shares, logits.shape)
  wrong = jnp.sum(jnp.where(s.top, 0, wrong), axis=-1)
  own, _, top, _ = _of_rows(s, labels, square, prices, shares, alpha)
  return wrong + (own + top)[..., 0]


@element_loss.defjvp
def _element_loss_jvp(square, primals, tangents):
  prices, logits, labels, shares, alpha, recoil = primals
  s = split_top(logits)
  true = is_class(labels, logits)
  q = jnp.where(true, 0, _decayed(s.share * s.scale, alpha))
  _, e = _of_wrong(q, square, prices)
  e *= jnp.broadcast_to(shares, logits.shape)
  _, e_own, _, e_top = _of_rows(s, labels, square, prices, shares, alpha)
  e = jnp.where(s.top, 0, jnp.where(true, e_own, e))
  change = functools.partial(_change_of_log_q, s, recoil)
  # The gradient itself: e times the change would be one array more.
  (gradient,) = jax.linear_transpose(change, logits)((e, e_top))
  dloss = jnp.sum(gradient * tangents[1], axis=-1)
  return element_loss(square, *primals), dloss


def _change_of_log_q(s, recoil, dz):
  """Tangent of log q: of each class but the largest, and of that.

  Of a class with log odds u it is (1 - p - recoil p) du, where
    du = (dz - sum_j p_j dz_j) / (1 - p), but of the largest class
    du = dz - sum_{j != top} share_j dz_j / rest.

  Args:
    s: Split.
    recoil: alpha, or None for a decay that is a constant.
    dz: `[..., classes]`, of the logits.

  Returns:
    `[..., classes]`, of no meaning at the top, and `[..., 1]`.
  """
  of_top = jnp.sum(jnp.where(s.top, dz, 0), axis=-1, keepdims=True)
  of_rest = jnp.sum(s.share * dz, axis=-1, keepdims=True)
  du = dz - (s.p_top * of_top + s.scale * of_rest)  # Times 1 - p.
  du_top = of_top - of_rest / s.rest
  not_top = s.rest * s.scale
  if recoil is None:
    return du, not_top * du_top
  p = s.share * s.scale
  return (
    (1 - recoil * p / (1 - p)) * du,
    (not_top - recoil * s.p_top) * du_top,
  )


def _decayed(p, alpha):
  """q of p up to one half."""
  return p if alpha is None else p * jnp.exp(alpha * jnp.log(1 - p))


class _Own(NamedTuple):
  """Of the label's class, `[..., 1]`; q and not_q are 0 if it is no class."""

  label: jax.Array
  right: jax.Array  # It is the largest.
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
  return _Own(label, right, q, not_q, q_top)


def _scores(s, labels, alpha):
  """q and 1 - q of the label `[..., 1]`, q of the other classes."""
  own = _of_label(s, labels, alpha)
  q = jnp.where(s.top, own.q_top, _decayed(s.share * s.scale, alpha))
  return own.q, own.not_q, jnp.where(is_class(labels, s.share), 0, q)


def _of_wrong(q, square, prices):
  """Distance and derivative by log q of classes that are not the label's."""
  fp = prices.alpha * (jnp.square(q) if square else q)
  total = fp + prices.smooth
  total = jnp.where(total > jnp.finfo(total.dtype).tiny, total, 1)
  # A division of its own: XLA would keep one that two passes share.
  inverse = 1 / total
  slope = (2 if square else 1) * (fp * inverse) * (prices.smooth * inverse)
  return fp / total, slope


def _of_rows(s, labels, square, prices, shares, alpha):
  """Of the label, and of the largest class where that is another.

  Returns:
    Distance and derivative by log q of the label; the distance of the largest
    class if it is not the label, its derivative in any case; all `[..., 1]`.
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
  top = jnp.where(own.right, 0, share * top)
  return loss, e, top, jnp.where(own.right, e, share * e_top)


def _at(shares, index):
  return shares[index] if shares.ndim else shares
