"""Words and parts of speech from CoNLL-U files (Universal Dependencies).

A word is a row of ten columns separated by tabs, a blank line ends a sentence,
and lines that begin with `#` are comments. Rows with the id of a multiword
token (`1-2`, its words follow) or of an empty node (`1.1`) are skipped and
counted.
"""

import itertools
import re
from collections.abc import Iterable
from collections.abc import Iterator
from collections.abc import Sequence

from train.data.conll import Sentence
from train.data.files import Path
from train.data.files import Skipped
from train.data.files import read_lines

# https://universaldependencies.org/format.html
_COLUMNS = 10
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
  lines = read_lines(path)
  for is_blank, block in itertools.groupby(lines, _is_blank):
    if not is_blank:
      yield from _read_block(path, block, tag, unit)


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


def _read_block(
  path: Path, block: Iterable[tuple[int, str]], tag: str, unit: str
) -> Iterator[Sentence | Skipped]:
  words, tags, first = [], [], 0
  for number, line in block:
    if line.startswith('#'):
      continue
    try:
      row = _row(line, _TAGS[tag], tag)
    except ValueError as error:
      raise ValueError(f'{path}:{number}: {error}') from None
    if isinstance(row, Skipped):
      yield row
      continue
    first = first or number
    words.append(row[0])
    tags.append(row[1])
  if words:
    yield make_sentence(words, tags, unit, first)


def _row(line: str, column: int, tag: str) -> tuple[str, str] | Skipped:
  fields = [field.strip(' ') for field in line.split('\t')]
  if len(fields) != _COLUMNS:
    raise ValueError(
      f'expected {_COLUMNS} columns between tabs, found {len(fields)}.'
    )
  for pattern, skipped in _NOT_A_WORD.items():
    if pattern.fullmatch(fields[0]):
      return skipped
  if not fields[0].isdecimal():
    raise ValueError(f'expected the number of a word, found {fields[0]!r}.')
  if not fields[1].strip():
    raise ValueError('expected a word, found only white space.')
  if fields[column] in ('_', ''):
    raise ValueError(f'expected a tag in the column {tag}, found none.')
  return fields[1], fields[column]
