"""Names and layouts of weights: parameters here <-> safetensors there.

A path, such as `layer_0/query/kernel`, leads to a parameter in the tree of an
encoder. A name, such as `encoder.layer.0.attention.self.query.weight`, is what
Hugging Face's files call the same weight, without the prefix of the family.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
from flax import traverse_util

from dicejax.models.families import find_family
from dicejax.models.families import make_encoder

_SHOWN = 4  # Problems of a kind: a file of another family has hundreds.
_LEAVES = {  # A kernel is the transposed weight; the others are the same.
  'embed': (('weight', 'embedding'),),
  'norm': (('weight', 'scale'), ('bias', 'bias')),
  'dense': (('weight', 'kernel'), ('bias', 'bias')),
  # Without biases.
  'scale': (('weight', 'scale'),),
  'kernel': (('weight', 'kernel'),),
  'array': (('', ''),),  # A parameter that is no module.
}


def encoder_names(config):
  """Maps path to name, for every weight of the encoder."""
  return _expand(find_family(config).weights(config))


def pooler_names(config):
  """Maps path to name, for the weights of the pooler."""
  return _without_absent(_expand(find_family(config).pooler), config)


def head_names(task, config):
  """Maps path to name, for the weights on top of the encoder.

  These are names in a file: a pooler may have the prefix of the encoder.

  Args:
    task: the end of the name of the class in transformers.
    config: the config of the encoder.
  """
  family = find_family(config)
  heads = {
    'TokenClassification': family.token_head,
    'QuestionAnswering': family.span_head,
    'SequenceClassification': family.text_head,
  }
  return _without_absent(_expand(heads[task]), config)


def _without_absent(names, config):
  """Leaves out the biases that the layer before the logits does not have."""
  hidden = find_family(config).hidden(config)
  absent = {'pooler/bias': hidden.bias, 'pooler/norm/bias': hidden.norm_bias}
  return {path: name for path, name in names.items() if absent.get(path, True)}


def _expand(rows):
  return {
    f'{path}/{ours}'.rstrip('/'): f'{name}.{theirs}'.rstrip('.')
    for name, path, kind in rows
    for theirs, ours in _LEAVES[kind]
  }


def to_params(weights, names):
  """Arranges weights by name as a tree of float32 parameters."""
  params = {
    path: np.ascontiguousarray(_flip(path, weights[name]), np.float32)
    for path, name in names.items()
  }
  return traverse_util.unflatten_dict(params, sep='/')


def _flip(path, x):
  return x.T if path.endswith('/kernel') else x


def to_weights(names, params):
  """Returns parameters by their names and in their layout in the file."""
  return {
    names.get(path, path): _flip(path, x)
    for path, x in traverse_util.flatten_dict(params, sep='/').items()
  }


def encoder_shapes(config):
  """Maps name to shape, for every weight of the encoder."""

  def init():
    tokens = jnp.zeros((1, 1), jnp.int32)
    variables = make_encoder(config).init(jax.random.key(0), tokens)
    return to_weights(encoder_names(config), variables['params'])

  return {name: x.shape for name, x in jax.eval_shape(init).items()}


def check(file, weights, shapes):
  """Raises ValueError unless the weights are exactly those in `shapes`."""
  missing = [name for name in shapes if name not in weights]
  surplus = [name for name in weights if name not in shapes]
  wrong_shape, wrong_type = [], []
  for name in weights.keys() & shapes.keys():
    x, shape = weights[name], shapes[name]
    if x.shape != shape:
      wrong_shape.append(f'{name} is {x.shape}, not {shape}')
    elif not jnp.issubdtype(x.dtype, jnp.floating):
      wrong_type.append(f'{name} is {x.dtype}, not a float')
  problems = {
    'missing': missing,
    'surplus': surplus,
    'wrong shape': sorted(wrong_shape),
    'wrong type': sorted(wrong_type),
  }
  lines = []
  for kind, found in problems.items():
    lines += [f'{kind}: {problem}' for problem in found[:_SHOWN]]
    if len(found) > _SHOWN:
      lines.append(f'{kind}: {len(found) - _SHOWN} more')
  if lines:
    raise ValueError(f'{file} does not fit:\n  ' + '\n  '.join(lines))
