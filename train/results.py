"""The results of a sweep: a file of JSON lines, one for each run."""

import base64
import collections
import fcntl
import hashlib
import itertools
import json
import os
import pathlib
import zlib
from collections.abc import Iterable
from collections.abc import Mapping
from typing import Any

import jax
import numpy as np
from ml_collections import config_dict

import dicejax
from dicejax import metrics
from dicejax.tversky import Counts
from train import workdir as files
from train.trainer import Trainer

RATE, REPORT = 'rate', 'report'
# These identify a run.
_KEYS = 'experiment', 'loss', 'learning_rate', 'seed'
_SETTINGS = 'role', 'loss_settings', 'settings', 'encoder'
# Settings of one run, or of one machine: not those of an experiment.
_OWN = ('seed',), ('data', 'seed'), ('data', 'dir'), ('data', 'cache')
_OWN += ('optimizer', 'learning_rate'), ('model', 'pretrained'), ('loss',)


def read(path: pathlib.Path) -> list[dict[str, Any]]:
  """The lines of a file; none if there is no file.

  A last line that a kill cut off is not one: its run is finished in the
  workdir, or trained again.

  Raises:
    ValueError: a line that is no result of a sweep; begins `path:line:`.
  """
  if not path.is_file():
    return []
  try:
    *whole, last = path.read_text(encoding='utf-8').split('\n')
  except UnicodeDecodeError as error:
    raise ValueError(f'{path}: expected UTF-8 text: {error}.') from None
  if _is_whole(last):
    whole.append(last)
  for number, text in enumerate(whole, 1):
    if not _is_whole(text):
      raise ValueError(
        f'{path}:{number}: expected a line as train.sweep writes it.'
      )
  return [json.loads(text) for text in whole]


def _is_whole(text: str) -> bool:
  """Whether a text is a result, and not the beginning of one."""
  try:
    line = json.loads(text)
    return all(name in line for name in (*_KEYS, *_SETTINGS))
  except (ValueError, TypeError):
    return False


def append(path: pathlib.Path, line: Mapping[str, Any]) -> None:
  """Adds a line whole, unless the file has its run already.

  Processes may share a file: each waits until the others have written.
  """
  path.parent.mkdir(parents=True, exist_ok=True)
  with path.open('a+b') as file:
    fcntl.flock(file, fcntl.LOCK_EX)
    if any(key(other) == key(line) for other in read(path)):
      return
    file.seek(0)
    *_, last = (written := file.read()).split(b'\n')
    if _is_whole(last.decode(errors='replace')):
      file.write(b'\n')
    else:  # A kill cut it off.
      file.truncate(len(written) - len(last))
    file.write(json.dumps(line, ensure_ascii=False).encode() + b'\n')
    file.flush()
    os.fsync(file.fileno())


def key(line: Mapping[str, Any]) -> tuple:
  """Experiment, loss, learning rate and seed: what a run is known by."""
  return tuple(line[name] for name in _KEYS)


def identity(
  experiment: str, loss: str, role: str, config: config_dict.ConfigDict
) -> dict[str, Any]:
  """The part of a line that is known before the run.

  Args:
    experiment: the config's name, without the loss.
    loss: or another name of what varies.
    role: `RATE` of a run by which the learning rate is chosen, else `REPORT`.
    config: of the run.
  """
  settings = json.loads(config.to_json())
  loss_settings = settings['loss']
  for *parents, name in _OWN:
    part = settings
    for parent in parents:
      part = part[parent]
    part.pop(name, None)
  return {
    'experiment': experiment,
    'loss': loss,
    'role': role,
    'learning_rate': config.optimizer.learning_rate,
    'seed': config.seed,
    'loss_settings': loss_settings,
    'settings': _digest(settings),
    'encoder': pathlib.PurePath(config.model.pretrained).name,
  }


def check(
  path: pathlib.Path,
  line: Mapping[str, Any],
  others: Iterable[Mapping],
  *,
  same_data: bool = False,
) -> None:
  """Raises if the file says otherwise of runs with the same name.

  Args:
    path: of the file.
    line: an `identity`, or more of a line.
    others: the lines of the file.
    same_data: whether all seeds have the same splits.

  Raises:
    FileExistsError: the file has other settings, or other data for the same
      seed.
    ValueError: the run has had the other role.
  """
  for other in others:
    if other['experiment'] != line['experiment']:
      continue
    if wrong := _contradiction(other, line, same_data):
      raise FileExistsError(
        f'{path} holds runs of {line["experiment"]} with {wrong}. Choose '
        'another --results, or another --name for these.'
      )
    if key(other) == key(line) and other['role'] != line['role']:
      flag = 'seeds' if other['role'] == RATE else 'rate_seeds'
      raise ValueError(
        f'--{flag}: {path} has seed {line["seed"]} of {line["loss"]!r} as a '
        f'run of the other kind. Expected other seeds, so that no run that '
        'chose the learning rate is reported.'
      )


def _contradiction(other, line, same_data) -> str:
  """Names the contradiction between two lines of an experiment, or ''."""
  if other['loss'] == line['loss']:
    theirs, ours = other['loss_settings'], line['loss_settings']
    if theirs != ours:
      return files.difference(theirs, ours, 'loss.')
    for name, meaning in (
      ('settings', 'settings besides the loss and the learning rate'),
      ('encoder', 'model.pretrained'),
    ):
      if other[name] != line[name]:
        return f'other {meaning} ({other[name]} there and {line[name]} here)'
  if 'data' in line and (same_data or other['seed'] == line['seed']):
    theirs, ours = other['data'], line['data']
    if changed := [split for split in ours if ours[split] != theirs.get(split)]:
      return (
        f'other data for seed {other["seed"]}: {", ".join(changed)} changed'
      )
  return ''


def describe_run(run: Trainer) -> dict[str, Any]:
  """Describes the data, devices and versions of a prepared run."""
  digests = files.read_json(run.workdir / files.DATA)
  return {
    'examples': {split: len(part) for split, part in run.examples.items()},
    'data': {split: digests[split][:12] for split in run.examples},
    'devices': f'{jax.device_count()} × {jax.devices()[0].device_kind}',
    'versions': {'dicejax': dicejax.__version__, 'jax': jax.__version__},
  }


def mean_by_rate(lines: Iterable[Mapping]) -> dict[float, float | None]:
  """Learning rate → mean headline on dev; None where a run diverged."""
  scores = collections.defaultdict(list)
  for line in lines:
    scores[line['learning_rate']].append(dev_score(line))
  return {
    rate: None if None in found else float(np.mean(found))
    for rate, found in sorted(scores.items())
  }


def best_rate(lines: Iterable[Mapping]) -> float | None:
  """The learning rate with the highest mean on dev; the lowest of equals.

  None if a run diverged at each.
  """
  means = mean_by_rate(lines)
  finite = [rate for rate, mean in means.items() if mean is not None]
  return max(finite, key=means.__getitem__, default=None)


def dev_score(line: Mapping[str, Any]) -> float | None:
  """The headline of a run on dev; None if it diverged."""
  if 'diverged' in line:
    return None
  row, column = line['headline']
  return line['scores']['dev'][row][column]


def example_counts(run: Trainer, outcome: Mapping) -> dict[str, Any]:
  """Counts correct, spurious and missed predictions per example, without text.

  Args:
    run: finished.
    outcome: what `Trainer.train` returned.

  Returns:
    `counts`: row of the scores → counts, packed, of each example: what of it
    the row's decision found, found wrongly and missed. Their sum has the row's
    F1 (or accuracy: a wrong label is wrong and missed). `counted`: the split,
    test if there is one. Empty for a task without such counts.
  """
  split = 'test' if 'test' in outcome['scores'] else 'dev'
  scores = outcome['scores'][split]
  found = _read_predictions(run, split)
  counts = {}
  for name, array in found.items():
    row = scores[name]
    score = row['f1'] if 'f1' in row else row['accuracy']
    total = metrics.f_score(Counts(*array.sum(axis=0)))
    if abs(total - score) > 1e-9:  # Another decision than the row's.
      raise AssertionError(f'{run.workdir}: {name}: {total}, not {score}.')
    counts[name] = pack(array)
  return {'counted': split, 'counts': counts} if counts else {}


def _read_predictions(run, split) -> dict[str, np.ndarray]:
  """Row of the scores → counts `[examples, 3]`, from what the run wrote."""
  path, rows = run.workdir / files.PREDICTIONS / split, run.task.decision_rows
  if run.config.task == 'classification':
    # Written labels have single spaces.
    positive = ' '.join(run.config.classification.positive.split())
    labels = _read_labels(path.with_suffix('.tsv'))
    gold = labels.pop('gold')
    counts = [_count_labels(gold, found, positive) for found in labels.values()]
    return dict(zip(rows, counts, strict=True))
  if run.config.task == 'tagging' and len(rows) > 1:
    suffixes = '.conll', '.tuned.conll'
    paths = [path.with_name(path.name + suffix) for suffix in suffixes]
    return dict(zip(rows, map(_count_entities, paths), strict=True))
  return {}


def _read_labels(path) -> dict[str, np.ndarray]:
  """The columns of labels: `gold`, then one for each decision."""
  header, *rows = (
    line.split('\t') for line in path.read_text('utf-8').split('\n')[:-1]
  )
  columns = zip(header, map(np.array, zip(*rows, strict=True)), strict=True)
  return dict(
    itertools.takewhile(lambda column: not column[0].startswith('p('), columns)
  )


def _count_labels(gold, found, positive) -> np.ndarray:
  if positive:
    true, called = gold == positive, found == positive
    columns = true & called, called & ~true, true & ~called
  else:
    columns = gold == found, gold != found, gold != found
  return np.stack(columns, axis=-1).astype(int)


def _count_entities(path) -> np.ndarray:
  counts = []
  for sentence in path.read_text('utf-8').rstrip('\n').split('\n\n'):
    rows = [line.rsplit(' ', 2) for line in sentence.split('\n')]
    gold, found = (
      set(metrics.entity_spans([row[i] for row in rows])) for i in (1, 2)
    )
    counts.append([len(gold & found), len(found - gold), len(gold - found)])
  return np.array(counts)


def pack(counts: np.ndarray) -> str:
  """Counts `[examples, 3]` as text; `unpack` undoes it.

  Example:
    >>> unpack(pack(np.array([[1, 0, 0], [0, 2, 3]]))).tolist()
    [[1, 0, 0], [0, 2, 3]]
  """
  columns = np.ascontiguousarray(counts.T, '<u2')
  return base64.b64encode(zlib.compress(columns.tobytes(), 9)).decode()


def unpack(text: str) -> np.ndarray:
  """Counts, int64 `[examples, 3]`, of what `pack` made of them."""
  columns = np.frombuffer(zlib.decompress(base64.b64decode(text)), '<u2')
  return columns.reshape(3, -1).T.astype(np.int64)


def _digest(settings) -> str:
  text = json.dumps(settings, sort_keys=True)
  return hashlib.sha256(text.encode()).hexdigest()[:12]
