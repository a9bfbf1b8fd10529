"""The encoder of BERT and RoBERTa: tokens in, hidden states out.

Shapes: B texts, L tokens, H hidden units, N heads.
"""

from __future__ import annotations

import dataclasses
import functools
from typing import Literal

import chex
import jax
import jax.numpy as jnp
from flax import linen as nn
from jax.typing import DTypeLike

# The published weights were trained with the exact GELU. The tanh approximation
# differs by up to 5e-4 per element, so it only answers to its own names.
_ACTIVATIONS = {
  'gelu': functools.partial(jax.nn.gelu, approximate=False),
  'gelu_new': functools.partial(jax.nn.gelu, approximate=True),
  'gelu_pytorch_tanh': functools.partial(jax.nn.gelu, approximate=True),
  'relu': jax.nn.relu,
}
# One network trained on several corpora. It differs from BERT only in the row
# of `positions` that the first token uses.
_ROBERTA = ('roberta', 'xlm-roberta', 'camembert')
_ATTENTIONS = ('xla', 'cudnn')


@dataclasses.dataclass(frozen=True)
class BertConfig:
  """The shape of an encoder. Names are Hugging Face's, defaults BERT base's.

  Attributes:
    model_type: 'bert', 'roberta', 'xlm-roberta' or 'camembert'. The last three
      are the same network: it counts positions from `pad_token_id + 1`, as
      fairseq does, and `max_length` is smaller by this number.
    max_position_embeddings: rows of the table of positions. `max_length` is the
      number of tokens that fit.
    remat: whether to recompute each layer for its gradient instead of storing
      its activations, which saves memory and costs one more forward pass. Like
      `attention`, it is not part of a published config and does not change the
      parameters.
    attention: 'xla', or 'cudnn' for NVIDIA's flash attention, which needs a GPU
      and `dtype` bfloat16 in `Bert`. JAX raises an error where cuDNN lacks a
      case, such as gradients at odd lengths.

  Raises:
    ValueError: the heads do not divide the hidden size; the activation, the
      model type or the attention is unknown; RoBERTa has no `pad_token_id`.

  Example:
    >>> BertConfig(hidden_size=100)
    Traceback (most recent call last):
    ValueError: num_attention_heads=12 does not divide hidden_size=100.
    >>> BertConfig(
    ...     model_type='roberta', max_position_embeddings=514, pad_token_id=1
    ... ).max_length
    512
  """

  vocab_size: int = 30522
  hidden_size: int = 768
  num_hidden_layers: int = 12
  num_attention_heads: int = 12
  intermediate_size: int = 3072
  hidden_act: str = 'gelu'
  hidden_dropout_prob: float = 0.1
  max_position_embeddings: int = 512
  type_vocab_size: int = 2
  layer_norm_eps: float = 1e-12
  pad_token_id: int | None = 0
  initializer_range: float = 0.02
  model_type: str = 'bert'
  remat: bool = False
  attention: Literal['xla', 'cudnn'] = 'xla'

  def __post_init__(self):
    if self.num_attention_heads < 1 or (
      self.hidden_size % self.num_attention_heads
    ):
      raise ValueError(
        f'num_attention_heads={self.num_attention_heads} does not divide'
        f' hidden_size={self.hidden_size}.'
      )
    if self.hidden_act not in _ACTIVATIONS:
      raise ValueError(
        f'hidden_act={self.hidden_act!r} is not one of {list(_ACTIVATIONS)}.'
      )
    if self.model_type not in (types := ['bert', *_ROBERTA]):
      raise ValueError(f'model_type={self.model_type!r} is not one of {types}.')
    if self.attention not in _ATTENTIONS:
      raise ValueError(
        f'attention={self.attention!r} is not one of {list(_ATTENTIONS)}.'
      )
    if self.model_type != 'bert' and (
      self.pad_token_id is None or self.pad_token_id < 0
    ):
      raise ValueError(
        f'{self.model_type} counts positions from pad_token_id, which is'
        f' {self.pad_token_id}.'
      )

  @property
  def position_offset(self) -> int:
    """Row of `positions` that the first token uses."""
    if self.model_type == 'bert' or self.pad_token_id is None:
      return 0
    return self.pad_token_id + 1

  @property
  def max_length(self) -> int:
    """The largest number of tokens per row."""
    return self.max_position_embeddings - self.position_offset


class Bert(nn.Module):
  """The encoder of BERT or, with that `config.model_type`, RoBERTa. No pooler.

  Dropout is applied to the embeddings and to the output of each sublayer, but
  not to the attention probabilities, because `jax.nn.dot_product_attention` has
  no dropout. `attention_probs_dropout_prob` therefore has no counterpart here.

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
        everywhere. With a single segment (RoBERTa) they have no influence.
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
    if segments is None:
      segments = jnp.zeros_like(tokens)
    if mask is None:
      mask = jnp.ones_like(tokens, bool)
    chex.assert_rank(tokens, 2)
    chex.assert_equal_shape([tokens, segments, mask])
    packed = mask.dtype != bool
    chex.assert_type(
      [tokens, segments, mask], [int, int, int if packed else bool]
    )
    length = tokens.shape[1]
    if length > c.max_length:
      raise ValueError(
        f'{length} tokens are more than max_length={c.max_length}.'
      )
    # Rows are looked up and added in float32, because casting a whole table in
    # each step costs more than the few rows that are used.
    embed = functools.partial(
      nn.Embed,
      features=c.hidden_size,
      embedding_init=nn.initializers.normal(c.initializer_range),
    )
    x = embed(c.vocab_size, name='tokens')(tokens)
    x += embed(c.type_vocab_size, name='segments')(segments)
    positions = c.position_offset + jnp.arange(length)[None]
    if packed:
      positions -= _starts(mask)
    x += embed(c.max_position_embeddings, name='positions')(positions)
    x = _norm(c, self.dtype, 'norm')(x)
    x = nn.Dropout(c.hidden_dropout_prob)(x, deterministic)
    # attended[b, i, j]: token i attends to token j.
    attended = mask[:, None] == mask[:, :, None] if packed else mask[:, None]
    attended = jnp.broadcast_to(  # [B, 1, L, L], the same for all heads
      attended[:, None], (len(x), 1, length, length)
    )
    layer = nn.remat(_Layer, static_argnums=3) if c.remat else _Layer
    for i in range(c.num_hidden_layers):
      x = layer(c, self.dtype, name=f'layer_{i}')(x, attended, deterministic)
    return x


class _Layer(nn.Module):
  """Self-attention and a perceptron, each with residual and layer norm."""

  config: BertConfig
  dtype: DTypeLike

  @nn.compact
  def __call__(self, x, attended, deterministic):
    c = self.config
    dense = functools.partial(
      nn.Dense,
      dtype=self.dtype,
      kernel_init=nn.initializers.normal(c.initializer_range),
    )
    dropout = nn.Dropout(c.hidden_dropout_prob, deterministic=deterministic)

    def project(name):  # [B, L, H] -> [B, L, N, H / N]
      y = dense(c.hidden_size, name=name)(x)
      return y.reshape(*y.shape[:2], c.num_attention_heads, -1)

    y = jax.nn.dot_product_attention(
      project('query'),
      project('key'),
      project('value'),
      mask=attended,
      # Parameters may be initialised on a CPU, where cuDNN is missing.
      implementation='xla' if self.is_initializing() else c.attention,
    )
    y = dense(c.hidden_size, name='out')(y.reshape(x.shape))
    x = _norm(c, self.dtype, 'attention_norm')(x + dropout(y))
    y = dense(c.intermediate_size, name='up')(x)
    y = dense(c.hidden_size, name='down')(_ACTIVATIONS[c.hidden_act](y))
    return _norm(c, self.dtype, 'mlp_norm')(x + dropout(y))


def _starts(sequences):
  """Index within the row at which each token's sequence begins, `[B, L]`."""
  begins = jnp.diff(sequences, prepend=-1) != 0
  index = jnp.arange(sequences.shape[1])[None]
  return jax.lax.cummax(jnp.where(begins, index, 0), axis=1)


def _norm(config, dtype, name):
  # Flax's fast variance, E[x²] - E[x]², cancels where the mean is large.
  return nn.LayerNorm(
    config.layer_norm_eps, dtype, use_fast_variance=False, name=name
  )
