"""Distances of an encoder from the numbers that PyTorch gives."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
from compiling import jit
from jax.flatten_util import ravel_pytree

from dicejax.models import BertConfig
from dicejax.models import load_pretrained
from dicejax.models import make_encoder

CONFIG = BertConfig(
  vocab_size=13,
  hidden_size=8,
  num_hidden_layers=2,
  num_attention_heads=2,
  intermediate_size=12,
  max_position_embeddings=6,
)
TOKENS = np.array([[3, 1, 4, 1, 5], [9, 2, 6, 0, 0]], np.int32)


def apply(params, tokens=TOKENS, *args, config=CONFIG, **kwargs):
  return make_encoder(config).apply({'params': params}, tokens, *args, **kwargs)


def relative(actual, expected):
  """The largest difference, in units of 1e-5 (absolute and relative)."""
  errors = np.abs(actual - expected) / (1e-5 + 1e-5 * np.abs(expected))
  return np.max(errors, initial=0)


def hidden_error(reference, **changes):
  """Returns the distance of hidden states from the reference's."""
  config, params = load_pretrained(reference)
  config = dataclasses.replace(config, **changes)
  e = np.load(reference / 'expected.npz')
  hidden = jit(functools.partial(apply, config=config))(
    params, e['tokens'], e['segments'], e['mask']
  )
  return relative(hidden[e['mask']], e['hidden'][e['mask']])


def hidden_and_gradient_errors(reference):
  """Returns the distances of hidden states and of the whole gradient."""
  config, params = load_pretrained(reference)
  _, expected = load_pretrained(reference / 'gradient')
  e = np.load(reference / 'expected.npz')

  @jit
  @functools.partial(jax.grad, has_aux=True)
  def gradient(params):
    hidden = apply(params, e['tokens'], e['segments'], e['mask'], config=config)
    return jnp.sum(hidden * e['cotangent']), hidden

  found, hidden = gradient(params)
  return (
    relative(hidden[e['mask']], e['hidden'][e['mask']]),
    relative(ravel_pytree(found)[0], ravel_pytree(expected)[0]),
  )
