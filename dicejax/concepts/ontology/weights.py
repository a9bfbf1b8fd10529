"""Weights of concepts, by which a shared concept counts."""

import collections
import math
import types
from collections.abc import Iterable
from collections.abc import Mapping
from collections.abc import Sequence
from typing import NamedTuple

from dicejax.concepts.ontology.graph import ancestors
from dicejax.concepts.ontology.terms import Ontology
from dicejax.concepts.ontology.terms import OntologyError

# Disease or syndrome, pathologic function, finding.
TYPE_WEIGHTS = types.MappingProxyType({'T047': 3.0, 'T046': 2.0, 'T033': 1.0})


class Frequencies(NamedTuple):
  """How often concepts occur.

  Attributes:
    size: the number of documents.
    counts: of those that have a concept or one below it, for each in the order
      of the ontology.
  """

  size: int
  counts: Sequence[int]


def corpus_information(
  ontology: Ontology, documents: Iterable[Iterable[str]]
) -> dict[str, float]:
  r"""Computes the information content of each term in documents.

  .. math::
    IC(c) = -\ln \frac{n_c + 1}{N + 1}

  with :math:`N` documents, of which :math:`n_c` have the concept or one below
  it. The one that is added, as if there were one more document that has them
  all, keeps concepts that never occur finite: theirs is the largest value,
  :math:`\ln(N + 1)`.

  Args:
    ontology: the ontology.
    documents: the ids of the terms of each document; repeats count once.

  Returns:
    The information of every term in nats (natural logarithm), at least 0 and
    never less than that of a parent.

  Raises:
    OntologyError: a document has an id that is not a term.

  Example:
    >>> from dicejax.concepts.ontology import Ontology, Term
    >>> a, b = Term('X:1', 'organ'), Term('X:2', 'heart', parents=('X:1',))
    >>> organs = Ontology({'X:1': a, 'X:2': b})
    >>> corpus_information(organs, [['X:2'], ['X:1'], ['X:1']])
    {'X:1': 0.0, 'X:2': 0.6931471805599453}

  References:
    Resnik, `Using information content to evaluate semantic similarity in a
    taxonomy <https://arxiv.org/abs/cmp-lg/9511007>`_, 1995.
  """
  closures = ancestors(ontology)
  counts, size = collections.Counter(), 0
  for size, document in enumerate(documents, start=1):
    document = set(document)
    for id in document:
      if id not in closures:
        raise OntologyError(f'document {size} has {id}, which is not a term.')
    counts.update(set().union(*(closures[id] for id in document)))
  counts = [counts[id] for id in ontology.terms]
  return information(ontology, Frequencies(size, counts))


def information(
  ontology: Ontology, frequencies: Frequencies
) -> dict[str, float]:
  """Computes `corpus_information` of what was counted before."""
  size, counts = frequencies
  return {
    id: math.log((size + 1) / (count + 1))
    for id, count in zip(ontology.terms, counts, strict=True)
  }


def intrinsic_information(ontology: Ontology) -> dict[str, float]:
  r"""Computes the information content of each term by the leaves below it.

  .. math::
    IC(c) = -\ln \frac{|\mathrm{leaves}(c)|}{|\mathrm{leaves}|}

  A leaf is a term without children; it is below itself. Leaves are sets: one
  that is reached by two paths counts once. (The published code of Nützel et al.
  adds up the children's numbers, so that it counts twice, and the information
  of general concepts may become negative.)

  Args:
    ontology: the ontology.

  Returns:
    The information of every term in nats (natural logarithm): from 0, of a
    term above all leaves, to the logarithm of the number of leaves, of a leaf.

  Example:
    >>> from dicejax.concepts.ontology import Ontology, Term
    >>> a = Term('X:1', 'organ')
    >>> b, c = (Term(id, id, parents=('X:1',)) for id in ('X:2', 'X:3'))
    >>> intrinsic_information(Ontology({t.id: t for t in (a, b, c)}))
    {'X:1': 0.0, 'X:2': 0.6931471805599453, 'X:3': 0.6931471805599453}

  References:
    Sánchez, Batet and Isern, `Ontology-based information content computation
    <https://doi.org/10.1016/j.knosys.2010.10.001>`_, 2011, who compare leaves
    in this way and also divide by the number of ancestors.
  """
  closures = ancestors(ontology)
  parents = {p for term in ontology.terms.values() for p in term.parents}
  leaves = [id for id in ontology.terms if id not in parents]
  below = collections.Counter()
  for leaf in leaves:
    below.update(closures[leaf])
  return {id: math.log(len(leaves) / below[id]) for id in ontology.terms}


def type_weights(
  ontology: Ontology, weights: Mapping[str, float] = TYPE_WEIGHTS
) -> dict[str, float]:
  """Weighs each term by its UMLS semantic type, as in the paper.

  Diseases count 3, pathologic functions 2, findings 1, all others 0. Types come
  from `read_umls`, or from a `merge` with it: without, all weights are 0.

  Args:
    ontology: the ontology.
    weights: type (TUI) to weight, at least 0.

  Returns:
    The weight of every term; with several types the largest counts. (In the
    published code a concept has one type, that of its last row in MRSTY.RRF.)

  Example:
    >>> from dicejax.concepts.ontology import Ontology, Term
    >>> term = Term('C1', 'pneumonia', types=('T033', 'T047'))
    >>> type_weights(Ontology({'C1': term}))
    {'C1': 3.0}

  References:
    Nützel, Dombrowski and Kainz, `arXiv 2508.19915
    <https://arxiv.org/abs/2508.19915>`_, 2025.
  """
  return {
    id: float(max((weights.get(t, 0) for t in term.types), default=0))
    for id, term in ontology.terms.items()
  }
