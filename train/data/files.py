"""Reading local files: lines and JSON in UTF-8, with the line of every error.

The readers of the formats are built on these. A reader is a generator function
over one file. It yields an example, or `Skipped` where a rule leaves one out.
"""

import json
import os
import pathlib
import re
from collections.abc import Iterable
from collections.abc import Iterator
from collections.abc import Mapping
from typing import Any
from typing import NamedTuple
from typing import TypeVar

_T = TypeVar('_T')
Path = str | os.PathLike
Lines = Iterable[tuple[int, str]]  # The number, from 1, and the text of each.


class Skipped(NamedTuple):
  """Stands for something that a reader leaves out.

  Attributes:
    rule: why it is left out. Occurrences of a rule are counted, so its text is
      always the same.
  """

  rule: str


def find_files(
  directory: str, names: Mapping[str, str]
) -> dict[str, pathlib.Path]:
  """Finds the file of each split, whatever is in it.

  Args:
    directory: the directory of all files; `~` is the home directory.
    names: split → name of its file.

  Returns:
    Split → path.

  Raises:
    FileNotFoundError: a file is missing; the message says what to do.
  """
  folder = pathlib.Path(directory).expanduser()
  paths = {split: folder / name for split, name in names.items()}
  for split, path in paths.items():
    if not path.is_file():
      raise FileNotFoundError(
        f'{path}: no such file, for the split {split!r}{_remedy(split)}.'
      )
  return paths


def _remedy(split):
  """Says how to do without the file of a split, or where files are named."""
  if split not in ('dev', 'test'):
    return '; data.dir is their directory, and data.files has their names'
  instead = f"; data.files.{split}='' does without one"
  if split == 'dev':
    instead += ', and data.held_out.dev=0.1 takes a tenth of the training file'
  return instead


def read_lines(path: Path) -> Iterator[tuple[int, str]]:
  """Yields the number, from 1, and the text of each line of a UTF-8 file.

  The text has no byte order mark, carriage return or line feed. If the file
  has no line feed, carriage returns end its lines.

  Raises:
    ValueError: the file is not UTF-8. The message begins with `path:line:`.
  """
  text = read_text(path)
  end = '\n' if '\n' in text else '\r'
  # `splitlines` would also split at Unicode's line separators, which a token
  # may contain.
  for number, line in enumerate(text.split(end), start=1):
    yield number, line.rstrip('\r')


def read_text(path: Path, encoding: str = 'utf-8', key: str = '') -> str:
  """Returns the text of a file, without a byte order mark.

  Args:
    path: the file.
    encoding: any encoding that Python knows.
    key: the setting that names the encoding, for messages.

  Raises:
    ValueError: the file has another encoding, in a message that begins with
      `path:line:`; or there is no such encoding.
  """
  data = pathlib.Path(path).read_bytes()
  try:
    return data.decode(encoding).removeprefix('\ufeff')
  except LookupError:
    raise ValueError(
      f"{key} is the name of an encoding such as 'utf-8' or 'cp1252', not "
      f'{encoding!r}.'
    ) from None
  except UnicodeError as error:
    start = getattr(error, 'start', 0)
    end = b'\n' if b'\n' in data else b'\r'
    hint = f' {key} names another encoding.' if key else ''
    raise ValueError(
      f'{path}:{data.count(end, 0, start) + 1}: expected '
      f'{encoding.upper()}: {error}.{hint}'
    ) from None


def read_json(path: Path) -> Any:
  """Returns the value in a UTF-8 file of JSON.

  Raises:
    ValueError: the file is not UTF-8 or not JSON. The message begins with
      `path:line:`.
  """
  text = '\n'.join(line for _, line in read_lines(path))
  try:
    return json.loads(text)
  except json.JSONDecodeError as error:
    raise ValueError(
      f'{path}:{error.lineno}: expected JSON: {error.msg}.'
    ) from None
  except (ValueError, RecursionError) as error:  # Huge numbers, deep lists.
    raise ValueError(f'{path}:1: expected JSON: {error}.') from None


def parse_objects(lines: Lines) -> Iterator[tuple[int, dict[str, Any]]]:
  """Parses JSON objects, one per line, also from a stream.

  Yields:
    The number of each line that is not empty, and its object.

  Raises:
    ValueError: a malformed line, whose number begins the message.
  """
  for number, line in lines:
    if not line.strip():
      continue
    try:
      value = json.loads(line)
    except (ValueError, RecursionError) as error:
      raise ValueError(f'{number}: expected a JSON object: {error}.') from None
    if not isinstance(value, dict):
      raise ValueError(
        f'{number}: expected a JSON object, found {type(value).__name__}.'
      )
    yield number, value


def name_path(path: Path, items: Iterable[_T]) -> Iterator[_T]:
  """Yields items, and adds the path to errors that begin with a line number."""
  try:
    yield from items
  except ValueError as error:
    place = f'{path}:' if re.match(r'\d+: ', str(error)) else ''
    raise ValueError(f'{place}{error}') from None


def check_unicode(text: str, key: str) -> None:
  """Raises ValueError if the text at a key has a lone surrogate.

  JSON can spell half a character (`"\\ud83d"`), but UTF-8 cannot encode it.
  """
  try:
    text.encode()
  except UnicodeEncodeError:
    raise ValueError(
      f'expected Unicode in {key!r}, found half a character (a lone surrogate).'
    ) from None
