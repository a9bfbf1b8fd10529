"""The encoder of BERT and RoBERTa: tokens in, hidden states out."""

import dataclasses
import functools

import chex
import jax
import jax.numpy as jnp
from flax import linen as nn

# The published weights are trained with the exact GELU; the tanh form is off
# by up to 5e-4 an element and goes by its own names.
_ACTIVATIONS = {
  'gelu': functools.partial(jax.nn.gelu, approximate=False),
  'gelu_new': functools.partial(jax.nn.gelu, approximate=True),
  'gelu_pytorch_tanh': functools.partial(jax.nn.gelu, approximate=True),
  'relu': jax.nn.relu,
}
# Networks of one shape and several corpora. They differ from BERT in the row
# of `positions` that is the first token's.
_ROBERTA = ('roberta', 'xlm-roberta', 'camembert')
_ATTENTIONS = ('xla', 'cudnn')


@dataclasses.dataclass(frozen=True)
class BertConfig:
  """The shape of an encoder, in Hugging Face's names; defaults: BERT base.

  Attributes:
    model_type: 'bert', 'roberta', 'xlm-roberta' or 'camembert'. The last three
      are one network: positions are counted from `pad_token_id + 1`, as
      fairseq does, so that many fewer tokens fit.
    max_position_embeddings: the rows of that table; `max_length` tokens fit.
    remat: computes each layer once more for its gradient instead of holding
      what is in it: less memory for one more forward pass. As `attention`,
      it is no part of a published config, and the parameters are the same.
    attention: 'xla', or 'cudnn': NVIDIA's flash attention, for Bert's `dtype`
      bfloat16 on a GPU; JAX raises where that does not do, as for gradients
      at odd lengths.

  Raises:
    ValueError: the heads do not divide the hidden size, the activation, the
      model type or the attention is unknown, or RoBERTa has no `pad_token_id`.

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
  attention: str = 'xla'

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
    """The row of `positions` that is the first token's."""
    return 0 if self.model_type == 'bert' else self.pad_token_id + 1

  @property
  def max_length(self) -> int:
    """The most tokens that the encoder takes."""
    return self.max_position_embeddings - self.position_offset


class Bert(nn.Module):
  """The encoder of BERT and, by `config.model_type`, RoBERTa; no pooler.

  Dropout is applied to the embeddings and to the output of each sublayer; the
  attention probabilities have none, as `jax.nn.dot_product_attention` offers
  none: `attention_probs_dropout_prob` has no counterpart here.

  Attributes:
    config: the shape of the network.
    dtype: of the computation and of the hidden states; parameters,
      embeddings, and the statistics of layer norm and softmax are float32.

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
  dtype: jax.typing.DTypeLike = jnp.float32

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
      tokens: int `[batch, length]`, ids below `vocab_size`; one above gives
        NaN. Padding is on the right: the first column is the first position.
      segments: int `[batch, length]`, ids below `type_vocab_size`; None: 0.
        Where there is one segment only (RoBERTa) they have no influence.
      mask: bool `[batch, length]`, False for padding, which no token attends
        to; None: all tokens are real. Or int, where a row holds several
        sequences one after the other: 0 for padding, else which of them a
        token belongs to, from 1. Each is encoded as if it were alone: tokens
        attend within it, and its first token is at the first position.
      deterministic: without dropout; otherwise it draws from the rng
        `dropout`.

    Returns:
      `dtype` `[batch, length, hidden_size]`; arbitrary but finite where `mask`
      is False or 0.

    Raises:
      AssertionError: ranks, shapes or types differ from the above.
      ValueError: `length` is more than `config.max_length`.
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
    # The tables are summed in float32: casting a whole table each step would
    # cost more than the few rows that are looked up.
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
    # Which token, a row, attends to which.
    attended = mask[:, None] == mask[:, :, None] if packed else mask[:, None]
    attended = jnp.broadcast_to(attended[:, None], (len(x), 1, length, length))
    layer = nn.remat(_Layer, static_argnums=3) if c.remat else _Layer
    for i in range(c.num_hidden_layers):
      x = layer(c, self.dtype, name=f'layer_{i}')(x, attended, deterministic)
    return x


class _Layer(nn.Module):
  """Self-attention and a two-layer perceptron, each added, then normed."""

  config: BertConfig
  dtype: jax.typing.DTypeLike

  @nn.compact
  def __call__(self, x, attended, deterministic):
    c = self.config
    dense = functools.partial(
      nn.Dense,
      dtype=self.dtype,
      kernel_init=nn.initializers.normal(c.initializer_range),
    )
    dropout = nn.Dropout(c.hidden_dropout_prob, deterministic=deterministic)

    def project(name):
      y = dense(c.hidden_size, name=name)(x)
      return y.reshape(*y.shape[:2], c.num_attention_heads, -1)

    y = jax.nn.dot_product_attention(
      project('query'),
      project('key'),
      project('value'),
      mask=attended,
      # Parameters are made anywhere, on a CPU, too.
      implementation='xla' if self.is_initializing() else c.attention,
    )
    y = dense(c.hidden_size, name='out')(y.reshape(x.shape))
    x = _norm(c, self.dtype, 'attention_norm')(x + dropout(y))
    y = dense(c.intermediate_size, name='up')(x)
    y = dense(c.hidden_size, name='down')(_ACTIVATIONS[c.hidden_act](y))
    return _norm(c, self.dtype, 'mlp_norm')(x + dropout(y))


def _starts(sequences):
  """For each token, where in the row its sequence begins."""
  begins = jnp.diff(sequences, prepend=-1) != 0
  index = jnp.arange(sequences.shape[1])[None]
  return jax.lax.cummax(jnp.where(begins, index, 0), axis=1)


def _norm(config, dtype, name):
  # The fast variance, E[x²] - E[x]², loses digits where the mean is large.
  return nn.LayerNorm(
    config.layer_norm_eps, dtype, use_fast_variance=False, name=name
  )
