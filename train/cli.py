"""What the commands share: quiet logs, and errors in one sentence."""

import contextlib
import pathlib
import sys
from collections.abc import Callable
from collections.abc import Iterator

from absl import app
from absl import flags
from absl import logging
from ml_collections import config_flags
from ml_collections.config_dict import ConfigDict

from train.interrupts import Stopped


def define_config(default: str) -> flags.FlagHolder:
  """The flag `--config`, and `--config.KEY` for every key of the file."""
  with _one_sentence():
    return config_flags.DEFINE_config_file(
      'config', default, 'The experiment, one of configs/.'
    )


def load_config(name: str, like: flags.FlagHolder) -> ConfigDict:
  """The config of another loss, `FILE.py:LOSS`, changed as a flag's is."""
  values = flags.FlagValues()
  argv = ['', f'--config={name}']
  with _one_sentence():
    config_flags.DEFINE_config_file('config', flag_values=values, sys_argv=argv)
    values(argv)
    overrides = config_flags.get_override_values(flags.FLAGS[like.name])
    values.config.update_from_flattened_dict(overrides)
  return values.config


def default_workdir(name: str) -> str:
  """Where the runs of a config go.

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


def run(main: Callable[[], None]) -> None:
  """Parses the flags and runs a command that takes no other arguments.

  What is wrong with the flags, the files or the data is told in one sentence;
  `--verbosity=1` adds where it was raised. The exit code is 1 then, 130 after
  Ctrl-C, and 75 where SIGTERM stopped a run that can go on.
  """

  def guarded(argv):
    if argv[1:]:
      sys.exit(f'error: not understood: {" ".join(argv[1:])}')
    if not flags.FLAGS['verbosity'].present:
      # Orbax tells each file, and where a disk is full or a checkpoint damaged
      # pages of what it raises as well, or cannot raise.
      logging.set_verbosity(logging.FATAL)
      sys.unraisablehook = lambda _: None
    try:
      main()
    except (OSError, ValueError, FloatingPointError) as error:
      if logging.get_verbosity() > logging.INFO:
        raise
      sys.exit(f'error: {error}')
    except KeyboardInterrupt as interrupt:
      print(str(interrupt) or 'Stopped.', file=sys.stderr)
      sys.exit(interrupt.code if isinstance(interrupt, Stopped) else 130)

  app.run(guarded, flags_parser=_parse)


def _parse(argv):
  with _one_sentence():
    return flags.FLAGS(argv)


@contextlib.contextmanager
def _one_sentence() -> Iterator[None]:
  try:
    yield
  except flags.Error as error:
    # The last line of a traceback, where a config file raised something.
    sys.exit(f'error: {str(error).strip().splitlines()[-1]}')
  except Exception as error:  # Whatever a config file raises, in a repr.
    lines = str(error).strip('"').replace("\\'", "'").split('\\n')
    sys.exit(f'error: --config: {". ".join(lines)}')
