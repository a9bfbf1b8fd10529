"""Labels of reports from the labelled reports that are most like them.

For a rare label there are too few reports to train a model, but one report that
has it may be enough to find the others (Nützel et al., `Ontology-based concept
distillation for radiology report retrieval and labeling
<https://arxiv.org/abs/2508.19915>`_, 2025).
"""

import math
from collections.abc import Collection
from collections.abc import Iterable
from collections.abc import Mapping
from collections.abc import Sequence
from typing import NamedTuple

from dicejax.concepts.labels.labelled import learnable
from dicejax.concepts.search.index import ReportIndex

# Chosen by macro F1 in folds, see the figures in docs/concepts.md.
NEIGHBOURS = 20
SHARE = 0.2


class Neighbour(NamedTuple):
  """A labelled report near another one.

  Attributes:
    id: of the report.
    score: similarity of what is present, see `ReportIndex.search`.
  """

  id: str
  score: float


class Vote(NamedTuple):
  """How many neighbours have a label.

  Attributes:
    share: of the votes, in (0, 1].
    neighbours: that have the label, the nearest first.
  """

  share: float
  neighbours: tuple[Neighbour, ...]


def label_by_neighbours(
  texts: Iterable[str],
  index: ReportIndex,
  labels: Mapping[str, Collection[str]],
  *,
  k: int = NEIGHBOURS,
  share: float = SHARE,
  min_reports: int = 10,
) -> list[dict[str, Vote]]:
  r"""Gives reports the labels of the labelled reports most like them.

  The k nearest labelled reports vote, the n-th of them with weight
  :math:`1 / \\log_2(n + 1)`. A report that finds nothing to search by has no
  neighbours and no labels. One that is in the index itself is its own nearest.

  Args:
    texts: of reports.
    index: searched with each text; only reports with labels vote.
    labels: names of labels by id of the report in the index. A report that was
      read and has no label has an empty set; ids that the index lacks are
      ignored.
    k: how many neighbours vote.
    share: of the votes that a label needs, in (0, 1].
    min_reports: labels of fewer reports are not given, and neither are those
      that all reports have; `learnable` names them.

  Returns:
    The labels of each text by their share, the largest first.

  Raises:
    ValueError: no report of `labels` is in the index, no label is left, `k` or
      `share` is out of range, or the index has no extractor for texts.

  Example:
    >>> from dicejax.concepts import Linker, Ontology, Reports, Term
    >>> linker = Linker(Ontology({'X:1': Term('X:1', 'edema')}))
    >>> reports = Reports(['a', 'b'], ['Edema.', 'No edema.'], {})
    >>> index = ReportIndex.build(reports, linker)
    >>> labels = {'a': {'wet'}, 'b': set()}
    >>> label_by_neighbours(['Edema!'], index, labels, k=1, min_reports=1)
    [{'wet': Vote(share=1.0, neighbours=(Neighbour(id='a', score=1.0),))}]
  """
  if isinstance(texts, str):
    raise TypeError('texts must be a list of texts, got one text.')
  known = labels_in(index, labels)
  learnt, _ = learnable(known.values(), min_reports)
  known = {id: learnt.keys() & set(names) for id, names in known.items()}
  return [
    vote(nearest(text, index, known, k), known, share=share) for text in texts
  ]


def labels_in(
  index: ReportIndex, labels: Mapping[str, Collection[str]]
) -> dict[str, Collection[str]]:
  """Returns the labels of the reports that the index has.

  Raises:
    ValueError: it has none of them.
  """
  known = {id: names for id, names in labels.items() if id in index}
  if not known:
    raise ValueError('none of the labelled reports is in the index.')
  return known


def nearest(
  text: str, index: ReportIndex, known: Collection[str], k: int
) -> list[Neighbour]:
  """Finds the k reports most like a text among some, the nearest first.

  Args:
    text: of a report; one that finds nothing to search by has no neighbours.
    index: of the reports.
    known: ids of the reports that may be found.
    k: how many to find, at most.
  """
  if k < 1:
    raise ValueError(f'k must be at least 1, got {k}.')
  if not index.side(text).findings:
    return []
  asked = k
  while True:
    hits = index.search(text, asked)
    found = [Neighbour(hit.id, hit.score) for hit in hits if hit.id in known]
    if len(found) >= k or len(hits) < asked:
      return found[:k]
    asked *= 4  # Others stand between them.


def vote(
  neighbours: Sequence[Neighbour],
  labels: Mapping[str, Collection[str]],
  *,
  share: float = SHARE,
) -> dict[str, Vote]:
  """Lets neighbours vote, the n-th with weight 1 / log2(n + 1).

  Args:
    neighbours: the nearest first.
    labels: names of labels by id.
    share: of the votes that a label needs, in (0, 1].

  Returns:
    The labels that have it, by their share, the largest first, then by name.

  Example:
    >>> near = [Neighbour('a', 1.0), Neighbour('b', 0.5)]
    >>> votes = vote(near, {'a': ['mass'], 'b': ['mass', 'edema']})
    >>> {name: round(vote.share, 3) for name, vote in votes.items()}
    {'mass': 1.0, 'edema': 0.387}
  """
  if not 0 < share <= 1:
    raise ValueError(f'share must be above 0 and at most 1, got {share}.')
  weights = [1 / math.log2(rank + 2) for rank in range(len(neighbours))]
  voters = {}
  for place, neighbour in enumerate(neighbours):
    for name in labels[neighbour.id]:
      voters.setdefault(name, []).append(place)
  total = math.fsum(weights)
  votes = {
    name: Vote(
      math.fsum(weights[p] for p in places) / total,
      tuple(neighbours[p] for p in places),
    )
    for name, places in voters.items()
  }
  ordered = sorted(votes, key=lambda name: (-votes[name].share, name))
  return {name: votes[name] for name in ordered if votes[name].share >= share}
