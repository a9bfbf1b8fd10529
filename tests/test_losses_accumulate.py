"""Accumulated gradients against the whole batch, and a float64 oracle."""

import functools

import hypothesis
import hypothesis.strategies as st
import jax
import jax.numpy as jnp
import numpy as np
import oracle
from draws import examples
from jax.sharding import PartitionSpec as P

from dicejax import losses
from dicejax.tversky import tversky_distance


def example(seed=0, size=16, features=3, classes=3):
  rng = np.random.default_rng(seed)
  x = np.float32(rng.normal(size=(size, features)))
  y = rng.integers(0, classes, size)
  # Parts differ in what is real, and the last may have nothing.
  batch = {'x': x, 'y': y, 'real': np.arange(size) < size - 5}
  w = np.float32(rng.normal(size=(features, classes)))
  return {'head': {'w': w, 'b': w[:1] / 2}}, batch


def split(batch, parts):
  return jax.tree.map(lambda a: a.reshape(parts, -1, *a.shape[1:]), batch)


def sums_of(params, batch):
  """Counts of two kinds, a sum of cross entropies and a number of elements."""
  logits = batch['x'] @ params['head']['w'] + params['head']['b']
  where, y = batch['real'], batch['y']
  return {
    'plain': losses.soft_counts(logits, y, where=where),
    'decayed': losses.soft_counts(
      logits, y, alpha=0.3, square=True, where=where
    ),
    'entropy': losses.cross_entropy(logits, y, where=where).sum(),
    'elements': where.sum(),
  }


def loss_of(sums):
  """Dice, Tversky and self-adjusting dice, and the mean cross entropy."""
  dice = tversky_distance(sums['plain'], smooth=0.5)
  tversky = tversky_distance(sums['plain'], 0.2, 0.8, smooth=1.0)
  decayed = tversky_distance(sums['decayed'], smooth=0.5)
  overlap = (dice + 2 * tversky + 3 * decayed).mean()
  return overlap + sums['entropy'] / jnp.maximum(sums['elements'], 1)


def formula(logits, y):
  """The same losses of the real elements, from the definitions."""
  of_sets = [
    (0.0, functools.partial(oracle.dice_of_set, smooth=1.0, square=False)),
    (0.0, lambda q, y: 2 * oracle.tversky_of_set(q, y, 0.2, 0.8, 1.0)),
    (0.3, lambda q, y: 3 * oracle.dice_of_set(q, y, smooth=1.0, square=True)),
  ]
  overlap = sum(
    oracle.set_loss(f, logits, y, axis=None, softmax=True, alpha=alpha)
    for alpha, f in of_sets
  )
  return (
    overlap + oracle.pointwise(lambda p, _: -p, logits, y, softmax=True).mean()
  )


accumulated = jax.jit(losses.accumulate(sums_of, loss_of))
whole = jax.jit(jax.value_and_grad(lambda p, b: loss_of(sums_of(p, b))))


def near(got, want):
  (loss, grads), (want_loss, want_grads) = got, want
  np.testing.assert_allclose(loss, want_loss, rtol=1e-6)
  jax.tree.map(
    functools.partial(np.testing.assert_allclose, rtol=1e-5, atol=1e-7),
    grads,
    want_grads,
  )


@hypothesis.given(st.integers(0, 1000), st.sampled_from([1, 2, 4, 8]))
@examples(30)
def test_any_split_is_the_whole(seed, parts):
  params, batch = example(seed)
  near(accumulated(params, split(batch, parts)), whole(params, batch))


def test_matches_the_formula():
  params, batch = example()
  real = batch['real']
  x, y = np.float64(batch['x'][real]), batch['y'][real]
  w, b = (np.float64(params['head'][name]) for name in 'wb')
  want = {
    'w': oracle.gradient(lambda w: formula(x @ w + b, y), w),
    'b': oracle.gradient(lambda b: formula(x @ w + b, y), b),
  }
  got = accumulated(params, split(batch, 4))
  near(got, (formula(x @ w + b, y), {'head': want}))


def test_no_mean_over_micro_batches():
  params, batch = example()
  parts = split(batch, 4)
  loss, grads = accumulated(params, parts)
  each = [
    whole(params, jax.tree.map(lambda a, i=i: a[i], parts)) for i in range(4)
  ]
  mean = jax.tree.map(lambda *values: sum(values) / 4, *each)
  assert abs(mean[0] - loss) > 0.05
  far = jax.tree.map(lambda m, g: abs(m - g).max(), mean[1], grads)
  assert min(jax.tree.leaves(far)) > 0.01


def test_gradients_keep_their_type_and_are_summed_in_float32():
  """A sum of 1 and many small terms would stay at 1 in bfloat16."""
  parts = jnp.bfloat16(np.concatenate([[1024], 1 + np.arange(32) % 3]) / 1024)
  f = losses.accumulate(
    lambda p, x: p['half'] * x + p['full'] * x.astype(jnp.float32),
    lambda total: 2.0 * total,
  )
  _, grads = jax.jit(f)({'half': jnp.bfloat16(1), 'full': 1.0}, parts)
  want = 2 * np.float64(parts).sum()
  assert grads['half'].dtype == jnp.bfloat16
  assert grads['half'] == jnp.bfloat16(want) > 2
  np.testing.assert_allclose(grads['full'], want, rtol=1e-6)


def test_sharded_micro_batches():
  """Under jit, each micro-batch over eight devices."""
  params, batch = example()
  mesh = jax.sharding.Mesh(np.array(jax.devices()), ('data',))
  assert mesh.size == 8
  placed = jax.device_put(
    split(batch, 2), jax.NamedSharding(mesh, P(None, 'data'))
  )
  near(accumulated(params, placed), whole(params, batch))


def test_memory_is_that_of_a_micro_batch():
  def loss(params, batch):
    hidden = jnp.tanh(batch['x'] @ params['in'])
    return losses.soft_counts(hidden @ params['out'], batch['y'])

  params = {'in': jnp.zeros((8, 256)), 'out': jnp.zeros((256, 3))}
  f = jax.jit(losses.accumulate(loss, lambda c: tversky_distance(c).mean()))

  def memory(parts, size):
    batches = {
      'x': jax.ShapeDtypeStruct((parts, size, 8), jnp.float32),
      'y': jax.ShapeDtypeStruct((parts, size), jnp.int32),
    }
    compiled = f.lower(params, batches).compile()
    return compiled.memory_analysis().temp_size_in_bytes

  one = memory(2, 512)
  assert one > 512 * 256 * 4  # The hidden layer of a micro-batch.
  assert memory(16, 512) < 1.1 * one
  assert memory(2, 2048) > 3 * one
