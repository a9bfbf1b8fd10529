"""Class priors: weights and margins from the number of examples of a class.

`class_counts` are the numbers of training examples (tokens, spans) of the
classes. A class without examples is taken to have as many as the rarest class
that has some, everywhere: no weight, margin or loss is infinite.
"""

import math
import numbers

import chex
import jax
import jax.numpy as jnp

from dicejax.losses._inputs import check_inputs
from dicejax.losses._inputs import check_not_negative
from dicejax.losses._inputs import is_class
from dicejax.losses._pointwise import cross_entropy


def class_balanced_weights(
  class_counts: jax.typing.ArrayLike, *, beta: jax.typing.ArrayLike = 0.9999
) -> jax.Array:
  r"""Weights by the effective number of examples, for `class_weights`.

  .. math::
    w_c \propto \frac{1 - \beta}{1 - \beta^{n_c}}, \qquad \sum_c w_c = C

  From equal weights (:math:`\beta = 0`) to inverse frequencies
  (:math:`\beta \to 1`).

  Args:
    class_counts: `[classes]`, the numbers n of examples; not frequencies.
    beta: :math:`0 \le \beta < 1`; examples beyond :math:`1 / (1 - \beta)`
      hardly count.

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
  if isinstance(beta, numbers.Real) and beta >= 1:
    raise ValueError(f'beta is below 1, not {beta}.')
  counts = _some_of_each(_check_vector(class_counts))
  # 1 - beta is taken of the number as given: float32 would lose its digits.
  weights = -1 / jnp.expm1(counts * jnp.log1p(beta - 1))
  return weights * (weights.size / jnp.sum(weights))


def log_weights(
  class_counts: jax.typing.ArrayLike, *, k: jax.typing.ArrayLike = 1.0
) -> jax.Array:
  r"""Logarithmic inverse frequencies, for `class_weights`.

  .. math::
    w_c = \log_{10} \Bigl( \frac{n - n_c}{n_c} + K \Bigr), \qquad
    n = \sum_c n_c

  the weights of the paper's weighted cross entropy (its equation 2; of two
  readings of its bracket, :math:`n_c + K` below being the other, the common
  one).

  Args:
    class_counts: `[classes]`, the numbers of examples, or their shares.
    k: K; below 1 the weight of a class that has more than :math:`1/(2 - K)` of
      all examples is negative, so 1 or more.

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
  # Not all minus one: nothing would be left of the digits beside a class of
  # almost all examples.
  others = jnp.sum(jnp.where(own, 0, counts[None]), axis=-1)
  odds = others / _some_of_each(counts)
  # A sum would round small odds, and the weight of that class is as small.
  return jnp.logaddexp(jnp.log(odds), jnp.log(k)) / math.log(10)


def deferred_weights(
  class_counts: jax.typing.ArrayLike,
  *,
  step: jax.typing.ArrayLike,
  start: jax.typing.ArrayLike,
  beta: jax.typing.ArrayLike = 0.9999,
) -> jax.Array:
  r"""Deferred re-weighting (DRW): `class_balanced_weights`, but not at once.

  Args:
    class_counts: `[classes]`, the numbers of examples; not frequencies.
    step: the training step, may be traced.
    start: the first step with weights, in the paper after four fifths of the
      training; all weights are 1 before.
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
  return jnp.where(step >= start, weights, 1)


def logit_adjusted(
  logits: jax.typing.ArrayLike,
  labels: jax.typing.ArrayLike,
  *,
  class_counts: jax.typing.ArrayLike,
  tau: jax.typing.ArrayLike = 1.0,
  class_weights: jax.typing.ArrayLike | None = None,
  where: jax.typing.ArrayLike | None = None,
) -> jax.Array:
  r"""Logit-adjusted cross entropy of each element: the prior is added.

  .. math::
    L = -\sum_c w_c \, y_c \log \operatorname{softmax}(z + \tau \log \pi)_c,
    \qquad \pi_c = n_c / \sum_j n_j

  What the prior explains, the logits need not learn: with :math:`\tau = 1`,
  the largest logit is the choice for equally frequent classes (the least
  balanced error). Predict with the logits as they are.

  Args:
    logits: float `[examples..., classes]`. Never probabilities: that cannot be
      checked.
    labels: int class ids `[examples...]`, or distributions over classes of the
      shape of the logits.
    class_counts: `[classes]`, the numbers of examples, or their shares.
    tau: :math:`\tau \ge 0`; 0 is cross entropy.
    class_weights: `[classes]`.
    where: see `cross_entropy`.

  Returns:
    Loss `[examples...]`, float32 (float64 for such logits).

  Raises:
    AssertionError: types or shapes that do not fit, with both shapes.
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
  # The total is the same for all classes: softmax does not see it.
  prior = (tau * jnp.log(counts)).astype(counts.dtype)
  return cross_entropy(
    _centred(x.logits) + jnp.broadcast_to(prior, x.logits.shape),
    x.labels,
    class_weights=class_weights,
    where=x.where,
    activation='softmax',
  )


def balanced_softmax(
  logits: jax.typing.ArrayLike,
  labels: jax.typing.ArrayLike,
  *,
  class_counts: jax.typing.ArrayLike,
  class_weights: jax.typing.ArrayLike | None = None,
  where: jax.typing.ArrayLike | None = None,
) -> jax.Array:
  r"""Balanced softmax of each element: `logit_adjusted` with tau = 1.

  .. math::
    L = -\sum_c w_c \, y_c \log \frac{n_c \, e^{z_c}}{\sum_j n_j \, e^{z_j}}

  Args:
    logits: float `[examples..., classes]`. Never probabilities: that cannot be
      checked.
    labels: see `logit_adjusted`.
    class_counts: `[classes]`, the numbers of examples, or their shares.
    class_weights: `[classes]`.
    where: see `cross_entropy`.

  Returns:
    Loss `[examples...]`, float32 (float64 for such logits).

  Raises:
    AssertionError: types or shapes that do not fit, with both shapes.

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
  logits: jax.typing.ArrayLike,
  labels: jax.typing.ArrayLike,
  *,
  class_counts: jax.typing.ArrayLike,
  max_margin: jax.typing.ArrayLike = 0.5,
  scale: jax.typing.ArrayLike = 30.0,
  class_weights: jax.typing.ArrayLike | None = None,
  where: jax.typing.ArrayLike | None = None,
) -> jax.Array:
  r"""LDAM of each element: rare classes must win by a larger margin.

  .. math::
    L = -w_y \log \operatorname{softmax}(s \, (z - \Delta_y \, e_y))_y, \qquad
    \Delta_c = \Delta \, \Bigl( \frac{\min_j n_j}{n_c} \Bigr)^{1/4}

  with :math:`e_y` the one-hot vector of the true class y.

  Args:
    logits: float `[examples..., classes]`, in the paper cosines between
      features and class vectors; the scale is for those. Never probabilities:
      that cannot be checked.
    labels: int class ids `[examples...]`.
    class_counts: `[classes]`, the numbers of examples, or their shares.
    max_margin: :math:`\Delta \ge 0`, the margin of the rarest class.
    scale: :math:`s \ge 0`, the inverse temperature.
    class_weights: `[classes]`, in the paper `deferred_weights`.
    where: see `cross_entropy`.

  Returns:
    Loss `[examples...]`, float32 (float64 for such logits).

  Raises:
    AssertionError: types or shapes that do not fit, with both shapes.
    ValueError: labels that are no class ids; a negative `max_margin` or
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
    raise ValueError(
      f'ldam: labels are class ids, not of the shape of the logits, '
      f'{list(x.logits.shape)}.'
    )
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
  chex.assert_rank(
    counts,
    1,
    custom_message=f'class_counts: {list(counts.shape)}, wanted: [classes].',
  )
  return counts


def _check_counts(class_counts, logits):
  counts = jnp.asarray(class_counts, logits.dtype)
  chex.assert_shape(
    counts,
    logits.shape[-1:],
    custom_message=f'class_counts: {list(counts.shape)}, '
    f'logits: {list(logits.shape)}, wanted: {list(logits.shape[-1:])}.',
  )
  return counts


def _some_of_each(counts):
  least = jnp.min(jnp.where(counts > 0, counts, jnp.inf))
  return jnp.where(counts > 0, counts, least)


def _centred(logits):
  # A sum with or a product of large logits would round their differences.
  top = jnp.max(logits, axis=-1, keepdims=True)
  return logits - jax.lax.stop_gradient(top)
