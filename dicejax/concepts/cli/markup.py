"""Markup of pages: elements, and texts with their findings marked.

All text and all attributes are escaped where `tag` takes them.
"""

import collections
import html
import itertools
import pathlib
import re
from collections.abc import Iterable
from collections.abc import Mapping

from dicejax.concepts.text.mentions import Experiencer
from dicejax.concepts.text.mentions import Mention

_CSS = pathlib.Path(__file__).with_name('page.css')
# A sign and words for each way to mark a finding.
_STATES = {
  'present': ('+', 'present'),
  'absent': ('\N{MINUS SIGN}', 'absent'),
  'uncertain': ('?', 'uncertain'),
  'aside': ('\N{ANTICLOCKWISE OPEN CIRCLE ARROW}', 'not of the patient now'),
}
_CONTROLS = re.compile('[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff]')


class Html(str):
  """Markup, which is not escaped again."""


def tag(name: str, *children: str, **attributes: object) -> Html:
  """An element; children that are not markup, and attributes, are escaped.

  Args:
    name: of the element.
    children: what is in it.
    attributes: without those that are None; `class_` is `class` and `_` is `-`.

  Example:
    >>> tag('b', 'a & ', tag('i', '<b>'), class_='"', data_x=None)
    '<b class="&quot;">a &amp; <i>&lt;b&gt;</i></b>'
  """
  given = ''.join(
    f' {key.rstrip("_").replace("_", "-")}="{_escape(value)}"'
    for key, value in attributes.items()
    if value is not None
  )
  inner = ''.join(c if isinstance(c, Html) else _escape(c) for c in children)
  return Html(f'<{name}{given}>{inner}</{name}>')


def _escape(text) -> str:
  """Text as HTML shows it; characters that it may not have are a sign."""
  return html.escape(_CONTROLS.sub('\N{REPLACEMENT CHARACTER}', str(text)))


def join(parts: Iterable[Html]) -> Html:
  """Markup, one part after the other."""
  return Html(''.join(parts))


def document(title: str, *body: Html, css: str = '') -> str:
  """A whole page.

  Args:
    title: of the page.
    body: what it shows.
    css: rules beside those of all pages.
  """
  # No script runs, and nothing is fetched, whatever a text contains.
  policy = "default-src 'none'; style-src 'unsafe-inline'"
  return (
    '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
    '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
    f'<meta http-equiv="Content-Security-Policy" content="{policy}">\n'
    f'{tag("title", title)}\n<style>\n{_CSS.read_text("utf-8")}{css}</style>\n'
    f'</head>\n<body>\n{join(body)}\n</body>\n</html>\n'
  )


def legend() -> Html:
  """Explains the marks of findings."""
  items = [
    tag('li', tag('mark', 'finding', sign(state), class_=state), f' {words}')
    for state, (_, words) in _STATES.items()
  ]
  cue = tag('li', tag('span', 'words', class_='cue'), ' that decided')
  return tag('ul', *items, cue, class_='legend', aria_label='Legend')


def chip(name: str, state: str) -> Html:
  """A name as its state is marked."""
  return tag('span', sign(state), name, class_=f'chip {state}')


def table(heads: Iterable[str], bodies: Iterable[Html], class_: str) -> Html:
  """A table of `tbody` elements."""
  head = tag('tr', *(tag('th', name, scope='col') for name in heads))
  return tag('table', tag('thead', head), *bodies, class_=class_)


def marked(
  text: str,
  mentions: Iterable[Mention],
  names: Mapping[str, str],
  places: Mapping[str, str] | None = None,
) -> Html:
  """The text with its findings, and the words that decided, marked.

  Args:
    text: of a report.
    mentions: in it; they may overlap.
    names: of concepts.
    places: a class for the marks of each concept, if any.
  """
  opening, deciding = collections.defaultdict(list), collections.Counter()
  cuts = {0, len(text)}
  for mention in mentions:
    opening[mention.start].append(mention)
    cuts.update((mention.start, mention.end))
    if mention.cue:
      start, end = mention.cue
      cuts.update((start, end))
      deciding[start] = max(deciding[start], end)
  parts, over, decided = [], [], 0
  for start, end in itertools.pairwise(sorted(cuts)):
    over = [m for m in over if m.end > start] + opening[start]
    decided = max(decided, deciding[start])
    piece = text[start:end]
    if start < decided:
      piece = tag('span', piece, class_='cue')
    parts.append(
      _mark(piece, over, end, names, places or {}) if over else piece
    )
  return tag('div', *parts, class_='text', dir='auto')


def _mark(piece, over, end, names, places) -> Html:
  """A piece of text in the mark of the mentions that go over it."""
  ending = [mention for mention in over if mention.end == end]
  classes = [state_of(over[0]), *([] if ending else ['cut'])]
  classes += sorted({places[m.concept] for m in over if m.concept in places})
  about = '; '.join(
    ', '.join((names[m.concept], _state_words(m), *m.modifiers)) for m in over
  )
  signs = [sign(state_of(mention)) for mention in ending]
  return tag('mark', piece, *signs, class_=' '.join(classes), title=about)


def state_of(mention: Mention) -> str:
  """How a mention is marked: by its polarity, or aside."""
  return mention.polarity.value if mention.is_current else 'aside'


def _state_words(mention) -> str:
  if mention.is_current:
    return mention.polarity.value
  if mention.experiencer is not Experiencer.PATIENT:
    return f'{mention.polarity.value}, of another person'
  return f'{mention.polarity.value}, {mention.time.value}'


def sign(state: str) -> Html:
  """The sign of a state, and words for those who cannot see it."""
  shape, words = _STATES[state]
  return join(
    [
      tag('span', shape, class_='sign', aria_hidden='true'),
      tag('span', f' ({words}) ', class_='unseen'),
    ]
  )
