"""Thresholds tuned on the scores of examples with known labels."""

from __future__ import annotations

import numpy as np
from jax.typing import ArrayLike

from dicejax.metrics._scores import f_score
from dicejax.tversky import Counts


def best_threshold(scores: ArrayLike, labels: ArrayLike) -> tuple[float, float]:
  """Finds the threshold with the highest F1: positive if score >= threshold.

  All thresholds that lead to different predictions are tried. If several have
  the highest F1, the largest is returned, which predicts the fewest positives.

  If the scores are calibrated probabilities, the threshold is about half of the
  F1 that it reaches.

  Args:
    scores: float `[n]`, finite: probabilities or logits.
    labels: bool (or 0 and 1) `[n]`.

  Returns:
    The threshold, midway between the two scores that it separates (or the
    lowest score if all are positive), and its F1. It separates them in their
    own dtype as well.

  Raises:
    ValueError: there is no positive example (no threshold is better than
      another), a score is not finite, a label is neither 0 nor 1, or the
      lengths differ.

  Example:
    >>> best_threshold([0.875, 0.5, 0.25, 0.125], [True, False, True, False])
    (0.1875, 0.8)

  References:
    Lipton et al., `Thresholding classifiers to maximize F1 score
    <https://arxiv.org/abs/1402.1892>`_, 2014.
  """
  descending, tp, predicted = ranked_counts(
    as_scores(scores), np.asarray(labels)
  )
  f1 = f_score(Counts(tp=tp, fp=predicted - tp, fn=tp[-1] - tp))
  best = np.argmax(f1)
  return _midway(descending, predicted[best] - 1), float(f1[best])


def best_thresholds(
  scores: ArrayLike,
  labels: ArrayLike,
  *,
  default: float = 0.5,
) -> tuple[np.ndarray, np.ndarray]:
  """Finds a threshold for each label, by `best_threshold` on its column.

  They maximise the macro F1, because each label is decided independently. (For
  the micro F1 with one threshold for all, pass the flattened scores and labels
  to `best_threshold`.) The threshold of a label with few positive examples
  overfits these; on a small dev split, `plug_in_threshold` may do better.

  Args:
    scores: float `[n, labels]`, finite.
    labels: bool (or 0 and 1) `[n, labels]`. An example may have several labels.
    default: the threshold of a label without a positive example, for which no
      threshold is better than another. Pass 0.0 if the scores are logits.

  Returns:
    Thresholds and F1s, float64 `[labels]` each. The F1 of a label without a
    positive example is 0.

  Raises:
    ValueError: no label has a positive example, a score is not finite, a label
      is neither 0 nor 1, or the shapes do not fit.

  Example:
    >>> scores = [[0.75, 0.125], [0.25, 0.5], [0.5, 0.25]]
    >>> best_thresholds(scores, [[1, 0], [0, 0], [1, 0]])
    (array([0.375, 0.5  ]), array([1., 0.]))
  """
  scores, labels = as_scores(scores), np.asarray(labels)
  if scores.ndim != 2 or not scores.size or scores.shape != labels.shape:
    raise ValueError(
      'Expected scores and labels [n, labels], not '
      f'{list(scores.shape)} and {list(labels.shape)}.'
    )
  if not labels.any():
    raise ValueError('No positive label: every threshold has an F1 of 0.')
  pairs = [
    best_threshold(column, positive) if positive.any() else (default, 0.0)
    for column, positive in zip(scores.T, labels.T, strict=True)
  ]
  thresholds, f1 = np.array(pairs, np.float64).T
  return thresholds, f1


def best_null_threshold(
  null_scores: ArrayLike,
  scores_if_answered: ArrayLike,
  scores_if_not: ArrayLike,
) -> tuple[float, float]:
  """Finds the threshold of SQuAD 2.0: no answer if null_score > threshold.

  This is `best_f1_thresh` (or `best_exact_thresh`) of the official script. If
  several thresholds have the highest mean score, both return the smallest.

  The script goes through questions with equal null scores one by one, as if a
  threshold could separate them. This function does the same, to give the same
  numbers, so that the returned mean can be higher than what the threshold
  reaches.

  Args:
    null_scores: float `[n]`, finite: the confidence that a question has no
      answer, on any scale.
    scores_if_answered: float `[n]`: exact match or F1 of the predicted answer.
    scores_if_not: float `[n]`: the score without an answer, which is 1 if the
      question has none and 0 otherwise.

  Returns:
    The threshold, which is the null score of the last question to be answered,
    and the mean score. If it is best to answer nothing, the threshold is 0, as
    in the script, provided that all null scores are positive. Otherwise it lies
    below all of them, where the script would return 0.

  Raises:
    ValueError: there is no question, a null score is not finite, or the lengths
      differ.

  Example:
    >>> best_null_threshold([0.1, 0.2, 0.9], [1.0, 0.5, 0.0], [0, 0, 1])
    (0.2, 0.8333333333333334)

  References:
    Rajpurkar et al., `Know what you don't know
    <https://arxiv.org/abs/1806.03822>`_, 2018, and its `evaluate-v2.0.py`. It
    counts any text except `''` as wrong for a question without an answer; the
    numbers are the same unless such a text normalises to nothing ('The'), which
    `exact_match` counts as right.
  """
  null_scores = as_scores(null_scores)
  answered = np.asarray(scores_if_answered, np.float64)
  not_answered = np.asarray(scores_if_not, np.float64)
  _check_length(null_scores, answered, not_answered)
  order = np.argsort(null_scores, kind='stable')
  gains = (answered - not_answered)[order]
  # totals[k]: the score if the k questions with the lowest null scores are
  # answered.
  totals = np.cumsum(np.append(not_answered.sum(), gains))
  best = np.argmax(totals)
  if best:
    threshold = float(null_scores[order[best - 1]])
  else:
    threshold = _below(float(null_scores.min()))
  return threshold, float(totals[best] / len(null_scores))


def ranked_counts(
  scores: np.ndarray, labels: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
  """Counts what each threshold that makes a difference calls positive.

  Args:
    scores: float `[n]`, finite.
    labels: bool (or 0 and 1) `[n]`.

  Returns:
    The scores in descending order; and for each of the distinct scores, from
    the highest, the number of positives with at least this score, and the
    number of examples with at least it.

  Raises:
    ValueError: as for `best_threshold`.
  """
  _check_length(scores, labels)
  if not np.isin(labels, (0, 1)).all():
    raise ValueError('Expected labels that are True or False (or 1 and 0).')
  if not labels.any():
    raise ValueError('No positive label: every threshold has an F1 of 0.')
  order = np.argsort(scores)[::-1]
  scores, labels = scores[order], labels[order].astype(np.int64)
  # No threshold separates equal scores, so a cut is only possible after the
  # last of them.
  cuts = np.append(np.flatnonzero(scores[1:] != scores[:-1]), len(scores) - 1)
  return scores, np.cumsum(labels)[cuts], cuts + 1


def as_scores(scores: ArrayLike) -> np.ndarray:
  scores = np.asarray(scores)
  if scores.dtype.kind in 'biu':
    scores = scores.astype(np.float64)
  if not np.isfinite(scores).all():
    raise ValueError('Expected scores that are finite.')
  return scores


def _check_length(*arrays: np.ndarray) -> None:
  shapes = [array.shape for array in arrays]
  if len(shapes[0]) != 1 or not shapes[0][0] or len(set(shapes)) > 1:
    raise ValueError(f'Expected equal lengths of at least 1, not {shapes}.')


def _midway(descending: np.ndarray, last: int) -> float:
  """Returns a threshold that makes the scores up to `last` positive."""
  if last + 1 == len(descending):
    return float(descending[last])
  return between(descending[last + 1], descending[last])


def between(low: np.floating, high: np.floating) -> float:
  """Returns a number in `(low, high]`, the midpoint if possible."""
  middle = low / 2 + high / 2  # low + high could overflow.
  # Adjacent floats have no number between them.
  return float(middle if low < middle <= high else high)


def _below(lowest: float) -> float:
  return 0.0 if lowest > 0 else 2 * lowest - 1
