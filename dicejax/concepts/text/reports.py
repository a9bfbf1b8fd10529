"""Reports from a CSV file; faults are errors with their line."""

import csv
import io
import os
import pathlib
from collections.abc import Iterator
from collections.abc import Sequence
from typing import NamedTuple

_ID_COLUMNS = ('id', 'uid', 'report_id', 'study_id')


class Reports(NamedTuple):
  """Reports, in order.

  Attributes:
    ids: all different.
    texts: one for each id; none is blank.
    skipped: counts of what was left out, by reason; a reason reads on after its
      count: "3 blank lines".
  """

  ids: list[str]
  texts: list[str]
  skipped: dict[str, int] = {}  # Nobody changes it.


def read_reports(
  path: str | os.PathLike,
  text_columns: Sequence[str],
  *,
  id_column: str | None = None,
  encoding: str = 'utf-8',
) -> Reports:
  """Reads the reports of a CSV file, whose first row names the columns.

  The text of a report is that of the text columns, with an empty line between.
  Reports without text and blank lines are left out and counted. NUL characters
  are read as blanks and counted.

  Args:
    path: the file; cells are separated by commas, and quoted if they have a
      comma or a line break.
    text_columns: names of columns.
    id_column: name of the column with the ids. By default the first of `id`,
      `uid`, `report_id` and `study_id` (or `ID`, ...) that exists; without any,
      reports are numbered from 1, including those without text.
    encoding: of the file.

  Raises:
    ValueError: bytes of another encoding, a row that is not CSV or has too many
      or too few cells, a column that does not exist, an id that is blank or
      repeated, or no report with a text.

  Example:
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as directory:
    ...   path = pathlib.Path(directory, 'reports.csv')
    ...   size = path.write_text('uid,findings\\n7,No edema.\\n8,\\n')
    ...   reports = read_reports(path, ['findings'])
    >>> reports.ids, reports.texts, reports.skipped
    (['7'], ['No edema.'], {'reports without text': 1})
  """
  lines, texts, skipped = {}, {}, {}
  rows = _read_rows(path, _read_text(path, encoding, skipped))
  _, header = next(rows, (1, []))
  header = [name.strip() for name in header]
  texts_at = [_find_column(path, header, name) for name in text_columns]
  if not texts_at:
    raise ValueError(f'{path}: text_columns is empty.')
  id_at = _find_id_column(path, header, id_column)
  for line, row in rows:
    if not any(cell.strip() for cell in row) and len(row) < 2:
      _count(skipped, 'blank lines')
      continue
    if len(row) != len(header):
      raise ValueError(
        f'{path}:{line}: expected {len(header)} cells, found {len(row)}.'
      )
    id = str(len(lines) + 1) if id_at is None else row[id_at].strip()
    if not id:
      raise ValueError(f'{path}:{line}: the column {header[id_at]} is blank.')
    if id in lines:
      raise ValueError(
        f'{path}:{line}: the id {id!r} is in line {lines[id]} already.'
      )
    lines[id] = line
    cells = [row[at] for at in texts_at if row[at].strip()]
    if cells:
      # An empty line ends a sentence, so that none goes on in another column.
      texts[id] = '\n\n'.join(cells)
    else:
      _count(skipped, 'reports without text')
  if not texts:
    named = ', '.join(text_columns)
    raise ValueError(f'{path}: no report has a text in {named}.')
  return Reports(list(texts), list(texts.values()), skipped)


def _read_text(path, encoding, skipped) -> str:
  data = pathlib.Path(path).read_bytes()
  try:
    text = data.decode(encoding)
  except LookupError:
    raise ValueError(f'{encoding!r} is not an encoding of text.') from None
  except UnicodeDecodeError as error:
    line = data.count(b'\n', 0, error.start) + 1
    raise ValueError(
      f'{path}:{line}: bytes that are not {encoding}: name the encoding of the '
      'file, such as --encoding=cp1252.'
    ) from None
  nul = text.count('\0')
  # A wrong encoding of two bytes a character gives a NUL for every letter.
  if nul > len(text) / 4:
    raise ValueError(
      f'{path}: {nul / len(text):.0%} of the characters are NUL: not text, or '
      'of another --encoding.'.replace('%', ' %')
    )
  if nul:
    skipped['NUL characters, read as blanks'] = nul
  return text.removeprefix('\ufeff').replace('\0', ' ')


def _read_rows(path, text) -> Iterator[tuple[int, list[str]]]:
  """Yields each row with the line on which it begins."""
  # The limit of the csv module would refuse long texts.
  csv.field_size_limit(max(csv.field_size_limit(), len(text)))
  reader = csv.reader(io.StringIO(text, newline=''), strict=True)
  while True:
    line = reader.line_num + 1
    try:
      yield line, next(reader)
    except StopIteration:
      return
    except csv.Error as error:
      raise ValueError(
        f'{path}:{line}: a row that is not CSV ({error}): is a quote not '
        'closed?'
      ) from None


def _find_column(path, header, name) -> int:
  found = [place for place, column in enumerate(header) if column == name]
  if len(found) == 1:
    return found[0]
  if found:
    raise ValueError(f'{path}: {len(found)} columns are called {name}.')
  there = ', '.join(filter(None, header)) or 'none'
  raise ValueError(f'{path}: no column {name}; there are: {there}.')


def _find_id_column(path, header, name) -> int | None:
  if name is not None:
    return _find_column(path, header, name)
  lower = [column.lower() for column in header]
  for known in _ID_COLUMNS:
    if known in lower:
      return _find_column(path, header, header[lower.index(known)])
  return None


def _count(skipped, reason):
  skipped[reason] = skipped.get(reason, 0) + 1
