"""Statistics of the study against other minds, and its page."""

import importlib.util
import itertools
import json
import pathlib
import xml.etree.ElementTree as ET

import numpy as np
import pytest
from scipy import stats
from sklearn import metrics as sklearn

from configs import study as configs
from train import results
from train import significance

DOCS = pathlib.Path(__file__).parents[1] / 'docs'


def load(name):
  spec = importlib.util.spec_from_file_location(name, DOCS / f'{name}.py')
  module = importlib.util.module_from_spec(spec)
  spec.loader.exec_module(module)
  return module


study, study_data = load('study'), load('study_data')


@pytest.mark.parametrize('n', [2, 5, 20])
def test_paired_difference_is_that_of_scipy(n):
  rng = np.random.default_rng(n)
  a, b = rng.normal(0.5, 0.1, (2, n))
  difference = significance.paired_difference(a, b, level=0.9)
  other = stats.ttest_rel(a, b)
  interval = other.confidence_interval(0.9)
  np.testing.assert_allclose(
    difference,
    [np.mean(a) - np.mean(b), interval.low, interval.high, other.pvalue],
    rtol=1e-10,
  )


def test_differences_without_a_spread():
  paired = significance.paired_difference
  assert paired([0.5, 0.7], [0.5, 0.7]) == (0, 0, 0, 1)
  equal = paired([0.3, 0.4, 0.7], [0.2, 0.3, 0.6])
  assert equal.low == equal.mean == equal.high and equal.p == 0
  assert np.isnan(paired([0.5], [0.25])[1:]).all()
  with pytest.raises(ValueError, match='not 2 and 1'):
    paired([0.5, 0.6], [0.5])


def test_a_true_difference_is_in_the_interval_as_often_as_it_says():
  rng = np.random.default_rng(0)
  runs = rng.normal(0, 0.02, (2, 4000, 5)) + rng.normal(0, 1, (4000, 5))
  found = [
    significance.paired_difference(*pair) for pair in runs.swapaxes(0, 1)
  ]
  covered = np.mean([d.low <= 0 <= d.high for d in found])
  assert abs(covered - 0.95) < 0.012  # Three and a half standard errors.
  assert covered == np.mean([d.p >= 0.05 for d in found])


def test_holm_is_the_closure_of_bonferroni():
  """A hypothesis falls if every intersection with it does."""
  rng = np.random.default_rng(0)
  for p in rng.uniform(0, 0.2, (20, 4)):
    subsets = [
      list(s) for k in range(1, 5) for s in itertools.combinations(range(4), k)
    ]
    closed = [
      max(min(1, len(s) * p[s].min()) for s in subsets if i in s)
      for i in range(4)
    ]
    np.testing.assert_allclose(significance.holm(p), closed)
  adjusted = significance.holm([0.01, np.nan, 0.02])
  np.testing.assert_allclose(adjusted, [0.02, np.nan, 0.02])
  assert significance.holm([]) == []


def binary_counts(gold, predicted):
  columns = gold & predicted, predicted & ~gold, gold & ~predicted
  return np.stack(columns, axis=-1).astype(int)


def test_bootstrap_is_resampling_with_f1_of_scikit_learn():
  rng = np.random.default_rng(0)
  n, samples = 60, 100
  gold = rng.random(n) < 0.3
  runs = gold ^ (rng.random((5, n)) < 0.2)
  counts = np.array([binary_counts(gold, run) for run in runs])
  # By hand, with the same draws.
  times = np.random.default_rng(7).multinomial(n, np.full(n, 1 / n), samples)
  f1 = [
    [
      sklearn.f1_score(gold, run, sample_weight=t, zero_division=0)
      for t in times
    ]
    for run in runs
  ]
  differences = np.mean(f1[:3], axis=0) - np.mean(f1[3:], axis=0)
  low, high = significance.bootstrap_interval(
    counts[:3], counts[3:], samples=samples, seed=7
  )
  np.testing.assert_allclose(
    [low, high], np.quantile(differences, [0.025, 0.975])
  )
  # Not far from other draws, and nothing for equal runs.
  other = significance.bootstrap_interval(
    counts[:3], counts[3:], samples=500, seed=8
  )
  np.testing.assert_allclose([low, high], other, atol=0.05)
  assert significance.bootstrap_interval(counts, counts) == (0, 0)


def test_bootstrap_is_as_wide_as_test_sets_differ():
  """The interval of one test set, beside the spread over many."""
  rng = np.random.default_rng(0)
  differences = []
  for _ in range(400):
    gold = rng.random(500) < 0.2
    runs = [gold ^ (rng.random(500) < wrong) for wrong in (0.1, 0.15)]
    counts = [binary_counts(gold, run)[None] for run in runs]
    f1 = [sklearn.f1_score(gold, run) for run in runs]
    differences.append(f1[0] - f1[1])
  low, high = significance.bootstrap_interval(*counts)
  spread = np.quantile(differences, [0.025, 0.975])
  assert (high - low) == pytest.approx(spread[1] - spread[0], rel=0.2)


def test_bootstrap_refuses_other_examples():
  with pytest.raises(ValueError, match=r'not \(2, 5, 3\) and \(2, 4, 3\)'):
    significance.bootstrap_interval(np.ones((2, 5, 3)), np.ones((2, 4, 3)))


def make_line(loss, seed, role=results.REPORT, rate=1e-3, shift=0, **changes):
  """A run on 100 texts, 30 of them positive, 20 found if tuned."""
  counts, rows = {}, {}
  for row, tp in (('threshold 0.5', 10), ('tuned', 20)):
    tp += shift + seed % 3
    array = np.zeros((100, 3), int)
    array[:tp, 0] = array[tp:30, 2] = array[30:40, 1] = 1
    counts[row] = results.pack(array)
    rows[row] = {'f1': 2 * tp / (40 + tp), 'support': 30}
  return {
    'experiment': 'study-sms3',
    'loss': loss,
    'role': role,
    'learning_rate': rate,
    'seed': seed,
    'loss_settings': {},
    'settings': 'digest',
    'encoder': '',
    'headline': ['tuned', 'f1'],
    'scores': {'dev': {'tuned': {'f1': 1 - rate}}, 'test': rows},
    'counted': 'test',
    'counts': counts,
    'data': {'test': 'abc'},
  } | changes


@pytest.fixture
def folder(tmp_path):
  """A page, and the results of two losses of five seeds, one at two rates."""
  (tmp_path / 'study.md').write_text(
    'Before\n<!-- summary --><!-- /summary -->\n<!-- tables -->\nold\n'
    '<!-- /tables -->\n<!-- missing --><!-- /missing -->\nafter'
  )
  seeds = range(5)
  lines = [make_line('cross_entropy', seed) for seed in seeds]
  lines += [make_line('dice', seed, shift=3 + seed) for seed in seeds]
  lines += [make_line('dice', 9, results.RATE, rate) for rate in (1e-3, 1e-2)]
  lines += [make_line('dice', 0, rate=1e-2, shift=-9)]  # Not chosen.
  lines += [make_line('focal', 0), make_line('focal', 1, diverged='nan')]
  for line in lines[-1:]:
    del line['scores'], line['counts']
  write(tmp_path, lines)
  return tmp_path


def write(folder, lines):
  (folder / 'study').mkdir(exist_ok=True)
  for loss in {line['loss'] for line in lines}:
    (folder / 'study' / f'{loss}.jsonl').write_text(
      ''.join(json.dumps(x) + '\n' for x in lines if x['loss'] == loss)
    )


def test_page(folder):
  study.main(folder)
  text = (folder / 'study.md').read_text()
  assert text.startswith('Before\n') and text.endswith('after')
  assert 'old' not in text and '### SMS, 3 % positive\n' in text
  rows = {
    line.split(' | ')[0][2:]: line.strip('| ').split(' | ')
    for line in text.splitlines()
    if line.startswith('| ')
  }
  header = ['loss', 'rate', 'seeds', 'argmax', 'Δ', 'tuned', 'Δ']
  header.append('argmax to tuned CE')
  assert rows['loss'] == header
  ours, theirs = (
    [100 * 2 * (20 + s % 3 + x) / (60 + s % 3 + x) for s in range(5)]
    if x == 0
    else [100 * 2 * (23 + s % 3 + s) / (63 + s % 3 + s) for s in range(5)]
    for x in (3, 0)
  )
  assert rows['dice'][:3] == ['dice', '0.001', '5']
  assert rows['dice'][5] == f'{np.mean(ours):.2f} ± {np.std(ours, ddof=1):.2f}'
  difference = np.subtract(ours, theirs)
  test = stats.ttest_1samp(difference, 0)
  low, high = test.confidence_interval()
  assert (
    f'**{difference.mean():+.2f} [{low:+.2f}, {high:+.2f}]**'
    in (rows['dice'][6])
  )
  assert rows['focal'][2] == '1, 1 diverged'
  for sentence in (
    '- SMS, 3 % positive: focal (2 of 5 seeds), paper_self_adjusting_dice',
    '- Frozen, all losses: WNUT-17; CoNLL-2003',
    '- Fine-tuned, all losses: WNUT-17',
    '- A dev set of 50, all losses: WNUT-17; CoNLL-2003; MRPC',
  ):
    assert sentence in text
  figure = (folder / 'study.svg').read_text()
  ET.fromstring(figure)
  assert 'SMS, 3 % positive' in figure and '>dice<' in figure
  study.main(folder)  # To the byte.
  assert text == (folder / 'study.md').read_text()
  assert figure == (folder / 'study.svg').read_text()


def test_summary_counts_each_hard_set_once(folder):
  lines = []
  shifts = {'sms3': 0, 'mrpc': 2, 'qqp': 4, 'sst5_0': 9, 'sms3-dev=50': 7}
  for name, shift in shifts.items():
    for seed, (loss, more) in itertools.product(
      range(3), (('cross_entropy', 0), ('dice', shift))
    ):
      line = make_line(loss, seed, shift=more - 8, experiment=f'study-{name}')
      if name == 'sst5_0':  # An easy set.
        line['scores']['test']['tuned']['f1'] = 0.9
      lines.append(line)
  write(folder, lines)
  groups = study.group_lines(study.read_lines(folder / 'study'))
  row = [
    line.strip('| ').split(' | ')
    for line in study.write_summary(groups).splitlines()
    if line.startswith('| dice ')
  ]
  means = [
    np.mean(
      [
        100 * (2 * (12 + s + x) / (52 + s + x) - 2 * (12 + s) / (52 + s))
        for s in range(3)
      ]
    )
    for x in (0, 2, 4)
  ]
  low, high = stats.ttest_1samp(means, 0).confidence_interval()
  assert row[0][:2] == ['dice', '3']
  assert row[0][3] == f'{np.mean(means):+.2f} [{low:+.2f}, {high:+.2f}]'


def test_page_without_results(folder):
  for path in (folder / 'study').iterdir():
    path.unlink()
  study.main(folder)
  assert 'No run yet.' in (folder / 'study.md').read_text()
  (folder / 'study.md').write_text('no marker')
  with pytest.raises(ValueError, match='expected one <!-- summary -->'):
    study.main(folder)


def test_page_refuses_what_it_cannot_tell(folder):
  write(folder, [make_line('new', 0), make_line('new', 1, rate=1e-2)])
  with pytest.raises(ValueError, match='new: several learning rates, none'):
    study.main(folder)
  write(folder, [make_line('new', 0)])
  copy = (folder / 'study' / 'new.jsonl').read_text()
  (folder / 'study' / 'other.jsonl').write_text(copy)
  with pytest.raises(ValueError, match='other.jsonl and .*new.jsonl both have'):
    study.main(folder)


def test_the_page_knows_the_sets():
  assert set(study.SETS) == set(configs.SETS) == set(study_data.SETS)


def test_samples_have_the_share_of_positives(tmp_path):
  rows = [(f'text {i}', '', str(int(i < 20))) for i in range(200)]
  rows += rows[:50]
  build = study_data.sampled(lambda _: rows, 0.1, train=100, test=50)
  build(None, tmp_path)
  seen = []
  for split, size in (('train', 100), ('test', 50)):
    text = (tmp_path / f'{split}.tsv').read_text()
    header, *found = [line.split('\t') for line in text.splitlines()]
    assert header == ['text', 'pair', 'label'] and len(found) == size
    assert sum(row[2] == '1' for row in found) == size / 10
    seen += [row[0] for row in found]
  assert len(set(seen)) == 150
  with pytest.raises(ValueError, match='train takes 30 texts of label 1, but'):
    study_data.sampled(lambda _: rows, 0.3, train=100)(None, tmp_path)


def test_conditions_of_the_study():
  config = configs.get_config('wnut17/finetuned/train=10%:focal')
  assert config.loss.name == 'focal' and not config.model.frozen
  assert config.packing and config.data.take.train == 339
  config = configs.get_config('sms3/dev=50')
  assert config.data.take.dev == 50 and config.model.frozen
  assert config.data.files.dev == '' and config.data.held_out.dev == 1 / 3
  for experiment, text in (
    ('wnut', "'wnut' is none of wnut17, "),
    ('sms3/dev', "'dev' is none of finetuned, dev=NUMBER"),
    ('sms3/train=x%', "'train=x%' is none of"),
  ):
    with pytest.raises(ValueError, match=text):
      configs.get_config(experiment)
