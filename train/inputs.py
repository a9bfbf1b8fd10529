"""The training split as a model sees it: counts of classes, and batches."""

from collections.abc import Sequence

import jax
import numpy as np
from ml_collections import config_dict

from train import parallel
from train.data.batches import TrainingBatches
from train.data.batches import pack
from train.tasks.task import Features
from train.tasks.task import Task
from train.tasks.task import most_in_row


def count_targets(
  task: Task, features: Features, sigmoid: bool
) -> tuple[np.ndarray, list[bool]]:
  """Counts the classes of the training split.

  Args:
    task: knows the targets of a feature.
    features: the features of the training split.
    sigmoid: whether there are two classes, negatives and positives.

  Returns:
    Counts `[C]`, or `[2, labels]` if a text has several labels, and for each
    feature whether it has a positive. Without a background class, no feature
    counts as having one.
  """
  targets = [task.targets(feature) for feature in features]
  number = 2 if sigmoid else max(len(task.labels), 2)
  together = np.concatenate(targets)
  if together.ndim > 1:
    counts = np.stack([np.sum(together == i, axis=0) for i in range(number)])
  else:
    counts = np.bincount(together, minlength=number)
  return counts, [bool(task.background and (t > 0).any()) for t in targets]


def packs(config: config_dict.ConfigDict) -> bool:
  """Whether a row of a batch holds several sentences, windows or texts.

  It does if the config says so and the task has a loss of such rows, except for
  batches with a share of examples with foreground, which rows would mix with
  others. A text with a frozen encoder is a single state, and there is nothing
  to pack.
  """
  if not config.packing or config.data.foreground:
    return False
  if config.task == 'classification':
    return not config.model.frozen
  return config.task in ('tagging', 'span_qa')


def make_batches(
  config: config_dict.ConfigDict,
  task: Task,
  features: Features,
  foreground: Sequence[bool],
  mesh: jax.sharding.Mesh,
) -> TrainingBatches:
  """Makes the batches of the training split, packed where that is possible.

  Args:
    config: the config of the run.
    task: knows how features are padded.
    features: the features of the training split.
    foreground: for each feature, whether it has a positive.
    mesh: all devices, from `parallel.make_mesh`.

  Returns:
    Batches of the rows that this process prepares.
  """
  size: int = config.batch_size
  if packs(config):
    number = len(features)
    features = pack(
      features,
      task.fill,
      max_length=config.max_length,
      seed=config.seed,
      most=most_in_row(config),
    )
    # A batch keeps about as many inputs as without packing.
    size = max(1, round(size * len(features) / number))
    print(f'packing: {number:,} inputs in {len(features):,} rows', flush=True)
  rows = parallel.padded_batch_size(size, mesh, config.micro_batches)
  return TrainingBatches(
    features,
    task.fill,
    batch_size=size,
    rows=rows,
    own=parallel.local_rows(rows),
    max_length=config.max_length,
    epochs=config.epochs,
    seed=config.seed,
    foreground=foreground,
    share=config.data.foreground,
  )


def evaluation_steps(
  config: config_dict.ConfigDict, batches: TrainingBatches
) -> set[int]:
  """Returns the steps after which to evaluate, spread evenly over an epoch."""
  per_epoch = config.evaluations_per_epoch
  distance = batches.steps_per_epoch / per_epoch
  return {round((i + 1) * distance) for i in range(config.epochs * per_epoch)}


def count_inputs(batch: dict[str, np.ndarray]) -> int:
  """Counts the examples of all processes; a packed row has several."""
  return int(batch['mask'].max(axis=1).sum()) * jax.process_count()
