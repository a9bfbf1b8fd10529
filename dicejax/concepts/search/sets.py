"""Concept sets as arrays of numbers, which devices can compare."""

import dataclasses
from collections.abc import Iterable
from collections.abc import Mapping
from collections.abc import Sequence

import jax
import numpy as np

from dicejax.concepts.ontology import Ontology
from dicejax.concepts.search.findings import Findings


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class ConceptSets:
  """The concepts of n reports as numbers from 0.

  Attributes:
    positive: `[n, P]` int32, concepts that a report says are there: distinct
      numbers, then -1.
    negative: `[n, N]` int32, concepts that it says are not; both may overlap.

  Example:
    >>> sets = ConceptSets.from_ids([[3, 1, 3], []], [[0], [2]])
    >>> sets.positive.tolist()
    [[1, 3], [-1, -1]]
  """

  positive: jax.typing.ArrayLike
  negative: jax.typing.ArrayLike

  @classmethod
  def from_ids(
    cls,
    positive: Sequence[Iterable[int]],
    negative: Sequence[Iterable[int]],
  ) -> 'ConceptSets':
    """Pads the sets of each report; raises ValueError for negative ids."""
    if len(positive) != len(negative):
      raise ValueError(
        f'{len(positive)} positive sets, but {len(negative)} negative ones.'
      )
    return cls(_padded(positive), _padded(negative))

  def __len__(self) -> int:
    return len(self.positive)

  def __getitem__(self, rows) -> 'ConceptSets':
    """Some of the reports: a slice or an array of row numbers."""
    return jax.tree.map(lambda ids: ids[rows], self)


def concept_sets(
  findings: Sequence[Findings], vocabulary: Mapping[str, int] | Ontology
) -> ConceptSets:
  """Numbers the concepts of each report.

  Args:
    findings: of each report.
    vocabulary: the number of each concept; in an ontology, its position.

  Raises:
    ValueError: a concept that the vocabulary lacks.

  Example:
    >>> found = [Findings(frozenset('a'), frozenset()), Findings()]
    >>> concept_sets(found, {'a': 5}).positive.tolist()
    [[5], [-1]]
  """
  if isinstance(vocabulary, Ontology):
    vocabulary = {id: row for row, id in enumerate(vocabulary.terms)}
  try:
    return ConceptSets.from_ids(
      [[vocabulary[id] for id in report.present] for report in findings],
      [[vocabulary[id] for id in report.absent] for report in findings],
    )
  except KeyError as error:
    raise ValueError(f'{error.args[0]} is not in the vocabulary.') from None


def _padded(sets):
  rows = [sorted(set(ids)) for ids in sets]
  if any(row and row[0] < 0 for row in rows):
    raise ValueError('Concepts are numbered from 0; a set has a negative one.')
  # Never without a column: a sum over nothing has no shape to broadcast.
  padded = np.full((len(rows), max(map(len, rows), default=0) or 1), -1)
  for row, ids in zip(padded, rows, strict=True):
    row[: len(ids)] = ids
  return padded.astype(np.int32)
