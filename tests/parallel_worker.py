"""Takes twenty steps in one parallel way; may be one of several processes."""

import dataclasses
import sys

import jax
import numpy as np

from configs import default
from configs import losses as presets
from dicejax.models import BertConfig
from dicejax.models import TokenTagger
from train import inference
from train import parallel
from train.data.batches import TrainingBatches
from train.objective import Objective
from train.objective import make_loss
from train.optimizer import make_optimizer
from train.step import init_state
from train.step import make_train_step

LABELS = ('O', 'B-X', 'I-X')
ENCODER = BertConfig(
  vocab_size=40,
  hidden_size=16,
  num_hidden_layers=1,
  num_attention_heads=2,
  intermediate_size=32,
  hidden_dropout_prob=0.0,
  attention_probs_dropout_prob=0.0,
  initializer_range=0.2,
)
FILL = {'tokens': 0, 'labels': -1}


@dataclasses.dataclass
class Task:
  """The members of a task that predictions need; all logits are the outputs."""

  fill = FILL

  def postprocess(self, logits, batch):
    return logits

  def decode(self, examples, features, outputs):
    rows = zip(features, outputs, strict=True)
    return [logits[: len(feature['tokens'])] for feature, logits in rows]


def make_features(seed=0, n=133):
  rng = np.random.default_rng(seed)
  return [
    {
      'tokens': rng.integers(1, 40, length).astype(np.int32),
      'labels': rng.choice(3, length, p=[0.8, 0.1, 0.1]).astype(np.int32),
    }
    for length in rng.integers(2, 17, n)
  ]


@dataclasses.dataclass
class Training:
  """A compiled step, with its state and its batches."""

  config: object
  mesh: object
  features: list
  batches: object
  model: object
  state: object
  run: object


def prepare(
  loss='paper_self_adjusting_dice+cross_entropy',
  *,
  mode='jit',
  devices=None,
  parts=1,
  fsdp=1,
):
  config = default.get_config()
  config.batch_size = 20  # A multiple of neither 8 nor 3.
  config.max_length = 16
  features = make_features()
  mesh = parallel.make_mesh(fsdp, devices)
  rows = parallel.padded_batch_size(config.batch_size, mesh, parts)
  batches = TrainingBatches(
    features, FILL, batch_size=20, rows=rows, own=parallel.local_rows(rows),
    max_length=16, epochs=3, seed=0,
  )  # fmt: skip
  model = TokenTagger(ENCODER, len(LABELS))
  optimizer = make_optimizer(config.optimizer, len(batches))
  axis_name = parallel.DATA if mode == 'pmap' else None
  loss = make_loss(presets.get_loss(loss, background='O'), LABELS, axis_name)

  def update(logits, batch, running):
    labels = batch['labels']
    return loss.update(logits, labels, labels >= 0, running)

  objective = Objective(
    lambda logits, batch: loss.init(logits, batch['labels']), update
  )
  step = make_train_step(
    model,
    objective,
    optimizer,
    micro_batches=parts,
    axis_name=axis_name,
    wrap=parallel.gather_parameters(mesh),
  )

  def init():
    tokens = np.ones((1, 1), np.int32)
    params = model.init(jax.random.key(0), tokens)['params']
    like = np.zeros((1, 1, len(LABELS)), np.float32), {'labels': tokens}
    return init_state(params, optimizer, objective.init(*like))

  shapes = jax.eval_shape(init)
  shardings = parallel.shard_state(mesh, shapes)
  state = jax.jit(init, out_shardings=shardings)()
  run = parallel.compile_step(step, mesh, shapes, mode)
  return Training(config, mesh, features, batches, model, state, run)


def train(*args, **kwargs):
  """Losses, norms of gradients, parameters and predictions as float arrays."""
  t = prepare(*args, **kwargs)
  state, values = t.state, []
  for i in range(20):
    state, metrics = t.run(state, t.batches[i])
    values.append(jax.device_get(metrics))
  predict = inference.make_predictor(Task(), t.model, t.config, t.mesh)
  logits = np.concatenate(predict(state.params, t.features, t.features))
  kept = parallel.to_host((state.params, state.running))
  return {
    'loss': np.array([m['loss'] for m in values]),
    'grad_norm': np.array([m['grad_norm'] for m in values]),
    'logits': logits,
  } | {
    jax.tree_util.keystr(path): np.asarray(leaf)
    for path, leaf in jax.tree_util.tree_leaves_with_path(kept)
  }


if __name__ == '__main__':
  coordinator, processes, process, output = sys.argv[1:]
  parallel.initialize(coordinator, int(processes), int(process))
  found = train()
  np.savez(f'{output}-{process}.npz', **found)
