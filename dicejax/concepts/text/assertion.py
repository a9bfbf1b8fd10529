"""Whether a text says that a finding is there: present, absent or uncertain.

Cues, words such as "no evidence of" or "cannot be excluded", say so of the
findings in their reach. That is the idea of NegEx, with the reach and the
directions of ConText; the rules and the lists of cues here are written anew:

- A cue is the longest phrase of the lists at its place; none begins inside the
  words of a finding or runs into them.
- A cue that comes before reaches the findings after it, up to the next cue, the
  next end of reach ("but", "otherwise", "stable", ";", ...) or the end of the
  sentence. Commas, "and" and "or" do not end it: "no A, B or C".
- A cue that comes after reaches the findings before it, back to the cue, the
  end of reach or the verb before. "A, B and C are not seen".
- A cue of doubt in the reach of a negation changes nothing, unless a finding
  and a comma or "and" lie between them: "no finding suggestive of A" denies A.
- Of two cues that reach a finding, that with fewer words between decides; of
  two as near, that which comes before. A finding without a cue is present.
- Some phrases look like cues and are none: "no change in", "not only". Nor are
  "consistent with", "versus" and "or" cues of doubt: those who label reports
  count what is named so as findings.

References:
  Chapman et al., `A simple algorithm for identifying negated findings and
  diseases in discharge summaries <https://doi.org/10.1006/jbin.2001.1029>`_,
  2001 (NegEx). Harkema et al., `ConText: an algorithm for determining negation,
  experiencer, and temporal status from clinical reports
  <https://doi.org/10.1016/j.jbi.2009.05.002>`_, 2009.
"""

import enum
from collections.abc import Sequence
from typing import NamedTuple

from dicejax.concepts.text.mentions import Experiencer
from dicejax.concepts.text.mentions import Polarity
from dicejax.concepts.text.mentions import Time
from dicejax.concepts.text.phrases import Phrases
from dicejax.concepts.text.phrases import phrase_words


class Span(NamedTuple):
  """The words `words[start:end]` of a sentence."""

  start: int
  end: int


class Assertion(NamedTuple):
  """What a sentence says of a finding, and the words that decided, if any."""

  polarity: Polarity
  cue: Span | None = None
  experiencer: Experiencer = Experiencer.PATIENT
  time: Time = Time.CURRENT


class _Kind(enum.Enum):
  BEFORE = enum.auto()  # the cue comes before the findings
  AFTER = enum.auto()
  EITHER = enum.auto()  # after them where it directly follows one
  END = enum.auto()  # ends the reach of others
  NONE = enum.auto()  # only looks like a cue


_LISTS = {
  (_Kind.BEFORE, Polarity.ABSENT): """
    no | not | without | neither | nor | never | denies | no evidence of
    no evidence for | no evidence to suggest | no sign of
    no definite | no definite evidence of | no convincing
    no radiographic evidence of | no findings of | no findings to suggest
    no suspicious | no suspicion of | no suggestion of | no indication of
    without evidence of | without definite | no longer | absence of | lack of
    negative for | free of | free from | clear of | rather than | cleared of
    fails to show | failed to demonstrate | resolution of
    interval resolution of | clearing of | removal of | interval removal of
    exclude the presence of | no possible | no probable
    no questionable | no convincing evidence of | not demonstrate | not show
    not reveal | not suggest | not represent | no unequivocal | no residual
    """,
  (_Kind.AFTER, Polarity.ABSENT): """
    is not seen | is not identified | is not present | is not visualized
    is not noted | is not demonstrated | is not evident | is not appreciated
    is not apparent | is not observed | is not detected | is not visible
    is not definitely seen | is not clearly seen | is not confirmed
    is no longer seen | is no longer present | is no longer identified
    is no longer visualized | is no longer evident | is no longer visible
    not seen | not identified | not present | not visualized | not evident
    no longer seen | no longer present | no longer visualized
    no longer identified | no longer visible | no longer evident | has resolved
    has cleared | has completely resolved | has now resolved | has disappeared
    has been removed | is removed | is resolved | has been excluded
    is excluded | is ruled out | has been ruled out | is absent
    has been resected | is negative | : none | : absent | : negative
    """,
  (_Kind.EITHER, Polarity.ABSENT): """
    absent | resolved | interval resolved | ruled out | removed
    """,
  (_Kind.BEFORE, Polarity.UNCERTAIN): """
    possible | possibly | possibility of | maybe | perhaps | potential
    potentially | may represent | may reflect | may indicate | may be
    might be | might represent | could represent | could reflect | could be
    could indicate | may relate to | can represent | may suggest | may have
    suspicious for | suspicion of | suspicion for | suspect | worrisome for
    concerning for | concern for | question of | questionable | equivocal
    cannot exclude | cannot rule out | can not exclude | can not rule out
    not exclude | does not exclude
    not entirely exclude | cannot entirely exclude | cannot completely exclude
    cannot definitely exclude | would not exclude | not rule out | rule out
    r/o | evaluate for | evaluation for | assess for | exclude
    differential includes | differential diagnosis includes | consider
    considerations include | apparent | suggestion of | could obscure
    may obscure | may mask | limits evaluation for | whether | if there is
    indeterminate for | question | suggest | suggesting
    suggestive of | favor | favoring | favored to represent
    differential diagnosis is | could include | may include | might suggest
    could suggest | raise possibility of | presumed
    """,
  (_Kind.AFTER, Polarity.UNCERTAIN): """
    is also possible | is possible | is questioned | is suspected
    is not excluded | is not entirely excluded | is not completely excluded
    not excluded | cannot be excluded | cannot be entirely excluded
    cannot be ruled out | cannot be completely excluded | can not be excluded
    could be present | can not be ruled out | cannot entirely be excluded
    is unlikely | cannot be definitely excluded | is difficult to exclude
    may be present | is not ruled out | is considered | should be considered
    is equivocal | is a consideration | is a possibility
    is in the differential | could also be considered | may be considered
    might be present | not entirely excluded
    not completely excluded
    """,
  (_Kind.EITHER, Polarity.UNCERTAIN): """
    ? | unlikely | less likely | suspected | difficult to exclude
    """,
  (_Kind.END, None): """
    ; | : | but | however | although | though | except | except for | besides
    apart from | aside from | other than | which | otherwise | yet | whereas
    there is | there has been | there continues to be | is seen | is noted
    is present | is identified | is again seen | is again noted | noted
    again seen | again noted | redemonstrated | redemonstration of | stable
    unchanged | persistent | persists | status post | because | due to
    related to | secondary to | consistent with | compatible with
    in keeping with | with associated | , with | , there | has developed
    is enlarged | is increased | shows | demonstrates | known
    """,
  (_Kind.NONE, None): """
    no change | no interval change | no significant change
    no significant interval change | no substantial change
    no appreciable change | no definite change | no adverse change
    without change | without significant change | without interval change
    without significant interval change | no increase | no decrease
    no interval increase | no significant increase | no improvement
    no other change | no detrimental change | no apparent change | not changed
    not significantly changed | not increased | not decreased
    not significantly increased | is not significantly changed | not only
    not necessarily | without doubt | not previously seen | not well seen
    not well visualized | not well evaluated | not included
    not fully included | not completely included | not fully visualized
    is not well seen | is not well visualized | is not well evaluated
    no comparison | no prior | no previous | to suggest | to exclude | no doubt
    """,
}


def _compile(lists) -> Phrases:
  phrases = Phrases()
  for (kind, polarity), cues in lists.items():
    for line in cues.strip().splitlines():
      for cue in line.split('|'):
        if not phrases.add(phrase_words(cue), (kind, polarity)):
          raise ValueError(f'The cue {cue.strip()!r} is there twice.')
  return phrases


_CUES = _compile(_LISTS)
_JOINS = frozenset([',', 'and'])
_VERBS = frozenset(['is', 'has', 'with'])
_PRESENT = Assertion(Polarity.PRESENT, None)


def assert_findings(
  words: Sequence[str], findings: Sequence[Span]
) -> list[Assertion]:
  """What a sentence says of its findings, by the rules of this module.

  Args:
    words: the words and marks of the sentence, folded (`split_sentences`).
    findings: where the findings are in it: in order, without overlap.

  Returns:
    One assertion for each finding.

  Example:
    >>> words = 'no effusion , but edema'.split()
    >>> [a.polarity.value for a in assert_findings(words, [(1, 2), (4, 5)])]
    ['absent', 'present']
  """
  cues = _find_cues(words, findings)
  if not cues:
    return [_PRESENT] * len(findings)
  before = _look_back(words, findings, cues)
  after = _look_ahead(words, findings, cues)
  return list(map(_nearest, findings, before, after))


class _Cue(NamedTuple):
  span: Span
  kind: _Kind
  polarity: Polarity | None


def _find_cues(words, findings) -> list[_Cue]:
  """The cues outside of the findings, in order, EITHER being resolved."""
  cues, start = [], 0
  for first, end in (*findings, (len(words), len(words))):
    place = start
    while place < first:
      found = _CUES.longest(words, place, first)
      if found is None:
        place += 1
        continue
      (kind, polarity), stop = found
      if kind is _Kind.EITHER:
        follows = place == start and start > 0
        kind = _Kind.AFTER if follows else _Kind.BEFORE
      cues.append(_Cue(Span(place, stop), kind, polarity))
      place = stop
    start = end
  return cues


def _look_back(words, findings, cues) -> list[_Cue | None]:
  """For each finding, the cue before it that reaches it."""
  reaching, active, queue = [], None, iter([*cues, None])
  cue = next(queue)
  last = -1  # where the last finding ended
  for finding in findings:
    while cue is not None and cue.span.start < finding[0]:
      active = _take_over(words, active, cue, last)
      cue = next(queue)
    reaching.append(active)
    last = finding[1]
  return reaching


def _take_over(words, active, cue, last) -> _Cue | None:
  """The cue in force after `cue`, where `active` was before it."""
  if cue.kind is _Kind.NONE:
    return active
  if active and cue.kind is _Kind.END and active.span.end == cue.span.start:
    return active._replace(span=Span(active.span.start, cue.span.end))
  if cue.kind is not _Kind.BEFORE:
    return None
  denied = active is not None and active.polarity is Polarity.ABSENT
  if denied and cue.polarity is Polarity.UNCERTAIN:
    between = words[last : cue.span.start] if last > active.span.end else ()
    return active if _JOINS.isdisjoint(between) else cue
  return cue


def _look_ahead(words, findings, cues) -> list[_Cue | None]:
  """For each finding, the cue after it that reaches it."""
  reaching = [None] * len(findings)
  bound = 0  # where the cue before ended
  before = 0  # how many findings come before the cue
  for cue in cues:
    stop = cue.span.start
    while before < len(findings) and findings[before][1] <= stop:
      before += 1
    if cue.kind is _Kind.AFTER:
      for n in reversed(range(before)):
        start, end = findings[n]
        if start < bound or not _VERBS.isdisjoint(words[end:stop]):
          break
        reaching[n], stop = cue, start
    if cue.kind is not _Kind.NONE:
      bound = cue.span.end
  return reaching


def _nearest(finding, before, after) -> Assertion:
  if before is None and after is None:
    return _PRESENT
  if before is None:
    return Assertion(after.polarity, after.span)
  if after is None:
    return Assertion(before.polarity, before.span)
  gap = after.span.start - finding[1]
  nearest = after if gap < finding[0] - before.span.end else before
  return Assertion(nearest.polarity, nearest.span)
