"""XLNet, as it is fine-tuned: tokens in, hidden states out.

Attention depends on the distance between tokens and on whether they are in the
same segment; there are no positions to run out of. The second stream of states,
which predicts masked tokens, is only for pretraining and left out.

Shapes: B texts, L tokens, H hidden units, N heads, D = H / N.
"""

from __future__ import annotations

import dataclasses
import functools
import math

import jax
import jax.numpy as jnp
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


@dataclasses.dataclass(frozen=True)
class XLNetConfig(EncoderConfig):
  """The shape of an XLNet: see `EncoderConfig`.

  `max_position_embeddings` and `type_vocab_size` have no influence, because
  there is a table neither of positions nor of segments.

  Attributes:
    clamp_len: the largest distance between tokens that is told from larger
      ones; all are if it is not positive.

  Raises:
    ValueError: as for `EncoderConfig`; the hidden size is odd; or the attention
      is not 'xla', the only one here.

  Example:
    >>> XLNetConfig(attention='cudnn')
    Traceback (most recent call last):
    ValueError: attention='cudnn' lacks XLNet's distances; expected 'xla'.
    >>> XLNetConfig().max_length
    inf
  """

  vocab_size: int = 32000
  pad_token_id: int | None = 5
  model_type: str = 'xlnet'
  clamp_len: int = -1

  def __post_init__(self):
    super().__post_init__()
    if self.hidden_size % 2:
      raise ValueError(f'hidden_size={self.hidden_size} is not even.')
    if self.attention != 'xla':
      raise ValueError(
        f"attention={self.attention!r} lacks XLNet's distances; expected 'xla'."
      )

  @property
  def max_length(self) -> float:
    """The largest number of tokens per row: there is no limit."""
    return math.inf


class XLNet(nn.Module):
  """The encoder of XLNet, without the stream of states that pretraining adds.

  Dropout is applied where the published code has it: to the embeddings, to the
  encodings of distances (here the same ones for all texts of a batch), to the
  attention probabilities, in the perceptron and to the output of each sublayer.
  That of the last hidden states is left to the heads.

  Attributes:
    config: the shape of the network.
    dtype: the type of the computation and of the hidden states. Parameters,
      embeddings, and the statistics of layer norm and softmax stay float32.

  Example:
    >>> config = XLNetConfig(
    ...     vocab_size=9, hidden_size=8, num_hidden_layers=1,
    ...     num_attention_heads=2, intermediate_size=16)
    >>> tokens = jnp.array([[1, 2, 3, 0]])
    >>> params = XLNet(config).init(jax.random.key(0), tokens)['params']
    >>> XLNet(config).apply({'params': params}, tokens, mask=tokens != 0).shape
    (1, 4, 8)

  References:
    Yang et al., `XLNet <https://arxiv.org/abs/1906.08237>`_, 2019.
    Dai et al., `Transformer-XL <https://arxiv.org/abs/1901.02860>`_, 2019, §3.3
    and appendix B, for attention by distance.
  """

  config: XLNetConfig
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
        Padding may be on the right or on the left.
      segments: int `[B, L]`, any numbers, which are only compared; None means
        0 everywhere.
      mask: bool or int `[B, L]`, False or 0 for padding, as for `Bert`.
      deterministic: if False, dropout is on and draws from the rng `dropout`.

    Returns:
      Hidden states `[B, L, H]` of type `dtype`, arbitrary but finite where
      `mask` is False or 0.

    Raises:
      AssertionError: ranks, shapes or types differ from the above.
    """
    c = self.config
    is_one_segment = segments is None
    segments, mask = check_inputs(tokens, segments, mask, c.max_length)
    normal = nn.initializers.normal(c.initializer_range)
    # The state that pretraining starts from. It is kept only because published
    # files have it.
    self.param('start', normal, (1, 1, c.hidden_size))
    x = nn.Embed(
      c.vocab_size, c.hidden_size, embedding_init=normal, name='tokens'
    )(tokens)
    dropout = nn.Dropout(c.hidden_dropout_prob, deterministic=deterministic)
    x = dropout(x.astype(self.dtype))
    distances = dropout(_encode_distances(c, tokens.shape[1]))
    # Published code lets padding attend to itself as well, which no other token
    # can see.
    attended = attended_tokens(mask)
    apart = None  # [B, 1, L, L], whether two tokens are in different segments.
    if not is_one_segment:
      apart = (segments[:, :, None] != segments[:, None])[:, None]
    layer = nn.remat(_Layer, static_argnums=5) if c.remat else _Layer
    for i in range(c.num_hidden_layers):
      x = layer(c, self.dtype, name=f'layer_{i}')(
        x, distances.astype(self.dtype), apart, attended, deterministic
      )
    return x


class _Layer(nn.Module):
  """Self-attention and a perceptron, each with residual and layer norm."""

  config: XLNetConfig
  dtype: DTypeLike

  @nn.compact
  def __call__(self, x, distances, apart, attended, deterministic):
    c = self.config
    dropout = nn.Dropout(c.hidden_dropout_prob, deterministic=deterministic)
    y = dropout(self._attention(x, distances, apart, attended, deterministic))
    x = layer_norm(c.layer_norm_eps, self.dtype, 'attention_norm')(x + y)
    linear = functools.partial(
      dense, scale=c.initializer_range, dtype=self.dtype
    )
    y = linear(c.intermediate_size, 'up')(x)
    y = dropout(ACTIVATIONS[c.hidden_act](y))
    y = dropout(linear(c.hidden_size, 'down')(y))
    return layer_norm(c.layer_norm_eps, self.dtype, 'mlp_norm')(x + y)

  def _attention(self, x, distances, apart, attended, deterministic):
    c = self.config
    heads = c.num_attention_heads, c.hidden_size // c.num_attention_heads
    scale = heads[1] ** -0.5

    def weigh(name, *shape):
      normal = nn.initializers.normal(c.initializer_range)
      return self.param(name, normal, (*shape, *heads)).astype(self.dtype)

    def project(x, name):  # [..., H] -> [..., N, D]
      return jnp.einsum('...h,hnd->...nd', x, weigh(name, c.hidden_size))

    query = project(x, 'query')

    # A score has three parts, for each of which the query has a bias.
    def biased(name):
      return query + weigh(name)[None, None]

    bias = _by_distance(biased('distance_bias'), project(distances, 'distance'))
    segments, segment_query = weigh('segments', 2), biased('segment_bias')
    if apart is not None:
      # What all tokens of a softmax have in common has no influence: the score
      # of another segment is taken relative to that of the same one.
      score = jnp.einsum(
        'bind,nd->bni', segment_query, segments[1] - segments[0]
      )
      bias += jnp.where(apart, score[..., None], 0)
    y = attend(
      biased('content_bias'),
      project(x, 'key'),
      project(x, 'value'),
      attended,
      bias=bias * scale,
      dropout=probability_dropout(c, deterministic),
    )
    return jnp.einsum('bind,hnd->bih', y, weigh('out', c.hidden_size))


def _encode_distances(config, length):
  """Encodes the distances L, L - 1, ..., 1 - L by sines: float32 `[2 L, H]`."""
  distances = jnp.arange(length, -length, -1.0)
  if config.clamp_len > 0:
    distances = distances.clip(-config.clamp_len, config.clamp_len)
  frequencies = 10000 ** -(
    jnp.arange(0, config.hidden_size, 2) / config.hidden_size
  )
  angles = jnp.outer(distances, frequencies)
  return jnp.concatenate([jnp.sin(angles), jnp.cos(angles)], axis=-1)


def _by_distance(query, distances):
  """Scores each pair of tokens by its distance.

  Args:
    query: `[B, L, N, D]`.
    distances: `[2 L, N, D]`, of the distances L, L - 1, ..., 1 - L.

  Returns:
    `[B, N, L, L]`, float32: for the tokens i and j the product of the query of
    i and the distance i - j.
  """
  batch, length, heads, _ = query.shape
  scores = jnp.einsum(
    'bind,pnd->bnip', query, distances, preferred_element_type=jnp.float32
  )
  # Column L - i + j of row i is wanted. Rows that are read as one, from column
  # L on, and cut into pieces of 2 L - 1, begin one column earlier each: this is
  # a copy, where an index array would make its gradient a slow scatter.
  scores = scores.reshape(batch, heads, -1)[..., length:]
  return scores.reshape(batch, heads, length, -1)[..., :length]


# The names of the modules of a layer in Hugging Face's files.
_LAYER = (
  ('rel_attn.q', 'query', 'array'),
  ('rel_attn.k', 'key', 'array'),
  ('rel_attn.v', 'value', 'array'),
  ('rel_attn.o', 'out', 'array'),
  ('rel_attn.r', 'distance', 'array'),
  ('rel_attn.seg_embed', 'segments', 'array'),
  ('rel_attn.r_w_bias', 'content_bias', 'array'),
  ('rel_attn.r_r_bias', 'distance_bias', 'array'),
  ('rel_attn.r_s_bias', 'segment_bias', 'array'),
  ('rel_attn.layer_norm', 'attention_norm', 'norm'),
  ('ff.layer_1', 'up', 'dense'),
  ('ff.layer_2', 'down', 'dense'),
  ('ff.layer_norm', 'mlp_norm', 'norm'),
)


def _modules(config):
  """Lists the modules of an encoder."""
  layers = (
    (f'layer.{i}.{theirs}', f'layer_{i}/{ours}', kind)
    for i in range(config.num_hidden_layers)
    for theirs, ours, kind in _LAYER
  )
  return (
    ('mask_emb', 'start', 'array'),
    ('word_embedding', 'tokens', 'embed'),
    *layers,
  )


FAMILIES = {
  'xlnet': Family(
    name='XLNet',
    prefix='transformer.',
    config=XLNetConfig,
    encoder=XLNet,
    weights=_modules,
    text_head=(
      ('sequence_summary.summary', 'pooler', 'dense'),
      ('logits_proj', 'head', 'dense'),
    ),
    hidden=lambda config: Hidden(),
    last_norm=lambda config: f'layer_{config.num_hidden_layers - 1}/mlp_norm',
    ignored=('lm_loss.', 'sequence_summary.', 'logits_proj.'),
    keys={
      'hidden_size': 'd_model',
      'num_hidden_layers': 'n_layer',
      'num_attention_heads': 'n_head',
      'intermediate_size': 'd_inner',
      'hidden_act': 'ff_activation',
      'hidden_dropout_prob': 'dropout',
      'attention_probs_dropout_prob': 'dropout',
    },
    fixed={'max_position_embeddings': 512, 'type_vocab_size': 2},
    defaults={'clamp_len': -1, 'pad_token_id': 5},
    required={
      'attn_type': 'bi',
      'bi_data': False,
      'untie_r': True,
      'summary_type': 'last',
      'summary_use_proj': True,
      'summary_activation': 'tanh',
    },
    classes={'QuestionAnswering': 'QuestionAnsweringSimple'},
    cls_is_last=True,
  ),
}
