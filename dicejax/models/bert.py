"""BERT and the networks that differ from it in a few places.

RoBERTa, XLM-RoBERTa and CamemBERT count positions from another number. ELECTRA
and ALBERT have narrower embeddings, and the layers of ALBERT share their
weights. DistilBERT and MPNet have no segments; MPNet adds a bias to attention
that depends on the distance between tokens.

Shapes: B texts, L tokens, H hidden units, N heads, E embedding units.
"""

from __future__ import annotations

import dataclasses
import functools

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
from dicejax.models.layers import ACTIVATIONS
from dicejax.models.layers import check_inputs
from dicejax.models.layers import dense
from dicejax.models.layers import layer_norm

# Fairseq's networks count positions from `pad_token_id + 1`.
_COUNT_FROM_PADDING = ('roberta', 'xlm-roberta', 'camembert', 'mpnet')
# Distances from here on share a bucket; no published config has another number.
_FARTHEST = 128


@dataclasses.dataclass(frozen=True)
class BertConfig(EncoderConfig):
  """The shape of a BERT or of a network like it: see `EncoderConfig`.

  Attributes:
    model_type: 'bert', 'roberta', 'xlm-roberta', 'camembert', 'electra',
      'albert', 'distilbert' or 'mpnet'.
    max_position_embeddings: rows of the table of positions. `max_length` is the
      number of tokens that fit: fewer for the networks that count positions
      from `pad_token_id + 1`, as fairseq does.
    type_vocab_size: the number of segments; 0 for a network without.
    embedding_size: the width of the embeddings; 0 for `hidden_size`.
    relative_attention_num_buckets: the number of groups of distances between
      tokens, each of which has a bias in attention; 0 for none.

  Raises:
    ValueError: as for `EncoderConfig`; the model type is not one of these; or
      it counts positions from `pad_token_id`, and there is none.

  Example:
    >>> BertConfig(hidden_size=100)
    Traceback (most recent call last):
    ValueError: num_attention_heads=12 does not divide hidden_size=100.
    >>> BertConfig(
    ...     model_type='roberta', max_position_embeddings=514, pad_token_id=1
    ... ).max_length
    512
  """

  embedding_size: int = 0
  relative_attention_num_buckets: int = 0

  def __post_init__(self):
    super().__post_init__()
    if self.model_type not in FAMILIES:
      raise ValueError(
        f'model_type={self.model_type!r} is not one of {list(FAMILIES)}.'
      )
    if self.model_type in _COUNT_FROM_PADDING and (
      self.pad_token_id is None or self.pad_token_id < 0
    ):
      raise ValueError(
        f'{self.model_type} counts positions from pad_token_id, which is'
        f' {self.pad_token_id}.'
      )

  @property
  def position_offset(self) -> int:
    """Row of `positions` that the first token uses."""
    if self.model_type in _COUNT_FROM_PADDING and self.pad_token_id is not None:
      return self.pad_token_id + 1
    return 0

  @property
  def max_length(self) -> int:
    """The largest number of tokens per row."""
    return self.max_position_embeddings - self.position_offset

  @property
  def embedding_width(self) -> int:
    """The number E of embedding units."""
    return self.embedding_size or self.hidden_size

  @property
  def has_projection(self) -> bool:
    """Whether a linear layer leads from the embeddings to the first layer."""
    return (
      self.model_type == 'albert' or self.embedding_width != self.hidden_size
    )

  @property
  def shares_layers(self) -> bool:
    """Whether all layers have the same weights."""
    return self.model_type == 'albert'


class Bert(nn.Module):
  """The encoder of BERT or of another `config.model_type`, without a pooler.

  Dropout is applied to the embeddings, to the output of each sublayer and, with
  `attention_probs_dropout_prob`, to the attention probabilities; without, a
  faster attention is used.

  Attributes:
    config: the shape of the network.
    dtype: the type of the computation and of the hidden states. Parameters,
      embeddings, and the statistics of layer norm and softmax stay float32.

  Example:
    >>> config = BertConfig(
    ...     vocab_size=9, hidden_size=8, num_hidden_layers=1,
    ...     num_attention_heads=2, intermediate_size=16)
    >>> tokens = jnp.array([[1, 2, 3, 0]])
    >>> params = Bert(config).init(jax.random.key(0), tokens)['params']
    >>> Bert(config).apply({'params': params}, tokens, mask=tokens != 0).shape
    (1, 4, 8)

  References:
    Devlin et al., `BERT <https://arxiv.org/abs/1810.04805>`_, 2019.
    Liu et al., `RoBERTa <https://arxiv.org/abs/1907.11692>`_, 2019.
    Clark et al., `ELECTRA <https://arxiv.org/abs/2003.10555>`_, 2020.
    Lan et al., `ALBERT <https://arxiv.org/abs/1909.11942>`_, 2020.
    Sanh et al., `DistilBERT <https://arxiv.org/abs/1910.01108>`_, 2019.
    Song et al., `MPNet <https://arxiv.org/abs/2004.09297>`_, 2020.
  """

  config: BertConfig
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
        Padding is on the right: the first column is the first position.
      segments: int `[B, L]`, ids below `type_vocab_size`; None means 0
        everywhere. With a single segment or none they have no influence.
      mask: bool `[B, L]`, False for padding, which no token attends to; None
        means no padding. Or int, for several sequences per row, one after the
        other: the number, from 1, of the sequence that a token belongs to, and
        0 for padding. Each sequence is encoded as if it were alone: its tokens
        attend to each other only, and its first token has the first position.
      deterministic: if False, dropout is on and draws from the rng `dropout`.

    Returns:
      Hidden states `[B, L, H]` of type `dtype`, arbitrary but finite where
      `mask` is False or 0.

    Raises:
      AssertionError: ranks, shapes or types differ from the above.
      ValueError: L is larger than `config.max_length`.
    """
    c = self.config
    segments, mask = check_inputs(tokens, segments, mask, c.max_length)
    length = tokens.shape[1]
    # Rows are looked up and added in float32, because casting a whole table in
    # each step costs more than the few rows that are used.
    embed = functools.partial(
      nn.Embed,
      features=c.embedding_width,
      embedding_init=nn.initializers.normal(c.initializer_range),
    )
    x = embed(c.vocab_size, name='tokens')(tokens)
    if c.type_vocab_size:
      x += embed(c.type_vocab_size, name='segments')(segments)
    positions = c.position_offset + jnp.arange(length)[None]
    if mask.dtype != bool:
      positions -= sequence_starts(mask)
    x += embed(c.max_position_embeddings, name='positions')(positions)
    x = layer_norm(c.layer_norm_eps, self.dtype, 'norm')(x)
    x = nn.Dropout(c.hidden_dropout_prob)(x, deterministic)
    if c.has_projection:
      project = dense(
        c.hidden_size,
        'projection',
        scale=c.initializer_range,
        dtype=self.dtype,
      )
      x = project(x)
    bias = (
      _DistanceBias(c, name='distances')(length)
      if (c.relative_attention_num_buckets)
      else None
    )
    attended = attended_tokens(mask)
    make_layer = nn.remat(_Layer, static_argnums=4) if c.remat else _Layer
    for i in range(c.num_hidden_layers):
      if i == 0 or not c.shares_layers:
        layer = make_layer(c, self.dtype, name=f'layer_{i}')
      x = layer(x, attended, bias, deterministic)
    return x


class _Layer(nn.Module):
  """Self-attention and a perceptron, each with residual and layer norm."""

  config: BertConfig
  dtype: DTypeLike

  @nn.compact
  def __call__(self, x, attended, bias, deterministic):
    c = self.config
    linear = functools.partial(
      dense, scale=c.initializer_range, dtype=self.dtype
    )
    dropout = nn.Dropout(c.hidden_dropout_prob, deterministic=deterministic)

    def project(name):  # [B, L, H] -> [B, L, N, H / N]
      y = linear(c.hidden_size, name)(x)
      return y.reshape(*y.shape[:2], c.num_attention_heads, -1)

    y = attend(
      project('query'),
      project('key'),
      project('value'),
      attended,
      bias=bias,
      dropout=probability_dropout(c, deterministic),
      # Parameters may be initialised on a CPU, where cuDNN is missing.
      implementation='xla' if self.is_initializing() else c.attention,
    )
    y = linear(c.hidden_size, 'out')(y.reshape(x.shape))
    x = self._norm('attention_norm')(x + dropout(y))
    y = linear(c.intermediate_size, 'up')(x)
    y = linear(c.hidden_size, 'down')(ACTIVATIONS[c.hidden_act](y))
    return self._norm('mlp_norm')(x + dropout(y))

  def _norm(self, name):
    return layer_norm(self.config.layer_norm_eps, self.dtype, name)


class _DistanceBias(nn.Module):
  """A bias of attention per head and group of distances: T5's and MPNet's."""

  config: BertConfig

  @nn.compact
  def __call__(self, length):
    """Returns the bias `[1, N, L, L]`, float32."""
    c = self.config
    table = nn.Embed(
      c.relative_attention_num_buckets,
      c.num_attention_heads,
      embedding_init=nn.initializers.normal(c.initializer_range),
      name='groups',
    )
    index = np.arange(length)
    groups = _group_distances(
      index[None] - index[:, None], c.relative_attention_num_buckets
    )
    return jnp.moveaxis(table(groups), -1, 0)[None]


def _group_distances(distances: np.ndarray, number: int) -> np.ndarray:
  """Returns the group of each distance, one of `number`.

  Half of the groups are for tokens to the right. Of each half, the first half
  holds a single distance per group; the others grow by a constant factor up to
  `_FARTHEST`.
  """
  half = number // 2
  single = half // 2
  size = np.abs(distances)
  with np.errstate(divide='ignore'):
    grown = np.log(size / single) / np.log(_FARTHEST / single)
  grown = np.minimum(single + grown.clip(0) * (half - single), half - 1)
  return half * (distances > 0) + np.where(size < single, size, grown).astype(
    np.int32
  )


# The names of the modules in Hugging Face's files. Those of a layer continue
# the name and the path of the layer.
_EMBEDDINGS = (
  ('embeddings.word_embeddings', 'tokens', 'embed'),
  ('embeddings.token_type_embeddings', 'segments', 'embed'),
  ('embeddings.position_embeddings', 'positions', 'embed'),
  ('embeddings.LayerNorm', 'norm', 'norm'),
)
_LAYER = (
  ('attention.self.query', 'query', 'dense'),
  ('attention.self.key', 'key', 'dense'),
  ('attention.self.value', 'value', 'dense'),
  ('attention.output.dense', 'out', 'dense'),
  ('attention.output.LayerNorm', 'attention_norm', 'norm'),
  ('intermediate.dense', 'up', 'dense'),
  ('output.dense', 'down', 'dense'),
  ('output.LayerNorm', 'mlp_norm', 'norm'),
)
_DISTILBERT_LAYER = (
  ('attention.q_lin', 'query', 'dense'),
  ('attention.k_lin', 'key', 'dense'),
  ('attention.v_lin', 'value', 'dense'),
  ('attention.out_lin', 'out', 'dense'),
  ('sa_layer_norm', 'attention_norm', 'norm'),
  ('ffn.lin1', 'up', 'dense'),
  ('ffn.lin2', 'down', 'dense'),
  ('output_layer_norm', 'mlp_norm', 'norm'),
)
_MPNET_LAYER = (
  ('attention.attn.q', 'query', 'dense'),
  ('attention.attn.k', 'key', 'dense'),
  ('attention.attn.v', 'value', 'dense'),
  ('attention.attn.o', 'out', 'dense'),
  ('attention.LayerNorm', 'attention_norm', 'norm'),
  *_LAYER[5:],
)
_ALBERT_LAYER = (
  ('attention.query', 'query', 'dense'),
  ('attention.key', 'key', 'dense'),
  ('attention.value', 'value', 'dense'),
  ('attention.dense', 'out', 'dense'),
  ('attention.LayerNorm', 'attention_norm', 'norm'),
  ('ffn', 'up', 'dense'),
  ('ffn_output', 'down', 'dense'),
  ('full_layer_layer_norm', 'mlp_norm', 'norm'),
)


def _modules(config, layer, name='encoder.layer.{}', projection=''):
  """Lists the modules of an encoder whose layers are called `name`."""
  found = [
    row for row in _EMBEDDINGS if row[1] != 'segments' or config.type_vocab_size
  ]
  if config.has_projection:
    found.append((projection, 'projection', 'dense'))
  if config.relative_attention_num_buckets:
    bias = 'encoder.relative_attention_bias'
    found.append((bias, 'distances/groups', 'embed'))
  for i in range(1 if config.shares_layers else config.num_hidden_layers):
    found += [
      (f'{name.format(i)}.{theirs}', f'layer_{i}/{ours}', kind)
      for theirs, ours, kind in layer
    ]
  return tuple(found)


def _last_norm(config):
  return f'layer_{config.num_hidden_layers - 1}/mlp_norm'


_BERT = Family(
  name='Bert',
  prefix='bert.',
  config=BertConfig,
  encoder=Bert,
  weights=functools.partial(
    _modules, layer=_LAYER, projection='embeddings_project'
  ),
  text_head=(
    ('bert.pooler.dense', 'pooler', 'dense'),
    ('classifier', 'head', 'dense'),
  ),
  hidden=lambda config: Hidden(),
  last_norm=_last_norm,
  fixed={'embedding_size': 0, 'relative_attention_num_buckets': 0},
  # Old files leave these out.
  defaults={
    'layer_norm_eps': 1e-12,
    'pad_token_id': 0,
    'attention_probs_dropout_prob': 0.1,
  },
  required={'position_embedding_type': 'absolute', 'is_decoder': False},
)
# The pooler of the others is among the weights of the classifier.
_ROBERTA = _BERT._replace(
  name='Roberta',
  prefix='roberta.',
  text_head=(
    ('classifier.dense', 'pooler', 'dense'),
    ('classifier.out_proj', 'head', 'dense'),
  ),
  defaults={**_BERT.defaults, 'pad_token_id': 1},
)
FAMILIES = {
  'bert': _BERT,
  'roberta': _ROBERTA,
  'xlm-roberta': _ROBERTA._replace(name='XLMRoberta'),
  'camembert': _ROBERTA._replace(name='Camembert'),
  'electra': _ROBERTA._replace(
    name='Electra',
    prefix='electra.',
    hidden=lambda config: Hidden('gelu'),
    ignored=('discriminator_predictions.', 'generator_'),
    fixed={'relative_attention_num_buckets': 0},
    defaults=_BERT.defaults,
  ),
  'albert': _BERT._replace(
    name='Albert',
    prefix='albert.',
    weights=functools.partial(
      _modules,
      layer=_ALBERT_LAYER,
      name='encoder.albert_layer_groups.{}.albert_layers.0',
      projection='encoder.embedding_hidden_mapping_in',
    ),
    text_head=(
      ('albert.pooler', 'pooler', 'dense'),
      ('classifier', 'head', 'dense'),
    ),
    pooler=(('pooler', 'pooler', 'dense'),),
    ignored=('predictions.', 'sop_classifier.'),
    # All layers share the last layer norm.
    last_norm=lambda config: '',
    fixed={'relative_attention_num_buckets': 0},
    required={**_BERT.required, 'num_hidden_groups': 1, 'inner_group_num': 1},
  ),
  'distilbert': _BERT._replace(
    name='DistilBert',
    prefix='distilbert.',
    weights=functools.partial(
      _modules, layer=_DISTILBERT_LAYER, name='transformer.layer.{}'
    ),
    text_head=(
      ('pre_classifier', 'pooler', 'dense'),
      ('classifier', 'head', 'dense'),
    ),
    hidden=lambda config: Hidden('relu'),
    ignored=('pre_classifier.', 'vocab_'),
    keys={
      'hidden_size': 'dim',
      'num_hidden_layers': 'n_layers',
      'num_attention_heads': 'n_heads',
      'intermediate_size': 'hidden_dim',
      'hidden_act': 'activation',
      'hidden_dropout_prob': 'dropout',
      'attention_probs_dropout_prob': 'attention_dropout',
    },
    fixed={**_BERT.fixed, 'type_vocab_size': 0, 'layer_norm_eps': 1e-12},
    defaults={'pad_token_id': 0},
  ),
  'mpnet': _ROBERTA._replace(
    name='MPNet',
    prefix='mpnet.',
    weights=functools.partial(_modules, layer=_MPNET_LAYER),
    fixed={'embedding_size': 0, 'type_vocab_size': 0},
  ),
}
