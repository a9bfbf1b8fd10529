"""Kills, stops and damages training runs, which must end with the same bits.

  python benchmarks/faults.py
  python benchmarks/faults.py --kills=50 --seed=1 --keep=DIR

Run it from the repository root; it takes a quarter of an hour on two CPU cores.
A small tagger with dropout trains on synthetic sentences, with 20 steps per
kill and a checkpoint every 10 steps. One run is not disturbed. The others
suffer, in turn:

- SIGKILL at a random time after the start, after a random step, or while a
  checkpoint is written. The same command continues each time. At most the steps
  since the last checkpoint may be lost, and the checkpoint that was being
  written.
- SIGTERM, with exit code 75.
- A file of the latest checkpoint that is missing, cut, emptied, or has one bit
  flipped; or a file of each checkpoint that is cut.
- A second process in the same workdir.
- A full disk and a read-only disk: a small tmpfs, if this process may mount
  one.

Runs that can continue must end with the same bits as the undisturbed run:
parameters, optimizer state, scores. Runs that cannot must say why in one line.
The exit code is 1 if any of this fails.
"""

import argparse
import collections
import contextlib
import json
import os
import pathlib
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator

# Imports the program of this tree, not an installed one.
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

import jax
import numpy as np
import orbax.checkpoint as ocp
from absl import logging

from train import checkpoint

ROOT = pathlib.Path(__file__).resolve().parents[1]
EVERY = 10  # Steps between checkpoints.
STEPS_PER_KILL = 20
BATCH_SIZE = 16
EPOCHS = 4
CORPUS = 'config.data.synthetic.sentences'


class Trainer:
  """Runs the training command in a workdir."""

  def __init__(self, steps: int):
    self.steps = steps
    settings = {
      'config.data.format': 'synthetic',
      f'{CORPUS}.train': steps // EPOCHS * BATCH_SIZE,
      f'{CORPUS}.dev': 200,
      f'{CORPUS}.test': 200,
      'config.data.synthetic.imbalance': 10.0,
      'config.model.scratch.hidden_size': 64,
      'config.model.scratch.intermediate_size': 256,
      'config.optimizer.learning_rate': 1e-3,
      'config.batch_size': BATCH_SIZE,
      'config.epochs': EPOCHS,
      'config.log_every': 1,
      'config.checkpoint_every': EVERY,
    }
    flags = [f'--{name}={value}' for name, value in settings.items()]
    config = '--config=configs/default.py:cross_entropy'
    self._command = [sys.executable, '-m', 'train', config, *flags]

  def start(self, workdir: pathlib.Path) -> subprocess.Popen:
    return subprocess.Popen(
      [*self._command, f'--workdir={workdir}'],
      cwd=ROOT,
      stdout=subprocess.PIPE,
      stderr=subprocess.PIPE,
      text=True,
    )

  def run(self, workdir: pathlib.Path) -> tuple[int, str, str]:
    """Returns exit code, standard output and standard error."""
    with self.start(workdir) as process:
      out, error = process.communicate()
    return process.returncode, out, error


class Tally:
  """Counts how often the program handled each fault correctly."""

  def __init__(self):
    self._right = collections.Counter()
    self._all = collections.Counter()
    self._notes = {}

  def count(self, fault: str, right: bool, note: str = '') -> None:
    self._all[fault] += 1
    self._right[fault] += bool(right)
    if note:
      self._notes[fault] = note
    verdict = 'as expected' if right else 'WRONG'
    print(f'{fault}: {verdict} {note}', flush=True)

  def skip(self, fault: str, note: str) -> None:
    self._all[fault] += 0
    self._notes[fault] = f'not tried: {note}'

  def report(self) -> bool:
    """Prints a table; returns whether everything was as expected."""
    print('\n| fault | tried | as expected | |\n|---|---|---|---|')
    for fault, number in self._all.items():
      note = self._notes.get(fault, '')
      print(f'| {fault} | {number} | {self._right[fault]} | {note} |')
    return self._right == self._all


def saved_steps(workdir: pathlib.Path) -> list[int]:
  directory = workdir / 'checkpoints'
  if not directory.is_dir():
    return []
  return sorted(int(p.name) for p in directory.iterdir() if p.name.isdecimal())


def printed_steps(output: str) -> list[int]:
  return [int(number) for number in re.findall(r'^step (\d+)/', output, re.M)]


def read_until(process: subprocess.Popen, step: int) -> str:
  """Returns the output until it reports that step, or ends."""
  lines = []
  for line in process.stdout:
    lines.append(line)
    if (printed_steps(line) or [0])[0] >= step:
      break
  return ''.join(lines)


def same_end(workdir: pathlib.Path, whole: pathlib.Path) -> bool:
  """Tests whether two runs ended with the same bits and scores."""
  ends = []
  for path in (workdir, whole):
    if not (path / 'results.json').is_file():
      return False
    manager = checkpoint.open_checkpoints(path / 'checkpoints', read_only=True)
    everything = ocp.args.StandardRestore()
    args = ocp.args.Composite(params=everything, rest=everything)
    found = manager.restore(manager.latest_step(), args=args)
    manager.close()
    leaves = jax.tree.leaves_with_path((found.params, found.rest))
    arrays = [(str(name), np.asarray(x)) for name, x in leaves]
    bits = [(name, x.dtype, x.shape, x.tobytes()) for name, x in arrays]
    results = json.loads((path / 'results.json').read_text())
    ends.append((saved_steps(path), bits, results | {'seconds': None}))
  return ends[0] == ends[1]


def continues(trainer, workdir, whole) -> tuple[bool, str]:
  """Tests whether a run ends like the undisturbed one; also its output."""
  code, out, error = trainer.run(workdir)
  return code == 0 and same_end(workdir, whole), out + error


def says_why(code: int, error: str, pattern: str) -> bool:
  lines = error.splitlines()
  return code == 1 and len(lines) == 1 and bool(re.search(pattern, error))


def kill_at_random(trainer, workdir, rng, moment, usual) -> tuple[bool, str]:
  """Starts the command and kills it.

  Args:
    moment: 'time', 'step' or 'save'.
    usual: seconds from the start to the first step.

  Returns:
    Whether no more was lost than allowed, and a note.
  """
  before = (saved_steps(workdir) or [0])[-1]
  process = trainer.start(workdir)
  out = ''
  if moment == 'time':
    time.sleep(rng.uniform(0, 1.3 * usual))
  else:
    out = read_until(process, before + rng.randint(1, STEPS_PER_KILL))
    if moment == 'step':
      time.sleep(rng.uniform(0, 0.05))
    else:
      while process.poll() is None:
        if list(workdir.glob('checkpoints/*tmp*')):
          time.sleep(rng.uniform(0, 0.02))
          break
  saving = bool(list(workdir.glob('checkpoints/*tmp*')))
  process.send_signal(signal.SIGKILL)
  rest, _ = process.communicate()
  steps = saved_steps(workdir)
  last = max(printed_steps(out + rest), default=before)
  # A save only begins after the one before has ended.
  least = max(before, (last - 1) // EVERY * EVERY - EVERY)
  found = (steps or [0])[-1]
  note = f'after step {last}, {found} is saved'
  if saving:
    note += ', killed during a save'
  return process.returncode == -signal.SIGKILL and found >= least, note


def try_kills(trainer, workdir, whole, kills, rng, usual, tally) -> None:
  moments = ['time', 'step', 'save']
  names = {
    'time': 'SIGKILL at a random time',
    'step': 'SIGKILL after a random step',
    'save': 'SIGKILL while saving',
  }
  for i in range(kills):
    if (workdir / 'results.json').is_file():
      tally.skip('the other kills', 'the run had ended')
      break
    moment = moments[i % len(moments)]
    right, note = kill_at_random(trainer, workdir, rng, moment, usual)
    tally.count(names[moment], right)
    print(f'  {note}')
  right, _ = continues(trainer, workdir, whole)
  tally.count('the same bits after all kills', right)
  left = list(workdir.glob('checkpoints/*tmp*'))
  tally.count('no remains of killed saves', not left)


def try_sigterm(trainer, workdir, tally) -> None:
  process = trainer.start(workdir)
  read_until(process, trainer.steps - 2 * EVERY - 3)
  process.send_signal(signal.SIGTERM)
  _, error = process.communicate()
  last = saved_steps(workdir)[-1]
  right = process.returncode == 75 and f'after step {last}.' in error
  tally.count('SIGTERM', right, f'exit code {process.returncode}')


def damage(path: pathlib.Path, kind: str) -> None:
  data = bytearray(path.read_bytes())
  if kind == 'missing':
    path.unlink()
    return
  if kind == 'flipped bit':
    data[len(data) // 2] ^= 16
  path.write_bytes(data[: {'cut': len(data) // 2, 'emptied': 0}.get(kind)])


def largest(directory: pathlib.Path) -> pathlib.Path:
  return max(directory.rglob('*'), key=lambda path: path.stat().st_size)


def try_damage(trainer, stopped, whole, scratch, tally) -> None:
  last = saved_steps(stopped)[-1]
  for kind in ('missing', 'cut', 'emptied', 'flipped bit'):
    for item in ('params', 'rest', 'meta'):
      workdir = scratch / f'{kind}-{item}'.replace(' ', '-')
      shutil.copytree(stopped, workdir)
      damage(largest(workdir / 'checkpoints' / str(last) / item), kind)
      right, text = continues(trainer, workdir, whole)
      reported = re.search(rf'/{last} is damaged: .* is used instead\.', text)
      tally.count(f'damaged checkpoint: {kind}', right and bool(reported))
      shutil.rmtree(workdir)
  workdir = scratch / 'all'
  shutil.copytree(stopped, workdir)
  for step in saved_steps(workdir):
    damage(largest(workdir / 'checkpoints' / str(step) / 'params'), 'cut')
  code, _, error = trainer.run(workdir)
  right = saved_steps(workdir) == saved_steps(stopped)
  right = right and says_why(code, error, 'No other one is whole')
  tally.count('all checkpoints damaged: reported, none deleted', right)


def try_second(trainer, workdir, whole, tally) -> None:
  first = trainer.start(workdir)
  read_until(first, 1)
  code, _, error = trainer.run(workdir)
  right = says_why(code, error, f'in use by process {first.pid} on ')
  first.communicate()
  tally.count('second process', right and same_end(workdir, whole))


@contextlib.contextmanager
def tmpfs(path: pathlib.Path, size: int) -> Iterator[None]:
  """Mounts a tmpfs; raises PermissionError if that is not allowed."""
  path.mkdir()
  command = ['mount', '-t', 'tmpfs', '-o', f'size={size}', 'tmpfs', str(path)]
  done = subprocess.run(command, capture_output=True, text=True)
  if done.returncode:
    raise PermissionError(done.stderr.strip())
  try:
    yield
  finally:
    subprocess.run(['umount', str(path)], check=True)


def bytes_in(directory: pathlib.Path) -> int:
  """Returns the size of a directory on a disk with blocks of 4 KiB."""
  sizes = [path.stat().st_size for path in directory.rglob('*')]
  return sum(-(-size // 4096) * 4096 for size in sizes)


def try_disks(trainer, stopped, whole, scratch, tally) -> None:
  last = saved_steps(stopped)[-1]
  checkpoint_bytes = bytes_in(stopped / 'checkpoints' / str(last))
  room = bytes_in(stopped) + checkpoint_bytes // 2
  disk, after = scratch / 'disk', scratch / 'after'
  try:
    with tmpfs(disk, room):
      shutil.copytree(stopped, disk / 'run')
      code, _, error = trainer.run(disk / 'run')
      right = says_why(code, error, 'could not be written: .*No space left')
      right = right and saved_steps(disk / 'run') == saved_steps(stopped)
      shutil.copytree(disk / 'run', after)
      command = ['mount', '-o', 'remount,ro', str(disk)]
      subprocess.run(command, check=True)
      code, _, error = trainer.run(disk / 'run')
      read_only = says_why(code, error, 'Read-only file system')
  except PermissionError as error:
    tally.skip('full disk', str(error))
    code, _, error = trainer.run(pathlib.Path('/sys/run'))
    tally.count('no place to write', says_why(code, error, '/sys/run'))
    return
  right = right and continues(trainer, after, whole)[0]
  tally.count('full disk', right, f'tmpfs of {room / 2**20:.1f} MiB')
  tally.count('read-only disk', read_only)


def main() -> None:
  parser = argparse.ArgumentParser(
    description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
  )
  parser.add_argument('--kills', type=int, default=20, help='default 20')
  parser.add_argument(
    '--seed', type=int, default=0, help='seed of the random times'
  )
  parser.add_argument(
    '--keep',
    type=pathlib.Path,
    metavar='DIR',
    help='directory in which to keep the runs',
  )
  args = parser.parse_args()
  logging.set_verbosity(logging.FATAL)
  rng, tally = random.Random(args.seed), Tally()
  steps = -(-args.kills * STEPS_PER_KILL // EPOCHS // EVERY) * EVERY * EPOCHS
  trainer = Trainer(max(steps, 2 * EPOCHS * EVERY))
  if args.keep:
    args.keep.mkdir(parents=True)  # Raises if it exists.
  with contextlib.ExitStack() as stack:
    scratch = args.keep or pathlib.Path(
      stack.enter_context(tempfile.TemporaryDirectory())
    )
    cores = os.cpu_count()
    print(f'{cores} cores, load {os.getloadavg()[0]:.1f}, seed {args.seed}')
    whole = scratch / 'whole'
    began = time.monotonic()
    process = trainer.start(whole)
    read_until(process, 1)
    usual = time.monotonic() - began
    _, error = process.communicate()
    if process.returncode:
      sys.exit(error)
    print(
      f'undisturbed: {trainer.steps} steps, {time.monotonic() - began:.0f} s, '
      f'the first step after {usual:.0f} s',
      flush=True,
    )
    kills = scratch / 'kills'
    try_kills(trainer, kills, whole, args.kills, rng, usual, tally)
    stopped = scratch / 'stopped'
    try_sigterm(trainer, stopped, tally)
    try_damage(trainer, stopped, whole, scratch, tally)
    try_disks(trainer, stopped, whole, scratch, tally)
    try_second(trainer, stopped, whole, tally)
    right = tally.report()
    print(f'{time.monotonic() - began:.0f} s in total')
  sys.exit(0 if right else 1)


if __name__ == '__main__':
  main()
