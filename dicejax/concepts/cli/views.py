"""What search and explain show."""

import sys
from collections.abc import Sequence
from typing import Any

from dicejax.concepts.cli import display
from dicejax.concepts.search.compare import Comparison
from dicejax.concepts.search.compare import Polar
from dicejax.concepts.search.compare import compare
from dicejax.concepts.search.compare import number
from dicejax.concepts.search.compare import split_polarity
from dicejax.concepts.search.index import Index
from dicejax.concepts.search.scoring import Space
from dicejax.concepts.text.mentions import Mention

_GROUPS = ('shared', 'missing', 'extra', 'forgiven', 'contradicting')


def _ordered(ids, index, space) -> list[str]:
  """Those that weigh most first, then by name."""
  terms = index.ontology.terms
  return sorted(ids, key=lambda id: (-space.weight[id], terms[id].name, id))


def hit_row(
  rank: int,
  hit: tuple[int, float, float],
  query: Polar,
  index: Index,
  space: Space,
) -> dict[str, Any]:
  """A hit, its concepts by their ids.

  Args:
    rank: from 1.
    hit: its row in the index, and the scores of both sets.
    query: what the query says.
    index: of the reports.
    space: of the scores.
  """
  place, score, negative_score = hit
  mentions, text = index.mentions[place], index.reports.texts[place]
  candidate = split_polarity(mentions, uncertain=space.uncertain)
  comparison = compare(query, candidate, space.same)._asdict()
  groups = {g: _ordered(comparison[g], index, space) for g in _GROUPS}
  # Around what is shared and weighs most, or else from the beginning.
  both = query.negative & candidate.negative
  first = [*groups['shared'], *_ordered(both, index, space), None][0]
  spans = [(m.start, m.end) for m in mentions if m.concept == first]
  return {
    'rank': rank,
    'id': index.reports.ids[place],
    'score': round(score, 6),
    'negative_score': round(negative_score, 6),
    **groups,
    'snippet': display.snippet(text, *(spans or [(0, 0)])[0]),
  }


def has_something(
  query: Polar, mentions: Sequence[Mention], space: Space
) -> bool:
  """Whether a report says something that the query says.

  A query that affirms nothing asks for reports that affirm little; all fit.
  """
  said = split_polarity(mentions, uncertain=space.uncertain)
  return (
    not query.positive
    or not said.positive.isdisjoint(query.positive)
    or not said.negative.isdisjoint(query.negative)
  )


def show_hits(
  rows: list[dict], query: Polar, index: Index, space: Space, chosen: str | None
) -> None:
  """Writes hits, the concepts by name, and what the query was taken to say."""

  def names(ids):
    return [index.ontology.terms[id].name for id in ids]

  chosen = display.choose_format(chosen, sys.stdout)
  asked = {
    'present': names(_ordered(query.positive, index, space)),
    'absent': names(_ordered(query.negative, index, space)),
  }
  if chosen == 'json':
    for row in rows:
      for group in _GROUPS:
        pairs = zip(row[group], names(row[group]), strict=True)
        row[group] = [{'concept': id, 'name': name} for id, name in pairs]
    display.write_json({'query': asked, 'hits': rows}, sys.stdout)
    return
  width = display.terminal_width()
  for polarity in filter(asked.get, asked):
    entry = display.format_entry(polarity, asked[polarity], width)
    print(entry, file=sys.stdout if chosen == 'table' else sys.stderr)
  if not rows:
    print('No report says any of this.', file=sys.stderr)
  rows = [row | {g: names(row[g]) for g in _GROUPS} for row in rows]
  if chosen == 'csv':
    columns = ['rank', 'id', 'score', 'negative_score', *_GROUPS, 'snippet']
    display.write_csv(columns, rows, sys.stdout)
    return
  for row in rows:
    print(
      f'\n{row["rank"]:>3}  {display.one_line(row["id"])}  '
      f'score {row["score"]:.4f}, '
      f'negative score {row["negative_score"]:.4f}'
    )
    for group in filter(row.get, _GROUPS):
      entry = display.format_entry(group, row[group], width)
      print(display.paint(entry, group, sys.stdout))
    print(display.format_entry('text', [row['snippet']], width))


def pair_rows(
  places: tuple[int, int],
  query: Polar,
  candidate: Polar,
  comparison: Comparison,
  index: Index,
  space: Space,
) -> list[dict[str, Any]]:
  """A row a concept that either mentions: shared first, then by weight."""
  groups = comparison._asdict() | {
    'shared negative': query.negative & candidate.negative
  }
  mentioned = {m.concept for place in places for m in index.mentions[place]}
  rows = []
  for id in _ordered(mentioned, index, space):
    rows.append(
      {
        'concept': id,
        'name': index.ontology.terms[id].name,
        'weight': space.weight[id],
        'query': _words(id, places[0], index),
        'candidate': _words(id, places[1], index),
        'counts': [group for group, ids in groups.items() if id in ids],
      }
    )
  rank = {group: number for number, group in enumerate(groups)}

  def first(row):
    return min((rank[group] for group in row['counts']), default=len(rank))

  return sorted(rows, key=first)


def _words(id, place, index) -> list[str]:
  """How a report mentions a concept: `absent "effusion" (no)`."""
  text = index.reports.texts[place]
  said = [
    f'{m.polarity} "{display.one_line(text[m.start : m.end])}"'
    + (f' ({display.one_line(text[slice(*m.cue)])})' if m.cue else '')
    for m in index.mentions[place]
    if m.concept == id
  ]
  return list(dict.fromkeys(said))


def show_pair(rows: list[dict], about: dict, chosen: str | None) -> None:
  """Writes the rows of two reports, and the formula with their numbers."""
  chosen = display.choose_format(chosen, sys.stdout)
  if chosen == 'json':
    display.write_json(about | {'concepts': rows}, sys.stdout)
    return
  score = (
    f'score = {about["calculation"]} = {number(about["score"])}\n'
    f'negative score = {number(about["negative_score"])}'
  )
  if chosen == 'csv':
    columns = ['concept', 'name', 'weight', 'query', 'candidate', 'counts']
    display.write_csv(columns, rows, sys.stdout)
    print(score, file=sys.stderr)
    return
  ids = (display.one_line(about[key]) for key in ('query', 'candidate'))
  heading = ['concept', 'weight', *ids, 'counts']
  cells = [
    [
      row['name'],
      number(row['weight']),
      *('; '.join(row[key]) for key in ('query', 'candidate')),
      ', '.join(row['counts']),
    ]
    for row in rows
  ]
  lines = display.format_table([heading, *cells], display.terminal_width())
  groups = [None, *(next(iter(row['counts'][-1:]), None) for row in rows)]
  for line, group in zip(lines, groups, strict=True):
    print(display.paint(line, group, sys.stdout))
  print(f'\n{score}')
