"""The best reports for one query, from the postings of its concepts.

Only reports that share a concept with the query are scored, with numpy. Scores
and order are those of `similarity.search_sets`: sums of weights on the grid are
exact in both.
"""

from collections.abc import Iterator
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from dicejax.concepts.search import agreement
from dicejax.concepts.search.findings import Findings
from dicejax.concepts.search.measures import SetCounts
from dicejax.concepts.search.scorer import Scorer
from dicejax.concepts.search.segment import Segment
from dicejax.concepts.search.segment import expand
from dicejax.concepts.text.mentions import Mention


class Ranked(NamedTuple):
  """A report that was found.

  Attributes:
    row: of the report.
    score: of what is present.
    negative_score: of what is absent.
    agreement: of sides and degrees.
  """

  row: int
  score: float
  negative_score: float
  agreement: float


class _Asked(NamedTuple):
  """One of the two sets of a query, in the numbers of `Segment.sets`.

  Attributes:
    numbers: of its concepts.
    forgiven: of their other synonyms.
    weights: `[3V]`, of all numbers that are compared with the set; others 0.
    weight: of the set.
    contradiction: weight of what the query affirms and denies.
  """

  numbers: list[int]
  forgiven: list[int]
  weights: np.ndarray
  weight: float
  contradiction: float


class _Request(NamedTuple):
  """A query in the form that is compared with each segment."""

  there: _Asked
  gone: _Asked
  affirms: bool
  k: int
  modified: list[tuple[int, tuple[str, ...]]]
  require: bool


class Ranker:
  """Finds the best reports of segments.

  Args:
    segments: the reports.
    scorer: compares their findings.
    uncertain: `'ignore'` uncertain mentions or count them as `'present'`.
  """

  def __init__(
    self, segments: Sequence[Segment], scorer: Scorer, uncertain: str
  ):
    self._segments = segments
    self.scorer = scorer
    self._present = (0, 1) if uncertain == 'present' else (0,)
    self._totals = {}

  def best(
    self,
    query: Findings,
    k: int,
    *,
    own: int | None = None,
    modified: Sequence[Mention] = (),
    require: bool = False,
  ) -> list[Ranked]:
    """Finds the k best reports that share a finding with the query.

    They are ordered by the score of what is present, then by the agreement of
    modifiers, then by the score of what is absent, then by row. To a query that
    finds nothing present no report is similar: it gets all that find least. So
    does one whose findings weigh nothing, of those that share one.

    Args:
      query: the findings.
      k: how many, at most.
      own: a row that is left out.
      modified: mentions of the query whose modifiers count.
      require: leaves out reports that do not have these modifiers.
    """
    both = sum(
      self.scorer.weight_by_id[c] for c in query.present & query.absent
    )
    request = _Request(
      self._asked(query.present, self._present, both),
      self._asked(query.absent, (2,), 0),
      bool(query.present),
      k,
      [(self.scorer.places[m.concept], m.modifiers) for m in modified],
      require,
    )
    keys, first = [np.zeros((5, 0))], 0
    for number, segment in enumerate(self._segments):
      keys.append(
        self._rank(number, request, None if own is None else own - first)
      )
      keys[-1][-1] += first
      first += len(segment)
    keys = np.concatenate(keys, axis=1)
    keys = keys[:, np.lexsort(keys[::-1])[:k]]
    score, agrees, _, negative, row = (-keys).tolist()
    return [
      Ranked(-int(row), *rest)
      for row, *rest in zip(row, score, negative, agrees, strict=True)
    ]

  def _asked(self, ids, sides, contradiction) -> _Asked:
    scorer = self.scorer
    size = len(scorer.weights)
    own = sorted(scorer.places[id] for id in ids)
    weights = np.zeros((3, size))
    weights[list(sides)] = scorer.weights
    return _Asked(
      [side * size + concept for side in sides for concept in own],
      [side * size + c for side in sides for c in scorer.synonyms_of(own)],
      weights.ravel(),
      float(weights[sides[0], own].sum()),
      contradiction,
    )

  def _rank(self, number, request, own) -> np.ndarray:
    """Makes sort keys `[5, hits]` of all reports that may be among the best.

    The smallest keys are the best; the last is the row in the segment.
    """
    segment = self._segments[number]
    there, gone = request.there, request.gone
    present, absent = (_sum_postings(segment, asked) for asked in (there, gone))
    rows = np.arange(len(segment))
    if request.affirms:
      shares = (present[0] > 0) | (absent[0] > 0)
      for concept in (*there.numbers, *gone.numbers):
        if not (there.weights[concept] or gone.weights[concept]):
          shares[segment.rows_of(concept)] = True
      rows = np.flatnonzero(shares)
    if own is not None:
      rows = rows[rows != own]
    total = self._total(number, segment, there)[rows]
    score = self._score(there, present, rows, total)
    order = score if there.weight > 0 else -total
    # Modifiers decide between all that have the same score.
    kept = _best(
      score if request.modified else order,
      request.k,
      lambda at: self._fits(segment, rows[at], request),
    )
    rows, score, order = rows[kept], score[kept], order[kept]
    negative = self._score(
      gone, absent, rows, _sum_sets(segment, gone.weights, rows)
    )
    agrees = agreement.agreements(segment, rows, request.modified)
    if request.modified:
      segment.release('mentions')
    return np.stack([-score, -agrees, -order, -negative, rows]).astype(float)

  def _fits(self, segment, rows, request) -> np.ndarray:
    if not request.require:
      return np.ones(len(rows), bool)
    return agreement.have_modifiers(segment, rows, request.modified)

  def _total(self, number, segment, asked) -> np.ndarray:
    """Weighs each report of a segment, once."""
    if number not in self._totals:
      self._totals[number] = _sum_sets(segment, asked.weights)
      segment.release('sets')
    return self._totals[number]

  def _score(self, asked, sums, rows, total) -> np.ndarray:
    shared, forgiven = (part[rows] for part in sums)
    counts = (shared, total - shared - forgiven, asked.weight - shared)
    counts = SetCounts(*(part.astype(np.float32) for part in counts))
    found = self.scorer.measure(counts, np.float32(asked.contradiction))
    return np.asarray(found, np.float32)


def _sum_postings(segment, asked) -> tuple[np.ndarray, np.ndarray]:
  """Weighs what each report shares with a set, and what it is forgiven."""
  shared, forgiven = np.zeros((2, len(segment)))
  for sums, numbers in ((shared, asked.numbers), (forgiven, asked.forgiven)):
    for number in numbers:
      if asked.weights[number]:
        sums[segment.rows_of(number)] += asked.weights[number]
  return shared, forgiven


def _sum_sets(segment, weights, rows=None) -> np.ndarray:
  """Weighs the sets of all reports, or of some."""
  if rows is None:
    numbers, stops = segment.sets, segment.set_stops
  else:
    _, places = expand(segment.set_stops, rows)
    numbers = segment.sets[places]
    lengths = segment.set_stops[rows + 1] - segment.set_stops[rows]
    stops = np.cumsum([0, *lengths])
  sums = np.cumsum(np.concatenate([[0.0], weights[numbers]]))
  return np.diff(sums[stops])


def _best(values, k, fits) -> np.ndarray:
  """Lists places with the k largest values, and all ties, among what fits."""
  kept = np.zeros(0, int)
  for places in _tiers(values, k):
    kept = np.concatenate([kept, places[fits(places)]])
    if len(kept) >= k:
      break
  return kept


def _tiers(values, count) -> Iterator[np.ndarray]:
  """Yields all places, in parts: none has a larger value than those before."""
  above = np.inf
  while count < len(values):
    bound = np.partition(values, -count)[-count]
    yield np.flatnonzero((values >= bound) & (values < above))
    above, count = bound, 8 * count
  yield np.flatnonzero(values < above)
