"""Reports from a CSV file; whatever is wrong with it is told with its line."""

import csv
import io
import os
import pathlib
from collections.abc import Iterator
from collections.abc import Sequence
from typing import NamedTuple

_ID_COLUMNS = ('id', 'uid', 'report_id', 'study_id')


class Reports(NamedTuple):
  """The reports of a file, in order.

  Attributes:
    ids: distinct.
    texts: of the same length; none is blank.
    skipped: what was left out, as a phrase that follows a number, and how many.
  """

  ids: list[str]
  texts: list[str]
  skipped: dict[str, int]


def read_reports(
  path: str | os.PathLike,
  text_columns: Sequence[str],
  *,
  id_column: str | None = None,
  encoding: str = 'utf-8',
) -> Reports:
  """Reads the reports of a CSV file, whose first row names the columns.

  A text is what stands in the text columns, each from a new line. Reports where
  all of them are blank are left out, and counted; so are blank lines.

  Args:
    path: the file; commas between the cells, quotes around those with a comma
      or a line break.
    text_columns: names of columns.
    id_column: name of one. By default the first of `id`, `uid`, `report_id` and
      `study_id` (or `ID`, ...) that is there; else reports are numbered from 1,
      those without text included.
    encoding: of the file.

  Raises:
    ValueError: bytes of another encoding, a row that is no CSV or has cells too
      many or too few, a column that is not there, an id that is blank or there
      twice, or no report with a text.

  Example:
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as directory:
    ...   path = pathlib.Path(directory, 'reports.csv')
    ...   size = path.write_text('uid,findings\\n7,No edema.\\n8,\\n')
    ...   reports = read_reports(path, ['findings'])
    >>> reports.ids, reports.texts, reports.skipped
    (['7'], ['No edema.'], {'reports without text': 1})
  """
  rows = _read_rows(path, _read_text(path, encoding))
  _, header = next(rows, (1, []))
  header = [name.strip() for name in header]
  texts_at = [_find_column(path, header, name) for name in text_columns]
  if not texts_at:
    raise ValueError(f'{path}: no column is named as text.')
  id_at = _find_id_column(path, header, id_column)
  lines, texts, skipped = {}, {}, {}
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
      raise ValueError(f'{path}:{line}: no id in the column {header[id_at]}.')
    if id in lines:
      raise ValueError(
        f'{path}:{line}: the id {id!r} is that of line {lines[id]}, too.'
      )
    lines[id] = line
    cells = [row[at] for at in texts_at if row[at].strip()]
    if cells:
      # An empty line: no sentence goes on in the next column.
      texts[id] = '\n\n'.join(cells)
    else:
      _count(skipped, 'reports without text')
  if not texts:
    named = ', '.join(text_columns)
    raise ValueError(f'{path}: no report has a text in {named}.')
  return Reports(list(texts), list(texts.values()), skipped)


def _read_text(path, encoding) -> str:
  data = pathlib.Path(path).read_bytes()
  try:
    text = data.decode(encoding)
  except LookupError:
    raise ValueError(f'{encoding!r} is no encoding of text.') from None
  except UnicodeDecodeError as error:
    line = data.count(b'\n', 0, error.start) + 1
    raise ValueError(
      f'{path}:{line}: bytes that are not {encoding}: name the encoding of the '
      'file, such as --encoding=cp1252.'
    ) from None
  if '\0' in text:
    line = text.count('\n', 0, text.index('\0')) + 1
    raise ValueError(
      f'{path}:{line}: a NUL character: no text, or of another --encoding.'
    )
  return text.removeprefix('\ufeff')


def _read_rows(path, text) -> Iterator[tuple[int, list[str]]]:
  """Each row with the line on which it begins."""
  reader = csv.reader(io.StringIO(text, newline=''), strict=True)
  while True:
    line = reader.line_num + 1
    try:
      yield line, next(reader)
    except StopIteration:
      return
    except csv.Error as error:
      raise ValueError(
        f'{path}:{line}: a row that is no CSV ({error}): is a quote not closed?'
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
