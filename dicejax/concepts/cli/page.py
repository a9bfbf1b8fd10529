"""One HTML file of labels, or of two reports: no script, nothing to fetch.

Findings are marked in the texts by polarity, each with a colour, a line and a
sign of its own, and so are the words that decided. All that comes from reports
and tables is escaped by `markup`.
"""

import collections
from collections.abc import Mapping
from collections.abc import Sequence
from typing import NamedTuple

from dicejax.concepts.cli import markup
from dicejax.concepts.cli.markup import Html
from dicejax.concepts.cli.markup import tag
from dicejax.concepts.labels.rules import Label
from dicejax.concepts.ontology import Ontology
from dicejax.concepts.search.explanation import Explanation
from dicejax.concepts.search.scorer import format_number
from dicejax.concepts.text.mentions import Mention
from dicejax.concepts.text.mentions import Polarity

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
    tag('li', tag('a', r.id, href=f'#r{n}'), ' ', _chips(r.labels))
    for n, r in enumerate(shown, 1)
  ]
  names = _names(ontology)
  main = [
    _report(f'r{n}', report, names, is_open=len(shown) <= _OPEN)
    for n, report in enumerate(shown, 1)
  ]
  return markup.document(
    title,
    tag('h1', title),
    tag('p', note, class_='note'),
    markup.legend(),
    tag(
      'div',
      tag(
        'nav',
        tag('h2', 'Reports'),
        tag('ol', *entries, class_='index'),
      ),
      tag('main', _counts(reports, columns), *main),
      class_='labels',
    ),
  )


def pair_page(pair: Explanation, ontology: Ontology) -> str:
  """The page of two reports side by side.

  Args:
    pair: what `ReportIndex.explain` gave.
    ontology: with the concepts of the mentions.

  Returns:
    HTML.
  """
  is_text = pair.query.name == pair.query.text
  asked = 'A text' if is_text else f'Report {pair.query.name}'
  title = f'{asked} and report {pair.candidate.name}, compared'
  names = _names(ontology)
  places = {concept.id: f'c{n}' for n, concept in enumerate(pair.concepts)}
  articles = [
    tag(
      'article',
      tag('h2', role),
      markup.marked(side.text, side.mentions, names, places),
    )
    for role, side in (
      ('Query' if is_text else f'Query: {pair.query.name}', pair.query),
      (f'Candidate: {pair.candidate.name}', pair.candidate),
    )
  ]
  return markup.document(
    title,
    tag('h1', title),
    tag('p', f'Score {pair.score:.4f}', class_='note'),
    markup.legend(),
    tag(
      'main',
      tag('div', *articles, class_='pair'),
      tag('h3', 'What they share, lack and contradict'),
      _pair_table(pair.concepts, places),
      tag('h3', 'The score'),
      tag('div', '\n'.join(pair.sums()), class_='formula'),
    ),
    css=''.join(map(_hover, places.values())),
  )


def _names(ontology) -> dict[str, str]:
  return {id: term.name for id, term in ontology.terms.items()}


def _label_chip(name, label) -> Html:
  if not label.evidence:  # No Finding is no finding that is there.
    return tag('span', name, class_='chip group')
  return markup.chip(name, label.polarity.value)


def _chips(labels) -> Html:
  """Shows the labels that are present or uncertain, for the list of reports."""
  return markup.join(
    _label_chip(name, label)
    for name, label in labels.items()
    if label.polarity is not Polarity.ABSENT
  )


def _counts(reports, columns) -> Html:
  counts = collections.Counter(
    (name, label.polarity) for r in reports for name, label in r.labels.items()
  )
  rows = [
    tag(
      'tr',
      tag('th', name, scope='row'),
      *(tag('td', f'{counts[name, p]:,}', class_='number') for p in Polarity),
    )
    for name in columns
  ]
  heads = ['Label', *(polarity.value for polarity in Polarity)]
  return tag(
    'details',
    tag('summary', 'Labels of all reports, counted'),
    tag(
      'div',
      markup.table(heads, [tag('tbody', *rows)], 'counts'),
      class_='body',
    ),
    class_='report',
  )


def _report(place, report, names, *, is_open) -> Html:
  used = {e.mention for found in report.labels.values() for e in found.evidence}
  others = [mention for mention in report.mentions if mention not in used]
  body = tag(
    'div',
    markup.marked(report.text, report.mentions, names),
    _label_table(report, names),
    _others(others, names),
    # On what is inside, so that a link to it opens the details.
    id=place,
    class_='body',
  )
  return tag(
    'details',
    tag('summary', tag('b', report.id), ' ', _chips(report.labels)),
    body,
    class_='report',
    open='' if is_open else None,
  )


def _others(mentions, names) -> Html:
  """Findings that speak of no label."""
  if not mentions:
    return markup.join([])
  found = {(names[m.concept], markup.state_of(m)): None for m in mentions}
  chips = [tag('li', markup.chip(*chip)) for chip in found]
  return markup.join(
    [
      tag('h3', 'Found, but of no label'),
      tag('ul', *chips, class_='also'),
    ]
  )


def _label_table(report, names) -> Html:
  if not report.labels:
    return tag('p', 'The report speaks of no label.', class_='note')
  heads = ('Label', 'Words', 'Decided by', 'Concept', 'Rule')
  bodies = [
    _label_rows(name, label, report.text, names)
    for name, label in report.labels.items()
  ]
  return markup.table(heads, bodies, 'rows')


def _label_rows(name, label, text, names) -> Html:
  head = tag(
    'th',
    _label_chip(name, label),
    scope='rowgroup',
    rowspan=max(1, len(label.evidence)),
  )
  rows = [_evidence(*found, text, names) for found in label.evidence]
  rows = rows or [[tag('td', 'No label is present or uncertain.', colspan=4)]]
  rows[0].insert(0, head)
  return tag('tbody', *(tag('tr', *cells) for cells in rows))


def _evidence(mention, rule, text, names) -> list[Html]:
  """The cells of a mention and its rule."""
  words = tag(
    'mark',
    text[mention.start : mention.end],
    markup.sign(markup.state_of(mention)),
    class_=markup.state_of(mention),
  )
  cue = (
    tag('span', text[slice(*mention.cue)], class_='cue')
    if mention.cue
    else 'no cue'
  )
  said = f' {", ".join(mention.modifiers)}' if mention.modifiers else ''
  concept = tag(
    'span', names[mention.concept], ' ', tag('code', mention.concept)
  )
  return [
    tag('td', tag('span', words, said), data_name='Words'),
    tag('td', tag('span', cue), data_name='Decided by'),
    tag('td', concept, data_name='Concept'),
    tag('td', tag('span', rule), data_name='Rule'),
  ]


def _pair_table(concepts, places) -> Html:
  heads = ('Concept', 'Weight', 'Query', 'Candidate', 'Counts as')
  bodies = [
    tag('tbody', _pair_row(concept), class_=places[concept.id])
    for concept in concepts
  ]
  return markup.table(heads, bodies, 'rows')


def _pair_row(concept) -> Html:
  groups = [
    tag('span', group, class_=f'chip group {group}', title=_GROUPS[group])
    for group in concept.counts
  ]
  cells = {
    'weight': [format_number(concept.weight)],
    'query': ['; '.join(concept.query) or 'not mentioned'],
    'candidate': ['; '.join(concept.candidate) or 'not mentioned'],
    'counts as': groups or ['nothing'],
  }
  return tag(
    'tr',
    tag('th', concept.name, ' ', tag('code', concept.id), scope='row'),
    *(
      tag('td', tag('span', *cell), data_name=name)
      for name, cell in cells.items()
    ),
  )


def _hover(place) -> str:
  """A rule that shows where else a concept is, when one is pointed at."""
  return (
    f'body:has(.{place}:hover) .{place} '
    '{ outline: 2px solid var(--link); outline-offset: 1px; }\n'
  )
