"""Values of the published module, and its defects, which dicejax avoids.

Its golden values for losses of whole inputs are in test_losses_overlap.py. The
numbers here were also printed by it, in float64.
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import oracle
import pytest

from dicejax import losses
from dicejax.tversky import Counts

BINARY = (
  jnp.array([2, -1, 0.5, -3, 1.5, -0.5]),
  jnp.array([1, 0, 1, 0, 0, 1]),
)
MULTI_CLASS = (
  jnp.array([[2, 0.5, -1], [0, 1, 0.5], [-1, 0, 3], [0.3, 0.2, 0.1]]),
  jnp.array([0, 1, 2, 0]),
)

dice = jax.jit(losses.dice, static_argnames='axis')
dice_of_q = jax.jit(
  losses.self_adjusting_dice,
  static_argnames=('alpha', 'square', 'axis', 'activation'),
)


@jax.jit
def each_and_gradient(logits, labels, alpha):
  value, pull = jax.vjp(
    lambda x: losses.self_adjusting_dice(x, labels, alpha=alpha, axis=()),
    logits,
  )
  return value, *pull(jnp.ones_like(value))


of_batch = functools.partial(dice_of_q, axis=None)
cross_entropy = jax.jit(losses.cross_entropy)


@pytest.mark.parametrize(
  'alpha, want', [(0, 0.1407299), (0.01, 0.1447764), (1, 0.3793109)]
)
def test_sadice_is_the_dice_of_the_true_class(alpha, want):
  """The package sadice: no negatives, each row a positive with its odds."""
  logits, labels = MULTI_CLASS
  true = jax.nn.one_hot(labels, 3, dtype=bool)
  against = jax.nn.logsumexp(logits, axis=-1, where=~true)
  odds = logits.max(axis=-1, where=true, initial=-jnp.inf) - against
  loss = dice_of_q(odds, jnp.ones(4), alpha=alpha, square=False, axis=())
  np.testing.assert_allclose(loss.mean(), want, atol=2e-7)


def test_the_fixture_of_the_authors():
  """Issue 2: probabilities as they are, each its own, summed over classes."""
  p = np.array([[0.9, 0.03, 0.03, 0.03], [0.03, 0.9, 0.03, 0.03]])
  loss = dice_of_q(
    jnp.asarray(np.log(p / (1 - p))),
    jnp.eye(4)[:2],
    alpha=0.01,
    smooth=1.0,
    axis=(),
  )
  # Theirs was printed in float32; it is 0.00793003.
  np.testing.assert_allclose(loss.sum(-1), [0.0079299] * 2, atol=2e-7)


def test_the_example_of_the_docstring_works():
  """Issue 2: a vector of five is five binary problems, not five classes."""
  logits, labels = jnp.array([2.0, 1, 2, 2, 1]), jnp.array([0, 1, 0, 0, 0])
  kept = losses.keep_hardest(cross_entropy(logits, labels), labels, 1)
  np.testing.assert_array_equal(kept, [True, True, False, False, False])
  p, q = 1 / (1 + np.exp(-2)), 1 / (1 + np.exp(-1))
  loss = dice(logits, labels, axis=None, smooth=1e-4, where=kept)
  want = 1 - (2 * q + 1e-4) / (p + q + 1 + 1e-4)
  np.testing.assert_allclose(loss, want, rtol=1e-6)


@pytest.mark.parametrize(
  'ratio, published, negatives, ours',
  [
    # It dropped the one negative to keep; with two or three it kept k - 2.
    (0.5, 0.2129048, [1, 4], 0.2033333),
    (0.7, 0.1055685, [], 0.2129048),
    (1, 0.2033333, [4], 0.2132003),
    (2, 0.2033333, [4], 0.2132003),
  ],
)
def test_hard_examples(ratio, published, negatives, ours):
  """Its values come from the negatives that it kept, not the hardest ones."""
  logits, labels = BINARY
  where = (labels > 0).at[jnp.array(negatives, int)].set(True)
  loss = of_batch(logits, labels, where=where)
  np.testing.assert_allclose(loss, published, atol=5e-7)
  hardness = cross_entropy(logits, labels)
  kept = losses.keep_hardest(hardness, labels, ratio)
  assert kept.sum() == 3 + min(int(3 * ratio), 3)
  np.testing.assert_allclose(
    of_batch(logits, labels, where=kept), ours, atol=5e-7
  )


def test_hard_examples_under_a_mask():
  """In the published code, a masked negative may replace one that counts."""
  logits, labels = BINARY
  where = jnp.arange(6) != 4  # Without the hardest negative.
  kept = losses.keep_hardest(cross_entropy(logits, labels), labels, 0.5, where)
  np.testing.assert_array_equal(kept, [True, True, True, False, False, True])


def test_hard_examples_of_each_class():
  """Issue 16: the published code lacks brackets and raises."""
  logits, labels = MULTI_CLASS
  true = jax.nn.one_hot(labels, 3, dtype=int)
  keep = jax.vmap(losses.keep_hardest, in_axes=(1, 1, None), out_axes=1)
  # The hardness for each class against the rest is its log-probability.
  kept = keep(jax.nn.log_softmax(logits), true, 1)
  np.testing.assert_array_equal(kept.sum(0), 2 * true.sum(0))


def test_a_mask_never_broadcasts():
  """Issues 8 and 18: a mask (N, 1) made (N, N) scores, and masked nothing."""
  logits, labels = BINARY
  mask = jnp.array([1, 1, 0, 1, 0, 1], bool)
  with pytest.raises(AssertionError, match=r'where: bool\[6, 1\].*\[6\]'):
    of_batch(logits, labels, where=mask[:, None])
  sliced = of_batch(logits[mask], labels[mask])
  columns = logits[:, None], labels[:, None]
  for loss in (
    of_batch(logits, labels, where=mask),
    of_batch(*columns, where=mask[:, None]),
  ):
    np.testing.assert_allclose(loss, sliced, rtol=1e-6)
  assert abs(sliced - of_batch(logits, labels) * mask.mean()) > 0.01


def test_a_mask_of_as_many_rows_as_classes_masks_rows():
  """In the published code, a mask (N,) masks columns if N equals C."""
  logits, labels = (x[:3] for x in MULTI_CLASS)
  mask = jnp.array([True, False, True])
  loss = dice_of_q(logits, labels, where=mask, axis=())
  want = dice_of_q(logits, labels, axis=())
  np.testing.assert_allclose(loss, jnp.where(mask, want, 0), rtol=1e-6)


@pytest.mark.parametrize(
  'dtype, first', [(jnp.float32, 17), (jnp.float16, 8), (jnp.bfloat16, 6)]
)
@pytest.mark.parametrize('alpha', [0.0, 0.01, 0.5])
@pytest.mark.parametrize('softmax', [True, False])
def test_no_nan_where_p_rounds_to_one(dtype, first, alpha, softmax):
  """Issues 6, 19 and 24: from this logit on its gradient was NaN."""
  x, y = np.array([first, first + 1, 2 * first, 100]), np.ones(4, int)
  if softmax:
    x = np.stack([np.zeros(4), x], axis=-1)
  of_set = functools.partial(oracle.dice_of_set, smooth=1.0, square=True)

  def exact(x):
    return oracle.set_loss(of_set, x, y, softmax=softmax, alpha=alpha)

  value, grad = each_and_gradient(jnp.asarray(x, dtype), y, alpha)
  np.testing.assert_allclose(value, exact(x), rtol=1e-5, atol=1e-12)
  np.testing.assert_allclose(
    np.asarray(grad, np.float64),
    oracle.gradient(lambda x: exact(x).sum(), x),
    rtol=1e-5 + float(jnp.finfo(dtype).eps),
    atol=1e-9 + float(jnp.finfo(dtype).smallest_subnormal),
  )


@pytest.mark.parametrize('alpha', [0.01, 0.1, 1.0])
def test_a_perfect_prediction(alpha):
  """Issue 2: q has a largest value below 1, known, at the logit -log alpha."""
  best = alpha**alpha / (1 + alpha) ** (1 + alpha)
  turn = -np.log(alpha)
  x, y = jnp.array([turn, turn, -60.0, -60.0]), jnp.array([1, 1, 0, 0])
  value, grad = jax.value_and_grad(of_batch)(x, y, alpha=alpha)
  want = 1 - (2 * 2 * best + 1) / (2 * best**2 + 2 + 1)
  np.testing.assert_allclose(value, want, rtol=1e-5)
  np.testing.assert_allclose(grad, 0, atol=1e-7)
  # Beyond this logit, the loss rises.
  assert value < of_batch(x + 9 * y, y, alpha=alpha)
  np.testing.assert_allclose(dice(x + 60 * y, y, axis=None), 0, atol=1e-6)


def test_one_ratio_for_numerator_and_denominator():
  """The published linear form divides tp of a row by the sum of all rows."""
  for alpha, want in [(0, 1.81893), (0.01, 1.8196012), (1, 1.8322759)]:
    logits, labels = MULTI_CLASS
    counts = losses.soft_counts(logits, labels, alpha=alpha)
    np.testing.assert_allclose(
      _published_linear(counts, len(labels)), want, atol=5e-7
    )
  labels = jnp.array([0, 0, 0, 1, 1, 2])
  logits = 60 * jax.nn.one_hot(labels, 3)
  counts = losses.soft_counts(logits, labels)
  assert abs(_published_linear(counts, 6) - 1.94) < 5e-3
  np.testing.assert_allclose(dice(logits, labels, axis=None), 0, atol=1e-7)


def _published_linear(counts: Counts, rows):
  below = 2 * counts.tp + counts.fp + counts.fn + 1
  return jnp.sum(1 - (2 * counts.tp / rows + 1) / below)


@pytest.mark.parametrize('axis', [(), None])
def test_any_layout(axis):
  """Issue 11: sentences, columns of a larger array, transposed logits."""
  rng = np.random.default_rng(0)
  logits = rng.normal(size=(4, 6, 3)).astype(np.float32)
  labels = rng.integers(0, 3, (4, 6))
  loss = functools.partial(dice_of_q, axis=axis)
  flat = loss(logits.reshape(-1, 3), labels.reshape(-1))
  of_sentences = loss(logits, labels)
  np.testing.assert_allclose(of_sentences.reshape(flat.shape), flat, rtol=1e-6)
  strided = np.repeat(logits, 2, axis=-1)[..., ::2].transpose(1, 0, 2)
  assert not strided.flags.c_contiguous
  np.testing.assert_allclose(loss(strided, labels.T), of_sentences.T, rtol=1e-6)


def test_labels_that_are_one_hot():
  """`index_label_position`: shape and activation say what labels are."""
  logits, labels = MULTI_CLASS
  one_hot = jax.nn.one_hot(labels, 3)
  ids = dice_of_q(logits, labels, axis=())
  same = dice_of_q(logits, one_hot, activation='softmax', axis=())
  np.testing.assert_allclose(same, ids, rtol=1e-6)
  binary = dice_of_q(logits, one_hot, axis=())
  assert binary.shape == one_hot.shape
