"""Hits and explanations as tables, CSV or JSON."""

import sys
from collections.abc import Sequence
from typing import Any

from dicejax.concepts.cli import display
from dicejax.concepts.search.agreement import modified
from dicejax.concepts.search.explanation import Explanation
from dicejax.concepts.search.explanation import Side
from dicejax.concepts.search.findings import Comparison
from dicejax.concepts.search.findings import Findings
from dicejax.concepts.search.index import Hit
from dicejax.concepts.search.index import ReportIndex
from dicejax.concepts.search.scorer import Scorer
from dicejax.concepts.search.scorer import format_number

_GROUPS = Comparison._fields


def show_hits(
  hits: Sequence[Hit],
  query: Side,
  index: ReportIndex,
  scorer: Scorer,
  chosen: str | None,
) -> None:
  """Writes the findings of the query and the hits."""
  chosen = display.choose_format(chosen, sys.stdout)
  rows = [
    _row(rank, hit, query.findings, index, scorer)
    for rank, hit in enumerate(hits, 1)
  ]
  if chosen == 'json':
    _write_hits(rows, query, index, scorer)
    return
  _print_query(query, index, scorer, chosen)
  if not rows:
    print('No report shares a finding with the query.', file=sys.stderr)
  rows = [
    row | {group: _names(row[group], index) for group in _GROUPS}
    for row in rows
  ]
  if chosen == 'csv':
    columns = ['rank', 'id', 'score', 'negative_score', 'agreement']
    columns += [*_GROUPS, 'snippet']
    display.write_csv(columns, rows, sys.stdout)
    return
  for row in rows:
    _print_hit(row, display.terminal_width())


def _names(ids, index) -> list[str]:
  return [index.ontology.terms[id].name for id in ids]


def _write_hits(rows, query, index, scorer):
  """Writes the query and its hits as JSON."""
  terms = index.ontology.terms
  for row in rows:
    for group in _GROUPS:
      row[group] = [
        {'concept': id, 'name': terms[id].name} for id in row[group]
      ]
  asked = {
    name: _names(scorer.heaviest_first(ids), index)
    for name, ids in query.findings._asdict().items()
  }
  asked['modifiers'] = {
    terms[mention.concept].name: mention.modifiers
    for mention in modified(query.mentions)
  }
  display.write_json({'query': asked, 'hits': rows}, sys.stdout)


def _print_query(query, index, scorer, chosen):
  """Prints what the query was taken to say."""
  modifiers = {m.concept: m.modifiers for m in modified(query.mentions)}
  present, absent = map(scorer.heaviest_first, query.findings)
  present = [
    ' '.join((*modifiers.get(id, ()), *_names([id], index))) for id in present
  ]
  for name, values in (('present', present), ('absent', _names(absent, index))):
    if values:
      entry = display.format_entry(name, values, display.terminal_width())
      print(entry, file=sys.stdout if chosen == 'table' else sys.stderr)


def _row(rank, hit, query, index, scorer) -> dict[str, Any]:
  row = index.row(hit.id)
  mentions = index.mentions[row]
  # The snippet is around the heaviest concept that both reports find, or else
  # that both exclude, or else it is the beginning of the text.
  both = query.absent & Findings.of(mentions).absent
  first = [*hit.shared, *scorer.heaviest_first(both), None][0]
  spans = [
    (m.start, m.end) for m in mentions if m.concept == first and m.is_current
  ]
  return {
    'rank': rank,
    **hit._asdict(),
    'score': round(hit.score, 6),
    'negative_score': round(hit.negative_score, 6),
    'snippet': display.snippet(
      index.reports.texts[row], *(spans or [(0, 0)])[0]
    ),
  }


def _print_hit(row, width):
  print(
    f'\n{row["rank"]:>3}  {display.one_line(row["id"])}  '
    f'score {row["score"]:.4f}, '
    f'negative score {row["negative_score"]:.4f}'
    + (f', agreement {row["agreement"]:g}' if row['agreement'] else '')
  )
  for group in filter(row.get, _GROUPS):
    entry = display.format_entry(group, row[group], width)
    print(display.paint(entry, group, sys.stdout))
  print(display.format_entry('text', [row['snippet']], width))


def show_pair(pair: Explanation, chosen: str | None) -> None:
  """Writes the concepts of two reports and the sums of their scores."""
  chosen = display.choose_format(chosen, sys.stdout)
  rows = [
    {
      'concept': concept.id,
      'name': concept.name,
      'weight': concept.weight,
      'query': list(map(display.one_line, concept.query)),
      'candidate': list(map(display.one_line, concept.candidate)),
      'counts': list(concept.counts),
    }
    for concept in pair.concepts
  ]
  if chosen == 'json':
    about = {
      'query': pair.query.name,
      'candidate': pair.candidate.name,
      'score': round(pair.score, 6),
      'negative_score': round(pair.negative_score, 6),
      'calculation': pair.calculation,
    }
    display.write_json(about | {'concepts': rows}, sys.stdout)
  elif chosen == 'csv':
    columns = ['concept', 'name', 'weight', 'query', 'candidate', 'counts']
    display.write_csv(columns, rows, sys.stdout)
    print('\n'.join(pair.sums()), file=sys.stderr)
  else:
    _print_pair(pair, rows)


def _print_pair(pair, rows):
  names = (display.one_line(side.name) for side in (pair.query, pair.candidate))
  heading = ['concept', 'weight', *names, 'counts']
  cells = [
    [
      row['name'],
      format_number(row['weight']),
      *('; '.join(row[key]) for key in ('query', 'candidate')),
      ', '.join(row['counts']),
    ]
    for row in rows
  ]
  lines = display.format_table([heading, *cells], display.terminal_width())
  groups = [None, *(next(iter(row['counts'][-1:]), None) for row in rows)]
  for line, group in zip(lines, groups, strict=True):
    print(display.paint(line, group, sys.stdout))
  print('\n' + '\n'.join(pair.sums()))
