"""Directories of checkpoints: reading, writing, and errors."""

import json
import pathlib
import shutil
import subprocess
import sys

import jax
import ml_dtypes
import numpy as np
import pytest
from huggingface_hub import constants
from safetensors.numpy import load_file
from safetensors.numpy import save_file

from dicejax.models import Bert
from dicejax.models import TextClassifier
from dicejax.models import load_pooler
from dicejax.models import load_pretrained
from dicejax.models import resolve
from dicejax.models import save_pretrained

TINY = pathlib.Path(__file__).parent / 'golden/bert_tiny'
ROBERTA = TINY.with_name('roberta_tiny')


@pytest.fixture
def tiny(tmp_path):
  """Copies the tiny reference, for tests that spoil it."""
  return shutil.copytree(TINY, tmp_path / 'tiny')


def _edit(directory, change):
  """Rewrites the weights as `change(weights)` leaves or returns them."""
  file = directory / 'model.safetensors'
  weights = load_file(file)
  save_file(change(weights) or weights, file)


def _configure(directory, **changes):
  file = directory / 'config.json'
  values = json.loads(file.read_text()) | changes
  file.write_text(json.dumps({k: v for k, v in values.items() if v != 'gone'}))


def _run(code):
  """Runs code in a new process, at the root of the repository."""
  root = pathlib.Path(__file__).parent.parent
  subprocess.run([sys.executable, '-c', code], cwd=root, check=True)


def _assert_equal(actual, expected):
  jax.tree.map(np.testing.assert_array_equal, actual, expected)


def test_the_tree_is_that_of_init():
  config, params = load_pretrained(TINY)
  tokens = np.ones((1, 1), np.int32)
  expected = jax.eval_shape(Bert(config).init, jax.random.key(0), tokens)
  assert all(type(x) is np.ndarray for x in jax.tree.leaves(params))
  assert jax.tree.map(lambda x: (x.shape, x.dtype), params) == jax.tree.map(
    lambda x: (x.shape, x.dtype), expected['params']
  )


@pytest.mark.parametrize('source', [TINY, ROBERTA], ids=lambda p: p.name)
def test_round_trip(tmp_path, source):
  config, params = load_pretrained(str(source))
  assert config.model_type == source.name.removesuffix('_tiny')
  new = tmp_path / 'a' / 'new'
  save_pretrained(new, config, jax.tree.map(jax.numpy.asarray, params))
  again, read = load_pretrained(new)
  assert again == config
  _assert_equal(read, params)


@pytest.mark.parametrize('file', ['config.json', 'model.safetensors'])
def test_nothing_is_overwritten(tiny, file):
  config, params = load_pretrained(tiny)
  before = (tiny / file).read_bytes()
  for other in {'config.json', 'model.safetensors'} - {file}:
    (tiny / other).unlink()
  with pytest.raises(FileExistsError, match=file):
    save_pretrained(tiny, config, params)
  assert (tiny / file).read_bytes() == before


def test_wrong_params_are_not_saved(tmp_path):
  config, params = load_pretrained(TINY)
  with pytest.raises(ValueError, match='surplus: encoder/'):
    save_pretrained(tmp_path / 'new', config, {'encoder': params})
  assert not (tmp_path / 'new').exists()


@pytest.mark.parametrize('source', [TINY, ROBERTA], ids=lambda p: p.name)
def test_names_of_old_files_and_of_files_with_a_head(tmp_path, source):
  tiny = shutil.copytree(source, tmp_path / 'tiny')
  prefix = f'{source.name.removesuffix("_tiny")}.'

  def age(weights):
    def rename(name):
      if 'LayerNorm' in name:
        name = name.replace('weight', 'gamma').replace('bias', 'beta')
      return prefix + name

    extra = dict.fromkeys(
      (
        f'{prefix}embeddings.position_ids',
        'classifier.weight',
        'cls.predictions.bias',
        'lm_head.layer_norm.bias',
        'qa_outputs.bias',
      ),
      np.arange(9),
    )
    return {rename(n): x for n, x in weights.items()} | extra

  _edit(tiny, age)
  assert any('gamma' in n for n in load_file(tiny / 'model.safetensors'))
  _assert_equal(load_pretrained(tiny), load_pretrained(source))
  _assert_equal(load_pooler(tiny), load_pooler(source))


@pytest.mark.parametrize('source', [TINY, ROBERTA], ids=lambda p: p.name)
def test_the_pooler_is_that_of_the_file(source):
  weights = load_file(source / 'model.safetensors')
  _assert_equal(
    load_pooler(source),
    {
      'kernel': weights['pooler.dense.weight'].T,
      'bias': weights['pooler.dense.bias'],
    },
  )


def test_the_pooler_is_float32(tiny):
  _edit(tiny, lambda ws: {n: x.astype('float16') for n, x in ws.items()})
  pooler = load_pooler(tiny)
  assert {(type(x), x.dtype) for x in pooler.values()} == {
    (np.ndarray, np.dtype('float32'))
  }


def test_the_pooler_has_its_place_in_a_classifier():
  config, encoder = load_pretrained(TINY)
  classifier = TextClassifier(config, num_labels=2)
  tokens = np.ones((1, 3), np.int32)
  init = jax.eval_shape(classifier.init, jax.random.key(0), tokens)
  params = init['params']
  loaded = params | {'encoder': encoder, 'pooler': load_pooler(TINY)}
  assert jax.tree.map(np.shape, loaded) == jax.tree.map(np.shape, params)


def test_a_checkpoint_without_a_pooler(tmp_path):
  save_pretrained(tmp_path, *load_pretrained(TINY))
  assert load_pooler(tmp_path) is None


def test_a_pooler_that_does_not_fit(tiny):
  def spoil(weights):
    del weights['pooler.dense.bias']
    weights['pooler.dense.weight'] = np.zeros((6, 5), np.float32)
    weights['pooler.norm.weight'] = np.zeros(6, np.float32)

  _edit(tiny, spoil)
  load_pretrained(tiny)
  with pytest.raises(ValueError) as error:
    load_pooler(tiny)
  first, *problems = str(error.value).splitlines()
  assert first == f'{tiny / "model.safetensors"} does not fit:'
  assert sorted(p.strip() for p in problems) == [
    'missing: pooler.dense.bias',
    'surplus: pooler.norm.weight',
    'wrong shape: pooler.dense.weight is (6, 5), not (6, 6)',
  ]


@pytest.mark.parametrize('dtype', [ml_dtypes.bfloat16, np.float16, np.float64])
def test_other_floats_become_float32(tiny, dtype):
  _edit(tiny, lambda ws: {n: x.astype(dtype) for n, x in ws.items()})
  params = load_pretrained(tiny)[1]
  _assert_equal(
    params,
    jax.tree.map(lambda x: x.astype(dtype), load_pretrained(TINY)[1]),
  )
  assert {x.dtype for x in jax.tree.leaves(params)} == {np.dtype('float32')}


def test_bfloat16_is_read_without_help_from_elsewhere(tiny):
  """dicejax itself imports what registers the name of the type."""
  _edit(tiny, lambda ws: {n: x.astype('bfloat16') for n, x in ws.items()})
  _run(f"""
from dicejax import models
models.load_pretrained({str(tiny)!r})
""")


def test_shards(tiny):
  weights = load_file(tiny / 'model.safetensors')
  (tiny / 'model.safetensors').unlink()
  shards = {'a.safetensors': {}, 'b.safetensors': {}}
  for i, (name, x) in enumerate(weights.items()):
    shards[sorted(shards)[i % 2]][name] = x
  for file, part in shards.items():
    save_file(part, tiny / file)
  weight_map = {n: file for file, part in shards.items() for n in part}
  (tiny / 'model.safetensors.index.json').write_text(
    json.dumps({'weight_map': weight_map})
  )
  _assert_equal(load_pretrained(tiny), load_pretrained(TINY))
  (tiny / 'b.safetensors').unlink()
  with pytest.raises(FileNotFoundError, match='b.safetensors'):
    load_pretrained(tiny)


def test_all_mismatches_in_one_message(tiny):
  query = 'encoder.layer.0.attention.self.query'

  def spoil(weights):
    del weights['embeddings.LayerNorm.bias'], weights[f'{query}.bias']
    weights['encoder.layer.1.output.dense.bias'] = np.zeros(6, np.float32)
    weights['adapter'] = np.zeros(1, np.float32)
    weights[f'{query}.weight'] = np.zeros((6, 5), np.float32)
    name = 'encoder.layer.0.intermediate.dense.weight'
    weights[name] = weights[name].astype(np.int8)

  _edit(tiny, spoil)
  with pytest.raises(ValueError) as error:
    load_pretrained(tiny)
  first, *problems = str(error.value).splitlines()
  assert first == f'{tiny / "model.safetensors"} does not fit:'
  assert sorted(p.strip() for p in problems) == [
    'missing: embeddings.LayerNorm.bias',
    f'missing: {query}.bias',
    'surplus: adapter',
    'surplus: encoder.layer.1.output.dense.bias',
    f'wrong shape: {query}.weight is (6, 5), not (6, 6)',
    'wrong type: encoder.layer.0.intermediate.dense.weight is int8,'
    ' not a float',
  ]


def test_two_weights_for_one_home(tiny):
  name = 'embeddings.LayerNorm.bias'
  _edit(tiny, lambda ws: ws | {f'bert.{name}': ws[name]})
  with pytest.raises(ValueError, match=f'model.safetensors has {name} a sec'):
    load_pretrained(tiny)


def test_a_truncated_file_is_named(tiny):
  file = tiny / 'model.safetensors'
  file.write_bytes(file.read_bytes()[:-1])
  with pytest.raises(ValueError, match=str(file)):
    load_pretrained(tiny)


@pytest.mark.parametrize(
  'changes, message',
  [
    (dict(model_type='gpt2'), "model_type is 'gpt2', not one of ['bert'"),
    (dict(model_type='gone'), 'model_type is None'),
    (dict(model_type='roberta', pad_token_id=None), 'pad_token_id, which is N'),
    (
      dict(position_embedding_type='relative_key'),
      "position_embedding_type is 'relative_key'; only 'absolute' is read",
    ),
    (dict(is_decoder=True), 'is_decoder is True; only False is read'),
    (dict(vocab_size='gone', hidden_act='gone'), 'vocab_size, hidden_act'),
    (dict(hidden_size='x'), "hidden_size is 'x', not an integer"),
    (dict(num_attention_heads=4), 'num_attention_heads=4 does not divide'),
    (dict(hidden_act='swish'), "hidden_act='swish' is not one of"),
  ],
)
def test_a_config_of_something_else_is_refused(tiny, changes, message):
  _configure(tiny, **changes)
  with pytest.raises(ValueError) as error:
    load_pretrained(tiny)
  assert message in str(error.value)
  assert str(tiny / 'config.json') in str(error.value)


def test_a_config_that_is_no_json_is_named(tiny):
  (tiny / 'config.json').write_text('{')
  with pytest.raises(ValueError, match='config.json is not JSON'):
    load_pretrained(tiny)


@pytest.mark.parametrize('model_type, pad', [('bert', 0), ('roberta', 1)])
def test_what_old_configs_leave_out(tiny, model_type, pad):
  changes = dict.fromkeys(('layer_norm_eps', 'pad_token_id'), 'gone')
  _configure(tiny, model_type=model_type, **changes)
  config = load_pretrained(tiny)[0]
  assert (config.layer_norm_eps, config.pad_token_id) == (1e-12, pad)


@pytest.mark.parametrize(
  'name', ['pytorch_model.bin', 'flax_model.msgpack', 'tf_model.h5', 'x.ckpt']
)
def test_pickles_are_refused(tiny, name):
  (tiny / 'model.safetensors').rename(tiny / name)
  with pytest.raises(ValueError, match=f'only holds {name}.*save_pretrained'):
    load_pretrained(tiny)


def test_no_weights_at_all(tiny):
  (tiny / 'model.safetensors').unlink()
  with pytest.raises(FileNotFoundError, match='holds no model.safetensors'):
    load_pretrained(tiny)


@pytest.mark.parametrize(
  'path',
  [
    './model',
    '../model',
    '~/no/model',
    '/no/model',
    'a/b/c',
    pathlib.Path('m'),
  ],
)
def test_a_path_that_does_not_exist_asks_no_network(monkeypatch, path):
  monkeypatch.setitem(sys.modules, 'huggingface_hub', None)
  with pytest.raises(FileNotFoundError, match='is not a directory'):
    load_pretrained(path)


def test_a_file_is_no_checkpoint(tiny, monkeypatch):
  monkeypatch.chdir(tiny)
  with pytest.raises(FileNotFoundError, match='is not a directory'):
    resolve('model.safetensors')


@pytest.fixture
def offline(tmp_path, monkeypatch):
  """No network, and an empty cache, whose directory it returns."""
  # The environment is read at import, which may be over.
  monkeypatch.setattr(constants, 'HF_HUB_OFFLINE', True)
  cache = tmp_path / 'cache'
  monkeypatch.setattr(constants, 'HF_HUB_CACHE', str(cache))
  return cache


def test_a_hub_name_offline_says_what_to_do(offline):
  with pytest.raises(FileNotFoundError, match='`hf download some/model`'):
    load_pretrained('some/model')


def test_a_hub_name_offline_is_found_in_the_cache(offline):
  repository = offline / 'models--some--model'
  snapshot = shutil.copytree(TINY, repository / 'snapshots' / ('0' * 40))
  (repository / 'refs').mkdir()
  (repository / 'refs' / 'main').write_text('0' * 40)
  assert resolve('some/model') == snapshot
  _assert_equal(load_pretrained('some/model'), load_pretrained(TINY))


def test_a_directory_comes_before_a_hub_name(tiny, monkeypatch):
  monkeypatch.chdir(tiny.parent)
  assert resolve('tiny') == pathlib.Path('tiny')


@pytest.mark.parametrize('package', ['safetensors', 'huggingface_hub'])
def test_a_package_that_is_not_installed(monkeypatch, package):
  monkeypatch.setitem(sys.modules, package, None)
  source = {'safetensors': TINY, 'huggingface_hub': 'some/model'}[package]
  with pytest.raises(ImportError, match=rf'{package}: pip .*dicejax\[text\]'):
    load_pretrained(source)


def test_importing_models_imports_neither_package():
  _run("""
import sys, dicejax.models
assert not {'safetensors', 'huggingface_hub'} & set(sys.modules)
""")
