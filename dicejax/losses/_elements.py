"""Soft counts of single elements, for any labels.

Here a class is a binary problem with the score q and the target y. Class ids
have a faster form in `_class_ids.py`, for `products` and `squares`.
"""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp

from dicejax.losses._class_ids import Decay
from dicejax.losses._inputs import Inputs
from dicejax.losses._softmax import is_class
from dicejax.losses._softmax import split_largest
from dicejax.tversky import Counts

# (q, 1 - q, y) -> Counts, each `[...]`; y is bool for class ids, else a number.
Measure = Callable[[jax.Array, jax.Array, jax.Array], Counts]


def products(q, not_q, y):
  """Counts tp = q y, fp = q (1 - y) and fn = (1 - q) y."""
  return Counts(_and(q, y), _and_not(q, y), _and(not_q, y))


def squares(q, not_q, y):
  """Squares the misses, so that 2 tp + fp + fn becomes q^2 + y^2."""
  counts = products(q, not_q, y)
  miss = jnp.square(counts.fp - counts.fn) / 2
  return Counts(counts.tp, miss, miss)


def powers(gamma) -> Measure:
  """Raises the misses to the power of gamma, at least 1."""

  def measure(q, not_q, y):
    counts = products(q, not_q, y)
    exponent = jnp.asarray(gamma, q.dtype)
    return Counts(
      counts.tp,
      jnp.power(counts.fp, exponent),
      jnp.power(counts.fn, exponent),
    )

  return measure


def minima(q, not_q, y):
  """Counts tp = min(q, y), fp = max(q - y, 0) and fn = max(y - q, 0)."""
  y = jnp.asarray(y, q.dtype)
  # y - q is written with 1 - y and 1 - q, which keeps the digits of a q near 1.
  # Where q rounds to a y of 0 or 1, it still lies on one side of it.
  return Counts(
    jnp.minimum(q, y),
    jnp.where(y < 1, jnp.maximum(q - y, 0), 0),
    jnp.where(y > 0, jnp.maximum(not_q - (1 - y), 0), 0),
  )


def element_counts(x: Inputs, measure: Measure, decay: Decay) -> Counts:
  """Counts what each element adds: `[examples..., classes]` with softmax."""
  scores = _softmax_scores if x.softmax else _sigmoid_scores
  q, not_q = scores(x.logits, decay)
  return measure(
    q, not_q, is_class(x.labels, x.logits) if x.class_ids else x.labels
  )


def has_class_id_form(x: Inputs, measure: Measure) -> bool:
  """Whether `_class_ids.py` has these counts."""
  return x.class_ids and measure in (products, squares)


def _and(q, y):
  return jnp.where(y, q, 0) if y.dtype == bool else q * y


def _and_not(q, y):
  return jnp.where(y, 0, q) if y.dtype == bool else q * (1 - y)


def _softmax_scores(logits, decay):
  """q and 1 - q of every class."""
  # Only the largest class can have a p near 1, where 1 - p and its power need
  # log space. For the others the plain formula is accurate, and cheaper.
  s = split_largest(logits)
  q = s.p
  if decay.alpha is not None:
    factor = jnp.exp(decay.alpha * jnp.log(1 - q))
    q *= jax.lax.stop_gradient(factor) if decay.slope is None else factor
  q_largest, not_q_largest = _sigmoid_scores(s.log_odds_largest, decay)
  return (
    jnp.where(s.is_largest, q_largest, q),
    jnp.where(s.is_largest, not_q_largest, 1 - q),
  )


def _sigmoid_scores(log_odds, decay):
  """q and 1 - q of independent sigmoids."""
  # In log space the decay is a sum: a power of 1 - p has an infinite
  # derivative where p rounds to 1.
  log_q = jax.nn.log_sigmoid(log_odds)
  if decay.alpha is not None:
    log_decay = decay.alpha * jax.nn.log_sigmoid(-log_odds)
    if decay.slope is None:
      log_decay = jax.lax.stop_gradient(log_decay)
    log_q += log_decay
  return jnp.exp(log_q), _one_minus_exp(log_q)


@jax.custom_jvp
def _one_minus_exp(x):
  """1 - e^x with a derivative of -e^x.

  JAX differentiates expm1 as expm1 + 1, which rounds small values away.
  """
  return -jnp.expm1(x)


@_one_minus_exp.defjvp
def _one_minus_exp_jvp(primals, tangents):
  (x,), (dx,) = primals, tangents
  return _one_minus_exp(x), -jnp.exp(x) * dx
