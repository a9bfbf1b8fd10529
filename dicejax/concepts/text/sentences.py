"""Sentences of a text, whatever its layout, and their words."""

import functools
import re
from collections.abc import Iterator
from typing import NamedTuple

_TOKEN = re.compile(
  r"""
  ((?<!\S) (?: \(?\d{1,2}[.)] | \([a-z]\) )   # the mark of an item
      (?=\s|[^\W\d_]{2}) )
  | ([^\W_]+)                                 # a word or a number
  | ([,;:=、，；：()\[\]]                      # a mark within a sentence
      | (?<!\S)[-–—]+(?!\S) | [–—]+ | \.{4,}
      | [?？](?= \s* (?:[Nn]o|NO|[Nn]one|[Nn]il|[Yy]es) \b\s* (?:[.,;]|$) ) )
  | ([.!。！｡．]+                             # a full stop; not in 1.5 or T.5
      (?: (?=\W|$) | (?<=[。！｡．]) | (?<=[a-z]\.)(?=[A-Z])
        | (?<=[^\W\d_]{3}\.)(?=[^\W\d_]{2}|[aA]\s) ) )
  | (\r\n? | \n)
  | ([?？])
  | (['’][tT]\b)                              # of "didn't"
  | ((?<!\w)[+-]ve\b)                         # positive, negative
  | (</?[a-zA-Z][^<>]*>)
  """,
  re.VERBOSE,
)
_ITEM, _WORD, _MARK, _STOP, _LINE, _QUESTION, _NOT, _SIGN, _TAG = range(1, 10)
_MARKS = str.maketrans('=.?？、，；：[]–—', '::::,,;:()--')
# What marks stand for.
_MEANS = {
  "'t": 'not',
  '’t': 'not',
  '-ve': 'negative',
  '+ve': 'positive',
}
# Tags of letters within a line; all others end one.
_INLINE = re.compile(r'</?(?:a|b|em|font|i|mark|span|strong|su[bp]|u)\b', re.I)
# They end with a full stop that ends no sentence: "e.g.", "i.e.", "Dr.".
_ABBREVIATIONS = frozenset(['e', 'g', 'dr', 'mr', 'mrs', 'ms', 'vs', 'approx'])
_COPULAS = ('are', 'was', 'were', 'remain', 'remains', 'appear', 'appears')
_SAME = {**dict.fromkeys(_COPULAS, 'is'), 'have': 'has', 'had': 'has'}
_SAME |= {'ca': 'can', 'wo': 'will'}  # What "can't" and "won't" leave.

# A line that ends with one of them goes on in the next, and so does one before
# a line that begins with one of the latter.
_OPEN = frozenset(
  'a an the and or nor of for with without to in on at by from than versus vs '
  'is be been has may might could which that this these any as'.split()
)
_JOINING = frozenset('and or nor of with than to is'.split())
_NEGATORS = frozenset(['no', 'not', 'nil'])
_DEGREES = frozenset(
  'small large mild moderate severe minimal trace tiny slight left right '
  'bilateral new old acute chronic focal'.split()
)
_HEADING = re.compile(r'[^\W\d_][\w /()-]{0,40}:')
_BULLET = re.compile(r'[-*•·–—>]|\(?(?:\d{1,2}|[a-z])[.)]\s')
_CLOSED = re.compile(r'[.!?;。！？；]["\')\]]*$')
# Sections, which are no findings: "IMPRESSION: NO" goes on.
_SECTION = re.compile(
  r'(?:impression|findings?|conclusions?|comments?|opinion|assessment|lungs?)\b',
  re.IGNORECASE,
)
_VALUE = re.compile(r'(?:[:\-–—]\s*|\s\s+|\t)\w+$')


class Sentence(NamedTuple):
  """The words and marks of a sentence, and where they are in the text."""

  words: list[str]  # Folded.
  starts: list[int]
  ends: list[int]


@functools.lru_cache(maxsize=1 << 16)
def fold(word: str) -> str:
  """Folds a word for comparison: no case, no plural, one form of `to be`.

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
  line, the number of a list item, a tag such as `<br>`, and an end of line
  unless the line was only wrapped (`_closed_lines`). Hyphens and slashes only
  separate words; "didn't" is two words, of which the latter is `not`.

  Example:
    >>> [s.words for s in split_sentences('Nodule of 1.5 cm, X-ray. Clear')]
    [['nodule', 'of', '1', '5', 'cm', ',', 'x', 'ray'], ['clear']]
    >>> [s.words for s in split_sentences("It isn't a\\nmass. 2) Nodule")]
    [['it', 'is', 'not', 'a', 'mass'], ['nodule']]
  """
  closed = _closed_lines(text)
  words, starts, ends = [], [], []
  for match in _TOKEN.finditer(text):
    kind = match.lastindex
    if kind == _WORD:
      words.append(fold(match[0]))
      starts.append(match.start())
      ends.append(match.end())
      continue
    if kind == _NOT and words and words[-1][-1:] == 'n':
      words[-1] = fold(words[-1][:-1])
      ends[-1] -= 1
    if kind in (_MARK, _QUESTION, _NOT, _SIGN):
      if kind in (_MARK, _NOT) and not words:
        continue  # A bullet, or a lone "'t".
      mark = match[0].translate(_MARKS)[0]
      word = '?' if kind == _QUESTION else _MEANS.get(match[0].casefold(), mark)
      words.append(word)
      starts.append(match.start() if kind != _NOT else ends[-1])
      ends.append(match.end())
      if kind != _QUESTION or not ends[1:] or ends[-2] != match.start():
        continue
    elif kind == _STOP and words and words[-1] in _ABBREVIATIONS:
      continue
    elif kind == _LINE and match.start() not in closed:
      continue
    elif kind == _TAG and (
      _INLINE.match(match[0]) or (words and words[-1] in _OPEN)
    ):
      continue
    if words:
      yield Sentence(words, starts, ends)
      words, starts, ends = [], [], []
  if words:
    yield Sentence(words, starts, ends)


class _Line(NamedTuple):
  text: str  # Without blanks around.
  width: int
  end: int  # The position of its line break.


def _closed_lines(text: str) -> frozenset[int] | set[int]:
  """Finds the line breaks that end a sentence: a wrapped line goes on.

  How the text writes decides, not whether one letter is a capital. A line that
  ends with a comma, an article, a preposition or the like goes on, and so does
  one before a line that begins with "and" or "of". Otherwise

  - where sentences begin with capitals, a line goes on if the next begins with
    a small letter;
  - in capitals, or without any, it goes on if the first word of the next line
    would not have fitted in, and so it is with most lines: they were wrapped.

  Without any full stop, each of these lines is a sentence.
  """
  if '\n' not in text and '\r' not in text:
    return frozenset()
  lines = [
    _Line(match[1].strip(), len(match[1].rstrip()), match.end(1))
    for match in re.finditer(r'([^\r\n]*)(?:\r\n?|\n|$)', text)
  ]
  pairs = list(zip(lines, lines[1:], strict=False))
  style = _Style.of(text, pairs)
  return {line.end for line, after in pairs if not _goes_on(line, after, style)}


class _Style(NamedTuple):
  """How a text writes its sentences and lines."""

  has_capitals: bool  # Most sentences begin with one, and most words have none.
  has_stops: bool
  width: int  # Lines that go on are as wide, give or take a word.

  @classmethod
  def of(cls, text: str, pairs: list[tuple[_Line, _Line]]) -> '_Style':
    starts = re.findall(r'(?:\A|[.!?]\s)\W*([^\W\d_])', text)
    words = re.findall(r'[^\W\d_]+', text)
    capitals = sum(start.isupper() for start in starts)
    shouted = sum(word.isupper() for word in words)
    width = max(line.width for pair in pairs for line in pair)
    full = [_is_full(*pair, width) for pair in pairs if not _is_closed(*pair)]
    # Where lines were wrapped, sentences end within them.
    within = len(re.findall(r'[^\W\d]{2}[.。] *\S', text))
    return cls(
      2 * capitals > len(starts) and 2 * shouted < len(words),
      bool(re.search(r'\w[.!。！](?=\s|$)', text)),
      (within >= len(full) and 1)
      or (width if 2 * sum(full) > len(full) else 0),
    )


def _is_closed(line, after) -> bool:
  """Whether a line ends with a mark, or the next is an item of a list."""
  if not line.text or not after.text or _CLOSED.search(line.text):
    return True
  return bool(_BULLET.match(after.text) or _HEADING.match(after.text))


def _is_full(line, after, width) -> bool:
  """Whether the first word of the next line would not have fitted in."""
  return line.width + 1 + len(after.text.split()[0]) > width


def _goes_on(line, after, style) -> bool:
  """Whether a sentence goes on in the line after."""
  if _is_closed(line, after):
    return False
  if line.text[-1] in ',，、:：' or _is_open(line.text, style):
    return True
  first = re.match(r'\W*(\w*)', after.text)[1]
  if first.casefold() in _JOINING:
    return True
  if not style.has_stops:
    return False
  if style.has_capitals:
    return first[:1].islower()
  return bool(style.width) and _is_full(line, after, style.width)


def _is_open(line, style) -> bool:
  """Whether the last word of a line needs another after it."""
  last = re.search(r'(\w*)\W*$', line)[1].casefold()
  if last in _NEGATORS:  # Not in "Effusion: no" and "Effusion    No".
    return not _VALUE.search(line) or bool(_SECTION.match(line))
  if last in _DEGREES:
    return style.has_stops and not style.has_capitals
  return last in _OPEN
