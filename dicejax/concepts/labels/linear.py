"""A linear model of labels on concepts and their polarity.

A concept that a report affirms is a feature, and so is one that it doubts. What
it denies is none, nor are ancestors: they do not help, see docs/concepts.md.
"""

import collections
import functools
from collections.abc import Callable
from collections.abc import Collection
from collections.abc import Iterable
from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from dicejax import losses
from dicejax.concepts.labels.labelled import learnable
from dicejax.concepts.text.mentions import Mention
from dicejax.concepts.text.mentions import Polarity

# Chosen by macro F1 in folds, see the figures in docs/concepts.md.
DECAY = 0.1
THRESHOLD = 0.1
_LEAST = 2  # Reports that have a feature.
_STEPS = 100  # Of L-BFGS, which hardly changes the loss by then.


class Reason(NamedTuple):
  """A concept of a report, and what it adds to the log odds of a label."""

  concept: str
  polarity: Polarity
  weight: float


class Prediction(NamedTuple):
  """A label that a model gives.

  Attributes:
    probability: of the label.
    reasons: what speaks for it in the report, the weightiest first.
  """

  probability: float
  reasons: tuple[Reason, ...]


class LabelModel(NamedTuple):
  """A model from `train_labels`, with log odds `x @ weights + bias`.

  Attributes:
    features: concepts and polarities.
    labels: names.
    weights: float32 `[features, labels]`.
    bias: float32 `[labels]`.
    counts: number of reports with each label.
    skipped: why a label was not learnt, by label.
  """

  features: tuple[tuple[str, Polarity], ...]
  labels: tuple[str, ...]
  weights: np.ndarray
  bias: np.ndarray
  counts: dict[str, int]
  skipped: dict[str, str]


def train_labels(
  mentions: Sequence[Iterable[Mention]],
  labels: Sequence[Collection[str]],
  *,
  loss: Callable[[jax.Array, jax.Array], jax.Array] = losses.cross_entropy,
  decay: float = DECAY,
  min_reports: int = 10,
) -> LabelModel:
  """Trains a linear model of labels on concepts with polarity.

  It minimises the sum of the loss and `decay / 2` times the squared weights
  over all reports at once, by L-BFGS from zeros. What is denied is no feature,
  nor are mentions of other people, of the past and of what may come, and what a
  single report mentions.

  Args:
    mentions: of n reports, see `extract`.
    labels: names of labels, by report.
    loss: from logits and targets, float `[n, labels]`, to losses of any shape,
      such as those of `dicejax.losses`.
    decay: at least 0.
    min_reports: labels of fewer reports are skipped, and so are those that all
      reports have.

  Raises:
    ValueError: `mentions` and `labels` differ in length, `decay` is negative,
      no label is left, or no concept is in two reports.

  Example:
    >>> reports = [[Mention(id, 0, 5, Polarity.PRESENT)] for id in 'abab']
    >>> model = train_labels(reports, [{'wet'}, {}] * 2, min_reports=1)
    >>> found, _ = predict_labels(model, reports[:2], threshold=0.5)
    >>> list(found), found['wet'].reasons[0].concept
    (['wet'], 'a')
  """
  if len(mentions) != len(labels):
    raise ValueError(
      f'expected labels of each report, got {len(labels)} for {len(mentions)} '
      'reports.'
    )
  if not decay >= 0:
    raise ValueError(f'decay must be at least 0, got {decay}.')
  counts, skipped = learnable(labels, min_reports)
  said = list(map(_features, mentions))
  found = collections.Counter(feature for report in said for feature in report)
  features = tuple(sorted(f for f, n in found.items() if n >= _LEAST))
  if not features:
    raise ValueError('nothing to learn from: no concept is in two reports.')
  targets = np.array([[name in given for name in counts] for given in labels])
  weights, bias = _fit(_matrix(said, features), targets * 1.0, loss, decay)
  return LabelModel(
    features,
    tuple(counts),
    np.asarray(weights),
    np.asarray(bias),
    counts,
    skipped,
  )


def probabilities(
  model: LabelModel, mentions: Iterable[Iterable[Mention]]
) -> np.ndarray:
  """Computes the probability of each label, float `[n, labels]`."""
  matrix = _matrix(list(map(_features, mentions)), model.features)
  return _sigmoid(matrix @ model.weights + model.bias)


def predict_labels(
  model: LabelModel,
  mentions: Iterable[Iterable[Mention]],
  *,
  threshold: float = THRESHOLD,
) -> list[dict[str, Prediction]]:
  """Gives reports the labels whose probability is the threshold or more.

  Args:
    model: from `train_labels`.
    mentions: of n reports, found as those that it was trained on.
    threshold: in (0, 1). The default is for macro F1; a higher one gives fewer
      labels, more of which are right.

  Returns:
    The labels of each report by their probability, the largest first, then by
    name.

  Raises:
    ValueError: `threshold` is out of range.
  """
  if not 0 < threshold < 1:
    raise ValueError(f'threshold must be between 0 and 1, got {threshold}.')
  mentions = list(map(list, mentions))
  return [
    {
      model.labels[at]: Prediction(float(row[at]), _reasons(model, report, at))
      for at in np.argsort(-row, kind='stable')
      if row[at] >= threshold
    }
    for report, row in zip(
      mentions, probabilities(model, mentions), strict=True
    )
  ]


def _features(mentions) -> set[tuple[str, Polarity]]:
  return {
    (m.concept, m.polarity)
    for m in mentions
    if m.is_current and m.polarity is not Polarity.ABSENT
  }


def _matrix(said, features) -> np.ndarray:
  places = {feature: place for place, feature in enumerate(features)}
  matrix = np.zeros((len(said), len(features)), np.float32)
  for row, report in zip(matrix, said, strict=True):
    row[[places[feature] for feature in report if feature in places]] = 1
  return matrix


def _sigmoid(logits) -> np.ndarray:
  return np.exp(-np.logaddexp(0, -logits))


def _reasons(model, mentions, label) -> tuple[Reason, ...]:
  said = _features(mentions)
  reasons = [
    Reason(*feature, float(weight))
    for feature, weight in zip(
      model.features, model.weights[:, label], strict=True
    )
    if feature in said and weight > 0
  ]
  return tuple(sorted(reasons, key=lambda reason: -reason.weight))


@functools.partial(jax.jit, static_argnames='loss')
def _fit(matrix, targets, loss, decay):
  """Minimises the loss; returns weights and bias."""

  def objective(params):
    weights, bias = params
    penalty = decay / 2 * jnp.sum(weights**2)
    return jnp.sum(loss(matrix @ weights + bias[None], targets)) + penalty

  optimizer = optax.lbfgs()
  value_and_grad = optax.value_and_grad_from_state(objective)

  def step(carry, _):
    params, state = carry
    value, grad = value_and_grad(params, state=state)
    updates, state = optimizer.update(
      grad, state, params, value=value, grad=grad, value_fn=objective
    )
    return (optax.apply_updates(params, updates), state), None

  sizes = matrix.shape[1], targets.shape[1]
  params = jnp.zeros(sizes), jnp.zeros(sizes[1])
  start = params, optimizer.init(params)
  return jax.lax.scan(step, start, length=_STEPS)[0][0]
