"""How well the sides and degrees of findings agree, which decides ties."""

import itertools
from collections.abc import Collection
from collections.abc import Iterable
from collections.abc import Sequence

from dicejax.concepts.text.mentions import Mention
from dicejax.concepts.text.mentions import Polarity
from dicejax.concepts.text.modifiers import KINDS

# Modifiers that include others when two mentions are compared.
_IMPLIED = {
  'apical': {'upper'},
  'basal': {'lower'},
  'trace': {'small'},
  'tiny': {'small'},
  'minimal': {'small'},
  'mild': {'small'},
  'marked': {'large'},
  'severe': {'large'},
  'massive': {'large'},
  'old': {'chronic'},
}
_SIDES = frozenset(['left', 'right'])
# The wrong side is a worse mistake than another size.
_SIDE_WEIGHT = 2.0


def agreement(query: Collection[str], hit: Collection[str]) -> float:
  """Computes how well the modifiers of two mentions agree.

  Each kind that both name adds the fraction of the query's modifiers that the
  hit has, or -1 if it has none of them. Sides count twice. A kind that one of
  them does not name adds nothing.

  Example:
    >>> agreement(('small', 'left'), ('small', 'right'))
    -1.0
    >>> agreement(('left',), ('bilateral',)), agreement(('left',), ('tiny',))
    (2.0, 0.0)
  """
  total = 0.0
  for kind in KINDS:
    asked, said = _of_kind(query, kind), _of_kind(hit, kind)
    if asked and said:
      share = len(asked & said) / len(asked) or -1.0
      total += share * (_SIDE_WEIGHT if kind == 'side' else 1.0)
  return total


def modified(mentions: Iterable[Mention]) -> list[Mention]:
  """The mentions with modifiers that count, each finding with them once.

  Mentions that are denied, of other people, of the past or of what may come do
  not count.
  """
  kept = [m for m in mentions if m.modifiers and _counts(m)]
  return list({(m.concept, m.modifiers): m for m in kept}.values())


def rank_ties(
  hits: Iterable[tuple[int, float, float]],
  k: int,
  query: Sequence[Mention],
  mentions: Sequence[Sequence[Mention]],
) -> list[tuple[int, float, float, float]]:
  """Orders hits with the same score by how well they agree with the query.

  Args:
    hits: the row of each report, the score of what is present and the score of
      what is absent, best first; all with the first score of the k-th must be
      there.
    k: how many to return, at most.
    query: what `modified` gave.
    mentions: of all reports.

  Returns:
    The hits, each with its agreement; as they came where that is the same.
  """
  if not query:
    return [(*hit, 0.0) for hit in itertools.islice(hits, k)]
  ranked = []
  for _, tied in itertools.groupby(hits, key=lambda hit: hit[1]):
    if len(ranked) >= k:
      break
    agreeing = [(*hit, mentions_agree(query, mentions[hit[0]])) for hit in tied]
    ranked += sorted(agreeing, key=lambda hit: -hit[-1])
  return ranked[:k]


def mentions_agree(query: Sequence[Mention], hit: Iterable[Mention]) -> float:
  """How well the modifiers of the findings that two reports share agree.

  Args:
    query: what `modified` gave.
    hit: the mentions of a report.

  Returns:
    The sum over the query's mentions; each is compared with the mention of its
    concept in the hit that agrees best.
  """
  said = _modifiers_by_concept(hit) if query else {}
  best = (
    max(agreement(mention.modifiers, other) for other in said[mention.concept])
    for mention in query
    if mention.concept in said
  )
  return sum(best, start=0.0)


def has_modifiers(query: Sequence[Mention], hit: Iterable[Mention]) -> bool:
  """Whether a hit says what the query's modifiers require.

  For each mention of the query, the hit has one of its concept that is on the
  side that the query names, if any, and says nothing against its other
  modifiers.
  """
  said = _modifiers_by_concept(hit)
  return all(
    any(_fits(m.modifiers, other) for other in said.get(m.concept, ()))
    for m in query
  )


def _counts(mention) -> bool:
  return mention.is_current and mention.polarity is not Polarity.ABSENT


def _modifiers_by_concept(mentions) -> dict[str, set[tuple[str, ...]]]:
  said = {}
  for mention in mentions:
    if _counts(mention):
      said.setdefault(mention.concept, set()).add(mention.modifiers)
  return said


def _fits(query, hit) -> bool:
  for kind in KINDS:
    asked, said = _of_kind(query, kind), _of_kind(hit, kind)
    if kind == 'side' and not asked <= said:
      return False
    if asked and said and asked.isdisjoint(said):
      return False
  return True


def _of_kind(modifiers, kind) -> set[str]:
  own = {modifier for modifier in modifiers if modifier in KINDS[kind]}
  if 'bilateral' in own:
    return set(_SIDES)
  return own.union(*(_IMPLIED.get(modifier, ()) for modifier in own))
