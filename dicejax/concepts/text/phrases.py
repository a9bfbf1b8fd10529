"""Sentences, their words, and phrases that are looked up among them."""

import functools
import re
from collections.abc import Iterator
from collections.abc import Sequence
from typing import Any
from typing import NamedTuple

_TOKEN = re.compile(
  r"""
  ([^\W_]+)                                  # a word or a number
  | ([,;:])                                  # a mark within a sentence
  | ([.!]+ (?: (?=\W|$) | (?<=[a-z]\.)(?=[A-Z]) ) )   # not in 1.5 or T.5
  | (\n (?! [^\S\n]* [a-z] ))                 # not where a wrapped line goes on
  | (\?)
  """,
  re.VERBOSE,
)
_WORD, _MARK, _STOP, _LINE, _QUESTION = range(1, 6)
# What stands before a full stop that ends no sentence: "e.g.", "i.e.", "Dr.".
_ABBREVIATIONS = frozenset(['e', 'g', 'dr', 'mr', 'mrs', 'ms', 'vs', 'approx'])
_COPULAS = ('are', 'was', 'were', 'remain', 'remains', 'appear', 'appears')
_SAME = {**dict.fromkeys(_COPULAS, 'is'), 'have': 'has', 'had': 'has'}
_ARTICLES = frozenset(['a', 'an', 'the'])
# Words that may stand inside a phrase without being part of it.
_FILLERS = _ARTICLES | frozenset(
  'borderline grossly markedly mild mildly minimal minimally moderate '
  'moderately severe severely significantly slight slightly somewhat stable '
  'both bilateral left right'.split()
)
_MOST_FILLERS = 3  # in a row
_VALUE = ''  # the key of a phrase's value: no word is empty


class Sentence(NamedTuple):
  """The words and marks of a sentence, and where they are in the text."""

  words: list[str]  # folded
  starts: list[int]
  ends: list[int]


@functools.lru_cache(maxsize=1 << 16)
def fold(word: str) -> str:
  """A word as it is compared: no case, no plural, one verb for `to be`.

  An `s` at the end of four letters or more goes, unless it is `ss`, `us` or
  `is`; `ies` becomes `y`, and `sses` and `xes` lose two letters.

  Example:
    >>> [fold(word) for word in ('Opacities', 'masses', 'ribs', 'thoraxes')]
    ['opacity', 'mass', 'rib', 'thorax']
    >>> [fold(word) for word in ('diagnosis', 'thrombus', 'were', 'gas')]
    ['diagnosis', 'thrombus', 'is', 'gas']
  """
  word = word.casefold()
  if word in _SAME:
    return _SAME[word]
  if len(word) < 4 or word[-1] != 's' or word.endswith(('ss', 'us', 'is')):
    return word
  if word.endswith('ies'):
    return f'{word[:-3]}y'
  return word[:-2] if word.endswith(('sses', 'xes')) else word[:-1]


def split_sentences(text: str) -> Iterator[Sentence]:
  """Splits a text into sentences of words.

  A full stop or an exclamation mark ends a sentence, except inside a number or
  after an abbreviation; so do a question mark that follows a word, an empty
  line, and a new line unless the next line goes on with a lower-case letter.
  Hyphens, slashes and brackets only separate words.

  Example:
    >>> [s.words for s in split_sentences('Nodule of 1.5 cm, X-ray. Clear')]
    [['nodule', 'of', '1', '5', 'cm', ',', 'x', 'ray'], ['clear']]
  """
  words, starts, ends = [], [], []
  for match in _TOKEN.finditer(text):
    kind = match.lastindex
    if kind == _WORD or kind == _MARK:
      words.append(fold(match[0]))
      starts.append(match.start())
      ends.append(match.end())
      continue
    if kind == _QUESTION:
      words.append('?')
      starts.append(match.start())
      ends.append(match.end())
      if not ends[1:] or ends[-2] != match.start():
        continue
    if kind == _STOP and words and words[-1] in _ABBREVIATIONS:
      continue
    if words:
      yield Sentence(words, starts, ends)
      words, starts, ends = [], [], []
  if words:
    yield Sentence(words, starts, ends)


def phrase_words(phrase: str) -> tuple[str, ...]:
  """The folded words of a phrase, without articles.

  Example:
    >>> phrase_words('Enlargement of the cardiac silhouette')
    ('enlargement', 'of', 'cardiac', 'silhouette')
  """
  words = (word for sentence in split_sentences(phrase) for word in sentence[0])
  return tuple(word for word in words if word not in _ARTICLES)


class Phrases:
  """A dictionary of phrases, which finds the longest one at a place.

  Inside a phrase, up to three articles, sides and words of degree may stand in
  the text that the phrase does not have: "the heart is mildly enlarged".

  Example:
    >>> phrases = Phrases()
    >>> phrases.add(('heart', 'is', 'enlarged'), 7)
    True
    >>> phrases.longest(['heart', 'is', 'mildly', 'enlarged', 'now'], 0, 5)
    (7, 4)
  """

  def __init__(self):
    self._root = {}

  def add(self, words: Sequence[str], value: Any) -> bool:
    """Adds a phrase; False, and nothing is changed, if it is there already."""
    node = self._root
    for word in words:
      node = node.setdefault(word, {})
    if _VALUE in node:
      return False
    node[_VALUE] = value
    return True

  def longest(
    self, words: Sequence[str], start: int, stop: int
  ) -> tuple[Any, int] | None:
    """The value of the longest phrase in `words[start:stop]` that begins there.

    Returns:
      The value and the position after its last word; None if there is none.
    """
    node = self._root.get(words[start])
    if node is None:
      return None
    found, end = None, start + 1
    while True:
      if _VALUE in node:
        found = node[_VALUE], end
      last = min(stop, end + _MOST_FILLERS)
      while end < last and words[end] not in node and words[end] in _FILLERS:
        end += 1
      if end >= stop or words[end] not in node:
        return found
      node = node[words[end]]
      end += 1
