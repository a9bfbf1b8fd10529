"""The objective of span QA: the mean of the losses of starts and ends."""

import jax
import jax.numpy as jnp

from train.objective import Loss
from train.objective import Objective

# Logit of a position that cannot answer: finite, so that no gradient is NaN.
_EXCLUDED = -1e9


def make_objective(loss: Loss, *, sigmoid: bool, windows: int) -> Objective:
  """Builds the mean of the losses of starts and ends, over context and [CLS].

  Windows without a label are left out. Starts and ends have running counts of
  their own.

  Args:
    loss: the loss of the starts, and of the ends.
    sigmoid: whether each position is decided independently; otherwise the
      softmax is over the positions of a window.
    windows: the largest number of windows in a packed row.
  """

  def unpack(logits, batch):
    arrays = logits, batch['starts'], batch['ends'], batch['allowed']
    if batch['mask'].dtype == bool:
      return arrays
    return _unpack(arrays, batch['mask'], windows)

  def init(logits, batch):
    logits, *both, _ = jax.eval_shape(unpack, logits, batch)
    # Positions of a softmax are not classes: they have no counts to run.
    return tuple(
      loss.init(jax.ShapeDtypeStruct(marks.shape, logits.dtype), marks)
      for marks in both
    )

  def update_one(logits, marks, allowed, running):
    has_label = jnp.any(marks > 0, axis=-1)
    if sigmoid:
      where = allowed & has_label[:, None]
      return loss.update(logits, marks, where, running)
    logits = jnp.where(allowed, logits, _EXCLUDED)
    labels = jnp.argmax(marks, axis=-1)
    return loss.update(logits, labels, has_label, running)

  def update(logits, batch, running):
    logits, *marks, allowed = unpack(logits, batch)
    (start, starts), (end, ends) = (
      update_one(logits[..., i], marks[i], allowed > 0, running[i])
      for i in range(2)
    )
    return (start + end) / 2, (starts, ends)

  return Objective(init, update, loss.description)


def _unpack(arrays, mask, windows):
  """Gives each window of packed rows a row of its own, as without packing.

  Args:
    arrays: `[B, L, ...]`.
    mask: int `[B, L]`, which numbers the windows of a row from 1.
    windows: the largest number of windows in a row.

  Returns:
    Arrays `[B * windows, L, ...]`. They begin with the first position of the
    window, and are 0 behind its last one.
  """
  numbers = jnp.arange(1, windows + 1)[None, :, None]
  is_own = mask[:, None] == numbers
  positions = jnp.arange(mask.shape[1])[None, None]
  is_inside = positions < is_own.sum(axis=-1, keepdims=True)
  places = is_own.argmax(axis=-1, keepdims=True) + positions

  def unpack(x):
    # `mode` is what becomes of the places that are beyond the row.
    rows = jax.vmap(lambda x, at: x.at[at].get(mode='clip'))(x, places)
    inside = jnp.expand_dims(is_inside, range(3, rows.ndim))
    return jnp.where(inside, rows, 0).reshape(-1, *x.shape[1:])

  return tuple(map(unpack, arrays))
