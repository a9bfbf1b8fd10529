"""Inputs of a prediction: a text, a pair, words or a question."""

from __future__ import annotations

from collections.abc import Mapping
from collections.abc import Sequence
from typing import Any
from typing import NamedTuple

from dicejax.text.windows import Answer


class Asked(NamedTuple):
  """A question on a context, without an answer.

  Attributes:
    id: its id.
    question: the text of the question.
    context: the text that may hold the answer.
    answers: none.
  """

  id: str
  question: str
  context: str
  answers: list[list[Answer]]


class Input(NamedTuple):
  """Something to predict.

  Attributes:
    text: the text; words that were given are joined by spaces.
    pair: the second text, if there is one.
    words: start and end of each word in the text; None if nothing gave them.
    question: a question on a context, which then is the text.
    line: the number of its first line, if it is from a file.
    fields: other values of its row by name, which the output repeats.
  """

  text: str
  pair: str | None = None
  words: Sequence[tuple[int, int]] | None = None
  question: Asked | None = None
  line: int = 0
  fields: Mapping[str, Any] = {}


def join_words(words: Sequence[str]) -> Input:
  """Joins the words of a sentence by spaces.

  Raises:
    TypeError: they are not a list of texts.

  Example:
    >>> join_words(['Anna', 'works']).words
    [(0, 4), (5, 10)]
  """
  if not isinstance(words, Sequence) or not all(
    isinstance(word, str) for word in words
  ):
    raise TypeError(f'Expected a text or a list of words, not {words!r}.')
  spans, end = [], -1
  for word in words:
    start = end + 1
    end = start + len(word)
    spans.append((start, end))
  return Input(' '.join(words), words=spans)
