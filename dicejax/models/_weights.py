"""Names and layouts of weights: parameters here <-> safetensors there.

A path, such as `layer_0/query/kernel`, leads to a parameter in the tree of
`Bert`. A name, such as `encoder.layer.0.attention.self.query.weight`, is what
Hugging Face's files call the same weight.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
from flax import traverse_util

from dicejax.models.bert import Bert

# One row per module: name, path, kind.
_EMBEDDINGS = (
  ('embeddings.word_embeddings', 'tokens', 'embed'),
  ('embeddings.token_type_embeddings', 'segments', 'embed'),
  ('embeddings.position_embeddings', 'positions', 'embed'),
  ('embeddings.LayerNorm', 'norm', 'norm'),
)
_LAYER = (  # Names continue encoder.layer.{i}, paths continue layer_{i}.
  ('attention.self.query', 'query', 'dense'),
  ('attention.self.key', 'key', 'dense'),
  ('attention.self.value', 'value', 'dense'),
  ('attention.output.dense', 'out', 'dense'),
  ('attention.output.LayerNorm', 'attention_norm', 'norm'),
  ('intermediate.dense', 'up', 'dense'),
  ('output.dense', 'down', 'dense'),
  ('output.LayerNorm', 'mlp_norm', 'norm'),
)
# The modules on top of an encoder, for each task that transformers has a class
# for. RoBERTa's classifier has its pooler among its own weights.
_HEADS = {
  'TokenClassification': (('classifier', 'head', 'dense'),),
  'QuestionAnswering': (('qa_outputs', 'head', 'dense'),),
  'SequenceClassification': (
    ('pooler.dense', 'pooler', 'dense'),
    ('classifier', 'head', 'dense'),
  ),
}
_ROBERTA_CLASSIFIER = (
  ('classifier.dense', 'pooler', 'dense'),
  ('classifier.out_proj', 'head', 'dense'),
)
_LEAVES = {  # A kernel is the transposed weight; the others are the same.
  'embed': (('weight', 'embedding'),),
  'norm': (('weight', 'scale'), ('bias', 'bias')),
  'dense': (('weight', 'kernel'), ('bias', 'bias')),
}


def encoder_names(config):
  """Maps path to name, for every weight of the encoder."""
  layers = tuple(
    (f'encoder.layer.{i}.{name}', f'layer_{i}/{path}', kind)
    for i in range(config.num_hidden_layers)
    for name, path, kind in _LAYER
  )
  return _expand(_EMBEDDINGS + layers)


def pooler_names():
  """Maps path to name, for the weights of the pooler."""
  return _expand([('pooler.dense', 'pooler', 'dense')])


def head_names(task, model_type):
  """Maps path to name, for the weights on top of the encoder.

  Args:
    task: the end of the name of the class in transformers, one of `_HEADS`.
    model_type: as in `BertConfig`.
  """
  if task == 'SequenceClassification' and model_type != 'bert':
    return _expand(_ROBERTA_CLASSIFIER)
  return _expand(_HEADS[task])


def _expand(rows):
  return {
    f'{path}/{ours}': f'{name}.{theirs}'
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
    variables = Bert(config).init(jax.random.key(0), tokens)
    return to_weights(encoder_names(config), variables['params'])

  return {name: x.shape for name, x in jax.eval_shape(init).items()}


def check(file, weights, shapes):
  """Raises ValueError unless the weights are exactly those in `shapes`."""
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
