"""The queries of `search`: one, those of a file, or those of a terminal."""

import json
import pathlib
import sys
from typing import Any

from dicejax.concepts.cli import views
from dicejax.concepts.search.index import ReportIndex


def check(arguments) -> None:
  """Refuses what does not go together, before the index is read."""
  if arguments.query is not None and arguments.queries:
    raise ValueError('Give a QUERY or --queries, not both.')
  if arguments.queries and arguments.format not in (None, 'json'):
    raise ValueError('--queries writes JSON lines: leave --format out.')
  if arguments.query is None and not (arguments.queries or sys.stdin.isatty()):
    raise ValueError('No query: give a QUERY or --queries FILE.')


def search(
  index: ReportIndex, arguments: Any, settings: dict[str, Any]
) -> None:
  """Shows the hits of each query."""
  if arguments.queries:
    for query in _read(arguments.queries):
      print(json.dumps(_line(index, query, arguments, settings)))
  elif arguments.query is None:
    _ask(index, arguments, settings)
  else:
    _show(index, arguments.query, arguments, settings)


def _read(path) -> list[str]:
  try:
    lines = pathlib.Path(path).read_text('utf-8-sig').splitlines()
  except UnicodeDecodeError as error:
    raise ValueError(f'{path}: is not UTF-8: {error}.') from None
  return [line.strip() for line in lines if line.strip()]


def _line(index, query, arguments, settings) -> dict[str, Any]:
  """Makes a line of a query and its hits, or of what is wrong with it."""
  try:
    hits = index.search(
      query, arguments.k, modifiers=arguments.modifiers, **settings
    )
  except ValueError as error:  # The other queries may still find something.
    return {'query': query, 'error': ' '.join(str(error).split())}
  return {'query': query, 'hits': [hit._asdict() for hit in hits]}


def _show(index, query, arguments, settings):
  hits = index.search(
    query, arguments.k, modifiers=arguments.modifiers, **settings
  )
  side = index.side(query, uncertain=arguments.uncertain)
  scorer = index.scorer(**settings)
  views.show_hits(hits, side, index, scorer, arguments.format)


def _ask(index, arguments, settings):
  """Asks a person for queries until there is none."""
  while True:
    try:
      query = input('query: ').strip()
    except EOFError:
      print()
      return
    if not query:
      return
    try:
      _show(index, query, arguments, settings)
    except ValueError as error:
      print(error, file=sys.stderr)
