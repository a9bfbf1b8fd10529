"""The encoder of ModernBERT and mmBERT.

Shapes: B texts, L tokens, H hidden units, N heads, D = H / N, W tokens that a
token of a local layer sees on each side.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn
from jax.typing import DTypeLike

from dicejax.models.attention import attend
from dicejax.models.attention import attended_tokens
from dicejax.models.attention import probability_dropout
from dicejax.models.family import EncoderConfig
from dicejax.models.family import Family
from dicejax.models.family import Hidden
from dicejax.models.layers import ACTIVATIONS
from dicejax.models.layers import check_inputs
from dicejax.models.layers import dense
from dicejax.models.layers import layer_norm

_FULL, _LOCAL = 'full_attention', 'sliding_attention'


@dataclasses.dataclass(frozen=True)
class ModernBertConfig(EncoderConfig):
  """The shape of a ModernBERT: see `EncoderConfig`. Defaults are the base's.

  Attributes:
    hidden_dropout_prob: dropout inside the perceptrons, `mlp_dropout` in
      Hugging Face's configs.
    attention_probs_dropout_prob: dropout of attention probabilities and of the
      outputs of attention, `attention_dropout` in Hugging Face's configs.
    embedding_dropout: dropout of the embeddings.
    max_position_embeddings: the largest number of tokens of a row. Positions
      have no table.
    global_attn_every_n_layers: the first of so many layers is global: tokens
      attend to all tokens. In the others, which are local, they attend to those
      at a distance of up to `local_attention // 2`.
    global_rope_theta: the base of the wavelengths by which queries and keys of
      global layers are rotated.
    local_rope_theta: the same for local layers.
    attention_bias: whether the linear layers of attention have biases.
    mlp_bias: whether those of the perceptrons have them.
    norm_bias: whether layer norms have them.
    classifier_activation: the activation of the layer before the logits.
    classifier_bias: whether this layer has a bias.

  Raises:
    ValueError: as for `EncoderConfig`; or the number of hidden units per head
      is odd, there is no global layer, or the last activation is unknown.

  Example:
    >>> ModernBertConfig(hidden_size=12, num_attention_heads=4)
    Traceback (most recent call last):
    ValueError: 3 hidden units per head cannot be rotated in pairs.
  """

  vocab_size: int = 50368
  num_hidden_layers: int = 22
  intermediate_size: int = 1152
  hidden_dropout_prob: float = 0.0
  attention_probs_dropout_prob: float = 0.0
  max_position_embeddings: int = 8192
  type_vocab_size: int = 0
  layer_norm_eps: float = 1e-5
  pad_token_id: int | None = 50283
  model_type: str = 'modernbert'
  embedding_dropout: float = 0.0
  global_attn_every_n_layers: int = 3
  local_attention: int = 128
  global_rope_theta: float = 160_000.0
  local_rope_theta: float = 10_000.0
  attention_bias: bool = False
  mlp_bias: bool = False
  norm_bias: bool = False
  classifier_activation: str = 'gelu'
  classifier_bias: bool = False

  def __post_init__(self):
    super().__post_init__()
    size = self.hidden_size // self.num_attention_heads
    if size % 2:
      raise ValueError(
        f'{size} hidden units per head cannot be rotated in pairs.'
      )
    if self.global_attn_every_n_layers < 1:
      raise ValueError(
        'global_attn_every_n_layers is at least 1, not '
        f'{self.global_attn_every_n_layers}.'
      )
    if self.classifier_activation not in ACTIVATIONS:
      raise ValueError(
        f'classifier_activation={self.classifier_activation!r} is not one of '
        f'{list(ACTIVATIONS)}.'
      )

  def is_local(self, layer: int) -> bool:
    """Whether the tokens of a layer only attend to those near them."""
    return layer % self.global_attn_every_n_layers != 0


class ModernBert(nn.Module):
  """The encoder of ModernBERT, called as `Bert` is.

  Positions are angles by which pairs of hidden units of queries and keys are
  rotated, so that scores depend on distances only: several sequences in a row
  are as if alone wherever they begin. There are no segments; those given have
  no influence.

  In rows of at least `2 * local_attention` tokens, local layers compare blocks
  of `local_attention // 2` tokens with themselves and their two neighbours, not
  all tokens with all.

  Attributes:
    config: the shape of the network.
    dtype: the type of the computation and of the hidden states. Parameters,
      embeddings, angles, and the statistics of layer norm and softmax stay
      float32.

  Example:
    >>> config = ModernBertConfig(
    ...     vocab_size=9, hidden_size=8, num_hidden_layers=2,
    ...     num_attention_heads=2, intermediate_size=16)
    >>> tokens = jnp.array([[1, 2, 3, 0]])
    >>> encoder = ModernBert(config)
    >>> params = encoder.init(jax.random.key(0), tokens)['params']
    >>> encoder.apply({'params': params}, tokens, mask=tokens != 0).shape
    (1, 4, 8)

  References:
    Warner et al., `Smarter, Better, Faster, Longer
    <https://arxiv.org/abs/2412.13663>`_, 2024.
    Marone et al., `mmBERT <https://arxiv.org/abs/2509.06888>`_, 2025.
    Su et al., `RoFormer <https://arxiv.org/abs/2104.09864>`_, 2021.
  """

  config: ModernBertConfig
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
    """Encodes a batch of token sequences.

    Args:
      tokens: int `[B, L]`, ids below `vocab_size`; a larger id gives NaN.
      segments: int `[B, L]` or None; not used.
      mask: bool or int `[B, L]`, as for `Bert`.
      deterministic: if False, dropout is on and draws from the rng `dropout`.

    Returns:
      Hidden states `[B, L, H]` of type `dtype`, arbitrary but finite where
      `mask` is False or 0.

    Raises:
      AssertionError, ValueError: as for `Bert`.
    """
    c = self.config
    _, mask = check_inputs(tokens, segments, mask, c.max_length)
    x = nn.Embed(
      c.vocab_size,
      c.hidden_size,
      embedding_init=nn.initializers.normal(c.initializer_range),
      name='tokens',
    )(tokens)
    x = _norm(c, self.dtype, 'norm')(x)
    x = nn.Dropout(c.embedding_dropout)(x, deterministic)
    everywhere = attended_tokens(mask)
    near, block = _near_tokens(mask, everywhere, c)
    make_layer = nn.remat(_Layer, static_argnums=4) if c.remat else _Layer
    for i in range(c.num_hidden_layers):
      is_local = c.is_local(i)
      layer = make_layer(
        c, self.dtype, i == 0, block if is_local else 0, name=f'layer_{i}'
      )
      theta = c.local_rope_theta if is_local else c.global_rope_theta
      angles = _angles(tokens.shape[1], c, theta)
      x = layer(x, angles, near if is_local else everywhere, deterministic)
    return _norm(c, self.dtype, 'final_norm')(x)


class _Layer(nn.Module):
  """Attention and a gated perceptron, each after a layer norm.

  Attributes:
    is_first: whether it follows the layer norm of the embeddings, and needs
      none itself.
    block: the size W of the blocks that attention compares, 0 for none.
  """

  config: ModernBertConfig
  dtype: DTypeLike
  is_first: bool
  block: int

  @nn.compact
  def __call__(self, x, angles, attended, deterministic):
    c = self.config
    y = x if self.is_first else _norm(c, self.dtype, 'attention_norm')(x)
    y = self._attention(y, angles, attended, deterministic)
    dropout = nn.Dropout(c.attention_probs_dropout_prob)
    x += dropout(y, deterministic)
    y = _norm(c, self.dtype, 'mlp_norm')(x)
    y = self._linear(2 * c.intermediate_size, c.mlp_bias, 'up')(y)
    y, gate = jnp.split(y, 2, axis=-1)
    y = ACTIVATIONS[c.hidden_act](y) * gate
    y = nn.Dropout(c.hidden_dropout_prob)(y, deterministic)
    return x + self._linear(c.hidden_size, c.mlp_bias, 'down')(y)

  def _attention(self, x, angles, attended, deterministic):
    c = self.config
    y = self._linear(3 * c.hidden_size, c.attention_bias, 'qkv')(x)
    y = y.reshape(*x.shape[:2], 3 * c.num_attention_heads, -1)
    query, key, value = jnp.split(y, 3, axis=2)  # Each is [B, L, N, D].
    query, key = _rotate(query, angles), _rotate(key, angles)
    if self.block:
      query = _blocks(query, self.block)
      key, value = (_neighbours(y, self.block) for y in (key, value))
    y = attend(
      query,
      key,
      value,
      attended,
      dropout=probability_dropout(c, deterministic),
      # Parameters may be initialised on a CPU, where cuDNN is missing.
      implementation='xla' if self.is_initializing() else c.attention,
    )
    y = y.reshape(len(x), -1, c.hidden_size)[:, : x.shape[1]]
    return self._linear(c.hidden_size, c.attention_bias, 'out')(y)

  def _linear(self, features, use_bias, name):
    scale = self.config.initializer_range
    return dense(
      features, name, scale=scale, dtype=self.dtype, use_bias=use_bias
    )


def _near_tokens(mask, everywhere, config):
  """Says which tokens each token of a local layer attends to.

  Returns:
    `attended` as `attend` expects it, and the size of the blocks that queries
    and keys have to be divided into, or 0.
  """
  length, reach = mask.shape[1], config.local_attention // 2
  if length <= reach + 1:
    return everywhere, 0
  if not reach or length < 4 * reach or config.attention == 'cudnn':
    index = np.arange(length)
    near = np.abs(index[:, None] - index) <= reach
    return everywhere & near[None, None], 0
  number = mask.astype(jnp.int32)  # Padding, 0, attends to padding.
  keys = _neighbours(number, reach, -1)[:, None]
  queries = _blocks(number, reach, -1)[:, :, None]
  near = (
    np.abs(reach + np.arange(reach)[:, None] - np.arange(3 * reach)) <= reach
  )
  return ((keys == queries) & near[None])[:, None], reach


def _blocks(x, size, fill=0):
  """Divides rows into blocks, `[B, L, ...]` -> `[B * n, size, ...]`."""
  x = _pad(x, 0, -x.shape[1] % size, fill)
  return x.reshape(-1, size, *x.shape[2:])


def _neighbours(x, size, fill=0):
  """Returns each block and its neighbours, `[B * n, 3 * size, ...]`."""
  more = -x.shape[1] % size
  x = _pad(x, size, size + more, fill)
  length = x.shape[1] - 2 * size
  return jnp.concatenate(
    [_blocks(x[:, i : i + length], size) for i in (0, size, 2 * size)], axis=1
  )


def _pad(x, before, after, fill):
  widths = [(0, 0), (before, after)] + [(0, 0)] * (x.ndim - 2)
  return jnp.pad(x, widths, constant_values=fill)


def _angles(length, config, theta):
  """Returns cosine and sine of the angle of each position and pair of units.

  Both are float32 `[L, 1, D / 2]`.
  """
  size = config.hidden_size // config.num_attention_heads
  # Computed in float64: an angle of thousands has few decimals in float32.
  frequencies = theta ** -(np.arange(0, size, 2) / size)
  angles = np.arange(length)[:, None, None] * frequencies
  return np.cos(angles).astype(np.float32), np.sin(angles).astype(np.float32)


def _rotate(x, angles):
  """Rotates pairs of units; the pairs are the halves of `[B, L, N, D]`."""
  cos, sin = (y[None] for y in angles)
  first, second = jnp.split(x.astype(jnp.float32), 2, axis=-1)
  return jnp.concatenate(
    [first * cos - second * sin, second * cos + first * sin], axis=-1
  ).astype(x.dtype)


def _norm(config, dtype, name):
  return layer_norm(
    config.layer_norm_eps, dtype, name, use_bias=config.norm_bias
  )


def _weights(config):
  """Lists the modules by their names in Hugging Face's files."""
  norm = 'norm' if config.norm_bias else 'scale'
  attention = 'dense' if config.attention_bias else 'kernel'
  mlp = 'dense' if config.mlp_bias else 'kernel'
  layer = (
    ('attn_norm', 'attention_norm', norm),
    ('attn.Wqkv', 'qkv', attention),
    ('attn.Wo', 'out', attention),
    ('mlp_norm', 'mlp_norm', norm),
    ('mlp.Wi', 'up', mlp),
    ('mlp.Wo', 'down', mlp),
  )
  return (
    ('embeddings.tok_embeddings', 'tokens', 'embed'),
    ('embeddings.norm', 'norm', norm),
    *(
      (f'layers.{i}.{theirs}', f'layer_{i}/{ours}', kind)
      for i in range(config.num_hidden_layers)
      for theirs, ours, kind in layer[i == 0 :]
    ),
    ('final_norm', 'final_norm', norm),
  )


def _hidden(config):
  return Hidden(
    config.classifier_activation,
    bias=config.classifier_bias,
    norm=True,
    norm_bias=config.norm_bias,
    on_tokens=True,
  )


def _read(values: Mapping[str, Any]) -> dict[str, Any]:
  """Names the settings of attention as older config.json files do."""
  found = dict(values)
  rotations = values.get('rope_parameters') or {}
  for kind, theta in (
    (_FULL, 'global_rope_theta'),
    (_LOCAL, 'local_rope_theta'),
  ):
    rotation = rotations.get(kind) or {}
    rotation = {**rotation, **(values.get('rope_scaling') or {})}
    if (how := rotation.get('rope_type', 'default')) != 'default':
      raise ValueError(f"rope_type is {how!r}; only 'default' is read.")
    if 'rope_theta' in rotation:
      found[theta] = rotation['rope_theta']
  if found.get('local_rope_theta', 0) is None:
    found['local_rope_theta'] = found.get(
      'global_rope_theta', ModernBertConfig.global_rope_theta
    )
  if kinds := values.get('layer_types'):
    found['global_attn_every_n_layers'] = _period(kinds)
  return found


def _period(kinds):
  """Returns the number n for which every n-th layer is global."""
  period = kinds.index(_FULL, 1) if _FULL in kinds[1:] else len(kinds)
  if kinds != [_LOCAL if i % period else _FULL for i in range(len(kinds))]:
    raise ValueError(
      f'layer_types is {kinds}; only {_FULL!r} at regular distances, from the '
      f'first layer, and {_LOCAL!r} between are read.'
    )
  return period


_POOLER = (
  ('head.dense', 'pooler', 'dense'),
  ('head.norm', 'pooler/norm', 'norm'),
)
_HEAD = (*_POOLER, ('classifier', 'head', 'dense'))
# The fields that a config.json has to have; the others are those of the base.
_REQUIRED = (
  'vocab_size',
  'hidden_size',
  'num_hidden_layers',
  'num_attention_heads',
  'intermediate_size',
)
_UNPUBLISHED = ('type_vocab_size', 'model_type', 'remat', 'attention')
FAMILIES = {
  'modernbert': Family(
    name='ModernBert',
    prefix='model.',
    config=ModernBertConfig,
    encoder=ModernBert,
    weights=_weights,
    text_head=_HEAD,
    token_head=_HEAD,
    span_head=_HEAD,
    hidden=_hidden,
    pooling='classifier_pooling',
    # The last layers of its masked language model.
    pooler=_POOLER,
    ignored=('head.', 'decoder.'),
    # Standardising hidden states needs a bias.
    last_norm=lambda config: 'final_norm' if config.norm_bias else '',
    read=_read,
    keys={
      'hidden_act': 'hidden_activation',
      'hidden_dropout_prob': 'mlp_dropout',
      'attention_probs_dropout_prob': 'attention_dropout',
      'layer_norm_eps': 'norm_eps',
    },
    fixed={'type_vocab_size': 0},
    defaults={
      field.name: field.default
      for field in dataclasses.fields(ModernBertConfig)
      if field.name not in _REQUIRED + _UNPUBLISHED
    },
  ),
}
