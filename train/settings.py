"""Checks the settings of a config before anything is read.

Settings that depend on the data, the weights or the devices are checked where
these are known; the task or the reader checks its own options.
"""

import inspect
import operator

import jax
from ml_collections import config_dict

from dicejax import losses
from train.loss_weights import WEIGHTINGS

_COUNTS = (
  'batch_size',
  'micro_batches',
  'epochs',
  'evaluations_per_epoch',
  'checkpoint_every',
  'log_every',
)


def check(config: config_dict.ConfigDict) -> None:
  """Checks all settings of a config that do not depend on anything else.

  Raises:
    ValueError: the first setting that is wrong; names its key and what was
      expected.
  """
  for key in _COUNTS:
    _check_at_least(config, key, 1)
  _check_at_least(config, 'max_length', 3)  # [CLS], a sub-word, [SEP].
  _check_at_least(config, 'seed', 0)
  _check_at_least(config, 'patience', 0)
  _check_at_least(config, 'compilation_cache', 0)
  _check_below_1(config, 'data.foreground')
  _check_model(config)
  _check_loss(config)
  for key in ('learning_rate', 'weight_decay', 'eps', 'clip_norm'):
    _check_at_least(config, f'optimizer.{key}', 0)
  for key in ('warmup', 'final'):
    _check_up_to_1(config, f'optimizer.{key}')
  _check_choice(config, 'parallel', 'jit', 'pmap')
  if config.fsdp > 1 and config.parallel == 'pmap':
    raise ValueError("fsdp needs parallel='jit'.")


def _check_model(config):
  model = config.model
  for name in () if model.pretrained else model.scratch:
    _check_at_least(config, f'model.scratch.{name}', 1)
  _check_choice(config, 'model.dtype', 'float32', 'bfloat16')
  _check_choice(config, 'model.pooling', 'cls', 'mean')
  _check_below_1(config, 'model.dropout')
  _check_below_1(config, 'model.attention_dropout')
  if model.attention == 'cudnn' and model.attention_dropout:
    raise ValueError("model.attention='cudnn' needs model.attention_dropout=0.")
  if model.frozen and not model.pretrained:
    raise ValueError(
      'model.frozen keeps a published encoder as it is: expected '
      'model.pretrained, the name or the directory of one.'
    )
  if model.frozen and jax.process_count() > 1:
    raise ValueError('model.frozen works in a single process only.')


def _check_loss(config):
  loss = config.loss
  _check_choice(config, 'loss.activation', 'softmax', 'sigmoid')
  if loss.name not in losses.LOSSES:
    known = ', '.join(losses.LOSSES)
    raise ValueError(f'loss.name: {loss.name!r} is none of {known}.')
  _check_at_least(config, 'loss.cross_entropy', 0)
  _check_at_least(config, 'loss.keep_hardest', 0)
  _check_up_to_1(config, 'loss.full_weight_at')
  if not 0 <= loss.running < 1:
    raise ValueError(
      'loss.running, the decay of running counts, is at least 0 and below 1, '
      f'not {loss.running}.'
    )
  if loss.class_weighting not in ('', *WEIGHTINGS):
    known = ', '.join(map(repr, WEIGHTINGS))
    raise ValueError(
      f"loss.class_weighting is one of {known}, or '', not "
      f'{loss.class_weighting!r}.'
    )
  parameters = inspect.signature(losses.LOSSES[loss.name]).parameters
  if loss.running and 'axis_name' not in parameters:
    raise ValueError(
      f'loss.running: {loss.name} has no counts to run over batches; '
      'expected a loss of sets such as dice.'
    )
  if loss.keep_hardest and config.parallel == 'pmap':
    raise ValueError(
      "loss.keep_hardest compares the whole batch: expected parallel='jit'."
    )


def _check_at_least(config, key, minimum):
  value = operator.attrgetter(key)(config)
  if not value >= minimum:  # Also refuses NaN.
    raise ValueError(f'{key} is at least {minimum}, not {value}.')


def _check_below_1(config, key):
  value = operator.attrgetter(key)(config)
  if not 0 <= value < 1:
    raise ValueError(f'{key} is at least 0 and below 1, not {value}.')


def _check_up_to_1(config, key):
  value = operator.attrgetter(key)(config)
  if not 0 <= value <= 1:
    raise ValueError(f'{key} is between 0 and 1, not {value}.')


def _check_choice(config, key, *choices):
  value = operator.attrgetter(key)(config)
  if value not in choices:
    known = ' or '.join(map(repr, choices))
    raise ValueError(f'{key} is {known}, not {value!r}.')
