"""Sweeps: learning rates, resuming, the file of results."""

import concurrent.futures
import dataclasses
import json
import threading
import time
import types

import numpy as np
import pytest
from helpers import make_config
from helpers import make_text_config
from helpers import run_command
from helpers import spam
from helpers import topics
from seqeval.metrics import f1_score

from dicejax import metrics
from dicejax.tversky import Counts
from train import compare
from train import results
from train import workdir as files
from train.data.fields import Text
from train.data.splits import read_splits

RATES = [1e-3, 1e-2, 1e-1]


@pytest.fixture
def config(tmp_path):
  config = make_config(tmp_path)
  config.epochs = 1
  return config


def make_sweep(tmp_path, varied, seeds=(0, 3), **options):
  workdir = tmp_path / 'sweep'
  return compare.Sweep(
    varied=varied,
    seeds=seeds,
    workdir=workdir,
    results=workdir / files.SWEEP,
    experiment='tiny',
    **options,
  )


@pytest.fixture
def trained(monkeypatch):
  """Runs that take no time: a list of (loss, rate, seed), and their scores.

  On dev, the rate 1e-2 is best for cross entropy and 1e-3 for focal loss, but
  for seed 0, which would choose 1e-3 for both. At 1e-1, focal loss diverges.
  """
  runs = []

  class Trainer:
    weights_digest = 'a' * 64
    examples = {'train': [1, 2], 'dev': [3]}

    def __init__(self, config, workdir):
      self.config, self.workdir = config, workdir
      workdir.mkdir(parents=True, exist_ok=True)
      digests = {split: 'digest-of-' + split for split in ('train', 'dev')}
      (workdir / files.DATA).write_text(json.dumps(digests))
      (workdir / files.CHECKPOINTS).mkdir(exist_ok=True)
      (workdir / files.METRICS).write_text('')
      (workdir / files.CONFIG).write_text(config.to_json())

    def train(self):
      name, seed = self.config.loss.name, self.config.seed
      rate = self.config.optimizer.learning_rate
      runs.append((name, rate, seed))
      if name == 'focal' and rate == 1e-1:
        raise FloatingPointError('The loss is nan.')
      best = 1e-2 if name == 'cross_entropy' and seed else 1e-3
      f1 = 0.5 - 0.1 * abs(np.log10(rate / best)) + seed / 1000
      return {
        'headline': ['micro', 'f1'],
        'beside': [],
        'scores': {'dev': {'micro': {'f1': f1}}},
        'best_step': 1,
        'seconds': 1.0,
      }

  monkeypatch.setattr(compare, 'Trainer', Trainer)
  monkeypatch.setattr(results, 'example_counts', lambda *_: {})
  return runs


def varied_losses(tmp_path):
  names = 'cross_entropy', 'focal'
  return {name: make_config(tmp_path, name) for name in names}


@pytest.mark.slow
def test_sweep(tmp_path, config, capsys):
  """Seeds share a table, and finished runs are not trained again."""
  sweep = make_sweep(tmp_path, {'one': config})
  groups = sweep.train()
  workdir = sweep.workdir
  assert {p.name for p in workdir.iterdir() if p.suffix != '.lock'} == {
    'one-0', 'one-3', 'report.html', 'results.jsonl'
  }  # fmt: skip
  config_3 = json.loads((workdir / 'one-3' / 'config.json').read_text())
  assert config_3['seed'] == 3
  printed = capsys.readouterr().out.strip().splitlines()
  f1 = [o['scores']['test']['micro, tuned']['f1'] for o in groups['one']]
  mean, deviation = 100 * np.mean(f1), 100 * np.std(f1, ddof=1)
  assert f'{mean:.2f} ± {deviation:.2f}' in printed[-1]
  assert 'Run 1 of 2: one-0' in printed

  (line, other), text = groups['one'], sweep.results.read_text()
  assert line['examples'] == {'train': 96, 'dev': 24, 'test': 24}
  assert line['data'] == other['data'] and line['counted'] == 'test'
  rows = (workdir / 'one-0/predictions/test.tuned.conll').read_text()
  sentences = [
    [row.split() for row in block.splitlines()] for block in rows.split('\n\n')
  ]
  gold, found = ([[r[i] for r in s] for s in sentences] for i in (1, 2))
  counts = results.unpack(line['counts']['micro, tuned'])
  assert counts.shape == (24, 3)
  for row, *tags in zip(counts, gold, found, strict=True):
    total = float(metrics.f_score(Counts(*row)))
    assert total == pytest.approx(f1_score(*([t] for t in tags)))
  assert not any(word in text for word in ('Rome', 'Ann', str(tmp_path)))

  before = {p: p.read_bytes() for p in workdir.glob('*-*/**/*') if p.is_file()}
  assert sweep.train() == groups
  with pytest.raises(FileExistsError, match='one-0 holds a run. Choose'):
    compare.Sweep(
      {'one': config}, [0], workdir / 'one-0', sweep.results, 'tiny'
    ).train()
  assert before == {p: p.read_bytes() for p in before}
  sweep.results.unlink()  # Finished runs, whose lines a kill left out.
  assert make_sweep(tmp_path, {'one': config}).train() == groups


def test_each_loss_has_the_rate_that_is_best_with_other_seeds(
  tmp_path, trained, capsys
):
  options = dict(learning_rates=RATES, rate_seeds=[100, 101])
  sweep = make_sweep(tmp_path, varied_losses(tmp_path), **options)
  groups = sweep.train()
  assert trained[:6] == [
    ('cross_entropy', rate, seed) for rate in RATES for seed in (100, 101)
  ]
  assert trained[12:] == [
    *[('cross_entropy', 1e-2, seed) for seed in (0, 3)],
    *[('focal', 1e-3, seed) for seed in (0, 3)],
  ]
  assert len(trained) == 16
  assert {line['learning_rate'] for line in groups['focal']} == {1e-3}
  assert {line['role'] for lines in groups.values() for line in lines} == {
    'report'
  }
  said = capsys.readouterr().out
  assert 'focal: learning rate 0.001 of 0.001 60.05, 0.01 50.05, 0.1' in said
  assert sweep.train() == groups and len(trained) == 16
  lines = results.read(sweep.results)
  assert len(lines) == 16 and 'nan' in lines[10]['diverged']
  # More seeds and rates go on from there.
  more = dict(options, learning_rates=[*RATES, 2e-2])
  sweep = make_sweep(tmp_path, varied_losses(tmp_path), (0, 3, 4), **more)
  sweep.train()
  assert len(trained) == 16 + 2 * (2 + 1)


def test_a_loss_that_diverges_is_told_and_kept(tmp_path, trained, capsys):
  sweep = make_sweep(tmp_path, varied_losses(tmp_path), learning_rates=[1e-1])
  groups = sweep.train()
  assert ['diverged' in line for line in groups['focal']] == [True, True]
  said = capsys.readouterr().out
  assert 'focal: 2 of 2 runs diverged (seed 0, 3)' in said
  assert len(said.strip().splitlines()[-1].split('  ')) > 3
  assert said.strip().splitlines()[-1].startswith('cross_entropy')
  sweep.train()
  assert len(trained) == 4  # A run that diverged is not trained again either.
  del sweep.varied['cross_entropy']
  with pytest.raises(FloatingPointError, match='No run has a finite loss'):
    sweep.train()


def test_a_kill_loses_no_run_and_counts_none_twice(tmp_path, trained):
  sweep = make_sweep(tmp_path, varied_losses(tmp_path), keep_checkpoints=False)
  groups = sweep.train()
  assert not list(sweep.workdir.glob('*/checkpoints'))
  whole = sweep.results.read_bytes()
  sweep.results.write_bytes(whole[:-30])  # In the middle of the last line.
  assert sweep.train() == groups and trained[4:] == [('focal', 1e-2, 3)]
  assert sweep.results.read_bytes() == whole
  line = results.read(sweep.results)[0]
  results.append(sweep.results, line | {'seconds': 2.0})
  assert sweep.results.read_bytes() == whole


def make_line(loss='b', seed=0):
  return {
    'experiment': 'a',
    'loss': loss,
    'learning_rate': 1.0,
    'seed': seed,
    'role': results.REPORT,
    'loss_settings': {},
    'settings': 'digest',
    'encoder': '',
  }


def test_sweeps_share_a_file(tmp_path):
  """Threads stand for processes: their locks exclude each other as well."""
  path = tmp_path / 'new' / 'results.jsonl'

  def append(loss):
    for seed in range(20):
      results.append(path, make_line(loss, seed) | {'long': loss * 50_000})

  with concurrent.futures.ThreadPoolExecutor() as pool:
    list(pool.map(append, 'aab'))
  found = sorted(map(results.key, results.read(path)))
  assert found == [('a', loss, 1.0, n) for loss in 'ab' for n in range(20)]


def test_processes_share_the_runs_of_a_sweep(tmp_path, trained, monkeypatch):
  """Threads stand for processes, and each run is trained by one of them."""
  took = {}
  train = compare.Trainer.train

  def slow(run):
    took[run.workdir.name] = threading.get_ident()
    time.sleep(0.05)
    return train(run)

  monkeypatch.setattr(compare.Trainer, 'train', slow)
  monkeypatch.setattr(compare, '_PAUSE', 0.01)
  options = dict(learning_rates=RATES, rate_seeds=[100])
  sweep = make_sweep(tmp_path, varied_losses(tmp_path), **options)
  with concurrent.futures.ThreadPoolExecutor(3) as pool:
    tasks = [pool.submit(sweep.train) for _ in range(3)]
    found = [task.result() for task in tasks]
  assert len(trained) == len(set(trained)) == 2 * (len(RATES) + 2)
  assert len(set(took.values())) > 1
  assert all(groups == found[0] for groups in found)
  assert [len(lines) for lines in found[0].values()] == [2, 2]


@pytest.mark.parametrize(
  'change, text',
  [
    ({'loss.options.gamma': 1.0}, r'with loss.options.gamma is 2.0 there'),
    ({'batch_size': 4}, 'with settings that differ in more than the loss and'),
    ({'model.pretrained': '/x/bert'}, 'with other model.pretrained'),
  ],
)
def test_other_settings_under_the_same_name(tmp_path, trained, change, text):
  config = make_config(tmp_path, 'focal')
  config.loss.options.gamma = 2.0
  sweep = make_sweep(tmp_path, {'focal': config})
  sweep.train()
  config.update_from_flattened_dict(change)
  for where in (sweep.workdir, tmp_path / 'elsewhere'):
    with pytest.raises(FileExistsError, match=text) as error:
      dataclasses.replace(sweep, seeds=[7], workdir=where).train()
    assert '\n' not in str(error.value)
  assert len(trained) == 2


def test_other_data_and_other_roles_under_the_same_name(tmp_path, trained):
  varied = varied_losses(tmp_path)
  options = dict(learning_rates=RATES, rate_seeds=[100])
  sweep = make_sweep(tmp_path, varied, **options)
  sweep.train()
  with pytest.raises(ValueError, match='^--rate_seeds: 3 is among --seeds'):
    make_sweep(
      tmp_path, varied, learning_rates=RATES, rate_seeds=[1, 3]
    ).train()
  with pytest.raises(ValueError, match='^--seeds: .* has seed 100 of'):
    make_sweep(tmp_path, varied, [100], learning_rates=RATES).train()
  with pytest.raises(ValueError, match='^--rate_seeds: .* has seed 3 of'):
    make_sweep(
      tmp_path, varied, [0], learning_rates=RATES, rate_seeds=[3]
    ).train()
  lines = results.read(sweep.results)
  other = {**lines[0], 'loss': 'new'}
  results.check(sweep.results, other, lines)
  other['data'] = {'train': 'digest-of-tr', 'dev': 'another'}
  with pytest.raises(FileExistsError, match='data for seed 100: dev changed'):
    results.check(sweep.results, other, lines)
  other = {**lines[0], 'weights': 'b' * 12}
  with pytest.raises(FileExistsError, match='weights .aaa.* there and bbb'):
    results.check(sweep.results, other, lines)
  del lines[0]['weights']  # As in lines of version 0.1.
  results.check(sweep.results, other, lines[:1])


def test_new_splits(tmp_path, config, trained, monkeypatch):
  """With each seed, other examples are taken."""
  config.data.take.train = 20
  for new in (True, False):
    seen = []
    noting = _noting(compare.Trainer, seen)
    monkeypatch.setattr(compare, 'Trainer', noting)
    make_sweep(tmp_path / str(new), {'one': config}, new_splits=new).train()
    lines = [read_splits(c, tmp_path)['train'] for c in seen]
    assert len(lines[0]) == 20 and (lines[0] != lines[1]) == new


def _noting(prepare, seen):
  def noting(config, workdir):
    seen.append(config)
    return prepare(config, workdir)

  return noting


def test_results_are_refused_line_by_line(tmp_path):
  path = tmp_path / 'results.jsonl'
  assert results.read(path) == []
  line = make_line()
  path.write_text(json.dumps(line) + '\n{"loss": 3}\n')
  with pytest.raises(ValueError, match='jsonl:2: expected a line as train.sw'):
    results.read(path)
  # A kill cut the second line off, or only its end.
  other = make_line(seed=1)
  for cut, kept in [('\n{"loss"', [line]), ('', [line])]:
    path.write_text(json.dumps(line) + cut)
    assert results.read(path) == kept
    results.append(path, other)
    assert results.read(path) == [line, other]


def test_results_of_another_machine_make_the_table(tmp_path, trained, capsys):
  """Their curves may be missing here, but other data are refused."""
  varied = varied_losses(tmp_path)
  make_sweep(tmp_path, varied).train()
  elsewhere = tmp_path / 'elsewhere'
  elsewhere.mkdir()
  sweep = dataclasses.replace(
    make_sweep(tmp_path, varied), workdir=elsewhere / 'sweep'
  )
  number = len(trained)
  sweep.train()
  assert len(trained) == number and not (elsewhere / 'sweep').exists()
  line = results.read(sweep.results)[0]
  changed = {**line, 'seed': 77, 'data': line['data'] | {'train': 'another'}}
  with pytest.raises(FileExistsError, match='other data for seed'):
    results.check(sweep.results, changed, [line], same_data=True)
  results.check(sweep.results, changed, [line])


def test_sweep_command():
  for args, text in [
    (['--seeds=0,x'], "--seeds: expected whole numbers, found 'x'"),
    (
      ['--learning_rates=-1'],
      '--learning_rates: expected numbers above 0',
    ),
    (['--config=configs/ner/conll2003.py', '--losses=focl'], "'focl' is none"),
  ]:
    done = run_command('train.sweep', *args)
    assert done.returncode == 2 and done.stderr.startswith('error: ')
    assert text in done.stderr and len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize(
  'positive', ['spam', pytest.param('', marks=pytest.mark.slow)]
)
def test_counts_of_texts_are_those_of_the_scores(tmp_path, positive):
  """At every decision, F1 of the positive label or accuracy."""
  rng = np.random.default_rng(0)
  task = spam() if positive else topics()
  gold = rng.choice(task.labels, 50)
  examples = [Text('a\tb', 'c', label, i) for i, label in enumerate(gold)]
  found = rng.dirichlet(np.ones(len(task.labels)), 50).tolist()
  tuned = task.tune(examples, found)
  (tmp_path / files.PREDICTIONS).mkdir()
  task.write(tmp_path / files.PREDICTIONS / 'test', examples, found, tuned)
  outcome = {'scores': {'test': task.score(examples, found, tuned)}}
  run = types.SimpleNamespace(
    workdir=tmp_path, task=task, config=make_text_config(positive)
  )
  counted = results.example_counts(run, outcome)
  assert counted['counted'] == 'test'
  assert len(counted['counts']) == (3 if positive else 1)
  rules = task.decisions(tuned).values()
  for parameters, packed in zip(rules, counted['counts'].values(), strict=True):
    labels = np.array(task.choose(found, parameters))
    if positive:
      true, called = gold == 'spam', labels == 'spam'
      by_hand = true & called, called & ~true, true & ~called
    else:
      by_hand = gold == labels, gold != labels, gold != labels
    counts = results.unpack(packed)
    np.testing.assert_array_equal(counts, np.transpose(by_hand))
  outcome['scores']['test'][task.decision_rows[0]].update(
    f1=0.123, accuracy=0.123
  )
  with pytest.raises(AssertionError, match='not 0.123'):
    results.example_counts(run, outcome)
