"""Time and memory of the losses' value and gradient, next to other code.

  python benchmarks/losses.py
  python benchmarks/losses.py --classes 9 50 --dtype bfloat16 --repetitions=50
  python benchmarks/losses.py --classes=1000 --memory

Run it from the repository root; it uses the first device of JAX and takes many
minutes. dicejax is compared with optax (from the extra `train`), a plain JAX
implementation, PyTorch if it is installed, and the published PyTorch module if
its file is given. We may not distribute that one:

  git clone https://github.com/ShannonAI/dice_loss_for_NLP
  python benchmarks/losses.py --published=dice_loss_for_NLP/loss/dice_loss.py

All implementations of a loss must agree in value and gradient before any is
timed. Each repetition then times every row once, in a new random order. Ratios
are ratios of medians. `memory` is the peak without the inputs, in units of the
logits.
"""

import argparse
import dataclasses
import importlib.util
import os
import pathlib
import platform
import random
import re
import subprocess
import sys
import time
from collections.abc import Callable
from typing import NamedTuple

# JAX would take most of a GPU's memory and leave PyTorch none.
os.environ.setdefault('XLA_PYTHON_CLIENT_PREALLOCATE', 'false')
# PyTorch's threads spin while they wait, which costs it time whenever anything
# else runs, such as XLA's threads: without spinning, 300 ms became 55 ms.
os.environ.setdefault('OMP_WAIT_POLICY', 'PASSIVE')
# Imports the library of this tree, not an installed one.
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

import jax
import jax.numpy as jnp
import numpy as np
import optax

import dicejax
from dicejax import losses

try:
  import torch
except ImportError:
  torch = None

ADJUSTING = 'self_adjusting_dice'
PASS_BYTES = 2**29  # Larger than all caches.
# The published module slices the probabilities class by class, and the gradient
# of each slice is as large as all of them: at 1,000 classes a call takes many
# minutes.
PUBLISHED_MAX_CLASSES = 100


class Contender(NamedTuple):
  loss: str  # Contenders with the same loss compute the same.
  author: str
  function: Callable  # (logits [N, C], labels [N]) -> mean loss


@dataclasses.dataclass
class Row:
  contender: Contender
  call: Callable  # () -> value and gradient, both ready
  compilation: float | None = None  # In seconds.
  peak: int | None = None  # Bytes of temporaries and results, from XLA.
  seconds: list[float] = dataclasses.field(default_factory=list)

  def milliseconds(self, quantile: float = 0.5) -> float:
    return 1e3 * float(np.quantile(self.seconds, quantile))


# Every implementation first casts narrow logits to float32, as dicejax does.


def optax_cross_entropy(logits, labels):
  logits = logits.astype(jnp.float32)
  return optax.softmax_cross_entropy_with_integer_labels(logits, labels)


def optax_dice(logits, labels):
  logits = logits.astype(jnp.float32)[None]
  y = jax.nn.one_hot(labels, logits.shape[-1])[None]
  return optax.losses.dice_loss(
    logits, y, smooth=0.5
  )  # Optax halves the counts.


def plain_dice(logits, labels, axis):
  """Writes the formula as in the docstring, for automatic differentiation."""
  p = jax.nn.softmax(logits.astype(jnp.float32))
  y = jax.nn.one_hot(labels, logits.shape[-1])
  q = (1 - p) ** 0.01 * p
  overlap = jnp.sum(q * y, axis)
  total = jnp.sum(q**2 + y**2, axis)
  return 1 - (2 * overlap + 1) / (total + 1)


def no_background(logits):
  return jnp.arange(logits.shape[-1]) > 0


def micro_dice(logits, labels):
  weights = no_background(logits)
  return losses.dice(logits, labels, average='micro', class_weights=weights)


def plain_micro_dice(logits, labels):
  p = jax.nn.softmax(logits.astype(jnp.float32)) * no_background(logits)
  y = jax.nn.one_hot(labels, logits.shape[-1]) * no_background(logits)
  return 1 - (2 * jnp.sum(p * y) + 1) / (jnp.sum(p) + jnp.sum(y) + 1)


def torch_cross_entropy(logits, labels):
  return torch.nn.functional.cross_entropy(logits.float(), labels)


def torch_dice(logits, labels):
  p = torch.softmax(logits.float(), dim=-1)
  y = labels[:, None] == torch.arange(p.shape[-1], device=p.device)
  q = (1 - p) ** 0.01 * p
  return 1 - (2 * q * y + 1) / (q**2 + y + 1)


def published_dice(path: pathlib.Path) -> Callable:
  spec = importlib.util.spec_from_file_location('published', path)
  module = importlib.util.module_from_spec(spec)
  spec.loader.exec_module(module)
  loss = module.DiceLoss(alpha=0.01, smooth=1.0, square_denominator=True)
  # The published loss is a sum over classes, not a mean.
  return lambda logits, labels: loss(logits.float(), labels) / logits.shape[-1]


def mean(loss: Callable, **settings) -> Callable:
  return lambda logits, labels: loss(logits, labels, **settings).mean()


def jax_contenders() -> list[Contender]:
  """Lists the JAX contenders; dicejax comes first, as the reference."""
  ours = losses.self_adjusting_dice
  return [
    Contender('cross_entropy', 'dicejax', mean(losses.cross_entropy)),
    Contender('cross_entropy', 'optax', mean(optax_cross_entropy)),
    Contender('dice', 'dicejax', losses.dice),
    Contender('dice', 'optax', mean(optax_dice)),
    Contender('micro dice', 'dicejax', micro_dice),
    Contender('micro dice', 'plain JAX', plain_micro_dice),
    Contender(
      'dice square axis=()', 'dicejax', mean(losses.dice, square=True, axis=())
    ),
    Contender(f'{ADJUSTING} axis=()', 'dicejax', mean(ours, axis=())),
    Contender(f'{ADJUSTING} axis=()', 'plain JAX', mean(plain_dice, axis=())),
    Contender(ADJUSTING, 'dicejax', ours),
    Contender(ADJUSTING, 'plain JAX', mean(plain_dice, axis=0)),
  ]


def torch_contenders(published: pathlib.Path | None) -> list[Contender]:
  contenders = [
    Contender('cross_entropy', 'PyTorch', torch_cross_entropy),
    Contender(f'{ADJUSTING} axis=()', 'PyTorch', mean(torch_dice)),
  ]
  if published:
    loss = published_dice(published)
    contenders.append(Contender(ADJUSTING, 'published', loss))
  return contenders


def jax_row(contender: Contender, logits, labels) -> Row:
  show(f'Compiling {contender.loss}, {contender.author}')
  start = time.perf_counter()
  function = jax.jit(jax.value_and_grad(contender.function))
  compiled = function.lower(logits, labels).compile()
  seconds = time.perf_counter() - start
  memory = compiled.memory_analysis()
  return Row(
    contender,
    lambda: jax.block_until_ready(compiled(logits, labels)),
    seconds,
    memory.temp_size_in_bytes + memory.output_size_in_bytes,
  )


def torch_row(contender: Contender, logits, labels) -> Row:
  def call():
    leaf = logits.detach().requires_grad_()
    value = contender.function(leaf, labels)
    (gradient,) = torch.autograd.grad(value, leaf)
    if leaf.is_cuda:
      torch.cuda.synchronize()
    return value.detach(), gradient

  return Row(contender, call)


def memory_pass_row() -> Row:
  """Reads and writes PASS_BYTES in total, to measure the memory bound.

  It works in place. A new buffer would not measure a bound on a CPU: glibc
  returns large buffers after each call, and their pages are faulted in anew. A
  copy of 262 MB took 110 ms, in place 11 ms. All other rows pay for that; most
  of it goes away with GLIBC_TUNABLES=glibc.malloc.hugetlb=1 in the environment.
  """
  in_place = jax.jit(jnp.negative, donate_argnums=0)
  buffer = jax.block_until_ready(in_place(jnp.ones(PASS_BYTES // 8)))

  def call():
    nonlocal buffer
    buffer = jax.block_until_ready(in_place(buffer))

  return Row(Contender('memory', '', in_place), call)


def check(rows: list[Row], dtype: str) -> list[Row]:
  """Returns the rows that agree with dicejax; exits unless only optax differs.

  optax may drop out: another version of it may compute something else.
  """
  agreed = []
  # The last digit of a narrow gradient may differ.
  limit = 1e-4 + float(jnp.finfo(dtype).eps)
  for row in rows:
    loss, author, _ = row.contender
    show(f'Checking {loss}, {author}')
    value, gradient = row.call()
    if not isinstance(gradient, jax.Array):
      gradient = gradient.float().cpu()
    value, gradient = float(value), np.asarray(gradient, np.float32)
    if author == 'dicejax':
      wanted, slope = value, gradient
    distance = np.abs(gradient - slope).max() / np.abs(slope).max()
    # `not <=` instead of `>`, so that NaN fails.
    if abs(value - wanted) <= 1e-5 * abs(wanted) and distance <= limit:
      agreed.append(row)
      continue
    message = (
      f'{loss}: {author} and dicejax disagree. Values {value:.8g} and '
      f'{wanted:.8g}; gradients differ by {distance:.1e} of the largest.'
    )
    if author != 'optax':
      sys.exit(f'\n{message} Nothing was timed.')
    print(f'\n{message} It is left out.')
  return agreed


def torch_device() -> str | None:
  """Returns PyTorch's name of JAX's device; None if PyTorch cannot use it."""
  device = {'cpu': 'cpu', 'gpu': 'cuda'}.get(jax.devices()[0].platform)
  if torch is None or (device == 'cuda' and not torch.cuda.is_available()):
    return None
  return device


def measure(num_classes: int, dtype: str, args) -> tuple[list[Row], Row]:
  """Times all rows, and among them a pass over memory; returns both."""
  rng = np.random.default_rng(0)
  # Logits are no larger because plain implementations lose digits near p = 1.
  # At twice the size and two classes, their gradient is wrong by 3e-4 of the
  # largest value, ours by 3e-7.
  logits = rng.standard_normal((args.elements, num_classes), np.float32)
  labels = rng.integers(num_classes, size=args.elements)
  inputs = jnp.asarray(logits, dtype), jnp.asarray(labels, jnp.int32)
  rows = [jax_row(contender, *inputs) for contender in jax_contenders()]
  if device := torch_device():
    few = num_classes <= PUBLISHED_MAX_CLASSES
    inputs = (
      torch.from_numpy(logits).to(device, getattr(torch, dtype)),
      torch.from_numpy(labels).to(device),
    )
    contenders = torch_contenders(args.published if few else None)
    rows += [torch_row(contender, *inputs) for contender in contenders]
  rows = check(sorted(rows, key=lambda row: row.contender.loss), dtype)
  memory_pass = memory_pass_row()
  contest = [*rows, memory_pass]
  for repetition in range(args.repetitions):
    show(f'C = {num_classes}, {dtype}: {repetition} of {args.repetitions}')
    for row in random.sample(contest, len(contest)):
      start = time.perf_counter()
      result = row.call()
      row.seconds.append(time.perf_counter() - start)
      del result  # Freeing memory is not timed.
  show('')
  return rows, memory_pass


def report(num_classes: int, dtype: str, args) -> str:
  """Measures, prints the table, and returns the summary."""
  rows, memory_pass = measure(num_classes, dtype, args)
  size = args.elements * num_classes * jnp.dtype(dtype).itemsize
  bytes_per_ms = PASS_BYTES / memory_pass.milliseconds()
  bound = (2 * size + 4 * args.elements) / bytes_per_ms
  times = {row.contender[:2]: row.milliseconds() for row in rows}
  yardstick, author = min(
    (times[key], key[1])
    for key in [('cross_entropy', 'dicejax'), ('cross_entropy', 'optax')]
    if key in times
  )
  print(
    f'\nC = {num_classes}, {dtype}, N = {args.elements}: logits of '
    f'{size / 1e6:.1f} MB; memory bound {bound:.3f} ms, at '
    f'{bytes_per_ms / 1e6:.0f} GB/s; cross entropy by {author}, the faster '
    'of the two in JAX.\n'
  )
  cells = [
    ['loss', 'by', 'ms', 'quartiles', '/ cross entropy', '/ memory bound']
    + ['dicejax / this', 'memory', 'compilation, s']
  ]
  for row in rows:
    loss, author, _ = row.contender
    ms, low, high = (row.milliseconds(at) for at in (0.5, 0.25, 0.75))
    others = '' if author == 'dicejax' else f'{times[loss, "dicejax"] / ms:.2f}'
    cells.append(
      [loss, author, f'{ms:.2f}', f'{low:.2f} - {high:.2f}']
      + [f'{ms / yardstick:.2f}', f'{ms / bound:.1f}', others]
      + [f'{row.peak / size:.2f}' if row.peak else '']
      + [f'{row.compilation:.1f}' if row.compilation else '']
    )
  print_table(cells, args.markdown)
  ratio = times[ADJUSTING, 'dicejax'] / yardstick
  return (
    f'C = {num_classes}, {dtype}: {ADJUSTING} / cross entropy = {ratio:.2f}'
  )


def report_memory(num_classes: int, dtype: str, args) -> None:
  """Prints peaks from XLA, and as measured in a process for each loss.

  Measured peaks include a few MB of the process itself, such as stacks.
  """
  cells = [['loss', 'from XLA', 'measured']]
  for loss, author, _ in jax_contenders():
    if author == 'dicejax':
      show(f'Memory of {loss}')
      command = [sys.executable, __file__, f'--peak-of={loss}']
      command += [f'--classes={num_classes}', f'--elements={args.elements}']
      command += [f'--dtype={dtype}']
      output = subprocess.check_output(command, text=True)
      cells.append([loss, *output.split()])
  show('')
  print(f'\nPeak memory, C = {num_classes}, {dtype}, in units of the logits:\n')
  print_table(cells, args.markdown)


def print_peak(args) -> None:
  """Prints the peak from XLA, and the growth of this process in a call."""
  (contender,) = (
    c for c in jax_contenders() if c[:2] == (args.peak_of, 'dicejax')
  )
  logits = jnp.zeros((args.elements, args.classes[0]), args.dtype[0])
  row = jax_row(contender, logits, jnp.zeros(args.elements, jnp.int32))
  before = peak_bytes(reset=True)
  row.call()
  growth = peak_bytes() - before
  print(f'{row.peak / logits.nbytes:.2f} {growth / logits.nbytes:.2f}')


def peak_bytes(reset: bool = False) -> int:
  """Returns the peak memory so far, of the device or of this process."""
  if statistics := jax.devices()[0].memory_stats():
    return statistics['peak_bytes_in_use']
  process = pathlib.Path('/proc/self')
  if reset:  # Compilation took more memory; the peak becomes the present use.
    (process / 'clear_refs').write_text('5')
  status = (process / 'status').read_text()
  return 1024 * int(re.search(r'VmHWM:\s*(\d+) kB', status)[1])


def print_table(cells: list[list[str]], markdown: bool) -> None:
  is_text = [name in ('loss', 'by') for name in cells[0]]
  if markdown:
    cells.insert(1, ['---' if text else '---:' for text in is_text])
  widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
  for row in cells:
    line = [
      cell.ljust(width) if text else cell.rjust(width)
      for cell, width, text in zip(row, widths, is_text, strict=True)
    ]
    print(f'| {" | ".join(line)} |' if markdown else '  '.join(line))


def show(text: str) -> None:
  """Shows progress, on one line of a terminal."""
  if sys.stderr.isatty():
    print(f'\r\x1b[K{text}', end='', file=sys.stderr, flush=True)
  elif text:
    print(text, file=sys.stderr, flush=True)


def parse_flags() -> argparse.Namespace:
  parser = argparse.ArgumentParser(
    description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
  )
  add = parser.add_argument
  add('--classes', type=int, nargs='+', default=[2, 9, 50, 1000], metavar='C')
  add('--elements', type=int, default=65536, metavar='N', help='default 65536')
  add(
    '--dtype',
    nargs='+',
    default=['float32', 'bfloat16'],
    choices=['float32', 'bfloat16'],
    help='type of the logits and the gradient',
  )
  add('--repetitions', type=int, default=20, metavar='R', help='default 20')
  add('--published', type=pathlib.Path, metavar='dice_loss.py')
  add(
    '--memory',
    action='store_true',
    help='also measure peaks at the largest C (on CPUs only on Linux)',
  )
  add('--markdown', action='store_true', help='print tables in Markdown')
  add('--peak-of', help=argparse.SUPPRESS)
  return parser.parse_args()


def main() -> None:
  args = parse_flags()
  if args.peak_of:
    print_peak(args)
    return
  if hasattr(os, 'sched_getaffinity'):
    cores = len(os.sched_getaffinity(0))
  else:
    cores = os.cpu_count()
  print(
    f'{jax.devices()[0].device_kind}, {cores} cores, load '
    f'{os.getloadavg()[0]:.1f} at the start, {platform.platform()}'
  )
  modules = [dicejax, jax, np, optax]
  if torch_device():
    torch.set_num_threads(cores)
    modules.append(torch)
  versions = (f'{m.__name__} {m.__version__}' for m in modules)
  print(f'Python {platform.python_version()}, {", ".join(versions)}')
  if not torch_device():
    print('No PyTorch rows: it is not installed, or not for this device.')
  summary = [
    report(num_classes, dtype, args)
    for num_classes in args.classes
    for dtype in args.dtype
  ]
  if args.memory:
    for dtype in args.dtype:
      report_memory(max(args.classes), dtype, args)
  print('', *summary, sep='\n')


if __name__ == '__main__':
  main()
