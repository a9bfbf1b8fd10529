"""Hard example mining against a plain sort."""

import fractions
import functools

import hypothesis
import hypothesis.extra.numpy as hnp
import hypothesis.strategies as st
import jax
import jax.numpy as jnp
import numpy as np
import oracle
import pytest
from draws import examples
from helpers import slow_except

from dicejax import losses

keep_hardest = jax.jit(losses.keep_hardest)  # Compiled once per shape.


def count(ratio, positives):
  """Multiplies by the ratio as it is written: 0.7 times 10 is 7."""
  return int(fractions.Fraction(str(ratio)) * positives)


@pytest.mark.slow
@pytest.mark.parametrize(
  'positives, negatives, ratio, published',
  [
    (4, 96, 0.3, 95),
    (2, 50, 0.1, 48),
    (10, 90, 0.2, 0),
    (10, 90, 0.3, 1),
    (10, 90, 0.5, 3),
    (10, 90, 1.0, 8),
  ],
)
def test_where_the_published_code_fails(positives, negatives, ratio, published):
  rng = np.random.default_rng(0)
  loss = rng.permutation(positives + negatives).astype(np.float32)
  labels = rng.permutation(np.arange(len(loss)) < positives)
  kept = losses.keep_hardest(loss, labels, ratio)
  wanted = count(ratio, positives)
  assert kept[labels].all() and kept.sum() == positives + wanted
  assert wanted != published
  hardest = np.sort(loss[~labels])[len(loss) - positives - wanted :]
  np.testing.assert_array_equal(np.sort(loss[kept & ~labels]), hardest)


@hypothesis.given(
  st.data(),
  st.sampled_from([1, 2, 12]),
  st.sampled_from([np.float16, np.float32, np.float64]),
)
@examples(100)
def test_is_a_sort(data, size, dtype):
  """Ties, infinities, NaN, no positives, nothing but positives."""
  special = [0.0, -0.0, 1.0, -1.0, np.inf, -np.inf, np.nan]
  following = np.nextafter(dtype(1), dtype(2))
  few = st.sampled_from([dtype(x) for x in [*special, following]])
  loss = data.draw(hnp.arrays(dtype, size, elements=few))
  labels = data.draw(
    hnp.arrays(np.int32, size, elements=st.sampled_from([-100, 0, 1, 5]))
  )
  keep = data.draw(hnp.arrays(bool, size))
  ratio = data.draw(st.sampled_from([0.0, 0.1, 0.5, 0.7, 1.0, 1.5, 3.0, 1e3]))
  wanted = count(ratio, int((keep & (labels > 0)).sum()))
  k = data.draw(st.integers(0, size + 1))
  with jax.enable_x64(dtype == np.float64):
    got = keep_hardest(loss, labels, ratio, keep)
    exactly = keep_hardest(loss, labels, where=keep, k=k)
  np.testing.assert_array_equal(got, oracle.kept(loss, labels, wanted, keep))
  np.testing.assert_array_equal(exactly, oracle.kept(loss, labels, k, keep))


@pytest.mark.parametrize(
  'ratio', slow_except((0.29, 0.7, 3), [0.01, 0.072, 0.1, 0.29, 0.7, 1.1, 3])
)
def test_counts_are_those_of_the_written_ratio(ratio):
  positives = np.arange(0, 3000, 15)
  labels = np.arange(3000) < positives[:, None]
  labels = np.concatenate([labels, np.zeros((len(positives), 9000), bool)], 1)
  kept = jax.jit(
    jax.vmap(lambda y: losses.keep_hardest(jnp.zeros(12_000), y, ratio).sum())
  )(labels)
  want = [n + min(count(ratio, int(n)), 12_000 - n) for n in positives]
  np.testing.assert_array_equal(kept, want)


def test_ties_go_to_the_first():
  kept = losses.keep_hardest(jnp.ones(6), jnp.array([0, 0, 1, 0, 0, 0]), 3)
  np.testing.assert_array_equal(kept, [True, True, True, True, False, False])


def test_masks_contain_one_another():
  loss = np.random.default_rng(0).normal(size=40).astype(np.float32)
  labels = np.arange(40) < 2
  at_least = losses.keep_hardest(loss, labels, 3) | losses.keep_hardest(
    loss, labels, k=16
  )
  np.testing.assert_array_equal(
    at_least, losses.keep_hardest(loss, labels, k=16)
  )
  none = np.zeros(40, bool)
  assert not losses.keep_hardest(loss, none, 3).any()
  # All of one kind: the largest k.
  top = losses.keep_hardest(loss, none, k=5)
  np.testing.assert_array_equal(np.sort(loss[top]), np.sort(loss)[-5:])


def test_as_a_mask_of_a_loss():
  rng = np.random.default_rng(0)
  logits = rng.normal(size=(6, 9, 4)).astype(np.float32)
  labels = rng.integers(0, 4, (6, 9)) * (rng.uniform(size=(6, 9)) < 0.2)
  real = np.arange(9) < np.array([[9], [5], [0], [7], [9], [3]])
  labels = np.where(real, labels, -100)
  logits[~real] = np.nan

  def total(x):
    loss = losses.cross_entropy(x, labels, where=real)
    kept = losses.keep_hardest(loss, labels, 2, real)
    return losses.cross_entropy(x, labels, where=kept).sum(), (loss, kept)

  grad, (loss, kept) = jax.jit(jax.grad(total, has_aux=True))(logits)
  wanted = 2 * int((labels > 0).sum())
  want = oracle.kept(
    np.asarray(loss).ravel(), labels.ravel(), wanted, real.ravel()
  )
  np.testing.assert_array_equal(kept.ravel(), want)
  assert kept.sum() == (labels > 0).sum() + wanted
  np.testing.assert_array_equal((grad != 0).any(-1), kept)
  # The other elements change neither value nor gradient.
  inside = jax.jit(
    jax.grad(
      lambda x: losses.cross_entropy(
        x, np.where(kept, labels, 0), where=kept
      ).sum()
    )
  )(logits)
  np.testing.assert_array_equal(grad, inside)
  dice_of_all = jax.jit(functools.partial(losses.dice, axis=None))
  dice = dice_of_all(logits, labels, where=kept)
  sliced = dice_of_all(logits[kept], labels[kept])
  np.testing.assert_allclose(dice, sliced, rtol=1e-6)


@pytest.mark.slow
def test_transformations():
  rng = np.random.default_rng(0)
  loss = rng.normal(size=(6, 20)).astype(np.float32)
  labels = rng.integers(0, 3, (6, 20)) // 2
  keep = functools.partial(losses.keep_hardest, loss, labels)
  by_row = jax.vmap(losses.keep_hardest, (0, 0, None))(loss, labels, 0.7)
  for row in range(6):
    want = losses.keep_hardest(loss[row], labels[row], 0.7)
    np.testing.assert_array_equal(by_row[row], want)
    wanted = count(0.7, int(labels[row].sum()))
    assert want.sum() == labels[row].sum() + wanted
  np.testing.assert_array_equal(jax.jit(keep)(0.7), keep(0.7))
  np.testing.assert_array_equal(jax.jit(lambda k: keep(k=k))(4), keep(k=4))
  where = np.arange(20) < 10
  np.testing.assert_array_equal(
    keep(3, where), keep(3, np.broadcast_to(where, (6, 20)))
  )
  # Only what the mask lets through has a gradient.
  grad = jax.grad(
    lambda x: jnp.sum(x**2, where=losses.keep_hardest(x, labels, 0.7))
  )(loss)
  np.testing.assert_allclose(grad, 2 * loss * keep(0.7), rtol=1e-6)
  half = losses.keep_hardest(jnp.bfloat16(loss), labels == 1, 0.7)
  assert half.dtype == bool and half.sum() == keep(0.7).sum()


@pytest.mark.parametrize(
  'loss, labels, options, error, text',
  [
    ((3,), (4,), {'ratio': 1}, AssertionError, r'\[3\].*\[4\]'),
    ((), (4,), {'ratio': 1}, AssertionError, r'\[\].*\[4\]'),
    ((3,), (3,), {}, ValueError, 'ratio=None, k=None'),
    ((3,), (3,), {'ratio': 1, 'k': 2}, ValueError, 'ratio=1, k=2'),
    ((3,), (3,), {'ratio': -1}, ValueError, 'ratio'),
    ((3,), (3,), {'k': -1}, ValueError, 'k must be at least 0'),
    ((3,), (3,), {'k': 1, 'where': np.ones(3)}, TypeError, 'where: float'),
    (
      (3,),
      (3,),
      {'k': 1, 'where': np.ones((2, 3), bool)},
      AssertionError,
      r'\[2, 3\].*\[3\]',
    ),
  ],
)
def test_bad_input(loss, labels, options, error, text):
  with pytest.raises(error, match=text):
    jax.eval_shape(
      functools.partial(losses.keep_hardest, **options),
      jnp.zeros(loss),
      jnp.zeros(labels, jnp.int32),
    )


def test_types():
  with pytest.raises(TypeError, match='labels > 0.5'):
    losses.keep_hardest(jnp.zeros(3), jnp.zeros(3), 1)
  with pytest.raises(TypeError, match='loss must be floating point'):
    losses.keep_hardest(jnp.zeros(3, jnp.int32), jnp.zeros(3, jnp.int32), 1)
