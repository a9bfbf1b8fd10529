"""Losses with a value per element; the caller takes the mean.

Most are a function f of the log odds u of the true class, because then log p =
-softplus(-u) and log(1 - p) = -softplus(u) keep all their digits at any u.
"""

from __future__ import annotations

import numbers
from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from dicejax.losses._inputs import Inputs
from dicejax.losses._inputs import check_class_weights
from dicejax.losses._inputs import check_fraction
from dicejax.losses._inputs import check_inputs
from dicejax.losses._inputs import check_not_negative
from dicejax.losses._inputs import check_option
from dicejax.losses._inputs import nan_where
from dicejax.losses._softmax import is_class
from dicejax.losses._softmax import one_vs_rest


def cross_entropy(
  logits: ArrayLike,
  labels: ArrayLike,
  *,
  label_smoothing: ArrayLike = 0.0,
  class_weights: ArrayLike | None = None,
  where: ArrayLike | None = None,
  activation: str | None = None,
) -> jax.Array:
  r"""Computes the cross entropy of each element.

  .. math::
    L = -\sum_c w_c \, y_c \log p_c

  where the sum runs over the classes of a softmax, or over the two sides of a
  sigmoid.

  Args:
    logits: float `[examples..., classes]` for softmax, `[examples...]` for
      independent sigmoids; never probabilities (which cannot be checked).
    labels: int class ids `[examples...]` (softmax; an id outside
      `0..classes-1` that `where` does not exclude gives NaN), or targets in
      [0, 1] shaped like the logits (sigmoid).
    label_smoothing: between 0 and 1, the part of y that is spread evenly over
      all classes.
    class_weights: `[classes]`; for sigmoids `[2]`, for negatives and positives.
    where: bool, broadcastable to the example axes; an element with False has a
      loss of 0 without gradient, whatever its logits and label are. Divide the
      sum by the number of the others: `loss.sum() / where.sum()`. For labels
      with -100 as the ignored value, pass `where=labels != -100`.
    activation: None lets the labels decide. 'softmax' with labels shaped like
      the logits takes these for distributions over classes.

  Returns:
    Loss `[examples...]`, float32, or float64 for float64 logits.

  Raises:
    AssertionError, TypeError: see `dice`.
    ValueError: see `dice`; a `label_smoothing` outside [0, 1].

  Example:
    >>> logits = jnp.array([[2., .5, -1.], [0., 1., .5]])
    >>> loss = cross_entropy(logits, jnp.array([0, 1]))
    >>> print(*(f'{value:.4f}' for value in loss))
    0.2413 0.6803

  References:
    Li et al., `Dice Loss for Data-imbalanced NLP Tasks
    <https://aclanthology.org/2020.acl-main.45>`_, 2020.
  """
  check_fraction(label_smoothing=label_smoothing)
  x = check_inputs(logits, labels, where, activation)
  loss = _sum_over_classes(lambda u: jax.nn.softplus(-u), x, class_weights)
  if isinstance(label_smoothing, numbers.Real) and label_smoothing == 0:
    return loss
  even = x._replace(labels=jnp.full_like(x.logits, 1 / _num_classes(x)))
  spread = _sum_over_classes(lambda u: jax.nn.softplus(-u), even, class_weights)
  smoothed = (1 - label_smoothing) * loss + label_smoothing * spread
  return jnp.asarray(smoothed, loss.dtype)


def focal(
  logits: ArrayLike,
  labels: ArrayLike,
  *,
  gamma: ArrayLike = 2.0,
  class_weights: ArrayLike | None = None,
  where: ArrayLike | None = None,
  activation: str | None = None,
) -> jax.Array:
  r"""Computes the focal loss: cross entropy with less weight on easy examples.

  .. math::
    L = -\sum_c w_c \, y_c \, (1 - p_c)^\gamma \log p_c

  Args:
    logits: float `[examples..., classes]` for softmax, `[examples...]` for
      independent sigmoids; never probabilities (which cannot be checked).
    labels: see `cross_entropy`.
    gamma: :math:`\gamma \ge 0`; 0 is cross entropy.
    class_weights: `[classes]`; for sigmoids `[2]`, for negatives and positives.
    where: see `cross_entropy`.
    activation: see `cross_entropy`.

  Returns:
    Loss `[examples...]`, float32, or float64 for float64 logits.

  Raises:
    AssertionError, TypeError: see `dice`.
    ValueError: see `dice`; a negative `gamma`.

  Example:
    >>> logits = jnp.array([[2., .5, -1.], [0., 1., .5]])
    >>> loss = focal(logits, jnp.array([0, 1]))
    >>> print(*(f'{value:.4f}' for value in loss))
    0.0111 0.1657

  References:
    Lin et al., `Focal loss <https://arxiv.org/abs/1708.02002>`_, 2017.
  """
  check_not_negative(gamma=gamma)
  x = check_inputs(logits, labels, where, activation)
  # The weight is computed in log space, because the derivative of a power of
  # 1 - p may be infinite where p rounds to 1.
  return _sum_over_classes(
    lambda u: jnp.exp(-(gamma * jax.nn.softplus(u))) * jax.nn.softplus(-u),
    x,
    class_weights,
  )


def poly(
  logits: ArrayLike,
  labels: ArrayLike,
  *,
  epsilon: ArrayLike = 1.0,
  class_weights: ArrayLike | None = None,
  where: ArrayLike | None = None,
  activation: str | None = None,
) -> jax.Array:
  r"""Computes the Poly-1 loss: cross entropy with another first term.

  .. math::
    L = \sum_c w_c \, y_c \, (-\log p_c + \epsilon \, (1 - p_c))

  Cross entropy is :math:`\sum_j (1 - p)^j / j`. A larger first term keeps a
  gradient on examples that are almost right; a smaller one takes it away.

  Args:
    logits: float `[examples..., classes]` for softmax, `[examples...]` for
      independent sigmoids; never probabilities (which cannot be checked).
    labels: see `cross_entropy`.
    epsilon: :math:`\epsilon \ge -1`; 0 is cross entropy. The paper uses 2 for
      ImageNet and -1 for object detection.
    class_weights: `[classes]`; for sigmoids `[2]`, for negatives and positives.
    where: see `cross_entropy`.
    activation: see `cross_entropy`.

  Returns:
    Loss `[examples...]`, float32, or float64 for float64 logits.

  Raises:
    AssertionError, TypeError: see `dice`.
    ValueError: see `dice`.

  Example:
    >>> logits = jnp.array([[2., .5, -1.], [0., 1., .5]])
    >>> loss = poly(logits, jnp.array([0, 1]))
    >>> print(*(f'{value:.4f}' for value in loss))
    0.4557 1.1738

  References:
    Leng et al., `PolyLoss <https://arxiv.org/abs/2204.12511>`_, 2022.
  """
  x = check_inputs(logits, labels, where, activation)
  return _sum_over_classes(
    # 1 - p is sigmoid(-u): a subtraction would round it to 0 or to 6e-8.
    lambda u: jax.nn.softplus(-u) + epsilon * jax.nn.sigmoid(-u),
    x,
    class_weights,
  )


def asymmetric(
  logits: ArrayLike,
  labels: ArrayLike,
  *,
  gamma_positive: ArrayLike = 1.0,
  gamma_negative: ArrayLike = 4.0,
  margin: ArrayLike = 0.05,
  weight_gradient: str = 'full',
  where: ArrayLike | None = None,
) -> jax.Array:
  r"""Computes the asymmetric loss (ASL), which focuses and clips negatives.

  .. math::
    L = -y \, (1 - p)^{\gamma_+} \log p
        - (1 - y) \, p_m^{\gamma_-} \log(1 - p_m),
    \qquad p_m = \max(p - m, 0)

  A negative with :math:`p \le m` has neither loss nor gradient. With equal
  gammas and a margin of 0 this is the sigmoid form of `focal`.

  Args:
    logits: float `[...]`, each an independent sigmoid; never probabilities
      (which cannot be checked).
    labels: targets shaped like the logits, 0 and 1; between them, the loss is
      the weighted mean of its two sides.
    gamma_positive: :math:`\gamma_+ \ge 0`.
    gamma_negative: :math:`\gamma_- \ge 0`.
    margin: :math:`0 \le m < 1`.
    weight_gradient: 'full' differentiates the formula; 'stop' takes
      :math:`(1-p)^{\gamma_+}` and :math:`p_m^{\gamma_-}` for constants, as the
      published code does with `disable_torch_grad_focal_loss`.
    where: bool, broadcastable to the logits; see `cross_entropy`.

  Returns:
    Loss `[...]`, float32, or float64 for float64 logits.

  Raises:
    AssertionError, TypeError: see `dice`.
    ValueError: a negative gamma, a `margin` outside [0, 1), an unknown
      `weight_gradient`.

  Example:
    >>> loss = asymmetric(jnp.array([2., 2., -4.]), jnp.array([1, 0, 0]))
    >>> print(*(f'{value:.4f}' for value in loss))
    0.0151 0.8464 0.0000

  References:
    Ben-Baruch et al., `Asymmetric Loss for Multi-Label Classification
    <https://arxiv.org/abs/2009.14119>`_, 2020.
  """
  check_not_negative(
    gamma_positive=gamma_positive, gamma_negative=gamma_negative, margin=margin
  )
  if isinstance(margin, numbers.Real) and not margin < 1:
    raise ValueError(f'margin must be below 1, got {margin}.')
  check_option('weight_gradient', weight_gradient, ('full', 'stop'))
  x = check_inputs(logits, labels, where, 'sigmoid')
  log_p, log_not_p = -jax.nn.softplus(-x.logits), -jax.nn.softplus(x.logits)
  # log(1 - p_m) = log(1 - p + m) before clipping, in log space, because both
  # terms may be tiny.
  log_not_pm = jnp.logaddexp(log_not_p, jnp.log(margin).astype(log_p.dtype))
  counts = log_not_pm < 0
  # The input is clipped as well as the result, because the derivative of a
  # power of p_m may be infinite at 0.
  log_not_pm = jnp.where(counts, log_not_pm, -1)
  log_pm = jnp.log(-jnp.expm1(log_not_pm))
  weights = (
    jnp.exp(gamma_positive * log_not_p),
    jnp.exp(gamma_negative * log_pm),
  )
  if weight_gradient == 'stop':
    weights = jax.lax.stop_gradient(weights)
  positive, negative = weights
  loss = -x.labels * positive * log_p
  loss -= (1 - x.labels) * jnp.where(counts, negative * log_not_pm, 0)
  loss = loss.astype(x.logits.dtype)
  return loss if x.where is None else jnp.where(x.where, loss, 0)


def zlpr(
  logits: ArrayLike,
  labels: ArrayLike,
  *,
  where: ArrayLike | None = None,
) -> jax.Array:
  r"""Computes the ZLPR loss (zero-bounded log-sum-exp pairwise rank).

  .. math::
    L = \log\Bigl(1 + \sum_c y_c \, e^{-s_c}\Bigr)
      + \log\Bigl(1 + \sum_c (1 - y_c) \, e^{s_c}\Bigr)

  It is meant for several labels per example: all true labels should score above
  0 and all others below. The worst of each count most, so that many easy
  negatives weigh little. Predict the labels with :math:`s > 0`.

  Args:
    logits: float `[examples..., labels]`, the scores s; never probabilities
      (which cannot be checked).
    labels: targets shaped like the logits, 0 and 1. Between them this is the
      paper's soft form, with its optimum where :math:`y = \sigma(2 s)`.
    where: bool, broadcastable to the logits; a label with False is excluded,
      whatever its logit is.

  Returns:
    Loss `[examples...]`, float32, or float64 for float64 logits; 0 where all
    labels are excluded.

  Raises:
    AssertionError, TypeError: see `dice`.
    ValueError: logits without an axis of labels.

  Example:
    >>> logits = jnp.array([[2., -3., -1.], [2., -3., -1.]])
    >>> loss = zlpr(logits, jnp.array([[1, 0, 0], [0, 0, 1]]))
    >>> print(*(f'{value:.4f}' for value in loss))
    0.4759 3.4461

  References:
    Su et al., `ZLPR <https://arxiv.org/abs/2208.02955>`_, 2022.
  """
  x = check_inputs(logits, labels, where, 'sigmoid')
  if not x.logits.ndim:
    raise ValueError('zlpr needs an axis of labels, got logits of shape [].')
  false = 1 - x.labels
  if x.where is not None:
    false = jnp.where(x.where, false, 0)
  return _log1p_sum_exp(-x.logits, x.labels) + _log1p_sum_exp(x.logits, false)


def _sum_over_classes(
  f: Callable[[jax.Array], jax.Array], x: Inputs, class_weights
) -> jax.Array:
  """Computes sum_c w_c y_c f(u_c) `[examples...]`, 0 where excluded."""
  weights = jnp.ones(_num_classes(x), x.logits.dtype)
  if class_weights is not None:
    weights = check_class_weights(class_weights, x.logits, _num_classes(x))
  if x.class_ids:
    loss = f(_log_odds(x.logits, x.labels))
    loss *= nan_where(x.out_of_range, loss.dtype)
    if class_weights is not None:
      loss *= weights[x.labels]
  elif x.softmax:
    weights = jnp.broadcast_to(weights, x.logits.shape)
    loss = jnp.sum(weights * x.labels * f(one_vs_rest(x.logits)), axis=-1)
  else:
    loss = weights[1] * x.labels * f(x.logits)
    loss += weights[0] * (1 - x.labels) * f(-x.logits)
  loss = loss.astype(x.logits.dtype)
  return loss if x.where is None else jnp.where(x.where, loss, 0)


def _num_classes(x):
  return x.logits.shape[-1] if x.softmax else 2


def _log1p_sum_exp(scores, weights):
  """Computes log(1 + sum w e^s) over the last axis, exact near 0 as well."""
  scores = jnp.where(weights > 0, scores, -jnp.inf)
  top = jax.lax.stop_gradient(jnp.max(scores, -1, keepdims=True, initial=0))
  total = jnp.sum(weights * jnp.exp(scores - top), axis=-1)
  top = top[..., 0]
  # log1p keeps the digits of a small sum. For a large one it would round a
  # small weight away beside the -1 of expm1.
  small = jnp.log1p(jnp.expm1(-jnp.minimum(top, 1)) + total)
  return top + jnp.where(top < 1, small, jnp.log(jnp.exp(-top) + total))


@jax.custom_jvp
def _log_odds(logits, labels):
  """`one_vs_rest` of one class per row: `[...]` for labels `[...]`."""
  return _odds_and_softmax_of_others(logits, labels)[0]


@_log_odds.defjvp
def _log_odds_jvp(primals, tangents):
  # du = dz_t - sum over j != t of softmax(z without t)_j dz_j.
  odds, others = _odds_and_softmax_of_others(*primals)
  slope = is_class(primals[1], others) - others
  return odds, jnp.sum(slope * tangents[0], axis=-1)


def _odds_and_softmax_of_others(logits, labels):
  """Log odds of the label `[...]`, and the softmax of all other classes."""
  own = jnp.take_along_axis(logits, labels[..., None], axis=-1, mode='clip')
  others = jnp.where(is_class(labels, logits), -jnp.inf, logits)
  # Everything is relative to the largest other logit. A difference of two
  # log-sum-exps of large logits would lose the digits that own - top has.
  top = jax.lax.stop_gradient(jnp.max(others, axis=-1, keepdims=True))
  ratio = jnp.exp(others - top)
  ratio_sum = jnp.sum(ratio, axis=-1, keepdims=True)
  return ((own - top) - jnp.log(ratio_sum))[..., 0], ratio / ratio_sum
