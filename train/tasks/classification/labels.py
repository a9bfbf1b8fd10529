"""Labels of texts: the classes of a training split, and how they are scored."""

from collections.abc import Sequence

import numpy as np

from dicejax import metrics
from train.data.fields import Text
from train.tasks.label_sets import check_labels
from train.tasks.task import Scores

# The row of scores over all labels.
ALL = 'all'
# A label with the name of a row would be lost among the scores.
_RESERVED = {'micro', 'macro', ALL}


def get_labels(config, examples: Sequence[Text]) -> tuple[str, ...]:
  """Returns the labels of the training split, sorted, a positive one last.

  Raises:
    ValueError: there are fewer than two labels, or many that occur once; there
      is a positive one, but it is not one of two; or a label has the name of a
      row of the scores.
  """
  check_labels(config, (example.label for example in examples))
  labels = sorted({example.label for example in examples})
  positive = config.classification.positive
  names = ', '.join(map(repr, labels))
  if len(labels) < 2:
    raise ValueError(
      f'The training split has only the label {names}: expected two or more.'
    )
  if reserved := _RESERVED.intersection(labels):
    raise ValueError(
      f'The label {min(reserved)!r} is called like a row of the scores: '
      'expected another name.'
    )
  if not positive:
    return tuple(labels)
  if positive not in labels or len(labels) > 2:
    raise ValueError(
      f'classification.positive: expected one of two labels, not {positive!r} '
      f'of {names}.'
    )
  return tuple(sorted(labels, key=positive.__eq__))


def score_labels(
  gold: Sequence[str], predicted: Sequence[str], labels: Sequence[str]
) -> Scores:
  """Scores the labels of texts as scikit-learn does.

  Returns:
    A row per label of any argument, `macro`, and `all` with the accuracy.
  """
  # Sorted as scikit-learn sorts them: means then agree to the last digit.
  names = sorted({*gold, *labels})
  ids = {name: i for i, name in enumerate(names)}
  counts = metrics.label_counts(
    np.array([ids[label] for label in gold]),
    np.array([ids[label] for label in predicted]),
    len(names),
  )
  rows = metrics.class_scores(counts, names)
  # Each text has one label: F1 over all is the accuracy.
  micro = rows.pop('micro')
  rows[ALL] = {
    'accuracy': micro['f1'],
    'macro_f1': rows['macro']['f1'],
    'support': micro['support'],
  }
  return rows
