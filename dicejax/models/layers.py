"""Parts that several encoders share: attention, activations, layer norm.

Shapes: B texts, L tokens, N heads, D hidden units per head.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from collections.abc import Mapping
from typing import Any
from typing import Literal

import chex
import jax
import jax.numpy as jnp
from flax import linen as nn
from jax.typing import DTypeLike


def _gelu(x: jax.Array) -> jax.Array:
  # `jax.nn.gelu` uses erfc, which takes CPUs twice as long. Its only advantage
  # is more digits where GELU is almost 0.
  y = x.astype(jnp.promote_types(x.dtype, jnp.float32))
  return (y * (0.5 + 0.5 * jax.lax.erf(y * math.sqrt(0.5)))).astype(x.dtype)


# The published weights were trained with the exact GELU. The tanh approximation
# differs by up to 5e-4 per element, so it only answers to its own names.
ACTIVATIONS: Mapping[str, Callable] = {
  'gelu': _gelu,
  'gelu_new': functools.partial(jax.nn.gelu, approximate=True),
  'gelu_pytorch_tanh': functools.partial(jax.nn.gelu, approximate=True),
  'relu': jax.nn.relu,
  'tanh': jnp.tanh,
}


def check_inputs(
  tokens: jax.Array,
  segments: jax.Array | None,
  mask: jax.Array | None,
  max_length: float,
) -> tuple[jax.Array, jax.Array]:
  """Checks the inputs of an encoder, and fills in those that are left out.

  Args:
    tokens: int `[B, L]`.
    segments: int `[B, L]`; None means 0 everywhere.
    mask: bool or int `[B, L]`; None means no padding.
    max_length: the largest L.

  Returns:
    Segments and mask, both `[B, L]`.

  Raises:
    AssertionError: ranks, shapes or types differ from the above.
    ValueError: L is larger than `max_length`.
  """
  if segments is None:
    segments = jnp.zeros_like(tokens)
  if mask is None:
    mask = jnp.ones_like(tokens, bool)
  chex.assert_rank(tokens, 2)
  chex.assert_equal_shape([tokens, segments, mask])
  kind = bool if mask.dtype == bool else int
  chex.assert_type([tokens, segments, mask], [int, int, kind])
  if tokens.shape[1] > max_length:
    raise ValueError(
      f'{tokens.shape[1]} tokens are more than max_length={max_length}.'
    )
  return segments, mask


def attended_tokens(mask: jax.Array) -> jax.Array:
  """Says which tokens each token attends to.

  Args:
    mask: bool `[B, L]`, False for padding; or int, the number of the sequence
      that a token belongs to, where a row holds several.

  Returns:
    bool `[B, 1, L, L]`, the same for all heads: `[b, 0, i, j]` is whether token
    i attends to token j.
  """
  if mask.dtype == bool:
    attended = jnp.broadcast_to(mask[:, None], (*mask.shape, mask.shape[1]))
  else:
    attended = mask[:, None] == mask[:, :, None]
  return attended[:, None]


def sequence_starts(sequences: jax.Array) -> jax.Array:
  """Returns the index within the row at which each token's sequence begins.

  Args:
    sequences: int `[B, L]`, the number of each token's sequence.
  """
  begins = jnp.diff(sequences, prepend=-1) != 0
  index = jnp.arange(sequences.shape[1])[None]
  return jax.lax.cummax(jnp.where(begins, index, 0), axis=1)


def attend(
  query: jax.Array,
  key: jax.Array,
  value: jax.Array,
  attended: jax.Array,
  *,
  bias: jax.Array | None = None,
  scale: float | None = None,
  dropout: Callable[[jax.Array], jax.Array] | None = None,
  implementation: Literal['xla', 'cudnn'] = 'xla',
) -> jax.Array:
  """Computes attention.

  Args:
    query, key, value: `[B, L, N, D]`.
    attended: bool, broadcast to `[B, N, L, L]`, from `attended_tokens`.
    bias: added to the scores, broadcast to `[B, N, L, L]`.
    scale: what the scores are multiplied by; None means `D ** -0.5`.
    dropout: applied to the probabilities; None for none, which is faster.
    implementation: 'xla' or 'cudnn'.

  Returns:
    `[B, L, N, D]`.
  """
  if dropout is None and (
    implementation == 'cudnn' or query.dtype != jnp.float32
  ):
    return jax.nn.dot_product_attention(
      query,
      key,
      value,
      bias=bias,
      mask=attended,
      scale=scale,
      implementation=implementation,
    )
  # With float32 this is faster on CPUs, and `jax.nn` has no dropout. Scores are
  # the largest arrays of an encoder, so they are read and written seldom:
  # queries are scaled and outputs divided by the sums, not scores and weights.
  # Keys are a last axis, because XLA has fast gradients for such products.
  scores = jnp.einsum(
    'bqnd,bndk->bnqk',
    query * (query.shape[-1] ** -0.5 if scale is None else scale),
    key.transpose(0, 2, 3, 1),
    preferred_element_type=jnp.float32,
  )
  scores = scores if bias is None else scores + bias
  # A row without any token attends to all, so that its states stay finite.
  scores = jnp.where(attended, scores, -0.7 * jnp.finfo(jnp.float32).max)
  largest = jax.lax.stop_gradient(scores.max(-1, keepdims=True))
  weights = jnp.exp(scores - largest)
  sums = weights.sum(-1).swapaxes(1, 2)[..., None]
  weights = weights if dropout is None else dropout(weights)
  summed = jnp.einsum(
    'bnqk,bndk->bqnd',
    weights.astype(value.dtype),
    value.transpose(0, 2, 3, 1),
    preferred_element_type=jnp.float32,
  )
  return (summed / sums).astype(value.dtype)


def probability_dropout(config: Any, deterministic: bool) -> nn.Dropout | None:
  """Makes the dropout of attention probabilities, for `attend`.

  Args:
    config: the config of the encoder.
    deterministic: whether dropout is off.
  """
  rate = config.attention_probs_dropout_prob
  if deterministic or not rate:
    return None  # Attention is faster without.
  return nn.Dropout(rate, deterministic=False)


def dense(
  features: int,
  name: str,
  *,
  scale: float,
  dtype: DTypeLike,
  use_bias: bool = True,
) -> Callable[[jax.Array], jax.Array]:
  """Makes a linear layer, `[..., H]` -> `[..., features]`.

  Args:
    features: the number of outputs.
    name: the name of the module.
    scale: the standard deviation of initial weights.
    dtype: the type of the computation.
    use_bias: whether it has a bias.
  """
  layer = nn.Dense(
    features,
    use_bias=use_bias,
    dtype=dtype,
    kernel_init=nn.initializers.normal(scale),
    name=name,
  )
  # On CPUs, XLA copies arrays of three axes for the gradient of the weights.
  return lambda x: layer(x.reshape(-1, x.shape[-1])).reshape(*x.shape[:-1], -1)


def layer_norm(
  epsilon: float, dtype: DTypeLike, name: str, *, use_bias: bool = True
) -> nn.LayerNorm:
  """Makes a layer norm whose statistics are those of PyTorch's."""
  # Flax's fast variance, E[x²] - E[x]², cancels where the mean is large.
  return nn.LayerNorm(
    epsilon, dtype, use_bias=use_bias, use_fast_variance=False, name=name
  )
