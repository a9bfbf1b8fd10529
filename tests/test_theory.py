"""Checks the claims of docs/losses.md, except costs, and runs its code."""

import functools
import pathlib
import re
import runpy

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dicejax import losses
from dicejax.tversky import tversky_distance
from dicejax.tversky import tversky_index

# A page is read again when it changes, so .ci/run is early enough.
pytestmark = pytest.mark.slow

DOCS = pathlib.Path(__file__).parents[1] / 'docs'
PAGE = (DOCS / 'losses.md').read_text()
FIGURE = runpy.run_path(str(DOCS / 'losses.py'))

one_set = functools.partial(losses.dice, smooth=0.0)
linear = functools.partial(losses.self_adjusting_dice, square=False)
linear_elements = functools.partial(linear, axis=())


@pytest.fixture(autouse=True)
def float64():
  with jax.enable_x64(True):
    yield


def logit(p):
  return jnp.log(p) - jnp.log1p(-p)


def slope(loss, p, y):
  """Derivative by the logit of single elements."""
  p = jnp.asarray(p, float)
  y = jnp.broadcast_to(jnp.asarray(y, float), p.shape)
  return jax.jit(jax.grad(lambda z: loss(z, y).sum()))(logit(p))


def row(start):
  """The numbers of the table row of the page that starts so."""
  (line,) = [x for x in PAGE.splitlines() if x.startswith(f'| {start} |')]
  cells = line.split('|')[2:-1]
  return [float(x) for cell in cells for x in re.findall(r'-?\d+\.?\d*', cell)]


# The page itself.


def test_the_code_of_the_page(capsys):
  scope = {}
  for block in re.findall(r'```python\n(.*?)```', PAGE, re.DOTALL):
    with jax.enable_x64(False):
      exec(block, scope)
    want = re.findall(r'^ *print\(.*\)  # (.*)$', block, re.MULTILINE)
    assert capsys.readouterr().out.splitlines() == want


def test_every_loss_is_on_the_page():
  functions = {name for name in losses.__all__ if name.islower()}
  assert {name for name in functions if f'`{name}' not in PAGE} == set()


def test_sources():
  used = set(re.findall(r'\]\[(\w+)\]', PAGE))
  assert used == set(re.findall(r'^\[(\w+)\]: https?://', PAGE, re.MULTILINE))


@pytest.mark.slow
def test_the_figure_is_drawn(tmp_path):
  FIGURE['write'](tmp_path / 'losses.svg')
  svg = (tmp_path / 'losses.svg').read_text()
  committed = (DOCS / 'losses.svg').read_text()
  for text in ['F* = 0.474 at F*/2 = 0.237', '0.422 at 0.5']:
    assert text in svg and text in committed


# The column of gradients.

P = np.array([0.9, 0.3, 0.6, 0.05, 0.8, 0.4])
Y = np.array([1.0, 0, 1, 0, 0, 1])
SMOOTH = 0.7


def of_set(loss, **kwargs):
  return functools.partial(loss, smooth=SMOOTH, axis=None, **kwargs)


def by_side(negative, positive):
  return jnp.where(Y == 1, positive, negative)


def dice_slope(p, below=None):
  total = jnp.sum(p + Y if below is None else below) + SMOOTH
  index = (2 * jnp.sum(p * Y) + SMOOTH) / total
  return index, total


def tversky_slope(alpha, beta):
  tp, fp, fn = jnp.sum(P * Y), jnp.sum(P * (1 - Y)), jnp.sum((1 - P) * Y)
  total = tp + alpha * fp + beta * fn + SMOOTH
  index = (tp + SMOOTH) / total
  slopes = by_side(alpha * index, -(1 - (1 - beta) * index)) / total
  return index, slopes


def dice_of(p):
  index, total = dice_slope(p)
  return (index - 2 * Y) / total


def squared():
  index, total = dice_slope(P, P**2 + Y**2)
  return 2 * (index * P - Y) / total


def decayed(alpha):
  own = (1 - P) ** (alpha - 1) * (1 - (1 + alpha) * P)
  return dice_of((1 - P) ** alpha * P) * own


def focal_tversky(gamma):
  index, slopes = tversky_slope(0.3, 0.7)
  return gamma * (1 - index) ** (gamma - 1) * slopes


def log_cosh():
  return jnp.tanh(1 - dice_slope(P)[0]) * dice_of(P)


def plus_plus(g):
  index, total = dice_slope(P, 2 * P * Y + abs(P - Y) ** g)
  return (
    by_side(
      g * index * P ** (g - 1),
      -(2 * (1 - index) + g * index * (1 - P) ** (g - 1)),
    )
    / total
  )


def semimetric():
  index, total = dice_slope(P)
  return (jnp.sign(P - Y) - (1 - index)) / total


def lovasz_steps(errors):
  order = np.argsort(-np.asarray(errors))
  wrong = np.cumsum(np.ones(6))
  distance = wrong / (Y.sum() + np.cumsum(1 - Y[order]))
  steps = np.empty(6)
  steps[order] = np.diff(distance, prepend=0)
  return steps * (1 - 2 * np.asarray(Y))


def test_gradients_of_sets():
  rows = [
    (of_set(losses.dice), dice_of(P)),
    (of_set(losses.dice, square=True), squared()),
    (of_set(linear, alpha=0.3), decayed(0.3)),
    (of_set(losses.tversky, alpha=0.3, beta=0.7), tversky_slope(0.3, 0.7)[1]),
    (of_set(losses.f_beta, beta=2.0), tversky_slope(0.2, 0.8)[1]),
    (of_set(losses.jaccard), tversky_slope(1, 1)[1]),
    (of_set(losses.focal_tversky, gamma=1.5), focal_tversky(1.5)),
    (of_set(losses.log_cosh_dice), log_cosh()),
    (of_set(losses.dice_plus_plus, gamma=3.0), plus_plus(3)),
    (of_set(losses.dice_semimetric), semimetric()),
  ]
  for loss, want in rows:
    got = slope(loss, P, Y) / (P * (1 - P))
    np.testing.assert_allclose(got, want, rtol=1e-9, err_msg=str(loss))


def test_gradients_of_lovasz():
  z = logit(P)
  margins = 1 - (2 * Y - 1) * z
  got = slope(losses.lovasz_hinge, P, Y)
  np.testing.assert_allclose(got, lovasz_steps(margins) * (margins > 0))
  rows = jnp.stack([jnp.zeros(6), z], axis=-1)
  gradient = jax.grad(
    lambda x: losses.lovasz_softmax(
      x, Y.astype(int), class_weights=jnp.array([0.0, 1])
    )
  )(rows)
  want = lovasz_steps(abs(Y - P)) * P * (1 - P)
  np.testing.assert_allclose(gradient[:, 1], want, rtol=1e-9)


def test_gradient_of_generalised_dice():
  logits = jnp.log(jnp.stack([1 - P, P], axis=-1))
  gradient = jax.grad(losses.generalised_dice)(logits, Y.astype(int))
  y, p = jnp.stack([1 - Y, Y]), jnp.stack([1 - P, P])
  w = (1 / jnp.square(y.sum(1)))[:, None]
  total = (w * (p + y)).sum()
  by_p = w * (2 * (w * p * y).sum() / total - 2 * y) / total
  want = (by_p[1] - by_p[0]) * P * (1 - P)
  np.testing.assert_allclose(gradient[:, 1], want, rtol=1e-9)


def test_gradients_of_elements():
  p = jnp.array([0.1, 0.5, 0.95])
  log_p, miss = jnp.log(p), 1 - p
  cut = jnp.maximum(p - 0.05, 0)
  negative = cut**4 / (1 - cut) - 4 * cut**3 * jnp.log(1 - cut)
  rows = [
    (losses.cross_entropy, 0, p),
    (losses.cross_entropy, 1, p - 1),
    (losses.focal, 1, miss**2 * (2 * p * log_p + p - 1)),
    (functools.partial(losses.poly, epsilon=2.0), 1, -miss * (1 + 2 * p)),
    (losses.asymmetric, 0, p * miss * negative),
  ]
  for loss, y, want in rows:
    got = slope(loss, p, y)
    np.testing.assert_allclose(got, want, rtol=1e-9, err_msg=str(loss))
  odds = jnp.exp(logit(P))
  want = jnp.where(
    Y == 1,
    -1 / odds / (1 + (Y / odds).sum()),
    odds / (1 + ((1 - Y) * odds).sum()),
  )
  np.testing.assert_allclose(slope(losses.zlpr, P, Y), want)


@pytest.mark.slow
def test_gradients_with_priors():
  z, y, n = jnp.array([[0.3, -1.0, 0.8]]), jnp.array([1]), [90, 9, 1]
  one_hot = jax.nn.one_hot(y, 3)
  got = jax.grad(
    lambda z: losses.logit_adjusted(z, y, class_counts=n, tau=2.0).sum()
  )(z)
  prior = jnp.log(jnp.array(n) / 100)[None]
  np.testing.assert_allclose(got, jax.nn.softmax(z + 2 * prior) - one_hot)
  got = jax.grad(lambda z: losses.ldam(z, y, class_counts=n, scale=3.0).sum())(
    z
  )
  margin = 0.5 * (1 / 9) ** 0.25
  want = 3 * (jax.nn.softmax(3 * (z - margin * one_hot)) - one_hot)
  np.testing.assert_allclose(got, want)


# The direction of their gradients.


@pytest.mark.parametrize('square', [True, False])
@pytest.mark.parametrize('axis', [(), None])
@pytest.mark.parametrize(
  'alpha',
  [1.0, 0.1, 0.01],
)
def test_self_adjusting_dice_turns_at_one_over_one_plus_alpha(
  alpha, square, axis
):
  turn = 1 / (1 + alpha)
  p = jnp.array([turn - 1e-6, turn + 1e-6])
  loss = functools.partial(
    losses.self_adjusting_dice, alpha=alpha, square=square, axis=axis
  )
  for y, toward in [(1, -1), (0, 1)]:
    full = np.sign(slope(loss, p, y))
    np.testing.assert_array_equal(full, [toward, -toward])
    stop = functools.partial(loss, decay_gradient='stop')
    far = jnp.array([1e-4, 0.5, turn, 1 - 1e-6])
    assert (np.sign(slope(stop, far, y)) == toward).all()


def test_table_of_turns():
  alpha = np.array([1, 0.1, 0.01])
  np.testing.assert_allclose(row('turns at p'), 1 / (1 + alpha), atol=5e-4)
  q = alpha**alpha / (1 + alpha) ** (1 + alpha)
  np.testing.assert_allclose(row('largest q, so the best "1"'), q, atol=5e-4)
  back = [
    slope(functools.partial(linear_elements, alpha=a), 0.9999, 1) for a in alpha
  ]
  want = row('at p = 0.9999, a positive is pushed back by')
  np.testing.assert_allclose(want, back, atol=5.1e-5)
  # Even the best "1" has a loss above 0.
  z = jnp.linspace(-9, 9, 1001)
  least = linear_elements(z, jnp.ones(1001), alpha=1.0).min()
  np.testing.assert_allclose(least, (1 - 0.25) / (0.25 + 2))


def test_with_alpha_1_positives_end_at_the_boundary_and_mistakes_at_1():
  def end(p, y):
    def step(z, _):
      return z - 5 * jax.grad(lambda z: linear(z, y, alpha=1.0))(z), None

    return jax.nn.sigmoid(jax.lax.scan(step, logit(p), None, 2000)[0])

  np.testing.assert_allclose([end(0.2, 1.0), end(0.99, 1.0)], 0.5, atol=1e-6)
  assert end(0.51, 0.0) > 0.999 and end(0.49, 0.0) < 0.001


def test_a_confident_mistake_has_no_gradient():
  three = [losses.cross_entropy, losses.dice]
  three.append(functools.partial(losses.dice, square=True))
  for name, p, y in [
    ('positive at p = 0.001', 0.001, 1),
    ('negative at p = 0.99', 0.99, 0),
  ]:
    sizes = [abs(slope(loss, p, y)) for loss in three]
    np.testing.assert_allclose(row(name), sizes, atol=5e-6)


def test_smooth_is_what_teaches_a_negative():
  p = jnp.array([0.1, 0.5])
  for smooth in (1.0, 1e-4):
    loss = functools.partial(losses.dice, smooth=smooth, axis=())
    np.testing.assert_allclose(loss(logit(p), jnp.zeros(2)), p / (p + smooth))
  assert (slope(loss, p, 0) < 1e-3).all()
  assert slope(loss, 1e-4, 0) > 0.2


# The scores that they optimise.


def test_one_set_is_f1_with_its_threshold():
  group, posterior, labels = FIGURE['calibrated_data']()
  f1 = [FIGURE['f1_at'](t - 1 / 60) for t in posterior]
  best = max(f1)
  p = FIGURE['fit'](one_set)
  # The optimum is a vertex; its threshold is half of its F1, the best one.
  np.testing.assert_allclose(p, posterior > best / 2, atol=1e-6)
  reached = 1 - one_set(logit(p)[group], labels)
  np.testing.assert_allclose(reached, best, atol=1e-6)
  assert row('`dice`') == [round(float(x), 4) for x in (best, best / 2, best)]
  by_half = FIGURE['f1_at'](0.5)
  assert row('`cross_entropy`')[0] == round(float(by_half), 4)

  square = functools.partial(one_set, square=True)
  p = FIGURE['fit'](square)
  index = 1 - square(logit(p)[group], labels)
  np.testing.assert_allclose(p, np.minimum(1, posterior / index), atol=1e-3)
  decoded = jnp.where(p > 0.5, 50.0, -50.0)[group]
  f1 = 1 - one_set(decoded, labels)
  np.testing.assert_allclose(
    row('`dice(square=True)`'), [index, index, f1], atol=5e-5
  )
  assert len(group) == 24_000 and round(labels.mean(), 3) == 0.096


@pytest.mark.parametrize(
  'alpha, beta',
  [(0.25, 0.75), (1, 1), (0.3, 0.4)],
)
def test_threshold_of_a_tversky_index(alpha, beta):
  group, posterior, labels = FIGURE['calibrated_data']()
  loss = functools.partial(
    losses.tversky, alpha=alpha, beta=beta, smooth=0.0, axis=None
  )
  p = FIGURE['fit'](loss)
  index = 1 - loss(logit(p)[group], labels)
  threshold = alpha * index / (1 - (1 - alpha - beta) * index)
  np.testing.assert_allclose(p, posterior > threshold, atol=1e-3)
  if (alpha, beta) == (1, 1):
    f1 = 2 * index / (1 + index)
    np.testing.assert_allclose(threshold, f1 / 2)
  if alpha + beta == 1:  # F-beta, with 1 / (1 + beta^2) = alpha.
    np.testing.assert_allclose(threshold, alpha * index)


@pytest.mark.parametrize('square', [False, True])
@pytest.mark.parametrize(
  'column, alpha',
  [(0, 0), (1, 0.01), (2, 0.1), (3, 1)],
)
def test_single_elements_are_not_f1(column, alpha, square):
  """The posterior where the best p, of all that were tried, crosses over."""
  # Beyond the turn, larger p only give the same q again.
  p = jnp.linspace(1e-5, min(1 / (1 + alpha), 1 - 1e-5), 20_001)
  loss = functools.partial(
    losses.self_adjusting_dice, alpha=alpha, square=square, axis=()
  )
  negative, positive = (loss(logit(p), jnp.full(p.shape, y)) for y in (0, 1))
  posteriors = np.arange(0.3, 0.6, 5e-4)
  risk = np.outer(1 - posteriors, negative) + np.outer(posteriors, positive)
  beyond = p[risk.argmin(axis=1)] > min(0.5, p[-1]) - 1e-4
  want = row('squared' if square else 'linear')[column]
  assert abs(posteriors[beyond.argmax()] - want) < 1e-3


def test_focal_pulls_towards_one_half():
  p = FIGURE['best_p'](losses.focal, np.array([0.1, 0.9]))
  assert 0.1 < p[0] < 0.5 < p[1] < 0.9


def test_micro_f1_of_all_classes_is_accuracy():
  logits = jax.random.normal(jax.random.key(0), (50, 4), float)
  labels = jnp.arange(50) % 4
  counts = losses.soft_counts(logits, labels, axis=None)
  micro = tversky_index(jax.tree.map(jnp.sum, counts))
  right = jnp.exp(-losses.cross_entropy(logits, labels)).mean()
  np.testing.assert_allclose(micro, right, rtol=1e-12)


def test_a_mean_of_ratios_is_no_ratio_of_sums():
  z = jnp.array([[40.0, 40.0], [-40.0, 40.0]])
  y = jnp.array([[1, 1], [1, 0]])
  apart = one_set(z[0], y[0]), one_set(z[1], y[1])
  np.testing.assert_allclose(apart, [0, 1], atol=1e-9)
  whole = one_set(z, y)
  np.testing.assert_allclose(whole, 1 / 3, atol=1e-9)

  def sums_of(shift, batch):
    return losses.soft_counts(batch[0] + shift, batch[1], axis=None)

  value_and_grad = losses.accumulate(sums_of, tversky_distance)
  loss, gradient = value_and_grad(0.0, (z / 20, y))
  want = jax.value_and_grad(lambda shift: one_set(z / 20 + shift, y))(0.0)
  np.testing.assert_allclose((loss, gradient), want)


def test_soft_labels():
  p = jnp.linspace(0.01, 0.99, 99)
  best = {
    name: p[jnp.argmin(jax.vmap(lambda z, f=loss: f(z, 0.5))(logit(p)))]
    for name, loss in [
      ('dice', losses.dice),
      ('square', functools.partial(losses.dice, square=True)),
      ('semimetric', losses.dice_semimetric),
    ]
  }
  np.testing.assert_allclose(list(best.values()), [0.99, 0.5, 0.5])
