"""Losses with a value for each element; the caller takes the mean.

Most are a function f of the log odds u of the true class: log p is
-softplus(-u) and log (1 - p) is -softplus(u), exact at any u.
"""

import numbers
from collections.abc import Callable

import jax
import jax.numpy as jnp

from dicejax.losses._inputs import Inputs
from dicejax.losses._inputs import check_class_weights
from dicejax.losses._inputs import check_inputs
from dicejax.losses._inputs import check_not_negative
from dicejax.losses._inputs import is_class
from dicejax.losses._softmax import one_vs_rest


def cross_entropy(
  logits: jax.typing.ArrayLike,
  labels: jax.typing.ArrayLike,
  *,
  label_smoothing: jax.typing.ArrayLike = 0.0,
  class_weights: jax.typing.ArrayLike | None = None,
  where: jax.typing.ArrayLike | None = None,
  activation: str | None = None,
) -> jax.Array:
  r"""Cross entropy of each element.

  .. math::
    L = -\sum_c w_c \, y_c \log p_c

  over the classes of a softmax, or over the two sides of a sigmoid.

  Args:
    logits: float `[examples..., classes]` for softmax, `[examples...]` for
      independent sigmoids. Never probabilities: that cannot be checked.
    labels: int class ids `[examples...]` (softmax), or of the shape of the
      logits (sigmoid). An id that is no class gives NaN, unless left out by
      `where`.
    label_smoothing: between 0 and 1, the share of y that is spread evenly over
      all classes.
    class_weights: `[classes]`; for sigmoids `[2]`, of negatives and positives.
    where: bool, broadcastable to the example axes; False gives a loss of 0
      without gradient, whatever the logits and the label are. Divide the sum
      by the number of elements that count: `loss.sum() / where.sum()`.
    activation: by default as `labels` say. 'softmax' with labels of the shape
      of the logits takes them for distributions over classes.

  Returns:
    Loss `[examples...]`, float32 (float64 for such logits).

  Raises:
    AssertionError: types or shapes that do not fit, with both shapes.
    ValueError: `label_smoothing` not in [0, 1], an unknown `activation`.

  Example:
    >>> logits = jnp.array([[2., .5, -1.], [0., 1., .5]])
    >>> loss = cross_entropy(logits, jnp.array([0, 1]))
    >>> print(*(f'{value:.4f}' for value in loss))
    0.2413 0.6803

  References:
    Li et al., `Dice Loss for Data-imbalanced NLP Tasks
    <https://aclanthology.org/2020.acl-main.45>`_, 2020.
  """
  check_not_negative(label_smoothing=label_smoothing)
  if isinstance(label_smoothing, numbers.Real) and label_smoothing > 1:
    raise ValueError(f'label_smoothing is at most 1, not {label_smoothing}.')
  x = check_inputs(logits, labels, where, activation)
  loss = _of_true_class(lambda u: jax.nn.softplus(-u), x, class_weights)
  if isinstance(label_smoothing, numbers.Real) and label_smoothing == 0:
    return loss
  even = x._replace(labels=jnp.full_like(x.logits, 1 / _num_classes(x)))
  spread = _of_true_class(lambda u: jax.nn.softplus(-u), even, class_weights)
  smoothed = (1 - label_smoothing) * loss + label_smoothing * spread
  return smoothed.astype(loss.dtype)


def focal(
  logits: jax.typing.ArrayLike,
  labels: jax.typing.ArrayLike,
  *,
  gamma: jax.typing.ArrayLike = 2.0,
  class_weights: jax.typing.ArrayLike | None = None,
  where: jax.typing.ArrayLike | None = None,
  activation: str | None = None,
) -> jax.Array:
  r"""Focal loss of each element: cross entropy with easy examples weighed down.

  .. math::
    L = -\sum_c w_c \, y_c \, (1 - p_c)^\gamma \log p_c

  Args:
    logits: float `[examples..., classes]` for softmax, `[examples...]` for
      independent sigmoids. Never probabilities: that cannot be checked.
    labels: see `cross_entropy`.
    gamma: :math:`\gamma \ge 0`; 0 is cross entropy.
    class_weights: `[classes]`; for sigmoids `[2]`, of negatives and positives.
    where: see `cross_entropy`.
    activation: see `cross_entropy`.

  Returns:
    Loss `[examples...]`, float32 (float64 for such logits).

  Raises:
    AssertionError: types or shapes that do not fit, with both shapes.
    ValueError: a negative `gamma`, an unknown `activation`.

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
  # The weight in log space: a power of 1 - p has no gradient at p = 1.
  return _of_true_class(
    lambda u: jnp.exp(-gamma * jax.nn.softplus(u)) * jax.nn.softplus(-u),
    x,
    class_weights,
  )


def poly(
  logits: jax.typing.ArrayLike,
  labels: jax.typing.ArrayLike,
  *,
  epsilon: jax.typing.ArrayLike = 1.0,
  class_weights: jax.typing.ArrayLike | None = None,
  where: jax.typing.ArrayLike | None = None,
  activation: str | None = None,
) -> jax.Array:
  r"""PolyLoss (Poly-1) of each element: cross entropy, its first term changed.

  .. math::
    L = \sum_c w_c \, y_c \, (-\log p_c + \epsilon \, (1 - p_c))

  Cross entropy is :math:`\sum_j (1 - p)^j / j`. More of its first term keeps
  a gradient on examples that are almost right, less takes it away.

  Args:
    logits: float `[examples..., classes]` for softmax, `[examples...]` for
      independent sigmoids. Never probabilities: that cannot be checked.
    labels: see `cross_entropy`.
    epsilon: :math:`\epsilon \ge -1`; 0 is cross entropy. The paper takes 2
      for ImageNet and -1 for object detection.
    class_weights: `[classes]`; for sigmoids `[2]`, of negatives and positives.
    where: see `cross_entropy`.
    activation: see `cross_entropy`.

  Returns:
    Loss `[examples...]`, float32 (float64 for such logits).

  Raises:
    AssertionError: types or shapes that do not fit, with both shapes.
    ValueError: an unknown `activation`.

  Example:
    >>> logits = jnp.array([[2., .5, -1.], [0., 1., .5]])
    >>> loss = poly(logits, jnp.array([0, 1]))
    >>> print(*(f'{value:.4f}' for value in loss))
    0.4557 1.1738

  References:
    Leng et al., `PolyLoss <https://arxiv.org/abs/2204.12511>`_, 2022.
  """
  x = check_inputs(logits, labels, where, activation)
  return _of_true_class(
    # 1 - p is sigmoid(-u): a subtraction would round it to 0 or to 6e-8.
    lambda u: jax.nn.softplus(-u) + epsilon * jax.nn.sigmoid(-u),
    x,
    class_weights,
  )


def asymmetric(
  logits: jax.typing.ArrayLike,
  labels: jax.typing.ArrayLike,
  *,
  gamma_positive: jax.typing.ArrayLike = 1.0,
  gamma_negative: jax.typing.ArrayLike = 4.0,
  margin: jax.typing.ArrayLike = 0.05,
  weight_gradient: str = 'full',
  where: jax.typing.ArrayLike | None = None,
) -> jax.Array:
  r"""Asymmetric loss (ASL) of each label: negatives are focused more, and cut.

  .. math::
    L = -y \, (1 - p)^{\gamma_+} \log p
        - (1 - y) \, p_m^{\gamma_-} \log(1 - p_m),
    \qquad p_m = \max(p - m, 0)

  A negative with :math:`p \le m` has neither loss nor gradient. Equal gammas
  and a margin of 0 are the sigmoid form of `focal`.

  Args:
    logits: float `[...]`, each an independent sigmoid. Never probabilities:
      that cannot be checked.
    labels: of the shape of the logits, 0 and 1; between them, the loss is the
      mean of its two sides.
    gamma_positive: :math:`\gamma_+ \ge 0`.
    gamma_negative: :math:`\gamma_- \ge 0`.
    margin: :math:`0 \le m < 1`.
    weight_gradient: 'full' is the derivative of the formula; 'stop' takes
      :math:`(1-p)^{\gamma_+}` and :math:`p_m^{\gamma_-}` for constants, as the
      published code does with `disable_torch_grad_focal_loss`.
    where: bool, broadcastable to the logits; see `cross_entropy`.

  Returns:
    Loss `[...]`, float32 (float64 for such logits).

  Raises:
    AssertionError: types or shapes that do not fit, with both shapes.
    ValueError: a negative gamma, a `margin` not in [0, 1), an unknown
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
  if isinstance(margin, numbers.Real) and margin >= 1:
    raise ValueError(f'margin is below 1, not {margin}.')
  if weight_gradient not in ('full', 'stop'):
    raise ValueError(
      f"weight_gradient is 'full' or 'stop', not {weight_gradient!r}."
    )
  x = check_inputs(logits, labels, where, 'sigmoid')
  log_p, log_not_p = -jax.nn.softplus(-x.logits), -jax.nn.softplus(x.logits)
  # log (1 - p_m) without its cut: 1 - p + m, however small 1 - p and m are.
  log_not_pm = jnp.logaddexp(log_not_p, jnp.log(margin).astype(log_p.dtype))
  counts = log_not_pm < 0
  # Cut on the way in, too: a power of p_m = 0 may have no gradient.
  log_not_pm = jnp.where(counts, log_not_pm, -1)
  log_pm = jnp.log(-jnp.expm1(log_not_pm))
  of_positive = jnp.exp(gamma_positive * log_not_p)
  of_negative = jnp.exp(gamma_negative * log_pm)
  if weight_gradient == 'stop':
    of_positive, of_negative = jax.lax.stop_gradient((of_positive, of_negative))
  loss = -x.labels * of_positive * log_p
  loss -= (1 - x.labels) * jnp.where(counts, of_negative * log_not_pm, 0)
  loss = loss.astype(x.logits.dtype)
  return loss if x.where is None else jnp.where(x.where, loss, 0)


def zlpr(
  logits: jax.typing.ArrayLike,
  labels: jax.typing.ArrayLike,
  *,
  where: jax.typing.ArrayLike | None = None,
) -> jax.Array:
  r"""Zero-bounded log-sum-exp pairwise rank loss (ZLPR) of a set of labels.

  .. math::
    L = \log\Bigl(1 + \sum_c y_c \, e^{-s_c}\Bigr)
      + \log\Bigl(1 + \sum_c (1 - y_c) \, e^{s_c}\Bigr)

  for multi-label classification: all true labels shall score above 0 and all
  others below, and the worst of each count most, so that many easy negatives
  weigh little. Predict the labels with :math:`s > 0`.

  Args:
    logits: float `[examples..., labels]`, the scores s. Never probabilities:
      that cannot be checked.
    labels: of the shape of the logits, 0 and 1. Between them this is the
      paper's soft form, with its optimum where :math:`y = \sigma(2 s)`.
    where: bool, broadcastable to the logits; a label with False is left out,
      whatever its logit is.

  Returns:
    Loss `[examples...]`, float32 (float64 for such logits); 0 where no label
    is left.

  Raises:
    AssertionError: types or shapes that do not fit, with both shapes.
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
    raise ValueError('zlpr: logits [] have no axis of labels.')
  false = 1 - x.labels
  if x.where is not None:
    false = jnp.where(x.where, false, 0)
  return _log1p_sum_exp(-x.logits, x.labels) + _log1p_sum_exp(x.logits, false)


def _of_true_class(
  f: Callable[[jax.Array], jax.Array], x: Inputs, class_weights
) -> jax.Array:
  """sum_c w_c y_c f(u_c), 0 where excluded."""
  weights = jnp.ones(_num_classes(x), x.logits.dtype)
  if class_weights is not None:
    weights = check_class_weights(class_weights, x.logits, _num_classes(x))
  if x.class_ids:
    loss = f(_log_odds(x.logits, x.labels))
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
  """log (1 + sum w e^s) over the last axis, exact where it is small, too."""
  some = weights > 0
  scores = jnp.where(some, scores, -jnp.inf)
  top = jax.lax.stop_gradient(jnp.max(scores, -1, keepdims=True, initial=0))
  total = jnp.sum(weights * jnp.exp(scores - top), axis=-1)
  top = top[..., 0]
  # Of a small sum log1p keeps the digits; of a large one it would lose a small
  # weight beside -1.
  small = jnp.log1p(jnp.expm1(-jnp.minimum(top, 1)) + total)
  return top + jnp.where(top < 1, small, jnp.log(jnp.exp(-top) + total))


def _log_odds(logits, labels):
  """`one_vs_rest` of one class a row: `[...]` for labels `[...]`."""
  if logits.shape[-1] == 1:
    return one_vs_rest(logits)[..., 0]
  odds = _odds_of_class(logits, labels)
  known = (labels >= 0) & (labels < logits.shape[-1])
  return jnp.where(known, odds, jnp.nan)


@jax.custom_jvp
def _odds_of_class(logits, labels):
  return _odds_and_share(logits, labels)[0]


@_odds_of_class.defjvp
def _odds_of_class_jvp(primals, tangents):
  # du = dz_t - sum over j != t of softmax(z without t)_j dz_j.
  odds, share = _odds_and_share(*primals)
  slope = is_class(primals[1], share) - share
  return odds, jnp.sum(slope * tangents[0], axis=-1)


def _odds_and_share(logits, labels):
  """The log odds, and each other class's share of what is against them."""
  own = jnp.take_along_axis(logits, labels[..., None], axis=-1, mode='clip')
  others = jnp.where(is_class(labels, logits), -jnp.inf, logits)
  # Relative to the largest other: a difference of sums of large logits would
  # lose what the difference of the logits has.
  top = jax.lax.stop_gradient(jnp.max(others, axis=-1, keepdims=True))
  share = jnp.exp(others - top)
  rest = jnp.sum(share, axis=-1, keepdims=True)
  return ((own - top) - jnp.log(rest))[..., 0], share / rest
