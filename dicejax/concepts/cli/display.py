"""Output of the command: tables on a terminal, CSV or JSON elsewhere."""

import csv
import json
import os
import shutil
import sys
import textwrap
import time
from collections.abc import Iterable
from collections.abc import Iterator
from collections.abc import Mapping
from collections.abc import Sequence
from typing import IO
from typing import Any
from typing import Protocol
from typing import TypeVar

FORMATS = ('table', 'csv', 'json')

_COLOURS = {'shared': 32, 'missing': 33, 'extra': 36, 'contradicting': 31}
_BETWEEN = '; '  # Names of concepts have commas.
_LEAST = 12  # The width of a column in characters is never less.


_T = TypeVar('_T', covariant=True)


class Counted(Protocol[_T]):
  """Something to iterate over whose length is known."""

  def __len__(self) -> int: ...
  def __iter__(self) -> Iterator[_T]: ...


def choose_format(chosen: str | None, stream: IO) -> str:
  """Returns the format that was chosen, or the one that suits the stream."""
  return chosen or ('table' if stream.isatty() else 'csv')


def paint(text: str, group: str | None, stream: IO) -> str:
  """Colours a text by its group of concepts, on a terminal.

  Nothing is coloured elsewhere, or if NO_COLOR is set (`no-color.org
  <https://no-color.org>`_).
  """
  colour = _COLOURS.get(group)
  if colour is None or not stream.isatty() or os.environ.get('NO_COLOR'):
    return text
  return '\n'.join(f'\x1b[{colour}m{x}\x1b[0m' for x in text.split('\n'))


def terminal_width() -> int:
  """Returns the columns of the terminal, or 80 without one."""
  return shutil.get_terminal_size().columns


def write_csv(
  columns: Sequence[str], rows: Iterable[Mapping[str, Any]], stream: IO
) -> None:
  """Writes rows under the names of the columns; lists are joined by `; `."""
  writer = csv.writer(stream, lineterminator='\n')
  writer.writerow(columns)
  for row in rows:
    cells = [row[column] for column in columns]
    writer.writerow(
      [_BETWEEN.join(c) if isinstance(c, list) else c for c in cells]
    )


def write_json(value: Any, stream: IO) -> None:
  """Writes indented JSON."""
  json.dump(value, stream, indent=2, ensure_ascii=False)
  stream.write('\n')


def format_table(rows: Sequence[Sequence[str]], width: int) -> list[str]:
  """Aligns cells, and folds the widest columns until all of them fit.

  Args:
    rows: cells, as many in each row; the first row is the heading.
    width: in characters; no column gets narrower than 12.

  Returns:
    A text per row, with several lines if a cell is folded.

  Example:
    >>> rows = [['id', 'text'], ['7', 'a text that is long']]
    >>> print('\\n'.join(format_table(rows, 16)))
    id  text
    7   a text that
        is long
  """
  widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
  while sum(widths) + 2 * (len(widths) - 1) > width and max(widths) > _LEAST:
    widths[widths.index(max(widths))] -= 1
  return [_format_row(row, widths) for row in rows]


def _format_row(row, widths) -> str:
  folded = [
    textwrap.wrap(cell, size) or ['']
    for cell, size in zip(row, widths, strict=True)
  ]
  lines = []
  for number in range(max(map(len, folded))):
    parts = [cell[number] if number < len(cell) else '' for cell in folded]
    padded = (part.ljust(w) for part, w in zip(parts, widths, strict=True))
    lines.append('  '.join(padded).rstrip())
  return '\n'.join(lines)


def format_entry(name: str, values: Iterable[str], width: int) -> str:
  """Formats a name with its values folded beside it.

  Example:
    >>> print(format_entry('extra', ['Scoliosis', 'Emphysema'], 32))
         extra          Scoliosis;
                        Emphysema
  """
  return textwrap.fill(
    _BETWEEN.join(values),
    max(width, 32),
    initial_indent=f'     {name:<13}  ',
    subsequent_indent=' ' * 20,
  )


def format_counts(counts: Mapping[str, int | str]) -> str:
  """Formats one count per line, with the numbers aligned on the right.

  Example:
    >>> print(format_counts({'reports': 1200, 'obsolete terms': 7}))
    reports         1,200
    obsolete terms      7
  """
  texts = {
    name: f'{value:,}' if isinstance(value, int) else value
    for name, value in counts.items()
  }
  names, values = max(map(len, texts)), max(map(len, texts.values()))
  return '\n'.join(
    f'{name:<{names}}  {value:>{values}}' for name, value in texts.items()
  )


def snippet(text: str, start: int, end: int, width: int = 60) -> str:
  """Cuts whole words around a place out of a text, as one line.

  Args:
    text: the text of a report.
    start: where the place begins, in characters.
    end: where it ends.
    width: of the line in characters, approximately.

  Example:
    >>> text = 'The heart is of normal size.\\nNo effusion or edema.'
    >>> snippet(text, 32, 40, width=14)
    '...No effusion or...'
  """
  text = ''.join(c if c.isprintable() else ' ' for c in text)
  spare = max(0, width - (end - start))
  first = text.rfind(' ', 0, max(0, start - spare // 2)) + 1
  last = text.find(' ', max(first + width, end))
  last = len(text) if last < 0 else last
  words = one_line(text[first:last])
  return f'{"..." * (first > 0)}{words}{"..." * (last < len(text))}'


def one_line(text: str) -> str:
  """Joins words by single spaces, without what steers a terminal.

  Example:
    >>> one_line('a\\n  mass \\x07')
    'a mass'
  """
  return ' '.join(''.join(c if c.isprintable() else ' ' for c in text).split())


def progress(texts: Counted[_T]) -> Iterator[_T]:
  """Yields texts and, on a terminal, counts them on standard error."""
  began, shown = time.monotonic(), 0.0
  for done, text in enumerate(texts, start=1):
    yield text
    now, is_last = time.monotonic(), done == len(texts)
    # Ten times a second is enough; the last line stays.
    if sys.stderr.isatty() and (is_last or now - shown > 0.1):
      shown = now
      line = _progress_line(done, len(texts), now - began)
      print(line, end='\n' * is_last, file=sys.stderr, flush=True)


def _progress_line(done, total, seconds) -> str:
  rate = done / max(seconds, 1e-9)
  left = (total - done) / rate
  return (
    f'\r{done:,} of {total:,} reports, {rate:,.0f} a second, '
    f'{left // 60:.0f}:{left % 60:02.0f} left\x1b[K'
  )
