"""Frozen encoders: the head that trains on stored states is the same head."""

import pathlib
import shutil

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from helpers import make_config

from configs import losses as presets
from dicejax.models import Bert
from dicejax.models import BertConfig
from dicejax.models import load_pretrained
from dicejax.models import save_pretrained
from dicejax.text.batches import pad
from dicejax.text.runs import Moments
from dicejax.text.runs import standardize
from train import inference
from train import step as steps
from train.data.batches import pack
from train.optimizer import make_optimizer
from train.tasks.task import most_in_row
from train.trainer import Trainer


def write_model(directory):
  """An encoder of random weights and a tokenizer that knows letters."""
  directory.mkdir()
  letters = 'abcdefghijklmnopqrstuvwxyz'
  words = ['[PAD]', '[UNK]', '[CLS]', '[SEP]', '.', 'we', 'met', 'in']
  words += [*letters, *(f'##{letter}' for letter in letters)]
  (directory / 'vocab.txt').write_text('\n'.join(words))
  config = BertConfig(
    vocab_size=len(words), hidden_size=16, num_hidden_layers=1,
    num_attention_heads=2, intermediate_size=16, max_position_embeddings=32,
    initializer_range=0.3,
  )  # fmt: skip
  tokens = jnp.ones((1, 1), jnp.int32)
  params = jax.jit(Bert(config).init)(jax.random.key(0), tokens)['params']
  save_pretrained(directory, config, params)


def write_texts(directory):
  rng = np.random.default_rng(0)
  for split, number in {'train': 64, 'dev': 16, 'test': 16}.items():
    rows = ['sentence\tlabel']
    for _ in range(number):
      label = rng.choice(['ham', 'spam'])
      word = 'in' if label == 'ham' else 'met'
      rows.append(f'we {word} {rng.choice(["we", "in ."])}\t{label}')
    (directory / f'{split}.txt').write_text('\n'.join(rows))


def frozen_config(tmp_path, task='tagging', **changes):
  config = make_config(tmp_path, 'running_dice')
  if not (tmp_path / 'model').is_dir():
    write_model(tmp_path / 'model')
  if task == 'classification':
    write_texts(tmp_path / 'corpus')
    config.task, config.data.format = task, 'tsv'
    config.classification.positive = 'spam'
    config.loss = presets.get_binary_loss('running_dice')
  config.model.pretrained = str(tmp_path / 'model')
  config.model.frozen = True
  config.max_length = 32
  config.update_from_flattened_dict(changes)
  return config


@pytest.mark.parametrize(
  'changes',
  [
    pytest.param({}, marks=pytest.mark.slow),
    {'packing': True, 'micro_batches': 2},
    pytest.param(
      {'task': 'classification', 'model.pooling': 'mean'},
      marks=pytest.mark.slow,
    ),
  ],
  ids=str,
)
def test_the_head_of_an_encoder_without_gradient(tmp_path, changes):
  """A run takes the steps of the whole model with its encoder held fixed."""
  config = frozen_config(tmp_path, **{'model.dropout': 0.0, **changes})
  run = Trainer(config, tmp_path / 'run')
  state = run.init()
  assert 'encoder' not in state.params
  encoder_config, published = load_pretrained(tmp_path / 'model')
  moments = Moments(*map(np.float32, run.meta['moments']))
  encoder = standardize(published, moments, encoder_config)
  optimizer = make_optimizer(config.optimizer, len(run.batches))
  objective = run.task.objective(config.loss)
  model = run.task.model(BertConfig(**run.meta['encoder']), config.model.dtype)
  features = inference.make_features(run.task, run.examples['train'], 'train')
  if config.packing:
    features = pack(
      features,
      run.task.fill,
      max_length=config.max_length,
      seed=config.seed,
      most=most_in_row(config),
    )

  @jax.jit
  def reference(head, opt_state, running, batch):
    def scalar(head):
      params = head | {'encoder': jax.lax.stop_gradient(encoder)}
      outputs = steps.apply_model(model, params, batch)
      return objective.update(outputs, batch, running)

    (loss, running), grads = jax.value_and_grad(scalar, has_aux=True)(head)
    updates, opt_state = optimizer.update(grads, opt_state, head)
    return optax.apply_updates(head, updates), opt_state, running, loss

  head = jax.tree.map(jnp.array, state.params)
  opt_state, running = optimizer.init(head), state.running
  running = jax.tree.map(jnp.array, running)
  for i in range(6):
    batch = run.batches[i]
    rows, width = batch['mask'].shape
    indices = run.batches._indices(i)
    whole = pad(
      [features[j] for j in indices], run.task.fill, rows, max(width, 24)
    )
    state, metrics = run.step(state, batch)
    head, opt_state, running, loss = reference(head, opt_state, running, whole)
    np.testing.assert_allclose(metrics['loss'], loss, rtol=1e-5)
  for ours, theirs in zip(
    jax.tree.leaves(state.params), jax.tree.leaves(head), strict=True
  ):
    np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize('task', ['tagging', 'classification'])
def test_states_are_standardised(tmp_path, task):
  """States of the training split then have mean 0 and deviation 1."""
  run = Trainer(frozen_config(tmp_path, task), tmp_path / 'run')
  train = run.features['train']
  if task == 'tagging':  # Words, without [CLS] and [SEP].
    states = np.concatenate([f['states'][f['labels'] >= 0] for f in train])
  else:
    states = np.concatenate([f['states'] for f in train])
  np.testing.assert_allclose(states.mean(0), 0, atol=1e-5)
  np.testing.assert_allclose(states.std(0), 1, rtol=1e-4)


@pytest.mark.parametrize(
  'task', ['tagging', pytest.param('classification', marks=pytest.mark.slow)]
)
def test_a_run_needs_no_other_directory(tmp_path, task):
  config = frozen_config(tmp_path, task)
  workdir = tmp_path / 'run'
  outcome = Trainer(config, workdir).train()
  shutil.rmtree(tmp_path / 'model')
  prepared = Trainer(config, workdir)  # The command is given again.
  run = inference.load_run(workdir)
  examples = prepared.examples['test']
  predictions = run.predict(examples, run.task.features(examples))
  scores = run.task.score(examples, predictions, run.tuned)
  for row, columns in outcome['scores']['test'].items():
    assert scores[row] == pytest.approx(columns)
  # Other weights under the same name are not used.
  path = workdir / 'encoder' / 'model.safetensors'
  data = bytearray(path.read_bytes())
  data[-3] ^= 1
  path.unlink()
  path.write_bytes(data)
  with pytest.raises(ValueError, match='encoder is damaged'):
    inference.load_run(workdir)


def test_states_are_computed_once(tmp_path, monkeypatch, capsys):
  config = frozen_config(tmp_path)
  first = Trainer(config, tmp_path / 'one')
  assert 'hidden states of 108 inputs' in capsys.readouterr().err
  second = Trainer(config, tmp_path / 'two')
  assert 'hidden states' not in capsys.readouterr().err
  folder = tmp_path / 'cache' / 'states'
  (path,) = folder.glob('*/*.npz')
  whole = path.read_bytes()
  middle = len(whole) // 2
  flipped = bytes([whole[middle] ^ 1])
  for damaged in (
    whole[:middle] + flipped + whole[middle + 1 :],
    whole[:middle],
    b'',
    b'no archive',
  ):
    path.write_bytes(damaged)
    third = Trainer(config, tmp_path / 'three')
    assert 'hidden states of 108 inputs' in capsys.readouterr().err
  # An example that changes its split has its states already.
  moved = frozen_config(tmp_path)
  files = moved.data.files
  files.train, files.dev = files.dev, files.train
  Trainer(moved, tmp_path / 'moved')
  assert 'hidden states' not in capsys.readouterr().err
  # Examples that are added later get the same states as all at once.
  shutil.rmtree(folder)
  less = frozen_config(tmp_path, **{'data.take.train': 64})
  Trainer(less, tmp_path / 'less')
  assert 'hidden states of 87 inputs' in capsys.readouterr().err
  fourth = Trainer(config, tmp_path / 'four')
  assert 'hidden states of 21 inputs' in capsys.readouterr().err
  for run in (second, third, fourth):
    for split, features in first.features.items():
      for a, b in zip(features, run.features[split], strict=True):
        np.testing.assert_array_equal(a['states'], b['states'])
  # Only the latest states are kept, up to a limit.
  size = sum(path.stat().st_size for path in folder.glob('*/*'))
  config.model.frozen_cache = (size - 1) / 2**30
  config.max_length = 6  # Other inputs.
  Trainer(config, tmp_path / 'five')
  assert sum(path.stat().st_size for path in folder.glob('*/*')) < size
  Trainer(config, tmp_path / 'six')
  assert capsys.readouterr().err.count('hidden states') == 1  # The fifth run.


@pytest.mark.parametrize(
  'changes, text',
  [
    ({'model.frozen_memory': 1e-6}, 'GiB, more than model.frozen_memory=1e-06'),
    ({'model.pretrained': ''}, 'model.frozen .* expected model.pretrained'),
  ],
)
def test_what_cannot_be_frozen(tmp_path, changes, text):
  with pytest.raises(ValueError, match=text):
    Trainer(frozen_config(tmp_path, **changes), tmp_path / 'run')
  assert not list(pathlib.Path(tmp_path / 'run').glob('config.json'))
