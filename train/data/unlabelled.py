"""Inputs to predict, in any format, with or without labels.

Rows of a text file are read one at a time, so that a stream can be predicted
before it ends. Formats that are one value, such as the JSON of SQuAD, are read
whole, by the readers that training uses.
"""

import itertools
import json
import re
from collections.abc import Callable
from collections.abc import Iterable
from collections.abc import Iterator
from collections.abc import Mapping
from collections.abc import Sequence
from typing import Any
from typing import NamedTuple

from train.data.conll import Sentence
from train.data.conll import is_separator
from train.data.conll import split_columns
from train.data.fields import LabelledText
from train.data.fields import Text
from train.data.squad import Question
from train.data.tables import parse_csv
from train.data.tables import parse_tsv

Lines = Iterable[tuple[int, str]]

_WORD = re.compile(r'\S+')
# Keys and columns, in order, for those that the config names but a file lacks.
_TEXT = 'text', 'sentence'
_TOKENS = 'tokens', 'words'
_NOT_A_WORD = re.compile(r'\d+[-.]\d+')  # The ids of ranges and empty nodes.


class Input(NamedTuple):
  """Something to predict.

  Attributes:
    text: the text; words that were given are joined by spaces.
    line: the number of its first line.
    pair: the second text, if there is one.
    words: start and end of each word in the text; None if nothing gave them.
    fields: other values of its row by name, which the output repeats.
    question: a question on a context, which then is the text.
  """

  text: str
  line: int
  pair: str | None = None
  words: Sequence[tuple[int, int]] | None = None
  fields: Mapping[str, Any] = {}
  question: Question | None = None


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
        'two texts with a tab between' if tabs == 'pair' else 'one without tabs'
      )
      raise ValueError(f'{number}: expected {expected}, as in training.')
    if is_last:
      continue
    if tab and tabs != 'text':
      yield Input(text, number, pair)
    else:
      yield Input(line, number)


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
      yield _sentence([row[token] for _, row in rows], rows[0][0], {})


def read_conllu(lines: Lines) -> Iterator[Input]:
  """Reads the words of CoNLL-U, without ranges and empty nodes."""
  for is_blank, block in itertools.groupby(lines, is_separator):
    rows = [(n, line.split('\t')) for n, line in block if line[:1] != '#']
    rows = [row for row in rows if not _NOT_A_WORD.fullmatch(row[1][0])]
    if is_blank or not rows:
      continue
    for number, row in rows:
      if len(row) < 2:
        raise ValueError(f'{number}: expected ten columns between tabs.')
    yield _sentence([row[1] for _, row in rows], rows[0][0], {})


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
  for number, line in lines:
    if line.strip():
      try:
        yield _from_object(json.loads(line), number, text, pair, words)
      except json.JSONDecodeError as error:
        raise ValueError(f'{number}: expected JSON: {error.msg}.') from None
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
    return Input(example.context, line, question=example)
  if hasattr(example, 'tokens'):
    return _sentence(example.tokens, line, {})
  label = getattr(example, 'label', None)
  fields = {'label': label} if isinstance(label, str) else {}
  return Input(example.text, line, example.pair, fields=fields)


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


def _sentence(words: Sequence[str], line: int, fields: Mapping) -> Input:
  ends = itertools.accumulate(len(word) + 1 for word in words)
  spans = [(e - 1 - len(w), e - 1) for w, e in zip(words, ends, strict=True)]
  return Input(' '.join(words), line, words=spans, fields=fields)


def _from_object(
  row: Any, line: int, text: str, pair: str, words: bool = False
) -> Input:
  if not isinstance(row, dict):
    raise ValueError(f'expected a JSON object, found {row!r}.')
  rest = dict(row)
  if 'question' in row and 'context' in row:
    return _from_question(rest, line)
  given = next((k for k in _TOKENS if isinstance(row.get(k), list)), '')
  if words and given:
    tokens = rest.pop(given)
    if not all(isinstance(token, str) and token.strip() for token in tokens):
      raise ValueError(f'expected words as {given!r}, found {tokens!r}.')
    return _sentence(tokens, line, rest)
  key = next((k for k in (text, *_TEXT) if k in row), text or _TEXT[0])
  first = _take_text(rest, key)
  return Input(
    first, line, _take_text(rest, pair) if pair else None, fields=rest
  )


def _from_question(row: dict, line: int) -> Input:
  question, context = _take_text(row, 'question'), _take_text(row, 'context')
  name = str(row.pop('id', line))
  asked = Question(name, row.get('title', ''), question, context, [], [])
  return Input(context, line, fields=row, question=asked)


def _take_text(row: dict, key: str) -> str:
  if key not in row:
    found = ', '.join(map(repr, row))
    raise ValueError(f'expected the text at {key!r}, found {found}.')
  value = row.pop(key)
  if not isinstance(value, str):
    raise ValueError(f'expected some text as {key!r}, found {value!r}.')
  try:
    value.encode()
  except UnicodeEncodeError:
    raise ValueError(
      f'found half a character (a surrogate) in {key!r}.'
    ) from None
  return value


READERS: dict[str, Callable[..., Iterator[Input]]] = {
  'text': read_text,
  'conll': read_words,
  'conllu': read_conllu,
  'jsonl': read_jsonl,
  'csv': read_rows,
  'tsv': read_rows,
}
