"""Words and parts of speech from CoNLL-U files (Universal Dependencies).

A word is a row of ten columns separated by tabs, a blank line ends a sentence,
and lines that begin with `#` are comments. Rows with the id of a multiword
token (`1-2`, its words follow) or of an empty node (`1.1`) are skipped and
counted.
"""

import itertools
import re
from collections.abc import Iterator
from collections.abc import Sequence

from train.data.conll import Sentence
from train.data.files import Lines
from train.data.files import Path
from train.data.files import Skipped
from train.data.files import name_path
from train.data.files import read_lines

# https://universaldependencies.org/format.html
_COLUMNS = 10
_WORD = 1
_TAGS = {'upos': 3, 'xpos': 4}
_UNITS = ('word', 'character')
_NOT_A_WORD = {
  re.compile(r'\d+-\d+'): Skipped('range of a multiword token left out'),
  re.compile(r'\d+\.\d+'): Skipped('empty node left out'),
}


def read_sentences(
  path: Path, *, tag: str = 'upos', unit: str = 'word'
) -> Iterator[Sentence | Skipped]:
  """Reads the sentences of a CoNLL-U file, in order.

  Args:
    path: the file.
    tag: the part of speech to read, `'upos'` or `'xpos'`.
    unit: `'word'`: tokens are words and tags label them. `'character'`: tokens
      are characters and words are spans in BIO. Entity scores then measure
      joint segmentation and tagging.

  Yields:
    Sentences, and `Skipped` for each row that is not a word.

  Raises:
    ValueError: a malformed row. The message begins with `path:line:`.
  """
  if tag not in _TAGS:
    raise ValueError(f"tag is 'upos' or 'xpos', not {tag!r}.")
  if unit not in _UNITS:
    raise ValueError(f"unit is 'word' or 'character', not {unit!r}.")
  yield from name_path(path, _sentences(read_lines(path), tag, unit))


def parse_rows(lines: Lines) -> Iterator[list[tuple[int, list[str] | Skipped]]]:
  """Parses the rows of each sentence, also from a stream.

  Yields:
    Per sentence, the number of each line with its ten columns, or with
    `Skipped` if it is no word.

  Raises:
    ValueError: a malformed row, whose number begins the message.
  """
  for is_blank, block in itertools.groupby(lines, _is_blank):
    if is_blank:
      continue
    rows = [(n, _row(n, line)) for n, line in block if line[:1] != '#']
    if rows:
      yield rows


def make_sentence(
  words: Sequence[str], tags: Sequence[str], unit: str, line: int
) -> Sentence:
  """Makes a sentence of words or of their characters.

  Args:
    words: the words.
    tags: a part of speech for each word.
    unit: as for `read_sentences`.
    line: the number of the first line in the file.

  Example:
    >>> make_sentence(['ab', 'c'], ['X', 'Y'], 'character', line=1)
    Sentence(tokens=['a', 'b', 'c'], tags=['B-X', 'I-X', 'B-Y'], line=1)
  """
  if unit == 'word':
    return Sentence(list(words), list(tags), line)
  return Sentence(
    [character for word in words for character in word],
    [
      f'{"B" if i == 0 else "I"}-{tag}'
      for word, tag in zip(words, tags, strict=True)
      for i in range(len(word))
    ],
    line,
  )


def _is_blank(numbered_line: tuple[int, str]) -> bool:
  return not numbered_line[1].strip(' \t')


def _sentences(
  lines: Lines, tag: str, unit: str
) -> Iterator[Sentence | Skipped]:
  for rows in parse_rows(lines):
    yield from (row for _, row in rows if isinstance(row, Skipped))
    words = [(n, row) for n, row in rows if not isinstance(row, Skipped)]
    for number, row in words:
      if row[_TAGS[tag]] in ('_', ''):
        raise ValueError(
          f'{number}: expected a tag in the column {tag}, found none.'
        )
    if words:
      tags = [row[_TAGS[tag]] for _, row in words]
      tokens = [row[_WORD] for _, row in words]
      yield make_sentence(tokens, tags, unit, words[0][0])


def _row(number: int, line: str) -> list[str] | Skipped:
  fields = [field.strip(' ') for field in line.split('\t')]
  if len(fields) != _COLUMNS:
    raise ValueError(
      f'{number}: expected {_COLUMNS} columns between tabs, found '
      f'{len(fields)}.'
    )
  for pattern, skipped in _NOT_A_WORD.items():
    if pattern.fullmatch(fields[0]):
      return skipped
  if not fields[0].isdecimal():
    raise ValueError(
      f'{number}: expected the number of a word, found {fields[0]!r}.'
    )
  if not fields[_WORD].strip():
    raise ValueError(f'{number}: expected a word, found only white space.')
  return fields
