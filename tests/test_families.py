"""Properties of every encoder family, by its references in golden/."""

import dataclasses
import functools
import pathlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from compiling import jit
from encoder_checks import apply
from encoder_checks import relative
from jax.flatten_util import ravel_pytree

from dicejax.models import load_pretrained
from dicejax.models import make_encoder
from dicejax.models import save_pretrained

GOLDEN = pathlib.Path(__file__).parent / 'golden'
NAMES = sorted(path.parent.name for path in GOLDEN.glob('*/expected.npz'))
# One for each module that is no BERT, of which test_bert.py draws many inputs.
QUICK = 'deberta_conv', 'modernbert_tiny', 'mpnet_tiny', 'xlnet_tiny'


def each_reference(*quick):
  return pytest.mark.parametrize(
    'name',
    [
      name if name in quick else pytest.param(name, marks=pytest.mark.slow)
      for name in NAMES
    ],
  )


@functools.cache
def _load(name):
  return load_pretrained(GOLDEN / name)


def _inputs(config):
  """Returns tokens, segments and the number of the sequence of each token."""
  length = int(min(config.max_length, 11))
  index = np.arange(length)
  packed = np.stack(
    [
      np.ones(length, int),  # A single sequence, as long as the row.
      np.where(index < 3, 1, 2),
      np.where(index < length - 1, 1 + index // 2, 0),
    ]
  )
  rng = np.random.default_rng(0)
  low = max(config.pad_token_id or 0, 0) + 1
  tokens = rng.integers(low, config.vocab_size, packed.shape)
  segments = rng.integers(0, max(config.type_vocab_size, 1), packed.shape)
  return tokens, segments, packed


def _place(packed, values):
  """Returns the sequences of all rows in rows of their own."""
  rows = []
  for numbers, row in zip(packed, values, strict=True):
    for i in sorted({*numbers} - {0}):
      found = row[numbers == i]
      rows.append(np.zeros_like(row))
      rows[-1][: len(found)] = found
  return np.stack(rows)


@each_reference(*QUICK)
def test_packed_sequences_are_as_if_alone(name):
  config, params = _load(name)
  tokens, segments, packed = _inputs(config)
  run = jit(functools.partial(apply, config=config))
  place = functools.partial(_place, packed)
  alone = place(packed) > 0
  states = np.asarray(run(params, tokens, segments, packed))
  assert np.isfinite(states).all()
  expected = run(params, place(tokens), place(segments), alone)
  assert relative(place(states)[alone], expected[alone]) < 1


@pytest.mark.slow
@each_reference()
def test_gradients_of_packed_sequences_are_as_if_alone(name):
  config, params = _load(name)
  tokens, segments, packed = _inputs(config)
  shape = *packed.shape, config.hidden_size
  cotangent = np.random.default_rng(1).normal(size=shape) / packed.size
  cotangent = (cotangent * (packed > 0)[..., None]).astype(np.float32)
  place = functools.partial(_place, packed)

  @jit
  @jax.grad
  def gradient(params, tokens, segments, mask, cotangent):
    states = apply(params, tokens, segments, mask, config=config)
    return jnp.sum(states * cotangent)

  alone = place(tokens), place(segments), place(packed) > 0, place(cotangent)
  actual = gradient(params, tokens, segments, packed, cotangent)
  expected = gradient(params, *alone)
  assert relative(ravel_pytree(actual)[0], ravel_pytree(expected)[0]) < 1


@pytest.mark.parametrize('name', ['deberta_tiny', 'xlnet_tiny'])
def test_padding_may_be_on_the_left_where_positions_have_no_limit(name):
  config, params = _load(name)
  assert config.max_length == np.inf
  tokens, segments, packed = _inputs(config)
  mask = np.arange(packed.shape[1]) < np.array([[11], [4], [7]])
  run = jit(functools.partial(apply, config=config))
  expected = run(params, tokens, segments, mask)
  moved = [np.roll(x, 4, axis=1) for x in (tokens, segments, mask)]
  actual = np.roll(run(params, *moved), -4, axis=1)
  for row in (1, 2):  # The first one has no room for padding.
    assert relative(actual[row][mask[row]], expected[row][mask[row]]) < 1


@pytest.mark.slow
@each_reference()
def test_bfloat16_computes_what_float32_does(name):
  config, params = _load(name)
  tokens, segments, packed = _inputs(config)
  expected = jit(functools.partial(apply, config=config))(
    params, tokens, segments, packed
  )
  encoder = make_encoder(config, jnp.bfloat16)
  actual = jit(encoder.apply)({'params': params}, tokens, segments, packed)
  assert actual.dtype == jnp.bfloat16
  error = (np.asarray(actual, np.float32) - expected)[packed > 0]
  # bfloat16 has 8 bits: 1/256 of values around 1, through some sublayers.
  assert 0 < np.sqrt(np.mean(error**2)) < 0.03


@pytest.mark.slow
@each_reference()
def test_rematerialisation_changes_no_value(name):
  config, params = _load(name)
  tokens, segments, packed = _inputs(config)

  def gradient(remat):
    encoder = make_encoder(dataclasses.replace(config, remat=remat))

    def loss(params):
      states = encoder.apply(
        {'params': params},
        tokens,
        segments,
        packed,
        deterministic=False,
        rngs={'dropout': jax.random.key(0)},
      )
      return jnp.mean(states[packed > 0] ** 2)

    return ravel_pytree(jit(jax.grad(loss))(params))[0]

  assert relative(gradient(True), gradient(False)) < 1


@pytest.mark.slow
@each_reference()
def test_each_dropout_is_drawn_from_the_rng(name):
  config, params = _load(name)
  tokens, segments, packed = _inputs(config)
  none = dict(hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0)

  def draw(seed=0, **changes):
    changed = dataclasses.replace(config, **(none | changes))
    run = jit(functools.partial(apply, config=changed, deterministic=False))
    rngs = {'dropout': jax.random.key(seed)}
    return run(params, tokens, segments, packed, rngs=rngs)

  expected = apply(params, tokens, segments, packed, config=config)
  assert relative(draw(), expected) < 1
  for kind in none:
    found = draw(**{kind: 0.3})
    np.testing.assert_array_equal(found, draw(**{kind: 0.3}))
    assert np.abs(found - draw(1, **{kind: 0.3})).max() > 0.01
    assert np.abs(found - expected).max() > 0.01


@each_reference(*NAMES)
def test_saved_and_read_again(tmp_path, name):
  config, params = _load(name)
  save_pretrained(tmp_path, config, params)
  again, read = load_pretrained(tmp_path)
  assert again == config
  jax.tree.map(np.testing.assert_array_equal, read, params)
