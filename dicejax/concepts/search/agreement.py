"""How well the sides and degrees of findings agree, which decides ties."""

from collections.abc import Collection
from collections.abc import Iterable

from dicejax.concepts.text.mentions import Mention
from dicejax.concepts.text.modifiers import KINDS

# What a modifier says as well, when two mentions are compared.
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
  """How well the modifiers of two mentions agree.

  Of each kind that both name: the share of the query's modifiers that the hit
  has; -1 if there is none. Sides count twice. A kind that one of them does not
  name counts nothing.

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


def mentions_agree(query: Iterable[Mention], hit: Iterable[Mention]) -> float:
  """How well the modifiers of the findings that two texts share agree.

  The sum over the query's mentions with modifiers; each is compared with that
  mention of its concept and polarity in the hit that agrees best.
  """
  said = _by_finding(hit)
  return sum(
    max(agreement(m.modifiers, other) for other in said[_finding(m)])
    for m in _distinct(query)
    if _finding(m) in said
  )


def has_modifiers(query: Iterable[Mention], hit: Iterable[Mention]) -> bool:
  """Whether a hit says what the query's modifiers require.

  For each mention of the query with modifiers, the hit has one of its concept
  and polarity that is on the side that the query names, if any, and says
  nothing against its other modifiers.
  """
  said = _by_finding(hit)
  return all(
    any(_fits(m.modifiers, other) for other in said.get(_finding(m), ()))
    for m in _distinct(query)
  )


def _finding(mention):
  return mention.concept, mention.polarity


def _distinct(mentions) -> list[Mention]:
  """Current mentions with modifiers, each finding and its modifiers once."""
  kept = [m for m in mentions if m.modifiers and m.is_current]
  return list({(_finding(m), m.modifiers): m for m in kept}.values())


def _by_finding(mentions) -> dict[tuple, set[tuple[str, ...]]]:
  said = {}
  for mention in mentions:
    if mention.is_current:
      said.setdefault(_finding(mention), set()).add(mention.modifiers)
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
