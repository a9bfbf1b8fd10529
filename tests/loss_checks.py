"""Checks of a loss against its formula that the tests of losses share."""

import functools

import hypothesis.extra.numpy as hnp
import hypothesis.strategies as st
import jax
import jax.numpy as jnp
import numpy as np
import oracle
from compiling import jit

from dicejax import losses

SOFTMAX = [True, False]
SETS = [(), 0, (1,), None]
KINDS = ['ids', 'distributions', 'sigmoids']
UNIFIED = ['unified_focal', 'asymmetric_unified_focal']


def example(softmax, seed=0, shape=(3, 5), classes=4, scale=3.0):
  rng = np.random.default_rng(seed)
  if softmax:
    logits = rng.normal(size=(*shape, classes)) * scale
    labels = rng.integers(0, classes, shape)
  else:
    logits = rng.normal(size=shape) * scale
    labels = rng.integers(0, 2, shape)
  return logits.astype(np.float32), labels


def example_of_kind(kind, shape=(2, 3), classes=3):
  """Logits, labels, and the keyword arguments that describe them."""
  rng = np.random.default_rng(0)
  size = shape if kind == 'sigmoids' else (*shape, classes)
  logits = np.float32(3 * rng.normal(size=size))
  if kind == 'ids':
    weights = np.array([0.0, 1.0, 2.5])
    return logits, rng.integers(0, classes, shape), {'class_weights': weights}
  if kind == 'distributions':
    labels = np.float32(rng.dirichlet(np.ones(classes), shape))
    return logits, labels, {'activation': 'softmax'}
  return logits, rng.choice(np.float32([0, 1, 0.3]), shape), {}


def check(loss, reference, logits, labels, *, amplified=1.0, **kwargs):
  """Value and gradient of the sum, under jit, against the oracle.

  `amplified`: by how much the gradient enlarges the rounding of p.
  """

  @jit
  def run(x):
    value, pull = jax.vjp(lambda x: loss(x, labels, **kwargs), x)
    return value, *pull(jnp.ones_like(value))

  value, grad = run(logits)
  np.testing.assert_allclose(value, reference(logits), rtol=1e-6, atol=1e-7)
  want = oracle.gradient(lambda x: reference(x).sum(), logits)
  # An entry is a sum of terms as large as the largest: their rounding stays.
  rounding = 5e-7 * amplified * abs(want).max()
  np.testing.assert_allclose(grad, want, rtol=1e-5, atol=rounding)


def by_axis(loss, logits, labels, axes=SETS, **options):
  """A function of numbers that is compiled once: values and gradients."""

  @jit
  def run(numbers):
    out = []
    for axis in axes:
      f = functools.partial(loss, axis=axis, **numbers, **options)
      value, pull = jax.vjp(lambda x, f=f: f(x, labels), logits)
      out.append((value, *pull(jnp.ones_like(value))))
    return out

  return run


def agree(got, reference, logits, amplified=1.0):
  """Compare as `check` does, with a value and gradient computed before."""
  value, grad = got
  np.testing.assert_allclose(value, reference(logits), rtol=1e-6, atol=1e-7)
  want = oracle.gradient(lambda x: reference(x).sum(), logits)
  rounding = 5e-7 * amplified * abs(want).max()
  np.testing.assert_allclose(grad, want, rtol=1e-5, atol=rounding)


def at_once(loss, *arrays, **options):
  """Calls a loss as one program: less to compile than each operation alone."""
  return jit(functools.partial(loss, **options))(*arrays)


def any_logits(classes):
  """Ties, gaps of up to 2e4."""
  width = {'width': 32, 'min_value': -1e4, 'max_value': 1e4}
  few = st.sampled_from([0.0, 17.0, -1e4, 1e4])
  return hnp.arrays(
    np.float32, (3, classes), elements=st.one_of(st.floats(**width), few)
  )


@functools.cache
def value_and_gradient(name, classes, numbers):
  """Compiles a loss for any three logits and labels."""
  loss = functools.partial(getattr(losses, name), axis=None, **dict(numbers))
  return jit(jax.value_and_grad(loss))


def right_anywhere(data, name, reference, **numbers):
  """Value and gradient of one set of three with adversarial logits."""
  classes = data.draw(st.sampled_from([2, 3]))
  logits = data.draw(any_logits(classes))
  labels = np.array(
    data.draw(st.lists(st.integers(0, classes - 1), min_size=3, max_size=3))
  )
  run = value_and_gradient(name, classes, tuple(numbers.items()))
  value, grad = run(logits, labels)
  np.testing.assert_allclose(
    value, reference(logits, labels), rtol=1e-6, atol=1e-7
  )
  want = oracle.gradient(lambda x: reference(x, labels), logits)
  np.testing.assert_allclose(grad, want, rtol=1e-5, atol=1e-6)
