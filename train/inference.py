"""Predictions: in a run's evaluations, and from a run that is over."""

import collections
import dataclasses
import functools
import operator
import pathlib
import sys
from collections.abc import Callable
from collections.abc import Iterator
from collections.abc import Mapping
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
from ml_collections import config_dict

from dicejax.models import BertConfig
from train import checkpoint
from train import parallel
from train import tasks
from train import workdir as files
from train.data.batches import batches_in_order
from train.data.describe import count_notes
from train.data.tokenizer import load_tokenizer
from train.encoder import load_encoder
from train.step import make_predict_step
from train.tasks.task import Features
from train.tasks.task import Task

# Batches whose answers are not fetched yet: they take memory of the devices.
_UNDER_WAY = 16

# Settings that runs of version 0.1.0 do not have, with what they did.
_SINCE_0_1 = {
  'data.seed': 0,
  'data.foreground': 0.0,
  'data.tfds.builder': '',
  'model.frozen': False,
  'model.pooling': 'cls',
  'model.prior_bias': False,
  'select_by': '',
}

Predictor = Callable[[Any, Sequence, Features], list]


def make_features(task: Task, examples: Sequence, source: str) -> Features:
  """Features of examples; says on stderr what they lack.

  Raises:
    ValueError: an example that the task cannot use; begins with the source.
  """
  try:
    features = task.features(examples)
  except ValueError as error:
    raise ValueError(f'{source}: {error}') from None
  notes = [f'{n} × {note}' for note, n in count_notes(examples).items()]
  for sentence in notes + task.notes(examples, features):
    print(f'{source}: {sentence}', file=sys.stderr)
  return features


def make_predictor(
  task: Task, model, config, mesh: jax.sharding.Mesh
) -> Predictor:
  """`(params, examples, features) -> predictions`, one for each example."""
  step = make_predict_step(model, task.postprocess)
  answer_all = make_mapper(step, task.fill, config, mesh)

  def predict(params, examples, features):
    answers: list = [None] * len(features)
    for i, answer in answer_all(params, features):
      answers[i] = answer
    return task.decode(examples, features, answers)

  return predict


def make_mapper(
  step: Callable[[Any, dict], Any],
  fill: Mapping[str, int],
  config,
  mesh: jax.sharding.Mesh,
) -> Callable[[Any, Features], Iterator[tuple[int, Any]]]:
  """Applies a step to all of some features, in batches over all devices.

  Args:
    step: `(params, batch) -> arrays [batch, ...]`.
    fill: of the task.
    config: of the run.
    mesh: of the devices.

  Returns:
    `(params, features) -> (number of the feature, arrays [...])`, each once.
  """
  whole, by_row = parallel.replicated(mesh), parallel.by_row(mesh)
  rows = parallel.padded_batch_size(config.batch_size, mesh)
  own = parallel.local_rows(rows)
  # Each device has its own examples. Left to the compiler, devices talk, and on
  # a CPU many batches under way at once may wait for each other for ever.
  step = jax.shard_map(
    step,
    mesh=mesh,
    in_specs=(whole.spec, by_row.spec),
    out_specs=by_row.spec,
    check_vma=False,
  )
  step = jax.jit(step, in_shardings=(whole, by_row))
  gather = jax.jit(lambda params: params, out_shardings=whole)

  def compute(params, features):
    params = gather(params)  # Once: devices may share them.
    pending = collections.deque()
    for indices, batch in batches_in_order(
      features, fill, batch_size=rows, max_length=config.max_length
    ):
      batch = {name: x[own] for name, x in batch.items()}
      pending.append((indices, step(params, parallel.to_devices(batch, mesh))))
      # Fetched late: the host prepares a batch while others are computed.
      if len(pending) > _UNDER_WAY:
        yield from _by_row(*pending.popleft())
    while pending:
      yield from _by_row(*pending.popleft())

  return compute


def _by_row(indices, answer) -> Iterator[tuple[int, Any]]:
  answer = parallel.to_host(answer)
  for row, i in enumerate(indices):
    yield int(i), jax.tree.map(operator.itemgetter(row), answer)


@dataclasses.dataclass(frozen=True)
class TrainedRun:
  """The best of a run.

  Attributes:
    config: of the run.
    step: of the parameters.
    task: with the run's tokenizer and labels.
    tuned: its thresholds, from dev.
    predict: `(examples, features) -> predictions`.
  """

  config: config_dict.ConfigDict
  step: int
  task: Task
  tuned: dict[str, float]
  predict: Callable[[Sequence, Features], list]


def load_run(workdir: pathlib.Path) -> TrainedRun:
  """Reads the best checkpoint of a run; needs none of its data.

  Raises:
    ValueError: it is damaged.
    FileNotFoundError: the workdir holds no run, or one without a checkpoint
      that was evaluated.
  """
  path = workdir / files.CONFIG
  if not path.is_file():
    raise FileNotFoundError(f'{workdir} holds no run: there is no {path}.')
  config = config_dict.ConfigDict(files.read_json(path))
  for key, value in _SINCE_0_1.items():
    section, _, name = key.rpartition('.')
    part = config[section] if section else config
    if name not in part:
      part[name] = value
  if config.runs:
    inside = ', '.join(str(workdir / name) for name in config.runs)
    raise FileNotFoundError(
      f'{workdir} holds several runs; name one: {inside}.'
    )
  directory = workdir / files.CHECKPOINTS
  step = None
  if directory.is_dir():
    manager = checkpoint.open_checkpoints(directory, read_only=True)
    step = manager.best_step()
  if step is None:
    raise FileNotFoundError(f'{directory} has no checkpoint with a score yet.')
  meta = checkpoint.read_meta(manager, step)
  task = tasks.make_task(config, load_tokenizer(workdir), meta['labels'])
  model = task.model(BertConfig(**meta['encoder']), config.model.dtype)
  mesh = parallel.make_mesh()
  replicated = parallel.replicated(mesh)
  tokens = jnp.zeros((1, 1), jnp.int32)
  shapes = jax.eval_shape(model.init, jax.random.key(0), tokens)['params']
  like = jax.tree.map(lambda x: x.update(sharding=replicated), shapes)
  if kept := load_encoder(workdir, meta):
    like.pop('encoder')
  params = checkpoint.restore_params(manager, step, like) | kept
  manager.close()
  predict = functools.partial(make_predictor(task, model, config, mesh), params)
  return TrainedRun(config, step, task, meta['tuned'], predict)
