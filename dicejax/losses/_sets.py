"""Sets of elements: what all overlap losses share.

An overlap loss is a formula of the soft counts of a set. Which elements form a
set, which are excluded, over which devices a set extends and how classes are
averaged is handled here, once, so that a loss is its formula on top of `Sets`.
"""

from __future__ import annotations

import contextvars
import dataclasses
import numbers
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike

from dicejax.losses import _class_ids
from dicejax.losses._class_ids import NO_DECAY
from dicejax.losses._class_ids import Decay
from dicejax.losses._class_ids import Weights
from dicejax.losses._elements import Measure
from dicejax.losses._elements import element_counts
from dicejax.losses._elements import has_class_id_form
from dicejax.losses._elements import products
from dicejax.losses._elements import squares
from dicejax.losses._inputs import Inputs
from dicejax.losses._inputs import check_class_weights
from dicejax.losses._inputs import check_inputs
from dicejax.losses._inputs import check_not_negative
from dicejax.losses._inputs import check_option
from dicejax.losses._inputs import is_concrete
from dicejax.losses._inputs import nan_where
from dicejax.tversky import Counts
from dicejax.tversky import tversky_distance

Axis = int | tuple[int, ...] | None
AxisName = str | tuple[str, ...] | None

# A function of the counts of a batch and its numbers of elements, set by
# `with_running_counts` while it calls a loss. It is ambient, as the named axes
# of `pmap` are, so that a set extends over time without an argument in every
# loss.
extend_counts: contextvars.ContextVar[
  Callable[[Counts, jax.Array], Counts] | None
] = contextvars.ContextVar('extend_counts', default=None)


@dataclasses.dataclass(frozen=True)
class Sets:
  """Checked inputs of a loss, and how their elements form sets.

  Attributes:
    inputs: logits, labels and mask.
    axis: the example axes whose elements form one set, not negative.
    average: 'macro' or 'micro', over the classes of a softmax.
    class_weights: `[classes]` or `[]`. For 'macro' they sum to 1; for 'micro'
      they are as given.
    axis_name: mapped axes over which the sets extend.
  """

  inputs: Inputs
  axis: tuple[int, ...]
  average: str
  class_weights: jax.Array
  axis_name: AxisName

  @classmethod
  def of(
    cls,
    logits: ArrayLike,
    labels: ArrayLike,
    *,
    axis: Axis,
    where: ArrayLike | None,
    axis_name: AxisName,
    activation: str | None,
    average: str = 'macro',
    class_weights: ArrayLike | None = None,
  ) -> Sets:
    """Checks the arguments of a loss; see `dice` for their meaning."""
    x = check_inputs(logits, labels, where, activation)
    axis = example_axes(axis, x.logits.ndim, x.softmax)
    check_option('average', average, ('macro', 'micro'))
    if not x.softmax and average == 'micro':
      raise ValueError(
        "average='micro' needs the classes of a softmax: class ids, or "
        "activation='softmax'. With sigmoids, axis=None makes all labels one "
        'set.'
      )
    weights = _average_weights(x, average, class_weights)
    return cls(x, axis, average, weights, axis_name)

  def counts(
    self, measure: Measure = products, decay: Decay = NO_DECAY
  ) -> Counts:
    """Soft counts of each set: `[sets...]`, or `[sets..., classes]` if macro.

    `sets` are the example axes that are not in `axis`.
    """
    x = self.inputs
    if has_class_id_form(x, measure):
      counts = _class_ids.set_counts(
        measure is squares, self.axis, x.logits, x.labels, x.where, decay
      )
    else:
      counts = element_counts(x, measure, decay)
      if x.where is not None:
        real = x.where[..., None] if x.softmax else x.where
        counts = jax.tree.map(lambda c: jnp.where(real, c, 0), counts)
      counts = jax.tree.map(lambda c: jnp.sum(c, self.axis), counts)
    if x.class_ids:
      factor = nan_where(jnp.any(x.out_of_range, self.axis), counts.tp.dtype)
      counts = jax.tree.map(lambda c: c * factor[..., None], counts)
    if self.average == 'micro':
      weights = jnp.broadcast_to(self.class_weights, counts.tp.shape)
      counts = jax.tree.map(lambda c: jnp.sum(c * weights, axis=-1), counts)
    if self.axis_name is not None:
      counts = jax.lax.psum(counts, self.axis_name)
    if extend := extend_counts.get():
      if 0 not in self.axis:
        raise ValueError(
          'running counts join the sets of successive batches, so axis must '
          f'include axis 0, the batch, or be None; got axis={self.axis}.'
        )
      counts = extend(counts, self.count_elements())
    return counts

  def tversky(
    self,
    alpha: ArrayLike,
    beta: ArrayLike,
    smooth: ArrayLike,
    measure: Measure = products,
    decay: Decay = NO_DECAY,
  ) -> jax.Array:
    """Tversky loss of each set, averaged over classes: `[sets...]`."""
    x = self.inputs
    if self._are_single_elements and has_class_id_form(x, measure):
      loss = _class_ids.element_loss(
        measure is squares,
        self._constants(alpha, beta, smooth),
        x.logits,
        x.labels,
        self.class_weights,
        decay,
      )
      loss *= nan_where(x.out_of_range, loss.dtype)
      return loss if x.where is None else jnp.where(x.where, loss, 0)
    distance = self.tversky_distance(alpha, beta, smooth, measure, decay)
    return self.mean_over_classes(distance)

  def tversky_distance(
    self,
    alpha: ArrayLike,
    beta: ArrayLike,
    smooth: ArrayLike,
    measure: Measure = products,
    decay: Decay = NO_DECAY,
  ) -> jax.Array:
    """One minus the Tversky index, shaped like `counts`."""
    fp, fn, smooth = self._constants(alpha, beta, smooth)
    counts = self.counts(measure, decay)
    return jnp.asarray(tversky_distance(counts, fp, fn, smooth=smooth))

  def mean_over_classes(self, losses: jax.Array) -> jax.Array:
    """Weighted mean of the losses of the classes, shaped like `counts`."""
    if not self.inputs.softmax or self.average == 'micro':
      return losses
    weights = jnp.broadcast_to(self.class_weights, losses.shape)
    return jnp.sum(losses * weights, axis=-1)

  def mean_over_elements(self, values: jax.Array) -> jax.Array:
    """Mean of `[examples...]` over the elements of each set, 0 if it is empty.

    `values` are 0 where an element is excluded.
    """
    total = jnp.sum(values, self.axis)
    if self.axis_name is not None:
      total = jax.lax.psum(total, self.axis_name)
    return total / jnp.maximum(self.count_elements(), 1)

  def count_elements(self) -> jax.Array:
    """The number of elements of each set, `[sets...]`, as floats."""
    x = self.inputs
    examples = x.logits.shape[:-1] if x.softmax else x.logits.shape
    real = jnp.ones(examples, bool) if x.where is None else x.where
    count = jnp.sum(real, self.axis, dtype=x.logits.dtype)
    return jax.lax.psum(count, self.axis_name) if self.axis_name else count

  def decay(self, alpha: ArrayLike, decay_gradient: str) -> Decay:
    """The decay of `self_adjusting_dice`, without a derivative by alpha."""
    check_option('decay_gradient', decay_gradient, ('full', 'stop'))
    check_not_negative(alpha=alpha)
    if isinstance(alpha, numbers.Real) and alpha == 0:
      return NO_DECAY
    alpha = jnp.asarray(alpha, self.inputs.logits.dtype)
    alpha = jax.lax.stop_gradient(alpha)
    return Decay(alpha, alpha if decay_gradient == 'full' else None)

  @property
  def _are_single_elements(self):
    single = self.axis == () and self.axis_name is None
    return single and self.average == 'macro' and not extend_counts.get()

  def _constants(self, *values):
    """Weights of the Tversky index, in the type of the logits."""
    dtype = self.inputs.logits.dtype
    return Weights(
      *(jax.lax.stop_gradient(jnp.asarray(v, dtype)) for v in values)
    )


def soft_counts(
  logits: ArrayLike,
  labels: ArrayLike,
  *,
  alpha: ArrayLike = 0.0,
  square: bool = False,
  decay_gradient: str = 'full',
  axis: Axis = None,
  where: ArrayLike | None = None,
  axis_name: AxisName = None,
  activation: str | None = None,
) -> Counts:
  r"""Counts true positives, false positives and false negatives, softly.

  .. math::
    TP = \sum_i q_i y_i, \quad FP = \sum_i q_i (1 - y_i), \quad
    FN = \sum_i (1 - q_i) y_i, \qquad q_i = (1 - p_i)^\alpha p_i

  The overlap losses are ratios of these counts. Counts add: over parts of a set
  that do not fit in memory together (see `accumulate`), and over devices.

  Args:
    logits: float `[examples..., classes]` for softmax, `[examples...]` for
      independent sigmoids; never probabilities (which cannot be checked).
    labels: int class ids `[examples...]` (softmax), or targets in [0, 1] shaped
      like the logits (sigmoid).
    alpha: exponent of the decay of `self_adjusting_dice`, at least 0.
    square: squares the misses FP and FN and halves them, which makes
      :math:`2 TP + FP + FN` the sum of :math:`q_i^2` and :math:`y_i^2`.
    decay_gradient: see `self_adjusting_dice`.
    axis: see `dice`.
    where: see `dice`.
    axis_name: see `dice`.
    activation: see `dice`.

  Returns:
    Counts in float32 (float64 for float64 logits), with the example axes that
    are not in `axis` and, with softmax, the class axis.

  Raises:
    AssertionError, TypeError, ValueError: see `self_adjusting_dice`.

  Example:
    >>> logits = jnp.array([9., -9., 9.])
    >>> counts = soft_counts(logits, jnp.array([1, 0, 0]))
    >>> print(f'{tversky_distance(counts, smooth=.5):.3f}')  # dice, smooth=1
    0.250

  References:
    Li et al., `Dice Loss for Data-imbalanced NLP Tasks
    <https://aclanthology.org/2020.acl-main.45>`_, 2020.
  """
  sets = Sets.of(
    logits,
    labels,
    axis=axis,
    where=where,
    axis_name=axis_name,
    activation=activation,
  )
  measure = squares if square else products
  return sets.counts(measure, sets.decay(alpha, decay_gradient))


def example_axes(axis: Axis, ndim: int, softmax: bool) -> tuple[int, ...]:
  """`axis` as non-negative axes of the logits; all example axes for None."""
  examples = range(ndim - 1 if softmax else ndim)
  if axis is None:
    return tuple(examples)
  axes = np.atleast_1d(axis).tolist()
  normal = tuple(a + ndim if a < 0 else a for a in axes)
  if len(set(normal)) < len(axes) or not set(normal) <= set(examples):
    class_axis = f'; axis {ndim - 1} holds the classes' if softmax else ''
    raise ValueError(
      f'axis={axis!r} must name distinct example axes of logits of rank '
      f'{ndim}{class_axis}.'
    )
  return normal


def _average_weights(x, average, class_weights):
  """Weights of the classes: `[classes]`, or `[]` where all are equal."""
  if class_weights is None:
    equal = 1 / x.logits.shape[-1] if x.softmax and average == 'macro' else 1
    return jnp.asarray(equal, x.logits.dtype)
  if not x.softmax:
    raise ValueError(
      'class_weights needs the classes of a softmax: class ids, or '
      "activation='softmax'."
    )
  weights = check_class_weights(class_weights, x.logits)
  total = jnp.sum(weights)
  if average == 'macro':
    return weights / jnp.where(total > 0, total, 1)
  if is_concrete(class_weights) and not np.asarray(class_weights).any():
    raise ValueError(
      "class_weights are all 0: average='micro' has no class to count."
    )
  return weights
