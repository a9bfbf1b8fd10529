"""Cues: the words of a sentence that affirm, deny or doubt its findings.

The words of a sentence become classes (`cues.tsv`); a finding is a class of its
own. A rule is a pattern over classes: `not LOOSE seen` is "is not currently
seen" as well as "has never been clearly identified". Of the patterns that match
at a place, the longest that has a finding to speak of wins, so that no phrase
can swallow another.
"""

import enum
import re
from typing import NamedTuple

from dicejax.concepts.text.cues import LETTERS
from dicejax.concepts.text.mentions import Polarity


class Side(enum.Enum):
  """On which side of a cue its findings are."""

  RIGHT = enum.auto()
  LEFT = enum.auto()
  EITHER = enum.auto()  # To the left, if there are any.
  END = enum.auto()  # None: it ends the reach of another cue.
  SOFT_END = enum.auto()  # As END, but not of "no" before its first finding.
  NONE = enum.auto()  # None, and no reach ends.


class Cue(NamedTuple):
  """A match of a rule in a sentence; positions count classes, not words."""

  start: int
  end: int
  side: Side
  polarity: Polarity | None
  is_narrow: bool = False


_PRESENT, _ABSENT = Polarity.PRESENT, Polarity.ABSENT
_UNCERTAIN = Polarity.UNCERTAIN

_PARTS = {
  # What may stand between the words of a verb, and before them.
  'LOOSE': '(auxiliary|adverb|article)*',
  'VERB': '(auxiliary|adverb|may|modal|can|well|since)*',
  'MODAL': '(may|modal)',
  # "Possibly due to" doubts what "due to" alone would affirm.
  'TAIL': '((which|pronoun|adverb|auxiliary)* (clause|relation|show|suggest))*',
  # A cue to the right of its finding may follow a colon or "which".
  'LINK': '(which|colon|dash|comma|clause (which|pronoun)?)?',
  'GAP': '[^finding clause colon comma no not]{0,3}',
  'STOP': '(?=$|comma|clause|dash|close|question|and)',
}
_RULES = (
  # Left: "X is not seen", "X: none", "X has resolved", "X is possible".
  ('LINK VERB may VERB not LOOSE seen', Side.LEFT, _UNCERTAIN),
  ('LINK VERB not LOOSE seen', Side.EITHER, _ABSENT),
  ('LINK VERB not LOOSE well LOOSE seen', Side.NONE, None),
  ('LINK VERB not LOOSE seen (word|article)* earlier', Side.NONE, None),
  ('can LOOSE seen', Side.NONE, None),
  ('LINK VERB not (LOOSE|well)* excluded', Side.EITHER, _UNCERTAIN),
  ('LINK VERB not (LOOSE|well)* hard LOOSE exclude', Side.EITHER, _PRESENT),
  ('LINK VERB MODAL VERB excluded', Side.EITHER, _UNCERTAIN),
  ('LINK VERB excluded', Side.EITHER, _ABSENT),
  (
    'LINK VERB hard (LOOSE|well)* exclude (?=[^clause comma colon]*finding)',
    Side.RIGHT,
    _UNCERTAIN,
  ),
  ('LINK VERB hard (LOOSE|well)* (exclude|excluded)', Side.EITHER, _UNCERTAIN),
  ('LINK VERB not (LOOSE|well)* (resolved|resolve)', Side.LEFT, _PRESENT),
  ('LINK VERB resolve', Side.LEFT, _PRESENT),
  (
    'LINK VERB (partial|well)* partial (well)? (resolved|resolve)',
    Side.EITHER,
    _PRESENT,
  ),
  ('LINK VERB MODAL VERB resolved', Side.LEFT, _UNCERTAIN),
  ('LINK VERB resolved', Side.EITHER, _ABSENT),
  (
    'LINK VERB not (LOOSE|well)* (changed|change|steady|comparative|degree)',
    Side.LEFT,
    _PRESENT,
  ),
  ('LINK VERB no GAP (changed|change|comparative)', Side.LEFT, _PRESENT),
  ('LINK VERB article? (suspected|unlikely)', Side.EITHER, _UNCERTAIN),
  ('LINK VERB possible STOP', Side.LEFT, _UNCERTAIN),
  (
    'LINK VERB auxiliary VERB possible (?![^clause comma]*finding)',
    Side.LEFT,
    _UNCERTAIN,
  ),
  ('LINK VERB not LOOSE suspected', Side.EITHER, _ABSENT),
  ('LINK VERB MODAL VERB seen', Side.EITHER, _UNCERTAIN),
  ('LINK VERB MODAL VERB seen and auxiliary not STOP', Side.LEFT, _ABSENT),
  ('LINK VERB absent seen?', Side.EITHER, _ABSENT),
  ('LINK VERB not LOOSE absent', Side.EITHER, _PRESENT),
  ('auxiliary not STOP', Side.LEFT, _ABSENT),
  (
    '(colon|dash)? (no|absent) (?=$|comma|clause|dash|finding (colon|dash))',
    Side.LEFT,
    _ABSENT,
  ),
  (
    '(colon|dash) (no|not) [^finding clause colon comma change]* (?=$|clause)',
    Side.LEFT,
    _ABSENT,
  ),
  ('LINK VERB not (LOOSE|well)* exclude STOP', Side.LEFT, _UNCERTAIN),
  ('comma? absent (word|for|article)* side', Side.NONE, None),
  ('question (?=(degree|side|article)*finding)', Side.RIGHT, _UNCERTAIN),
  ('question', Side.EITHER, _UNCERTAIN),
  # Right: "no X", "does not show X", "cannot exclude X", "may be X".
  ('no (adverb|degree)* (show|possible|suggest)? colon?', Side.RIGHT, _ABSENT),
  ('not LOOSE no', Side.RIGHT, _PRESENT),
  (
    'not (LOOSE|well|word|history|degree|side|for|to|or){0,4} (?=finding)',
    Side.RIGHT,
    _ABSENT,
  ),
  ('no GAP change', Side.RIGHT, _PRESENT),
  # A complaint: "no change in vision, nausea".
  ('no GAP change word+ (comma|or)', Side.RIGHT, _ABSENT),
  ('no GAP partial* resolution', Side.RIGHT, _PRESENT),
  ('no (word|adverb)? comparative', Side.RIGHT, _PRESENT),
  ('not LOOSE (show|possible|suggest|relation) TAIL', Side.RIGHT, _ABSENT),
  ('not (LOOSE|well)* (hard LOOSE)? exclude', Side.RIGHT, _UNCERTAIN),
  ('not LOOSE change', Side.RIGHT, _PRESENT),
  # "A left but no right X", "no right but a small left X".
  ('side clause (no|not) article? side (?=finding)', Side.RIGHT, _PRESENT),
  ('no side clause (degree|article)* side (?=finding)', Side.RIGHT, _PRESENT),
  ('hypothetical', Side.RIGHT, _UNCERTAIN),
  ('exclude', Side.RIGHT, _UNCERTAIN),
  ('(possible|suggest) TAIL', Side.RIGHT, _UNCERTAIN),
  (
    'MODAL VERB (show|possible|suggest|mask|relation|auxiliary '
    '(?=(clause|which|pronoun|(article|degree|side|adverb|word|steady){0,4} finding))) TAIL',
    Side.RIGHT,
    _UNCERTAIN,
  ),
  (
    'can VERB (show|possible|suggest|mask|relation) TAIL',
    Side.RIGHT,
    _UNCERTAIN,
  ),
  ('MODAL VERB seen with', Side.RIGHT, _UNCERTAIN),
  ('absent word{0,4} for', Side.RIGHT, _ABSENT),
  # What ends the reach of a cue before.
  ('clause', Side.END, None),
  ('colon', Side.END, None),
  ('heading', Side.END, None),
  ('steady', Side.END, None),
  ('which', Side.END, None),
  ('show', Side.SOFT_END, None),
  ('relation', Side.SOFT_END, None),
  ('auxiliary LOOSE seen', Side.END, None),
)
_NARROW_RULES = (
  ('(well|word)? resolution', Side.RIGHT, _ABSENT),
  ('(partial|well)* partial (partial|well)* resolution', Side.RIGHT, _PRESENT),
)


def compile_pattern(pattern: str) -> re.Pattern:
  """Compiles a pattern over names of classes."""
  for name, part in _PARTS.items():
    pattern = pattern.replace(name, part)
  letters = re.sub('[a-z]+', lambda name: LETTERS[name[0]], pattern)
  return re.compile(''.join(letters.split()))


_COMPILED = [
  (compile_pattern(pattern), side, polarity, rules is _NARROW_RULES)
  for rules in (_RULES, _NARROW_RULES)
  for pattern, side, polarity in rules
]
# A finding to the left, in the same clause and without a verb between.
_TO_LEFT = compile_pattern(
  """
  finding (
    [^BETWEEN comma]* [^BETWEEN comma and]
    | [^BETWEEN]* comma [^BETWEEN word and]*
  )?$
  """.replace(
    'BETWEEN',
    'auxiliary with clause finding show steady no possible suggest',
  )
)
_TO_RIGHT = compile_pattern('[^clause colon heading finding]*finding')


_ANY = re.compile('|'.join(rule[0].pattern for rule in _COMPILED))


def find_cues(sentence: str) -> list[Cue]:
  """Finds the cues of a sentence, written as classes (`cues.classify`)."""
  cues, place = [], 0
  while match := _ANY.search(sentence, place):
    place = match.start()
    found = [
      cue
      for rule in _COMPILED
      if (cue := _match(*rule, sentence, place)) is not None
    ]
    if found:
      best = max(found, key=lambda cue: cue.end)
      cues.append(best)
      place = best.end
    else:
      place += 1
  return cues


def _match(pattern, side, polarity, is_narrow, sentence, place) -> Cue | None:
  match = pattern.match(sentence, place)
  if match is None or match.end() == place:
    return None
  end = match.end()
  if side in (Side.LEFT, Side.EITHER):
    if _TO_LEFT.search(sentence[:place]):
      side = Side.LEFT
    elif side is Side.LEFT:
      return None
    else:
      side = Side.RIGHT
  if side is Side.RIGHT and not _TO_RIGHT.match(sentence, end):
    return None
  return Cue(place, end, side, polarity, is_narrow)
