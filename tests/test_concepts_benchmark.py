"""Foundations of the figures of benchmarks/concepts.py."""

import concepts
import concepts_systems as systems
import numpy as np
import pytest
from sklearn.metrics import average_precision_score
from sklearn.metrics import precision_recall_fscore_support


def test_average_precision_is_that_of_scikit_learn():
  rng = np.random.default_rng(0)
  scores = rng.random((20, 50))
  hits = rng.random((20, 50)) < 0.1
  hits[:, 7] = True
  ranked = np.take_along_axis(hits, concepts.ranking(scores), axis=1)
  wanted = [
    average_precision_score(*row) for row in zip(hits, scores, strict=True)
  ]
  np.testing.assert_allclose(concepts.average_precision(ranked), wanted)


def test_ranking_is_by_both_scores_and_then_in_order():
  rng = np.random.default_rng(1)
  first, second = rng.integers(3, size=(2, 9, 30)) / 2
  keys = [
    sorted(range(30), key=lambda j, i=i: (-first[i, j], -second[i, j], j))
    for i in range(9)
  ]
  assert concepts.ranking((first, second)).tolist() == keys
  alone = [sorted(range(30), key=lambda j, i=i: -first[i, j]) for i in range(9)]
  assert concepts.ranking(first).tolist() == alone


def test_labels_are_scored_apart_and_over_all_splits():
  # By hand: reports 0 to 3, each label found in the order of the pool.
  has = np.array([[1, 0], [1, 1], [0, 1], [1, 0]], bool)
  splits = [
    (np.array([0]), np.array([1, 2, 3])),
    (np.array([1]), np.array([0, 2, 3])),
  ]

  def system(queries, pool):
    return np.zeros((len(queries), len(pool)))

  precision, first_ten = concepts.score_labels(system, splits, has, '')
  of_0 = [(1 + 2 / 3) / 2, (1 + 2 / 3) / 2]
  np.testing.assert_allclose(precision, [np.mean(of_0), 1 / 2])
  np.testing.assert_allclose(first_ten, [2 / 3, 1 / 3])


def test_intervals_hold_the_mean_and_narrow_with_the_labels():
  rng = np.random.default_rng(2)
  few, many = rng.random(10), rng.random(1000)
  low, high = concepts.interval(few)
  assert low < few.mean() < high
  narrow = np.subtract(*concepts.interval(many))
  # By the normal distribution: 1.96 standard errors to each side.
  error = many.std() / len(many) ** 0.5
  assert -narrow == pytest.approx(2 * 1.96 * error, rel=0.05)


def test_counts_of_classes_are_those_of_scikit_learn():
  rng = np.random.default_rng(3)
  classes = ['a', 'b', 'c']
  x, y = rng.random((2, 40, 3)) < 0.4
  found, gold = (
    [{c for c, one in zip(classes, row, strict=True) if one} for row in rows]
    for rows in (x, y)
  )
  counts = concepts.f1_counts(found, gold, classes)
  wanted = precision_recall_fscore_support(y, x)[:3]
  ours = [concepts.measures(column) for column in counts.T]
  np.testing.assert_allclose(ours, np.transpose(wanted))
  micro = precision_recall_fscore_support(y, x, average='micro')[:3]
  np.testing.assert_allclose(concepts.measures(counts.sum(1)), micro)


def test_greedy_fetches_the_best_left():
  scores = np.array([[3.0, 2.0, 1.0], [3.0, 1.0, 1.0]])
  assert concepts.fetch(scores, [1, 0, 1]).tolist() == [0, 1, 2]
  assert concepts.fetch(scores, [1, 1]).tolist() == [0, 1]


def test_the_greedy_task_takes_turns():
  rng = np.random.default_rng(4)
  has = rng.random((200, 3)) < [0.5, 0.2, 0.1]
  seeds, pool, steps = concepts.draw_task(has, np.random.default_rng(0))
  assert all(has[row, c] for c in range(3) for row in seeds[c])
  assert len({*seeds.ravel()}) == seeds.size
  assert sorted([*pool, *seeds.ravel()]) == list(range(200))
  assert [steps.count(c) for c in range(3)] == (has[pool].sum(0) // 2).tolist()
  assert steps[:6] == [0, 1, 2, 0, 1, 2]
  order = concepts.seeds_in_turn(steps)
  assert order[:18:3].tolist() == [0, 1, 2, 3, 4, 0]
  assert (order // concepts.SEEDS).tolist() == steps


@pytest.mark.parametrize(
  'text, left',
  [
    ('Mild edema. No effusion. Heart is large.', 'Mild edema. Heart is large.'),
    ('The lungs are clear.\nLeft base opacity', 'Left base opacity'),
    ('A nodule, notable for its size.', 'A nodule, notable for its size.'),
    ('Normal heart.', ''),
    ('', ''),
  ],
)
def test_affirmed_drops_what_negates(text, left):
  assert systems.affirmed(text) == left


def test_collections_are_read_and_labels_added(tmp_path):
  for name, lines in {
    'openi/indiana_reports.csv': [
      'uid,Problems,findings,impression',
      '1,Edema;Catheters ,"Mild edema.\nA line, new.",Edema.',
      '2,,,No change.',
      '3,normal,Clear lungs.,',
    ],
    'negbio/openi_gld_std14.csv': [
      'filename,Edema,Mass,normal',
      'CXR1,1,0,0',
      'CXR3,0,0,1',
    ],
    'negbio/openi-testset.txt': ['CXR2'],
    'problems.csv': ['uid,Problems', '2,Mass'],
    'classes.csv': ['filename,Edema,Mass,normal', 'CXR2,0,1,0'],
  }.items():
    file = tmp_path / name
    file.parent.mkdir(exist_ok=True)
    file.write_text('\n'.join(lines) + '\n')
  read = systems.read_collection(tmp_path, [])
  assert read.ids == ['1', '2', '3']
  assert read.texts == [
    'Mild edema.\nA line, new.\n\nEdema.',
    'No change.',
    'Clear lungs.',
  ]
  assert read.problems == [{'Edema', 'Catheters'}, set(), {'normal'}]
  assert read.gold == {'1': {'Edema'}, '3': {'normal'}}
  assert read.classes == ['Edema', 'Mass']
  assert read.test == {'2'}
  more = [tmp_path / 'problems.csv', tmp_path / 'classes.csv']
  read = systems.read_collection(tmp_path, more)
  assert read.problems[1] == {'Mass'}
  assert read.gold['2'] == {'Mass'}


def _collection(problems, test):
  ids = [str(i) for i in range(len(problems))]
  return systems.Collection(
    ids, [''] * len(ids), problems, {}, [], frozenset(test)
  )


def test_folds_ask_each_labelled_report_once():
  problems = [frozenset('a' if i % 3 else '') for i in range(50)]
  collection = _collection(problems, test=['0', '3'])
  labelled = [i for i in range(50) if i % 3]
  splits = systems.splits_of(collection)
  assert len(splits) == systems.FOLDS
  asked = np.concatenate([queries for queries, _ in splits])
  assert sorted(asked) == labelled
  for queries, pool in splits:
    assert sorted([*queries, *pool]) == labelled
    assert (np.diff(pool) > 0).all()


def test_labelled_test_reports_ask_all_others():
  collection = _collection([frozenset('a')] * 6, test=['1', '4'])
  ((queries, pool),) = systems.splits_of(collection)
  assert queries.tolist() == [1, 4]
  assert pool.tolist() == [0, 2, 3, 5]


def test_labels_of_findings_that_enough_reports_have():
  problems = [frozenset({'normal', 'a'})] * 5 + [frozenset('b')] * 4
  names, has = systems.has_labels(_collection(problems, []))
  assert names == ['a']
  assert has[:, 0].tolist() == [True] * 5 + [False] * 4
