"""Each head against its formula in float64, and by its properties."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn
from jax.flatten_util import ravel_pytree

from dicejax.models import Bert
from dicejax.models import BertConfig
from dicejax.models import QuerySpanTagger
from dicejax.models import SpanExtractor
from dicejax.models import TextClassifier
from dicejax.models import TokenTagger

CONFIG = BertConfig(  # Heads work the same after any number of layers.
  vocab_size=13,
  hidden_size=8,
  num_hidden_layers=0,
  num_attention_heads=2,
  intermediate_size=12,
  max_position_embeddings=6,
  hidden_dropout_prob=0.3,
)
TOKENS = np.array([[3, 1, 4, 1, 5], [9, 2, 6, 0, 0]], np.int32)
SEGMENTS = np.array([[0, 0, 1, 1, 1], [0, 1, 1, 0, 0]], np.int32)
MASK = TOKENS != 0
HEADS = {
  'tagger': functools.partial(TokenTagger, num_labels=3),
  'extractor': SpanExtractor,
  'classifier': functools.partial(TextClassifier, num_labels=3),
  'starts': QuerySpanTagger,
  'pairs': functools.partial(QuerySpanTagger, match=True),
}
each_head = pytest.mark.parametrize('name', HEADS)
# The extractor is a tagger, and `pairs` does what `starts` does.
each_kind = pytest.mark.parametrize('name', ['tagger', 'classifier', 'pairs'])
LAYER = dataclasses.replace(CONFIG, num_hidden_layers=1)


def _dense(p, x):
  return x @ p['kernel'] + p['bias']


def _gelu(x, approximate=False):
  return jax.nn.gelu(x, approximate=approximate)


def _match(p, x, gelu=_gelu):
  """The published form: a perceptron on start and end side by side."""
  pairs = jnp.concatenate(
    jnp.broadcast_arrays(x[:, :, None], x[:, None]), axis=-1
  )
  layers = p['match_start']['kernel'], p['match_end']['kernel']
  hidden = pairs @ jnp.concatenate(layers) + p['match_start']['bias']
  return _dense(p['match_head'], gelu(hidden))[..., 0]


@jax.numpy_rank_promotion('allow')
def _formula(name, p, x, gelu=_gelu):
  """The outputs of a head with these parameters on hidden states `x`."""
  if name == 'classifier':
    return [_dense(p['head'], jnp.tanh(_dense(p['pooler'], x[:, 0])))]
  if name in ('tagger', 'extractor'):
    return [_dense(p['head'], x)]
  tokens = [
    _dense(p[f'{side}_head'], gelu(_dense(p[f'{side}_hidden'], x)))[..., 0]
    for side in ('start', 'end')
  ]
  return tokens + ([_match(p, x, gelu)] if name == 'pairs' else [])


def _exact(name, dtype=jnp.float32, **kwargs):
  """The formula in float64, on what the encoder computes in `dtype`."""
  params = _params(name)
  x = _hidden(params, dtype)
  with jax.enable_x64(True):
    params, x = jax.tree.map(lambda y: jnp.asarray(y, jnp.float64), (params, x))
    return [np.asarray(y) for y in _formula(name, params, x, **kwargs)]


def _hidden(params, dtype=jnp.float32):
  return Bert(CONFIG, dtype).apply(
    {'params': params['encoder']}, TOKENS, SEGMENTS, MASK
  )


@functools.cache
def _params(name, config=CONFIG):
  """Returns large parameters without zeros or ones, so that each matters."""
  init = HEADS[name](config).init
  shapes = jax.eval_shape(init, jax.random.key(0), TOKENS)['params']
  rng = np.random.default_rng(0)

  def draw(path, x):
    mean = float(path[-1].key == 'scale')
    return rng.normal(mean, 0.5, x.shape).astype(np.float32)

  return jax.tree_util.tree_map_with_path(draw, shapes)


def _apply(name, *inputs, config=CONFIG, dtype=jnp.float32, **kwargs):
  """The outputs, as a list."""
  params = kwargs.pop('params', None) or _params(name, config)
  inputs = inputs or (TOKENS, SEGMENTS, MASK)
  head = HEADS[name](config, dtype=dtype)
  return jax.tree.leaves(head.apply({'params': params}, *inputs, **kwargs))


def _relative(actual, expected):
  """The largest difference, in units of 1e-5 (absolute and relative)."""
  return np.max(np.abs(actual - expected) / (1e-5 + 1e-5 * np.abs(expected)))


@each_head
@pytest.mark.parametrize('dtype', [jnp.float32, jnp.bfloat16])
def test_agrees_with_the_formula(name, dtype):
  """The head computes in float32 for any dtype of the encoder."""
  outputs = _apply(name, dtype=dtype)
  for actual, expected in zip(outputs, _exact(name, dtype), strict=True):
    assert actual.dtype == jnp.float32 and actual.shape == expected.shape
    assert _relative(actual, expected) < 1


def test_the_shapes_are_those_of_the_documentation():
  shapes = {name: [y.shape for y in _apply(name)] for name in HEADS}
  assert shapes == {
    'tagger': [(2, 5, 3)],
    'extractor': [(2, 5, 2)],
    'classifier': [(2, 3)],
    'starts': [(2, 5), (2, 5)],
    'pairs': [(2, 5), (2, 5), (2, 5, 5)],
  }
  logits = QuerySpanTagger(CONFIG).apply({'params': _params('starts')}, TOKENS)
  assert logits.match is None


def test_a_mistake_is_seen():
  start, end, match = _apply('pairs')
  assert _relative(start, end) > 100
  assert _relative(match, match.swapaxes(1, 2)) > 100
  tanh = _exact('pairs', gelu=functools.partial(_gelu, approximate=True))
  for actual, wrong in zip((start, end, match), tanh, strict=True):
    assert _relative(actual, wrong) > 5


@each_kind
def test_the_gradient_agrees_with_the_formula(name):
  """Compares all parameters, also where rows are computed again."""

  def loss(outputs):
    return sum(jnp.sum(jnp.sin(y)) for y in outputs)

  @jax.jit
  @jax.grad
  def expected(params):
    return loss(_formula(name, params, _hidden(params)))

  @jax.jit
  @jax.grad
  def actual(params):
    return loss(_apply(name, params=params))

  flat = ravel_pytree(expected(_params(name)))[0]
  np.testing.assert_allclose(
    ravel_pytree(actual(_params(name)))[0],
    flat,
    rtol=1e-5,
    atol=1e-5 * np.abs(flat).max(),
  )


@each_kind
def test_padding_has_no_influence(name):
  @jax.jit
  def outputs(tokens):
    return _apply(name, tokens, SEGMENTS, MASK, config=LAYER)

  changed = outputs(np.where(MASK, TOKENS, 7))
  for x, y in zip(outputs(TOKENS), changed, strict=True):
    assert np.isfinite(x).all()
    if name == 'classifier':
      np.testing.assert_array_equal(x, y)
      continue
    pairs = MASK[:, :, None] & MASK[:, None]
    real = pairs if name == 'pairs' and x.ndim == 3 else MASK
    np.testing.assert_array_equal(x[real], y[real])
    assert np.abs((x - y)[~real]).max() > 1e-3


@pytest.mark.slow
@each_kind
def test_bfloat16_computes_what_float32_does(name):
  def outputs(dtype):
    return jax.jit(lambda: _apply(name, config=LAYER, dtype=dtype))()

  actual, expected = outputs(jnp.bfloat16), outputs(jnp.float32)
  for x, y in zip(actual, expected, strict=True):
    # bfloat16 has 8 bits: 1/256 of each value in the encoder's 2 sublayers.
    error = np.sqrt(np.mean((x - y) ** 2)) / np.std(y)
    assert 0 < error < 0.05


@each_kind
def test_dropout_is_off_by_default(name):
  jaxpr = str(jax.make_jaxpr(lambda: _apply(name))())
  assert 'random_bits' not in jaxpr
  without = dataclasses.replace(CONFIG, hidden_dropout_prob=0.0)
  kept = _apply(name, config=without, deterministic=False)
  for x, y in zip(kept, _apply(name), strict=True):
    np.testing.assert_array_equal(x, y)


def _only_the_heads(call, args, kwargs, context):
  """Intercepts the dropout of the encoder."""
  module = context.module
  if isinstance(module, nn.Dropout) and 'encoder' in module.path:
    return args[0]
  return call(*args, **kwargs)


def _drop(name, seed, *inputs, **kwargs):
  rngs = {'dropout': jax.random.key(seed)}
  with nn.intercept_methods(_only_the_heads):
    return _apply(name, *inputs, deterministic=False, rngs=rngs, **kwargs)


@each_kind
def test_dropout_is_right_before_the_last_layer(name):
  """The mean over many draws is the value without dropout: it is linear."""
  n = 4000
  draws = jax.jit(jax.vmap(lambda seed: _drop(name, seed)))(np.arange(n))
  for x, expected in zip(draws, _apply(name), strict=True):
    deviation = np.std(x, 0)
    assert deviation.min() > 1e-3
    error = np.abs(np.mean(x, 0) - expected)
    assert (error / deviation).max() < 5 / np.sqrt(n)


def test_each_pair_has_dropout_of_its_own():
  params = _params('pairs')
  # With one token everywhere, and without positions, all states are equal.
  table = params['encoder']['positions']['embedding']
  encoder = params['encoder'] | {'positions': {'embedding': 0 * table}}
  params = params | {'encoder': encoder}
  same = np.full_like(TOKENS, 3), None, None
  assert np.ptp(_apply('pairs', *same, params=params)[2]) < 1e-4
  dropped = np.asarray(_drop('pairs', 0, *same, params=params)[2])
  # There are 50 pairs, but few units that can be dropped.
  assert len(np.unique(dropped.round(4))) > 40


def test_pairs_are_not_held_in_memory():
  """This holds for the logits and for the gradient."""
  batch, length, width = 2, 128, 64
  config = dataclasses.replace(
    CONFIG, hidden_size=width, max_position_embeddings=length
  )
  tokens = jnp.ones((batch, length), jnp.int32)
  head = QuerySpanTagger(config, match=True)
  params = jax.eval_shape(head.init, jax.random.key(0), tokens)['params']

  @jax.jit
  @jax.grad
  def gradient(params):
    rngs = {'dropout': jax.random.key(0)}
    logits = head.apply(
      {'params': params}, tokens, deterministic=False, rngs=rngs
    )
    return jnp.sum(logits.match)

  memory = gradient.lower(params).compile().memory_analysis()
  assert memory.temp_size_in_bytes < 4 * batch * length**2 * width / 2


@each_head
def test_a_wrong_input_is_refused(name):
  with pytest.raises(AssertionError, match='rank'):
    _apply(name, TOKENS[0])
  with pytest.raises(AssertionError, match=r'\(2, 4\)'):
    _apply(name, TOKENS, SEGMENTS, MASK[:, :4])
  with pytest.raises(ValueError, match='7 tokens are more than max_length=6'):
    _apply(name, np.ones((1, 7), np.int32), None, None)


@pytest.mark.slow
@each_kind
def test_initial_weights(name):
  """Normal kernels of the encoder's scale, and biases of zero."""
  config = dataclasses.replace(CONFIG, hidden_size=400, initializer_range=0.5)
  params = HEADS[name](config).init(jax.random.key(0), TOKENS)['params']
  for layer, values in params.items():
    if layer != 'encoder':
      assert 0.4 < np.std(values['kernel']) < 0.6
      assert not np.any(values.get('bias', 0))
