"""Scores as a function of the threshold or offset that decides."""

from collections.abc import Mapping
from collections.abc import Sequence
from typing import Any
from typing import NamedTuple

import numpy as np
from scipy import special

from dicejax import metrics
from dicejax.text.labels import HALF
from train.tasks.multi_label.labels import count
from train.tasks.multi_label.labels import to_array
from train.tasks.task import PRF

_POINTS = 31


class DecisionCurve(NamedTuple):
  """Scores for values of a parameter.

  Attributes:
    parameter: `threshold` of a probability, `offset` of a logit, or `null`, by
      how much no answer has to score above the best span.
    chosen: the value that dev chose.
    scores: what is scored → (value of the parameter, score): precision, recall
      and F1; for `null` the F1 of groups of questions.
    label: the label that has the threshold, if each has its own.
  """

  parameter: str
  chosen: float
  scores: dict[str, list[tuple[float, float]]]
  label: str = ''


def trace(
  task: Any,
  examples: Sequence[Any],
  predictions: Sequence[Any],
  tuned: Mapping[str, Any],
) -> list[DecisionCurve]:
  """Scores predictions with many values of the parameter that was tuned.

  Args:
    task: scores them.
    examples: the examples of dev.
    predictions: a prediction for each.
    tuned: the parameters that dev chose.

  Returns:
    A curve, or one per label that has a threshold of its own; [] if the task
    has no threshold or offset.
  """

  name = next((n for n in ('threshold', 'offset', 'null') if n in tuned), '')
  if not name:
    return []
  chosen = tuned[name]
  if isinstance(chosen, Mapping):
    return _of_labels(name, chosen, examples, predictions)
  if name == 'null':
    return [_of_answers(task, chosen, examples, predictions)]
  scores: dict[str, list[tuple[float, float]]] = {column: [] for column in PRF}
  for value in _values(name, chosen):
    rows = task.score(examples, predictions, {**tuned, name: value})
    row = next(r for r in rows.values() if r.get(name) == value)
    for column in PRF:
      scores[column].append((value, row[column]))
  return [DecisionCurve(name, chosen, scores)]


def _of_labels(name, chosen, examples, predictions) -> list[DecisionCurve]:
  """Traces the threshold of each label, the most frequent label first."""
  labels, probabilities = list(chosen), np.array(predictions)
  gold = to_array([example.labels for example in examples], labels)
  rows = {
    value: metrics.class_scores(count(gold, probabilities >= value), labels)
    for value in sorted({*_values(name, HALF), *chosen.values()})
  }
  return [
    DecisionCurve(
      name,
      chosen[labels[i]],
      {c: [(x, row[labels[i]][c]) for x, row in rows.items()] for c in PRF},
      labels[i],
    )
    for i in np.argsort(-gold.sum(axis=0), kind='stable')
  ]


def _of_answers(span_qa, chosen, examples, predictions) -> DecisionCurve:
  """Traces the F1 of questions with an answer, of those without, and of all."""
  pairs = list(zip(examples, predictions, strict=True))
  best = {'null': np.inf}  # Always an answer.
  found = np.array([span_qa.f1(e, span_qa.texts(p, best)) for e, p in pairs])
  nothing = np.array([span_qa.f1(e, ['']) for e in examples])
  null = np.array([p.null for p in predictions])
  answerable = np.array([bool(e.answers) for e in examples])
  groups = {'all': answerable | True, 'answerable': answerable}
  groups['unanswerable'] = ~answerable
  values = {*np.linspace(null.min(), null.max(), _POINTS).tolist(), chosen}
  f1 = {x: np.where(null > x, nothing, found) for x in sorted(values)}
  scores = {
    name: [(x, float(scores[group].mean())) for x, scores in f1.items()]
    for name, group in groups.items()
    if group.any()
  }
  return DecisionCurve('null', chosen, scores)


def _values(name: str, chosen: float) -> list[float]:
  if name == 'offset':
    width = max(6.0, 1.5 * abs(chosen))
    return sorted({*np.linspace(-width, width, _POINTS).tolist(), chosen})
  # Thresholds of rare positives are small, so that logits are spread evenly.
  values = special.expit(np.linspace(-6, 6, _POINTS)).tolist()
  return sorted({*values, chosen} - {0.0, 1.0})
