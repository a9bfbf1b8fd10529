"""Reads the best checkpoint of a run of the training program."""

from __future__ import annotations

import json
import pathlib
from collections.abc import Mapping
from collections.abc import Sequence
from typing import Any
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import traverse_util

from dicejax.models import EncoderConfig
from dicejax.models import FineTuned
from dicejax.models import SpanExtractor
from dicejax.models import TextClassifier
from dicejax.models import TokenTagger
from dicejax.models import find_family
from dicejax.models import load_pretrained
from dicejax.models import make_config
from dicejax.text.answers import AnswerSettings


class Moments(NamedTuple):
  """Mean and standard deviation of hidden states, each `[H]`."""

  mean: np.ndarray
  scale: np.ndarray


def standardize(params: Any, moments: Moments, config: EncoderConfig) -> Any:
  """Changes an encoder so that its hidden states are standardised.

  Args:
    params: parameters of the encoder.
    moments: mean and deviation of its hidden states.
    config: the shape of the encoder, which ends with a layer norm.

  Returns:
    Parameters whose last layer norm subtracts the mean and divides by the
    standard deviation: an affine map, which its scale and bias can express.
  """
  flat = traverse_util.flatten_dict(params, sep='/')
  norm = find_family(config).last_norm(config)
  scale, bias = flat[f'{norm}/scale'], flat[f'{norm}/bias']
  flat[f'{norm}/scale'] = scale / moments.scale
  flat[f'{norm}/bias'] = (bias - moments.mean) / moments.scale
  return traverse_util.unflatten_dict(flat, sep='/')


def check_is_model(directory: pathlib.Path) -> None:
  """Raises FileNotFoundError for a directory that holds no model."""
  if not (directory / 'config.json').is_file():
    raise FileNotFoundError(
      f'{directory} holds no model: there is no config.json.'
    )


def is_run(directory: pathlib.Path) -> bool:
  """Whether a directory is the workdir of a run of `python -m train`."""
  file = directory / 'config.json'
  if not file.is_file():
    return False
  try:
    values = json.loads(file.read_text('utf-8'))
  except ValueError:
    return False
  return isinstance(values, dict) and {'task', 'loss'} <= values.keys()


def read_run(directory: pathlib.Path) -> FineTuned:
  """Reads the best checkpoint of a run.

  Args:
    directory: the workdir of a run of `python -m train`.

  Raises:
    FileNotFoundError: the directory holds no run with a checkpoint.
    ImportError: orbax-checkpoint is not installed.
    ValueError: the run is of a task that is not loaded here, or its checkpoint
      is damaged.
  """
  settings = json.loads((directory / 'config.json').read_text('utf-8'))
  if settings.get('runs'):
    inside = ', '.join(str(directory / name) for name in settings['runs'])
    raise FileNotFoundError(
      f'{directory} holds several runs; name one: {inside}.'
    )
  step = _best(directory / 'checkpoints')
  meta = _read_meta(step)
  labels = tuple(meta['labels'])
  # How the run computed depends on its devices.
  encoder = meta['encoder'] | {'remat': False, 'attention': 'xla'}
  model = _make_model(settings, make_config(**encoder), labels)
  params = _read_params(step / 'params', model, 'weights' in meta)
  if 'weights' in meta:  # The encoder is frozen, and not in the checkpoint.
    published, encoder = load_pretrained(directory / 'encoder')
    moments = Moments(*(np.array(x, np.float32) for x in meta['moments']))
    encoder = standardize(encoder, moments, published)
    params = {**params, 'encoder': encoder}
  own = describe(settings, meta['tuned'])
  return FineTuned(model, params, labels, {'dicejax': own})


def describe(
  settings: Mapping[str, Any], tuned: Mapping[str, float]
) -> dict[str, Any]:
  """Describes how a model is used: the section `dicejax` of a config.json.

  Args:
    settings: the config of its run.
    tuned: parameters of the decision, tuned on dev.
  """
  own = {
    'task': settings['task'],
    'max_length': settings['max_length'],
    'tuned': dict(tuned),
  }
  if settings['task'] == 'classification':
    own['positive'] = settings['classification']['positive']
  if settings['task'] == 'span_qa':
    known = set(AnswerSettings._fields)
    answers = {n: x for n, x in settings['span_qa'].items() if n in known}
    sigmoid = settings['loss']['activation'] == 'sigmoid'
    own['answers'] = answers | {'sigmoid': sigmoid}
  return own


def _best(checkpoints: pathlib.Path) -> pathlib.Path:
  """Returns the directory of the best checkpoint; the latest one knows it."""
  paths = checkpoints.iterdir() if checkpoints.is_dir() else ()
  if steps := [int(path.name) for path in paths if path.name.isdigit()]:
    if best := _read_meta(checkpoints / str(max(steps)))['best']:
      return checkpoints / str(best[0])
  raise FileNotFoundError(f'{checkpoints} has no checkpoint with a score yet.')


def _read_meta(step: pathlib.Path) -> dict[str, Any]:
  """Reads what a checkpoint says about its parameters."""
  try:
    return json.loads((step / 'meta' / 'metadata').read_text('utf-8'))
  except (OSError, ValueError) as error:
    raise ValueError(f'{step} is damaged: {error}.') from None


def _make_model(settings, encoder, labels: Sequence[str]):
  task, sigmoid = settings['task'], settings['loss']['activation'] == 'sigmoid'
  if task == 'tagging':
    return TokenTagger(encoder, len(labels))
  if task == 'span_qa':
    return SpanExtractor(encoder)
  if task not in ('classification', 'multi_label'):
    raise ValueError(
      f'A run of {task!r} is not loaded: expected tagging, classification, '
      'multi_label or span_qa. `python -m train.predict` applies it.'
    )
  pooling = settings['model'].get('pooling', 'cls')
  outputs = 1 if sigmoid and task == 'classification' else len(labels)
  return TextClassifier(encoder, outputs, pooling=pooling)


def _read_params(path, model, without_encoder: bool) -> dict[str, Any]:
  try:
    import orbax.checkpoint as ocp
  except ImportError as error:
    raise ImportError(
      'Loading the directory of a run needs orbax-checkpoint: pip install '
      "'dicejax[train]', or export the run: python -m train.export."
    ) from error
  tokens = jnp.zeros((1, 1), jnp.int32)
  like = jax.eval_shape(model.init, jax.random.key(0), tokens)['params']
  if without_encoder:
    like = {name: x for name, x in like.items() if name != 'encoder'}
  sharding = jax.sharding.SingleDeviceSharding(jax.devices()[0])
  like = jax.tree.map(lambda x: x.update(sharding=sharding), like)
  with ocp.StandardCheckpointer() as checkpointer:
    try:
      return jax.device_get(checkpointer.restore(path.absolute(), like))
    except (OSError, ValueError, KeyError) as error:
      reason = str(error).splitlines()[0].rstrip('.')
      raise ValueError(f'{path.parent} is damaged: {reason}.') from None
