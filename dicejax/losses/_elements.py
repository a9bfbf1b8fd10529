"""Tversky losses of single elements with class ids, their gradient by hand.

The default of the overlap losses (`axis=()`), and where their time goes. What
`_counts.py` does for any set, in fewer passes over the logits: of an element
one class has true positives, and all others one false positive.
"""

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp

from dicejax.losses._inputs import is_class
from dicejax.losses._softmax import split_top


class Prices(NamedTuple):
  """Of a false positive and a false negative, and what smooths the ratio."""

  alpha: jax.typing.ArrayLike
  beta: jax.typing.ArrayLike
  smooth: jax.typing.ArrayLike


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
  # Let e_c be the derivative of the loss by log q_c, and u_c the log odds of
  # class c. Then d log q_c = (1 - p_c - recoil p_c) d u_c, where
  #   d u_c = (dz_c - sum_j p_j dz_j) / (1 - p_c),
  #   d u_top = dz_top - sum_{j != top} share_j dz_j / rest.
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
  total = jnp.sum(e, axis=-1, keepdims=True)
  gradient = jnp.where(
    s.top,
    e_top - s.p_top * total,
    e - s.share * (s.scale * total + e_top / s.rest),
  )
  loss = element_loss(square, *primals)
  return loss, jnp.sum(gradient * tangents[1], axis=-1)


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


def _of_rows(s, labels, square, prices, shares, alpha, recoil):
  """Of the label, and of the largest class where that is another.

  Returns:
    Distance and derivative by log q of the label; the distance of the largest
    class if it is not the label, its derivative in any case; all `[..., 1]`.
  """
  num_classes = s.share.shape[-1]
  known = ((labels >= 0) & (labels < num_classes))[..., None]
  label = jnp.clip(labels, 0, num_classes - 1)[..., None]
  right = (label == s.index) & known
  small = jnp.take_along_axis(s.share, label, axis=-1, mode='clip') * s.scale
  not_top = s.rest * s.scale
  p = jnp.where(right, s.p_top, small)
  not_p = jnp.where(right, not_top, 1 - small)
  if alpha is None:
    q, not_q, q_top = p, not_p, s.p_top
  else:
    log_not_top = jnp.log(s.rest * s.p_top) - s.gap  # Does not underflow.
    # 1 - q = (1 - decay) + decay (1 - p), in which nothing cancels.
    log_not = jnp.where(right, log_not_top, jnp.log(1 - small))
    lost = -jnp.expm1(alpha * log_not)
    q, not_q = (1 - lost) * p, lost + (1 - lost) * not_p
    q_top = s.p_top * jnp.exp(alpha * log_not_top)

  fn = prices.beta * (jnp.square(not_q) if square else not_q)
  dfn = -prices.beta * (2 * not_q if square else 1) * q
  total = q + fn + prices.smooth
  total = jnp.where(total > 0, total, 1)
  share = _at(shares, label)
  own = jnp.where(known, share * fn / total, 0)
  e_own = jnp.where(known, (share * dfn - own * (q + dfn)) / total, 0)

  top, e_top = _of_wrong(q_top, square, prices)
  share = _at(shares, s.index)
  e_top = jnp.where(right, e_own, share * e_top)
  if recoil is None:
    e_top *= not_top
  else:
    e_own *= 1 - recoil * small / (1 - small)
    e_top *= not_top - recoil * s.p_top
  return own, e_own, jnp.where(right, 0, share * top), e_top


def _at(shares, index):
  return shares[index] if shares.ndim else shares
