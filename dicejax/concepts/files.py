"""Files that are written whole or not at all."""

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
  """A file that takes the place of `path` when it is whole, or not at all.

  Args:
    path: the file.
    force: it may be there.
    text: UTF-8 with `\\n`, in place of bytes.

  Raises:
    FileExistsError: the file is there, and `force` is not set.
    FileNotFoundError: its directory is not.
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
    raise IsADirectoryError(f'{path}: a directory, where a file is written.')
  if path.exists() and not force:
    raise FileExistsError(f'{path}: the file exists, and is not overwritten.')
  if not path.parent.is_dir():
    raise FileNotFoundError(f'{path.parent}: no such directory.')
