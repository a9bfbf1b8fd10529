"""Pointwise losses against the formulas in float64 and the published values."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import oracle
import pytest
from test_losses_overlap import check
from test_losses_overlap import example

from dicejax import losses

SOFTMAX = [True, False]


def nll(log_p, _):
  return -log_p


def focal(log_p, log_not_p, gamma):
  return -np.exp(gamma * log_not_p) * log_p


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


@pytest.mark.parametrize('softmax', SOFTMAX)
@pytest.mark.parametrize('loss', [losses.cross_entropy, losses.focal])
def test_where_is_slicing_even_over_nan(softmax, loss):
  logits, labels = example(softmax, shape=(6,))
  keep = np.arange(6) < 4
  poisoned = logits.copy()
  poisoned[4:] = np.nan

  def total(x, y, where=None):
    value = loss(x, y, where=where)
    return value.sum(), value

  grad_of = jax.value_and_grad(total, has_aux=True)
  (_, value), grad = grad_of(poisoned, np.where(keep, labels, -100), keep)
  (_, want), sliced = grad_of(logits[:4], labels[:4])
  np.testing.assert_allclose(value[:4], want, rtol=1e-6)
  np.testing.assert_array_equal(value[4:], 0)
  np.testing.assert_allclose(grad[:4], sliced, rtol=1e-6)
  np.testing.assert_array_equal(grad[4:], 0)


@pytest.mark.parametrize('dtype', [jnp.float32, jnp.bfloat16, jnp.float16])
@pytest.mark.parametrize('gamma', [0.0, 0.3, 2.0])
def test_extreme_logits(dtype, gamma):
  levels = jnp.array([-1e4, -100, -17, 0, 6, 17, 100, 1e4], dtype)
  pairs = jnp.stack(jnp.meshgrid(levels, levels), -1).reshape(-1, 2)
  for logits in (levels, pairs, levels[:, None]):
    labels = jnp.zeros(logits.shape[:1], jnp.int32)
    for loss in (losses.cross_entropy, losses.focal):
      kwargs = {'gamma': gamma} if loss is losses.focal else {}
      value, grad = jax.value_and_grad(
        lambda x, loss=loss, kwargs=kwargs, labels=labels: loss(
          x, labels, **kwargs
        ).sum()
      )(logits)
      assert value.dtype == jnp.float32 and grad.dtype == dtype
      assert jnp.isfinite(value) and jnp.isfinite(grad).all()


def test_small_losses_keep_their_digits():
  """At a gap of 30 the loss is e^-30, not 0; so is the gradient."""
  value, grad = jax.value_and_grad(
    lambda x: losses.cross_entropy(x, jnp.array(0))
  )(jnp.array([30.0, 0.0]))
  np.testing.assert_allclose(value, np.exp(-30.0), rtol=1e-6)
  np.testing.assert_allclose(grad, [-np.exp(-30), np.exp(-30)], rtol=1e-6)


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


def test_an_id_that_is_no_class_shows():
  logits = jnp.zeros((3, 4))
  loss = losses.cross_entropy(logits, jnp.array([-100, 3, 4]))
  np.testing.assert_array_equal(jnp.isnan(loss), [True, False, True])


def test_bad_input():
  with pytest.raises(ValueError, match='gamma'):
    losses.focal(jnp.zeros((2, 3)), jnp.array([0, 1]), gamma=-1)
  with pytest.raises(ValueError, match='at most 1'):
    losses.cross_entropy(jnp.zeros(3), jnp.zeros(3), label_smoothing=1.5)
  with pytest.raises(AssertionError, match=r'\[3\].*\[2\]'):
    losses.focal(jnp.zeros(3), jnp.zeros(3), class_weights=np.ones(3))
