"""Lovász losses: the Jaccard distance of a set, made convex in its errors.

The errors m of a set are sorted, the largest first. The weight of each is the
amount by which the Jaccard distance grows when its element becomes the next
mistake.
"""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from dicejax.losses._inputs import check_class_weights
from dicejax.losses._inputs import check_inputs
from dicejax.losses._inputs import describe
from dicejax.losses._inputs import nan_where
from dicejax.losses._sets import Axis
from dicejax.losses._sets import example_axes
from dicejax.losses._softmax import is_class
from dicejax.losses._softmax import one_vs_rest


def lovasz_hinge(
  logits: ArrayLike,
  labels: ArrayLike,
  *,
  axis: Axis = None,
  where: ArrayLike | None = None,
) -> jax.Array:
  r"""Computes the Lovász hinge: a convex surrogate of the Jaccard distance.

  .. math::
    L = \sum_{k=1}^n m_{\pi_k} \, (J_k - J_{k-1}), \qquad
    m_i = \max(0, 1 - (2 y_i - 1) \, z_i), \qquad
    m_{\pi_1} \ge \dots \ge m_{\pi_n}

  with :math:`J_k = k / |\{y = 1\} \cup \{\pi_1, \dots, \pi_k\}|`, which is one
  minus intersection over union if exactly the k largest errors are mistakes,
  and :math:`J_0 = 0`. The published code uses the same name.

  The value does not depend on the order of equal errors, but the gradient does:
  the earlier one counts as the larger. There is no `axis_name`, because sorting
  over the devices of `pmap` or `shard_map` is not offered; under `jit` a set
  may be spread over devices.

  Args:
    logits: float `[examples...]`, the scores z of independent binary problems;
      never probabilities (which cannot be checked).
    labels: 0 and 1, shaped like the logits. A label above 1/2 counts as 1, any
      other as 0.
    axis: the axes whose elements form one set. None: all elements are one set.
      A tuple: one set for each element of the other axes, such as one per
      sentence. `()`: each element is a set, and L is its m.
    where: bool, broadcastable to the logits. An element with False is excluded,
      as if it were sliced away. Sets without an element have loss 0.

  Returns:
    Loss of at least 0 with the axes that are not in `axis`. float32, or float64
    for float64 logits.

  Raises:
    AssertionError, TypeError: see `dice`.
    ValueError: labels of another rank, an axis that the logits do not have.

  Example:
    >>> import jax.numpy as jnp
    >>> logits, labels = jnp.array([2., -.5, -3.]), jnp.array([1, 1, 0])
    >>> print(f'{lovasz_hinge(logits, labels):.3f}')
    0.750

  References:
    Berman et al., `The Lovász-Softmax loss
    <https://arxiv.org/abs/1705.08790>`_, 2018.
  """
  x = check_inputs(logits, labels, where, 'sigmoid')
  axis = example_axes(axis, x.logits.ndim, x.softmax)
  loss, _ = _extension(
    lambda against: jax.nn.relu(1 + against),
    x.logits,
    x.labels > 0.5,
    x.where,
    axis,
  )
  return loss


def lovasz_softmax(
  logits: ArrayLike,
  labels: ArrayLike,
  *,
  axis: Axis = None,
  where: ArrayLike | None = None,
  class_weights: ArrayLike | None = None,
  present_only: bool = True,
) -> jax.Array:
  r"""Computes the Lovász-softmax: a Jaccard distance, averaged over classes.

  .. math::
    L = \frac{\sum_c w_c \, L_c}{\sum_c w_c}, \qquad
    L_c = \sum_{k=1}^n m_{\pi_k} \, (J_k - J_{k-1}), \qquad
    m_i = |y_{ic} - p_{ic}|

  with sorted errors m and Jaccard distances J of a class as in `lovasz_hinge`.
  If every p is 0 or 1, :math:`L_c` is the Jaccard distance of the class. On the
  gradient of ties and on devices, see `lovasz_hinge`.

  Args:
    logits: float `[examples..., classes]`; never probabilities
      (which cannot be checked).
    labels: int class ids `[examples...]`; see `dice`.
    axis: the example axes whose elements form one set, numbered as in the
      logits; see `lovasz_hinge`.
    where: bool, broadcastable to the example axes; see `lovasz_hinge`.
    class_weights: `[classes]`, at least 0, weights w of the mean; equal by
      default. A weight of 0 leaves a class out, such as the tag `O`.
    present_only: takes the mean over the classes that occur among the labels of
      the set; a set without any has loss 0. The loss of a class that does not
      occur is its largest p in the set.

  Returns:
    Loss in [0, 1], shaped as in `dice`.

  Raises:
    AssertionError, TypeError, ValueError: see `dice`; labels shaped like the
      logits.

  Example:
    >>> import jax.numpy as jnp
    >>> logits = jnp.array([[2., .5, -1.], [0., 1., .5]])
    >>> labels = jnp.array([0, 1])
    >>> print(f'{lovasz_softmax(logits, labels):.4f}')
    0.3540
    >>> print(f'{lovasz_softmax(logits, labels, present_only=False):.4f}')
    0.3384

  References:
    Berman et al., `The Lovász-Softmax loss
    <https://arxiv.org/abs/1705.08790>`_, 2018.
  """
  x = check_inputs(logits, labels, where, 'softmax')
  if not x.class_ids:
    arrays = describe(logits=x.logits, labels=x.labels)
    raise ValueError(f'lovasz_softmax needs class ids as labels, got {arrays}.')
  axis = example_axes(axis, x.logits.ndim, x.softmax)
  weights = jnp.ones(x.logits.shape[-1], x.logits.dtype)
  if class_weights is not None:
    weights = check_class_weights(class_weights, x.logits)
  loss, present = _extension(
    # A sigmoid, written so that its derivative keeps its digits near 1.
    lambda against: jnp.exp(-jax.nn.softplus(-against)),
    one_vs_rest(x.logits),
    is_class(x.labels, x.logits),
    None if x.where is None else x.where[..., None],
    axis,
  )
  weights = jnp.broadcast_to(weights, loss.shape)
  if present_only:
    weights = jnp.where(present, weights, 0)
  total = jnp.sum(weights, axis=-1)
  loss = jnp.sum(weights * loss, axis=-1) / jnp.where(total > 0, total, 1)
  return loss * nan_where(jnp.any(x.out_of_range, axis), loss.dtype)


def _extension(
  error: Callable[[jax.Array], jax.Array], scores, true, where, axis
):
  """Computes the Lovász extension of the Jaccard distance of each set.

  Args:
    error: increasing function of the score against the truth, 0 far below 0.
    scores: the larger, the more an element is predicted to be true.
    true: bool, shaped like `scores`.
    where: bool, broadcastable to `scores`, or None.
    axis: non-negative axes whose elements form a set.

  Returns:
    The loss, and whether a set has a true element; both `[sets...]`.
  """
  against = jnp.where(true, -scores, scores)
  if where is not None:
    # Excluded elements come last with an error of 0, which adds nothing.
    against = jnp.where(where, against, -jnp.finfo(against.dtype).max)
    true &= where
  against, true = _sets(against, axis), _sets(true, axis)
  # The scores are sorted, not the errors, which may round to the same number.
  order = jnp.argsort(jax.lax.stop_gradient(-against))
  is_next = jnp.take_along_axis(true, order, axis=-1)
  found = jnp.cumsum(is_next, axis=-1)
  missed = found[..., -1:] - found
  k = jax.lax.broadcasted_iota(found.dtype, found.shape, found.ndim - 1) + 1
  union = (k + missed).astype(against.dtype)
  # J_k - J_{k-1} as one fraction, because the difference would lose its digits.
  # Only a false element enlarges the union, and the first may be all of it.
  growth = missed / jnp.maximum(union - 1, 1)
  steps = jnp.where(is_next | (union == 1), 1, growth) / union
  # The steps go back to the places of their elements, so that only the errors
  # are differentiated and not the sort.
  steps = jnp.put_along_axis(steps, order, steps, axis=-1, inplace=False)
  return jnp.sum(steps * error(against), axis=-1), jnp.any(true, axis=-1)


def _sets(x, axis):
  """Moves the elements of a set to one last axis."""
  x = jnp.moveaxis(x, axis, range(x.ndim - len(axis), x.ndim))
  return jax.lax.collapse(x, x.ndim - len(axis))
