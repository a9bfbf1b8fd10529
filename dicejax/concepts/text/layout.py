"""Line breaks: those that end a sentence, and those of wrapped lines."""

import re
from collections.abc import Set
from typing import NamedTuple

# A line that ends with one of these goes on in the next, and so does one before
# a line that begins with one of the joining words.
OPEN = frozenset(
  'a an the and or nor of for with without to in on at by from than versus vs '
  'is be been has may might could which that this these any as'.split()
)
_JOINING = frozenset('and or nor of with than to is'.split())
_NEGATORS = frozenset('no not nil never without w/o'.split())
_DEGREES = frozenset(
  'small large mild moderate severe minimal trace tiny slight left right '
  'bilateral new old acute chronic focal'.split()
)
_HEADING = re.compile(r'[^\W\d_][\w /()-]{0,40}:')
_BULLET = re.compile(r'[-*•·–—>]|\(?(?:\d{1,2}|[a-z])[.)]\s')
_CLOSED = re.compile(r'[.!?;。！？；]["\')\]]*$')
# These are sections, not findings: "IMPRESSION: NO" goes on.
_SECTION = re.compile(
  r'(?:impression|findings?|conclusions?|comments?|opinion|assessment|lungs?)\b',
  re.IGNORECASE,
)
_VALUE = re.compile(r'(?:[:\-–—]\s*|\s\s+|\t)\w+$')


class _Line(NamedTuple):
  text: str  # Without blanks around it.
  width: int
  end: int  # The position of its line break.


class _Style(NamedTuple):
  """How a text writes its sentences and lines."""

  # Most sentences begin with a capital, and most words are not all capitals.
  has_capitals: bool
  has_stops: bool
  width: int | None  # Characters of a full line; None if none was wrapped.


def closed_lines(text: str) -> Set[int]:
  """Finds the line breaks that end a sentence: a wrapped line goes on.

  How the text writes decides, not whether one letter is a capital. A line that
  ends with a comma, an article, a preposition or the like goes on, and so does
  one before a line that begins with "and" or "of". Otherwise

  - where sentences begin with capitals, a line goes on if the next begins with
    a small letter;
  - in capitals, or without any, every line goes on if sentences end within
    lines rather than with them; else, if the first word of the next line would
    not have fitted into most lines, it goes on where that is so.

  Without any full stop, each of these lines is a sentence.

  Example:
    >>> sorted(closed_lines('NO EDEMA OR\\nMASS.\\nNO SCAR'))
    [17, 25]
  """
  if '\n' not in text and '\r' not in text:
    return frozenset()
  lines = [
    _Line(match[1].strip(), len(match[1].rstrip()), match.end(1))
    for match in re.finditer(r'([^\r\n]*)(?:\r\n?|\n|\Z)', text)
  ][:-1]
  pairs = list(zip(lines, lines[1:], strict=False))
  open_pairs = [pair for pair in pairs if not _ends_block(*pair)]
  style = _find_style(text, open_pairs) if open_pairs else None
  wrapped = {pair[0].end for pair in open_pairs if _line_goes_on(*pair, style)}
  return {line.end for line in lines} - wrapped


def _find_style(text, pairs) -> _Style:
  starts = re.findall(r'(?:\A|[.!?]\s)\W*([^\W\d_])', text)
  words = re.findall(r'[^\W\d_]+', text)
  capitals = sum(start.isupper() for start in starts)
  shouted = sum(word.isupper() for word in words)
  return _Style(
    2 * capitals > len(starts) and 2 * shouted < len(words),
    bool(re.search(r'\w[.!。！](?=\s|$)', text)),
    _wrapped_width(text, pairs),
  )


def _wrapped_width(text, pairs) -> int | None:
  """Finds how wide the lines of a wrapped text are; 0 if they are ragged."""
  width = max(line.width for pair in pairs for line in pair)
  full = [_is_full(*pair, width) for pair in pairs]
  stops_within = len(re.findall(r'[^\W\d]{2}[.。] *\S', text))
  if stops_within >= len(full):
    return 0
  return width if 2 * sum(full) > len(full) else None


def _ends_block(line, after) -> bool:
  """Whether a line ends with a mark, or the next is an item of a list."""
  if not line.text or not after.text or _CLOSED.search(line.text):
    return True
  return bool(_BULLET.match(after.text) or _HEADING.match(after.text))


def _is_full(line, after, width) -> bool:
  """Whether the first word of the next line would not have fitted in."""
  return line.width + 1 + len(after.text.split()[0]) > width


def _line_goes_on(line, after, style) -> bool:
  """Whether a sentence goes on in the line after."""
  if line.text[-1] in ',，、:：' or _needs_word(line.text, style):
    return True
  first = (re.findall(r'\w+', after.text) or [''])[0]
  if first.casefold() in _JOINING:
    return True
  if not style.has_stops:
    return False
  if style.has_capitals:
    return first[:1].islower()
  return style.width is not None and _is_full(line, after, style.width)


def _needs_word(line, style) -> bool:
  """Whether the last word of a line needs another after it."""
  last = (re.findall(r'\w+', line) or [''])[-1].casefold()
  if last in _NEGATORS:
    # In "Effusion: no" and "Effusion    No" it is a value, and nothing follows.
    return not _VALUE.search(line) or bool(_SECTION.match(line))
  if last in _DEGREES:
    return style.has_stops and not style.has_capitals
  return last in OPEN
