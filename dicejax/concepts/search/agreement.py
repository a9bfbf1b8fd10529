"""How well the sides and degrees of findings agree, which decides ties."""

from collections.abc import Collection
from collections.abc import Iterable
from collections.abc import Iterator
from collections.abc import Sequence

import numpy as np

from dicejax.concepts.search.segment import POLARITIES
from dicejax.concepts.search.segment import Segment
from dicejax.concepts.search.segment import expand
from dicejax.concepts.search.segment import is_current
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
Modified = tuple[int, tuple[str, ...]]

_ABSENT = POLARITIES.index(Polarity.ABSENT)
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


def agreements(
  segment: Segment, rows: np.ndarray, query: Sequence[Modified]
) -> np.ndarray:
  """Computes how well modifiers of shared findings agree, for each report.

  Args:
    segment: the reports.
    rows: `[n]`, those that are compared.
    query: the mentions that `modified` gave: the position of the concept in the
      ontology, and the modifiers.

  Returns:
    `[n]` sums over the query's mentions; each is compared with the mention of
    its concept in the report that agrees best.
  """
  total = np.zeros(len(rows))
  for best in _best(segment, rows, query, agreement):
    total += np.where(np.isfinite(best), best, 0)
  return total


def have_modifiers(
  segment: Segment, rows: np.ndarray, query: Sequence[Modified]
) -> np.ndarray:
  """Whether reports say what the query's modifiers require.

  For each mention of the query, the report has one of its concept that is on
  the side that the query names, if any, and says nothing against its other
  modifiers.

  Args:
    segment: the reports.
    rows: `[n]`, those that are compared.
    query: as in `agreements`.

  Returns:
    `[n]` bool.
  """
  fitting = np.ones(len(rows), bool)
  for best in _best(segment, rows, query, _fits):
    fitting &= best > 0
  return fitting


def _best(segment, rows, query, compare) -> Iterator[np.ndarray]:
  """Yields, for each mention of the query, the best comparison in each report.

  It is -inf for a report without a mention of the concept.
  """
  if not query:
    return
  at, places = expand(segment.mention_stops, rows)
  concepts = segment.mentions['concept'][places]
  for concept, modifiers in query:
    own = np.flatnonzero(concepts == concept)
    said = segment.mentions[places[own]]
    counts = is_current(said) & (said['polarity'] != _ABSENT)
    codes, own = said['modifiers'][counts], own[counts]
    table = np.zeros(len(segment.modifiers))
    # Reports repeat themselves: few modifiers are compared.
    for code in np.unique(codes).tolist():
      table[code] = compare(modifiers, segment.modifiers[code])
    best = np.full(len(rows), -np.inf)
    np.maximum.at(best, at[own], table[codes])
    yield best


def _counts(mention) -> bool:
  return mention.is_current and mention.polarity is not Polarity.ABSENT


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
