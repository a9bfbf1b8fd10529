"""Predictions: in a run's evaluations, and from a run that is over."""

import dataclasses
import functools
import operator
import pathlib
import sys
from collections.abc import Callable
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
from ml_collections import config_dict

from dicejax.models import BertConfig
from train import checkpoint
from train import tasks
from train import workdir as files
from train.data.batches import batches_in_order
from train.data.describe import count_notes
from train.data.tokenizer import load_tokenizer
from train.parallel import make_shardings
from train.step import make_predict_step
from train.tasks.task import Features
from train.tasks.task import Task

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
  for sentence in notes + task.describe(examples, features):
    print(f'{source}: {sentence}', file=sys.stderr)
  return features


def make_predictor(task: Task, model, config) -> Predictor:
  """`(params, examples, features) -> predictions`, one for each example."""
  # The run may have had other devices.
  batch_size = config.batch_size + -config.batch_size % jax.device_count()
  replicated, by_example = make_shardings(batch_size)
  # Each device has its own examples. Left to the compiler, devices talk, and on
  # a CPU many batches under way at once may wait for each other for ever.
  step = jax.shard_map(
    make_predict_step(model, task.answer),
    mesh=replicated.mesh,
    in_specs=(replicated.spec, by_example.spec),
    out_specs=by_example.spec,
    check_vma=False,
  )
  step = jax.jit(step, in_shardings=(replicated, by_example))

  def predict(params, examples, features):
    answers: list = [None] * len(features)
    pending = []
    for indices, batch in batches_in_order(
      features, task.fill, batch_size=batch_size, max_length=config.max_length
    ):
      # Fetched only below: the host prepares a batch while one is computed.
      pending.append((indices, step(params, batch)))
    for indices, answer in jax.device_get(pending):
      for row, i in enumerate(indices):
        answers[i] = jax.tree.map(operator.itemgetter(row), answer)
    return task.decode(examples, features, answers)

  return predict


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
    FileNotFoundError: the workdir holds no run, or one without a checkpoint
      that was evaluated.
  """
  path = workdir / files.CONFIG
  if not path.is_file():
    raise FileNotFoundError(f'{workdir} holds no run: there is no {path}.')
  config = config_dict.ConfigDict(files.read_json(path))
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
  replicated, _ = make_shardings(jax.device_count())
  tokens = jnp.zeros((1, 1), jnp.int32)
  shapes = jax.eval_shape(model.init, jax.random.key(0), tokens)['params']
  like = jax.tree.map(lambda x: x.update(sharding=replicated), shapes)
  params = checkpoint.restore_params(manager, step, like)
  manager.close()
  predict = functools.partial(make_predictor(task, model, config), params)
  return TrainedRun(config, step, task, meta['tuned'], predict)
