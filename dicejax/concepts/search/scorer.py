"""The scorer: concept sets of all reports, and what their concepts weigh."""

from collections.abc import Iterable
from collections.abc import Iterator
from collections.abc import Mapping
from collections.abc import Sequence

import numpy as np

from dicejax.concepts.ontology import Ontology
from dicejax.concepts.ontology import corpus_information
from dicejax.concepts.ontology import intrinsic_information
from dicejax.concepts.ontology import synonym_components
from dicejax.concepts.ontology import type_weights
from dicejax.concepts.search.findings import Comparison
from dicejax.concepts.search.findings import Findings
from dicejax.concepts.search.findings import compare
from dicejax.concepts.search.measures import Asymmetric
from dicejax.concepts.search.measures import Measure
from dicejax.concepts.search.measures import Symmetric
from dicejax.concepts.search.measures import on_grid
from dicejax.concepts.search.sets import ConceptSets
from dicejax.concepts.search.sets import concept_sets
from dicejax.concepts.search.similarity import Scores
from dicejax.concepts.search.similarity import score_all

WEIGHTS = ('corpus', 'uniform', 'intrinsic', 'types')
_COLUMNS = 16  # Queries are padded to multiples: each shape is compiled once.


class Scorer:
  """Compares findings with those of all reports.

  Args:
    ontology: the concepts.
    findings: of each report.
    weights: `'corpus'` (rare concepts of the reports weigh most), `'uniform'`,
      `'intrinsic'` (deep concepts of the ontology weigh most), `'types'` (UMLS
      semantic types, as in the paper), or a weight by id; concepts without one
      weigh nothing. Weights are rounded to multiples of 1/64.
    measure: makes a score of what two sets share and do not share.

  Attributes:
    sets: the findings of the reports as numbers.
    measure: the measure.
    weights: `[V]` float32, of the concepts in the order of the ontology.
    weight_by_id: the same by concept.
    synonym_by_id: the representative of each concept's synonyms, if the
      ontology has synonymous concepts.

  Raises:
    ValueError: all weights are 0, or one of them is negative or not finite.

  Example:
    >>> from dicejax.concepts.ontology import Term
    >>> ontology = Ontology({id: Term(id, id) for id in 'ab'})
    >>> reports = [Findings(frozenset('a')), Findings(frozenset('ab'))]
    >>> scorer = Scorer(ontology, reports, weights='uniform')
    >>> next(scorer.rank(reports[1]))[:2]
    (1, 1.0)
  """

  def __init__(
    self,
    ontology: Ontology,
    findings: Sequence[Findings],
    *,
    weights: str | Mapping[str, float] = 'corpus',
    measure: Measure = Asymmetric(),  # noqa: B008 -- immutable.
  ):
    ids = list(ontology.terms)
    self._names = {id: term.name for id, term in ontology.terms.items()}
    self._rows = {id: row for row, id in enumerate(ids)}
    self.measure = measure
    self.sets = concept_sets(findings, self._rows)
    self.weights = on_grid(_weights(ontology, findings, weights))
    if not self.weights.any():
      raise ValueError(f'weights={weights} gives no concept any weight.')
    self.weight_by_id = dict(zip(ids, self.weights.tolist(), strict=True))
    self.synonym_by_id = self._synonyms = None
    if ontology.equivalents:
      self.synonym_by_id = synonym_components(ontology)
      rows = [self._rows[self.synonym_by_id[id]] for id in ids]
      self._synonyms = np.array(rows)

  def rank(self, query: Findings) -> Iterator[tuple[int, float, float]]:
    """Yields all reports, the best first; equals in the order of the reports.

    They are ordered by the score of what is present, then by the score of what
    is absent. If the query finds nothing present that weighs, the reports whose
    findings weigh least come first.

    Returns:
      For each report its row, the score of what is present and the score of
      what is absent.
    """
    found = self._score(self._as_sets(query), self.sets)
    positive, negative, order = (np.asarray(part)[0] for part in found)
    rows = np.lexsort((-negative, -order))
    scores = (part[rows].tolist() for part in (positive, negative))
    return zip(rows.tolist(), *scores, strict=True)

  def score(self, query: Findings, candidate: Findings) -> tuple[float, float]:
    """Scores what is present and what is absent in two reports."""
    found = self._score(self._as_sets(query), self._as_sets(candidate))
    return float(found.positive[0, 0]), float(found.negative[0, 0])

  def compare(self, query: Findings, candidate: Findings) -> Comparison:
    """Compares two reports by name; the heaviest concepts come first."""
    found = compare(query, candidate, self.synonym_by_id)
    return Comparison(*map(tuple, map(self.heaviest_first, found)))

  def heaviest_first(self, ids: Iterable[str]) -> list[str]:
    """Sorts concepts by weight, then by name."""

    def key(id):
      return -self.weight_by_id[id], self._names[id], id

    return sorted(ids, key=key)

  def formula(self, query: Findings, candidate: Findings) -> str:
    """Fills the measure's formula with the numbers of two reports.

    Measures other than `Asymmetric` and `Symmetric` give `''`.

    Example:
      >>> from dicejax.concepts.ontology import Term
      >>> ontology = Ontology({id: Term(id, id) for id in 'abc'})
      >>> one, other = Findings(frozenset('ab')), Findings(frozenset('bc'))
      >>> scorer = Scorer(ontology, [], weights={'a': 1, 'b': 2, 'c': 0.5})
      >>> scorer.formula(one, other)
      '2 / (2 + 0.1 * 0.5 + 0.9 * 1)'
    """
    found = compare(query, candidate, self.synonym_by_id)
    groups = found.shared, found.extra, found.missing
    both, extra, missing, against = (
      format_number(sum(self.weight_by_id[id] for id in ids))
      for ids in (*groups, query.present & query.absent)
    )
    if not isinstance(self.measure, (Asymmetric, Symmetric)):
      return ''
    alpha, beta = map(format_number, (self.measure.alpha, self.measure.beta))
    if isinstance(self.measure, Asymmetric):
      return f'{both} / ({both} + {alpha} * {extra} + {beta} * {missing})'
    rest = format_number(1 - self.measure.alpha)
    return (
      f'{both} / ({both} + {beta} * ({alpha} * min({extra}, {missing}) + '
      f'{rest} * max({extra}, {missing})) + {against})'
    )

  def _score(self, queries, pool) -> Scores:
    return score_all(
      queries,
      pool,
      self.weights,
      measure=self.measure,
      synonyms=self._synonyms,
    )

  def _as_sets(self, findings) -> ConceptSets:
    sets = concept_sets([findings], self._rows)
    return ConceptSets(_pad(sets.positive), _pad(sets.negative))


def format_number(value: float) -> str:
  """Formats a number with at most six digits after the point.

  Multiples of 1/64, as weights are, are exact with six digits.

  Example:
    >>> format_number(1 / 64), format_number(3)
    ('0.015625', '3')
  """
  return f'{value:.6f}'.rstrip('0').rstrip('.')


def _pad(ids) -> np.ndarray:
  missing = -ids.shape[1] % _COLUMNS
  return np.pad(ids, ((0, 0), (0, missing)), constant_values=-1)


def _weights(ontology, findings, weights) -> list[float]:
  if isinstance(weights, str):
    weights = _named_weights(ontology, findings, weights)
  return [weights.get(id, 0) for id in ontology.terms]


def _named_weights(ontology, findings, name) -> Mapping[str, float]:
  if name == 'corpus':
    return corpus_information(ontology, [said.present for said in findings])
  if name == 'uniform':
    return dict.fromkeys(ontology.terms, 1.0)
  if name == 'intrinsic':
    return intrinsic_information(ontology)
  if name == 'types':
    return type_weights(ontology)
  raise ValueError(
    f'weights must be one of {", ".join(WEIGHTS)}, got {name!r}.'
  )
