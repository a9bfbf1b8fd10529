"""Attention: which tokens attend to which, and what they get from each other.

Shapes: B texts, L tokens, N heads, D hidden units per head.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any
from typing import Literal

import jax
import jax.numpy as jnp
from flax import linen as nn

# The number of scores that are computed at a time on CPUs, half a MB in float32
# for each core that shares them, and the fewest queries, for texts of thousands
# of tokens.
_SCORES_AT_A_TIME = 2**17 * (os.cpu_count() or 1)
_FEWEST_QUERIES = 64
# The score of a token that is not attended to.
_LOWEST = -0.7 * float(jnp.finfo(jnp.float32).max)


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
  is_cpu = jax.default_backend() == 'cpu'
  # Several devices would have to share the rows of each block.
  if dropout is None and is_cpu and jax.device_count() == 1:
    return _attend_in_blocks(query, key, value, attended, bias, scale)
  # `jax.nn` is slower on CPUs, and has no dropout. Scores are the largest
  # arrays of an encoder, so they are read and written seldom: queries are
  # scaled and outputs divided by the sums, not scores and weights.
  # Keys are a last axis, because XLA has fast gradients for such products.
  scores = jnp.einsum(
    'bqnd,bndk->bnqk',
    query * (query.shape[-1] ** -0.5 if scale is None else scale),
    key.transpose(0, 2, 3, 1),
    preferred_element_type=jnp.float32,
  )
  scores = scores if bias is None else scores + bias
  # A row without any token attends to all, so that its states stay finite.
  scores = jnp.where(attended, scores, _LOWEST)
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


def _attend_in_blocks(query, key, value, attended, bias, scale):
  """Computes `attend` for a few rows or queries after the other.

  The scores of a block stay in the cache of a CPU. They are computed again for
  the gradient, so that memory never holds those of all queries.
  """
  _, length, heads, width = query.shape
  query = query * (width**-0.5 if scale is None else scale)
  per_query = heads * key.shape[1]

  def attend_rows(query, key, value, attended, bias):
    def attend_queries(query, attended, bias):
      return _attend_block(query, key, value, attended, bias)

    size = max(_SCORES_AT_A_TIME // per_query, _FEWEST_QUERIES)
    return _map_blocks(attend_queries, size, 2, query, attended, bias)

  return _map_blocks(
    attend_rows,
    max(_SCORES_AT_A_TIME // (per_query * length), 1),
    0,
    query.swapaxes(1, 2),
    # Keys are a last axis, because XLA has fast gradients for such products.
    key.transpose(0, 2, 3, 1),
    value.transpose(0, 2, 3, 1),
    attended,
    jnp.zeros((1, 1, 1, 1)) if bias is None else bias,
  ).swapaxes(1, 2)


def _map_blocks(function, size, axis, *arrays):
  """Applies `function` to blocks of arrays, one block after the other.

  Args:
    function: takes a block of each array. Its result is divided as the first.
    size: the most entries of a block.
    axis: the axis to divide, the same for all arrays. An array with one entry
      there is in every block.
    arrays: the last blocks are filled with zeros.
  """
  length = arrays[0].shape[axis]
  if length <= size:
    return function(*arrays)
  number = -(-length // size)
  size = -(-length // number)

  def divide(x):
    widths = [(0, 0)] * x.ndim
    widths[axis] = 0, number * size - length
    x = jnp.pad(x, widths)
    x = x.reshape(*x.shape[:axis], number, size, *x.shape[axis + 1 :])
    return jnp.moveaxis(x, axis, 0)

  def apply(blocks):
    blocks = iter(blocks)
    return function(*(next(blocks) if x.shape[axis] > 1 else x for x in arrays))

  divided = [divide(x) for x in arrays if x.shape[axis] > 1]
  y = jnp.moveaxis(jax.lax.map(apply, divided), 0, axis)
  y = y.reshape(*y.shape[:axis], -1, *y.shape[axis + 2 :])
  return jax.lax.slice_in_dim(y, 0, length, axis=axis)


@jax.custom_vjp
def _attend_block(query, key, value, attended, bias):
  """Computes attention without keeping scores for the gradient.

  Args:
    query: scaled, `[R, N, Q, D]` for R rows and Q queries.
    key, value: `[R, N, D, L]`.
    attended, bias: broadcast to `[R, N, Q, L]`.

  Returns:
    `[R, N, Q, D]`.
  """
  return _attend_forward(query, key, value, attended, bias)[0]


def _attend_forward(query, key, value, attended, bias):
  scores = jnp.where(attended, query @ key + bias, _LOWEST)
  largest = scores.max(-1, keepdims=True)
  weights = jnp.exp(scores - largest)
  sums = weights.sum(-1, keepdims=True)
  out = weights @ value.swapaxes(2, 3) / sums
  return out, (query, key, value, attended, bias, largest, sums, out)


def _attend_backward(residuals, gradient):
  query, key, value, attended, bias, largest, sums, out = residuals
  scores = jnp.where(attended, query @ key + bias, _LOWEST)
  weights = jnp.exp(scores - largest) / sums
  # A softmax has the gradient weight * (g - mean), where g is the gradient by
  # the weight, and the mean is over the keys and weighted.
  mean = (gradient * out).sum(-1, keepdims=True)
  by_score = jnp.where(attended, weights * (gradient @ value - mean), 0)
  shared = [axis for axis in range(4) if bias.shape[axis] == 1]
  return (
    by_score @ key.swapaxes(2, 3),
    jnp.einsum('rnqk,rnqd->rndk', by_score, query),
    jnp.einsum('rnqk,rnqd->rndk', weights, gradient),
    None,  # `attended` has no gradient.
    by_score.sum(shared, keepdims=True),
  )


_attend_block.defvjp(_attend_forward, _attend_backward)


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
