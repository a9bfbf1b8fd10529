"""Windows of sentences that are longer than the input of a model."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from collections.abc import Sequence
from typing import NamedTuple

import tokenizers

from dicejax.text.tokenizer import first_sub_words

# Neighbouring windows share this part of their length.
_SHARED = 4


class Window(NamedTuple):
  """An input of a tagger: a sentence, or a part of a long one.

  Attributes:
    example: the number of the sentence.
    tokens: ids of sub-words, with those that begin and end an input.
    segments: the segment of each sub-word: 0, but XLNet's [CLS] has another.
    word_ids: the word of each sub-word; None for those that are not its own,
      because another window has more context for them, and for special tokens.
    words: the word that a sub-word begins, or -1.
  """

  example: int
  tokens: list[int]
  segments: list[int]
  word_ids: list[int | None]
  words: list[int]


def make_windows(
  tokenizer: tokenizers.Tokenizer,
  sentences: Sequence[Sequence[str]],
  max_length: int,
) -> Iterator[Window]:
  """Splits sentences into windows that overlap by a quarter.

  Each word belongs to one window, in which it has the most context on its
  shorter side. So it is learnt once and predicted once.

  Args:
    tokenizer: it neither truncates nor pads.
    sentences: the words of each.
    max_length: largest number of sub-words of a window.

  Yields:
    Windows of the first sentence, then of the second, and so on; at least one
    of each.
  """
  encodings = tokenizer.encode_batch(sentences, is_pretokenized=True)
  for example, encoding in enumerate(encodings):
    ids, word_ids = encoding.ids, encoding.word_ids
    segments = encoding.type_ids
    words = first_sub_words(word_ids)
    if len(ids) <= max_length:
      yield Window(example, ids, segments, word_ids, words)
      continue
    start = next(i for i, word in enumerate(word_ids) if word is not None)
    end = len(ids) - next(
      i for i, word in enumerate(reversed(word_ids)) if word is not None
    )
    begin, finish = range(start), range(end, len(ids))
    size = max_length - len(begin) - len(finish)
    spans = split_evenly(end - start, size)
    own = find_owners(word_ids[start:end], spans)
    for number, (first, last) in enumerate(spans):
      inside = range(start + first, start + last)
      is_own = [own[i - start] == number for i in inside]
      kept = [*begin, *inside, *finish]
      yield Window(
        example,
        [ids[i] for i in kept],
        [segments[i] for i in kept],
        _around(begin, _where(word_ids, inside, is_own, None), finish, None),
        _around(begin, _where(words, inside, is_own, -1), finish, -1),
      )


def _where(values, indices, is_own, other) -> list:
  return [
    values[i] if own else other for i, own in zip(indices, is_own, strict=True)
  ]


def _around(begin, values, finish, other) -> list:
  return [*itertools.repeat(other, len(begin)), *values] + [other] * len(finish)


def split_evenly(length: int, size: int) -> list[tuple[int, int]]:
  """Returns start and end of windows, the last of which is full as well."""
  step = max(1, size - size // _SHARED)
  starts = [*range(0, max(length - size, 0), step), max(length - size, 0)]
  return [(start, min(start + size, length)) for start in starts]


def find_owners(
  word_ids: Sequence[int | None], spans: Sequence[tuple[int, int]]
) -> list[int]:
  """Returns, per sub-word, the window of its word, by its first sub-word."""
  owners, last = [], None
  for i, word in enumerate(word_ids):
    if word == last and owners:
      owners.append(owners[-1])
    else:
      owners.append(_owner(i, spans, len(word_ids)))
    last = word
  return owners


def _owner(i: int, spans: Sequence[tuple[int, int]], length: int) -> int:
  def context(number):
    first, last = spans[number]
    if not first <= i < last:
      return -1
    # There is nothing more before the first word and after the last.
    before = i - first if first else length
    after = last - 1 - i if last < length else length
    return min(before, after)

  return max(range(len(spans)), key=context)
