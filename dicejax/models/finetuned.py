"""Fine-tuned models as Hugging Face directories: an encoder and its head."""

from __future__ import annotations

import os
import pathlib
from collections.abc import Mapping
from typing import Any
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn
from flax import traverse_util

from dicejax.models import _weights
from dicejax.models import pretrained
from dicejax.models.families import find_family
from dicejax.models.family import EncoderConfig
from dicejax.models.heads import SpanExtractor
from dicejax.models.heads import TextClassifier
from dicejax.models.heads import TokenTagger
from dicejax.models.pretrained import OWN

_TASKS = {  # Head -> end of the name of its class in transformers.
  TokenTagger: 'TokenClassification',
  TextClassifier: 'SequenceClassification',
  SpanExtractor: 'QuestionAnswering',
}


class FineTuned(NamedTuple):
  """A model that was fine-tuned for a task.

  Attributes:
    model: a `TokenTagger`, `TextClassifier` or `SpanExtractor`.
    params: its parameters, float32 numpy arrays.
    labels: names of its outputs, in order; () for a `SpanExtractor`.
    values: everything that config.json holds; under `dicejax`, what this
      library adds.
  """

  model: nn.Module
  params: dict[str, Any]
  labels: tuple[str, ...]
  values: dict[str, Any]


def load_finetuned(directory_or_hub_name: str | os.PathLike) -> FineTuned:
  """Reads an encoder of any of the families with its head.

  It may be of this library's or of transformers' making.

  Args:
    directory_or_hub_name: as for `resolve`. `architectures` in its config.json
      is a class for token classification, sequence classification or question
      answering.

  Raises:
    FileNotFoundError, ImportError, ValueError: as for `load_pretrained`; or the
      config does not describe such a head.
  """
  directory = pretrained.resolve(directory_or_hub_name)
  file = directory / 'config.json'
  config, values = pretrained.read_config(file), pretrained.read_values(file)
  for key in ('id2label', OWN):
    if not isinstance(values.get(key) or {}, dict):
      raise ValueError(f'{file}: {key} is {values[key]!r}, not an object.')
  task = _find_task(file, values, config)
  names = _names(config, task)
  file = pretrained.find_weights(directory)
  weights = pretrained.read_weights(
    file,
    config,
    lambda name: (
      name in names.values() or not pretrained.is_other(name, config)
    ),
  )
  head = weights.get(names['head/kernel'], np.zeros((0, 0)))
  labels = _read_labels(values, len(head), task)
  model = _make_model(config, task, len(labels), values)
  _weights.check(file, weights, _shapes(model, names))
  return FineTuned(model, _weights.to_params(weights, names), labels, values)


def save_finetuned(
  directory: str | os.PathLike,
  model: nn.Module,
  params: Mapping[str, Any],
  labels: tuple[str, ...] = (),
  own: Mapping[str, Any] | None = None,
  *,
  several: bool = False,
) -> None:
  """Writes config.json and model.safetensors of a model with its head.

  `AutoModelForTokenClassification`, `…ForSequenceClassification` or
  `…ForQuestionAnswering` of transformers reads them, and computes the same
  logits. It refuses a `TextClassifier` that pools by the mean, except where its
  class can do so (ModernBERT's). A single logit of a classifier becomes two, 0
  and itself, whose softmax is its sigmoid.

  Args:
    directory: where to write. It is created if it does not exist.
    model: a `TokenTagger`, `TextClassifier` or `SpanExtractor`.
    params: its parameters.
    labels: names of its outputs, in order; two for a single logit.
    own: values for this library, the section `dicejax` of config.json.
    several: whether the logits of a `TextClassifier` are independent, each for
      a label that a text may have: transformers calls these a multi-label
      classification.

  Raises:
    FileExistsError: one of the two files exists already.
    ValueError: transformers has no class for the head, or the parameters do not
      fit the model.

  Example:
    >>> import tempfile
    >>> from dicejax.models import BertConfig
    >>> config = BertConfig(
    ...     vocab_size=9, hidden_size=8, num_hidden_layers=1,
    ...     num_attention_heads=2, intermediate_size=16)
    >>> tagger = TokenTagger(config, num_labels=2)
    >>> tokens = jnp.array([[1, 2, 3]])
    >>> params = tagger.init(jax.random.key(0), tokens)['params']
    >>> with tempfile.TemporaryDirectory() as directory:
    ...   save_finetuned(directory, tagger, params, ('O', 'B-PER'))
    ...   found = load_finetuned(directory)
    >>> found.labels, sorted(found.params)
    (('O', 'B-PER'), ['encoder', 'head'])
  """
  task = _TASKS.get(type(model))
  if task is None:
    raise ValueError(
      f'transformers has no class for the head of a {type(model).__name__}: '
      f'expected one of {", ".join(kind.__name__ for kind in _TASKS)}.'
    )
  config: EncoderConfig = model.config
  if getattr(model, 'num_labels', 0) == 1 and not several:
    model, params = _with_two_logits(model, params)
  names = _names(config, task)
  weights = _weights.to_weights(names, params)
  directory = pathlib.Path(directory)
  file = directory / 'model.safetensors'
  _weights.check(file, weights, _shapes(model, names))
  own = {'model_type': config.model_type, **(own or {})}
  values: dict[str, Any] = {
    'architectures': [_class_name(config, task)],
  }
  if labels:
    values['id2label'] = {str(i): label for i, label in enumerate(labels)}
    values['label2id'] = {label: i for i, label in enumerate(labels)}
  if task == 'SequenceClassification':
    kind = 'multi' if several else 'single'
    values['problem_type'] = f'{kind}_label_classification'
    own['pooling'] = model.pooling
    if key := find_family(config).pooling:
      values[key] = model.pooling
    elif model.pooling != 'cls':
      values['model_type'] = OWN
  weights = _weights.to_weights(_names_in_file(config, task), params)
  pretrained.write(directory, weights, config, values | {OWN: own})


def _class_name(config, task) -> str:
  """Returns the name of the class in transformers."""
  family = find_family(config)
  return f'{family.name}For{family.classes.get(task, task)}'


def _find_task(file, values, config) -> str:
  """Returns the task of the class that the config names."""
  classes = values.get('architectures') or []
  ends = find_family(config).classes
  for task in _TASKS.values():
    end = f'For{ends.get(task, task)}'
    if any(str(name).endswith(end) for name in classes):
      return task
  raise ValueError(
    f'{file}: architectures is {classes}; expected a class for '
    f'{", ".join(ends.get(task, task) for task in _TASKS.values())}.'
  )


def _read_labels(values, number, task) -> tuple[str, ...]:
  """Returns the names of the outputs; transformers calls others LABEL_0, …"""
  if task == 'QuestionAnswering':
    return ()
  names = values.get('id2label') or {}
  return tuple(str(names.get(str(i), f'LABEL_{i}')) for i in range(number))


def _make_model(config, task, number, values) -> nn.Module:
  if task == 'QuestionAnswering':
    return SpanExtractor(config)
  if task == 'TokenClassification':
    return TokenTagger(config, number)
  own = values.get(OWN) or {}
  pooling = values.get(find_family(config).pooling, 'cls')
  return TextClassifier(config, number, pooling=own.get('pooling', pooling))


def _with_two_logits(model, params):
  """Turns a single logit into two, of which the first is 0."""
  head = {name: np.asarray(x) for name, x in params['head'].items()}
  head = {
    name: np.concatenate([np.zeros_like(x), x], axis=-1)
    for name, x in head.items()
  }
  return model.clone(num_labels=2), {**params, 'head': head}


def _names_in_file(config, task):
  """Maps path to name, for all weights of a model."""
  prefix = find_family(config).prefix
  encoder = _weights.encoder_names(config)
  return {
    f'encoder/{path}': prefix + name for path, name in encoder.items()
  } | _weights.head_names(task, config)


def _names(config, task):
  """Maps path to name without the prefix of the family."""
  prefix = find_family(config).prefix
  names = _names_in_file(config, task)
  return {path: name.removeprefix(prefix) for path, name in names.items()}


def _shapes(model, names):
  tokens = jnp.zeros((1, 1), jnp.int32)
  shapes = jax.eval_shape(model.init, jax.random.key(0), tokens)['params']
  flat: dict[str, Any] = traverse_util.flatten_dict(shapes, sep='/')
  return {
    names[path]: x.shape[::-1] if path.endswith('/kernel') else x.shape
    for path, x in flat.items()
  }
