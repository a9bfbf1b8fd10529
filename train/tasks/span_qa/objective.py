"""The objective of span QA: the mean of the losses of starts and ends."""

import jax
import jax.numpy as jnp

from train.objective import Loss
from train.objective import Objective
from train.objective import unpack_rows

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
    return unpack_rows(arrays, batch['mask'], windows)

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
