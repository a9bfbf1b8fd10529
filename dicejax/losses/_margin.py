"""Class priors: weights and margins from the number of examples of a class.

`class_counts` are the numbers of training examples (tokens, spans) per class. A
class without examples is treated as if it had as many as the rarest class that
has some, so that no weight, margin or loss is infinite.
"""

from __future__ import annotations

import math
import numbers

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from dicejax.losses._inputs import check_inputs
from dicejax.losses._inputs import check_not_negative
from dicejax.losses._inputs import check_shape
from dicejax.losses._inputs import describe
from dicejax.losses._pointwise import cross_entropy
from dicejax.losses._softmax import is_class


def class_balanced_weights(
  class_counts: ArrayLike, *, beta: ArrayLike = 0.9999
) -> jax.Array:
  r"""Computes `class_weights` from the effective number of examples.

  .. math::
    w_c \propto \frac{1 - \beta}{1 - \beta^{n_c}}, \qquad \sum_c w_c = C

  From equal weights (:math:`\beta = 0`) to inverse frequencies
  (:math:`\beta \to 1`).

  Args:
    class_counts: `[classes]`, the numbers n of examples; not frequencies.
    beta: :math:`0 \le \beta < 1`; further examples hardly count once there are
      :math:`1 / (1 - \beta)`.

  Returns:
    Weights `[classes]`, float32.

  Raises:
    AssertionError: `class_counts` of another rank.
    ValueError: `beta` not in [0, 1).

  Example:
    >>> weights = class_balanced_weights([100_000, 10_000, 100])
    >>> print(*(f'{weight:.3f}' for weight in weights))
    0.029 0.046 2.925

  References:
    Cui et al., `Class-Balanced Loss Based on Effective Number of Samples
    <https://arxiv.org/abs/1901.05555>`_, 2019.
  """
  check_not_negative(beta=beta)
  if isinstance(beta, numbers.Real) and not beta < 1:
    raise ValueError(f'beta must be below 1, got {beta}.')
  counts = _some_of_each(_check_vector(class_counts))
  # beta - 1 is computed before beta becomes float32, which would leave it only
  # a few digits.
  weights = -1 / jnp.expm1(counts * jnp.log1p(beta - 1))
  return weights * (weights.size / jnp.sum(weights))


def log_weights(class_counts: ArrayLike, *, k: ArrayLike = 1.0) -> jax.Array:
  r"""Computes `class_weights` as logarithmic inverse frequencies.

  .. math::
    w_c = \log_{10} \Bigl( \frac{n - n_c}{n_c} + K \Bigr), \qquad
    n = \sum_c n_c

  These are the weights of the paper's weighted cross entropy (its equation 2,
  in the common reading of its bracket; the other has :math:`n_c + K` as the
  denominator).

  Args:
    class_counts: `[classes]`, the numbers of examples, or frequencies.
    k: K, at least 1: below, a class with more than :math:`1/(2 - K)` of all
      examples gets a negative weight.

  Returns:
    Weights `[classes]`, float32, not normalised.

  Raises:
    AssertionError: `class_counts` of another rank.
    ValueError: a negative `k`.

  Example:
    >>> print(*(f'{weight:.3f}' for weight in log_weights([900, 90, 10])))
    0.046 1.046 2.000

  References:
    Li et al., `Dice Loss for Data-imbalanced NLP Tasks
    <https://aclanthology.org/2020.acl-main.45>`_, 2020.
  """
  check_not_negative(k=k)
  counts = _check_vector(class_counts)
  own = jnp.eye(counts.size, dtype=bool)
  # The others are summed up. Subtracting a class of almost all examples from
  # the total would leave no digits.
  others = jnp.sum(jnp.where(own, 0, counts[None]), axis=-1)
  odds = others / _some_of_each(counts)
  # log(odds + k) in log space, because a sum would round small odds away.
  return jnp.logaddexp(jnp.log(odds), jnp.log(k)) / math.log(10)


def deferred_weights(
  class_counts: ArrayLike,
  *,
  step: ArrayLike,
  start: ArrayLike,
  beta: ArrayLike = 0.9999,
) -> jax.Array:
  r"""Computes weights for deferred re-weighting (DRW).

  They are 1 before the step `start`, and `class_balanced_weights` from then on.

  Args:
    class_counts: `[classes]`, the numbers of examples; not frequencies.
    step: the training step; may be traced.
    start: the first step with weights; in the paper, after four fifths of the
      training.
    beta: see `class_balanced_weights`.

  Returns:
    Weights `[classes]`, float32.

  Raises:
    AssertionError: `class_counts` of another rank.
    ValueError: `beta` not in [0, 1).

  Example:
    >>> for step in (79, 80):
    ...   weights = deferred_weights([500, 50], step=step, start=80)
    ...   print(*(f'{weight:.3f}' for weight in weights))
    1.000 1.000
    0.186 1.814

  References:
    Cao et al., `Learning Imbalanced Datasets with Label-Distribution-Aware
    Margin Loss <https://arxiv.org/abs/1906.07413>`_, 2019.
  """
  weights = class_balanced_weights(class_counts, beta=beta)
  return jnp.where(jnp.greater_equal(step, start), weights, 1)


def logit_adjusted(
  logits: ArrayLike,
  labels: ArrayLike,
  *,
  class_counts: ArrayLike,
  tau: ArrayLike = 1.0,
  class_weights: ArrayLike | None = None,
  where: ArrayLike | None = None,
) -> jax.Array:
  r"""Computes the logit-adjusted cross entropy of each element.

  .. math::
    L = -\sum_c w_c \, y_c \log \operatorname{softmax}(z + \tau \log \pi)_c,
    \qquad \pi_c = n_c / \sum_j n_j

  The logits need not learn what the prior explains. With :math:`\tau = 1`, the
  largest logit is the best choice for equally frequent classes, which minimises
  the balanced error. Predict with the logits as they are.

  Args:
    logits: float `[examples..., classes]`; never probabilities
      (which cannot be checked).
    labels: int class ids `[examples...]`, or distributions over classes shaped
      like the logits.
    class_counts: `[classes]`, the numbers of examples, or frequencies.
    tau: :math:`\tau \ge 0`; 0 is cross entropy.
    class_weights: `[classes]`.
    where: see `cross_entropy`.

  Returns:
    Loss `[examples...]`, float32, or float64 for float64 logits.

  Raises:
    AssertionError, TypeError: see `dice`.
    ValueError: a negative `tau`.

  Example:
    >>> logits, labels = jnp.zeros((2, 2)), jnp.array([0, 1])
    >>> loss = logit_adjusted(logits, labels, class_counts=[900, 100])
    >>> print(*(f'{value:.4f}' for value in loss))
    0.1054 2.3026

  References:
    Menon et al., `Long-tail learning via logit adjustment
    <https://arxiv.org/abs/2007.07314>`_, 2020.
  """
  check_not_negative(tau=tau)
  x = check_inputs(logits, labels, where, 'softmax')
  counts = _some_of_each(_check_counts(class_counts, x.logits))
  # The total of the counts cancels in the softmax.
  prior = (tau * jnp.log(counts)).astype(counts.dtype)
  return cross_entropy(
    _centred(x.logits) + jnp.broadcast_to(prior, x.logits.shape),
    x.labels,
    class_weights=class_weights,
    where=x.where,
    activation='softmax',
  )


def balanced_softmax(
  logits: ArrayLike,
  labels: ArrayLike,
  *,
  class_counts: ArrayLike,
  class_weights: ArrayLike | None = None,
  where: ArrayLike | None = None,
) -> jax.Array:
  r"""Computes the balanced softmax: `logit_adjusted` with tau = 1.

  .. math::
    L = -\sum_c w_c \, y_c \log \frac{n_c \, e^{z_c}}{\sum_j n_j \, e^{z_j}}

  Args:
    logits: float `[examples..., classes]`; never probabilities
      (which cannot be checked).
    labels: see `logit_adjusted`.
    class_counts: `[classes]`, the numbers of examples, or frequencies.
    class_weights: `[classes]`.
    where: see `cross_entropy`.

  Returns:
    Loss `[examples...]`, float32, or float64 for float64 logits.

  Raises:
    AssertionError, TypeError: see `dice`.

  Example:
    >>> logits, labels = jnp.zeros((2, 2)), jnp.array([0, 1])
    >>> loss = balanced_softmax(logits, labels, class_counts=[900, 100])
    >>> print(*(f'{value:.4f}' for value in loss))
    0.1054 2.3026

  References:
    Ren et al., `Balanced Meta-Softmax for Long-Tailed Visual Recognition
    <https://arxiv.org/abs/2007.10740>`_, 2020.
  """
  return logit_adjusted(
    logits,
    labels,
    class_counts=class_counts,
    class_weights=class_weights,
    where=where,
  )


def ldam(
  logits: ArrayLike,
  labels: ArrayLike,
  *,
  class_counts: ArrayLike,
  max_margin: ArrayLike = 0.5,
  scale: ArrayLike = 30.0,
  class_weights: ArrayLike | None = None,
  where: ArrayLike | None = None,
) -> jax.Array:
  r"""Computes the LDAM loss, in which rare classes need a larger margin.

  .. math::
    L = -w_y \log \operatorname{softmax}(s \, (z - \Delta_y \, e_y))_y, \qquad
    \Delta_c = \Delta \, \Bigl( \frac{\min_j n_j}{n_c} \Bigr)^{1/4}

  with :math:`e_y` the one-hot vector of the true class y.

  Args:
    logits: float `[examples..., classes]`; never probabilities (which cannot
      be checked). In the paper they are cosines between features and class
      vectors, for which the scale is meant.
    labels: int class ids `[examples...]`.
    class_counts: `[classes]`, the numbers of examples, or frequencies.
    max_margin: :math:`\Delta \ge 0`, the margin of the rarest class.
    scale: :math:`s \ge 0`, the inverse temperature.
    class_weights: `[classes]`, in the paper `deferred_weights`.
    where: see `cross_entropy`.

  Returns:
    Loss `[examples...]`, float32, or float64 for float64 logits.

  Raises:
    AssertionError, TypeError: see `dice`.
    ValueError: labels shaped like the logits; a negative `max_margin` or
      `scale`.

  Example:
    >>> logits, labels = jnp.zeros((2, 2)), jnp.array([0, 1])
    >>> loss = ldam(logits, labels, class_counts=[160, 10], scale=2.)
    >>> print(*(f'{value:.4f}' for value in loss))
    0.9741 1.3133

  References:
    Cao et al., `Learning Imbalanced Datasets with Label-Distribution-Aware
    Margin Loss <https://arxiv.org/abs/1906.07413>`_, 2019.
  """
  check_not_negative(max_margin=max_margin, scale=scale)
  x = check_inputs(logits, labels, where, 'softmax')
  if not x.class_ids:
    arrays = describe(logits=x.logits, labels=x.labels)
    raise ValueError(f'ldam needs class ids as labels, got {arrays}.')
  counts = _some_of_each(_check_counts(class_counts, x.logits))
  margins = max_margin * (jnp.min(counts) / counts) ** 0.25
  margins = jnp.broadcast_to(margins, x.logits.shape)
  ahead = jnp.where(is_class(x.labels, x.logits), margins, 0)
  adjusted = scale * (_centred(x.logits) - ahead)
  return cross_entropy(
    adjusted.astype(x.logits.dtype),
    x.labels,
    class_weights=class_weights,
    where=x.where,
  )


def _check_vector(class_counts):
  counts = jnp.asarray(class_counts, float)
  check_shape(
    counts,
    (counts.size,),
    f'class_counts: {list(counts.shape)} must have one axis, [classes].',
  )
  return counts


def _check_counts(class_counts, logits):
  counts = jnp.asarray(class_counts, logits.dtype)
  check_shape(
    counts,
    logits.shape[-1:],
    f'class_counts: {list(counts.shape)} must be [{logits.shape[-1]}] for '
    f'logits {list(logits.shape)}.',
  )
  return counts


def _some_of_each(counts):
  """Replaces counts of 0 by the smallest other count."""
  least = jnp.min(jnp.where(counts > 0, counts, jnp.inf))
  return jnp.where(counts > 0, counts, least)


def _centred(logits):
  """Subtracts the largest logit of each row.

  Adding to large logits, or scaling them, would round their differences.
  """
  top = jnp.max(logits, axis=-1, keepdims=True)
  return logits - jax.lax.stop_gradient(top)
