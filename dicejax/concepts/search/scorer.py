"""The scorer: what concepts weigh, and the comparison of two reports."""

from collections.abc import Iterable
from collections.abc import Mapping

import numpy as np

from dicejax.concepts.ontology import Ontology
from dicejax.concepts.ontology import intrinsic_information
from dicejax.concepts.ontology import synonym_components
from dicejax.concepts.ontology import type_weights
from dicejax.concepts.ontology.weights import Frequencies
from dicejax.concepts.ontology.weights import information
from dicejax.concepts.search.findings import Comparison
from dicejax.concepts.search.findings import Findings
from dicejax.concepts.search.findings import compare
from dicejax.concepts.search.measures import Asymmetric
from dicejax.concepts.search.measures import Measure
from dicejax.concepts.search.measures import SetCounts
from dicejax.concepts.search.measures import Symmetric
from dicejax.concepts.search.measures import on_grid

WEIGHTS = ('corpus', 'uniform', 'intrinsic', 'types')


class Scorer:
  """Weighs concepts and compares the findings of two reports.

  Args:
    ontology: the concepts.
    frequencies: of the concepts in all reports; only `'corpus'` needs them.
    weights: `'corpus'` (rare concepts of the reports weigh most), `'uniform'`,
      `'intrinsic'` (deep concepts of the ontology weigh most), `'types'` (UMLS
      semantic types, as in the paper), or a weight by id; concepts without one
      weigh nothing. Weights are rounded to multiples of 1/64.
    measure: makes a score of what two sets share and do not share.

  Attributes:
    measure: the measure.
    weights: `[V]` float32, of the concepts in the order of the ontology.
    weight_by_id: the same by concept.
    places: the positions of the concepts in the ontology.
    synonym_by_id: the representative of each concept's synonyms, if the
      ontology has synonymous concepts.

  Raises:
    ValueError: all weights are 0, or one of them is negative or not finite.

  Example:
    >>> from dicejax.concepts.ontology import Term
    >>> ontology = Ontology({id: Term(id, id) for id in 'ab'})
    >>> scorer = Scorer(ontology, weights='uniform')
    >>> scorer.score(Findings(frozenset('a')), Findings(frozenset('a')))
    (1.0, 0.0)
  """

  def __init__(
    self,
    ontology: Ontology,
    frequencies: Frequencies | None = None,
    *,
    weights: str | Mapping[str, float] = 'corpus',
    measure: Measure = Asymmetric(),  # noqa: B008 -- immutable.
  ):
    self._names = {id: term.name for id, term in ontology.terms.items()}
    self.places = {id: place for place, id in enumerate(ontology.terms)}
    self.measure = measure
    self.weights = on_grid(_weights(ontology, frequencies, weights))
    if not ((self.weights >= 0) & np.isfinite(self.weights)).all():
      raise ValueError('weights must be finite and at least 0.')
    if not self.weights.any():
      raise ValueError(f'weights={weights} gives no concept any weight.')
    values = self.weights.tolist()
    self.weight_by_id = dict(zip(self.places, values, strict=True))
    self.synonym_by_id = self._synonyms = None
    if ontology.equivalents:
      self.synonym_by_id = synonym_components(ontology)
      first = (self.places[id] for id in self.synonym_by_id.values())
      self._synonyms = np.fromiter(first, int)

  def synonyms_of(self, places: list[int]) -> list[int]:
    """Lists the other concepts that are synonyms of some, by position."""
    if self._synonyms is None:
      return []
    found = np.isin(self._synonyms, self._synonyms[places])
    found[places] = False
    return np.flatnonzero(found).tolist()

  def score(self, query: Findings, candidate: Findings) -> tuple[float, float]:
    """Scores what is present and what is absent in two reports."""
    both = self._weigh(query.present & query.absent)
    sides = zip(query, candidate, (both, 0.0), strict=True)
    positive, negative = (self._score(*side) for side in sides)
    return positive, negative

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
      >>> scorer = Scorer(ontology, weights={'a': 1, 'b': 2, 'c': 0.5})
      >>> scorer.formula(one, other)
      '2 / (2 + 0.1 * 0.5 + 0.9 * 1)'
    """
    found = compare(query, candidate, self.synonym_by_id)
    groups = found.shared, found.extra, found.missing
    both, extra, missing, against = (
      format_number(self._weigh(ids))
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

  def _score(self, query, candidate, contradiction) -> float:
    found = compare(Findings(query), Findings(candidate), self.synonym_by_id)
    counts = SetCounts(
      *(
        np.array([self._weigh(ids)], np.float32)
        for ids in (found.shared, found.extra, found.missing)
      )
    )
    return float(self.measure(counts, np.float32(contradiction))[0])

  def _weigh(self, ids) -> float:
    return sum((self.weight_by_id[id] for id in ids), start=0.0)


def format_number(value: float) -> str:
  """Formats a number with at most six digits after the point.

  Multiples of 1/64, as weights are, are exact with six digits.

  Example:
    >>> format_number(1 / 64), format_number(3)
    ('0.015625', '3')
  """
  return f'{value:.6f}'.rstrip('0').rstrip('.')


def _weights(ontology, frequencies, weights) -> list[float]:
  if isinstance(weights, str):
    weights = _named_weights(ontology, frequencies, weights)
  return [weights.get(id, 0) for id in ontology.terms]


def _named_weights(ontology, frequencies, name) -> Mapping[str, float]:
  if name == 'corpus':
    return information(ontology, frequencies)
  if name == 'uniform':
    return dict.fromkeys(ontology.terms, 1.0)
  if name == 'intrinsic':
    return intrinsic_information(ontology)
  if name == 'types':
    return type_weights(ontology)
  raise ValueError(
    f'weights must be one of {", ".join(WEIGHTS)}, got {name!r}.'
  )
