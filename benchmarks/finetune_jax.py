"""The side of dicejax in benchmarks/finetune.py."""

import dataclasses
import itertools
import time

import jax
import jax.numpy as jnp
import numpy as np
from finetune_inputs import DROPOUT
from finetune_inputs import Inputs
from finetune_inputs import make_config
from finetune_inputs import make_task
from finetune_inputs import resident

from dicejax.models import load_pretrained
from train.data.batches import TrainingBatches
from train.data.batches import pack
from train.objective import Objective
from train.optimizer import make_optimizer
from train.step import init_state
from train.step import make_predict_step
from train.step import make_train_step
from train.tasks.task import most_in_row

# The loss of the kind 'mean': the mean of the logits costs next to nothing.
_MEAN = Objective(
  lambda logits, batch: (),
  lambda logits, batch, running: (logits.mean(), running),
)


class DicejaxSide:
  """The parts of `python -m train`: see `finetune.Side` for the methods."""

  def __init__(self, args, directory, inputs: Inputs, *, packing: bool):
    self._args, self._inputs, self._packing = args, inputs, packing
    config, task = make_config(args), make_task(args, inputs.labels)
    self._objective = task.objective(config.loss)
    self._batches = self._make_batches(inputs.features, args.steps)
    self._per_epoch = self._batches.steps_per_epoch
    encoder, weights = load_pretrained(directory)
    gpu = args.device == 'gpu'
    encoder = dataclasses.replace(
      encoder,
      hidden_dropout_prob=DROPOUT,
      attention='cudnn' if gpu else 'xla',
    )
    self._model = task.model(encoder, 'bfloat16' if gpu else 'float32')
    steps = (args.repetitions + 1) * self._per_epoch
    optimizer = make_optimizer(config.optimizer, steps)
    self._state = self._init_state(weights, optimizer)
    self._steps = {
      kind: jax.jit(
        make_train_step(self._model, objective, optimizer),
        donate_argnums=0,
      )
      for kind, objective in (('train', self._objective), ('mean', _MEAN))
    }
    self._compiled, self._compiling = {}, 0.0

  def loss(self):
    first = self._inputs.features[: self._args.batch_size]

    def first_loss(outputs, batch):
      running = self._objective.init(outputs, batch)
      return self._objective.update(outputs, batch, running)[0]

    predict = make_predict_step(self._model, first_loss)
    batch = self._make_batches(first, 1)[0]
    return float(jax.jit(predict)(self._state.params, batch))

  def batches(self, epoch):
    batches = self._batches.from_step(epoch * self._per_epoch)
    return itertools.islice(batches, self._per_epoch)

  def step(self, batch, kind):
    key = kind, batch['tokens'].shape
    if key not in self._compiled:
      start = time.perf_counter()
      lowered = self._steps[kind].lower(self._state, batch)
      self._compiled[key] = lowered.compile()
      self._compiling += time.perf_counter() - start
    self._state, _ = self._compiled[key](self._state, batch)

  def wait(self):
    jax.block_until_ready(self._state)

  def compile(self):
    kinds = ('train', 'mean') if self._args.shares else ('train',)
    for i in range(len(self._batches)):
      batch = self._batches[i]
      for kind in kinds:
        if (kind, batch['tokens'].shape) not in self._compiled:
          self.step(batch, kind)
    return self._compiling

  def memory(self):
    statistics = jax.devices()[0].memory_stats()
    return statistics['peak_bytes_in_use'] if statistics else resident()

  def _make_batches(self, features, steps):
    args, fill = self._args, self._inputs.fill
    if self._packing:
      features = pack(
        features,
        fill,
        max_length=args.length,
        seed=args.seed,
        most=most_in_row(make_config(args)),
      )
    return TrainingBatches(
      features,
      fill,
      batch_size=-(-len(features) // steps),  # Packing leaves fewer rows.
      max_length=args.length,
      epochs=args.repetitions + 1,
      seed=args.seed,
    )

  def _init_state(self, weights, optimizer):
    kernel = self._inputs.kernel
    head = {'kernel': kernel, 'bias': np.zeros(kernel.shape[1:])}
    params = jax.tree.map(jnp.float32, {'encoder': weights, 'head': head})
    batch = self._batches[0]
    shape = *batch['tokens'].shape, kernel.shape[1]
    logits = jax.ShapeDtypeStruct(shape, jnp.float32)
    running = self._objective.init(logits, batch)
    return init_state(params, optimizer, running, self._args.seed)
