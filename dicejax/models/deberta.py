"""The encoder of DeBERTa-v2, DeBERTa-v3 and mDeBERTa: disentangled attention.

The score of a pair of tokens depends on what both are and on the distance
between them, each with the content of the other token.

Shapes: B texts, L tokens, H hidden units, N heads, D = H / N.
"""

from __future__ import annotations

import dataclasses
import functools
import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn
from jax.typing import DTypeLike

from dicejax.models.attention import attend
from dicejax.models.attention import attended_tokens
from dicejax.models.attention import probability_dropout
from dicejax.models.attention import sequence_starts
from dicejax.models.family import EncoderConfig
from dicejax.models.family import Family
from dicejax.models.family import Hidden
from dicejax.models.family import Modules
from dicejax.models.layers import ACTIVATIONS
from dicejax.models.layers import check_inputs
from dicejax.models.layers import dense
from dicejax.models.layers import layer_norm

# A token is multiplied with the key of a distance, or with its query.
_TERMS = ('c2p', 'p2c')
# How many tokens are scored with the same stretch of distances. More score
# more distances that no pair of these tokens has; fewer give matrices that are
# too small to be multiplied fast.
_BLOCK = 64


@dataclasses.dataclass(frozen=True)
class DebertaConfig(EncoderConfig):
  """The shape of a DeBERTa-v2 or v3: see `EncoderConfig`.

  The defaults are those of DeBERTa-v3 base.

  Attributes:
    type_vocab_size: the number of segments; 0 for none.
    relative_attention: True; networks without are not read.
    position_biased_input: whether embeddings have a part for the position. It
      limits the length of a row to `max_position_embeddings`.
    position_buckets: the number of groups of distances to either side. The
      nearer half of these are single distances, and the others grow with the
      distance. 0 or less: each distance is a group.
    max_relative_positions: distances from here on share a group; 0 or less
      means `max_position_embeddings`.
    pos_att_type: what attention adds to the product of query and key: 'c2p',
      the query with a key of the distance; 'p2c', the key with a query of the
      distance; both, with `|` between; or ''. A list is joined.
    share_att_key: whether the layers that make queries and keys of tokens make
      those of distances, too.
    norm_rel_ebd: 'layer_norm' for a layer norm on the embeddings of distances,
      'none' for none.
    conv_kernel_size: the number of neighbouring tokens whose embeddings are
      added to the output of the first layer by a convolution; 0 for none.
    conv_act: the activation of the convolution.

  Raises:
    ValueError: as for `EncoderConfig`, or a setting has no such value.

  Example:
    >>> DebertaConfig().max_length
    inf
  """

  vocab_size: int = 128100
  layer_norm_eps: float = 1e-7
  model_type: str = 'deberta-v2'
  type_vocab_size: int = 0
  relative_attention: bool = True
  position_biased_input: bool = False
  position_buckets: int = 256
  max_relative_positions: int = -1
  pos_att_type: str = 'p2c|c2p'
  share_att_key: bool = True
  norm_rel_ebd: str = 'layer_norm'
  conv_kernel_size: int = 0
  conv_act: str = 'tanh'

  def __post_init__(self):
    super().__post_init__()
    terms: Any = self.pos_att_type or ''
    if not isinstance(terms, str):
      terms = '|'.join(terms)
    # A list, as transformers writes it, could not be hashed.
    object.__setattr__(self, 'pos_att_type', terms)
    for name, value, possible in (
      ('relative_attention', self.relative_attention, (True,)),
      *(('pos_att_type', term, _TERMS) for term in self.terms),
      ('norm_rel_ebd', self.norm_rel_ebd, ('layer_norm', 'none')),
      ('conv_act', self.conv_act, ACTIVATIONS),
      ('attention', self.attention, ('xla',)),
    ):
      if value not in possible:
        raise ValueError(f'{name}={value!r} is not one of {list(possible)}.')
    if self.conv_kernel_size > 0 and self.conv_kernel_size % 2 == 0:
      raise ValueError(f'conv_kernel_size={self.conv_kernel_size} is not odd.')
    if self.position_buckets > 0 and not (
      0 < self.position_buckets // 2 < self.farthest - 1
    ):
      raise ValueError(
        f'position_buckets={self.position_buckets} is not a number of groups'
        f' for distances below {self.farthest}.'
      )

  @property
  def max_length(self) -> float:
    """The largest number of tokens per row; infinite without positions."""
    return (
      self.max_position_embeddings if self.position_biased_input else math.inf
    )

  @property
  def terms(self) -> tuple[str, ...]:
    """The terms that `pos_att_type` names."""
    return tuple(x.strip() for x in self.pos_att_type.split('|') if x.strip())

  @property
  def farthest(self) -> int:
    """The distance from which on all share a group."""
    if self.max_relative_positions > 0:
      return self.max_relative_positions
    return self.max_position_embeddings

  @property
  def groups(self) -> int:
    """The number of groups of distances to either side."""
    return self.position_buckets if self.position_buckets > 0 else self.farthest


class Deberta(nn.Module):
  """The encoder of DeBERTa-v2, DeBERTa-v3 and mDeBERTa.

  Dropout is applied to the embeddings, also those of distances, to the output
  of each sublayer and to the attention probabilities.

  Attributes:
    config: the shape of the network.
    dtype: the type of the computation and of the hidden states. Parameters,
      embeddings, and the statistics of layer norm and softmax stay float32.

  Example:
    >>> config = DebertaConfig(
    ...     vocab_size=9, hidden_size=8, num_hidden_layers=1,
    ...     num_attention_heads=2, intermediate_size=16)
    >>> tokens = jnp.array([[1, 2, 3, 0]])
    >>> encoder = Deberta(config)
    >>> variables = encoder.init(jax.random.key(0), tokens)
    >>> encoder.apply(variables, tokens, mask=tokens != 0).shape
    (1, 4, 8)

  References:
    He et al., `DeBERTa <https://arxiv.org/abs/2006.03654>`_, 2021.
    He et al., `DeBERTaV3 <https://arxiv.org/abs/2111.09543>`_, 2023.
  """

  config: DebertaConfig
  dtype: DTypeLike = jnp.float32

  @nn.compact
  def __call__(
    self,
    tokens: jax.Array,
    segments: jax.Array | None = None,
    mask: jax.Array | None = None,
    *,
    deterministic: bool = True,
  ) -> jax.Array:
    """Encodes a batch of token sequences; the arguments are those of `Bert`.

    Without `config.position_biased_input`, padding may be on any side.
    """
    c = self.config
    segments, mask = check_inputs(tokens, segments, mask, c.max_length)
    length = tokens.shape[1]
    embed = functools.partial(
      nn.Embed,
      features=c.hidden_size,
      embedding_init=nn.initializers.normal(c.initializer_range),
    )
    x = embed(c.vocab_size, name='tokens')(tokens)
    if c.type_vocab_size:
      x += embed(c.type_vocab_size, name='segments')(segments)
    if c.position_biased_input:
      positions = jnp.arange(length)[None]
      if mask.dtype != bool:
        positions -= sequence_starts(mask)
      x += embed(c.max_position_embeddings, name='positions')(positions)
    x = layer_norm(c.layer_norm_eps, self.dtype, 'norm')(x)
    x = nn.Dropout(c.hidden_dropout_prob)(x, deterministic)
    # Only rows that some distance in these texts uses are normalised and
    # projected.
    first, rows = _find_rows(c, length)
    distances = embed(2 * c.groups, name='distances').embedding
    distances = distances[first : first + max(rows) + 1]
    if c.norm_rel_ebd == 'layer_norm':
      norm = layer_norm(c.layer_norm_eps, self.dtype, 'distances_norm')
      distances = norm(distances)
    attended = attended_tokens(mask)
    layer = nn.remat(_Layer, static_argnums=4) if c.remat else _Layer
    for i in range(c.num_hidden_layers):
      y = layer(c, self.dtype, name=f'layer_{i}')(
        x, distances, attended, deterministic
      )
      if i == 0 and c.conv_kernel_size > 0:
        y += self._convolve(x, mask, deterministic)
        y = layer_norm(c.layer_norm_eps, self.dtype, 'conv_norm')(y)
      x = y
    return x

  def _convolve(self, x, mask, deterministic):
    c = self.config
    y = nn.DenseGeneral(
      c.hidden_size,
      axis=(-2, -1),
      dtype=self.dtype,
      kernel_init=nn.initializers.normal(c.initializer_range),
      name='conv',
    )(_gather_neighbours(x, mask, c.conv_kernel_size))
    y = nn.Dropout(c.hidden_dropout_prob)(y, deterministic)
    return ACTIVATIONS[c.conv_act](y)


class _Layer(nn.Module):
  """Self-attention and a perceptron, each with residual and layer norm."""

  config: DebertaConfig
  dtype: DTypeLike

  @nn.compact
  def __call__(self, x, distances, attended, deterministic):
    c = self.config
    linear = functools.partial(
      dense, scale=c.initializer_range, dtype=self.dtype
    )
    dropout = nn.Dropout(c.hidden_dropout_prob, deterministic=deterministic)
    layers = {name: linear(c.hidden_size, name) for name in ('query', 'key')}
    distances = dropout(distances)
    rows = _find_rows(c, x.shape[1])[1]
    size = c.hidden_size // c.num_attention_heads
    scale = (size * (1 + len(c.terms))) ** -0.5

    def split(y):  # [..., H] -> [..., N, D]
      return y.reshape(*y.shape[:-1], c.num_attention_heads, size)

    def project_distances(name):
      layer = layers[name]
      if not c.share_att_key:
        layer = linear(c.hidden_size, f'distance_{name}')
      return split(layer(distances)) * scale

    query, key = split(layers['query'](x)), split(layers['key'](x))
    bias = jnp.zeros((1, 1, 1, 1))
    if 'c2p' in c.terms:
      bias += _score_distances(query, project_distances('key')[rows])
    if 'p2c' in c.terms:
      # From the key of token j to the query of token i, the signs of all
      # distances change, and rows and columns are those of j and i.
      queries = project_distances('query')[rows[::-1]]
      bias += _score_distances(key, queries).swapaxes(2, 3)
    y = attend(
      query,
      key,
      split(linear(c.hidden_size, 'value')(x)),
      attended,
      bias=bias,
      scale=scale,
      dropout=probability_dropout(c, deterministic),
    )
    y = linear(c.hidden_size, 'out')(y.reshape(x.shape))
    x = self._norm('attention_norm')(x + dropout(y))
    y = linear(c.intermediate_size, 'up')(x)
    y = linear(c.hidden_size, 'down')(ACTIVATIONS[c.hidden_act](y))
    return self._norm('mlp_norm')(x + dropout(y))

  def _norm(self, name):
    return layer_norm(self.config.layer_norm_eps, self.dtype, name)


def _find_rows(
  config: DebertaConfig, length: int
) -> tuple[np.int64, np.ndarray]:
  """Finds the rows of the table for the distances L - 1, ..., 0, ..., 1 - L.

  Returns:
    The first row in use, and the rows `[2 L - 1]`, counted from this.
  """
  distance = np.arange(length - 1, -length, -1)
  if config.position_buckets > 0:
    middle = config.position_buckets // 2
    size = np.maximum(np.abs(distance), middle)
    part = np.log(size / middle) / np.log((config.farthest - 1) / middle)
    far = np.sign(distance) * (middle + np.ceil(part * (middle - 1)))
    near = np.abs(distance) <= middle
    distance = np.where(near, distance, far).astype(int)
  rows = np.clip(distance + config.groups, 0, 2 * config.groups - 1)
  return rows[-1], rows - rows[-1]


def _score_distances(x: jax.Array, distances: jax.Array) -> jax.Array:
  """Multiplies each token with the distances to all tokens.

  The products with all distances that occur are computed as matrices, and then
  moved so that each row begins with its own. Looking up each element takes
  many times as long on a CPU, above all for the gradient.

  Args:
    x: `[B, L, N, D]`.
    distances: `[2 L - 1, N, D]`; row L - 1 - i + j is for tokens i and j.

  Returns:
    float32 `[B, N, L, L]`.
  """
  batch, length, heads, _ = x.shape
  blocks = -(-length // _BLOCK)
  size = -(-length // blocks)
  whole = blocks * size
  width = size + length
  x = jnp.pad(x, ((0, 0), (0, whole - length), (0, 0), (0, 0)))
  distances = jnp.pad(distances, ((whole - length, 1), (0, 0), (0, 0)))
  # Those of the first tokens, from which the others are farthest to the right,
  # come last.
  stretches = [distances[i:][:width] for i in range(whole - size, -1, -size)]
  y = jnp.einsum(
    'bgsnd,gwnd->ngbsw',
    x.reshape(batch, blocks, size, heads, -1),
    jnp.stack(stretches),
    preferred_element_type=jnp.float32,
  )
  # The row of token s is to begin at column size - 1 - s. In memory, this is
  # place size - 1 + s * (width - 1): as if rows were shorter by one.
  y = y.reshape(heads, blocks, batch, size * width)[..., size - 1 : -1]
  y = y.reshape(heads, blocks, batch, size, width - 1)[..., :length]
  y = y.transpose(2, 0, 1, 3, 4)
  return y.reshape(batch, heads, whole, length)[:, :, :length]


def _gather_neighbours(x: jax.Array, mask: jax.Array, number: int) -> jax.Array:
  """Puts each token among its neighbours in the same text.

  Returns:
    `[B, L, number, H]`, 0 where a text begins or ends.
  """
  around = [(0, 0), (number // 2, number // 2)]
  texts = mask.astype(jnp.int32)
  texts_around = jnp.pad(texts, around, constant_values=-1)
  x = jnp.pad(x, [*around, (0, 0)])

  def shift(k):
    window = slice(k, k + mask.shape[1])
    same = texts_around[:, window] == texts
    return jnp.where(same[..., None], x[:, window], 0)

  return jnp.stack([shift(k) for k in range(number)], axis=2)


# The names of the modules in Hugging Face's files. Those of a layer continue
# the name and the path of the layer.
_LAYER = (
  ('attention.self.query_proj', 'query', 'dense'),
  ('attention.self.key_proj', 'key', 'dense'),
  ('attention.self.value_proj', 'value', 'dense'),
  ('attention.output.dense', 'out', 'dense'),
  ('attention.output.LayerNorm', 'attention_norm', 'norm'),
  ('intermediate.dense', 'up', 'dense'),
  ('output.dense', 'down', 'dense'),
  ('output.LayerNorm', 'mlp_norm', 'norm'),
)
_DISTANCES = {
  'c2p': ('attention.self.pos_key_proj', 'distance_key', 'dense'),
  'p2c': ('attention.self.pos_query_proj', 'distance_query', 'dense'),
}


def _modules(config: DebertaConfig) -> Modules:
  """Lists the modules of an encoder."""
  found = [
    ('embeddings.word_embeddings', 'tokens', 'embed'),
    ('embeddings.LayerNorm', 'norm', 'norm'),
    ('encoder.rel_embeddings', 'distances', 'embed'),
  ]
  if config.type_vocab_size:
    found.append(('embeddings.token_type_embeddings', 'segments', 'embed'))
  if config.position_biased_input:
    found.append(('embeddings.position_embeddings', 'positions', 'embed'))
  if config.norm_rel_ebd == 'layer_norm':
    found.append(('encoder.LayerNorm', 'distances_norm', 'norm'))
  if config.conv_kernel_size > 0:
    found.append(('encoder.conv.conv', 'conv', 'dense'))
    found.append(('encoder.conv.LayerNorm', 'conv_norm', 'norm'))
  layer = list(_LAYER)
  if not config.share_att_key:
    layer += [_DISTANCES[term] for term in config.terms]
  return tuple(found) + tuple(
    (f'encoder.layer.{i}.{theirs}', f'layer_{i}/{ours}', kind)
    for i in range(config.num_hidden_layers)
    for theirs, ours, kind in layer
  )


def _last_norm(config):
  if config.num_hidden_layers == 1 and config.conv_kernel_size > 0:
    return 'conv_norm'
  return f'layer_{config.num_hidden_layers - 1}/mlp_norm'


FAMILIES = {
  'deberta-v2': Family(
    name='DebertaV2',
    prefix='deberta.',
    config=DebertaConfig,
    encoder=Deberta,
    weights=_modules,
    text_head=(
      ('pooler.dense', 'pooler', 'dense'),
      ('classifier', 'head', 'dense'),
    ),
    hidden=lambda config: Hidden('gelu'),
    last_norm=_last_norm,
    ignored=(
      'lm_predictions.',
      'mask_predictions.',
      # Published files have it even where the config does without.
      'embeddings.position_embeddings.',
    ),
    defaults={
      'layer_norm_eps': 1e-7,
      'pad_token_id': 0,
      'attention_probs_dropout_prob': 0.1,
      'type_vocab_size': 0,
      'relative_attention': False,
      'position_biased_input': True,
      'position_buckets': -1,
      'max_relative_positions': -1,
      'pos_att_type': '',
      'share_att_key': False,
      'norm_rel_ebd': 'none',
      'conv_kernel_size': 0,
      'conv_act': 'tanh',
    },
    required={'pooler_hidden_act': 'gelu', 'conv_groups': 1},
  ),
}
