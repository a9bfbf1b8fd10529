"""The scalar to minimise: a loss of dicejax by name, one mean over a batch."""

import inspect
from collections.abc import Callable
from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np

from dicejax import losses


def _is_loss(function):
  """Whether it is one of the losses, or of what goes with them."""
  signature = inspect.signature(function)
  returns_array = signature.return_annotation is jax.Array
  return returns_array and next(iter(signature.parameters)) == 'logits'


_LOSSES = {
  name: getattr(losses, name)
  for name in losses.__all__
  if _is_loss(getattr(losses, name))
}


def make_loss(
  config, labels: Sequence[str] = (), axis_name: str | None = None
) -> Callable[[jax.Array, jax.Array, jax.Array], jax.Array]:
  """The loss that the part `loss` of a config describes.

  Args:
    config: name, options, class_weights, cross_entropy, activation.
    labels: names of the classes, in order, where they have names.
    axis_name: mapped axis over which a batch is spread, if it is.

  Returns:
    `(logits, labels, where) -> scalar`, for arrays as the losses take them:
    the mean over the sets (for an element-wise loss: the elements) that have
    an element. The first axis is that of the batch.

  Raises:
    ValueError: an unknown loss, option or label; or sets of a whole batch that
      is spread, with a loss that has no sums to add up (Lovász).
  """
  if config.activation not in ('softmax', 'sigmoid'):
    raise ValueError(
      f"loss.activation is 'softmax' or 'sigmoid', not {config.activation!r}."
    )
  if config.name not in _LOSSES:
    known = ', '.join(_LOSSES)
    raise ValueError(f'loss.name: {config.name!r} is none of {known}.')
  if unknown := set(config.class_weights) - set(labels):
    raise ValueError(
      f'loss.class_weights: no label {sorted(unknown)}, only {list(labels)}.'
    )
  options = {  # JSON knows no tuples.
    name: tuple(value) if isinstance(value, list) else value
    for name, value in config.options.items()
  }
  if config.class_weights:
    weights = [config.class_weights.get(label, 1.0) for label in labels]
    options['class_weights'] = np.array(weights, np.float32)
  function = _LOSSES[config.name]
  parameters = inspect.signature(function).parameters
  axis = parameters.get('axis')
  axis = options.get('axis', axis.default) if axis else ()

  def loss(logits, labels, where):
    axes = _axes(axis, logits.ndim, where.ndim)
    spread = {}
    if axis_name and 0 in axes:
      if 'axis_name' not in parameters:
        raise ValueError(
          f"{config.name} has no sets over devices, as parallel='pmap' needs."
        )
      spread['axis_name'] = axis_name
    values = function(logits, labels, where=where, **options, **spread)
    total = _mean(values, where, axes, axis_name)
    if config.cross_entropy:
      other = losses.cross_entropy(logits, labels, where=where)
      total += config.cross_entropy * _mean(other, where, (), axis_name)
    return total

  _try(loss, config.activation, len(labels) or 2, axis_name)
  return loss


def _axes(axis, rank, example_rank) -> tuple[int, ...]:
  """The axes of a set, counted from the first."""
  if axis is None:
    return tuple(range(example_rank))
  return tuple(a % rank for a in np.atleast_1d(axis).tolist())


def _mean(values, where, axes, axis_name):
  """Mean over the sets that have an element; the others are 0."""
  # Divided once, by what is there: a mean of means would weigh a padded
  # sentence as much as a full one.
  total, there = values.sum(), where.any(axes)
  if not axis_name:
    return total / jnp.maximum(there.sum(), 1)
  if 0 in axes:  # Every device has the values of all sets.
    there = jax.lax.pmax(there.astype(jnp.int32), axis_name)
    return total / jnp.maximum(there.sum(), 1)
  total, count = jax.lax.psum((total, there.sum()), axis_name)
  return total / jnp.maximum(count, 1)


def _try(loss, activation, num_labels, axis_name):
  """Raises now, for options that the loss would refuse in the first step."""
  where = jax.ShapeDtypeStruct((1, 1, 1), bool)
  if activation == 'softmax':
    logits = jax.ShapeDtypeStruct((1, 1, 1, num_labels), jnp.float32)
    labels = jax.ShapeDtypeStruct((1, 1, 1), jnp.int32)
  else:
    logits = labels = jax.ShapeDtypeStruct((1, 1, 1), jnp.float32)
  try:
    jax.eval_shape(jax.vmap(loss, axis_name=axis_name), logits, labels, where)
  except (TypeError, ValueError, AssertionError, NameError) as error:
    raise ValueError(f'loss.options: {error}') from error
