"""Concept sets compared by the Tversky index, and the search for the best.

A report is two sets of concepts: the positive set has those that it says are
there, the negative set those that it says are not. Two reports are as similar
as their positive sets; their negative sets decide between equals (Nützel,
Dombrowski and Kainz, `arXiv:2508.19915 <https://arxiv.org/abs/2508.19915>`_,
2025).

For a query T and a candidate R, with W the sum of the weights of a set,

.. math::
  I = W(R \\cap T) \\qquad f = W(R \\setminus T') \\qquad b = W(T \\setminus R)

where T' is T and what R has of its synonyms: these forgive what only the
candidate has, and add nothing to what both have. A measure makes one number of
the three, which are the true positives, false positives and false negatives of
a candidate that predicts the query.

Scores are exact where weights and their sums are: sums of small whole numbers,
or of multiples of 1/64 (`on_grid`), have no rounding in float32, so each score
is the float32 nearest to the true ratio, and equal ratios are equal scores.
The weights of the measure must then be fractions, with a common
denominator of at most 1,000, as 0.1 and 0.9 are.
"""

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp

from dicejax.concepts.search.measures import Asymmetric
from dicejax.concepts.search.measures import Measure
from dicejax.concepts.search.sets import ConceptSets
from dicejax.tversky import Counts

# Candidates that are compared at a time, so that their scores fit into a cache.
_PART = 16_384
# The search for the best looks at the maxima of groups of so many candidates.
_GROUP = 32


class Hits(NamedTuple):
  """The best candidates of each query, best first.

  Attributes:
    rows: `[q, k]` int32, of the pool.
    scores: `[q, k]` float32, similarity of the positive sets.
    negative_scores: `[q, k]` float32, of the negative sets.
  """

  rows: jax.Array
  scores: jax.Array
  negative_scores: jax.Array


class Scores(NamedTuple):
  """Scores of each query and each candidate.

  Attributes:
    positive: `[q, m]` float32, similarity of the positive sets.
    negative: `[q, m]` float32, similarity of the negative sets.
    order: `[q, m]` float32, orders candidates before `negative` does: it is
      `positive`, except for queries without weight, to which nothing is
      similar; they prefer candidates of little weight.
  """

  positive: jax.Array
  negative: jax.Array
  order: jax.Array


def score_all(
  queries: ConceptSets,
  pool: ConceptSets,
  weights: jax.typing.ArrayLike,
  *,
  measure: Measure = Asymmetric(),  # noqa: B008 -- immutable.
  synonyms: jax.typing.ArrayLike | None = None,
) -> Scores:
  """Scores each query and each candidate, see `pairwise`.

  Example:
    >>> sets = ConceptSets.from_ids([[0], [1]], [[1], [1]])
    >>> [scores.tolist() for scores in score_all(sets[:1], sets, [1, 1])]
    [[[1.0, 0.0]], [[1.0, 1.0]], [[1.0, 0.0]]]
  """
  weights, synonyms = _checked(queries, pool, weights, synonyms)
  return _score_all(queries, pool, weights, synonyms, measure)


def pairwise(
  queries: ConceptSets,
  pool: ConceptSets,
  weights: jax.typing.ArrayLike,
  *,
  measure: Measure = Asymmetric(),  # noqa: B008 -- immutable.
  synonyms: jax.typing.ArrayLike | None = None,
) -> jax.Array:
  """Compares the positive sets of each query and each candidate.

  The whole matrix is computed at once. `search_sets` is for pools whose scores
  do not fit in memory.

  Args:
    queries: q reports.
    pool: m reports.
    weights: `[V]` of the concepts, at least 0.
    measure: of the counts.
    synonyms: `[V]` int, one concept of the synonyms of each.

  Returns:
    `[q, m]` float32, 0 where neither has anything that weighs.

  Example:
    >>> from dicejax.concepts.search.measures import Symmetric
    >>> sets = ConceptSets.from_ids([[0, 1], [1, 2]], [[], []])
    >>> pairwise(sets, sets, [1, 1, 1], measure=Symmetric()).tolist()
    [[1.0, 0.5], [0.5, 1.0]]
  """
  return score_all(
    queries, pool, weights, measure=measure, synonyms=synonyms
  ).positive


def search_sets(
  queries: ConceptSets,
  pool: ConceptSets,
  k: int,
  weights: jax.typing.ArrayLike,
  *,
  measure: Measure = Asymmetric(),  # noqa: B008 -- immutable.
  synonyms: jax.typing.ArrayLike | None = None,
  block: int = 64,
  mesh: jax.sharding.Mesh | None = None,
) -> Hits:
  """Finds the k candidates most similar to each query.

  Candidates are ordered by the similarity of the positive sets, then of the
  negative sets, then by their rows. A query that says nothing is there (or
  nothing that weighs) has no similar candidate; the ones that say least then
  come first, in the paper those that say nothing.

  Args:
    queries: q reports.
    pool: m reports.
    k: how many to find, at most m.
    weights: `[V]` of the concepts, at least 0.
    measure: of the counts.
    synonyms: `[V]` int, one concept of the synonyms of each.
    block: queries that are compared at a time, with some 16,384 candidates.
      Memory is in proportion to `block * (16_384 + V)`, never to `q * m`.
    mesh: the pool is cut over all of its devices.

  Returns:
    Hits `[q, k]`.

  Raises:
    ValueError: a concept that weights do not have, weights that are negative
      or not finite, or k above m.

  Example:
    >>> pool = ConceptSets.from_ids([[0], [0, 1], [2]], [[], [], []])
    >>> hits = search_sets(pool[:1], pool, 2, [1, 1, 1])
    >>> hits.rows.tolist()
    [[0, 1]]
  """
  if not 0 < k <= len(pool):
    raise ValueError(f'k must be from 1 to {len(pool)} candidates, got {k}.')
  if block < 1:
    raise ValueError(f'block must be at least 1, got {block}.')
  weights, synonyms = _checked(queries, pool, weights, synonyms)
  block = min(block, len(queries) or 1)
  return _search(queries, pool, weights, synonyms, k, measure, block, mesh)


def greedy_retrieve(
  queries: ConceptSets,
  pool: ConceptSets,
  order: jax.typing.ArrayLike,
  weights: jax.typing.ArrayLike,
  *,
  measure: Measure = Asymmetric(),  # noqa: B008 -- immutable.
  synonyms: jax.typing.ArrayLike | None = None,
) -> jax.Array:
  """Fetches the best remaining candidate, one query at a time.

  The paper's long-tail task: the seeds of each class fetch in turn, class by
  class. All scores are computed once, `[q, m]` of them.

  Args:
    queries: q reports.
    pool: m reports.
    order: `[steps]` int, the query that fetches at each step; at most m steps.
    weights: `[V]` of the concepts, at least 0.
    measure: of the counts.
    synonyms: `[V]` int, one concept of the synonyms of each.

  Returns:
    `[steps]` int32, the row that each step takes out of the pool.

  Example:
    >>> pool = ConceptSets.from_ids([[0], [0], [1]], [[], [], []])
    >>> greedy_retrieve(pool[:1], pool, [0, 0, 0], [1, 1]).tolist()
    [0, 1, 2]
  """
  order = jnp.asarray(order, jnp.int32)
  if len(order) > len(pool):
    raise ValueError(f'{len(order)} steps, but {len(pool)} candidates.')
  if not isinstance(order, jax.core.Tracer) and not bool(
    jnp.all((order >= 0) & (order < len(queries)))
  ):
    raise ValueError(f'order must have rows from 0 to {len(queries) - 1} only.')
  weights, synonyms = _checked(queries, pool, weights, synonyms)
  return _greedy(queries, pool, order, weights, synonyms, measure)


def _checked(queries, pool, weights, synonyms):
  """Checks weights and synonyms, and makes arrays of them."""
  weights = jnp.asarray(weights, jnp.float32)
  if weights.ndim != 1:
    raise ValueError(
      f'weights must be [V], one per concept, got shape {weights.shape}.'
    )
  if synonyms is not None:
    synonyms = jnp.asarray(synonyms, jnp.int32)
    if synonyms.shape != weights.shape:
      raise ValueError(
        f'synonyms must be shaped like weights, {weights.shape}, got '
        f'{synonyms.shape}.'
      )
  ids = jax.tree.leaves((queries, pool))
  if any(isinstance(x, jax.core.Tracer) for x in (*ids, weights, synonyms)):
    return weights, synonyms  # Inside of jit values are not known.
  if not bool(jnp.all((weights >= 0) & jnp.isfinite(weights))):
    raise ValueError('weights must be finite and at least 0.')
  most = max(int(sets.max(initial=-1)) for sets in ids)
  if most >= len(weights):
    raise ValueError(f'Concept {most} has no weight: there are {len(weights)}.')
  if synonyms is not None and not bool(
    jnp.all((synonyms >= 0) & (synonyms < len(weights)))
  ):
    raise ValueError('synonyms must be numbers of concepts.')
  return weights, synonyms


def _scores(queries, pool, weights, synonyms, measure):
  """Computes the transposed arrays `[m, q]` of `Scores`, inside of jit.

  Sums over the concepts of a candidate come in this order, and to transpose
  them takes a CPU as long as to compute them.
  """
  # Padding points to a last concept that weighs nothing.
  weights = jnp.append(weights, 0)
  if synonyms is not None:
    synonyms = jnp.append(synonyms, len(synonyms))
  last = len(weights) - 1
  queries, pool = jax.tree.map(
    lambda ids: jnp.where(ids < 0, last, ids), (queries, pool)
  )
  says_both = jnp.any(
    queries.positive[:, :, None] == queries.negative[:, None, :], axis=2
  )
  contradiction = jnp.sum(weights[queries.positive] * says_both, axis=1)
  score = functools.partial(_similarity, weights, synonyms, measure)
  positive = score(queries.positive, pool.positive, contradiction)
  negative = score(queries.negative, pool.negative, 0 * contradiction)
  weight = weights[queries.positive].sum(1)
  lightest = -weights[pool.positive].sum(1)
  order = jnp.where(weight[None] > 0, positive, lightest[:, None])
  return Scores(positive, negative, order)


def _similarity(weights, synonyms, measure, queries, pool, contradiction):
  """Compares padded sets `[q, P]` and `[m, R]`: `[m, q]`."""
  table = _table(queries, weights)
  both = _sums(table, pool)
  only_pool = weights[pool].sum(1)[:, None] - both
  if synonyms is not None:
    has_synonym = _table(synonyms[queries], jnp.ones_like(weights))[synonyms]
    forgiven = jnp.where(table == 0, has_synonym, 0) * weights[:, None]
    only_pool -= _sums(forgiven, pool)
  only_query = weights[queries].sum(1)[None] - both
  counts = Counts(both, only_pool, only_query)
  return measure(counts, contradiction[None])


def _table(sets, values):
  """Makes `[V, q]`: a value for each concept that a set has, else 0."""
  columns = jnp.arange(len(sets))[:, None]
  empty = jnp.zeros((len(values), len(sets)), values.dtype)
  return empty.at[sets, columns].set(values[sets])


def _sums(table, sets):
  """Sums the columns of a table `[V, q]` over sets `[m, R]`: `[m, q]`."""
  # A row of the table at a time serves all queries of the block, and only the
  # sums are ever held.
  zeros = jnp.zeros((len(sets), table.shape[1]), table.dtype)
  add = lambda sums, ids: (sums + table[ids], None)  # noqa: E731
  return jax.lax.scan(add, zeros, sets.T)[0]


@functools.partial(jax.jit, static_argnames='measure')
def _score_all(queries, pool, weights, synonyms, measure):
  scores = _scores(queries, pool, weights, synonyms, measure)
  return jax.tree.map(jnp.transpose, scores)


def _best(queries, pool, rows, weights, synonyms, k, measure):
  """Finds the first k of `rows` `[m]` for each query, in no order.

  Rows below 0 fill the pool up and come last.

  Returns:
    Three keys to sort by, of which the last is the row, and the scores of the
    positive sets, each `[q, k]`.
  """
  positive, negative, order = _scores(queries, pool, weights, synonyms, measure)
  order = jnp.where(rows[:, None] < 0, -jnp.inf, order)
  # All that come before the k-th by the first key are in; those that tie with
  # it compete by the second, which is at most 1.
  first = _top(order, k)
  bound = jnp.take_along_axis(order, first, axis=0).min(0, keepdims=True)
  tied = jnp.where(order == bound, negative, -1)
  best = _top(jnp.where(order > bound, 2, tied), k)
  take = lambda x: jnp.take_along_axis(x, best, axis=0).T  # noqa: E731
  return -take(order), -take(negative), rows[best.T], take(positive)


def _first(found, k):
  """Sorts what `_best` found, and returns the first k."""
  return tuple(x[:, :k] for x in jax.lax.sort(found, num_keys=3))


def _top(values, k):
  """Finds the rows of the k largest of each column `[m, q]`: `[k, q]`.

  Of equals, the first are taken. The k groups with the largest maxima hold all
  of them: to leave one out, k candidates of other groups would have to come
  before it.
  """
  groups = -(-len(values) // _GROUP)
  if groups <= k:
    return jax.lax.top_k(values.T, k)[1].T
  filled = ((0, groups * _GROUP - len(values)), (0, 0))
  values = jnp.pad(values, filled, constant_values=-jnp.inf)
  values = values.reshape(groups, _GROUP, -1)
  chosen = jax.lax.top_k(values.max(1).T, k)[1]
  chosen = jnp.sort(chosen, axis=1)  # So that the first of equals come first.
  queries = jnp.arange(values.shape[2])[:, None]
  members = values[chosen, :, queries].reshape(len(queries), -1)
  at = jax.lax.top_k(members, k)[1]
  rows = jnp.take_along_axis(chosen, at // _GROUP, axis=1)
  return (rows * _GROUP + at % _GROUP).T


def _by_block(queries, block, function):
  """Maps a function over blocks of reports."""
  number = len(queries)
  blocks = -(-number // block)
  filled = ((0, blocks * block - number), (0, 0))
  queries = jax.tree.map(
    lambda ids: jnp.pad(ids, filled, constant_values=-1).reshape(
      blocks, block, -1
    ),
    queries,
  )
  found = jax.lax.map(function, queries)
  return jax.tree.map(lambda x: x.reshape(-1, x.shape[-1])[:number], found)


@functools.partial(jax.jit, static_argnames=('k', 'measure', 'block', 'mesh'))
def _search(queries, pool, weights, synonyms, k, measure, block, mesh):
  devices = mesh.size if mesh else 1
  parts = max(1, len(pool) // (devices * _PART))
  filled = -len(pool) % (devices * parts)
  rows = jnp.pad(jnp.arange(len(pool)), (0, filled), constant_values=-1)
  pool = jax.tree.map(
    lambda ids: jnp.pad(ids, ((0, filled), (0, 0)), constant_values=-1), pool
  )

  def find(pool, rows):
    # A device has the same number of candidates in each of its parts.
    cut = jax.tree.map(
      lambda x: x.reshape(parts, -1, *x.shape[1:]), (pool, rows)
    )

    def find_of_block(queries):
      def find_in_part(part):
        pool, rows = part
        number = min(k, len(rows))
        return _best(queries, pool, rows, weights, synonyms, number, measure)

      found = jax.lax.map(find_in_part, cut)
      return _first(jax.tree.map(jnp.hstack, found), k)

    return _by_block(queries, block, find_of_block)

  def find_on_all(pool, rows):
    found = find(pool, rows)
    return _first(jax.lax.all_gather(found, 'devices', axis=1, tiled=True), k)

  if mesh:
    found = jax.shard_map(
      find_on_all,
      mesh=jax.sharding.Mesh(mesh.devices.ravel(), 'devices'),
      in_specs=jax.P('devices'),
      out_specs=jax.P(),
      check_vma=False,  # It cannot know that sorted alike is the same.
    )(pool, rows)
  else:
    found = find(pool, rows)
  _, negative, rows, positive = found
  return Hits(rows, positive, -negative)


@functools.partial(jax.jit, static_argnames='measure')
def _greedy(queries, pool, order, weights, synonyms, measure):
  _, negative, first = _score_all(queries, pool, weights, synonyms, measure)
  rows = jnp.broadcast_to(jnp.arange(len(pool)), first.shape)
  ranking = jax.lax.sort((-first, -negative, rows), num_keys=3)[2]

  def fetch(free, query):
    ranked = ranking[query]
    row = ranked[jnp.argmax(free[ranked])]  # The first that is free.
    return free.at[row].set(False), row

  return jax.lax.scan(fetch, jnp.ones(len(pool), bool), order)[1]
