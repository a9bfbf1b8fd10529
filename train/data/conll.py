"""Sentences with a tag on each word, from CoNLL column files.

A row holds a word and its tag among other columns, a blank line ends a
sentence. Rows are split at tabs where they have one (a token may then hold
spaces), else at spaces. Lines with `-DOCSTART-` only separate.
"""

import collections
import functools
import itertools
from collections.abc import Iterable
from collections.abc import Iterator
from collections.abc import Mapping
from typing import Any
from typing import ClassVar
from typing import NamedTuple

import numpy as np
import tensorflow_datasets as tfds

from dicejax import metrics
from train.data import builder


class Sentence(NamedTuple):
  """Words, their tags (BIO, or labels of words), the first line in the file."""

  tokens: list[str]
  tags: list[str]
  line: int

  @property
  def where(self) -> str:
    return f'line {self.line}'

  @property
  def words(self) -> list[str]:
    return self.tokens

  @property
  def group(self) -> int:
    return self.line


def read_sentences(
  path: builder.Path, *, token: int = 0, tag: int = -1, scheme: str = 'bio'
) -> Iterator[Sentence]:
  """Reads the sentences of a UTF-8 column file, in order.

  All rows have as many columns as most rows of the file. Only a line that
  differs from them in this, begins with `# ` and stands before a sentence or
  alone is a comment: `#` is a token, too.

  Args:
    path: the file.
    token: column of the word, from 0 or, negative, from the end.
    tag: column of its tag, likewise.
    scheme: `'iob1'`, `'bio'` or `'bioes'`, which the file must keep to, or
      `'conll'`, which reads any of them, and ill-formed tags as the CoNLL
      evaluation script does (CoNLL-2003 breaks IOB1 in two places). `'token'`:
      tags are labels of words, such as parts of speech, whatever they look
      like.

  Yields:
    Sentences, tagged in BIO whatever the scheme; with `'token'` as they are.

  Raises:
    ValueError: at the first malformed row, beginning `path:line:`; or the file
      has no sentence, or not the columns.
  """
  width, empty = _usual_width(builder.read_lines(path)), True
  lines = builder.read_lines(path)
  for is_boundary, block in itertools.groupby(lines, _is_boundary):
    if is_boundary:
      continue
    rows = [*itertools.dropwhile(lambda row: _is_comment(row[1], width), block)]
    if rows and empty:
      _check_columns(f'{path}:{rows[0][0]}', width, token=token, tag=tag)
      empty = False
    if rows:
      yield _sentence(path, rows, width, (token, tag), scheme)
  if empty:
    raise ValueError(f'{path}: expected at least one sentence.')


def are_spans(tags: Iterable[str]) -> bool:
  """Whether tags are `O`, `B-X` and `I-X`, which spell entities."""
  return all(tag == 'O' or tag[:2] in ('B-', 'I-') for tag in tags)


class Conll(builder.Files):
  """CoNLL column files; the options are those of `read_sentences`."""

  FEATURES: ClassVar = {
    'tokens': tfds.features.Sequence(tfds.features.Text()),
    'tags': tfds.features.Sequence(tfds.features.Text()),
    'line': tfds.features.Scalar(np.int64),
  }

  @staticmethod
  def read(path: builder.Path, **options) -> Iterator[Sentence]:
    return read_sentences(path, **options)

  @staticmethod
  def decode(example: Mapping[str, Any]) -> Sentence:
    return Sentence(
      tokens=[token.decode() for token in example['tokens']],
      tags=[tag.decode() for tag in example['tags']],
      line=int(example['line']),
    )


def _is_boundary(numbered_line: tuple[int, str]) -> bool:
  _, line = numbered_line
  return not line.strip(' \t') or '-DOCSTART-' in line


def _usual_width(lines: Iterable[tuple[int, str]]) -> int:
  """The columns of most rows, 0 where there is no row."""
  rows, hashes = collections.Counter(), collections.Counter()
  for numbered_line in lines:
    if not _is_boundary(numbered_line):
      _, line = numbered_line
      widths = hashes if line.startswith('# ') else rows
      widths[len(_fields(line))] += 1
  # Comments may be many, so what may be one counts only beside nothing else.
  most = (rows or hashes).most_common(1)
  return most[0][0] if most else 0


def _check_columns(place, width, **columns) -> None:
  for name, column in columns.items():
    if not -width <= column < width:
      raise ValueError(
        f'{place}: expected the {name} in column {column} (from 0), found '
        f'{width} columns.'
      )
  if columns['token'] % width == columns['tag'] % width:
    raise ValueError(
      f'{place}: expected the tag in another column than the token: of '
      f'{width}, {columns["token"]} and {columns["tag"]} are the same.'
    )


def _sentence(path, rows, width, columns, scheme) -> Sentence:
  words = []
  for number, line in rows:
    try:
      words.append(_word(_fields(line), width, columns, scheme))
    except ValueError as error:
      raise ValueError(f'{path}:{number}: {error}') from None
  tokens, tags = map(list, zip(*words, strict=True))
  first = number - len(words) + 1
  if scheme == 'token':
    return Sentence(tokens, tags, first)
  ill_formed = metrics.first_ill_formed(tags, scheme)
  if ill_formed is not None:
    raise ValueError(
      f'{path}:{first + ill_formed}: {tags[ill_formed]!r} starts an entity '
      f"that is ill-formed in the scheme {scheme!r}. Is that the file's? The "
      "scheme 'conll' reads them all, and takes ill-formed entities as the "
      'CoNLL evaluation script does.'
    )
  spans = metrics.entity_spans(tags, scheme)
  return Sentence(tokens, metrics.bio_tags(spans, len(tags)), first)


def _is_comment(line: str, width: int) -> bool:
  return line.startswith('# ') and len(_fields(line)) != width


def _fields(line: str) -> list[str]:
  # Not `line.split()`: a token may hold, say, a no-break space.
  if '\t' in line:
    return line.split('\t')
  return [field for field in line.split(' ') if field]


def _word(fields, width, columns, scheme) -> tuple[str, str]:
  if len(fields) != width:
    raise ValueError(
      f'expected {width} columns, as in most rows of the file, found '
      f'{len(fields)}.'
    )
  token, tag = (fields[column] for column in columns)
  if not token.strip():
    raise ValueError('expected a token, found only white space.')
  _check_tag(tag, scheme)
  return token, tag


@functools.cache  # A corpus has few tags.
def _check_tag(tag: str, scheme: str) -> None:
  if scheme != 'token':
    metrics.entity_spans([tag], scheme)  # Raises where it is none.
  elif not tag.strip():
    raise ValueError('expected a tag, found only white space.')
