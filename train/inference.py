"""Predictions during training, and from the best checkpoint of a run."""

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
from flax import linen as nn
from ml_collections import config_dict

from dicejax.models import make_config
from dicejax.text.batches import batches_in_order
from dicejax.text.tokenizer import load_tokenizer
from train import checkpoint
from train import older
from train import parallel
from train import tasks
from train import workdir as files
from train.compiled import keep_programs
from train.data.describe import count_notes
from train.data.files import read_json
from train.encoder import load_encoder
from train.step import make_predict_step
from train.tasks.task import Features
from train.tasks.task import Task

# At most so many batches are computed at the same time: their results take
# memory of the devices until they are fetched.
_UNDER_WAY = 16

Predictor = Callable[[Any, Sequence, Features], list]


def make_features(task: Task, examples: Sequence, source: str) -> Features:
  """Makes the features of examples, and prints what got lost to stderr.

  Args:
    task: makes the features.
    examples: examples of one split or file.
    source: name of the split or file, for messages.

  Raises:
    ValueError: the task cannot use an example; begins with the source.
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
  """Makes `(params, examples, features) -> predictions`, one per example."""
  step = make_predict_step(model, task.postprocess)
  compute = make_mapper(step, task.fill, config, mesh)

  def predict(params, examples, features):
    outputs: list = [None] * len(features)
    for i, output in compute(params, features):
      outputs[i] = output
    return task.decode(examples, features, outputs)

  return predict


def make_mapper(
  step: Callable[[Any, dict], Any],
  fill: Mapping[str, int],
  config,
  mesh: jax.sharding.Mesh,
) -> Callable[[Any, Features], Iterator[tuple[int, Any]]]:
  """Makes a function that applies a step to features, in batches.

  Args:
    step: `(params, batch) -> arrays [B, ...]`.
    fill: the names of the features and their padding, see `Task`.
    config: the config of the run, for the size of a batch.
    mesh: all devices, from `make_mesh`.

  Returns:
    `(params, features) -> iterator of (index of a feature, arrays [...])`,
    which yields each feature once.
  """
  whole, by_row = parallel.replicated(mesh), parallel.by_row(mesh)
  rows = parallel.padded_batch_size(config.batch_size, mesh)
  own = parallel.local_rows(rows)
  # Each device works on its own rows. The compiler, left to itself, may add
  # communication, and on a CPU many batches at once can then deadlock.
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
    params = gather(params)  # Once, and not for every batch.
    pending = collections.deque()
    for indices, batch in batches_in_order(
      features, fill, batch_size=rows, max_length=config.max_length
    ):
      batch = {name: x[own] for name, x in batch.items()}
      pending.append((indices, step(params, parallel.to_devices(batch, mesh))))
      # Fetched late, so that the host prepares batches while others compute.
      if len(pending) > _UNDER_WAY:
        yield from _by_row(*pending.popleft())
    while pending:
      yield from _by_row(*pending.popleft())

  return compute


def _by_row(indices, outputs) -> Iterator[tuple[int, Any]]:
  outputs = parallel.to_host(outputs)
  for row, i in enumerate(indices):
    yield int(i), jax.tree.map(operator.itemgetter(row), outputs)


@dataclasses.dataclass(frozen=True)
class TrainedRun:
  """The best checkpoint of a run, ready to predict.

  Attributes:
    config: the config of the run.
    step: the step of the checkpoint.
    task: the task with the run's tokenizer and labels.
    tuned: parameters of the decision, tuned on dev.
    model: an encoder with the task's head.
    params: its parameters.
    predict: `(examples, features) -> predictions`.
  """

  config: config_dict.ConfigDict
  step: int
  task: Task
  tuned: dict[str, float]
  model: nn.Module
  params: Any
  predict: Callable[[Sequence, Features], list]


def load_run(workdir: pathlib.Path) -> TrainedRun:
  """Reads the best checkpoint of a run, without the data it was trained on.

  Raises:
    ValueError: the checkpoint is damaged.
    FileNotFoundError: the workdir holds no run, or no checkpoint has a score.
  """
  config: Any = older.read_config(read_json(files.find_config(workdir)))
  if config.runs:
    inside = ', '.join(str(workdir / name) for name in config.runs)
    raise FileNotFoundError(
      f'{workdir} holds several runs; name one: {inside}.'
    )
  keep_programs(config)
  directory = workdir / files.CHECKPOINTS
  step = None
  if directory.is_dir():
    manager = checkpoint.open_checkpoints(directory, read_only=True)
    step = manager.best_step()
  if step is None:
    raise FileNotFoundError(f'{directory} has no checkpoint with a score yet.')
  meta = checkpoint.read_meta(manager, step)
  task = tasks.make_task(config, load_tokenizer(workdir), meta['labels'])
  model = task.model(make_config(**meta['encoder']), config.model.dtype)
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
  return TrainedRun(config, step, task, meta['tuned'], model, params, predict)
