"""Encoders and heads against PyTorch, live; where torch is installed."""

import dataclasses

import jax
import numpy as np
import pytest
import torch
import transformers
from encoder_checks import hidden_and_gradient_errors
from golden import make_bert
from golden import make_xlnet

from dicejax.models import Bert
from dicejax.models import BertConfig
from dicejax.models import QuerySpanTagger
from dicejax.models import SpanExtractor
from dicejax.models import TextClassifier
from dicejax.models import TokenTagger
from dicejax.models import load_finetuned
from dicejax.models import load_pooler
from dicejax.models import load_pretrained
from dicejax.models import save_finetuned
from dicejax.models import save_pretrained

CONFIG = BertConfig(
  vocab_size=13,
  hidden_size=8,
  num_hidden_layers=2,
  num_attention_heads=2,
  intermediate_size=12,
  max_position_embeddings=10,
  initializer_range=0.5,
)
MASK = np.array([[1, 1, 1, 1, 1], [1, 1, 1, 0, 0]], bool)
TOKENS = np.array([[8, 4, 9, 4, 5], [9, 12, 6, 0, 0]])


@pytest.mark.parametrize('name', make_bert.SHAPES)
def test_agrees_on_new_weights(tmp_path, name):
  make_bert.write(tmp_path, 100, **make_bert.SHAPES[name])
  assert max(hidden_and_gradient_errors(tmp_path)) < 1


@pytest.mark.parametrize(
  'change',
  [
    dict(),
    dict(hidden_act='gelu_new'),
    dict(hidden_act='gelu_pytorch_tanh'),
    dict(hidden_act='relu'),
    dict(model_type='roberta', pad_token_id=3, type_vocab_size=1),
    dict(model_type='xlm-roberta', pad_token_id=1),
    dict(model_type='camembert', pad_token_id=1),
  ],
)
def test_transformers_reads_what_is_saved(tmp_path, change):
  config = dataclasses.replace(CONFIG, **change)
  tokens = np.where(MASK, TOKENS, config.pad_token_id)
  params = Bert(config).init(jax.random.key(0), tokens)['params']
  save_pretrained(tmp_path, config, params)
  model, info = transformers.AutoModel.from_pretrained(
    tmp_path, add_pooling_layer=False, output_loading_info=True
  )
  assert not any(info.values())
  assert [type(model).__name__] == model.config.architectures
  assert model.config.model_type == config.model_type
  with torch.no_grad():
    expected = model(torch.tensor(tokens), torch.tensor(MASK).long())
  actual = Bert(config).apply({'params': params}, tokens, mask=MASK)
  np.testing.assert_allclose(
    actual[MASK], expected.last_hidden_state[MASK], rtol=1e-5, atol=1e-5
  )


@pytest.mark.parametrize(
  'theirs, ours, top',
  [
    ('BertForTokenClassification', TokenTagger, 'classifier'),
    ('RobertaForTokenClassification', TokenTagger, 'classifier'),
    ('BertForSequenceClassification', TextClassifier, 'classifier'),
    ('BertForQuestionAnswering', SpanExtractor, 'qa_outputs'),
    ('RobertaForQuestionAnswering', SpanExtractor, 'qa_outputs'),
  ],
)
def test_heads_agree(tmp_path, theirs, ours, top):
  """The logits of a fine-tuned checkpoint: its encoder, pooler and head."""
  model = _random_model(theirs)
  model.save_pretrained(tmp_path)
  config, encoder = load_pretrained(tmp_path)
  params = {'encoder': encoder, 'head': _layer(getattr(model, top))}
  if ours is TextClassifier:
    params['pooler'] = load_pooler(tmp_path)
  else:
    assert load_pooler(tmp_path) is None
  sizes = {} if ours is SpanExtractor else {'num_labels': 3}
  tokens = np.where(MASK, TOKENS, config.pad_token_id)
  actual = ours(config, **sizes).apply({'params': params}, tokens, mask=MASK)
  with torch.no_grad():
    outputs = model(torch.tensor(tokens), torch.tensor(MASK).long())
  if ours is SpanExtractor:
    expected = torch.stack([outputs.start_logits, outputs.end_logits], -1)
  else:
    expected = outputs.logits
  real = MASK if actual.ndim == 3 else slice(None)
  np.testing.assert_allclose(actual[real], expected[real], rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize('name', make_xlnet.SHAPES)
@pytest.mark.parametrize('length', [2, 9, 40])
def test_xlnet_agrees_on_new_weights(tmp_path, name, length):
  make_xlnet.write(tmp_path, 100, length, **make_xlnet.SHAPES[name])
  assert max(hidden_and_gradient_errors(tmp_path)) < 1


@pytest.mark.parametrize(
  'end',
  [
    'TokenClassification',
    'SequenceClassification',
    'QuestionAnsweringSimple',
  ],
)
def test_xlnet_heads_agree_both_ways(tmp_path, end):
  """Their class has padding on the left, and ours here on the right."""
  shape = make_xlnet.SHAPES['xlnet_deep']
  labels = {} if 'Answering' in end else {'num_labels': 3}
  kind = getattr(transformers, f'XLNetFor{end}')
  torch.manual_seed(0)
  theirs = kind(transformers.XLNetConfig(**shape, **labels)).eval()
  for p in theirs.parameters():
    p.data += 0.3 * torch.randn(p.shape)
  theirs.save_pretrained(tmp_path / 'theirs')
  model, params, names, _ = load_finetuned(tmp_path / 'theirs')
  segments = np.array([[0, 0, 1, 1, 2], [0, 0, 2, 0, 0]])
  actual = model.apply({'params': params}, TOKENS, segments, MASK)
  save_finetuned(tmp_path / 'ours', model, params, names)
  auto = 'AutoModelFor' + end.removesuffix('Simple')
  again, info = getattr(transformers, auto).from_pretrained(
    tmp_path / 'ours', output_loading_info=True
  )
  assert type(again) is kind and not any(info.values())
  rows = [np.roll(x[1], 2) for x in (TOKENS, MASK, segments)]
  inputs = [
    torch.tensor(np.stack([x[0], row]).astype(int))
    for x, row in zip((TOKENS, MASK, segments), rows, strict=True)
  ]
  for other in (theirs, again.eval()):
    with torch.no_grad():
      found = other(
        inputs[0], attention_mask=inputs[1], token_type_ids=inputs[2]
      )
    if 'Answering' in end:
      expected = torch.stack([found.start_logits, found.end_logits], -1)
    else:
      expected = found.logits
    expected = expected.numpy()
    if actual.ndim == 3:
      expected[1] = np.roll(expected[1], -2, axis=0)
    real = MASK if actual.ndim == 3 else slice(None)
    np.testing.assert_allclose(
      actual[real], expected[real], rtol=1e-5, atol=1e-5
    )


@pytest.mark.parametrize(
  'change',
  [
    dict(max_position_embeddings=31),  # Blocks, the last of which is not full.
    dict(max_position_embeddings=31, local_attention=8, hidden_size=12),
    dict(max_position_embeddings=9, local_attention=5),  # A mask, no blocks.
    dict(local_attention=100, hidden_activation='gelu_pytorch_tanh'),
    dict(attention_bias=True, mlp_bias=True, norm_bias=True),
    dict(global_attn_every_n_layers=2, num_hidden_layers=3),
    dict(
      rope_parameters={
        'full_attention': {'rope_type': 'default', 'rope_theta': 500.0},
        'sliding_attention': {'rope_type': 'default', 'rope_theta': 50.0},
      }
    ),
  ],
)
def test_modernbert_agrees_with_other_settings(tmp_path, change):
  shape = {**make_bert.SHAPES['modernbert_tiny'], **change}
  make_bert.write(tmp_path, 100, **shape)
  assert max(hidden_and_gradient_errors(tmp_path)) < 1


@pytest.mark.parametrize(
  'end, change',
  [
    ('TokenClassification', dict(norm_bias=True)),
    ('SequenceClassification', dict(classifier_pooling='mean')),
    ('SequenceClassification', dict(classifier_activation='relu')),
    ('QuestionAnswering', dict(classifier_bias=True)),
  ],
)
def test_modernbert_heads_agree_both_ways(tmp_path, end, change):
  shape = {**make_bert.SHAPES['modernbert_tiny'], 'pad_token_id': 0, **change}
  shape.pop('model_type')
  labels = {} if end == 'QuestionAnswering' else {'num_labels': 3}
  kind = getattr(transformers, f'ModernBertFor{end}')
  torch.manual_seed(0)
  theirs = kind(transformers.ModernBertConfig(**shape, **labels)).eval()
  for p in theirs.parameters():
    p.data += 0.3 * torch.randn(p.shape)
  theirs.save_pretrained(tmp_path / 'theirs')
  model, params, names, _ = load_finetuned(tmp_path / 'theirs')
  actual = model.apply({'params': params}, TOKENS, mask=MASK)
  save_finetuned(tmp_path / 'ours', model, params, names)
  auto = getattr(transformers, f'AutoModelFor{end}')
  again, info = auto.from_pretrained(
    tmp_path / 'ours', output_loading_info=True
  )
  assert type(again) is kind and not any(info.values())
  real = MASK if actual.ndim == 3 else slice(None)
  for other in (theirs, again.eval()):
    with torch.no_grad():
      found = other(torch.tensor(TOKENS), torch.tensor(MASK).long())
    if end == 'QuestionAnswering':
      expected = torch.stack([found.start_logits, found.end_logits], -1)
    else:
      expected = found.logits
    np.testing.assert_allclose(
      actual[real], expected[real], rtol=1e-5, atol=1e-5
    )


def test_a_masked_language_model_of_modernbert_is_a_start(tmp_path):
  shape = {**make_bert.SHAPES['modernbert_tiny'], 'pad_token_id': 0}
  shape.pop('model_type')
  torch.manual_seed(0)
  config = transformers.ModernBertConfig(**shape)
  model = transformers.ModernBertForMaskedLM(config)
  model.save_pretrained(tmp_path)
  _, encoder = load_pretrained(tmp_path)
  pooler = load_pooler(tmp_path)
  head = TokenTagger(load_pretrained(tmp_path)[0], 3)
  params = jax.eval_shape(head.init, jax.random.key(0), TOKENS)['params']
  assert jax.tree.structure(params['encoder']) == jax.tree.structure(encoder)
  assert jax.tree.structure(params['pooler']) == jax.tree.structure(pooler)
  np.testing.assert_array_equal(
    pooler['kernel'], _numpy(model.head.dense.weight).T
  )


@pytest.mark.parametrize('name', ['start', 'end', 'match'])
def test_query_heads_agree(name):
  """A perceptron per state; for matches, on two states side by side."""
  size = CONFIG.hidden_size
  tagger = QuerySpanTagger(CONFIG, match=True)
  params = tagger.init(jax.random.key(0), TOKENS)['params']
  torch.manual_seed(0)
  hidden = torch.nn.Linear(size * (1 + (name == 'match')), size)
  head = torch.nn.Linear(size, 1)
  x = Bert(CONFIG).apply({'params': params['encoder']}, TOKENS, mask=MASK)
  x = torch.tensor(np.asarray(x))
  if name == 'match':
    shape = (-1, x.shape[1], x.shape[1], -1)
    x = torch.cat([x[:, :, None].expand(shape), x[:, None].expand(shape)], -1)
    start, end = np.split(_numpy(hidden.weight).T, 2)
    params['match_start'] = {'kernel': start, 'bias': _numpy(hidden.bias)}
    params['match_end'] = {'kernel': end}
  else:
    params[f'{name}_hidden'] = _layer(hidden)
  params[f'{name}_head'] = _layer(head)
  actual = tagger.apply({'params': params}, TOKENS, mask=MASK)
  perceptron = torch.nn.Sequential(hidden, torch.nn.GELU(), head)
  np.testing.assert_allclose(
    getattr(actual, name),
    _numpy(perceptron(x)[..., 0]),
    rtol=1e-5,
    atol=1e-5,
  )


def _numpy(tensor):
  return tensor.detach().numpy()


def _layer(linear):
  return {'kernel': _numpy(linear.weight).T, 'bias': _numpy(linear.bias)}


def _random_model(name):
  """Makes a model of transformers with weights that all matter."""
  kind = getattr(transformers, name)
  shape = dataclasses.asdict(CONFIG)
  if name.startswith('Roberta'):
    shape |= dict(model_type='roberta', pad_token_id=1, type_vocab_size=1)
  labels = 2 if name.endswith('Answering') else 3
  config = transformers.AutoConfig.for_model(**shape, num_labels=labels)
  torch.manual_seed(0)
  model = kind(config).eval()
  for name, p in model.named_parameters():
    p.data.normal_(mean=float('LayerNorm.weight' in name), std=0.3)
  return model
