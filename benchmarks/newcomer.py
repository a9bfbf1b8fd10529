"""A first problem, 3 % positives, with each loss at its default arguments.

  python benchmarks/newcomer.py

A network of two layers is trained on 20,000 synthetic rows, 3 % of them
positive, by 600 steps of Adam on batches of 256, the same for each loss. The
table has the F1 on 20,000 test rows, at a probability of .5 and at the
threshold that is best on 20,000 dev rows: means and standard deviations over
ten seeds of data, weights and batches, and the paired difference to the loss
with the best mean at .5, with its 95 % interval.

`dice` and `self_adjusting_dice` have class ids and the default arguments.
"""

import functools
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

import jax
import jax.numpy as jnp
import numpy as np
import optax

from dicejax import losses
from dicejax import metrics
from train.significance import paired_difference

SEEDS, ROWS, FEATURES, WIDTH = 10, 20_000, 20, 64
STEPS, BATCH, RATE = 600, 256, 3e-3
POSITIVE, NOISE = 0.03, 0.6


def elements(loss):
  """Takes the mean of a loss with a value per element."""
  return lambda logits, labels: jnp.mean(loss(logits, labels))


def sigmoid(loss):
  """Calls a loss with one logit per row, for the positive class."""
  return lambda logits, labels: loss(
    logits[:, 1] - logits[:, 0], labels.astype(logits.dtype)
  )


def with_cross_entropy(loss):
  return lambda logits, labels: (
    loss(logits, labels) + jnp.mean(losses.cross_entropy(logits, labels))
  )


each = functools.partial(functools.partial, axis=())
LOSSES = {
  'cross_entropy': elements(losses.cross_entropy),
  'focal': elements(losses.focal),
  'self_adjusting_dice': losses.self_adjusting_dice,
  'dice': losses.dice,
  'jaccard': losses.jaccard,
  'dice + cross_entropy': with_cross_entropy(losses.dice),
  'self_adjusting_dice, sigmoid': sigmoid(losses.self_adjusting_dice),
  'dice, sigmoid': sigmoid(losses.dice),
  'self_adjusting_dice, axis=()': elements(each(losses.self_adjusting_dice)),
  'dice, axis=()': elements(each(losses.dice)),
}


def make_data(key):
  """Makes training, dev and test rows with noisy labels."""
  keys = jax.random.split(key)
  x = jax.random.normal(keys[0], (3, ROWS, FEATURES))
  score = x[..., 0] + x[..., 1] + x[..., 2] * x[..., 3]
  score += NOISE * jax.random.normal(keys[1], score.shape)
  return x, (score > jnp.quantile(score, 1 - POSITIVE)).astype(int)


def predict(params, x):
  (w1, b1), (w2, b2) = params
  return jax.nn.relu(x @ w1 + b1) @ w2 + b2


def init(key):
  def layer(key, ins, outs):
    return jax.random.normal(key, (ins, outs)) / ins**0.5, jnp.zeros(outs)

  keys = jax.random.split(key)
  return layer(keys[0], FEATURES, WIDTH), layer(keys[1], WIDTH, 2)


@functools.partial(jax.jit, static_argnums=0)
@functools.partial(jax.vmap, in_axes=(None, 0))
def train(loss, seed):
  """Returns probabilities and labels of dev and test, `[2, rows]` each."""
  data_key, init_key, batch_key = jax.random.split(jax.random.key(seed), 3)
  x, y = make_data(data_key)
  optimizer = optax.adam(RATE)

  def step(state, key):
    params, moments = state
    rows = jax.random.randint(key, [BATCH], 0, ROWS)
    logits, backward = jax.vjp(lambda p: predict(p, x[0, rows]), params)
    (gradient,) = backward(jax.grad(loss)(logits, y[0, rows]))
    updates, moments = optimizer.update(gradient, moments)
    return (optax.apply_updates(params, updates), moments), None

  params = init(init_key)
  keys = jax.random.split(batch_key, STEPS)
  (params, _), _ = jax.lax.scan(step, (params, optimizer.init(params)), keys)
  return jax.nn.softmax(predict(params, x[1:]))[..., 1], y[1:]


def f1(p, y, threshold):
  counts = metrics.label_counts(y, (p >= threshold).astype(int), 2)
  return metrics.f_score(counts)[1]


def scores(loss):
  """Returns test F1 at .5 and at the threshold tuned on dev: `[seeds, 2]`."""
  found = []
  for p, y in zip(*map(np.asarray, train(loss, np.arange(SEEDS))), strict=True):
    threshold, _ = metrics.best_threshold(p[0], y[0] == 1)
    found.append([f1(p[1], y[1], 0.5), f1(p[1], y[1], threshold)])
  return np.array(found)


def main():
  table = {name: scores(loss) for name, loss in LOSSES.items()}
  best = max(table.values(), key=lambda s: s[:, 0].mean())[:, 0]
  print(f'{"":30}{"F1 at .5":>13}{"tuned":>14}   {"at .5, to the best"}')
  for name, found in table.items():
    cells = [
      f'{mean:.3f} ± {deviation:.3f}'.removeprefix('0').replace('± 0', '± ')
      for mean, deviation in zip(
        found.mean(axis=0), found.std(axis=0, ddof=1), strict=True
      )
    ]
    gap = paired_difference(found[:, 0], best)
    cells.append(f'{gap.mean:+.3f} [{gap.low:+.3f}, {gap.high:+.3f}]')
    print(f'{name:30}{cells[0]:>13}{cells[1]:>14}   {cells[2]}')


if __name__ == '__main__':
  main()
