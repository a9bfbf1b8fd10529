"""Functions of an overlap, and an overlap joined with cross entropy.

A plain sum of two losses needs no function of its own:
`dice(...) + cross_entropy(...).mean()`.
"""

import functools
import numbers

import jax
import jax.numpy as jnp

from dicejax.losses._class_ids import Prices
from dicejax.losses._counts import example_axes
from dicejax.losses._counts import set_loss
from dicejax.losses._inputs import check_inputs
from dicejax.losses._inputs import check_not_negative
from dicejax.losses._pointwise import cross_entropy
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
  return _unified_focal(
    False,
    logits,
    labels,
    weight,
    delta,
    gamma,
    smooth,
    axis,
    where,
    axis_name,
    activation,
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
  return _unified_focal(
    True,
    logits,
    labels,
    weight,
    delta,
    gamma,
    smooth,
    axis,
    where,
    axis_name,
    activation,
  )


def _unified_focal(
  asymmetric,
  logits,
  labels,
  weight,
  delta,
  gamma,
  smooth,
  axis,
  where,
  axis_name,
  activation,
):
  check_not_negative(weight=weight, delta=delta, gamma=gamma, smooth=smooth)
  for name, value in [('weight', weight), ('delta', delta), ('gamma', gamma)]:
    if isinstance(value, numbers.Real) and value > 1:
      raise ValueError(f'{name} is at most 1, not {value}.')
  x = check_inputs(logits, labels, where, activation)
  axis = example_axes(axis, x.logits.ndim, x.softmax)
  logits, labels = x.logits, x.labels
  if not x.softmax:  # The same as a softmax over its two sides.
    logits = jnp.stack([jnp.zeros_like(logits), logits], axis=-1)
    labels = jnp.stack([1 - labels, labels], axis=-1)
  background = jnp.arange(logits.shape[-1]) == 0
  kwargs = dict(where=x.where, activation='softmax')
  if x.class_ids:
    kwargs['activation'] = None

  exponent = 1 - gamma
  if asymmetric:
    exponent = jnp.where(background, 1, exponent)
  overlap = set_loss(
    Prices(1 - delta, delta, smooth),
    logits,
    labels,
    transform=functools.partial(_power, exponent),
    axis=axis,
    class_weights=None,
    axis_name=axis_name,
    **kwargs,
  )
  weights = jnp.where(background, 1 - delta, delta)
  if asymmetric:
    entropy = focal(
      logits,
      labels,
      gamma=gamma,
      class_weights=jnp.where(background, weights, 0),
      **kwargs,
    ) + cross_entropy(
      logits,
      labels,
      class_weights=jnp.where(background, 0, weights),
      **kwargs,
    )
  else:
    entropy = focal(
      logits, labels, gamma=gamma, class_weights=weights, **kwargs
    )
  real = jnp.ones(entropy.shape, bool) if x.where is None else x.where
  total = jnp.sum(entropy, axis), jnp.sum(real, axis)
  if axis_name is not None:
    total = jax.lax.psum(total, axis_name)
  mean = total[0] / jnp.maximum(total[1], 1)
  loss = weight * overlap + (1 - weight) * mean
  return loss.astype(mean.dtype)


def _power(exponent, distance):
  """0 at 0, with a derivative of 0: that of a power below 1 is infinite."""
  some = distance > 0
  exponent = jnp.asarray(exponent, distance.dtype)
  exponent = jnp.broadcast_to(exponent, distance.shape)
  power = jnp.exp(exponent * jnp.log(jnp.where(some, distance, 1)))
  return jnp.where(some, power, 0)
