"""Tables of aliases, cues and labels: text with tabs and comments."""

import os
import pathlib
from collections.abc import Iterator


def read_rows(path: str | os.PathLike[str]) -> Iterator[tuple[int, list[str]]]:
  """Yields the fields of each line with its number, without comments."""
  try:
    lines = pathlib.Path(path).read_text('utf-8-sig').splitlines()
  except UnicodeDecodeError as error:
    raise ValueError(f'{path}: is not UTF-8: {error}.') from None
  for number, line in enumerate(lines, 1):
    if line.strip() and not line.startswith('#'):
      yield number, [field.strip() for field in line.split('\t')]


def split(value: str) -> list[str]:
  """Splits a value at `|`; raises ValueError if a part is empty."""
  parts = [part.strip() for part in value.split('|')]
  if not all(parts):
    raise ValueError(f'expected something on both sides of | in {value!r}.')
  return parts
