"""What every loss does first: check its inputs, see classes as binary ones."""

import numbers
from typing import NamedTuple

import chex
import jax
import jax.numpy as jnp


class Inputs(NamedTuple):
  """Checked inputs of a loss, logits in float32 or float64.

  The example axes are all axes of the logits but, with softmax, the last.
  `labels` are class ids `[examples]` or have the shape of the logits; `where`
  is bool `[examples]` or None. Excluded elements have logits and labels 0.
  """

  logits: jax.Array
  labels: jax.Array
  where: jax.Array | None
  softmax: bool

  @property
  def class_ids(self) -> bool:
    return self.labels.ndim < self.logits.ndim


def check_inputs(
  logits: jax.typing.ArrayLike,
  labels: jax.typing.ArrayLike,
  where: jax.typing.ArrayLike | None,
  activation: str | None,
) -> Inputs:
  """Checks types and shapes, widens, and blanks what `where` excludes.

  Raises:
    AssertionError: by chex, at trace time, with the types and shapes.
    ValueError: an unknown activation.
  """
  if activation not in (None, 'softmax', 'sigmoid'):
    raise ValueError(
      f"activation is None, 'softmax' or 'sigmoid', not {activation!r}."
    )
  logits, labels = jnp.asarray(logits), jnp.asarray(labels)
  got = (
    f'logits: {logits.dtype}{list(logits.shape)}, '
    f'labels: {labels.dtype}{list(labels.shape)}.'
  )
  chex.assert_type(logits, float, custom_message=f'Logits are float. {got}')
  softmax = activation == 'softmax' or labels.ndim != logits.ndim
  if softmax and logits.shape[-1:] in [(), (0,)]:
    raise ValueError(f'No class axis. {got}')
  logits = logits.astype(jnp.promote_types(logits.dtype, jnp.float32))
  if labels.ndim == logits.ndim:
    chex.assert_equal_shape(
      [logits, labels], custom_message=f'Equal shapes wanted. {got}'
    )
    labels = labels.astype(logits.dtype)
  else:
    if activation == 'sigmoid':
      raise ValueError(f'With sigmoids, labels look like the logits. {got}')
    chex.assert_shape(
      labels,
      logits.shape[:-1],
      custom_message=f'Class ids have the shape of the logits but for the '
      f'class axis. {got}',
    )
    chex.assert_type(labels, int, custom_message=f'Class ids are int. {got}')
    # Narrow types cannot count the classes.
    labels = labels.astype(jnp.promote_types(labels.dtype, jnp.int32))
  if where is not None:
    where = jnp.asarray(where)
    examples = logits.shape[:-1] if softmax else logits.shape
    got = f'where: {where.dtype}{list(where.shape)}, examples: {list(examples)}'
    chex.assert_type(where, bool, custom_message=got)
    chex.assert_is_broadcastable(where.shape, examples, custom_message=got)
    where = jnp.broadcast_to(where, examples)
    # Masked on the way in, so that a NaN under the mask has no gradient.
    blank = where[..., None] if softmax else where
    logits = jnp.where(blank, logits, 0)
    labels = jnp.where(
      blank if labels.ndim == logits.ndim else where, labels, 0
    )
  return Inputs(logits, labels, where, softmax)


def check_class_weights(class_weights, logits, classes=None) -> jax.Array:
  """The weights in the type of the logits, one for each class."""
  weights = jnp.asarray(class_weights, logits.dtype)
  shape = (logits.shape[-1] if classes is None else classes,)
  chex.assert_shape(
    weights,
    shape,
    custom_message=f'class_weights: {list(weights.shape)}, '
    f'logits: {list(logits.shape)}, wanted: {list(shape)}.',
  )
  return weights


def check_not_negative(**values) -> None:
  """Raises ValueError for a Python number below 0; traced values pass."""
  for name, value in values.items():
    if isinstance(value, numbers.Real) and value < 0:
      raise ValueError(f'{name} is at least 0, not {value}.')


def is_class(ids: jax.Array, logits: jax.Array) -> jax.Array:
  """Bool `[..., classes]` from class ids `[...]`; no one-hot in memory."""
  classes = jax.lax.broadcasted_iota(ids.dtype, logits.shape, logits.ndim - 1)
  return ids[..., None] == classes


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
  top, gap, share, rest = _split(logits)
  others = jnp.log1p(jnp.exp(-gap) * (rest - share))
  relative = logits - jnp.max(logits, axis=-1, keepdims=True)
  odds = jnp.where(top, gap - jnp.log(rest), relative - others)
  return jnp.clip(odds, -limit, limit)  # A difference may overflow.


@one_vs_rest.defjvp
def _one_vs_rest_jvp(primals, tangents):
  # du_c = dz_c - sum over j != c of softmax(z without c)_j dz_j.
  (logits,), (dz,) = primals, tangents
  out = one_vs_rest(logits)
  if logits.shape[-1] == 1:
    return out, jnp.zeros_like(dz)
  top, gap, share, rest = _split(logits)
  of_top = jnp.sum(jnp.where(top, dz, 0), axis=-1, keepdims=True)
  of_rest = jnp.sum(share * dz, axis=-1, keepdims=True)
  scale = jnp.exp(-gap)
  mean = (of_top + scale * (of_rest - share * dz)) / (
    1 + scale * (rest - share)
  )
  return out, dz - jnp.where(top, of_rest / rest, mean)


def _split(logits):
  """The largest class apart: only its probability can be above one half.

  Subtracting a class from a sum is harmless for all others; for the largest
  the sum is taken without it.

  Returns:
    top: bool `[..., classes]`, one True a row.
    gap: `[..., 1]`, the largest logit minus the second largest.
    share: `[..., classes]`, exp(logits - second largest), 0 at the top.
    rest: `[..., 1]`, the sum of share.
  """
  top = is_class(jnp.argmax(logits, axis=-1), logits)
  # Not the maximum, whose derivative a tie would divide.
  first = jnp.sum(jnp.where(top, logits, 0), axis=-1, keepdims=True)
  others = jnp.where(top, -jnp.inf, logits)
  second = jnp.max(others, axis=-1, keepdims=True)
  share = jnp.exp(others - second)
  return top, first - second, share, jnp.sum(share, axis=-1, keepdims=True)
