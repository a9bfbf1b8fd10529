"""Questions on paragraphs from files in SQuAD's JSON, v1.1 and v2.0.

  {"data": [{"title": ..., "paragraphs": [{"context": ..., "qas": [
    {"id": ..., "question": ..., "is_impossible": false,
     "answers": [{"text": ..., "answer_start": ...}]}]}]}]}

Other keys, such as the `plausible_answers` of v2.0, are not read. An article
without a title gets its path in the file (`data[3]`) as the title. A question
may lack `answers`, as in a file of questions to answer.

Some files have faults. These rules deal with them, and each leaves a note:
- If an answer is not at its offset, the nearest occurrence of its text is
  taken.
- If its text does not occur, the nearest occurrence that differs only in case
  or white space is taken, with the text of the context. White space must be
  there where the answer has some, except beside Chinese and Japanese
  characters.
- If there is none either, or the offset is negative (as in CMRC), the answer
  has no position (-1). It counts in scores but is not learnt from.
- Empty answers, answers of questions with `is_impossible`, and repeated spans
  of an answer are left out.
"""

import re
import reprlib
from collections.abc import Iterator
from typing import Any
from typing import NamedTuple

from dicejax.text.windows import Answer
from train.data.files import Path
from train.data.files import check_unicode
from train.data.files import read_json

# Ranges of Chinese and Japanese characters, for a character class. These
# scripts do not separate words by spaces.
EAST_ASIAN = r'\u3001-\u30ff\u3400-\u9fff\uf900-\ufaff\uff00-\uffef'
_BESIDE_EAST_ASIAN = re.compile(
  rf'(?<=[{EAST_ASIAN}])\s*(?=\S)|(?<=\S)\s*(?=[{EAST_ASIAN}])'
)


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
      (`path: data[3].paragraphs[0].qas[2]: expected ...`).
  """
  if answers not in ('alternatives', 'spans'):
    raise ValueError(f"answers is 'alternatives' or 'spans', not {answers!r}.")
  data, places = read_json(path), {}
  try:
    for place, question in _questions(data, answers):
      if question.id in places:
        raise ValueError(
          f'{place}: expected an id of its own, found {question.id!r} again, '
          f'the id of {places[question.id]}.'
        )
      places[question.id] = place
      yield question
  except ValueError as error:
    raise ValueError(f'{path}: {error}') from None


def _questions(data: Any, answers: str) -> Iterator[tuple[str, Question]]:
  for article_place, article in _items(data, 'the file', 'data'):
    title = _get(article, article_place, 'title', str, default=article_place)
    for place, paragraph in _items(article, article_place, 'paragraphs'):
      context = _get(paragraph, place, 'context', str)
      if not context.strip():
        raise ValueError(
          f'{place}: expected a context, found only white space.'
        )
      for qa_place, qa in _items(paragraph, place, 'qas'):
        yield qa_place, _question(qa, qa_place, title, context, answers)


def _question(
  qa: Any, place: str, title: str, context: str, answers: str
) -> Question:
  name = _get(qa, place, 'id', str)
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
  if start < 0:
    notes.append('answer without a place (its offset is below 0)')
    return Answer(text, -1)
  if context.startswith(text, start):
    return Answer(text, start)
  found = _nearest(text, context, start)
  if found is not None:
    notes.append('answer moved to the nearest place of its text')
    return found
  found = _nearest_but_for_case(text, context, start)
  if found is not None:
    notes.append('answer found except for case or white space')
    return found
  notes.append('answer not in the context')
  return Answer(text, -1)


def _nearest(text: str, context: str, start: int) -> Answer | None:
  before = context.rfind(text, 0, start + len(text))
  after = context.find(text, start)
  places = [place for place in (before, after) if place >= 0]
  if not places:
    return None
  return Answer(text, min(places, key=lambda place: abs(place - start)))


def _nearest_but_for_case(text: str, context: str, start: int) -> Answer | None:
  # Between Latin words white space must stay: `an other` is not `another`.
  pattern = r'\s*'.join(
    r'\s+'.join(map(re.escape, part.split()))
    for part in _BESIDE_EAST_ASIAN.split(text.strip())
  )
  matches = list(re.finditer(pattern, context, re.IGNORECASE))
  if not matches:
    return None
  match = min(matches, key=lambda match: abs(match.start() - start))
  return Answer(match.group(), match.start())


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
  prefix = '' if place == 'the file' else f'{place}.'
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
  if key not in item and default is not None:
    return default
  value = item.get(key)
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
