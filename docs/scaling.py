"""Prints the tables of scaling.md: `python docs/scaling.py`, a few minutes.

The communication between devices is read from the program that XLA compiles for
eight of them. No weights are made, and CPU devices are enough.
"""

import math
import pathlib
import re
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

import jax
import jax.numpy as jnp
import numpy as np

from configs import default
from configs import losses as presets
from dicejax import losses
from dicejax.models import BertConfig
from dicejax.models import TokenTagger
from train import parallel
from train.objective import Objective
from train.objective import make_loss
from train.optimizer import make_optimizer
from train.step import init_state
from train.step import make_train_step

BASE = BertConfig(hidden_dropout_prob=0.0)
LABELS = tuple(f'label{i}' for i in range(9))  # As many as CoNLL-2003 has.
_BYTES = {'f32': 4, 'bf16': 2, 's32': 4, 'u32': 4, 'pred': 1, 's64': 8}
# Name, peak bfloat16 TFLOP/s, and GB/s out of a device by number of devices,
# from the data sheets. Hosts of eight GPUs are joined by eight rings, each over
# its own 50 GB/s card, so that 400 GB/s leave a host.
CHIPS = [
  ('H100 SXM, 8 per host', 989, {8: 450, 64: 400, 1024: 400}),
  ('TPU v5p, one slice', 459, {8: 300, 64: 300, 1024: 300}),
]


def table(header, rows):
  print('| ' + ' | '.join(header) + ' |')
  print('|---' * len(header) + '|')
  for row in rows:
    print('| ' + ' | '.join(row) + ' |')
  print()


def compiled(loss, fsdp):
  """Compiles a step of BERT-base for eight devices; its text and size."""
  model = TokenTagger(BASE, len(LABELS), jnp.bfloat16)
  optimizer = make_optimizer(default.get_config().optimizer, 100)
  loss = make_loss(presets.get_loss(loss), LABELS)
  mesh = parallel.make_mesh(fsdp)
  step = make_train_step(
    model,
    Objective(
      lambda x, b: (),
      lambda x, b, running: loss.update(
        x, b['labels'], b['labels'] >= 0, running
      ),
    ),
    optimizer,
    wrap=parallel.gather_parameters(mesh),
  )
  tokens = jax.ShapeDtypeStruct((1, 1), jnp.int32)
  state = jax.eval_shape(
    lambda t: init_state(model.init(jax.random.key(0), t)['params'], optimizer),
    tokens,
  )
  shardings = parallel.shard_state(mesh, state)
  ids = jax.ShapeDtypeStruct((64, 128), jnp.int32)
  batch = {
    'tokens': ids,
    'labels': ids,
    'mask': jax.ShapeDtypeStruct((64, 128), bool),
  }
  run = jax.jit(
    step,
    in_shardings=(shardings, parallel.by_row(mesh)),
    out_shardings=(shardings, parallel.replicated(mesh)),
    donate_argnums=0,
  )
  count = sum(math.prod(x.shape) for x in jax.tree.leaves(state.params))
  return run.lower(state, batch).compile().as_text(), count


def collectives(program):
  """Maps each kind of collective to its number and total bytes."""
  found = {}
  pattern = r'= (\(.*?\)|\S+) (all-reduce|all-gather|reduce-scatter|all-to-all)'
  for shapes, kind in re.findall(pattern + r'(?:-start)?\(', program):
    size = sum(
      _BYTES[kind_] * math.prod(map(int, filter(None, dims.split(','))))
      for kind_, dims in re.findall(r'(\w+)\[([\d,]*)\]', shapes)
    )
    n, total = found.get(kind, (0, 0))
    found[kind] = n + 1, total + size
  return found


def communication():
  rows = []
  for loss, fsdp in [('cross_entropy', 1), ('tversky', 1), ('tversky', 8)]:
    program, count = compiled(loss, fsdp)
    for kind, (n, size) in sorted(collectives(program).items()):
      rows.append([loss, str(fsdp), kind, str(n), f'{size:,}'])
  print(
    f'BERT-base with 9 labels: {count:,} parameters, {4 * count:,} bytes.\n'
  )
  table(['loss', 'fsdp', 'collective', 'number', 'bytes'], rows)
  return count


def bias():
  """Dice of one set, for batches in which 1 % of the words have the class."""
  rng = np.random.default_rng(0)
  rows = []
  for words in (100, 640, 5_120, 40_960, 655_360):
    repetitions = max(4, min(1000, 4_000_000 // words))
    is_class = rng.random((repetitions, words)) < 0.01
    # A mediocre classifier.
    logits = rng.normal(np.where(is_class, 0.5, -4.0), 1.5)
    values = jax.vmap(lambda x, y: losses.dice(x, y, axis=None, smooth=1.0))(
      jnp.float32(logits), jnp.float32(is_class)
    )
    empty = np.mean(~is_class.any(axis=1))
    rows.append(
      [
        f'{words:,}',
        f'{values.mean():.3f}',
        f'{values.std():.3f}',
        f'{100 * empty:.0f} %',
      ]
    )
  table(
    ['words in the batch', 'mean', 'standard deviation', 'without the class'],
    rows,
  )


def efficiency(count):
  """Compares computation and all-reduce of a step at the assumed rates."""
  rows = []
  table_size = BASE.vocab_size * BASE.hidden_size
  for name, peak, rates in CHIPS:
    for tokens in (32 * 128, 256 * 128):
      compute = 6 * (count - table_size) * tokens / (0.4 * peak * 1e12)
      cells = []
      for devices, rate in rates.items():
        sent = 2 * (devices - 1) / devices * 4 * count
        seconds = sent / (rate * 1e9)
        # Without overlap, and with as much overlap as possible.
        low = compute / (compute + seconds)
        high = compute / max(compute, seconds)
        cells.append(f'{100 * low:.0f} to {100 * high:.0f} %')
      rows.append([name, f'{tokens:,}', f'{1000 * compute:.0f} ms', *cells])
  table(
    ['chip', 'tokens per device', 'compute', '8', '64', '1,024 devices'], rows
  )


if __name__ == '__main__':
  jax.config.update('jax_num_cpu_devices', 8)
  bias()
  efficiency(communication())
