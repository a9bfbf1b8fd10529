"""Tables of scores, by hand."""

import numpy as np
import pytest
from scipy import stats

from train import report


def outcome(dev, test=None, seconds=60.0, seed=0):
  """Makes the outcome of a run whose headline is the F1 in row `micro`."""
  scores = {'dev': {'micro': {'precision': 0.5, 'f1': dev, 'support': 7}}}
  if test is not None:
    scores['test'] = {'micro': {'precision': 0.25, 'f1': test, 'support': 9}}
  return {
    'headline': ['micro', 'f1'],
    'beside': ['tuned', 'plug-in'],
    'scores': scores,
    'seconds': seconds,
    'seed': seed,
  }


def test_scores():
  rows = report.score_rows(
    {'half': {'f1': 0.5, 'support': 3}, 'tuned': {'f1': 1.0, 'threshold': 0.25}}
  )
  assert rows == [
    ['', 'f1', 'support', 'threshold'],
    ['half', '50.00', '3', ''],
    ['tuned', '100.00', '', '0.2500'],
  ]
  assert report.format_table(rows).splitlines()[1] == (
    'half    50.00        3           '
  )


def test_comparison():
  rows = report.comparison_rows(
    {'a': outcome(0.5, 0.25), 'b': outcome(0.625, 0.125, seconds=90.0)}
  )
  assert rows == [
    ['', 'dev f1', 'test precision', 'test f1', 'minutes'],
    ['a', '50.00', '25.00', '25.00', '1.0'],
    ['b', '62.50', '25.00', '12.50', '1.5'],
  ]
  assert report.comparison_rows({'a': outcome(0.5)}) == [
    ['', 'dev f1', 'dev precision', 'minutes'],
    ['a', '50.00', '50.00', '1.0'],
  ]


def test_another_threshold_stands_beside():
  tuned = outcome(0.5, 0.25)
  tuned['scores']['test']['tuned'] = {'f1': 0.75, 'threshold': 0.125}
  rows = report.comparison_rows({'a': tuned, 'b': outcome(0.5, 0.25)})
  assert rows[0][-2:] == ['tuned: f1', 'minutes']
  assert [row[-2] for row in rows[1:]] == ['75.00', '']
  assert report.sweep_rows({'a': [tuned, tuned]})[1][-4] == '75.00 ± 0.00'


def test_sweep_is_means_deviations_and_a_difference():
  tests = {'ce': [0.80, 0.82, 0.87], 'dice': [0.81, 0.85, 0.86]}
  groups = {
    name: [outcome(0.5, t, seed=seed) for seed, t in enumerate(values)]
    for name, values in tests.items()
  }
  rows = report.sweep_rows(groups)
  columns = 'dev f1', 'test precision', 'test f1', 'Δ f1', 'p', 'runs'
  assert rows[0] == ['', *columns]
  for name, *cells in rows[1:]:
    mean, deviation = np.mean(tests[name]), np.std(tests[name], ddof=1)
    assert cells[2] == f'{100 * mean:.2f} ± {100 * deviation:.2f}'
    assert cells[0] == '50.00 ± 0.00' and cells[5] == '3'
  p = stats.ttest_rel(tests['dice'], tests['ce']).pvalue
  assert [row[4:6] for row in rows[1:]] == [['', ''], ['+1.00', f'{p:.3f}']]
  # If a run diverged, the seeds that both have are still compared in pairs.
  del groups['ce'][2]
  assert report.sweep_rows(groups)[2][4] == '+2.00'


def test_one_seed_has_no_deviation_and_dev_stands_in_for_test():
  rows = report.sweep_rows({'ce': [outcome(0.5)], 'dice': [outcome(0.25)]})
  assert rows == [
    ['', 'dev f1', 'dev precision', 'Δ f1', 'p', 'runs'],
    ['ce', '50.00', '50.00', '', '', '1'],
    ['dice', '25.00', '50.00', '-25.00', '', '1'],
  ]


def test_headline():
  scores = {'micro': {'f1': 0.5}}
  assert report.headline_score(scores, ('micro', 'f1')) == 0.5
  with pytest.raises(KeyError):
    report.headline_score(scores, ('macro', 'f1'))
