"""Queries for entities from MRC-NER files: a sentence and a type each.

A file is one JSON list of items:

  {"qas_id": "7.2", "query": "Companies, parties, ...", "entity_label": "ORG",
   "context": "the words joined by spaces", "start_position": [0],
   "end_position": [1], "span_position": ["0;1"], "impossible": false}

Positions count words from 0, and the end position is the last word of a span.
In Chinese files a space separates any two characters. Numbers may be strings.
`span_position` and `impossible` may be missing.
"""

import sys
from collections.abc import Iterator
from collections.abc import Sequence
from typing import Any
from typing import NamedTuple

from train.data.files import Path
from train.data.files import check_unicode
from train.data.files import read_json

_IMPOSSIBLE = "impossible contradicts an item's spans: these count"
_REPEATED = 'a span given twice counts once'
_SPACES = 'white space other than one space between words'


class Query(NamedTuple):
  """A sentence and the entities of one type in it.

  Attributes:
    id: the `qas_id` in the file.
    type: the type of the entities.
    query: a description of the type.
    tokens: the words of the sentence (characters in Chinese).
    spans: for each entity its first word and the word after its last, in order.
      Spans may overlap.
    notes: the rules that changed something.
  """

  id: str
  type: str
  query: str
  tokens: list[str]
  spans: list[tuple[int, int]]
  notes: list[str]

  @property
  def where(self) -> str:
    return self.id

  @property
  def words(self) -> list[str]:
    return [*self.tokens, *self.query.split()]

  @property
  def group(self) -> tuple[str, ...]:
    return tuple(self.tokens)  # Queries on one sentence stay together.


def read_queries(path: Path) -> Iterator[Query]:
  """Reads the items of a UTF-8 JSON file, in order.

  White space separates words, as in the published reader. Without
  `span_position`, starts and ends are paired in order. If the spans then
  overlap, the item is refused, because other pairs are possible.

  Yields:
    Queries, including those without an entity.

  Raises:
    ValueError: the file is not JSON (the message begins with `path:line:`), or
      an item is malformed (`path: item 12 ('3.ORG'):`, counted from 0).
  """
  seen = set()
  for number, item in enumerate(_items(path)):
    name = item.get('qas_id', '') if isinstance(item, dict) else ''
    try:
      query = _query(item)
      if query.id in seen:
        raise ValueError('expected a qas_id that no item before has.')
    except ValueError as error:
      raise ValueError(f'{path}: item {number} ({name!r}): {error}') from None
    seen.add(query.id)
    yield query


def _items(path: Path) -> list:
  items = read_json(path)
  if not isinstance(items, list) or not items:
    raise ValueError(f'{path}:1: expected a list of at least one item.')
  return items


def _query(item: Any) -> Query:
  if not isinstance(item, dict):
    raise ValueError(f'expected an object, found {item!r}.')
  context, notes = _text(item, 'context'), []
  tokens = context.split()
  if ' '.join(tokens) != context:
    notes.append(_SPACES)
  spans = _spans(item)
  for start, last in spans:
    if not 0 <= start <= last < len(tokens):
      raise ValueError(
        f'expected spans within words 0 to {len(tokens) - 1} whose first word '
        f'is not after the last, found {start} to {last}.'
      )
  unique = sorted({(start, last + 1) for start, last in spans})
  if len(unique) < len(spans):
    notes.append(_REPEATED)
  if str(item.get('impossible', not spans)).lower() != str(not spans).lower():
    notes.append(_IMPOSSIBLE)
  return Query(
    id=_text(item, 'qas_id'),
    # A sentence comes back with each type. Its words are kept only once.
    type=sys.intern(_text(item, 'entity_label')),
    query=sys.intern(_text(item, 'query')),
    tokens=[sys.intern(token) for token in tokens],
    spans=unique,
    notes=notes,
  )


def _text(item: dict, key: str) -> str:
  if key not in item:
    raise ValueError(f'expected the key {key!r}, found {sorted(item)}.')
  value = item[key]
  if key == 'qas_id' and isinstance(value, int):
    value = str(value)
  if not isinstance(value, str) or not value.strip():
    raise ValueError(f'expected a text as {key!r}, found {value!r}.')
  check_unicode(value, key)
  return value


def _spans(item: dict) -> list[tuple[int, int]]:
  """Returns pairs of first and last words, as given or as far as certain."""
  starts, ends = (
    _numbers(item, 'start_position'),
    _numbers(item, 'end_position'),
  )
  if item.get('span_position') is None:
    return _pair(starts, ends)
  spans = [_pair_of(text) for text in _list(item, 'span_position')]
  for side, given, name in zip(
    zip(*spans, strict=True) if spans else ((), ()),
    (starts, ends),
    ('start_position', 'end_position'),
    strict=True,
  ):
    if set(side) != set(given):
      raise ValueError(
        f'expected {name} to agree with span_position, found {given} and '
        f'{item["span_position"]}.'
      )
  return spans


def _pair(starts: Sequence[int], ends: Sequence[int]) -> list[tuple[int, int]]:
  if len(starts) != len(ends):
    raise ValueError(
      f'expected as many start_position as end_position, found {len(starts)} '
      f'and {len(ends)}.'
    )
  spans = list(zip(sorted(starts), sorted(ends), strict=True))
  for (_, last), (start, _) in zip(spans, spans[1:], strict=False):
    if start <= last:
      raise ValueError(
        f'expected span_position, as spans overlap: starts {starts} and ends '
        f'{ends} can be paired in several ways.'
      )
  return spans


def _pair_of(text: Any) -> tuple[int, int]:
  parts = text.split(';') if isinstance(text, str) else []
  if len(parts) != 2:
    raise ValueError(f"expected span_position as in '0;1', found {text!r}.")
  return _number(parts[0], 'span_position'), _number(parts[1], 'span_position')


def _numbers(item: dict, key: str) -> list[int]:
  return [_number(value, key) for value in _list(item, key)]


def _list(item: dict, key: str) -> list:
  if key not in item:
    raise ValueError(f'expected the key {key!r}, found {sorted(item)}.')
  if not isinstance(item[key], list):
    raise ValueError(f'expected a list as {key!r}, found {item[key]!r}.')
  return item[key]


def _number(value: Any, key: str) -> int:
  if isinstance(value, str) and value.strip().isdecimal():
    return int(value)
  if isinstance(value, bool) or not isinstance(value, int):
    raise ValueError(f'expected numbers of words in {key!r}, found {value!r}.')
  return value


def read_wordings(path: Path) -> dict[str, str]:
  """Reads a JSON object of queries by type, for data with tags.

  Raises:
    FileNotFoundError: the file is missing.
    ValueError: the file is not JSON (the message begins with `path:line:`), or
      does not hold a text for each type.
  """
  queries = read_json(path)
  if not isinstance(queries, dict) or not queries:
    raise ValueError(f"{path}: expected an object, as in {{'ORG': 'bodies'}}.")
  for type_, query in queries.items():
    if not isinstance(query, str) or not query.strip():
      raise ValueError(f'{path}: expected a query for {type_!r}: {query!r}.')
  return queries
