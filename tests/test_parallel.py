"""One batch, one loss: however it is spread over devices and processes."""

import functools
import os
import pathlib
import runpy
import socket
import subprocess
import sys

import jax
import numpy as np
import parallel_worker
import pytest
from helpers import first_value
from helpers import slow_except

from configs import default
from configs import losses as presets
from dicejax import losses
from train import parallel
from train import settings
from train.objective import make_loss

SCALING = runpy.run_path(
  str(pathlib.Path(__file__).parents[1] / 'docs' / 'scaling.py')
)
LOSSES = [
  'paper_self_adjusting_dice+cross_entropy',
  'tversky',
  'running_dice',
]


@functools.cache
def alone(loss):
  return parallel_worker.train(loss, devices=jax.devices()[:1])


def check_equal(found, expected):
  assert found.keys() == expected.keys()
  for name, want in expected.items():
    if "['key']['bias']" in name:
      # It moves all scores of a query alike: its gradient is only rounding,
      # which Adam makes as large as any other.
      continue
    error = np.linalg.norm(found[name] - want) / np.linalg.norm(want)
    assert error <= 1e-5, (name, error)


@pytest.mark.parametrize(
  'ways',
  [
    pytest.param(dict(loss=LOSSES[0]), marks=pytest.mark.slow),
    pytest.param(dict(loss=LOSSES[0], mode='pmap'), marks=pytest.mark.slow),
    dict(loss=LOSSES[0], fsdp=4, parts=2),
    pytest.param(dict(loss=LOSSES[1], mode='pmap'), marks=pytest.mark.slow),
    pytest.param(dict(loss=LOSSES[1], fsdp=4, parts=2), marks=pytest.mark.slow),
    pytest.param(dict(loss=LOSSES[2], mode='pmap'), marks=pytest.mark.slow),
    pytest.param(dict(loss=LOSSES[2], fsdp=4, parts=2), marks=pytest.mark.slow),
  ],
  ids=str,
)
def test_eight_devices_are_one(ways, monkeypatch):
  monkeypatch.setattr(parallel, '_MIN_SHARDED_SIZE', 16)
  check_equal(parallel_worker.train(**ways), alone(ways['loss']))


@pytest.mark.slow
def test_parts_are_one_batch():
  found = parallel_worker.train(LOSSES[0], devices=jax.devices()[:1], parts=4)
  check_equal(found, alone(LOSSES[0]))


def bytes_by_kind(loss, **ways):
  """Counts the bytes of a compiled step's collectives, by their kind."""
  t = parallel_worker.prepare(loss, **ways)
  batch = t.batches[0]
  program = jax.jit(t.run).lower(t.state, batch).compile().as_text()
  sizes = {kind: x for kind, (_, x) in SCALING['collectives'](program).items()}
  size = sum(x.nbytes for x in jax.tree.leaves(t.state.params))
  # Positions that no token of the batch has get no gradient to send.
  table = t.state.params['encoder']['positions']['embedding']
  unused = table[batch['tokens'].shape[1] :].nbytes
  return sizes, size, size - unused


@pytest.mark.slow
@pytest.mark.parametrize(
  'ways', [dict(), dict(mode='pmap'), dict(fsdp=8)], ids=str
)
def test_devices_exchange_gradients_and_a_few_counts(ways, monkeypatch):
  """As docs/scaling.md counts: a gradient, and of a Dice its sums."""
  monkeypatch.setattr(parallel, '_MIN_SHARDED_SIZE', 16)
  plain, size, used = bytes_by_kind('cross_entropy', **ways)
  dice, _, _ = bytes_by_kind('tversky', **ways)
  kinds = {'all-reduce', 'all-gather'} if ways.get('fsdp') else {'all-reduce'}
  assert plain.keys() == dice.keys() == kinds
  assert used <= plain['all-reduce'] < size + 200
  # Three counts per class, and a few numbers for the metrics.
  assert 0 < dice['all-reduce'] - plain['all-reduce'] < 100
  if 'all-gather' in kinds:  # Once or twice: forward, and for the gradient.
    assert 0.8 * used < dice['all-gather'] < 2 * size


@pytest.mark.slow
def test_a_mean_of_parts_is_another_loss():
  """Computes the loss as if each device had a set of its own."""
  loss = make_loss(presets.get_loss('tversky'))
  rng = np.random.default_rng(0)
  logits = rng.normal(size=(8, 4, 3)).astype(np.float32)
  labels, where = rng.integers(0, 3, (8, 4)), np.ones((8, 4), bool)
  whole = first_value(loss)(logits, labels, where)
  spread = make_loss(presets.get_loss('tversky'), axis_name='x')
  together = jax.vmap(first_value(spread), axis_name='x')(
    *(x.reshape(4, 2, *x.shape[1:]) for x in (logits, labels, where))
  )
  np.testing.assert_allclose(together, whole, rtol=1e-6)
  value, arrays = first_value(loss), (logits, labels, where)
  apart = np.mean([value(*(x[i : i + 2] for x in arrays))
                   for i in range(0, 8, 2)])  # fmt: skip
  assert abs(apart - whole) > 1e-3


@pytest.mark.parametrize(
  'name',
  slow_except(['dice', 'focal'], ['dice', 'cross_entropy', 'jaccard', 'focal']),
)
@pytest.mark.parametrize(
  'axis', [None, pytest.param((), marks=pytest.mark.slow), 1]
)
def test_means_over_devices(name, axis):
  """Sets of a token, of a row and of the batch; rows without an element."""
  options = {'axis': axis} if name in ('dice', 'jaccard') else {}
  config = presets.get_loss('macro_dice')
  config.update(name=name, cross_entropy=0.5)
  config.options = options
  rng = np.random.default_rng(1)
  logits = rng.normal(size=(8, 4, 3)).astype(np.float32)
  labels, where = rng.integers(0, 3, (8, 4)), rng.random((8, 4)) < 0.5
  where[:3] = False
  args = logits, labels, where
  whole = jax.jit(first_value(make_loss(config)))(*args)
  loss = make_loss(config, axis_name='x')
  spread = jax.jit(jax.vmap(first_value(loss), axis_name='x'))
  together = spread(*(x.reshape(4, 2, *x.shape[1:]) for x in args))
  np.testing.assert_allclose(together, whole, rtol=1e-6)


def test_sets_that_cannot_be_spread():
  config = presets.get_loss('macro_dice')
  config.update(name='lovasz_softmax')
  config.options = {}
  assert 'lovasz_softmax' in losses.__all__
  make_loss(config)
  with pytest.raises(ValueError, match='lovasz_softmax has no sets over'):
    make_loss(config, axis_name='x')


@pytest.mark.slow
def test_two_processes_of_four_devices(tmp_path):
  with socket.socket() as free:
    free.bind(('localhost', 0))
    address = f'localhost:{free.getsockname()[1]}'
  here = pathlib.Path(__file__).parent
  environment = os.environ | {
    'JAX_PLATFORMS': 'cpu',
    'JAX_NUM_CPU_DEVICES': '4',
    'JAX_DEFAULT_MATMUL_PRECISION': 'highest',
    'PYTHONPATH': f'{here}{os.pathsep}{here.parent}',
  }
  processes = [
    subprocess.Popen(
      [sys.executable, here / 'parallel_worker.py', address, '2', str(i)]
      + [tmp_path / 'found'],
      env=environment,
      stderr=subprocess.PIPE,
      text=True,
    )
    for i in range(2)
  ]
  for process in processes:
    _, errors = process.communicate(timeout=300)
    assert process.returncode == 0, errors
  for i in range(2):
    with np.load(tmp_path / f'found-{i}.npz') as found:
      check_equal(dict(found), alone(LOSSES[0]))


def test_where_a_state_is():
  mesh = parallel.make_mesh(4)
  state = {
    'table': jax.ShapeDtypeStruct((1001, 64), np.float32),
    'kernel': jax.ShapeDtypeStruct((128, 512), np.float32),
    'bias': jax.ShapeDtypeStruct((512,), np.float32),
    'odd': jax.ShapeDtypeStruct((333, 333), np.float32),
  }
  shardings = parallel.shard_state(mesh, state)
  held = {n: shardings[n].shard_shape(x.shape) for n, x in state.items()}
  assert held == {
    'table': (1001, 16), 'kernel': (128, 128), 'bias': (512,), 'odd': (333, 333)
  }  # fmt: skip
  with pytest.raises(ValueError, match='divisor of .* devices, 8, not 3'):
    parallel.make_mesh(3)
  config = default.get_config()
  config.update(fsdp=4, parallel='pmap')
  with pytest.raises(ValueError, match="fsdp needs parallel='jit'"):
    settings.check(config)
  config.parallel = 'tpu'
  with pytest.raises(ValueError, match="'jit' or 'pmap', not 'tpu'"):
    settings.check(config)
  with pytest.raises(ValueError, match='--process together'):
    parallel.initialize('localhost:1', None, 0)
