"""Ctrl-C and SIGTERM: a run finishes its step, saves it, and stops."""

import contextlib
import signal
from collections.abc import Iterator

# Exit codes. A preempted run can go on: 75 is EX_TEMPFAIL of sysexits.h.
_CODES = {signal.SIGINT: 130, signal.SIGTERM: 75}


class Stopped(KeyboardInterrupt):
  """A signal stopped the run; everything that was done is saved.

  Attributes:
    code: exit code of the process.
  """

  def __init__(self, message: str, number: int):
    super().__init__(message)
    self.code = _CODES[number]


@contextlib.contextmanager
def held() -> Iterator[list[int]]:
  """Context: the first Ctrl-C or SIGTERM only adds its number to a list.

  A second one has its usual effect. Only the main thread may install handlers,
  and so only it may enter this context.
  """
  received = []

  def hold(number, _):
    restore()
    received.append(number)

  def restore():
    for number, handler in before.items():
      signal.signal(number, handler)

  # getsignal returns None for a handler that was not set from Python, and
  # `signal` does not accept None.
  before = {n: signal.getsignal(n) or signal.SIG_DFL for n in _CODES}
  try:
    for number in _CODES:
      signal.signal(number, hold)
    yield received
  finally:
    restore()
