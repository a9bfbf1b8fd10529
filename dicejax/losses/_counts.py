"""Soft counts of sets: the only place that knows axes, masks and devices."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np

from dicejax.losses._inputs import check_class_weights
from dicejax.losses._inputs import check_inputs
from dicejax.losses._inputs import check_not_negative
from dicejax.losses._inputs import is_class
from dicejax.losses._inputs import one_vs_rest
from dicejax.tversky import Counts


def set_loss(
  distance: Callable[[Counts], jax.Array],
  logits: jax.typing.ArrayLike,
  labels: jax.typing.ArrayLike,
  *,
  alpha: jax.typing.ArrayLike = 0.0,
  square: bool = False,
  decay_gradient: str = 'full',
  axis: int | tuple[int, ...] | None,
  where: jax.typing.ArrayLike | None,
  class_weights: jax.typing.ArrayLike | None,
  axis_name: str | tuple[str, ...] | None,
  activation: str | None,
) -> jax.Array:
  """Distance between predicted and true sets, averaged over softmax classes.

  Args:
    distance: from the counts of sets `[sets...]` to their losses `[sets...]`;
      elementwise, 0 where all counts are 0.
    logits: float, see the public losses, as for the other arguments.
    labels: class ids, or of the shape of the logits.
    alpha: exponent of the decay (1 - p)^alpha, at least 0.
    square: counts of sum q^2 + sum y^2 in place of sum q + sum y.
    decay_gradient: 'full' or 'stop'.
    axis: axes of the logits whose elements form a set; None for all.
    where: bool, broadcastable to the example axes.
    class_weights: `[classes]`, at least 0, softmax only.
    axis_name: mapped axes over which a set extends.
    activation: None, 'softmax' or 'sigmoid'.

  Returns:
    `[example axes without axis]`.
  """
  x = check_inputs(logits, labels, where, activation)
  axis = _example_axes(axis, x.logits.ndim, x.softmax)
  if decay_gradient not in ('full', 'stop'):
    raise ValueError(
      f"decay_gradient is 'full' or 'stop', not {decay_gradient!r}."
    )
  check_not_negative(alpha=alpha)
  if class_weights is not None:
    if not x.softmax:
      raise ValueError('class_weights weighs the classes of a softmax.')
    class_weights = check_class_weights(class_weights, x.logits)

  scores = one_vs_rest(x.logits) if x.softmax else x.logits
  true = x.labels
  if x.class_ids:
    true = is_class(x.labels, x.logits)
  true = true.astype(scores.dtype)
  q, not_q = _decayed(scores, alpha, alpha if decay_gradient == 'full' else 0.0)
  tp, fp, fn = q * true, q * (1 - true), not_q * true
  if square:  # fp - fn is q - y, and 2 tp + fp + fn becomes q^2 + y^2.
    fp = fn = jnp.square(fp - fn) / 2
  if x.where is not None:
    real = x.where[..., None] if x.softmax else x.where
    tp, fp, fn = (jnp.where(real, count, 0) for count in (tp, fp, fn))
  counts = Counts(*(jnp.sum(count, axis) for count in (tp, fp, fn)))
  if axis_name is not None:
    counts = jax.lax.psum(counts, axis_name)

  loss = distance(counts).astype(scores.dtype)
  if not x.softmax:
    return loss
  if class_weights is None:
    return jnp.mean(loss, axis=-1)
  total = jnp.sum(class_weights)
  share = class_weights / jnp.where(total > 0, total, 1)
  return jnp.sum(loss * jnp.broadcast_to(share, loss.shape), axis=-1)


@jax.custom_jvp
def _decayed(scores, alpha, recoil):
  """q = (1-p)^alpha p and 1 - q of p = sigmoid(scores), in log space.

  The gradient of q is q (1 - p - recoil p): recoil = alpha is the derivative,
  recoil = 0 takes (1-p)^alpha for a constant. Neither exponent has a gradient.
  """
  log_q = jax.nn.log_sigmoid(scores) + alpha * jax.nn.log_sigmoid(-scores)
  return jnp.exp(log_q), -jnp.expm1(log_q)


@_decayed.defjvp
def _decayed_jvp(primals, tangents):
  scores, alpha, recoil = primals
  q, not_q = _decayed(scores, alpha, recoil)
  slope = jax.nn.sigmoid(-scores) - recoil * jax.nn.sigmoid(scores)
  dq = q * slope * tangents[0]
  return (q, not_q), (dq, -dq)


def _example_axes(axis, ndim, softmax):
  """`axis` as a tuple of non-negative axes of the logits."""
  examples = range(ndim - 1 if softmax else ndim)
  if axis is None:
    return tuple(examples)
  axes = np.atleast_1d(axis).tolist()
  normal = tuple(a + ndim if a < 0 else a for a in axes)
  if len(set(normal)) < len(axes) or not set(normal) <= set(examples):
    class_axis = f'; axis {ndim - 1} holds the classes' if softmax else ''
    raise ValueError(
      f'axis={axis!r} does not name different example axes of logits of '
      f'rank {ndim}{class_axis}.'
    )
  return normal
