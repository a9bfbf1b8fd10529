"""The encoder against PyTorch's, live; collected where torch is installed."""

import jax
import numpy as np
import pytest
import torch
import transformers
from golden import make_bert
from test_bert import gradient_error
from test_bert import hidden_error

from dicejax.models import Bert
from dicejax.models import BertConfig
from dicejax.models import save_pretrained

TOKENS = np.array([[3, 1, 4, 1, 5], [9, 2, 6, 0, 0]])


@pytest.mark.parametrize('name', make_bert.SHAPES)
def test_agrees_on_new_weights(tmp_path, name):
  make_bert.write(tmp_path, 100, **make_bert.SHAPES[name])
  assert hidden_error(tmp_path) < 1
  assert gradient_error(tmp_path) < 1


@pytest.mark.parametrize(
  'hidden_act', ['gelu', 'gelu_new', 'gelu_pytorch_tanh', 'relu']
)
def test_transformers_reads_what_is_saved(tmp_path, hidden_act):
  config = BertConfig(
    vocab_size=13,
    hidden_size=8,
    num_hidden_layers=2,
    num_attention_heads=2,
    intermediate_size=12,
    hidden_act=hidden_act,
    max_position_embeddings=6,
    initializer_range=0.5,
  )
  params = Bert(config).init(jax.random.key(0), TOKENS)['params']
  save_pretrained(tmp_path, config, params)
  model, info = transformers.BertModel.from_pretrained(
    tmp_path, add_pooling_layer=False, output_loading_info=True
  )
  assert not any(info.values())
  mask = TOKENS != 0
  with torch.no_grad():
    expected = model(torch.tensor(TOKENS), torch.tensor(mask).long())
  actual = Bert(config).apply({'params': params}, TOKENS, mask=mask)
  np.testing.assert_allclose(
    actual[mask], expected.last_hidden_state[mask], rtol=1e-5, atol=1e-5
  )
