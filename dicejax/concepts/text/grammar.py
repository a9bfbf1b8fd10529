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


class Reach(enum.Enum):
  """Where the findings are that a cue speaks of."""

  AFTER = enum.auto()
  BEFORE = enum.auto()
  EITHER = enum.auto()  # Before it, if there are any, else after it.
  # It speaks of none, and ends the reach of a cue before it.
  END = enum.auto()
  # So does it, but a negation ends only if "and" or a comma stands between.
  SOFT_END = enum.auto()
  NONE = enum.auto()  # It speaks of none, and no reach ends.


class Cue(NamedTuple):
  """A match of a rule in a sentence; positions count classes, not words."""

  start: int
  end: int
  reach: Reach
  polarity: Polarity | None
  is_narrow: bool  # It speaks of one noun only, as "removal of" does.


# In the patterns, names in capitals stand for these.
_PARTS = {
  # These may stand between the words of a verb, and before them.
  'LOOSE': '(auxiliary|adverb|article)*',
  'FULLY': '(auxiliary|adverb|article|well)*',
  'NAMED': '(word|number|history|degree|side|for|to|or|show|suggest)',
  'VERB': '(auxiliary|adverb|may|modal|can|well|since)*',
  'MODAL': '(may|modal)',
  'MAYBE': '(auxiliary|adverb|may|modal|can|well|suggest)*',
  # "Possibly due to" doubts what "due to" alone would affirm.
  'TAIL': '((which|pronoun|adverb|auxiliary)*(clause|relation|show|suggest))*',
  # A cue to the right of its finding may follow a colon or "which".
  'LINK': '(which|colon|dash|comma|clause(which|pronoun)?)?',
  'GAP': '[^finding clause colon comma no not]{0,3}',
  'OTHERS': '[^finding clause colon comma change exclude]*',
  'STOP': '(?=$|comma|clause|dash|close|question|and)',
  'NOUN': '(?=(article|degree|side|adverb|word|number|steady){0,4}finding)',
  'LATER': '(?=[^clause comma colon]*finding)',
}
# If several rules match the same words, the first one counts.
_RULES = {
  # These speak of what comes before them: "X: none", "X is not seen".
  (Reach.BEFORE, Polarity.ABSENT): """
    LINK VERB MODAL MAYBE seen and auxiliary not STOP
    auxiliary not STOP
    colon dash (?=$|comma|clause)
    (colon|dash)? (no|absent) (?=$|comma|clause|dash|finding(colon|dash))
    colon open (no|absent|initial) close
    colon initial (?=$|comma|clause|finding)
    (colon|dash) (no|not) OTHERS (?=$|clause)
    """,
  (Reach.BEFORE, Polarity.UNCERTAIN): """
    LINK VERB may VERB not LOOSE seen
    LINK VERB MODAL MAYBE resolved
    LINK VERB possible STOP
    LINK VERB auxiliary VERB possible (?![^clause comma]*finding)
    LINK VERB not FULLY exclude STOP
    """,
  # These affirm: "X has not resolved", "X has not changed".
  (Reach.BEFORE, Polarity.PRESENT): """
    LINK VERB not FULLY (resolved|resolve)
    LINK VERB resolve
    LINK VERB not FULLY (changed|change|steady|comparative|degree)
    LINK VERB no GAP (changed|change|comparative)
    """,
  (Reach.NONE, None): """
    neutral
    LINK VERB not LOOSE well LOOSE seen
    LINK VERB not LOOSE seen (word|article)* earlier
    can LOOSE seen
    comma? absent (word|for|article)* side
    comma absent (word|degree|changed)
    """,
  # These speak of what comes after them: "possible X", "cannot exclude X".
  (Reach.AFTER, Polarity.UNCERTAIN): """
    LINK VERB hard FULLY exclude LATER
    question (?=(degree|side|article)*finding)
    not FULLY (hard LOOSE)? exclude
    no GAP exclude
    (possible|suggest) TAIL
    MODAL VERB (show|possible|suggest|mask|relation) TAIL
    MODAL VERB auxiliary (?=clause|which|pronoun) TAIL
    MODAL VERB auxiliary NOUN
    MODAL VERB seen with
    can VERB (show|possible|suggest|mask|relation) TAIL
    hypothetical
    modal (article|degree)* (?=finding)
    exclude
    """,
  (Reach.AFTER, Polarity.ABSENT): """
    no (adverb|degree)* (show|possible|suggest)? colon?
    no GAP change word+ (comma|or)
    not LOOSE (show|possible|suggest|relation) TAIL
    not (auxiliary|adverb|article|well|modal|NAMED){0,6} (?=finding)
    absent word{0,4} for
    absent (degree|side|article)* (?=finding)
    """,
  # These affirm: "no change in X", "not without X", "left but no right X".
  (Reach.AFTER, Polarity.PRESENT): """
    no GAP change
    no GAP partial* resolution
    no (word|adverb)? comparative
    (no|not) LOOSE no
    not LOOSE change
    side clause (no|not) article? side (?=finding)
    no side clause (degree|article)* side (?=finding)
    """,
  # These speak of either: "X excluded", "excluded X".
  (Reach.EITHER, Polarity.UNCERTAIN): """
    LINK VERB not FULLY excluded
    LINK VERB MODAL MAYBE excluded
    LINK VERB hard FULLY (exclude|excluded)
    LINK VERB (article|reporting|suspected)* (suspected|unlikely)
    LINK VERB MODAL MAYBE (seen|suspected)
    question
    """,
  (Reach.EITHER, Polarity.PRESENT): """
    LINK VERB not FULLY hard LOOSE exclude
    LINK VERB (partial|well)* partial well? (resolved|resolve)
    LINK VERB resolved (adverb|degree|word)* partial
    LINK VERB not LOOSE absent
    """,
  (Reach.EITHER, Polarity.ABSENT): """
    LINK VERB not LOOSE seen
    LINK VERB not LOOSE suspected
    LINK VERB excluded
    LINK VERB resolved
    LINK VERB absent seen? (?!(degree|side|article)*finding)
    """,
  (Reach.END, None): """
    clause
    colon
    heading
    steady
    which
    auxiliary LOOSE seen
    """,
  (Reach.SOFT_END, None): """
    show
    relation
    history
    """,
}
_NARROW_RULES = {
  (Reach.AFTER, Polarity.ABSENT): '(well|word)? resolution',
  (Reach.AFTER, Polarity.PRESENT): """
    (partial|degree|well)* (partial|degree) (partial|degree|well)* resolution
    """,
}


def compile_pattern(pattern: str) -> re.Pattern:
  """Compiles a pattern over names of classes."""
  for name, part in _PARTS.items():
    pattern = pattern.replace(name, part)
  names = set(re.findall('[a-z]+', pattern))
  if unknown := names - LETTERS.keys():
    raise ValueError(f'A pattern names no class: {", ".join(sorted(unknown))}.')
  letters = re.sub('[a-z]+', lambda name: LETTERS[name[0]], pattern)
  return re.compile(''.join(letters.split()))


_COMPILED = [
  (compile_pattern(pattern), reach, polarity, rules is _NARROW_RULES)
  for rules in (_RULES, _NARROW_RULES)
  for (reach, polarity), patterns in rules.items()
  for pattern in patterns.strip().split('\n')
]
# A cue reaches a finding before it in the same clause, if no verb stands
# between. After a comma, other words would be the subject of the cue.
_BETWEEN = 'auxiliary with clause finding show steady no possible suggest'
_FINDING_BEFORE = compile_pattern(
  f"""
  finding (
    [^{_BETWEEN} comma]* [^{_BETWEEN} comma and]
    | [^{_BETWEEN}]* comma [^{_BETWEEN} word and]*
  )?$
  """
)
_FINDING_AFTER = compile_pattern('[^clause colon heading finding]*finding')


def find_cues(sentence: str) -> list[Cue]:
  """Finds the cues of a sentence that is written as classes.

  Args:
    sentence: a letter for each class, from `cues.classify`.

  Returns:
    The cues, in order and without overlap.
  """
  # Few rules match anywhere in a sentence; only they are tried at each place.
  rules = [rule for rule in _COMPILED if rule[0].search(sentence)]
  cues, place = [], 0
  while rules and place < len(sentence):
    found = [cue for rule in rules if (cue := _match(*rule, sentence, place))]
    if found:
      cues.append(max(found, key=lambda cue: cue.end))
    place = cues[-1].end if found else place + 1
  return cues


def _match(pattern, reach, polarity, is_narrow, sentence, place) -> Cue | None:
  """Matches a rule at a place, if there is a finding in its reach."""
  match = pattern.match(sentence, place)
  if match is None or match.end() == place:
    return None
  if reach in (Reach.BEFORE, Reach.EITHER):
    if _FINDING_BEFORE.search(sentence[:place]):
      reach = Reach.BEFORE
    elif reach is Reach.BEFORE:
      return None
    else:
      reach = Reach.AFTER
  if reach is Reach.AFTER and not _FINDING_AFTER.match(sentence, match.end()):
    return None
  return Cue(place, match.end(), reach, polarity, is_narrow)
