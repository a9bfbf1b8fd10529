"""Gradient accumulation for losses that are not a mean over examples."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp


def accumulate(
  sums_of: Callable[[Any, Any], Any], loss_of: Callable[[Any], jax.Array]
) -> Callable[[Any, Any], tuple[jax.Array, Any]]:
  r"""Computes value and gradient of a loss of sums, one micro-batch at a time.

  .. math::
    L(\theta) = f \Bigl( \sum_m s(\theta, B_m) \Bigr), \qquad
    \nabla L = \sum_m \nabla s(\theta, B_m)^\top \, f'

  The loss of a set is a ratio of sums. Accumulated gradients usually follow the
  mean of the ratios of micro-batches, which is another loss. Two passes get it
  right: the first adds up the sums, the second pulls the derivative of the loss
  by the sums back through each micro-batch. It takes the memory of one
  micro-batch, and the time of one more forward pass.

  Args:
    sums_of: `(params, micro_batch) -> sums`, any tree of arrays that add up,
      such as `soft_counts`, sums of losses, numbers of elements. It is called
      twice and has to return the same: let dropout depend on a key in the
      micro-batch.
    loss_of: `(sums) -> loss`, a scalar, of the sums over all micro-batches.

  Returns:
    `(params, batches) -> loss, gradients`. `batches` is a tree of arrays
    `[micro-batches, ...]`; the gradients have the structure and types of
    `params` and are summed in float32 at least.

  Example:
    Dice of six elements in three parts, plus their mean cross entropy:

    >>> from dicejax import losses
    >>> from dicejax.tversky import tversky_distance
    >>> def sums_of(w, batch):
    ...   logits = w * batch['x']
    ...   counts = losses.soft_counts(logits, batch['y'])
    ...   return counts, losses.cross_entropy(logits, batch['y']).sum()
    >>> def loss_of(sums):
    ...   counts, cross_entropy = sums
    ...   return tversky_distance(counts, smooth=.5) + cross_entropy / 6
    >>> value_and_grad = jax.jit(accumulate(sums_of, loss_of))
    >>> x = jnp.array([[3., 1.], [-1., 0.], [2., -2.]])
    >>> y = jnp.array([[1, 1], [0, 0], [1, 0]])
    >>> loss, gradient = value_and_grad(1., {'x': x, 'y': y})
    >>> print(f'{loss:.4f} {gradient:.4f}')
    0.4480 -0.3234
  """

  def value_and_grad(params, batches):
    def forward(sums, batch):
      return jax.tree.map(jnp.add, sums, sums_of(params, batch)), None

    def backward(gradients, batch):
      _, pull = jax.vjp(lambda p: sums_of(p, batch), params)
      return jax.tree.map(jnp.add, gradients, pull(slope)[0]), None

    first = jax.tree.map(lambda x: x[0], batches)
    zeros = jax.tree.map(
      lambda x: jnp.zeros(x.shape, x.dtype),
      jax.eval_shape(sums_of, params, first),
    )
    sums, _ = jax.lax.scan(forward, zeros, batches)
    loss, slope = jax.value_and_grad(loss_of, allow_int=True)(sums)
    zeros = jax.tree.map(
      lambda p: jnp.zeros(
        jnp.shape(p), jnp.promote_types(jnp.result_type(p), jnp.float32)
      ),
      params,
    )
    gradients, _ = jax.lax.scan(backward, zeros, batches)
    return loss, jax.tree.map(
      lambda g, p: g.astype(jnp.result_type(p)), gradients, params
    )

  return value_and_grad
