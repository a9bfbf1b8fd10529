"""Tokens per second of fine-tuning on real text, next to a plain PyTorch loop.

  python benchmarks/finetune.py --model=MINILM --data=conll03/eng.train
  python benchmarks/finetune.py --model=MINILM --data=squad/dev-v1.1.json \\
      --squad --steps=24

Run it from the repository root, with PyTorch and transformers (the extra
`parity`). MINILM is a directory with the weights and the tokenizer of a BERT,
such as sentence-transformers/all-MiniLM-L6-v2. The data are CoNLL-2003 as
distributed, or a file in SQuAD's JSON.

All sides fine-tune the same weights on the same examples: `--steps` batches
drawn at random from the file. With 50 batches or more this stands for an epoch
of the whole file, because examples of similar length are put together within 50
batches at a time. Dropout (none on attention probabilities), cross entropy,
clipping, AdamW and schedule are the same. The sides differ in their batches:

- dicejax: the parts of `python -m train`, compiled, with lengths in buckets
- dicejax, packed (with `--packing`): several sequences per row
- PyTorch, random: random batches, padded to their longest sequence
- PyTorch, grouped: batches of similar lengths by `group_by_length`

Before anything is timed, all sides must compute the same loss for the same
batch, without dropout. Each side is a process, which waits while another one
computes. Each repetition runs every side through all examples once, with sides
and examples in a new random order. The columns of the table:

- `tokens/s` counts the tokens of the examples, including [CLS] and [SEP] but
  not padding
- `filled` is the fraction of positions in the batches that are not padding
- `first step` is the time from the start of the process, including its imports
  and the first compilation
- `compilation` is the time to compile all shapes
- `memory` is the peak of the process, or of the device on a GPU
- `loss` (with `--shares`) is the fraction of the time that a step saves if its
  loss is the mean of the logits
- `input` (with `--shares`) is the time of making the batches as a fraction
- `utilisation` (with `--peak-tflops`) counts the matrix products of the model

`--device=gpu` measures BERT base with random weights in bfloat16, on rows of
`--length` random tokens without padding: cuDNN's attention in dicejax,
torch.compile and SDPA in PyTorch. This mode has not been run yet.

  python benchmarks/finetune.py --device=gpu --model=MINILM --length=384 \\
      --batch-size=64 --peak-tflops=989
"""

import argparse
import dataclasses
import json
import math
import multiprocessing
import os
import pathlib
import platform
import random
import sys
import tempfile
import time
from collections.abc import Iterable
from concurrent import futures
from importlib import metadata
from typing import Any
from typing import Protocol

import numpy as np
import tqdm
from finetune_inputs import Inputs
from finetune_inputs import cores
from finetune_inputs import prepare

# Neither JAX nor PyTorch is imported here: each process imports its own.

ROOT = pathlib.Path(__file__).resolve().parents[1]
# JAX would take most of a GPU's memory and leave PyTorch none.
os.environ.setdefault('XLA_PYTHON_CLIENT_PREALLOCATE', 'false')
# PyTorch's threads spin while they wait, which costs it time whenever anything
# else runs: XLA's threads, or another process.
os.environ.setdefault('OMP_WAIT_POLICY', 'PASSIVE')
# Each step allocates memory and frees it. With pages of 4 kB, the system hands
# out 200,000 of them per step of JAX, which took a quarter of its time.
os.environ.setdefault('GLIBC_TUNABLES', 'glibc.malloc.hugetlb=1')
os.environ.setdefault('TOKENIZERS_PARALLELISM', 'false')
sys.path.insert(0, str(ROOT))

SIDES = ('dicejax', 'dicejax, packed', 'PyTorch, random', 'PyTorch, grouped')


class Side(Protocol):
  """A side, ready to run."""

  def loss(self) -> float:
    """Computes the loss of the first batch of examples, without dropout."""

  def batches(self, epoch: int) -> Iterable:
    """Yields the batches of an epoch."""

  def step(self, batch: Any, kind: str) -> None:
    """Takes a training step.

    Args:
      batch: a batch of `batches`.
      kind: 'train', or 'mean' to take the mean of the logits as the loss.
    """

  def wait(self) -> None:
    """Returns when all steps are done."""

  def compile(self) -> float:
    """Compiles the shapes not seen so far; seconds of all compilations."""

  def memory(self) -> int:
    """Returns the peak memory so far, in bytes."""


@dataclasses.dataclass
class Row:
  """Measurements of a side; times are in seconds, memory is in bytes.

  `slots` are the positions in the batches of each epoch, including padding.
  """

  name: str
  loss: float
  first_step: float
  compilation: float
  memory: int = 0
  slots: list[int] = dataclasses.field(default_factory=list)
  seconds: dict[str, list[float]] = dataclasses.field(default_factory=dict)

  def median(self, kind: str = 'train') -> float:
    return float(np.median(self.seconds[kind]))


def make_side(name: str, *args) -> Side:
  """Imports the framework of a side and makes it ready."""
  if name.startswith('dicejax'):
    from finetune_jax import DicejaxSide

    return DicejaxSide(*args, packing='packed' in name)
  from finetune_torch import TorchSide

  return TorchSide(*args, grouped='grouped' in name)


def work(connection, name: str, spawned: float, *args) -> None:
  """Runs the process of a side: prepares it, then times epochs on request."""
  side = make_side(name, *args)
  start = time.time()
  loss = side.loss()
  spawned += time.time() - start  # Not part of the first step.
  batches = iter(side.batches(0))
  side.step(next(batches), 'train')
  side.wait()
  first_step = time.time() - spawned
  for batch in batches:  # The first epoch is not timed.
    side.step(batch, 'train')
  compilation = side.compile()
  side.wait()
  connection.send((loss, first_step, compilation))
  while task := connection.recv():
    kind, epoch = task
    start, slots = time.perf_counter(), 0
    for batch in side.batches(epoch):
      slots += math.prod(batch['tokens'].shape)
      if kind != 'input':
        side.step(batch, kind)
    side.wait()
    connection.send((time.perf_counter() - start, slots, side.memory()))


def start(name: str, *args):
  """Starts the process of a side and returns it with the end of its pipe."""
  context = multiprocessing.get_context('spawn')
  connection, other = context.Pipe()
  process = context.Process(
    target=work, args=(other, name, time.time(), *args), daemon=True
  )
  process.start()
  other.close()  # The pipe then ends when the process does.
  return process, connection


def measure(args, directory: str, inputs: Inputs) -> list[Row]:
  """Starts the sides one by one, then times them in turn."""
  names = [name for name in SIDES if args.packing or 'packed' not in name]
  kinds = ('train', 'mean', 'input') if args.shares else ('train',)
  bar = tqdm.tqdm(total=len(names) * (1 + args.repetitions * len(kinds)))
  rows, connections, processes = [], [], []
  for name in names:
    bar.set_description(f'{name}: first epoch')
    process, connection = start(name, args, directory, inputs)
    rows.append(Row(name, *connection.recv()))
    processes.append(process)
    connections.append(connection)
    bar.update()
  check(rows, args)
  contest = list(zip(rows, connections, strict=True))
  for epoch in range(1, args.repetitions + 1):
    for row, connection in random.sample(contest, len(contest)):
      for kind in random.sample(kinds, len(kinds)):
        bar.set_description(f'{row.name}, {kind}')
        connection.send((kind, epoch))
        seconds, slots, row.memory = connection.recv()
        row.slots.append(slots)
        row.seconds.setdefault(kind, []).append(seconds)
        bar.update()
  for connection, process in zip(connections, processes, strict=True):
    connection.send(None)
    process.join()
  bar.close()
  return rows


def check(rows: list[Row], args) -> None:
  """Exits unless all sides have the same first loss, without dropout."""
  limit = 2e-2 if args.device == 'gpu' else 1e-4
  for row in rows:
    # `not <=` instead of `>`, so that NaN fails.
    if not abs(row.loss - rows[0].loss) <= limit * abs(rows[0].loss):
      sys.exit(
        f'{row.name} and {rows[0].name} disagree: their losses are {row.loss} '
        f'and {rows[0].loss}. Nothing was timed.'
      )


def report(rows: list[Row], args, directory: str, inputs: Inputs) -> None:
  """Prints the table, in Markdown."""
  lengths = np.array([len(f['tokens']) for f in inputs.features])
  print(
    f'\n{len(lengths)} examples, {args.batch_size} per batch, {lengths.sum()} '
    f'tokens: {lengths.mean():.1f} per example, {lengths.max()} at most; '
    f'{args.repetitions} repetitions.\n'
  )
  lines = [columns(row, rows[0], args, directory, lengths) for row in rows]
  names = ['', *list(lines[0])[1:]]
  print(f'| {" | ".join(names)} |')
  print(f'| {" | ".join(["---"] + (len(names) - 1) * ["---:"])} |')
  for line in lines:
    print(f'| {" | ".join(line.values())} |')


def columns(row: Row, ours: Row, args, directory, lengths) -> dict[str, str]:
  """Returns the cells of a row by their columns."""
  seconds, median, tokens = row.seconds['train'], row.median(), lengths.sum()
  cells = {
    'side': row.name,
    'tokens/s': f'{tokens / median:.0f}',
    'min .. max': f'{tokens / max(seconds):.0f} .. {tokens / min(seconds):.0f}',
    'dicejax / this': f'{median / ours.median():.2f}',
    'filled': f'{tokens / np.mean(row.slots):.0%}',
    'first step, s': f'{row.first_step:.1f}',
    'compilation, s': f'{row.compilation:.1f}',
    'memory, MB': f'{row.memory / 1e6:.0f}',
  }
  if args.shares:
    cells['loss'] = f'{1 - row.median("mean") / median:.1%}'
    cells['input'] = f'{row.median("input") / median:.1%}'
  if args.peak_tflops:
    flops = model_flops(directory, lengths) / median
    cells['utilisation'] = f'{flops / (1e12 * args.peak_tflops):.1%}'
  return cells


def model_flops(directory: str, lengths: np.ndarray) -> float:
  """Counts the operations in matrix products of an epoch.

  The backward pass takes twice as many as the forward pass.
  """
  config = json.loads((pathlib.Path(directory) / 'config.json').read_text())
  hidden, inner = config['hidden_size'], config['intermediate_size']
  dense = 2 * (4 * hidden**2 + 2 * hidden * inner)
  attention = 4 * hidden * lengths
  layers = config['num_hidden_layers']
  return 3 * layers * float(np.sum(lengths * (dense + attention)))


def parse_flags() -> argparse.Namespace:
  parser = argparse.ArgumentParser(
    description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
  )
  add = parser.add_argument
  add('--model', type=pathlib.Path, required=True, metavar='MINILM')
  add('--data', type=pathlib.Path, help='file of sentences or questions')
  add(
    '--squad', action='store_true', help='read questions instead of CoNLL-2003'
  )
  add('--device', choices=['cpu', 'gpu'], default='cpu')
  add(
    '--length',
    type=int,
    help='maximal number of tokens; default 128, SQuAD 384',
  )
  add('--batch-size', type=int, help='default 32, SQuAD 8')
  add('--steps', type=int, default=50, help='batches per epoch; default 50')
  add('--repetitions', type=int, default=5, metavar='R', help='default 5')
  add(
    '--packing',
    action='store_true',
    help='also measure dicejax with packed rows',
  )
  add('--shares', action='store_true', help='also measure loss and input')
  add('--peak-tflops', type=float, help='peak of the device, for utilisation')
  add('--seed', type=int, default=0, help='seed of the examples and the head')
  args = parser.parse_args()
  if args.device == 'cpu' and not args.data:
    parser.error('--data is required: the file to train on.')
  args.length = args.length or (384 if args.squad else 128)
  args.batch_size = args.batch_size or (8 if args.squad else 32)
  return args


def main() -> None:
  args = parse_flags()
  packages = ('jax', 'flax', 'optax', 'torch', 'transformers', 'numpy')
  versions = (f'{name} {metadata.version(name)}' for name in packages)
  print(
    f'{args.device}, {cores()} cores, load {os.getloadavg()[0]:.1f} at the '
    f'start, {platform.platform()}\nPython {platform.python_version()}, '
    f'{", ".join(versions)}'
  )
  spawn = multiprocessing.get_context('spawn')
  with tempfile.TemporaryDirectory() as scratch:
    directory = scratch if args.device == 'gpu' else str(args.model)
    with futures.ProcessPoolExecutor(1, spawn) as process:
      inputs = process.submit(prepare, args, directory).result()
    report(measure(args, directory, inputs), args, directory, inputs)


if __name__ == '__main__':
  main()
