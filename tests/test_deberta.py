"""DeBERTa: its settings, packing and files; against PyTorch where installed."""

import dataclasses
import functools
import json
import pathlib
import shutil

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from compiling import jit
from encoder_checks import apply
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
from dicejax.models import make_encoder
from dicejax.models import save_finetuned
from dicejax.models import save_pretrained

TINY = pathlib.Path(__file__).parent / 'golden/deberta_tiny'
CONV = TINY.with_name('deberta_conv')
V3 = make_bert.SHAPES['deberta_tiny']
V2 = make_bert.SHAPES['deberta_conv']
# Rows of several texts, and the same texts in rows of their own.
PACKED = np.array(
  [[1, 1, 1, 1, 1, 2, 2, 3, 3, 3, 3], [1, 2, 2, 2, 2, 2, 2, 2, 0, 0, 0]]
)
ROWS = np.random.default_rng(0).integers(1, 17, PACKED.shape)
SEGMENTS = np.random.default_rng(1).integers(0, 2, PACKED.shape)
TEXTS = [(row, i) for row in range(2) for i in sorted({*PACKED[row]} - {0})]


def _place(texts):
  """Returns the texts in rows of their own, padded on the right."""
  rows = np.zeros((len(TEXTS), PACKED.shape[1], *texts.shape[2:]), texts.dtype)
  for place, (row, i) in zip(rows, TEXTS, strict=True):
    found = texts[row][PACKED[row] == i]
    place[: len(found)] = found
  return rows


@pytest.mark.parametrize(
  'source', [CONV, pytest.param(TINY, marks=pytest.mark.slow)]
)
def test_packed_texts_are_as_if_alone(source):
  config, params = load_pretrained(source)
  run = jit(functools.partial(apply, config=config))
  alone = _place(PACKED) > 0
  packed = np.asarray(run(params, ROWS, SEGMENTS, PACKED))
  expected = run(params, _place(ROWS), _place(SEGMENTS), alone)
  assert relative(_place(packed)[alone], expected[alone]) < 1


@pytest.mark.slow
@pytest.mark.parametrize('source', [CONV, TINY])
def test_gradients_of_packed_texts_are_as_if_alone(source):
  config, params = load_pretrained(source)
  cotangent = np.random.default_rng(2).normal(size=(*PACKED.shape, 1))
  cotangent = (cotangent * (PACKED > 0)[..., None]).astype(np.float32)

  @jit
  @jax.grad
  def gradient(params, tokens, segments, mask, cotangent):
    hidden = apply(params, tokens, segments, mask, config=config)
    return jnp.sum(hidden * cotangent) / PACKED.size

  jax.tree.map(
    functools.partial(np.testing.assert_allclose, rtol=1e-5, atol=1e-5),
    gradient(params, ROWS, SEGMENTS, PACKED, cotangent),
    gradient(
      params,
      _place(ROWS),
      _place(SEGMENTS),
      _place(PACKED) > 0,
      _place(cotangent),
    ),
  )


def test_padding_may_be_on_the_left():
  config, params = load_pretrained(TINY)
  run = jit(functools.partial(apply, config=config))
  mask = np.arange(11) < np.array([[11], [4]])
  expected = run(params, ROWS, None, mask)
  left = run(params, np.roll(ROWS, 7, axis=1), None, np.roll(mask, 7, axis=1))
  assert relative(left[1, 7:], expected[1, :4]) < 1


def test_bfloat16_computes_what_float32_does():
  config, params = load_pretrained(CONV)
  expected = jit(make_encoder(config).apply)({'params': params}, ROWS)
  encoder = make_encoder(config, jnp.bfloat16)
  actual = jit(encoder.apply)({'params': params}, ROWS)
  assert actual.dtype == jnp.bfloat16
  error = np.asarray(actual, np.float32) - expected
  # bfloat16 has 8 bits: 1/256 of values around 1, through 3 sublayers.
  assert 0 < np.sqrt(np.mean(error**2)) < 0.02


@pytest.mark.slow
def test_rematerialisation_changes_no_value():
  def gradient(remat):
    config, params = load_pretrained(TINY)
    config = dataclasses.replace(config, remat=remat)

    def loss(params):
      rngs = {'dropout': jax.random.key(0)}
      hidden = apply(
        params, ROWS, config=config, deterministic=False, rngs=rngs
      )
      return jnp.sum(hidden**2)

    return jit(jax.grad(loss))(params)

  jax.tree.map(
    functools.partial(np.testing.assert_allclose, rtol=1e-5, atol=1e-5),
    gradient(True),
    gradient(False),
  )


@pytest.mark.slow
def test_dropout_of_distances_and_of_attention():
  config, params = load_pretrained(TINY)
  expected = apply(params, ROWS, config=config)

  def draw(seed=0, **changes):
    return apply(
      params,
      ROWS,
      config=dataclasses.replace(config, **changes),
      deterministic=False,
      rngs={'dropout': jax.random.key(seed)},
    )

  for name in ('hidden_dropout_prob', 'attention_probs_dropout_prob'):
    np.testing.assert_array_equal(draw(), draw())
    only = {'hidden_dropout_prob': 0.0, 'attention_probs_dropout_prob': 0.0}
    assert relative(draw(**only), expected) < 1
    assert np.abs(draw(**only | {name: 0.1}) - expected).max() > 0.01


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


def test_round_trip(tmp_path):
  config, params = load_pretrained(CONV)
  save_pretrained(tmp_path, config, params)
  again, read = load_pretrained(tmp_path)
  assert again == config == DebertaConfig(**dataclasses.asdict(config))
  jax.tree.map(np.testing.assert_array_equal, read, params)


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


def _logits(model, mask):
  torch = pytest.importorskip('torch')
  with torch.no_grad():
    found = model.eval()(torch.tensor(ROWS), torch.tensor(mask).long())
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
  mask = PACKED > 0
  actual = jit(model.apply)({'params': params}, ROWS, mask=mask)
  real = mask if actual.ndim == 3 else slice(None)
  assert relative(actual[real], _logits(theirs, mask)[real]) < 1

  save_finetuned(tmp_path / 'ours', model, params, labels)
  again, info = getattr(transformers, name).from_pretrained(
    tmp_path / 'ours', output_loading_info=True
  )
  assert not any(info.values())
  assert again.config.architectures == [name]
  assert relative(actual[real], _logits(again, mask)[real]) < 1


def test_transformers_reads_what_is_saved(tmp_path):
  transformers = pytest.importorskip('transformers')
  save_pretrained(tmp_path, *load_pretrained(CONV))
  model, info = transformers.AutoModel.from_pretrained(
    tmp_path, output_loading_info=True
  )
  assert not any(info.values())
  assert type(model).__name__ == 'DebertaV2Model'
