"""Several labels a text: losses, thresholds, scores, from files to answers."""

import csv
import functools
import json
import random

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import NO_TOKENIZER
from helpers import run_command
from helpers import slow_except
from hypothesis import given
from hypothesis import strategies as st
from scipy import special
from sklearn import metrics as sklearn

from configs import default
from configs import losses as presets
from configs.text import own_labels
from dicejax import losses
from dicejax import metrics
from train import inference
from train import tasks
from train.data import describe
from train.data.fields import LabelledText
from train.data.fields import Text
from train.initial import log_odds
from train.inputs import count_targets
from train.tasks.multi_label import MultiLabel
from train.tasks.multi_label import get_labels
from train.tasks.multi_label.labels import score_label_sets
from train.tasks.review import review
from train.trainer import Trainer

LABELS = ('art', 'law', 'sea')
RNG = np.random.default_rng(0)


def make_task(loss='cross_entropy', labels=LABELS):
  config = own_labels.get_config(loss)
  return MultiLabel(config, NO_TOKENIZER, labels)


def texts(table, labels=LABELS):
  return [
    LabelledText('a', None, tuple(np.array(labels)[row > 0]), i)
    for i, row in enumerate(np.asarray(table))
  ]


def sample(n, rates=(0.5, 0.2, 0.05), seed=0):
  """Draws labels, and probabilities that know something of them."""
  rng = np.random.default_rng(seed)
  gold = rng.random((n, len(rates))) < rates
  gold[0] = True  # Each label occurs.
  logits = (
    special.logit(np.array(rates)) + 2 * gold + rng.normal(size=gold.shape)
  )
  return gold.astype(int), special.expit(logits)


# Scores.


_TABLES = st.integers(1, 30).flatmap(
  lambda n: st.lists(
    st.lists(st.booleans(), min_size=3, max_size=3), min_size=n, max_size=n
  )
)


@given(_TABLES, st.integers(0, 2**31))
def test_scores_agree_with_scikit_learn(table, seed):
  gold = np.array(table, int)
  found = np.random.default_rng(seed).integers(0, 2, gold.shape)
  # scikit-learn counts a label that nobody has as one with an F1 of 0.
  occurs = (gold | found).any(axis=0)
  rows = score_label_sets(
    [x.labels for x in texts(gold)], [x.labels for x in texts(found)], LABELS
  )
  for name, how in (('micro', 'micro'), ('macro', 'macro')):
    expected = (
      sklearn.precision_recall_fscore_support(
        gold[:, occurs], found[:, occurs], average=how, zero_division=0
      )[:3]
      if occurs.any()
      else (0, 0, 0)
    )
    scores = [rows[name][column] for column in ('precision', 'recall', 'f1')]
    np.testing.assert_allclose(scores, expected, atol=1e-12)
  by_label = sklearn.f1_score(gold, found, average=None, zero_division=0)
  np.testing.assert_allclose([rows[x]['f1'] for x in LABELS], by_label)
  assert rows['micro']['support'] == gold.sum()


@given(
  st.lists(st.sampled_from([0.0, 0.25, 0.5, 0.5, 1.0]), min_size=1),
  st.integers(0, 2**31),
)
def test_average_precision_agrees_with_scikit_learn(scores, seed):
  labels = np.random.default_rng(seed).integers(0, 2, len(scores))
  labels[seed % len(labels)] = 1
  expected = sklearn.average_precision_score(labels, scores)
  assert metrics.average_precision(scores, labels) == pytest.approx(expected)


def test_average_precision_of_a_bad_input():
  for scores, labels, message in (
    ([0.5], [0], 'No positive label'),
    ([np.nan], [1], 'finite'),
    ([0.5], [2], 'True or False'),
    ([0.5], [1, 0], 'equal lengths'),
    ([], [], 'equal lengths of at least 1'),
  ):
    with pytest.raises(ValueError, match=message):
      metrics.average_precision(scores, labels)


def test_rows_of_scores():
  task, (gold, probabilities) = make_task(), sample(400)
  examples = texts(gold)
  tuned = task.tune(examples, probabilities)
  scores = json.loads(json.dumps(task.score(examples, probabilities, tuned)))
  thresholds = np.array([tuned['threshold'][label] for label in LABELS])
  for ending, limit in (('', 0.5), (', tuned', thresholds)):
    found = probabilities >= limit
    for how in ('micro', 'macro'):
      row = scores[how + ending]
      assert row['f1'] == pytest.approx(
        sklearn.f1_score(gold, found, average=how)
      )
      expected = sklearn.average_precision_score(
        gold, probabilities, average=how
      )
      assert row['average_precision'] == pytest.approx(expected)
  assert scores['macro, tuned']['f1'] > scores['macro']['f1']
  for i, label in enumerate(LABELS):
    row = scores[label]
    assert row['threshold'] == thresholds[i]
    assert row['f1'] == pytest.approx(
      sklearn.f1_score(gold[:, i], probabilities[:, i] >= thresholds[i])
    )
    assert row['average_precision'] == pytest.approx(
      sklearn.average_precision_score(gold[:, i], probabilities[:, i])
    )


# Decisions.


def test_a_tuned_threshold_is_the_best_there_is():
  task, (gold, probabilities) = make_task(), sample(60)
  tuned = task.tune(texts(gold), probabilities)['threshold']
  for i, label in enumerate(LABELS):
    f1 = [
      sklearn.f1_score(gold[:, i], probabilities[:, i] >= threshold)
      for threshold in probabilities[:, i]
    ]
    found = sklearn.f1_score(gold[:, i], probabilities[:, i] >= tuned[label])
    assert found == pytest.approx(max(f1))


def test_plug_in_thresholds_are_near_the_best_of_much_data():
  task = make_task()
  gold, probabilities = sample(300)
  plug_in = task.tune(texts(gold), probabilities)['plug_in']
  gold, probabilities = sample(20_000, seed=1)
  best = task.tune(texts(gold), probabilities)['threshold']
  for i, label in enumerate(LABELS):
    f1, most = (
      sklearn.f1_score(gold[:, i], probabilities[:, i] >= limits[label])
      for limits in (plug_in, best)
    )
    assert most - 0.03 < f1 <= most


def test_labels_that_dev_lacks_keep_one_half():
  task, (gold, probabilities) = make_task(), sample(50)
  gold[:, 1] = 0
  tuned = task.tune(texts(gold), probabilities)
  assert tuned['threshold']['law'] == tuned['plug_in']['law'] == 0.5
  (note,) = task.notes(texts(gold), [])
  assert "no text has 1 of the 3 labels ('law')" in note
  nothing = task.tune(texts(0 * gold), probabilities)
  assert nothing == dict.fromkeys(
    ('threshold', 'plug_in'), dict.fromkeys(LABELS, 0.5)
  )
  scores = task.score(texts(0 * gold), probabilities, nothing)
  assert scores['macro, tuned']['average_precision'] == 0
  unknown = [LabelledText('a', None, ('tax', 'art'), 1)]
  assert (
    "1 labels are not in the training split ('tax')"
    in task.notes(unknown, [])[0]
  )
  assert task.score(unknown, [[0.9, 0, 0]], {})['tax']['support'] == 1


def test_rules():
  task = make_task()
  tuned = {'threshold': {'art': 0.1, 'law': 0.9, 'sea': 0.5}}
  rules = task.decisions(tuned)
  assert [*rules] == ['argmax', 'tuned']
  prediction = [[0.2, 0.8, 0.5], [0.5, 0.95, 0.1]]
  assert task.choose(prediction, rules['argmax']) == [
    ['law', 'sea'],
    ['art', 'law'],
  ]
  assert task.choose(prediction, rules['tuned']) == [
    ['art', 'sea'],
    ['art', 'law'],
  ]
  assert task.choose(prediction, {'threshold': 1.0}) == [[], []]
  assert tasks.decide(task, tuned) == ('tuned', rules['tuned'])


def test_the_worst_mistakes():
  task = make_task()
  examples = [
    LabelledText('right', None, ('art',), 1),
    LabelledText('too many', 'pair', (), 2),
    LabelledText('both', None, ('law', 'tax'), 3),
  ]
  predictions = [[0.9, 0.1, 0.1], [0.1, 0.8, 0.6], [0.7, 0.05, 0.1]]
  found = review(task, examples, predictions, {'threshold': 0.5})
  assert found.number == 2
  assert [(x.where, x.true, x.found, x.sure) for x in found.mistakes] == [
    ('line 3', 'law, tax', 'art', 0.95),
    ('line 2', '', 'law, sea', 0.8),
  ]


# Losses.


# One of each way to make a loss is quick.
FEW = 'running_dice', 'macro_dice', 'lovasz_hinge', 'zlpr'


@pytest.mark.parametrize('name', slow_except(FEW, presets.MULTI_LABEL))
def test_every_loss_is_that_of_the_library(name):
  config = presets.get_multi_label_loss(name)
  counts = np.array([[60, 70, 90], [40, 30, 10]])
  objective = make_task(name).objective(config, class_counts=counts)
  logits = jnp.asarray(RNG.normal(size=(12, 3)), jnp.float32)
  labels = RNG.integers(0, 2, (12, 3))
  batch = {'labels': jnp.asarray(np.r_[labels, -np.ones((4, 3), int)])}
  padded = jnp.concatenate([logits, jnp.full((4, 3), 7.0)])
  value, _ = jax.jit(objective.update)(
    padded, batch, objective.init(padded, batch)
  )
  weight = (
    min(1, 80 / 300 / config.full_weight_at) if config.full_weight_at else 1
  )
  loss = losses.LOSSES[config.name](logits, labels, **config.options)
  other = losses.cross_entropy(logits, labels)
  expected = weight * loss.mean() + config.cross_entropy * other.mean()
  np.testing.assert_allclose(value, expected, rtol=2e-6)


@pytest.mark.parametrize(
  'name',
  # The hinge sorts the whole batch.
  slow_except(FEW, [x for x in presets.MULTI_LABEL if x != 'lovasz_hinge']),
)
def test_a_batch_may_be_spread_over_devices(name):
  config = presets.get_multi_label_loss(name)
  counts = np.array([60, 40])
  logits = jnp.asarray(RNG.normal(size=(12, 3)), jnp.float32)
  labels = jnp.asarray(RNG.integers(0, 2, (12, 3))).at[9:].set(-1)
  values = []
  for axis_name in (None, 'data'):
    objective = make_task(name).objective(config, axis_name, counts)
    running = objective.init(logits, {'labels': labels})
    update = functools.partial(objective.update, running=running)
    if axis_name:
      parts = [x.reshape(3, 4, 3) for x in (logits, labels)]
      found = jax.vmap(
        lambda x, y, update=update: update(x, {'labels': y})[0],
        axis_name=axis_name,
      )(*parts)
    else:
      found = update(logits, {'labels': labels})[0][None]
    values.append(np.asarray(found))
  np.testing.assert_allclose(values[1], np.repeat(values[0], 3), rtol=1e-5)


def test_running_dice_of_each_label_is_the_dice_of_all_batches():
  config = presets.get_multi_label_loss('macro_running_dice_alone')
  config.running = 0.999999
  objective = make_task().objective(config)
  running, seen = None, []
  for _ in range(3):
    logits = jnp.asarray(RNG.normal(size=(8, 3)), jnp.float32)
    batch = {'labels': jnp.asarray(RNG.integers(0, 2, (8, 3)))}
    seen.append((logits, batch['labels']))
    running = running or objective.init(logits, batch)
    value, running = objective.update(logits, batch, running)
  logits, labels = map(jnp.concatenate, zip(*seen, strict=True))
  # The counts are those of an average batch: smooth is a third of that of all.
  dice = losses.dice(logits, labels, axis=0, smooth=3.0)
  np.testing.assert_allclose(value, dice.mean(), rtol=1e-5)


def test_weights_of_positives():
  config = presets.get_multi_label_loss('cross_entropy')
  config.class_weights = {'positive': 3.0}
  objective = make_task().objective(config)
  logits, labels = jnp.array([[0.5, -1.0, 2.0]]), jnp.array([[1, 0, 0]])
  value, _ = objective.update(logits, {'labels': labels}, ())
  p = special.expit([0.5, 1.0, -2.0])
  expected = -(3 * np.log(p[0]) + np.log(p[1]) + np.log(p[2])) / 3
  assert value == pytest.approx(expected, rel=1e-5)
  config.class_weights = {'art': 3.0}
  with pytest.raises(
    ValueError, match=r"class_weights: no label \['art'\], on"
  ):
    make_task().objective(config)


def test_the_prior_is_that_of_each_label():
  gold, _ = sample(200)
  features = [{'labels': row[None]} for row in gold]
  counts, foreground = count_targets(make_task(), features, sigmoid=True)
  np.testing.assert_array_equal(counts[1], gold.sum(axis=0))
  np.testing.assert_array_equal(foreground, gold.any(axis=1))
  rates = gold.mean(axis=0)
  np.testing.assert_allclose(log_odds(counts, True), special.logit(rates))


# Examples.


def test_labels_of_a_training_split():
  config = own_labels.get_config()
  assert get_labels(config, texts(np.eye(3))) == LABELS
  with pytest.raises(ValueError, match='No text of the training split has a l'):
    get_labels(config, texts(np.zeros((2, 3))))
  with pytest.raises(ValueError, match="'micro, tuned' is called like a row"):
    get_labels(config, [LabelledText('a', None, ('micro, tuned',), 1)])
  odd = [LabelledText('a', None, (f'text {i}',), i) for i in range(30)]
  with pytest.raises(ValueError, match="30 of them .*data.csv.label='labels'"):
    get_labels(config, odd)


def test_one_label_is_no_list():
  config = default.get_config()
  config.task, config.data.format = 'classification', 'jsonl'
  with pytest.raises(ValueError, match="lists of labels: task='multi_label'"):
    tasks.get_labels(config, texts(np.eye(3)))
  config.task = 'multi_label'
  with pytest.raises(ValueError, match='each text has one label: expected lis'):
    tasks.get_labels(config, [Text('a', None, 'b', 1)])
  with pytest.raises(
    ValueError, match="needs loss.activation='sigmoid', as in"
  ):
    MultiLabel(config, NO_TOKENIZER, LABELS)


def test_description():
  report = describe.describe(
    {'train': texts([[1, 1, 0], [0, 0, 0]]), 'dev': texts([[1, 0, 1]])}
  )
  train, dev = report['train'], report['dev']
  assert train['labels'] == {'art': 1, 'law': 1}
  assert (train['negative'], train['positive'], train['ratio']) == (2, 2, 1)
  assert (dev['negative'], dev['positive']) == (1, 2)
  assert dev['new_labels'] == ['sea']


# From files to answers.

WORDS = {'art': 'paint brush', 'law': 'judge court', 'sea': 'ship wave'}


def write_files(directory, form):
  rng = random.Random(0)
  for split, size in {'train': 240, 'dev': 80, 'test': 80}.items():
    rows = []
    for _ in range(size):
      labels = [x for x in LABELS if rng.random() < 0.3]
      words = [rng.choice(WORDS[label].split()) for label in labels]
      words += rng.choices('the of in on'.split(), k=3)
      rng.shuffle(words)
      rows.append((' '.join(words), labels))
    with open(directory / f'{split}.{form}', 'w', newline='') as file:
      if form == 'jsonl':
        for text, labels in rows:
          file.write(json.dumps({'text': text, 'labels': labels}) + '\n')
      else:
        writer = csv.writer(file, delimiter=',' if form == 'csv' else '\t')
        writer.writerow(['text', 'labels', *LABELS])
        for text, labels in rows:
          flags = [int(label in labels) for label in LABELS]
          writer.writerow([text, '; '.join(labels), *flags])


def make_config(directory, form='csv', loss='macro_running_dice'):
  config = own_labels.get_config(loss)
  config.data.dir = str(directory)
  config.data.format = form
  config.data.files = {
    split: f'{split}.{form}' for split in ('train', 'dev', 'test')
  }
  section = config.data[form]
  section.text, section.label = 'text', 'labels'
  if form == 'tsv':
    section.labels = 'art, law, sea'
  config.model.scratch.update(
    hidden_size=32, num_hidden_layers=1, intermediate_size=64
  )
  config.model.update(pooling='mean', dropout=0.0)
  config.optimizer.learning_rate = 5e-3
  config.update(batch_size=16, epochs=12, max_length=16)
  return config


@pytest.mark.slow
def test_from_files_to_labels(tmp_path):
  examples = []
  for form in ('csv', 'tsv', 'jsonl'):
    write_files(tmp_path, form)
    run = Trainer(make_config(tmp_path, form), tmp_path / form)
    examples.append([[x.text, sorted(x.labels)] for x in run.examples['train']])
  assert examples[0] == examples[1] == examples[2]
  outcome = run.train()
  assert outcome['headline'] == ['macro, tuned', 'f1']
  assert outcome['scores']['test']['macro, tuned']['f1'] > 0.95
  done = inference.load_run(tmp_path / 'jsonl')
  test = run.examples['test']
  predictions = done.predict(test, done.task.features(test))
  assert (
    done.task.score(test, predictions, done.tuned) == outcome['scores']['test']
  )
  check_files(tmp_path / 'jsonl', test, outcome['scores']['test'])
  check_predict(tmp_path)


def check_files(workdir, examples, scores):
  lines = (workdir / 'predictions/test.jsonl').read_text().splitlines()
  rows = [json.loads(line) for line in lines]
  assert [row['gold'] for row in rows] == [list(x.labels) for x in examples]
  tables = [
    [[label in row[key] for label in LABELS] for row in rows]
    for key in ('gold', 'predicted', 'plug-in')
  ]
  for table, name in zip(tables[1:], ('macro', 'macro, plug-in'), strict=True):
    f1 = sklearn.f1_score(tables[0], table, average='macro', zero_division=0)
    assert f1 == pytest.approx(scores[name]['f1'])


def check_predict(tmp_path):
  path = tmp_path / 'input.jsonl'
  path.write_text(
    json.dumps({'id': 7, 'text': 'the judge on the ship'})
    + '\n'
    + json.dumps({'id': 8, 'text': 'the of in'})
  )
  done = run_command(
    'train.predict', f'--workdir={tmp_path}/jsonl', f'--input={path}'
  )
  rows = [json.loads(line) for line in done.stdout.splitlines()]
  assert [(row['id'], row['labels']) for row in rows] == [
    (7, ['law', 'sea']),
    (8, []),
  ], done.stderr
  assert rows[0]['decided_by']['rule'] == 'tuned'
  assert [*rows[0]['decided_by']['threshold']] == list(LABELS)
  assert [*rows[0]['probabilities']] == list(LABELS)
