"""One HTML file of labels, or of two reports: no script, nothing to fetch.

Findings are marked in the texts by polarity, each with a colour, a line and a
sign of its own, and so are the words that decided. All that comes from reports
and tables is escaped where `_tag` takes it.
"""

import collections
import html
import itertools
import pathlib
import re
from collections.abc import Iterable
from collections.abc import Mapping
from collections.abc import Sequence
from typing import Any
from typing import NamedTuple

from dicejax.concepts.labels.rules import Label
from dicejax.concepts.ontology import Ontology
from dicejax.concepts.search.compare import number
from dicejax.concepts.text.mentions import Experiencer
from dicejax.concepts.text.mentions import Mention
from dicejax.concepts.text.mentions import Polarity

_CSS = pathlib.Path(__file__).with_name('page.css')
# A sign and words for each way to mark a finding.
_STATES = {
  'present': ('+', 'present'),
  'absent': ('\N{MINUS SIGN}', 'absent'),
  'uncertain': ('?', 'uncertain'),
  'aside': ('\N{ANTICLOCKWISE OPEN CIRCLE ARROW}', 'not of the patient now'),
}
_GROUPS = {
  'shared': 'in both',
  'missing': 'only in the query',
  'extra': 'only in the candidate',
  'forgiven': 'only in the candidate, a synonym',
  'contradicting': 'present in one, absent in the other',
  'shared negative': 'absent in both',
}
# Up to so many reports are open when the page is.
_OPEN = 10
_CONTROLS = re.compile('[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff]')


class Report(NamedTuple):
  """A report with what was found in it; its labels, if it was labelled."""

  id: str
  text: str
  mentions: Sequence[Mention]
  labels: Mapping[str, Label] = {}


def labels_page(
  reports: Sequence[Report],
  columns: Sequence[str],
  ontology: Ontology,
  *,
  limit: int = 200,
) -> str:
  """The page of labelled reports.

  Args:
    reports: all of them; their labels are counted.
    columns: names of all labels, in order.
    ontology: with the concepts of the mentions.
    limit: how many of the reports are shown, the first ones.

  Returns:
    HTML.
  """
  shown = reports[:limit]
  title = f'Labels of {len(reports):,} reports'
  note = (
    'All reports are shown.'
    if len(shown) == len(reports)
    else f'The first {len(shown):,} of {len(reports):,} reports are shown.'
  )
  entries = [
    _tag('li', _tag('a', r.id, href=f'#r{n}'), ' ', _chips(r.labels))
    for n, r in enumerate(shown, 1)
  ]
  names = _names(ontology)
  main = [
    _report(f'r{n}', report, names, is_open=len(shown) <= _OPEN)
    for n, report in enumerate(shown, 1)
  ]
  return _document(
    title,
    _tag('h1', title),
    _tag('p', note, class_='note'),
    _legend(),
    _tag(
      'div',
      _tag('nav', _tag('h2', 'Reports'), _tag('ol', *entries, class_='index')),
      _tag('main', _counts(reports, columns), *main),
      class_='labels',
    ),
  )


def pair_page(
  query: Report,
  candidate: Report,
  rows: Sequence[Mapping[str, Any]],
  about: Mapping[str, Any],
  ontology: Ontology,
) -> str:
  """The page of two reports side by side.

  Args:
    query: the report asked for.
    candidate: compared with it.
    rows: a concept each, as `views.pair_rows` gives them.
    about: score, negative score and calculation, as `explain` shows them.
    ontology: with the concepts of the mentions.

  Returns:
    HTML.
  """
  title = f'Reports {query.id} and {candidate.id}, compared'
  names = _names(ontology)
  places = {row['concept']: f'c{n}' for n, row in enumerate(rows)}
  articles = [
    _tag(
      'article',
      _tag('h2', f'{role}: {report.id}'),
      _marked(report.text, report.mentions, names, places),
    )
    for role, report in (('Query', query), ('Candidate', candidate))
  ]
  score = (
    f'score = {about["calculation"]} = {number(about["score"])}\n'
    f'negative score = {number(about["negative_score"])}'
  )
  return _document(
    title,
    _tag('h1', title),
    _tag('p', f'Score {about["score"]:.4f}', class_='note'),
    _legend(),
    _tag(
      'main',
      _tag('div', *articles, class_='pair'),
      _tag('h3', 'What they share, lack and contradict'),
      _pair_table(rows, places),
      _tag('h3', 'The score'),
      _tag('div', score, class_='formula'),
    ),
    css=''.join(map(_hover, places.values())),
  )


class _Html(str):
  """Markup, which is not escaped again."""


def _tag(name, *children, **attributes) -> _Html:
  """An element; texts and attributes are escaped."""
  given = ''.join(
    f' {key.rstrip("_").replace("_", "-")}="{_escape(value)}"'
    for key, value in attributes.items()
    if value is not None
  )
  inner = ''.join(c if isinstance(c, _Html) else _escape(c) for c in children)
  return _Html(f'<{name}{given}>{inner}</{name}>')


def _escape(text) -> str:
  """Text as HTML shows it; characters that it may not have are a sign."""
  return html.escape(_CONTROLS.sub('\N{REPLACEMENT CHARACTER}', str(text)))


def _join(parts: Iterable[str]) -> _Html:
  return _Html(''.join(parts))


def _document(title, *body, css='') -> str:
  # No script runs, and nothing is fetched, whatever a text contains.
  policy = "default-src 'none'; style-src 'unsafe-inline'"
  return (
    '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
    '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
    f'<meta http-equiv="Content-Security-Policy" content="{policy}">\n'
    f'{_tag("title", title)}\n<style>\n{_CSS.read_text("utf-8")}{css}</style>\n'
    f'</head>\n<body>\n{_join(body)}\n</body>\n</html>\n'
  )


def _names(ontology) -> dict[str, str]:
  return {id: term.name for id, term in ontology.terms.items()}


def _state(mention) -> str:
  return mention.polarity.value if mention.is_current else 'aside'


def _state_words(mention) -> str:
  if mention.is_current:
    return mention.polarity.value
  if mention.experiencer is not Experiencer.PATIENT:
    return f'{mention.polarity.value}, of another person'
  return f'{mention.polarity.value}, {mention.time.value}'


def _sign(state) -> _Html:
  sign, words = _STATES[state]
  return _join(
    [
      _tag('span', sign, class_='sign', aria_hidden='true'),
      _tag('span', f' ({words}) ', class_='unseen'),
    ]
  )


def _legend() -> _Html:
  items = [
    _tag('li', _tag('mark', 'finding', _sign(state), class_=state), f' {words}')
    for state, (_, words) in _STATES.items()
  ]
  cue = _tag('li', _tag('span', 'words', class_='cue'), ' that decided')
  return _tag('ul', *items, cue, class_='legend', aria_label='Legend')


def _label_chip(name, label) -> _Html:
  if not label.evidence:  # No Finding is no finding that is there.
    return _tag('span', name, class_='chip group')
  return _chip(name, label.polarity.value)


def _chip(name, state) -> _Html:
  return _tag('span', _sign(state), name, class_=f'chip {state}')


def _chips(labels) -> _Html:
  """What is present or uncertain; what is absent, the report shows."""
  return _join(
    _label_chip(name, label)
    for name, label in labels.items()
    if label.polarity is not Polarity.ABSENT
  )


def _table(heads, bodies, class_) -> _Html:
  head = _tag('tr', *(_tag('th', name, scope='col') for name in heads))
  return _tag('table', _tag('thead', head), *bodies, class_=class_)


def _counts(reports, columns) -> _Html:
  counts = collections.Counter(
    (name, label.polarity) for r in reports for name, label in r.labels.items()
  )
  rows = [
    _tag(
      'tr',
      _tag('th', name, scope='row'),
      *(_tag('td', f'{counts[name, p]:,}', class_='number') for p in Polarity),
    )
    for name in columns
  ]
  heads = ['Label', *(polarity.value for polarity in Polarity)]
  return _tag(
    'details',
    _tag('summary', 'Labels of all reports, counted'),
    _tag('div', _table(heads, [_tag('tbody', *rows)], 'counts'), class_='body'),
    class_='report',
  )


def _report(place, report, names, *, is_open) -> _Html:
  used = {e.mention for found in report.labels.values() for e in found.evidence}
  others = [mention for mention in report.mentions if mention not in used]
  body = _tag(
    'div',
    _marked(report.text, report.mentions, names),
    _label_table(report, names),
    _others(others, names),
    # On what is inside, so that a link to it opens the details.
    id=place,
    class_='body',
  )
  return _tag(
    'details',
    _tag('summary', _tag('b', report.id), ' ', _chips(report.labels)),
    body,
    class_='report',
    open='' if is_open else None,
  )


def _others(mentions, names) -> _Html:
  """Findings that speak of no label."""
  if not mentions:
    return _join([])
  found = {(names[m.concept], _state(m)): None for m in mentions}
  chips = [_tag('li', _chip(*chip)) for chip in found]
  return _join(
    [_tag('h3', 'Found, but of no label'), _tag('ul', *chips, class_='also')]
  )


def _label_table(report, names) -> _Html:
  if not report.labels:
    return _tag('p', 'The report speaks of no label.', class_='note')
  heads = ('Label', 'Words', 'Decided by', 'Concept', 'Rule')
  bodies = [
    _label_rows(name, label, report.text, names)
    for name, label in report.labels.items()
  ]
  return _table(heads, bodies, 'rows')


def _label_rows(name, label, text, names) -> _Html:
  head = _tag(
    'th',
    _label_chip(name, label),
    scope='rowgroup',
    rowspan=max(1, len(label.evidence)),
  )
  rows = [_evidence(*found, text, names) for found in label.evidence]
  rows = rows or [[_tag('td', 'No label is present or uncertain.', colspan=4)]]
  rows[0].insert(0, head)
  return _tag('tbody', *(_tag('tr', *cells) for cells in rows))


def _evidence(mention, rule, text, names) -> list[_Html]:
  """The cells of a mention and its rule."""
  words = _tag(
    'mark',
    text[mention.start : mention.end],
    _sign(_state(mention)),
    class_=_state(mention),
  )
  cue = (
    _tag('span', text[slice(*mention.cue)], class_='cue')
    if mention.cue
    else 'no cue'
  )
  said = f' {", ".join(mention.modifiers)}' if mention.modifiers else ''
  concept = _tag(
    'span', names[mention.concept], ' ', _tag('code', mention.concept)
  )
  return [
    _tag('td', _tag('span', words, said), data_name='Words'),
    _tag('td', _tag('span', cue), data_name='Decided by'),
    _tag('td', concept, data_name='Concept'),
    _tag('td', _tag('span', rule), data_name='Rule'),
  ]


def _marked(text, mentions, names, places=None) -> _Html:
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
      piece = _tag('span', piece, class_='cue')
    parts.append(
      _mark(piece, over, end, names, places or {}) if over else piece
    )
  return _tag('div', *parts, class_='text', dir='auto')


def _mark(piece, over, end, names, places) -> _Html:
  """A piece of text in the mark of the mentions that go over it."""
  ending = [mention for mention in over if mention.end == end]
  classes = [_state(over[0]), *([] if ending else ['cut'])]
  classes += sorted({places[m.concept] for m in over if m.concept in places})
  about = '; '.join(
    ', '.join((names[m.concept], _state_words(m), *m.modifiers)) for m in over
  )
  signs = [_sign(_state(mention)) for mention in ending]
  return _tag('mark', piece, *signs, class_=' '.join(classes), title=about)


def _pair_table(rows, places) -> _Html:
  heads = ('Concept', 'Weight', 'Query', 'Candidate', 'Counts as')
  bodies = []
  for row in rows:
    name = _tag('th', row['name'], ' ', _tag('code', row['concept']))
    said = [
      _tag(
        'td',
        _tag('span', '; '.join(row[key]) or 'not mentioned'),
        data_name=key,
      )
      for key in ('query', 'candidate')
    ]
    groups = [
      _tag('span', group, class_=f'chip group {group}', title=_GROUPS[group])
      for group in row['counts']
    ]
    cells = [
      name,
      _tag('td', _tag('span', number(row['weight'])), data_name='weight'),
      *said,
      _tag('td', _tag('span', *groups or ['nothing']), data_name='counts as'),
    ]
    place = places[row['concept']]
    bodies.append(_tag('tbody', _tag('tr', *cells), class_=place))
  return _table(heads, bodies, 'rows')


def _hover(place) -> str:
  """A rule that shows where else a concept is, when one is pointed at."""
  return (
    f'body:has(.{place}:hover) .{place} '
    '{ outline: 2px solid var(--link); outline-offset: 1px; }\n'
  )
