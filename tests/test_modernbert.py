"""ModernBERT: what differs from BERT."""

import dataclasses
import functools
import json
import pathlib

import jax
import numpy as np
import pytest
from compiling import jit
from encoder_checks import apply
from encoder_checks import hidden_error
from encoder_checks import relative

from dicejax.models import TextClassifier
from dicejax.models import load_finetuned
from dicejax.models import load_pooler
from dicejax.models import load_pretrained
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
    dict(local_attention=2),
    dict(global_rope_theta=10_000.0),
    *(
      pytest.param(change, marks=pytest.mark.slow)
      for change in [
        dict(local_attention=6),
        dict(global_attn_every_n_layers=2),
        dict(local_rope_theta=160_000.0),
        dict(hidden_act='gelu_new'),
        dict(num_attention_heads=4),
      ]
    ),
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
