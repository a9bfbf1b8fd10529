"""Concept sets against Python's sets, exact fractions and full sorts."""

import fractions
import itertools

import chex
import hypothesis
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import slow_except
from hypothesis import strategies as st
from jax import test_util

from dicejax import losses
from dicejax.concepts.search import similarity
from dicejax.concepts.search.measures import Asymmetric
from dicejax.concepts.search.measures import Symmetric
from dicejax.concepts.search.measures import on_grid
from dicejax.concepts.search.sets import ConceptSets
from dicejax.concepts.search.soft import soft_similarity

VOCABULARY = 7
FEW = Asymmetric(alpha=1, beta=0.3), Symmetric(alpha=0.3, beta=2)
MEASURES = slow_except(FEW, [Asymmetric(), Symmetric(), *FEW])


def exact(measure, query, negated, candidate, weights, synonyms):
  """The score of one pair, by the paper's words, as a fraction."""
  weigh = lambda ids: fractions.Fraction(sum(weights[i] for i in ids))  # noqa: E731
  similar = {synonyms[i] for i in query}
  known = query | {i for i in candidate if synonyms[i] in similar}
  forward, backward = weigh(candidate - known), weigh(query - candidate)
  both = weigh(candidate & query)
  alpha = fractions.Fraction(str(measure.alpha))
  beta = fractions.Fraction(str(measure.beta))
  if isinstance(measure, Symmetric):
    less, more = sorted((forward, backward))
    missed = beta * (alpha * less + (1 - alpha) * more)
    missed += weigh(query & negated)
  else:
    missed = alpha * forward + beta * backward
  return both / (both + missed) if both else fractions.Fraction(0)


def exact_order(measure, query, pool, weights, synonyms):
  """All candidates in order, each with its scores, by a full sort."""
  positive, negative = query

  def key(row):
    there, absent = pool[row]
    first = exact(measure, positive, negative, there, weights, synonyms)
    second = exact(measure, negative, set(), absent, weights, synonyms)
    says = sum(weights[i] for i in positive)
    light = sum(weights[i] for i in there)
    return (-first if says else light, -second, row), first, second

  return sorted(map(key, range(len(pool))))


def as_sets(reports):
  """Draws sets of one width, so that nothing is compiled twice."""
  columns = [
    [sorted(ids) + [-1] * (VOCABULARY - len(ids)) for ids in kind]
    for kind in zip(*reports, strict=True)
  ]
  return ConceptSets(*np.array(columns, np.int32))


def nearest(scores):
  """Rounds fractions to the nearest float32, by the one of a division."""
  shape = np.shape(scores)
  ratios = [
    np.float32(s.numerator) / np.float32(s.denominator)
    for s in np.ravel(np.array(scores, object))
  ]
  return np.array(ratios, np.float32).reshape(shape)


concepts = st.sets(st.integers(0, VOCABULARY - 1))
report = st.tuples(concepts, concepts)
collections = st.tuples(
  st.lists(report, min_size=5, max_size=5),
  st.lists(report, min_size=11, max_size=11),
)
weighings = st.lists(
  st.integers(0, 3), min_size=VOCABULARY, max_size=VOCABULARY
)
components = st.lists(
  st.integers(0, VOCABULARY - 1), min_size=VOCABULARY, max_size=VOCABULARY
)


@pytest.mark.parametrize('measure', MEASURES, ids=str)
@hypothesis.settings(deadline=None)  # Compiles first.
@hypothesis.given(collections, weighings, components)
def test_scores_are_those_of_sets(measure, reports, weights, synonyms):
  queries, pool = reports
  scores = similarity.pairwise(
    as_sets(queries),
    as_sets(pool),
    weights,
    measure=measure,
    synonyms=synonyms,
  )
  expected = [
    [exact(measure, *query, there, weights, synonyms) for there, _ in pool]
    for query in queries
  ]
  np.testing.assert_array_equal(scores, nearest(expected))


@pytest.mark.parametrize('measure', MEASURES, ids=str)
@hypothesis.settings(deadline=None)  # Compiles first.
@hypothesis.given(collections, weighings, components)
def test_order_is_that_of_a_full_sort(measure, reports, weights, synonyms):
  queries, pool = reports
  k = 4
  hits = similarity.search_sets(
    as_sets(queries),
    as_sets(pool),
    k,
    weights,
    measure=measure,
    synonyms=synonyms,
    block=2,
  )
  for row, query in enumerate(queries):
    order = exact_order(measure, query, pool, weights, synonyms)[:k]
    keys, positive, negative = zip(*order, strict=True)
    assert hits.rows[row].tolist() == [key[2] for key in keys]
    np.testing.assert_array_equal(hits.scores[row], nearest(positive))
    np.testing.assert_array_equal(hits.negative_scores[row], nearest(negative))


@pytest.fixture(scope='module')
def collection():
  """300 reports of 40 concepts with weights that are no whole numbers."""
  rng = np.random.default_rng(0)
  frequency = 1 / np.arange(1, 41)
  draw = lambda: [  # noqa: E731
    rng.choice(
      40, rng.integers(0, 7), replace=False, p=frequency / frequency.sum()
    )
    for _ in range(300)
  ]
  weights = on_grid(-np.log(frequency / 1.1))
  return ConceptSets.from_ids(draw(), draw()), weights


@pytest.mark.parametrize(
  'devices, k',
  [
    pytest.param(1, 10, marks=pytest.mark.slow),
    (3, 1),
    pytest.param(8, 10, marks=pytest.mark.slow),
    (8, 300),
  ],
)
def test_a_cut_pool_finds_the_same(collection, devices, k):
  pool, weights = collection
  mesh = jax.make_mesh((devices,), ('pool',), devices=jax.devices()[:devices])
  queries = pool[:50]
  alone = similarity.search_sets(queries, pool, k, weights)
  together = similarity.search_sets(queries, pool, k, weights, mesh=mesh)
  chex.assert_trees_all_equal(alone, together)


@pytest.mark.parametrize('block', [7, 1000])
def test_the_block_does_not_matter(collection, block):
  pool, weights = collection
  usual = similarity.search_sets(pool, pool, 5, weights)
  chex.assert_trees_all_equal(
    usual, similarity.search_sets(pool, pool, 5, weights, block=block)
  )


@pytest.mark.parametrize(
  'part, group, k', [(16_384, 8, 10), (100, 8, 10), (42, 4, 1), (42, 4, 60)]
)
def test_parts_and_groups_do_not_matter(
  collection, monkeypatch, part, group, k
):
  pool, weights = collection
  scores = similarity.score_all(pool, pool, weights)
  keys = -np.stack([scores.negative, scores.order])
  monkeypatch.setattr(similarity, '_PART', part)
  monkeypatch.setattr(similarity, '_GROUP', group)
  similarity._search.clear_cache()
  hits = similarity.search_sets(pool, pool, k, weights)
  similarity._search.clear_cache()
  np.testing.assert_array_equal(
    hits.rows, [np.lexsort(keys[:, i])[:k] for i in range(len(pool))]
  )


def test_memory_is_of_the_block(collection):
  """Not of all queries, whose scores would be 1,200 bytes more for each."""
  pool, weights = collection
  held = []
  for number, block in [(32, 16), (288, 16), (288, 144)]:
    compiled = similarity._search.lower(
      *(pool[:number], pool, jnp.array(weights), None),
      *(5, Asymmetric(), block, None),
    ).compile()
    held.append(compiled.memory_analysis().temp_size_in_bytes)
  few, many, large = held
  assert many - few < 256 * 300  # A byte a pair.
  assert large > 4 * few


def test_inside_of_jit(collection):
  pool, weights = collection
  search = jax.jit(lambda pool, w: similarity.search_sets(pool[:9], pool, 5, w))
  chex.assert_trees_all_equal(
    search(pool, weights), similarity.search_sets(pool[:9], pool, 5, weights)
  )


def test_search_is_the_head_of_pairwise(collection):
  pool, weights = collection
  scores = np.asarray(similarity.pairwise(pool, pool, weights))
  hits = similarity.search_sets(pool, pool, 20, weights)
  best = -np.sort(-scores, axis=1)[:, :20]
  says_something = (pool.positive >= 0).any(1)
  np.testing.assert_array_equal(
    hits.scores[says_something], best[says_something]
  )
  np.testing.assert_array_equal(
    np.take_along_axis(scores, np.asarray(hits.rows), 1), hits.scores
  )


def pairs_of(collection, measure, **kwargs):
  pool, weights = collection
  return np.asarray(
    similarity.pairwise(pool, pool, weights, measure=measure, **kwargs)
  )


def plain(collection):
  """The collection, whose reports contradict nothing."""
  sets, weights = collection
  return ConceptSets(sets.positive, np.full_like(sets.negative, -1)), weights


def test_symmetric_is_dice_and_jaccard(collection):
  """By matrix products of indicators, in float64."""
  sets, weights = collection = plain(collection)
  has = np.zeros((len(sets), 41))
  np.put_along_axis(has, sets.positive, 1, axis=1)
  has = has[:, :40]  # Padding went to the last column.
  both = has * weights @ has.T
  weight = has @ weights
  total = weight[:, None] + weight
  safe = np.where(total > 0, total, 1)
  dice = pairs_of(collection, Symmetric())
  np.testing.assert_allclose(dice, 2 * both / safe, rtol=1e-7)
  jaccard = pairs_of(collection, Symmetric(beta=2))
  np.testing.assert_allclose(jaccard, both / (safe - both), rtol=1e-7)


def test_symmetric_is_symmetric(collection):
  scores = pairs_of(plain(collection), Symmetric(alpha=0.2, beta=1.5))
  np.testing.assert_array_equal(scores, scores.T)
  assert scores.min() == 0 and scores.max() == 1


def test_swapped_sides_swap_the_weights(collection):
  scores = pairs_of(collection, Asymmetric(0.1, 0.9))
  np.testing.assert_array_equal(
    scores, pairs_of(collection, Asymmetric(0.9, 0.1)).T
  )


def test_the_weight_of_differences_keeps_the_order(collection):
  """Symmetric scores fall with (difference / common), whatever beta is."""
  sets, weights = plain(collection)
  orders = [
    similarity.search_sets(
      sets, sets, 300, weights, measure=Symmetric(beta=b)
    ).rows
    for b in (1, 2)
  ]
  np.testing.assert_array_equal(*orders)


def test_what_weighs_nothing_is_not_there(collection):
  sets, weights = collection
  weights = np.where(np.arange(40) % 3, weights, 0).astype(np.float32)
  light = lambda ids: [[i for i in row if weights[i] and i >= 0] for row in ids]  # noqa: E731
  without = ConceptSets.from_ids(light(sets.positive), light(sets.negative))
  chex.assert_trees_all_equal(
    similarity.search_sets(sets, sets, 9, weights),
    similarity.search_sets(without, without, 9, weights),
  )


def test_numbers_of_concepts_are_names(collection):
  sets, weights = collection
  new = np.random.default_rng(1).permutation(40)
  rename = lambda ids: [new[row[row >= 0]] for row in ids]  # noqa: E731
  renamed = ConceptSets.from_ids(rename(sets.positive), rename(sets.negative))
  moved = np.empty_like(weights)
  moved[new] = weights
  chex.assert_trees_all_equal(
    similarity.search_sets(sets, sets, 9, weights),
    similarity.search_sets(renamed, renamed, 9, moved),
  )


def test_synonyms_forgive_and_add_nothing():
  sets = ConceptSets.from_ids([[0], [1], [0, 1], [0, 2]], [[]] * 4)
  scores = similarity.pairwise(
    sets, sets, [1, 1, 1], measure=Symmetric(), synonyms=[0, 0, 2]
  )
  assert scores[0].tolist() == [1, 0, 1, nearest(fractions.Fraction(2, 3))]
  # What the query has is not forgiven: T \ R is paid for in full.
  assert scores[2].tolist()[0] == nearest(fractions.Fraction(2, 3))


def test_a_contradiction_costs_only_the_query():
  sets = ConceptSets.from_ids([[0], [0]], [[0], []])
  scores = similarity.pairwise(sets, sets, [1], measure=Symmetric())
  np.testing.assert_array_equal(scores, [[0.5, 0.5], [1, 1]])


def test_a_query_without_findings_gets_reports_without():
  """First by what both deny; when there are none, the ones that say least."""
  pool = ConceptSets.from_ids([[0, 1], [0], [], []], [[1, 2], [2], [], [1, 2]])
  query = ConceptSets.from_ids([[], []], [[1, 2], []])
  hits = similarity.search_sets(query, pool, 4, [1, 1, 1])
  assert hits.rows.tolist() == [[3, 2, 1, 0], [2, 3, 1, 0]]
  assert not hits.scores.any()
  assert hits.negative_scores[0, 0] == 1


def test_equal_ratios_are_equal_scores():
  """Weights in any proportion add up, though a tenth is no binary fraction."""
  sizes = np.array(
    [
      np.multiply(scale, parts)
      for scale in range(1, 40)
      for parts in itertools.product((1, 2, 3), (0, 1, 3), (1, 2))
    ]
  )
  # Candidates that share, have and lack concepts of just these weights; one
  # query each, but only the diagonal is looked at.
  number = len(sizes)
  both, extra, lacking = np.arange(3 * number).reshape(3, number)
  queries = ConceptSets.from_ids(np.stack([both, lacking], 1), [[]] * number)
  pool = ConceptSets.from_ids(np.stack([both, extra], 1), [[]] * number)
  scores = similarity.pairwise(queries, pool, sizes.T.ravel() / 64)
  expected = nearest(
    [
      fractions.Fraction(10 * i, 10 * i + f + 9 * b)
      for i, f, b in sizes.tolist()
    ]
  )
  np.testing.assert_array_equal(np.diag(scores), expected)


@pytest.mark.parametrize('measure', MEASURES, ids=str)
def test_greedy_takes_the_best_that_is_left(collection, measure):
  sets, weights = collection
  seeds, pool = sets[:6], sets[6:106]
  order = np.arange(60) % 6
  fetched = similarity.greedy_retrieve(
    seeds, pool, order, weights, measure=measure
  )
  left = list(range(100))
  for query, row in zip(order, fetched.tolist(), strict=True):
    hit = similarity.search_sets(
      seeds[query : query + 1], pool, 100, weights, measure=measure
    )
    best = next(r for r in hit.rows[0].tolist() if r in left)
    assert row == best
    left.remove(best)


def test_the_soft_twin_is_the_loss():
  """The two papers have one formula, of sets and of probabilities."""
  rng = np.random.default_rng(0)
  logits = rng.normal(size=(9, 20)).astype(np.float32)
  labels = rng.integers(0, 2, (9, 20))
  for alpha, beta in [(0.1, 0.9), (0.5, 0.5), (1, 0.25)]:
    similar = soft_similarity(
      labels,
      jax.nn.sigmoid(logits),
      jnp.ones(20),
      measure=Asymmetric(alpha, beta),
    )
    loss = losses.tversky(
      logits, labels, alpha=alpha, beta=beta, smooth=0, axis=-1
    )
    np.testing.assert_allclose(1 - loss, similar, rtol=1e-6)


@pytest.mark.parametrize('measure', MEASURES, ids=str)
def test_the_soft_twin_of_indicators_is_the_similarity(collection, measure):
  sets, weights = plain(collection)
  has = np.zeros((len(sets), 41), np.float32)
  np.put_along_axis(has, sets.positive, 1, axis=1)
  has = has[:, :40]
  soft = soft_similarity(
    has[:50, None], has[None, :80], weights, measure=measure
  )
  hard = similarity.pairwise(sets[:50], sets[:80], weights, measure=measure)
  np.testing.assert_array_equal(soft, hard)


@pytest.mark.parametrize('measure', MEASURES, ids=str)
def test_the_soft_twin_has_a_gradient(measure):
  rng = np.random.default_rng(3)
  x, y, w = rng.uniform(0.1, 0.9, (3, 6)).astype(np.float32)
  score = lambda y: soft_similarity(x, y, w, measure=measure)  # noqa: E731
  test_util.check_grads(score, (y,), order=1, modes=['rev'], rtol=1e-2)
  assert np.abs(jax.grad(score)(y)).min() > 1e-3


SETS = ConceptSets.from_ids([[0], [1]], [[], []])


@pytest.mark.parametrize(
  'call, message',
  [
    (lambda: ConceptSets.from_ids([[0]], []), '1 positive sets, but 0'),
    (lambda: ConceptSets.from_ids([[-1]], [[]]), 'numbered from 0'),
    (
      lambda: similarity.search_sets(SETS, SETS, 3, [1, 1]),
      'candidates, got 3',
    ),
    (
      lambda: similarity.search_sets(SETS, SETS, 0, [1, 1]),
      'k must be from 1',
    ),
    (
      lambda: similarity.search_sets(SETS, SETS, 1, [1, 1], block=0),
      'block must be at least 1, got 0',
    ),
    (
      lambda: similarity.search_sets(SETS, SETS, 1, [1]),
      'Concept 1 has no weight',
    ),
    (lambda: similarity.pairwise(SETS, SETS, [1, -1]), 'at least 0'),
    (lambda: similarity.pairwise(SETS, SETS, [1, np.nan]), 'finite'),
    (
      lambda: similarity.pairwise(SETS, SETS, [1, 1], synonyms=[0, 2]),
      'synonyms must be numbers',
    ),
    (lambda: similarity.pairwise(SETS, SETS, [[1, 1]]), r'got shape \(1, 2\)'),
    (
      lambda: similarity.pairwise(SETS, SETS, [1, 1], synonyms=[0]),
      r'like weights, \(2,\), got \(1,\)',
    ),
    (
      lambda: similarity.greedy_retrieve(SETS, SETS, [0, 0, 0], [1, 1]),
      '3 steps, but 2 candidates',
    ),
    (
      lambda: similarity.greedy_retrieve(SETS, SETS, [2], [1, 1]),
      'order must have rows from 0 to 1',
    ),
  ],
)
def test_bad_input(call, message):
  with pytest.raises(ValueError, match=message):
    call()
