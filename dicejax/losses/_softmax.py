"""A softmax as binary problems: each class against all others together."""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp


class Split(NamedTuple):
  """A softmax with the largest class of each row kept apart.

  `1 - p` loses all digits when p is near 1. Only the largest class of a row
  can be there, so only that one is treated apart: its `1 - p` is a sum over
  the other classes, in which nothing cancels.

  Attributes (`[..., 1]` unless noted):
    is_largest: bool `[..., classes]`, one True per row.
    index: int, the class where it is True.
    ratio: `[..., classes]`, exp(logit - second largest logit); 0 at the
      largest, and at the label if labels are given.
    ratio_label: the same for the label; 0 if it is the largest, or none.
    ratio_sum: the sum over all classes but the largest.
    gap: the largest logit minus the second largest.
    scale: turns ratios into probabilities: p = ratio * scale.
    p_largest: the probability of the largest class.
  """

  is_largest: jax.Array
  index: jax.Array
  ratio: jax.Array
  ratio_label: jax.Array
  ratio_sum: jax.Array
  gap: jax.Array
  scale: jax.Array
  p_largest: jax.Array

  @property
  def p(self) -> jax.Array:
    """Probabilities `[..., classes]`, 0 where `ratio` is."""
    return self.ratio * self.scale

  @property
  def not_p_largest(self) -> jax.Array:
    """1 - p of the largest class."""
    return self.ratio_sum * self.scale

  @property
  def log_odds_largest(self) -> jax.Array:
    """log p - log(1 - p) of the largest class."""
    return self.gap - jnp.log(self.ratio_sum)


def split_largest(logits: jax.Array, labels: jax.Array | None = None) -> Split:
  """Splits logits `[..., classes]` of at least two classes.

  Args:
    logits: float `[..., classes]`.
    labels: int `[...]`. With labels, that class of a row is kept apart too. One
      that is out of range is no class.
  """
  num_classes = logits.shape[-1]
  largest = jax.lax.stop_gradient(jnp.max(logits, axis=-1, keepdims=True))
  # The first of tied classes is found by a maximum of floats, because XLA's
  # argmax takes eight times as long on a CPU.
  ids = jax.lax.broadcasted_iota(logits.dtype, logits.shape, logits.ndim - 1)
  first = jnp.where(logits == largest, -ids, -num_classes)
  index = -jnp.max(first, axis=-1, keepdims=True).astype(jnp.int32)
  is_largest = is_class(index[..., 0], logits)
  others = jnp.where(is_largest, -jnp.inf, logits)
  # The second largest is only a reference that the results do not depend on.
  second = jax.lax.stop_gradient(jnp.max(others, axis=-1, keepdims=True))
  gap = _at_largest(logits, is_largest, largest) - second
  ratio_label = jnp.zeros_like(second)
  if labels is not None:
    others = jnp.where(is_class(labels, logits), -jnp.inf, others)
    label = labels[..., None]
    logit = jnp.take_along_axis(logits, label, axis=-1, mode='clip')
    apart = (label == index) | (label < 0) | (label >= num_classes)
    ratio_label = jnp.exp(jnp.where(apart, -jnp.inf, logit - second))
  ratio = jnp.exp(others - second)
  ratio_sum = jnp.sum(ratio, axis=-1, keepdims=True) + ratio_label
  below = jnp.exp(-gap)
  p_largest = 1 / (1 + below * ratio_sum)
  return Split(
    is_largest,
    index,
    ratio,
    ratio_label,
    ratio_sum,
    gap,
    below * p_largest,
    p_largest,
  )


def is_class(ids: jax.Array, logits: jax.Array) -> jax.Array:
  """Compares ids `[...]` with all classes: bool `[..., classes]`.

  XLA fuses the comparison into what uses it, so that no one-hot array is kept.
  """
  classes = jax.lax.broadcasted_iota(ids.dtype, logits.shape, logits.ndim - 1)
  return ids[..., None] == classes


@jax.custom_jvp
def _at_largest(logits, is_largest, largest):
  """Returns `largest`, with the derivative of the one logit that has it.

  The derivative of a maximum would be divided among tied logits.
  """
  del logits, is_largest
  return largest


@_at_largest.defjvp
def _at_largest_jvp(primals, tangents):
  tangent = jnp.where(primals[1], tangents[0], 0)
  return _at_largest(*primals), jnp.sum(tangent, axis=-1, keepdims=True)


@jax.custom_jvp
def one_vs_rest(logits: jax.Array) -> jax.Array:
  r"""Log odds of every class against all others together.

  .. math::
    u_c = z_c - \log \sum_{j \ne c} e^{z_j}, \qquad
    \operatorname{sigmoid}(u_c) = \operatorname{softmax}(z)_c

  Through it a softmax is a set of binary problems, and log p, log (1 - p) and
  1 - p keep all their digits at any logits, which neither `1 - softmax(z)` nor
  a difference of logarithms does.

  Args:
    logits: float `[..., classes]`, two classes or more.

  Returns:
    `[..., classes]`.
  """
  limit = jnp.finfo(logits.dtype).max
  s = split_largest(logits)
  # For a class that is not the largest, the others include the largest:
  # log(e^z_largest + rest) = z_largest + log1p(rest / e^z_largest).
  others = jnp.log1p(jnp.exp(-s.gap) * (s.ratio_sum - s.ratio))
  relative = logits - jnp.max(logits, axis=-1, keepdims=True)
  log_odds = jnp.where(s.is_largest, s.log_odds_largest, relative - others)
  return jnp.clip(log_odds, -limit, limit)  # A difference may overflow.


@one_vs_rest.defjvp
def _one_vs_rest_jvp(primals, tangents):
  # du_c = dz_c - sum over j != c of softmax(z without c)_j dz_j. Written out,
  # because differentiating log(1 - p) divides by what may have underflowed.
  (logits,), (dz,) = primals, tangents
  s = split_largest(logits)
  dz_largest = jnp.sum(jnp.where(s.is_largest, dz, 0), axis=-1, keepdims=True)
  dz_others = jnp.sum(s.ratio * dz, axis=-1, keepdims=True)
  below = jnp.exp(-s.gap)
  mean = (dz_largest + below * (dz_others - s.ratio * dz)) / (
    1 + below * (s.ratio_sum - s.ratio)
  )
  du = dz - jnp.where(s.is_largest, dz_others / s.ratio_sum, mean)
  return one_vs_rest(logits), du
