"""Precision, recall and F of counts that add."""

import collections
from collections.abc import Iterable
from collections.abc import Sequence

import jax
import numpy as np

from dicejax.metrics._spans import Span
from dicejax.tversky import Counts
from dicejax.tversky import tversky_index


def span_counts(
  gold: Iterable[Span], predicted: Iterable[Span], types: Sequence[str]
) -> Counts:
  """Counts of one sentence's entities: only an exact span of its type is right.

  Counts add: those of a corpus are the sum of its sentences'.

  Args:
    gold: the true spans of a sentence; a repeated one counts once.
    predicted: the spans to be judged, likewise.
    types: the types to count, each once.

  Returns:
    int64 `[types]` each.

  Raises:
    ValueError: a span whose type is not among `types`.

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


def precision(counts: Counts) -> jax.typing.ArrayLike:
  """Share of the predictions that are right, TP / (TP + FP).

  Args:
    counts: `[...]` each.

  Returns:
    `[...]`, 0 where nothing is predicted. float64 for counts on the host.

  Example:
    >>> float(precision(Counts(tp=1, fp=3, fn=0)))
    0.25
  """
  return tversky_index(counts, alpha=1, beta=0)


def recall(counts: Counts) -> jax.typing.ArrayLike:
  """Share of the true that is found, TP / (TP + FN).

  Args:
    counts: `[...]` each.

  Returns:
    `[...]`, 0 where there is nothing to find. float64 for counts on the host.

  Example:
    >>> float(recall(Counts(tp=1, fp=0, fn=3)))
    0.25
  """
  return tversky_index(counts, alpha=0, beta=1)


def f_score(counts: Counts, beta: float = 1.0) -> jax.typing.ArrayLike:
  r"""Weighted harmonic mean of precision P and recall R.

  .. math::
    F_b = \frac{(1 + b^2) P R}{b^2 P + R}
        = \frac{TP}{TP + \frac{1}{1 + b^2} FP + \frac{b^2}{1 + b^2} FN}

  Args:
    counts: `[...]` each.
    beta: b, how much more recall matters than precision.

  Returns:
    `[...]`, 0 where nothing is true or predicted. float64 for counts on the
    host.

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


def span_scores(
  counts: Counts, types: Sequence[str]
) -> dict[str, dict[str, float]]:
  """Precision, recall, F1 and support: a row per type, `micro` and `macro`.

  `micro` scores the summed counts. `macro` is the mean of the rows of the types
  that occur, true or predicted, as in seqeval; so a type that is nowhere does
  not lower it.

  Args:
    counts: `[types]` each, on the host.
    types: names of the rows.

  Returns:
    row → column → value; `support` is the number of true spans.

  Example:
    >>> counts = span_counts([Span('PER', 0, 2)], [Span('PER', 0, 2)], ['PER'])
    >>> span_scores(counts, ['PER'])['micro']
    {'precision': 1.0, 'recall': 1.0, 'f1': 1.0, 'support': 1}
  """
  rows = {
    type_: _row(Counts(tp, fp, fn))
    for type_, tp, fp, fn in zip(
      types, counts.tp, counts.fp, counts.fn, strict=True
    )
  }
  micro = _row(jax.tree.map(np.sum, counts))
  occurs = counts.tp + counts.fp + counts.fn > 0
  present = [rows[t] for t, n in zip(types, occurs, strict=True) if n]
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
