"""Counts of true and false positives, and precision, recall and F of them."""

from __future__ import annotations

import collections
from collections.abc import Iterable
from collections.abc import Sequence

import jax
import numpy as np
from jax.typing import ArrayLike

from dicejax.metrics._spans import Span
from dicejax.tversky import Counts
from dicejax.tversky import tversky_index


def span_counts(
  gold: Iterable[Span], predicted: Iterable[Span], types: Sequence[str]
) -> Counts:
  """Counts the entities of a sentence; only exact spans and types are right.

  Counts add up: the sum over the sentences of a corpus gives the counts of the
  corpus.

  Args:
    gold: the true spans of a sentence. Repeated spans count once.
    predicted: the predicted spans. Repeated spans count once.
    types: the types to count, without repetition.

  Returns:
    Counts, each int64 `[types]`.

  Raises:
    ValueError: the type of a span is not in `types`.

  Example:
    >>> gold = [Span('PER', 0, 2), Span('LOC', 3, 4)]
    >>> predicted = [Span('PER', 0, 2), Span('LOC', 3, 5)]
    >>> span_counts(gold, predicted, ['LOC', 'PER'])
    Counts(tp=array([0, 1]), fp=array([1, 0]), fn=array([1, 0]))
  """
  gold, predicted = set(gold), set(predicted)
  return Counts(
    tp=_count_types(gold & predicted, types),
    fp=_count_types(predicted - gold, types),
    fn=_count_types(gold - predicted, types),
  )


def precision(counts: Counts) -> jax.Array | np.ndarray:
  """Computes the fraction of predictions that are right, TP / (TP + FP).

  Args:
    counts: the counts, each `[...]`.

  Returns:
    `[...]`, 0 where nothing is predicted. float64 for counts on the host.

  Example:
    >>> float(precision(Counts(tp=1, fp=3, fn=0)))
    0.25
  """
  return tversky_index(counts, alpha=1, beta=0)


def recall(counts: Counts) -> jax.Array | np.ndarray:
  """Computes the fraction of true elements that are found, TP / (TP + FN).

  Args:
    counts: the counts, each `[...]`.

  Returns:
    `[...]`, 0 where nothing is true. float64 for counts on the host.

  Example:
    >>> float(recall(Counts(tp=1, fp=0, fn=3)))
    0.25
  """
  return tversky_index(counts, alpha=0, beta=1)


def f_score(counts: Counts, beta: float = 1.0) -> jax.Array | np.ndarray:
  r"""Computes the weighted harmonic mean of precision P and recall R.

  .. math::
    F_b = \frac{(1 + b^2) P R}{b^2 P + R}
        = \frac{TP}{TP + \frac{1}{1 + b^2} FP + \frac{b^2}{1 + b^2} FN}

  Args:
    counts: the counts, each `[...]`.
    beta: b, the weight of recall relative to precision; 1 gives F1.

  Returns:
    `[...]`, 0 where nothing is true and nothing predicted. float64 for counts
    on the host.

  Example:
    >>> float(f_score(Counts(tp=1, fp=1, fn=1)))
    0.5

  References:
    van Rijsbergen, `Information Retrieval
    <http://www.dcs.gla.ac.uk/Keith/Preface.html>`_, 1979, chapter 7.
  """
  square = beta**2
  return tversky_index(
    counts, alpha=1 / (1 + square), beta=square / (1 + square)
  )


def label_counts(
  gold: ArrayLike, predicted: ArrayLike, num_labels: int
) -> Counts:
  """Counts each class, for examples with one label each.

  Counts add up: the sum over the parts of a corpus gives the counts of the
  corpus.

  Args:
    gold: int `[n]`, ids of the true labels.
    predicted: int `[n]`, ids of the predicted labels.
    num_labels: the number of classes; ids are 0 to `num_labels - 1`.

  Returns:
    Counts, each int64 `[num_labels]`.

  Raises:
    ValueError: the lengths differ, or an id is out of range.

  Example:
    >>> label_counts([0, 1, 1], [0, 1, 2], num_labels=3)
    Counts(tp=array([1, 1, 0]), fp=array([0, 0, 1]), fn=array([0, 1, 0]))
  """
  gold = _label_ids(gold, num_labels)
  predicted = _label_ids(predicted, num_labels)
  if gold.shape != predicted.shape:
    raise ValueError(
      f'{len(gold)} true labels, but {len(predicted)} predicted.'
    )
  tp = np.bincount(gold[gold == predicted], minlength=num_labels)
  return Counts(
    tp=tp,
    fp=np.bincount(predicted, minlength=num_labels) - tp,
    fn=np.bincount(gold, minlength=num_labels) - tp,
  )


def class_scores(
  counts: Counts, names: Sequence[str]
) -> dict[str, dict[str, float]]:
  """Computes precision, recall, F1 and support per class, micro and macro.

  The classes are labels of examples or types of spans. `micro` scores the
  summed counts; if every example has one label and one prediction, it equals
  the accuracy. `macro` is the mean over the classes that occur, true or
  predicted, as in scikit-learn and seqeval. A class that does not occur leaves
  it unchanged.

  Args:
    counts: the counts, each `[classes]`, on the host.
    names: names of the classes, which become rows. They must be unique, and
      `micro` and `macro` are taken.

  Returns:
    {row: {column: value}} with a row per class, `micro` and `macro`. The column
    `support` is the number of true elements.

  Raises:
    ValueError: two rows have the same name, or the number of names differs from
      the number of classes.

  Example:
    >>> counts = label_counts([0, 1, 1], [0, 1, 0], num_labels=2)
    >>> class_scores(counts, ['ham', 'spam'])['spam']
    {'precision': 1.0, 'recall': 0.5, 'f1': 0.6666666666666666, 'support': 2}
  """
  _check_names(names)
  rows = {
    name: _row(Counts(tp, fp, fn))
    for name, tp, fp, fn in zip(
      names, counts.tp, counts.fp, counts.fn, strict=True
    )
  }
  micro = _row(jax.tree.map(np.sum, counts))
  occurs = counts.tp + counts.fp + counts.fn > 0
  present = [rows[name] for name, n in zip(names, occurs, strict=True) if n]
  macro = {
    name: float(np.mean([row[name] for row in present])) if present else 0.0
    for name in ('precision', 'recall', 'f1')
  }
  macro['support'] = micro['support']
  return {**rows, 'micro': micro, 'macro': macro}


def _row(counts: Counts) -> dict[str, float]:
  return {
    'precision': float(precision(counts)),
    'recall': float(recall(counts)),
    'f1': float(f_score(counts)),
    'support': int(counts.tp + counts.fn),
  }


def _count_types(spans: set[Span], types: Sequence[str]) -> np.ndarray:
  count = collections.Counter(type_ for type_, _, _ in spans)
  if unknown := count.keys() - set(types):
    raise ValueError(f'Types {sorted(unknown)} are not among {list(types)}.')
  return np.array([count[type_] for type_ in types], np.int64)


def _label_ids(ids: ArrayLike, num_labels: int) -> np.ndarray:
  ids = np.asarray(ids)
  if ids.ndim != 1 or (ids.size and ids.dtype.kind not in 'iu'):
    raise ValueError(f'Expected ids of labels, not {ids.dtype}{ids.shape}.')
  if (unknown := ids[(ids < 0) | (ids >= num_labels)]).size:
    raise ValueError(f'Label {unknown[0]} is not among 0 to {num_labels - 1}.')
  return ids.astype(np.int64)


def _check_names(names: Sequence[str]) -> None:
  rows = collections.Counter([*names, 'micro', 'macro'])
  if twice := [name for name, n in rows.items() if n > 1]:
    raise ValueError(f'Two rows of scores would be called {twice[0]!r}.')
