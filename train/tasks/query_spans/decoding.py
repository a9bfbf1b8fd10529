"""Spans that a query finds, from probabilities of starts and ends."""

from collections.abc import Collection
from collections.abc import Iterable
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

THRESHOLDS = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)


class Found(NamedTuple):
  """Probabilities of a query's entities, above the lowest of `THRESHOLDS`.

  Attributes:
    type: the type that the query asks for.
    start: word → probability that it is the first of an entity.
    end: word → probability that it is the last of an entity; without the match
      head all words are here, because the last word of a span may be an
      unlikely end (see `pair_nearest`).
    match: (first, last) → probability that they belong together; None without
      the match head.
  """

  type: str
  start: dict[int, float]
  end: dict[int, float]
  match: dict[tuple[int, int], float] | None


def find_spans(
  found: Found, threshold: float, *, nested: bool = False
) -> list[tuple[int, int]]:
  """Returns the spans between words that are above a threshold.

  Without the match head, starts and ends are paired as in the published code:
  see `pair_nearest`. With it, a span is a start and an end, at the same word or
  later, that match; of spans that overlap, unless `nested`, the one with the
  highest product of the three probabilities is kept.

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

  A start without a later end is a span of one word; an end without a start is
  ignored, and so is a start inside a span; a start at the end of a span cuts it
  short. The published code, which writes and reads tags B, M, E, S, does so.

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


def read_windows(
  type_: str,
  windows: Iterable[tuple[Mapping[str, np.ndarray], Mapping[str, np.ndarray]]],
) -> Found:
  """Returns the probabilities of a sentence by word.

  Args:
    type_: the type that the query asks for.
    windows: the features of its windows, and a row of `QuerySpans.postprocess`
      for each. A word counts in the window that owns it; first and last word of
      an entity in any window that has both.
  """
  found = [read_outputs(type_, feature, row) for feature, row in windows]
  match = None
  if found[0].match is not None:
    match = {}
    for pair, p in (x for one in found for x in (one.match or {}).items()):
      match[pair] = max(p, match.get(pair, 0.0))
  start = {word: p for one in found for word, p in one.start.items()}
  return Found(
    type_, start, {w: p for one in found for w, p in one.end.items()}, match
  )


def read_outputs(
  type_: str,
  feature: Mapping[str, np.ndarray],
  outputs: Mapping[str, np.ndarray],
) -> Found:
  """Returns the probabilities of one input by word.

  Args:
    type_: the type that the query asks for.
    feature: with `words` and `own`, `[sub-words]`: the word that a first
      sub-word begins, else -1; in `own` only those that have their most context
      here.
    outputs: a row of `QuerySpans.postprocess`.
  """
  words, own = feature['words'], feature['own']

  def likely(probabilities, lowest=THRESHOLDS[0]):
    p = probabilities[: len(own)]
    where = np.flatnonzero((own >= 0) & (p > lowest))
    return dict(zip(own[where].tolist(), p[where].tolist(), strict=True))

  match = None
  if 'pair' in outputs:
    kept = outputs['match'] > THRESHOLDS[0]
    start, end = np.divmod(outputs['pair'][kept], len(outputs['start']))
    pairs = zip(words[start].tolist(), words[end].tolist(), strict=True)
    match = dict(zip(pairs, outputs['match'][kept].tolist(), strict=True))
  end = likely(outputs['end'], -1.0 if match is None else THRESHOLDS[0])
  return Found(type_, likely(outputs['start']), end, match)


def span_score(found: Found, start: int, end: int) -> float:
  """Returns the probability of a span that `find_spans` finds.

  It is the product of the probabilities that its first word starts an entity,
  that its last word ends one and, with the match head, that both belong to the
  same one.

  `pair_nearest` may cut a span short at a word without a sub-word, which has no
  probability: the score is 0.
  """
  score = found.start[start] * found.end.get(end - 1, 0.0)
  return score if found.match is None else score * found.match[start, end - 1]
