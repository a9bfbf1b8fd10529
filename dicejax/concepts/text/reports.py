"""Reports from a CSV file; faults are errors with their line."""

import csv
import itertools
import os
import pathlib
import shutil
import tempfile
from collections.abc import Iterator
from collections.abc import Sequence
from typing import NamedTuple

_PART = 1 << 20  # Characters that are decoded at a time.
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
  reports = ReportFile(
    path, text_columns, id_column=id_column, encoding=encoding
  )
  ids, texts = map(list, zip(*reports, strict=True))
  return Reports(ids, texts, reports.skipped)


class ReportFile:
  """The reports of a CSV file, as `read_reports` reads them, one at a time.

  The whole file is checked first, so that nothing is wrong with its last line
  when the others are done. Only its ids are in memory meanwhile.

  Args:
    path: as in `read_reports`; the file is read several times.
    text_columns: as in `read_reports`.
    id_column: as in `read_reports`.
    encoding: as in `read_reports`.

  Attributes:
    skipped: counts of what is left out, by reason.

  Raises:
    ValueError: as in `read_reports`.
  """

  def __init__(
    self,
    path: str | os.PathLike,
    text_columns: Sequence[str],
    *,
    id_column: str | None = None,
    encoding: str = 'utf-8',
  ):
    self._path, self._text_columns = path, text_columns
    self._id_column, self._encoding = id_column, encoding
    self._file = path
    if not os.path.isfile(path):  # A pipe can be read once.
      self._spool = tempfile.NamedTemporaryFile()
      with open(path, 'rb') as file:
        shutil.copyfileobj(file, self._spool)
      self._spool.flush()
      self._file = self._spool.name
    self._size, nul = _scan(path, self._file, encoding)
    self.skipped = {'NUL characters, read as blanks': nul} if nul else {}
    lines = {}
    self._length = 0
    for line, id, cells in self._cells():
      if id is None:
        _count(self.skipped, 'blank lines')
        continue
      if id in lines:
        raise ValueError(
          f'{path}:{line}: the id {id!r} is in line {lines[id]} already.'
        )
      lines[id] = line
      self._length += bool(cells)
      if not cells:
        _count(self.skipped, 'reports without text')
    if not self._length:
      named = ', '.join(text_columns)
      raise ValueError(f'{path}: no report has a text in {named}.')

  def __len__(self) -> int:
    return self._length

  def __iter__(self) -> Iterator[tuple[str, str]]:
    """Yields ids and texts."""
    for _, id, cells in self._cells():
      if id is not None and cells:
        # An empty line ends a sentence, so that none goes on in another column.
        yield id, '\n\n'.join(cells)

  def _cells(self) -> Iterator[tuple[int, str | None, list[str]]]:
    """Yields the line, id and texts of each row; blank ones have no id."""
    path, number = self._path, 0
    with open(self._file, encoding=self._encoding, newline='') as file:
      rows = _read_rows(path, file, self._size)
      _, header = next(rows, (1, []))
      header = [name.strip() for name in header]
      texts_at = [_find_column(path, header, x) for x in self._text_columns]
      if not texts_at:
        raise ValueError(f'{path}: text_columns is empty.')
      id_at = _find_id_column(path, header, self._id_column)
      for line, row in rows:
        if not any(cell.strip() for cell in row) and len(row) < 2:
          yield line, None, []
          continue
        if len(row) != len(header):
          raise ValueError(
            f'{path}:{line}: expected {len(header)} cells, found {len(row)}.'
          )
        number += 1
        id = str(number) if id_at is None else row[id_at].strip()
        if not id:
          raise ValueError(
            f'{path}:{line}: the column {header[id_at]} is blank.'
          )
        yield line, id, [row[at] for at in texts_at if row[at].strip()]


def _scan(path, name, encoding) -> tuple[int, int]:
  """Counts the characters of a file and the NUL among them."""
  size = nul = 0
  try:
    with open(name, encoding=encoding, newline='') as file:
      while part := file.read(_PART):
        size += len(part)
        nul += part.count('\0')
  except LookupError:
    raise ValueError(f'{encoding!r} is not an encoding of text.') from None
  except UnicodeDecodeError:
    line = _line_of_fault(name, encoding)
    raise ValueError(
      f'{path}:{line}: bytes that are not {encoding}: name the encoding of the '
      'file, such as --encoding=cp1252.'
    ) from None
  # A wrong encoding of two bytes a character gives a NUL for every letter.
  if nul > size / 4:
    raise ValueError(
      f'{path}: {nul / size:.0%} of the characters are NUL: not text, or '
      'of another --encoding.'.replace('%', ' %')
    )
  return size, nul


def _line_of_fault(name, encoding) -> int:
  data = pathlib.Path(name).read_bytes()
  try:
    data.decode(encoding)
  except UnicodeDecodeError as error:
    return data.count(b'\n', 0, error.start) + 1
  return 1  # The file was changed meanwhile.


def _read_rows(path, file, size) -> Iterator[tuple[int, list[str]]]:
  """Yields each row with the line on which it begins."""
  # The limit of the csv module would refuse long texts.
  csv.field_size_limit(max(csv.field_size_limit(), size))
  lines = (line.replace('\0', ' ') for line in file)
  first = (line.removeprefix('\ufeff') for line in itertools.islice(lines, 1))
  reader = csv.reader(itertools.chain(first, lines), strict=True)
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
