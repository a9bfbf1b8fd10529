"""Heads: an encoder and what a task puts on top of it."""

import jax
import jax.numpy as jnp
from flax import linen as nn

from dicejax.models.bert import Bert
from dicejax.models.bert import BertConfig


class TokenTagger(nn.Module):
  """An encoder, dropout, and a linear layer: logits for each token.

  Attributes:
    config: the shape of the encoder.
    num_labels: the number of classes.
    dtype: of the computation of the encoder; the head's is float32.

  Example:
    >>> config = BertConfig(
    ...     vocab_size=9, hidden_size=8, num_hidden_layers=1,
    ...     num_attention_heads=2, intermediate_size=16)
    >>> tagger = TokenTagger(config, num_labels=3)
    >>> tokens = jnp.array([[1, 2, 3, 0]])
    >>> params = tagger.init(jax.random.key(0), tokens)['params']
    >>> pretrained = Bert(config).init(jax.random.key(1), tokens)['params']
    >>> params['encoder'] = pretrained  # Or what load_pretrained returns.
    >>> tagger.apply({'params': params}, tokens, mask=tokens != 0).shape
    (1, 4, 3)
  """

  config: BertConfig
  num_labels: int
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
    """Scores the labels of each token; the arguments are those of `Bert`.

    Args:
      tokens: int `[batch, length]`.
      segments: int `[batch, length]`; None: 0.
      mask: bool `[batch, length]`, False for padding; None: all are real.
      deterministic: without dropout.

    Returns:
      float32 logits `[batch, length, num_labels]`.

    Raises:
      AssertionError, ValueError: as `Bert` does.
    """
    c = self.config
    x = Bert(c, self.dtype, name='encoder')(
      tokens, segments, mask, deterministic=deterministic
    )
    x = nn.Dropout(c.hidden_dropout_prob)(x, deterministic)
    return nn.Dense(
      self.num_labels,
      dtype=jnp.float32,
      kernel_init=nn.initializers.normal(c.initializer_range),
      name='head',
    )(x)
