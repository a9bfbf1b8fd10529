"""What every loss does first: check what it was given."""

import numbers
from typing import NamedTuple

import chex
import jax
import jax.numpy as jnp


class Inputs(NamedTuple):
  """Checked inputs of a loss, logits in float32 or float64.

  The example axes are all axes of the logits but, with softmax, the last.
  `labels` are class ids `[examples]` or have the shape of the logits; `where`
  is bool `[examples]` or None. Excluded elements have logits and labels 0.
  """

  logits: jax.Array
  labels: jax.Array
  where: jax.Array | None
  softmax: bool

  @property
  def class_ids(self) -> bool:
    return self.labels.ndim < self.logits.ndim


def check_inputs(
  logits: jax.typing.ArrayLike,
  labels: jax.typing.ArrayLike,
  where: jax.typing.ArrayLike | None,
  activation: str | None,
) -> Inputs:
  """Checks types and shapes, widens, and blanks what `where` excludes.

  Raises:
    AssertionError: by chex, at trace time, with the types and shapes.
    ValueError: an unknown activation.
  """
  if activation not in (None, 'softmax', 'sigmoid'):
    raise ValueError(
      f"activation is None, 'softmax' or 'sigmoid', not {activation!r}."
    )
  logits, labels = jnp.asarray(logits), jnp.asarray(labels)
  got = (
    f'logits: {logits.dtype}{list(logits.shape)}, '
    f'labels: {labels.dtype}{list(labels.shape)}.'
  )
  chex.assert_type(logits, float, custom_message=f'Logits are float. {got}')
  softmax = activation == 'softmax' or labels.ndim != logits.ndim
  if softmax and logits.shape[-1:] in [(), (0,)]:
    raise ValueError(f'No class axis. {got}')
  logits = logits.astype(jnp.promote_types(logits.dtype, jnp.float32))
  if labels.ndim == logits.ndim:
    chex.assert_equal_shape(
      [logits, labels], custom_message=f'Equal shapes wanted. {got}'
    )
    labels = labels.astype(logits.dtype)
  else:
    if activation == 'sigmoid':
      raise ValueError(f'With sigmoids, labels look like the logits. {got}')
    chex.assert_shape(
      labels,
      logits.shape[:-1],
      custom_message=f'Class ids have the shape of the logits but for the '
      f'class axis. {got}',
    )
    chex.assert_type(labels, int, custom_message=f'Class ids are int. {got}')
    # Narrow types cannot count the classes.
    labels = labels.astype(jnp.promote_types(labels.dtype, jnp.int32))
  if where is not None:
    where = jnp.asarray(where)
    examples = logits.shape[:-1] if softmax else logits.shape
    got = f'where: {where.dtype}{list(where.shape)}, examples: {list(examples)}'
    chex.assert_type(where, bool, custom_message=got)
    chex.assert_is_broadcastable(where.shape, examples, custom_message=got)
    where = jnp.broadcast_to(where, examples)
    # Masked on the way in, so that a NaN under the mask has no gradient.
    blank = where[..., None] if softmax else where
    logits = jnp.where(blank, logits, 0)
    labels = jnp.where(
      blank if labels.ndim == logits.ndim else where, labels, 0
    )
  return Inputs(logits, labels, where, softmax)


def check_class_weights(class_weights, logits, classes=None) -> jax.Array:
  """The weights in the type of the logits, one for each class."""
  weights = jnp.asarray(class_weights, logits.dtype)
  shape = (logits.shape[-1] if classes is None else classes,)
  chex.assert_shape(
    weights,
    shape,
    custom_message=f'class_weights: {list(weights.shape)}, '
    f'logits: {list(logits.shape)}, wanted: {list(shape)}.',
  )
  return weights


def check_not_negative(**values) -> None:
  """Raises ValueError for a Python number below 0; traced values pass."""
  for name, value in values.items():
    if isinstance(value, numbers.Real) and value < 0:
      raise ValueError(f'{name} is at least 0, not {value}.')


def is_class(ids: jax.Array, logits: jax.Array) -> jax.Array:
  """Bool `[..., classes]` from class ids `[...]`; no one-hot in memory."""
  classes = jax.lax.broadcasted_iota(ids.dtype, logits.shape, logits.ndim - 1)
  return ids[..., None] == classes
