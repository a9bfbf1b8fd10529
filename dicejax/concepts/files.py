"""Files that are written completely or not at all."""

import contextlib
import io
import os
import pathlib
from collections.abc import Iterator
from typing import IO


@contextlib.contextmanager
def replacing(
  path: str | os.PathLike, *, force: bool = False, text: bool = False
) -> Iterator[IO]:
  """Opens a file that replaces `path` once it is written completely.

  Args:
    path: the file.
    force: whether an existing file may be replaced.
    text: whether to write UTF-8 text with `\\n` instead of bytes.

  Raises:
    FileExistsError: the file exists, and `force` is not set.
    FileNotFoundError: its directory does not exist.
  """
  path = pathlib.Path(path)
  check_writable(path, force=force)
  part = path.with_name(f'{path.name}.{os.getpid()}.part')
  try:
    with open(part, 'wb') as file:
      if text:
        stream = io.TextIOWrapper(file, 'utf-8', newline='')
        yield stream
        stream.flush()
        stream.detach()
      else:
        yield file
      file.flush()
      os.fsync(file.fileno())
    os.replace(part, path)
  finally:
    part.unlink(missing_ok=True)


def check_writable(path: str | os.PathLike, *, force: bool = False) -> None:
  """Raises early what `replacing` would raise after the work is done."""
  path = pathlib.Path(path)
  if path.is_dir():
    raise IsADirectoryError(f'{path}: is a directory, expected a file.')
  if path.exists() and not force:
    raise FileExistsError(f'{path}: the file exists, and is not overwritten.')
  if not path.parent.is_dir():
    raise FileNotFoundError(f'{path.parent}: no such directory.')
