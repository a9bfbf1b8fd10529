"""Heads: an encoder with the layers that a task puts on top of it.

Every head is called like `Bert`, computes in float32 after the encoder, and
keeps the encoder's parameters under `encoder`, where the tree that
`load_pretrained` returns belongs. Shapes: B texts, L tokens, H hidden units.
"""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
from flax import linen as nn
from jax.typing import DTypeLike

from dicejax.models.families import find_family
from dicejax.models.families import make_encoder
from dicejax.models.family import EncoderConfig
from dicejax.models.family import Hidden
from dicejax.models.layers import ACTIVATIONS
from dicejax.models.layers import layer_norm


class _Head(nn.Module):
  """An encoder and, in `_score`, the layers on its hidden states.

  Subclasses have a field `dtype`, which comes after their own fields because a
  field with a default cannot precede one without.
  """

  config: EncoderConfig

  @nn.compact
  def __call__(
    self,
    tokens: jax.Array,
    segments: jax.Array | None = None,
    mask: jax.Array | None = None,
    *,
    deterministic: bool = True,
  ):
    """Encodes a batch of token sequences and scores it.

    Args:
      tokens: int `[B, L]`, as for `Bert`.
      segments: int `[B, L]`; None means 0 everywhere.
      mask: bool `[B, L]`, False for padding; None means no padding. Or int, for
        several sequences per row: see `Bert`.
      deterministic: if False, dropout is on and draws from the rng `dropout`.

    Returns:
      float32 logits; the docstring of the class gives their shape.

    Raises:
      AssertionError, ValueError: as for `Bert`.
    """
    encoder = make_encoder(self.config, self.dtype, name='encoder')
    states = encoder(tokens, segments, mask, deterministic=deterministic)
    return self._score(states, mask, deterministic)

  def _score(self, states, mask, deterministic):
    """Computes the logits of hidden states `[B, L, H]`."""
    raise NotImplementedError

  def _dropout(self, x, deterministic):
    return nn.Dropout(self.config.hidden_dropout_prob)(x, deterministic)

  def _hidden(self, x):
    """Computes the layer before the logits, where the family has it."""
    hidden = find_family(self.config).hidden(self.config)
    return _Hidden(self.config, hidden, name='pooler')(x)

  def _score_tokens(self, states, labels, deterministic):
    """Computes the logits of tokens `[B, L, labels]`."""
    if find_family(self.config).hidden(self.config).on_tokens:
      states = self._hidden(states)
    return self._dense(labels, 'head')(self._dropout(states, deterministic))

  def _dense(self, features, name, **kwargs):
    return nn.Dense(
      features,
      dtype=jnp.float32,
      kernel_init=nn.initializers.normal(self.config.initializer_range),
      name=name,
      **kwargs,
    )


class _Hidden(nn.Module):
  """A linear layer, an activation and perhaps a layer norm.

  It has the parameters of the linear layer itself, not those of an `nn.Dense`
  inside, so that `pooler/kernel` is their path with and without a norm.
  """

  config: EncoderConfig
  hidden: Hidden

  @nn.compact
  def __call__(self, x):
    c, hidden = self.config, self.hidden
    shape = c.hidden_size, c.hidden_size
    kernel = self.param(
      'kernel', nn.initializers.normal(c.initializer_range), shape
    )
    x = x.astype(jnp.float32) @ kernel
    if hidden.bias:
      bias = self.param('bias', nn.initializers.zeros, shape[1:])
      x += jnp.expand_dims(bias, range(x.ndim - 1))
    x = ACTIVATIONS[hidden.activation](x)
    if hidden.norm:
      use_bias = hidden.norm_bias
      norm = layer_norm(
        c.layer_norm_eps, jnp.float32, 'norm', use_bias=use_bias
      )
      x = norm(x)
    return x


class TokenTagger(_Head):
  """Scores the labels of each token: dropout and a linear layer.

  ModernBERT has another layer before, as in `TextClassifier`.

  The output is logits `[B, L, num_labels]`, float32.

  Attributes:
    config: the shape of the encoder.
    num_labels: the number of classes.
    dtype: the type in which the encoder computes; the head uses float32.

  Example:
    >>> from dicejax.models import Bert, BertConfig
    >>> config = BertConfig(
    ...     vocab_size=9, hidden_size=8, num_hidden_layers=1,
    ...     num_attention_heads=2, intermediate_size=16)
    >>> tagger = TokenTagger(config, num_labels=3)
    >>> tokens = jnp.array([[1, 2, 3, 0]])
    >>> params = tagger.init(jax.random.key(0), tokens)['params']
    >>> pretrained = Bert(config).init(jax.random.key(1), tokens)['params']
    >>> params['encoder'] = pretrained  # or the params of load_pretrained
    >>> tagger.apply({'params': params}, tokens, mask=tokens != 0).shape
    (1, 4, 3)
  """

  num_labels: int
  dtype: DTypeLike = jnp.float32

  def _score(self, states, mask, deterministic):
    return self._score_tokens(states, self.num_labels, deterministic)


class SpanExtractor(_Head):
  """Scores each token as the start and as the end of an answer.

  BERT's head for SQuAD: the network is a `TokenTagger` with two labels. The
  output is logits `[B, L, 2]`, float32: start and end.

  Attributes:
    config: the shape of the encoder.
    dtype: the type in which the encoder computes; the head uses float32.

  Example:
    >>> from dicejax.models import BertConfig
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

  dtype: DTypeLike = jnp.float32

  def _score(self, states, mask, deterministic):
    return self._score_tokens(states, 2, deterministic)


class TextClassifier(_Head):
  """Scores the labels of each text: a pooler, dropout and a linear layer.

  The pooler is a linear layer and tanh (ELECTRA and DeBERTa: GELU, DistilBERT:
  ReLU, ModernBERT: GELU and layer norm), on the state of the token [CLS], the
  first (XLNet: the last), or on the mean of all. `load_pooler` reads the one of
  a published checkpoint.
  The output is logits `[B, num_labels]`, float32. A row is one text: if `mask`
  says that it holds several, the logits belong to the first. With `texts`, they
  are then `[B, texts, num_labels]`, in the order of the texts; those of texts
  that a row lacks mean nothing.

  Attributes:
    config: the shape of the encoder.
    num_labels: the number of classes.
    dtype: the type in which the encoder computes; the head uses float32.
    pooling: 'cls' or 'mean', see `pool_states`.
    texts: the largest number of texts that a row holds if `mask` is int. None:
      a row is always one text.

  Example:
    >>> from dicejax.models import BertConfig
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

  num_labels: int
  dtype: DTypeLike = jnp.float32
  pooling: str = 'cls'
  texts: int | None = None

  def _score(self, states, mask, deterministic):
    x = self._hidden(self.pool(states, mask))
    x = self._dropout(x, deterministic)
    return self._dense(self.num_labels, 'head')(x)

  def pool(self, states: jax.Array, mask: jax.Array | None) -> jax.Array:
    """Reduces the hidden states of each text to what the pooler gets."""
    is_last = self.pooling == 'cls' and find_family(self.config).cls_is_last
    pooling = 'last' if is_last else self.pooling
    if self.texts is None or mask is None or mask.dtype == bool:
      return pool_states(states, mask, pooling)
    return _pool_each(states, mask, pooling, self.texts)


def pool_states(
  states: jax.Array, mask: jax.Array | None = None, pooling: str = 'cls'
) -> jax.Array:
  """Reduces the hidden states of each text to one vector.

  Args:
    states: float `[B, L, H]`.
    mask: bool or int `[B, L]`, 0 for padding; None means no padding.
    pooling: 'cls' takes the state of the first token, 'last' that of the last
      one of the text, 'mean' the mean over all tokens except padding, or 0 for
      a row of padding only.

  Returns:
    float `[B, H]`, with the type of `states`.

  Raises:
    ValueError: `pooling` is none of the three.

  Example:
    >>> states = jnp.array([[[1.0], [2.0], [9.0]]])
    >>> mask = jnp.array([[True, True, False]])
    >>> for pooling in ('cls', 'last', 'mean'):
    ...   print(pool_states(states, mask, pooling))
    [[1.]]
    [[2.]]
    [[1.5]]
  """
  if pooling == 'cls':
    return states[:, 0]
  if pooling == 'last':
    # In a row of several texts, 1 is the number of the first.
    index = jnp.arange(states.shape[1])
    if mask is not None:
      index = jnp.where(mask == 1, index, 0)
    last = jnp.broadcast_to(index.max(axis=-1), states.shape[:1])
    return jnp.take_along_axis(states, last[:, None, None], axis=1)[:, 0]
  if pooling != 'mean':
    raise ValueError(f"pooling is 'cls', 'last' or 'mean', not {pooling!r}.")
  real = jnp.ones(states.shape[:2]) if mask is None else mask > 0
  # The sum is float32: adding many tokens in bfloat16 would lose digits.
  total = jnp.einsum('bl,blh->bh', real.astype(jnp.float32), states)
  number = real.sum(axis=1, keepdims=True)
  return (total / jnp.maximum(number, 1)).astype(states.dtype)


def _pool_each(states, mask, pooling, texts):
  """Applies `pool_states` to each text of a row, `[B, texts, H]`."""

  def pool(number):
    is_own = mask == number
    if pooling == 'cls':
      first = is_own.argmax(axis=1)
      return jnp.take_along_axis(states, first[:, None, None], axis=1)[:, 0]
    return pool_states(states, is_own, pooling)

  return jax.vmap(pool, out_axes=1)(jnp.arange(1, texts + 1))


class QuerySpanLogits(NamedTuple):
  """Logits of a `QuerySpanTagger`.

  Attributes:
    start: float32 `[B, L]`: an answer starts at this token.
    end: float32 `[B, L]`: an answer ends with this token.
    match: float32 `[B, L, L]`: an answer extends from the token of the row to
      the token of the column. None without the match head.
  """

  start: jax.Array
  end: jax.Array
  match: jax.Array | None


class QuerySpanTagger(_Head):
  """Finds the spans of a text that answer a query, such as entities of a type.

  Starts, ends and, optionally, pairs of both are scored, each by a perceptron
  of its own: a hidden layer as wide as the encoder, exact GELU, dropout, one
  logit. The input for a pair is the hidden states of start and end side by
  side. Its first layer is computed as a layer on the start plus a layer on the
  end, so that these pairs are never stored.

  Scoring pairs takes time proportional to `B * L² * H` but only `B * L * H`
  memory, besides the logits `[B, L, L]`: the pairs are scored one start after
  the other, and once more for the gradient. Tokens of different sequences in a
  row are scored as pairs like any others, and so are query and padding.

  The output is `QuerySpanLogits`.

  Attributes:
    config: the shape of the encoder.
    match: whether to score pairs.
    dtype: the type in which the encoder computes; the head uses float32.

  Example:
    >>> from dicejax.models import BertConfig
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

  match: bool = False
  dtype: DTypeLike = jnp.float32

  def _score(self, states, mask, deterministic):
    width = self.config.hidden_size

    def classify(name):
      hidden = _gelu(self._dense(width, f'{name}_hidden')(states))
      hidden = self._dropout(hidden, deterministic)
      return self._dense(1, f'{name}_head')(hidden)[..., 0]

    def classify_pairs():
      start = self._dense(width, 'match_start')(states)
      end = self._dense(width, 'match_end', use_bias=False)(states)

      def classify_row(self, carry, start):  # start: [B, H] of one token
        hidden = self._dropout(_gelu(start[:, None] + end), deterministic)
        return carry, self._dense(1, 'match_head')(hidden)[..., 0]

      # A scan with remat, not one call: the hidden layer of all pairs would be
      # [B, L, L, H]. prevent_cse guards against an optimisation that a scan
      # already rules out.
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


def _gelu(x):
  return jax.nn.gelu(x, approximate=False)
