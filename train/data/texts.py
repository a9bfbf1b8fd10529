"""Labelled texts and pairs from JSON lines and sentiment trees."""

import re
from collections.abc import Iterator

from train.data.fields import Fields
from train.data.fields import LabelledText
from train.data.fields import Text
from train.data.fields import of_one_kind
from train.data.files import Path
from train.data.files import Skipped
from train.data.files import name_path
from train.data.files import parse_objects
from train.data.files import read_lines

# `\s` would also split at no-break spaces, which words may have.
_TREE = re.compile(r'[()]|[^ \t()]+')
# The Penn Treebank writes brackets and slashes in words like this.
_ESCAPES = {'-LRB-': '(', '-RRB-': ')', r'\/': '/', r'\*': '*'}
_SENTIMENTS = ('0', '1', '2', '3', '4')
_NEUTRAL = Skipped('neutral phrase left out')
_BINARY = {'0': '0', '1': '0', '3': '1', '4': '1'}


def read_jsonl(
  path: Path,
  *,
  text: str = 'sentence',
  pair: str = '',
  label: str = 'label',
  labels: str = '',
  label_separator: str = '',
) -> Iterator[Text | LabelledText | Skipped]:
  """Reads lines that are JSON objects. Empty lines are ignored.

  Args:
    path: the file.
    text: the key of the text.
    pair: the key of the second text, or `''` if there is none.
    label: the key of the label: a text, around which white space is ignored, a
      whole number (1.0 is 1), true or false; or of a list of labels.
    labels: keys with 1 or 0, one for each label: `'toxic,threat'`. `''`: the
      key `label` has the labels.
    label_separator: what separates several labels in the text of `label`; `''`
      if a text is one label.

  Yields:
    Texts, all with one label or all with a list of labels.

  Raises:
    ValueError: a malformed line. The message begins with `path:line:`.
  """
  fields = Fields(text, pair, label, labels, label_separator)
  yield from of_one_kind(path, name_path(path, _texts(path, fields)))


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


def _texts(path: Path, fields: Fields) -> Iterator[Text | LabelledText]:
  for number, row in parse_objects(read_lines(path)):
    try:
      yield fields.make(row, number)
    except ValueError as error:
      raise ValueError(f'{number}: {error}') from None


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
