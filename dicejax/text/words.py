"""Plain text: its words, and the entities found in it."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from typing import Any

from dicejax import metrics

# Marks are part of the character before them. `re` does not count them as
# letters, so that they are replaced by this one, which no text has.
_MARK = '\ue000'
# In scripts without spaces (kana, Han), each character is a word.
_CHARACTER = r'[\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff]'
_LETTER = rf'(?:(?!{_CHARACTER})\w{_MARK}*)'
_APOSTROPHE = "['’]"
_POSSESSIVE = rf'{_APOSTROPHE}[sS](?!\w)'
_ABBREVIATIONS = (
  'Adm Apr Aug Ave Bros Calif Capt Co Col Conn Corp Cpl Dec Dept Dr Feb Fla '
  'Gen Gov Inc Jan Jr Lt Ltd Maj Mass Messrs Mr Mrs Ms Mt Nov Oct Prof Rep '
  'Rev Sen Sep Sept Sgt Sr St Ste Tenn etc vs'
).replace(' ', '|')
# The kinds of words. At each place, the first that fits is taken.
_KINDS = (
  # Links, names and tags of social media, entities of HTML.
  r"""(?:https?:|www\.)\S*[^\s.,;:!?"')\]]""",
  r'(?<!\w)[@#]\w+',
  r'(?<!\S)[\w.+-]+@\w[\w.-]*\w',
  r'&\#?\w+;',
  # Emoticons that stand alone.
  r"""(?<!\S)[:;=8xX][-'o]?[()\[\]DPpOo/\\|*3]+(?!\S)""",
  _CHARACTER,
  # Contractions that were cut off already.
  rf'(?<!\w){_APOSTROPHE}(?i:s|m|d|re|ve|ll)(?!\w)',
  _POSSESSIVE,
  # Dollars of a country.
  r'(?<!\w)[A-Z]{1,3}\$',
  # Initials keep their dots; at the end of a text, a single one does not.
  rf'(?<!\w)(?:[^\W\d_]{_MARK}*\.)' + r'{2,}(?!\w)(?:-\w+)*',
  r'(?<!\w)(?!\d)[^\W\d_a-z]\.(?=\s*\S)(?!\w)',
  rf'(?<![\w.])(?:{_ABBREVIATIONS})\.(?!\w)',
  r'(?<!\w)No\.(?=\s*\d)',
  # The number of an item.
  r'(?<!\S)\d{1,2}\.(?=\s+\w)',
  # Letters and digits, joined by hyphens, apostrophes and the like.
  rf'(?:(?<!\S)[+.-](?=\d))?{_LETTER}'
  rf'(?:(?!{_POSSESSIVE})'
  rf"(?:[-./&'’׳״]|(?<=\d)[:,](?=\d)|(?<=\w)\+(?=\d))?{_LETTER})*"
  r'(?:-(?!\S))?',
  # A run of one other character, such as an ellipsis.
  rf'([^\w\s])\1*{_MARK}*',
)
_WORD = re.compile('|'.join(_KINDS))


def split_words(text: str) -> list[tuple[int, int]]:
  """Returns start and end, in characters, of each word of a text.

  Blanks part words, and so do signs, except within a word: marks, hyphens,
  dots of initials and apostrophes belong to their word. A possessive 's is a
  word of its own, and so is each character of Chinese and Japanese.

  Example:
    >>> text = "Peter Blackburn's 20-page note on the U.S. doesn't end..."
    >>> [text[start:end] for start, end in split_words(text)]
    ['Peter', 'Blackburn', "'s", '20-page', 'note', 'on', 'the', 'U.S.', \
"doesn't", 'end', '...']
  """
  if not text.isascii():
    text = ''.join(map(_without_mark, text))
  return [match.span() for match in _WORD.finditer(text)]


def place_entities(
  text: str,
  words: Sequence[tuple[int, int]],
  scored: Sequence[tuple[metrics.Span, float]],
) -> list[dict[str, Any]]:
  """Places the entities of a sentence in its text.

  Args:
    text: the sentence.
    words: start and end of its words.
    scored: spans of its words, with scores.

  Example:
    >>> place_entities('Paris', [(0, 5)], [(metrics.Span('LOC', 0, 1), 0.75)])
    [{'type': 'LOC', 'start': 0, 'end': 5, 'text': 'Paris', 'score': 0.75}]
  """
  placed = []
  for span, score in scored:
    start, end = words[span.start][0], words[span.end - 1][1]
    placed.append(
      {
        'type': span.type,
        'start': start,
        'end': end,
        'text': text[start:end],
        'score': round(score, 6),
      }
    )
  return placed


def _without_mark(character: str) -> str:
  # Joiners, as in Persian and Hindi, are formats.
  category = unicodedata.category(character)
  return _MARK if category[0] == 'M' or category == 'Cf' else character
