"""Inputs to predict, in any format, with or without labels.

Rows of a text file are read one at a time, so that a stream can be predicted
before it ends. Formats that are one value, such as the JSON of SQuAD, are read
whole, by the readers that training uses.
"""

import itertools
import re
from collections.abc import Callable
from collections.abc import Iterator
from collections.abc import Mapping
from collections.abc import Sequence
from typing import Any

from dicejax.text.inputs import Asked
from dicejax.text.inputs import Input
from dicejax.text.inputs import join_words
from train.data import conllu
from train.data.conll import Sentence
from train.data.conll import is_separator
from train.data.conll import split_columns
from train.data.fields import LabelledText
from train.data.fields import Text
from train.data.files import Lines
from train.data.files import Skipped
from train.data.files import check_unicode
from train.data.files import parse_objects
from train.data.squad import Question
from train.data.tables import parse_csv
from train.data.tables import parse_tsv

_WORD = re.compile(r'\S+')
# Keys and columns, in order, for those that the config names but a file lacks.
_TEXT = 'text', 'sentence'
_TOKENS = 'tokens', 'words'


def split_at_blanks(text: str) -> list[tuple[int, int]]:
  """Returns start and end of what blanks part.

  Example:
    >>> split_at_blanks('U.S. Army')
    [(0, 4), (5, 9)]
  """
  return [match.span() for match in _WORD.finditer(text)]


def read_text(lines: Lines, *, tabs: str = 'text') -> Iterator[Input]:
  """Reads a text per line, or two with a tab between.

  Empty lines count, so that outputs keep their line; not after the last one.

  Args:
    lines: number and text of each line.
    tabs: `'text'`: a tab is part of a text. `'pair'`: each line has one,
      between two texts; `'none'`: no line has one; `'any'`: some have.

  Raises:
    ValueError: a line has a tab and should not, or the other way round; begins
      with the number of the line.
  """
  for (number, line), is_last in _with_last(lines):
    text, tab, pair = line.partition('\t')
    if line and tabs in ('pair', 'none') and bool(tab) != (tabs == 'pair'):
      expected = (
        'two texts with a tab between'
        if tabs == 'pair'
        else 'a text without tabs'
      )
      raise ValueError(f'{number}: expected {expected}, as in training.')
    if is_last:
      continue
    if tab and tabs != 'text':
      yield Input(text, pair, line=number)
    else:
      yield Input(line, line=number)


def read_words(lines: Lines, *, token: int = 0) -> Iterator[Input]:
  """Reads sentences from columns: a word per line, blank lines between.

  Other columns are ignored; there may be none. A line before a sentence that
  begins with `#` and a blank and has other columns than the next is a comment.

  Args:
    lines: number and text of each line.
    token: column of the word, from 0 or, if negative, from the end.

  Raises:
    ValueError: a line has no such column; begins with the number of the line.
  """
  for is_blank, block in itertools.groupby(lines, is_separator):
    if is_blank:
      continue
    rows = _without_comments(
      [(number, split_columns(line)) for number, line in block]
    )
    for number, row in rows:
      if not -len(row) <= token < len(row):
        raise ValueError(
          f'{number}: expected the word in column {token}, found '
          f'{len(row)} columns.'
        )
    if rows:
      words = [row[token] for _, row in rows]
      yield join_words(words)._replace(line=rows[0][0])


def read_conllu(lines: Lines, *, unit: str = 'word') -> Iterator[Input]:
  """Reads the words of CoNLL-U, or their characters: see `conllu`."""
  for rows in conllu.parse_rows(lines):
    words = [row[1] for _, row in rows if not isinstance(row, Skipped)]
    if words:
      sentence = conllu.make_sentence(words, words, unit, rows[0][0])
      yield join_words(sentence.tokens)._replace(line=sentence.line)


def read_jsonl(
  lines: Lines, *, text: str = '', pair: str = '', words: bool = False
) -> Iterator[Input]:
  """Reads JSON objects, one per line. Empty lines are ignored.

  Args:
    lines: number and text of each line.
    text: key of the text; else it is `text` or `sentence`.
    pair: key of the second text; '': there is none.
    words: whether words may be given as a list, at `tokens` or `words`.

  Raises:
    ValueError: a malformed line; begins with its number.
  """
  for number, row in parse_objects(lines):
    try:
      yield _from_object(row, number, text, pair, words)
    except ValueError as error:
      raise ValueError(f'{number}: {error}') from None


def read_rows(
  lines: Lines,
  *,
  text: str = '',
  pair: str = '',
  separator: str = ',',
  header: bool = True,
  quotes: bool = True,
) -> Iterator[Input]:
  """Reads rows of columns.

  Args:
    lines: number and text of each line.
    text: column of the text; else it is `text` or `sentence`.
    pair: column of the second text; '': there is none.
    separator: character between columns.
    header: whether the first row names the columns, which else have numbers
      from 0.
    quotes: whether cells may be in double quotes, as in CSV.

  Raises:
    ValueError: a row of another width than the first, or a column that is not
      there; begins with the number of the line.
  """
  names = None
  if quotes:
    rows = parse_csv((line + '\n' for _, line in lines), separator)
  else:
    rows = parse_tsv(lines, separator, header=header, names=[text, pair])
  for number, row in rows:
    if names is None:
      names = row if header else [str(i) for i in range(len(row))]
      if header:
        continue
    if len(row) != len(names):
      raise ValueError(
        f'{number}: expected {len(names)} columns, found {len(row)}.'
      )
    try:
      yield _from_object(dict(zip(names, row, strict=True)), number, text, pair)
    except ValueError as error:
      raise ValueError(f'{number}: {error}') from None


def to_example(item: Input, types: Sequence[type]) -> Any:
  """Makes an example without labels.

  Args:
    item: the input, with words if a type is `Sentence`.
    types: the types of examples that the task accepts.

  Raises:
    ValueError: the input is no question, and the task needs one; begins with
      the number of the line.
  """
  if Question in types:
    if item.question is None:
      raise ValueError(
        f'{item.line}: expected a question on a context, as in the JSON of '
        'SQuAD or JSON lines with "question" and "context".'
      )
    return item.question
  if Sentence in types:
    words = [item.text[start:end] for start, end in item.words or ()]
    return Sentence(words, [], item.line)
  if Text in types:
    return Text(item.text, item.pair, '', item.line)
  return LabelledText(item.text, item.pair, (), item.line)


def from_example(example: Any) -> Input:
  """Makes an input of an example that a reader of training yields."""
  line = getattr(example, 'line', 0)
  if isinstance(example, Question):
    asked = Asked(example.id, example.question, example.context, [])
    return Input(example.context, question=asked, line=line)
  if hasattr(example, 'tokens'):
    return join_words(example.tokens)._replace(line=line)
  label = getattr(example, 'label', None)
  fields = {'label': label} if isinstance(label, str) else {}
  return Input(example.text, example.pair, line=line, fields=fields)


def _with_last(lines: Lines) -> Iterator[tuple[tuple[int, str], bool]]:
  """Yields each line and whether it is empty and the last.

  An empty line waits for the next, others do not.
  """
  waiting = None
  for line in lines:
    if waiting:
      yield waiting, False
    waiting = None if line[1] else line
    if line[1]:
      yield line, False
  if waiting:
    yield waiting, True


def _without_comments(rows: list[tuple[int, list[str]]]) -> list:
  def is_comment(row):
    return row[1][0] == '#' and len(row[1]) != len(rows[-1][1])

  return [*itertools.dropwhile(is_comment, rows)]


def _from_object(
  row: Mapping[str, Any], line: int, text: str, pair: str, words: bool = False
) -> Input:
  rest = dict(row)
  if 'question' in row and 'context' in row:
    return _from_question(rest, line)
  given = next((k for k in _TOKENS if isinstance(row.get(k), list)), '')
  if words and given:
    tokens = rest.pop(given)
    if not all(isinstance(token, str) and token.strip() for token in tokens):
      raise ValueError(f'expected words as {given!r}, found {tokens!r}.')
    return join_words(tokens)._replace(line=line, fields=rest)
  key = next((k for k in (text, *_TEXT) if k in row), text or _TEXT[0])
  first = _take_text(rest, key)
  second = _take_text(rest, pair) if pair else None
  return Input(first, second, line=line, fields=rest)


def _from_question(row: dict, line: int) -> Input:
  question, context = _take_text(row, 'question'), _take_text(row, 'context')
  name = str(row.pop('id', line))
  asked = Asked(name, question, context, [])
  return Input(context, question=asked, line=line, fields=row)


def _take_text(row: dict, key: str) -> str:
  if key not in row:
    found = ', '.join(map(repr, row)) or 'none'
    raise ValueError(f'expected the text at {key!r}, found {found}.')
  value = row.pop(key)
  if not isinstance(value, str):
    raise ValueError(f'expected some text as {key!r}, found {value!r}.')
  check_unicode(value, key)
  return value


READERS: dict[str, Callable[..., Iterator[Input]]] = {
  'text': read_text,
  'conll': read_words,
  'conllu': read_conllu,
  'jsonl': read_jsonl,
  'csv': read_rows,
  'tsv': read_rows,
}
