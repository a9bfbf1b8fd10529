"""The table of words by which a text says whether a finding is there."""

import functools
import os
import pathlib
from collections.abc import Sequence

from dicejax.concepts import tables
from dicejax.concepts.text.phrases import Phrases
from dicejax.concepts.text.phrases import phrase_words

_CUES = pathlib.Path(__file__).with_name('cues.tsv')
# Marks and articles have their classes whatever the table is.
CLASS_OF_MARK = {
  ',': 'comma',
  ';': 'clause',
  ':': 'colon',
  '-': 'dash',
  '(': 'open',
  ')': 'close',
  '?': 'question',
  'n': 'initial',  # "Fever: N".
  'a': 'article',
  'an': 'article',
  'the': 'article',
}
CLASSES = tuple(
  'no not absent neutral auxiliary may modal can adverb well since seen show '
  'relation trace exclude excluded hard resolution resolved resolve partial '
  'change changed comparative possible suggest suspected unlikely mask clause '
  'which steady degree side pronoun with for to and or relative reporting '
  'history prior heading past earlier hypothetical'.split()
)
# A letter for each class, so that patterns over classes are regular
# expressions, which are the fastest matcher that Python has. None of these
# letters has a meaning in a regular expression.
LETTERS = {
  name: chr(0x100 + number)
  for number, name in enumerate(
    dict.fromkeys(
      ('finding', 'word', 'number', 'year', *CLASSES, *CLASS_OF_MARK.values())
    )
  )
}


def read_cues(path: str | os.PathLike[str] | None = None) -> Phrases:
  """Reads the words that affirm, deny or doubt, and the class of each.

  A line has a class and, after a tab, words or phrases between `|`. Lines that
  begin with `#` and empty lines are comments.

  Args:
    path: the file, in UTF-8; by default the table for English that comes with
      the package.

  Returns:
    The phrases, each with the letter of its class.

  Raises:
    ValueError: at the first malformed line, beginning `path:line:`: another
      number of fields, an unknown class, or a phrase that is there already.

  Example:
    >>> read_cues().longest(['no', 'longer', 'seen'], 0, 3) == (
    ...     LETTERS['not'], 2)
    True
  """
  path = _CUES if path is None else path
  cues, lines = Phrases(), {}
  for number, fields in tables.read_rows(path):
    try:
      _read_line(fields, cues, lines, number)
    except ValueError as error:
      raise ValueError(f'{path}:{number}: {error}') from None
  if not lines:
    raise ValueError(f'{path}: there are no cues.')
  return cues


def _read_line(fields, cues, lines, number):
  if len(fields) != 2 or fields[0] not in CLASSES:
    raise ValueError(
      'expected a class and, after a tab, phrases between |; classes are '
      f'{", ".join(CLASSES)}.'
    )
  for phrase in tables.split(fields[1]):
    words = phrase_words(phrase)
    if not words:
      raise ValueError(f'the cue {phrase!r} has no word.')
    if words in lines:
      raise ValueError(f'the cue {phrase!r} is in line {lines[words]} already.')
    lines[words] = number
    cues.add(words, LETTERS[fields[0]])


@functools.cache
def default_cues() -> Phrases:
  """Returns the table that comes with the package, read once."""
  return read_cues()


def classify(
  words: Sequence[str], findings: Sequence[tuple[int, int]], cues: Phrases
) -> tuple[str, list[int]]:
  """Writes a sentence as a string of classes.

  Args:
    words: folded words and marks of the sentence.
    findings: start and end of each finding, in order.
    cues: from `read_cues`.

  Returns:
    One letter per class, and the word at which each begins, with the number of
    words last.
  """
  letters, starts = [], []
  place = 0
  for first, stop in (*findings, (len(words), len(words))):
    while place < first:
      starts.append(place)
      found = cues.longest(words, place, first)
      if found:
        letter, place = found
      else:
        letter = _letter(words[place])
        place += 1
      letters.append(letter)
    if first < len(words):
      letters.append(LETTERS['finding'])
      starts.append(first)
      place = stop
  return ''.join(letters), [*starts, len(words)]


def _letter(word) -> str:
  if word in CLASS_OF_MARK:
    return LETTERS[CLASS_OF_MARK[word]]
  if word.endswith('ly'):
    return LETTERS['adverb']
  if word.isdecimal():
    is_year = len(word) == 4 and word[:2] in ('19', '20')
    return LETTERS['year' if is_year else 'number']
  return LETTERS['word']
