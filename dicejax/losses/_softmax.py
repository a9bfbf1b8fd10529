"""A softmax as binary problems: each class against all others together."""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from dicejax.losses._inputs import is_class


class Split(NamedTuple):
  """A softmax with its largest class apart.

  Only the largest probability of a row can be above one half. For all others
  1 - p loses nothing; for the largest it is a sum over the others, in which
  nothing cancels.

  top: bool `[..., classes]`, one True a row. The rest is `[..., 1]`, but for
    `share`.
  index: int, where it is True.
  share: `[..., classes]`, exp(logits - second largest), 0 at the top.
  rest: sum of `share`.
  gap: the largest logit minus the second largest.
  scale: `share * scale` is p.
  p_top: p of the largest.
  """

  top: jax.Array
  index: jax.Array
  share: jax.Array
  rest: jax.Array
  gap: jax.Array
  scale: jax.Array
  p_top: jax.Array

  @property
  def odds_top(self):
    """Log odds of the largest."""
    return self.gap - jnp.log(self.rest)


def split_top(logits: jax.Array) -> Split:
  """The split of logits `[..., classes]`, two classes or more."""
  num_classes = logits.shape[-1]
  largest = jax.lax.stop_gradient(jnp.max(logits, axis=-1, keepdims=True))
  # Of a tie the first, by a maximum of floats: XLA's argmax takes eight times
  # as long on a CPU.
  ids = jax.lax.broadcasted_iota(logits.dtype, logits.shape, logits.ndim - 1)
  first = jnp.where(logits == largest, -ids, -num_classes)
  index = -jnp.max(first, axis=-1, keepdims=True).astype(jnp.int32)
  top = is_class(index[..., 0], logits)
  others = jnp.where(top, -jnp.inf, logits)
  # A reference has no derivative.
  second = jax.lax.stop_gradient(jnp.max(others, axis=-1, keepdims=True))
  gap = _at_top(logits, top, largest) - second
  share = jnp.exp(others - second)
  rest = jnp.sum(share, axis=-1, keepdims=True)
  below = jnp.exp(-gap)
  p_top = 1 / (1 + below * rest)
  return Split(top, index, share, rest, gap, below * p_top, p_top)


@jax.custom_jvp
def _at_top(logits, top, largest):
  """`largest`, with the derivative of the one logit at the top.

  A tie would divide the derivative of a maximum.
  """
  del logits, top
  return largest


@_at_top.defjvp
def _at_top_jvp(primals, tangents):
  of_top = jnp.where(primals[1], tangents[0], 0)
  return _at_top(*primals), jnp.sum(of_top, axis=-1, keepdims=True)


@jax.custom_jvp
def one_vs_rest(logits: jax.Array) -> jax.Array:
  r"""Log odds of every class against all others together.

  .. math::
    u_c = z_c - \log \sum_{j \ne c} e^{z_j}, \qquad
    \operatorname{sigmoid}(u_c) = \operatorname{softmax}(z)_c

  Through it a softmax is a set of binary problems, and log p, log (1 - p) and
  1 - p have all their digits at any logits, which neither `1 - softmax(z)` nor
  a difference of logarithms gives.

  Args:
    logits: float `[..., classes]`.

  Returns:
    `[..., classes]`; the largest float where there is one class alone.
  """
  limit = jnp.finfo(logits.dtype).max
  if logits.shape[-1] == 1:
    return jnp.full_like(logits, limit)
  s = split_top(logits)
  others = jnp.log1p(jnp.exp(-s.gap) * (s.rest - s.share))
  relative = logits - jnp.max(logits, axis=-1, keepdims=True)
  odds = jnp.where(s.top, s.odds_top, relative - others)
  return jnp.clip(odds, -limit, limit)  # A difference may overflow.


@one_vs_rest.defjvp
def _one_vs_rest_jvp(primals, tangents):
  # du_c = dz_c - sum over j != c of softmax(z without c)_j dz_j.
  (logits,), (dz,) = primals, tangents
  out = one_vs_rest(logits)
  if logits.shape[-1] == 1:
    return out, jnp.zeros_like(dz)
  s = split_top(logits)
  of_top = jnp.sum(jnp.where(s.top, dz, 0), axis=-1, keepdims=True)
  of_rest = jnp.sum(s.share * dz, axis=-1, keepdims=True)
  below = jnp.exp(-s.gap)
  mean = (of_top + below * (of_rest - s.share * dz)) / (
    1 + below * (s.rest - s.share)
  )
  return out, dz - jnp.where(s.top, of_rest / s.rest, mean)
