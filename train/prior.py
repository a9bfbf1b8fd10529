"""How often each class occurs, and the bias of a head that knows it."""

from typing import Any

import numpy as np

from train.tasks.task import Features
from train.tasks.task import Task

_HEADS = ('head', 'start_head', 'end_head')


def count_targets(
  task: Task, features: Features, sigmoid: bool
) -> tuple[np.ndarray, list[bool]]:
  """Counts the classes of the training split.

  Args:
    task: knows the targets of a feature.
    features: of the training split.
    sigmoid: whether there are two classes, negatives and positives.

  Returns:
    Counts `[classes]`, and for each feature whether it has a positive. Without
    a background class, no feature counts as having one.
  """
  targets = [task.targets(feature) for feature in features]
  number = 2 if sigmoid else max(len(task.labels), 2)
  counts = np.bincount(np.concatenate(targets), minlength=number)
  return counts, [bool(task.background and (t > 0).any()) for t in targets]


def log_odds(counts: np.ndarray, sigmoid: bool) -> np.ndarray:
  """Logits of a model that knows only how often each class occurs.

  Args:
    counts: `[classes]`, from `count_targets`.
    sigmoid: whether the head has one logit per element.

  Returns:
    `[classes]`, or a scalar for a sigmoid.
  """
  # A class that the training split lacks counts as often as the rarest: the
  # logarithm of 0 would exclude it for good.
  logs = np.log(np.where(counts > 0, counts, counts[counts > 0].min()))
  return logs[1] - logs[0] if sigmoid else logs - np.log(counts.sum())


def add_bias(params: dict[str, Any], bias: np.ndarray) -> None:
  """Adds a bias to the heads among fresh parameters, in place."""
  for name in _HEADS:
    if name in params:
      params[name]['bias'] += bias
