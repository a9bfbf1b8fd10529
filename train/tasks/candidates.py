"""Candidates of an answer: the best spans over the windows of a context."""

from collections.abc import Mapping
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from train.tasks import windows


class Candidate(NamedTuple):
  """A span that may be the answer: text, place in the context, score."""

  text: str
  start: int
  score: float

  @property
  def end(self) -> int:
    return self.start + len(self.text)


def find_candidates(
  context: str,
  answered: Sequence[tuple[windows.Feature, Mapping[str, np.ndarray]]],
  *,
  n_best: int,
  max_answer: int,
  several: bool = False,
) -> list[Candidate]:
  """The spans with the highest scores, each once.

  Args:
    context: the text.
    answered: its windows; of each, `scores` and `positions` `[2, n]` of starts
      and ends. A score of -inf is no position.
    n_best: spans of a window, and of all.
    max_answer: sub-words of a span.
    several: scores are probabilities, and all spans may be meant: they do not
      overlap, and none has a likely (1/2) start or end of another in it.

  Returns:
    At most `n_best`, the best first.
  """
  best = {}  # By place: windows overlap.
  for feature, answer in answered:
    spans = _window_spans(answer, max_answer, several)
    spans = _take_apart(spans, n_best) if several else spans[:n_best].tolist()
    for score, first, last in spans:
      span = windows.read_span(context, feature, int(first), int(last))
      if span.text and score > best.get(span, -np.inf):
        best[span] = score
  candidates = [Candidate(*span, score) for span, score in best.items()]
  # Of equal scores, the first and shortest.
  candidates.sort(key=lambda c: (-c.score, c.start, len(c.text)))
  return (keep_apart(candidates) if several else candidates)[:n_best]


def keep_apart(candidates: Sequence[Candidate]) -> list[Candidate]:
  """Those that do not overlap an earlier one that is kept."""
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
  """The score that a candidate needs to be given beside the best.

  Args:
    scores: of each question, those of its candidates, in descending order.
    values: of each question, what giving its first candidate is worth, its
      first two, ...

  Returns:
    The threshold with the highest mean value, of several the largest; above all
    scores where it is best to give one. None if no question has two candidates.
  """
  others = np.array([score for row in scores for score in row[1:]])
  if not len(others):
    return None
  changes = np.concatenate([np.diff(row) for row in values])
  order = np.argsort(-others, kind='stable')
  others, gains = others[order], np.cumsum(changes[order])
  # Equal scores cannot be parted: a cut comes after the last of them.
  cuts = np.append(np.flatnonzero(others[1:] != others[:-1]), len(others) - 1)
  best = cuts[np.argmax(gains[cuts])]
  return float(others[best] if gains[best] > 0 else others[0] + 1)


def _window_spans(
  answer: Mapping[str, np.ndarray], max_answer: int, several: bool
) -> np.ndarray:
  """The spans of a window, the best first: score, first and last sub-word."""
  (starts, ends), (first, last) = answer['scores'], answer['positions']
  scores = starts[:, None] + ends
  length = last - first[:, None] + 1
  fits = (length >= 1) & (length <= max_answer) & (scores > -np.inf)
  if several:
    fits &= ~_holds_another(starts, ends, first, last)
  i, j = np.nonzero(fits)
  spans = np.stack([scores[i, j], first[i], last[j]], axis=-1)
  return spans[np.argsort(-spans[:, 0], kind='stable')]


def _take_apart(spans: np.ndarray, n_best: int) -> list[list[float]]:
  """The best spans of a window that do not overlap a better one."""
  taken = []
  while len(spans) and len(taken) < n_best:
    taken.append(spans[0].tolist())
    _, first, last = taken[-1]
    spans = spans[(spans[:, 2] < first) | (spans[:, 1] > last)]
  return taken


def _holds_another(starts, ends, first, last) -> np.ndarray:
  """Whether spans `[starts, ends]` have a likely start or end in them."""
  other_starts, other_ends = first[starts >= 0.5], last[ends >= 0.5]
  first, last = first[:, None, None], last[:, None]
  begins = (first < other_starts) & (other_starts <= last)
  stops = (first <= other_ends) & (other_ends < last)
  return begins.any(-1) | stops.any(-1)
