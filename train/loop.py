"""One run: build, restore, train, log, evaluate, save."""

import contextlib
import dataclasses
import json
import pathlib
import signal
import time
from collections.abc import Callable
from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp
from ml_collections import config_dict

from train import checkpoint
from train import inference
from train import report
from train import tasks
from train import workdir as files
from train.data.batches import TrainingBatches
from train.data.splits import read_splits
from train.encoder import make_encoder
from train.optimizer import learning_rate
from train.optimizer import make_optimizer
from train.parallel import make_shardings
from train.progress import Progress
from train.step import TrainState
from train.step import init_state
from train.step import make_train_step
from train.tasks.task import Features
from train.tasks.task import Scores
from train.tasks.task import Task


@dataclasses.dataclass(frozen=True)
class Run:
  """An experiment in its workdir, checked and ready to train.

  Attributes:
    config: of the experiment.
    workdir: where all of it goes.
    examples: by split.
    features: of the examples, by split.
    task: features, decoding and scores.
    meta: what a checkpoint needs besides the parameters.
    batches: of the training split.
    step: `(state, batch) -> state, metrics`, compiled where it is needed.
    predict: `(params, examples, features) -> predictions`.
    init: makes the state before the first step.
  """

  config: config_dict.ConfigDict
  workdir: pathlib.Path
  examples: dict[str, list]
  features: dict[str, Features]
  task: Task
  meta: dict[str, Any]
  batches: TrainingBatches
  step: Callable
  predict: inference.Predictor
  init: Callable[[], TrainState]


def prepare(config: config_dict.ConfigDict, workdir: pathlib.Path) -> Run:
  """Reads the data and the weights, and finds what is wrong with them.

  The same config in the same workdir goes on from the last checkpoint.

  Raises:
    OSError, ValueError: in one sentence, before a step is made.
  """
  check_config(config)
  files.check_config(workdir, config)
  workdir.mkdir(parents=True, exist_ok=True)
  examples = read_splits(config, workdir)
  for split in ('train', 'dev'):
    if split not in examples:
      raise ValueError(f'data: there is no {split}, in a file or held out.')
  labels = tasks.get_labels(config, examples['train'])
  files.check_data(workdir, {**examples, 'labels': labels})
  tokenizer, encoder, weights = make_encoder(config, workdir, examples['train'])
  task = tasks.make_task(config, tokenizer, labels)
  features = {
    split: inference.make_features(task, part, split)
    for split, part in examples.items()
  }
  batches = TrainingBatches(
    features['train'],
    task.fill,
    batch_size=config.batch_size,
    max_length=config.max_length,
    epochs=config.epochs,
    seed=config.seed,
  )
  model = task.model(encoder, config.model.dtype)
  optimizer = make_optimizer(config.optimizer, len(batches))
  objective = task.objective(config.loss)
  replicated, by_example = make_shardings(config.batch_size)

  def init():
    params = _init(model, config.seed)
    # A head may do without the pooler.
    params |= {name: weights[name] for name in weights if name in params}
    return jax.device_put(init_state(params, optimizer), replicated)

  run = Run(
    config=config,
    workdir=workdir,
    examples=examples,
    features=features,
    task=task,
    meta={'labels': labels, 'encoder': dataclasses.asdict(encoder)},
    batches=batches,
    step=jax.jit(
      make_train_step(model, objective, optimizer, config.seed),
      in_shardings=(replicated, by_example),
      out_shardings=replicated,
      donate_argnums=0,
    ),
    predict=inference.make_predictor(task, model, config),
    init=init,
  )
  files.write_whole(workdir / files.CONFIG, config.to_json(indent=2))
  return run


def train(run: Run) -> dict:
  """Trains to the end, evaluates the best checkpoint, writes the report.

  Returns:
    What is in results.json: `scores` by split, the row and column of their
    `headline`, the row `beside` it, `best_step`, and `seconds` of training and
    evaluating, without those that a kill made useless.
  """
  results = run.workdir / files.RESULTS
  if results.is_file():
    print(f'{run.workdir} is finished.')
    return files.read_json(results)
  manager = checkpoint.open_checkpoints(run.workdir / files.CHECKPOINTS)
  try:
    seconds, like = _fit(run, manager)
  finally:
    manager.wait_until_finished()
  best = manager.best_step()
  params = checkpoint.restore_params(manager, best, like)
  tuned = checkpoint.read_meta(manager, best)['tuned']
  manager.close()
  directory = run.workdir / files.PREDICTIONS
  directory.mkdir(exist_ok=True)
  scores = {}
  for split in [split for split in run.examples if split != 'train']:
    examples = run.examples[split]
    predictions = run.predict(params, examples, run.features[split])
    scores[split] = run.task.score(examples, predictions, tuned)
    run.task.write(directory / split, examples, predictions, tuned)
  outcome = {
    'best_step': best,
    'seconds': seconds,
    'headline': list(run.task.headline),
    'beside': run.task.beside,
    'scores': scores,
  }
  report.write_report(run.workdir, run.config.to_dict(), outcome)
  files.write_whole(results, json.dumps(outcome, indent=2))
  return outcome


def _fit(run: Run, manager) -> tuple[float, Any]:
  """Trains from the latest checkpoint to the last step.

  Returns:
    Seconds, and the shapes of the parameters.
  """
  config, batches, state = run.config, run.batches, run.init()
  start, before = manager.latest_step() or 0, 0.0
  if start:
    state = checkpoint.restore(manager, start, state)
    before = checkpoint.read_meta(manager, start)['seconds']
    print(f'{run.workdir} goes on from step {start} of {len(batches)}.')
  rate = learning_rate(config.optimizer, len(batches))
  per_epoch = batches.steps_per_epoch / config.evaluations_per_epoch
  evaluations = {
    round((i + 1) * per_epoch)
    for i in range(config.epochs * config.evaluations_per_epoch)
  }
  began = time.monotonic() - before
  progress = Progress(run.workdir, start, len(batches))
  with progress, _held_interrupts() as interrupts:
    for step, batch in enumerate(batches.from_step(start), start + 1):
      inputs = int(batch['mask'].any(axis=1).sum())
      state, metrics = run.step(state, batch)
      progress.advance(metrics, inputs)
      evaluate, stop = step in evaluations, bool(interrupts)
      save = evaluate or stop or step % config.checkpoint_every == 0
      if save or step % config.log_every == 0:
        # First: where the loss is not finite, nothing is saved.
        progress.log(step, learning_rate=float(rate(step - 1)))
      tuned, score = {}, None
      with progress.paused():
        if evaluate:
          tuned, scores = _evaluate(run, state.params)
          progress.log_scores(step, scores, run.task.headline)
          score = report.headline(scores, run.task.headline)
        if save:
          seconds = time.monotonic() - began
          meta = run.meta | {'seconds': seconds, 'tuned': tuned}
          checkpoint.save(manager, state, meta, score)
      if stop:
        raise KeyboardInterrupt(
          f'Stopped after step {step}. The same command goes on from there.'
        )
  return time.monotonic() - began, jax.tree.map(
    checkpoint.abstract, state.params
  )


def _evaluate(run: Run, params) -> tuple[dict[str, float], Scores]:
  """Thresholds tuned on dev, and the scores there."""
  dev, features = run.examples['dev'], run.features['dev']
  predictions = run.predict(params, dev, features)
  tuned = run.task.tune(dev, predictions)
  return tuned, run.task.score(dev, predictions, tuned)


@contextlib.contextmanager
def _held_interrupts() -> Iterator[list]:
  """A list that Ctrl-C fills: within orbax, it would cut a checkpoint short."""
  pressed = []

  def hold(*_):
    signal.signal(signal.SIGINT, before)  # The second one stops at once.
    pressed.append(True)

  before = signal.signal(signal.SIGINT, hold)
  try:
    yield pressed
  finally:
    signal.signal(signal.SIGINT, before)


def _init(model, seed):
  """Fresh parameters of a model, compiled: op by op it takes much longer."""
  tokens = jnp.zeros((1, 1), jnp.int32)
  return jax.jit(model.init)(jax.random.key(seed), tokens)['params']


def check_config(config: config_dict.ConfigDict) -> None:
  """Raises ValueError for a setting that cannot be."""
  for key in (
    'batch_size',
    'epochs',
    'evaluations_per_epoch',
    'checkpoint_every',
    'log_every',
  ):
    if config[key] < 1:
      raise ValueError(f'{key} is at least 1, not {config[key]}.')
  if config.max_length < 3:  # [CLS], a sub-word, [SEP].
    raise ValueError(f'max_length is at least 3, not {config.max_length}.')
  if config.seed < 0:
    raise ValueError(f'seed is at least 0, not {config.seed}.')
  if config.model.dtype not in ('float32', 'bfloat16'):
    raise ValueError(
      f"model.dtype is 'float32' or 'bfloat16', not {config.model.dtype!r}."
    )
  if not 0 <= config.model.dropout < 1:
    raise ValueError(
      f'model.dropout is at least 0 and below 1, not {config.model.dropout}.'
    )
  for key in ('learning_rate', 'weight_decay', 'eps', 'clip_norm'):
    if config.optimizer[key] < 0:
      raise ValueError(
        f'optimizer.{key} is at least 0, not {config.optimizer[key]}.'
      )
  for key in ('warmup', 'final'):
    if not 0 <= config.optimizer[key] <= 1:
      raise ValueError(
        f'optimizer.{key} is between 0 and 1, not {config.optimizer[key]}.'
      )
