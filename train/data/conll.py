"""Sentences with a tag on each word, from CoNLL column files.

A row holds a word and its tag among other columns, and a blank line ends a
sentence. Rows that contain a tab are split at tabs (a token may then contain
spaces), other rows at spaces. Lines with `-DOCSTART-` only separate.
"""

import collections
import functools
import itertools
from collections.abc import Callable
from collections.abc import Iterator
from typing import NamedTuple

from dicejax import metrics
from train.data.files import Path
from train.data.files import read_lines

# The type of entities in files whose tags are B, I and O without a type.
ENTITY = 'ENTITY'
_PREFIXES = frozenset('BIES')
# Schemes that are BIOES in other letters.
_LETTERS = {
  'bmes': {'B': 'B', 'M': 'I', 'E': 'E', 'S': 'S'},
  'bilou': {'B': 'B', 'I': 'I', 'L': 'E', 'U': 'S'},
}
SCHEMES = 'bio', 'iob1', 'bioes', *_LETTERS, 'conll', 'token'


class Sentence(NamedTuple):
  """A tagged sentence.

  Attributes:
    tokens: its words.
    tags: a tag for each word, in BIO or a label of any kind.
    line: the number of its first line in the file.
  """

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


class _Layout(NamedTuple):
  """The form of the rows of a file.

  Attributes:
    width: how many columns a row has.
    token: the column of the word.
    tag: the column of the tag.
    scheme: as for `read_sentences`.
    tags: all tags, except in rows that may be comments.
  """

  width: int
  token: int
  tag: int
  scheme: str
  tags: frozenset[str]

  @property
  def untyped(self) -> bool:
    """Whether the tags of entities have no type, such as B and I."""
    inside = self.tags - {'O'}
    prefixes = _LETTERS.get(self.scheme, _PREFIXES)
    return self.scheme != 'token' and bool(inside) and inside <= {*prefixes}


def read_sentences(
  path: Path, *, token: int = 0, tag: int = -1, scheme: str = 'bio'
) -> Iterator[Sentence]:
  """Reads the sentences of a UTF-8 column file, in order.

  All rows must have as many columns as most rows of the file. A line that
  begins with `#` and a space or tab, before a sentence or alone, is a comment
  if it has another number of columns, or no tag in the tag's column (with
  `'token'`: no tag that other rows of the file have). Otherwise it is the token
  `#`.

  White space around a tag is ignored, and so are spaces around a token. Tags
  without a type (B, I, O in the whole file) are entities of the type `ENTITY`.

  Args:
    path: the file.
    token: the column of the word, from 0 or, if negative, from the end.
    tag: the column of its tag, likewise.
    scheme: `'iob1'`, `'bio'`, `'bioes'`, or the same with other letters,
      `'bmes'` (M for I) or `'bilou'` (L for E, U for S), which the file must
      follow; `'conll'`, which reads the first three, and ill-formed tags as the
      CoNLL evaluation script does (CoNLL-2003 breaks IOB1 in two places); or
      `'token'`, which takes any tag as the label of its word, such as a part of
      speech.

  Yields:
    Sentences. Their tags are in BIO or, with `'token'`, as in the file.

  Raises:
    ValueError: a malformed row, in a message that begins with `path:line:`; a
      column that the file does not have; or no sentence at all.
  """
  if scheme not in SCHEMES:
    known = ', '.join(map(repr, SCHEMES))
    raise ValueError(f'data.conll.scheme is one of {known}, not {scheme!r}.')
  lines = [*read_lines(path)]
  layout = _find_layout(path, lines, token, tag, scheme)
  # Most rows of a corpus occur many times, so each is parsed only once.
  parse = functools.cache(functools.partial(_word, layout))
  for is_boundary, block in itertools.groupby(lines, is_separator):
    if is_boundary:
      continue
    rows = itertools.dropwhile(lambda row: _is_comment(row[1], layout), block)
    if rows := [*rows]:
      yield _sentence(path, rows, parse, scheme)


def is_separator(numbered_line: tuple[int, str]) -> bool:
  """Whether a line separates sentences."""
  _, line = numbered_line
  return not line.strip(' \t') or '-DOCSTART-' in line


def split_columns(line: str) -> list[str]:
  """Splits a row at tabs, which may be beside an empty cell, or at blanks."""
  # `line.split()` would also split at no-break spaces, which a token may have.
  if '\t' in line:
    return [field.strip(' ') for field in line.split('\t')]
  return [field for field in line.split(' ') if field]


def _find_layout(
  path: Path, lines: list[tuple[int, str]], token: int, tag: int, scheme: str
) -> _Layout:
  """Finds what most rows of a file have in common, and checks the columns."""
  rows = collections.Counter(x[1] for x in lines if not is_separator(x))
  if not rows:
    raise ValueError(f'{path}: expected at least one sentence.')
  # Comments may be many, so lines that may be comments count only if there are
  # no others.
  rows = {row: n for row, n in rows.items() if not _has_hash(row)} or rows
  widths = collections.Counter()
  for row, count in rows.items():
    widths[len(split_columns(row))] += count
  ((width, _),) = widths.most_common(1)
  first = next(number for number, line in lines if line in rows)
  _check_columns(f'{path}:{first}', width, token=token, tag=tag)
  of_width = (
    fields for fields in map(split_columns, rows) if len(fields) == width
  )
  tags = frozenset(fields[tag].strip() for fields in of_width)
  return _Layout(width, token, tag, scheme, tags)


def _check_columns(place: str, width: int, **columns: int) -> None:
  for name, column in columns.items():
    if not -width <= column < width:
      raise ValueError(
        f'{place}: expected the {name} in column {column} (from 0), found '
        f'{width} columns.'
      )
  if columns['token'] % width == columns['tag'] % width:
    raise ValueError(
      f'{place}: expected the tag in another column than the token, but in a '
      f'row of {width} columns, {columns["token"]} and {columns["tag"]} are '
      'the same.'
    )


def _has_hash(line: str) -> bool:
  """Returns whether a line is a comment or a row of the token `#`."""
  return line[:1] == '#' and line[1:2] in ('', ' ', '\t')


def _is_comment(line: str, layout: _Layout) -> bool:
  """Returns whether a line before the words of a sentence is a comment."""
  if not _has_hash(line):
    return False
  fields = split_columns(line)
  if len(fields) != layout.width:
    return True
  tag = fields[layout.tag].strip()
  if tag == '#' or tag in layout.tags:  # The Penn Treebank tags # as #.
    return False
  if layout.scheme == 'token' or layout.untyped:
    return True
  try:
    _read_tag(tag, layout.scheme)
  except ValueError:
    return True
  return False


def _sentence(
  path: Path,
  rows: list[tuple[int, str]],
  parse: Callable[[str], tuple[str, str]],
  scheme: str,
) -> Sentence:
  words = []
  for number, line in rows:
    try:
      words.append(parse(line))
    except ValueError as error:
      raise ValueError(f'{path}:{number}: {error}') from None
  tokens, tags = map(list, zip(*words, strict=True))
  first, _ = rows[0]
  if scheme == 'token':
    return Sentence(tokens, tags, first)
  letters, named = _LETTERS.get(scheme, {}), scheme
  scheme = 'bioes' if letters else scheme
  ill_formed = metrics.first_ill_formed(tags, scheme)
  if ill_formed is not None:
    tag = tags[ill_formed]
    own = {ours: theirs for theirs, ours in letters.items()}
    raise ValueError(
      f'{path}:{first + ill_formed}: {own.get(tag[0], tag[0]) + tag[1:]!r} '
      'starts an entity '
      f'that is ill-formed in the scheme {named!r}. Does the file use another '
      "scheme? The scheme 'conll' reads BIO, IOB1 and BIOES, and ill-formed "
      'entities as the CoNLL evaluation script does.'
    )
  spans = metrics.entity_spans(tags, scheme)
  return Sentence(tokens, metrics.bio_tags(spans, len(tags)), first)


def _word(layout: _Layout, line: str) -> tuple[str, str]:
  """Returns the token and the tag of a row."""
  fields = split_columns(line)
  if len(fields) != layout.width:
    raise ValueError(
      f'expected {layout.width} columns, as in most rows of the file, found '
      f'{len(fields)}.'
    )
  token, tag = fields[layout.token], fields[layout.tag].strip()
  if not token.strip():
    raise ValueError('expected a token, found only white space.')
  if layout.untyped and tag != 'O':
    tag = f'{tag}-{ENTITY}'
  return token, _read_tag(tag, layout.scheme)


def _read_tag(tag: str, scheme: str) -> str:
  """Checks a tag, and returns it in the letters of BIOES or of its scheme."""
  if scheme == 'token':
    if not tag:
      raise ValueError('expected a tag, found only white space.')
    return tag
  if letters := _LETTERS.get(scheme):
    prefix, hyphen, kind = tag.partition('-')
    if tag != 'O' and not (prefix in letters and kind):
      raise ValueError(
        f'{tag!r} is not a tag of the scheme {scheme!r}: expected O or one of '
        f'{", ".join(letters)}, a hyphen and a type, as in B-PER.'
      )
    return letters.get(prefix, prefix) + hyphen + kind
  try:
    metrics.entity_spans([tag], scheme)
  except ValueError as error:
    raise ValueError(
      f"{error} (data.conll.scheme names others: 'bioes', 'bmes', 'bilou'.)"
    ) from None
  return tag
