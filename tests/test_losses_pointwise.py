"""Pointwise losses against the formulas in float64 and the published values."""

import functools

import hypothesis
import hypothesis.extra.numpy as hnp
import hypothesis.strategies as st
import jax
import jax.numpy as jnp
import numpy as np
import optax
import oracle
import pytest
from draws import examples
from loss_checks import check
from loss_checks import example

from dicejax import losses

SOFTMAX = [True, False]


def nll(log_p, _):
  return -log_p


def focal(log_p, log_not_p, gamma):
  return -np.exp(gamma * log_not_p) * log_p


def poly(log_p, log_not_p, epsilon):
  return -log_p + epsilon * np.exp(log_not_p)


@pytest.mark.parametrize('softmax', SOFTMAX)
@pytest.mark.parametrize('smoothing', [0.0, 0.1])
@pytest.mark.parametrize('weighted', [True, False])
def test_cross_entropy_matches_the_formula(softmax, smoothing, weighted):
  logits, labels = example(softmax)
  weights = np.array([0.3, 2.0, 0.0, 1.0][: 4 if softmax else 2])
  weights = weights if weighted else None
  check(
    losses.cross_entropy,
    lambda x: oracle.pointwise(
      nll,
      x,
      labels,
      softmax=softmax,
      class_weights=weights,
      smoothing=smoothing,
    ),
    logits,
    labels,
    class_weights=weights,
    label_smoothing=smoothing,
  )


@pytest.mark.parametrize('softmax', SOFTMAX)
@pytest.mark.parametrize('gamma', [0, 0.5, 2.0])
@pytest.mark.parametrize('weighted', [True, False])
def test_focal_matches_the_formula(softmax, gamma, weighted):
  logits, labels = example(softmax)
  weights = np.array([0.3, 2.0, 0.0, 1.0][: 4 if softmax else 2])
  weights = weights if weighted else None
  check(
    losses.focal,
    lambda x: oracle.pointwise(
      functools.partial(focal, gamma=gamma),
      x,
      labels,
      softmax=softmax,
      class_weights=weights,
    ),
    logits,
    labels,
    class_weights=weights,
    gamma=gamma,
  )


@pytest.mark.parametrize('softmax', SOFTMAX)
@pytest.mark.parametrize('epsilon', [-1, 0, 1.0, 2.0])
@pytest.mark.parametrize('weighted', [True, False])
def test_poly_matches_the_formula(softmax, epsilon, weighted):
  logits, labels = example(softmax)
  weights = np.array([0.3, 2.0, 0.0, 1.0][: 4 if softmax else 2])
  weights = weights if weighted else None
  check(
    losses.poly,
    lambda x: oracle.pointwise(
      functools.partial(poly, epsilon=epsilon),
      x,
      labels,
      softmax=softmax,
      class_weights=weights,
    ),
    logits,
    labels,
    class_weights=weights,
    epsilon=epsilon,
  )


@pytest.mark.parametrize('gammas', [(1.0, 4.0), (0, 0), (0.5, 0.3), (2, 1)])
@pytest.mark.parametrize('margin', [0, 0.05, 0.5])
@pytest.mark.parametrize('soft', [True, False])
def test_asymmetric_matches_the_formula(gammas, margin, soft):
  logits, labels = example(False, shape=(6, 9))
  if soft:
    labels = np.random.default_rng(1).uniform(size=labels.shape)
  options = {
    'gamma_positive': gammas[0],
    'gamma_negative': gammas[1],
    'margin': margin,
  }
  check(
    losses.asymmetric,
    lambda x: oracle.asymmetric(x, labels, **options),
    logits,
    labels,
    **options,
  )


@pytest.mark.parametrize('soft', [True, False])
@pytest.mark.parametrize('scale', [0.1, 3.0, 30.0])
def test_zlpr_matches_the_formula(soft, scale):
  logits, labels = example(False, shape=(6, 9), scale=scale)
  labels[0], labels[1] = 0, 1  # Neither a true nor a false element.
  if soft:
    labels = labels * np.random.default_rng(1).uniform(size=labels.shape)
  check(losses.zlpr, lambda x: oracle.zlpr(x, labels), logits, labels)


def test_published_focal_values():
  logits = jnp.array([[2, 0.5, -1], [0, 1, 0.5], [-1, 0, 3], [0.3, 0.2, 0.1]])
  labels = jnp.array([0, 1, 2, 0])
  want = {0: 0.4973519, 1: 0.2564323, 2: 0.1445765, 3: 0.0845238}
  for gamma, value in want.items():
    loss = losses.focal(logits, labels, gamma=gamma).mean()
    np.testing.assert_allclose(loss, value, atol=2e-7)


def test_agrees_with_optax():
  logits, labels = example(True)
  np.testing.assert_allclose(
    losses.cross_entropy(logits, labels),
    optax.softmax_cross_entropy_with_integer_labels(logits, labels),
    rtol=1e-5,
  )
  logits, labels = example(False)
  np.testing.assert_allclose(
    losses.focal(logits, labels),
    optax.sigmoid_focal_loss(logits, labels.astype(np.float32)),
    rtol=1e-5,
  )


def test_poly_agrees_with_optax():
  logits, labels = example(True)
  one_hot = jax.nn.one_hot(labels, 4)
  np.testing.assert_allclose(
    losses.poly(logits, labels, epsilon=2.0),
    optax.losses.poly_loss_cross_entropy(logits, one_hot),
    rtol=1e-5,
  )


@pytest.mark.parametrize('softmax', SOFTMAX)
def test_cross_entropy_is_focal_and_poly_of_nothing(softmax):
  logits, labels = example(softmax)
  want = losses.cross_entropy(logits, labels)
  for same in (
    losses.focal(logits, labels, gamma=0),
    losses.poly(logits, labels, epsilon=0),
  ):
    np.testing.assert_array_equal(same, want)


@pytest.mark.slow
@pytest.mark.parametrize('gamma', [0, 0.5, 2.0])
def test_focal_is_asymmetric_without_asymmetry(gamma):
  logits = np.array([-80, -30, -5, -1, 0, 1, 5, 30, 80, 1e4], np.float32)
  for label in (0, 1):
    labels = np.full(logits.shape, label)

    def symmetric(x, labels=labels):
      return losses.asymmetric(
        x, labels, gamma_positive=gamma, gamma_negative=gamma, margin=0
      )

    def focal(x, labels=labels):
      return losses.focal(x, labels, gamma=gamma)

    np.testing.assert_allclose(symmetric(logits), focal(logits), rtol=1e-5)
    got, want = (
      jax.grad(lambda x, f=f: f(x).sum())(logits) for f in (symmetric, focal)
    )
    np.testing.assert_allclose(got, want, rtol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize('gammas', [(1.0, 4.0), (0.5, 0), (0, 0.3)])
@pytest.mark.parametrize('margin', [0.05, 0.5])
def test_easy_negatives_have_no_loss_and_no_gradient(gammas, margin):
  edge = np.log(margin / (1 - margin))
  logits = np.float32([-1e4, -100, -17, edge - 1e-3])
  options = {
    'gamma_positive': gammas[0],
    'gamma_negative': gammas[1],
    'margin': margin,
  }
  value, vjp = jax.vjp(
    lambda x: losses.asymmetric(x, jnp.zeros(4), **options), logits
  )
  np.testing.assert_array_equal(value, 0)
  np.testing.assert_array_equal(vjp(jnp.ones(4))[0], 0)
  # Where p equals m to the last digit, nothing is NaN.
  near = np.float32(edge) + np.spacing(np.float32(edge)) * np.arange(-9, 10)
  grad = jax.grad(
    lambda x: losses.asymmetric(x, jnp.zeros(19), **options).sum()
  )(near.astype(np.float32))
  assert (grad >= 0).all() and (grad <= margin).all()


def test_stopped_weights_are_constants():
  logits, labels = example(False, shape=(6, 9))
  got = jax.grad(
    lambda x: losses.asymmetric(x, labels, weight_gradient='stop').sum()
  )(logits)
  p = 1 / (1 + np.exp(-logits.astype(np.float64)))
  p_m = np.maximum(p - 0.05, 0)
  # -log p has the slope -(1 - p), -log (1 - p_m) has p (1 - p) / (1 - p_m).
  want = -labels * (1 - p) ** 2
  want += (1 - labels) * p_m**4 * p * (1 - p) / (1 - p_m)
  np.testing.assert_allclose(got, want, rtol=1e-5, atol=1e-9)
  value = losses.asymmetric(logits, labels, weight_gradient='stop')
  np.testing.assert_array_equal(value, losses.asymmetric(logits, labels))


def test_soft_zlpr_is_smallest_at_half_the_log_odds():
  labels = np.array([0.1, 0.5, 0.9, 0.7])
  best = np.log(labels / (1 - labels)) / 2
  grad = jax.grad(losses.zlpr)(best.astype(np.float32), labels)
  np.testing.assert_allclose(grad, np.zeros(4), atol=1e-7)


@pytest.mark.slow
def test_zlpr_leaves_single_labels_out():
  logits, labels = example(False, shape=(6, 9))
  keep = np.random.default_rng(1).uniform(size=(6, 9)) < 0.6
  keep[0] = False
  poisoned = np.where(keep, logits, np.nan)
  ignored = np.where(keep, labels, -100)
  value, vjp = jax.vjp(lambda x: losses.zlpr(x, ignored, where=keep), poisoned)
  (grad,) = vjp(jnp.ones(6))
  want = oracle.zlpr(logits, labels, keep)
  np.testing.assert_allclose(value, want, rtol=1e-6)
  want = oracle.gradient(lambda x: oracle.zlpr(x, labels, keep).sum(), logits)
  np.testing.assert_allclose(grad, want, rtol=1e-5, atol=1e-7)
  np.testing.assert_array_equal(grad[~keep], 0)
  assert value[0] == 0
  column = losses.zlpr(logits, labels, where=np.arange(9) < 4)
  sliced = losses.zlpr(logits[:, :4], labels[:, :4])
  np.testing.assert_allclose(column, sliced, rtol=1e-6)


def any_logits(shape):
  width = {'width': 32, 'min_value': -1e4, 'max_value': 1e4}
  levels = [0.0, 17.0, -17.0, -1e4, 1e4]
  return hnp.arrays(
    np.float32, shape, elements=st.floats(**width) | st.sampled_from(levels)
  )


@hypothesis.given(st.data(), st.sampled_from([2, 3, 9]))
@examples(60)
def test_any_class_logits(data, classes):
  """Ties, gaps of up to 2e4: value and gradient."""
  logits = data.draw(any_logits((3, classes)))
  labels = data.draw(
    hnp.arrays(np.int32, (3,), elements=st.integers(0, classes - 1))
  )
  for loss, f in [
    (losses.cross_entropy, nll),
    (losses.focal, functools.partial(focal, gamma=2)),
    (losses.poly, functools.partial(poly, epsilon=1)),
  ]:
    value, vjp = jax.vjp(lambda x, loss=loss: loss(x, labels), logits)
    (grad,) = vjp(jnp.ones(3))

    def reference(x, f=f):
      return oracle.pointwise(f, x, labels, softmax=True)

    want_grad = oracle.gradient(lambda x: reference(x).sum(), logits)
    np.testing.assert_allclose(value, reference(logits), rtol=1e-6, atol=1e-7)
    # Central differences of a loss of 1e4 are good to 1e-6.
    np.testing.assert_allclose(grad, want_grad, rtol=1e-5, atol=1e-6)


@hypothesis.given(
  any_logits((7,)), hnp.arrays(bool, (7,)), st.sampled_from([0.0, 0.05, 0.5])
)
@examples(60)
def test_any_label_logits(logits, labels, margin):
  labels = labels.astype(np.int32)
  options = {'gamma_positive': 0.5, 'gamma_negative': 1.3, 'margin': margin}
  for loss, reference in [
    (
      functools.partial(losses.asymmetric, **options),
      lambda x: oracle.asymmetric(x, labels, **options),
    ),
    (losses.zlpr, lambda x: oracle.zlpr(x, labels)),
  ]:
    value, grad = jax.value_and_grad(
      lambda x, loss=loss: loss(x, labels).sum()
    )(logits)
    want = oracle.gradient(lambda x, r=reference: r(x).sum(), logits)
    # Near the margin, p - m has the rounding of p.
    np.testing.assert_allclose(
      value, reference(logits).sum(), rtol=1e-6, atol=1e-8
    )
    np.testing.assert_allclose(grad, want, rtol=1e-5, atol=1e-5)


def test_no_array_of_all_classes_is_kept():
  """Memory for a large vocabulary, besides the gradient itself."""
  logits = jnp.zeros((256, 4000))
  compiled = (
    jax.jit(jax.value_and_grad(lambda x, y: losses.cross_entropy(x, y).mean()))
    .lower(logits, jnp.zeros(256, jnp.int32))
    .compile()
  )
  memory = compiled.memory_analysis()
  if memory is not None:
    assert memory.temp_size_in_bytes < logits.nbytes / 10


@pytest.mark.slow
def test_small_losses_keep_their_digits():
  """At a gap of 30 the loss is e^-30, not 0; so is the gradient."""
  value, grad = jax.value_and_grad(
    lambda x: losses.cross_entropy(x, jnp.array(0))
  )(jnp.array([30.0, 0.0]))
  np.testing.assert_allclose(value, np.exp(-30.0), rtol=1e-6)
  np.testing.assert_allclose(grad, [-np.exp(-30), np.exp(-30)], rtol=1e-6)
  value = losses.poly(jnp.array([30.0, 0.0]), jnp.array(0), epsilon=2.0)
  np.testing.assert_allclose(value, 3 * np.exp(-30.0), rtol=1e-6)
  value = losses.zlpr(jnp.array([30.0, -31.0]), jnp.array([1, 0]))
  np.testing.assert_allclose(value, np.exp(-30) + np.exp(-31), rtol=1e-6)


@pytest.mark.parametrize('offset', [0, 1e3, 1e4])
@pytest.mark.parametrize('loss', [losses.cross_entropy, losses.focal])
def test_an_offset_of_all_logits_costs_no_digits(loss, offset):
  logits = example(True)[0] + np.float32(offset)
  labels = example(True)[1]
  f = nll if loss is losses.cross_entropy else functools.partial(focal, gamma=2)
  check(
    loss,
    lambda x: oracle.pointwise(f, x, labels, softmax=True),
    logits,
    labels,
  )
  one_hot = jax.nn.one_hot(labels, 4)
  np.testing.assert_allclose(
    loss(logits, labels),
    loss(logits, one_hot, activation='softmax'),
    rtol=1e-6,
  )


def test_bad_input():
  with pytest.raises(ValueError, match='gamma'):
    losses.focal(jnp.zeros((2, 3)), jnp.array([0, 1]), gamma=-1)
  with pytest.raises(ValueError, match='at most 1'):
    losses.cross_entropy(jnp.zeros(3), jnp.zeros(3), label_smoothing=1.5)
  with pytest.raises(AssertionError, match=r'\[3\].*\[2\]'):
    losses.focal(jnp.zeros(3), jnp.zeros(3), class_weights=np.ones(3))
  with pytest.raises(ValueError, match='gamma_negative'):
    losses.asymmetric(jnp.zeros(3), jnp.zeros(3), gamma_negative=-1)
  with pytest.raises(ValueError, match='margin must be below 1'):
    losses.asymmetric(jnp.zeros(3), jnp.zeros(3), margin=1)
  with pytest.raises(ValueError, match='weight_gradient'):
    losses.asymmetric(jnp.zeros(3), jnp.zeros(3), weight_gradient='no')
  with pytest.raises(ValueError, match=r'\[2, 3\].*\[2\]'):
    losses.asymmetric(jnp.zeros((2, 3)), jnp.array([0, 1]))
  with pytest.raises(AssertionError, match=r'\[2, 3\].*\[2, 1\]'):
    losses.zlpr(jnp.zeros((2, 3)), jnp.zeros((2, 1)))
  with pytest.raises(AssertionError, match='where'):
    losses.zlpr(jnp.zeros((2, 3)), jnp.zeros((2, 3)), where=np.ones(2, bool))
  with pytest.raises(ValueError, match='axis of labels'):
    losses.zlpr(jnp.zeros(()), jnp.zeros(()))
