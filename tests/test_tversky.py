"""The index of counts: values by hand, both worlds, and its limits."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dicejax.tversky import Counts
from dicejax.tversky import tversky_distance
from dicejax.tversky import tversky_index

COUNTS = Counts(tp=6, fp=2, fn=4)


@pytest.mark.parametrize(
  'alpha, beta, want',
  [
    (0.5, 0.5, 12 / 18),  # Dice
    (1, 1, 6 / 12),  # Jaccard
    (1, 0, 6 / 8),  # precision
    (0, 1, 6 / 10),  # recall
    (0.2, 0.8, 5 * 6 / (5 * 6 + 4 * 4 + 2)),  # F2
  ],
)
def test_by_hand(alpha, beta, want):
  assert tversky_index(COUNTS, alpha, beta) == pytest.approx(want, rel=1e-15)
  distance = tversky_distance(COUNTS, alpha, beta)
  assert distance == pytest.approx(1 - want, rel=1e-15)


def test_empty_sets():
  empty = Counts(0, 0, 0)
  assert tversky_index(empty) == 0 and tversky_distance(empty) == 0
  assert tversky_index(empty, smooth=1.0) == 1
  grad = jax.grad(lambda c: tversky_distance(c))(Counts(0.0, 0.0, 0.0))
  np.testing.assert_array_equal(jax.tree.leaves(grad), 0)


def test_distance_keeps_small_differences():
  near = Counts(jnp.float32(1e6), jnp.float32(1e-3), jnp.float32(0))
  np.testing.assert_allclose(tversky_distance(near), 5e-10, rtol=1e-6)


def test_counts_add_and_stay_where_they_are():
  host = Counts(*np.array([[1, 2], [3, 4], [5, 6]]))
  total = sum([host, host], start=Counts(0, 0, 0))
  np.testing.assert_array_equal(total.fn, [10, 12])
  assert isinstance(tversky_index(total), np.ndarray)
  assert tversky_index(total).dtype == np.float64
  device = jax.jit(lambda c: tversky_index(c + c))(host)
  assert isinstance(device, jax.Array)
  np.testing.assert_allclose(device, tversky_index(host), rtol=1e-6)
