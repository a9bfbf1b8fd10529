"""Joins ontologies by the UMLS identifiers of their terms."""

import collections

from dicejax.concepts.ontology.terms import Ontology
from dicejax.concepts.ontology.terms import Term
from dicejax.concepts.ontology.terms import assemble
from dicejax.concepts.ontology.terms import umls_ids
from dicejax.concepts.ontology.terms import unique


def merge(first: Ontology, *others: Ontology) -> Ontology:
  """Joins ontologies: terms with the same UMLS identifier become one.

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
  """Assigns each UMLS identifier to one term."""
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
