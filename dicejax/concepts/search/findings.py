"""Findings of a report: concepts that are present or absent."""

from collections.abc import Iterable
from collections.abc import Mapping
from typing import NamedTuple

from dicejax.concepts.text.mentions import Mention
from dicejax.concepts.text.mentions import Polarity

UNCERTAIN = ('ignore', 'present')


class Findings(NamedTuple):
  """Concepts of a report. A report that contradicts itself has some in both.

  Attributes:
    present: what the report says is there.
    absent: what it says is not there.
  """

  present: frozenset[str] = frozenset()
  absent: frozenset[str] = frozenset()

  @classmethod
  def of(
    cls, mentions: Iterable[Mention], *, uncertain: str = 'ignore'
  ) -> 'Findings':
    """Collects the findings of a report.

    Mentions of other people, of the past and of what may come do not count.

    Args:
      mentions: of one report.
      uncertain: `'ignore'` uncertain mentions (recommended) or count them as
        `'present'` (as the paper does).

    Example:
      >>> Findings.of([Mention('a', 0, 1, Polarity.ABSENT)])
      Findings(present=frozenset(), absent=frozenset({'a'}))
    """
    if uncertain not in UNCERTAIN:
      raise ValueError(
        f"uncertain must be 'ignore' or 'present', got {uncertain!r}."
      )
    there = {Polarity.PRESENT}
    if uncertain == 'present':
      there.add(Polarity.UNCERTAIN)
    now = [m for m in mentions if m.is_current]
    return cls(
      frozenset(m.concept for m in now if m.polarity in there),
      frozenset(m.concept for m in now if m.polarity is Polarity.ABSENT),
    )

  def __bool__(self) -> bool:
    """Whether the report finds or excludes anything."""
    return bool(self.present or self.absent)

  def overlaps(self, other: 'Findings') -> bool:
    """Whether both find, or both exclude, some concept."""
    return not (
      self.present.isdisjoint(other.present)
      and self.absent.isdisjoint(other.absent)
    )


class Comparison(NamedTuple):
  """Concepts of a query and of a candidate, each in the order of their ids.

  Attributes:
    shared: present in both.
    missing: present in the query only.
    extra: present in the candidate only.
    forgiven: those of the candidate only that are synonyms of one of the
      query's; they do not count.
    contradicting: present in one and absent in the other.
  """

  shared: tuple[str, ...]
  missing: tuple[str, ...]
  extra: tuple[str, ...]
  forgiven: tuple[str, ...]
  contradicting: tuple[str, ...]


def compare(
  query: Findings,
  candidate: Findings,
  synonyms: Mapping[str, str] | None = None,
) -> Comparison:
  """Compares the findings of two reports by name.

  Args:
    query: the report that is asked for.
    candidate: the report that is compared with it.
    synonyms: for each concept, the representative of its synonyms.

  Example:
    >>> one = Findings(frozenset('ab'))
    >>> other = Findings(frozenset('bc'), frozenset('a'))
    >>> found = compare(one, other)
    >>> found.shared, found.missing, found.extra, found.contradicting
    (('b',), ('a',), ('c',), ('a',))
  """
  same = synonyms or {}
  asked = {same.get(id, id) for id in query.present}
  alone = candidate.present - query.present
  forgiven = {id for id in alone if same.get(id, id) in asked}
  groups = (
    query.present & candidate.present,
    query.present - candidate.present,
    alone - forgiven,
    forgiven,
    (query.present & candidate.absent) | (query.absent & candidate.present),
  )
  return Comparison(*(tuple(sorted(group)) for group in groups))
