"""Functions of an overlap, and an overlap joined with cross entropy.

A plain sum of two losses needs no function of its own:
`dice(...) + cross_entropy(...).mean()`.
"""

import functools
import numbers
from typing import NamedTuple

import jax
import jax.numpy as jnp

from dicejax.losses._counts import Prices
from dicejax.losses._counts import example_axes
from dicejax.losses._counts import set_loss
from dicejax.losses._counts import set_mean
from dicejax.losses._inputs import check_inputs
from dicejax.losses._inputs import check_not_negative
from dicejax.losses._pointwise import focal


def focal_tversky(
  logits: jax.typing.ArrayLike,
  labels: jax.typing.ArrayLike,
  *,
  alpha: jax.typing.ArrayLike = 0.3,
  beta: jax.typing.ArrayLike = 0.7,
  gamma: jax.typing.ArrayLike = 0.75,
  smooth: jax.typing.ArrayLike = 1.0,
  axis: int | tuple[int, ...] | None = None,
  where: jax.typing.ArrayLike | None = None,
  class_weights: jax.typing.ArrayLike | None = None,
  axis_name: str | tuple[str, ...] | None = None,
  activation: str | None = None,
) -> jax.Array:
  r"""Focal Tversky loss: a power of the Tversky loss of each set.

  .. math::
    L = \Bigl( 1 - \frac{TP + s}{TP + \alpha\,FP + \beta\,FN + s}
      \Bigr)^\gamma

  The published :math:`\gamma` of 4/3 is the inverse of this one. Below 1 it
  weighs up sets that are almost right; above 1, sets that are not.

  Args:
    logits: float `[examples..., classes]` for softmax, `[examples...]` for
      independent sigmoids. Never probabilities: that cannot be checked.
    labels: int class ids `[examples...]` (softmax), or of the shape of the
      logits (sigmoid).
    alpha: weight of false positives, at least 0.
    beta: weight of false negatives, at least 0.
    gamma: :math:`\gamma > 0`; 1 is `tversky`.
    smooth: :math:`s \ge 0`, in the unit of the counts.
    axis: see `dice`; here all elements are one set by default.
    where: see `dice`.
    class_weights: see `dice`.
    axis_name: see `dice`.
    activation: see `dice`.

  Returns:
    Loss in [0, 1], as of `dice`.

  Raises:
    AssertionError: types or shapes that do not fit, with both shapes.
    ValueError: as of `dice`; a negative `alpha`, `beta` or `gamma`.

  Example:
    >>> logits, labels = jnp.array([9., -9., 9.]), jnp.array([1, 0, 0])
    >>> print(f'{focal_tversky(logits, labels):.3f}')
    0.217

  References:
    Abraham and Khan, `A Novel Focal Tversky Loss Function
    <https://arxiv.org/abs/1810.07842>`_, 2018.
  """
  check_not_negative(alpha=alpha, beta=beta, gamma=gamma, smooth=smooth)
  return set_loss(
    Prices(alpha, beta, smooth),
    logits,
    labels,
    transform=functools.partial(_power, gamma),
    axis=axis,
    where=where,
    class_weights=class_weights,
    axis_name=axis_name,
    activation=activation,
  )


def log_cosh_dice(
  logits: jax.typing.ArrayLike,
  labels: jax.typing.ArrayLike,
  *,
  smooth: jax.typing.ArrayLike = 1.0,
  axis: int | tuple[int, ...] | None = None,
  where: jax.typing.ArrayLike | None = None,
  class_weights: jax.typing.ArrayLike | None = None,
  axis_name: str | tuple[str, ...] | None = None,
  activation: str | None = None,
) -> jax.Array:
  r"""Log-cosh Dice loss: quadratic where Dice is near 0.

  .. math::
    L = \log \cosh D, \qquad D = \text{the loss of } `dice`

  Args:
    logits: float `[examples..., classes]` for softmax, `[examples...]` for
      independent sigmoids. Never probabilities: that cannot be checked.
    labels: int class ids `[examples...]` (softmax), or of the shape of the
      logits (sigmoid).
    smooth: see `dice`.
    axis: see `dice`; here all elements are one set by default.
    where: see `dice`.
    class_weights: see `dice`.
    axis_name: see `dice`.
    activation: see `dice`.

  Returns:
    Loss in [0, 0.434], otherwise as of `dice`.

  Raises:
    AssertionError: types or shapes that do not fit, with both shapes.
    ValueError: as of `dice`.

  Example:
    >>> logits, labels = jnp.array([9., -9., 9.]), jnp.array([1, 0, 0])
    >>> print(f'{log_cosh_dice(logits, labels):.4f}')
    0.0309

  References:
    Jadon, `A survey of loss functions for semantic segmentation
    <https://arxiv.org/abs/2006.14822>`_, 2020.
  """
  check_not_negative(smooth=smooth)
  return set_loss(
    Prices(1 / 2, 1 / 2, smooth / 2),
    logits,
    labels,
    # log cosh D, without cosh D - 1 lost beside 1.
    transform=lambda d: jnp.log1p(2 * jnp.square(jnp.sinh(d / 2))),
    axis=axis,
    where=where,
    class_weights=class_weights,
    axis_name=axis_name,
    activation=activation,
  )


def unified_focal(
  logits: jax.typing.ArrayLike,
  labels: jax.typing.ArrayLike,
  *,
  weight: jax.typing.ArrayLike = 0.5,
  delta: jax.typing.ArrayLike = 0.6,
  gamma: jax.typing.ArrayLike = 0.5,
  smooth: jax.typing.ArrayLike = 1.0,
  axis: int | tuple[int, ...] | None = None,
  where: jax.typing.ArrayLike | None = None,
  axis_name: str | tuple[str, ...] | None = None,
  activation: str | None = None,
) -> jax.Array:
  r"""Unified focal loss, symmetric: focal Tversky and focal loss of a set.

  .. math::
    L = \lambda \, \frac1C \sum_c (1 - T_c)^{1 - \gamma}
      - (1 - \lambda) \, \frac1N \sum_{i, c}
        \delta_c \, y_{ic} (1 - p_{ic})^\gamma \log p_{ic}

  with :math:`T` at the prices :math:`1 - \delta` of a false positive and
  :math:`\delta` of a false negative, and :math:`\delta_c = \delta` but
  :math:`1 - \delta` for class 0, the background.

  Args:
    logits: float `[examples..., classes]` for softmax, `[examples...]` for
      independent sigmoids, whose two sides are the classes.
    labels: int class ids `[examples...]` (softmax), or of the shape of the
      logits (sigmoid).
    weight: :math:`\lambda`, of the Tversky part, between 0 and 1.
    delta: :math:`\delta`, between 0 and 1.
    gamma: :math:`\gamma`, between 0 and 1: more of it, more for rare classes
      and less for the background.
    smooth: of T, in the unit of the counts. (The published code has 1e-7, with
      which a class that is not in a set has no gradient.)
    axis: see `dice`; here all elements are one set by default.
    where: see `dice`.
    axis_name: see `dice`.
    activation: see `dice`.

  Returns:
    Loss of the example axes that are left.

  Raises:
    AssertionError: types or shapes that do not fit, with both shapes.
    ValueError: as of `dice`; `weight`, `delta` or `gamma` not in [0, 1].

  Example:
    >>> logits = jnp.array([[2., .5, -1.], [0., 1., .5]])
    >>> print(f'{unified_focal(logits, jnp.array([0, 1])):.3f}')
    0.268

  References:
    Yeung et al., `Unified Focal loss <https://arxiv.org/abs/2102.04525>`_,
    2021.
  """
  check_not_negative(smooth=smooth)
  _check_shares(weight=weight, delta=delta, gamma=gamma)
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
  logits: jax.typing.ArrayLike,
  labels: jax.typing.ArrayLike,
  *,
  weight: jax.typing.ArrayLike = 0.5,
  delta: jax.typing.ArrayLike = 0.6,
  gamma: jax.typing.ArrayLike = 0.5,
  smooth: jax.typing.ArrayLike = 1.0,
  axis: int | tuple[int, ...] | None = None,
  where: jax.typing.ArrayLike | None = None,
  axis_name: str | tuple[str, ...] | None = None,
  activation: str | None = None,
) -> jax.Array:
  r"""Unified focal loss, asymmetric: only the background is weighed down.

  As `unified_focal`, but the exponent :math:`1 - \gamma` of :math:`1 - T_c` is
  for the foreground only (class 0 has 1), and the factor
  :math:`(1 - p)^\gamma` of the cross entropy for the background only.

  Args:
    logits: see `unified_focal`, as for all arguments.
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
    Loss of the example axes that are left.

  Raises:
    AssertionError: types or shapes that do not fit, with both shapes.
    ValueError: as of `unified_focal`.

  Example:
    >>> logits = jnp.array([[2., .5, -1.], [0., 1., .5]])
    >>> print(f'{asymmetric_unified_focal(logits, jnp.array([0, 1])):.3f}')
    0.262

  References:
    Yeung et al., `Unified Focal loss <https://arxiv.org/abs/2102.04525>`_,
    2021.
  """
  check_not_negative(smooth=smooth)
  _check_shares(weight=weight, delta=delta, gamma=gamma)
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
  """What weighs a class down where it is easy."""

  exponent: jax.typing.ArrayLike  # Of 1 - T.
  gamma: jax.typing.ArrayLike  # Of 1 - p, in its cross entropy.


def _check_shares(**values):
  check_not_negative(**values)
  for name, value in values.items():
    if isinstance(value, numbers.Real) and value > 1:
      raise ValueError(f'{name} is at most 1, not {value}.')


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
  x = check_inputs(logits, labels, where, activation)
  axis = example_axes(axis, x.logits.ndim, x.softmax)
  logits, labels = _classes(x)
  first = jnp.arange(logits.shape[-1]) == 0
  activation = None if x.class_ids else 'softmax'
  overlap = set_loss(
    Prices(1 - delta, delta, smooth),
    logits,
    labels,
    transform=functools.partial(
      _power, jnp.where(first, background.exponent, foreground.exponent)
    ),
    axis=axis,
    where=x.where,
    class_weights=None,
    axis_name=axis_name,
    activation=activation,
  )
  # Of the true class: of the labels, or of each class that has a share.
  first_true = (
    labels == 0 if x.class_ids else jnp.broadcast_to(first, logits.shape)
  )
  entropy = focal(
    logits,
    labels,
    gamma=jnp.where(first_true, background.gamma, foreground.gamma),
    class_weights=jnp.where(first, 1 - delta, delta),
    where=x.where,
    activation=activation,
  )
  mean = set_mean(entropy, x.where, axis, axis_name)
  return (weight * overlap + (1 - weight) * mean).astype(mean.dtype)


def _classes(x):
  """Logits and labels of a softmax: sigmoids are one over their two sides."""
  if x.softmax:
    return x.logits, x.labels
  logits = jnp.stack([jnp.zeros_like(x.logits), x.logits], axis=-1)
  return logits, jnp.stack([1 - x.labels, x.labels], axis=-1)


def _power(exponent, distance):
  """0 at 0, with a derivative of 0: that of a power below 1 is infinite."""
  some = distance > 0
  exponent = jnp.asarray(exponent, distance.dtype)
  exponent = jnp.broadcast_to(exponent, distance.shape)
  power = jnp.exp(exponent * jnp.log(jnp.where(some, distance, 1)))
  return jnp.where(some, power, 0)
