"""Trains one run: reads, restores, steps, evaluates, saves, reports."""

import contextlib
import dataclasses
import json
import pathlib
import signal
import time
from typing import Any

import jax
import numpy as np
from ml_collections import config_dict
from orbax.checkpoint import CheckpointManager

from train import checkpoint
from train import decision_curve
from train import frozen
from train import inference
from train import interrupts
from train import page
from train import parallel
from train import report
from train import settings
from train import tasks
from train import workdir as files
from train.compiled import keep_programs
from train.data.files import read_json
from train.data.splits import read_splits
from train.encoder import digest_params
from train.encoder import make_encoder
from train.initial import log_odds
from train.initial import make_init
from train.inputs import count_inputs
from train.inputs import count_targets
from train.inputs import evaluation_steps
from train.inputs import make_batches
from train.optimizer import learning_rate
from train.optimizer import make_optimizer
from train.patience import Patience
from train.progress import Progress
from train.progress import Watcher
from train.step import TrainState
from train.step import make_train_step
from train.tasks.review import review
from train.tasks.task import Scores


class Trainer:
  """A run in its workdir.

  Making one reads the data and the weights and finds what is wrong with them,
  before the first step. `train` then does everything else.

  Attributes:
    config: the config of the experiment.
    workdir: the directory that everything goes to.
    examples: lists of examples by split.
    features: lists of features by split, one per example.
    task: features, decoding and scores.
    headline: row and column of the score that chooses the best checkpoint.
    meta: what a checkpoint needs besides the state.
    weights: published parameters by module; empty for a run from scratch.
    batches: the batches of the training split.
    predict: `(params, examples, features) -> predictions`.
    init: makes the state before the first step.
    watchers: get what is recorded, see `Progress`.
  """

  def __init__(self, config: config_dict.ConfigDict, workdir: pathlib.Path):
    """Prepares a run; the same config and workdir again go on with it.

    Raises:
      OSError, ValueError: one sentence on what is wrong with the settings, the
        files or the workdir.
    """
    settings.check(config)
    keep_programs(config)
    self.config, self.workdir = config, workdir
    self.watchers: list[Watcher] = []
    self._improved: list | None = None
    # Twice: a directory that holds something else gets no lock file, and
    # another process may have begun a run before the lock was taken.
    files.check_experiment(workdir, config)
    with self._locked():
      files.check_experiment(workdir, config)
      self._read()
      self._build()
      if parallel.is_first():
        files.write_whole(workdir / files.CONFIG, config.to_json(indent=2))

  def _locked(self):
    """Locks the workdir; the first of several processes does so for all."""
    if parallel.is_first():
      return files.locked(self.workdir)
    return contextlib.nullcontext()

  def _read(self):
    """Reads examples and weights, and makes the task and its features."""
    config, workdir = self.config, self.workdir
    self.examples = read_splits(config, workdir)
    for split in ('train', 'dev'):
      if split not in self.examples:
        raise ValueError(
          f'There is no {split} split: expected a file as data.files.{split}'
          + (
            ', or data.held_out.dev, such as 0.1 for a tenth of the training '
            'file.'
            if split == 'dev'
            else '.'
          )
        )
    train = self.examples['train']
    labels = tasks.get_labels(config, train)
    files.check_data(workdir, {**self.examples, 'labels': labels})
    tokenizer, self._encoder, self.weights = make_encoder(
      config, workdir, train, labels
    )
    self.task = tasks.make_task(config, tokenizer, labels)
    self.headline = tasks.select_headline(config, self.task)
    self.meta: dict[str, Any] = {
      'labels': labels,
      'encoder': dataclasses.asdict(self._encoder),
    }
    self.features = {
      split: inference.make_features(self.task, part, split)
      for split, part in self.examples.items()
    }

  def _build(self):
    """Makes the model, the objective, the batches and the compiled steps."""
    config, task = self.config, self.task
    self._mesh = parallel.make_mesh(config.fsdp)
    axis_name = parallel.DATA if config.parallel == 'pmap' else None
    sigmoid = config.loss.activation == 'sigmoid'
    counts, foreground = count_targets(task, self.features['train'], sigmoid)
    objective = task.objective(config.loss, axis_name, counts)
    print(f'loss: {objective.description}', flush=True)
    model = task.model(self._encoder, config.model.dtype)
    if config.model.frozen:
      self._freeze(model)
    # Standardised states have mean 0, so that only the bias of a head on a
    # frozen encoder can express the prior, which takes Adam hundreds of steps.
    prior = config.model.prior_bias or (config.model.frozen and task.has_prior)
    self.batches = make_batches(
      config, task, self.features['train'], foreground, self._mesh
    )
    optimizer = make_optimizer(config.optimizer, len(self.batches))
    self._shapes, self.init = make_init(
      model,
      objective,
      optimizer,
      self.batches[0],
      config.seed,
      self._mesh,
      weights=self.weights,
      bias=log_odds(counts, sigmoid) if prior else 0.0,
    )
    step = make_train_step(
      model,
      objective,
      optimizer,
      micro_batches=config.micro_batches,
      axis_name=axis_name,
      wrap=parallel.gather_parameters(self._mesh),
    )
    self._compiled_step = parallel.compile_step(
      step, self._mesh, self._shapes, config.parallel
    )
    self.predict = inference.make_predictor(task, model, config, self._mesh)

  def _freeze(self, model):
    """Replaces the inputs of a frozen encoder by its hidden states."""
    encoder = self.weights.pop('encoder')
    # A published pooler is made for states that are not standardised.
    self.weights.pop('pooler', None)
    self.features, moments = frozen.add_states(
      self.config,
      model,
      encoder,
      self.features,
      self.task.fill,
      self._mesh,
    )
    self.meta['weights'] = digest_params(encoder)
    self.meta['moments'] = [x.tolist() for x in moments]

  @property
  def weights_digest(self) -> str:
    """SHA-256 of the published encoder; empty for one from scratch."""
    if 'weights' in self.meta:  # A frozen encoder.
      return self.meta['weights']
    encoder = self.weights.get('encoder')
    return digest_params(encoder) if encoder else ''

  def restore(self, checkpoints: CheckpointManager) -> tuple[TrainState, float]:
    """Makes the state to start from.

    Returns:
      The state, and the seconds that were spent to get there.

    Raises:
      ValueError: all checkpoints are damaged, or the weights of a frozen
        encoder changed.
    """
    # A run starts in the first of these ways that applies:
    # 1. It is finished: `train` returns its results and gets no further.
    # 2. It has a checkpoint: training goes on from the latest whole one and
    #    ends with the same bits as if nothing had stopped it.
    # 3. The config names a published encoder: its weights, and a fresh head.
    # 4. From scratch: all weights are fresh, and the tokenizer was trained on
    #    the training split.
    # With `model.frozen`, which needs 3, the state has only the head: the
    # encoder is in no checkpoint. The run keeps a copy of the encoder, and
    # 2 therefore asks for the very weights with which it began.
    self._improved = None
    state = self.init()  # 3 or 4; 2 needs its shapes.
    found = checkpoint.restore(checkpoints, state)
    if not found:
      return state, 0.0
    state, meta = found
    self._improved = meta.get('improved')
    if meta.get('weights') != self.meta.get('weights'):
      raise ValueError(
        f'{self.workdir / files.ENCODER} is damaged: its weights differ from '
        'those in training.'
      )
    print(
      f'{self.workdir} goes on from step {int(state.step)} of '
      f'{len(self.batches)}.'
    )
    return state, meta['seconds']

  def step(self, state: TrainState, batch: dict) -> tuple[TrainState, dict]:
    """Makes one step; the memory of the given state is used again."""
    return self._compiled_step(state, batch)

  def evaluate(self, params: Any) -> tuple[dict[str, float], Scores]:
    """Tunes the decision on dev, and scores dev with it."""
    dev = self.examples['dev']
    predictions = self.predict(params, dev, self.features['dev'])
    tuned = self.task.tune(dev, predictions)
    return tuned, self.task.score(dev, predictions, tuned)

  def save(
    self,
    checkpoints: CheckpointManager,
    state: TrainState,
    seconds: float,
    tuned: dict[str, float],
    score: float | None,
  ) -> None:
    """Starts to save a checkpoint; with a score, it may become the best."""
    meta = self.meta | {
      'seconds': seconds,
      'tuned': tuned,
      'improved': self._improved,
    }
    checkpoint.save(checkpoints, state, meta, score)

  def train(self) -> dict:
    """Trains to the end, evaluates the best checkpoint, writes the report.

    Returns:
      The contents of results.json: `scores` by split, the row and column of
      their `headline`, the rows `beside` it, which hold the same score by other
      rules of decision, `best_step`, and `seconds` of training and evaluating,
      without those that a kill made useless.

    Raises:
      FloatingPointError: the loss or the parameters are not finite.
      OSError: another process has the workdir, or it cannot be written.
      ValueError: all checkpoints are damaged, or the best one is.
      interrupts.Stopped: a signal came. Everything that was done is saved.
    """
    results = self.workdir / files.RESULTS
    if results.is_file():
      print(f'{self.workdir} is finished.')
      return read_json(results)
    with self._locked():
      directory = self.workdir / files.CHECKPOINTS
      checkpoints = checkpoint.open_checkpoints(directory)
      try:
        seconds = self._fit(checkpoints)
      finally:
        checkpoint.wait(checkpoints)
      outcome = self._finish(checkpoints, seconds)
      checkpoints.close()
      if parallel.is_first():
        checkpoint.keep_best(directory, outcome['best_step'])
      return outcome

  def _fit(self, checkpoints) -> float:
    """Trains to the last step; returns the seconds that the run has taken."""
    config = self.config
    state, seconds = self.restore(checkpoints)
    began, start = time.monotonic() - seconds, int(state.step)
    evaluations = evaluation_steps(config, self.batches)
    rate = learning_rate(config.optimizer, len(self.batches))
    workdir = self.workdir if parallel.is_first() else None
    patience = Patience(config.patience, evaluations, self._improved)
    progress = Progress(workdir, start, len(self.batches), self.watchers)
    if patience.is_over(start):  # A kill came before the results.
      return seconds
    with progress, parallel.held_signals() as signals:
      for step, batch in enumerate(self.batches.from_step(start), start + 1):
        progress.announce(batch['tokens'].shape)
        state, metrics = self.step(state, batch)
        progress.advance(metrics, count_inputs(batch))
        if parallel.preempted(step):
          signals.append(signal.SIGTERM)
        evaluate = step in evaluations
        save = evaluate or signals or step % config.checkpoint_every == 0
        if save or step % config.log_every == 0:
          bad = progress.log(step, learning_rate=float(rate(step - 1)))
          if bad:  # Before saving: a state that is not finite is useless.
            raise FloatingPointError(
              self._explain(*bad, checkpoints.latest_step())
            )
        tuned, score = {}, None
        with progress.paused():
          if evaluate:
            tuned, scores = self.evaluate(state.params)
            progress.log_scores(step, scores, self.headline)
            score = report.headline_score(scores, self.headline)
            patience.note(step, score)
            self._improved = patience.improved
          if save:
            spent = time.monotonic() - began
            self.save(checkpoints, state, spent, tuned, score)
        if save and signals:
          raise interrupts.Stopped(
            f'Stopped after step {step}. The same command goes on from there.',
            signals[0],
          )
        if evaluate and patience.is_over(step):
          progress.say(patience.explain(step))
          break
    return time.monotonic() - began

  def _explain(self, step: int, metrics: dict, saved: int | None) -> str:
    """Says where to look when the metrics of a step are not finite."""
    examples = self.examples['train']
    names = [examples[i].where for i in self.batches.sources(step - 1)]
    after = f'after the checkpoint of step {saved}' if saved else 'at all'
    if np.isfinite([metrics['loss'], metrics['grad_norm']]).all():
      return (
        f'The parameters are not finite after step {step}: their norm is '
        f'{metrics["param_norm"]}. Expected a lower optimizer.learning_rate '
        f'than {self.config.optimizer.learning_rate}. Nothing was saved '
        f'{after}.'
      )
    return (
      f'The loss is {metrics["loss"]} and the norm of its gradient '
      f'{metrics["grad_norm"]} in step {step}, on {", ".join(names)} of the '
      f'training split. Nothing was saved {after}.'
    )

  def _finish(self, checkpoints, seconds: float) -> dict:
    """Scores the best checkpoint on all splits but train, and writes it all."""
    best = checkpoints.best_step()
    shapes = self._shapes.params
    like = jax.tree.map(
      lambda x, sharding: x.update(sharding=sharding),
      shapes,
      parallel.shard_state(self._mesh, shapes),
    )
    params = checkpoint.restore_params(checkpoints, best, like)
    tuned = checkpoint.read_meta(checkpoints, best)['tuned']
    splits = [split for split in self.examples if split != 'train']
    predictions = {
      s: self.predict(params, self.examples[s], self.features[s])
      for s in splits
    }
    outcome = {
      'best_step': best,
      'seconds': seconds,
      'headline': list(self.headline),
      'beside': [
        row for row in self.task.decision_rows if row != self.headline[0]
      ],
      'scores': {
        s: self.task.score(self.examples[s], predictions[s], tuned)
        for s in splits
      },
    }
    if parallel.is_first():
      self._write(outcome, predictions, tuned)
    return outcome

  def _write(self, outcome, predictions, tuned):
    """Writes predictions and report, and results.json last: it says "done"."""
    directory = self.workdir / files.PREDICTIONS
    directory.mkdir(exist_ok=True)
    for split, found in predictions.items():
      self.task.write(directory / split, self.examples[split], found, tuned)
    last = 'test' if 'test' in predictions else 'dev'
    _, decided = tasks.decide(self.task, tuned)
    page.write_report(
      self.workdir,
      self.config,
      outcome,
      sizes={split: len(part) for split, part in self.examples.items()},
      curves=decision_curve.trace(
        self.task, self.examples['dev'], predictions['dev'], tuned
      ),
      review=review(self.task, self.examples[last], predictions[last], decided),
    )
    text = json.dumps(outcome, indent=2)
    files.write_whole(self.workdir / files.RESULTS, text)
