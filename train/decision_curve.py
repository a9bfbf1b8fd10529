"""Scores as a function of the threshold or offset that decides."""

from collections.abc import Mapping
from collections.abc import Sequence
from typing import Any
from typing import NamedTuple

import numpy as np
from scipy import special

from train.tasks.task import PRF

_POINTS = 31


class DecisionCurve(NamedTuple):
  """Precision, recall and F1 for values of a parameter.

  Attributes:
    parameter: `threshold` of a probability, or `offset` of a logit.
    chosen: the value that dev chose.
    scores: column of the scores → (value of the parameter, score).
  """

  parameter: str
  chosen: float
  scores: dict[str, list[tuple[float, float]]]


def trace(
  task: Any,
  examples: Sequence[Any],
  predictions: Sequence[Any],
  tuned: Mapping[str, float],
) -> DecisionCurve | None:
  """Scores predictions with many values of the parameter that was tuned.

  Args:
    task: scores them.
    examples: the examples of dev.
    predictions: a prediction for each.
    tuned: the parameters that dev chose.

  Returns:
    The curve; None if the task has no threshold or offset, or one per label.
  """
  name = next((n for n in ('threshold', 'offset') if n in tuned), None)
  if name is None or isinstance(tuned[name], Mapping):
    return None
  scores: dict[str, list[tuple[float, float]]] = {column: [] for column in PRF}
  for value in _values(name, tuned[name]):
    rows = task.score(examples, predictions, {**tuned, name: value})
    row = next(r for r in rows.values() if r.get(name) == value)
    for column in PRF:
      scores[column].append((value, row[column]))
  return DecisionCurve(name, tuned[name], scores)


def _values(name: str, chosen: float) -> list[float]:
  if name == 'offset':
    width = max(6.0, 1.5 * abs(chosen))
    return sorted({*np.linspace(-width, width, _POINTS).tolist(), chosen})
  # Thresholds of rare positives are small, so that logits are spread evenly.
  values = special.expit(np.linspace(-6, 6, _POINTS)).tolist()
  return sorted({*values, chosen} - {0.0, 1.0})
