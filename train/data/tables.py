"""Labelled texts and pairs from tables: CSV, with quotes, and TSV, without."""

import collections
import csv
import io
import sys
from collections.abc import Iterable
from collections.abc import Iterator
from collections.abc import Sequence

from train.data.fields import Fields
from train.data.fields import LabelledText
from train.data.fields import Text
from train.data.files import Path
from train.data.files import Skipped
from train.data.files import name_path
from train.data.files import read_lines
from train.data.files import read_text

Row = tuple[int, list[str]]  # The number of its first line, and its cells.


def read_csv(
  path: Path,
  *,
  header: bool = True,
  text: str = 'text',
  pair: str = '',
  label: str = 'label',
  labels: str = '',
  label_separator: str = '',
  separator: str = ',',
  encoding: str = 'utf-8',
  skip_malformed: bool = False,
) -> Iterator[Text | LabelledText | Skipped]:
  r"""Reads rows of CSV as RFC 4180 defines it.

  A cell in double quotes may hold separators, line breaks and, doubled, double
  quotes; a cell may have any size. Lines end in `\n`, `\r\n` or `\r`, and empty
  ones are ignored. All rows must have as many cells as the header or, without
  one, as most rows.

  Args:
    path: the file.
    header: whether the first row names the columns.
    text: the column of the text: its name or, without a header, `'0'`, `'1'`...
    pair: the column of the second text, or `''` if there is none.
    label: the column of the label, or of several.
    labels: columns with 1 or 0, one for each label: `'toxic,threat'`. `''`: the
      column `label` has the labels.
    label_separator: what separates several labels in the column `label`; `''`
      if each text has one.
    separator: the character between cells.
    encoding: the encoding of the file; a byte order mark is ignored.
    skip_malformed: whether to skip malformed rows instead of raising an error.

  Yields:
    Texts, and `Skipped` for each row that is left out.

  Raises:
    ValueError: a malformed row, a column that the file does not have, or an
      option that is not one; the message begins with `path:line:` or the key.
  """
  fields = Fields(text, pair, label, labels, label_separator)
  rows = _csv_rows(path, separator, encoding)
  yield from _examples(path, rows, fields, header, skip_malformed, 'csv')


def read_tsv(
  path: Path,
  *,
  header: bool = True,
  text: str = 'sentence',
  pair: str = '',
  label: str = 'label',
  labels: str = '',
  label_separator: str = '',
  separator: str = '\t',
  skip_malformed: bool = False,
) -> Iterator[Text | LabelledText | Skipped]:
  """Reads rows of columns, in which quotes have no special meaning.

  Empty lines are ignored, and so is white space around a label. All rows must
  have as many columns as the header or, without one, as most rows.

  Args:
    path: the file.
    header: as for `read_csv`, and so are the columns and `skip_malformed`.
    text: the column of the text.
    pair: the column of the second text.
    label: the column of the label, or of several.
    labels: columns with 1 or 0, one for each label.
    label_separator: what separates several labels in the column `label`.
    separator: a tab, or another separator. The last column is then the rest of
      the line, so `' '` reads lines of a label and a sentence.
    skip_malformed: whether to skip malformed rows instead of raising an error.

  Yields:
    Texts, and `Skipped` for each row that is left out.

  Raises:
    ValueError: as for `read_csv`.
  """
  fields = Fields(text, pair, label, labels, label_separator)
  rows = _tsv_rows(path, separator, header, fields.names)
  yield from _examples(path, rows, fields, header, skip_malformed, 'tsv')


def parse_csv(lines: Iterable[str], separator: str = ',') -> Iterator[Row]:
  """Parses CSV a row at a time, also from a stream.

  Args:
    lines: lines with their ends.
    separator: the character between cells.

  Yields:
    The number of the first line of a row, from 1, and its cells. Empty lines
    are left out.

  Raises:
    ValueError: a malformed row, whose number begins the message; or the
      separator is not one character.
  """
  if separator == r'\t':  # As a shell passes it.
    separator = '\t'
  if len(separator) != 1 or separator in '"\r\n':
    raise ValueError(
      f'data.csv.separator is one character, and no quote or line break, not '
      f'{separator!r}.'
    )
  # The limit is one of the whole process; a cell may have any size here.
  csv.field_size_limit(sys.maxsize)
  reader = csv.reader(lines, delimiter=separator, strict=True)
  number = 1
  try:
    for cells in reader:
      if cells:
        yield number, cells
      number = reader.line_num + 1
  except csv.Error as error:
    raise ValueError(
      f'{number}: expected a row of CSV, found one with {error}: is a quote '
      'not closed, or not doubled?'
    ) from None


def parse_tsv(
  lines: Iterable[tuple[int, str]],
  separator: str = '\t',
  *,
  header: bool = True,
  names: Sequence[str] = (),
) -> Iterator[Row]:
  """Splits lines into cells, in which quotes have no special meaning.

  Args:
    lines: the number and the text of each line; empty ones are left out.
    separator: what is between cells. If it is not a tab, the last cell is the
      rest of the line.
    header: whether the first line names the columns, and tells their number.
    names: the columns that are needed; without a header, the last one is the
      rest of the line.

  Yields:
    The number of each line, and its cells.
  """
  if not separator:
    raise ValueError("data.tsv.separator is some text, not ''.")
  splits = None
  for number, line in lines:
    if line and splits is None:
      splits = -1
      if separator != '\t':
        needed = [int(name) for name in names if name.isdecimal()]
        splits = line.count(separator) if header else max(needed, default=0)
    if line:
      yield number, line.split(separator, splits)


def _csv_rows(path: Path, separator: str, encoding: str) -> list[Row]:
  text = read_text(path, encoding, 'data.csv.encoding')
  rows = parse_csv(io.StringIO(text, newline=''), separator)
  return list(name_path(path, rows))


def _tsv_rows(
  path: Path, separator: str, header: bool, names: Sequence[str]
) -> list[Row]:
  lines = read_lines(path)
  return list(parse_tsv(lines, separator, header=header, names=names))


def _examples(
  path: Path,
  rows: list[Row],
  fields: Fields,
  header: bool,
  skip_malformed: bool,
  section: str,
) -> Iterator[Text | LabelledText | Skipped]:
  """Yields the examples of rows; `section` has the options, for messages."""
  if not rows:
    raise ValueError(f'{path}: expected at least one row.')
  columns, width = _columns(path, rows, fields, header, section)
  for number, cells in rows[1 if header else 0 :]:
    if len(cells) > 1 and not any(map(str.strip, cells)):
      yield Skipped('row of empty cells left out')
    elif problem := _problem(cells, columns, width, fields.filled):
      if not skip_malformed:
        raise ValueError(
          f'{path}:{number}: {problem[1]} (data.{section}.skip_malformed skips '
          'and counts such rows.)'
        )
      yield Skipped(problem[0])
    else:
      row = {name: cells[column] for name, column in columns.items()}
      try:
        yield fields.make(row, number)
      except ValueError as error:
        raise ValueError(f'{path}:{number}: {error}') from None


def _columns(
  path: Path, rows: list[Row], fields: Fields, header: bool, section: str
) -> tuple[dict[str, int], int]:
  """Returns the indices of the named columns, and the number of columns."""
  number, found = rows[0]
  width = len(found)
  if not header:
    widths = collections.Counter(len(cells) for _, cells in rows)
    ((width, _),) = widths.most_common(1)
    found = [str(i) for i in range(width)]
  names = [name.strip() for name in found]
  for name in fields.names:
    if names.count(name) != 1:
      problem = 'found' if name not in names else 'found it twice among'
      raise ValueError(
        f'{path}:{number}: expected the column {name!r}, {problem} '
        f'{", ".join(map(repr, found))}{_hint(found, section)}.'
      )
  return {name: names.index(name) for name in fields.names}, width


def _hint(found: list[str], section: str) -> str:
  """Suggests another separator where a row has only one cell."""
  if len(found) == 1:
    for separator in ',;\t|':
      if separator in found[0]:
        return f': is data.{section}.separator {separator!r}'
  return ''


def _problem(
  cells: list[str], columns: dict[str, int], width: int, filled: list[str]
) -> tuple[str, str] | None:
  """Returns the rule that skips a malformed row, and its error, or None."""
  if len(cells) != width:
    rule = 'few' if len(cells) < width else 'many'
    return (
      f'row with too {rule} columns left out',
      f'expected {width} columns, found {len(cells)}.',
    )
  for name in filled:
    if not cells[columns[name]].strip():
      return (
        f'row with nothing in column {name!r} left out',
        f'expected something in column {name!r}, found only white space.',
      )
  return None
