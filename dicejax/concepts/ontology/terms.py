"""Terms and the ontology that they make, whatever file they come from."""

import collections
import dataclasses
import itertools
import os
import re
from collections.abc import Iterable
from collections.abc import Mapping
from typing import NamedTuple

Path = str | os.PathLike[str]
Link = tuple[str, str]  # from a term to its parent

# One xref of the Human Phenotype Ontology lacks the C of its identifier.
_UMLS = re.compile(r'UMLS(?:_?CUI)?:C?(\d{7})', re.IGNORECASE)


class OntologyError(ValueError):
  """Raised for a file without terms, and for terms that do not fit together."""


class Term(NamedTuple):
  """A concept.

  Attributes:
    id: its identifier, such as `'HP:0001640'`.
    name: its preferred name.
    synonyms: other names that mean the same or something narrower.
    parents: ids of the more general concepts right above it.
    xrefs: ids of the same concept elsewhere, such as `'UMLS:C0018800'`.
    types: UMLS semantic types, such as `'T047'` (disease or syndrome).
  """

  id: str
  name: str
  synonyms: tuple[str, ...] = ()
  parents: tuple[str, ...] = ()
  xrefs: tuple[str, ...] = ()
  types: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True)
class Ontology:
  """Terms, and counts of what was left out when they were read.

  Attributes:
    terms: the live terms by id, in the order of the file. Their positions are
      the vocabulary of concept sets. Parents are terms, and make no cycle.
    alternatives: other ids of a term (alternative, replaced, merged) to its id;
      none of them is the id of a term.
    equivalents: pairs of ids of different terms that are synonyms.
    skipped: counts of what was left out, by reason; a reason reads on after its
      count: "3 obsolete terms".

  Raises:
    OntologyError: an alternative or an equivalent is not a term.

  Example:
    >>> heart = Term('X:1', 'abnormal heart')
    >>> large = Term('X:2', 'cardiomegaly', parents=('X:1',))
    >>> list(Ontology({'X:1': heart, 'X:2': large}).terms)
    ['X:1', 'X:2']
  """

  terms: dict[str, Term]
  alternatives: dict[str, str] = dataclasses.field(default_factory=dict)
  equivalents: tuple[tuple[str, str], ...] = ()
  skipped: dict[str, int] = dataclasses.field(default_factory=dict)

  def __post_init__(self):
    for alias, id in self.alternatives.items():
      if id not in self.terms:
        raise OntologyError(
          f'alternative id {alias} points to {id}, which is not a term.'
        )
    for id in itertools.chain.from_iterable(self.equivalents):
      if id not in self.terms:
        raise OntologyError(f'{id} is among the equivalents, but not a term.')


def umls_ids(term: Term) -> tuple[str, ...]:
  """Lists the UMLS identifiers among the xrefs of a term, without repeats.

  Example:
    >>> umls_ids(Term('X:1', 'a', xrefs=('UMLS_CUI:C0018800', 'MESH:D006332')))
    ('C0018800',)
  """
  found = (_UMLS.fullmatch(xref) for xref in term.xrefs)
  return unique(f'C{match[1]}' for match in found if match)


def unique(names: Iterable[str]) -> tuple[str, ...]:
  """Lists names in order, without repeats."""
  return tuple(dict.fromkeys(names))


def assemble(
  terms: Mapping[str, Term],
  links: Iterable[Link],
  alternatives: Mapping[str, str],
  skipped: Mapping[str, int],
  *,
  equivalents: Iterable[tuple[str, str]] = (),
) -> Ontology:
  """Makes an ontology of terms and links between them.

  Args:
    terms: the terms; their parents are ignored.
    links: pairs of term and parent. If links make a cycle, the last one goes.
    alternatives: ids of terms by their other ids.
    skipped: counts of what was left out before.
    equivalents: pairs of terms.

  Returns:
    The ontology. A link to an alternative id leads to its term. Links to
    unknown terms, and links that would close a cycle with the links before, are
    left out and counted.
  """
  skipped = collections.Counter(skipped)
  live = []
  for child, parent in links:
    parent = alternatives.get(parent, parent)
    if parent in terms:
      live.append((child, parent))
    else:
      skipped['parents that are not live terms'] += 1
  parents, cyclic = without_cycles(live)
  if cyclic:
    skipped['parents that would close a cycle'] += cyclic
  return Ontology(
    terms={
      id: term._replace(parents=tuple(parents.get(id, ())))
      for id, term in terms.items()
    },
    alternatives=dict(alternatives),
    equivalents=tuple(equivalents),
    skipped=dict(skipped),
  )


def without_cycles(links: Iterable[Link]) -> tuple[dict[str, list[str]], int]:
  """Keeps each link that closes no cycle with the links kept before it.

  Args:
    links: pairs of term and parent; repeats are one link.

  Returns:
    The parents of each term that has any, in order, and the number of links
    that were left out. The time is nearly linear, see `_leads_to`.

  Example:
    >>> without_cycles([('a', 'b'), ('b', 'c'), ('c', 'a'), ('a', 'c')])
    ({'a': ['b', 'c'], 'b': ['c']}, 1)
  """
  above, below = {}, {}
  cyclic = 0
  for child, parent in dict.fromkeys(links):
    if _leads_to(parent, child, above, below):
      cyclic += 1
    else:
      above.setdefault(child, []).append(parent)
      below.setdefault(parent, []).append(child)
  return above, cyclic


def _leads_to(low, high, above, below) -> bool:
  """Tells whether a path of parents leads from `low` to `high`."""
  if low == high:
    return True
  if low not in above or high not in below:
    return False
  # A step up from `low` and a step down from `high`, in turn: whichever side is
  # small ends the search. Either alone is quadratic for a long chain that comes
  # in the wrong order.
  up = ([low], {low}, above, high)
  down = ([high], {high}, below, low)
  while True:
    for stack, seen, links, goal in (up, down):
      if not stack:
        return False
      for term in links.get(stack.pop(), ()):
        if term == goal:
          return True
        if term not in seen:
          seen.add(term)
          stack.append(term)
