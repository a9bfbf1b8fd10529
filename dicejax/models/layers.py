"""Parts that several encoders share: activations, linear layers, layer norm.

Shapes: B texts, L tokens, H hidden units.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from collections.abc import Mapping

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
