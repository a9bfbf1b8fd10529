"""The folder of a run: names of its files, and whose it is."""

import contextlib
import fcntl
import hashlib
import json
import os
import pathlib
import socket
from collections.abc import Collection
from collections.abc import Iterator
from collections.abc import Mapping
from typing import Any

from ml_collections import config_dict

LOCK = 'lock'  # Held by the process that trains, and says which.
CONFIG = 'config.json'  # Written last: where it is, a run can start.
DATA = 'data.json'  # Digests of the splits and labels.
TOKENIZER = 'tokenizer.json'
CORPUS = 'corpus'
ENCODER = 'encoder'  # The published weights of a frozen one.
CHECKPOINTS = 'checkpoints'
METRICS = 'metrics.jsonl'
PREDICTIONS = 'predictions'
RESULTS = 'results.json'
REPORT = 'report.html'
SWEEP = 'results.jsonl'  # A line for each run of a sweep.

# What a run that did not get as far as its config may have left.
_LEFTOVERS = {LOCK, DATA, TOKENIZER, CORPUS, ENCODER}


def check_experiment(
  workdir: pathlib.Path,
  config: config_dict.ConfigDict,
  leftovers: Collection[str] = (),
) -> None:
  """Raises FileExistsError if a workdir holds anything but this experiment.

  Args:
    workdir: may be new.
    config: of the experiment.
    leftovers: what else may be there before the config is.
  """
  path = workdir / CONFIG
  if path.is_file():
    theirs, ours = read_json(path), json.loads(config.to_json())
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
  """Within, no other process has the workdir, which is made if it is new.

  The kernel lets go of what a killed process held.

  Raises:
    FileExistsError: another process has it.
  """
  workdir.mkdir(parents=True, exist_ok=True)
  with (workdir / LOCK).open('a+') as file:
    try:
      fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
      file.seek(0)
      raise FileExistsError(
        f'{workdir} is in use by {file.read() or "another process"}. Wait for '
        'it, or choose another --workdir.'
      ) from None
    file.truncate(0)
    file.write(f'process {os.getpid()} on {socket.gethostname()}')
    file.flush()
    yield


def check_data(workdir: pathlib.Path, parts: Mapping[str, Any]) -> None:
  """Notes the digests of the splits and labels; raises if a run had others.

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


def read_json(path: pathlib.Path) -> Any:
  """The contents of a JSON file; the ValueError of a broken one names it."""
  try:
    return json.loads(path.read_text(encoding='utf-8'))
  except ValueError as error:
    raise ValueError(f'{path}: expected JSON: {error}.') from None


def write_whole(path: pathlib.Path, text: str) -> None:
  """Writes a file that is never seen half-written."""
  part = path.with_name(f'{path.name}.part')
  part.write_text(text, encoding='utf-8')
  os.replace(part, path)


def difference(theirs: Mapping, ours: Mapping, prefix: str = '') -> str:
  """Says in what two settings differ first: the key, and both values."""
  for key in sorted(theirs.keys() | ours.keys()):
    there, here = theirs.get(key), ours.get(key)
    if there == here:
      continue
    if isinstance(there, dict) and isinstance(here, dict):
      return difference(there, here, f'{prefix}{key}.')
    return f'{prefix}{key} is {there!r} there and {here!r} here'
  raise AssertionError('No difference.')
