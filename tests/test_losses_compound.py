"""Functions of an overlap, and unified focal losses, in float64 numpy."""

import functools

import hypothesis
import hypothesis.strategies as st
import jax
import jax.numpy as jnp
import numpy as np
import oracle
import pytest
from compiling import jit
from draws import examples
from helpers import slow_except
from loss_checks import KINDS
from loss_checks import UNIFIED
from loss_checks import agree
from loss_checks import by_axis
from loss_checks import example_of_kind
from loss_checks import right_anywhere

from dicejax import losses


def scores(logits, labels, sides=False):
  """log p, 1 - p and y `[..., classes]`, of sigmoids one class or two sides."""
  softmax = np.ndim(labels) < np.ndim(logits) or np.ndim(logits) == 3
  log_p, log_not_p = oracle.binary_scores(logits, softmax)
  y = oracle.one_hot(labels, logits)
  if not softmax:
    pair = [log_not_p, log_p] if sides else [log_p]
    log_not_p = np.stack([log_p, log_not_p] if sides else [log_not_p], -1)
    log_p = np.stack(pair, -1)
    y = np.stack([1 - y, y] if sides else [y], -1)
  not_p = np.exp(log_not_p)
  log_p = np.where(not_p < 0.5, np.log1p(-np.minimum(not_p, 0.5)), log_p)
  return log_p, not_p, y


def distance(log_p, not_p, y, axis, alpha, beta, smooth):
  """One minus the Tversky index of each set and class, digits kept."""
  axis = (0, 1) if axis is None else axis
  p = np.exp(log_p)
  missed = alpha * (p * (1 - y)).sum(axis) + beta * (not_p * y).sum(axis)
  return missed / ((p * y).sum(axis) + missed + smooth)


def focal_tversky(
  logits, labels, axis, weights=None, alpha=0.3, beta=0.7, gamma=1.0, smooth=1.0
):
  d = distance(*scores(logits, labels), axis, alpha, beta, smooth)
  return np.average(d**gamma, -1, weights)


def log_cosh_dice(logits, labels, axis, weights=None, smooth=1.0):
  d = distance(*scores(logits, labels), axis, 0.5, 0.5, smooth / 2)
  return np.average(np.log(np.cosh(d)), -1, weights)


def unified_focal(
  logits,
  labels,
  axis,
  weights=None,
  weight=0.5,
  delta=0.6,
  gamma=0.5,
  smooth=1.0,
  asymmetric=False,
):
  log_p, not_p, y = scores(logits, labels, sides=True)
  background = np.arange(y.shape[-1]) == 0
  d = distance(log_p, not_p, y, axis, 1 - delta, delta, smooth)
  d **= np.where(background & asymmetric, 1, 1 - gamma)
  focus = not_p ** np.where(background | (not asymmetric), gamma, 0)
  prices = np.where(background, 1 - delta, delta)
  entropy = -(prices * y * focus * log_p).sum(-1)
  mean = entropy.mean((0, 1) if axis is None else axis)
  return weight * d.mean(-1) + (1 - weight) * mean


asymmetric_unified_focal = functools.partial(unified_focal, asymmetric=True)
NUMBERS = {
  'focal_tversky': [
    {'alpha': 0.3, 'beta': 0.7, 'gamma': 0.75, 'smooth': 1.0},
    {'alpha': 0.5, 'beta': 0.5, 'gamma': 0.5, 'smooth': 1e-3},
    {'alpha': 0.9, 'beta': 0.0, 'gamma': 1.0, 'smooth': 0.5},
    {'alpha': 0.3, 'beta': 0.7, 'gamma': 2.0, 'smooth': 0.0},
  ],
  'log_cosh_dice': [{'smooth': 0.0}, {'smooth': 1e-3}, {'smooth': 1.0}],
  'unified_focal': [
    {'weight': 0.5, 'delta': 0.6, 'gamma': 0.5, 'smooth': 1.0},
    {'weight': 1.0, 'delta': 0.7, 'gamma': 0.75, 'smooth': 1e-3},
    {'weight': 0.0, 'delta': 0.3, 'gamma': 1.0, 'smooth': 1.0},
    {'weight': 0.2, 'delta': 0.5, 'gamma': 0.0, 'smooth': 0.0},
  ],
}
NUMBERS['asymmetric_unified_focal'] = NUMBERS['unified_focal']


@pytest.mark.parametrize('kind', KINDS)
@pytest.mark.parametrize('name', NUMBERS)
def test_matches_the_formula(name, kind):
  logits, labels, options = example_of_kind(kind)
  if name in UNIFIED:
    options.pop('class_weights', None)
  run = by_axis(getattr(losses, name), logits, labels, [0, None], **options)
  for numbers in NUMBERS[name]:
    for axis, got in zip([0, None], run(numbers), strict=True):
      reference = functools.partial(
        globals()[name],
        labels=labels,
        axis=axis,
        weights=options.get('class_weights'),
        **numbers,
      )
      agree(got, reference, logits)


@hypothesis.given(st.data(), st.sampled_from(sorted(NUMBERS)))
@examples(30)
def test_any_logits(data, name):
  """The distance may be 0, and its power is below 1."""
  numbers = NUMBERS[name][0]

  def reference(logits, labels):
    logits, labels = logits[None], labels[None]
    if not numbers['smooth']:
      # A set smaller than the smallest float32 counts as empty.
      log_p, _, y = scores(logits, labels)
      size = np.where(y, 1, np.exp(log_p)).sum((0, 1))
      hypothesis.assume((size > 1e-30).all())
    return globals()[name](logits, labels, None, **numbers)

  right_anywhere(data, name, reference, **numbers)


@pytest.mark.parametrize(
  'name, options',
  [
    ('focal_tversky', {'gamma': 0.75}),
    ('focal_tversky', {'gamma': 0.5, 'smooth': 1e-3}),
    ('unified_focal', {'gamma': 0.5}),
    ('unified_focal', {'gamma': 0.75, 'weight': 1.0}),
    ('asymmetric_unified_focal', {'gamma': 0.25}),
  ],
)
@pytest.mark.parametrize('softmax', [True, False])
def test_powers_where_almost_all_is_right(name, options, softmax):
  """Small losses keep all digits; half of the sets have no positive."""
  sure = np.float32([8, 20, 40, 70])
  logits = np.concatenate([sure, -sure])[:, None]
  labels = np.int32(logits > 0)
  if softmax:
    logits = logits[..., None] * np.float32([0, 1])
  loss = functools.partial(getattr(losses, name), axis=(), **options)

  @jit
  def run(x):
    value, pull = jax.vjp(lambda x: loss(x, labels), x)
    return value, *pull(jnp.ones_like(value))

  value, grad = run(logits)
  reference = functools.partial(
    globals()[name], labels=labels, axis=(), **options
  )
  # The logarithm in a power rounds by its size.
  np.testing.assert_allclose(value, reference(logits), rtol=1e-5)
  step = 1e-5 * np.array([0, 1] if softmax else 1)
  up, down = (reference(np.float64(logits) + s) for s in (step, -step))
  slope = grad[..., 1] if softmax else grad
  np.testing.assert_allclose(slope, (up - down) / 2e-5, rtol=1e-5)


@pytest.mark.parametrize('gamma', slow_except([0.5], [0.5, 0.75, 1.0]))
@pytest.mark.parametrize('name', ['focal_tversky', *UNIFIED])
def test_nothing_wrong_at_all(name, gamma):
  """A power below 1 has an infinite slope at 0: not in what is right."""
  loss = functools.partial(getattr(losses, name), gamma=gamma)
  run = jit(jax.value_and_grad(loss))
  for logits, labels in [([1e4, 200.0], [1, 1]), ([-1e4, -200.0], [0, 0])]:
    value, grad = run(jnp.array(logits), jnp.array(labels))
    assert value == 0
    np.testing.assert_array_equal(grad, 0)


@pytest.mark.parametrize('kind', slow_except(['sigmoids'], KINDS))
def test_identities(kind):
  logits, labels, options = example_of_kind(kind)
  options.pop('class_weights', None)
  loss = {
    name: functools.partial(
      getattr(losses, name), logits, labels, axis=0, **options
    )
    for name in [*NUMBERS, 'tversky', 'dice']
  }
  same = functools.partial(np.testing.assert_allclose, rtol=1e-6)
  prices = {'alpha': 0.2, 'beta': 0.6, 'smooth': 0.4}
  same(loss['focal_tversky'](gamma=1, **prices), loss['tversky'](**prices))
  dice = np.float64(loss['dice']())
  if kind == 'sigmoids':  # There is one class, so it is not a mean.
    same(loss['log_cosh_dice'](), np.log(np.cosh(dice)))
    small = losses.log_cosh_dice(jnp.array(20.0), jnp.array(1))
    same(small, (np.exp(-20) / 3) ** 2 / 2, rtol=1e-5)
  if kind == 'sigmoids':  # A softmax over two sides.
    logits = np.stack([np.zeros_like(logits), logits], -1)
    labels = np.stack([1 - labels, labels], -1)
    options = {'activation': 'softmax'}
  numbers = {'delta': 0.7, 'gamma': 0.25}
  overlap = losses.focal_tversky(
    logits, labels, alpha=0.3, beta=0.7, gamma=0.75, axis=0, **options
  )
  weights = np.array([0.3, 0.7, 0.7])[: logits.shape[-1]]
  entropy = losses.focal(
    logits, labels, gamma=0.25, class_weights=weights, **options
  ).mean(0)
  for weight in (0, 0.25, 1):
    got = loss['unified_focal'](weight=weight, **numbers)
    same(got, weight * overlap + (1 - weight) * entropy)
