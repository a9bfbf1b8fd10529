"""Published weights in and out: Hugging Face directories <-> params."""

import dataclasses
import importlib
import json
import os
import pathlib
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import traverse_util

from dicejax.models.bert import Bert
from dicejax.models.bert import BertConfig

# One row a module: the name in the file, the path in params, the kind.
_EMBEDDINGS = (
  ('embeddings.word_embeddings', 'tokens', 'embed'),
  ('embeddings.token_type_embeddings', 'segments', 'embed'),
  ('embeddings.position_embeddings', 'positions', 'embed'),
  ('embeddings.LayerNorm', 'norm', 'norm'),
)
_LAYER = (  # The names go on from encoder.layer.{i}, the paths from layer_{i}.
  ('attention.self.query', 'query', 'dense'),
  ('attention.self.key', 'key', 'dense'),
  ('attention.self.value', 'value', 'dense'),
  ('attention.output.dense', 'out', 'dense'),
  ('attention.output.LayerNorm', 'attention_norm', 'norm'),
  ('intermediate.dense', 'up', 'dense'),
  ('output.dense', 'down', 'dense'),
  ('output.LayerNorm', 'mlp_norm', 'norm'),
)
_LEAVES = {  # A kernel is a transposed weight; the others are equal.
  'embed': (('weight', 'embedding'),),
  'norm': (('weight', 'scale'), ('bias', 'bias')),
  'dense': (('weight', 'kernel'), ('bias', 'bias')),
}
_POOLER = 'pooler.'
# What a file may hold besides the encoder.
_IGNORED = (
  _POOLER,
  'cls.',
  'lm_head.',
  'classifier.',
  'qa_outputs.',
  'embeddings.position_ids',
)
_ARCHITECTURES = {  # The classes of transformers, by model type.
  'bert': 'BertModel',
  'roberta': 'RobertaModel',
  'xlm-roberta': 'XLMRobertaModel',
  'camembert': 'CamembertModel',
}
# What a published config says; the other fields are how it is computed.
_PUBLISHED = tuple(
  field.name
  for field in dataclasses.fields(BertConfig)
  if field.name not in ('remat', 'attention')
)
# Most of these are pickles, which run code when they are read.
_OTHER_WEIGHTS = ('.bin', '.ckpt', '.h5', '.msgpack', '.pt', '.pth')
_HUB_FILES = (
  'config.json',
  '*.safetensors',
  '*.safetensors.index.json',
  'tokenizer.json',
  'tokenizer_config.json',
  'vocab.txt',
  'special_tokens_map.json',
)


def resolve(directory_or_hub_name: str | os.PathLike) -> pathlib.Path:
  """Finds the directory of a checkpoint, downloading it if it has to.

  Args:
    directory_or_hub_name: a directory, or the name of a model on the Hugging
      Face hub, such as `google-bert/bert-base-cased`. An existing directory
      is preferred; what can only be a path never reaches the network.

  Returns:
    The directory; for a hub name, the one in the hub's local cache.

  Raises:
    FileNotFoundError: there is no such directory, or the model is not in the
      cache and the hub cannot be reached.
    ImportError: a hub name without `huggingface_hub` installed.

  Example:
    >>> resolve('./no/such/model')
    Traceback (most recent call last):
    FileNotFoundError: no/such/model is not a directory.
  """
  name = os.fspath(directory_or_hub_name)
  path = pathlib.Path(os.path.expanduser(name))
  if path.is_dir():
    return path
  if (
    path.exists()
    or path.is_absolute()
    or name.startswith('.')
    or name.count('/') > 1
    or isinstance(directory_or_hub_name, os.PathLike)
  ):
    raise FileNotFoundError(f'{path} is not a directory.')
  hub = _import('huggingface_hub')
  try:
    return pathlib.Path(hub.snapshot_download(name, allow_patterns=_HUB_FILES))
  except FileNotFoundError as error:
    raise FileNotFoundError(
      f'{name!r} is no directory and not in the local cache of the hub, and'
      f' the hub cannot be reached. Run `hf download {name}` where there is'
      ' a network and bring the cache here, or pass a directory.'
    ) from error


def load_pretrained(
  directory_or_hub_name: str | os.PathLike,
) -> tuple[BertConfig, dict[str, Any]]:
  """Reads a BERT or RoBERTa encoder from `config.json` and safetensors.

  Weights of a pooler or of a head are left out; names may start with `bert.`
  or `roberta.` and end in the old `gamma` and `beta`. Pickled weights are
  never read.

  Args:
    directory_or_hub_name: what `resolve` takes.

  Returns:
    The config, and the tree of `Bert(config).init(...)['params']` with float32
    numpy arrays: they stay on the host until something places them.

  Raises:
    FileNotFoundError: there is no such directory, file or hub model.
    ImportError: `safetensors` or `huggingface_hub` is not installed.
    ValueError: the config is not one of such an encoder, the weights are only
      there as pickles, or they do not fit the config: one message names the
      file and every weight that is missing, surplus or wrongly shaped.

  Example:
    >>> import tempfile
    >>> config = BertConfig(
    ...     vocab_size=9, hidden_size=8, num_hidden_layers=1,
    ...     num_attention_heads=2, intermediate_size=16)
    >>> tokens = jnp.array([[1, 2, 3]])
    >>> params = Bert(config).init(jax.random.key(0), tokens)['params']
    >>> with tempfile.TemporaryDirectory() as directory:
    ...   save_pretrained(directory, config, params)
    ...   config, params = load_pretrained(directory)
    >>> Bert(config).apply({'params': params}, tokens).shape
    (1, 3, 8)
  """
  directory = resolve(directory_or_hub_name)
  config = _read_config(directory / 'config.json')
  file = _find_weights(directory)
  weights = _read_weights(file, lambda name: not name.startswith(_IGNORED))
  _check(file, weights, _shapes(config))
  return config, _to_params(weights, _names(config))


def load_pooler(
  directory_or_hub_name: str | os.PathLike,
) -> dict[str, np.ndarray] | None:
  """Reads the pooler of a checkpoint, for a `TextClassifier`.

  Args:
    directory_or_hub_name: what `resolve` takes.

  Returns:
    `kernel` and `bias`, float32 numpy arrays `[hidden_size, hidden_size]` and
    `[hidden_size]`: the `pooler` of the classifier's params. None where the
    checkpoint has no pooler.

  Raises:
    FileNotFoundError, ImportError, ValueError: as `load_pretrained` does.

  Example:
    >>> import tempfile
    >>> config = BertConfig(
    ...     vocab_size=9, hidden_size=8, num_hidden_layers=1,
    ...     num_attention_heads=2, intermediate_size=16)
    >>> tokens = jnp.array([[1, 2, 3]])
    >>> params = Bert(config).init(jax.random.key(0), tokens)['params']
    >>> with tempfile.TemporaryDirectory() as directory:
    ...   save_pretrained(directory, config, params)
    ...   load_pooler(directory) is None
    True
  """
  directory = resolve(directory_or_hub_name)
  size = _read_config(directory / 'config.json').hidden_size
  file = _find_weights(directory)
  weights = _read_weights(file, lambda name: name.startswith(_POOLER))
  if not weights:
    return None
  names = _expand([('pooler.dense', 'pooler', 'dense')])
  shapes = {'pooler/kernel': (size, size), 'pooler/bias': (size,)}
  _check(file, weights, {names[path]: shapes[path] for path in names})
  return _to_params(weights, names)['pooler']


def save_pretrained(
  directory: str | os.PathLike,
  config: BertConfig,
  params: Mapping[str, Any],
) -> None:
  """Writes `config.json` and `model.safetensors`, as `load_pretrained` reads.

  Hugging Face's `AutoModel.from_pretrained` reads them, too; its pooler, which
  this encoder lacks, it fills at random.

  Args:
    directory: where to write; it is made if need be.
    config: the shape of the encoder.
    params: its parameters, the tree of `Bert(config).init(...)['params']`;
      they are stored as float32.

  Raises:
    FileExistsError: one of the two files is there already.
    ImportError: `safetensors` is not installed.
    ValueError: the parameters do not fit the config.

  Example: see `load_pretrained`.
  """
  safetensors = _import('safetensors.numpy')
  directory = pathlib.Path(directory)
  file = directory / 'model.safetensors'
  weights = _export(config, params)
  _check(file, weights, _shapes(config))
  for path in (directory / 'config.json', file):
    if path.exists():
      raise FileExistsError(f'{path} exists; choose another directory.')
  directory.mkdir(parents=True, exist_ok=True)
  safetensors.save_file(
    {n: np.ascontiguousarray(x, np.float32) for n, x in weights.items()},
    file,
    metadata={'format': 'pt'},  # transformers asks for it.
  )
  values = {
    'architectures': [_ARCHITECTURES[config.model_type]],
    'attention_probs_dropout_prob': 0.0,  # Bert has none.
    **{name: getattr(config, name) for name in _PUBLISHED},
  }
  (directory / 'config.json').write_text(json.dumps(values, indent=2) + '\n')


def _names(config):
  """Path in params -> name in the file, for every weight of the encoder."""
  rows = _EMBEDDINGS + tuple(
    (f'encoder.layer.{i}.{name}', f'layer_{i}/{path}', kind)
    for i in range(config.num_hidden_layers)
    for name, path, kind in _LAYER
  )
  return _expand(rows)


def _expand(rows):
  """Path in params -> name in the file, for every weight of the modules."""
  return {
    f'{path}/{ours}': f'{name}.{theirs}'
    for name, path, kind in rows
    for theirs, ours in _LEAVES[kind]
  }


def _to_params(weights, names):
  params = {
    path: np.ascontiguousarray(_flip(path, weights[name]), np.float32)
    for path, name in names.items()
  }
  return traverse_util.unflatten_dict(params, sep='/')


def _flip(path, x):
  return x.T if path.endswith('/kernel') else x


def _export(config, params):
  """Params by their names and in their layout in the file."""
  names = _names(config)
  return {
    names.get(path, path): _flip(path, x)
    for path, x in traverse_util.flatten_dict(params, sep='/').items()
  }


def _shapes(config):
  """Name in the file -> shape, for every weight of the encoder."""

  def init():
    tokens = jnp.zeros((1, 1), jnp.int32)
    variables = Bert(config).init(jax.random.key(0), tokens)
    return _export(config, variables['params'])

  return {name: x.shape for name, x in jax.eval_shape(init).items()}


def _check(file, weights, shapes):
  """Raises unless the weights have these shapes, all of them and no other."""
  problems = [f'missing: {n}' for n in shapes if n not in weights]
  for name, x in weights.items():
    if name not in shapes:
      problems.append(f'surplus: {name}')
    elif x.shape != shapes[name]:
      problems.append(f'wrong shape: {name} is {x.shape}, not {shapes[name]}')
    elif not jnp.issubdtype(x.dtype, jnp.floating):
      problems.append(f'wrong type: {name} is {x.dtype}, not a float')
  if problems:
    raise ValueError(f'{file} does not fit:\n  ' + '\n  '.join(problems))


def _read_config(file):
  try:
    values = json.loads(file.read_text('utf-8'))
  except ValueError as error:
    raise ValueError(f'{file} is not JSON: {error}') from error
  if not isinstance(values, dict):
    raise ValueError(f'{file} holds no config: {values!r}.')
  kind = values.get('model_type')
  if kind not in _ARCHITECTURES:
    raise ValueError(
      f'{file}: model_type is {kind!r}, not one of {list(_ARCHITECTURES)}.'
    )
  for key, wanted in (
    ('position_embedding_type', 'absolute'),
    ('is_decoder', False),
  ):
    if values.get(key, wanted) != wanted:
      raise ValueError(
        f'{file}: {key} is {values[key]!r}; only {wanted!r} is read.'
      )
  # What transformers takes where old files leave it out.
  defaults = {'layer_norm_eps': 1e-12, 'pad_token_id': int(kind != 'bert')}
  values = defaults | values
  missing = [k for k in _PUBLISHED if k not in values]
  if missing:
    raise ValueError(f'{file} lacks {", ".join(missing)}.')
  try:
    return BertConfig(**{k: values[k] for k in _PUBLISHED})
  except (TypeError, ValueError) as error:
    raise ValueError(f'{file}: {error}') from error


def _find_weights(directory):
  """The one file of weights, or the index of several."""
  for name in ('model.safetensors', 'model.safetensors.index.json'):
    if (directory / name).is_file():
      return directory / name
  advice = (
    'Pickled weights and other formats are not read. Convert them once:'
    ' transformers.AutoModel.from_pretrained(OLD)'
    '.save_pretrained(NEW, safe_serialization=True).'
  )
  others = [p.name for p in directory.iterdir() if p.suffix in _OTHER_WEIGHTS]
  if others:
    raise ValueError(f'{directory} only holds {", ".join(others)}. {advice}')
  raise FileNotFoundError(f'{directory} holds no model.safetensors. {advice}')


def _read_weights(file, wanted):
  """The weights by their names of today, if `wanted(name)`, as stored."""
  safetensors = _import('safetensors')
  files = [file]
  if file.suffix == '.json':
    try:
      shards = json.loads(file.read_text('utf-8'))['weight_map'].values()
    except (ValueError, KeyError) as error:
      raise ValueError(f'{file} is no index of weights: {error!r}.') from error
    files = [file.parent / shard for shard in sorted(set(shards))]
  weights = {}
  for file in files:
    try:
      with safetensors.safe_open(file, 'np') as stored:
        for key in stored.keys():
          name = key.removeprefix('bert.').removeprefix('roberta.')
          if not wanted(name):
            continue
          name = name.replace('.gamma', '.weight').replace('.beta', '.bias')
          if name in weights:
            raise ValueError(f'{file} has {name} a second time, as {key}.')
          weights[name] = stored.get_tensor(key)
    except safetensors.SafetensorError as error:
      raise ValueError(f'{file}: {error}') from error
  return weights


def _import(module):
  # Loading is for [train]: the core installs and imports without these.
  try:
    return importlib.import_module(module)
  except ImportError as error:
    raise ImportError(
      f'Loading and saving weights needs {module}:'
      " pip install 'dicejax[train]'."
    ) from error
