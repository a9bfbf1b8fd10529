"""ModernBERT: what differs from BERT."""

import dataclasses
import functools
import json
import pathlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from compiling import jit
from encoder_checks import apply
from encoder_checks import hidden_error
from encoder_checks import relative
from jax.flatten_util import ravel_pytree

from dicejax.models import TextClassifier
from dicejax.models import load_finetuned
from dicejax.models import load_pooler
from dicejax.models import load_pretrained
from dicejax.models import make_encoder
from dicejax.models import save_finetuned
from dicejax.models.pretrained import read_config

TINY = pathlib.Path(__file__).parent / 'golden/modernbert_tiny'


@functools.cache
def _load():
  return load_pretrained(TINY)


TOKENS = np.random.default_rng(0).integers(1, 17, (2, 11), dtype=np.int32)


@pytest.mark.parametrize(
  'change',
  [
    dict(local_attention=6),
    dict(local_attention=2),
    dict(global_attn_every_n_layers=2),
    dict(global_rope_theta=10_000.0),
    dict(local_rope_theta=160_000.0),
    dict(hidden_act='gelu_new'),
    dict(num_attention_heads=4),
  ],
)
def test_a_mistake_is_seen(change):
  assert hidden_error(TINY, **change) > 10


def _encode(tokens, mask, **change):
  config, params = _load()
  config = dataclasses.replace(config, **change)
  return jit(functools.partial(apply, config=config))(
    params, tokens, None, mask
  )


def test_short_rows_have_a_mask_and_long_ones_blocks():
  """Padding has no influence, so both compute the same."""
  mask = np.broadcast_to(np.arange(11) < 7, TOKENS.shape)
  long = _encode(TOKENS, mask)
  short = _encode(TOKENS[:, :7], mask[:, :7])
  assert relative(long[:, :7], short) < 1
  with_all = _encode(TOKENS[:, :7], mask[:, :7], local_attention=12)
  assert relative(short, with_all) > 100


def test_packed_sequences_are_as_if_alone():
  packed = np.array([[1] * 7 + [2] * 4, [1] + [2] * 8 + [0] * 2], np.int32)
  states = _encode(TOKENS, packed)
  assert np.isfinite(states).all()
  alone, number = np.zeros((4, 11), np.int32), 0
  sequences = [packed == 1, packed == 2]
  own = [x[row] for row in (0, 1) for x in sequences]
  for number, inside in enumerate(own):
    alone[number, : inside.sum()] = TOKENS[number // 2, inside]
  expected = _encode(alone, alone != 0)
  for number, inside in enumerate(own):
    actual = states[number // 2, inside]
    assert relative(actual, expected[number, : inside.sum()]) < 1


def test_bfloat16_computes_what_float32_does():
  config, params = _load()
  mask = np.ones_like(TOKENS, bool)
  encoder = make_encoder(config, jnp.bfloat16)
  actual = jit(encoder.apply)({'params': params}, TOKENS, None, mask)
  assert actual.dtype == jnp.bfloat16
  error = np.asarray(actual, np.float32) - _encode(TOKENS, mask)
  assert 0 < np.sqrt(np.mean(error**2)) < 0.03


@pytest.mark.slow
def test_rematerialisation_and_dropout():
  config, params = _load()
  config = dataclasses.replace(
    config,
    embedding_dropout=0.1,
    hidden_dropout_prob=0.1,
    attention_probs_dropout_prob=0.1,
  )

  def gradient(seed, remat):
    encoder = make_encoder(dataclasses.replace(config, remat=remat))

    def loss(params):
      rngs = {'dropout': jax.random.key(seed)}
      states = encoder.apply(
        {'params': params}, TOKENS, deterministic=False, rngs=rngs
      )
      return jnp.sum(states**2)

    return ravel_pytree(jit(jax.grad(loss))(params))[0]

  np.testing.assert_allclose(
    gradient(0, True), gradient(0, False), rtol=1e-4, atol=1e-4
  )
  assert np.abs(gradient(0, False) - gradient(1, False)).max() > 0.1


def _configure(tmp_path, **changes):
  """Writes a config.json and returns what is read from it."""
  values = json.loads((TINY / 'config.json').read_text()) | changes
  values = {key: x for key, x in values.items() if x != 'gone'}
  (tmp_path / 'config.json').write_text(json.dumps(values))
  return read_config(tmp_path / 'config.json')


def test_older_and_newer_configs_say_the_same(tmp_path):
  newer = _configure(tmp_path)
  older = _configure(
    tmp_path,
    layer_types='gone',
    rope_parameters='gone',
    global_attn_every_n_layers=3,
    global_rope_theta=160_000.0,
    local_rope_theta=10_000.0,
  )
  assert newer == older == _load()[0]
  change = dict(layer_types='gone', rope_parameters='gone')
  config = _configure(tmp_path, **change, local_rope_theta=None)
  assert config.local_rope_theta == config.global_rope_theta == 160_000


@pytest.mark.parametrize(
  'change, message',
  [
    (dict(layer_types=['sliding_attention'] * 4), 'layer_types is .*regular'),
    (
      dict(rope_parameters={'full_attention': {'rope_type': 'yarn'}}),
      "config.json: rope_type is 'yarn'; only 'default' is read",
    ),
    (dict(num_attention_heads=8), '1 hidden units per head cannot be rotated'),
    (dict(classifier_activation='x'), "classifier_activation='x' is not one"),
    (
      dict(layer_types='gone', global_attn_every_n_layers=0),
      'global_attn_every_n_layers is at least 1, not 0',
    ),
  ],
)
def test_other_configs_are_refused(tmp_path, change, message):
  with pytest.raises(ValueError, match=message):
    _configure(tmp_path, **change)


@pytest.mark.parametrize('pooling', ['cls', 'mean'])
def test_the_pooling_of_texts_is_published(tmp_path, pooling):
  config, encoder = _load()
  model = TextClassifier(config, 3, pooling=pooling)
  params = jit(model.init)(jax.random.key(0), TOKENS)['params']
  assert sorted(params['pooler']) == ['kernel', 'norm']
  save_finetuned(tmp_path, model, {**params, 'encoder': encoder}, tuple('abc'))
  values = json.loads((tmp_path / 'config.json').read_text())
  assert values['classifier_pooling'] == pooling
  assert values['model_type'] == 'modernbert'
  assert load_finetuned(tmp_path).model.pooling == pooling
  pooler = load_pooler(tmp_path)
  assert pooler is not None
  np.testing.assert_array_equal(pooler['kernel'], params['pooler']['kernel'])
