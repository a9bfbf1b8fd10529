"""Functions of an overlap, and overlaps joined with cross entropy.

A plain sum of two losses needs no function of its own:
`dice(...) + cross_entropy(...).mean()`.
"""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from dicejax.losses._inputs import check_fraction
from dicejax.losses._inputs import check_not_negative
from dicejax.losses._pointwise import focal
from dicejax.losses._sets import Axis
from dicejax.losses._sets import AxisName
from dicejax.losses._sets import Sets


def focal_tversky(
  logits: ArrayLike,
  labels: ArrayLike,
  *,
  alpha: ArrayLike = 0.3,
  beta: ArrayLike = 0.7,
  gamma: ArrayLike = 0.75,
  smooth: ArrayLike = 1.0,
  axis: Axis = None,
  average: str = 'macro',
  where: ArrayLike | None = None,
  class_weights: ArrayLike | None = None,
  axis_name: AxisName = None,
  activation: str | None = None,
) -> jax.Array:
  r"""Computes the focal Tversky loss: a power of the Tversky loss of each set.

  .. math::
    L = \Bigl( 1 - \frac{TP + s}{TP + \alpha\,FP + \beta\,FN + s}
      \Bigr)^\gamma

  The published :math:`\gamma` of 4/3 is the inverse of this one. Below 1 it
  raises the gradient of sets that are almost right; above 1, of those that are
  not.

  Args:
    logits: float `[examples..., classes]` for softmax, `[examples...]` for
      independent sigmoids; never probabilities (which cannot be checked).
    labels: int class ids `[examples...]` (softmax), or targets in [0, 1] shaped
      like the logits (sigmoid).
    alpha: weight of false positives, at least 0.
    beta: weight of false negatives, at least 0.
    gamma: :math:`\gamma > 0`; 1 is `tversky`.
    smooth: :math:`s \ge 0`, in units of counts.
    axis: see `dice`.
    average: see `dice`.
    where: see `dice`.
    class_weights: see `dice`.
    axis_name: see `dice`.
    activation: see `dice`.

  Returns:
    Loss in [0, 1], shaped as in `dice`.

  Raises:
    AssertionError, TypeError: see `dice`.
    ValueError: see `dice`; a negative `alpha`, `beta` or `gamma`.

  Example:
    >>> logits, labels = jnp.array([9., -9., 9.]), jnp.array([1, 0, 0])
    >>> print(f'{focal_tversky(logits, labels):.3f}')
    0.217

  References:
    Abraham and Khan, `A Novel Focal Tversky Loss Function
    <https://arxiv.org/abs/1810.07842>`_, 2018.
  """
  check_not_negative(alpha=alpha, beta=beta, gamma=gamma, smooth=smooth)
  sets = Sets.of(
    logits,
    labels,
    axis=axis,
    average=average,
    where=where,
    class_weights=class_weights,
    axis_name=axis_name,
    activation=activation,
  )
  distance = sets.tversky_distance(alpha, beta, smooth)
  return sets.mean_over_classes(_power(gamma, distance))


def log_cosh_dice(
  logits: ArrayLike,
  labels: ArrayLike,
  *,
  smooth: ArrayLike = 1.0,
  axis: Axis = None,
  average: str = 'macro',
  where: ArrayLike | None = None,
  class_weights: ArrayLike | None = None,
  axis_name: AxisName = None,
  activation: str | None = None,
) -> jax.Array:
  r"""Computes the log-cosh Dice loss, which is quadratic near 0.

  .. math::
    L = \log(\cosh(D))

  with D the loss of `dice`.

  Args:
    logits: float `[examples..., classes]` for softmax, `[examples...]` for
      independent sigmoids; never probabilities (which cannot be checked).
    labels: int class ids `[examples...]` (softmax), or targets in [0, 1] shaped
      like the logits (sigmoid).
    smooth: see `dice`.
    axis: see `dice`.
    average: see `dice`.
    where: see `dice`.
    class_weights: see `dice`.
    axis_name: see `dice`.
    activation: see `dice`.

  Returns:
    Loss in [0, 0.434], shaped as in `dice`.

  Raises:
    AssertionError, TypeError, ValueError: see `dice`.

  Example:
    >>> logits, labels = jnp.array([9., -9., 9.]), jnp.array([1, 0, 0])
    >>> print(f'{log_cosh_dice(logits, labels):.4f}')
    0.0309

  References:
    Jadon, `A survey of loss functions for semantic segmentation
    <https://arxiv.org/abs/2006.14822>`_, 2020.
  """
  check_not_negative(smooth=smooth)
  sets = Sets.of(
    logits,
    labels,
    axis=axis,
    average=average,
    where=where,
    class_weights=class_weights,
    axis_name=axis_name,
    activation=activation,
  )
  distance = sets.tversky_distance(1 / 2, 1 / 2, smooth / 2)
  # cosh D - 1 = 2 sinh(D/2)^2; as a difference it would be lost beside 1.
  return sets.mean_over_classes(
    jnp.log1p(2 * jnp.square(jnp.sinh(distance / 2)))
  )


def unified_focal(
  logits: ArrayLike,
  labels: ArrayLike,
  *,
  weight: ArrayLike = 0.5,
  delta: ArrayLike = 0.6,
  gamma: ArrayLike = 0.5,
  smooth: ArrayLike = 1.0,
  axis: Axis = None,
  where: ArrayLike | None = None,
  axis_name: AxisName = None,
  activation: str | None = None,
) -> jax.Array:
  r"""Computes the symmetric unified focal loss: focal Tversky plus focal loss.

  .. math::
    L = \lambda \, \frac1C \sum_c (1 - T_c)^{1 - \gamma}
      - (1 - \lambda) \, \frac1N \sum_{i, c}
        \delta_c \, y_{ic} (1 - p_{ic})^\gamma \log p_{ic}

  The Tversky index T weighs false positives by :math:`1 - \delta` and false
  negatives by :math:`\delta`. :math:`\delta_c` is :math:`\delta`, except for
  class 0, the background, where it is :math:`1 - \delta`.

  Args:
    logits: float `[examples..., classes]` for softmax, `[examples...]` for
      independent sigmoids, whose two sides are the classes.
    labels: int class ids `[examples...]` (softmax), or targets in [0, 1] shaped
      like the logits (sigmoid).
    weight: :math:`\lambda`, the weight of the Tversky part, between 0 and 1.
    delta: :math:`\delta`, between 0 and 1.
    gamma: :math:`\gamma`, between 0 and 1; a larger one gives rare classes more
      weight and the background less.
    smooth: added to numerator and denominator of T, in units of counts. (With
      the 1e-7 of the published code, a class that is absent from a set has no
      gradient.)
    axis: see `dice`.
    where: see `dice`.
    axis_name: see `dice`.
    activation: see `dice`.

  Returns:
    Loss with the example axes that are not in `axis`.

  Raises:
    AssertionError, TypeError: see `dice`.
    ValueError: see `dice`; `weight`, `delta` or `gamma` not in [0, 1].

  Example:
    >>> logits = jnp.array([[2., .5, -1.], [0., 1., .5]])
    >>> print(f'{unified_focal(logits, jnp.array([0, 1])):.3f}')
    0.268

  References:
    Yeung et al., `Unified Focal loss <https://arxiv.org/abs/2102.04525>`_,
    2021.
  """
  check_not_negative(smooth=smooth)
  check_fraction(weight=weight, delta=delta, gamma=gamma)
  return _unified_focal(
    logits,
    labels,
    background=_Focus(1 - gamma, gamma),
    foreground=_Focus(1 - gamma, gamma),
    weight=weight,
    delta=delta,
    smooth=smooth,
    axis=axis,
    where=where,
    axis_name=axis_name,
    activation=activation,
  )


def asymmetric_unified_focal(
  logits: ArrayLike,
  labels: ArrayLike,
  *,
  weight: ArrayLike = 0.5,
  delta: ArrayLike = 0.6,
  gamma: ArrayLike = 0.5,
  smooth: ArrayLike = 1.0,
  axis: Axis = None,
  where: ArrayLike | None = None,
  axis_name: AxisName = None,
  activation: str | None = None,
) -> jax.Array:
  r"""Computes the asymmetric unified focal loss.

  It differs from `unified_focal` in two ways: the exponent :math:`1 - \gamma`
  of :math:`1 - T_c` applies to the foreground only (class 0 has 1), and the
  factor :math:`(1 - p)^\gamma` of the cross entropy applies to the background
  only.

  Args:
    logits: see `unified_focal`.
    labels: see `unified_focal`.
    weight: see `unified_focal`.
    delta: see `unified_focal`.
    gamma: see `unified_focal`.
    smooth: see `unified_focal`.
    axis: see `unified_focal`.
    where: see `unified_focal`.
    axis_name: see `unified_focal`.
    activation: see `unified_focal`.

  Returns:
    Loss with the example axes that are not in `axis`.

  Raises:
    AssertionError, TypeError: see `dice`.
    ValueError: see `unified_focal`.

  Example:
    >>> logits = jnp.array([[2., .5, -1.], [0., 1., .5]])
    >>> print(f'{asymmetric_unified_focal(logits, jnp.array([0, 1])):.3f}')
    0.262

  References:
    Yeung et al., `Unified Focal loss <https://arxiv.org/abs/2102.04525>`_,
    2021.
  """
  check_not_negative(smooth=smooth)
  check_fraction(weight=weight, delta=delta, gamma=gamma)
  return _unified_focal(
    logits,
    labels,
    background=_Focus(1, gamma),
    foreground=_Focus(1 - gamma, 0),
    weight=weight,
    delta=delta,
    smooth=smooth,
    axis=axis,
    where=where,
    axis_name=axis_name,
    activation=activation,
  )


class _Focus(NamedTuple):
  """How much less a class counts where it is easy.

  Attributes:
    exponent: exponent of 1 - T in the Tversky part.
    gamma: exponent of 1 - p in the cross entropy.
  """

  exponent: ArrayLike
  gamma: ArrayLike


def _unified_focal(
  logits,
  labels,
  *,
  background,
  foreground,
  weight,
  delta,
  smooth,
  axis,
  where,
  axis_name,
  activation,
):
  sets = Sets.of(
    logits,
    labels,
    axis=axis,
    where=where,
    axis_name=axis_name,
    activation=activation,
  )
  if not sets.inputs.softmax:
    # A sigmoid is a softmax over its two sides, of which the first is the
    # background. The example axes stay what they were.
    x = sets.inputs
    sets = Sets.of(
      jnp.stack([jnp.zeros_like(x.logits), x.logits], axis=-1),
      jnp.stack([1 - x.labels, x.labels], axis=-1),
      axis=sets.axis,
      where=x.where,
      axis_name=axis_name,
      activation='softmax',
    )
  x = sets.inputs
  is_first = jnp.arange(x.logits.shape[-1]) == 0
  exponent = jnp.where(is_first, background.exponent, foreground.exponent)
  distance = sets.tversky_distance(1 - delta, delta, smooth)
  overlap = sets.mean_over_classes(_power(exponent, distance))
  # The cross entropy looks up its gamma by the label, or by each class where
  # the labels are distributions.
  is_background = (
    x.labels == 0 if x.class_ids else jnp.broadcast_to(is_first, x.logits.shape)
  )
  entropy = focal(
    x.logits,
    x.labels,
    gamma=jnp.where(is_background, background.gamma, foreground.gamma),
    class_weights=jnp.where(is_first, 1 - delta, delta),
    where=x.where,
    activation=None if x.class_ids else 'softmax',
  )
  mean = sets.mean_over_elements(entropy)
  return (weight * overlap + (1 - weight) * mean).astype(mean.dtype)


def _power(exponent, distance):
  """distance^exponent, with value and derivative 0 at 0.

  The derivative of a power below 1 is infinite there.
  """
  is_zero = distance == 0
  exponent = jnp.asarray(exponent, distance.dtype)
  exponent = jnp.broadcast_to(exponent, distance.shape)
  power = jnp.exp(exponent * jnp.log(jnp.where(is_zero, 1, distance)))
  return jnp.where(is_zero, 0, power)
