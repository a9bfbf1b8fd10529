"""The directory of a run: the names of its files, its lock, and its owner."""

import contextlib
import hashlib
import json
import os
import pathlib
import socket
from collections.abc import Collection
from collections.abc import Iterator
from collections.abc import Mapping
from typing import Any

import filelock
from ml_collections import config_dict

from train import older
from train.data.files import read_json

LOCK = 'lock'  # Locked by the process that trains.
# Names that process. On Windows nobody else can read a locked file, and some
# versions of filelock empty the file before they know that it is locked.
HOLDER = 'holder'
CONFIG = 'config.json'  # Written last: it says that the run can start.
DATA = 'data.json'  # Digests of the splits and the labels.
TOKENIZER = 'tokenizer.json'
CORPUS = 'corpus'
ENCODER = 'encoder'  # A copy of the published weights, if they are frozen.
CHECKPOINTS = 'checkpoints'
METRICS = 'metrics.jsonl'
PREDICTIONS = 'predictions'
RESULTS = 'results.json'
REPORT = 'report.html'
SWEEP = 'results.jsonl'  # One line per run of a sweep.

# Files that a run may leave if it stops before its config is written.
_LEFTOVERS = {LOCK, HOLDER, DATA, TOKENIZER, CORPUS, ENCODER}


def find_config(workdir: pathlib.Path) -> pathlib.Path:
  """Finds the config of the run in a workdir.

  Raises:
    FileNotFoundError: the workdir holds no run.
  """
  path = workdir / CONFIG
  if not path.is_file():
    raise FileNotFoundError(f'{workdir} holds no run: there is no {path}.')
  return path


def check_experiment(
  workdir: pathlib.Path,
  config: config_dict.ConfigDict,
  leftovers: Collection[str] = (),
) -> None:
  """Checks that a workdir is new, empty or holds this very experiment.

  Args:
    workdir: the directory, which need not exist.
    config: the experiment.
    leftovers: names that may also be there before the config is written.

  Raises:
    FileExistsError: the workdir holds another experiment, or other files.
  """
  path = workdir / CONFIG
  if path.is_file():
    theirs, ours = map(
      older.without_added, (read_json(path), json.loads(config.to_json()))
    )
    if theirs != ours:
      raise FileExistsError(
        f'{workdir} holds another experiment: {difference(theirs, ours)}. '
        'Choose another --workdir.'
      )
  elif workdir.exists():
    names = {entry.name for entry in workdir.iterdir()}
    if names - _LEFTOVERS - set(leftovers):
      raise FileExistsError(
        f'{workdir} is not empty and holds no run. Choose another --workdir.'
      )


@contextlib.contextmanager
def locked(workdir: pathlib.Path) -> Iterator[None]:
  """Context: this process alone uses the workdir, which is made if it is new.

  The operating system releases the lock of a process that is killed.

  Raises:
    FileExistsError: another process uses it.
  """
  workdir.mkdir(parents=True, exist_ok=True)
  holder = workdir / HOLDER
  try:
    lock = filelock.FileLock(workdir / LOCK).acquire(timeout=0)
  except filelock.Timeout:
    name = holder.read_text('utf-8') if holder.is_file() else 'another process'
    raise FileExistsError(
      f'{workdir} is in use by {name}. Wait for it, or choose another '
      '--workdir.'
    ) from None
  with lock:
    write_whole(holder, f'process {os.getpid()} on {socket.gethostname()}')
    yield


def check_data(workdir: pathlib.Path, parts: Mapping[str, Any]) -> None:
  """Records digests of the splits and the labels, or compares them.

  Args:
    workdir: the directory of the run, which compares if it has a config.
    parts: examples by split, and the labels.

  Raises:
    FileExistsError: the workdir holds a run on other data.
  """
  digests = {
    name: hashlib.sha256(json.dumps(part).encode()).hexdigest()
    for name, part in parts.items()
  }
  if not (workdir / CONFIG).is_file():
    write_whole(workdir / DATA, json.dumps(digests, indent=2))
    return
  theirs = read_json(workdir / DATA)
  if changed := [n for n in digests if digests[n] != theirs.get(n)]:
    raise FileExistsError(
      f'{workdir} holds a run on other data: {", ".join(changed)} changed '
      'since. Choose another --workdir.'
    )


def write_whole(path: pathlib.Path, text: str) -> None:
  """Writes a text file that is whole or not there at all."""
  part = path.with_name(f'{path.name}.part')
  with part.open('w', encoding='utf-8') as file:
    file.write(text)
    # Else a power cut could leave an empty file under the final name.
    file.flush()
    os.fsync(file.fileno())
  os.replace(part, path)


def difference(theirs: Mapping, ours: Mapping, prefix: str = '') -> str:
  """Names the first setting that differs, with both of its values.

  Args:
    theirs: settings, which must differ from `ours`.
    ours: settings to compare with.
    prefix: what the keys of nested settings begin with.
  """
  for key in sorted(theirs.keys() | ours.keys()):
    there, here = theirs.get(key), ours.get(key)
    if there == here:
      continue
    if isinstance(there, dict) and isinstance(here, dict):
      return difference(there, here, f'{prefix}{key}.')
    return f'{prefix}{key} is {there!r} there and {here!r} here'
  raise AssertionError('No difference.')
