"""Walks through an ontology: more general terms, and components of synonyms."""

import graphlib

from dicejax.concepts.ontology.terms import Ontology
from dicejax.concepts.ontology.terms import OntologyError


def ancestors(ontology: Ontology) -> dict[str, frozenset[str]]:
  """Collects each term and all more general terms.

  Args:
    ontology: the ontology.

  Returns:
    A set for each term, in the order of the terms.

  Raises:
    OntologyError: a parent is not a term, or a term is among its own ancestors
      (in an ontology made by hand; the readers leave such links out).

  Example:
    >>> from dicejax.concepts.ontology import Ontology, Term
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
        raise OntologyError(
          f'{id} has the parent {parent}, which is not a term.'
        )
  try:
    return list(graphlib.TopologicalSorter(above).static_order())
  except graphlib.CycleError as error:
    id = error.args[1][0]
    raise OntologyError(f'{id} is among its own ancestors.') from None


def synonym_components(ontology: Ontology) -> dict[str, str]:
  """Finds the representative of each term among its synonyms.

  Synonyms of synonyms are synonyms: the connected components of the graph of
  `equivalents`. (The published code of Nützel et al. follows a breadth-first
  tree in its place, which depends on the order of the neighbours.)

  Args:
    ontology: the ontology.

  Returns:
    For every term the first one, in the order of the terms, of its component;
    for a term without a synonym itself.

  Example:
    >>> from dicejax.concepts.ontology import Ontology, Term
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
