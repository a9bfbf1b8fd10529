"""Optimizers and schedules of optax by their names; AdamW as BERT is tuned."""

import functools
import inspect
from collections.abc import Callable
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import optax

# Names of optax for the same two parameters of an optimizer.
_DECAY = 'weight_decay', 'weight_decay_rate'
_MASK = 'mask', 'weight_decay_mask'


def learning_rate(
  config, num_steps: int, peak: jax.Array | float | None = None
) -> optax.Schedule:
  """Makes a schedule: a linear warm-up, then a schedule of optax.

  Args:
    config: the section `optimizer` of a config: `learning_rate` is the peak,
      `warmup` a fraction of the steps, `final` a fraction of the peak,
      `schedule` the name in optax, `schedule_options` its other arguments.
    num_steps: the number of training steps.
    peak: in place of `config.learning_rate`, if given.

  Raises:
    ValueError: optax has no such schedule, or it has other arguments.
  """
  warmup = round(config.warmup * num_steps)
  peak, final = config.learning_rate if peak is None else peak, config.final
  steps = num_steps - warmup
  known = {
    **dict.fromkeys(('init_value', 'value', 'peak_value'), peak),
    **dict.fromkeys(('transition_steps', 'decay_steps'), steps),
    **dict.fromkeys(('alpha', 'decay_rate'), final),
    'end_value': final * peak,
  }
  if not config.schedule.endswith(('_schedule', '_decay')):
    raise ValueError(_unknown('schedule', config.schedule, 'linear_schedule'))
  if config.schedule.startswith('warmup_'):
    raise ValueError(
      f'optimizer.schedule: {config.schedule!r} has a warm-up of its own: '
      'expected a schedule without one, and optimizer.warmup.'
    )
  make = _find('schedule', config.schedule, 'linear_schedule')
  given = {k: v for k, v in known.items() if k in _parameters(make)}
  decay = _call(make, given, config, 'schedule', 'schedule_options')
  warm_up = optax.linear_schedule(0.0, peak, warmup)
  return optax.join_schedules([warm_up, decay], [warmup])


def make_optimizer(config, num_steps: int) -> optax.GradientTransformation:
  """Makes clipping by the global norm, then an optimizer of optax.

  The state of the optimizer holds the peak of the learning rate. As a constant
  of the step, it would have every rate of a sweep compile programs of its own.

  Args:
    config: the section `optimizer` of a config.
    num_steps: the number of training steps.

  Raises:
    ValueError: optax has no such optimizer, it has other arguments, or it
      needs more than gradients.
  """
  make = _find('name', config.name, 'adamw')
  parameters = _parameters(make)
  if 'learning_rate' not in parameters:
    raise ValueError(_unknown('name', config.name, 'adamw'))
  given: dict[str, Any] = {}
  own_decay = next((name for name in _DECAY if name in parameters), '')
  if own_decay:
    given[own_decay] = config.weight_decay
    given |= {name: decays for name in _MASK if name in parameters}
  # Another default means another thing, such as Adafactor's.
  if 'eps' in parameters and parameters['eps'].default == 1e-8:
    given['eps'] = config.eps
  first = [optax.clip_by_global_norm(config.clip_norm)]
  if config.weight_decay and not own_decay:
    first.append(optax.add_decayed_weights(config.weight_decay, decays))

  def chain(peak):
    rate = {'learning_rate': learning_rate(config, num_steps, peak)}
    last = _call(make, rate | given, config, 'name', 'options')
    return optax.chain(*first, last)

  optimizer = optax.inject_hyperparams(chain)(peak=config.learning_rate)
  _try(optimizer, config.name)
  return optimizer


def decays(params):
  """Marks the parameters that decay: matrices, not biases or norms."""
  return jax.tree.map_with_path(
    # XLNet has a bias per head and unit.
    lambda path, x: x.ndim > 1 and 'bias' not in jax.tree_util.keystr(path),
    params,
  )


def _find(key: str, name: str, example: str) -> Callable:
  try:
    found = functools.reduce(getattr, name.split('.'), optax)
  except AttributeError:
    raise ValueError(_unknown(key, name, example)) from None
  if not inspect.isfunction(found):
    raise ValueError(_unknown(key, name, example))
  return found


def _unknown(key: str, name: str, example: str) -> str:
  return (
    f'optimizer.{key}: {name!r} is none of optax; expected a name such as '
    f'{example!r}.'
  )


def _parameters(make: Callable) -> Mapping[str, inspect.Parameter]:
  return inspect.signature(make).parameters


def _call(make, given, config, key, options_key) -> Any:
  """Calls a function of optax with what the config gives and its options."""
  parameters, options = _parameters(make), dict(config[options_key])
  if unknown := [name for name in options if name not in parameters]:
    raise ValueError(
      f'optimizer.{options_key}: {unknown[0]!r} is no argument of '
      f'optax.{config[key]}, which has {", ".join(parameters)}.'
    )
  arguments = given | options
  try:
    return make(**arguments)
  except (TypeError, ValueError, AttributeError) as error:
    raise ValueError(
      f'optimizer.{key}: optax.{config[key]} with {", ".join(arguments)}: '
      f'{error}. Expected other arguments as optimizer.{options_key}.'
    ) from None


def _try(optimizer: optax.GradientTransformation, name: str) -> None:
  """Raises ValueError if an optimizer needs more than gradients."""
  params = {'kernel': jnp.zeros((2, 2)), 'bias': jnp.zeros(2)}

  def update():
    return optimizer.update(params, optimizer.init(params), params)

  try:
    jax.eval_shape(update)
  except Exception as error:  # Optimizers raise whatever they like.
    what = str(error).split('\n')[0]
    raise ValueError(
      f'optimizer.name: optax.{name} cannot be used with gradients alone: '
      f'{what}'
    ) from None
