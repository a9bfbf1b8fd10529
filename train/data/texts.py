"""Labelled texts and pairs from TSV, JSON lines and sentiment trees."""

import collections
import json
import re
from collections.abc import Iterator
from typing import NamedTuple

from train.data.files import Path
from train.data.files import Skipped
from train.data.files import check_unicode
from train.data.files import read_lines

# `\s` would also split at no-break spaces, which words may have.
_TREE = re.compile(r'[()]|[^ \t()]+')
# The Penn Treebank writes brackets and slashes in words like this.
_ESCAPES = {'-LRB-': '(', '-RRB-': ')', r'\/': '/', r'\*': '*'}
_SENTIMENTS = ('0', '1', '2', '3', '4')
_NEUTRAL = Skipped('neutral phrase left out')
_BINARY = {'0': '0', '1': '0', '3': '1', '4': '1'}


class Text(NamedTuple):
  """A labelled text or pair of texts.

  Attributes:
    text: the text.
    pair: the second text, if there is one.
    label: the label.
    line: the number of its line in the file.
  """

  text: str
  pair: str | None
  label: str
  line: int

  @property
  def where(self) -> str:
    return f'line {self.line}'

  @property
  def words(self) -> list[str]:
    return [*self.text.split(), *(self.pair or '').split()]

  @property
  def group(self) -> int:
    return self.line  # Phrases of a tree share its line and stay together.


def read_tsv(
  path: Path,
  *,
  header: bool = True,
  text: str = 'sentence',
  pair: str = '',
  label: str = 'label',
  separator: str = '\t',
  skip_malformed: bool = False,
) -> Iterator[Text | Skipped]:
  """Reads rows of columns, in which quotes have no special meaning.

  Empty lines are ignored, and so is white space around a label. All rows must
  have as many columns as the header or, without one, as most rows.

  Args:
    path: the file.
    header: whether the first line names the columns.
    text: the column of the text: its name or, without a header, `'0'`, `'1'`...
    pair: the column of the second text, or `''` if there is none.
    label: the column of the label.
    separator: a tab, or another separator. The last column is then the rest of
      the line, so `' '` reads lines of a label and a sentence.
    skip_malformed: whether to skip malformed rows instead of raising an error.

  Yields:
    Texts, and `Skipped` for each row that is left out.

  Raises:
    ValueError: a row with too few or too many columns, or nothing in one of
      these columns; the message begins with `path:line:`. Or a column that the
      file does not have.
  """
  lines = [line for line in read_lines(path) if line[1]]
  if not lines:
    raise ValueError(f'{path}: expected at least one row.')
  names = [name for name in (text, pair, label) if name]
  columns, width = _columns(path, lines, header, names, separator)
  for number, line in lines[1 if header else 0 :]:
    fields = _split(line, separator, width)
    if problem := _problem(fields, columns, width):
      if not skip_malformed:
        raise ValueError(
          f'{path}:{number}: {problem[1]} (data.tsv.skip_malformed skips and '
          'counts such rows.)'
        )
      yield Skipped(problem[0])
    else:
      yield Text(
        fields[columns[text]],
        fields[columns[pair]] if pair else None,
        fields[columns[label]].strip(),
        number,
      )


def read_jsonl(
  path: Path,
  *,
  text: str = 'sentence',
  pair: str = '',
  label: str = 'label',
) -> Iterator[Text]:
  """Reads lines that are JSON objects. Empty lines are ignored.

  Args:
    path: the file.
    text: the key of the text.
    pair: the key of the second text, or `''` if there is none.
    label: the key of the label, a text or a whole number. White space around it
      is ignored.

  Yields:
    Texts.

  Raises:
    ValueError: a malformed line. The message begins with `path:line:`.
  """
  for number, line in read_lines(path):
    if not line:
      continue
    try:
      example = _json_object(line)
      yield Text(
        _json_text(example, text),
        _json_text(example, pair) if pair else None,
        _json_text(example, label, numbers=True).strip(),
        number,
      )
    except ValueError as error:
      raise ValueError(f'{path}:{number}: {error}') from None


def read_trees(
  path: Path, *, phrases: bool = False, binary: bool = False
) -> Iterator[Text | Skipped]:
  """Reads trees of the Stanford Sentiment Treebank, one per line.

  Words are joined by spaces. Escaped brackets and slashes (`-LRB-`, `\\/`)
  become plain ones.

  Args:
    path: the file, whose lines look like `(3 (2 It) (4 (2 's) (4 lovely)))`.
    phrases: whether to yield every phrase of a tree, the whole tree first,
      instead of the whole tree only.
    binary: whether to map the labels 0 and 1 to `'0'` and 3 and 4 to `'1'`, and
      to skip 2.

  Yields:
    Texts, and `Skipped` for each neutral phrase that is left out.

  Raises:
    ValueError: a malformed tree. The message begins with `path:line:`.
  """
  for number, line in read_lines(path):
    if not line.strip():
      continue
    try:
      nodes = _nodes(line)
    except ValueError as error:
      raise ValueError(f'{path}:{number}: {error}') from None
    for label, words in nodes if phrases else nodes[:1]:
      if binary and label not in _BINARY:
        yield _NEUTRAL
      else:
        label = _BINARY[label] if binary else label
        yield Text(' '.join(words), None, label, number)


def _columns(
  path: Path,
  lines: list[tuple[int, str]],
  header: bool,
  names: list[str],
  separator: str,
) -> tuple[dict[str, int], int]:
  """Returns the indices of the named columns, and the number of columns."""
  number, first = lines[0]
  if header:
    found = first.split(separator)
    columns, width = (
      {n: found.index(n) for n in names if n in found},
      len(found),
    )
  else:
    columns = {name: int(name) for name in names if name.isdecimal()}
    if separator == '\t':
      widths = collections.Counter(line.count('\t') + 1 for _, line in lines)
      ((width, _),) = widths.most_common(1)
    else:
      width = 1 + max(columns.values(), default=0)
    found = [str(i) for i in range(width)]
    columns = {name: i for name, i in columns.items() if i < width}
  if missing := [name for name in names if name not in columns]:
    raise ValueError(
      f'{path}:{number}: expected the column {missing[0]!r}, found '
      f'{", ".join(map(repr, found))}.'
    )
  return columns, width


def _split(line: str, separator: str, width: int) -> list[str]:
  return line.split(separator, -1 if separator == '\t' else width - 1)


def _problem(
  fields: list[str], columns: dict[str, int], width: int
) -> tuple[str, str] | None:
  """Returns the rule that skips a malformed row, and its error, or None."""
  if len(fields) != width:
    rule = 'few' if len(fields) < width else 'many'
    return (
      f'row with too {rule} columns left out',
      f'expected {width} columns, found {len(fields)}.',
    )
  for name, column in columns.items():
    if not fields[column].strip():
      return (
        f'row with nothing in column {name!r} left out',
        f'expected something in column {name!r}, found only white space.',
      )
  return None


def _json_object(line: str) -> dict:
  try:
    example = json.loads(line)
  except ValueError as error:
    raise ValueError(f'expected a JSON object: {error}.') from None
  if not isinstance(example, dict):
    raise ValueError(f'expected a JSON object, found {type(example).__name__}.')
  return example


def _json_text(example: dict, key: str, numbers: bool = False) -> str:
  if key not in example:
    raise ValueError(
      f'expected the key {key!r}, found {", ".join(map(repr, example))}.'
    )
  value = example[key]
  if numbers and isinstance(value, int) and not isinstance(value, bool):
    return str(value)
  if not isinstance(value, str) or not value.strip():
    raise ValueError(f'expected some text as {key!r}, found {value!r}.')
  check_unicode(value, key)
  return value


def _nodes(line: str) -> list[tuple[str, list[str]]]:
  """Returns the label and the words of each phrase, the whole tree first."""
  nodes, path = [], []  # The path holds the phrases that are still open.
  tokens = iter(_TREE.findall(line))
  for token in tokens:
    if nodes and not path:
      raise ValueError(f'expected one tree, found {token!r} after it.')
    if token == '(':
      label = next(tokens, '')
      if label in ('', '(', ')'):
        raise ValueError(f'expected a label after "(", found {label!r}.')
      if label not in _SENTIMENTS:
        raise ValueError(f'expected a label from 0 to 4, found {label!r}.')
      path.append((label, []))
      nodes.append(path[-1])
    elif not path:
      raise ValueError(f'expected a tree, found {token!r}.')
    elif token != ')':
      for _, words in path:
        words.append(_unescape(token))
    elif not path.pop()[1]:
      raise ValueError('expected words in every phrase, found one without.')
  if path:
    raise ValueError(f'expected {len(path)} more ")".')
  return nodes


def _unescape(word: str) -> str:
  for escape, character in _ESCAPES.items():
    word = word.replace(escape, character)
  return word
