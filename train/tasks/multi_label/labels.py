"""The labels of a training split of label sets, and how they are scored."""

from collections.abc import Sequence

import numpy as np

from dicejax import metrics
from dicejax.tversky import Counts
from train.data.fields import LabelledText
from train.tasks.label_sets import check_labels
from train.tasks.task import Scores

# Rule of decision → what the names of its rows end with.
SUFFIXES = {'argmax': '', 'tuned': ', tuned', 'plug-in': ', plug-in'}
AVERAGES = 'micro', 'macro'


def get_labels(config, examples: Sequence[LabelledText]) -> tuple[str, ...]:
  """Returns the labels of the training split, sorted.

  Raises:
    ValueError: no text has a label, many labels occur once, or one has the name
      of a row of the scores.
  """
  found = [label for example in examples for label in example.labels]
  if not found:
    raise ValueError(
      'No text of the training split has a label: is the column right?'
    )
  check_labels(config, found)
  rows = {name + suffix for name in AVERAGES for suffix in SUFFIXES.values()}
  if reserved := rows.intersection(found):
    raise ValueError(
      f'The label {min(reserved)!r} is called like a row of the scores: '
      'expected another name.'
    )
  return tuple(sorted(set(found)))


def to_array(
  label_sets: Sequence[Sequence[str]], labels: Sequence[str]
) -> np.ndarray:
  """Writes sets of labels as a table of 1 and 0, int32 `[n, labels]`."""
  return np.array(
    [[label in found for label in labels] for found in label_sets], np.int32
  ).reshape(len(label_sets), len(labels))


def count(gold: np.ndarray, found: np.ndarray) -> Counts:
  """Counts each label, int64 `[labels]`, in tables of 1 and 0."""
  gold, found = gold > 0, found > 0
  return Counts(
    tp=np.sum(gold & found, axis=0),
    fp=np.sum(found & ~gold, axis=0),
    fn=np.sum(gold & ~found, axis=0),
  )


def score_label_sets(
  gold: Sequence[Sequence[str]],
  found: Sequence[Sequence[str]],
  labels: Sequence[str],
) -> Scores:
  """Scores sets of labels as scikit-learn does.

  Returns:
    A row per label of any argument, `micro` and `macro`.
  """
  names = sorted({label for one in gold for label in one}.union(labels))
  counts = count(to_array(gold, names), to_array(found, names))
  return metrics.class_scores(counts, names)


def average_precisions(
  gold: np.ndarray, probabilities: np.ndarray, labels: Sequence[str]
) -> dict[str, float]:
  """Computes the average precision of each label, `micro` and `macro`.

  Args:
    gold: 1 or 0, `[n, labels]`.
    probabilities: `[n, labels]`.
    labels: names of the columns.

  Returns:
    Name → average precision, without the labels that no text has; `macro` is
    the mean over the others. `micro` and `macro` are 0 if no text has any.
  """
  found = {
    label: metrics.average_precision(scores, true)
    for label, scores, true in zip(labels, probabilities.T, gold.T, strict=True)
    if true.any()
  }
  if not found:
    return dict.fromkeys(AVERAGES, 0.0)
  micro = metrics.average_precision(probabilities.ravel(), gold.ravel())
  return found | {'micro': micro, 'macro': float(np.mean([*found.values()]))}
