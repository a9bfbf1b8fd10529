"""Real tokens a second of fine-tuning, beside a plain PyTorch loop.

  python benchmarks/finetune.py --model=MINILM --data=conll03/eng.train
  python benchmarks/finetune.py --model=MINILM --data=squad/dev-v1.1.json \\
      --squad --steps=24

From the repository root; PyTorch and transformers are of the extra `parity`.
MINILM is a directory with the weights and the tokenizer of a BERT, such as
sentence-transformers/all-MiniLM-L6-v2. The data are CoNLL-2003 as distributed,
or a file in SQuAD's JSON.

Each side fine-tunes the same weights on the same examples, `--steps` batches
drawn at random from the file. That stands for an epoch of all of it, if there
are 50 of them or more: within so many are like lengths put together. Dropout
(none on attention probabilities), cross entropy, clipping, AdamW and schedule
are the same. The sides differ in their batches:

- dicejax: the parts of `python -m train`, compiled; lengths of buckets
- dicejax, packed (with `--packing`): several sequences a row
- PyTorch, random: padded to the longest of a random batch
- PyTorch, grouped: the same of batches as `group_by_length` makes them

First all sides must have the same loss on the same batch, without dropout. Each
side is a process, and waits while another one computes. Each repetition then
runs every side through all examples once, in an order drawn anew, of sides and
of examples. Tokens are those of the examples, [CLS] and [SEP] among them;
padding does not count; `filled` is their share of the batches. `first step` is
from the start of the process, with its imports and one compilation, if there
are any; `compilation` is that of all shapes. `memory` is the peak of the
process (on a GPU: of the device). With `--shares`, `loss` is the share of time
that a step saves where the loss is the mean of the logits, and `input` that of
the batches alone.

`--device=gpu` is for BERT base, random weights in bfloat16, and rows of
`--length` random tokens without padding, with cuDNN's attention here and
torch.compile and SDPA there. With `--peak-tflops`, `utilisation` is that of the
matrix products of the model. Nobody has run this mode yet.

  python benchmarks/finetune.py --device=gpu --model=MINILM --length=384 \\
      --batch-size=64 --peak-tflops=989
"""

import argparse
import dataclasses
import functools
import itertools
import json
import math
import multiprocessing
import os
import pathlib
import platform
import random
import resource
import sys
import tempfile
import time
from collections.abc import Callable
from collections.abc import Iterable
from concurrent import futures
from importlib import metadata
from typing import Any
from typing import NamedTuple

import numpy as np
import tqdm

# Neither JAX nor PyTorch is imported here: each process imports its own.

ROOT = pathlib.Path(__file__).resolve().parents[1]
# JAX would take most of a GPU's memory and leave PyTorch none.
os.environ.setdefault('XLA_PYTHON_CLIENT_PREALLOCATE', 'false')
# PyTorch's threads spin while they wait. If anything else runs, XLA's threads
# or a neighbour's, it loses by that.
os.environ.setdefault('OMP_WAIT_POLICY', 'PASSIVE')
# Each step takes memory and gives it back. With pages of 4 kB, the system hands
# out 200,000 of them in a step of JAX, which was a quarter of its time.
os.environ.setdefault('GLIBC_TUNABLES', 'glibc.malloc.hugetlb=1')
os.environ.setdefault('TOKENIZERS_PARALLELISM', 'false')
sys.path.insert(0, str(ROOT))

DROPOUT = 0.1
MEGABATCH = 50  # Batches that are sorted by length together, on all sides.


class Inputs(NamedTuple):
  """What all sides are given.

  Attributes:
    features: of the task, by example.
    fill: padding of the features that a batch has.
    labels: of words.
    kernel: initial weights of the head, `[hidden, outputs]`.
    optimizer: that part of the config.
  """

  features: list[dict[str, np.ndarray]]
  fill: dict[str, int]
  labels: tuple[str, ...]
  kernel: np.ndarray
  optimizer: dict[str, float]


class Side(NamedTuple):
  """A contender, ready to run.

  Attributes:
    loss: of the first batch of examples, without dropout.
    batches: those of an epoch, by its number.
    step: `(batch, kind)`, where kind is 'train' or, for the mean of the logits
      as loss, 'mean'.
    wait: returns when all steps are done.
    compile: what is left to compile; seconds of all compilations.
    memory: the peak so far in bytes.
  """

  loss: Callable[[], float]
  batches: Callable[[int], Iterable]
  step: Callable[[Any, str], None]
  wait: Callable[[], None]
  compile: Callable[[], float]
  memory: Callable[[], int]


@dataclasses.dataclass
class Row:
  name: str
  loss: float
  first_step: float  # Seconds, as the others.
  compilation: float
  memory: int = 0  # Bytes.
  slots: list[int] = dataclasses.field(default_factory=list)  # Of an epoch.
  seconds: dict[str, list[float]] = dataclasses.field(default_factory=dict)

  def median(self, kind: str = 'train') -> float:
    return float(np.median(self.seconds[kind]))


def prepare(args, directory: str) -> Inputs:
  """Examples by the project's own readers and tasks."""
  from dicejax.models import load_pretrained

  rng = np.random.default_rng(args.seed)
  number = args.steps * args.batch_size
  if args.device == 'gpu':
    write_random_bert(args.model, directory)
    config, _ = load_pretrained(directory)
    features = random_features(rng, number, args)
    labels = tuple(f'B-{i}' for i in range(9))
  else:
    config, _ = load_pretrained(args.model)
    labels, features = read_features(rng, number, args)
  task = make_task(args, labels)
  if len(features) < number:
    sys.exit(f'{args.data} has {len(features)} examples, not {number}.')
  chosen = rng.choice(len(features), number, replace=False)
  kept = [{name: features[i][name] for name in task.fill} for i in chosen]
  kernel = 0.02 * rng.standard_normal((config.hidden_size, len(labels) or 2))
  settings = make_config(args).optimizer.to_dict()
  return Inputs(kept, task.fill, labels, kernel.astype(np.float32), settings)


def read_features(rng, number, args):
  """Labels, and features of examples of the file: at least so many."""
  from train.data.conll import read_sentences
  from train.data.squad import read_questions
  from train.tasks import tagging

  if args.squad:
    examples, labels = [*read_questions(args.data)], ()
  else:
    examples = [*read_sentences(args.data, tag=3, scheme='conll')]
    labels = tagging.get_labels(None, examples)
  # A question may have several windows; no need to make all of them.
  chosen = rng.permutation(len(examples))[:number]
  task = make_task(args, labels)
  return labels, task.features([examples[i] for i in chosen])


def random_features(rng, number, args):
  """Rows of random tokens, a label on each, or one start and one end."""
  shape = number, args.length
  tokens = rng.integers(1000, 30000, shape)
  if args.squad:
    at = rng.integers(args.length, size=(2, number))
    starts, ends = np.eye(args.length)[at]
    names = dict(
      tokens=tokens,
      segments=np.zeros(shape),
      allowed=np.ones(shape),
      starts=starts,
      ends=ends,
    )
  else:
    names = dict(tokens=tokens, labels=rng.integers(9, size=shape))
  return [
    {name: values[i].astype(np.int32) for name, values in names.items()}
    for i in range(number)
  ]


def write_random_bert(model, directory) -> None:
  """A checkpoint of BERT base's shape, which both sides can read."""
  import jax

  from dicejax.models import Bert
  from dicejax.models import BertConfig
  from dicejax.models import save_pretrained

  config = BertConfig()
  init = jax.jit(Bert(config).init)
  tokens = np.ones((1, 1), np.int32)
  save_pretrained(directory, config, init(jax.random.key(0), tokens)['params'])


def make_config(args):
  from configs import default

  config = default.get_config('cross_entropy')
  config.task = 'span_qa' if args.squad else 'tagging'
  config.max_length = args.length
  config.optimizer.learning_rate = 5e-5
  return config


def make_task(args, labels):
  from train.data.tokenizer import load_tokenizer
  from train.tasks.span_qa import SpanQa
  from train.tasks.tagging import Tagging

  kind = SpanQa if args.squad else Tagging
  tokenizer = load_tokenizer(pathlib.Path(args.model))
  return kind(make_config(args), tokenizer, labels)


def dicejax_side(args, directory, inputs: Inputs, *, packing: bool) -> Side:
  import jax
  import jax.numpy as jnp

  from dicejax.models import load_pretrained
  from train.data.batches import TrainingBatches
  from train.data.batches import pack
  from train.objective import Objective
  from train.optimizer import make_optimizer
  from train.step import init_state
  from train.step import make_predict_step
  from train.step import make_train_step

  config, task = make_config(args), make_task(args, inputs.labels)
  encoder, weights = load_pretrained(directory)
  gpu = args.device == 'gpu'
  encoder = dataclasses.replace(
    encoder,
    hidden_dropout_prob=DROPOUT,
    attention='cudnn' if gpu else 'xla',
  )
  model = task.model(encoder, 'bfloat16' if gpu else 'float32')
  epochs = args.repetitions + 1

  def make_batches(features, steps):
    if packing:
      features = pack(
        features, inputs.fill, max_length=args.length, seed=args.seed
      )
    return TrainingBatches(
      features,
      inputs.fill,
      batch_size=-(-len(features) // steps),  # Packed, these are fewer rows.
      max_length=args.length,
      epochs=epochs,
      seed=args.seed,
    )

  batches = make_batches(inputs.features, args.steps)
  per_epoch = batches.steps_per_epoch
  objective = task.objective(config.loss)
  optimizer = make_optimizer(config.optimizer, epochs * per_epoch)
  head = {'kernel': inputs.kernel, 'bias': np.zeros(inputs.kernel.shape[1:])}
  params = jax.tree.map(jnp.float32, {'encoder': weights, 'head': head})
  running = objective.init(inputs.kernel[None], batches[0])
  state = init_state(params, optimizer, running)
  compiled, compiling = {}, 0.0
  steps = {
    kind: jax.jit(
      make_train_step(model, objective, optimizer, args.seed), donate_argnums=0
    )
    for kind, objective in {
      'train': objective,
      'mean': Objective(
        lambda logits, batch: (),
        lambda logits, batch, running: (logits.mean(), running),
      ),
    }.items()
  }

  def loss():
    batch = make_batches(inputs.features[: args.batch_size], 1)[0]
    evaluate = jax.jit(make_predict_step(model, objective.value))
    return float(evaluate(state.params, batch))

  def step(batch, kind='train'):
    nonlocal state, compiling
    key = kind, batch['tokens'].shape
    if key not in compiled:
      start = time.perf_counter()
      compiled[key] = steps[kind].lower(state, batch).compile()
      compiling += time.perf_counter() - start
    state, _ = compiled[key](state, batch)

  def compile_all():
    for i in range(len(batches)):
      for kind in ('train', 'mean') if args.shares else ('train',):
        if (kind, batches[i]['tokens'].shape) not in compiled:
          step(batches[i], kind)
    return compiling

  def epoch(i):
    return itertools.islice(batches.from_step(i * per_epoch), per_epoch)

  def memory():
    statistics = jax.devices()[0].memory_stats()
    return statistics['peak_bytes_in_use'] if statistics else resident()

  return Side(
    loss=loss,
    batches=epoch,
    step=step,
    wait=lambda: jax.block_until_ready(state),
    compile=compile_all,
    memory=memory,
  )


def torch_side(args, directory, inputs: Inputs, *, grouped: bool) -> Side:
  import torch
  import transformers
  from torch.nn import functional
  from transformers.trainer_pt_utils import get_length_grouped_indices

  torch.set_num_threads(cores())
  torch.manual_seed(args.seed)
  gpu = args.device == 'gpu'
  device = 'cuda' if gpu else 'cpu'
  kind = (
    transformers.BertForQuestionAnswering
    if args.squad
    else transformers.BertForTokenClassification
  )
  transformers.logging.set_verbosity_error()
  transformers.logging.disable_progress_bar()
  model = kind.from_pretrained(
    directory,
    num_labels=inputs.kernel.shape[1],
    hidden_dropout_prob=DROPOUT,
    attention_probs_dropout_prob=0.0,
    attn_implementation='sdpa',
  )
  head = model.qa_outputs if args.squad else model.classifier
  with torch.no_grad():
    head.weight.copy_(torch.from_numpy(inputs.kernel.T))
    head.bias.zero_()
  model.to(device)
  forward = torch.compile(model) if gpu else model
  config = inputs.optimizer
  steps = (args.repetitions + 1) * args.steps
  optimizer = torch.optim.AdamW(
    [
      {'params': [p for p in model.parameters() if p.ndim > 1]},
      {
        'params': [p for p in model.parameters() if p.ndim == 1],
        'weight_decay': 0.0,
      },
    ],
    lr=config['learning_rate'],
    eps=config['eps'],
    weight_decay=config['weight_decay'],
    fused=True,
  )
  schedule = transformers.get_linear_schedule_with_warmup(
    optimizer, round(config['warmup'] * steps), steps
  )

  def collate(rows):
    batch = {
      name: torch.nn.utils.rnn.pad_sequence(
        [torch.from_numpy(row[name]).long() for row in rows],
        batch_first=True,
        padding_value=value,
      )
      for name, value in inputs.fill.items()
    }
    lengths = torch.tensor([len(row['tokens']) for row in rows])
    columns = torch.arange(batch['tokens'].shape[1])
    return batch | {'mask': (columns < lengths[:, None]).long()}

  def loss_of(batch, kind='train'):
    with torch.autocast(device, torch.bfloat16, enabled=gpu):
      outputs = forward(batch['tokens'], batch['mask'], batch.get('segments'))
    if args.squad:
      logits = outputs.start_logits.float(), outputs.end_logits.float()
    else:
      logits = (outputs.logits.float(),)
    if kind == 'mean':
      return sum(x.mean() for x in logits) / len(logits)
    if not args.squad:
      return functional.cross_entropy(
        logits[0].flatten(0, 1), batch['labels'].flatten(), ignore_index=-1
      )
    of_start, of_end = (
      functional.cross_entropy(
        x.masked_fill(batch['allowed'] == 0, -1e9), batch[name].argmax(1)
      )
      for x, name in zip(logits, ('starts', 'ends'), strict=True)
    )
    return (of_start + of_end) / 2

  def step(batch, kind='train'):
    loss_of({name: x.to(device) for name, x in batch.items()}, kind).backward()
    torch.nn.utils.clip_grad_norm_(model.parameters(), config['clip_norm'])
    optimizer.step()
    schedule.step()
    optimizer.zero_grad()

  lengths = [len(feature['tokens']) for feature in inputs.features]

  def epoch(i):
    generator = torch.Generator().manual_seed(args.seed + i)
    if grouped:
      order = get_length_grouped_indices(
        lengths, args.batch_size, MEGABATCH, generator
      )
    else:
      order = torch.randperm(len(lengths), generator=generator).tolist()
    return torch.utils.data.DataLoader(
      inputs.features, args.batch_size, sampler=order, collate_fn=collate
    )

  @torch.no_grad
  def loss():
    model.eval()
    batch = collate(inputs.features[: args.batch_size])
    value = loss_of({name: x.to(device) for name, x in batch.items()})
    model.train()
    return value.item()

  return Side(
    loss=loss,
    batches=epoch,
    step=step,
    wait=torch.cuda.synchronize if gpu else lambda: None,
    compile=lambda: 0.0,
    memory=torch.cuda.max_memory_allocated if gpu else resident,
  )


SIDES = {
  'dicejax': functools.partial(dicejax_side, packing=False),
  'dicejax, packed': functools.partial(dicejax_side, packing=True),
  'PyTorch, random': functools.partial(torch_side, grouped=False),
  'PyTorch, grouped': functools.partial(torch_side, grouped=True),
}


def work(connection, name: str, spawned: float, *args) -> None:
  """The process of a side: gets ready, and computes when it is told to."""
  side = SIDES[name](*args)
  start = time.time()
  loss = side.loss()
  spawned += time.time() - start
  batches = iter(side.batches(0))
  side.step(next(batches), 'train')
  side.wait()
  first_step = time.time() - spawned
  for batch in batches:  # The first pass is not timed.
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


def measure(args, directory: str, inputs: Inputs) -> list[Row]:
  """Starts the sides one by one, then times them in turn."""
  context = multiprocessing.get_context('spawn')
  names = [name for name in SIDES if args.packing or 'packed' not in name]
  kinds = ('train', 'mean', 'input') if args.shares else ('train',)
  bar = tqdm.tqdm(total=len(names) * (1 + args.repetitions * len(kinds)))
  rows, connections, processes = [], [], []
  for name in names:
    bar.set_description(f'{name}: the first pass')
    connection, other = context.Pipe()
    process = context.Process(
      target=work,
      args=(other, name, time.time(), args, directory, inputs),
      daemon=True,
    )
    process.start()
    processes.append(process)
    other.close()  # So that the end of the process is the end of the pipe.
    rows.append(Row(name, *connection.recv()))
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
  """Exits if the first losses, without dropout, are not one."""
  limit = 2e-2 if args.device == 'gpu' else 1e-4
  for row in rows:
    # Put so that NaN agrees with nothing.
    if not abs(row.loss - rows[0].loss) <= limit * abs(rows[0].loss):
      sys.exit(
        f'{row.name} and {rows[0].name} disagree: their losses are {row.loss} '
        f'and {rows[0].loss}. Nothing was timed.'
      )


def report(rows: list[Row], args, directory: str, inputs: Inputs) -> None:
  lengths = np.array([len(f['tokens']) for f in inputs.features])
  tokens, ours = int(lengths.sum()), rows[0].median()
  print(
    f'\n{len(lengths)} examples, {args.batch_size} in a batch, {tokens} tokens:'
    f' {lengths.mean():.1f} in an example, {lengths.max()} at most; '
    f'{args.repetitions} repetitions.\n'
  )
  cells = [['', 'tokens/s', 'min .. max', 'dicejax / this', 'filled']]
  cells[0] += ['first step, s', 'compilation, s', 'memory, MB']
  cells[0] += ['loss', 'input'] if args.shares else []
  cells[0] += ['utilisation'] if args.peak_tflops else []
  for row in rows:
    seconds = row.seconds['train']
    line = [row.name, f'{tokens / row.median():.0f}']
    line += [f'{tokens / max(seconds):.0f} .. {tokens / min(seconds):.0f}']
    line += [f'{row.median() / ours:.2f}']
    line += [f'{tokens / np.mean(row.slots):.0%}', f'{row.first_step:.1f}']
    line += [f'{row.compilation:.1f}', f'{row.memory / 1e6:.0f}']
    if args.shares:
      loss = 1 - row.median('mean') / row.median()
      line += [f'{loss:.1%}', f'{row.median("input") / row.median():.1%}']
    if args.peak_tflops:
      flops = model_flops(directory, lengths)
      peak = 1e12 * args.peak_tflops
      line += [f'{flops / row.median() / peak:.1%}']
    cells.append(line)
  cells.insert(1, ['---'] + (len(cells[0]) - 1) * ['---:'])
  for line in cells:
    print(f'| {" | ".join(line)} |')


def model_flops(directory: str, lengths: np.ndarray) -> float:
  """Of the matrix products of the layers, forward and twice that backward."""
  config = json.loads((pathlib.Path(directory) / 'config.json').read_text())
  hidden, inner = config['hidden_size'], config['intermediate_size']
  dense = 2 * (4 * hidden**2 + 2 * hidden * inner)
  attention = 4 * hidden * lengths
  layers = config['num_hidden_layers']
  return 3 * layers * float(np.sum(lengths * (dense + attention)))


def resident() -> int:
  """The most memory that this process has had, in bytes, under Linux."""
  return 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def cores() -> int:
  if hasattr(os, 'sched_getaffinity'):
    return len(os.sched_getaffinity(0))
  return os.cpu_count()


def parse_flags() -> argparse.Namespace:
  parser = argparse.ArgumentParser(
    description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
  )
  add = parser.add_argument
  add('--model', type=pathlib.Path, required=True, metavar='MINILM')
  add('--data', type=pathlib.Path, help='a file of the task')
  add('--squad', action='store_true', help='questions instead of CoNLL-2003')
  add('--device', choices=['cpu', 'gpu'], default='cpu')
  add('--length', type=int, help='the most tokens; default 128, SQuAD 384')
  add('--batch-size', type=int, help='default 32, SQuAD 8')
  add('--steps', type=int, default=50, help='batches in an epoch; default 50')
  add('--repetitions', type=int, default=5, metavar='R', help='default 5')
  add('--packing', action='store_true', help='dicejax with packed rows, too')
  add('--shares', action='store_true', help='measure loss and input, too')
  add('--peak-tflops', type=float, help='of the device, for utilisation')
  add('--seed', type=int, default=0, help='of examples and weights of heads')
  args = parser.parse_args()
  if args.device == 'cpu' and not args.data:
    parser.error('--data names the file to learn from.')
  if args.packing and args.squad:
    parser.error('--packing: positions in a row are no classes to share.')
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
