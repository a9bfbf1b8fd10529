"""XLNet's distances, segments, padding and heads."""

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
from encoder_checks import hidden_error
from encoder_checks import relative
from helpers import check_packing
from helpers import make_text_config
from helpers import make_xlnet_tokenizer
from helpers import spam

import dicejax
from dicejax.models import SpanExtractor
from dicejax.models import TextClassifier
from dicejax.models import TokenTagger
from dicejax.models import XLNet
from dicejax.models import load_finetuned
from dicejax.models import load_pretrained
from dicejax.models import pool_states
from dicejax.models import save_finetuned
from dicejax.models import save_pretrained
from train.optimizer import decays

REFERENCE = pathlib.Path(__file__).parent / 'golden' / 'xlnet_tiny'
CONFIG, PARAMS = load_pretrained(REFERENCE)
TOKENS, SEGMENTS, MASK, HIDDEN = (
  np.load(REFERENCE / 'expected.npz')[name]
  for name in ('tokens', 'segments', 'mask', 'hidden')
)
LAYER = dataclasses.replace(CONFIG, num_hidden_layers=1)
HEADS = {
  'tags': (TokenTagger, ('O', 'B-X', 'I-X')),
  'label': (TextClassifier, ('art', 'law')),
  'answer': (SpanExtractor, ()),
}
WORDS = '\u2581ann \u2581met \u2581bob \u2581in \u2581rome \u2581 .'.split()


@functools.partial(jit, static_argnames='config')
def encode(params, *args, config=LAYER):
  return XLNet(config).apply({'params': params}, *args)


def make_head(name, seed=0):
  kind, labels = HEADS[name]
  model = kind(CONFIG, len(labels)) if labels else kind(CONFIG)
  shapes = jax.eval_shape(model.init, jax.random.key(0), TOKENS)['params']
  rng = np.random.default_rng(seed)

  def draw(x):
    return rng.normal(size=x.shape, scale=0.3).astype(np.float32)

  return model, jax.tree.map(draw, shapes), labels


def test_a_mistake_is_seen():
  assert hidden_error(REFERENCE, clamp_len=3) > 10


def test_padding_may_be_on_either_side():
  padding = (~MASK).sum(1)
  assert not MASK[1, 0] and not MASK[2, -1]
  moved = np.arange(9) - (padding * [0, -1, 1, 1])[:, None]
  inputs = (np.take_along_axis(x, moved % 9, 1) for x in (TOKENS, SEGMENTS))
  mask = np.take_along_axis(MASK, moved % 9, 1)
  assert mask[1, 0] and mask[2, -1]
  hidden = encode(PARAMS, *inputs, mask, config=CONFIG)
  assert relative(hidden[mask], HIDDEN[MASK]) < 1


def test_segments_are_only_compared():
  hidden = encode(PARAMS, TOKENS, SEGMENTS, MASK)
  np.testing.assert_array_equal(
    encode(PARAMS, TOKENS, 7 - SEGMENTS, MASK), hidden
  )
  same = encode(PARAMS, TOKENS, np.full_like(SEGMENTS, 2), MASK)
  none = encode(PARAMS, TOKENS, None, MASK)
  assert relative(none[MASK], same[MASK]) < 1
  assert relative(none[MASK], hidden[MASK]) > 100


@pytest.mark.slow
def test_initial_weights():
  config = dataclasses.replace(CONFIG, vocab_size=1000, initializer_range=0.5)
  params = XLNet(config).init(jax.random.key(0), TOKENS)['params']
  for x in (params['tokens']['embedding'], params['layer_0']['query']):
    np.testing.assert_allclose(np.std(x), 0.5, rtol=0.15)
  assert jax.tree.map(np.shape, params['layer_0']) == jax.tree.map(
    np.shape, PARAMS['layer_0']
  )


def test_biases_of_queries_do_not_decay():
  marks = decays(PARAMS)['layer_0']
  assert marks['query'] and marks['segments'] and marks['up']['kernel']
  for name in ('content_bias', 'distance_bias', 'segment_bias'):
    assert not marks[name]


@pytest.mark.parametrize(
  'change, message',
  [
    (dict(attention='cudnn'), "attention='cudnn' lacks XLNet's distances"),
    (dict(hidden_size=9), 'hidden_size=9 is not even'),
    (dict(num_attention_heads=4), 'num_attention_heads=4 does not divide'),
  ],
)
def test_a_shape_that_does_not_fit_is_refused(change, message):
  with pytest.raises(ValueError, match=message):
    dataclasses.replace(CONFIG, **change)


@pytest.mark.parametrize(
  'key, value', [('attn_type', 'uni'), ('bi_data', True), ('untie_r', False)]
)
def test_other_networks_of_this_type_are_refused(tmp_path, key, value):
  directory = shutil.copytree(REFERENCE, tmp_path / 'other')
  file = directory / 'config.json'
  file.write_text(json.dumps(json.loads(file.read_text()) | {key: value}))
  with pytest.raises(ValueError, match=f'{key} is {value!r}; only'):
    load_pretrained(directory)


def test_a_saved_config_has_their_names_only(tmp_path):
  save_pretrained(tmp_path, CONFIG, PARAMS)
  values = json.loads((tmp_path / 'config.json').read_text())
  assert (values['d_model'], values['dropout']) == (6, 0.1)
  # The class of transformers fails where it is given these.
  assert not {'hidden_size', 'max_position_embeddings'} & values.keys()


def test_the_last_token_stands_for_the_text():
  states = jnp.arange(9.0)[None, :, None] + jnp.zeros((4, 1, 1))
  last = [8, 8, 3, 0]
  np.testing.assert_array_equal(pool_states(states, MASK, 'last')[:, 0], last)
  packed = np.where(MASK, np.arange(9) // 4 + 1, 0)
  packed[1] = np.maximum(packed[1], 1)
  np.testing.assert_array_equal(
    pool_states(states, packed, 'last')[:, 0], [3, 3, 3, 0]
  )
  np.testing.assert_array_equal(pool_states(states, None, 'last')[:, 0], 8)
  model, params, _ = make_head('label')
  model = model.clone(config=LAYER)
  logits = jit(model.apply)({'params': params}, TOKENS, SEGMENTS, MASK)
  hidden = encode(params['encoder'], TOKENS, SEGMENTS, MASK)

  def dense(x, name):
    return x @ params[name]['kernel'] + params[name]['bias'][None]

  expected = dense(
    jnp.tanh(dense(hidden[np.arange(4), last], 'pooler')), 'head'
  )
  assert relative(logits, expected) < 1


def test_each_text_of_a_row_has_its_last_token():
  rng = np.random.default_rng(0)
  features = [
    {
      'tokens': rng.integers(5, 12, n),
      'segments': np.repeat([0, 2], [n - 1, 1]),
      'label': np.array(n % 2),
    }
    for n in (3, 7, 4, 6, 2, 5)
  ]
  check_packing(
    TextClassifier(LAYER, 2, texts=4),
    spam().objective(make_text_config().loss),
    features,
    {'tokens': 5, 'segments': 3, 'label': -1},
    length=16,
    most=4,
  )


def test_the_head_of_another_class_is_refused(tmp_path):
  model, params, _ = make_head('answer')
  save_finetuned(tmp_path, model, params)
  file = tmp_path / 'config.json'
  values = json.loads(file.read_text())
  assert values['architectures'] == ['XLNetForQuestionAnsweringSimple']
  values['architectures'] = ['XLNetForQuestionAnswering']
  file.write_text(json.dumps(values))
  with pytest.raises(ValueError, match='expected .*QuestionAnsweringSimple'):
    load_finetuned(tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize('name', HEADS)
def test_loaded_by_its_directory(tmp_path, name):
  """A model of random weights predicts what its logits say, in any batch."""
  model, params, labels = make_head(name)
  tokenizer = make_xlnet_tokenizer(WORDS)
  config = dataclasses.replace(
    CONFIG, vocab_size=tokenizer.get_vocab_size(), num_hidden_layers=1
  )
  model = model.clone(config=config)
  shapes = jax.eval_shape(model.init, jax.random.key(0), TOKENS)['params']
  rng = np.random.default_rng(0)
  params = jax.tree.map(lambda x: rng.normal(size=x.shape), shapes)
  save_finetuned(tmp_path, model, params, labels)
  tokenizer.save(str(tmp_path / 'tokenizer.json'))
  inputs = {
    'tags': ['ann met bob in rome .', 'bob .'],
    'label': ['ann met bob in rome .', ('bob', 'in rome')],
    'answer': [('ann', 'ann met bob in rome .'), ('bob', 'rome')],
  }[name]
  predictor = dicejax.load(tmp_path)
  together = predictor(inputs)
  alone = [predictor([given])[0] for given in inputs]
  for one, other in zip(together, alone, strict=True):
    assert json.dumps(one) == json.dumps(other) or name == 'label'
  if name == 'label':
    encodings = [
      tokenizer.encode(*([x] if isinstance(x, str) else x)) for x in inputs
    ]
    for record, encoding in zip(together, encodings, strict=True):
      logits = model.apply(
        {'params': params},
        np.array([encoding.ids]),
        np.array([encoding.type_ids]),
      )
      np.testing.assert_allclose(
        list(record['probabilities'].values()),
        jax.nn.softmax(logits)[0],
        rtol=1e-4,
      )
