"""The promises of every loss, one per test, over a table of all losses."""

import functools
import inspect
import re
from typing import NamedTuple

import chex
import hypothesis
import hypothesis.extra.numpy as hnp
import hypothesis.strategies as st
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from compiling import jit
from draws import examples
from jax.sharding import PartitionSpec as P

from dicejax import losses

IDS, SHARES, SIGMOIDS = 'class ids', 'distributions', 'sigmoids'
KINDS = {
  'asymmetric': (SIGMOIDS,),
  'asymmetric_unified_focal': (IDS, SHARES, SIGMOIDS),
  'balanced_softmax': (IDS, SHARES),
  'cross_entropy': (IDS, SHARES, SIGMOIDS),
  'dice': (IDS, SHARES, SIGMOIDS),
  'dice_plus_plus': (IDS, SHARES, SIGMOIDS),
  'dice_semimetric': (IDS, SHARES, SIGMOIDS),
  'f_beta': (IDS, SHARES, SIGMOIDS),
  'focal': (IDS, SHARES, SIGMOIDS),
  'focal_tversky': (IDS, SHARES, SIGMOIDS),
  'generalised_dice': (IDS, SHARES),
  'jaccard': (IDS, SHARES, SIGMOIDS),
  'ldam': (IDS,),
  'log_cosh_dice': (IDS, SHARES, SIGMOIDS),
  'logit_adjusted': (IDS, SHARES),
  'lovasz_hinge': (SIGMOIDS,),
  'lovasz_softmax': (IDS,),
  'poly': (IDS, SHARES, SIGMOIDS),
  'self_adjusting_dice': (IDS, SHARES, SIGMOIDS),
  'sigmoid_f1': (SIGMOIDS,),
  'tversky': (IDS, SHARES, SIGMOIDS),
  'unified_focal': (IDS, SHARES, SIGMOIDS),
  'zlpr': (SIGMOIDS,),
}


class Case(NamedTuple):
  """A loss, what its labels are, and the axis of its sets."""

  name: str
  kind: str
  axis: int | None | str = 'default'

  def __repr__(self):
    axis = '' if self.axis == 'default' else f'-axis={self.axis}'
    return f'{self.name}-{self.kind}{axis}'

  def __call__(self, logits, labels, **options):
    if self.axis != 'default':
      options['axis'] = self.axis
    if self.kind == SHARES and self.takes('activation'):
      options['activation'] = 'softmax'
    if self.takes('class_counts') and 'class_counts' not in options:
      options['class_counts'] = 10 ** (np.arange(logits.shape[-1]) % 6)
    return getattr(losses, self.name)(logits, labels, **options)

  @property
  def softmax(self):
    return self.kind != SIGMOIDS

  def takes(self, keyword):
    return keyword in inspect.signature(getattr(losses, self.name)).parameters


CASES = [Case(name, kind) for name, kinds in KINDS.items() for kind in kinds]
ONE_KIND = [Case(name, kinds[0]) for name, kinds in KINDS.items()]
OF_SETS = [case for case in ONE_KIND if case.takes('axis')]
# Distributions are tested with another axis than the default.
CASES = [
  case._replace(axis=1) if case.kind == SHARES and case.takes('axis') else case
  for case in CASES
]
# Their gradients are not compared where errors tie or labels are met exactly.
KINKS = {
  ('lovasz_hinge', SIGMOIDS): 'the gradient knows which of a tie is the first',
  ('lovasz_softmax', IDS): 'the gradient knows which of a tie is the first',
  ('dice_semimetric', SHARES): 'the gradient jumps where p is y',
}
# Promises that take long to compile are tried on these losses by default.
FEW = (
  'cross_entropy',
  'dice',
  'ldam',
  'lovasz_softmax',
  'unified_focal',
  'zlpr',
)


def every(cases, names=KINDS):
  """Makes a test per case: quick for dice, else for the first kind."""

  def is_quick(case):
    first = case.kind == KINDS[case.name][0]
    return case.name in names and (first or case.name == 'dice')

  return pytest.mark.parametrize(
    'case',
    [
      pytest.param(
        case, id=repr(case), marks=() if is_quick(case) else pytest.mark.slow
      )
      for case in cases
    ],
  )


EXAMPLES, CLASSES = (8, 3), 3


def example(case, seed=0):
  rng = np.random.default_rng(seed)
  shape = (*EXAMPLES, CLASSES) if case.softmax else EXAMPLES
  logits = rng.normal(size=shape).astype(np.float32) * 3
  if case.kind == IDS:
    return logits, rng.integers(0, CLASSES, EXAMPLES)
  if case.kind == SIGMOIDS:
    return logits, rng.integers(0, 2, EXAMPLES)
  return logits, rng.dirichlet(np.ones(CLASSES), EXAMPLES).astype(np.float32)


def value_and_grad(case, logits, labels, where=None):
  def total(x):
    value = case(x, labels, where=where)
    return value.sum(), value

  (_, value), grad = jax.value_and_grad(total, has_aux=True)(logits)
  return value, grad


@functools.cache
def compiled(case):
  return jit(functools.partial(value_and_grad, case))


def in_float64(case, logits, labels):
  with jax.enable_x64(True):
    out = compiled(case)(np.asarray(logits, np.float64), labels)
  return jax.tree.map(np.asarray, out)


def beside_garbage(logits, labels, keep):
  """Adds two columns that `where` has to leave out; returns also `where`."""
  wider = [(0, 0), (0, 2)] + [(0, 0)] * (logits.ndim - 2)
  labels = np.pad(
    labels,
    wider[: labels.ndim],
    constant_values=-100 if labels.dtype.kind == 'i' else np.nan,
  )
  where = np.arange(logits.shape[1] + 2) < keep
  return np.pad(logits, wider, constant_values=np.nan), labels, where[None]


def close(got, want, digits, floor=1e-30, axis=None):
  """Compares to some digits of the largest, whose rounding is in all."""
  error = abs(got - want) / (abs(want).max(axis, keepdims=True) + floor)
  np.testing.assert_array_less(error, digits)


def check(case, logits, labels, gradient=True):
  """float32 with NaN under the mask equals the slice in float64."""
  value, grad = compiled(case)(*beside_garbage(logits, labels, EXAMPLES[1]))
  want, slope = in_float64(case, logits, labels)
  assert value.dtype == grad.dtype == np.float32
  assert want.dtype == slope.dtype == np.float64
  if value.shape[-1:] == (EXAMPLES[1] + 2,):
    np.testing.assert_array_equal(value[..., EXAMPLES[1] :], 0)
    value = value[..., : EXAMPLES[1]]
  np.testing.assert_array_equal(grad[:, EXAMPLES[1] :], 0)
  grad = grad[:, : EXAMPLES[1]]
  assert np.isfinite(grad).all()
  # Soft labels may be met, where what is left is rounding.
  floor = 1e-2 if labels.dtype.kind == 'f' else 1e-30
  # The rounding of log L is as many times 6e-8 as -log L, up to 70, says.
  np.testing.assert_allclose(value, want, rtol=1e-5, atol=1e-5 * floor)
  if gradient:
    # Each sigmoid keeps its digits; in a softmax, tied classes cancel.
    alone = () if value.shape == slope.shape else None
    close(grad, slope, 1e-5, floor, alone)


def test_no_loss_is_forgotten():
  assert KINDS.keys() == losses.LOSSES.keys() <= set(losses.__all__)
  functions = inspect.getmembers(losses, inspect.isfunction)
  takes_logits = {
    name
    for name, function in functions
    if next(iter(inspect.signature(function).parameters)) == 'logits'
  }
  assert takes_logits - {'soft_counts'} == losses.LOSSES.keys()


@every(CASES)
def test_where_is_slicing_even_over_nan(case):
  check(case, *example(case))


@every(CASES)
def test_nothing_left_is_zero(case):
  value, grad = compiled(case)(*beside_garbage(*example(case), 0))
  np.testing.assert_array_equal(value, 0)
  np.testing.assert_array_equal(grad, 0)


@every(CASES)
@hypothesis.given(data=st.data())
@examples(15)
def test_float32_is_float64_at_any_logits(case, data):
  """Ties, logits of up to 1e4, absent classes, distributions that are met."""
  logit = st.one_of(
    st.floats(-1e4, 1e4, width=32, allow_subnormal=False),
    st.sampled_from([0.0, 1.0, 17.0, 40.0, -40.0, 100.0, -1e4, 1e4]),
  )

  def draw(shape, elements, dtype):
    return data.draw(hnp.arrays(dtype, shape, elements=elements))

  shape = (*EXAMPLES, CLASSES) if case.softmax else EXAMPLES
  logits = draw(shape, logit, np.float32)
  if case.kind == IDS:
    labels = draw(EXAMPLES, st.integers(0, CLASSES - 1), np.int32)
  elif case.kind == SIGMOIDS:
    labels = draw(EXAMPLES, st.sampled_from([0, 1, 0.25]), np.float32)
    if (labels != 0.25).all():
      labels = labels.astype(np.int32)
  else:
    labels = draw(shape, st.sampled_from([0, 1, 3]), np.float32)
    labels[..., 0] += labels.sum(-1) == 0
    labels /= labels.sum(-1, keepdims=True)
  check(case, logits, labels, gradient=(case.name, case.kind) not in KINKS)


@every([case for case in ONE_KIND if case.softmax], FEW)
def test_a_thousand_classes(case):
  """Evenly spaced to 1e4, tied, saturated; most classes absent."""
  logits = np.stack(
    [
      np.linspace(-1e4, 1e4, 1000),
      np.full(1000, 3.0),
      np.where(np.arange(1000) == 500, 40, 0.01),
    ]
  ).astype(np.float32)
  labels = np.array([999, 0, 500])
  value, grad = compiled(case)(logits, labels)
  want, slope = in_float64(case, logits, labels)
  np.testing.assert_allclose(value, want, rtol=1e-5, atol=1e-30)
  close(grad, slope, 1e-4)  # The rounding of sums of a thousand equal terms.


@every([case for case in CASES if case.softmax])
def test_a_softmax_needs_two_classes(case):
  """Over one class it is always 1: nothing would be learnt."""
  labels = np.zeros(4, int) if case.kind == IDS else np.ones((4, 1))
  with pytest.raises(ValueError, match=r'\[4, 1\].*class axis of at least 2'):
    case._replace(axis='default')(np.zeros((4, 1), np.float32), labels)


@every([case for case in CASES if case.kind == IDS])
@pytest.mark.parametrize('wrong', [-100, -1, CLASSES])
def test_an_id_out_of_range_is_nan_unless_excluded(case, wrong):
  logits, labels, where = beside_garbage(*example(case), EXAMPLES[1])
  labels[:, EXAMPLES[1] :] = wrong
  value, grad = compiled(case)(logits, labels, where)
  assert np.isfinite(value).all() and np.isfinite(grad).all()
  labels[2, 1] = wrong
  value, grad = compiled(case)(logits, labels, where)
  of_element = value.shape == labels.shape
  assert np.isnan(value[2, 1] if of_element else value)
  assert np.isnan(grad[2, 1]).all()


@every([case for case in CASES if case.softmax and case.takes('class_weights')])
def test_weights_are_checked_under_jit(case):
  """Under jit, even a list becomes a traced array."""
  logits, labels = example(case)
  for weights in ([-1.0, 1, 1], np.array([1, np.nan, 1])):
    with pytest.raises(ValueError, match='class_weights must be at least 0'):
      jax.jit(lambda x, w=weights: case(x, labels, class_weights=w))(logits)
  right = jnp.array([0.0, 1, 1])  # Closed over, it stays a known value.
  assert jnp.isfinite(
    jax.jit(lambda x: case(x, labels, class_weights=right))(logits)
  ).all()
  if case.takes('average'):
    with pytest.raises(ValueError, match='all 0'):
      jax.jit(
        lambda x: case(x, labels, class_weights=[0, 0, 0], average='micro')
      )(logits)


def test_chex_without_asserts_is_no_way_round():
  chex.disable_asserts()
  try:
    logits = jnp.zeros((6, 3))
    for labels, options in [
      (np.array([1]), {}),
      (np.zeros(6, int), {'class_weights': np.ones(1)}),
      (np.zeros((6, 1)), {}),
      (np.zeros(6, int), {'where': np.ones((1, 6), bool)}),
    ]:
      with pytest.raises((AssertionError, ValueError)):
        losses.dice(logits, labels, **options)
  finally:
    chex.enable_asserts()


def test_one_default_of_the_whole_family():
  """One set: the call of the README is a scalar with a gradient."""
  for case in OF_SETS:
    both = jit(lambda *xs, c=case: (c(*xs), c._replace(axis=None)(*xs)))
    default, same = both(*example(case))
    assert default.shape == ()
    np.testing.assert_array_equal(default, same)


@every(CASES, ('dice',))
def test_narrow_types_are_widened(case):
  """Eager and compiled values agree for each type of the same numbers."""
  logits, labels = example(case)
  for dtype, largest in [('f4', 1e4), (jnp.bfloat16, 1e4), ('f2', 6e4)]:
    logits[-1] = largest * np.sign(logits[-1])
    narrow = jnp.asarray(logits, dtype)
    value, grad = value_and_grad(case, narrow, labels)
    assert value.dtype == jnp.float32 and grad.dtype == narrow.dtype
    want, slope = in_float64(case, narrow, labels)
    np.testing.assert_allclose(value, want, rtol=1e-6, atol=1e-7)
    steps = jnp.finfo(narrow.dtype)
    rounding = 1e-5 * abs(slope).max() + float(steps.smallest_normal)
    np.testing.assert_allclose(
      np.asarray(grad, float), slope, rtol=float(steps.eps), atol=rounding
    )


@every(CASES)
def test_float64_is_float64_throughout(case):
  logits, labels = example(case)
  with jax.enable_x64(True):
    if case.kind == SHARES:
      labels = labels.astype(np.float64)
    jaxpr = jax.make_jaxpr(functools.partial(value_and_grad, case))(
      logits.astype(np.float64), labels
    )
  assert not re.search(r'\b(f32|f16|bf16)\b', str(jaxpr))


@every(ONE_KIND, FEW)
def test_derivatives_of_all_orders(case):
  """Forward, backward and forward over backward are slopes, in float64."""
  logits, labels = example(case)
  step = np.random.default_rng(1).normal(size=logits.shape)

  @jit
  def slopes(x, labels, dx):
    total = jax.value_and_grad(lambda x: case(x, labels).sum())
    return jax.jvp(total, (x,), (dx,))

  with jax.enable_x64(True):
    out = slopes(logits.astype(np.float64), labels, step)
  (_, grad), (rise, bend) = jax.tree.map(np.asarray, out)
  (up, grad_up), (down, grad_down) = (
    in_float64(case, logits + side * 1e-4 * step, labels) for side in (1, -1)
  )
  np.testing.assert_allclose(rise, (grad * step).sum(), rtol=1e-12)
  np.testing.assert_allclose(rise, (up - down).sum() / 2e-4, rtol=1e-6)
  close(bend, (grad_up - grad_down) / 2e-4, 1e-6, 1e-6)


@every(ONE_KIND, ('dice', 'zlpr'))
def test_vmap_and_scan_are_loops(case):
  logits, labels = example(case)
  want = [compiled(case)(*row) for row in zip(logits, labels, strict=True)]
  want = jax.tree.map(lambda *rows: np.stack(rows), *want)
  one = functools.partial(value_and_grad, case)
  loops = (
    jax.vmap(one),
    lambda *rows: jax.lax.scan(lambda _, row: (None, one(*row)), None, rows)[1],
  )
  for loop in loops:
    value, grad = jit(loop)(logits, labels)
    np.testing.assert_allclose(value, want[0], rtol=1e-6)
    close(grad, want[1], 1e-6)


@every(CASES)
def test_the_order_of_examples_does_not_matter(case):
  logits, labels = example(case)
  value, grad = in_float64(case, logits, labels)
  turned, slope = in_float64(case, logits[::-1, ::-1], labels[::-1, ::-1])
  np.testing.assert_allclose(turned, np.flip(value), rtol=1e-12)
  close(slope, grad[::-1, ::-1], 1e-12)


@every(ONE_KIND, FEW)
def test_jit_over_eight_devices_is_one(case):
  logits, labels = example(case)
  mesh = jax.sharding.Mesh(np.array(jax.devices()), ('data',))
  assert mesh.size == 8
  value, grad = compiled(case)(
    *jax.device_put((logits, labels), jax.NamedSharding(mesh, P('data')))
  )
  want, slope = in_float64(case, logits, labels)
  np.testing.assert_allclose(value, want, rtol=2e-6)
  close(grad, slope, 1e-5)


@every(
  [case._replace(axis=None) for case in OF_SETS if case.takes('axis_name')],
  FEW,
)
def test_a_set_over_mapped_devices(case):
  logits, labels = example(case)
  mesh = jax.sharding.Mesh(np.array(jax.devices()), ('data',))
  across = functools.partial(case, axis_name='data')
  mapped = jax.shard_map(across, mesh=mesh, in_specs=P('data'), out_specs=P())
  value, grad = jit(jax.value_and_grad(mapped))(logits, labels)
  want, slope = in_float64(case, logits, labels)
  np.testing.assert_allclose(value, want, rtol=2e-6)
  close(grad, slope, 1e-5)
  each = jax.pmap(across, 'data')(logits[:, None], labels[:, None])
  np.testing.assert_allclose(each, np.full(8, want), rtol=2e-6)


@every([case for case in CASES if case.takes('class_weights')], FEW)
def test_a_class_of_weight_zero_is_left_out(case):
  """It may be split into two classes, with its examples in either."""
  logits, labels = example(case)
  if not case.softmax:
    if case.takes('axis'):
      with pytest.raises(ValueError, match='class_weights'):
        case(logits, labels, class_weights=np.ones(2))
      return
    value = case(logits, labels, class_weights=np.array([0.0, 2.0]))
    want = np.where(labels, 2 * case(logits, labels), 0)
    np.testing.assert_allclose(value, want, rtol=1e-6)
    return
  options = {'class_weights': np.array([0.0, 2.0, 0.5])}
  torn = {'class_weights': np.array([0, 0, 2.0, 0.5])}
  if case.takes('class_counts'):
    options['class_counts'] = np.array([90, 9, 30])
    torn['class_counts'] = np.array([90, 90, 9, 30])
  half = logits[..., :1] - np.log(2) / (30 if case.name == 'ldam' else 1)
  parts = np.concatenate([half, half, logits[..., 1:]], -1)
  if case.kind == IDS:
    either = np.arange(labels.size).reshape(labels.shape) % 2
    new = np.where(labels, labels + 1, either)
  else:
    new = np.concatenate([labels[..., :1] * [0.3, 0.7], labels[..., 1:]], -1)
  np.testing.assert_allclose(
    case(parts, new, **torn), case(logits, labels, **options), rtol=1e-5
  )


def bad_inputs(case):
  """Shapes, types and values that do not fit, with the error and its words."""
  ok = jnp.zeros((4, 3)), jnp.zeros(4 if case.kind == IDS else (4, 3), int)
  both = r'\[4, 3\].*\[{}\]'
  shapes = AssertionError, ValueError
  yield ok[0], jnp.zeros((4, 2), int), {}, shapes, both.format('4, 2')
  yield ok[0], jnp.zeros((4, 3, 1), int), {}, shapes, both.format('4, 3, 1')
  if case.kind == IDS:
    yield ok[0], jnp.zeros(3, int), {}, AssertionError, both.format('3')
    yield ok[0], jnp.zeros(4), {}, TypeError, r'labels: float32\[4\]'
  yield ok[0].astype(int), ok[1], {}, TypeError, r'logits: int32\[4, 3\]'
  where = {'where': np.ones((2, 3), bool)}
  yield *ok, where, AssertionError, r'where: bool\[2, 3\].*\[4'
  where = {'where': np.ones((4, 3))[: len(ok[1])]}
  yield *ok, where, TypeError, 'where: float'
  if case.takes('activation') and case.kind != SHARES:
    yield *ok, {'activation': 'relu'}, ValueError, 'activation.*relu'
  if case.takes('axis'):
    yield *ok, {'axis': 1 if case.softmax else 2}, ValueError, 'axis='
    yield *ok, {'axis': (0, 0)}, ValueError, r'axis=\(0, 0\)'
  if case.takes('average'):
    yield *ok, {'average': 'weighted'}, ValueError, "average.*'weighted'"
    micro = {'average': 'micro'}
    if case.softmax:
      micro['class_weights'] = np.zeros(3)
    text = 'all 0' if case.softmax else 'sigmoids'
    yield *ok, micro, ValueError, text
  if case.takes('smooth'):
    yield *ok, {'smooth': -1.0}, ValueError, 'smooth'
  for name in ('class_weights', 'class_counts'):
    if case.takes(name) and (case.softmax or not case.takes('axis')):
      text = rf'{name}: \[5\].*\[4, 3\]'
      yield *ok, {name: np.ones(5)}, AssertionError, text
  if case.takes('class_weights') and case.softmax:
    weights = {'class_weights': np.array([1, -1, 1])}
    yield *ok, weights, ValueError, 'class_weights must be at least 0'


@every(CASES)
def test_bad_input(case):
  case = case._replace(axis='default')  # A given axis may be the class axis.
  for logits, labels, options, error, text in bad_inputs(case):
    with pytest.raises(error, match=text) as raised:
      jax.eval_shape(functools.partial(case, **options), logits, labels)
    assert '[Chex]' not in str(raised.value)
