"""Runs of words that reports affirm: candidates for surface forms."""

import collections
from collections.abc import Iterator
from collections.abc import Sequence

from dicejax.concepts.text.aliases import is_clear
from dicejax.concepts.text.assertion import assert_findings
from dicejax.concepts.text.cues import LETTERS
from dicejax.concepts.text.cues import classify
from dicejax.concepts.text.mentions import Experiencer
from dicejax.concepts.text.mentions import Polarity
from dicejax.concepts.text.mentions import Time
from dicejax.concepts.text.phrases import FILLERS
from dicejax.concepts.text.phrases import MOST_FILLERS
from dicejax.concepts.text.phrases import Phrases
from dicejax.concepts.text.sentences import split_sentences

Words = tuple[str, ...]

_LONGEST = 4  # Words of a run.
_NOWHERE = frozenset(
  LETTERS[name]
  for name in 'no not absent neutral or which relative comma clause colon dash '
  'open close question'.split()
)
# Words of these classes, and short ones, join others and end no form.
_INSIDE = frozenset(
  LETTERS[name]
  for name in 'auxiliary may modal can with for to and pronoun number '
  'year'.split()
)


def affirmed_runs(
  texts: Sequence[str], cues: Phrases, least: int
) -> dict[Words, int]:
  """Finds runs of one to four words that at least so many reports have.

  Returns:
    For each run the reports that affirm it of the patient now, as an integer
    with a bit for each.

  Example:
    >>> from dicejax.concepts.text.cues import read_cues
    >>> texts = ['Large heart.', 'No large heart. Large mass.', 'Large mass?']
    >>> affirmed_runs(texts, read_cues(), 2)[('large', 'heart')]
    1
  """
  sentences = collections.defaultdict(int)
  for number, text in enumerate(texts):
    for sentence in split_sentences(text):
      sentences[tuple(sentence.words)] |= 1 << number
  words = {word for sentence in sentences for word in sentence}
  letters = {word: classify([word], [], cues)[0] for word in words}
  runs = {s: list(_runs(s, letters)) for s in sentences}
  named = collections.defaultdict(int)
  for sentence, reports in sentences.items():
    for form, _ in runs[sentence]:
      named[form] |= reports
  affirmed = collections.defaultdict(int)
  for sentence, reports in sentences.items():
    for form, span in runs[sentence]:
      # Most runs are in one report only, and need no look at what is said.
      if named[form].bit_count() >= least:
        if _is_affirmed(assert_findings(sentence, [span], cues)[0]):
          affirmed[form] |= reports
  return affirmed


def _runs(sentence, letters) -> Iterator[tuple[Words, tuple[int, int]]]:
  """Yields the runs of words that may be a form, as the linker finds them."""

  def is_end(word):
    return len(word) > 2 and letters[word] not in _INSIDE

  for start, first in enumerate(sentence):
    if first in FILLERS or letters[first] in _NOWHERE or not is_end(first):
      continue
    form, fillers = [], 0
    for place in range(start, len(sentence)):
      word = sentence[place]
      fillers = fillers + 1 if word in FILLERS else 0
      if fillers > MOST_FILLERS or letters[word] in _NOWHERE:
        break
      if not fillers:
        form.append(word)
        if len(form) > _LONGEST:
          break
        if is_end(word) and is_clear(form):
          yield tuple(form), (start, place + 1)


def _is_affirmed(said) -> bool:
  return (
    said.polarity is Polarity.PRESENT
    and said.experiencer is Experiencer.PATIENT
    and said.time is Time.CURRENT
  )
