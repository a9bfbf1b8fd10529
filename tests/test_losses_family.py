"""The other overlap losses against the formulas of their papers in float64."""

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
from loss_checks import KINDS
from loss_checks import SETS
from loss_checks import agree
from loss_checks import by_axis
from loss_checks import check
from loss_checks import example_of_kind
from loss_checks import right_anywhere

from dicejax import losses
from dicejax.tversky import tversky_distance


def jaccard(p, y, smooth=1.0):
  both, either = (p * y).sum(), (p + y - p * y).sum()
  return 1 - (both + smooth) / (either + smooth)


def f_beta(p, y, beta=1.0, smooth=1.0):
  tp, fp, fn = (p * y).sum(), (p * (1 - y)).sum(), ((1 - p) * y).sum()
  top = (1 + beta**2) * (tp + smooth)
  return 1 - top / (top + beta**2 * fn + fp)


def dice_plus_plus(p, y, gamma=2.0, smooth=1.0):
  top = 2 * (p * y).sum() + smooth
  missed = ((p * (1 - y)) ** gamma + ((1 - p) * y) ** gamma).sum()
  return 1 - top / (top + missed)


def dice_semimetric(p, y, smooth=1.0):
  total = p.sum() + y.sum()
  return 1 - (total - abs(p - y).sum() + smooth) / (total + smooth)


CASES = {
  jaccard: [{'smooth': 0.0}, {'smooth': 1e-3}, {'smooth': 1.0}],
  f_beta: [
    {'beta': 0.0, 'smooth': 1.0},
    {'beta': 0.5, 'smooth': 1e-3},
    {'beta': 2.0, 'smooth': 0.0},
    {'beta': 1e3, 'smooth': 0.2},
  ],
  dice_plus_plus: [
    {'gamma': 1.0, 'smooth': 0.0},
    {'gamma': 1.5, 'smooth': 1e-3},
    {'gamma': 2.0, 'smooth': 1.0},
    {'gamma': 3.0, 'smooth': 1.0},
  ],
  dice_semimetric: [{'smooth': 0.0}, {'smooth': 1e-3}, {'smooth': 1.0}],
}


@pytest.mark.parametrize('kind', KINDS)
@pytest.mark.parametrize('formula', CASES)
def test_matches_the_formula(formula, kind):
  logits, labels, options = example_of_kind(kind)
  run = by_axis(getattr(losses, formula.__name__), logits, labels, **options)
  for numbers in CASES[formula]:
    for axis, got in zip(SETS, run(numbers), strict=True):

      def reference(x, axis=axis, numbers=numbers):
        return oracle.set_loss(
          functools.partial(formula, **numbers),
          x,
          labels,
          axis=axis,
          softmax=kind != 'sigmoids',
          class_weights=options.get('class_weights'),
        )

      agree(got, reference, logits)


@pytest.mark.parametrize('kind', KINDS[:2])
@pytest.mark.parametrize('axis', SETS)
def test_generalised_dice(kind, axis):
  """One Dice over all classes, weighted by the inverse squares of counts."""
  logits, labels, options = example_of_kind(kind)
  weights = options.get('class_weights', np.ones(3))
  y = oracle.one_hot(labels, logits)
  size = {(): (6, 1), 0: (3, 2), (1,): (2, 3), None: (1, 6)}[axis]
  order = (1, 0, 2) if axis == 0 else (0, 1, 2)

  def sets(x):
    return np.transpose(x, order).reshape(*size, 3)

  def reference(x):
    p = np.exp(oracle.binary_scores(x, softmax=True)[0])
    out = []
    for p_set, y_set in zip(sets(p), sets(y), strict=True):
      w = weights / np.maximum(1, y_set.sum(0)) ** 2
      below = (w * (p_set + y_set).sum(0)).sum()
      out.append(1 - 2 * (w * (p_set * y_set).sum(0)).sum() / below)
    return np.reshape(
      out, np.delete((2, 3), range(2) if axis is None else axis)
    )

  check(
    losses.generalised_dice, reference, logits, labels, axis=axis, **options
  )


@pytest.mark.parametrize('axis', SETS)
def test_sigmoid_f1(axis):
  logits, labels, _ = example_of_kind('sigmoids')
  logits = np.round(8 * logits) / 8  # Steeper without rounding.
  run = by_axis(losses.sigmoid_f1, logits, labels, [axis])
  for beta, eta, smooth in [(1, 0, 0), (0.5, 2, 1), (5, -1, 1e-3), (8, 1, 1)]:

    def reference(x, beta=beta, eta=eta, smooth=smooth):
      of_set = functools.partial(
        oracle.dice_of_set, smooth=smooth, square=False
      )
      steeper = beta * (np.float64(x) + eta)
      return oracle.set_loss(of_set, steeper, labels, axis=axis, softmax=False)

    (got,) = run({'beta': 1.0 * beta, 'eta': 1.0 * eta, 'smooth': 1.0 * smooth})
    agree(got, reference, logits)


@pytest.mark.parametrize('square', [True, False])
@pytest.mark.parametrize('kind', KINDS)
def test_soft_counts(kind, square):
  """Each count is a linear set loss; squared, 2 tp + fp + fn is q^2 + y^2."""
  logits, labels, options = example_of_kind(kind)
  options.pop('class_weights', None)
  softmax = kind != 'sigmoids'
  log_p, log_not_p = oracle.binary_scores(logits, softmax)
  q, y = np.exp(log_p + 0.7 * log_not_p), oracle.one_hot(labels, logits)
  for axis in SETS:
    count = functools.partial(
      losses.soft_counts, alpha=0.7, square=square, axis=axis, **options
    )
    counts = jit(count)(logits, labels)
    axes = (0, 1) if axis is None else axis
    tp, fp, fn = (q * y).sum(axes), q * (1 - y), (1 - q) * y
    np.testing.assert_allclose(counts.tp, tp, rtol=1e-6)
    if square:
      below = 2 * counts.tp + counts.fp + counts.fn
      np.testing.assert_allclose(below, (q**2 + y**2).sum(axes), rtol=1e-6)
    else:
      np.testing.assert_allclose(counts.fp, fp.sum(axes), rtol=1e-6, atol=1e-7)
      np.testing.assert_allclose(counts.fn, fn.sum(axes), rtol=1e-6, atol=1e-7)


def test_soft_counts_add():
  """Over parts of a set and past what is left out; the losses follow."""
  logits, labels, _ = example_of_kind('ids', shape=(4, 6))
  where = np.arange(6) < np.array([6, 3, 0, 4])[:, None]
  count = jit(functools.partial(losses.soft_counts, alpha=0.01, square=True))
  whole = count(logits, labels, where=where)
  parts = count(logits[:1], labels[:1]) + count(logits[1, :3], labels[1, :3])
  poisoned = np.where(where[..., None], logits, np.nan)
  parts += count(poisoned[2:], labels[2:], where=where[2:])
  jax.tree.map(
    functools.partial(np.testing.assert_allclose, rtol=1e-6), whole, parts
  )
  loss = tversky_distance(whole, smooth=0.5).mean()
  want = losses.self_adjusting_dice(logits, labels, axis=None, where=where)
  np.testing.assert_allclose(loss, want, rtol=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize('kind', KINDS)
@pytest.mark.parametrize('axis', SETS)
def test_identities(kind, axis):
  logits, labels, options = example_of_kind(kind)
  loss = {
    name: functools.partial(
      getattr(losses, name), logits, labels, axis=axis, **options
    )
    for name in losses.LOSSES
  }
  same = functools.partial(np.testing.assert_allclose, rtol=1e-6, atol=1e-7)
  dice = loss['dice'](smooth=0.6)
  same(loss['tversky'](alpha=0.5, beta=0.5, smooth=0.3), dice)
  same(loss['f_beta'](smooth=0.3), dice)
  for beta in (0.0, 0.5, 2.0):
    alpha = 1 / (1 + beta**2)
    tversky = loss['tversky'](alpha=alpha, beta=1 - alpha, smooth=0.3)
    same(loss['f_beta'](beta=beta, smooth=0.3), tversky)
  same(loss['dice_plus_plus'](gamma=1, smooth=0.6), dice)
  if kind == 'ids':  # Labels of 0 and 1.
    square = loss['dice'](smooth=0.6, square=True)
    same(loss['dice_plus_plus'](gamma=2, smooth=0.6), square)
    same(loss['dice_semimetric'](smooth=0.6), dice)
  if kind == 'sigmoids':
    same(losses.sigmoid_f1(logits, labels, axis=axis, smooth=0.6), dice)
    whole_d, whole_j = loss['dice'](smooth=0.0), loss['jaccard'](smooth=0.0)
    d, j = 1 - whole_d, 1 - whole_j
    same(d, 2 * j / (1 + j))


@hypothesis.given(
  st.data(),
  st.sampled_from([(f, tuple(c[-1].items())) for f, c in CASES.items()]),
)
@examples(30)
def test_any_logits(data, loss):
  formula, numbers = loss
  of_set = functools.partial(formula, **dict(numbers))

  def reference(logits, labels):
    return oracle.set_loss(of_set, logits, labels, axis=None, softmax=True)

  right_anywhere(data, formula.__name__, reference, **dict(numbers))


# A loss of one sure element that is right: k w^power of the probability w of
# the other side, k for a positive and for a negative.
@pytest.mark.parametrize(
  'name, options, positive, negative, power',
  [
    ('jaccard', {}, 1 / 2, 1, 1),
    ('f_beta', {'beta': 2.0}, 0.8 / 2, 0.2, 1),
    ('dice_plus_plus', {'gamma': 1.5}, 1 / 3, 1, 1.5),
    ('dice_semimetric', {}, 1 / 3, 1, 1),
    ('sigmoid_f1', {'smooth': 1.0, 'axis': None}, 1 / 3, 1, 1),
  ],
)
@pytest.mark.parametrize('logit', [20.0, -20.0, 30.0, -30.0])
def test_almost_right_keeps_its_digits(
  name, options, positive, negative, power, logit
):
  value, grad = jax.value_and_grad(getattr(losses, name))(
    jnp.float32(logit), jnp.int32(logit > 0), **options
  )
  scale = positive if logit > 0 else negative
  want = scale * np.exp(-power * abs(logit))
  np.testing.assert_allclose(value, want, rtol=5e-6)
  np.testing.assert_allclose(grad, -np.sign(logit) * power * want, rtol=1e-5)


@pytest.mark.parametrize('formula', CASES)
def test_sure_and_wrong_has_the_right_gradient(formula):
  """1 - p is 1 in float32, but not its derivative."""
  grad = jax.grad(getattr(losses, formula.__name__))(-12.0, 1)

  def reference(x):
    return oracle.set_loss(formula, x[None], [1], axis=None, softmax=False)

  want = oracle.gradient(reference, -12.0)
  np.testing.assert_allclose(grad, want, rtol=1e-5)


def test_semimetric_is_least_where_p_is_y():
  """Dice itself is not least there: it falls until p is 1."""
  logits = np.linspace(-3, 3, 13, dtype=np.float32)
  y = np.float32(1 / (1 + np.exp(-1.5)))  # The p of logits[9].

  def along(loss):
    return np.array([loss(jnp.full(4, z), jnp.full(4, y)) for z in logits])

  semimetric, dice = along(losses.dice_semimetric), along(losses.dice)
  assert semimetric.argmin() == 9 and semimetric[9] < 1e-7
  assert dice.argmin() == 12
  tie = jax.grad(losses.dice_semimetric)(jnp.zeros(2), jnp.full(2, 0.5))
  np.testing.assert_array_equal(tie, 0)


def test_published_sigmoid_f1():
  """The published code takes the slope of probabilities, not of logits."""
  logits, labels, _ = example_of_kind('sigmoids', (7, 4))
  p = 1 / (1 + np.exp(-np.float64(logits)))
  q = 1 / (1 + np.exp(-10 * (p - 0.5)))  # Its S is -10, its E -0.5.
  tp, fp, fn = (q * labels).sum(0), q * (1 - labels), (1 - q) * labels
  want = 1 - 2 * tp / (2 * tp + fn.sum(0) + fp.sum(0) + 1e-16)
  got = losses.sigmoid_f1(np.float32(p), labels, beta=10.0, eta=-0.5, axis=0)
  np.testing.assert_allclose(got, want, rtol=1e-6)


@pytest.mark.parametrize(
  'name, options, error, text',
  [
    ('jaccard', {'smooth': -1}, ValueError, 'smooth'),
    ('f_beta', {'beta': -1}, ValueError, 'beta'),
    ('dice_plus_plus', {'gamma': 0.9}, ValueError, 'gamma'),
    ('dice_semimetric', {'axis': 1}, ValueError, 'axis=1'),
    ('generalised_dice', {'class_weights': [1, 2]}, AssertionError, r'\[2\]'),
    ('generalised_dice', {'activation': 'sigmoid'}, ValueError, 'sigmoid'),
    ('focal_tversky', {'gamma': -1}, ValueError, 'gamma'),
    ('log_cosh_dice', {'smooth': -1}, ValueError, 'smooth'),
    ('unified_focal', {'weight': -1}, ValueError, 'weight'),
    ('asymmetric_unified_focal', {'delta': -1}, ValueError, 'delta'),
    ('soft_counts', {'alpha': -1}, ValueError, 'alpha'),
  ],
)
def test_bad_input(name, options, error, text):
  loss = functools.partial(getattr(losses, name), **options)
  with pytest.raises(error, match=text):
    jax.eval_shape(loss, jnp.zeros((4, 3)), jnp.zeros(4, jnp.int32))


def test_sigmoids_alone_and_no_sigmoids():
  with pytest.raises(ValueError, match='softmax'):
    losses.generalised_dice(jnp.zeros((4, 3)), jnp.zeros((4, 3)))
  with pytest.raises(ValueError, match='sigmoid'):
    losses.sigmoid_f1(jnp.zeros((4, 3)), jnp.zeros(4, jnp.int32))
