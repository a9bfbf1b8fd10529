"""From probabilities of starts and ends to the spans that a query finds."""

from collections.abc import Collection
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

THRESHOLDS = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)


class Found(NamedTuple):
  """What a query finds: probabilities above the lowest of `THRESHOLDS`.

  Attributes:
    type: of the entities.
    start: of words to be the first of one.
    end: of words to be the last of one; without the match head, of all words,
      as the last word of a span may be an unlikely end (see `pair_nearest`).
    match: of (first, last) to belong together; None without the match head.
  """

  type: str
  start: dict[int, float]
  end: dict[int, float]
  match: dict[tuple[int, int], float] | None


def find_spans(
  found: Found, threshold: float, *, nested: bool = False
) -> list[tuple[int, int]]:
  """Spans of the words that are above a threshold.

  Without the match head as the published code has it: see `pair_nearest`. With
  it, a start and an end after it, or at it, that match; of those that overlap,
  unless `nested`, the one with the highest product of the three probabilities.

  Returns:
    First word, and the word after the last, in order.
  """
  starts = {word: p for word, p in found.start.items() if p > threshold}
  ends = {word: p for word, p in found.end.items() if p > threshold}
  if found.match is None:
    return pair_nearest(starts, ends)
  scores = {
    (start, end + 1): p * starts[start] * ends[end]
    for (start, end), p in found.match.items()
    if p > threshold and start in starts and end in ends and start <= end
  }
  if nested:
    return sorted(scores)
  spans = []
  for span in sorted(scores, key=lambda span: (-scores[span], span)):
    if all(span[1] <= start or end <= span[0] for start, end in spans):
      spans.append(span)
  return sorted(spans)


def pair_nearest(
  starts: Collection[int], ends: Collection[int]
) -> list[tuple[int, int]]:
  """Pairs each start with its nearest end, which may be at the same word.

  A start without an end after it is a span of one word, an end without a start
  is nothing, a start within a span is none, and a start at the end of one cuts
  it short: the published code, which writes and reads tags B, M, E, S, does so.

  Returns:
    First word, and the word after the last, in order.

  Example:
    >>> pair_nearest([2, 3, 7], [5])
    [(2, 6), (7, 8)]
    >>> pair_nearest([2, 5], [5])
    [(2, 5), (5, 6)]
  """
  spans, after = [], 0
  for start in sorted(starts):
    if start >= after:
      end = min((end for end in ends if end >= start), default=start)
      after = end if end in starts and end > start else end + 1
      spans.append((start, after))
  return spans


def read_answer(
  type_: str, words: np.ndarray, answer: Mapping[str, np.ndarray]
) -> Found:
  """What a row's answer finds, in words.

  Args:
    type_: what the query asks for.
    words: `[sub-words]`, the word that a first sub-word begins, else -1.
    answer: of `QuerySpans.postprocess`, for one row.
  """

  def likely(probabilities, lowest=THRESHOLDS[0]):
    p = probabilities[: len(words)]
    where = np.flatnonzero((words >= 0) & (p > lowest))
    return dict(zip(words[where].tolist(), p[where].tolist(), strict=True))

  match = None
  if 'pair' in answer:
    kept = answer['match'] > THRESHOLDS[0]
    start, end = np.divmod(answer['pair'][kept], len(answer['start']))
    pairs = zip(words[start].tolist(), words[end].tolist(), strict=True)
    match = dict(zip(pairs, answer['match'][kept].tolist(), strict=True))
  start = likely(answer['start'])
  all_ends = bool(start) and match is None
  end = likely(answer['end'], -1.0 if all_ends else THRESHOLDS[0])
  return Found(type_, start, end, match)


def span_score(found: Found, start: int, end: int) -> float:
  """The probability of a span that `find_spans` finds.

  It is the product of the probabilities that its first word is the start and
  its last word the end of an entity and, with the match head, of one.

  `pair_nearest` may cut a span short at a word without a sub-word, which has no
  probability: the score is 0.
  """
  score = found.start[start] * found.end.get(end - 1, 0.0)
  return score if found.match is None else score * found.match[start, end - 1]
