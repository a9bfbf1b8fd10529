"""DeBERTa: its settings, packing and files; against PyTorch where installed."""

import json
import pathlib
import shutil

import jax
import numpy as np
import pytest
from compiling import jit
from encoder_checks import hidden_and_gradient_errors
from encoder_checks import relative
from golden import make_bert
from safetensors.numpy import load_file
from safetensors.numpy import save_file

from dicejax.models import DebertaConfig
from dicejax.models import SpanExtractor
from dicejax.models import TextClassifier
from dicejax.models import TokenTagger
from dicejax.models import load_finetuned
from dicejax.models import load_pretrained
from dicejax.models import save_finetuned
from dicejax.models import save_pretrained

TINY = pathlib.Path(__file__).parent / 'golden/deberta_tiny'
CONV = TINY.with_name('deberta_conv')
V3 = make_bert.SHAPES['deberta_tiny']
V2 = make_bert.SHAPES['deberta_conv']
MASK = np.arange(11) < np.array([[11], [8]])
ROWS = np.random.default_rng(0).integers(1, 17, MASK.shape)


def test_a_published_file_has_more_than_the_encoder(tmp_path):
  tiny = shutil.copytree(TINY, tmp_path / 'tiny')
  weights = load_file(tiny / 'model.safetensors')
  extra = dict.fromkeys(
    (
      'deberta.embeddings.position_embeddings.weight',
      'lm_predictions.lm_head.bias',
      'mask_predictions.dense.weight',
    ),
    np.zeros(2, np.float16),
  )
  weights = {f'deberta.{n}': x.astype('float16') for n, x in weights.items()}
  save_file(weights | extra, tiny / 'model.safetensors')
  config, params = load_pretrained(TINY)
  assert load_pretrained(tiny)[0] == config
  jax.tree.map(
    lambda x, y: np.testing.assert_array_equal(x, y.astype('float16')),
    load_pretrained(tiny)[1],
    params,
  )
  # Positions have a place here.
  assert 'positions' in load_pretrained(CONV)[1]


def test_what_published_configs_leave_out():
  config, _ = load_pretrained(CONV)
  assert config.position_biased_input and not config.share_att_key
  assert (config.norm_rel_ebd, config.position_buckets) == ('none', -1)
  assert (config.max_length, config.terms) == (13, ('p2c', 'c2p'))
  assert load_pretrained(TINY)[0].max_length == np.inf


@pytest.mark.parametrize(
  'changes, message',
  [
    (dict(relative_attention=False), r'relative_attention=False is not one'),
    (dict(pos_att_type='c2p|p2p'), "pos_att_type='p2p' is not one of"),
    (dict(norm_rel_ebd='batch_norm'), "norm_rel_ebd='batch_norm' is not"),
    (dict(conv_kernel_size=4), 'conv_kernel_size=4 is not odd'),
    (dict(conv_act='swish'), "conv_act='swish' is not one of"),
    (dict(attention='cudnn'), "attention='cudnn' is not one of"),
    (dict(max_relative_positions=100), 'position_buckets=256 is not a num'),
    (dict(position_buckets=1), 'position_buckets=1 is not a number'),
  ],
)
def test_a_wrong_setting_is_refused(changes, message):
  with pytest.raises(ValueError, match=message):
    DebertaConfig(**changes)


@pytest.mark.parametrize(
  'changes, message',
  [
    (
      dict(pooler_hidden_act='tanh'),
      "pooler_hidden_act is 'tanh'; only",
    ),
    (dict(conv_groups=2), 'conv_groups is 2; only 1'),
    (dict(relative_attention='gone'), 'relative_attention=False is not one'),
  ],
)
def test_a_config_of_something_else_is_refused(tmp_path, changes, message):
  values = json.loads((TINY / 'config.json').read_text()) | changes
  values = {name: x for name, x in values.items() if x != 'gone'}
  (tmp_path / 'config.json').write_text(json.dumps(values))
  with pytest.raises(ValueError, match=message):
    load_pretrained(tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize(
  'shape',
  [
    V3 | dict(max_position_embeddings=150),  # Several blocks of tokens.
    V3 | dict(position_buckets=6, max_relative_positions=20),
    V3 | dict(position_buckets=-1),
    V3 | dict(share_att_key=False),
    V3 | dict(pos_att_type='c2p', share_att_key=False),
    V3 | dict(pos_att_type='p2c'),
    V3 | dict(pos_att_type=None),
    V3 | dict(norm_rel_ebd='none', hidden_act='gelu_new'),
    V3 | dict(conv_kernel_size=5, hidden_size=48, num_attention_heads=3),
    V2 | dict(conv_act='tanh', num_hidden_layers=3),
  ],
  ids=str,
)
def test_settings_agree_with_pytorch(tmp_path, shape):
  pytest.importorskip('transformers')
  make_bert.write(tmp_path, 7, **shape)
  assert max(hidden_and_gradient_errors(tmp_path)) < 1


HEADS = {  # Class in transformers -> head, its fields.
  'DebertaV2ForTokenClassification': (TokenTagger, ('O', 'B-PER', 'I-PER')),
  'DebertaV2ForSequenceClassification': (TextClassifier, ('a', 'b', 'c')),
  'DebertaV2ForQuestionAnswering': (SpanExtractor, ()),
}


def _logits(model):
  torch = pytest.importorskip('torch')
  with torch.no_grad():
    found = model.eval()(torch.tensor(ROWS), torch.tensor(MASK).long())
  if 'start_logits' in found:
    return torch.stack([found.start_logits, found.end_logits], -1).numpy()
  return found.logits.numpy()


@pytest.mark.parametrize(
  'name',
  [
    'DebertaV2ForSequenceClassification',
    pytest.param('DebertaV2ForTokenClassification', marks=pytest.mark.slow),
    pytest.param('DebertaV2ForQuestionAnswering', marks=pytest.mark.slow),
  ],
)
@pytest.mark.parametrize(
  'shape', [V2, pytest.param(V3, marks=pytest.mark.slow)], ids=['v2', 'v3']
)
def test_heads_agree_with_pytorch(tmp_path, name, shape):
  """Both ways: a fine-tuned model of theirs, and its export from here."""
  torch = pytest.importorskip('torch')
  transformers = pytest.importorskip('transformers')
  kind, labels = HEADS[name]
  config = transformers.AutoConfig.for_model(
    **shape, num_labels=len(labels) or 2
  )
  torch.manual_seed(0)
  theirs = getattr(transformers, name)(config)
  for p in theirs.parameters():
    p.data += 0.3 * torch.randn(p.shape)
  theirs.save_pretrained(tmp_path / 'theirs')
  model, params, found, _ = load_finetuned(tmp_path / 'theirs')
  assert type(model) is kind and len(found) == len(labels)
  actual = jit(model.apply)({'params': params}, ROWS, mask=MASK)
  real = MASK if actual.ndim == 3 else slice(None)
  assert relative(actual[real], _logits(theirs)[real]) < 1

  save_finetuned(tmp_path / 'ours', model, params, labels)
  again, info = getattr(transformers, name).from_pretrained(
    tmp_path / 'ours', output_loading_info=True
  )
  assert not any(info.values())
  assert again.config.architectures == [name]
  assert relative(actual[real], _logits(again)[real]) < 1


def test_transformers_reads_what_is_saved(tmp_path):
  transformers = pytest.importorskip('transformers')
  save_pretrained(tmp_path, *load_pretrained(CONV))
  model, info = transformers.AutoModel.from_pretrained(
    tmp_path, output_loading_info=True
  )
  assert not any(info.values())
  assert type(model).__name__ == 'DebertaV2Model'
