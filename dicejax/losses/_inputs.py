"""Checks of the arguments that all losses share."""

from __future__ import annotations

import numbers
from typing import NamedTuple

import chex
import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jax.typing import ArrayLike


class Inputs(NamedTuple):
  """Checked inputs of a loss.

  The example axes are all axes of the logits except, with softmax, the last.

  Attributes:
    logits: float32 or float64 `[examples...]` or `[examples..., classes]`; 0
      where an element is excluded.
    labels: int class ids `[examples...]`, or targets shaped like the logits; 0
      where an element is excluded.
    where: bool `[examples...]`, False for an excluded element, or None.
    softmax: whether the last axis holds the classes of a softmax.
  """

  logits: jax.Array
  labels: jax.Array
  where: jax.Array | None
  softmax: bool

  @property
  def class_ids(self) -> bool:
    return self.labels.ndim < self.logits.ndim

  @property
  def out_of_range(self) -> jax.Array:
    """bool `[examples...]`: class ids outside `0..classes-1`."""
    return (self.labels < 0) | (self.labels >= self.logits.shape[-1])


def check_inputs(
  logits: ArrayLike,
  labels: ArrayLike,
  where: ArrayLike | None,
  activation: str | None,
) -> Inputs:
  """Checks types and shapes, widens, and blanks what `where` excludes.

  Raises:
    AssertionError: shapes that do not fit.
    TypeError: logits that are not floating point, class ids that are not
      integers, a `where` that is not bool.
    ValueError: an unknown activation, or one that does not fit the labels.
  """
  if activation not in (None, 'softmax', 'sigmoid'):
    raise ValueError(
      f"activation must be None, 'softmax' or 'sigmoid', got {activation!r}."
    )
  logits, labels = jnp.asarray(logits), jnp.asarray(labels)
  softmax = activation == 'softmax' or labels.ndim != logits.ndim
  _check_logits(logits, labels, softmax)
  logits = logits.astype(jnp.promote_types(logits.dtype, jnp.float32))
  labels = _check_labels(logits, labels, activation)
  if where is None:
    return Inputs(logits, labels, None, softmax)
  where = check_where(where, logits.shape[:-1] if softmax else logits.shape)
  # Masking the inputs, and not only the result, keeps a NaN under the mask out
  # of the gradient.
  by_logit = where[..., None] if softmax else where
  by_label = by_logit if labels.ndim == logits.ndim else where
  logits = jnp.where(by_logit, logits, 0)
  return Inputs(logits, jnp.where(by_label, labels, 0), where, softmax)


def check_where(where: ArrayLike, examples: tuple[int, ...]) -> jax.Array:
  """Returns `where` as bool `[examples...]`.

  Raises:
    AssertionError: a shape that does not broadcast to `examples`.
    TypeError: another type than bool.
  """
  where = jnp.asarray(where)
  if where.dtype != bool:
    raise TypeError(f'{describe(where=where)} must be bool.')
  try:
    chex.assert_is_broadcastable(where.shape, examples)
  except AssertionError:
    raise AssertionError(
      f'{describe(where=where)} does not broadcast to the examples, '
      f'{list(examples)}.'
    ) from None
  return jnp.broadcast_to(where, examples)


def check_class_weights(
  class_weights: ArrayLike, logits: jax.Array, classes: int | None = None
) -> jax.Array:
  """Returns the weights, one per class, in the type of the logits.

  Raises:
    AssertionError: another number of weights than of classes.
    ValueError: a negative weight, unless it is traced.
  """
  # Looked at as given: under jit even a list becomes a traced array.
  values = np.asarray(class_weights) if is_concrete(class_weights) else None
  weights = jnp.asarray(class_weights, logits.dtype)
  classes = logits.shape[-1] if classes is None else classes
  check_shape(
    weights,
    (classes,),
    f'class_weights: {list(weights.shape)} must be [{classes}] for logits '
    f'{list(logits.shape)}.',
  )
  if values is not None and not (values >= 0).all():
    raise ValueError(
      f'class_weights must be at least 0, got {values.tolist()}.'
    )
  return weights


def check_shape(x: jax.Array, shape: tuple[int, ...], message: str) -> None:
  """Asserts a shape through chex, with one sentence as the message."""
  try:
    chex.assert_shape(x, shape)
    # `chex.disable_asserts()` must not turn an error into a wrong number.
    fits = x.shape == shape
  except AssertionError:
    fits = False
  if not fits:
    raise AssertionError(message)


def check_not_negative(**values) -> None:
  """Raises ValueError for a Python number below 0; traced values pass."""
  for name, value in values.items():
    if isinstance(value, numbers.Real) and value < 0:
      raise ValueError(f'{name} must be at least 0, got {value}.')


def check_fraction(**values) -> None:
  """Raises ValueError for a Python number outside [0, 1]."""
  check_not_negative(**values)
  for name, value in values.items():
    if isinstance(value, numbers.Real) and not value <= 1:
      raise ValueError(f'{name} must be at most 1, got {value}.')


def check_option(name: str, value: str, options: tuple[str, ...]) -> None:
  """Raises ValueError for a value that is not among the options."""
  if value not in options:
    known = ' or '.join(map(repr, options))
    raise ValueError(f'{name} must be {known}, got {value!r}.')


def nan_where(out_of_range: jax.Array, dtype: jnp.dtype) -> jax.Array:
  """A factor for losses: 1, or NaN where a class id is out of range.

  Training must not go on with a wrong label that nobody excluded, and NaN in
  value and gradient cannot be overlooked.
  """
  return jnp.where(out_of_range, jnp.nan, 1).astype(dtype)


def describe(**arrays: jax.Array) -> str:
  """Names arrays with type and shape, as in `logits: float32[4, 3]`."""
  return ', '.join(
    f'{name}: {x.dtype}{list(x.shape)}' for name, x in arrays.items()
  )


def is_concrete(x: ArrayLike) -> bool:
  """Whether the value is known now, and not only when a program runs."""
  return not any(isinstance(y, Tracer) for y in jax.tree.leaves(x))


def _check_logits(logits, labels, softmax):
  if not jnp.issubdtype(logits.dtype, jnp.floating):
    raise TypeError(f'{describe(logits=logits)} must be floating point.')
  if softmax and logits.shape[-1:] in [(), (0,), (1,)]:
    # A softmax over one class is 1 whatever the logit: it has no gradient.
    raise ValueError(
      f'{describe(logits=logits, labels=labels)}: a softmax needs a class axis '
      'of at least 2 as the last axis of the logits. For binary problems, drop '
      'the last axis of the logits.'
    )


def _check_labels(logits, labels, activation):
  arrays = describe(logits=logits, labels=labels)
  if labels.ndim == logits.ndim:
    check_shape(
      labels, logits.shape, f'{arrays}: targets must be shaped like the logits.'
    )
    return labels.astype(logits.dtype)
  if activation == 'sigmoid':
    raise ValueError(
      f"{arrays}: activation='sigmoid' needs labels shaped like the logits."
    )
  check_shape(
    labels,
    logits.shape[:-1],
    f'{arrays}: class ids must be shaped like the logits without the class '
    'axis.',
  )
  if not (jnp.issubdtype(labels.dtype, jnp.integer) or labels.dtype == bool):
    raise TypeError(f'{describe(labels=labels)} must be int, as class ids.')
  # Narrow types could not count the classes.
  return labels.astype(jnp.promote_types(labels.dtype, jnp.int32))
