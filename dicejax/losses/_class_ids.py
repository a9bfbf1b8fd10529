"""Soft counts and Tversky losses of class ids, with derivatives by hand.

This is a faster form of `_elements.py` for the common labels. For a class id,
exactly one class gets a true positive or a false negative, and every other
class gets a false positive. Using that saves most passes over the logits, and
writing the derivatives out saves the arrays that automatic differentiation
would keep. Masks, sets and devices are the business of `_sets.py`.
"""

from __future__ import annotations

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from dicejax.losses._softmax import Split
from dicejax.losses._softmax import is_class
from dicejax.losses._softmax import split_largest
from dicejax.tversky import Counts


class Decay(NamedTuple):
  """The factor (1 - p)^alpha that makes easy examples count less.

  Attributes:
    alpha: the exponent, or None for no factor.
    slope: alpha where the factor is differentiated, None where it is taken for
      a constant.
  """

  alpha: jax.Array | None = None
  slope: jax.Array | None = None


NO_DECAY = Decay()


class Weights(NamedTuple):
  """Weights of false positives and false negatives, and the smoothing."""

  fp: ArrayLike
  fn: ArrayLike
  smooth: ArrayLike


@functools.partial(jax.custom_jvp, nondiff_argnums=(0,))
def element_counts(
  square: bool, logits: jax.Array, labels: jax.Array, decay: Decay
) -> Counts:
  """Counts what each element adds to the soft counts of each class.

  Args:
    square: whether misses are squared, and count half as fp and half as fn.
    logits: float `[..., classes]`, two classes or more.
    labels: int `[...]`.
    decay: the decay in q = (1 - p)^alpha p.

  Returns:
    Counts `[..., classes]`. Only the logits have a gradient.
  """
  q, not_q, q_others = _scores(split_largest(logits), labels, decay.alpha)
  true = is_class(labels, logits)
  tp = jnp.where(true, q, 0)
  if square:
    miss = jnp.where(true, jnp.square(not_q), jnp.square(q_others)) / 2
    return Counts(tp, miss, miss)
  return Counts(tp, q_others, jnp.where(true, not_q, 0))


@element_counts.defjvp
def _element_counts_jvp(square, primals, tangents):
  logits, labels, decay = primals
  s = split_largest(logits)
  q, not_q, q_others = _scores(s, labels, decay.alpha)
  true = is_class(labels, logits)
  dlog_q, dlog_q_largest = _dlog_q(s, decay.slope, tangents[0])
  dlog_q = jnp.where(s.is_largest, dlog_q_largest, dlog_q)
  dtp = jnp.where(true, q * dlog_q, 0)
  if square:
    dmiss = jnp.where(true, -not_q * q, jnp.square(q_others)) * dlog_q
    dcounts = Counts(dtp, dmiss, dmiss)
  else:
    dcounts = Counts(dtp, q_others * dlog_q, -dtp)
  return element_counts(square, *primals), dcounts


@functools.partial(jax.custom_jvp, nondiff_argnums=(0,))
def element_loss(
  square: bool,
  weights: Weights,
  logits: jax.Array,
  labels: jax.Array,
  class_weights: jax.Array,
  decay: Decay,
) -> jax.Array:
  """Sums the Tversky distances of each single element over the classes.

  Taking one ratio per element and class from `element_counts` needs up to four
  times as long, because every count is then an array of its own.

  Args:
    square: see `element_counts`, as for `logits`, `labels` and `decay`.
    weights: weights and smoothing of the Tversky index.
    logits: float `[..., classes]`.
    labels: int `[...]`.
    class_weights: `[classes]`, or `[]` for equal weights.
    decay: the decay in q.

  Returns:
    `[...]`. Only the logits have a gradient.
  """
  s = split_largest(logits)
  true = is_class(labels, logits)
  q = jnp.where(true, 0, _decayed(s.p, decay.alpha))
  others, _ = _distance_of_others(q, square, weights)
  others *= jnp.broadcast_to(class_weights, logits.shape)
  others = jnp.sum(jnp.where(s.is_largest, 0, others), axis=-1)
  own, _, largest, _ = _distance_per_element(
    s, labels, square, weights, class_weights, decay.alpha
  )
  return others + (own + largest)[..., 0]


@element_loss.defjvp
def _element_loss_jvp(square, primals, tangents):
  weights, logits, labels, class_weights, decay = primals
  s = split_largest(logits)
  true = is_class(labels, logits)
  q = jnp.where(true, 0, _decayed(s.p, decay.alpha))
  _, slope = _distance_of_others(q, square, weights)
  slope *= jnp.broadcast_to(class_weights, logits.shape)
  _, slope_own, _, slope_largest = _distance_per_element(
    s, labels, square, weights, class_weights, decay.alpha
  )
  slope = jnp.where(s.is_largest, 0, jnp.where(true, slope_own, slope))
  # The chain rule by log q is linear in the tangent of the logits. Transposing
  # it gives the gradient itself, and saves the array of `slope * dlog_q`.
  dlog_q = functools.partial(_dlog_q, s, decay.slope)
  transposed = jax.linear_transpose(dlog_q, logits)
  (gradient,) = transposed((slope, slope_largest))
  dloss = jnp.sum(gradient * tangents[1], axis=-1)
  return element_loss(square, *primals), dloss


def _dlog_q(s: Split, decay_slope, dz):
  """Tangents of log q for a tangent of the logits.

  The tangent of log q is (1 - p - decay_slope p) du for a class with log odds
  u, where
    du = (dz - sum_j p_j dz_j) / (1 - p), and for the largest class
    du = dz - sum_{j != largest} ratio_j dz_j / ratio_sum.

  Args:
    s: the split logits.
    decay_slope: alpha, or None if the decay is a constant.
    dz: `[..., classes]`.

  Returns:
    `[..., classes]` for the classes that are not the largest, and `[..., 1]`
    for the largest.
  """
  dz_largest = jnp.sum(jnp.where(s.is_largest, dz, 0), axis=-1, keepdims=True)
  dz_others = jnp.sum(s.ratio * dz, axis=-1, keepdims=True)
  du_times_not_p = dz - (s.p_largest * dz_largest + s.scale * dz_others)
  du_largest = dz_largest - dz_others / s.ratio_sum
  if decay_slope is None:
    # Except for the largest class, the factor 1 - p cancels the division in du.
    return du_times_not_p, s.not_p_largest * du_largest
  return (
    (1 - decay_slope * s.p / (1 - s.p)) * du_times_not_p,
    (s.not_p_largest - decay_slope * s.p_largest) * du_largest,
  )


def _decayed(p, alpha):
  """q of probabilities up to one half, where 1 - p loses nothing."""
  return p if alpha is None else p * jnp.exp(alpha * jnp.log(1 - p))


class _LabelScore(NamedTuple):
  """Scores of the label's class, each `[..., 1]`.

  Attributes:
    label: int, clipped to the classes.
    is_largest: whether the label's class has the largest logit.
    q: 0 if the label is out of range, as is `not_q`.
    not_q: 1 - q.
    q_largest: q of the class with the largest logit.
  """

  label: jax.Array
  is_largest: jax.Array
  q: jax.Array
  not_q: jax.Array
  q_largest: jax.Array


def _score_label(s: Split, labels, alpha) -> _LabelScore:
  num_classes = s.ratio.shape[-1]
  in_range = ((labels >= 0) & (labels < num_classes))[..., None]
  label = jnp.clip(labels, 0, num_classes - 1)[..., None]
  is_largest = (label == s.index) & in_range
  small = jnp.take_along_axis(s.ratio, label, axis=-1, mode='clip') * s.scale
  p = jnp.where(is_largest, s.p_largest, small)
  not_p = jnp.where(is_largest, s.not_p_largest, 1 - small)
  if alpha is None:
    q, not_q, q_largest = p, not_p, s.p_largest
  else:
    # The logarithm of 1 - p as a difference: 1 - p itself underflows where the
    # gap is large.
    log_not_p_largest = jnp.log(s.ratio_sum * s.p_largest) - s.gap
    log_not_p = jnp.where(is_largest, log_not_p_largest, jnp.log(1 - small))
    decay, lost = jnp.exp(alpha * log_not_p), -jnp.expm1(alpha * log_not_p)
    # 1 - q = (1 - decay) + decay (1 - p): a sum, in which nothing cancels.
    q, not_q = decay * p, lost + decay * not_p
    q_largest = s.p_largest * jnp.exp(alpha * log_not_p_largest)
  q, not_q = jnp.where(in_range, q, 0), jnp.where(in_range, not_q, 0)
  return _LabelScore(label, is_largest, q, not_q, q_largest)


def _scores(s: Split, labels, alpha):
  """q and 1 - q of the label, `[..., 1]`, and q of all other classes."""
  own = _score_label(s, labels, alpha)
  q = jnp.where(s.is_largest, own.q_largest, _decayed(s.p, alpha))
  return own.q, own.not_q, jnp.where(is_class(labels, s.ratio), 0, q)


def _distance_of_others(q, square, weights):
  """Distance of the classes other than the label's, and its slope by log q."""
  fp = weights.fp * (jnp.square(q) if square else q)
  total = fp + weights.smooth
  # The inverse of a subnormal number may overflow.
  total = jnp.where(total > jnp.finfo(total.dtype).tiny, total, 1)
  # A division of its own, because XLA would keep an array for a quotient that
  # the value and the slope share.
  inverse = 1 / total
  slope = (2 if square else 1) * (fp * inverse) * (weights.smooth * inverse)
  return fp / total, slope


def _distance_per_element(s, labels, square, weights, class_weights, alpha):
  """Distances of the label's class and, where it differs, of the largest.

  The two are kept apart from `_distance_of_others` because one of them is the
  class whose 1 - p would cancel.

  Returns:
    Distance of the label's class and its slope by log q; distance of the
    largest class, 0 if it is the label's, and its slope in any case. All are
    `[..., 1]`.
  """
  own = _score_label(s, labels, alpha)
  q, not_q = own.q, own.not_q
  fn = weights.fn * (jnp.square(not_q) if square else not_q)
  dfn = -weights.fn * (2 * not_q if square else 1) * q
  total = q + fn + weights.smooth
  total = jnp.where(total > 0, total, 1)
  weight = _take(class_weights, own.label)
  distance = fn / total
  # The slope of the quotient, (1 - distance) dfn - distance q, with 1 -
  # distance as a quotient of its own, which keeps its digits near 0.
  slope = (q + weights.smooth) / total * dfn - distance * q
  slope = weight * slope / total
  distance *= weight

  largest, slope_largest = _distance_of_others(own.q_largest, square, weights)
  weight = _take(class_weights, s.index)
  largest = jnp.where(own.is_largest, 0, weight * largest)
  slope_largest = jnp.where(own.is_largest, slope, weight * slope_largest)
  return distance, slope, largest, slope_largest


def _take(class_weights, index):
  return class_weights[index] if class_weights.ndim else class_weights
