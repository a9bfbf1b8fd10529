"""Scores of a ranking, which need no threshold."""

from __future__ import annotations

import numpy as np
from jax.typing import ArrayLike

from dicejax.metrics._thresholds import as_scores
from dicejax.metrics._thresholds import ranked_counts


def average_precision(scores: ArrayLike, labels: ArrayLike) -> float:
  r"""Computes the area under the curve of precision over recall.

  .. math::
    AP = \sum_k (R_k - R_{k-1}) P_k

  with the precision :math:`P_k` and the recall :math:`R_k` at the k-th highest
  of the distinct scores. Points of the curve are not joined by lines, which
  would overrate it. The expectation for random scores is the fraction of
  positive examples.

  For several labels, the mean over the labels is the macro average; the
  flattened scores and labels give the micro average.

  Args:
    scores: float `[n]`, finite: probabilities or logits.
    labels: bool (or 0 and 1) `[n]`.

  Returns:
    The average precision, in (0, 1].

  Raises:
    ValueError: there is no positive example, a score is not finite, a label is
      neither 0 nor 1, or the lengths differ.

  Example:
    >>> round(average_precision([0.9, 0.6, 0.5, 0.2], [1, 0, 1, 0]), 4)
    0.8333

  References:
    scikit-learn's `average_precision_score
    <https://scikit-learn.org/stable/modules/model_evaluation.html>`_.
  """
  labels = np.asarray(labels)
  _, tp, predicted = ranked_counts(as_scores(scores), labels)
  steps = np.diff(tp, prepend=0) / tp[-1]
  return float(np.sum(steps * tp / predicted))
