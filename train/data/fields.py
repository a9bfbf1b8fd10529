"""The fields of a row, whichever format it has: texts, a label or several."""

import math
from collections.abc import Iterable
from collections.abc import Iterator
from collections.abc import Mapping
from typing import Any
from typing import NamedTuple

from train.data.files import Path
from train.data.files import Skipped
from train.data.files import check_unicode

_FLAGS = {'1': True, '1.0': True, 'true': True}
_FLAGS |= {'0': False, '0.0': False, 'false': False}


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


class LabelledText(NamedTuple):
  """A text or pair of texts with any number of labels.

  Attributes:
    text: the text.
    pair: the second text, if there is one.
    labels: the labels, in the order of the file, each once.
    line: the number of its line in the file.
  """

  text: str
  pair: str | None
  labels: tuple[str, ...]
  line: int

  # A named tuple cannot inherit from another one.
  where = Text.where
  words = Text.words
  group = Text.group


class Fields(NamedTuple):
  """Names of the fields, which are columns or keys.

  A text has several labels if its label is a list, if `label_separator` is
  given, or if `labels` are; otherwise it has one.

  Attributes:
    text: the text.
    pair: a second text, or `''` if there is none.
    label: the label, or the labels; not read if `labels` are given.
    labels: fields with 1 or 0, one for each label, separated by commas.
    label_separator: what separates the labels in the text of a field.
  """

  text: str
  pair: str = ''
  label: str = 'label'
  labels: str = ''
  label_separator: str = ''

  @property
  def flags(self) -> list[str]:
    """The fields that `labels` names."""
    return [name.strip() for name in self.labels.split(',') if name.strip()]

  @property
  def names(self) -> list[str]:
    """All fields that a row must have."""
    label = self.flags or [self.label]
    return [name for name in (self.text, self.pair, *label) if name]

  @property
  def filled(self) -> list[str]:
    """The fields in which a row must have something."""
    one = not self.flags and not self.label_separator
    return [
      name for name in (self.text, self.pair, self.label if one else '') if name
    ]

  def make(self, row: Mapping[str, Any], line: int) -> Text | LabelledText:
    """Makes the example of a row: a text, number, bool or list per field.

    Raises:
      ValueError: a field is missing or malformed.
    """
    text = _text(row, self.text)
    pair = _text(row, self.pair) if self.pair else None
    if self.flags:
      found = [name for name in self.flags if _flag(row, name)]
      return LabelledText(text, pair, tuple(found), line)
    value = _get(row, self.label)
    if self.label_separator and isinstance(value, str):
      value = [
        part for part in value.split(self.label_separator) if part.strip()
      ]
    if isinstance(value, list):
      found = [_label(each, self.label) for each in value]
      return LabelledText(text, pair, tuple(dict.fromkeys(found)), line)
    return Text(text, pair, _label(value, self.label), line)


def of_one_kind(
  path: Path, examples: Iterable[Text | LabelledText | Skipped]
) -> Iterator[Text | LabelledText | Skipped]:
  """Yields examples that all have one label, or that all have a list of them.

  Raises:
    ValueError: some have one label and others a list; begins `path:line:`.
  """
  first = None
  for example in examples:
    if not isinstance(example, Skipped):
      first = first or example
      if type(example) is not type(first):
        kinds = {Text: 'one label', LabelledText: 'a list of labels'}
        raise ValueError(
          f'{path}:{example.line}: expected {kinds[type(first)]}, as in line '
          f'{first.line}, found {kinds[type(example)]}.'
        )
    yield example


def _get(row, name):
  if name not in row:
    raise ValueError(
      f'expected the key {name!r}, found {", ".join(map(repr, row)) or "none"}.'
    )
  return row[name]


def _text(row, name) -> str:
  value = _get(row, name)
  if not isinstance(value, str) or not value.strip():
    raise ValueError(f'expected some text as {name!r}, found {value!r}.')
  check_unicode(value, name)
  return value


def _label(value, name) -> str:
  """Returns a label as text: `true` as in JSON, and 1.0 as 1."""
  if isinstance(value, bool):
    return str(value).lower()
  if isinstance(value, float) and math.isfinite(value) and value % 1 == 0:
    return str(int(value))
  if isinstance(value, int):
    return str(value)
  if not isinstance(value, str) or not value.strip():
    raise ValueError(
      f'expected some text, a whole number, true or false as {name!r}, found '
      f'{value!r}.'
    )
  check_unicode(value, name)
  return value.strip()


def _flag(row, name) -> bool:
  value = _get(row, name)
  flag = _FLAGS.get(str(value).strip().lower())
  if flag is None:
    raise ValueError(f'expected 1 or 0 as {name!r}, found {value!r}.')
  return flag
