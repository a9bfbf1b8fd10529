"""Decisions: which outputs of a model are called positive, for the best F1."""

import math
from collections.abc import Sequence

import jax
import numpy as np

from dicejax.metrics._scores import f_score
from dicejax.metrics._spans import entity_spans
from dicejax.metrics._thresholds import between
from dicejax.tversky import Counts

_HIGHEST = 20.0  # Temperature; its inverse is the lowest one.


def fit_temperature(
  logits: jax.typing.ArrayLike, labels: jax.typing.ArrayLike
) -> float:
  r"""Fits the temperature T that calibrates the probabilities of `logits / T`.

  T minimises the negative log likelihood of the labels,

  .. math::
    -\frac{1}{n} \sum_i \log \mathrm{softmax}(z_i / T)_{y_i},

  and leaves the order of the classes as it is. As a function of 1 / T this is
  convex, so the root of its slope is the one minimum.

  Args:
    logits: float, finite: `[n, classes]` of a softmax, or any shape of
      independent sigmoids.
    labels: int `[n]`, class ids from 0; or bool (or 0 and 1) of the shape of
      the logits, for sigmoids.

  Returns:
    T, at least 1 / 20 and at most 20. The likelihood has no maximum within
    these limits, and T is the lower one, where every example is classified
    right with some margin; it is the upper one where the logits are no better
    than none. T is 1 where the logits of each example are all the same.

  Raises:
    ValueError: no example, a logit that is not finite, a label that is not one
      of a class, or shapes that do not fit.

  Example:
    >>> logits = [[2.0, 0.0], [2.0, 0.0], [2.0, 0.0], [0.0, 2.0]]
    >>> round(fit_temperature(logits, [0, 0, 1, 1]), 4)  # Three of four right.
    1.8205

  References:
    Guo et al., `On calibration of modern neural networks
    <https://arxiv.org/abs/1706.04599>`_, 2017.
  """
  from scipy import optimize  # A third of what importing dicejax would take.

  logits, labels = _as_softmax(logits, labels)
  # A constant of each example changes no probability; exp cannot overflow now.
  logits = logits - logits.max(axis=-1, keepdims=True)
  true = np.take_along_axis(logits, labels[:, None], axis=-1)[:, 0]

  def slope(log_temperature):
    weights = np.exp(logits * math.exp(-log_temperature))
    expected = (weights * logits).sum(axis=-1) / weights.sum(axis=-1)
    return float(np.mean(expected - true))

  if not logits.any():
    return 1.0
  high = math.log(_HIGHEST)
  if slope(-high) <= 0:
    return 1 / _HIGHEST
  if slope(high) >= 0:
    return _HIGHEST
  return math.exp(optimize.brentq(slope, -high, high))


def fit_platt(
  logits: jax.typing.ArrayLike, labels: jax.typing.ArrayLike
) -> tuple[float, float]:
  r"""Fits slope a and bias b so that sigmoid(a z + b) are calibrated.

  A temperature changes how sure a model is, but not how often it says positive.
  The bias does: a model that was trained with an overlap loss, with weights of
  classes, or on resampled examples says positive too often. a and b minimise

  .. math::
    -\sum_i t_i \log p_i + (1 - t_i) \log (1 - p_i), \qquad
    p_i = \mathrm{sigmoid}(a z_i + b),

  with the targets :math:`t = (n_+ + 1) / (n_+ + 2)` of the :math:`n_+`
  positives and :math:`1 / (n_- + 2)` of the negatives, which keep a and b
  finite where a threshold separates the two.

  Args:
    logits: float `[n]`, finite, of a sigmoid.
    labels: bool (or 0 and 1) `[n]`.

  Returns:
    a, at least 1 / 20 and at most 20, and b.

  Raises:
    ValueError: no example, a logit that is not finite, a label that is neither
      0 nor 1, or lengths that differ.

  Example:
    >>> logits = [2.0, 2.0, -2.0, -2.0, -2.0]  # Says positive too often.
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
      f'Expected logits [n] and as many labels, not {list(logits.shape)} and '
      f'{list(labels.shape)}.'
    )
  _as_softmax(logits, labels)  # Checks the values.
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

  # Standardised logits make the problem well conditioned.
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
  probabilities: jax.typing.ArrayLike,
) -> tuple[float, float]:
  r"""The threshold that is best for F1 if the probabilities are true.

  It needs no labels. Where each example is positive with its probability p, the
  k surest ones have the F1 of expected counts

  .. math::
    F(k) = \frac{2 \sum_{i \le k} p_i}{k + \sum_i p_i},

  which for many examples is the expected F1. Its maximum F* is reached by the
  examples above F* / 2. The less the probabilities differ, the lower the
  threshold: with the same p for all, everything is called positive.

  Args:
    probabilities: float `[n]`, between 0 and 1, and calibrated: see
      `fit_platt`.

  Returns:
    The threshold F* / 2, where `probability >= threshold` is positive, and F*.

  Raises:
    ValueError: no example, a probability that is not between 0 and 1, or none
      above 0.

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
  gaps: Sequence[jax.typing.ArrayLike],
  tags: Sequence[Sequence[str]],
  gold: Sequence[Sequence[str]],
  scheme: str = 'conll',
) -> tuple[float, float]:
  """The offset of a tagger's background logit with the highest F1 of entities.

  The offset is subtracted from the logit of `O`. A word is then tagged `O`
  unless the gap from its best other logit up to that of `O` is below the
  offset: `gap < offset`. So 0 is the argmax (with `O` first among equals), a
  positive offset finds more entities (recall), a negative one fewer
  (precision).

  All offsets that differ in what they tag are tried. Of several with the
  highest F1, 0 is taken, or else the one nearest to 0; so on these sentences
  the F1 is never below that of the argmax.

  Args:
    gaps: float `[words]` of each sentence: the logit of `O` minus the highest
      other one. `inf` stands for a word that is always `O`.
    tags: of each sentence, the tag with the highest logit but for `O`, a word
      each.
    gold: of each sentence, the true tags.
    scheme: by which tags spell entities, as for `entity_spans`.

  Returns:
    The offset, midway between the gaps that it parts, and the micro F1 of the
    entities. It separates the gaps in their own dtype as well.

  Raises:
    ValueError: no true entity (no offset is better than another), a gap that is
      not a number, lengths that differ, or a tag that is not of the scheme.

  Example:
    >>> logits = np.array([[2.0, 1.5, 0.0], [3.0, 0.0, 1.0], [2.0, 0.0, 1.9]])
    >>> gaps = logits[:, 0] - logits[:, 1:].max(axis=-1)
    >>> tags = np.array(['B-PER', 'B-LOC'])[logits[:, 1:].argmax(axis=-1)]
    >>> offset, f1 = best_offset([gaps], [tags], [['B-PER', 'O', 'B-LOC']])
    >>> f'{offset:.2f} {f1:.2f}'  # Between the gaps 0.5 and 2.
    '1.25 1.00'
  """
  gaps, starts = _flatten(gaps, tags, gold)
  true = [set(entity_spans(row, scheme)) for row in gold]
  if not any(true):
    raise ValueError('No true entity: every offset has an F1 of 0.')
  order = np.argsort(gaps, kind='stable')
  order = order[gaps[order] < np.inf]
  # With one word more each time, in the order of the gaps, only its sentence
  # changes.
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
  # After k words, an offset is above the gap of the last and at most that of
  # the next one.
  above = np.append(gaps.dtype.type(-np.inf), gaps[order])
  up_to = np.append(gaps[order], gaps.dtype.type(np.inf))
  cuts = np.flatnonzero((above < up_to) & (f1 == f1[above < up_to].max()))
  offsets = [_nearest_offset(above[k], up_to[k]) for k in cuts]
  return min(offsets, key=abs), float(f1[cuts[0]])


def _as_softmax(logits, labels) -> tuple[np.ndarray, np.ndarray]:
  """Logits `[n, classes]` and ids; a sigmoid is the softmax of 0 and its z."""
  logits, labels = np.asarray(logits, np.float64), np.asarray(labels)
  if not np.isfinite(logits).all():
    raise ValueError('Expected logits that are finite.')
  if not logits.size or logits.ndim == 0:
    raise ValueError(f'Expected logits, found the shape {list(logits.shape)}.')
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
    raise ValueError(f'Expected ids of classes from 0 to {classes - 1}.')
  return logits, labels


def _flatten(gaps, tags, gold) -> tuple[np.ndarray, np.ndarray]:
  """All gaps in a row, and where each sentence starts."""
  gaps = [np.asarray(row) for row in gaps]
  gaps = [g.astype(float) if g.dtype.kind in 'biu' else g for g in gaps]
  if not len(gaps) == len(tags) == len(gold):
    raise ValueError(
      f'Expected as many sentences of gaps, tags and gold, not {len(gaps)}, '
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
  """An offset in `(above, up_to]`: 0 if it can be, else midway."""
  if above < 0 <= up_to:
    return 0.0
  if np.isinf(up_to):  # Everything is tagged.
    return float(np.nextafter(above, up_to))
  return between(above, up_to)
