"""Speed of the search in pairs of concept sets per second, and its memory.

  python benchmarks/concepts_speed.py
  python benchmarks/concepts_speed.py --reports 1000 20000 --repetitions=9

Run it from the repository root. The search runs on the first device of JAX, the
other methods on the CPU. All methods find the ten nearest reports for each
query, in the same order, with ties by row:

- search: dicejax.concepts.search.similarity.search_sets
- search, negatives: the same with negative sets of the same size
- Python sets: one query and one candidate at a time, on one core
- numpy, dense: a product of float32 matrices, reports by concepts; left out if
  they take more than 2 GB
- scipy, sparse: the pool in CSR, times a block of dense queries

Reports are synthetic, with about 11 of 4,096 concepts each, drawn by Zipf's law
(the r-th concept in proportion to 1 / r, without repetition). Weights are minus
the logarithm of the fraction of reports with a concept, rounded to integers so
that ties are the same in float64 and float32. The measure is the default,
asymmetric one.

All methods must find the same reports in a small pool before any is timed. Work
on the pool that is done once (matrices, sums, compiled programs) is not timed;
work on the queries is. Slow methods get fewer queries of the same kind; rates
are compared, and ratios are ratios of medians. Each repetition times every
method once, in a new random order.

Memory is the peak of the search without the sets, measured in a separate
process, and includes a few MB of the process itself. The table also has the
memory that all scores would take.
"""

import argparse
import ctypes
import functools
import heapq
import pathlib
import random
import re
import subprocess
import sys
import time
from collections.abc import Callable
from typing import NamedTuple

# Imports the library of this tree, not an installed one.
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

import jax
import numpy as np
import scipy
from concepts import print_machine
from concepts import print_table
from concepts_systems import progress
from scipy import sparse

from dicejax.concepts.search import similarity
from dicejax.concepts.search.measures import on_grid

V = 4096
DRAWN = 12  # About 11 of them are distinct.
K = 10
BLOCK = 64  # Queries per product of matrices.
DENSE_BYTES = 2**31  # Limit, because many machines cannot hold more.


class Way(NamedTuple):
  """Prepares a pool, and returns a function from queries to ids `[q, K]`."""

  name: str
  prepare: Callable  # (Reports, weights) -> (Reports) -> ids
  pairs: float  # Number of pairs in a repetition.


class Reports(NamedTuple):
  positive: list[list[int]]
  negative: list[list[int]]

  def some(self, number: int) -> 'Reports':
    return Reports(self.positive[:number], self.negative[:number])


def draw(number: int, seed: int) -> Reports:
  rng = np.random.default_rng(seed)
  share = 1 / np.arange(1, V + 1)
  edges = np.cumsum(share / share.sum())

  def sets():
    lengths = np.maximum(rng.poisson(DRAWN, number), 1)
    drawn = np.searchsorted(edges, rng.random(lengths.sum()))
    drawn = np.minimum(drawn, V - 1)  # The last edge may round to less than 1.
    cuts = np.cumsum(lengths)[:-1]
    return [np.unique(ids).tolist() for ids in np.split(drawn, cuts)]

  return Reports(sets(), sets())


def weights_of(pool: Reports) -> np.ndarray:
  counts = np.zeros(V)
  for ids in pool.positive:
    counts[ids] += 1
  information = -np.log((counts + 1) / (len(pool.positive) + 1))
  return on_grid(information, step=1)


# The methods. The score is I / (I + f / 10 + 9 b / 10), in whole numbers.


def scores(shared, asked, has):
  """Scores from the weights of shared, query's and candidate's concepts."""
  total = 10 * shared + (has - shared) + 9 * (asked - shared)
  return 10 * shared / np.where(total > 0, total, 1)


def best(row: np.ndarray) -> np.ndarray:
  """Returns the K best of a row, ties by number, without sorting all of it."""
  least = np.partition(row, len(row) - K)[len(row) - K]
  columns = np.flatnonzero(row >= least)
  return columns[np.argsort(-row[columns], kind='stable')[:K]]


def python_sets(pool, weights):
  weight = weights.tolist().__getitem__
  candidates = [frozenset(ids) for ids in pool.positive]
  sums = [sum(map(weight, ids)) for ids in candidates]

  def find(queries):
    found = []
    for query in map(frozenset, queries.positive):
      asked = sum(map(weight, query))
      keys = []
      for row, ids in enumerate(candidates):
        shared = sum(map(weight, query & ids))
        total = 10 * shared + (sums[row] - shared) + 9 * (asked - shared)
        keys.append((-10 * shared / total if total else 0, row))
      found.append([row for _, row in heapq.nsmallest(K, keys)])
    return found

  return find


def incidence(sets) -> sparse.csr_array:
  columns = np.concatenate([np.asarray(ids, np.int32) for ids in sets])
  starts = np.cumsum([0, *map(len, sets)])
  ones = np.ones(len(columns), np.float32)
  return sparse.csr_array((ones, columns, starts), (len(sets), V))


def numpy_dense(pool, weights):
  matrix = incidence(pool.positive).toarray()
  return by_products(matrix, weights, lambda block: block @ matrix.T)


def scipy_sparse(pool, weights):
  matrix = incidence(pool.positive)

  def product(block):
    return np.ascontiguousarray((matrix @ block.T).T)

  return by_products(matrix, weights, product)


def by_products(matrix, weights, product):
  """Finds by products of weighted queries `[BLOCK, V]` and pool `[n, V]`."""
  has = matrix @ weights

  def find(queries):
    found = []
    for start in range(0, len(queries.positive), BLOCK):
      block = incidence(queries.positive[start : start + BLOCK]).toarray()
      block *= weights
      asked = block.sum(1, keepdims=True)
      found += [best(row) for row in scores(product(block), asked, has)]
    return found

  return find


def concept_sets(reports: Reports, negatives: bool) -> similarity.ConceptSets:
  nothing = [[]] * len(reports.positive)
  return similarity.ConceptSets.from_ids(
    reports.positive, reports.negative if negatives else nothing
  )


def search(pool, weights, negatives=False):
  candidates = jax.device_put(concept_sets(pool, negatives))

  def find(queries):
    sets = concept_sets(queries, negatives)
    return np.asarray(similarity.search_sets(sets, candidates, K, weights).rows)

  return find


def search_negatives(pool, weights):
  return search(pool, weights, negatives=True)


WAYS = [
  Way('search', search, 5e7),
  Way('search, negatives', search_negatives, 2e7),
  Way('Python sets', python_sets, 5e5),
  Way('numpy, dense', numpy_dense, 5e6),
  Way('scipy, sparse', scipy_sparse, 2e7),
]


def check() -> None:
  """Exits unless all methods agree."""
  pool, queries = draw(500, seed=1), draw(100, seed=2)
  weights = weights_of(pool)
  wanted = python_sets(pool, weights)(queries)
  for way in WAYS:
    if way.prepare is not search_negatives:  # Negatives order ties differently.
      found = way.prepare(pool, weights)(queries)
      if not np.array_equal(found, wanted):
        sys.exit(f'{way.name} and Python sets disagree. Nothing was timed.')


def race(number: int, repetitions: int) -> None:
  """Times all methods on a pool of `number` reports and prints their rates."""
  pool, queries = draw(number, seed=0), draw(number, seed=3)
  weights = weights_of(pool)
  runs, sizes, rates = {}, {}, {}
  for way in progress(WAYS, 'Preparing'):
    if way.prepare is numpy_dense and 4 * number * V > DENSE_BYTES:
      continue
    sizes[way.name] = size = int(np.clip(way.pairs // number, 2, number))
    find = way.prepare(pool, weights)
    runs[way.name] = functools.partial(find, queries.some(size))
    runs[way.name]()
    rates[way.name] = []
  for _ in progress(range(repetitions), f'{number} reports'):
    for name in random.sample(list(runs), len(runs)):
      start = time.perf_counter()
      runs[name]()
      seconds = time.perf_counter() - start
      rates[name].append(sizes[name] * number / seconds / 1e6)
  mean = np.mean([len(ids) for ids in pool.positive])
  print(f'\n{number} reports, {mean:.1f} concepts each\n')
  table = [['way', 'queries', 'M pairs/s', 'quartiles', 'search / this']]
  for name, values in rates.items():
    low, median, high = np.quantile(values, [0.25, 0.5, 0.75])
    ratio = np.median(rates['search']) / median
    table.append(
      [name, str(sizes[name]), f'{median:.2f}', f'{low:.2f} - {high:.2f}']
      + [f'{ratio:.1f}']
    )
  print_table(table)


def report_memory(numbers: list[int]) -> None:
  table = [['reports', 'queries', 'search, MB', 'all scores, MB']]
  for number in progress(numbers, 'Memory'):
    for size in sorted({min(number, 256), min(number, 2048)}):
      command = [sys.executable, __file__, '--peak-of', str(number), str(size)]
      peak = subprocess.check_output(command, text=True)
      all_scores = f'{4 * number * size / 1e6:.0f}'
      table.append([str(number), str(size), peak.strip(), all_scores])
  print('\nMemory beside the sets\n')
  print_table(table)


def print_peak(number: int, size: int) -> None:
  """Prints the memory of a compiled search in MB, without the sets."""
  pool, queries = draw(number, seed=0), draw(size, seed=3)
  find = search(pool, weights_of(pool))
  find(queries)
  if statistics := jax.devices()[0].memory_stats():
    peak, before = statistics['peak_bytes_in_use'], statistics['bytes_in_use']
  else:
    ctypes.CDLL('libc.so.6').malloc_trim(0)  # Or free memory is reused first.
    pathlib.Path('/proc/self/clear_refs').write_text('5')  # Resets the peak.
    before = process_peak()
    find(queries)
    peak = process_peak()
  print(f'{(peak - before) / 1e6:.1f}')


def process_peak() -> int:
  """Returns the peak memory of this process, in bytes."""
  status = pathlib.Path('/proc/self/status').read_text()
  return 1024 * int(re.search(r'VmHWM:\s*(\d+) kB', status)[1])


def parse_flags() -> argparse.Namespace:
  parser = argparse.ArgumentParser(
    description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
  )
  parser.add_argument(
    '--reports', type=int, nargs='+', default=[1000, 20_000, 200_000]
  )
  parser.add_argument('--repetitions', type=int, default=5, help='default 5')
  parser.add_argument('--peak-of', type=int, nargs=2, help=argparse.SUPPRESS)
  return parser.parse_args()


def main() -> None:
  args = parse_flags()
  if args.peak_of:
    print_peak(*args.peak_of)
    return
  print_machine(scipy)
  check()
  for number in args.reports:
    race(number, args.repetitions)
  report_memory(args.reports)


if __name__ == '__main__':
  main()
