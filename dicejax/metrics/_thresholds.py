"""Thresholds that are tuned on scores of examples with known labels."""

import jax
import numpy as np

from dicejax.metrics._scores import f_score
from dicejax.tversky import Counts


def best_threshold(
  scores: jax.typing.ArrayLike, labels: jax.typing.ArrayLike
) -> tuple[float, float]:
  """The threshold with the highest F1, where `score >= threshold` is positive.

  All thresholds that differ in what they call positive are tried. Of several
  with the highest F1 the largest is taken: the fewest positives.

  For scores that are calibrated probabilities, the threshold is about half of
  the F1 that it reaches.

  Args:
    scores: float `[n]`, finite: probabilities or logits.
    labels: bool (or 0 and 1) `[n]`: which are positive.

  Returns:
    The threshold, midway between the scores that it parts (or the lowest score
    if all are positive), and its F1. It parts the scores in their own dtype,
    too.

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
  scores, labels = _as_scores(scores), np.asarray(labels)
  _check_length(scores, labels)
  if not np.isin(labels, (0, 1)).all():
    raise ValueError('Expected labels that are True or False (or 1 and 0).')
  if not labels.any():
    raise ValueError('No positive label: every threshold has an F1 of 0.')
  order = np.argsort(scores)[::-1]
  scores, labels = scores[order], labels[order].astype(np.int64)
  # Equal scores cannot be parted: a cut comes after the last of them.
  cuts = np.append(np.flatnonzero(scores[1:] != scores[:-1]), len(scores) - 1)
  tp = np.cumsum(labels)[cuts]
  f1 = f_score(Counts(tp=tp, fp=cuts + 1 - tp, fn=labels.sum() - tp))
  best = np.argmax(f1)
  return _midway(scores, cuts[best]), float(f1[best])


def best_thresholds(
  scores: jax.typing.ArrayLike,
  labels: jax.typing.ArrayLike,
  *,
  default: float = 0.5,
) -> tuple[np.ndarray, np.ndarray]:
  """A threshold for each of many labels: `best_threshold` of each column.

  They maximise the macro F1, as labels do not share examples' decisions. (For
  the micro F1 with one threshold, take `best_threshold` of all scores in a
  row.) A label with few positive examples has a threshold that fits these; a
  dev split that is small may be served better by `plug_in_threshold`.

  Args:
    scores: float `[n, labels]`, finite.
    labels: bool (or 0 and 1) `[n, labels]`: an example may have several.
    default: threshold of a label without a positive example, where none is
      better than another. 0.5 suits probabilities; for logits it is 0.

  Returns:
    Thresholds and F1s, float64 `[labels]` each; the F1 of a label without a
    positive example is 0.

  Raises:
    ValueError: no label has a positive example, a score is not finite, a label
      is neither 0 nor 1, or the shapes do not fit.

  Example:
    >>> scores = [[0.75, 0.125], [0.25, 0.5], [0.5, 0.25]]
    >>> best_thresholds(scores, [[1, 0], [0, 0], [1, 0]])
    (array([0.375, 0.5  ]), array([1., 0.]))
  """
  scores, labels = _as_scores(scores), np.asarray(labels)
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
  null_scores: jax.typing.ArrayLike,
  scores_if_answered: jax.typing.ArrayLike,
  scores_if_not: jax.typing.ArrayLike,
) -> tuple[float, float]:
  """The threshold of SQuAD 2.0: `null_score > threshold` says 'no answer'.

  It is `best_f1_thresh` (or `best_exact_thresh`) of the official script, and so
  is the choice in ties: of several with the highest mean, the smallest.

  Among questions with equal null scores, the script counts one after the other,
  in the order given, as if a threshold could part them. So does this, for the
  sake of the same numbers; the mean may then be more than the threshold gives.

  Args:
    null_scores: float `[n]`, finite: how sure it is that a question has no
      answer. Any scale will do.
    scores_if_answered: float `[n]`: exact match or F1 of the answer that would
      be given.
    scores_if_not: float `[n]`: that of giving none, 1 where there is none.

  Returns:
    The threshold, which is the null score of the last question to be answered,
    and the mean score. Where it is best to answer nothing, the threshold is 0,
    as in the script, if all null scores are positive; else it is below them,
    where the script says 0, too.

  Raises:
    ValueError: no question, a null score that is not finite, or lengths that
      differ.

  Example:
    >>> best_null_threshold([0.1, 0.2, 0.9], [1.0, 0.5, 0.0], [0, 0, 1])
    (0.2, 0.8333333333333334)

  References:
    Rajpurkar et al., `Know what you don't know
    <https://arxiv.org/abs/1806.03822>`_, 2018, and its `evaluate-v2.0.py`. It
    counts any text but `''` as wrong for a question without an answer; the
    numbers are the same unless such a text normalises to nothing ('The'), which
    `exact_match` counts as right.
  """
  null_scores = _as_scores(null_scores)
  answered = np.asarray(scores_if_answered, np.float64)
  not_answered = np.asarray(scores_if_not, np.float64)
  _check_length(null_scores, answered, not_answered)
  order = np.argsort(null_scores, kind='stable')
  gains = (answered - not_answered)[order]
  # Of answering nothing, the first question, the first two, ...
  totals = np.cumsum(np.append(not_answered.sum(), gains))
  best = np.argmax(totals)
  if best:
    threshold = float(null_scores[order[best - 1]])
  else:
    threshold = _below(float(null_scores.min()))
  return threshold, float(totals[best] / len(null_scores))


def _as_scores(scores):
  scores = np.asarray(scores)
  if scores.dtype.kind in 'biu':
    scores = scores.astype(np.float64)
  if not np.isfinite(scores).all():
    raise ValueError('Expected scores that are finite.')
  return scores


def _check_length(*arrays):
  shapes = [array.shape for array in arrays]
  if len(shapes[0]) != 1 or not shapes[0][0] or len(set(shapes)) > 1:
    raise ValueError(f'Expected equal lengths of at least 1, not {shapes}.')


def _midway(descending: np.ndarray, last: int) -> float:
  """A threshold for which the scores up to `last` are positive."""
  if last + 1 == len(descending):
    return float(descending[last])
  return between(descending[last + 1], descending[last])


def between(low: np.floating, high: np.floating) -> float:
  """A number above `low` and at most `high`, midway if there is one."""
  middle = low / 2 + high / 2  # Their sum may overflow.
  # Between two neighbours among the floats there is none.
  return float(middle if low < middle <= high else high)


def _below(lowest: float) -> float:
  return 0.0 if lowest > 0 else 2 * lowest - 1
