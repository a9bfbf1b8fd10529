"""Labelled sentences and pairs: TSV, JSON lines, and trees of sentiment."""

import collections
import json
import re
from collections.abc import Iterator
from typing import NamedTuple

from train.data.files import Path
from train.data.files import Skipped
from train.data.files import check_unicode
from train.data.files import read_lines

# Words may hold no-break spaces.
_TREE = re.compile(r'[()]|[^ \t()]+')
# Brackets and slashes of words, as the Penn Treebank writes them in a tree.
_ESCAPES = {'-LRB-': '(', '-RRB-': ')', r'\/': '/', r'\*': '*'}
_SENTIMENTS = ('0', '1', '2', '3', '4')
_NEUTRAL = Skipped('neutral phrase left out')
_BINARY = {'0': '0', '1': '0', '3': '1', '4': '1'}


class Text(NamedTuple):
  """A text, or a pair of them, its label and its line in the file."""

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
    return self.line  # The phrases of a tree share its line.


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
  """Reads rows of columns, in which a quote is a character like any other.

  Lines without any character are no rows; white space around a label does not
  count. All rows have the columns of the
  header or, without one, as many as most rows.

  Args:
    path: the file.
    header: whether the first line names the columns.
    text: column of the text: its name or, without a header, `'0'`, `'1'`, ...
    pair: column of the second text; `''`: there is none.
    label: column of the label.
    separator: a tab. Any other is looked for only before the last column, which
      is the rest of the line: `' '` reads lines of a label and a sentence.
    skip_malformed: leaves out rows with other columns, without text or without
      label, and counts them, in place of the error.

  Yields:
    Texts, and `Skipped` for each row that is left out.

  Raises:
    ValueError: at the first malformed row, beginning `path:line:`, or for a
      column that is not there.
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
          f'{path}:{number}: {problem[1]} (skip_malformed leaves such rows '
          'out, and counts them.)'
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
  """Reads lines that are JSON objects; those without any character are none.

  Args:
    path: the file.
    text: key of the text.
    pair: key of the second text; `''`: there is none.
    label: key of the label, which is text or a whole number; white space around
      it does not count.

  Raises:
    ValueError: at the first malformed line, beginning `path:line:`.
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
  """Reads trees of the Stanford Sentiment Treebank, one a line.

  Words are joined by spaces, their brackets and slashes (`-LRB-`, `\\/`) made
  what they stand for.

  Args:
    path: the file, as in `(3 (2 It) (4 (2 's) (4 lovely)))`.
    phrases: every phrase of a tree, the whole of it first; not the whole only.
    binary: 0 and 1 are `'0'`, 3 and 4 are `'1'`, 2 is left out and counted.

  Raises:
    ValueError: at the first malformed tree, beginning `path:line:`.
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


def _columns(path, lines, header, names, separator):
  """Column by name, and how many columns a row has."""
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


def _split(line, separator, width) -> list[str]:
  return line.split(separator, -1 if separator == '\t' else width - 1)


def _problem(fields, columns, width) -> tuple[str, str] | None:
  """What is wrong with a row: the rule that leaves it out, and a sentence."""
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


def _json_object(line) -> dict:
  try:
    example = json.loads(line)
  except ValueError as error:
    raise ValueError(f'expected a JSON object: {error}.') from None
  if not isinstance(example, dict):
    raise ValueError(f'expected a JSON object, found {type(example).__name__}.')
  return example


def _json_text(example, key, numbers=False) -> str:
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


def _nodes(line) -> list[tuple[str, list[str]]]:
  """Labels and words of a tree's phrases, the whole first."""
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


def _unescape(word) -> str:
  for escape, character in _ESCAPES.items():
    word = word.replace(escape, character)
  return word
