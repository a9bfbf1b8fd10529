"""Labels of words: the classes of a training split, and the rows they score."""

from collections.abc import Sequence

import numpy as np

from dicejax import metrics
from dicejax.text.tags import NO_TAG
from dicejax.text.tags import are_spans
from dicejax.tversky import Counts
from train.data.conll import Sentence
from train.tasks.task import Scores

# Suffix of the rows of scores with the tuned offset.
TUNED = ', tuned'
_AVERAGES = 'micro', 'macro'


def get_labels(config, examples: Sequence[Sentence]) -> tuple[str, ...]:
  """Returns the classes of words in a training split.

  Returns:
    `O`, then B and I of every type, also of a type without an I; or the tags,
    sorted, where they do not spell entities.

  Raises:
    ValueError: there is no entity, or a type has the name of a row of scores.
  """
  tags = {tag for sentence in examples for tag in sentence.tags}
  if not are_spans(tags):
    return tuple(sorted(tags))
  types = {tag[2:] for tag in tags if tag != 'O'}
  rows = {name + suffix for name in _AVERAGES for suffix in ('', TUNED)}
  if reserved := rows & types:
    raise ValueError(
      f'The entity type {min(reserved)!r} is called like a row of the scores: '
      'expected another name.'
    )
  if not types:
    raise ValueError('The training split has no entity: is the column right?')
  return ('O', *(f'{prefix}-{t}' for t in sorted(types) for prefix in 'BI'))


def types_of(labels: Sequence[str]) -> list[str]:
  """Returns what is scored: the types of entities, or the labels themselves."""
  if not are_spans(labels):
    return list(labels)
  return list(dict.fromkeys(tag[2:] for tag in labels if tag != 'O'))


def score_tags(
  gold: Sequence[Sequence[str]],
  found: Sequence[Sequence[str]],
  labels: Sequence[str],
) -> Scores:
  """Scores the tags of sentences.

  Returns:
    A row per type of the labels or of a true entity, `micro` and `macro`.
  """
  spell = metrics.entity_spans if are_spans(labels) else _words_as_spans
  true, predicted = [spell(row) for row in gold], [spell(row) for row in found]
  types = sorted(
    {span.type for spans in true for span in spans}.union(types_of(labels))
  )
  none = np.zeros(len(types), np.int64)
  counts = sum(
    (
      metrics.span_counts(*spans, types)
      for spans in zip(true, predicted, strict=True)
    ),
    start=Counts(none, none, none),
  )
  return metrics.class_scores(counts, types)


def _words_as_spans(tags):
  return [
    metrics.Span(tag, i, i + 1) for i, tag in enumerate(tags) if tag != NO_TAG
  ]
