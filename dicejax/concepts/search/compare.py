"""Two reports side by side: what they share, and what each has alone.

The same sets that `similarity` counts, by name, so that a person can check a
score by hand.
"""

from collections.abc import Iterable
from collections.abc import Mapping
from typing import NamedTuple

from dicejax.concepts.search.similarity import Asymmetric
from dicejax.concepts.search.similarity import Symmetric
from dicejax.concepts.text.mentions import Mention
from dicejax.concepts.text.mentions import Polarity

UNCERTAIN = ('ignore', 'present')


class Polar(NamedTuple):
  """What a report says is there, and what it says is not; both may overlap."""

  positive: frozenset[str]
  negative: frozenset[str]


class Comparison(NamedTuple):
  """Concepts of a query and of a candidate, each in order of their ids.

  Attributes:
    shared: in both positive sets.
    missing: only in that of the query.
    extra: only in that of the candidate.
    forgiven: the extra ones that are synonyms of one of the query's; they do
      not count.
    contradicting: in the positive set of one and the negative of the other.
  """

  shared: tuple[str, ...]
  missing: tuple[str, ...]
  extra: tuple[str, ...]
  forgiven: tuple[str, ...]
  contradicting: tuple[str, ...]


def split_polarity(
  mentions: Iterable[Mention], *, uncertain: str = 'ignore'
) -> Polar:
  """The concepts that are there and those that are not.

  Args:
    mentions: of one report.
    uncertain: `'ignore'` them or count them as `'present'`.

  Example:
    >>> split_polarity([Mention('a', 0, 1, Polarity.ABSENT)])
    Polar(positive=frozenset(), negative=frozenset({'a'}))
  """
  if uncertain not in UNCERTAIN:
    raise ValueError(f"uncertain is 'ignore' or 'present', not {uncertain!r}.")
  there = {Polarity.PRESENT}
  if uncertain == 'present':
    there.add(Polarity.UNCERTAIN)
  mentions = list(mentions)
  return Polar(
    frozenset(m.concept for m in mentions if m.polarity in there),
    frozenset(m.concept for m in mentions if m.polarity == Polarity.ABSENT),
  )


def compare(
  query: Polar, candidate: Polar, synonyms: Mapping[str, str] | None = None
) -> Comparison:
  """What two reports share, and what not.

  Args:
    query: the one that is asked for.
    candidate: the one that is compared with it.
    synonyms: one concept of the synonyms of each.

  Example:
    >>> one = Polar(frozenset('ab'), frozenset())
    >>> other = Polar(frozenset('bc'), frozenset('a'))
    >>> found = compare(one, other)
    >>> found.shared, found.missing, found.extra, found.contradicting
    (('b',), ('a',), ('c',), ('a',))
  """
  same = synonyms or {}
  asked = {same.get(id, id) for id in query.positive}
  alone = candidate.positive - query.positive
  forgiven = {id for id in alone if same.get(id, id) in asked}
  groups = (
    query.positive & candidate.positive,
    query.positive - candidate.positive,
    alone - forgiven,
    forgiven,
    (query.positive & candidate.negative)
    | (query.negative & candidate.positive),
  )
  return Comparison(*(tuple(sorted(group)) for group in groups))


def formula(
  query: Polar,
  comparison: Comparison,
  weights: Mapping[str, float],
  measure: Asymmetric | Symmetric,
) -> str:
  """The score's formula with the numbers of two reports filled in.

  Args:
    query: what the query says.
    comparison: of the query with the candidate.
    weights: of each concept.
    measure: of `similarity`.

  Returns:
    Arithmetic.

  Example:
    >>> query = Polar(frozenset('ab'), frozenset())
    >>> found = compare(query, Polar(frozenset('bc'), frozenset()))
    >>> formula(query, found, {'a': 1, 'b': 2, 'c': 0.5}, Asymmetric())
    '2 / (2 + 0.1 * 0.5 + 0.9 * 1)'
  """
  shared, extra, missing, against = (
    number(sum(weights[id] for id in ids))
    for ids in (
      comparison.shared,
      comparison.extra,
      comparison.missing,
      query.positive & query.negative,
    )
  )
  alpha, beta = number(measure.alpha), number(measure.beta)
  if isinstance(measure, Asymmetric):
    return f'{shared} / ({shared} + {alpha} * {extra} + {beta} * {missing})'
  both = f'{extra}, {missing}'
  return (
    f'{shared} / ({shared} + {beta} * ({alpha} * min({both}) + '
    f'{number(1 - measure.alpha)} * max({both})) + {against})'
  )


def number(value: float) -> str:
  """Six digits after the point, which holds multiples of 1/64, or fewer.

  Example:
    >>> number(1 / 64), number(3)
    ('0.015625', '3')
  """
  return f'{value:.6f}'.rstrip('0').rstrip('.')
