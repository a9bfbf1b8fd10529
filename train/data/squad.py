"""Questions on paragraphs from files in SQuAD's JSON, v1.1 and v2.0.

  {"data": [{"title": ..., "paragraphs": [{"context": ..., "qas": [
    {"id": ..., "question": ..., "is_impossible": false,
     "answers": [{"text": ..., "answer_start": ...}]}]}]}]}

or in flat rows, as a list, as `data`, or one in a line:

  {"id": ..., "title": ..., "context": ..., "question": ...,
   "answers": {"text": [...], "answer_start": [...]}}

Other keys, such as the `plausible_answers` of v2.0, are not read. An article
without a title gets its path in the file (`data[3]`) as the title, a row the
context. A question may lack `answers`, as in a file of questions to answer, and
null is as good as nothing.

Some files have faults. The rules of `find_answer` deal with offsets that are
wrong. Empty answers, answers of questions with `is_impossible`, and repeated
spans of an answer are left out. Each rule leaves a note.
"""

import contextlib
import json
import reprlib
import sys
from collections.abc import Iterator
from typing import Any
from typing import NamedTuple

from dicejax.text.windows import Answer
from train.data.answer_places import find_answer
from train.data.files import Path
from train.data.files import check_unicode
from train.data.files import name_path
from train.data.files import parse_objects
from train.data.files import read_json
from train.data.files import read_lines


class Question(NamedTuple):
  """A question on a context.

  Attributes:
    id: its id, unique in the file.
    title: the title of the article.
    question: the text of the question.
    context: the text that may hold the answer.
    answers: alternatives, any of which is right. Each is a list of the spans
      that together are the answer. [] if the question has no answer.
    notes: the rules that changed something.
  """

  id: str
  title: str
  question: str
  context: str
  answers: list[list[Answer]]
  notes: list[str]

  @property
  def where(self) -> str:
    return self.id

  @property
  def words(self) -> list[str]:
    return [*self.question.split(), *self.context.split()]

  @property
  def group(self) -> str:
    return self.title  # Questions on one article stay together.


def read_questions(
  path: Path, *, answers: str = 'alternatives'
) -> Iterator[Question]:
  """Reads the questions of a UTF-8 file, in order.

  Args:
    path: the file.
    answers: `'alternatives'`: any answer of a question is right (SQuAD).
      `'spans'`: all of them together are the answer (QuoRef).

  Yields:
    Questions.

  Raises:
    ValueError: the file is not JSON (the message begins with `path:line:`); or
      a value is missing, of another type, or an id that occurred before
      (`path: data[3].paragraphs[0].qas[2]: expected ...` or, for a row in a
      line, `path:line: expected ...`).
  """
  if answers not in ('alternatives', 'spans'):
    raise ValueError(f"answers is 'alternatives' or 'spans', not {answers!r}.")
  places = {}
  for prefix, place, question in _questions(path, answers):
    if question.id in places:
      raise ValueError(
        f'{prefix}: expected an id of its own, found {question.id!r} again, '
        f'the id of {places[question.id]}.'
      )
    places[question.id] = place
    yield question


def _questions(path: Path, answers: str) -> Iterator[tuple[str, str, Question]]:
  """Yields what a message on a question begins with, its place, and itself."""
  lines = [line for line in read_lines(path) if line[1].strip()]
  if len(lines) > 1 and _is_row(lines[0][1]):
    for number, row in name_path(path, parse_objects(lines)):
      prefix = f'{path}:{number}'
      with _prefixed(f'{prefix}: '):
        question = make_row_question(row, 'the row', answers)
      yield prefix, f'line {number}', question
    return
  data = read_json(path)
  if isinstance(data, list) or _is_object(data, 'context'):
    data = {'data': data if isinstance(data, list) else [data]}
  with _prefixed(f'{path}: '):
    for place, question in _nested_questions(data, answers):
      yield f'{path}: {place}', place, question


def _nested_questions(
  data: Any, answers: str
) -> Iterator[tuple[str, Question]]:
  for article_place, article in _items(data, 'the file', 'data'):
    if _is_object(article, 'context'):
      yield article_place, make_row_question(article, article_place, answers)
      continue
    title = _get(article, article_place, 'title', str, default=article_place)
    for place, paragraph in _items(article, article_place, 'paragraphs'):
      context = _context(paragraph, place)
      for qa_place, qa in _items(paragraph, place, 'qas'):
        yield qa_place, _question(qa, qa_place, title, context, answers)


def make_row_question(row: Any, place: str, answers: str) -> Question:
  """Makes the question of a flat row, as data sets of Hugging Face have it.

  Args:
    row: the row, with `answers` as lists of texts and of starts or as a list of
      both.
    place: names the row in messages.
    answers: as for `read_questions`.

  Raises:
    ValueError: a value is missing or of another type; begins with the place.
  """
  context = _context(row, place)
  title = _get(row, place, 'title', str, default=context)
  found = row.get('answers')
  if isinstance(found, dict):
    texts = _get(found, f'{place}, answers', 'text', list)
    starts = _get(found, f'{place}, answers', 'answer_start', list)
    if len(texts) != len(starts):
      raise ValueError(
        f'{place}: expected as many texts as starts of answers, found '
        f'{len(texts)} and {len(starts)}.'
      )
    pairs = zip(texts, starts, strict=True)
    found = [{'text': text, 'answer_start': start} for text, start in pairs]
  return _question(row | {'answers': found}, place, title, context, answers)


@contextlib.contextmanager
def _prefixed(prefix: str) -> Iterator[None]:
  try:
    yield
  except ValueError as error:
    raise ValueError(f'{prefix}{error}') from None


def _is_row(line: str) -> bool:
  """Whether a line is the whole JSON object of a question."""
  try:
    return _is_object(json.loads(line), 'context')
  except (ValueError, RecursionError):
    return False


def _is_object(value: Any, key: str) -> bool:
  return isinstance(value, dict) and key in value


def _context(item: Any, place: str) -> str:
  context = _get(item, place, 'context', str)
  if not context.strip():
    raise ValueError(f'{place}: expected a context, found only white space.')
  # All questions on a context share one copy of it.
  return sys.intern(context)


def _question(
  qa: Any, place: str, title: str, context: str, answers: str
) -> Question:
  name = _get(qa, place, 'id', int if _has_number(qa, 'id') else str)
  name = str(name)
  if not name:
    raise ValueError(f'{place}: expected an id, found an empty one.')
  notes = []
  spans = [
    _answer(answer, answer_place, context, notes)
    for answer_place, answer in _items(qa, place, 'answers', default=[])
  ]
  spans = [span for span in spans if span is not None]
  impossible = _get(qa, place, 'is_impossible', bool, default=False)
  if impossible and spans:
    spans = []
    notes.append('answers of an impossible question left out')
  if 'is_impossible' in qa and not impossible and not spans:
    notes.append('no answer, though not marked as impossible')
  alternatives = [[span] for span in spans]
  if answers == 'spans' and spans:
    alternatives = [_parts(spans, notes)]
  question = _get(qa, place, 'question', str)
  if not question.strip():
    notes.append('question of only white space')
  return Question(name, title, question, context, alternatives, notes)


def _answer(
  answer: Any, place: str, context: str, notes: list[str]
) -> Answer | None:
  text = _get(answer, place, 'text', str)
  start = _get(answer, place, 'answer_start', int)
  if not text.strip():
    notes.append('empty answer left out')
    return None
  answer, note = find_answer(text, start, context)
  if note:
    notes.append(note)
  return answer


def _parts(spans: list[Answer], notes: list[str]) -> list[Answer]:
  """Returns the spans of one answer without repetitions."""
  parts = list(dict.fromkeys(spans))
  if len(parts) < len(spans):
    notes.append('a span that an answer has twice left out')
  placed = sorted(
    (part.start, part.start + len(part.text))
    for part in parts
    if part.start >= 0
  )
  if any(
    end > start
    for (_, end), (start, _) in zip(placed[:-1], placed[1:], strict=True)
  ):
    notes.append('spans of one answer overlap')
  return parts


def _has_number(item: Any, key: str) -> bool:
  return isinstance(item, dict) and type(item.get(key)) is int


_KINDS = {
  str: 'a text',
  list: 'a list',
  int: 'a whole number',
  bool: 'true or false',
}


def _items(
  item: Any, place: str, key: str, default: list | None = None
) -> Iterator[tuple[str, Any]]:
  """Yields the path in the file and the value of each element of a list."""
  prefix = '' if place in ('the file', 'the row') else f'{place}.'
  for i, value in enumerate(_get(item, place, key, list, default)):
    yield f'{prefix}{key}[{i}]', value


def _get(
  item: Any, place: str, key: str, kind: type, default: Any = None
) -> Any:
  """Returns `item[key]` after checking its type, or else the default."""
  if not isinstance(item, dict):
    raise ValueError(
      f'{place}: expected an object with {key!r}, found {reprlib.repr(item)}.'
    )
  value = item.get(key)
  if value is None and default is not None:  # null is as good as nothing.
    return default
  # `isinstance` would take true as an int.
  if type(value) is not kind:
    found = reprlib.repr(value) if key in item else 'none'
    raise ValueError(
      f'{place}: expected {_KINDS[kind]} {key!r}, found {found}.'
    )
  if isinstance(value, str):
    try:
      check_unicode(value, key)
    except ValueError as error:
      raise ValueError(f'{place}: {error}') from None
  return value
