"""Sentences of a text, whatever its layout, and their words."""

import functools
import re
from collections.abc import Iterator
from typing import NamedTuple

from dicejax.concepts.text.layout import OPEN
from dicejax.concepts.text.layout import closed_lines

_TOKEN = re.compile(
  r"""
  ([^\W\d_][^\W_]*)                           # a word
  | ((?<!\S) (?: \(?\d{1,2}[.)] | \([a-z]\) )   # the mark of an item
      (?=\s|[^\W\d_]{2}) )
  | ([^\W_]+)                                 # a number
  | ([,;:=、，；：()\[\]]                      # a mark within a sentence
      | (?<!\S)[-–—]+(?!\S) | [–—]+ | \.{4,}
      | [?？](?= \s* (?:[Nn]o|NO|[Nn]one|[Nn]il|[Yy]es) \b\s* (?:[.,;]|$) ) )
  | ([.!。！｡．]+                             # a full stop; not in 1.5 or T.5
      (?: (?=\W|$) | (?<=[。！｡．]) | (?<=[a-z]\.)(?=[A-Z])
        | (?: (?<=[^\W\d_]{2}\.) | (?<=\d\.) ) (?=[^\W\d_]{2}|[aA]\s) ) )
  | (\r\n? | \n)
  | ([?？])
  | (['’][tT]\b)                              # of "didn't"
  | ((?<!\w)[+-]ve\b)                         # positive, negative
  | (</?[a-zA-Z][^<>]*>)
  """,
  re.VERBOSE,
)
_WORD, _ITEM, _NUMBER, _MARK, _STOP, _LINE, _QUESTION, _NOT, _SIGN, _TAG = (
  range(1, 11)
)
_TO_MARK = str.maketrans('=.?？、，；：[]–—', '::::,,;:()--')
_LONGEST = 500  # Words of a sentence.
# Tags of letters within a line; all others end one.
_INLINE = re.compile(r'</?(?:a|b|em|font|i|mark|span|strong|su[bp]|u)\b', re.I)
# They end with a full stop that ends no sentence: "e.g.", "i.e.", "Dr.".
_ABBREVIATIONS = frozenset(['e', 'g', 'dr', 'mr', 'mrs', 'ms', 'vs', 'approx'])
_COPULAS = ('are', 'was', 'were', 'remain', 'remains', 'appear', 'appears')
_SAME = {**dict.fromkeys(_COPULAS, 'is'), 'have': 'has', 'had': 'has'}
_SAME |= {'ca': 'can', 'wo': 'will'}  # From "can't" and "won't".


class Sentence(NamedTuple):
  """The words and marks of a sentence, and where they are in the text."""

  words: list[str]  # Folded.
  starts: list[int]
  ends: list[int]


@functools.lru_cache(maxsize=1 << 16)
def fold(word: str) -> str:
  """Folds a word for comparison: no case, no plural, one form of its verb.

  "Are", "was", "remains" and "appears" become "is"; "have" and "had", "has".

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

  A sentence ends at

  - a full stop or an exclamation mark, except inside a number or after an
    abbreviation;
  - a question mark right behind a word;
  - an empty line, the number of a list item, or a tag such as `<br>`;
  - a line break, unless the line was only wrapped (`layout.closed_lines`);
  - its 500th word, so that no text takes long.

  Hyphens and slashes only separate words; "didn't" is two words, of which the
  latter is `not`.

  Example:
    >>> [s.words for s in split_sentences('Nodule of 1.5 cm, X-ray. Clear')]
    [['nodule', 'of', '1', '5', 'cm', ',', 'x', 'ray'], ['clear']]
    >>> [s.words for s in split_sentences("It isn't a\\nmass. 2) Nodule")]
    [['it', 'is', 'not', 'a', 'mass'], ['nodule']]
  """
  closed = closed_lines(text)
  sentence = words, starts, ends = Sentence([], [], [])
  for match in _TOKEN.finditer(text):
    kind = match.lastindex
    if kind == _WORD or kind == _NUMBER:
      words.append(fold(match[0]))
      starts.append(match.start())
      ends.append(match.end())
      if len(words) < _LONGEST:
        continue
    elif kind in (_MARK, _QUESTION, _NOT, _SIGN):
      _add_mark(sentence, kind, match)
      if not (kind == _QUESTION and _follows_word(sentence)):
        continue
    elif _goes_on(words, kind, match, closed):
      continue
    if words:
      yield sentence
      sentence = words, starts, ends = Sentence([], [], [])
  if words:
    yield sentence


def _add(sentence, word, start, end):
  sentence.words.append(word)
  sentence.starts.append(start)
  sentence.ends.append(end)


def _add_mark(sentence, kind, match):
  """Adds a mark, the word of a sign ("+ve"), or the "not" of "didn't".

  A mark at the beginning of a sentence is a bullet and left out.
  """
  words, _, ends = sentence
  if kind == _QUESTION:
    _add(sentence, '?', *match.span())
  elif kind == _SIGN:
    word = 'positive' if match[0][0] == '+' else 'negative'
    _add(sentence, word, *match.span())
  elif kind == _MARK and words:
    _add(sentence, match[0].translate(_TO_MARK)[0], *match.span())
  elif kind == _NOT and words and words[-1][-1] == 'n':
    words[-1] = fold(words[-1][:-1])
    ends[-1] -= 1
    _add(sentence, 'not', ends[-1], match.end())


def _follows_word(sentence) -> bool:
  """Whether the last mark directly follows a word."""
  return len(sentence.ends) > 1 and sentence.ends[-2] == sentence.starts[-1]


def _goes_on(words, kind, match, closed) -> bool:
  """Whether a sentence goes on behind a stop, a line break or a tag."""
  if kind == _STOP:
    return bool(words) and words[-1] in _ABBREVIATIONS
  if kind == _LINE:
    return match.start() not in closed
  if kind == _TAG:
    is_open = bool(words) and words[-1] in OPEN
    return is_open or bool(_INLINE.match(match[0]))
  return False
