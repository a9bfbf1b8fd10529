"""Runs a command: its help, quiet logs, and errors in one sentence."""

import difflib
import os
import pathlib
import re
import sys
import textwrap
from collections.abc import Callable
from collections.abc import Sequence

from absl import app
from absl import flags
from absl import logging

from train import config_flag
from train.config_flag import ConfigFlag
from train.config_flag import UsageError
from train.interrupts import Stopped

_HELP = ('--help', '-help', '-h', '-?', '--helpshort')


def define_config(default: str) -> ConfigFlag:
  """Defines `--config`, and `--config.KEY` for every key of the file."""
  return ConfigFlag(default)


def default_workdir(name: str) -> str:
  """Names the directory in which the runs of a config go.

  Args:
    name: as `--config` takes it.

  Raises:
    FileNotFoundError: there is no such file.

  Example:
    >>> default_workdir('configs/ner/conll2003.py:focal')
    'runs/conll2003-focal'
  """
  file, _, argument = name.partition(':')
  if not pathlib.Path(file).is_file():
    raise FileNotFoundError(f'{file}: no such config file.')
  parts = [pathlib.Path(file).stem, *argument.replace('/', ':').split(':')]
  return f'runs/{"-".join(filter(None, parts))}'


def run(
  main: Callable[[], None],
  config: ConfigFlag | None = None,
  rewrite: Callable[[Sequence[str]], Sequence[str]] = lambda argv: argv,
) -> None:
  """Parses the flags and runs a command that takes no other arguments.

  An error in the command line, the files or the data is printed to stderr as
  one sentence; `--verbosity=1` adds where it was raised. Exit codes: 2 for the
  command line, 1 for files and data, 130 after Ctrl-C, 75 where SIGTERM stopped
  a run that can go on, and 141 where nobody reads the output any more.

  Args:
    main: the command.
    config: its `define_config`, if it has one.
    rewrite: turns arguments that are not flags into flags.
  """

  def guarded(_):
    if not flags.FLAGS['verbosity'].present:
      # Orbax logs each file and, if a disk is full or a checkpoint damaged,
      # pages of tracebacks, also of errors that it cannot raise.
      logging.set_verbosity(logging.FATAL)
      sys.unraisablehook = lambda _: None
    try:
      main()
      sys.stdout.flush()
    except BrokenPipeError:
      _stop_printing()
    except (OSError, ValueError, FloatingPointError) as error:
      if logging.get_verbosity() > logging.INFO:
        raise
      _fail(error, 2 if isinstance(error, UsageError) else 1)
    except KeyboardInterrupt as interrupt:
      print(str(interrupt) or 'Stopped.', file=sys.stderr)
      sys.exit(interrupt.code if isinstance(interrupt, Stopped) else 130)

  app.run(guarded, flags_parser=lambda argv: _parse(rewrite, argv, config))


def _parse(rewrite, argv, config):
  if set(argv) & set(_HELP):
    _print_and_exit(_help())
  try:
    argv = flags.FLAGS.read_flags_from_files(rewrite(argv), force_gnu=False)
    if config:
      argv = config.take_changes(argv)
    arguments = _parse_flags(argv, config)
    if arguments[1:]:
      raise UsageError(f'not understood: {" ".join(arguments[1:])}')
    if config:
      config.read()
      if config.prints_settings:
        _print_and_exit(_settings(config))
    return arguments
  except UsageError as error:
    _fail(error, 2)


def _parse_flags(argv, config):
  try:
    return flags.FLAGS(argv)
  except flags.UnrecognizedFlagError as error:
    near = [
      f'--{flag}'
      for flag in difflib.get_close_matches(error.flagname, _own_flags(), 1)
    ]
    if config and not near:
      default = config.load(config.default)
      near = [
        f'--config.{setting}'
        for setting in config_flag.near_settings(default, error.flagname)
      ]
    hint = config_flag.did_you_mean(near) or '; --help shows all flags.'
    raise UsageError(f'no flag --{error.flagname}{hint}') from error
  except flags.Error as error:
    if missing := re.match(r'flag (--\w+)=None', str(error)):
      raise UsageError(f'{missing[1]} is required; see --help.') from error
    raise UsageError(str(error)) from error


def _settings(config) -> str:
  from train import settings_table  # Not before --help is answered.

  title = f'Settings of {config.file}; * differs from configs/default.py.'
  return f'{title}\n\n{settings_table.format_settings(config.value)}'


def _print_and_exit(text):
  try:
    print(text, flush=True)
  except BrokenPipeError:
    _stop_printing()
  sys.exit(0)


def _stop_printing():
  """Exits because the reader of the output, such as `head`, has seen enough."""
  # The interpreter flushes once more at its exit, which must not fail.
  os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
  sys.exit(141)  # As a program that SIGPIPE ends.


def _fail(error, code):
  print(f'error: {error}', file=sys.stderr)
  sys.exit(code)


def _help() -> str:
  """Formats the docstring of the command, and its flags."""
  lines = [sys.modules['__main__'].__doc__.strip(), '', 'Flags:']
  for flag in _own_flags().values():
    turns_off = flag.boolean and flag.default
    name = f'--no{flag.name}' if turns_off else f'--{flag.name}'
    text = flag.help
    if flag.default and not flag.boolean:
      text += ' Default: {}.'.format(flag.default_as_str.strip("'"))
    lines += textwrap.wrap(
      text,
      width=80,
      initial_indent=f'  {name}'.ljust(23),
      subsequent_indent=' ' * 23,
    )
  return '\n'.join(lines)


def _own_flags() -> dict[str, flags.Flag]:
  """Returns the flags that the command defines by name, without absl's."""
  by_module = flags.FLAGS.flags_by_module_dict()
  modules = config_flag.__name__, sys.argv[0]
  return {
    flag.name: flag for each in modules for flag in by_module.get(each, [])
  }
