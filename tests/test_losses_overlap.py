"""Set losses against the formulas in float64, and the published values."""

import functools
import itertools

import chex
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
from jax.experimental import checkify
from jax.test_util import check_grads
from loss_checks import SETS
from loss_checks import SOFTMAX
from loss_checks import agree
from loss_checks import at_once
from loss_checks import by_axis
from loss_checks import check
from loss_checks import example
from sklearn.metrics import f1_score

from dicejax import losses
from dicejax.losses._softmax import one_vs_rest


@pytest.mark.parametrize('softmax', SOFTMAX)
@pytest.mark.parametrize('square', [True, False])
def test_dice_matches_the_formula(softmax, square):
  logits, labels = example(softmax)
  run = by_axis(losses.dice, logits, labels, square=square)
  for smooth in (1e-3, 1.0):
    of_set = functools.partial(oracle.dice_of_set, smooth=smooth, square=square)
    for axis, got in zip(SETS, run({'smooth': smooth}), strict=True):

      def reference(x, axis=axis, of_set=of_set):
        return oracle.set_loss(of_set, x, labels, axis=axis, softmax=softmax)

      agree(got, reference, logits)


@pytest.mark.parametrize('softmax', SOFTMAX)
@pytest.mark.parametrize('square', [True, False])
def test_self_adjusting_dice_matches_the_formula(softmax, square):
  logits, labels = example(softmax)
  run = by_axis(losses.self_adjusting_dice, logits, labels, square=square)
  of_set = functools.partial(oracle.dice_of_set, smooth=1.0, square=square)
  for alpha in (0.01, 0.5, 1.0, 3.0):
    for axis, got in zip(SETS, run({'alpha': alpha}), strict=True):

      def reference(x, axis=axis, alpha=alpha):
        return oracle.set_loss(
          of_set, x, labels, axis=axis, softmax=softmax, alpha=alpha
        )

      # The slope is 1 - (1 + alpha) p.
      agree(got, reference, logits, amplified=1 + alpha)


@pytest.mark.parametrize('softmax', SOFTMAX)
def test_tversky_matches_the_formula(softmax):
  logits, labels = example(softmax)
  run = by_axis(losses.tversky, logits, labels, smooth=0.5)
  for alpha, beta in [(0.5, 0.5), (0.3, 0.7), (1.0, 0.0)]:
    of_set = functools.partial(
      oracle.tversky_of_set, alpha=alpha, beta=beta, smooth=0.5
    )
    numbers = {'alpha': alpha, 'beta': beta}
    for axis, got in zip(SETS, run(numbers), strict=True):

      def reference(x, axis=axis, of_set=of_set):
        return oracle.set_loss(of_set, x, labels, axis=axis, softmax=softmax)

      agree(got, reference, logits)


@functools.partial(jit, static_argnames='alpha')
def value_and_pull(logits, labels, alpha):
  value, pull = jax.vjp(
    lambda x: losses.self_adjusting_dice(x, labels, alpha=alpha, axis=()),
    logits,
  )
  return value, *pull(jnp.ones_like(value))


@hypothesis.given(
  st.data(), st.sampled_from([2, 3, 9]), st.sampled_from([0.0, 0.01, 1.0])
)
@examples(60)
def test_any_logits(data, classes, alpha):
  """Adversarial softmax rows: ties, gaps of up to 2e4."""
  width = {'width': 32, 'min_value': -1e4, 'max_value': 1e4}
  logits = data.draw(
    hnp.arrays(
      np.float32,
      (3, classes),
      elements=st.one_of(
        st.floats(**width), st.sampled_from([0.0, 17.0, -1e4, 1e4])
      ),
    )
  )
  labels = data.draw(
    hnp.arrays(np.int32, (3,), elements=st.integers(0, classes - 1))
  )
  value, grad = value_and_pull(logits, labels, alpha)
  of_set = functools.partial(oracle.dice_of_set, smooth=1.0, square=True)

  def reference(x):
    return oracle.set_loss(of_set, x, labels, softmax=True, alpha=alpha)

  want_grad = oracle.gradient(lambda x: reference(x).sum(), logits)
  np.testing.assert_allclose(value, reference(logits), rtol=1e-6, atol=1e-7)
  np.testing.assert_allclose(grad, want_grad, rtol=1e-5, atol=1e-6)


def test_one_vs_rest_keeps_its_digits():
  rows = np.array(
    [[40.0, 0.0, 1.0], [1e4, 9.9e3, -1e4], [3.0, 3.0, 3.0], [0.0, -50.0, 1e4]]
  )
  log_p, log_not_p = oracle.binary_scores(rows, softmax=True)
  got = jit(one_vs_rest)(jnp.asarray(rows, jnp.float32))
  np.testing.assert_allclose(got, log_p - log_not_p, rtol=3e-7)
  grad = jit(jax.jacobian(one_vs_rest))(jnp.asarray(rows[0], jnp.float32))
  # Only the other classes are left to compare with: e^0 : e^1.
  share = np.exp(1) / (1 + np.exp(1))
  np.testing.assert_allclose(grad[0], [1, share - 1, -share], rtol=1e-6)


def test_published_binary_values():
  """Losses and gradients that the published module printed, in float64."""
  logits = jnp.array([2, -1, 0.5, -3, 1.5, -0.5])
  labels = jnp.array([1, 0, 1, 0, 0, 1])
  rows = """
    square alpha smooth loss    gradient
    0  0    1e-4 .3745977 -.023995 .020443 -.053706 .004697 .015508 -.053706
    0  0    1    .3212015 -.019775 .019026 -.044262 .004372 .014433 -.044262
    0  .01  1    .3247680 -.018083 .018908 -.043481 .004370 .013561 -.044162
    0  1    1    .5670500 .025233 .007921 .018163 .003565 -.008259 -.018163
    1  0    1    .2128039 -.010645 .013763 -.039628 .000558 .031738 -.054609
    1  .01  1e-4 .2559648 -.013689 .015628 -.049714 .000639 .033606 -.067194
    1  .01  1    .2132003 -.010229 .013765 -.039392 .000563 .029600 -.054720
    1  1    1    .4861886 .036157 .004387 .024188 .000454 -.003470 -.024188
  """.split('\n')[2:-1]
  for row in rows:
    square, alpha, smooth, want, *grads = map(float, row.split())
    loss, grad = jax.value_and_grad(losses.self_adjusting_dice)(
      logits, labels, alpha=alpha, smooth=smooth, square=bool(square), axis=None
    )
    np.testing.assert_allclose(loss, want, atol=5e-7)
    np.testing.assert_allclose(grad, grads, atol=1e-6)


def test_published_multi_class_values():
  """Squared and example-level; the published sum over classes is C means."""
  logits = jnp.array([[2, 0.5, -1], [0, 1, 0.5], [-1, 0, 3], [0.3, 0.2, 0.1]])
  labels = jnp.array([0, 1, 2, 0])
  for alpha, want in [(0, 0.1625930), (0.01, 0.1636720), (1, 0.3802621)]:
    loss = losses.self_adjusting_dice(logits, labels, alpha=alpha, axis=())
    np.testing.assert_allclose(3 * loss.mean(), want, atol=3e-7)


@pytest.mark.parametrize('softmax', slow_except([True], SOFTMAX))
def test_identities(softmax):
  logits, labels = example(softmax)
  for axis in SETS:
    dice = losses.dice(logits, labels, axis=axis, smooth=0.7)
    half = losses.tversky(logits, labels, axis=axis, smooth=0.35)
    no_decay = losses.self_adjusting_dice(
      logits, labels, alpha=0, square=False, axis=axis, smooth=0.7
    )
    np.testing.assert_allclose(dice, half, rtol=1e-6)
    np.testing.assert_array_equal(dice, no_decay)
  whole = losses.dice(logits, labels, axis=None)
  turned = losses.dice(logits[::-1], labels[::-1], axis=None)
  np.testing.assert_allclose(whole, turned, rtol=1e-6)


@pytest.mark.parametrize('alpha', [0.01, 1.0])
def test_decay_gradient(alpha):
  """The full gradient turns at p = 1/(1 + alpha); the stopped one does not."""
  turn = -np.log(alpha)
  logits = np.array([turn - 1, turn, turn + 1], np.float32)
  ones = jnp.ones(3, jnp.int32)

  def grad(decay):
    loss = functools.partial(
      losses.self_adjusting_dice, alpha=alpha, decay_gradient=decay, axis=()
    )
    return jax.grad(lambda x: loss(x, ones).sum())(logits)

  full, stop = grad('full'), grad('stop')
  assert full[0] < 0 < full[2] and abs(full[1]) < 1e-6
  assert (stop < 0).all()
  weight = (1 + np.exp(logits.astype(np.float64))) ** -alpha

  def weighted(x):  # The decay of the logits above, not of x.
    q = weight / (1 + np.exp(-x))
    return (1 - (2 * q + 1) / (q**2 + 2)).sum()

  np.testing.assert_allclose(stop, oracle.gradient(weighted, logits), rtol=1e-5)


@pytest.mark.parametrize(
  'dtype',
  [
    jnp.float32,
    jnp.bfloat16,
    pytest.param(jnp.float16, marks=pytest.mark.slow),
  ],
)
@pytest.mark.parametrize('softmax', SOFTMAX)
@pytest.mark.parametrize(
  'alpha',
  [
    pytest.param(0.0, marks=pytest.mark.slow),
    0.01,
    pytest.param(1.0, marks=pytest.mark.slow),
  ],
)
@pytest.mark.parametrize(
  'decay_gradient', ['full', pytest.param('stop', marks=pytest.mark.slow)]
)
def test_extreme_logits(dtype, softmax, alpha, decay_gradient):
  levels = jnp.array([-1e4, -100, -17, 0, 6, 17, 100, 1e4], dtype)
  logits = levels
  if softmax:
    logits = jnp.stack(jnp.meshgrid(levels, levels), -1).reshape(-1, 2)
  examples = logits.shape[:1]
  of_set = functools.partial(oracle.dice_of_set, smooth=1.0, square=True)
  # The gradient is cast to `dtype`.
  rounding = 2.0 * jnp.finfo(dtype).eps

  @functools.partial(jit, static_argnames='axis')
  @jax.value_and_grad
  def run(x, labels, axis):
    return losses.self_adjusting_dice(
      x, labels, alpha=alpha, axis=axis, decay_gradient=decay_gradient
    ).sum()

  for label, axis in itertools.product([0, 1], [(), None]):
    labels = np.full(examples, label)

    def reference(x, labels=labels, axis=axis):
      return oracle.set_loss(
        of_set, x, labels, axis=axis, softmax=softmax, alpha=alpha
      ).sum()

    value, grad = run(logits, labels, axis)
    assert value.dtype == jnp.float32 and grad.dtype == dtype
    exact = np.asarray(logits, np.float64)
    np.testing.assert_allclose(value, reference(exact), rtol=1e-6)
    assert jnp.isfinite(grad).all()
    if decay_gradient == 'full' and axis is None:
      want = oracle.gradient(reference, exact)
      np.testing.assert_allclose(
        grad.astype(np.float32), want, rtol=1e-5 + rounding, atol=1e-6
      )


@pytest.mark.parametrize('square', [True, False])
@pytest.mark.parametrize('logit', [8.0, 16.0, 30.0, -8.0, -30.0])
def test_almost_right_keeps_its_digits(square, logit):
  """The loss of one sure element, relative to itself, not to 1."""
  label = int(logit > 0)
  wrong = 1 / (1 + np.exp(abs(logit)))  # The probability of the other side.
  value, grad = jax.value_and_grad(losses.dice)(
    jnp.float32(logit), jnp.int32(label), square=square
  )
  if label:
    top = wrong**2 if square else wrong
    below = ((1 - wrong) ** 2 if square else 1 - wrong) + 2
  else:
    top = wrong**2 if square else wrong
    below = top + 1
  np.testing.assert_allclose(value, top / below, rtol=1e-6)
  power = 2 if square else 1
  # d log(value) / d logit, with d wrong / d logit = -+ wrong (1 - wrong).
  slope = power * (1 - wrong) * (-1 if label else 1)
  inner = power * (
    (1 - wrong) ** power * wrong if label else -top * (1 - wrong)
  )
  slope -= (inner if label else -inner) / below
  np.testing.assert_allclose(grad, value * slope, rtol=1e-5)


def test_no_smoothing():
  """Small counts do not underflow in the gradient."""
  for logits, labels in [([[50.0, 0, -20]], [0]), ([[-40.0]], [[1]])]:
    grad = jit(
      jax.grad(
        lambda x, labels=labels: losses.dice(
          x, jnp.array(labels), smooth=0.0
        ).sum()
      )
    )(jnp.array(logits))
    assert jnp.isfinite(grad).all()


def test_hessian_in_a_tie():
  logits = jnp.array([0.0, 0.0, -1.0])

  def naive(x):
    p, y = jax.nn.softmax(x), jnp.array([1.0, 0.0, 0.0])
    return jnp.mean(1 - (2 * p * y + 1) / (p + y + 1))

  got = jit(jax.hessian(lambda x: losses.dice(x, jnp.array(0))))(logits)
  np.testing.assert_allclose(got, jit(jax.hessian(naive))(logits), atol=1e-7)


@pytest.mark.slow
def test_any_type_of_labels_and_numbers():
  logits, labels = example(True, shape=(2,), classes=300)
  labels[:] = [3, 7]
  for loss in map(jit, (losses.dice, losses.cross_entropy)):
    want = loss(logits, labels)
    for dtype in (np.uint8, np.int8, np.int64):
      np.testing.assert_array_equal(loss(logits, labels.astype(dtype)), want)
  with jax.enable_x64(True):
    loss = losses.dice(logits, labels, smooth=np.float64(0.1))
    assert loss.dtype == jnp.float32
  with pytest.raises(ValueError, match='smooth'):
    losses.dice(logits, labels, smooth=np.float32(-1))


def test_saturated_value_is_the_true_one():
  """Where p rounds to 1, (1-p)^alpha does not round to 0."""
  loss = losses.self_adjusting_dice(jnp.array([200.0]), jnp.array([1]))
  q = np.exp(-2.0)
  np.testing.assert_allclose(loss, 1 - (2 * q + 1) / (q**2 + 2), rtol=1e-6)


def test_float64_stays():
  with jax.enable_x64(True):
    logits, labels = example(True)
    logits = logits.astype(np.float64)
    got = at_once(
      losses.self_adjusting_dice, logits, labels, alpha=0.3, axis=None
    )
    of_set = functools.partial(oracle.dice_of_set, smooth=1.0, square=True)
    want = oracle.set_loss(
      of_set, logits, labels, axis=None, softmax=True, alpha=0.3
    )
    assert got.dtype == jnp.float64
    np.testing.assert_allclose(got, want, rtol=1e-14)


@pytest.mark.parametrize('axis', SETS)
def test_class_weights(axis):
  logits, labels = example(True)
  weights = np.array([0.0, 1.0, 2.0, 0.5])
  of_set = functools.partial(oracle.dice_of_set, smooth=1.0, square=False)

  def reference(x):
    return oracle.set_loss(
      of_set, x, labels, axis=axis, softmax=True, class_weights=weights
    )

  check(
    losses.dice, reference, logits, labels, axis=axis, class_weights=weights
  )
  none = losses.dice(logits, labels, axis=axis, class_weights=np.zeros(4))
  np.testing.assert_array_equal(none, 0)


def test_distributions():
  logits, labels = example(True)
  one_hot = jax.nn.one_hot(labels, 4)
  ids = losses.dice(logits, labels, axis=0)
  same = losses.dice(logits, one_hot, axis=0, activation='softmax')
  np.testing.assert_allclose(ids, same, rtol=1e-6)
  soft = np.random.default_rng(1).dirichlet(np.ones(4), labels.shape)
  of_set = functools.partial(oracle.dice_of_set, smooth=1.0, square=True)
  check(
    losses.dice,
    lambda x: oracle.set_loss(of_set, x, soft, axis=0, softmax=True),
    logits,
    soft,
    axis=0,
    square=True,
    activation='softmax',
  )


@pytest.mark.slow
def test_transformations():
  logits, labels = example(True, shape=(8, 5))
  loss = functools.partial(losses.self_adjusting_dice, alpha=0.3)
  by_sentence = jax.jit(lambda x: loss(x, labels, axis=1))
  check_grads(by_sentence, (logits,), 2, rtol=0.02)
  by_row = jit(jax.vmap(functools.partial(loss, axis=None)))(logits, labels)
  np.testing.assert_allclose(by_row, by_sentence(logits), rtol=1e-6)
  _, scanned = jax.lax.scan(
    lambda carry, xy: (carry, loss(*xy, axis=None)), 0, (logits, labels)
  )
  np.testing.assert_allclose(scanned, by_row, rtol=1e-6)
  traced = jax.jit(lambda a: loss(logits, labels, alpha=a, axis=1))(0.3)
  np.testing.assert_allclose(traced, by_row, rtol=1e-6)


@pytest.mark.slow
def test_nothing_that_checkify_checks_goes_wrong():
  logits, labels = example(True, shape=(8, 5))
  loss = functools.partial(losses.self_adjusting_dice, alpha=0.3)
  by_sentence = jit(functools.partial(loss, axis=1))(logits, labels)
  checked = checkify.checkify(
    functools.partial(loss, axis=1), errors=checkify.all_checks
  )
  error, value = jit(checked)(logits, labels)
  error.throw()
  np.testing.assert_allclose(value, by_sentence, rtol=1e-6)
  checked = checkify.checkify(
    jax.grad(lambda x: loss(x, labels, axis=None)), errors=checkify.all_checks
  )
  jit(checked)(logits)[0].throw()


@pytest.mark.parametrize(
  'logits, labels, options, error, text',
  [
    ((4, 3), (3,), {}, AssertionError, r'\[4, 3\].*\[3\]'),
    ((4, 3), (4, 2), {}, AssertionError, r'\[4, 3\].*\[4, 2\]'),
    ((4,), (4, 1), {}, AssertionError, r'\[4\].*\[4, 1\]'),
    ((4, 3), (4,), {'activation': 'sigmoid'}, ValueError, 'sigmoid'),
    ((4, 3), (4,), {'activation': 'relu'}, ValueError, 'relu'),
    ((), (), {'activation': 'softmax'}, ValueError, 'class axis'),
    ((4, 1), (4,), {}, ValueError, r'\[4, 1\].*drop the last axis'),
    ((4, 0), (4,), {}, ValueError, 'class axis'),
    ((4, 3), (4,), {'axis': 1}, ValueError, 'axis 1 holds the classes'),
    ((4, 3), (4,), {'axis': -1}, ValueError, 'axis=-1'),
    ((4, 3), (4,), {'axis': (0, 0)}, ValueError, r'axis=\(0, 0\)'),
    ((4, 3), (4,), {'smooth': -1}, ValueError, 'smooth'),
    ((4, 3), (4,), {'alpha': -0.1}, ValueError, 'alpha'),
    ((4, 3), (4,), {'decay_gradient': 'no'}, ValueError, 'decay_gradient'),
    ((4, 3), (4,), {'where': np.ones((4, 1), bool)}, AssertionError, 'where'),
    ((4, 3), (4,), {'where': np.ones(4)}, TypeError, 'where: float'),
    ((4, 3), (4,), {'class_weights': np.ones(2)}, AssertionError, r'\[2\]'),
    ((4,), (4,), {'class_weights': np.ones(2)}, ValueError, 'softmax'),
  ],
)
def test_bad_input(logits, labels, options, error, text):
  loss = functools.partial(losses.self_adjusting_dice, **options)
  with pytest.raises(error, match=text):
    jax.eval_shape(loss, jnp.zeros(logits), jnp.zeros(labels, jnp.int32))


@pytest.mark.parametrize(
  'axis, square, alpha', [(None, True, 0.5), (0, False, 0.0), (1, True, 0.0)]
)
def test_sums_by_class_of_one_cpu(axis, square, alpha, monkeypatch):
  """They are those of several devices, and lose no digits in long sums."""
  rng = np.random.default_rng(0)
  logits = rng.normal(size=(4, 20_000, 3), scale=3).astype(np.float32)
  labels = rng.integers(3, size=logits.shape[:-1])
  where = rng.random(labels.shape) < 0.9
  sets = {None: (), 0: (20_000,), 1: (4,)}[axis]
  weights = rng.normal(size=(*sets, 3))

  def counts_and_gradients():
    def total(logits):
      counts = losses.soft_counts(
        logits, labels, alpha=alpha, square=square, axis=axis, where=where
      )
      total = counts.tp + 2 * counts.fp - 3 * counts.fn
      return jnp.sum(total * weights), counts

    (_, counts), gradients = jit(jax.value_and_grad(total, has_aux=True))(
      logits
    )
    return counts, gradients

  several = counts_and_gradients()
  monkeypatch.setattr(jax, 'device_count', lambda: 1)
  one = counts_and_gradients()
  jax.tree.map(
    lambda x, y: np.testing.assert_allclose(x, y, rtol=2e-6, atol=1e-6),
    one,
    several,
  )
  log_p, log_not_p = oracle.binary_scores(logits, softmax=True)
  q = np.exp(log_p + alpha * log_not_p)
  tp = (q * oracle.one_hot(labels, logits) * where[..., None]).sum(
    (0, 1) if axis is None else axis
  )
  np.testing.assert_allclose(one[0].tp, tp, rtol=1e-6, atol=1e-9)


def test_types():
  with pytest.raises(TypeError, match='must be int, as class ids'):
    losses.dice(jnp.zeros((4, 3)), jnp.zeros(4))
  with pytest.raises(TypeError, match='must be floating point'):
    losses.dice(jnp.zeros((4, 3), jnp.int32), jnp.zeros(4, jnp.int32))
  each = losses.dice(jnp.zeros((4, 3)), jnp.zeros((4, 3)), axis=())
  chex.assert_shape(each, (4, 3))
  bools = losses.dice(jnp.zeros((2, 2)), jnp.array([True, False]))
  ids = losses.dice(jnp.zeros((2, 2)), jnp.array([1, 0]))
  np.testing.assert_array_equal(bools, ids)


@pytest.mark.parametrize(
  'axis',
  [
    pytest.param((), marks=pytest.mark.slow),
    0,
    pytest.param((1,), marks=pytest.mark.slow),
    None,
  ],
)
@pytest.mark.parametrize('labels', ['ids', 'distributions'])
@pytest.mark.parametrize('square', [True, False])
def test_micro_is_one_ratio_of_summed_counts(axis, labels, square):
  """Class and elements together are the elements of one larger set."""
  logits, ids = example(True)
  y = oracle.one_hot(ids, logits)
  if labels == 'distributions':
    y = np.random.default_rng(1).dirichlet(np.ones(4), ids.shape)
  weights = np.array([0.0, 1.0, 2.0, 0.5])

  def of_set(q, y, w):
    tp, below = q * y, (q**2 + y**2 if square else q + y)
    return 1 - (2 * (w * tp).sum() + 0.7) / ((w * below).sum() + 0.7)

  def reference(x):
    q = np.exp(oracle.binary_scores(x, softmax=True)[0])
    axes = (0, 1) if axis is None else axis if axis != 0 else (0,)
    parts = [np.moveaxis(a, axes, range(2 - len(axes), 2)) for a in (q, y)]
    kept = parts[0].shape[: 2 - len(axes)]
    out = [of_set(parts[0][i], parts[1][i], weights) for i in np.ndindex(kept)]
    return np.reshape(out, kept)

  check(
    losses.dice,
    reference,
    logits,
    ids if labels == 'ids' else y,
    axis=axis,
    average='micro',
    class_weights=weights,
    square=square,
    smooth=0.7,
    activation='softmax' if labels == 'distributions' else None,
  )


def test_which_f1_each_average_is_a_surrogate_of():
  """With sure logits the loss is one minus the F1 of the predictions."""
  rng = np.random.default_rng(0)
  gold, found = rng.integers(0, 4, 50), rng.integers(0, 4, 50)
  logits = 60 * jax.nn.one_hot(found, 4)
  no_background = np.array([0.0, 1, 1, 1])
  for average in ('micro', 'macro'):
    loss = at_once(
      losses.dice,
      logits,
      gold,
      average=average,
      class_weights=no_background,
      smooth=0,
    )
    want = f1_score(gold, found, labels=[1, 2, 3], average=average)
    np.testing.assert_allclose(1 - loss, want, rtol=1e-6)
  accuracy = at_once(losses.dice, logits, gold, average='micro', smooth=0)
  np.testing.assert_allclose(1 - accuracy, (gold == found).mean(), rtol=1e-6)
