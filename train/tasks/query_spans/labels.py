"""Types of entities, the queries that ask for them, and their true spans."""

from collections.abc import Iterator
from collections.abc import Mapping
from collections.abc import Sequence

from dicejax import metrics
from train.data import mrc_ner
from train.data.conll import Sentence
from train.data.mrc_ner import Query


def get_labels(config, examples: Sequence[Query | Sentence]) -> dict[str, str]:
  """Returns the types of entities, in order, and the query for each.

  Queries are in the examples or, for data with tags, in the file
  `query_spans.queries`.

  Raises:
    ValueError: there is no entity, the file of queries is missing or not
      wanted, or it lacks a type.
  """
  path = config.query_spans.queries
  queries = {e.type: e.query for e in examples if isinstance(e, Query)}
  types = {span.type for example in examples for span in gold_spans(example)}
  if not types:
    raise ValueError('The training split has no entity: is the column right?')
  if queries and path:
    raise ValueError(
      'query_spans.queries is for data with tags: MRC-NER files have their own.'
    )
  if not queries:
    if not path:
      raise ValueError(
        'query_spans.queries: expected a file of queries for data with tags.'
      )
    wordings = mrc_ner.read_wordings(path)
    if missing := sorted(types - wordings.keys()):
      raise ValueError(f'{path}: expected a query for {missing} as well.')
    queries = {type_: wordings[type_] for type_ in types}
  return dict(sorted(queries.items()))


def gold_spans(example: Query | Sentence) -> list[metrics.Span]:
  """Returns the true entities of an example, in words."""
  if isinstance(example, Query):
    return [metrics.Span(example.type, *span) for span in example.spans]
  return metrics.entity_spans(example.tags, 'bio')


def ask(
  example: Query | Sentence, queries: Mapping[str, str]
) -> Iterator[tuple[str, str, list[tuple[int, int]]]]:
  """Yields type, query and true spans of each input made from an example.

  A `Query` is asked in its own wording, a `Sentence` once per type.
  """
  if isinstance(example, Query):
    yield example.type, example.query, example.spans
    return
  gold = gold_spans(example)
  for type_, query in queries.items():
    yield type_, query, [(s.start, s.end) for s in gold if s.type == type_]
