"""Makes the encoder of a run: published, or from scratch with a vocabulary."""

import dataclasses
import hashlib
import os
import pathlib
import shutil
from collections.abc import Mapping
from collections.abc import Sequence
from typing import Any
from typing import NamedTuple

import jax
import numpy as np
import tokenizers
from ml_collections import config_dict

from dicejax.models import EncoderConfig
from dicejax.models import find_family
from dicejax.models import load_pretrained
from dicejax.models import make_config
from dicejax.models import resolve
from dicejax.models import save_pretrained
from dicejax.text.runs import Moments
from dicejax.text.runs import is_run
from dicejax.text.runs import standardize
from dicejax.text.tokenizer import load_tokenizer
from dicejax.text.tokenizer import train_wordpiece
from train import workdir as files
from train.warm import keep_head
from train.warm import read_start


def make_encoder(
  config: config_dict.ConfigDict,
  workdir: pathlib.Path,
  examples: Sequence[NamedTuple],
  labels: Sequence[str] = (),
) -> tuple[tokenizers.Tokenizer, EncoderConfig, dict[str, Any]]:
  """Makes the encoder that `config.model` describes, and its tokenizer.

  Args:
    config: the config of the run.
    workdir: the directory of the run, which keeps the tokenizer and, if it is
      frozen, the encoder.
    examples: the training split, for the tokenizer of an encoder from scratch.
    labels: its labels; with these, the head of another run is used as well.

  Returns:
    The tokenizer, the config of the encoder, and the published weights by
    module (`encoder`, perhaps `pooler` and `head`); no weights for one from
    scratch.

  Raises:
    OSError, ValueError: there are no such weights, or they do not fit the
      config.
  """
  # A run that goes on uses its own files: those it began with may have changed.
  begun = (workdir / files.CONFIG).is_file()
  if config.model.pretrained:
    if begun and config.model.frozen:
      source = workdir / files.ENCODER
    else:
      source = resolve(config.model.pretrained)
    start = read_start(source)
    encoder, weights = start.encoder, keep_head(start, config, labels)
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
      else train_wordpiece((e.words for e in examples), size)
    )
    encoder = make_config(vocab_size=tokenizer.get_vocab_size(), **shape)
    weights = {}
  if config.model.frozen and not find_family(encoder).last_norm(encoder):
    raise ValueError(
      'model.frozen standardises hidden states by the layer norm that an '
      f'encoder ends with; that of {encoder.model_type} is shared by layers or '
      'has no bias.'
    )
  if config.max_length > encoder.max_length:
    raise ValueError(
      f'max_length={config.max_length} is more than the encoder has positions '
      f'for: {encoder.max_length}.'
    )
  if not begun and config.model.frozen:
    _keep(source, workdir, encoder, weights['encoder'])
  if not begun:
    files.write_whole(workdir / files.TOKENIZER, tokenizer.to_str(pretty=True))
  encoder = dataclasses.replace(
    encoder,
    hidden_dropout_prob=config.model.dropout,
    attention_probs_dropout_prob=config.model.attention_dropout,
    remat=config.model.remat,
    attention=config.model.attention,
  )
  return tokenizer, encoder, weights


def _keep(source, workdir, encoder, params):
  """Copies published weights to a run, so that it needs no other directory."""
  kept = workdir / files.ENCODER
  # A run that stopped before its config was written may have left a copy.
  shutil.rmtree(kept, ignore_errors=True)
  if is_run(source):  # Its checkpoint has no such files.
    return save_pretrained(kept, encoder, params)
  kept.mkdir()
  for path in source.iterdir():
    if path.name == 'config.json' or '.safetensors' in path.suffixes:
      _link(path.resolve(), kept / path.name)


def _link(source, target):
  """Links a file where the file system can: a sweep makes many copies."""
  try:
    os.link(source, target)
  except OSError:
    shutil.copyfile(source, target)


def load_encoder(workdir: pathlib.Path, meta: Mapping[str, Any]) -> dict:
  """Reads the frozen encoder of a run.

  Args:
    workdir: the directory of the run.
    meta: the meta of a checkpoint.

  Returns:
    `{'encoder': params}`, whose states are standardised; `{}` if the encoder is
    not frozen and thus in the checkpoint.

  Raises:
    OSError, ValueError: the weights are not those that the run began with.
  """
  if 'weights' not in meta:
    return {}
  directory = workdir / files.ENCODER
  encoder, params = load_pretrained(directory)
  if digest_params(params) != meta['weights']:
    raise ValueError(
      f'{directory} is damaged: its weights differ from those in training.'
    )
  moments = Moments(*(np.float32(x) for x in meta['moments']))
  return {'encoder': standardize(params, moments, encoder)}


def digest_params(params: Any) -> str:
  """Computes SHA-256 of the names, shapes, types and values of parameters."""
  digest = hashlib.sha256()
  for path, x in jax.tree.leaves_with_path(params):
    digest.update(f'{jax.tree_util.keystr(path)} {x.shape} {x.dtype}'.encode())
    digest.update(np.ascontiguousarray(x))
  return digest.hexdigest()
