"""What the commands share: quiet logs, and errors in one sentence."""

import sys
from collections.abc import Callable

from absl import app
from absl import flags
from absl import logging


def run(main: Callable[[], None]) -> None:
  """Parses the flags and runs a command that takes no other arguments.

  What is wrong with the flags, the files or the data is told in one sentence;
  `--verbosity=1` adds where it was raised.
  """

  def guarded(argv):
    if argv[1:]:
      sys.exit(f'error: not understood: {" ".join(argv[1:])}')
    if not flags.FLAGS['verbosity'].present:
      logging.set_verbosity(logging.ERROR)  # Orbax tells each file at INFO.
    try:
      main()
    except (OSError, ValueError, FloatingPointError) as error:
      if logging.get_verbosity() > logging.INFO:
        raise
      sys.exit(f'error: {error}')
    except KeyboardInterrupt:
      sys.exit('Stopped.')

  app.run(guarded, flags_parser=_parse)


def _parse(argv):
  try:
    return flags.FLAGS(argv)
  except flags.Error as error:
    # The last line of a traceback, where a config file raised something.
    *_, sentence = str(error).strip().splitlines()
    sys.exit(f'error: {sentence.strip()}')
