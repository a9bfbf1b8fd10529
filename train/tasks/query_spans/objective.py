"""The objective of query spans: a weighted sum of the losses of the heads."""

import jax
import jax.numpy as jnp

from train.objective import Loss
from train.objective import Objective


def make_objective(loss: Loss, weights: dict[str, float]) -> Objective:
  """Builds the weighted sum of the losses of the heads over the batch.

  Each head has running counts of its own.

  Only those pairs count whose first word is a start or whose last word is an
  end, true or predicted: decoding never asks for others. (The published
  code also draws half of all other pairs at random.)

  Args:
    loss: the loss of one head.
    weights: weights of the heads `start`, `end` and, if there is one, `match`.
  """

  def labels_of(batch):
    labels = {'start': batch['starts'], 'end': batch['ends']}
    if 'match' in weights:
      labels['match'] = _gold_pairs(batch)
    return labels

  def init(logits, batch):
    labels = labels_of(batch)
    return {n: loss.init(getattr(logits, n), labels[n]) for n in weights}

  def update(logits, batch, running):
    labels, counts, total = labels_of(batch), {}, 0.0
    where = {name: labels[name] >= 0 for name in ('start', 'end')}
    if 'match' in weights:
      where['match'] = _candidate_pairs(labels, logits)
    for name, weight in weights.items():
      value, counts[name] = loss.update(
        getattr(logits, name), labels[name], where[name], running[name]
      )
      total += weight * value
    return total, counts

  return Objective(init, update, loss.description)


def upper(pairs: jax.Array) -> jax.Array:
  """Keeps the pairs `[batch, row, column]` with a column not before the row."""
  return pairs & jnp.triu(jnp.ones(pairs.shape[1:], bool))[None]


def _candidate_pairs(labels, logits) -> jax.Array:
  """Marks the pairs that count, bool `[batch, length, length]`."""
  start, end = labels['start'], labels['end']
  words = (start >= 0)[:, :, None] & (end >= 0)[:, None]
  starts = (start > 0) | (logits.start > 0)
  ends = (end > 0) | (logits.end > 0)
  return upper(words & (starts[:, :, None] | ends[:, None]))


def _gold_pairs(batch) -> jax.Array:
  """Marks the true pairs of a batch, bool `[batch, length, length]`."""
  length = batch['tokens'].shape[1]

  def scatter(start, end):
    # -1 would index the last position; an index of `length` is dropped.
    start = jnp.where(start < 0, length, start)
    pairs = jnp.zeros((length, length), bool)
    return pairs.at[start, end].set(True, mode='drop')

  return jax.vmap(scatter)(batch['pair_start'], batch['pair_end'])
