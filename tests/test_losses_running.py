"""Running counts against the ratio of many batches, and as pure functions."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import slow_except
from jax.sharding import PartitionSpec as P

from dicejax import losses

COUNTED = [
  name
  for name, loss in losses.LOSSES.items()
  if 'axis_name' in loss.__annotations__
]
# One of each way to use the counts is quick.
FEW = 'self_adjusting_dice', 'sigmoid_f1', 'unified_focal'


def batches(number=3, size=40, classes=4, softmax=True, seed=0):
  rng = np.random.default_rng(seed)
  shape = (number, size, classes) if softmax else (number, size)
  logits = np.float32(2 * rng.normal(size=shape))
  labels = rng.integers(0, classes if softmax else 2, (number, size))
  return logits, labels, rng.random((number, size)) < 0.8


@pytest.mark.parametrize('name', slow_except(FEW, COUNTED))
def test_the_first_update_is_the_plain_loss(name):
  softmax = name != 'sigmoid_f1'
  (logits,), (labels,), (where,) = batches(1, softmax=softmax)
  running = losses.with_running_counts(losses.LOSSES[name])
  state = running.init(logits, labels)
  assert not any(np.any(x) for x in jax.tree.leaves(state))

  def first(x):
    return running.update(x, labels, state, where=where)[0]

  got = jax.jit(jax.value_and_grad(first))(logits)
  plain = functools.partial(losses.LOSSES[name], where=where)
  want = jax.jit(jax.value_and_grad(plain))(logits, labels)
  np.testing.assert_allclose(got[0], want[0], rtol=1e-6)
  np.testing.assert_allclose(got[1], want[1], rtol=1e-5, atol=1e-8)


@pytest.mark.parametrize('average', ['macro', 'micro'])
def test_value_and_gradient_by_hand(average):
  """Decayed sums in float64, and the slope of their ratio by the batch."""
  logits, labels, where = batches()
  decay, smooth, weights = 0.8, 0.6, np.array([0.0, 1, 2, 1])
  running = losses.with_running_counts(
    losses.dice,
    decay=decay,
    smooth=smooth,
    average=average,
    class_weights=weights,
  )
  update = jax.jit(
    jax.value_and_grad(
      lambda x, *rest, where: running.update(x, *rest, where=where),
      has_aux=True,
    )
  )
  state, sums, elements = running.init(logits[0], labels[0]), 0.0, 0.0
  for x, y, real in zip(logits, labels, where, strict=True):
    (loss, state), grad = update(x, y, state, where=real)
    p = np.exp(np.float64(x))
    p /= p.sum(-1, keepdims=True)
    one_hot = np.eye(4)[y]
    of_batch = [(p * one_hot)[real].sum(0), (p + one_hot)[real].sum(0)]
    sums = decay * sums + np.stack(of_batch)
    elements = decay * elements + real.sum()
    tp, below = sums * real.sum() / elements
    if average == 'micro':
      tp, below = (weights * tp).sum(), (weights * below).sum()
      share = weights
    else:
      share = weights / weights.sum()
    # Derivatives of (2 tp + s) / (below + s) by tp and below of this batch.
    by_tp = -2 / (below + smooth)
    by_below = (2 * tp + smooth) / (below + smooth) ** 2
    by_p = share * (by_tp * one_hot + by_below) * real[:, None]
    want = p * (by_p - (p * by_p).sum(-1, keepdims=True))
    value = 1 - (2 * tp + smooth) / (below + smooth)
    if average == 'macro':
      value = (share * value).sum()
    np.testing.assert_allclose(loss, value, rtol=1e-6)
    np.testing.assert_allclose(grad, want, rtol=1e-4, atol=1e-8)


def test_small_batches_have_the_gradient_of_the_whole_set():
  """The mean over batches of 16; batch Dice has another one."""
  rng = np.random.default_rng(0)
  features = np.float32(rng.normal(size=(200, 16, 5)))
  labels = (rng.random((200, 16)) < 0.03).astype(int)
  w = np.float32(rng.normal(size=5) - [2, 0, 0, 0, 0])
  features[..., 0] = 1

  def whole(w):
    return losses.dice((features @ w).reshape(-1), labels.reshape(-1), smooth=0)

  running = losses.with_running_counts(losses.dice, decay=0.999, smooth=0.0)

  @jax.jit
  def step(state, batch):
    def loss(w):
      return running.update(batch[0] @ w, batch[1], state)

    grad, state = jax.grad(loss, has_aux=True)(w)
    return state, grad

  state = running.init(features[0] @ w, labels[0])
  state, _ = jax.lax.scan(step, state, (features, labels))
  _, grads = jax.lax.scan(step, state, (features, labels))
  want = jax.grad(whole)(w)
  plain = jax.vmap(
    lambda x, y: jax.grad(lambda w: losses.dice(x @ w, y, smooth=0.0))(w)
  )(features, labels)

  def error(grads):
    return np.linalg.norm(grads.mean(0) - want) / np.linalg.norm(want)

  assert error(grads) < 0.05
  assert error(plain) > 0.5


def test_devices_are_summed_before_time():
  logits, labels, where = batches()
  mesh = jax.sharding.Mesh(np.array(jax.devices()), ('data',))
  plain = losses.with_running_counts(losses.tversky, decay=0.5)
  spread = losses.with_running_counts(
    losses.tversky, decay=0.5, axis_name='data'
  )
  mapped = jax.jit(
    jax.shard_map(
      lambda x, y, state, where: spread.update(x, y, state, where=where),
      mesh=mesh,
      in_specs=(P('data'), P('data'), P(), P('data')),
      out_specs=P(),
    )
  )
  here = there = plain.init(logits[0], labels[0])
  for x, y, real in zip(logits, labels, where, strict=True):
    want, here = plain.update(x, y, here, where=real)
    got, there = mapped(x, y, there, real)
    np.testing.assert_allclose(got, want, rtol=2e-6)
  jax.tree.map(
    functools.partial(np.testing.assert_allclose, rtol=2e-6), here, there
  )


def test_a_batch_without_elements_changes_nothing_but_the_memory():
  (x, _), (y, _), (real, _) = batches(2)
  running = losses.with_running_counts(losses.dice, decay=0.5)
  _, state = running.update(x, y, running.init(x, y), where=real)
  value, empty = running.update(x, y, state, where=np.zeros_like(real))
  assert value == 0
  jax.tree.map(
    lambda old, new: np.testing.assert_allclose(new, old / 2), state, empty
  )


def test_sets_of_labels_and_bfloat16():
  logits = jnp.bfloat16(np.random.default_rng(0).normal(size=(8, 3)))
  labels = np.eye(3, dtype=int)[np.arange(8) % 3]
  running = losses.with_running_counts(losses.dice, axis=0)
  value, state = running.update(logits, labels, running.init(logits, labels))
  assert value.shape == state.elements.shape == state.counts.tp.shape == (3,)
  assert value.dtype == state.counts.tp.dtype == jnp.float32


def test_bad_input():
  (x,), (y,), _ = batches(1)
  make = losses.with_running_counts
  for name in losses.LOSSES.keys() - set(COUNTED):
    with pytest.raises(ValueError, match=f'{name} has no counts'):
      make(losses.LOSSES[name])
  for decay in (-0.1, 1, 2.0):
    with pytest.raises(ValueError, match='decay must be'):
      make(losses.dice, decay=decay)
  wrapped = jax.jit(losses.dice), lambda *a, **k: losses.dice(*a, **k)
  for loss in (*wrapped, functools.partial(losses.dice), losses.soft_counts):
    with pytest.raises(ValueError, match='needs a loss of|has no counts'):
      make(loss)
  with pytest.raises(TypeError, match='alpha'):
    make(losses.dice, alpha=0.5)
  with pytest.raises(TypeError, match='pass it to update'):
    make(losses.dice, where=y > 0)
  running = make(losses.dice, average='micro')
  state = running.init(x, y)
  with pytest.raises(ValueError, match=r'axis must include axis 0.*\(\)'):
    make(losses.dice, axis=()).init(x, y)
  with pytest.raises(ValueError, match=r'shapes .*\[4\].* are .*\[\]'):
    running.update(x, y, make(losses.dice).init(x, y))
  with pytest.raises(TypeError, match='RunningCounts'):
    running.update(x, y, (1, 2, 3, 4))
  wrong = jax.tree.map(lambda s: s + jnp.nan, state)
  with pytest.raises(ValueError, match='not finite'):
    running.update(x, y, wrong)
  # A loss that failed leaves nothing behind.
  np.testing.assert_allclose(losses.dice(x, y), losses.dice(x, y, axis=(0,)))
