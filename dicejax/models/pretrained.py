"""Loading and saving encoders as Hugging Face directories."""

from __future__ import annotations

import dataclasses
import importlib
import json
import os
import pathlib
from collections.abc import Mapping
from typing import Any

import numpy as np

from dicejax.models import _weights
from dicejax.models.families import FAMILIES
from dicejax.models.families import find_family
from dicejax.models.family import EncoderConfig

# The section of a config.json for this library, and the model type of networks
# that transformers has no class for and must not take for another.
OWN = 'dicejax'
# Parts of a published model of any family that are not the encoder.
_IGNORED = (
  'pooler.',
  'cls.',
  'lm_head.',
  'classifier.',
  'qa_outputs.',
  'embeddings.position_ids',
)
# Fields of a config that only say how to compute.
_UNPUBLISHED = ('remat', 'attention', 'model_type')
# Most of these formats are pickles, which can run code when they are read.
_OTHER_WEIGHTS = ('.bin', '.ckpt', '.h5', '.msgpack', '.pt', '.pth')
_HUB_FILES = (
  'config.json',
  '*.safetensors',
  '*.safetensors.index.json',
  'tokenizer.json',
  'tokenizer_config.json',
  'vocab.txt',
  'added_tokens.json',
  'special_tokens_map.json',
  'modules.json',
  '1_Pooling/config.json',
)


def resolve(directory_or_hub_name: str | os.PathLike) -> pathlib.Path:
  """Finds the directory of a checkpoint, downloading it if necessary.

  Args:
    directory_or_hub_name: a directory, or the name of a model on the Hugging
      Face hub, such as `google-bert/bert-base-cased`. An existing directory
      comes first. Anything that can only be a path is never looked up on the
      hub.

  Returns:
    The directory; for a hub name, the directory in the hub's local cache.

  Raises:
    FileNotFoundError: the directory does not exist, or the model is not in the
      cache and the hub cannot be reached.
    ImportError: `huggingface_hub` is not installed and the name needs it.

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
      f'{name!r} is neither a directory nor in the local cache of the hub,'
      f' and the hub cannot be reached. Run `hf download {name}` on a machine'
      ' with a network and copy its cache here, or pass a directory.'
    ) from error


def load_pretrained(
  directory_or_hub_name: str | os.PathLike,
) -> tuple[EncoderConfig, dict[str, Any]]:
  """Reads an encoder from `config.json` and safetensors.

  Its `model_type` is one of `FAMILIES`. Weights of a pooler or of a head are
  skipped. Names may start with the prefix of the family, and end in `gamma` and
  `beta` as in old files. Pickled weights are never read.

  Args:
    directory_or_hub_name: as for `resolve`.

  Returns:
    The config, and a tree like `make_encoder(config).init(...)['params']` of
    float32 numpy arrays. They stay on the host until they are put on a device.

  Raises:
    FileNotFoundError: the directory, a file or the model on the hub is missing.
    ImportError: `safetensors` or `huggingface_hub` is not installed.
    ValueError: the config does not describe such an encoder, the weights are
      only there as pickles, or they do not fit the config. The message names
      the file and weights that are missing, surplus or of a wrong shape.

  Example:
    >>> import tempfile
    >>> import jax, jax.numpy as jnp
    >>> from dicejax.models import Bert, BertConfig
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
  config = read_config(directory / 'config.json')
  names = _weights.encoder_names(config)
  file = find_weights(directory)
  weights = read_weights(
    file,
    config,
    lambda name: name in names.values() or not is_other(name, config),
  )
  _weights.check(file, weights, _weights.encoder_shapes(config))
  return config, _weights.to_params(weights, names)


def load_pooler(
  directory_or_hub_name: str | os.PathLike,
) -> dict[str, np.ndarray] | None:
  """Reads the pooler of a checkpoint, for a `TextClassifier`.

  Args:
    directory_or_hub_name: as for `resolve`.

  Returns:
    `kernel` and `bias`, float32 numpy arrays `[H, H]` and `[H]` with H =
    `hidden_size`: the `pooler` of the classifier's parameters. None if the
    checkpoint has no pooler. ModernBERT's is that of its masked language model,
    from which taggers start, too: `kernel` and `norm`.

  Raises:
    FileNotFoundError, ImportError, ValueError: as for `load_pretrained`.

  Example:
    >>> import tempfile
    >>> import jax, jax.numpy as jnp
    >>> from dicejax.models import Bert, BertConfig
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
  config = read_config(directory / 'config.json')
  size = config.hidden_size
  names = _weights.pooler_names(config)
  file = find_weights(directory)
  starts = tuple({name.split('.')[0] + '.' for name in names.values()})
  weights = read_weights(file, config, lambda name: name.startswith(starts))
  if not weights:
    return None
  shapes = {
    name: (size, size) if path.endswith('kernel') else (size,)
    for path, name in names.items()
  }
  _weights.check(file, weights, shapes)
  return _weights.to_params(weights, names)['pooler']


def save_pretrained(
  directory: str | os.PathLike,
  config: EncoderConfig,
  params: Mapping[str, Any],
) -> None:
  """Writes `config.json` and `model.safetensors` for `load_pretrained`.

  Hugging Face's `AutoModel.from_pretrained` reads them as well. It initialises
  its pooler at random, because this encoder has none.

  Args:
    directory: where to write. It is created if it does not exist.
    config: the shape of the encoder.
    params: its parameters, a tree like that of `load_pretrained`. They are
      stored as float32.

  Raises:
    FileExistsError: one of the two files exists already.
    ImportError: `safetensors` is not installed.
    ValueError: the parameters do not fit the config.

  Example: see `load_pretrained`.
  """
  directory = pathlib.Path(directory)
  file = directory / 'model.safetensors'
  weights = _weights.to_weights(_weights.encoder_names(config), params)
  _weights.check(file, weights, _weights.encoder_shapes(config))
  architecture = f'{find_family(config).name}Model'
  write(directory, weights, config, {'architectures': [architecture]})


def write(directory, weights, config, values):
  """Writes weights, and a config with further values, to a directory."""
  safetensors = _import('safetensors.numpy')
  file, config_file = directory / 'model.safetensors', directory / 'config.json'
  for path in (config_file, file):
    if path.exists():
      raise FileExistsError(f'{path} exists; choose another directory.')
  directory.mkdir(parents=True, exist_ok=True)
  # `save_file` would make a file that its owner alone may read.
  file.write_bytes(
    safetensors.save(
      {n: np.ascontiguousarray(x, np.float32) for n, x in weights.items()},
      metadata={'format': 'pt'},  # transformers refuses files without it.
    )
  )
  # Where two fields have one key there, the first is written.
  keys = reversed(_keys(config.model_type))
  published = {theirs: getattr(config, ours) for ours, theirs in keys}
  values = {'model_type': config.model_type, **published, **values}
  text = json.dumps(values, indent=2, ensure_ascii=False)
  config_file.write_text(f'{text}\n', encoding='utf-8')


def read_values(file: pathlib.Path) -> dict[str, Any]:
  """Reads the values of a `config.json`, whatever they are."""
  try:
    values = json.loads(file.read_text('utf-8'))
  except ValueError as error:
    raise ValueError(f'{file} is not JSON: {error}') from error
  if not isinstance(values, dict):
    raise ValueError(f'{file} must hold an object, got {values!r}.')
  return values


def read_config(file: pathlib.Path) -> EncoderConfig:
  """Reads the shape of an encoder."""
  values = read_values(file)
  own = values.get(OWN)
  if values.get('model_type') == OWN and isinstance(own, dict):
    values['model_type'] = own.get('model_type')
  kind: Any = values.get('model_type')
  if kind not in FAMILIES:
    raise ValueError(
      f'{file}: model_type is {kind!r}, not one of {list(FAMILIES)}.'
    )
  family = FAMILIES[kind]
  try:
    values = family.read(values)
  except ValueError as error:
    raise ValueError(f'{file}: {error}') from error
  for key, wanted in family.required.items():
    if values.get(key, wanted) != wanted:
      raise ValueError(
        f'{file}: {key} is {values[key]!r}; only {wanted!r} is read.'
      )
  keys = dict(_keys(kind))
  defaults = {keys[name]: value for name, value in family.defaults.items()}
  values = defaults | values
  if missing := [key for key in keys.values() if key not in values]:
    raise ValueError(f'{file} lacks {", ".join(missing)}.')
  fields = {ours: values[theirs] for ours, theirs in keys.items()}
  for name, value in fields.items():
    is_number = type(getattr(family.config, name)) is int
    if is_number and not isinstance(value, int | None):
      raise ValueError(f'{file}: {keys[name]} is {value!r}, not an integer.')
  try:
    return family.config(model_type=kind, **fields, **family.fixed)
  except (TypeError, ValueError) as error:
    raise ValueError(f'{file}: {error}') from error


def _keys(model_type) -> list[tuple[str, str]]:
  """Lists the fields that a `config.json` has, here and there."""
  family = FAMILIES[model_type]
  return [
    (field.name, family.keys.get(field.name, field.name))
    for field in dataclasses.fields(family.config)
    if field.name not in _UNPUBLISHED and field.name not in family.fixed
  ]


def is_other(name, config):
  """Whether a weight is of another part of a model than the encoder."""
  return name.startswith(_IGNORED + find_family(config).ignored)


def find_weights(directory):
  """Returns the file of weights, or the index of several files."""
  for name in ('model.safetensors', 'model.safetensors.index.json'):
    if (directory / name).is_file():
      return directory / name
  advice = (
    'Pickled weights and other formats are not supported. Convert them once:'
    ' transformers.AutoModel.from_pretrained(OLD)'
    '.save_pretrained(NEW, safe_serialization=True).'
  )
  others = [p.name for p in directory.iterdir() if p.suffix in _OTHER_WEIGHTS]
  if others:
    raise ValueError(f'{directory} only holds {", ".join(others)}. {advice}')
  raise FileNotFoundError(f'{directory} holds no model.safetensors. {advice}')


def read_weights(file, config, wanted):
  """Reads the weights for which `wanted(name)`, by their current names.

  Names have no prefix of the family.
  """
  prefix = find_family(config).prefix
  safetensors = _import('safetensors')
  files = [file]
  if file.suffix == '.json':
    try:
      shards = json.loads(file.read_text('utf-8'))['weight_map'].values()
    except (ValueError, KeyError) as error:
      raise ValueError(
        f'{file} is not an index of weights: {error!r}.'
      ) from error
    files = [file.parent / shard for shard in sorted(set(shards))]
  weights = {}
  for file in files:
    try:
      with safetensors.safe_open(file, 'np') as stored:
        for key in stored.keys():
          name = key.removeprefix(prefix)
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
  # These packages come with [text]. The library works without them.
  try:
    return importlib.import_module(module)
  except ImportError as error:
    raise ImportError(
      f"Loading and saving weights needs {module}: pip install 'dicejax[text]'."
    ) from error
