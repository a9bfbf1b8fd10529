"""Runs that are killed, stopped, damaged or short of disk lose no bit."""

import copy
import gc
import json
import os
import pathlib
import random
import re
import resource
import shutil
import signal
import subprocess
import sys
import time
import zlib

import chex
import jax
import jax.numpy as jnp
import numpy as np
import orbax.checkpoint as ocp
import pytest
from helpers import ROOT
from helpers import make_config
from helpers import slow_except

from train import checkpoint
from train import inference
from train import interrupts
from train import progress
from train import report
from train import step
from train import workdir as files
from train.trainer import Trainer

pytestmark = [
  # Orbax leaves what it was reading when another array could not be read.
  pytest.mark.filterwarnings('ignore::pytest.PytestUnraisableExceptionWarning'),
  pytest.mark.usefixtures('one_device'),
]


@pytest.fixture(scope='module', autouse=True)
def collect():
  yield
  # What damage leaves open is noticed here, not in the tests of another file.
  gc.collect()


# Runs the program, but keeps all of its last checkpoints: their arrays are
# compared, those of the optimizer too.
KEEPING = (
  'import runpy\nfrom train import checkpoint\n'
  'checkpoint.keep_best = lambda *_: None\n'
  "runpy.run_module('train', run_name='__main__', alter_sys=True)\n"
)


@pytest.fixture(scope='module', autouse=True)
def keep_all():
  with pytest.MonkeyPatch.context() as patch:
    patch.setattr(checkpoint, 'keep_best', lambda *_: None)
    yield


def final_state(workdir):
  """Returns all arrays of the last checkpoint, as orbax reads them."""
  manager = checkpoint.open_checkpoints(
    workdir / files.CHECKPOINTS, read_only=True
  )
  everything = ocp.args.StandardRestore()
  found = manager.restore(
    manager.latest_step(),
    args=ocp.args.Composite(params=everything, rest=everything),
  )
  manager.close()
  return manager.latest_step(), found.params, found.rest


def assert_same_end(workdir, whole):
  chex.assert_trees_all_equal(final_state(workdir), final_state(whole))
  ours, theirs = (
    json.loads((path / 'results.json').read_text()) for path in (workdir, whole)
  )
  assert ours | {'seconds': 0} == theirs | {'seconds': 0}


def saved_steps(workdir):
  directory = workdir / files.CHECKPOINTS
  return sorted(int(p.name) for p in directory.iterdir() if p.name.isdecimal())


# Processes.


def write_config(config, path):
  path.write_text(
    'import json\nfrom ml_collections import config_dict\n'
    f'text = {config.to_json()!r}\n'
    'def get_config():\n'
    '  return config_dict.ConfigDict(json.loads(text)).lock()\n'
  )
  return path


def until_step(process, number):
  """Reads up to a step from `number` on; returns it, or 0 at the end."""
  for line in process.stdout:
    if found := re.match(r'step (\d+)/', line):
      if int(found[1]) >= number:
        return int(found[1])
  return 0


@pytest.mark.slow
def test_killed_stopped_and_full_it_ends_with_the_same_bits(tmp_path):
  config = make_config(tmp_path, 'running_dice')
  config.update(log_every=1, epochs=10, checkpoint_every=10)
  assert config.model.dropout  # Otherwise the test would not depend on chance.
  file = write_config(config, tmp_path / 'config.py')
  whole, workdir = tmp_path / 'whole', tmp_path / 'disturbed'
  command = [sys.executable, '-c', KEEPING, f'--config={file}']
  popen = {
    'cwd': ROOT,
    'env': os.environ | {'JAX_PLATFORMS': 'cpu'},
    'stdout': subprocess.PIPE,
    'stderr': subprocess.PIPE,
    'text': True,
  }
  done = subprocess.run([*command, f'--workdir={whole}'], **popen)
  assert done.returncode == 0, done.stderr

  rng, start = random.Random(0), 0
  for number in [signal.SIGKILL] * 2 + [signal.SIGTERM]:
    with subprocess.Popen([*command, f'--workdir={workdir}'], **popen) as run:
      # The first line names the loss.
      line = start and run.stdout.readline() + run.stdout.readline()
      told = until_step(run, start + rng.randint(11, 20))
      time.sleep(0.05 * rng.random())
      run.send_signal(number)
      last = until_step(run, 10**9) or told
      error = run.stderr.read()
    if start:
      assert f'goes on from step {start} of 120' in line
    steps = saved_steps(workdir)
    assert told and len(steps) <= 4 and not (workdir / 'results.json').exists()
    if number == signal.SIGKILL:
      assert run.returncode == -signal.SIGKILL
      # Only the one that was being written may be lost.
      assert steps[-1] >= (last - 1) // 10 * 10 - 10
    else:
      assert run.returncode == 75
      told = f'Stopped after step {steps[-1]}. '
      assert error == f'{told}The same command goes on from there.\n'
    start = steps[-1]

  # Parameters alone are larger than any file may be now.
  full = subprocess.run(
    [*command, f'--workdir={workdir}'],
    preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (2**15,) * 2),
    **popen,
  )
  assert full.returncode == 1
  (line,) = full.stderr.splitlines()
  assert line.startswith('error: ') and 'could not be written' in line
  assert saved_steps(workdir) == steps

  done = subprocess.run([*command, f'--workdir={workdir}'], **popen)
  assert done.returncode == 0, done.stderr
  assert f'goes on from step {start} of 120' in done.stdout
  # Saves that were cut short leave nothing behind.
  assert not list(workdir.glob('checkpoints/*tmp*'))
  assert_same_end(workdir, whole)


def test_another_process_is_refused(tmp_path):
  workdir = tmp_path / 'run'
  code = (
    'import pathlib\nfrom train import workdir\n'
    f'with workdir.locked(pathlib.Path({str(workdir)!r})):\n'
    '  print("locked", flush=True)\n  input()\n'
  )
  with subprocess.Popen(
    [sys.executable, '-c', code],
    cwd=ROOT,
    stdin=subprocess.PIPE,
    stdout=subprocess.PIPE,
    text=True,
  ) as other:
    assert other.stdout.readline() == 'locked\n'
    config = make_config(tmp_path)
    with pytest.raises(FileExistsError, match=rf'by process {other.pid} on '):
      Trainer(config, workdir)
    names = sorted(path.name for path in workdir.iterdir())
    assert names == [files.HOLDER, files.LOCK]
    other.kill()
  # The kernel released the lock of the killed process; the second time, this
  # process released its own.
  for _ in range(2):
    with files.locked(workdir):
      assert f'process {os.getpid()} ' in (workdir / files.HOLDER).read_text()
  run = Trainer(config, workdir)
  with (
    files.locked(workdir),
    pytest.raises(FileExistsError, match=rf'by process {os.getpid()} on '),
  ):
    run.train()


def test_no_lock_is_left_where_there_is_no_run(tmp_path):
  workdir = tmp_path / 'photos'
  workdir.mkdir()
  (workdir / 'cat.jpg').touch()
  with pytest.raises(FileExistsError, match='holds no run'):
    Trainer(make_config(tmp_path), workdir)
  assert [path.name for path in workdir.iterdir()] == ['cat.jpg']


def test_where_nothing_can_be_written(tmp_path):
  workdir = pathlib.Path('/sys/run')  # Even root cannot write.
  with pytest.raises(OSError, match=f"'{workdir}'"):
    Trainer(make_config(tmp_path), workdir)
  (tmp_path / files.METRICS).symlink_to('/dev/full')
  with (
    progress.Progress(tmp_path, 0, 1) as shown,
    pytest.raises(OSError, match='No space left on device: .*metrics.jsonl'),
  ):
    shown.advance({'loss': jnp.float32(1)}, 8)
    shown.log(1)


# Damage.


@pytest.fixture(scope='module')
def runs(tmp_path_factory):
  """A trainer, its final workdir, and its workdir as of step 17."""
  tmp_path = tmp_path_factory.mktemp('runs')
  stopped = tmp_path / 'stopped'
  run = Trainer(make_config(tmp_path, 'running_dice'), tmp_path / 'whole')
  shutil.copytree(run.workdir, stopped)

  def step(state, batch):
    if int(state.step) == 16:
      signal.raise_signal(signal.SIGINT)
    return run.step(state, batch)

  with pytest.raises(interrupts.Stopped, match='after step 17') as raised:
    vary(run, workdir=stopped, step=step).train()
  assert raised.value.code == 130
  assert saved_steps(stopped) == [12, 15, 17]
  run.train()
  return run, run.workdir, stopped


def vary(run, **attributes):
  """Copies a trainer, with other attributes."""
  other = copy.copy(run)
  vars(other).update(attributes)
  return other


def largest(directory):
  return max(directory.rglob('*'), key=lambda path: path.stat().st_size)


def flip(path):
  data = bytearray(path.read_bytes())
  data[len(data) // 2] ^= 16
  path.write_bytes(data)


def test_a_damaged_checkpoint_is_told_and_made_again(runs, tmp_path, capsys):
  run, whole, stopped = runs
  workdir = tmp_path / 'run'
  shutil.copytree(stopped, workdir)
  flip(largest(workdir / 'checkpoints' / '17' / 'params'))
  # All data, because the store may no longer refer to the largest file.
  for path in (workdir / 'checkpoints' / '15' / 'rest').rglob('d/*'):
    path.unlink()
  vary(run, workdir=workdir).train()
  out = capsys.readouterr().out
  assert re.search(r'checkpoints/17 is damaged: .*\. 12 is used instead\.', out)
  assert re.search(r'checkpoints/15 is damaged: .*\. 12 is used instead\.', out)
  assert 'goes on from step 12 of 24' in out
  assert_same_end(workdir, whole)


def test_a_damaged_best_is_not_used(runs, tmp_path, monkeypatch):
  run, _, stopped = runs
  workdir = tmp_path / 'run'
  shutil.copytree(stopped, workdir)
  assert inference.load_run(workdir).step == 12
  flip(largest(workdir / 'checkpoints' / '12' / 'params'))
  with pytest.raises(ValueError, match='checkpoints/12 is damaged: '):
    inference.load_run(workdir)
  monkeypatch.setattr(report, 'headline_score', lambda *_: -1.0)
  with pytest.raises(ValueError, match='checkpoints/12 is damaged: '):
    vary(run, workdir=workdir).train()
  assert not (workdir / files.RESULTS).exists()


def small_state(number):
  rng = np.random.default_rng(number)
  params = {
    'kernel': rng.normal(size=(40, 30)).astype(np.float32),
    'bias': jnp.asarray(rng.normal(size=5), jnp.bfloat16),
  }
  opt_state = np.int32(number), rng.normal(size=7).astype(np.float32)
  where = jax.sharding.SingleDeviceSharding(jax.devices()[0])
  running = rng.normal(size=3).astype(np.float32)
  state = step.TrainState(np.int32(number), params, opt_state, running)
  return jax.device_put(state, where)


def save_small(directory, scores):
  manager = checkpoint.open_checkpoints(directory)
  for number, score in scores.items():
    checkpoint.save(manager, small_state(number), {'tuned': {}}, score)
  checkpoint.wait(manager)
  manager.close()


@pytest.mark.parametrize(
  'kind',
  [
    *(pytest.param(k, marks=pytest.mark.slow) for k in ('missing', 'emptied')),
    pytest.param('cut', marks=pytest.mark.slow),
    'flipped',
  ],
)
def test_any_damage_is_told_or_does_no_harm(tmp_path, kind, capsys):
  sound, directory = tmp_path / 'sound', tmp_path / 'checkpoints'
  save_small(sound, {1: 0.5, 2: None, 3: 0.4, 4: None})
  assert sorted(p.name for p in sound.iterdir() if p.name.isdecimal()) == [
    '1', '3', '4'
  ]  # fmt: skip
  told = set()
  for path in sorted((sound / '4').rglob('*')):
    if path.is_dir() or not path.stat().st_size or 'rest' in path.parts:
      continue  # All parts are saved in the same way.
    shutil.rmtree(directory, ignore_errors=True)
    shutil.copytree(sound, directory)
    victim = directory / path.relative_to(sound)
    if kind == 'missing':
      victim.unlink()
    elif kind == 'flipped':
      flip(victim)
    else:
      size = path.stat().st_size // 2 if kind == 'cut' else 0
      victim.write_bytes(path.read_bytes()[:size])
    manager = checkpoint.open_checkpoints(directory)
    state, meta = checkpoint.restore(manager, small_state(0))
    number = int(state.step)
    chex.assert_trees_all_equal(state, small_state(number))
    out = capsys.readouterr().out
    assert out.count('3 is used instead.') == (number == 3)
    if number == 3:
      told.add(path.relative_to(sound / '4').parts[0])
      checkpoint.save(manager, small_state(4), meta)
    checkpoint.save(manager, small_state(5), meta)
    checkpoint.wait(manager)
    assert set(manager.all_steps()) == {1, 4, 5} and manager.best_step() == 1
    state, _ = checkpoint.restore(manager, small_state(0))
    chex.assert_trees_all_equal(state, small_state(5))
    manager.close()
  assert told == {'meta', 'params'}


def test_all_are_damaged(tmp_path):
  save_small(tmp_path, {1: 0.5, 2: None, 3: 0.4, 4: None})
  for number in ('1', '3', '4'):
    (tmp_path / number / 'params' / 'manifest.ocdbt').write_bytes(b'')
  before = {p: p.read_bytes() for p in tmp_path.rglob('*') if p.is_file()}
  manager = checkpoint.open_checkpoints(tmp_path)
  with pytest.raises(ValueError, match='4 is damaged: .* No other one is who'):
    checkpoint.restore(manager, small_state(0))
  assert before == {p: p.read_bytes() for p in before}


def test_zeros_for_a_missing_part_are_seen(tmp_path):
  """The store reads a missing chunk as zeros, without an error."""
  save_small(tmp_path, {1: 0.5})
  manager = checkpoint.open_checkpoints(tmp_path, read_only=True)
  read = manager.restore

  def lossy(number, args):
    found = read(number, args=args)
    if 'params' in found:
      found['params']['kernel'] = found['params']['kernel'].at[20:, 15:].set(0)
    return found

  manager.restore = lossy
  with pytest.raises(ValueError, match="checksum of 'params' does not"):
    checkpoint.restore(manager, small_state(0))
  like = jax.tree.map(checkpoint.abstract, small_state(0).params)
  with pytest.raises(ValueError, match="checksum of 'params' does not"):
    checkpoint.restore_params(manager, 1, like)


@pytest.mark.parametrize(
  'scores, best, kept',
  [
    ([0.1, 0.3, None, 0.2, None], 2, {2, 4, 5}),
    ([0.1, 0.3, 0.3, None, 0.2, None], 3, {3, 5, 6}),  # The later of equals.
    ([None, None, None], None, {2, 3}),
    ([None, 0.0, None, None], 2, {2, 3, 4}),
    ([0.5, 0.1], 1, {1, 2}),
  ],
)
def test_the_latest_two_and_the_best_are_kept(tmp_path, scores, best, kept):
  """The same holds if each is saved by a process of its own."""
  scores = dict(enumerate(scores, start=1))
  save_small(tmp_path / 'one', scores)
  for number, score in scores.items():
    manager = checkpoint.open_checkpoints(tmp_path / 'many')
    checkpoint.restore(manager, small_state(0))
    checkpoint.save(manager, small_state(number), {}, score)
    checkpoint.wait(manager)
    manager.close()
  for directory in tmp_path.iterdir():
    manager = checkpoint.open_checkpoints(directory, read_only=True)
    assert set(manager.all_steps()) == kept
    assert manager.best_step() == best


def numpy_checksum(tree):
  """Computes the formula in Python's integers."""
  sums = []
  for x in jax.tree.leaves(tree):
    x = np.asarray(x)
    size = min(x.dtype.itemsize, 4)
    bits = np.frombuffer(x.tobytes(), f'<u{size}').astype(object)
    sums.append(
      int((bits * (2 * np.arange(bits.size, dtype=object) + 1)).sum())
    )
  return zlib.crc32(np.array([s % 2**32 for s in sums], '<u4').tobytes())


@pytest.mark.parametrize(
  'dtype', 'bool uint8 int8 int32 float16 bfloat16 float32 float64'.split()
)
@pytest.mark.parametrize(
  'shape', slow_except([(5,), (8, 16)], [(), (5,), (8, 16), (16, 3, 8)])
)
def test_checksum(dtype, shape):
  rng = np.random.default_rng(0)
  with jax.enable_x64(dtype == 'float64'):
    x = jnp.asarray(rng.normal(size=shape) * 9, dtype)
    assert x.dtype == dtype
    right = numpy_checksum([x])
    assert checkpoint.checksum([x]) == right
    mesh = jax.make_mesh((8,), ('data',))
    for axis in range(len(shape)):
      if shape[axis] % 8 == 0:
        spec = jax.sharding.PartitionSpec(*[None] * axis, 'data')
        spread = jax.device_put(x, jax.NamedSharding(mesh, spec))
        assert checkpoint.checksum([spread]) == right
    for _ in range(20):
      data = bytearray(np.asarray(x).tobytes())
      bit = 0 if dtype == 'bool' else rng.integers(8)
      data[rng.integers(len(data))] ^= 1 << bit
      other = np.frombuffer(bytes(data), x.dtype).reshape(shape)
      assert checkpoint.checksum([jnp.asarray(other)]) != right


def test_checksum_of_trees():
  x, y = jnp.zeros(3), jnp.ones(3)
  trees = [[x, y], [y, x], [x, y, y], [x], []]
  assert len({checkpoint.checksum(tree) for tree in trees}) == len(trees)
  for tree in trees:
    assert checkpoint.checksum(tree) == numpy_checksum(tree)


# Losses and gradients that are not finite.


@pytest.mark.parametrize('name', ['loss', 'grad_norm'])
def test_what_is_not_finite_is_named(tmp_path, name):
  config = make_config(tmp_path)
  run = Trainer(config, tmp_path / 'run')
  rows = []

  def step(state, batch):
    state, metrics = run.step(state, batch)
    if int(state.step) == 7:
      rows.extend(zip(batch['tokens'], batch['mask'], strict=True))
      metrics[name] = jnp.float32(jnp.inf)
    return state, metrics

  with pytest.raises(FloatingPointError) as raised:
    vary(run, step=step).train()
  loss, norm, number, lines, saved = re.fullmatch(
    r'The loss is (\S+) and the norm of its gradient (\S+) in step (\d+), on '
    r'(line .*) of the training split. Nothing was saved after the checkpoint '
    r'of step (\d+)\.',
    str(raised.value),
  ).groups()
  assert {'loss': loss, 'grad_norm': norm}[name] == 'inf'
  assert (number, saved) == ('7', '5') and saved_steps(run.workdir) == [5]
  named = [int(line.removeprefix('line ')) for line in lines.split(', ')]
  text = (pathlib.Path(config.data.dir) / 'train.txt').read_text().split('\n')
  tokens = {
    example.line: feature['tokens'].tolist()
    for example, feature in zip(
      run.examples['train'], run.features['train'], strict=True
    )
  }
  assert sorted(tokens[line] for line in named) == sorted(
    row[mask].tolist() for row, mask in rows if mask.any()
  )
  assert all(text[line - 1] == 'We O' for line in named)


# Signals.


@pytest.mark.parametrize('number', [signal.SIGINT, signal.SIGTERM])
def test_the_second_signal_is_not_held(number):
  class Second(Exception):
    pass

  def handler(*_):
    raise Second

  before = signal.signal(number, handler)
  try:
    with pytest.raises(Second), interrupts.held() as signals:
      signal.raise_signal(number)
      assert signals == [number]
      signal.raise_signal(number)
    assert signal.getsignal(number) is handler
    with interrupts.held():
      pass
    assert signal.getsignal(number) is handler
  finally:
    signal.signal(number, before)
