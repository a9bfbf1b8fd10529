"""Words and parts of speech from CoNLL-U files (Universal Dependencies).

A word is a row of ten columns between tabs, a blank line ends a sentence, lines
that begin with `#` are comments. Rows with the ids of multiword tokens (`1-2`,
whose words follow) and of empty nodes (`1.1`) are left out, and counted.
"""

import itertools
import re
from collections.abc import Iterator
from collections.abc import Sequence

from train.data import builder
from train.data import conll
from train.data.conll import Sentence

# https://universaldependencies.org/format.html
_COLUMNS = 10
_TAGS = {'upos': 3, 'xpos': 4}
_UNITS = ('word', 'character')
_NOT_A_WORD = {
  re.compile(r'\d+-\d+'): builder.Skipped(
    'range of a multiword token left out'
  ),
  re.compile(r'\d+\.\d+'): builder.Skipped('empty node left out'),
}


def read_sentences(
  path: builder.Path, *, tag: str = 'upos', unit: str = 'word'
) -> Iterator[Sentence | builder.Skipped]:
  """Reads the sentences of a CoNLL-U file, in order.

  Args:
    path: the file.
    tag: `'upos'` or `'xpos'`, the part of speech that is read.
    unit: `'word'`: tokens are words, tags their labels. `'character'`: tokens
      are characters, words are spans of them in BIO: entity scores are then
      those of joint segmentation and tagging.

  Yields:
    Sentences, and `Skipped` for each row that is no word.

  Raises:
    ValueError: at the first malformed row, beginning `path:line:`.
  """
  if tag not in _TAGS:
    raise ValueError(f"tag is 'upos' or 'xpos', not {tag!r}.")
  if unit not in _UNITS:
    raise ValueError(f"unit is 'word' or 'character', not {unit!r}.")
  lines = builder.read_lines(path)
  for is_blank, block in itertools.groupby(lines, lambda row: not row[1]):
    if not is_blank:
      yield from _read_block(path, block, tag, unit)


class Conllu(conll.Conll):
  """CoNLL-U files; the options are those of `read_sentences`."""

  read = staticmethod(read_sentences)


def make_sentence(
  words: Sequence[str], tags: Sequence[str], unit: str, line: int
) -> Sentence:
  """A sentence of words, or of their characters.

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


def _read_block(path, block, tag, unit) -> Iterator:
  words, tags, first = [], [], None
  for number, line in block:
    if line.startswith('#'):
      continue
    try:
      row = _row(line, _TAGS[tag], tag)
    except ValueError as error:
      raise ValueError(f'{path}:{number}: {error}') from None
    if isinstance(row, builder.Skipped):
      yield row
      continue
    first = first or number
    words.append(row[0])
    tags.append(row[1])
  if words:
    yield make_sentence(words, tags, unit, first)


def _row(line, column, tag) -> tuple[str, str] | builder.Skipped:
  fields = line.split('\t')
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
