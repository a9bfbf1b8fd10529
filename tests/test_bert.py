"""The encoder against PyTorch's numbers, and by its properties."""

import dataclasses
import functools
import json
import pathlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from compiling import jit
from encoder_checks import CONFIG
from encoder_checks import TOKENS
from encoder_checks import apply
from encoder_checks import hidden_and_gradient_errors
from encoder_checks import hidden_error
from encoder_checks import relative
from jax.flatten_util import ravel_pytree

from dicejax.models import Bert
from dicejax.models import BertConfig
from dicejax.models import attention
from dicejax.models import load_pretrained
from dicejax.models import make_encoder
from dicejax.models import save_pretrained
from dicejax.models.attention import attend
from dicejax.models.attention import attended_tokens

GOLDEN = pathlib.Path(__file__).parent / 'golden'
REFERENCES = sorted(path.parent for path in GOLDEN.glob('*/expected.npz'))
MASK = TOKENS != 0


@functools.cache
def _params():
  """Returns larger parameters than `init` does, so that each matters."""
  params = jit(Bert(CONFIG).init)(jax.random.key(0), TOKENS)['params']
  flat, unravel = ravel_pytree(params)
  return unravel(flat + 0.3 * jax.random.normal(jax.random.key(1), flat.shape))


@pytest.mark.parametrize(
  'reference',
  [
    pytest.param(
      path,
      id=path.name,
      marks=() if path.name.endswith('_tiny') else pytest.mark.slow,
    )
    for path in REFERENCES
  ],
)
def test_agrees_with_pytorch(reference):
  assert max(hidden_and_gradient_errors(reference)) < 1


@pytest.mark.parametrize(
  'reference, change',
  [
    ('bert_deep', dict(hidden_act='gelu_new')),
    ('bert_deep', dict(layer_norm_eps=0.0101)),
    ('roberta_tiny', dict(pad_token_id=0)),
    *(
      pytest.param(reference, change, marks=pytest.mark.slow)
      for reference, change in [
        ('bert_tanh', dict(hidden_act='gelu')),
        ('bert_deep', dict(hidden_act='relu')),
        ('bert_deep', dict(num_attention_heads=2)),
        ('roberta_tiny', dict(model_type='bert')),
      ]
    ),
  ],
)
def test_a_mistake_is_seen(reference, change):
  assert hidden_error(GOLDEN / reference, **change) > 10


def test_padding_has_no_influence():
  def real(params, tokens):
    hidden = apply(params, tokens, mask=MASK)
    return jnp.where(MASK[..., None], hidden, 0)

  run = jit(real)
  expected = run(_params(), TOKENS)
  np.testing.assert_array_equal(
    run(_params(), jnp.where(MASK, TOKENS, 7)), expected
  )
  shorter = jit(apply)(_params(), TOKENS[1:, :3])
  np.testing.assert_allclose(expected[1:, :3], shorter, rtol=1e-5, atol=1e-6)
  grads = jit(jax.grad(lambda p: jnp.sum(real(p, TOKENS) ** 2)))(_params())
  rows = np.abs(grads['tokens']['embedding']).max(-1)
  np.testing.assert_array_equal(np.flatnonzero(rows), [1, 2, 3, 4, 5, 6, 9])


def test_a_sequence_of_padding_alone_is_finite():
  @jit
  @jax.value_and_grad
  def loss(params):
    return jnp.sum(apply(params, mask=jnp.zeros_like(MASK)) ** 2)

  value, grads = loss(_params())
  assert np.isfinite(value) and np.isfinite(ravel_pytree(grads)[0]).all()


def test_defaults_are_one_segment_and_no_padding():
  np.testing.assert_array_equal(
    apply(_params()),
    apply(_params(), TOKENS, jnp.zeros_like(TOKENS), jnp.full((2, 5), True)),
  )


def test_dropout_is_drawn_from_the_rng_and_off_by_default():
  def draw(seed, config=CONFIG):
    rngs = {'dropout': jax.random.key(seed)}
    return apply(_params(), config=config, deterministic=False, rngs=rngs)

  np.testing.assert_array_equal(draw(0), draw(0))
  assert np.abs(draw(0) - draw(1)).max() > 0.1
  assert np.abs(draw(0) - apply(_params())).max() > 0.1
  without = dataclasses.replace(
    CONFIG, hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0
  )
  np.testing.assert_array_equal(draw(0, without), apply(_params()))
  probabilities = dataclasses.replace(CONFIG, hidden_dropout_prob=0.0)
  assert np.abs(draw(0, probabilities) - apply(_params())).max() > 0.01
  for text in (
    jax.make_jaxpr(apply)(_params()),
    jax.make_jaxpr(lambda: draw(0, without))(),
  ):
    assert 'random_bits' not in str(text)


def test_dropout_of_attention_changes_probabilities_only():
  rng = np.random.default_rng(0)
  query, key, value = rng.normal(size=(3, 2, 5, 2, 4)).astype(np.float32)
  bias = rng.normal(size=(1, 2, 5, 5)).astype(np.float32)
  sequences = np.array([[1, 1, 2, 2, 2], [1, 1, 1, 0, 0]])
  for mask in (sequences > 0, sequences):
    attended = attended_tokens(jnp.asarray(mask))
    for kwargs in (dict(), dict(bias=bias, scale=0.3)):
      real = sequences > 0
      expected = attend(query, key, value, attended, **kwargs)
      kept = attend(query, key, value, attended, dropout=lambda x: x, **kwargs)
      assert relative(kept[real], expected[real]) < 1
      halved = attend(
        query, key, value, attended, dropout=lambda x: x / 2, **kwargs
      )
      assert relative(halved[real], expected[real] / 2) < 1


@pytest.mark.parametrize(
  'kind', ['alone', 'biased', 'one bias for all', 'near', 'nothing']
)
def test_attention_in_blocks_is_attention(kind, monkeypatch):
  """Seven rows of 11 queries in blocks of 2 rows, or of 4 queries."""
  rng = np.random.default_rng(0)
  rows, length, heads = 7, 11, 2
  query, key, value, weights = rng.normal(
    size=(4, rows, length, heads, 3)
  ).astype(np.float32)
  attended = rng.random((rows, 1, length, length)) < 0.5
  attended |= np.eye(length, dtype=bool)
  bias = None
  if kind == 'biased':
    bias = rng.normal(size=(rows, heads, length, length)).astype(np.float32)
  elif kind == 'one bias for all':
    bias = rng.normal(size=(1, heads, length, length)).astype(np.float32)
  elif kind == 'near':  # Fewer queries than keys, as in local attention.
    query, weights, attended = query[:, :5], weights[:, :5], attended[:, :, :5]
  elif kind == 'nothing':  # Some tokens attend to nothing, or to everything.
    attended[1] = False
    attended[2, :, 3:5] = False

  def total(arrays):
    *qkv, bias = arrays
    y = attend(*qkv, jnp.asarray(attended), bias=bias, scale=0.3)
    return (y * weights).sum(), y

  def values_and_gradients():
    both = jax.value_and_grad(lambda x: total(x), has_aux=True)
    return jit(both)((query, key, value, bias))

  expected = values_and_gradients()
  monkeypatch.setattr(jax, 'device_count', lambda: 1)
  for scores in (2 * heads * length * query.shape[1], 4 * heads * length):
    monkeypatch.setattr(attention, '_SCORES_AT_A_TIME', scores)
    monkeypatch.setattr(attention, '_FEWEST_QUERIES', 1)
    found = values_and_gradients()
    jax.tree.map(
      lambda x, y: np.testing.assert_allclose(x, y, rtol=1e-5, atol=1e-5),
      found,
      expected,
    )


@pytest.mark.slow
def test_initial_weights():
  config = dataclasses.replace(
    CONFIG, vocab_size=1000, intermediate_size=1000, initializer_range=0.5
  )
  params = Bert(config).init(jax.random.key(0), TOKENS)['params']
  layer = params['layer_0']
  for table in (params['tokens']['embedding'], layer['up']['kernel']):
    np.testing.assert_allclose(np.std(table), 0.5, rtol=0.03)
  np.testing.assert_array_equal(layer['up']['bias'], 0)
  np.testing.assert_array_equal(layer['mlp_norm']['scale'], 1)


PACKED = np.array([[1, 1, 1, 2, 2, 3], [1, 2, 2, 2, 2, 0]], np.int32)
ROWS = np.array([[3, 1, 4, 1, 5, 2], [9, 2, 6, 5, 3, 0]], np.int32)


def _draw_packed(rng, shape):
  """Numbers the sequences of a row, per token; padding has 0."""
  sequences = 1 + np.cumsum(rng.random(shape) < rng.random(), axis=1)
  real = rng.integers(shape[1] + 1, size=(shape[0], 1))
  packed = np.where(np.arange(shape[1])[None] < real, sequences, 0)
  return packed.astype(np.int32)


def _alone(packed, x):
  """Puts each sequence of `x` into a row of its own, padded with zeros."""
  alone = np.zeros((packed.size, *x.shape[1:]), x.dtype)
  n = 0
  for row, sequences in zip(x, packed, strict=True):
    for i in sorted({*sequences} - {0}):
      values = row[sequences == i]
      alone[n, : len(values)] = values
      n += 1
  return alone


@pytest.mark.parametrize(
  'change',
  [
    dict(),
    pytest.param(dict(model_type='roberta'), marks=pytest.mark.slow),
    pytest.param(
      dict(
        model_type='mpnet',
        type_vocab_size=0,
        relative_attention_num_buckets=32,
      ),
      marks=pytest.mark.slow,
    ),
  ],
  ids=lambda change: change.get('model_type', 'bert'),
)
@pytest.mark.parametrize(
  'shape',
  [
    pytest.param((1, 1), marks=pytest.mark.slow),
    (3, 6),
    pytest.param((2, 17), marks=pytest.mark.slow),
  ],
)
def test_packed_sequences_are_as_if_alone(change, shape):
  config = dataclasses.replace(
    CONFIG, pad_token_id=1, max_position_embeddings=19, **change
  )
  rng = np.random.default_rng(shape)
  init = jit(make_encoder(config).init)
  params = jax.tree.map(
    lambda x: x + rng.normal(size=x.shape, scale=0.3).astype(np.float32),
    init(jax.random.key(0), TOKENS[:, :1])['params'],
  )

  @jit
  @functools.partial(jax.grad, has_aux=True)
  def gradient(params, tokens, segments, mask, cotangent):
    hidden = apply(params, tokens, segments, mask, config=config)
    return jnp.sum(hidden * cotangent), hidden

  for _ in range(20):
    packed = _draw_packed(rng, shape)
    cotangent = rng.normal(size=(*shape, 8), scale=packed.size**-0.5)
    inputs = (
      rng.integers(13, size=shape),
      rng.integers(2, size=shape),
      packed,
      np.where(packed[..., None], cotangent, 0).astype(np.float32),
    )
    grads, hidden = gradient(params, *inputs)
    assert np.isfinite(hidden).all()
    *inputs, real, cotangent = [
      _alone(packed, x) for x in (*inputs[:2], packed > 0, inputs[3])
    ]
    wanted_grads, wanted = gradient(params, *inputs, real, cotangent)
    hidden = _alone(packed, np.asarray(hidden))
    assert relative(hidden[real], wanted[real]) < 1
    flat, wanted_flat = ravel_pytree(grads)[0], ravel_pytree(wanted_grads)[0]
    assert relative(flat, wanted_flat) < 1


@pytest.mark.parametrize(
  'mask', [PACKED > 0, np.where(PACKED == 2, 1, PACKED), PACKED[::-1]]
)
def test_other_sequences_are_other_values(mask):
  expected = apply(_params(), ROWS, mask=PACKED)
  assert relative(apply(_params(), ROWS, mask=mask), expected) > 1000


def test_packed_sequences_have_no_influence_on_each_other():
  changed = np.where(PACKED == 2, 12 - ROWS, ROWS)
  others = (PACKED > 0) & (PACKED != 2)
  before, after = (
    apply(_params(), rows, mask=PACKED) for rows in (ROWS, changed)
  )
  np.testing.assert_array_equal(before[others], after[others])
  assert np.abs(before - after)[PACKED == 2].max() > 0.1

  @jit
  @jax.grad
  def gradient(params):
    hidden = apply(params, ROWS, mask=PACKED)
    return jnp.sum(hidden[0, :3] ** 2)

  rows = np.abs(gradient(_params())['tokens']['embedding']).max(-1)
  np.testing.assert_array_equal(np.flatnonzero(rows), [1, 3, 4])


def test_one_sequence_a_row_is_no_packing():
  np.testing.assert_allclose(
    apply(_params(), mask=MASK.astype(np.int32))[MASK],
    apply(_params(), mask=MASK)[MASK],
    rtol=1e-5,
    atol=1e-6,
  )


@pytest.mark.slow
@pytest.mark.parametrize(
  'deterministic', [pytest.param(True, marks=pytest.mark.slow), False]
)
def test_rematerialisation_changes_no_value(deterministic):
  def gradient(remat):
    config = dataclasses.replace(CONFIG, num_hidden_layers=1, remat=remat)

    def loss(params):
      rngs = {'dropout': jax.random.key(0)}
      return jnp.sum(
        apply(
          params,
          mask=MASK,
          config=config,
          deterministic=deterministic,
          rngs=rngs,
        )
        ** 2
      )

    return jax.value_and_grad(loss)

  plain, remat = gradient(False), gradient(True)
  jax.tree.map(
    functools.partial(np.testing.assert_allclose, rtol=1e-5, atol=1e-6),
    jax.jit(remat)(_params()),
    jax.jit(plain)(_params()),
  )
  # A layer is computed for its value and again for its gradient.
  products = [
    str(jax.make_jaxpr(f)(_params())).count('dot_general')
    for f in (plain, remat)
  ]
  assert products[1] > products[0]


@pytest.mark.slow
def test_rematerialised_parameters_are_the_same():
  trees = [
    Bert(dataclasses.replace(CONFIG, num_hidden_layers=1, remat=remat)).init(
      jax.random.key(0), TOKENS
    )
    for remat in (True, False)
  ]
  jax.tree.map(np.testing.assert_array_equal, *trees)


def test_cudnn_is_asked_for_on_a_gpu_only():
  config = dataclasses.replace(CONFIG, attention='cudnn')
  with pytest.raises(RuntimeError, match='cuDNN'):
    Bert(config, jnp.bfloat16).apply({'params': _params()}, TOKENS)


def test_how_it_is_computed_is_not_published(tmp_path):
  config = dataclasses.replace(CONFIG, remat=True, attention='cudnn')
  save_pretrained(tmp_path, config, _params())
  published = json.loads((tmp_path / 'config.json').read_text())
  assert not {'remat', 'attention'} & published.keys()
  assert load_pretrained(tmp_path)[0] == CONFIG
  assert BertConfig(**dataclasses.asdict(config)) == config


@pytest.mark.parametrize(
  'args, message',
  [
    ((TOKENS[0],), 'rank'),
    ((TOKENS, TOKENS[:1]), r'\(1, 5\)'),
    ((TOKENS, None, MASK[:, :4]), r'\(2, 4\)'),
    ((TOKENS, None, MASK.astype(np.float32)), 'float32'),
    ((TOKENS.astype(np.float32),), 'float32'),
  ],
)
def test_a_wrong_input_is_refused(args, message):
  with pytest.raises(AssertionError, match=message):
    jax.eval_shape(apply, _params(), *args)


def test_too_long_an_input_is_refused():
  with pytest.raises(ValueError, match='7 tokens are more than max_length=6'):
    jax.eval_shape(apply, _params(), jnp.ones((1, 7), jnp.int32))


@pytest.mark.parametrize('model_type', ['roberta', 'xlm-roberta', 'camembert'])
def test_positions_of_roberta_follow_that_of_padding(model_type):
  config = dataclasses.replace(CONFIG, model_type=model_type, pad_token_id=1)
  assert (config.position_offset, config.max_length) == (2, 4)
  with pytest.raises(ValueError, match='5 tokens are more than max_length=4'):
    apply(_params(), config=config)
  table = _params()['positions']['embedding']
  shifted = _params() | {'positions': {'embedding': jnp.roll(table, -2, 0)}}
  np.testing.assert_array_equal(
    apply(_params(), TOKENS[:, :4], config=config),
    apply(shifted, TOKENS[:, :4]),
  )


def test_one_segment_is_all_segments():
  """A tokenizer for BERT may say 1 where RoBERTa has no second row."""
  config = dataclasses.replace(CONFIG, type_vocab_size=1)
  params = _params() | {'segments': {'embedding': jnp.ones((1, 8))}}
  np.testing.assert_array_equal(
    apply(params, TOKENS, np.ones_like(TOKENS), config=config),
    apply(params, config=config),
  )


def test_an_id_outside_the_vocabulary_is_loud():
  tokens = np.where(TOKENS == 9, CONFIG.vocab_size, TOKENS)
  assert np.isnan(apply(_params(), tokens)[1]).all()


@pytest.mark.parametrize(
  'change', [dict(num_attention_heads=3), dict(num_attention_heads=0)]
)
def test_heads_have_to_divide_the_hidden_size(change):
  with pytest.raises(ValueError, match='does not divide hidden_size=8'):
    dataclasses.replace(CONFIG, **change)


@pytest.mark.parametrize('pad', [None, -1])
def test_roberta_needs_a_token_of_padding(pad):
  with pytest.raises(ValueError, match=f'from pad_token_id, which is {pad}'):
    BertConfig(model_type='roberta', pad_token_id=pad)


def test_an_unknown_model_type_is_refused():
  with pytest.raises(ValueError, match="model_type='gpt2' is not one of"):
    BertConfig(model_type='gpt2')


def test_an_unknown_attention_is_refused():
  with pytest.raises(ValueError, match="attention='flash' is not one of"):
    BertConfig(attention='flash')


def test_an_unknown_activation_is_refused():
  with pytest.raises(ValueError, match="hidden_act='swish' is not one of"):
    BertConfig(hidden_act='swish')
