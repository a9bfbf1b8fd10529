"""Inputs of benchmarks/finetune.py, and the machine that it runs on.

Functions import JAX themselves, because the process of PyTorch reads `Inputs`
and should not load JAX for it.
"""

import os
import pathlib
import resource
import sys
from typing import NamedTuple

import numpy as np

DROPOUT = 0.1


class Inputs(NamedTuple):
  """The inputs of all sides.

  Attributes:
    features: features of each example, as the task makes them.
    fill: the padding value of each feature that batches have.
    labels: the labels of words; empty for questions.
    kernel: initial weights of the head, `[H, outputs]`.
    optimizer: the section `optimizer` of the config.
  """

  features: list[dict[str, np.ndarray]]
  fill: dict[str, int]
  labels: tuple[str, ...]
  kernel: np.ndarray
  optimizer: dict[str, float]


def prepare(args, directory: str) -> Inputs:
  """Draws the examples, with the readers and tasks of the program."""
  from dicejax.models import load_pretrained

  rng = np.random.default_rng(args.seed)
  number = args.steps * args.batch_size
  if args.device == 'gpu':
    write_random_bert(directory)
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
  """Returns the labels, and features of at least `number` examples."""
  from train.data.conll import read_sentences
  from train.data.squad import read_questions
  from train.tasks import tagging

  if args.squad:
    examples, labels = [*read_questions(args.data)], ()
  else:
    examples = [*read_sentences(args.data, tag=3, scheme='conll')]
    labels = tagging.get_labels(None, examples)
  # A question gives one window or several, so this many examples are enough.
  chosen = rng.permutation(len(examples))[:number]
  task = make_task(args, labels)
  return labels, task.features([examples[i] for i in chosen])


def random_features(rng, number, args):
  """Makes rows of random tokens with a label each, or one start and end."""
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


def write_random_bert(directory) -> None:
  """Writes a checkpoint of BERT base's shape, which both sides can read."""
  import jax

  from dicejax.models import Bert
  from dicejax.models import BertConfig
  from dicejax.models import save_pretrained

  config = BertConfig()
  init = jax.jit(Bert(config).init)
  tokens = np.ones((1, 1), np.int32)
  save_pretrained(directory, config, init(jax.random.key(0), tokens)['params'])


def make_config(args):
  """Returns the config of the program for this run."""
  from configs import default

  config = default.get_config('cross_entropy')
  config.task = 'span_qa' if args.squad else 'tagging'
  config.max_length, config.batch_size = args.length, args.batch_size
  config.optimizer.learning_rate = 5e-5
  return config


def make_task(args, labels):
  """Returns the task of the program for this run."""
  from dicejax.text.tokenizer import load_tokenizer
  from train.tasks.span_qa import SpanQa
  from train.tasks.tagging import Tagging

  kind = SpanQa if args.squad else Tagging
  tokenizer = load_tokenizer(pathlib.Path(args.model))
  return kind(make_config(args), tokenizer, labels)


def resident() -> int:
  """Returns the peak memory of this process in bytes, on Linux."""
  return 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def cores() -> int:
  """Returns the number of cores that this process may use."""
  if hasattr(os, 'sched_getaffinity'):
    return len(os.sched_getaffinity(0))
  return os.cpu_count()
