"""Ctrl-C and SIGTERM: what is begun ends, is saved, and the process stops."""

import contextlib
import signal
from collections.abc import Iterator

# What a shell sees. A preempted run can go on: EX_TEMPFAIL of sysexits.h.
_CODES = {signal.SIGINT: 130, signal.SIGTERM: 75}


class Stopped(KeyboardInterrupt):
  """Stopped by a signal, with all that was done saved.

  Attributes:
    code: of the process, when it exits.
  """

  def __init__(self, message: str, number: int):
    super().__init__(message)
    self.code = _CODES[number]


@contextlib.contextmanager
def held() -> Iterator[list[int]]:
  """Within, the first Ctrl-C or SIGTERM only fills a list with its number.

  The second one does what it would have done without. Handlers belong to the
  main thread, and so does this.
  """
  received = []

  def hold(number, _):
    restore()
    received.append(number)

  def restore():
    for number, handler in before.items():
      signal.signal(number, handler)

  # None, where another language has set it, cannot be set again.
  before = {n: signal.getsignal(n) or signal.SIG_DFL for n in _CODES}
  try:
    for number in _CODES:
      signal.signal(number, hold)
    yield received
  finally:
    restore()
