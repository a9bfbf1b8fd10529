"""The encoder of a run: published, or from scratch with its own vocabulary."""

import dataclasses
import pathlib
from collections.abc import Sequence
from typing import Any
from typing import NamedTuple

import tokenizers
from ml_collections import config_dict

from dicejax.models import BertConfig
from dicejax.models import load_pooler
from dicejax.models import load_pretrained
from dicejax.models import resolve
from train import workdir as files
from train.data.tokenizer import load_tokenizer
from train.data.tokenizer import train_wordpiece


def make_encoder(
  config: config_dict.ConfigDict,
  workdir: pathlib.Path,
  examples: Sequence[NamedTuple],
) -> tuple[tokenizers.Tokenizer, BertConfig, dict[str, Any]]:
  """The encoder that `config.model` describes, and its tokenizer.

  Args:
    config: of the run.
    workdir: of the run, where the tokenizer is kept.
    examples: to train a tokenizer on, where none is published.

  Returns:
    Tokenizer, config, and the published weights by parameter: none for an
    encoder from scratch.

  Raises:
    OSError, ValueError: no such weights, or they do not fit the config.
  """
  begun = (workdir / files.CONFIG).is_file()
  if config.model.pretrained:
    source = resolve(config.model.pretrained)
    encoder, params = load_pretrained(source)
    weights = {'encoder': params}
    if pooler := load_pooler(source):
      weights['pooler'] = pooler
    tokenizer = load_tokenizer(workdir if begun else source)
    if tokenizer.get_vocab_size() > encoder.vocab_size:
      raise ValueError(
        f'{source}: the tokenizer has {tokenizer.get_vocab_size()} tokens, the '
        f'encoder only vocab_size={encoder.vocab_size}.'
      )
  else:
    shape = config.model.scratch.to_dict()
    size = shape.pop('vocab_size')
    tokenizer = (
      load_tokenizer(workdir)
      if begun
      else train_wordpiece(map(_words, examples), size)
    )
    encoder = BertConfig(vocab_size=tokenizer.get_vocab_size(), **shape)
    weights = {}
  if config.max_length > encoder.max_length:
    raise ValueError(
      f'max_length={config.max_length} is more than the encoder has positions '
      f'for: {encoder.max_length}.'
    )
  if not begun:
    files.write_whole(workdir / files.TOKENIZER, tokenizer.to_str(pretty=True))
  encoder = dataclasses.replace(
    encoder,
    hidden_dropout_prob=config.model.dropout,
    remat=config.model.remat,
    attention=config.model.attention,
  )
  return tokenizer, encoder, weights


def _words(example) -> list[str]:
  """What an example says, wherever its kind has it."""
  words = list(getattr(example, 'tokens', []))
  for name in ('text', 'pair', 'question', 'context', 'query'):
    words += (getattr(example, name, None) or '').split()
  return words
