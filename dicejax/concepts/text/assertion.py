"""Whether a text says that a finding is there: present, absent or uncertain.

Cues, words such as "no evidence of" or "cannot be excluded", speak of the
findings in their reach. That is the idea of NegEx, with the reach, the
directions, the experiencer and the time of ConText; the rules and the table of
words here are written anew:

- A cue before its findings reaches them up to the next cue, the next end of
  reach ("but", "otherwise", "stable", ";", ...), a new clause or the end of the
  sentence. Commas, "and" and "or" alone do not end it: "no A, B or C".
- After a comma, "and", a bracket or a dash, a new clause begins with a pronoun
  ("no A, there is B"), or with words that have a verb of their own ("no A, B is
  small"). So it does with an article or a word of degree ("no A, small B"), but
  not if an "or" follows ("no A, small B or C").
- A cue after its findings reaches back to the cue, the end of reach or the verb
  before it: "A, B and C are not seen".
- A cue of doubt in the reach of a negation changes nothing, unless a finding
  and a comma or "and" are between them: "no finding suggestive of A" denies A.
- If two cues reach a finding, the one with fewer classes between decides; if
  they are as near, the one before it. A finding without a cue is present.

References:
  Chapman et al., `A simple algorithm for identifying negated findings and
  diseases in discharge summaries <https://doi.org/10.1006/jbin.2001.1029>`_,
  2001 (NegEx). Harkema et al., `ConText: an algorithm for determining negation,
  experiencer, and temporal status from clinical reports
  <https://doi.org/10.1016/j.jbi.2009.05.002>`_, 2009.
"""

import functools
from collections.abc import Sequence
from typing import NamedTuple

from dicejax.concepts.text.context import find_experiencer
from dicejax.concepts.text.context import find_time
from dicejax.concepts.text.cues import LETTERS
from dicejax.concepts.text.cues import classify
from dicejax.concepts.text.cues import default_cues
from dicejax.concepts.text.grammar import Cue
from dicejax.concepts.text.grammar import Reach
from dicejax.concepts.text.grammar import compile_pattern
from dicejax.concepts.text.grammar import find_cues
from dicejax.concepts.text.mentions import Experiencer
from dicejax.concepts.text.mentions import Polarity
from dicejax.concepts.text.mentions import Time
from dicejax.concepts.text.phrases import Phrases


class Span(NamedTuple):
  """The words `words[start:end]` of a sentence, or so many classes."""

  start: int
  end: int


class Assertion(NamedTuple):
  """Polarity of a finding, and the words that decided it, if any did."""

  polarity: Polarity
  cue: Span | None = None
  experiencer: Experiencer = Experiencer.PATIENT
  time: Time = Time.CURRENT


ALTERNATIVES = ('present', 'uncertain')
_FINDING = LETTERS['finding']
_OR_LIST = compile_pattern(
  """
  finding ([^finding clause colon auxiliary with no and]* finding)*
  [^finding clause colon auxiliary with no and]* or
  [^finding clause colon auxiliary with no and]* finding
  """
)
_JOINS = frozenset([LETTERS['comma'], LETTERS['and']])
# None of these stands between a finding and a cue after it that reaches it.
_ENDS_BEFORE = compile_pattern('[auxiliary with clause show steady]')
_LISTS = compile_pattern('and|or')
_BREAKS = _JOINS | {LETTERS['open'], LETTERS['dash'], LETTERS['with']}
# A new clause begins here although the cue has reached no finding yet: "no
# disease, the heart is large", but not "no acute, displaced mass is seen".
_CLAUSE = """
  (comma|open|dash|and)+ adverb* (steady|pronoun|since)
  | comma number+ word? (word|side|degree)* finding (?!.*or)
  | comma finding adverb* (steady|degree|changed|resolve|suspected)
  | (comma|open|dash|and)+ adverb* (degree|article)+ (?!.*or)
  | (comma|and)+ [^comma clause or finding]* finding
    [^comma clause and or finding]* auxiliary adverb* [^adverb seen not]
  | comma with
  | with (degree|steady|changed)
  """
_CLAUSE_BEFORE_FINDING = compile_pattern(_CLAUSE)
# After a finding, one begins here, too: "no edema, an opacity is seen".
_CLAUSE_AFTER_FINDING = compile_pattern(
  _CLAUSE
  + """| (comma|open|dash)+ [^comma clause or finding]* finding
    [^comma clause and or finding]* auxiliary (?!.*or)"""
)


def assert_findings(
  words: Sequence[str],
  findings: Sequence[tuple[int, int]],
  cues: Phrases | None = None,
  *,
  alternatives: str = 'present',
) -> list[Assertion]:
  """Says of each finding of a sentence whether it is there, by these rules.

  Args:
    words: folded words and marks of the sentence (`split_sentences`).
    findings: start and end of each finding in `words`, in order, without
      overlap.
    cues: from `read_cues`; by default the table that comes with the package.
    alternatives: what "A or B" and "A versus B" say of both where nothing else
      decides: `'present'` or `'uncertain'`.

  Returns:
    An assertion for each finding.

  Raises:
    ValueError: `alternatives` is neither.

  Example:
    >>> words = 'no effusion , but edema'.split()
    >>> [a.polarity.value for a in assert_findings(words, [(1, 2), (4, 5)])]
    ['absent', 'present']
  """
  if alternatives not in ALTERNATIVES:
    raise ValueError(
      f'alternatives must be one of {", ".join(ALTERNATIVES)}, '
      f'got {alternatives!r}.'
    )
  sentence, starts = classify(words, findings, cues or default_cues())
  said = _decide(sentence)
  if alternatives == 'uncertain' and LETTERS['or'] in sentence:
    said = _doubt_alternatives(sentence, said)
  return [
    one._replace(cue=Span(starts[one.cue.start], starts[one.cue.end]))
    if one.cue
    else one
    for one in said
  ]


@functools.lru_cache(maxsize=1 << 16)
def _decide(sentence: str) -> tuple[Assertion, ...]:
  """Decides for each finding of a sentence that is written as classes.

  Reports repeat themselves: most of their sentences are found in the cache.
  """
  cues, places = find_cues(sentence), _find_places(sentence)
  before = _cues_before(sentence, cues)
  after = _cues_after(sentence, places, cues)
  return tuple(
    _in_context(sentence, place, _nearest(place, *reaching))
    for place, *reaching in zip(places, before, after, strict=True)
  )


def _find_places(sentence) -> list[int]:
  return [n for n, letter in enumerate(sentence) if letter == _FINDING]


def _in_context(sentence, place, said) -> Assertion:
  """Adds experiencer and time; a hypothetical finding is not present."""
  time = find_time(sentence, place)
  if time is Time.HYPOTHETICAL and said.polarity is Polarity.PRESENT:
    start = sentence.rindex(LETTERS['hypothetical'], 0, place)
    said = Assertion(Polarity.UNCERTAIN, Span(start, start + 1))
  experiencer = find_experiencer(sentence, place)
  return said._replace(experiencer=experiencer, time=time)


def _doubt_alternatives(sentence, said) -> list[Assertion]:
  """Makes uncertain what is merely named in a list with "or"."""
  doubted = {}
  for run in _OR_LIST.finditer(sentence):
    cue = sentence.index(LETTERS['or'], run.start())
    doubted |= dict.fromkeys(range(*run.span()), Span(cue, cue + 1))
  return [
    one._replace(polarity=Polarity.UNCERTAIN, cue=doubted[place])
    if place in doubted and one.cue is None
    else one
    for place, one in zip(_find_places(sentence), said, strict=True)
  ]


def _cues_before(sentence, cues) -> list[Cue | None]:
  """Finds the cue before each finding that reaches it."""
  reaching, active, last = [], None, -1
  starting = {cue.start: cue for cue in cues}
  for place, letter in enumerate(sentence):
    if cue := starting.get(place):
      active = _take_over(sentence, active, cue, last)
    elif letter == _FINDING:
      reaching.append(active)
      last = place
    elif active and letter in _BREAKS and active.end <= place:
      is_narrow = active.is_narrow and (
        letter == LETTERS['with'] or last < active.end
      )
      clause = (
        _CLAUSE_AFTER_FINDING if last >= active.end else _CLAUSE_BEFORE_FINDING
      )
      if is_narrow or clause.match(sentence, place):
        active = None
  return reaching


def _take_over(sentence, active, cue, last) -> Cue | None:
  """Returns the cue in force after `cue`, where `active` was before it."""
  if cue.reach is Reach.NONE:
    return active
  if active and cue.reach is Reach.END and active.end == cue.start:
    # Right behind a cue, such words are a part of it: "not due to".
    return active._replace(end=cue.end)
  if active and active.polarity is Polarity.ABSENT:
    begin = max(last, active.end)
    between = sentence[begin : cue.start]
    if cue.reach is Reach.SOFT_END or (
      cue.polarity is Polarity.UNCERTAIN and last >= active.end
    ):
      return active if _JOINS.isdisjoint(between) else _if_ahead(cue)
    if cue.polarity is Polarity.UNCERTAIN:
      return active
  return _if_ahead(cue)


def _if_ahead(cue) -> Cue | None:
  """Returns a cue if it speaks of what comes after it."""
  return cue if cue.reach is Reach.AFTER else None


def _cues_after(sentence, places, cues) -> list[Cue | None]:
  """Finds the cue after each finding that reaches it."""
  reaching = [None] * len(places)
  bound = 0  # Where the cue before ended.
  for cue in cues:
    if cue.reach is Reach.BEFORE:
      stop = cue.start
      for n in reversed(range(sum(place < stop for place in places))):
        place = places[n]
        if place < bound or _ENDS_BEFORE.search(sentence, place + 1, stop):
          break
        # Without "and" or "or", "A, B not seen" is no list.
        if stop < cue.start and not _LISTS.search(sentence, place, cue.start):
          break
        reaching[n], stop = cue, place
    if cue.reach is not Reach.NONE:
      bound = cue.end
  return reaching


def _nearest(place, before, after) -> Assertion:
  if before and after:
    is_after = after.start - place < place - before.end + 1
    chosen = after if is_after else before
  else:
    chosen = before or after
  if chosen is None:
    return Assertion(Polarity.PRESENT)
  return Assertion(chosen.polarity, Span(chosen.start, chosen.end))
