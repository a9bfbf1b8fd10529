"""Small corpora, configs and commands that many tests of the program share."""

import importlib.util
import itertools
import os
import pathlib
import random
import signal
import subprocess
import sys

import jax
import numpy as np
import pytest
import tokenizers

from configs import default
from configs import losses as presets
from dicejax import models
from dicejax.text.batches import pad
from train import progress
from train.data.batches import pack
from train.step import apply_model
from train.tasks.classification import Classification

ROOT = pathlib.Path(__file__).parents[1]
CONFIGS = pathlib.Path(default.__file__).parent
PEOPLE = 'Ann Bob Cyd Dan Eve Flo Gus Hal'.split()
PLACES = 'Rome Oslo Bern Kyiv Lima Baku Doha Male'.split()
SPAM = ('ham', 'spam')
TOPICS = ('art', 'law', 'sea')
# A tokenizer for tasks that encode nothing.
NO_TOKENIZER = tokenizers.Tokenizer(tokenizers.models.WordPiece())


def write_corpus(directory):
  """Writes an easy corpus: people follow `met`, and places follow `in`."""
  directory.mkdir(exist_ok=True)
  rng = random.Random(0)
  for split, size in {'train': 96, 'dev': 24, 'test': 24}.items():
    sentences = []
    for _ in range(size):
      person, place = rng.choice(PEOPLE), rng.choice(PLACES)
      rows = [('We', 'O'), ('met', 'O'), (person, 'B-PER')]
      if rng.random() < 0.5:
        rows += [(rng.choice(PEOPLE), 'I-PER')]
      rows += [('in', 'O'), (place, 'B-LOC'), ('.', 'O')]
      sentences.append(''.join(f'{word} {tag}\n' for word, tag in rows))
    (directory / f'{split}.txt').write_text('\n'.join(sentences))


def make_config(tmp_path, loss='cross_entropy'):
  """Returns the config of a tagger that learns a new corpus in seconds."""
  write_corpus(tmp_path / 'corpus')
  config = default.get_config()
  config.loss = presets.get_loss(loss, background='O')
  config.data.dir = str(tmp_path / 'corpus')
  config.data.cache = str(tmp_path / 'cache')
  config.model.scratch.update(
    hidden_size=32, num_hidden_layers=1, intermediate_size=64
  )
  config.optimizer.learning_rate = 1e-2
  config.update(
    batch_size=8,
    epochs=2,
    log_every=4,
    checkpoint_every=5,
    max_length=32,
    packing=False,
  )
  return config


def make_text_config(positive='', loss='cross_entropy', sigmoid=False):
  """Returns the config of a classifier, without data."""
  config = default.get_config()
  config.task = 'classification'
  config.classification.positive = positive
  config.loss = presets.get_loss(loss, sigmoid=sigmoid)
  return config


def topics(tokenizer=None, max_length=16):
  config = make_text_config()
  config.max_length = max_length
  return Classification(config, tokenizer or NO_TOKENIZER, TOPICS)


def spam(tokenizer=None, loss='cross_entropy', sigmoid=False):
  config = make_text_config('spam', loss, sigmoid)
  return Classification(config, tokenizer or NO_TOKENIZER, SPAM)


def first_value(loss):
  """Makes `(*arrays) -> scalar` of a loss or objective, for a first batch."""
  return lambda *arrays: loss.update(*arrays, loss.init(*arrays[:2]))[0]


def interrupt_at(step, monkeypatch):
  """Interrupts the first run of a test after a step, as Ctrl-C does."""
  advance, steps = progress.Progress.advance, itertools.count(1)

  def interrupt(*args):
    advance(*args)
    if next(steps) == step:
      signal.raise_signal(signal.SIGINT)

  monkeypatch.setattr(progress.Progress, 'advance', interrupt)


def check_packing(model, objective, features, fill, length, most):
  """Checks that packed rows have the loss and gradient of a row per input."""
  packed = pack(features, fill, max_length=length, seed=0, most=most)
  assert len(packed) < len(features) / 2
  alone, together = (
    pad(rows, fill, len(rows) + 1, length) for rows in (features, packed)
  )
  shapes = jax.eval_shape(model.init, jax.random.key(0), alone['tokens'])
  rng = np.random.default_rng(0)
  params = jax.tree.map(
    lambda x: rng.normal(size=x.shape, scale=0.3).astype(np.float32),
    shapes['params'],
  )

  @jax.jit
  @jax.value_and_grad
  def loss(params, batch):
    return first_value(objective)(apply_model(model, params, batch), batch)

  (one, slope), (other, other_slope) = (
    loss(params, batch) for batch in (alone, together)
  )
  np.testing.assert_allclose(other, one, rtol=1e-5)
  size = max(np.abs(x).max() for x in jax.tree.leaves(slope))
  assert size > 1e-3
  jax.tree.map(
    lambda x, y: np.testing.assert_allclose(y, x, rtol=1e-5, atol=1e-5 * size),
    slope,
    other_slope,
  )


def make_xlnet_tokenizer(words):
  """Makes a tokenizer like XLNet's, whose [CLS] is at the end."""
  special = '<unk> <s> </s> <cls> <sep> <pad> <mask>'.split()
  tokenizer = tokenizers.Tokenizer(
    tokenizers.models.Unigram(
      [(x, 0.0) for x in special] + [(x, -len(x)) for x in words], unk_id=0
    )
  )
  split = tokenizers.pre_tokenizers.WhitespaceSplit()
  mark = tokenizers.pre_tokenizers.Metaspace()
  tokenizer.pre_tokenizer = tokenizers.pre_tokenizers.Sequence([split, mark])
  tokenizer.decoder = tokenizers.decoders.Metaspace()
  tokenizer.add_special_tokens(special)
  tokenizer.post_processor = tokenizers.processors.TemplateProcessing(
    single='$A <sep> <cls>:2',
    pair='$A <sep> $B:1 <sep>:1 <cls>:2',
    special_tokens=[('<sep>', 4), ('<cls>', 3)],
  )
  return tokenizer


def tiny_bert(words):
  """Makes the config of a tiny BERT whose vocabulary are these words."""
  return models.BertConfig(
    vocab_size=len(words) + 4,
    hidden_size=16,
    num_hidden_layers=1,
    num_attention_heads=2,
    intermediate_size=16,
    max_position_embeddings=32,
  )


def save_word_tokenizer(directory, words):
  """Saves a tokenizer of whole words, in lower case, for `tiny_bert`."""
  special = ['[PAD]', '[UNK]', '[CLS]', '[SEP]']
  ids = {word: number for number, word in enumerate([*special, *words])}
  tokenizer = tokenizers.Tokenizer(
    tokenizers.models.WordLevel(ids, unk_token='[UNK]')
  )
  tokenizer.normalizer = tokenizers.normalizers.Lowercase()
  tokenizer.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
  tokenizer.post_processor = tokenizers.processors.TemplateProcessing(
    single='[CLS] $A [SEP]', special_tokens=[('[CLS]', 2), ('[SEP]', 3)]
  )
  tokenizer.save(str(directory / 'tokenizer.json'))


def save_encoder(directory, words, seed=0):
  """Saves a tiny encoder with random weights, as Hugging Face does."""
  config = tiny_bert(words)
  params = models.make_encoder(config).init(
    jax.random.key(seed), np.ones((1, 2), int)
  )['params']
  models.save_pretrained(directory, config, params)
  save_word_tokenizer(directory, words)
  return directory


def load_config(path):
  """Returns the `get_config` of a file."""
  spec = importlib.util.spec_from_file_location(path.stem, path)
  module = importlib.util.module_from_spec(spec)
  spec.loader.exec_module(module)
  return module.get_config


def slow_except(few, every):
  """Returns parameters of a test, of which a few are quick."""
  slow = pytest.mark.slow
  return [pytest.param(x, marks=() if x in few else slow) for x in every]


def run_command(module, *args, **kwargs):
  """Runs a module as users do, in a process of its own."""
  return subprocess.run(
    [sys.executable, '-m', module, *map(str, args)],
    cwd=ROOT,
    capture_output=True,
    text=True,
    env=os.environ | {'JAX_PLATFORMS': 'cpu'},
    **kwargs,
  )
