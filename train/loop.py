"""One run: build, restore, train, log, evaluate, save."""

import contextlib
import dataclasses
import json
import pathlib
import signal
import time
from collections.abc import Callable
from typing import Any

import jax
import numpy as np
from ml_collections import config_dict

from train import checkpoint
from train import frozen
from train import inference
from train import interrupts
from train import parallel
from train import report
from train import tasks
from train import workdir as files
from train.data.batches import TrainingBatches
from train.data.batches import pack
from train.data.splits import read_splits
from train.encoder import digest_params
from train.encoder import make_encoder
from train.optimizer import learning_rate
from train.optimizer import make_optimizer
from train.progress import Progress
from train.step import TrainState
from train.step import apply_model
from train.step import init_params
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
    headline: row and column of the scores by which checkpoints are chosen.
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
  headline: tuple[str, str]
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
  files.check_config(workdir, config)  # Before a lock is left there.
  with _locked(workdir):
    return _prepare(config, workdir)


def _prepare(config, workdir) -> Run:
  files.check_config(workdir, config)  # Another process may have been faster.
  examples = read_splits(config, workdir)
  for split in ('train', 'dev'):
    if split not in examples:
      raise ValueError(f'data: there is no {split}, in a file or held out.')
  labels = tasks.get_labels(config, examples['train'])
  files.check_data(workdir, {**examples, 'labels': labels})
  tokenizer, encoder, weights = make_encoder(config, workdir, examples['train'])
  task = tasks.make_task(config, tokenizer, labels)
  headline = tasks.select_headline(config, task)
  features = {
    split: inference.make_features(task, part, split)
    for split, part in examples.items()
  }
  mesh = parallel.make_mesh(config.fsdp)
  axis_name = parallel.DATA if config.parallel == 'pmap' else None
  sigmoid = config.loss.activation == 'sigmoid'
  class_counts, foreground = _count_targets(task, features['train'], sigmoid)
  objective = task.objective(config.loss, axis_name, class_counts)
  print(f'loss: {objective.description}', flush=True)
  model = task.model(encoder, config.model.dtype)
  meta = {'labels': labels, 'encoder': dataclasses.asdict(encoder)}
  if config.model.frozen:
    own = weights.pop('encoder')
    weights.pop('pooler', None)  # It is made for states as they were.
    features, moments = frozen.add_states(
      config, model, own, features, task.fill, mesh
    )
    meta['weights'] = digest_params(own)
    meta['moments'] = [x.tolist() for x in moments]
  batches = _batches(config, task, features['train'], foreground, mesh)
  optimizer = make_optimizer(config.optimizer, len(batches))
  step = make_train_step(
    model,
    objective,
    optimizer,
    config.seed,
    micro_batches=config.micro_batches,
    axis_name=axis_name,
    wrap=parallel.gather_parameters(mesh),
  )

  # Standardised states have mean 0, so that a head on a frozen encoder has its
  # bias alone for the prior, which takes Adam hundreds of steps.
  prior = config.model.prior_bias or config.model.frozen and task.has_prior

  def fresh():
    params = init_params(model, batches[0], config.seed)
    if prior:
      _add_bias(params, _log_odds(class_counts, sigmoid))
    return params

  shapes, init = _initial_state(
    model, fresh, weights, optimizer, objective, batches[0], mesh
  )
  run = Run(
    config=config,
    workdir=workdir,
    examples=examples,
    features=features,
    task=task,
    headline=headline,
    meta=meta,
    batches=batches,
    step=parallel.compile_step(step, mesh, shapes, config.parallel),
    predict=inference.make_predictor(task, model, config, mesh),
    init=init,
  )
  if parallel.is_first():
    files.write_whole(workdir / files.CONFIG, config.to_json(indent=2))
  return run


def _initial_state(model, fresh, weights, optimizer, objective, batch, mesh):
  """Shapes of the state before the first step, and what makes it."""
  outputs = jax.eval_shape(lambda: apply_model(model, fresh(), batch))

  def first(params):
    running = objective.init(outputs, batch)
    return init_state(params, optimizer, running)

  shapes = jax.eval_shape(lambda: first(fresh()))
  shardings = parallel.shard_state(mesh, shapes)

  def init():
    # Compiled: op by op it takes much longer, and no device need hold it all.
    params = jax.jit(fresh, out_shardings=shardings.params)()
    for name in weights.keys() & params.keys():  # A head may have no pooler.
      place = shardings.params[name]
      params[name] = jax.device_put(weights[name], place)
    return jax.jit(first, out_shardings=shardings)(params)

  return shapes, init


def _locked(workdir):
  """The first of several processes has the workdir for them all."""
  if parallel.is_first():
    return files.locked(workdir)
  return contextlib.nullcontext()


def _count_targets(task, features, sigmoid) -> tuple[np.ndarray, list[bool]]:
  """How often there is each class, and which of the features have a positive.

  Where no class is the negative one, none has.
  """
  targets = [task.targets(feature) for feature in features]
  number = 2 if sigmoid else max(len(task.labels), 2)
  counts = np.bincount(np.concatenate(targets), minlength=number)
  return counts, [bool(task.background and (t > 0).any()) for t in targets]


def _log_odds(counts, sigmoid) -> np.ndarray:
  """Logits of a model that knows how often there is each class, and no more."""
  # A label that the training split lacks counts as often as the rarest.
  logs = np.log(np.where(counts > 0, counts, counts[counts > 0].min()))
  return logs[1] - logs[0] if sigmoid else logs - np.log(counts.sum())


def _add_bias(params, bias):
  for name in ('head', 'start_head', 'end_head'):
    if name in params:
      params[name]['bias'] += bias


def _batches(config, task, features, foreground, mesh) -> TrainingBatches:
  size = config.batch_size
  if config.packing:
    number = len(features)
    features = pack(
      features, task.fill, max_length=config.max_length, seed=config.seed
    )
    size = max(1, round(size * len(features) / number))
  rows = parallel.count_rows(size, mesh, config.micro_batches)
  return TrainingBatches(
    features,
    task.fill,
    batch_size=size,
    rows=rows,
    own=parallel.own_rows(rows),
    max_length=config.max_length,
    epochs=config.epochs,
    seed=config.seed,
    foreground=foreground,
    share=config.data.foreground,
  )


def train(run: Run) -> dict:
  """Trains to the end, evaluates the best checkpoint, writes the report.

  Returns:
    What is in results.json: `scores` by split, the row and column of their
    `headline`, the rows `beside` it, which hold the same score by other rules
    of decision, `best_step`, and `seconds` of training and evaluating, without
    those that a kill made useless.

  Raises:
    FloatingPointError: the loss is not finite; names what it is the loss of.
    OSError: another process has the workdir, or it cannot be written.
    ValueError: all checkpoints are damaged, or the best is.
    interrupts.Stopped: by a signal. What was done is saved.
  """
  results = run.workdir / files.RESULTS
  if results.is_file():
    print(f'{run.workdir} is finished.')
    return files.read_json(results)
  with _locked(run.workdir):
    return _train(run)


def _train(run: Run) -> dict:
  manager = checkpoint.open_checkpoints(run.workdir / files.CHECKPOINTS)
  try:
    seconds, like = _fit(run, manager)
  finally:
    checkpoint.wait(manager)
  best = manager.best_step()
  params = checkpoint.restore_params(manager, best, like)
  tuned = checkpoint.read_meta(manager, best)['tuned']
  manager.close()
  splits = [split for split in run.examples if split != 'train']
  predictions = {
    s: run.predict(params, run.examples[s], run.features[s]) for s in splits
  }
  scores = {
    s: run.task.score(run.examples[s], predictions[s], tuned) for s in splits
  }
  outcome = {
    'best_step': best,
    'seconds': seconds,
    'headline': list(run.headline),
    'beside': [row for row in run.task.decision_rows if row != run.headline[0]],
    'scores': scores,
  }
  if parallel.is_first():
    directory = run.workdir / files.PREDICTIONS
    directory.mkdir(exist_ok=True)
    for s in splits:
      run.task.write(directory / s, run.examples[s], predictions[s], tuned)
    report.write_report(run.workdir, run.config.to_dict(), outcome)
    results = json.dumps(outcome, indent=2)
    files.write_whole(run.workdir / files.RESULTS, results)
  return outcome


def _fit(run: Run, manager) -> tuple[float, Any]:
  """Trains from the latest whole checkpoint to the last step.

  Returns:
    Seconds, and the shapes of the parameters.
  """
  config, batches, state = run.config, run.batches, run.init()
  start, before = 0, 0.0
  if found := checkpoint.restore(manager, state):
    state, meta = found
    start, before = int(state.step), meta['seconds']
    if meta.get('weights') != run.meta.get('weights'):
      raise ValueError(
        f'{run.workdir / files.ENCODER} is damaged: its weights are not those '
        'of the training.'
      )
    print(f'{run.workdir} goes on from step {start} of {len(batches)}.')
  rate = learning_rate(config.optimizer, len(batches))
  per_epoch = batches.steps_per_epoch / config.evaluations_per_epoch
  evaluations = {
    round((i + 1) * per_epoch)
    for i in range(config.epochs * config.evaluations_per_epoch)
  }
  began = time.monotonic() - before
  workdir = run.workdir if parallel.is_first() else None
  progress = Progress(workdir, start, len(batches))
  with progress, parallel.held_signals() as signals:
    for step, batch in enumerate(batches.from_step(start), start + 1):
      inputs = int(batch['mask'].max(axis=1).sum()) * jax.process_count()
      state, metrics = run.step(state, batch)
      progress.advance(metrics, inputs)
      if parallel.preempted(step):
        signals.append(signal.SIGTERM)
      evaluate = step in evaluations
      save = evaluate or signals or step % config.checkpoint_every == 0
      if save or step % config.log_every == 0:
        # First: where the loss is not finite, nothing is saved.
        if bad := progress.log(step, learning_rate=float(rate(step - 1))):
          raise FloatingPointError(_explain(run, *bad, manager.latest_step()))
      tuned, score = {}, None
      with progress.paused():
        if evaluate:
          tuned, scores = _evaluate(run, state.params)
          progress.log_scores(step, scores, run.headline)
          score = report.headline(scores, run.headline)
        if save:
          seconds = time.monotonic() - began
          meta = run.meta | {'seconds': seconds, 'tuned': tuned}
          checkpoint.save(manager, state, meta, score)
      if save and signals:
        raise interrupts.Stopped(
          f'Stopped after step {step}. The same command goes on from there.',
          signals[0],
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


def _explain(run: Run, step: int, metrics: dict, saved: int | None) -> str:
  """What to look at where the metrics of a step are not finite."""
  examples = run.examples['train']
  names = [examples[i].where for i in run.batches.sources(step - 1)]
  after = f'after the checkpoint of step {saved}' if saved else 'at all'
  return (
    f'The loss is {metrics["loss"]} and the norm of its gradient '
    f'{metrics["grad_norm"]} in step {step}, on {", ".join(names)} of the '
    f'training split. Nothing was saved {after}.'
  )


def check_config(config: config_dict.ConfigDict) -> None:
  """Raises ValueError for a setting that cannot be."""
  for key in (
    'batch_size',
    'micro_batches',
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
  if config.packing and config.task != 'tagging':
    raise ValueError(f"packing is for the task 'tagging', not {config.task!r}.")
  # Of logits [rows, tokens, classes]; None names all axes but the classes'.
  axis = config.loss.options.get('axis', ())
  axes = () if axis is None else np.atleast_1d(axis) % 3
  if config.packing and set(axes) == {1}:
    raise ValueError('packing: a row is several sentences, and no set of one.')
  if not 0 <= config.data.foreground < 1:
    raise ValueError(
      'data.foreground is at least 0 and below 1, not '
      f'{config.data.foreground}.'
    )
  if config.packing and config.data.foreground:
    raise ValueError(
      'data.foreground: most packed rows have some; expected packing=False.'
    )
  if config.model.pooling not in ('cls', 'mean'):
    raise ValueError(
      f"model.pooling is 'cls' or 'mean', not {config.model.pooling!r}."
    )
  if config.model.frozen and jax.process_count() > 1:
    raise ValueError('model.frozen: the head alone is trained in one process.')
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
