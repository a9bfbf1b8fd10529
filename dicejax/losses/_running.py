"""Sets that extend over time: overlap losses with running counts."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike

from dicejax.losses._inputs import is_concrete
from dicejax.losses._sets import extend_counts
from dicejax.tversky import Counts


class RunningCounts(NamedTuple):
  """Soft counts of the batches so far, older ones weighted down.

  Attributes:
    counts: decayed sums, shaped like the counts of one batch.
    elements: decayed sums of the numbers of elements, `[sets...]`.
  """

  counts: Counts
  elements: jax.Array


class RunningLoss(NamedTuple):
  """A set loss with running counts, as a pair of pure functions.

  Attributes:
    init: `(logits, labels) -> RunningCounts`, of zeros. Only shapes and types
      are looked at: arrays or `jax.ShapeDtypeStruct`.
    update: `(logits, labels, running, *, where=None) -> loss, running`.
  """

  init: Callable[..., RunningCounts]
  update: Callable[..., tuple[jax.Array, RunningCounts]]


def with_running_counts(
  loss: Callable[..., jax.Array], *, decay: ArrayLike = 0.95, **options
) -> RunningLoss:
  r"""Extends the sets of an overlap loss over the batches seen so far.

  .. math::
    S_t = \lambda S_{t-1} + s(B_t), \qquad
    N_t = \lambda N_{t-1} + n_t, \qquad
    L_t = f \Bigl( \frac{n_t}{N_t} S_t \Bigr), \qquad
    \nabla L_t = \nabla s(B_t)^\top \, \nabla f \Bigl(
      \frac{n_t}{N_t} S_t \Bigr)

  with :math:`s(B)` the soft counts of a batch of n elements and f the loss as
  a function of counts. F1 is a ratio of expectations. The ratio of one small
  batch is a noisy and biased estimate of it; running counts estimate it from
  many batches, at the cost of one. :math:`n_t / N_t` scales them to the counts
  of an average batch of this size, so that `smooth` and the size of the
  gradient mean the same as without running counts. The first update equals the
  plain loss.

  Earlier batches are constants: the gradient flows through the counts of the
  present batch only. Keep the running counts beside the optimizer's state, and
  pass them on from step to step.

  Args:
    loss: an overlap loss of `dicejax.losses` with counts, such as `dice` or
      `tversky`; itself, not wrapped in another function.
    decay: :math:`0 \le \lambda < 1`. The counts cover some
      :math:`1 / (1 - \lambda)` batches; 0 is the plain loss.
    **options: keyword arguments of `loss`, except `where`. `axis` has to
      include axis 0, the batch. With `axis_name`, counts are summed over
      devices before they are averaged over time.

  Returns:
    A pair of functions, `init` and `update`. `init` may be called anywhere,
    `update` with `axis_name` inside of the mapped axis.

  Raises:
    TypeError: an option that the loss does not have; in `update`, running
      counts that are not `RunningCounts`.
    ValueError: a loss without counts, a `decay` outside [0, 1); in `update`,
      sets that do not span the batch, or running counts of another shape or
      with values that are not finite (where these are not traced).

  Example:
    >>> from dicejax import losses
    >>> dice = losses.with_running_counts(losses.dice, decay=0.9)
    >>> logits, labels = jnp.array([2., -1., 3.]), jnp.array([1, 0, 0])
    >>> running = dice.init(logits, labels)
    >>> loss, running = dice.update(logits, labels, running)
    >>> print(f'{loss:.3f} {losses.dice(logits, labels):.3f}')
    0.327 0.327
    >>> loss, running = dice.update(-logits, labels, running)
    >>> print(f'{loss:.3f} {losses.dice(-logits, labels):.3f}')
    0.435 0.573

    In a training step, differentiate with the running counts as `aux`:

    >>> def objective(logits, running):
    ...   return dice.update(logits, labels, running)
    >>> gradient, running = jax.grad(objective, has_aux=True)(logits, running)

  References:
    Wang et al., `Stochastic compositional gradient descent
    <https://arxiv.org/abs/1411.3803>`_, 2017, for ratios of expectations.
  """
  _check_loss(loss)
  inspect.signature(loss).bind_partial(None, None, **options)
  if 'where' in options:
    raise TypeError('where differs from batch to batch: pass it to update.')
  if is_concrete(decay):
    decay = float(np.asarray(decay))  # A NumPy float64 would widen the counts.
    if not 0 <= decay < 1:
      raise ValueError(f'decay must be at least 0 and below 1, got {decay}.')
  # Zeros need no sum over devices, so that init works outside of the axis.
  local = {key: x for key, x in options.items() if key != 'axis_name'}

  def init(logits, labels):
    """Returns running counts of 0 for batches like this one."""

    def zeros(counts, elements):
      return jax.tree.map(jnp.zeros_like, RunningCounts(counts, elements))

    shapes = jax.eval_shape(
      lambda *batch: _call(batch, None, local, lambda c, n: (c, zeros(c, n)))[
        1
      ],
      logits,
      labels,
    )
    return jax.tree.map(lambda x: jnp.zeros(x.shape, x.dtype), shapes)

  def update(logits, labels, running, *, where=None):
    """Returns the loss of a batch and the running counts after it."""

    def extend(counts, elements):
      _check_running(running, RunningCounts(counts, elements))
      new = jax.tree.map(
        lambda old, x: decay * old + jax.lax.stop_gradient(x),
        running,
        RunningCounts(counts, elements),
      )
      return _scale(new, counts, elements), new

    return _call((logits, labels), where, options, extend)

  def _call(batch, where, options, extend):
    """Calls the loss; `extend` gives its counts and what else to return."""
    extra = []

    def keep(counts, elements):
      counts, more = extend(counts, elements)
      extra.append(more)
      return counts

    token = extend_counts.set(keep)
    try:
      value = loss(*batch, where=where, **options)
    finally:
      extend_counts.reset(token)
    return value, extra[0]

  return RunningLoss(init, update)


def _scale(running, counts, elements):
  """Running counts for a batch of this size, with the gradient of `counts`."""
  total = running.elements
  scale = elements / jnp.where(total > 0, total, 1)

  def combine(average, x):
    by_class = scale.reshape(scale.shape + (1,) * (x.ndim - scale.ndim))
    # The difference is 0, and carries the gradient of this batch.
    return average * by_class + (x - jax.lax.stop_gradient(x))

  return jax.tree.map(combine, running.counts, counts)


def _check_loss(loss):
  module = sys.modules.get(getattr(loss, '__module__', ''))
  name = getattr(loss, '__name__', repr(loss))
  # A function that is jitted inside would keep the running counts of its first
  # call in its cache, so only the losses themselves are taken.
  if getattr(module, name, None) is not loss or not (
    loss.__module__.startswith('dicejax.losses.')
  ):
    raise ValueError(
      f'with_running_counts needs a loss of dicejax.losses itself, such as '
      f'losses.dice, got {name}. Pass options as keyword arguments.'
    )
  parameters = inspect.signature(loss).parameters
  if 'axis_name' not in parameters or name == 'soft_counts':
    raise ValueError(
      f'{name} has no counts to run over batches; expected an overlap loss '
      'such as dice or tversky.'
    )


def _check_running(running, batch):
  if not isinstance(running, RunningCounts):
    raise TypeError(
      'running must be the RunningCounts that init or update returned, got '
      f'{type(running).__name__}.'
    )
  shapes = [list(np.shape(x)) for x in jax.tree.leaves(running)]
  expected = [list(x.shape) for x in jax.tree.leaves(batch)]
  if shapes != expected:
    raise ValueError(
      f'running counts have shapes {shapes}, but the shapes of this batch are '
      f'{expected}; start with init(logits, labels) of batches like it.'
    )
  if not all(
    np.isfinite(x).all() for x in jax.tree.leaves(running) if is_concrete(x)
  ):
    raise ValueError(
      'running counts are not finite: a batch before this one had NaN or '
      'infinite logits, or a class id out of range.'
    )
