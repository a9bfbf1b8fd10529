"""Seconds per training step of each encoder family, next to PyTorch.

  python benchmarks/encoders.py
  python benchmarks/encoders.py --families=bert,xlnet --shapes=32x64

Needs PyTorch and transformers (the extra `parity`). Each family has random
weights in the shape of a small MiniLM (6 layers of 384, 12 heads). Both sides
read the same directory and take the same steps: hidden states of random tokens,
where every other row is half padding; the mean of their squares; its gradient;
AdamW. No dropout. PyTorch runs eagerly, with SDPA where transformers has it for
the family. Both must agree on the first losses before anything is timed.

Each side is a process that waits while the other one computes. A repetition
takes `--steps` steps of both sides, in random order, and one before them that
is not timed: after a pause a step gets its memory from the system anew. The
table has medians over repetitions, and the range of the ratio.
"""

import argparse
import functools
import multiprocessing
import os
import pathlib
import platform
import random
import sys
import tempfile
import time
from importlib import metadata

import numpy as np

# As `python -m train` does: steps allocate and free memory in large pieces.
os.environ.setdefault('GLIBC_TUNABLES', 'glibc.malloc.hugetlb=1')
os.environ.setdefault('OMP_WAIT_POLICY', 'PASSIVE')
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

WIDTH = dict(
  vocab_size=30_522,
  hidden_size=384,
  num_hidden_layers=6,
  num_attention_heads=12,
  intermediate_size=1536,
)
NO_DROPOUT = dict.fromkeys(  # All names that families have for it.
  [
    'attention_dropout',
    'attention_probs_dropout_prob',
    'dropout',
    'hidden_dropout_prob',
  ],
  0.0,
)
DISTANCES = dict(
  relative_attention=True,
  position_buckets=256,
  pos_att_type=['p2c', 'c2p'],
  share_att_key=True,
  position_biased_input=False,
  norm_rel_ebd='layer_norm',
)
FAMILIES = {  # What differs from transformers' defaults besides `WIDTH`.
  'bert': {},
  'roberta': dict(pad_token_id=1, max_position_embeddings=514),
  'electra': dict(embedding_size=384),
  'albert': dict(embedding_size=128),
  'distilbert': {},
  'mpnet': dict(max_position_embeddings=514),
  'deberta-v2': DISTANCES,
  'modernbert': dict.fromkeys(
    [
      'pad_token_id',
      'bos_token_id',
      'eos_token_id',
      'cls_token_id',
      'sep_token_id',
    ],
    1,
  ),
  'xlnet': dict(d_head=32, d_inner=1536),
}
RATE = 1e-4


def write_model(family, directory):
  """Writes random weights of a family as transformers saves them."""
  import torch
  import transformers

  torch.manual_seed(0)
  config = transformers.AutoConfig.for_model(
    family, **WIDTH, **NO_DROPOUT, **FAMILIES[family]
  )
  transformers.AutoModel.from_config(config).save_pretrained(directory)


def make_inputs(rows, length):
  """Draws tokens and the mask of real ones."""
  tokens = np.random.default_rng(0).integers(1000, 30_000, (rows, length))
  mask = np.ones((rows, length), bool)
  mask[::2, length // 2 :] = False
  return np.where(mask, tokens, 1).astype(np.int32), mask


def make_dicejax_step(directory, tokens, mask):
  """Returns a function that takes a training step and returns the loss."""
  import jax
  import jax.numpy as jnp
  import optax

  from dicejax.models import load_pretrained
  from dicejax.models import make_encoder

  config, params = load_pretrained(directory)
  encoder = make_encoder(config)
  optimizer = optax.adamw(RATE)

  @functools.partial(jax.jit, donate_argnums=(0, 1))
  def step(params, opt_state):
    def loss(params):
      states = encoder.apply({'params': params}, tokens, None, mask)
      return jnp.mean(jnp.square(states), where=mask[..., None])

    value, gradient = jax.value_and_grad(loss)(params)
    updates, opt_state = optimizer.update(gradient, opt_state, params)
    return optax.apply_updates(params, updates), opt_state, value

  def losses(params):
    params = jax.tree.map(jnp.asarray, params)
    opt_state = optimizer.init(params)
    while True:
      params, opt_state, value = step(params, opt_state)
      yield float(value)

  return functools.partial(next, losses(params))


def make_torch_step(directory, tokens, mask):
  """Returns a function that takes a training step and returns the loss."""
  import torch
  import transformers

  transformers.logging.set_verbosity_error()
  transformers.logging.disable_progress_bar()
  torch.set_num_threads(len(os.sched_getaffinity(0)))
  model = transformers.AutoModel.from_pretrained(directory)  # With SDPA.
  model.train()
  optimizer = torch.optim.AdamW(
    model.parameters(), lr=RATE, weight_decay=1e-4, fused=True
  )
  tokens, mask = torch.from_numpy(tokens).long(), torch.from_numpy(mask)

  def take():
    states = model(input_ids=tokens, attention_mask=mask.long())[0]
    value = states[mask].square().mean()
    value.backward()
    optimizer.step()
    optimizer.zero_grad()
    return value.item()

  return take


SIDES = {'dicejax': make_dicejax_step, 'PyTorch': make_torch_step}


def work(connection, side, directory, inputs):
  """Runs the process of a side: its first losses, then times on request."""
  take = SIDES[side](directory, *inputs)
  connection.send([take() for _ in range(2)])
  while steps := connection.recv():
    take()
    start, used = time.perf_counter(), time.process_time()
    for _ in range(steps):
      take()
    connection.send(
      (
        (time.perf_counter() - start) / steps,
        (time.process_time() - used) / steps,
      )
    )


def measure(directory, shape, args):
  """Returns seconds and CPU seconds per step, `[repetitions, 2]`, by side."""
  spawn = multiprocessing.get_context('spawn')
  connections, losses = {}, {}
  for side in SIDES:
    connections[side], other = spawn.Pipe()
    spawn.Process(
      target=work,
      args=(other, side, directory, make_inputs(*shape)),
      daemon=True,
    ).start()
    other.close()
    losses[side] = connections[side].recv()
  if not np.allclose(losses['dicejax'], losses['PyTorch'], rtol=1e-3):
    sys.exit(f'The sides disagree: their first losses are {losses}.')
  seconds = {side: [] for side in SIDES}
  for _ in range(args.repetitions):
    for side in random.sample([*SIDES], len(SIDES)):
      connections[side].send(args.steps)
      seconds[side].append(connections[side].recv())
  for connection in connections.values():
    connection.send(0)
  return {side: np.array(values) for side, values in seconds.items()}


def parse_flags():
  parser = argparse.ArgumentParser(
    description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
  )
  add = parser.add_argument
  add('--families', default=','.join(FAMILIES), help='default: all')
  add('--shapes', default='32x64,8x384', help='rows x tokens')
  add('--repetitions', type=int, default=5, metavar='R', help='default 5')
  add('--steps', type=int, default=3, help='per repetition; default 3')
  args = parser.parse_args()
  args.families = args.families.split(',')
  for family in args.families:
    if family not in FAMILIES:
      parser.error(f'{family!r} is none of {", ".join(FAMILIES)}.')
  args.shapes = [tuple(map(int, x.split('x'))) for x in args.shapes.split(',')]
  return args


def main():
  args = parse_flags()
  packages = 'jax', 'torch', 'transformers'
  versions = ', '.join(f'{name} {metadata.version(name)}' for name in packages)
  print(
    f'{len(os.sched_getaffinity(0))} cores, load {os.getloadavg()[0]:.1f} at '
    f'the start, Python {platform.python_version()}, {versions}\n'
  )
  print('| family | rows x tokens | dicejax, ms | PyTorch, ms | ratio | CPU |')
  print('|---|---|---:|---:|---:|---:|')
  for family in args.families:
    with tempfile.TemporaryDirectory() as directory:
      write_model(family, directory)
      for shape in args.shapes:
        found = measure(directory, shape, args)
        ours, theirs = found['dicejax'], found['PyTorch']
        ratios = ours[:, 0] / theirs[:, 0]
        median, cpu = np.median(ours / theirs, axis=0)
        print(
          f'| {family} | {shape[0]} x {shape[1]} '
          f'| {1e3 * np.median(ours[:, 0]):.0f} '
          f'| {1e3 * np.median(theirs[:, 0]):.0f} '
          f'| {median:.2f} ({ratios.min():.2f} to {ratios.max():.2f}) '
          f'| {cpu:.2f} |',
          flush=True,
        )


if __name__ == '__main__':
  main()
