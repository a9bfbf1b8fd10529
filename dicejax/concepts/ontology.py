"""Ontologies: reading them, making one of several, and weighing their concepts.

An ontology is a set of terms with names and more general parents. The Human
Phenotype Ontology and the Disease Ontology are free OBO files; the UMLS is read
from its RRF files by those who hold a licence. Terms of different files that
carry the same UMLS identifier are one concept.

Weights say how much it matters that two reports share a concept: by how rare it
is among reports, by where it stands, or by its semantic type.
"""

import collections
import graphlib
import math
import types
from collections.abc import Iterable
from collections.abc import Mapping

from dicejax.concepts._obo import read_obo
from dicejax.concepts._terms import Ontology
from dicejax.concepts._terms import OntologyError
from dicejax.concepts._terms import Term
from dicejax.concepts._terms import assemble
from dicejax.concepts._terms import umls_ids
from dicejax.concepts._terms import unique
from dicejax.concepts._umls import read_umls

__all__ = [
  'Ontology',
  'OntologyError',
  'TYPE_WEIGHTS',
  'Term',
  'ancestors',
  'corpus_information',
  'intrinsic_information',
  'merge',
  'read_obo',
  'read_umls',
  'synonym_components',
  'type_weights',
]

# Disease or syndrome, pathologic function, finding.
TYPE_WEIGHTS = types.MappingProxyType({'T047': 3.0, 'T046': 2.0, 'T033': 1.0})


def merge(first: Ontology, *others: Ontology) -> Ontology:
  """Makes one ontology of several: one term for each UMLS identifier.

  In the order of the ontologies, a term joins the term before it that has its
  id (or has it as an alternative), else the one that has the first of its UMLS
  identifiers that is known (xrefs `UMLS:C0018800` or `UMLS_CUI:C0018800`), else
  it is a new term. A joined term keeps the id and the name of the first; names,
  synonyms, xrefs, types and parents follow in order, without repeats, and the
  id that is given up becomes an alternative.

  Where several terms of one ontology carry one UMLS identifier, it links to the
  first of them: terms of one ontology stay apart by it. They do become one if,
  by different identifiers, they join the same term.

  Args:
    first: the ontology whose ids win.
    *others: those whose terms join.

  Returns:
    The ontology. `skipped` adds up; what is left out here, a link that closes a
    cycle with those of the ontologies before, and UMLS identifiers of several
    terms, is added to it.

  Example:
    >>> a = Term('A:1', 'cardiomegaly', xrefs=('UMLS:C0018800',))
    >>> b = Term('B:7', 'enlarged heart', xrefs=('UMLS_CUI:C0018800',))
    >>> both = merge(Ontology({a.id: a}), Ontology({b.id: b}))
    >>> both.terms['A:1'].synonyms, both.alternatives
    (('enlarged heart',), {'B:7': 'A:1'})
  """
  terms, alternatives, known = {}, {}, {}
  links, equivalents = [], {}
  skipped = collections.Counter()
  for ontology in (first, *others):
    skipped.update(ontology.skipped)
    carried = _carried(ontology, skipped)
    new = {}
    for term in ontology.terms.values():
      id = alternatives.get(term.id, term.id)
      if id not in terms:
        id = next((known[u] for u in carried[term.id] if u in known), id)
      new[term.id] = id
      terms[id] = _join(terms[id], term) if id in terms else term
    for id, identifiers in carried.items():
      for identifier in identifiers:
        known.setdefault(identifier, new[id])
    moved = {**new, **{a: new[id] for a, id in ontology.alternatives.items()}}
    for alias, id in moved.items():
      if alias not in terms:
        alternatives.setdefault(alias, id)
    for term in ontology.terms.values():
      links += ((new[term.id], parent) for parent in term.parents)
    for pair in ontology.equivalents:
      one, other = sorted(new[id] for id in pair)
      if one != other:
        equivalents[one, other] = None
  return assemble(terms, links, alternatives, skipped, equivalents=equivalents)


def _carried(ontology, skipped) -> dict[str, list[str]]:
  """The UMLS identifiers that link to each term: a link goes to one term."""
  carried, carriers = {}, collections.Counter()
  for term in ontology.terms.values():
    identifiers = umls_ids(term)
    carried[term.id] = [u for u in identifiers if u not in carriers]
    carriers.update(identifiers)
  if several := sum(n > 1 for n in carriers.values()):
    skipped['UMLS identifiers that several terms of one ontology have'] += (
      several
    )
  return carried


def _join(one: Term, other: Term) -> Term:
  names = unique((one.name, *one.synonyms, other.name, *other.synonyms))
  return one._replace(
    synonyms=names[1:],
    xrefs=unique(one.xrefs + other.xrefs),
    types=unique(one.types + other.types),
  )


def ancestors(ontology: Ontology) -> dict[str, frozenset[str]]:
  """The closure of each term: itself and all that is more general.

  Args:
    ontology: the ontology.

  Returns:
    A set for each term, in the order of the terms.

  Raises:
    OntologyError: a parent is no term, or a term is among its own ancestors
      (of an ontology made by hand; the readers leave such links out).

  Example:
    >>> a, b = Term('X:1', 'organ'), Term('X:2', 'heart', parents=('X:1',))
    >>> sorted(ancestors(Ontology({'X:1': a, 'X:2': b}))['X:2'])
    ['X:1', 'X:2']
  """
  closures = {}
  for id in _upper_first(ontology):
    parents = ontology.terms[id].parents
    closures[id] = frozenset([id]).union(*(closures[p] for p in parents))
  return {id: closures[id] for id in ontology.terms}


def _upper_first(ontology) -> list[str]:
  above = {id: term.parents for id, term in ontology.terms.items()}
  for id, parents in above.items():
    for parent in parents:
      if parent not in above:
        raise OntologyError(f'{id} has the parent {parent}, which is no term.')
  try:
    return list(graphlib.TopologicalSorter(above).static_order())
  except graphlib.CycleError as error:
    id = error.args[1][0]
    raise OntologyError(f'{id} is among its own ancestors.') from None


def synonym_components(ontology: Ontology) -> dict[str, str]:
  """The representative of each term among those that are synonyms of it.

  Synonyms of synonyms are synonyms: the connected components of the graph of
  `equivalents`. (The published code of Nützel et al. follows a breadth-first
  tree in its place, which depends on the order of the neighbours.)

  Args:
    ontology: the ontology.

  Returns:
    For every term the first one, in the order of the terms, of its component;
    for a term without a synonym itself.

  Example:
    >>> terms = {id: Term(id, id) for id in 'abcd'}
    >>> pairs = (('d', 'b'), ('b', 'c'))
    >>> synonym_components(Ontology(terms, equivalents=pairs))
    {'a': 'a', 'b': 'b', 'c': 'b', 'd': 'b'}
  """
  neighbours = {id: [] for id in ontology.terms}
  for one, other in ontology.equivalents:
    neighbours[one].append(other)
    neighbours[other].append(one)
  found = {}
  for first in ontology.terms:
    stack = [first]
    while stack:
      id = stack.pop()
      if id not in found:
        found[id] = first
        stack += neighbours[id]
  return {id: found[id] for id in ontology.terms}


def corpus_information(
  ontology: Ontology, documents: Iterable[Iterable[str]]
) -> dict[str, float]:
  r"""Information content of each term in a collection of documents.

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
    OntologyError: a document has an id that is no term.

  Example:
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
        raise OntologyError(f'Document {size} has {id}, which is no term.')
    counts.update(set().union(*(closures[id] for id in document)))
  return {id: math.log((size + 1) / (counts[id] + 1)) for id in ontology.terms}


def intrinsic_information(ontology: Ontology) -> dict[str, float]:
  r"""Information content of each term by the leaves below it, without a corpus.

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
  """The paper's weight of each term: that of its UMLS semantic type.

  Diseases count 3, pathologic functions 2, findings 1, all others 0. Types come
  from `read_umls`, or from a `merge` with it: without, all weights are 0.

  Args:
    ontology: the ontology.
    weights: type (TUI) to weight, at least 0.

  Returns:
    The weight of every term; with several types the largest counts. (In the
    published code a concept has one type, that of its last row in MRSTY.RRF.)

  Example:
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
