"""Windows of a context with a question, and the positions of its answers."""

from __future__ import annotations

from collections.abc import Iterator
from collections.abc import Mapping
from collections.abc import Sequence
from typing import Any
from typing import NamedTuple
from typing import Protocol

import numpy as np
import tokenizers

from dicejax.text.tokenizer import cls_place

_CHUNK = 1000  # Questions that are encoded at a time, to bound the memory.

# Values of `allowed`; other positions, which have 0, do not answer.
IN_PIECE, ON_CLS = 1, 2

Feature = Mapping[str, np.ndarray]


class Answer(NamedTuple):
  """A span of a context.

  Attributes:
    text: its text.
    start: the position of its first character in the context, or -1.
  """

  text: str
  start: int


class Question(Protocol):
  """A question on a context, which may have answers to learn.

  Attributes:
    question: the text of the question.
    context: the text that may hold the answer.
    answers: alternatives, each the list of the spans that are the answer.
  """

  @property
  def question(self) -> str: ...

  @property
  def context(self) -> str: ...

  @property
  def answers(self) -> list[list[Answer]]: ...


def make_windows(
  tokenizer: tokenizers.Tokenizer,
  questions: Sequence[Question],
  *,
  max_length: int,
  max_question: int,
  stride: int,
  unanswerable: bool,
) -> list[dict[str, np.ndarray]]:
  """Makes windows `[CLS] question [SEP] piece of context [SEP]`.

  The tokenizer may have other special tokens, and [CLS] at the end.

  Args:
    tokenizer: without truncation.
    questions: with or without answers.
    max_length: largest number of sub-words of a window.
    max_question: largest number of sub-words of a question; it is cut there.
    stride: sub-words between the beginnings of two pieces, which overlap if
      pieces are longer; never more than a piece has.
    unanswerable: whether a question without an answer is learnt, as [CLS].

  Returns:
    Per window, int32 `[sub-words]`: `tokens`; `segments`; `allowed`, `ON_CLS`,
    `IN_PIECE` or 0; `starts` and `ends`, 1 where an answer that is whole in the
    window starts and ends, or on [CLS] if there is none; all 0 if the question
    is not learnt. And for decoding: `example`, the number of the question;
    `first`, the first sub-word of the piece; `offsets` `[sub-words of the
    piece, 2]`, their characters; `spans` `[answers, 3]`, the number in
    `learnt_spans`, first and last sub-word; `cut`, 1 if the question is cut.
  """
  features, cls = [], cls_place(tokenizer)
  for start in range(0, len(questions), _CHUNK):
    chunk = questions[start : start + _CHUNK]
    contexts = _encode(tokenizer, dict.fromkeys(q.context for q in chunk))
    offsets = {
      context: np.array(encoding.offsets, np.int32).reshape(-1, 2)
      for context, encoding in contexts.items()
    }
    asked = _encode(tokenizer, dict.fromkeys(q.question for q in chunk))
    for i, question in enumerate(chunk, start=start):
      short = _cut(tokenizer, question.question, asked, max_question)
      ids = {
        'example': np.int32(i),
        'cut': np.int32(short is not asked[question.question]),
      }
      whole = tokenizer.post_process(short, contexts[question.context])
      for window in _windows(
        question,
        whole,
        offsets[question.context],
        cls,
        max_length=max_length,
        stride=stride,
        unanswerable=unanswerable,
      ):
        features.append(window | ids)
  return features


def learnt_spans(question: Question) -> list[Answer]:
  """Returns the answer that is learnt.

  Returns:
    The spans that are in the context, of the first alternative with any; [] if
    no alternative has any.
  """
  for spans in question.answers:
    placed = [span for span in spans if span.start >= 0]
    if placed:
      return placed
  return []


def read_span(context: str, feature: Feature, first: int, last: int) -> Answer:
  """Returns the text from one sub-word of a window to another, inclusive."""
  start = int(feature['offsets'][first - feature['first'], 0])
  text = context[start : int(feature['offsets'][last - feature['first'], 1])]
  start += len(text) - len(text.lstrip())
  return Answer(text.strip(), start)


def count_losses(
  questions: Sequence[Question], features: Sequence[Feature], *, max_answer: int
) -> dict[str, int]:
  """Counts what the questions lost in their windows.

  Returns:
    Counts of learnt answers: `lost`, whole in no window; `long`, longer than
    `max_answer` sub-words; `wide`, read with more characters, up to the borders
    of sub-words. Counts of questions: `cut`; `no_place`, with answers that are
    not in the context; `no_answer`.
  """
  # Per question: number of the answer → a window that has all of it.
  found = [{} for _ in questions]
  for feature in features:
    for span, first, last in feature['spans']:
      found[feature['example']][span] = feature, first, last
  answers = [learnt_spans(question) for question in questions]
  lost = sum(map(len, answers)) - sum(map(len, found))
  wide = long = 0
  for question, spans, places in zip(questions, answers, found, strict=True):
    for span, (feature, first, last) in places.items():
      read = read_span(question.context, feature, first, last)
      wide += read.text != spans[span].text.strip()
      long += int(last - first >= max_answer)
  return {
    'cut': len({int(f['example']) for f in features if f['cut']}),
    'lost': lost,
    'long': long,
    'wide': wide,
    'no_place': sum(
      bool(question.answers) and not spans
      for question, spans in zip(questions, answers, strict=True)
    ),
    'no_answer': sum(not question.answers for question in questions),
  }


def _encode(tokenizer, texts) -> dict[str, tokenizers.Encoding]:
  encodings = tokenizer.encode_batch(list(texts), add_special_tokens=False)
  return dict(zip(texts, encodings, strict=True))


def _cut(tokenizer, text, encodings, limit) -> tokenizers.Encoding:
  """Encodes a text, or as much of its beginning as the limit allows."""
  encoding = encodings[text]
  if len(encoding) <= limit:
    return encoding
  # `Encoding.truncate` would keep the rest, for windows of its own. A beginning
  # may have other sub-words than within the text, and more: it is then cut
  # further.
  for n in range(limit, 0, -1):
    short = tokenizer.encode(
      text[: encoding.offsets[n - 1][1]], add_special_tokens=False
    )
    if len(short) <= limit:
      return short
  return tokenizer.encode('', add_special_tokens=False)


def _windows(
  question, whole, offsets, cls, *, max_length, stride, unanswerable
) -> Iterator[dict[str, Any]]:
  """Yields the windows of a question and its whole, encoded context."""
  # The tokenizer's own truncation gives the context the segment of the question
  # in windows after the first.
  tokens = np.array(whole.ids, np.int32)
  segments = np.array(whole.type_ids, np.int32)
  size, answer = len(offsets), learnt_spans(question)
  spans = _sub_words(answer, offsets)
  is_learnt = bool(answer) or (unanswerable and not question.answers)
  first = whole.sequence_ids.index(1) if size else len(tokens)
  room = max_length - (len(tokens) - size)
  for begin in _begins(size, room, stride):
    end = min(begin + room, size)
    kept = np.ones(len(tokens), bool)
    kept[first : first + begin] = kept[first + end : first + size] = False
    inside = spans[(spans[:, 1] >= begin) & (spans[:, 2] < end)]
    inside = inside + np.array([0, first - begin, first - begin], np.int32)
    allowed, starts, ends = np.zeros((3, kept.sum()), np.int32)
    allowed[first : first + end - begin] = IN_PIECE
    allowed[cls] = ON_CLS
    if is_learnt:
      starts[inside[:, 1] if len(inside) else cls] = 1
      ends[inside[:, 2] if len(inside) else cls] = 1
    yield {
      'tokens': tokens[kept],
      'segments': segments[kept],
      'allowed': allowed,
      'starts': starts,
      'ends': ends,
      'first': np.int32(first),
      'offsets': offsets[begin:end],
      'spans': inside,
    }


def _begins(size: int, room: int, stride: int) -> list[int]:
  """Returns where windows begin that have `room` for a text of that size."""
  step = min(stride, room)  # Leaves no sub-word out between windows.
  return [i * step for i in range(1 + max(0, -(-(size - room) // step)))]


def _sub_words(spans: Sequence[Answer], offsets: np.ndarray) -> np.ndarray:
  """Returns number, first and last sub-word of spans, `[spans with any, 3]`."""
  rows = []
  for i, span in enumerate(spans):
    text = span.text.lstrip()
    start = span.start + len(span.text) - len(text)
    # The beginnings and ends of sub-words are sorted.
    first = np.searchsorted(offsets[:, 1], start, side='right')
    last = np.searchsorted(offsets[:, 0], start + len(text.rstrip())) - 1
    if first <= last:
      rows.append((i, first, last))
  return np.array(rows, np.int32).reshape(-1, 3)
