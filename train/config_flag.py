"""The flag `--config=FILE[:ARGUMENT]` and the changes `--config.KEY=VALUE`."""

import ast
import difflib
import importlib.util
import itertools
import pathlib
import re
from collections.abc import Iterator
from collections.abc import Sequence
from typing import Any

from absl import flags
from ml_collections import config_flags
from ml_collections.config_dict import ConfigDict


class UsageError(ValueError):
  """The command line is wrong; the message is one sentence for its user."""


class ConfigFlag:
  """`--config` of a command, with the changes that follow it.

  Attributes:
    changes: arguments `--config.KEY=VALUE`, which `take_changes` has found.
  """

  def __init__(self, default: str):
    self._file = flags.DEFINE_string(
      'config',
      default,
      'The experiment, FILE[:LOSS]. --config.KEY=VALUE changes a setting.',
    )
    self._settings = flags.DEFINE_bool(
      'settings',
      False,
      'Print all settings with their meaning, and do nothing else.',
    )
    self.changes = []
    self._value: Any = None

  @property
  def default(self) -> str:
    return self._file.default

  @property
  def file(self) -> str:
    return self._file.value

  @property
  def prints_settings(self) -> bool:
    return self._settings.value

  @property
  def value(self) -> ConfigDict:
    return self._value

  def read(self) -> None:
    """Loads the file that the flag names, once the flags are parsed."""
    self._value = self.load(self.file)

  def load(self, file: str) -> ConfigDict:
    """Loads any `FILE[:ARGUMENT]` with the changes of this command line."""
    return load(file, self.changes)

  def take_changes(self, argv: Sequence[str]) -> list[str]:
    """Keeps the arguments `--config.KEY=VALUE`; returns the others."""
    others, waiting = [], list(argv)
    while waiting:
      argument = waiting.pop(0)
      if not re.match(r'--?(no)?config\.', argument):
        others.append(argument)
        continue
      if '=' not in argument and waiting and not waiting[0].startswith('--'):
        argument += f'={waiting.pop(0)}'
      self.changes.append(argument)
    return others


def load(file: str, changes: Sequence[str] = ()) -> ConfigDict:
  """Loads a config file and changes its settings.

  Args:
    file: `FILE` or `FILE:ARGUMENT`; the argument is passed to `get_config`.
    changes: `--config.KEY=VALUE`, with a Python literal or a string as value.
      Sections by label take a label as their last key, as in
      `--config.loss.class_weights.B-PER=2.0`.

  Returns:
    The config, locked.

  Raises:
    UsageError: there is no such file or setting, or its value is of the wrong
      kind.
  """
  config = _read(file)
  plain, by_label = [], []
  for change in changes:
    name, _, value = change.partition('=')
    key = name.partition('.')[2]
    # A label may have characters that a name of Python may not have.
    match = re.fullmatch(rf'((?:.+\.)?(?:{_BY_LABEL}))\.(.+)', key)
    _find(config, match[1] if match else key)
    if match:
      by_label.append((*match.groups(), value))
    else:
      plain.append(change)
  sections = _fixed_sections(config)
  _set_plain(config.lock(), plain)
  for key, names in sections.items():
    _check_names(config, key, names)
  for section, label, value in by_label:
    _set_label(config, section, label, value)
  return config


def near_settings(config: ConfigDict, key: str) -> list[str]:
  """Finds the settings that somebody who wrote `key` may have meant."""
  settings = dict.fromkeys(_walk(config))
  key = key.replace('-', '_').lower()
  name = key.rpartition('.')[2]
  if ALIASES.get(name) in settings:
    return [ALIASES[name]]
  names = {}
  for setting in settings:
    names.setdefault(setting.rpartition('.')[2], []).append(setting)
  close = (
    [name]
    if name in names
    else difflib.get_close_matches(name, names, cutoff=0.7)
  )
  found = [setting for each in close for setting in names[each]]
  # Settings of the very section that was meant come first.
  found.sort(key=lambda each: -_shared_end(each, key))
  return found[:3]


def did_you_mean(near: Sequence[str]) -> str:
  """Ends a sentence about an unknown name, as in '; did you mean x?'."""
  return f'; did you mean {" or ".join(near)}?' if near else ''


# Names that other programs have for a setting.
ALIASES = {
  'early_stopping_patience': 'patience',
  'lr_scheduler_type': 'optimizer.schedule',
  'optim': 'optimizer.name',
  'adam_epsilon': 'optimizer.eps',
  'bs': 'batch_size',
  'clip': 'optimizer.clip_norm',
  'data_dir': 'data.dir',
  'encoder': 'model.pretrained',
  'freeze': 'model.frozen',
  'grad_accum': 'micro_batches',
  'gradient_accumulation_steps': 'micro_batches',
  'logging_steps': 'log_every',
  'lr': 'optimizer.learning_rate',
  'max_grad_norm': 'optimizer.clip_norm',
  'max_len': 'max_length',
  'max_seq_length': 'max_length',
  'metric_for_best_model': 'select_by',
  'model_name': 'model.pretrained',
  'model_name_or_path': 'model.pretrained',
  'num_epochs': 'epochs',
  'num_train_epochs': 'epochs',
  'per_device_train_batch_size': 'batch_size',
  'precision': 'model.dtype',
  'save_steps': 'checkpoint_every',
  'train_batch_size': 'batch_size',
  'warmup_ratio': 'optimizer.warmup',
  'wd': 'optimizer.weight_decay',
}
# Sections whose keys are chosen by the user.
_BY_LABEL = r'class_weights|resample|optimizer\.(?:schedule_)?options'
_KINDS = {
  bool: 'true or false',
  int: 'a whole number',
  float: 'a number',
  ConfigDict: "a dict such as {'a': 1.0}",
}


def _read(file) -> ConfigDict:
  path, _, argument = file.partition(':')
  if not pathlib.Path(path).is_file():
    files = {
      each.stem: str(each) for each in pathlib.Path().glob('configs/**/*.py')
    }
    near = difflib.get_close_matches(pathlib.Path(path).stem, files)
    raise UsageError(
      f'--config: there is no file {path}'
      f'{did_you_mean([files[each] for each in near])}'
    )
  try:
    spec = importlib.util.spec_from_file_location('config_file', path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.get_config(*([argument] if argument else []))
  except ValueError as error:
    raise UsageError(str(error)) from error
  except Exception as error:  # Whatever the code of a config file raises.
    what = f'{type(error).__name__}: {error}'.splitlines()[0]
    raise UsageError(f'--config: {path} raises {what}') from error


def _find(config, key):
  """The value of a setting; an error that names near ones if there is none."""
  value, section = config, ''
  for name in key.split('.'):
    if not isinstance(value, ConfigDict) or name not in value:
      near = [f'`{each}`' for each in near_settings(config, key)]
      hint = did_you_mean(near) or '; --settings prints all settings.'
      if not near and section and isinstance(value, ConfigDict):
        hint = f'; `{section}` has {", ".join(value)}.'
      raise UsageError(f'no setting `{key}`{hint}')
    value, section = value[name], f'{section}.{name}'.strip('.')
  return value


def _set_plain(config, changes):
  values = flags.FlagValues()
  argv = ['', *changes]
  try:
    config_flags.DEFINE_config_dict(
      'config', config, flag_values=values, sys_argv=argv
    )
    values(argv)
  except flags.IllegalFlagValueError as error:
    key = re.match(r'flag --config\.([\w.]+)=', str(error))[1]
    found = [each.partition('=')[2] for each in changes if f'.{key}=' in each]
    kind = next(
      (_KINDS[each] for each in _KINDS if isinstance(_find(config, key), each)),
      'another kind of value',
    )
    raise UsageError(
      f'--config.{key}: expected {kind}, found {found[-1]!r}.'
    ) from error
  except flags.Error as error:
    raise UsageError(str(error)) from error
  except Exception as error:  # Whatever ConfigDict raises, in a repr.
    lines = str(error).strip('"').replace("\\'", "'").split('\\n')
    raise UsageError(f'--config: {". ".join(lines)}') from error


def _fixed_sections(config) -> dict[str, list[str]]:
  """The names in each section, except where labels or the user choose them."""
  free = re.compile(r'runs|.*(class_weights|resample|options)')
  keys = [key for key in _walk(config) if not free.match(key)]
  sections = {key: _find(config, key) for key in keys}
  return {
    key: list(section)
    for key, section in sections.items()
    if isinstance(section, ConfigDict)
  }


def _check_names(config, key, names):
  """Checks that a section which was set to a dict still has all its names."""
  section = _find(config, key)
  if set(section) != set(names):
    raise UsageError(
      f'--config.{key}: expected a dict with {", ".join(names)}, found '
      f'{", ".join(section) or "none"}.'
    )


def _set_label(config, section, label, value):
  name = f'--config.{section}.{label}'
  try:
    number = float(ast.literal_eval(value))
  except (SyntaxError, TypeError, ValueError):
    raise UsageError(f'{name}: expected a number, found {value!r}.') from None
  if '.' in label:
    raise UsageError(f'{name}: a label with a dot cannot be a key of a config.')
  numbers = _find(config, section)
  with numbers.unlocked():
    numbers[label] = number


def _walk(config, prefix='') -> Iterator[str]:
  """The dotted keys of all sections and settings."""
  for key, value in config.items():
    yield f'{prefix}{key}'
    if isinstance(value, ConfigDict):
      yield from _walk(value, f'{prefix}{key}.')


def _shared_end(setting, key) -> int:
  """The number of names at the end that two dotted keys share."""
  ends = zip(setting.split('.')[::-1], key.split('.')[::-1], strict=False)
  return sum(
    1 for _ in itertools.takewhile(lambda pair: pair[0] == pair[1], ends)
  )
