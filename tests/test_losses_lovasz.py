"""Lovász losses against their definition in float64, and published values."""

import functools
import itertools

import hypothesis
import hypothesis.extra.numpy as hnp
import hypothesis.strategies as st
import jax
import jax.numpy as jnp
import numpy as np
import oracle
import pytest
from compiling import jit
from draws import examples
from helpers import slow_except
from loss_checks import SETS
from loss_checks import at_once
from loss_checks import check
from loss_checks import example

from dicejax import losses

BOTH = [losses.lovasz_hinge, losses.lovasz_softmax]
hinge_and_grad = jax.jit(jax.value_and_grad(losses.lovasz_hinge))
softmax_and_grad = jax.jit(
  jax.value_and_grad(losses.lovasz_softmax), static_argnames='present_only'
)


def jaccard_distance(mistakes, true):
  """Returns the distance between the truth and the truth with mistakes."""
  predicted = mistakes ^ true
  union = (predicted | true).sum()
  return 1 - (predicted & true).sum() / union if union else 0.0


def extension(m, true):
  """Integral of the distance over all levels of m: no order, no ties."""
  levels = np.unique([0, *m])
  return sum(
    (high - low) * jaccard_distance(m >= high, true)
    for low, high in itertools.pairwise(levels)
  )


def weights_of(key, true):
  """J_k - J_(k-1) of the elements, largest key first; exact in integers."""
  order = np.argsort(-key, kind='stable')
  sorted_true = true[order].astype(np.int64)
  union = sorted_true.sum() + np.cumsum(1 - sorted_true)
  # One minus intersection over union, as a fraction.
  over = union - (sorted_true.sum() - np.cumsum(sorted_true))
  over, under = np.r_[0, over], np.r_[max(sorted_true.sum(), 1), union]
  steps = over[1:] * under[:-1] - over[:-1] * under[1:]
  weights = np.empty(len(true))
  weights[order] = steps / (under[1:] * under[:-1])
  return weights


def hinge_errors(logits, labels):
  signs = np.where(labels, 1, -1)
  return np.maximum(0, 1 - signs * np.asarray(logits, np.float64))


def softmax_errors(logits, labels):
  """Errors and truth `[..., classes]`; 1 - p is a sum over the others."""
  log_p, log_not_p = oracle.binary_scores(logits, softmax=True)
  true = oracle.one_hot(labels, logits).astype(bool)
  return np.exp(np.where(true, log_not_p, log_p)), true


def of_sets(m, true, axis, class_weights=None, present_only=True):
  """Averages over classes; each set of errors `[..., classes]` is separate."""
  examples = m.ndim - 1
  axis = range(examples) if axis is None else np.atleast_1d(axis)
  axis = tuple(int(a) for a in axis)
  kept = [a for a in range(examples) if a not in axis]
  order = [*kept, examples, *axis]
  m, true = np.transpose(m, order), np.transpose(true, order)
  classes = m.shape[len(kept)]
  weights = np.ones(classes) if class_weights is None else class_weights
  out = np.zeros(m.shape[: len(kept)])
  for index in np.ndindex(out.shape):
    rows = [
      (m[index][c].ravel(), true[index][c].ravel()) for c in range(classes)
    ]
    real = [
      weights[c] * (rows[c][1].any() or not present_only)
      for c in range(classes)
    ]
    if sum(real):
      values = [extension(*row) for row in rows]
      out[index] = np.dot(real, values) / sum(real)
  return out


def hinge_reference(logits, labels, axis=None):
  m = hinge_errors(logits, labels)
  return of_sets(m[..., None], labels[..., None] > 0, axis, present_only=False)


def softmax_reference(logits, labels, axis=None, **kwargs):
  return of_sets(*softmax_errors(logits, labels), axis, **kwargs)


@pytest.mark.parametrize('axis', SETS)
@pytest.mark.parametrize('seed', [0, 1])
def test_hinge_matches_the_definition(axis, seed):
  logits, labels = example(False, seed, scale=1.0)
  reference = functools.partial(hinge_reference, labels=labels, axis=axis)
  check(losses.lovasz_hinge, reference, logits, labels, axis=axis)


@pytest.mark.parametrize(
  'axis',
  [
    (),
    pytest.param(0, marks=pytest.mark.slow),
    pytest.param((1,), marks=pytest.mark.slow),
    None,
  ],
)
@pytest.mark.parametrize('weights', [None, [0, 1, 2, 0.5]])
@pytest.mark.parametrize('present_only', [True, False])
def test_softmax_matches_the_definition(axis, weights, present_only):
  logits, labels = example(True, scale=1.0)
  options = {'axis': axis, 'present_only': present_only}
  if weights is not None:
    options['class_weights'] = np.array(weights)
  reference = functools.partial(softmax_reference, labels=labels, **options)
  check(losses.lovasz_softmax, reference, logits, labels, **options)


@pytest.mark.parametrize(
  'labels, want, gradient',
  [
    ([1, 0, 1, 0, 0, 1], 1.125, [0, 0, -0.25, 0, 0.25, -0.25]),
    ([0, 1, 0, 1, 1, 0], 2.425, [1 / 6, -0.25, 0.05, -1 / 3, 0, 1 / 30]),
    ([0] * 6, 3, [1, 0, 0, 0, 0, 0]),
    ([1] * 6, 4 / 3, [0, -1 / 6, -1 / 6, -1 / 6, 0, -1 / 6]),
  ],
)
def test_published_hinge_values(labels, want, gradient):
  """Losses and gradients of the published code, in float64."""
  logits = jnp.array([2, -1, 0.5, -3, 1.5, -0.5])
  loss, grad = hinge_and_grad(logits, jnp.array(labels))
  np.testing.assert_allclose(loss, want, rtol=1e-6)
  np.testing.assert_allclose(grad, gradient, rtol=1e-6)


@pytest.mark.parametrize(
  'labels, classes, want',
  [
    ([0, 1, 2, 0], 'present', 0.3806971),
    ([0, 1, 2, 0], [0, 2], 0.3242859),
    ([0, 1, 2, 0], [1], 0.4935196),
    ([0, 2, 2, 0], 'present', 0.4206880),
    ([0, 2, 2, 0], 'all', 0.4492854),
    ([0, 2, 2, 0], [1], 0.5064804),
  ],
)
def test_published_softmax_values(labels, classes, want):
  """Its `classes` (also a list) are our `present_only` and class weights."""
  logits = jnp.array([[2, 0.5, -1], [0, 1, 0.5], [-1, 0, 3], [0.3, 0.2, 0.1]])
  options = {'present_only': classes == 'present'}
  if not isinstance(classes, str):
    options['class_weights'] = np.isin(np.arange(3), classes)
  loss = losses.lovasz_softmax(logits, jnp.array(labels), **options)
  np.testing.assert_allclose(loss, want, atol=1e-7)


def test_published_softmax_gradient():
  logits = jnp.array([[2, 0.5, -1], [0, 1, 0.5], [-1, 0, 3], [0.3, 0.2, 0.1]])
  _, grad = softmax_and_grad(logits, jnp.array([0, 2, 2, 0]))
  want = [
    [-0.042109, 0.034427, 0.007682],
    [0.014309, 0.038897, -0.053207],
    [0.002676, 0.007273, -0.009949],
    [-0.067287, 0.022173, 0.045114],
  ]
  np.testing.assert_allclose(grad, want, atol=6e-7)


def test_hard_errors_are_the_jaccard_distance():
  """For all predictions of four elements: errors in {0, 1} and {0, 2}."""
  bits = np.array(list(itertools.product([0, 1], repeat=8)))
  predicted, labels = bits[:, :4], bits[:, 4:]
  want = [
    [jaccard_distance(row[0] != row[1], row[1] == c) for c in (0, 1)]
    for row in bits.reshape(-1, 2, 4)
  ]
  negative, positive = np.array(want).T
  hinge = at_once(losses.lovasz_hinge, 2.0 * predicted - 1, labels, axis=1)
  np.testing.assert_allclose(hinge, 2 * positive, rtol=1e-6)
  logits = 1e4 * np.stack([0.5 - predicted, predicted - 0.5], -1)
  softmax = functools.partial(
    at_once, losses.lovasz_softmax, logits, labels, axis=1
  )
  both = (negative + positive) / 2
  np.testing.assert_allclose(softmax(present_only=False), both, rtol=1e-6)
  only = softmax(class_weights=[0, 1])
  np.testing.assert_allclose(only, positive * labels.any(1), rtol=1e-6)


@hypothesis.given(st.data())
@examples(100)
def test_hinge_of_any_logits(data):
  """Even in a tie, the gradient is a subgradient of the extension."""
  n = 6
  level = st.sampled_from([-1e4, -1, -0.5, 0, 0.5, 1, 2, 1e4])
  some = st.one_of(level, st.floats(-1e4, 1e4, width=32))
  logits = data.draw(hnp.arrays(np.float32, n, elements=some))
  labels = data.draw(hnp.arrays(np.int32, n, elements=st.integers(0, 1)))
  keep = data.draw(hnp.arrays(bool, n))
  value, grad = hinge_and_grad(logits, labels, where=keep)
  m, true = hinge_errors(logits, labels), labels > 0
  want = extension(m[keep], true[keep])
  np.testing.assert_allclose(value, want, rtol=1e-6)
  assert not grad[~keep].any()
  # By m: in the base polytope of the distance, and tight at m.
  slope = np.asarray(grad, np.float64) * np.where(true, -1, 1)
  np.testing.assert_allclose(slope @ m, want, rtol=1e-6)
  assert (slope >= 0).all()
  for subset in itertools.product([False, True], repeat=n):
    mistakes = np.array(subset)[keep]
    most = jaccard_distance(mistakes, true[keep])
    assert slope[keep][mistakes].sum() <= most + 1e-6


@hypothesis.given(st.data(), st.sampled_from([2, 4]), st.booleans())
@examples(100)
def test_softmax_of_any_logits(data, classes, present_only):
  """Ties, gaps of up to 2e4, and excluded ids out of range."""
  n = 6
  level = st.sampled_from([0.0, 17.0, -1e4, 1e4])
  some = st.one_of(level, st.floats(-1e4, 1e4, width=32))
  logits = data.draw(hnp.arrays(np.float32, (n, classes), elements=some))
  ids = st.integers(-1, classes)
  labels = data.draw(hnp.arrays(np.int32, n, elements=ids))
  keep = data.draw(hnp.arrays(bool, n))
  keep &= (labels >= 0) & (labels < classes)
  value, grad = softmax_and_grad(
    logits, labels, where=keep, present_only=present_only
  )
  want = softmax_reference(
    logits[keep], labels[keep], present_only=present_only
  )
  np.testing.assert_allclose(value, want, rtol=2e-6, atol=1e-30)
  assert jnp.isfinite(grad).all() and not grad[~keep].any()
  np.testing.assert_allclose(grad.sum(-1), 0, atol=1e-6)


@pytest.mark.parametrize('prior', slow_except([0.01], [0, 1e-4, 0.01, 0.5, 1]))
@pytest.mark.parametrize(
  'scale', [0.3, pytest.param(3.0, marks=pytest.mark.slow)]
)
def test_large_sets_keep_their_digits(prior, scale):
  """Also for a false element before few true ones, with a weight of 1e-10."""
  rng = np.random.default_rng(0)
  logits = (rng.normal(size=100_000) * scale).astype(np.float32)
  labels = (rng.random(logits.size) < prior).astype(int)
  exact, true = logits.astype(np.float64), labels > 0
  key = np.where(true, -exact, exact)

  value, grad = hinge_and_grad(logits, labels)
  m, weights = hinge_errors(logits, labels), weights_of(key, true)
  np.testing.assert_allclose(value, weights @ m, rtol=1e-6)
  want = np.where(m > 0, weights, 0) * np.where(true, -1, 1)
  np.testing.assert_allclose(grad, want, rtol=1e-6)

  # With two classes the log odds are the logit: the order is as in float64.
  pairs = np.stack([np.zeros_like(logits), logits], -1)
  value, grad = softmax_and_grad(
    pairs, labels, class_weights=np.array([0, 1]), present_only=False
  )
  m = 1 / (1 + np.exp(-key))
  np.testing.assert_allclose(value, weights @ m, rtol=1e-6)
  want = weights * m / (1 + np.exp(key)) * np.where(true, -1, 1)
  np.testing.assert_allclose(grad[:, 1], want, rtol=1e-5)
  np.testing.assert_allclose(grad[:, 0], -grad[:, 1], rtol=1e-6)


@pytest.mark.slow
def test_large_sets_of_many_classes():
  rng = np.random.default_rng(0)
  logits = rng.normal(size=(100_000, 9)).astype(np.float32) * 3
  share = np.r_[0.9, np.full(8, 0.0125)]
  labels = rng.choice(9, len(logits), p=share)
  m, true = softmax_errors(logits, labels)
  want = np.mean([weights_of(m[:, c], true[:, c]) @ m[:, c] for c in range(9)])
  value, _ = softmax_and_grad(logits, labels)
  np.testing.assert_allclose(value, want, rtol=1e-6)


def test_sure_mistakes_keep_their_order_and_gradient():
  """Errors that round to 1 differ in weight, and in e^-u."""
  u = np.array([20.0, 30.0, 25.0, 40.0, 19.0], np.float32)
  labels = np.array([1, 0, 0, 1, 0])
  signs = np.where(labels, 1, -1)
  logits = np.stack([0 * u, -signs * u], -1)
  positive = np.array([0, 1])
  value, grad = softmax_and_grad(logits, labels, class_weights=positive)
  weights = weights_of(u, labels > 0)
  np.testing.assert_allclose(value, 1, rtol=1e-6)
  want = -signs * weights * np.exp(-u.astype(np.float64))
  np.testing.assert_allclose(grad[:, 1], want, rtol=1e-5)
  # Right elements keep the digits of 1 - p.
  value, grad = softmax_and_grad(-logits, labels, class_weights=positive)
  weights = weights_of(-u, labels > 0)
  tiny = np.exp(-u.astype(np.float64))
  np.testing.assert_allclose(value, weights @ tiny, rtol=3e-6)
  np.testing.assert_allclose(grad[:, 1], -signs * weights * tiny, rtol=5e-6)


def test_of_equal_errors_the_earlier_is_the_larger():
  labels = jnp.array([1, 0, 1])
  loss, grad = hinge_and_grad(jnp.zeros(3), labels)
  np.testing.assert_allclose(loss, 1, rtol=1e-6)
  np.testing.assert_allclose(grad, [-1 / 2, 1 / 6, -1 / 3], rtol=1e-6)


def test_no_class_counts():
  logits, labels = example(True)
  for option in (
    {'class_weights': np.zeros(4)},
    {'class_weights': np.zeros(4), 'present_only': False},
  ):
    value, grad = at_once(
      jax.value_and_grad(losses.lovasz_softmax), logits, labels, **option
    )
    assert value == 0
    np.testing.assert_array_equal(grad, 0)
  nowhere = np.zeros((3, 5), bool)
  assert at_once(losses.lovasz_softmax, logits, labels, where=nowhere) == 0


def test_one_element():
  logits, labels = example(False)
  loss = at_once(losses.lovasz_hinge, logits, labels, axis=())
  np.testing.assert_allclose(loss, hinge_errors(logits, labels), rtol=1e-6)
  logits, labels = example(True)
  p = jax.nn.softmax(logits)
  own = jnp.take_along_axis(p, labels[..., None], -1)[..., 0]
  each = functools.partial(at_once, losses.lovasz_softmax, logits, labels)
  np.testing.assert_allclose(each(axis=()), 1 - own, atol=1e-6)
  # The errors of all classes add to 2 (1 - p).
  loss = each(axis=(), present_only=False)
  np.testing.assert_allclose(loss, (1 - own) / 2, atol=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize('loss', BOTH)
def test_axes_by_other_numbers(loss):
  softmax = loss is losses.lovasz_softmax
  logits, labels = example(softmax)
  by = functools.partial(at_once, loss, logits, labels)
  np.testing.assert_array_equal(by(axis=-1 - softmax), by(axis=1))
  np.testing.assert_array_equal(by(axis=(0, 1)), by(axis=None))


@pytest.mark.parametrize('loss', BOTH)
def test_order_of_a_set_does_not_matter(loss):
  logits, labels = example(loss is losses.lovasz_softmax, shape=(60,))
  logits = logits.round()  # Some errors tie.
  loss = jit(loss)
  value = loss(logits, labels)
  for seed in range(5):
    order = np.random.default_rng(seed).permutation(60)
    turned = loss(logits[order], labels[order])
    np.testing.assert_allclose(turned, value, rtol=1e-6)


@pytest.mark.slow
def test_any_type_of_labels():
  logits, labels = example(False)
  hinge, softmax = map(jit, BOTH)
  want = hinge(logits, labels)
  halves = np.where(labels, 0.51, 0.5)
  for same in (labels > 0, labels.astype(np.uint8), halves, 3 * labels - 2):
    np.testing.assert_array_equal(hinge(logits, same), want)
  logits, labels = example(True, shape=(2,), classes=300)
  labels[:] = [3, 7]
  want = softmax(logits, labels)
  for dtype in (np.uint8, np.int8, np.int64):
    same = softmax(logits, labels.astype(dtype))
    np.testing.assert_array_equal(same, want)


@pytest.mark.parametrize(
  'loss, logits, labels, options, error, text',
  [
    ('hinge', (4, 3), (4,), {}, ValueError, 'labels shaped like the logits'),
    ('hinge', (4,), (3,), {}, AssertionError, r'\[4\].*\[3\]'),
    ('hinge', (4,), (4,), {'axis': 1}, ValueError, 'axis=1'),
    (
      'hinge',
      (4,),
      (4,),
      {'where': np.ones(3, bool)},
      AssertionError,
      r'where: bool\[3\]',
    ),
    ('softmax', (4, 3), (4, 3), {}, ValueError, r'class ids.*\[4, 3\]'),
    ('softmax', (4, 3), (3,), {}, AssertionError, r'\[4, 3\].*\[3\]'),
    ('softmax', (), (), {}, ValueError, 'class axis of at least 2'),
    ('softmax', (4, 0), (4,), {}, ValueError, 'class axis of at least 2'),
    ('softmax', (4, 3), (4,), {'axis': 1}, ValueError, 'axis 1 holds the cl'),
    ('softmax', (4, 3), (4,), {'axis': (0, 0)}, ValueError, r'axis=\(0, 0\)'),
    (
      'softmax',
      (4, 3),
      (4,),
      {'class_weights': np.ones(2)},
      AssertionError,
      r'class_weights: \[2\].*\[4, 3\]',
    ),
    (
      'softmax',
      (4, 3),
      (4,),
      {'where': np.ones(4)},
      TypeError,
      'where: float',
    ),
  ],
)
def test_bad_input(loss, logits, labels, options, error, text):
  loss = functools.partial(getattr(losses, f'lovasz_{loss}'), **options)
  with pytest.raises(error, match=text):
    jax.eval_shape(loss, jnp.zeros(logits), jnp.zeros(labels, jnp.int32))


def test_types():
  for loss in BOTH:
    with pytest.raises(TypeError, match='must be floating point'):
      loss(jnp.zeros((4, 3), jnp.int32), jnp.zeros(4, jnp.int32))
  with pytest.raises(TypeError, match='must be int, as class ids'):
    losses.lovasz_softmax(jnp.zeros((4, 3)), jnp.zeros(4))
