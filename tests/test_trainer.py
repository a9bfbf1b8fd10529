"""The program as its users run it, on a corpus of a few sentences."""

import collections
import json
import pathlib
import re
import signal

import numpy as np
import pytest
import safetensors.numpy
from helpers import ROOT
from helpers import interrupt_at
from helpers import make_config
from helpers import run_command
from seqeval.metrics import f1_score

from configs import losses as presets
from train import checkpoint
from train import compare
from train import inference
from train import interrupts
from train import report
from train import workdir as files
from train.trainer import Trainer

pytestmark = pytest.mark.usefixtures('one_device')
TUNED = 'micro, tuned'  # The row that chooses checkpoints of a tagger.


@pytest.fixture(scope='module')
def trained(tmp_path_factory):
  """Returns the config, workdir and outcome of a finished run."""
  tmp_path = tmp_path_factory.mktemp('trained')
  config = make_config(tmp_path)
  workdir = tmp_path / 'run'
  return config, workdir, Trainer(config, workdir).train()


def test_it_learns_and_says_so(trained):
  config, workdir, outcome = trained
  assert outcome['scores']['test']['micro']['f1'] > 0.9
  assert set(outcome['scores']) == {'dev', 'test'}
  assert json.loads((workdir / 'results.json').read_text()) == outcome
  records = [
    json.loads(line)
    for line in (workdir / 'metrics.jsonl').read_text().splitlines()
  ]
  logged = [r['step'] for r in records if 'loss' in r]
  assert logged == [4, 5, 8, 10, 12, 15, 16, 20, 24]
  assert [r['step'] for r in records if 'dev' in r] == [12, 24]
  losses = [r['loss'] for r in records if 'loss' in r]
  assert losses[-1] < losses[0] / 4
  batches = Trainer(config, workdir).batches
  shapes = {batches[i]['tokens'].shape for i in range(len(batches))}
  compiled = {r['step']: r['compilations'] for r in records if 'loss' in r}
  assert sum(compiled.values()) == len(shapes)
  assert not any(compiled[step] for step in compiled if step > 12)
  page = (workdir / 'report.html').read_text()
  assert '<svg' in page and 'micro' in page and 'cross_entropy' in page


def test_packed_rows_are_learnt_from(tmp_path, capsys):
  config = make_config(tmp_path)
  config.update(packing=True, epochs=4)
  run = Trainer(config, tmp_path / 'run')
  rows = re.search(r'packing: 96 inputs in (\d+) rows', capsys.readouterr().out)
  assert int(rows[1]) < 96 / 2
  seen = collections.Counter()
  for step in range(len(run.batches)):
    seen.update(run.batches.sources(step))
    assert run.batches[step]['tokens'].shape[1] == config.max_length
  assert seen == dict.fromkeys(range(96), 4)
  assert run.train()['scores']['test']['micro']['f1'] > 0.9


def test_a_seed_may_be_large(tmp_path):
  """A key has the last 32 bits of its seed."""
  states = []
  for seed in (5, 2**32 + 5, 2**31):
    config = make_config(tmp_path)
    config.seed = seed
    states.append(Trainer(config, tmp_path / str(seed)).init())
  kernels = [np.asarray(s.params['head']['kernel']) for s in states]
  np.testing.assert_array_equal(kernels[0], kernels[1])
  assert np.abs(kernels[0] - kernels[2]).max() > 0
  assert [int(s.seed) for s in states] == [5, 5, 2**31]


def test_predictions_are_the_score(trained):
  """Another scorer, over the file that is left, gives the same F1."""
  _, workdir, outcome = trained
  text = (workdir / 'predictions' / 'test.conll').read_text()
  columns = [
    [row.split() for row in block.splitlines()]
    for block in text.strip().split('\n\n')
  ]
  gold = [[row[1] for row in sentence] for sentence in columns]
  predicted = [[row[2] for row in sentence] for sentence in columns]
  assert len(gold) == 24
  assert f1_score(gold, predicted) == pytest.approx(
    outcome['scores']['test']['micro']['f1'], rel=1e-12
  )


@pytest.mark.slow
def test_evaluate_gives_the_same_scores(trained):
  _, workdir, outcome = trained
  done = run_command('train.evaluate', f'--workdir={workdir}', '--json')
  assert json.loads(done.stdout) == outcome['scores']['test'], done.stderr


@pytest.mark.slow
def test_evaluate_takes_other_files_and_splits_of_the_run(trained):
  config, workdir, outcome = trained
  path = f'{config.data.dir}/dev.txt'
  done = run_command(
    'train.evaluate', f'--workdir={workdir}', f'--files={path}', '--json'
  )
  assert json.loads(done.stdout) == outcome['scores']['dev'], done.stderr
  done = run_command('train.evaluate', f'--workdir={workdir}', '--split=tset')
  assert done.returncode and 'tset is none of dev, test, train' in done.stderr


def test_predict(trained, tmp_path):
  _, workdir, outcome = trained
  text = tmp_path / 'in.txt'
  text.write_text('We met Ann in Rome.\n\n  We met Gus Hal in Oslo .\n')
  args = f'--workdir={workdir}', f'--input={text}'
  done = run_command('train.predict', *args)
  first, empty, last = map(json.loads, done.stdout.splitlines())
  assert first['text'] == 'We met Ann in Rome.'
  assert all(0.5 < e.pop('score') <= 1 for e in first['entities'])
  assert first['entities'] == [
    {'type': 'PER', 'start': 7, 'end': 10, 'text': 'Ann'},
    {'type': 'LOC', 'start': 14, 'end': 18, 'text': 'Rome'},
  ]
  decided_by = {
    'rule': 'tuned',
    'offset': outcome['scores']['dev'][TUNED]['offset'],
  }
  assert empty == {'text': '', 'entities': [], 'decided_by': decided_by}
  assert [e['text'] for e in last['entities']] == ['Gus Hal', 'Oslo']


@pytest.mark.slow
def test_predict_writes_conll_and_decides_by_other_rules(trained, tmp_path):
  _, workdir, _ = trained
  text = tmp_path / 'in.txt'
  text.write_text('We met Ann in Rome.\n\n  We met Gus Hal in Oslo .\n')
  args = f'--workdir={workdir}', f'--input={text}'
  output = tmp_path / 'out.conll'
  args += ('--format=conll', f'--output={output}')
  done = run_command('train.predict', *args)
  assert done.stderr == f'{text}: read as text; --read names another.\n'
  rows = output.read_text().split('\n')
  assert rows[:4] == ['We O', 'met O', 'Ann B-PER', 'in O']
  again = run_command('train.predict', *args)
  assert again.returncode and 'the file exists' in again.stderr
  assert output.read_text().split('\n') == rows
  broken = tmp_path / 'in.jsonl'
  broken.write_text('{"text": "We met Ann in Rome."}\n{"text": 1}\n')
  files_before = {*tmp_path.iterdir()}
  done = run_command(
    'train.predict', args[0], f'--input={broken}', f'--output={tmp_path}/new'
  )
  assert done.returncode == 1 and f'{broken}:2: expected some' in done.stderr
  assert {*tmp_path.iterdir()} == files_before
  done = run_command('train.predict', *args[:2], '--decision=argmax')
  first, *_ = map(json.loads, done.stdout.splitlines())
  assert first['decided_by'] == {'rule': 'argmax', 'offset': 0.0}
  done = run_command('train.predict', *args[:2], '--decision=plug-in')
  assert done.returncode and 'this run has argmax and tuned' in done.stderr


def test_a_finished_run_is_left_alone(trained):
  config, workdir, outcome = trained
  before = {p: p.read_bytes() for p in workdir.rglob('*') if p.is_file()}
  assert Trainer(config, workdir).train() == outcome
  assert before == {p: p.read_bytes() for p in before}


def test_other_data_is_refused(trained):
  config, workdir, _ = trained
  before = {p: p.read_bytes() for p in workdir.rglob('*') if p.is_file()}
  path = pathlib.Path(config.data.dir) / 'train.txt'
  text = path.read_text()
  path.write_text(text + '\nWe O\nmet O\nZoe B-PER\n')
  with pytest.raises(FileExistsError, match='other data: train changed'):
    Trainer(config, workdir)
  path.write_text(text)
  assert before == {p: p.read_bytes() for p in before}


def test_another_experiment_is_refused(trained):
  config, workdir, _ = trained
  other = make_config(workdir.parent)
  other.optimizer.learning_rate = 5e-4
  with pytest.raises(FileExistsError, match='learning_rate is 0.01 there'):
    Trainer(other, workdir)
  with pytest.raises(FileExistsError, match='holds no run'):
    Trainer(config, workdir / 'predictions')


def test_interrupted_it_saves_and_goes_on(tmp_path, monkeypatch):
  config = make_config(tmp_path)
  workdir = tmp_path / 'run'
  interrupt_at(7, monkeypatch)
  with pytest.raises(interrupts.Stopped, match='Stopped after step 7') as stop:
    Trainer(config, workdir).train()
  assert stop.value.code == 130
  manager = checkpoint.open_checkpoints(workdir / files.CHECKPOINTS)
  assert manager.latest_step() == 7
  manager.close()
  assert Trainer(config, workdir).train()['best_step'] in (12, 24)


def test_a_loss_that_is_not_finite_is_not_saved(tmp_path):
  config = make_config(tmp_path)
  config.optimizer.update(learning_rate=1e30, warmup=0.0)
  with pytest.raises(FloatingPointError, match='step 1: .* was saved at all'):
    Trainer(config, tmp_path / 'run').train()
  assert not list((tmp_path / 'run').glob('checkpoints/[0-9]*'))


def test_parameters_that_are_not_finite_are_not_saved(tmp_path):
  """After the last step, no loss would tell."""
  config = make_config(tmp_path)
  config.update(epochs=1)
  config.optimizer.update(schedule='constant_schedule', warmup=0.0)
  run = Trainer(config, tmp_path / 'run')
  step, last = run.step, len(run.batches)

  def break_last(state, batch):
    state, metrics = step(state, batch)
    if int(state.step) == last:
      metrics['param_norm'] = np.float32(np.inf)
    return state, metrics

  run.step = break_last
  with pytest.raises(FloatingPointError, match='parameters .* step 12: .* inf'):
    run.train()
  config.optimizer.learning_rate = float('inf')
  with pytest.raises(FloatingPointError, match='a lower .* than inf. Nothing'):
    Trainer(config, tmp_path / 'other').train()


@pytest.mark.slow
def test_patience(tmp_path, monkeypatch, capfd):
  """The run stops at the same step, also if it was killed before."""
  config = make_config(tmp_path)
  config.update(epochs=6, evaluations_per_epoch=2, patience=2)
  scores = iter([0.1, 0.3, 0.3, 0.2, 0.9])

  def evaluate(self, params):
    score = dict.fromkeys(('precision', 'recall', 'f1'), next(scores))
    return {'offset': 0.0}, {TUNED: score}

  monkeypatch.setattr(Trainer, 'evaluate', evaluate)
  run = Trainer(config, tmp_path / 'run')
  step = run.step

  def interrupt(state, batch):
    if int(state.step) == 20:
      signal.raise_signal(signal.SIGINT)
    return step(state, batch)

  run.step = interrupt
  with pytest.raises(interrupts.Stopped, match='after step 21'):
    run.train()
  again = Trainer(config, tmp_path / 'run')
  assert again.train()['best_step'] == 18
  history = report.read_history(tmp_path / 'run')
  assert max(history) == 24 and next(scores) == 0.9
  said = capfd.readouterr().out
  assert 'compiling' in said
  assert 'after step 24: no better score on dev since step 12' in said


def test_comparison(tmp_path, capsys):
  config = make_config(tmp_path)
  config.epochs = 1
  config.runs = {
    'one': {'loss': presets.get_loss('cross_entropy')},
    'two': {'loss': presets.get_loss('self_adjusting_dice', background='O')},
  }
  runs = compare.prepare(config, tmp_path / 'both')
  outcomes = compare.compare(runs, tmp_path / 'both')
  table = capsys.readouterr().out.strip().splitlines()[-3:]
  assert re.split('  +', table[0])[-5:] == [
    'test recall', 'test f1', 'test offset', 'micro: f1', 'minutes'
  ]  # fmt: skip
  for line, (name, outcome) in zip(table[1:], outcomes.items(), strict=True):
    f1 = outcome['scores']['test'][TUNED]['f1']
    assert line.startswith(name) and f'{100 * f1:.2f}' in line
  page = (tmp_path / 'both' / 'report.html').read_text()
  assert 'one/report.html' in page and '<svg' in page
  with pytest.raises(FileNotFoundError, match='several runs; name one: .*/one'):
    inference.load_run(tmp_path / 'both')
  with pytest.raises(FileExistsError, match='holds another experiment: batch'):
    config.batch_size = 4
    compare.prepare(config, tmp_path / 'both')


def test_a_published_encoder_is_the_start(tmp_path, trained):
  """Training starts at the weights of a checkpoint, not at fresh ones."""
  config, _, _ = trained
  golden = ROOT / 'tests' / 'golden' / 'bert_tiny'
  directory = tmp_path / 'model'
  directory.mkdir()
  for name in ('config.json', 'model.safetensors'):
    (directory / name).write_bytes((golden / name).read_bytes())
  size = json.loads((golden / 'config.json').read_text())['vocab_size']
  words = ['[PAD]', '[UNK]', '[CLS]', '[SEP]', 'we', 'met', 'in', '.']
  words += [f'w{i}' for i in range(size - len(words))]
  (directory / 'vocab.txt').write_text('\n'.join(words))
  config = config.copy_and_resolve_references()
  config.model.pretrained = str(directory)
  config.max_length = 9
  run = Trainer(config, tmp_path / 'run')
  name = 'embeddings.word_embeddings.weight'
  stored = safetensors.numpy.load_file(directory / 'model.safetensors')
  np.testing.assert_array_equal(
    run.init().params['encoder']['tokens']['embedding'], stored[name]
  )
  assert run.meta['encoder']['hidden_dropout_prob'] == config.model.dropout
  assert set(run.train()['scores']) == {'dev', 'test'}
  config.max_length = 10_000
  with pytest.raises(ValueError, match='max_length=10000'):
    Trainer(config, tmp_path / 'other')


@pytest.mark.parametrize(
  'changes, text',
  [
    ({'data.dir': '/nowhere'}, '/nowhere/.*.txt: no such file'),
    ({'data.conll.tag': 7}, '.txt:1: expected the tag in column 7'),
    (
      {'data.conll.scheme': 'iob9'},
      "data.conll.scheme is one of 'bio', .*, not 'iob9'",
    ),
    ({'data.conll.scheme': 'bioes'}, ".txt:3: 'B-PER' starts an entity"),
    ({'data.format': 'xml'}, "data.format is one of 'conll', .*, not 'xml'"),
    ({'task': 'guess'}, "task: 'guess' is none of tagging"),
    ({'model.pretrained': '/nowhere'}, '/nowhere is not a directory'),
    (
      {'select_by': 'micro'},
      "'micro' is not a score .* micro/precision.recall.f1",
    ),
    ({'loss.name': 'hinge'}, "loss.name: 'hinge' is none of"),
  ],
)
def test_bad_input_stops_at_once_and_leaves_the_workdir(
  tmp_path, changes, text
):
  config = make_config(tmp_path)
  config.update_from_flattened_dict(changes)
  workdir = tmp_path / 'run'
  with pytest.raises((OSError, ValueError), match=text):
    Trainer(config, workdir)
  # The corrected config may use the workdir.
  Trainer(make_config(tmp_path), workdir)


def test_prior_bias(tmp_path):
  """At the start, the mean probability of a class is how often it occurs."""
  config = make_config(tmp_path)
  config.model.prior_bias = True
  run = Trainer(config, tmp_path / 'run')
  tags = [tag for sentence in run.examples['train'] for tag in sentence.tags]
  labels = run.task.labels
  assert labels == ('O', 'B-LOC', 'I-LOC', 'B-PER', 'I-PER')
  counts = np.array([tags.count(label) for label in labels])
  # No place has two words, so I-LOC counts like the rarest.
  assert not counts[2]
  counts[2] = counts[counts > 0].min()
  np.testing.assert_allclose(
    run.init().params['head']['bias'], np.log(counts / len(tags)), rtol=1e-6
  )
