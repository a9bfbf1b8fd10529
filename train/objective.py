"""The scalar to minimise: a loss of dicejax by name, averaged over a batch."""

import inspect
from collections.abc import Callable
from collections.abc import Sequence
from typing import Any
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from dicejax import losses
from train import loss_weights


class Loss(NamedTuple):
  """The loss of logits and labels, with running counts of earlier batches.

  Attributes:
    init: `(logits, labels) -> running`: the running counts before the first
      batch, from arrays or their shapes; `()` for a loss without them.
    update: `(logits, labels, where, running) -> scalar, running`, with arrays
      as the losses take them, batch axis first. The scalar is the mean over the
      sets that have an element, or over the elements of an element-wise loss.
    description: names the losses and their weights.
  """

  init: Callable[..., Any]
  update: Callable[..., tuple[jax.Array, Any]]
  description: str = ''


class Objective(NamedTuple):
  """The objective of a training step: the loss of a task, or several losses.

  Attributes:
    init: `(outputs, batch) -> running`, as in `Loss`.
    update: `(outputs, batch, running) -> scalar, running`.
    description: as in `Loss`.
  """

  init: Callable[..., Any]
  update: Callable[..., tuple[jax.Array, Any]]
  description: str = ''


def learn_labels(
  loss: Loss, select: Callable[[jax.Array, dict], tuple[jax.Array, jax.Array]]
) -> Objective:
  """Builds the loss over the elements of a batch whose labels are not negative.

  Args:
    loss: the loss of the logits.
    select: `(logits, batch) -> logits, labels`, as the loss takes them.
  """

  def init(logits, batch):
    return loss.init(*jax.eval_shape(select, logits, batch))

  def update(logits, batch, running):
    logits, labels = select(logits, batch)
    return loss.update(logits, labels, labels >= 0, running)

  return Objective(init, update, loss.description)


def unpack_rows(
  arrays: tuple[jax.Array, ...], mask: jax.Array, most: int
) -> tuple[jax.Array, ...]:
  """Gives each input of packed rows a row of its own, as without packing.

  Args:
    arrays: `[B, L, ...]`.
    mask: int `[B, L]`, which numbers the inputs of a row from 1.
    most: the largest number of inputs in a row.

  Returns:
    Arrays `[B * most, L, ...]`. They begin with the first position of the
    input, and are 0 behind its last one.
  """
  numbers = jnp.arange(1, most + 1)[None, :, None]
  is_own = mask[:, None] == numbers
  positions = jnp.arange(mask.shape[1])[None, None]
  is_inside = positions < is_own.sum(axis=-1, keepdims=True)
  places = is_own.argmax(axis=-1, keepdims=True) + positions

  def unpack(x):
    # `mode` is what becomes of the places that are beyond the row.
    rows = jax.vmap(lambda x, at: x.at[at].get(mode='clip'))(x, places)
    inside = jnp.expand_dims(is_inside, range(3, rows.ndim))
    return jnp.where(inside, rows, 0).reshape(-1, *x.shape[1:])

  return tuple(map(unpack, arrays))


def make_loss(
  config,
  labels: Sequence[str] = (),
  axis_name: str | None = None,
  *,
  class_counts: np.ndarray | None = None,
  background: bool = False,
  several: bool = False,
) -> Loss:
  """Builds the loss that the section `loss` of a config describes.

  Args:
    config: the section, which `settings.check` has checked;
      configs/default.py explains its keys.
    labels: names of the classes, in order, if they have names.
    axis_name: mapped axis over which a batch is spread, if it is.
    class_counts: how often each class occurs in the training split,
      `[classes]`; for a sigmoid `[2]`, negatives and positives. Some losses and
      weights need it; without it, `full_weight_at` has no effect.
    background: whether class 0 of a softmax is the negative one.
    several: whether the last axis is one of labels, and each may be a set.

  Raises:
    ValueError: an unknown option or label, or settings that do not go with the
      labels of the task; the message begins with the key.
  """
  weights = loss_weights.class_weights(config, labels, class_counts)
  _check_background(config, labels, weights, background)
  function, options = _function(config, weights, class_counts)
  weight = loss_weights.weight_of_sets(config, weights, class_counts)

  def extended(options):
    return losses.with_running_counts(function, decay=config.running, **options)

  def init(logits, labels):
    if not config.running:
      return ()
    axes = _set_axes(function, options, logits, labels)
    if {*range(labels.ndim - several)} - {*axes}:
      raise ValueError(
        'running counts need one set of all elements, axis=None, not '
        f'axis={options["axis"]!r}.'
      )
    # Without the mapped axis: there is nothing to sum yet, and `init` is called
    # outside of it.
    return extended(options).init(logits, labels)

  def update(logits, labels, where, running):
    if config.keep_hardest:
      hardness = losses.cross_entropy(logits, labels, where=where)
      where = losses.keep_hardest(hardness, labels, config.keep_hardest, where)
    axes = _set_axes(function, options, logits, labels)
    spread = _spread(function, options, axes, axis_name)
    if config.running:
      values, running = extended(spread).update(
        logits, labels, running, where=where
      )
    else:
      values = function(logits, labels, where=where, **spread)
    total = weight * _mean(values, where, axes, axis_name)
    if config.cross_entropy:
      other = losses.cross_entropy(logits, labels, where=where)
      total += config.cross_entropy * _mean(other, where, (), axis_name)
    return total, running

  loss = Loss(init, update, _describe(config, weight))
  _try(loss, config.activation == 'sigmoid', len(labels) or 2, axis_name)
  return loss


def _check_background(config, labels, weights, background):
  """Raises ValueError for settings that need another negative class."""
  if (
    background
    and config.options.get('average') == 'micro'
    and (weights is None or weights[0])
  ):
    raise ValueError(
      "loss.class_weights: average='micro' with the background class in it is "
      f'accuracy, not F1; expected a weight of 0 for {labels[0]!r} among them.'
    )
  if config.keep_hardest and not (config.activation == 'sigmoid' or background):
    raise ValueError(
      'loss.keep_hardest keeps negatives, and no label of this task is the '
      "negative one: expected entities with 'O', or a positive label."
    )


def _function(config, weights, class_counts):
  """Returns the loss that the section names, and its keyword arguments."""
  function = losses.LOSSES[config.name]
  parameters = inspect.signature(function).parameters
  options = {  # A config that was read from JSON has lists for tuples.
    name: tuple(value) if isinstance(value, list) else value
    for name, value in config.options.items()
  }
  if weights is not None:
    binary_sets = config.activation == 'sigmoid' and 'axis' in parameters
    if 'class_weights' not in parameters or binary_sets:
      key = 'class_weighting' if config.class_weighting else 'class_weights'
      raise ValueError(
        f'loss.{key}: {config.name} has no weights of classes with '
        f'loss.activation={config.activation!r}.'
      )
    options['class_weights'] = weights
  if 'class_counts' in parameters:
    options['class_counts'] = loss_weights.needed(
      class_counts, f'loss.name={config.name}'
    )
  return function, options


def _set_axes(function, options, logits, labels) -> tuple[int, ...]:
  """Returns the axes of a set, from 0; none if each element is a set."""
  parameters = inspect.signature(function).parameters
  if 'axis' in parameters:
    axis = options.get('axis', parameters['axis'].default)
  else:
    # zlpr has one value per example, for all of its labels.
    axis = -1 if function is losses.zlpr else ()
  if axis is None:
    return tuple(range(labels.ndim))
  return tuple(a % logits.ndim for a in np.atleast_1d(axis).tolist())


def _spread(function, options, axes, axis_name) -> dict[str, Any]:
  """Adds the mapped axis to the options, if sets are spread over it."""
  if not axis_name or 0 not in axes:
    return options
  if 'axis_name' not in inspect.signature(function).parameters:
    raise ValueError(
      f"{function.__name__} has no sets over devices, as parallel='pmap' needs."
    )
  return options | {'axis_name': axis_name}


def _describe(config, weight) -> str:
  """Names the losses: `1 * cross_entropy + 0.15 * dice of running counts`."""
  overlap = f'{weight:.3g} * {config.name}'
  if config.running:
    overlap += ' of running counts'
  if not config.cross_entropy:
    return overlap
  return f'{config.cross_entropy:.3g} * cross_entropy + {overlap}'


def _mean(values, where, axes, axis_name):
  """Returns the mean over the sets that have an element; others are 0."""
  # One division by the number of sets: a mean of means would give a padded
  # sentence as much weight as a full one.
  total, has_element = values.sum(), where.any(axes)
  if not axis_name:
    return total / jnp.maximum(has_element.sum(), 1)
  if 0 in axes:  # Every device has the values of all sets.
    has_element = jax.lax.pmax(has_element.astype(jnp.int32), axis_name)
    return total / jnp.maximum(has_element.sum(), 1)
  total, count = jax.lax.psum((total, has_element.sum()), axis_name)
  return total / jnp.maximum(count, 1)


def _try(loss, sigmoid, num_labels, axis_name):
  """Raises ValueError for options that the loss would refuse in a step."""
  where = jax.ShapeDtypeStruct((1, 1, 1), bool)
  labels = jax.ShapeDtypeStruct((1, 1, 1), jnp.int32)
  shape = (1, 1, 1) if sigmoid else (1, 1, 1, num_labels)
  logits = jax.ShapeDtypeStruct(shape, jnp.float32)

  def one(logits, labels, where):
    return loss.update(logits, labels, where, loss.init(logits, labels))

  try:
    jax.eval_shape(jax.vmap(one, axis_name=axis_name), logits, labels, where)
  except (TypeError, ValueError, AssertionError, NameError) as error:
    raise ValueError(f'loss.options: {error}') from error
