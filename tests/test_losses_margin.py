"""Losses and weights of class priors against their formulas in float64."""

import decimal
import functools

import jax
import jax.numpy as jnp
import numpy as np
import oracle
import pytest
from helpers import slow_except
from loss_checks import check
from loss_checks import example

from dicejax import losses

COUNTS = np.array([900, 80, 3, 17])
WITH_PRIOR = ['logit_adjusted', 'balanced_softmax', 'ldam']


def cross_entropy(logits, labels, weights=None):
  return oracle.pointwise(
    lambda log_p, _: -log_p,
    logits,
    labels,
    softmax=True,
    class_weights=weights,
  )


@pytest.mark.parametrize('tau', slow_except([0.5], [0, 0.5, 1.0, 3.0]))
@pytest.mark.parametrize('weighted', [True, False])
@pytest.mark.parametrize('soft', [True, False])
@pytest.mark.parametrize('offset', [0, 1e4])
def test_logit_adjusted_matches_the_formula(tau, weighted, soft, offset):
  logits, labels = example(True)
  logits += np.float32(offset)
  if soft:
    labels = np.random.default_rng(1).dirichlet(np.ones(4), labels.shape)
  weights = np.array([0.3, 2.0, 0.0, 1.0]) if weighted else None
  prior = np.log(COUNTS / COUNTS.sum())
  check(
    losses.logit_adjusted,
    lambda x: cross_entropy(x + tau * prior, labels, weights),
    logits,
    labels,
    class_counts=COUNTS,
    tau=tau,
    class_weights=weights,
  )


@pytest.mark.parametrize('max_margin, scale', [(0.5, 30.0), (0, 1), (2.0, 3.0)])
@pytest.mark.parametrize('weighted', [True, False])
@pytest.mark.parametrize('offset', [0, 1e4])
def test_ldam_matches_the_formula(max_margin, scale, weighted, offset):
  logits, labels = example(True, scale=0.3)
  logits += np.float32(offset)
  weights = np.array([0.3, 2.0, 0.0, 1.0]) if weighted else None
  margins = COUNTS**-0.25
  margins *= max_margin / margins.max()
  ahead = oracle.one_hot(labels, logits) * margins
  check(
    losses.ldam,
    lambda x: cross_entropy(scale * (x - ahead), labels, weights),
    logits,
    labels,
    class_counts=COUNTS,
    max_margin=max_margin,
    scale=scale,
    class_weights=weights,
  )


def test_identities():
  logits, labels = example(True)
  plain = losses.cross_entropy(logits, labels)
  one = losses.logit_adjusted(logits, labels, class_counts=COUNTS)
  same = losses.balanced_softmax(logits, labels, class_counts=COUNTS)
  np.testing.assert_array_equal(same, one)
  shares = losses.balanced_softmax(
    logits, labels, class_counts=COUNTS / COUNTS.sum()
  )
  np.testing.assert_allclose(shares, one, rtol=1e-5)
  for same in (
    losses.balanced_softmax(logits, labels, class_counts=[7, 7, 7, 7]),
    losses.logit_adjusted(logits, labels, class_counts=COUNTS, tau=0),
    losses.ldam(logits, labels, class_counts=COUNTS, max_margin=0, scale=1),
  ):
    np.testing.assert_allclose(same, plain, rtol=1e-6)
  # The prior alone is what a logit-adjusted model need not learn.
  prior = np.log(COUNTS / COUNTS.sum())
  loss = losses.logit_adjusted(
    jnp.zeros((4, 4)), np.arange(4), class_counts=COUNTS
  )
  np.testing.assert_allclose(loss, -prior, rtol=1e-6)


@pytest.mark.parametrize('name', WITH_PRIOR)
def test_absent_classes(name):
  loss = getattr(losses, name)
  logits, labels = example(True)
  # As if it had the 3 examples of the rarest.
  absent = loss(logits, labels, class_counts=[900, 80, 3, 0])
  want = loss(logits, labels, class_counts=[900, 80, 3, 3])
  np.testing.assert_array_equal(absent, want)
  assert np.isnan(loss(logits[0], np.full(5, -1), class_counts=COUNTS)).all()


@pytest.mark.parametrize('beta', [0, 0.9, 0.9999, 1 - 1e-9, 1 - 1e-15])
def test_class_balanced_weights(beta):
  counts = [1, 2, 100, 54_321, 5_000_000_000]
  with decimal.localcontext(prec=60):
    b = decimal.Decimal(beta)
    weights = [
      (1 - b) / (1 - b**n) if b else decimal.Decimal(1) for n in counts
    ]
    want = [float(5 * w / sum(weights)) for w in weights]
  got = losses.class_balanced_weights(counts, beta=beta)
  np.testing.assert_allclose(got, want, rtol=1e-6)
  np.testing.assert_allclose(got.sum(), 5, rtol=1e-6)
  assert got.dtype == jnp.float32
  if beta in (0, 0.9):  # Other values need more digits than float32 has.
    traced = jax.jit(lambda b: losses.class_balanced_weights(counts, beta=b))
    np.testing.assert_allclose(traced(np.float32(beta)), want, rtol=1e-5)
  absent = losses.class_balanced_weights([100, 10, 0], beta=beta)
  same = losses.class_balanced_weights([100, 10, 10], beta=beta)
  np.testing.assert_array_equal(absent, same)


@pytest.mark.parametrize('k', [0, 0.5, 1.0, 2.0])
def test_log_weights(k):
  counts = np.array([10_000_000_001, 3, 40, 777])
  want = np.log10((counts.sum() - counts) / counts + k)
  got = losses.log_weights(counts, k=k)
  np.testing.assert_allclose(got, want, rtol=1e-6)
  absent = losses.log_weights([*counts, 0], k=k)
  np.testing.assert_allclose(absent, [*want, want[1]], rtol=1e-5, atol=1e-6)


def test_deferred_weights():
  weights = losses.class_balanced_weights(COUNTS)
  at = jax.jit(
    lambda step: losses.deferred_weights(COUNTS, step=step, start=80)
  )
  np.testing.assert_array_equal(at(79), np.ones(4))
  np.testing.assert_allclose(at(80), weights, rtol=1e-6)
  np.testing.assert_allclose(at(81), weights, rtol=1e-6)
  other = losses.deferred_weights(COUNTS, step=1, start=0, beta=0.9)
  want = losses.class_balanced_weights(COUNTS, beta=0.9)
  np.testing.assert_array_equal(other, want)


@pytest.mark.parametrize('name', WITH_PRIOR)
def test_bad_counts(name):
  loss = getattr(losses, name)
  logits, labels = jnp.zeros((2, 3)), jnp.zeros(2, jnp.int32)
  for counts in ([1, 2], 5, np.ones((2, 3))):
    with pytest.raises(AssertionError, match=r'class_counts: .*\[2, 3\]'):
      jax.eval_shape(
        functools.partial(loss, class_counts=counts), logits, labels
      )
  with pytest.raises(TypeError, match='must be floating point'):
    loss(jnp.zeros((2, 3), jnp.int32), labels, class_counts=[1, 2, 3])
  with pytest.raises(AssertionError, match=r'\[2, 3\].*\[3\]'):
    loss(logits, jnp.zeros(3, jnp.int32), class_counts=[1, 2, 3])
  with pytest.raises(AssertionError, match='class_weights'):
    loss(logits, labels, class_counts=[1, 2, 3], class_weights=[1, 2])


def test_bad_input():
  for weights in (losses.class_balanced_weights, losses.log_weights):
    with pytest.raises(AssertionError, match=r'class_counts: \[1, 2\]'):
      weights([[1, 2]])
  for beta in (-0.1, 1, 2):
    with pytest.raises(ValueError, match='beta'):
      losses.class_balanced_weights([1, 2], beta=beta)
  with pytest.raises(ValueError, match='k must be'):
    losses.log_weights([1, 2], k=-1)
  logits, labels = jnp.zeros((2, 3)), jnp.zeros(2, jnp.int32)
  with pytest.raises(ValueError, match='tau'):
    losses.logit_adjusted(logits, labels, class_counts=[1, 2, 3], tau=-1)
  for wrong in ({'max_margin': -1}, {'scale': -1}):
    with pytest.raises(ValueError, match=next(iter(wrong))):
      losses.ldam(logits, labels, class_counts=[1, 2, 3], **wrong)
  with pytest.raises(ValueError, match='class ids'):
    losses.ldam(logits, jnp.ones((2, 3)), class_counts=[1, 2, 3])
