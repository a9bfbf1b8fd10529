"""Weights of the classes in a loss, and of a loss of sets beside another."""

from collections.abc import Sequence

import numpy as np

from dicejax import losses

# Weighting → weights of the classes from their counts in the training split.
WEIGHTINGS = {
  'balanced': lambda counts: counts.sum() / (len(counts) * counts),
  'class_balanced': losses.class_balanced_weights,
  'log': losses.log_weights,
}


def class_weights(
  config, labels: Sequence[str], class_counts: np.ndarray | None
) -> np.ndarray | None:
  """Returns the weights of the classes; None if the config has none.

  Args:
    config: the section `loss`. `class_weighting` computes weights from the
      counts; `class_weights` replaces the weights of single labels.
    labels: the names of the classes, in order.
    class_counts: see `train.objective.make_loss`.

  Raises:
    ValueError: a label or a weight is wrong, or there are no counts.
  """
  if unknown := set(config.class_weights) - set(labels):
    raise ValueError(
      f'loss.class_weights: no label {sorted(unknown)}, only {list(labels)}.'
    )
  weighting = config.class_weighting
  if not weighting and not config.class_weights:
    return None
  if weighting:
    key = f'loss.class_weighting={weighting}'
    counts = np.asarray(needed(class_counts, key), np.float32)
    # A label that the training split lacks gets the count of the rarest.
    counts = np.where(counts > 0, counts, counts[counts > 0].min())
    weights = np.array(WEIGHTINGS[weighting](counts), np.float32)
  else:
    weights = np.ones(len(labels), np.float32)
  for label, weight in config.class_weights.items():
    if not isinstance(weight, (int, float)) or not weight >= 0:
      raise ValueError(
        f'loss.class_weights.{label} is a number of at least 0, not {weight!r}.'
      )
    weights[list(labels).index(label)] = weight
  if not weights.any():
    raise ValueError('loss.class_weights: all are 0, and no class would count.')
  return weights


def needed(class_counts: np.ndarray | None, key: str) -> np.ndarray:
  """Returns the counts; raises ValueError, which names the key, without any."""
  if class_counts is None:
    raise ValueError(
      f'{key} needs counts of the classes in the training split, which this '
      'task does not have.'
    )
  return class_counts


def weight_of_sets(
  config, weights: np.ndarray | None, class_counts: np.ndarray | None
) -> float:
  """Returns the weight of a loss of sets beside a cross entropy.

  In a set, the gradient of an element is divided by the number of positives; in
  the mean of a cross entropy, by the number of elements. Where positives are
  rare, the loss of sets would otherwise drown the cross entropy.

  Args:
    config: the section `loss`; `full_weight_at` is the fraction of positives
      from which on the weight is 1.
    weights: the weights of the classes, if they have any.
    class_counts: see `train.objective.make_loss`.
  """
  full = config.full_weight_at
  if not full or class_counts is None:
    return 1.0
  counts = np.asarray(class_counts)
  if config.activation == 'sigmoid':
    positive = np.array([False, True])
  else:  # With a softmax, the background has a weight of 0.
    positive = np.ones(len(counts)) if weights is None else weights
  return min(1.0, float(counts[positive > 0].sum() / counts.sum() / full))
