"""Where an answer stands in its context, in files with faulty offsets."""

import re
import string

from dicejax.text.windows import Answer

# Ranges of Chinese and Japanese characters, for a character class. These
# scripts do not separate words by spaces.
EAST_ASIAN = r'\u3001-\u30ff\u3400-\u9fff\uf900-\ufaff\uff00-\uffef'
_BESIDE_EAST_ASIAN = re.compile(
  rf'(?<=[{EAST_ASIAN}])\s*(?=\S)|(?<=\S)\s*(?=[{EAST_ASIAN}])'
)
# Signs that programs and editors replace by one another.
_ALIKE = ("'`´‘’‚‛′ʼ", '"“”„‟″«»', '-‐‑‒–—―−')
_FULL_WIDTH = ord('！') - ord('!')


def find_answer(text: str, start: int, context: str) -> tuple[Answer, str]:
  """Finds an answer in its context; the first of these rules that applies.

  1. The text is at its offset.
  2. At the offset is what differs only in case, white space or typographic
     signs (quotes, dashes, dots, full-width forms). The text of the context is
     taken. White space must be there where the answer has some, except beside
     Chinese and Japanese characters.
  3. The nearest occurrence of the text is taken.
  4. The nearest that differs only as in 2 is taken.
  5. The answer has no place (-1). It counts in scores but is not learnt from.

  If the offset is below 0 (as in CMRC), a text that occurs once is there, and
  any other has no place.

  Returns:
    The answer, and a note on the rule, `''` for the first.
  """
  if start < 0:
    return _without_offset(text, context)
  if context.startswith(text, start):
    return Answer(text, start), ''
  pattern = _pattern(text)
  if match := pattern.match(context, start):
    note = 'answer at its offset except for case, white space or signs'
    return Answer(match.group(), start), note
  if (place := _nearest(text, context, start)) is not None:
    return Answer(text, place), 'answer moved to the nearest place of its text'
  if matches := [*pattern.finditer(context)]:
    match = min(matches, key=lambda match: abs(match.start() - start))
    note = 'answer found except for case, white space or signs'
    return Answer(match.group(), match.start()), note
  return Answer(text, -1), 'answer not in the context'


def _without_offset(text: str, context: str) -> tuple[Answer, str]:
  place = context.find(text)
  if place < 0 or context.find(text, place + 1) >= 0:
    return Answer(text, -1), 'answer without a place (its offset is below 0)'
  note = 'answer placed where its text occurs once (its offset is below 0)'
  return Answer(text, place), note


def _nearest(text: str, context: str, start: int) -> int | None:
  before = context.rfind(text, 0, start + len(text))
  after = context.find(text, start)
  places = [place for place in (before, after) if place >= 0]
  return min(places, key=lambda place: abs(place - start), default=None)


def _pattern(text: str) -> re.Pattern[str]:
  # Between Latin words white space must stay: `an other` is not `another`.
  pattern = r'\s*'.join(
    r'\s+'.join(''.join(map(_sign, word)) for word in part.split())
    for part in _BESIDE_EAST_ASIAN.split(text.strip().replace('...', '…'))
  )
  return re.compile(pattern, re.IGNORECASE)


def _sign(character: str) -> str:
  """Returns a pattern of all characters that stand for one."""
  if character == '…':
    return r'(?:…|\.\.\.)'
  forms = next((x for x in _ALIKE if character in x), character)
  wide = ''.join(
    chr(ord(c) + _FULL_WIDTH)
    for c in forms
    if c in string.printable and c > ' '
  )
  narrow = ''.join(
    chr(ord(c) - _FULL_WIDTH) for c in forms if '！' <= c <= '～'
  )
  return f'[{re.escape(forms + wide + narrow)}]'
