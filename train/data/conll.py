"""Sentences with a tag on each word, from CoNLL column files.

A row holds a word and its tag among other columns, a blank line ends a
sentence. Rows are split at tabs where they have one (a token may then hold
spaces), else at spaces. Lines with `-DOCSTART-` only separate.
"""

import functools
import itertools
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


def read_sentences(
  path: builder.Path, *, token: int = 0, tag: int = -1, scheme: str = 'bio'
) -> Iterator[Sentence]:
  """Reads the sentences of a UTF-8 column file, in order.

  The rows of a sentence have one number of columns. Only a line that differs
  from them in this, begins with `# ` and stands before them is a comment: `#`
  is a token, too.

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
      has no sentence.
  """
  columns, empty = {'token': token, 'tag': tag}, True
  lines = builder.read_lines(path)
  for is_boundary, block in itertools.groupby(lines, _is_boundary):
    if not is_boundary:
      empty = False
      yield _sentence(path, list(block), columns, scheme)
  if empty:
    raise ValueError(f'{path}: expected at least one sentence.')


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


def _sentence(path, block, columns, scheme) -> Sentence:
  lines = [line for _, line in block]
  row = next((line for line in lines if not line.startswith('# ')), lines[-1])
  width = len(_fields(row))
  rows = itertools.dropwhile(lambda row: _is_comment(row[1], width), block)
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
      f'expected {width} columns, as in other rows of the sentence, found '
      f'{len(fields)}.'
    )
  for name, column in columns.items():
    if not -width <= column < width:
      raise ValueError(
        f'expected the {name} in column {column} (from 0), found {width} '
        'columns.'
      )
  token, tag = fields[columns['token']], fields[columns['tag']]
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
