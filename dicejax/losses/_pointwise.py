"""Losses with a value for each element; the caller takes the mean.

Both are a function f of the log odds u of the true class: log p is
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
from dicejax.losses._inputs import one_vs_rest


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


def _of_true_class(
  f: Callable[[jax.Array], jax.Array], x: Inputs, class_weights
) -> jax.Array:
  """sum_c w_c y_c f(u_c), 0 where excluded."""
  weights = jnp.ones(_num_classes(x), x.logits.dtype)
  if class_weights is not None:
    weights = check_class_weights(class_weights, x.logits, _num_classes(x))
  if x.class_ids:
    loss = weights[x.labels] * f(_log_odds(x.logits, x.labels))
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


def _log_odds(logits, labels):
  """`one_vs_rest` of one class a row: `[...]` for labels `[...]`."""
  if logits.shape[-1] == 1:
    return one_vs_rest(logits)[..., 0]
  true = is_class(labels, logits)
  own = jnp.sum(jnp.where(true, logits, 0), axis=-1)
  others = jnp.where(true, -jnp.inf, logits)
  # Relative to the largest other: a difference of sums of large logits would
  # lose what the difference of the logits has.
  top = jax.lax.stop_gradient(jnp.max(others, axis=-1))
  rest = jnp.sum(jnp.exp(others - top[..., None]), axis=-1)
  odds = (own - top) - jnp.log(rest)
  return jnp.where(jnp.any(true, axis=-1), odds, jnp.nan)
