"""One run: build, restore, train, log, evaluate, save."""

import dataclasses
import json
import pathlib
import time

import jax
import jax.numpy as jnp
from ml_collections import config_dict

from dicejax.models import BertConfig
from dicejax.models import load_pretrained
from dicejax.models import resolve
from train import checkpoint
from train import inference
from train import report
from train.data.batches import TrainingBatches
from train.data.synthetic import train_wordpiece
from train.data.tokenizer import load_tokenizer
from train.objective import make_objective
from train.optimizer import learning_rate
from train.optimizer import make_optimizer
from train.parallel import make_shardings
from train.progress import Progress
from train.step import init_state
from train.step import make_train_step
from train.tasks import tagging


class Run:
  """An experiment in its workdir, checked and ready to train.

  Making one reads the data and the weights, and raises whatever is wrong with
  them before a step is made: OSError and ValueError, in one sentence. The same
  config in the same workdir goes on from the last checkpoint.
  """

  def __init__(self, config: config_dict.ConfigDict, workdir: pathlib.Path):
    check_config(config)
    check_workdir(config, workdir)
    workdir.mkdir(parents=True, exist_ok=True)
    self.config, self.workdir = config, workdir
    self.sentences = tagging.read_splits(config, workdir)
    tokenizer, encoder, weights = _encoder(
      config, workdir, self.sentences['train']
    )
    labels = tagging.get_labels(self.sentences['train'])
    self.task = tagging.Tagging(tokenizer, labels, config.max_length)
    for split, sentences in self.sentences.items():
      if message := self.task.describe_cut(sentences):
        print(f'{split}: {message}')
    self.meta = {'labels': labels, 'encoder': dataclasses.asdict(encoder)}
    self.model = self.task.model(encoder, config.model.dtype)
    self.batches = TrainingBatches(
      self.task.examples(self.sentences['train']),
      self.task.fill,
      batch_size=config.batch_size,
      epochs=config.epochs,
      seed=config.seed,
    )
    self.optimizer = make_optimizer(config.optimizer, len(self.batches))
    self.shardings = make_shardings(config.batch_size)
    self.step = jax.jit(
      make_train_step(
        self.model,
        make_objective(config.loss, labels),
        self.optimizer,
        config.seed,
      ),
      in_shardings=self.shardings,
      out_shardings=self.shardings[0],
      donate_argnums=0,
    )
    self.predict = inference.make_predictor(
      self.task, self.model, config.batch_size
    )
    self.state = self._initial_state(weights)
    # Last: a workdir with a config is one whose run can start.
    report.write_whole(
      workdir / inference.CONFIG, config.to_json(indent=2) + '\n'
    )

  def _initial_state(self, weights):
    replicated, _ = self.shardings

    @jax.jit
    def init():
      tokens = jnp.zeros((1, 1), jnp.int32)
      key = jax.random.key(self.config.seed)
      return self.model.init(key, tokens)['params']

    params = init()
    if weights is not None:
      params |= {'encoder': weights}
    return jax.device_put(init_state(params, self.optimizer), replicated)


def train(run: Run) -> dict:
  """Trains to the end, evaluates the best checkpoint, writes the report.

  Returns:
    What is in results.json: `scores` by split, `best_step`, `seconds`.
  """
  results = run.workdir / 'results.json'
  if results.is_file():
    print(f'{run.workdir} is finished.')
    return json.loads(results.read_text())
  manager = checkpoint.open_checkpoints(run.workdir / inference.CHECKPOINTS)
  seconds = _fit(run, manager)
  manager.wait_until_finished()
  best = manager.best_step()
  params = checkpoint.restore_params(
    manager,
    best,
    inference.abstract_params(run.model, run.shardings[0]),
  )
  manager.close()
  scores = {}
  for split in run.sentences.keys() - {'train'}:
    sentences = run.sentences[split]
    tags = run.predict(params, sentences)
    scores[split] = tagging.score(sentences, tags)
    report.write_predictions(
      run.workdir / 'predictions' / f'{split}.conll', sentences, tags
    )
  outcome = {'best_step': best, 'seconds': seconds, 'scores': scores}
  report.write_report(run.workdir, run.config.to_dict(), outcome)
  report.write_whole(results, json.dumps(outcome, indent=2))
  return outcome


def _fit(run: Run, manager) -> float:
  """Trains from the latest checkpoint to the last step; returns seconds."""
  config, batches, state = run.config, run.batches, run.state
  start = manager.latest_step() or 0
  if start:
    state = checkpoint.restore(manager, start, state)
    print(f'{run.workdir} goes on from step {start} of {len(batches)}.')
  rate = learning_rate(config.optimizer, len(batches))
  per_epoch = batches.steps_per_epoch / config.evaluations_per_epoch
  evaluations = {
    round((i + 1) * per_epoch)
    for i in range(config.epochs * config.evaluations_per_epoch)
  }
  began = time.monotonic()
  with Progress(run.workdir, start, len(batches)) as progress:
    for step, batch in enumerate(batches.from_step(start), start + 1):
      examples = int(batch['mask'].any(axis=1).sum())
      batch = jax.device_put(batch, run.shardings[1])
      state, metrics = run.step(state, batch)
      progress.advance(metrics, examples)
      evaluate = step in evaluations
      if evaluate or step % config.log_every == 0:
        progress.log(step, learning_rate=float(rate(step - 1)))
      if evaluate:
        dev = run.sentences['dev']
        scores = tagging.score(dev, run.predict(state.params, dev))
        progress.log_scores(step, scores)
        checkpoint.save(manager, state, run.meta, tagging.headline(scores))
      elif step % config.checkpoint_every == 0:
        checkpoint.save(manager, state, run.meta)
  return time.monotonic() - began


def _encoder(config, workdir, sentences):
  """Tokenizer, config and weights (None: from scratch) of the encoder."""
  if config.model.pretrained:
    directory = resolve(config.model.pretrained)
    encoder, weights = load_pretrained(directory)
    tokenizer = load_tokenizer(directory)
  else:
    shape = config.model.scratch.to_dict()
    train_wordpiece(
      (s.tokens for s in sentences), workdir, shape.pop('vocab_size')
    )
    tokenizer = load_tokenizer(workdir)
    encoder = BertConfig(vocab_size=tokenizer.get_vocab_size(), **shape)
    weights = None
  if config.max_length > encoder.max_position_embeddings:
    raise ValueError(
      f'max_length={config.max_length} is more than the encoder has positions '
      f'for: {encoder.max_position_embeddings}.'
    )
  tokenizer.save(str(workdir / inference.TOKENIZER))
  encoder = dataclasses.replace(
    encoder, hidden_dropout_prob=config.model.dropout
  )
  return tokenizer, encoder, weights


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
  if config.task != 'tagging':
    raise ValueError(f"task is 'tagging', not {config.task!r}.")
  if config.model.dtype not in ('float32', 'bfloat16'):
    raise ValueError(
      f"model.dtype is 'float32' or 'bfloat16', not {config.model.dtype!r}."
    )
  if not 0 <= config.optimizer.warmup <= 1:
    raise ValueError(
      f'optimizer.warmup is between 0 and 1, not {config.optimizer.warmup}.'
    )


def check_workdir(
  config: config_dict.ConfigDict, workdir: pathlib.Path
) -> None:
  """Raises FileExistsError if a workdir holds anything but this experiment."""
  path = workdir / inference.CONFIG
  if path.is_file():
    theirs, ours = json.loads(path.read_text()), json.loads(config.to_json())
    if theirs != ours:
      raise FileExistsError(
        f'{workdir} holds another experiment: {_difference(theirs, ours)}. '
        'Choose another --workdir.'
      )
  elif workdir.exists() and (
    # What a run that did not get as far as config.json may have left.
    {p.name for p in workdir.iterdir()} - {inference.TOKENIZER, 'corpus'}
  ):
    raise FileExistsError(
      f'{workdir} is not empty and holds no run. Choose another --workdir.'
    )


def _difference(theirs, ours, prefix='') -> str:
  for key in sorted(theirs.keys() | ours.keys()):
    there, here = theirs.get(key), ours.get(key)
    if isinstance(there, dict) and isinstance(here, dict):
      if there != here:
        return _difference(there, here, f'{prefix}{key}.')
    elif there != here:
      return f'{prefix}{key} is {there!r} there and {here!r} here'
  raise AssertionError('No difference.')
