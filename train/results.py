"""The results of a sweep: a file of JSON lines, one per run."""

import base64
import collections
import hashlib
import itertools
import json
import os
import pathlib
import zlib
from collections.abc import Iterable
from collections.abc import Mapping
from typing import Any

import filelock
import jax
import numpy as np
from ml_collections import config_dict

import dicejax
from dicejax import metrics
from dicejax.tversky import Counts
from train import older
from train import workdir as files
from train.data.files import read_json
from train.tasks.multi_label.labels import SUFFIXES
from train.trainer import Trainer

RATE, REPORT = 'rate', 'report'
# The keys that identify a run.
_KEYS = 'experiment', 'loss', 'learning_rate', 'seed'
_SETTINGS = 'role', 'loss_settings', 'settings', 'encoder'
# Settings of a single run or machine, in which runs of an experiment may
# differ.
_OWN = ('seed',), ('data', 'seed'), ('data', 'dir'), ('data', 'cache')
_OWN += (
  ('compilation_cache',),
  ('optimizer', 'learning_rate'),
  ('model', 'pretrained'),
  ('loss',),
)


def read(path: pathlib.Path) -> list[dict[str, Any]]:
  """Reads the lines of a file; without a file there are none.

  A last line that a kill cut off is left out: its run is either finished in its
  workdir or will be trained again.

  Raises:
    ValueError: a line is not a result of a sweep; begins `path:line:`.
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
  """Whether a text is a whole result and not only the beginning of one."""
  try:
    line = json.loads(text)
    return all(name in line for name in (*_KEYS, *_SETTINGS))
  except (ValueError, TypeError):
    return False


def append(path: pathlib.Path, line: Mapping[str, Any]) -> None:
  """Appends a line, unless the file has its run already.

  Processes may share a file: each waits until the others have written, by means
  of a lock file next to it.
  """
  path.parent.mkdir(parents=True, exist_ok=True)
  lock = filelock.FileLock(path.with_name(f'{path.name}.lock'))
  with lock, path.open('a+b') as file:
    if any(key(other) == key(line) for other in read(path)):
      return
    file.seek(0)
    *_, last = (written := file.read()).split(b'\n')
    if _is_whole(last.decode(errors='replace')):
      file.write(b'\n')
    else:  # A kill cut the last line off.
      file.truncate(len(written) - len(last))
    file.write(json.dumps(line, ensure_ascii=False).encode() + b'\n')
    file.flush()
    os.fsync(file.fileno())


def key(line: Mapping[str, Any]) -> tuple:
  """Returns what identifies a run: experiment, loss, learning rate, seed."""
  return tuple(line[name] for name in _KEYS)


def identity(
  experiment: str, loss: str, role: str, config: config_dict.ConfigDict
) -> dict[str, Any]:
  """Makes the part of a line that is known before the run.

  Args:
    experiment: name of the config, without the loss.
    loss: name of the loss, or of whatever else varies.
    role: `RATE` for a run that helps to choose the learning rate, else
      `REPORT`.
    config: the config of the run.
  """
  settings = older.without_added(json.loads(config.to_json()))
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
  """Checks that a line does not contradict others of the same experiment.

  Args:
    path: the file, for the message.
    line: an `identity`, or more of a line.
    others: the lines of the file.
    same_data: whether all seeds share their splits.

  Raises:
    FileExistsError: the file has other settings, another encoder, or other data
      for the same seed.
    ValueError: the run is there with the other role.
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
    # Lines written before 0.2 have no digest of the weights.
    theirs, ours = other.get('weights'), line.get('weights')
    if theirs and ours and theirs != ours:
      return f'other published weights ({theirs} there and {ours} here)'
  if 'data' in line and (same_data or other['seed'] == line['seed']):
    theirs, ours = other['data'], line['data']
    if changed := [split for split in ours if ours[split] != theirs.get(split)]:
      return (
        f'other data for seed {other["seed"]}: {", ".join(changed)} changed'
      )
  return ''


def describe_run(run: Trainer) -> dict[str, Any]:
  """Describes the data, encoder, devices and versions of a prepared run."""
  digests = read_json(run.workdir / files.DATA)
  return {
    'examples': {split: len(part) for split, part in run.examples.items()},
    'data': {split: digests[split][:12] for split in run.examples},
    'weights': run.weights_digest[:12],
    'devices': f'{jax.device_count()} × {jax.devices()[0].device_kind}',
    'versions': {'dicejax': dicejax.__version__, 'jax': jax.__version__},
  }


def mean_by_rate(lines: Iterable[Mapping]) -> dict[float, float | None]:
  """Maps learning rates to the mean headline on dev; None if a run diverged."""
  scores = collections.defaultdict(list)
  for line in lines:
    scores[line['learning_rate']].append(dev_score(line))
  return {
    rate: None if None in found else float(np.mean(found))
    for rate, found in sorted(scores.items())
  }


def best_rate(lines: Iterable[Mapping]) -> float | None:
  """Chooses the learning rate with the highest mean on dev.

  Returns:
    The lowest of equally good rates; None if a run diverged at each rate.
  """
  means = mean_by_rate(lines)
  finite = [rate for rate, mean in means.items() if mean is not None]
  return max(finite, key=means.__getitem__, default=None)


def dev_score(line: Mapping[str, Any]) -> float | None:
  """Returns the headline of a run on dev; None if it diverged."""
  if 'diverged' in line:
    return None
  row, column = line['headline']
  return line['scores']['dev'][row][column]


def example_counts(run: Trainer, outcome: Mapping) -> dict[str, Any]:
  """Counts correct, spurious and missed predictions per example, without text.

  Args:
    run: a finished run.
    outcome: the result of `Trainer.train`.

  Returns:
    `counts` maps each row of the scores to packed counts `[examples, 3]` for
    the row's decision. The F1 of their sum is the row's F1 (or accuracy: a
    wrong label counts as spurious and as missed). `counted` names the split:
    test if there is one, else dev. Empty for a task without such counts.
  """
  split = 'test' if 'test' in outcome['scores'] else 'dev'
  scores = outcome['scores'][split]
  found = _read_predictions(run, split)
  counts = {}
  for name, array in found.items():
    row = scores[name]
    score = row['f1'] if 'f1' in row else row['accuracy']
    total = metrics.f_score(Counts(*array.sum(axis=0)))
    if abs(total - score) > 1e-9:  # The row was decided by another rule.
      raise AssertionError(f'{run.workdir}: {name}: {total}, not {score}.')
    counts[name] = pack(array)
  return {'counted': split, 'counts': counts} if counts else {}


def _read_predictions(run, split) -> dict[str, np.ndarray]:
  """Maps rows of the scores to counts `[examples, 3]`, from written files."""
  path, rows = run.workdir / files.PREDICTIONS / split, run.task.decision_rows
  if run.config.task == 'classification':
    # The files of labels have single spaces, the config may have others.
    positive = ' '.join(run.config.classification.positive.split())
    labels = _read_labels(path.with_suffix('.tsv'))
    gold = labels.pop('gold')
    counts = [_count_labels(gold, found, positive) for found in labels.values()]
    return dict(zip(rows, counts, strict=True))
  if run.config.task == 'multi_label':
    return _count_label_sets(path.with_suffix('.jsonl'))
  if run.config.task == 'tagging' and len(rows) > 1:
    suffixes = '.conll', '.tuned.conll'
    paths = [path.with_name(path.name + suffix) for suffix in suffixes]
    return dict(zip(rows, map(_count_entities, paths), strict=True))
  return {}


def _read_labels(path) -> dict[str, np.ndarray]:
  """Reads the columns of labels: `gold`, then one per decision."""
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


def _count_label_sets(path) -> dict[str, np.ndarray]:
  """Maps the rows of the micro F1 to counts over all labels."""
  rows = collections.defaultdict(list)
  for line in path.read_text('utf-8').split('\n')[:-1]:
    record = json.loads(line)
    gold = {*record['gold']}
    for rule, suffix in SUFFIXES.items():
      found = record.get('predicted' if rule == 'argmax' else rule)
      if found is not None:
        sets = gold & {*found}, {*found} - gold, gold - {*found}
        rows[f'micro{suffix}'].append([*map(len, sets)])
  return {name: np.array(counts) for name, counts in rows.items()}


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
  """Packs counts `[examples, 3]` as text, which `unpack` reads.

  Example:
    >>> unpack(pack(np.array([[1, 0, 0], [0, 2, 3]]))).tolist()
    [[1, 0, 0], [0, 2, 3]]
  """
  columns = np.ascontiguousarray(counts.T, '<u2')
  return base64.b64encode(zlib.compress(columns.tobytes(), 9)).decode()


def unpack(text: str) -> np.ndarray:
  """Reads counts from the text of `pack`, int64 `[examples, 3]`."""
  columns = np.frombuffer(zlib.decompress(base64.b64decode(text)), '<u2')
  return columns.reshape(3, -1).T.astype(np.int64)


def _digest(settings) -> str:
  text = json.dumps(settings, sort_keys=True)
  return hashlib.sha256(text.encode()).hexdigest()[:12]
