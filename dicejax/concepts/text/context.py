"""Whose finding a sentence speaks of, and when it was there (ConText)."""

from dicejax.concepts.text.cues import LETTERS
from dicejax.concepts.text.grammar import compile_pattern
from dicejax.concepts.text.mentions import Experiencer
from dicejax.concepts.text.mentions import Time

# The patterns below end where a finding begins. A relative has what follows in
# "mother had X", but not in "mother reports X".
_RELATIVE = compile_pattern(
  'relative (?! LOOSE (reporting|show|which)) '
  '[^reporting show clause pronoun]*$'
)
_HYPOTHETICAL = compile_pattern('hypothetical [^clause comma colon]*$')
_HISTORY = compile_pattern(
  """
  (heading [^colon clause]*
  | history [^clause colon seen auxiliary relation which with adverb reporting
    no not possible suggest]*
  )$
  """
)
_PRIOR = compile_pattern('(prior|earlier auxiliary) (degree|side|article)*$')
# A finding "consistent with a prior X" is the trace of X, which is there now.
_TRACE = compile_pattern(
  '(show|relation|suggest|possible|trace) (word|article|pronoun|adverb){0,3} '
  '(history|prior) (degree|side|word)*$'
)
# This one begins behind a finding: "X in 2010", not "X is stable since 2010".
_PAST = compile_pattern(
  """
  (?! [^clause]* (steady|change|changed|comparative|since|resolved|not))
  ([^clause comma]* (past | word year) | earlier)
  """
)
# This is the whole sentence before a finding: "no X was seen on prior films".
_NOT_EARLIER = compile_pattern(
  '^[^clause comma not resolution]* no [^clause comma]* '
  'auxiliary LOOSE seen earlier'
)
# Most sentences have none of these classes.
_TIMES = frozenset(
  LETTERS[name]
  for name in 'heading history hypothetical prior past earlier year'.split()
)


def find_experiencer(sentence: str, place: int) -> Experiencer:
  """Says whose finding stands at a place in the classes of a sentence."""
  if LETTERS['relative'] not in sentence:
    return Experiencer.PATIENT
  if _RELATIVE.search(sentence[:place]):
    return Experiencer.OTHER
  return Experiencer.PATIENT


def find_time(sentence: str, place: int) -> Time:
  """Says when a finding is there, at a place in the classes of a sentence."""
  if _TIMES.isdisjoint(sentence):
    return Time.CURRENT
  before = sentence[:place]
  if _HYPOTHETICAL.search(before):
    return Time.HYPOTHETICAL
  if _TRACE.search(before):
    return Time.CURRENT
  if _HISTORY.search(before) or _PRIOR.search(before):
    return Time.PAST
  if _PAST.match(sentence, place + 1) or _NOT_EARLIER.search(sentence):
    return Time.PAST
  return Time.CURRENT
