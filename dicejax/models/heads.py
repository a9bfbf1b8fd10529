"""Heads: an encoder and what a task puts on top of it.

All are called as `Bert` is, compute in float32 what comes after it, and hold
its parameters under `encoder`, where those of `load_pretrained` go.
"""

from typing import NamedTuple

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
      mask: bool `[batch, length]`, False for padding; None: all are real. Or
        int, for several sequences a row: see `Bert`.
      deterministic: without dropout.

    Returns:
      float32 logits `[batch, length, num_labels]`.

    Raises:
      AssertionError, ValueError: as `Bert` does.
    """
    return _score_tokens(
      self, self.num_labels, tokens, segments, mask, deterministic
    )


class SpanExtractor(nn.Module):
  """An encoder, dropout, and a linear layer: each token as start and as end.

  The head of BERT for SQuAD: a `TokenTagger` of two labels, by its own name.

  Attributes:
    config: the shape of the encoder.
    dtype: of the computation of the encoder; the head's is float32.

  Example:
    >>> config = BertConfig(
    ...     vocab_size=9, hidden_size=8, num_hidden_layers=1,
    ...     num_attention_heads=2, intermediate_size=16)
    >>> tokens = jnp.array([[1, 2, 3, 0]])
    >>> extractor = SpanExtractor(config)
    >>> logits, _ = extractor.init_with_output(jax.random.key(0), tokens)
    >>> start, end = jnp.moveaxis(logits, -1, 0)
    >>> start.shape, end.shape
    ((1, 4), (1, 4))

  References:
    Devlin et al., `BERT <https://arxiv.org/abs/1810.04805>`_, 2019, §4.2.
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
    """Scores each token as a start and as an end; arguments as `Bert` has.

    Args:
      tokens: int `[batch, length]`.
      segments: int `[batch, length]`; None: 0.
      mask: bool `[batch, length]`, False for padding; None: all are real. Or
        int, for several sequences a row: see `Bert`.
      deterministic: without dropout.

    Returns:
      float32 logits `[batch, length, 2]`: start and end.

    Raises:
      AssertionError, ValueError: as `Bert` does.
    """
    return _score_tokens(self, 2, tokens, segments, mask, deterministic)


class TextClassifier(nn.Module):
  """An encoder, a pooler, dropout, and a linear layer: logits for each text.

  The pooler is a linear layer and tanh on the first token, [CLS], or on the
  mean of all. A published checkpoint may have one: `load_pooler`.

  Attributes:
    config: the shape of the encoder.
    num_labels: the number of classes.
    dtype: of the computation of the encoder; the head's is float32.
    pooling: see `pool_states`.

  Example:
    >>> config = BertConfig(
    ...     vocab_size=9, hidden_size=8, num_hidden_layers=1,
    ...     num_attention_heads=2, intermediate_size=16)
    >>> tokens = jnp.array([[1, 2, 3, 0]])
    >>> classifier = TextClassifier(config, num_labels=3)
    >>> params = classifier.init(jax.random.key(0), tokens)['params']
    >>> sorted(params)
    ['encoder', 'head', 'pooler']
    >>> classifier.apply({'params': params}, tokens, mask=tokens != 0).shape
    (1, 3)

  References:
    Devlin et al., `BERT <https://arxiv.org/abs/1810.04805>`_, 2019, §4.1.
  """

  config: BertConfig
  num_labels: int
  dtype: jax.typing.DTypeLike = jnp.float32
  pooling: str = 'cls'

  @nn.compact
  def __call__(
    self,
    tokens: jax.Array,
    segments: jax.Array | None = None,
    mask: jax.Array | None = None,
    *,
    deterministic: bool = True,
  ) -> jax.Array:
    """Scores the labels of each text; the arguments are those of `Bert`.

    Args:
      tokens: int `[batch, length]`, the first of each text [CLS].
      segments: int `[batch, length]`; None: 0.
      mask: bool `[batch, length]`, False for padding; None: all are real. A
        row is one text: that of several has the logits of the first.
      deterministic: without dropout.

    Returns:
      float32 logits `[batch, num_labels]`.

    Raises:
      AssertionError, ValueError: as `Bert` does.
    """
    x = _encode(self, tokens, segments, mask, deterministic)
    x = pool_states(x, mask, self.pooling)
    x = jnp.tanh(_dense(self, self.config.hidden_size, 'pooler')(x))
    x = _dropout(self, deterministic)(x)
    return _dense(self, self.num_labels, 'head')(x)


def pool_states(
  states: jax.Array, mask: jax.Array | None = None, pooling: str = 'cls'
) -> jax.Array:
  """One vector for each text.

  Args:
    states: float `[batch, length, hidden_size]`.
    mask: bool or int `[batch, length]`, 0 for padding; None: all are real.
    pooling: 'cls', the state of the first token, or 'mean', over all tokens
      that are no padding; 0 where all are.

  Returns:
    float `[batch, hidden_size]`.

  Raises:
    ValueError: another `pooling`.

  Example:
    >>> states = jnp.array([[[1.0], [2.0], [9.0]]])
    >>> mask = jnp.array([[True, True, False]])
    >>> print(pool_states(states, mask), pool_states(states, mask, 'mean'))
    [[1.]] [[1.5]]
  """
  if pooling == 'cls':
    return states[:, 0]
  if pooling != 'mean':
    raise ValueError(f"pooling is 'cls' or 'mean', not {pooling!r}.")
  real = jnp.ones(states.shape[:2]) if mask is None else mask > 0
  # In float32: a mean over many tokens has more digits than bfloat16 holds.
  total = jnp.einsum('bl,blh->bh', real.astype(jnp.float32), states)
  number = real.sum(axis=1, keepdims=True)
  return (total / jnp.maximum(number, 1)).astype(states.dtype)


class QuerySpanLogits(NamedTuple):
  """What a `QuerySpanTagger` says of the spans that answer a query.

  Attributes:
    start: float32 `[batch, length]`: a span starts at this token.
    end: float32 `[batch, length]`: a span ends at this token, itself in it.
    match: float32 `[batch, length, length]`: a span goes from the token of
      the row to the token of the column; None without the match head.
  """

  start: jax.Array
  end: jax.Array
  match: jax.Array | None


class QuerySpanTagger(nn.Module):
  """Finds the spans of a text that answer a query, such as entities of a type.

  Starts, ends and, if wanted, pairs of both are classified each by a perceptron
  of its own: a hidden layer of the encoder's width, exact GELU, dropout, one
  logit. That of the pairs sees two hidden states side by side. Its first layer
  is one of the start plus one of the end, so that no pair is built.

  Pairs cost time in batch * length² * hidden_size, but no such memory: the
  pairs of one start after the other are scored, and scored again for the
  gradient. What is held is their logits and batch * length * hidden_size.

  Attributes:
    config: the shape of the encoder.
    match: whether to score pairs.
    dtype: of the computation of the encoder; the heads' is float32.

  Example:
    >>> config = BertConfig(
    ...     vocab_size=9, hidden_size=8, num_hidden_layers=1,
    ...     num_attention_heads=2, intermediate_size=16)
    >>> tokens = jnp.array([[1, 2, 3, 0]])
    >>> tagger = QuerySpanTagger(config, match=True)
    >>> logits, _ = tagger.init_with_output(jax.random.key(0), tokens)
    >>> logits.start.shape, logits.end.shape, logits.match.shape
    ((1, 4), (1, 4), (1, 4, 4))

  References:
    Li et al., `A Unified MRC Framework for Named Entity Recognition
    <https://arxiv.org/abs/1910.11476>`_, 2020, §3.3.
  """

  config: BertConfig
  match: bool = False
  dtype: jax.typing.DTypeLike = jnp.float32

  @nn.compact
  def __call__(
    self,
    tokens: jax.Array,
    segments: jax.Array | None = None,
    mask: jax.Array | None = None,
    *,
    deterministic: bool = True,
  ) -> QuerySpanLogits:
    """Scores starts, ends and pairs; the arguments are those of `Bert`.

    Args:
      tokens: int `[batch, length]`: query and text.
      segments: int `[batch, length]`; None: 0.
      mask: bool `[batch, length]`, False for padding; None: all are real. Or
        int, for several sequences a row: see `Bert`. Pairs of tokens of two
        sequences are scored as any others.
      deterministic: without dropout.

    Returns:
      The logits of all tokens, those of the query and of padding among them.

    Raises:
      AssertionError, ValueError: as `Bert` does.
    """
    x = _encode(self, tokens, segments, mask, deterministic)
    width = self.config.hidden_size

    def classify(name):
      hidden = _dense(self, width, f'{name}_hidden')(x)
      hidden = _dropout(self, deterministic)(_gelu(hidden))
      return _dense(self, 1, f'{name}_head')(hidden)[..., 0]

    def classify_pairs():
      start = _dense(self, width, 'match_start')(x)
      end = _dense(self, width, 'match_end', use_bias=False)(x)

      def classify_row(self, carry, start):
        hidden = _gelu(start[:, None] + end)
        hidden = _dropout(self, deterministic)(hidden)
        return carry, _dense(self, 1, 'match_head')(hidden)[..., 0]

      _, logits = nn.scan(
        nn.remat(classify_row, prevent_cse=False),
        variable_broadcast='params',
        split_rngs={'params': False, 'dropout': True},
        in_axes=1,
        out_axes=1,
      )(self, None, start)
      return logits

    return QuerySpanLogits(
      classify('start'),
      classify('end'),
      classify_pairs() if self.match else None,
    )


def _encode(head, tokens, segments, mask, deterministic):
  """Hidden states `[batch, length, hidden_size]` of the head's encoder."""
  encoder = Bert(head.config, head.dtype, name='encoder')
  return encoder(tokens, segments, mask, deterministic=deterministic)


def _score_tokens(head, outputs, tokens, segments, mask, deterministic):
  """A linear layer on each hidden state: logits `[batch, length, outputs]`."""
  x = _encode(head, tokens, segments, mask, deterministic)
  x = _dropout(head, deterministic)(x)
  return _dense(head, outputs, 'head')(x)


def _dropout(head, deterministic):
  rate = head.config.hidden_dropout_prob
  return nn.Dropout(rate, deterministic=deterministic)


def _dense(head, features, name, **kwargs):
  return nn.Dense(
    features,
    dtype=jnp.float32,
    kernel_init=nn.initializers.normal(head.config.initializer_range),
    name=name,
    **kwargs,
  )


def _gelu(x):
  return jax.nn.gelu(x, approximate=False)
