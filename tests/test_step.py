"""Objective, optimizer and step, each against numbers made another way."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from helpers import first_value
from helpers import slow_except
from ml_collections import config_dict
from sklearn.utils import class_weight

from configs import default
from configs import losses as presets
from dicejax import losses
from dicejax.models import BertConfig
from dicejax.models import TokenTagger
from dicejax.text.batches import pad
from train import settings
from train.data.batches import pack
from train.objective import Objective
from train.objective import make_loss
from train.optimizer import decays
from train.optimizer import learning_rate
from train.optimizer import make_optimizer
from train.step import init_state
from train.step import make_predict_step
from train.step import make_train_step

LABELS = ('O', 'B-X', 'I-X')
CONFIG = BertConfig(
  vocab_size=11,
  hidden_size=8,
  num_hidden_layers=1,
  num_attention_heads=2,
  intermediate_size=16,
  attention_probs_dropout_prob=0.0,
  initializer_range=0.3,
)


def batch(rows=8, length=6, seed=0):
  rng = np.random.default_rng(seed)
  lengths = rng.integers(1, length + 1, rows)
  lengths[-1] = 0  # A row that only fills the batch.
  mask = np.arange(length) < lengths[:, None]
  return {
    'tokens': rng.integers(1, 11, (rows, length)),
    'labels': np.where(mask, rng.integers(0, 3, (rows, length)), -1),
    'mask': mask,
  }


def loss_config(preset, **changes):
  loss = presets.get_loss(preset, background='O')
  return config_dict.ConfigDict(loss.to_dict() | changes)


def logits_for(b, seed=1):
  rng = np.random.default_rng(seed)
  return rng.normal(size=(*b['tokens'].shape, 3)).astype(np.float32)


def test_elementwise_mean_is_over_real_elements():
  b = batch()
  logits, where = logits_for(b), b['labels'] >= 0
  loss = make_loss(loss_config('cross_entropy'), LABELS)
  want = losses.cross_entropy(logits[where], b['labels'][where]).mean()
  got = first_value(loss)(logits, b['labels'], where)
  np.testing.assert_allclose(got, want, rtol=1e-6)


def test_sentence_sets_without_words_do_not_count():
  b = batch()
  logits, where = logits_for(b), b['labels'] >= 0
  loss = make_loss(loss_config('paper_dice', options={'axis': 1}), LABELS)
  dice = jax.jit(losses.dice)
  want = np.mean(
    [
      dice(x[w], y[w])
      for x, y, w in zip(logits, b['labels'], where, strict=True)
      if w.any()
    ]
  )
  got = jax.jit(first_value(loss))(logits, b['labels'], where)
  np.testing.assert_allclose(got, want, rtol=1e-6)


def test_a_set_plus_cross_entropy():
  b = batch()
  logits, where = logits_for(b), b['labels'] >= 0
  config = loss_config('tversky', cross_entropy=0.5)
  got = first_value(make_loss(config, LABELS))(logits, b['labels'], where)
  x, y = logits[where], b['labels'][where]
  want = losses.tversky(x, y, axis=None, class_weights=[0, 1, 1])
  want += 0.5 * losses.cross_entropy(x, y).mean()
  np.testing.assert_allclose(got, want, rtol=1e-6)


def test_sets_are_what_the_loss_says_by_default():
  b = batch()
  logits, where = logits_for(b), b['labels'] >= 0
  loss = make_loss(loss_config('jaccard', options={}), LABELS)
  x, y = logits[where], b['labels'][where]
  want = losses.jaccard(x, y, class_weights=[0, 1, 1])
  want += losses.cross_entropy(x, y).mean()
  got = first_value(loss)(logits, b['labels'], where)
  np.testing.assert_allclose(got, want, rtol=1e-6)


# One of each way to make a loss is quick.
FEW = 'running_dice', 'paper_self_adjusting_dice', 'lovasz_softmax', 'ldam'
FEW += 'lovasz_hinge', 'zlpr'


def every(table):
  """Makes a test per loss, by one preset that names it."""
  alone = {preset['name']: name for name, preset in table.items()}
  names = ['running_dice', *alone.values()]
  return pytest.mark.parametrize('name', slow_except(FEW, names))


@every(presets.SOFTMAX)
def test_nothing_labelled_is_no_loss(name):
  b = batch()
  nothing = np.full_like(b['labels'], -1)
  counts = np.array([8, 2, 1])
  loss = make_loss(loss_config(name), LABELS, class_counts=counts)
  value, grad = jax.jit(jax.value_and_grad(first_value(loss)))(
    logits_for(b), nothing, nothing >= 0
  )
  assert value == 0 and not grad.any()


def sigmoids():
  rng = np.random.default_rng(0)
  logits = rng.normal(size=(4, 6)).astype(np.float32)
  labels = rng.integers(0, 2, (4, 6)).astype(np.float32)
  return logits, labels, rng.random((4, 6)) < 0.7


@every(presets.SIGMOID)
def test_sigmoids_are_one_set(name):
  """The loss is 0 without a word."""
  logits, labels, where = sigmoids()
  loss = make_loss(presets.get_loss(name, sigmoid=True))
  both = jax.jit(jax.value_and_grad(first_value(loss)))
  value, grad = both(logits, labels, where)
  assert not grad[~where].any() and grad[where].any()
  assert both(logits, labels, np.zeros_like(where))[0] == 0
  if name != 'zlpr':  # Its set is an example's labels.
    flat = jax.jit(first_value(loss))(
      logits[where], labels[where], where[where]
    )
    np.testing.assert_allclose(value, flat, rtol=1e-5)


def test_sigmoids_are_the_soft_f1_of_the_batch():
  logits, labels, where = sigmoids()
  paper = make_loss(presets.get_loss('paper_dice', sigmoid=True))
  value = first_value(paper)(logits, labels, where)
  p, y = 1 / (1 + np.exp(-logits[where].astype(float))), labels[where]
  want = 1 - (2 * (p * y).sum() + 1) / ((p**2).sum() + (y**2).sum() + 1)
  np.testing.assert_allclose(value, want, rtol=1e-6)


def test_background():
  """Sets leave out the background; losses of single elements do not."""
  weights = presets.get_loss('tversky', background='O').class_weights
  assert weights.to_dict() == {'O': 0.0}
  assert not presets.get_loss('tversky').class_weights
  assert not presets.get_loss('paper_dice', background='O').class_weights


def test_class_weightings():
  """Weights of scikit-learn and the formulas; labels replace them."""
  b, counts = batch(), np.array([90, 9, 1])
  logits, where = logits_for(b), b['labels'] >= 0
  y = np.repeat([0, 1, 2], counts)
  balanced = class_weight.compute_class_weight(
    'balanced', classes=np.arange(3), y=y
  )
  effective = (1 - 0.9999) / (1 - 0.9999**counts)
  wanted = {
    'balanced': balanced,
    'class_balanced': 3 * effective / effective.sum(),
    'log': np.log10((100 - counts) / counts + 1),
  }
  for name, weights in wanted.items():
    for given in ({}, {'B-X': 0.5}):
      config = loss_config(
        'cross_entropy', class_weighting=name, class_weights=given
      )
      loss = make_loss(config, LABELS, class_counts=counts)
      w = np.array(
        [*weights[:1], *(given.values() or weights[1:2]), weights[2]]
      )
      want = losses.cross_entropy(logits[where], b['labels'][where])
      want = np.mean(want * w[b['labels'][where]])
      got = first_value(loss)(logits, b['labels'], where)
      np.testing.assert_allclose(got, want, rtol=1e-5)
  # A sigmoid has two counts: negatives and positives.
  config = presets.get_loss('focal', sigmoid=True)
  config.class_weighting = 'balanced'
  loss = make_loss(config, class_counts=np.array([9, 1]))
  got = first_value(loss)(
    np.zeros(2, np.float32), np.array([0, 1]), np.ones(2, bool)
  )
  want = np.mean([10 / 18, 10 / 2]) * 0.25 * np.log(2)
  np.testing.assert_allclose(got, want, rtol=1e-6)


def test_keep_hardest():
  """All positives and, for each, the hardest negatives: set and elements."""
  b = batch(32)
  logits, labels = logits_for(b), b['labels']
  config = loss_config('tversky', cross_entropy=0.5, keep_hardest=0.25)
  loss = make_loss(config, LABELS, background=True)
  got = jax.jit(first_value(loss))(logits, labels, labels >= 0)
  entropy = np.array(losses.cross_entropy(logits, labels, where=labels >= 0))
  number = (labels > 0).sum() // 4
  least = np.sort(entropy[labels == 0])[-number]
  kept = (labels > 0) | (labels == 0) & (entropy >= least)
  x, y = logits[kept], labels[kept]
  want = losses.tversky(x, y, class_weights=np.array([0, 1, 1.0]))
  want += 0.5 * losses.cross_entropy(x, y).mean()
  np.testing.assert_allclose(got, want, rtol=1e-6)
  whole = default.get_config()
  whole.loss, whole.parallel = config, 'pmap'
  with pytest.raises(ValueError, match="expected parallel='jit'"):
    settings.check(whole)


def test_rare_positives_weigh_less_beside_cross_entropy():
  """In proportion below `full_weight_at`; the background is not positive."""
  b = batch(32)
  logits, labels = logits_for(b), b['labels']
  where = labels >= 0

  def value(config, counts):
    loss = make_loss(config, LABELS, class_counts=np.array(counts))
    return first_value(loss)(logits, labels, where)

  entropy = value(loss_config('cross_entropy'), [1, 1, 1])
  config = loss_config('dice')
  full = value(config, [50, 25, 25]) - entropy
  assert full > 0.1
  for counts, weight in [([8, 1, 1], 1), ([90, 6, 4], 0.5), ([98, 2, 0], 0.1)]:
    got = value(config, counts) - entropy
    np.testing.assert_allclose(got, weight * full, rtol=1e-4)
  config.full_weight_at = 0.0
  np.testing.assert_allclose(
    value(config, [99, 1, 0]) - entropy, full, rtol=1e-4
  )
  # A sigmoid has counts of negatives and positives.
  config = presets.get_loss('dice+0*cross_entropy', sigmoid=True)
  rare, often = (
    first_value(make_loss(config, class_counts=np.array(counts)))(
      logits[..., 0],
      labels > 0,
      where,
    )
    for counts in ([96, 4], [80, 20])
  )
  np.testing.assert_allclose(rare, 0.2 * often, rtol=1e-5)


def test_running_counts_are_a_mean_over_batches():
  """Decayed sums of the counts of batches, computed by numpy."""
  config = presets.get_loss('running_dice_alone', sigmoid=True)
  config.running = 0.5
  loss = make_loss(config)
  rng = np.random.default_rng(0)
  logits = rng.normal(size=(3, 8)).astype(np.float32)
  labels, where = rng.integers(0, 2, (3, 8)), np.ones(8, bool)
  running = loss.init(logits[0], labels[0])
  p = 1 / (1 + np.exp(-logits.astype(float)))
  overlap, size, number = 0.0, 0.0, 0.0
  for i in range(3):
    value, running = loss.update(logits[i], labels[i], where, running)
    overlap = 0.5 * overlap + (p[i] * labels[i]).sum()
    size = 0.5 * size + p[i].sum() + labels[i].sum()
    number = 0.5 * number + 8
    share = 8 / number
    want = 1 - (2 * overlap * share + 1) / (size * share + 1)
    np.testing.assert_allclose(value, want, rtol=1e-5)


@pytest.mark.parametrize(
  'changes, text',
  [
    ({'name': 'hinge'}, "loss.name: 'hinge' is none of .* cross_entropy"),
    ({'name': 'soft_counts'}, "loss.name: 'soft_counts' is none of"),
    (
      {'name': 'zlpr', 'options': {}, 'class_weights': {}},
      "loss.options: .*activation='sigmoid' needs",
    ),
    ({'options': {'gama': 2}}, 'loss.options: .*gama'),
    ({'options': {'smooth': -1}}, 'loss.options: smooth must be at least 0'),
    ({'options': {'axis_name': 'x'}}, 'loss.options: .*x'),
    ({'options': {'axis': [0, 2]}}, 'loss.options: .*axis'),
    ({'class_weights': {'PER': 0.0}}, r"loss.class_weights: no label \['PER'"),
    ({'activation': 'tanh'}, "loss.activation is 'softmax' or 'sigmoid', not"),
    ({'name': 'ldam'}, 'loss.name=ldam needs counts of the classes'),
    ({'running': 1.0}, 'loss.running, the decay .* below 1, not 1.0'),
    (
      {'running': 0.9, 'name': 'focal', 'options': {}, 'class_weights': {}},
      'loss.running: focal has no counts',
    ),
    ({'running': 0.9, 'options': {'axis': 1}}, 'one set of all .* not axis=1'),
    ({'full_weight_at': 5.0}, 'loss.full_weight_at is between 0 and 1, not 5'),
    ({'class_weighting': 'log'}, 'loss.class_weighting=log needs counts'),
    ({'class_weighting': 'even'}, "loss.class_weighting is one of 'balanced'"),
    (
      {'name': 'unified_focal', 'options': {}},
      'loss.class_weights: unified_focal has no weights of classes',
    ),
    ({'keep_hardest': -1.0}, 'loss.keep_hardest is at least 0, not -1.0'),
    ({'keep_hardest': 3.0}, 'no label of this task is the negative one'),
    ({'options': {'average': 'mean'}}, 'loss.options: average'),
    (
      {
        'class_weights': dict.fromkeys(LABELS, 0.0),
        'options': {'average': 'micro'},
      },
      'loss.class_weights: all are 0',
    ),
    (
      {
        'activation': 'sigmoid',
        'class_weights': {},
        'options': {'average': 'micro'},
      },
      'loss.options: .*micro',
    ),
  ],
)
def test_bad_objectives(changes, text):
  config = default.get_config()
  config.loss = loss_config('macro_dice', **changes)
  with pytest.raises(ValueError, match=text):
    settings.check(config)
    make_loss(config.loss, LABELS)


def test_learning_rate():
  config = default.get_config().optimizer
  rate = learning_rate(config, 100)
  peak = config.learning_rate
  got = [rate(step) for step in (0, 5, 10, 55, 100)]
  np.testing.assert_allclose(
    got, [0, peak / 2, peak, peak / 2, 0], rtol=1e-6, atol=1e-12
  )
  config.final = 0.25
  got = learning_rate(config, 100)(100)
  np.testing.assert_allclose(got, peak / 4, rtol=1e-6)


@pytest.mark.parametrize(
  'schedule, options, at_half',
  [
    ('cosine_decay_schedule', {}, 0.25 + 0.75 / 2),
    ('cosine_decay_schedule', {'exponent': 2.0}, 0.25 + 0.75 / 4),
    ('constant_schedule', {}, 1.0),
    ('exponential_decay', {}, 0.25**0.5),
    ('polynomial_schedule', {'power': 2.0}, 0.25 + 0.75 / 4),
  ],
)
def test_schedules_of_optax(schedule, options, at_half):
  config = default.get_config().optimizer
  config.update(schedule=schedule, final=0.25)
  with config.unlocked():
    config.schedule_options = options
  rate = learning_rate(config, 100)
  last = 1.0 if schedule == 'constant_schedule' else 0.25
  if 'exponent' in options:
    last = rate(100) / config.learning_rate
  got = [rate(step) / config.learning_rate for step in (5, 10, 55, 100)]
  np.testing.assert_allclose(got, [0.5, 1.0, at_half, last], rtol=1e-5)


def test_optimizers_of_optax():
  """One step of SGD by hand, with decay in the gradient and momentum."""
  config = default.get_config().optimizer
  config.update(name='sgd', warmup=0.0, clip_norm=10.0, learning_rate=0.5)
  config.weight_decay = 0.1
  with config.unlocked():
    config.options = {'momentum': 0.9}
  optimizer = make_optimizer(config, 10)
  params = {'kernel': jnp.full((1, 1), 2.0), 'bias': jnp.full(1, 2.0)}
  gradient = {'kernel': jnp.full((1, 1), 1.0), 'bias': jnp.full(1, 1.0)}
  updates, _ = optimizer.update(gradient, optimizer.init(params), params)
  np.testing.assert_allclose(updates['kernel'], -0.5 * 1.2)
  np.testing.assert_allclose(updates['bias'], -0.5)


@pytest.mark.parametrize(
  'name', ['adam', 'lamb', 'lion', 'adafactor', 'rmsprop', 'contrib.muon']
)
def test_optimizers_descend(name):
  config = default.get_config().optimizer
  config.update(name=name, warmup=0.0, learning_rate=1e-2)
  optimizer = make_optimizer(config, 50)
  params = {'kernel': jnp.ones((2, 2)), 'bias': jnp.ones(2)}
  state, update = optimizer.init(params), jax.jit(optimizer.update)
  for _ in range(20):
    updates, state = update(params, state, params)
    params = optax.apply_updates(params, updates)
  assert all(jnp.max(jnp.abs(x)) < 0.99 for x in jax.tree.leaves(params))


@pytest.mark.parametrize(
  'changes, text',
  [
    ({'name': 'adamwx'}, "optimizer.name: 'adamwx' is none of optax"),
    ({'name': 'clip'}, "optimizer.name: 'clip' is none of optax"),
    ({'name': 'lbfgs'}, 'optax.lbfgs cannot be used with gradients alone'),
    ({'options': {'beta': 1.0}}, "optimizer.options: 'beta' is no argument of"),
    ({'schedule': 'cosine'}, "optimizer.schedule: 'cosine' is none of optax"),
    ({'schedule': 'warmup_cosine_decay_schedule'}, 'expected a schedule witho'),
    ({'schedule': 'polynomial_schedule'}, "polynomial_schedule .* 'power'"),
    ({'schedule_options': {'power': 2.0}}, "schedule_options: 'power' is no"),
  ],
)
def test_optimizers_that_there_are_not(changes, text):
  config = default.get_config().optimizer
  with config.unlocked():
    config.update(changes)
  with pytest.raises(ValueError, match=text):
    make_optimizer(config, 10)


def test_only_matrices_decay():
  """With no gradient, a matrix shrinks by rate * decay and a vector stays."""
  config = default.get_config().optimizer
  config.warmup = 0.0
  optimizer = make_optimizer(config, 100)
  params = {'kernel': jnp.ones((2, 2)), 'bias': jnp.ones(2)}
  assert decays(params) == {'kernel': True, 'bias': False}
  zeros = jax.tree.map(jnp.zeros_like, params)
  updates, _ = optimizer.update(zeros, optimizer.init(params), params)
  shrunk = 1 - config.learning_rate * config.weight_decay
  got = optax.apply_updates(params, updates)
  np.testing.assert_allclose(got['kernel'], shrunk, rtol=1e-7)
  np.testing.assert_array_equal(got['bias'], 1)


def test_eps():
  """The first step of Adam is rate * g / (|g| + eps)."""
  config = default.get_config().optimizer
  config.warmup = config.weight_decay = 0.0
  params = {'kernel': jnp.zeros((2, 2))}
  gradient = {'kernel': jnp.full((2, 2), 1e-6)}
  for eps, share in [(1e-6, 1 / 2), (1e-8, 1 / 1.01)]:
    config.eps = eps
    optimizer = make_optimizer(config, 100)
    updates, _ = optimizer.update(gradient, optimizer.init(params), params)
    want = -share * config.learning_rate
    np.testing.assert_allclose(updates['kernel'], want, rtol=1e-4)


def make_step(loss, dropout=0.0, seed=0, optimizer=None, **options):
  config = CONFIG.__class__(
    **{**CONFIG.__dict__, 'hidden_dropout_prob': dropout}
  )
  model = TokenTagger(config, num_labels=3)
  optimizer = optimizer or make_optimizer(default.get_config().optimizer, 10)
  init = jax.jit(model.init)
  params = init(jax.random.key(0), batch()['tokens'])['params']
  loss = make_loss(loss_config(loss), LABELS)
  objective = Objective(
    lambda logits, b: loss.init(logits, b['labels']),
    lambda logits, b, running: loss.update(
      logits, b['labels'], b['labels'] >= 0, running
    ),
  )
  step = make_train_step(model, objective, optimizer, **options)
  running = loss.init(logits_for(batch()), batch()['labels'])
  return step, init_state(params, optimizer, running, seed), model


def test_dropout_is_a_function_of_seed_and_step():
  step, state, _ = make_step('cross_entropy', dropout=0.5)
  _, other, _ = make_step('cross_entropy', dropout=0.5, seed=1)
  step = jax.jit(step)

  def loss(state):
    return float(step(state, batch())[1]['loss'])

  assert loss(state) == loss(state)
  assert loss(state) != loss(other)
  assert loss(state) != loss(state._replace(step=state.step + 1))
  assert step._cache_size() == 1  # All seeds share a program.


def test_seeds_and_rates_share_programs():
  def program(rate, epochs=10):
    config = default.get_config().optimizer
    config.learning_rate = rate
    step, state, _ = make_step('dice', optimizer=make_optimizer(config, epochs))
    return jax.jit(step).lower(state, batch()).as_text()

  assert program(1e-3) == program(0.3) != program(0.3, epochs=11)


def test_padding_changes_nothing():
  step, state, model = make_step('running_dice')
  b = batch()
  wider = {
    'tokens': np.pad(b['tokens'], ((0, 2), (0, 3)), constant_values=5),
    'labels': np.pad(b['labels'], ((0, 2), (0, 3)), constant_values=-1),
    'mask': np.pad(b['mask'], ((0, 2), (0, 3))),
  }
  near, metrics = jax.jit(step)(state, b)
  far, padded = jax.jit(step)(state, wider)
  np.testing.assert_allclose(padded['loss'], metrics['loss'], rtol=1e-6)
  np.testing.assert_allclose(
    padded['grad_norm'], metrics['grad_norm'], rtol=1e-5
  )
  predict = jax.jit(make_predict_step(model, lambda x, _: x.argmax(-1)))
  real = b['mask']
  np.testing.assert_array_equal(
    predict(near.params, wider)[:8, :6][real], predict(near.params, b)[real]
  )


@pytest.mark.slow
def test_parts_take_less_memory():
  rows = batch(256, 32)
  used = []
  for parts in (1, 8):
    step, state, _ = make_step('tversky', micro_batches=parts)
    analysis = jax.jit(step).lower(state, rows).compile().memory_analysis()
    used.append(analysis.temp_size_in_bytes)
  assert used[1] < used[0] / 3


@pytest.mark.parametrize(
  'loss',
  [
    pytest.param('cross_entropy', marks=pytest.mark.slow),
    pytest.param('paper_dice', marks=pytest.mark.slow),
    'running_dice',
  ],
)
def test_packed_sentences_are_alone(loss):
  """One step on packed rows equals one with a row per sentence."""
  rng = np.random.default_rng(0)
  features = [
    {'tokens': rng.integers(1, 11, n), 'labels': rng.integers(0, 3, n)}
    for n in rng.integers(1, 7, 16)
  ]
  fill = {'tokens': 0, 'labels': -1}
  rows = pack(features, fill, max_length=12, seed=0, most=32)
  assert len(rows) < 8
  step, state, _ = make_step(loss)
  alone, metrics = jax.jit(step)(state, pad(features, fill, 16, 6))
  packed, again = jax.jit(step)(state, pad(rows, fill, 8, 12))
  np.testing.assert_allclose(again['loss'], metrics['loss'], rtol=1e-5)
  np.testing.assert_allclose(
    again['grad_norm'], metrics['grad_norm'], rtol=1e-5
  )
  one, other = (optax.tree.get(s.opt_state, 'mu') for s in (alone, packed))
  chex.assert_trees_all_close(one, other, rtol=1e-4, atol=1e-7)
  # If sentences saw each other, the result would differ.
  rows = [row | {'mask': np.ones_like(row['mask'])} for row in rows]
  _, seen = jax.jit(step)(state, pad(rows, fill, 8, 12))
  assert abs(seen['loss'] - metrics['loss']) > 1e-4
