"""Fine-tuned models as directories; against PyTorch where it is installed."""

import dataclasses
import json

import jax
import numpy as np
import pytest
from flax import traverse_util
from helpers import slow_except

from dicejax.models import BertConfig
from dicejax.models import QuerySpanTagger
from dicejax.models import SpanExtractor
from dicejax.models import TextClassifier
from dicejax.models import TokenTagger
from dicejax.models import find_family
from dicejax.models import load_finetuned
from dicejax.models import load_pretrained
from dicejax.models import save_finetuned

CONFIG = BertConfig(
  vocab_size=13,
  hidden_size=8,
  num_hidden_layers=2,
  num_attention_heads=2,
  intermediate_size=12,
  max_position_embeddings=10,
  initializer_range=0.5,
)
ROBERTA = dict(model_type='roberta', pad_token_id=1, type_vocab_size=1)
MASK = np.array([[1, 1, 1, 1, 1], [1, 1, 1, 0, 0]], bool)
TOKENS = np.array([[8, 4, 9, 4, 5], [9, 12, 6, 0, 0]])
LABELS = {
  TokenTagger: ('O', 'B-PER', 'I-PER'),
  TextClassifier: ('ham', 'spam', 'eggs'),
  SpanExtractor: (),
}
AUTO = {
  TokenTagger: 'AutoModelForTokenClassification',
  TextClassifier: 'AutoModelForSequenceClassification',
  SpanExtractor: 'AutoModelForQuestionAnswering',
}
each_head = pytest.mark.parametrize('head', LABELS)
each_family = pytest.mark.parametrize(
  'change',
  [
    dict(),
    ROBERTA,
    dict(model_type='electra', embedding_size=4),
    dict(model_type='albert', embedding_size=3),
    dict(model_type='distilbert', type_vocab_size=0),
    dict(
      model_type='mpnet',
      pad_token_id=1,
      type_vocab_size=0,
      relative_attention_num_buckets=32,
    ),
    # The same network as RoBERTa, under other names.
    pytest.param(
      dict(model_type='xlm-roberta', pad_token_id=1), marks=pytest.mark.slow
    ),
    pytest.param(
      dict(model_type='camembert', pad_token_id=1), marks=pytest.mark.slow
    ),
  ],
  ids=lambda change: change.get('model_type', 'bert'),
)


def _make(head, change=(), **fields):
  """Makes a model with parameters that all matter."""
  config = dataclasses.replace(CONFIG, **dict(change))
  if LABELS[head]:
    fields = {'num_labels': len(LABELS[head])} | fields
  model = head(config, **fields)
  tokens = np.where(MASK, TOKENS, config.pad_token_id)
  params = model.init(jax.random.key(0), tokens)['params']
  rng = np.random.default_rng(0)
  params = jax.tree.map(
    lambda x: np.asarray(x + rng.normal(0, 0.3, x.shape), np.float32), params
  )
  return model, params, tokens


@each_family
@each_head
def test_transformers_computes_the_same_logits(tmp_path, head, change):
  torch = pytest.importorskip('torch')
  transformers = pytest.importorskip('transformers')
  model, params, tokens = _make(head, change)
  save_finetuned(tmp_path, model, params, LABELS[head])
  theirs, info = getattr(transformers, AUTO[head]).from_pretrained(
    tmp_path, output_loading_info=True
  )
  assert not any(info.values())
  assert [type(theirs).__name__] == theirs.config.architectures
  if LABELS[head]:
    assert theirs.config.id2label == dict(enumerate(LABELS[head]))
    assert theirs.config.label2id['O' if head is TokenTagger else 'ham'] == 0
  with torch.no_grad():
    found = theirs(torch.tensor(tokens), torch.tensor(MASK).long())
  if head is SpanExtractor:
    expected = torch.stack([found.start_logits, found.end_logits], -1)
  else:
    expected = found.logits
  actual = model.apply({'params': params}, tokens, mask=MASK)
  real = MASK if actual.ndim == 3 else slice(None)
  np.testing.assert_allclose(actual[real], expected[real], rtol=1e-5, atol=1e-5)


@each_family
@each_head
def test_reads_what_transformers_saves(tmp_path, head, change):
  torch = pytest.importorskip('torch')
  transformers = pytest.importorskip('transformers')
  ours = dataclasses.replace(CONFIG, **change)
  keys = find_family(ours).keys
  shape = {keys.get(n, n): x for n, x in dataclasses.asdict(ours).items()}
  config = transformers.AutoConfig.for_model(
    **shape, num_labels=len(LABELS[head]) or 2
  )
  theirs = getattr(transformers, AUTO[head]).from_config(config).eval()
  for p in theirs.parameters():
    p.data += 0.3 * torch.randn(p.shape)
  theirs.save_pretrained(tmp_path)
  model, params, labels, _ = load_finetuned(tmp_path)
  tokens = np.where(MASK, TOKENS, config.pad_token_id)
  with torch.no_grad():
    found = theirs(torch.tensor(tokens), torch.tensor(MASK).long())
  actual = model.apply({'params': params}, tokens, mask=MASK)
  if head is SpanExtractor:
    expected = torch.stack([found.start_logits, found.end_logits], -1)
    assert labels == ()
  else:
    expected = found.logits
    assert labels == ('LABEL_0', 'LABEL_1', 'LABEL_2')
  real = MASK if actual.ndim == 3 else slice(None)
  np.testing.assert_allclose(actual[real], expected[real], rtol=1e-5, atol=1e-5)


@each_family
@pytest.mark.parametrize('head', slow_except([TokenTagger], LABELS))
def test_round_trip(tmp_path, head, change):
  model, params, _ = _make(head, change)
  save_finetuned(tmp_path, model, params, LABELS[head], {'task': 'x'})
  found = load_finetuned(tmp_path)
  dropout = dataclasses.replace(model.config, hidden_dropout_prob=0.1)
  assert found.model == model.clone(config=dropout)
  assert found.labels == LABELS[head]
  assert found.values['dicejax']['task'] == 'x'
  assert jax.tree.all(jax.tree.map(np.array_equal, found.params, params))
  config, encoder = load_pretrained(tmp_path)  # To go on from it.
  assert config == found.model.config
  assert traverse_util.flatten_dict(encoder).keys()
  assert (tmp_path / 'model.safetensors').stat().st_mode & 0o044


def test_a_single_logit_becomes_two(tmp_path):
  model, params, tokens = _make(TextClassifier, num_labels=1)
  save_finetuned(tmp_path, model, params, ('ham', 'spam'))
  found = load_finetuned(tmp_path)
  z = model.apply({'params': params}, tokens, mask=MASK)
  logits = found.model.apply({'params': found.params}, tokens, mask=MASK)
  np.testing.assert_allclose(logits, np.hstack([0 * z, z]), rtol=1e-5)


def test_transformers_refuses_what_it_would_compute_otherwise(tmp_path):
  model, params, _ = _make(TextClassifier, pooling='mean')
  save_finetuned(tmp_path, model, params, LABELS[TextClassifier])
  assert load_finetuned(tmp_path).model.pooling == 'mean'
  load_pretrained(tmp_path)
  transformers = pytest.importorskip('transformers')
  with pytest.raises(ValueError, match='dicejax'):
    transformers.AutoModelForSequenceClassification.from_pretrained(tmp_path)


def test_a_head_without_a_class_is_refused(tmp_path):
  with pytest.raises(ValueError, match='no class for the head of a Query'):
    save_finetuned(tmp_path, QuerySpanTagger(CONFIG), {})


@pytest.mark.parametrize(
  'change, message',
  [
    (dict(architectures=['BertForX']), 'architectures is .*For'),
    (dict(id2label=['O']), r"id2label is \['O'\], not an object"),
    (dict(dicejax='x'), "dicejax is 'x', not an object"),
  ],
)
def test_a_config_of_something_else_is_refused(tmp_path, change, message):
  model, params, _ = _make(TokenTagger)
  save_finetuned(tmp_path, model, params, LABELS[TokenTagger])
  file = tmp_path / 'config.json'
  file.write_text(json.dumps(json.loads(file.read_text()) | change))
  with pytest.raises(ValueError, match=f'config.json: {message}'):
    load_finetuned(tmp_path)
