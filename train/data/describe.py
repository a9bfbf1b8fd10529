"""Describes data sets: counts, lengths, imbalance and irregularities."""

import bisect
import collections
import itertools
import re
from collections.abc import Callable
from collections.abc import Collection
from collections.abc import Iterable
from collections.abc import Mapping
from collections.abc import Sequence
from typing import Any
from typing import NamedTuple

import numpy as np

from dicejax import metrics
from dicejax.text.tags import are_spans
from train.data.answer_places import EAST_ASIAN
from train.data.conll import Sentence
from train.data.example import Example
from train.data.fields import LabelledText
from train.data.fields import Text
from train.data.mrc_ner import Query
from train.data.squad import Answer
from train.data.squad import Question

# A token is a text between spaces or, as BERT splits them, a single Chinese or
# Japanese character.
_TOKEN = re.compile(rf'[{EAST_ASIAN}]|[^\s{EAST_ASIAN}]+')


class _Facts(NamedTuple):
  """Facts about one example.

  Attributes:
    length: its number of tokens.
    labels: its labels, or the types of its entities.
    negative: its number of negatives, as `describe` counts them.
    positive: its number of positives.
    content: equal for equal examples.
  """

  length: int
  labels: Sequence[str]
  negative: int
  positive: int
  content: tuple


def describe(
  splits: Mapping[str, Sequence[Example]], *, positive: str = ''
) -> dict[str, dict[str, Any]]:
  """Describes the splits of a data set.

  The tokens of sentences are as they were read: words, or characters in Chinese
  columns and with CoNLL-U's `unit='character'`. The tokens of texts and
  contexts are separated by spaces, and each Chinese or Japanese character is a
  token.

  `negative` and `positive` are counted as in Li et al., 2020, table 1 (CoNLL
  2003, training split: 170K and 34K, 4.98 to 1):

  - sentences with entities: tokens outside and inside entities;
  - queries: likewise, summed over all queries;
  - questions: tokens in which an answer starts or ends are positive (those of
    the first alternative, if it has a position), all other tokens of the
    context are negative, counted for each question. The table's 175K for SQuAD
    1.1 are two per question, so an answer of one word counts twice there;
  - texts: examples with another label, and with the label `positive`;
  - texts with several labels: the labels of the training split that a text does
    not have, and those that it has, summed over texts.

  Args:
    splits: split → examples.
    positive: a label of texts, or `''` if none is positive.

  Returns:
    For each split: `examples` and `tokens`; `length` in tokens (`median`,
    `p95`, `longest`); `labels` → count (of entities if tags are BIO);
    `negative`, `positive` and their `ratio`, which is None if nothing is
    positive; `notes` → count; `repeated`: this or an earlier split → the number
    of examples that are also there; `new_labels`, which the training split
    lacks.
  """
  spans = are_spans(
    tag
    for example in itertools.chain(*splits.values())
    for tag in getattr(example, 'tags', ())
  )
  known = _label_set(splits)
  facts = {
    split: [_facts(example, spans, positive, known) for example in examples]
    for split, examples in splits.items()
  }
  report = {}
  for split, examples in splits.items():
    report[split] = _describe_split(facts[split]) | {
      'notes': count_notes(examples),
      'repeated': _repeated(facts, split),
    }
  in_train = report.get('train', {}).get('labels')
  for of_split in report.values():
    labels = of_split['labels']
    of_split['new_labels'] = [
      label
      for label in labels
      if in_train is not None and label not in in_train
    ]
  return report


def table_rows(
  report: Mapping[str, Mapping[str, Any]],
) -> list[list[str]]:
  """Returns the rows of a table of a report, with a column per split."""
  labels = sorted({label for r in report.values() for label in r['labels']})
  rows = [
    ('examples', lambda r: f'{r["examples"]:,}'),
    ('tokens', lambda r: f'{r["tokens"]:,}'),
    ('median length', lambda r: f'{r["length"]["median"]:g}'),
    ('95th percentile', lambda r: f'{r["length"]["p95"]:.0f}'),
    ('longest', lambda r: f'{r["length"]["longest"]:,}'),
    # The prefix keeps a label such as 'tokens' apart from the other rows.
    *((f'label {label}', _count_of(label)) for label in labels),
  ]
  if any(r['ratio'] for r in report.values()):
    rows += [
      ('negative', lambda r: f'{r["negative"]:,}'),
      ('positive', lambda r: f'{r["positive"]:,}'),
      ('ratio', lambda r: f'{r["ratio"]:.2f}' if r['ratio'] else ''),
    ]
  return [
    ['', *report],
    *([name, *map(value, report.values())] for name, value in rows),
  ]


def remarks(report: Mapping[str, Mapping[str, Any]]) -> list[str]:
  """Returns a line for each irregularity and each rule that changed data."""
  lines = []
  for split, r in report.items():
    notes = r['notes'].items()
    lines += [f'{split}: {count} × {note}' for note, count in notes]
    for other, count in r['repeated'].items():
      place = 'more than once' if other == split else f'also in {other}'
      lines.append(f'{split}: {count} × example {place}')
    if r['new_labels']:
      names = ', '.join(r['new_labels'])
      lines.append(f'{split}: labels that train does not have: {names}')
  return lines


def count_notes(examples: Iterable[Example]) -> dict[str, int]:
  """Returns how often each rule changed an example, by its note."""
  notes = (n for example in examples for n in getattr(example, 'notes', ()))
  return dict(collections.Counter(notes).most_common())


def _label_set(splits: Mapping[str, Sequence[Any]]) -> set[str]:
  """Returns all labels of texts with several labels, those of train if any."""
  examples = splits.get('train') or [*itertools.chain(*splits.values())]
  return {label for x in examples for label in getattr(x, 'labels', ())}


def _facts(
  example: Any, spans: bool, positive: str, known: Collection[str]
) -> _Facts:
  match example:
    case Sentence(tokens, tags):
      labels, inside = tags, 0
      if spans:
        labels = [span.type for span in metrics.entity_spans(tags)]
        inside = len(tags) - tags.count('O')
      outside = len(tokens) - inside
      return _Facts(len(tokens), labels, outside, inside, tuple(tokens))
    case Query(_, kind, _, tokens, places):
      inside = len({i for start, end in places for i in range(start, end)})
      outside = len(tokens) - inside
      content = (kind, *tokens)
      return _Facts(len(tokens), [kind] * len(places), outside, inside, content)
    case Question(_, _, question, context, answers):
      parts = answers[0] if answers else []
      starts = [match.start() for match in _TOKEN.finditer(context)]
      length, inside = len(starts), len(_edges(starts, parts))
      labels = ['answered' if parts else 'unanswerable']
      labels += ['of several spans'] * (len(parts) > 1)
      content = (question, context)
      return _Facts(length, labels, length - inside, inside, content)
    case Text(text, pair, label):
      length = _count_tokens(text) + _count_tokens(pair or '')
      is_positive = int(label == positive)
      content = (text, pair)
      return _Facts(length, [label], 1 - is_positive, is_positive, content)
    case LabelledText(text, pair, labels):
      length = _count_tokens(text) + _count_tokens(pair or '')
      negative = len({*known} - {*labels})
      content = (text, pair)
      return _Facts(length, labels, negative, len(labels), content)
  raise TypeError(f'Unknown kind of example: {type(example).__name__}.')


def _edges(starts: list[int], spans: Iterable[Answer]) -> set[int]:
  """Returns the tokens in which a span starts or ends.

  Args:
    starts: the position of the first character of each token.
    spans: text and position of each span.
  """
  edges = set()
  for text, start in spans:
    if start >= 0:
      first = start + len(text) - len(text.lstrip())
      last = start + len(text.rstrip()) - 1
      edges |= {bisect.bisect(starts, place) - 1 for place in (first, last)}
  return edges


def _describe_split(facts: Sequence[_Facts]) -> dict[str, Any]:
  lengths = [fact.length for fact in facts]
  labels = collections.Counter(label for fact in facts for label in fact.labels)
  positive = sum(fact.positive for fact in facts)
  negative = sum(fact.negative for fact in facts)
  return {
    'examples': len(facts),
    'tokens': sum(lengths),
    'length': {
      'median': float(np.median(lengths)),
      'p95': float(np.percentile(lengths, 95)),
      'longest': max(lengths),
    },
    'labels': dict(sorted(labels.items())),
    'negative': negative,
    'positive': positive,
    'ratio': negative / positive if positive else None,
  }


def _repeated(
  facts: Mapping[str, Sequence[_Facts]], split: str
) -> dict[str, int]:
  """Counts examples that occur twice in a split, or also in earlier splits."""
  contents = [fact.content for fact in facts[split]]
  repeated = {split: len(contents) - len(set(contents))}
  for other in facts:
    if other == split:
      break
    theirs = {fact.content for fact in facts[other]}
    repeated[other] = sum(content in theirs for content in contents)
  return {other: count for other, count in repeated.items() if count}


def _count_tokens(text: str) -> int:
  return len(_TOKEN.findall(text))


def _count_of(label: str) -> Callable[[Mapping], str]:
  return lambda r: f'{r["labels"].get(label, 0):,}'
