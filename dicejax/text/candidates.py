"""Candidates for an answer: the best spans over the windows of a context."""

from __future__ import annotations

from collections.abc import Mapping
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from dicejax.text import windows


class Candidate(NamedTuple):
  """A span that may be the answer: text, first character and score."""

  text: str
  start: int
  score: float

  @property
  def end(self) -> int:
    return self.start + len(self.text)


def find_candidates(
  context: str,
  outputs: Sequence[tuple[windows.Feature, Mapping[str, np.ndarray]]],
  *,
  n_best: int,
  max_answer: int,
  several: bool = False,
) -> list[Candidate]:
  """Finds the spans with the highest scores, each once.

  Args:
    context: the text.
    outputs: its windows, each with the `scores` and `positions` `[2, n]` of
      starts and ends. A score of -inf stands for no position.
    n_best: largest number of spans per window, and in all.
    max_answer: largest number of sub-words of a span.
    several: whether the answer may be several spans. Scores are then
      probabilities, spans do not overlap, and none contains a likely (1/2)
      start or end of another.

  Returns:
    At most `n_best` candidates, the best first.
  """
  best = {}  # Span → score, as windows overlap.
  for feature, output in outputs:
    spans = _window_spans(output, max_answer, several)
    spans = _take_apart(spans, n_best) if several else spans[:n_best].tolist()
    for score, first, last in spans:
      span = windows.read_span(context, feature, int(first), int(last))
      if span.text and score > best.get(span, -np.inf):
        best[span] = score
  candidates = [
    Candidate(span[0], span[1], score) for span, score in best.items()
  ]
  # Among equal scores, the first and then the shortest comes first.
  candidates.sort(key=lambda c: (-c.score, c.start, len(c.text)))
  return (keep_apart(candidates) if several else candidates)[:n_best]


def keep_apart(candidates: Sequence[Candidate]) -> list[Candidate]:
  """Keeps the candidates that overlap none of those kept before them."""
  kept = []
  for candidate in candidates:
    if all(
      candidate.end <= other.start or other.end <= candidate.start
      for other in kept
    ):
      kept.append(candidate)
  return kept


def best_span_threshold(
  scores: Sequence[Sequence[float]], values: Sequence[Sequence[float]]
) -> float | None:
  """Finds the score that a candidate needs to be given beside the best one.

  Args:
    scores: per question, the scores of its candidates, in descending order.
    values: per question, the value of giving its first candidate, its first
      two, ...

  Returns:
    The threshold with the highest mean value, the largest of several; above all
    scores if it is best to give one. None if no question has two candidates.
  """
  others = np.array([score for row in scores for score in row[1:]])
  if not len(others):
    return None
  changes = np.concatenate([np.diff(row) for row in values])
  order = np.argsort(-others, kind='stable')
  others, gains = others[order], np.cumsum(changes[order])
  # Equal scores cannot be separated: a cut comes after the last of them.
  cuts = np.append(np.flatnonzero(others[1:] != others[:-1]), len(others) - 1)
  best = cuts[np.argmax(gains[cuts])]
  return float(others[best] if gains[best] > 0 else others[0] + 1)


def _window_spans(
  output: Mapping[str, np.ndarray], max_answer: int, several: bool
) -> np.ndarray:
  """Returns score, first and last sub-word of a window's spans, best first."""
  (starts, ends), (first, last) = output['scores'], output['positions']
  scores = starts[:, None] + ends
  length = last - first[:, None] + 1
  fits = (length >= 1) & (length <= max_answer) & (scores > -np.inf)
  if several:
    fits &= ~_holds_another(starts, ends, first, last)
  i, j = np.nonzero(fits)
  spans = np.stack([scores[i, j], first[i], last[j]], axis=-1)
  return spans[np.argsort(-spans[:, 0], kind='stable')]


def _take_apart(spans: np.ndarray, n_best: int) -> list[list[float]]:
  """Returns the best spans of a window that overlap no better one."""
  taken = []
  while len(spans) and len(taken) < n_best:
    taken.append(spans[0].tolist())
    _, first, last = taken[-1]
    spans = spans[(spans[:, 2] < first) | (spans[:, 1] > last)]
  return taken


def _holds_another(starts, ends, first, last) -> np.ndarray:
  """Returns whether spans contain another likely start or end.

  Returns:
    bool `[starts, ends]`, for the span from each start to each end.
  """
  other_starts, other_ends = first[starts >= 0.5], last[ends >= 0.5]
  first, last = first[:, None, None], last[:, None]
  begins = (first < other_starts) & (other_starts <= last)
  stops = (first <= other_ends) & (other_ends < last)
  return begins.any(-1) | stops.any(-1)
