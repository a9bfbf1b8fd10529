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
  config, labels: Sequence[str] = ()
) -> Callable[[jax.Array, jax.Array, jax.Array], jax.Array]:
  """The loss that the part `loss` of a config describes.

  Args:
    config: name, options, class_weights, cross_entropy, activation.
    labels: names of the classes, in order, where they have names.

  Returns:
    `(logits, labels, where) -> scalar`, for arrays as the losses take them:
    the mean over the sets (for an element-wise loss: the elements) that have
    an element.

  Raises:
    ValueError: an unknown loss, option or label.
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
  axis = inspect.signature(function).parameters.get('axis')
  axis = options.get('axis', axis.default) if axis else ()
  _try(function, options, config.activation, len(labels) or 2)

  def loss(logits, labels, where):
    values = function(logits, labels, where=where, **options)
    total = _mean(values, where, axis)
    if config.cross_entropy:
      other = losses.cross_entropy(logits, labels, where=where)
      total += config.cross_entropy * _mean(other, where, ())
    return total

  return loss


def _mean(values, where, axis):
  """Mean over the sets that have an element; the others are 0."""
  # Divided once, by what is there: a mean of means would weigh a padded
  # sentence as much as a full one.
  return values.sum() / jnp.maximum(where.any(axis).sum(), 1)


def _try(function, options, activation, num_labels):
  """Raises now, for options that the loss would refuse in the first step."""
  where = jax.ShapeDtypeStruct((1, 1), bool)
  if activation == 'softmax':
    logits = jax.ShapeDtypeStruct((1, 1, num_labels), jnp.float32)
    labels = jax.ShapeDtypeStruct((1, 1), jnp.int32)
  else:
    logits = labels = jax.ShapeDtypeStruct((1, 1), jnp.float32)
  try:
    jax.eval_shape(
      lambda x, y, w: function(x, y, where=w, **options), logits, labels, where
    )
  except (TypeError, ValueError, AssertionError, NameError) as error:
    raise ValueError(f'loss.options: {error}') from error
