"""Decisions: which outputs of a model to call positive, for the best F1."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from jax.typing import ArrayLike

from dicejax.metrics._scores import f_score
from dicejax.metrics._spans import entity_spans
from dicejax.metrics._thresholds import between
from dicejax.tversky import Counts

_HIGHEST = 20.0  # The highest temperature; the lowest is 1 / 20.


def fit_temperature(logits: ArrayLike, labels: ArrayLike) -> float:
  r"""Fits the temperature T that calibrates the probabilities of `logits / T`.

  T minimises the negative log likelihood of the labels,

  .. math::
    -\frac{1}{n} \sum_i \log \mathrm{softmax}(z_i / T)_{y_i},

  and does not change the order of the classes. As a function of 1 / T this is
  convex, so its slope has one root, which is the minimum.

  Args:
    logits: float, finite: `[n, classes]` for a softmax, or any shape for
      independent sigmoids.
    labels: for a softmax int `[n]`, class ids from 0; for sigmoids bool (or 0
      and 1), shaped like the logits.

  Returns:
    T in [1 / 20, 20]. It is 1 / 20 if every example is classified correctly
    with some margin, because the likelihood then grows without end, and 20 if
    the logits say nothing about the labels. T is 1 if the logits of each
    example are all equal, because T then changes nothing.

  Raises:
    ValueError: there is no example, a logit is not finite, a label is not a
      class, or the shapes do not fit.

  Example:
    >>> logits = [[2.0, 0.0], [2.0, 0.0], [2.0, 0.0], [0.0, 2.0]]
    >>> round(fit_temperature(logits, [0, 0, 1, 1]), 4)  # Three of four right.
    1.8205

  References:
    Guo et al., `On calibration of modern neural networks
    <https://arxiv.org/abs/1706.04599>`_, 2017.
  """
  # Importing scipy.optimize takes a third as long as importing dicejax.
  from scipy import optimize

  z, ids = _as_softmax(logits, labels)
  # Subtracting the largest logit changes no probability and keeps exp from
  # overflowing.
  z = z - z.max(axis=-1, keepdims=True)
  true = np.take_along_axis(z, ids[:, None], axis=-1)[:, 0]

  def slope(log_temperature: float) -> float:
    weights = np.exp(z * math.exp(-log_temperature))
    expected = (weights * z).sum(axis=-1) / weights.sum(axis=-1)
    return float(np.mean(expected - true))

  if not z.any():
    return 1.0
  high = math.log(_HIGHEST)
  if slope(-high) <= 0:
    return 1 / _HIGHEST
  if slope(high) >= 0:
    return _HIGHEST
  bracket = (-high, high)
  return math.exp(optimize.root_scalar(slope, bracket=bracket).root)


def fit_platt(logits: ArrayLike, labels: ArrayLike) -> tuple[float, float]:
  r"""Fits slope a and bias b that calibrate sigmoid(a z + b).

  A temperature changes how confident a model is, but not how often it predicts
  the positive class. The bias does, which matters for models trained with an
  overlap loss, with class weights, or on resampled examples: they predict it
  too often. a and b minimise

  .. math::
    -\sum_i t_i \log p_i + (1 - t_i) \log (1 - p_i), \qquad
    p_i = \mathrm{sigmoid}(a z_i + b),

  with the targets :math:`t = (n_+ + 1) / (n_+ + 2)` for the :math:`n_+`
  positives and :math:`1 / (n_- + 2)` for the negatives. With targets of 1 and
  0, a and b would be infinite where a threshold separates the two.

  Args:
    logits: float `[n]`, finite, before a sigmoid.
    labels: bool (or 0 and 1) `[n]`.

  Returns:
    a, in [1 / 20, 20], and b.

  Raises:
    ValueError: there is no example, a logit is not finite, a label is neither 0
      nor 1, or the lengths differ.

  Example:
    >>> logits = [2.0, 2.0, -2.0, -2.0, -2.0]  # positive too often
    >>> slope, bias = fit_platt(logits, [1, 0, 0, 0, 0])
    >>> f'{slope:.2f} {bias:.2f}'
    '0.32 -0.97'

  References:
    Platt, `Probabilistic outputs for support vector machines
    <https://citeseerx.ist.psu.edu/document?doi=10.1.1.41.1639>`_, 1999.
  """
  from scipy import optimize
  from scipy import special

  logits, labels = np.asarray(logits, np.float64), np.asarray(labels)
  if logits.ndim != 1 or logits.shape != labels.shape:
    raise ValueError(
      f'Expected logits [n] and labels [n], not {list(logits.shape)} and '
      f'{list(labels.shape)}.'
    )
  _as_softmax(logits, labels)  # called for its checks of the values
  positive = labels.astype(bool)
  targets = np.where(
    positive,
    (positive.sum() + 1) / (positive.sum() + 2),
    1 / ((~positive).sum() + 2),
  )

  def objective(parameters):
    slope, bias = parameters
    z = slope * logits + bias
    loss = np.logaddexp(0, z) - targets * z
    error = special.expit(z) - targets
    return loss.mean(), np.array([(error * logits).mean(), error.mean()])

  # Standardised logits make the problem well conditioned: the solver needs few
  # steps whatever the scale of the logits.
  mean, scale = logits.mean(), logits.std() or 1.0
  logits = (logits - mean) / scale
  found = optimize.minimize(
    objective,
    (scale, mean),
    jac=True,
    method='L-BFGS-B',
    bounds=[(scale / _HIGHEST, scale * _HIGHEST), (None, None)],
    options={'ftol': 1e-14, 'gtol': 1e-9},
  )
  slope = found.x[0] / scale
  return float(slope), float(found.x[1] - slope * mean)


def plug_in_threshold(
  probabilities: ArrayLike,
) -> tuple[float, float]:
  r"""Computes the best threshold for F1 from probabilities, without labels.

  If each example is positive with its probability p, calling the k most
  probable ones positive gives the F1 of expected counts

  .. math::
    F(k) = \frac{2 \sum_{i \le k} p_i}{k + \sum_i p_i},

  which approaches the expected F1 for many examples. Its maximum F* is reached
  by calling the examples with a probability above F* / 2 positive. The less the
  probabilities differ, the lower the threshold; if all are equal, every example
  is called positive.

  Args:
    probabilities: float `[n]`, between 0 and 1. They must be calibrated: see
      `fit_platt`.

  Returns:
    The threshold F* / 2, where `probability >= threshold` is positive, and F*.

  Raises:
    ValueError: there is no example, a probability is not between 0 and 1, or
      all are 0.

  Example:
    >>> plug_in_threshold([0.75, 0.5, 0.125, 0.125])  # F* = 2.5 / 3.5.
    (0.35714285714285715, 0.7142857142857143)

  References:
    Lipton et al., `Thresholding classifiers to maximize F1 score
    <https://arxiv.org/abs/1402.1892>`_, 2014.
    Ye et al., `Optimizing F-measure: a tale of two approaches
    <https://arxiv.org/abs/1206.4625>`_, 2012.
  """
  probabilities = np.asarray(probabilities, np.float64)
  if probabilities.ndim != 1 or not len(probabilities):
    raise ValueError(
      'Expected probabilities [n] of at least one example, not '
      f'{list(probabilities.shape)}.'
    )
  if not ((probabilities >= 0) & (probabilities <= 1)).all():
    raise ValueError('Expected probabilities between 0 and 1.')
  if not probabilities.any():
    raise ValueError('No probability above 0: every threshold has an F1 of 0.')
  expected = np.cumsum(np.sort(probabilities)[::-1])
  counts = np.arange(1, len(expected) + 1)
  f1 = float(np.max(2 * expected / (counts + expected[-1])))
  return f1 / 2, f1


def best_offset(
  gaps: Sequence[ArrayLike],
  tags: Sequence[Sequence[str]],
  gold: Sequence[Sequence[str]],
  scheme: str = 'conll',
) -> tuple[float, float]:
  """Finds the offset of a tagger's `O` logit with the highest F1 of entities.

  The offset is subtracted from the logit of `O`. With `gap` the logit of `O`
  minus the highest other logit, a word is tagged as part of an entity if
  `gap < offset`. An offset of 0 is the argmax (with `O` first among equals); a
  positive offset finds more entities (higher recall), a negative one fewer
  (higher precision).

  All offsets that lead to different tags are tried. If several have the highest
  F1, the one nearest to 0 is returned, so that the F1 on these sentences is
  never below the F1 of the argmax.

  Args:
    gaps: float `[words]` for each sentence. `inf` keeps a word at `O`.
    tags: for each sentence, the tag of each word with the highest logit except
      `O`.
    gold: for each sentence, the true tags.
    scheme: the scheme of the tags, as for `entity_spans`.

  Returns:
    The offset, midway between the two gaps that it separates, and the micro F1
    of entities. It separates them in their own dtype as well.

  Raises:
    ValueError: there is no true entity (no offset is better than another), a
      gap is NaN, lengths differ, or a tag is not part of the scheme.

  Example:
    >>> logits = np.array([[2.0, 1.5, 0.0], [3.0, 0.0, 1.0], [2.0, 0.0, 1.9]])
    >>> gaps = logits[:, 0] - logits[:, 1:].max(axis=-1)
    >>> tags = np.array(['B-PER', 'B-LOC'])[logits[:, 1:].argmax(axis=-1)]
    >>> offset, f1 = best_offset([gaps], [tags], [['B-PER', 'O', 'B-LOC']])
    >>> f'{offset:.2f} {f1:.2f}'  # between the gaps 0.5 and 2
    '1.25 1.00'
  """
  flat, starts = _flatten(gaps, tags, gold)
  true = [set(entity_spans(row, scheme)) for row in gold]
  if not any(true):
    raise ValueError('No true entity: every offset has an F1 of 0.')
  order = np.argsort(flat, kind='stable')
  order = order[flat[order] < np.inf]
  # The words leave `O` one by one, in the order of their gaps. Each changes the
  # entities of its own sentence only, so that only this one is counted again.
  found = [['O'] * len(row) for row in tags]
  tp, predicted = np.zeros((2, len(order) + 1), np.int64)
  before = np.zeros((len(tags), 2), np.int64)
  sentences = np.searchsorted(starts, order, side='right') - 1
  words = order - starts[sentences]
  for k, (i, j) in enumerate(zip(sentences, words, strict=True), start=1):
    found[i][j] = tags[i][j]
    spans = entity_spans(found[i], scheme)
    now = sum(span in true[i] for span in spans), len(spans)
    tp[k] = tp[k - 1] + now[0] - before[i, 0]
    predicted[k] = predicted[k - 1] + now[1] - before[i, 1]
    before[i] = now
  fn = sum(map(len, true)) - tp
  f1 = f_score(Counts(tp=tp, fp=predicted - tp, fn=fn))
  # The offset at which exactly k words have left `O` is above the gap of word k
  # and at most the gap of word k + 1. Equal gaps leave no such offset.
  above = np.append(flat.dtype.type(-np.inf), flat[order])
  up_to = np.append(flat[order], flat.dtype.type(np.inf))
  cuts = np.flatnonzero((above < up_to) & (f1 == f1[above < up_to].max()))
  offsets = [_nearest_offset(above[k], up_to[k]) for k in cuts]
  return min(offsets, key=abs), float(f1[cuts[0]])


def _as_softmax(logits, labels) -> tuple[np.ndarray, np.ndarray]:
  """Returns logits `[n, classes]` and ids; sigmoid(z) = softmax([0, z])[1]."""
  logits, labels = np.asarray(logits, np.float64), np.asarray(labels)
  if not np.isfinite(logits).all():
    raise ValueError('Expected logits that are finite.')
  if not logits.size or logits.ndim == 0:
    raise ValueError(f'Expected logits, got the shape {list(logits.shape)}.')
  if labels.shape == logits.shape:
    if not np.isin(labels, (0, 1)).all():
      raise ValueError('Expected labels that are True or False (or 1 and 0).')
    logits = logits.reshape(-1, 1)
    logits = np.concatenate([np.zeros_like(logits), logits], axis=-1)
    return logits, labels.reshape(-1).astype(np.int64)
  if logits.ndim != 2 or labels.shape != logits.shape[:1]:
    raise ValueError(
      'Expected labels [n] for logits [n, classes], or of the same shape, not '
      f'{list(labels.shape)} for {list(logits.shape)}.'
    )
  classes = logits.shape[1]
  if labels.dtype.kind not in 'iu' or not np.isin(labels, range(classes)).all():
    raise ValueError(f'Expected class ids from 0 to {classes - 1}.')
  return logits, labels


def _flatten(gaps, tags, gold) -> tuple[np.ndarray, np.ndarray]:
  """Returns the gaps of all sentences as one array, and the sentence starts."""
  gaps = [np.asarray(row) for row in gaps]
  gaps = [g.astype(float) if g.dtype.kind in 'biu' else g for g in gaps]
  if not len(gaps) == len(tags) == len(gold):
    raise ValueError(
      'Expected the same number of sentences in gaps, tags and gold, not '
      f'{len(gaps)}, '
      f'{len(tags)} and {len(gold)}.'
    )
  for i, rows in enumerate(zip(gaps, tags, gold, strict=True)):
    if len(set(map(len, rows))) > 1:
      raise ValueError(
        f'Expected a gap, a tag and a true tag for each word, not '
        f'{", ".join(str(len(row)) for row in rows)} in sentence {i}.'
      )
  flat = np.concatenate(gaps) if gaps else np.zeros(0)
  if np.isnan(flat).any():
    raise ValueError('Expected gaps that are numbers, found NaN.')
  return flat, np.cumsum([0, *map(len, gaps)])[:-1]


def _nearest_offset(above, up_to) -> float:
  """Returns an offset in `(above, up_to]`: 0 if it is inside, else midway."""
  if above < 0 <= up_to:
    return 0.0
  if np.isinf(up_to):  # No midpoint: no word stays `O`.
    return float(np.nextafter(above, up_to))
  return between(above, up_to)
