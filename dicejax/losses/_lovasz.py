"""Lovász losses: the Jaccard distance of a set, made convex in its errors.

The errors m of a set are sorted, the largest first. Each weighs what the
Jaccard distance grows by when its element becomes the next mistake.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp

from dicejax.losses._counts import example_axes
from dicejax.losses._inputs import check_class_weights
from dicejax.losses._inputs import check_inputs
from dicejax.losses._inputs import is_class
from dicejax.losses._softmax import one_vs_rest


def lovasz_hinge(
  logits: jax.typing.ArrayLike,
  labels: jax.typing.ArrayLike,
  *,
  axis: int | tuple[int, ...] | None = None,
  where: jax.typing.ArrayLike | None = None,
) -> jax.Array:
  r"""Lovász hinge of each set: a convex surrogate of its Jaccard distance.

  .. math::
    L = \sum_{k=1}^n m_{\pi_k} \, (J_k - J_{k-1}), \qquad
    m_i = \max(0, 1 - (2 y_i - 1) \, z_i), \qquad
    m_{\pi_1} \ge \dots \ge m_{\pi_n}

  with :math:`J_k = k / |\{y = 1\} \cup \{\pi_1, \dots, \pi_k\}|`, one minus
  intersection over union where just the k largest errors are mistakes, and
  :math:`J_0 = 0`. The published code has it as `lovasz_hinge`.

  The gradient sees one order: of equal errors the earlier one is the larger,
  which no value depends on. There is no `axis_name`: a sort over the devices of
  `pmap` or `shard_map` is not offered. Under `jit` a set may lie on many.

  Args:
    logits: float `[examples...]`, the scores z of independent binary problems.
      Never probabilities: that cannot be checked.
    labels: of the shape of the logits, 0 and 1. Sets have no halves: above 1/2
      is a 1, anything else a 0.
    axis: the axes whose elements form one set. None: all elements are one set.
      A tuple: one set for each element of the other axes, as a sentence. `()`:
      each element is a set, and L is its m.
    where: bool, broadcastable to the logits. An element with False is left
      out, as if it were cut away, whatever its logit and label are. Sets
      without an element have loss 0.

  Returns:
    Loss, at least 0, float32 (float64 for such logits), of the axes that are
    left.

  Raises:
    AssertionError: types or shapes that do not fit, with both shapes.
    ValueError: labels of another rank; an axis that the logits do not have.

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
  logits: jax.typing.ArrayLike,
  labels: jax.typing.ArrayLike,
  *,
  axis: int | tuple[int, ...] | None = None,
  where: jax.typing.ArrayLike | None = None,
  class_weights: jax.typing.ArrayLike | None = None,
  present_only: bool = True,
) -> jax.Array:
  r"""Lovász-softmax of each set: its Jaccard distance, averaged over classes.

  .. math::
    L = \frac{\sum_c w_c \, L_c}{\sum_c w_c}, \qquad
    L_c = \sum_{k=1}^n m_{\pi_k} \, (J_k - J_{k-1}), \qquad
    m_i = |y_{ic} - p_{ic}|

  with the errors m of a class sorted, and J, as for `lovasz_hinge`. With p of 0
  and 1 alone, :math:`L_c` is the Jaccard distance of the class.

  Gradient and devices: see `lovasz_hinge`.

  Args:
    logits: float `[examples..., classes]`. Never probabilities: that cannot be
      checked.
    labels: int class ids `[examples...]`; an id that is no class is a negative
      of all.
    axis: the example axes whose elements form one set, numbered as in the
      logits; see `lovasz_hinge`.
    where: bool, broadcastable to the example axes; see `lovasz_hinge`.
    class_weights: `[classes]`, at least 0. Weights w of the mean, by default
      equal; a weight of 0 leaves a class, such as `O`, out.
    present_only: the mean is over those classes alone that some label of the
      set names; a set without any has loss 0. For a class that none names, the
      loss is its largest p in the set.

  Returns:
    Loss in [0, 1], float32 (float64 for such logits), of the example axes that
    are left.

  Raises:
    AssertionError: types or shapes that do not fit, with both shapes.
    ValueError: labels of the shape of the logits; an axis that is no example
      axis.

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
    raise ValueError(
      f'lovasz_softmax: labels are class ids, not of the shape of the logits, '
      f'{list(x.logits.shape)}.'
    )
  axis = example_axes(axis, x.logits.ndim, x.softmax)
  weights = jnp.ones(x.logits.shape[-1], x.logits.dtype)
  if class_weights is not None:
    weights = check_class_weights(class_weights, x.logits)
  loss, present = _extension(
    # A sigmoid whose derivative keeps its digits where it is almost 1.
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
  return jnp.sum(weights * loss, axis=-1) / jnp.where(total > 0, total, 1)


def _extension(
  error: Callable[[jax.Array], jax.Array], scores, true, where, axis
):
  """Lovász extension of the Jaccard distance, and whether a set has a true one.

  Args:
    error: of the score against the truth: increasing, 0 far below 0.
    scores: for being true.
    true: bool, of their shape.
    where: bool, broadcastable to it, or None.
    axis: non-negative axes, the sets.
  """
  against = jnp.where(true, -scores, scores)
  if where is not None:
    # Errors of 0 at the end of the order add nothing, nor to what is before.
    against = jnp.where(where, against, -jnp.finfo(against.dtype).max)
    true &= where
  against, true = _sets(against, axis), _sets(true, axis)
  # Scores have an order where their errors round to the same number.
  order = jnp.argsort(jax.lax.stop_gradient(-against))
  is_next = jnp.take_along_axis(true, order, axis=-1)
  found = jnp.cumsum(is_next, axis=-1)
  missed = found[..., -1:] - found
  k = jax.lax.broadcasted_iota(found.dtype, found.shape, found.ndim - 1) + 1
  union = (k + missed).astype(against.dtype)
  # J_k - J_{k-1} in one fraction, as the difference would lose its digits. The
  # union grows with a false element alone, and the first may be all of it.
  share = missed / jnp.maximum(union - 1, 1)
  steps = jnp.where(is_next | (union == 1), 1, share) / union
  # In their own places again: a derivative then is that of the errors.
  steps = jnp.put_along_axis(steps, order, steps, axis=-1, inplace=False)
  return jnp.sum(steps * error(against), axis=-1), jnp.any(true, axis=-1)


def _sets(x, axis):
  """The elements of a set on one last axis."""
  x = jnp.moveaxis(x, axis, range(x.ndim - len(axis), x.ndim))
  return jax.lax.collapse(x, x.ndim - len(axis))
