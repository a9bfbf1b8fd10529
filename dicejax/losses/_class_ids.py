"""Soft counts and Tversky losses of class ids, with derivatives by hand.

This is a faster form of `_elements.py` for the common labels. For a class id,
exactly one class gets a true positive or a false negative, and every other
class gets a false positive. The label's class and the class with the largest
logit, whose 1 - p needs care, are one number per element here, and only the
other classes are an array like the logits. That and derivatives written by hand
save most of the passes over such arrays. Weights of classes and devices are the
business of `_sets.py`.
"""

from __future__ import annotations

import functools
import math
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
# The number of values that `_sum_by_class` adds one after another: a long
# running sum loses digits.
_BLOCK = 512


class Weights(NamedTuple):
  """Weights of false positives and false negatives, and the smoothing."""

  fp: ArrayLike
  fn: ArrayLike
  smooth: ArrayLike


@functools.partial(jax.custom_jvp, nondiff_argnums=(0, 1))
def set_counts(
  square: bool,
  axes: tuple[int, ...],
  logits: jax.Array,
  labels: jax.Array,
  where: jax.Array | None,
  decay: Decay,
) -> Counts:
  """Sums the soft counts of the elements of each set.

  Args:
    square: whether misses are squared, and count half as fp and half as fn.
    axes: the axes of the labels whose elements form a set.
    logits: float `[..., classes]`, two classes or more.
    labels: int `[...]`.
    where: bool `[...]`, False for an element that does not count, or None.
    decay: the decay in q = (1 - p)^alpha p.

  Returns:
    Counts `[sets..., classes]`. Only the logits have a gradient.
  """
  s = split_largest(logits, labels)
  own = _score_label(s, labels, where, decay.alpha)
  q, weight = _score_others(s, where, decay.alpha)
  sum_by_class = functools.partial(_sum_by_class, logits, axes)
  tp = sum_by_class(own.q, own.label)
  if square:
    miss = (
      jnp.sum(jnp.square(q * weight), axes)
      + sum_by_class(jnp.square(own.q_largest), s.index)
      + sum_by_class(jnp.square(own.not_q), own.label)
    ) / 2
    return Counts(tp, miss, miss)
  fp = jnp.sum(q * weight, axes) + sum_by_class(own.q_largest, s.index)
  return Counts(tp, fp, sum_by_class(own.not_q, own.label))


@set_counts.defjvp
def _set_counts_jvp(square, axes, primals, tangents):
  logits, labels, where, decay = primals
  s = split_largest(logits, labels)
  own = _score_label(s, labels, where, decay.alpha)
  q, weight = _score_others(s, where, decay.alpha)
  sum_by_class = functools.partial(_sum_by_class, logits, axes)
  dz = tangents[0]
  d = _dlog_q(s, labels, own, decay.slope, dz)
  dtp = sum_by_class(own.q * d.label, own.label)
  if square:
    q, weight = jnp.square(q * weight), 1
  q *= _slope_of_log(s.p, decay.slope)
  # The sum of q (dz - mean) is written as two sums. The transpose of the second
  # is a matrix times a vector, which needs no other array like the logits.
  dfp = jnp.sum(q * (weight * dz), axes)
  dfp -= _sum_products(q, weight * d.mean, axes)
  if square:
    dfp += sum_by_class(jnp.square(own.q_largest) * d.largest, s.index)
    dfp -= sum_by_class(own.not_q * own.q * d.label, own.label)
    dcounts = Counts(dtp, dfp, dfp)
  else:
    dfp += sum_by_class(own.q_largest * d.largest, s.index)
    dcounts = Counts(dtp, dfp, -dtp)
  return set_counts(square, axes, *primals), dcounts


def _sum_products(matrix, vector, axes):
  """Sums `matrix[..., c] * vector[..., 0]` over axes: `[sets..., classes]`."""
  classes = matrix.ndim - 1
  examples = range(classes)
  sets = [axis for axis in examples if axis not in axes]
  return jnp.einsum(
    matrix,
    [*examples, classes],
    vector[..., 0],
    [*examples],
    [*sets, classes],
    precision='highest',
  )


def _sum_by_class(logits, axes, values, index):
  """Sums values over axes, separately for the class of each.

  Args:
    logits: `[..., classes]`; only the shape matters.
    axes: the axes to sum over.
    values: `[..., 1]`.
    index: int `[..., 1]`, the class of each value.

  Returns:
    `[sets..., classes]`.
  """
  one_cpu = jax.default_backend() == 'cpu' and jax.device_count() == 1
  if not axes or not one_cpu:
    return jnp.sum(jnp.where(is_class(index[..., 0], logits), values, 0), axes)
  # On a CPU, XLA would write an array as large as the logits in order to sum
  # it. On a GPU, the order of scattered values, and so the last digits of their
  # sum, would change from run to run.
  classes = logits.shape[-1]
  sets = [axis for axis in range(values.ndim - 1) if axis not in axes]
  shape = [values.shape[axis] for axis in sets]
  number = math.prod(shape)
  values, index = (
    x[..., 0].transpose(*sets, *axes).reshape(number, -1)
    for x in (values, index)
  )
  size = values.shape[1]
  sums = jnp.zeros((number, -(-size // _BLOCK), classes), values.dtype)
  place = jnp.arange(number)[:, None], jnp.arange(size) // _BLOCK, index
  return sums.at[place].add(values).sum(axis=1).reshape(*shape, classes)


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

  Taking one ratio per element and class from counts needs up to four times as
  long, because every count is then an array of its own.

  Args:
    square: see `set_counts`, as for `logits`, `labels` and `decay`.
    weights: weights and smoothing of the Tversky index.
    logits: float `[..., classes]`.
    labels: int `[...]`.
    class_weights: `[classes]`, or `[]` for equal weights.
    decay: the decay in q.

  Returns:
    `[...]`. Only the logits have a gradient.
  """
  s = split_largest(logits, labels)
  q, weight = _score_others(s, None, decay.alpha)
  others, _ = _distance_of_others(q * weight, square, weights)
  others = jnp.dot(
    others,
    jnp.broadcast_to(class_weights, logits.shape[-1:]),
    precision='highest',
  )
  own = _score_label(s, labels, None, decay.alpha)
  label, _, largest, _ = _distance_per_element(
    s, own, square, weights, class_weights
  )
  return others + (label + largest)[..., 0]


@element_loss.defjvp
def _element_loss_jvp(square, primals, tangents):
  weights, logits, labels, class_weights, decay = primals
  s = split_largest(logits, labels)
  q, weight = _score_others(s, None, decay.alpha)
  _, slope = _distance_of_others(q * weight, square, weights)
  slope *= jnp.broadcast_to(class_weights, logits.shape)
  # This changes nothing, as the slope of the largest class is 0 here. But XLA
  # then computes it in one loop on a CPU, and writes no array for each factor.
  slope = jnp.where(s.is_largest, 0, slope)
  own = _score_label(s, labels, None, decay.alpha)
  _, slope_label, _, slope_largest = _distance_per_element(
    s, own, square, weights, class_weights
  )

  def dlog_q(dz):
    d = _dlog_q(s, labels, own, decay.slope, dz)
    slopes = _slope_of_log(s.p, decay.slope)
    return slopes * (dz - d.mean), d.label, d.largest

  # The chain rule by log q is linear in the tangent of the logits. Transposing
  # it gives the gradient itself, and saves the array of `slope * dlog_q`.
  transposed = jax.linear_transpose(dlog_q, logits)
  (gradient,) = transposed((slope, slope_label, slope_largest))
  dloss = jnp.sum(gradient * tangents[1], axis=-1)
  return element_loss(square, *primals), dloss


class _Tangents(NamedTuple):
  """Tangents that a tangent of the logits gives, each `[..., 1]`.

  Attributes:
    mean: the mean of the tangents of a row, weighted by p.
    label: the tangent of log q of the label.
    largest: that of the class with the largest logit.
  """

  mean: jax.Array
  label: jax.Array
  largest: jax.Array


def _dlog_q(s: Split, labels, own, slope, dz) -> _Tangents:
  """Computes tangents of log q.

  The tangent of log q is (1 - p - slope p) du for a class with log odds u,
  where
    du = (dz - sum_j p_j dz_j) / (1 - p), and for the largest class
    du = dz - sum_{j != largest} ratio_j dz_j / ratio_sum.
  Except for the largest class it is therefore (1 - slope p / (1 - p)) times
  dz - mean, in which a slope of 0 leaves no division.

  Args:
    s: the split logits.
    labels: int `[...]`.
    own: the scores of the labels.
    slope: alpha, or None if the decay is a constant.
    dz: `[..., classes]`.
  """
  # A sum of one element, because the transpose of indexing is slow.
  is_label = is_class(labels, dz)
  dz_label = jnp.sum(jnp.where(is_label, dz, 0), axis=-1, keepdims=True)
  dz_largest = jnp.sum(jnp.where(s.is_largest, dz, 0), axis=-1, keepdims=True)
  dz_others = jnp.sum(s.ratio * dz, axis=-1, keepdims=True)
  dz_others += s.ratio_label * dz_label
  mean = s.p_largest * dz_largest + s.scale * dz_others
  label = _slope_of_log(s.ratio_label * s.scale, slope) * (dz_label - mean)
  not_p = s.not_p_largest
  if slope is not None:
    not_p -= slope * s.p_largest
  largest = not_p * (dz_largest - dz_others / s.ratio_sum)
  return _Tangents(mean, jnp.where(own.is_largest, largest, label), largest)


def _slope_of_log(p, slope):
  """The factor 1 - slope p / (1 - p), for probabilities up to one half."""
  return 1 if slope is None else 1 - slope * p / (1 - p)


class _LabelScore(NamedTuple):
  """Scores of the label's class and of the largest, each `[..., 1]`.

  Attributes:
    label: int, clipped to the classes.
    is_largest: whether the label's class has the largest logit.
    q: 0 if the label is out of range or the element does not count, as is
      `not_q`.
    not_q: 1 - q.
    q_largest: q of the class with the largest logit; 0 if it is the label's or
      the element does not count.
  """

  label: jax.Array
  is_largest: jax.Array
  q: jax.Array
  not_q: jax.Array
  q_largest: jax.Array


def _score_label(s: Split, labels, where, alpha) -> _LabelScore:
  num_classes = s.ratio.shape[-1]
  label = jnp.clip(labels, 0, num_classes - 1)[..., None]
  has_label = label == labels[..., None]
  is_largest = (label == s.index) & has_label
  small = s.ratio_label * s.scale
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
  if where is not None:
    has_label &= where[..., None]
    q_largest = jnp.where(where[..., None], q_largest, 0)
  q, not_q = jnp.where(has_label, q, 0), jnp.where(has_label, not_q, 0)
  return _LabelScore(
    label, is_largest, q, not_q, jnp.where(is_largest, 0, q_largest)
  )


def _score_others(s: Split, where, alpha):
  """q of the classes beside the label's and the largest, which are 0 here.

  Returns:
    Two factors of q, `[..., classes]` and `[..., 1]`. Without a decay, the
    first is `ratio`, so that no array of probabilities is written.
  """
  q, weight = (s.ratio, s.scale) if alpha is None else (s.p, 1)
  if alpha is not None:
    # 1 - p loses nothing, because p is at most one half.
    q = q * jnp.exp(alpha * jnp.log(1 - q))
  if where is not None:
    weight = jnp.where(where[..., None], weight, 0)
  return q, weight


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


def _distance_per_element(s, own, square, weights, class_weights):
  """Distances of the label's class and, where it differs, of the largest.

  The two are kept apart from `_distance_of_others` because one of them is the
  class whose 1 - p would cancel.

  Returns:
    Distance of the label's class and its slope by log q, and the same of the
    largest class, 0 if that is the label's. All are `[..., 1]`.
  """
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
  return distance, slope, weight * largest, weight * slope_largest


def _take(class_weights, index):
  return class_weights[index] if class_weights.ndim else class_weights
