"""Each task by its interface, and from files to predictions, on toy data."""

import ast
import inspect
import json
import pathlib
import random
import subprocess
import sys
import types

import jax
import numpy as np
import pytest
from helpers import PEOPLE
from helpers import PLACES
from helpers import run_command

from configs import default
from configs import losses as presets
from dicejax.text.batches import pad
from dicejax.text.inputs import Asked
from dicejax.text.inputs import Input
from dicejax.text.tokenizer import load_tokenizer
from dicejax.text.words import split_words
from train import inference
from train import tasks
from train.data import unlabelled
from train.data.conll import Sentence
from train.data.fields import LabelledText
from train.data.fields import Text
from train.data.mrc_ner import Query
from train.data.squad import Answer
from train.data.squad import Question
from train.tasks.task import Task
from train.tasks.task import WritesColumns
from train.trainer import Trainer

# Attributes and methods of the interface.
ATTRIBUTES = {*Task.__annotations__}
METHODS = {name for name in vars(Task) if not name.startswith('_')}
VOCABULARY = '[PAD] [UNK] [CLS] [SEP] who ann saw rome .'.split()
TEXT = 'Ann saw Rome.'
WORDS = ['Ann', 'saw', 'Rome', '.']
PLACED = {'start': 0, 'end': 3, 'text': 'Ann'}
TRAINING = {
  'tagging': [Sentence(WORDS, ['B-PER', 'O', 'B-LOC', 'O'], 1)],
  'query_spans': [Query('0.PER', 'PER', 'who', WORDS, [(0, 1)], [])],
  'span_qa': [Question('0', '', 'who', TEXT, [[Answer('Ann', 0)]], [])],
  'classification': [Text('Ann', None, c, i) for i, c in enumerate('ab')],
  'multi_label': [LabelledText('Ann', None, ('a', 'b'), 1)],
}


def make_task(name, directory, examples=None):
  """Returns a task as the program makes it, and the tokenizer it was given."""
  config = default.get_config()
  config.task = name
  config.span_qa.max_question = 8
  config.data.format = 'tsv'
  if name in ('query_spans', 'multi_label'):
    config.loss = presets.get_loss('cross_entropy', sigmoid=True)
  (directory / 'vocab.txt').write_text('\n'.join(VOCABULARY))
  tokenizer = load_tokenizer(directory)
  labels = tasks.get_labels(config, examples or TRAINING[name])
  return tasks.make_task(config, tokenizer, labels), tokenizer


@pytest.mark.parametrize('name', TRAINING)
def test_a_task_has_all_of_the_interface(name, tmp_path):
  task, _ = make_task(name, tmp_path)
  for attribute in ATTRIBUTES:
    assert not callable(getattr(task, attribute)), attribute
  for method in METHODS:
    found, expected = (
      inspect.signature(getattr(of, method)).parameters.values()
      for of in (type(task), Task)
    )
    # Some tasks name parameters differently: `outputs` may be `logits`.
    kinds = [[(p.kind, p.default) for p in ps] for ps in (found, expected)]
    assert kinds[0] == kinds[1], method
  assert isinstance(task.background, bool) and isinstance(task.has_prior, bool)
  assert all(isinstance(label, str) for label in task.labels)
  row, column = task.headline
  assert column in task.selectable[row] and row in task.decision_rows
  assert {*task.decision_rows} <= task.selectable.keys()
  assert isinstance(task, WritesColumns) == (name == 'tagging')


def test_the_interface_has_all_that_the_program_uses():
  root = pathlib.Path(tasks.__file__).parents[1]
  used = {}
  for path in [*root.glob('*.py'), root / 'tasks/__init__.py']:
    for node in ast.walk(ast.parse(path.read_text())):
      if isinstance(node, ast.Attribute):
        of = getattr(node.value, 'id', getattr(node.value, 'attr', None))
        if of == 'task':
          used[node.attr] = path.name
  assert used.keys() > {'features', 'postprocess', 'decode', 'to_record'}
  assert used.pop('to_columns') == 'predict.py'  # From `WritesColumns`.
  assert used.keys() <= ATTRIBUTES | METHODS, used


@pytest.mark.parametrize('name', TRAINING)
def test_a_task_leaves_the_tokenizer_alone(name, tmp_path):
  task, tokenizer = make_task(name, tmp_path)
  features = task.features(TRAINING[name])
  assert tokenizer.to_str() == load_tokenizer(tmp_path).to_str()
  tokenizer.enable_truncation(3)
  for before, after in zip(
    features, task.features(TRAINING[name]), strict=True
  ):
    np.testing.assert_array_equal(before['tokens'], after['tokens'])


def logits_for(name, task, batch):
  """Makes logits that find Ann with a probability of 3/4, or a score of 5."""
  ann = batch['tokens'] == VOCABULARY.index('ann')
  three_to_one = np.where(ann, np.log(3), -20.0).astype(np.float32)
  if name == 'classification':
    return np.log([[0.25, 0.75]]).astype(np.float32)
  if name == 'multi_label':
    return np.log([[1 / 3, 3]]).astype(np.float32)
  if name == 'query_spans':
    return types.SimpleNamespace(
      start=three_to_one, end=three_to_one, match=None
    )
  if name == 'span_qa':
    return np.stack([2.0 * ann, 3.0 * ann], axis=-1)
  person = 'B-PER' if 'B-PER' in task.labels else 'NOUN'
  likely = np.where(ann, task.labels.index(person), 0)
  odds = 3 * (len(task.labels) - 1)
  return np.log(
    np.where(np.arange(len(task.labels)) == likely[..., None], odds, 1.0)
  ).astype(np.float32)


def to_records(name, task, item):
  """Predicts as `train.predict` does, from made-up logits."""
  examples = [unlabelled.to_example(item, task.example_types)]
  features = task.features(examples)
  batch = pad(features, task.fill, len(features), 16)
  outputs = jax.device_get(
    task.postprocess(logits_for(name, task, batch), batch)
  )
  predictions = task.decode(
    examples,
    features,
    [jax.tree.map(lambda x, i=i: x[i], outputs) for i in range(len(features))],
  )
  _, parameters = tasks.decide(task, {})
  return [task.to_record(item, *examples, *predictions, parameters)]


@pytest.mark.parametrize('name', TRAINING)
def test_from_raw_input_to_records(name, tmp_path):
  task, _ = make_task(name, tmp_path)
  asked = Asked('q', 'who', TEXT, [])
  item = Input(TEXT, words=split_words(TEXT), question=asked)
  expected = {
    'tagging': {'text': TEXT, 'entities': [{'type': 'PER', **PLACED}]},
    'query_spans': {'text': TEXT, 'entities': [{'type': 'PER', **PLACED}]},
    'span_qa': {'id': 'q', 'question': 'who', 'answers': ['Ann']},
    'classification': {'text': TEXT, 'label': 'b'},
    'multi_label': {'text': TEXT, 'labels': ['b']},
  }[name]
  (record,) = to_records(name, task, item)
  assert json.loads(json.dumps(record)) == record
  if name in ('tagging', 'query_spans'):
    likely = 0.75 if name == 'tagging' else 0.75**2  # Its start and its end.
    (entity,) = record['entities']
    assert entity.pop('score') == pytest.approx(likely, abs=1e-6)
  elif name == 'span_qa':
    assert record.pop('scores') == [5.0]
  else:
    found = record.pop('probabilities')
    assert found == pytest.approx({'a': 0.25, 'b': 0.75})
  assert record == expected


def test_record_of_tags(tmp_path):
  examples = [Sentence(WORDS, ['NOUN', 'VERB', 'NOUN', '.'], 1)]
  task, _ = make_task('tagging', tmp_path, examples)
  item = Input(TEXT, words=split_words(TEXT))
  (record,) = to_records('tagging', task, item)
  scores = record.pop('scores')
  np.testing.assert_allclose(scores, [0.75] * 4, atol=1e-6)
  tags = ['NOUN', '.', '.', '.']  # The first of the labels is '.'.
  assert record == {'text': TEXT, 'words': WORDS, 'tags': tags}


def make_config(tmp_path, **changes):
  config = default.get_config()
  config.data.dir = str(tmp_path)
  config.data.cache = str(tmp_path / 'cache')
  config.data.files = dict(train='data', dev='', test='')
  config.data.held_out = dict(dev=0.2, test=0.2)
  config.model.scratch.update(
    hidden_size=32, num_hidden_layers=1, intermediate_size=64
  )
  config.optimizer.learning_rate = 1e-2
  config.update(batch_size=8, epochs=4, max_length=32)
  config.update(changes)
  return config


def write_texts(tmp_path):
  rng = random.Random(0)
  rows = ['label\tsentence\tother']
  for _ in range(160):
    spam = rng.random() < 0.3
    text = f'We met {rng.choice(PEOPLE)} in {rng.choice(PLACES)}'
    other = 'win a prize' if spam else 'see you'
    rows.append(f'{"spam" if spam else "ham"}\t{text}\t{other}')
  (tmp_path / 'data').write_text('\n'.join(rows))


def write_questions(tmp_path):
  rng = random.Random(0)
  articles = []
  for i in range(50):
    person, place = rng.choice(PEOPLE), rng.choice(PLACES)
    context = f'We met {person} in {place} .'
    answer = {'text': person, 'answer_start': context.index(person)}
    qas = [{'id': str(i), 'question': 'who', 'answers': [answer]}]
    articles.append(
      {'title': str(i), 'paragraphs': [{'context': context, 'qas': qas}]}
    )
  (tmp_path / 'data').write_text(json.dumps({'data': articles}))


def write_sentences(tmp_path):
  rng = random.Random(0)
  sentences = []
  for _ in range(60):
    rows = [('We', 'O'), ('met', 'O'), (rng.choice(PEOPLE), 'B-PER')]
    rows += [('in', 'O'), (rng.choice(PLACES), 'O'), ('.', 'O')]
    sentences.append(''.join(f'{word} {tag}\n' for word, tag in rows))
  (tmp_path / 'data').write_text('\n'.join(sentences))
  (tmp_path / 'queries.json').write_text(json.dumps({'PER': 'who'}))


CASES = {
  'classification': (
    write_texts,
    {
      'data.format': 'tsv',
      'data.tsv.pair': 'other',
      'classification.positive': 'spam',
      'select_by': 'plug-in/macro_f1',
      'epochs': 7,
    },
  ),
  'span_qa': (
    write_questions,
    {'data.format': 'squad', 'span_qa.max_question': 8},
  ),
  'query_spans': (write_sentences, {}),
}


@pytest.mark.parametrize(
  'task',
  [
    task
    if task in ('tagging', 'classification')
    else pytest.param(task, marks=pytest.mark.slow)
    for task in CASES
  ],
)
def test_from_files_to_predictions(task, tmp_path):
  write, changes = CASES[task]
  write(tmp_path)
  config = make_config(tmp_path, task=task)
  config.update_from_flattened_dict(changes)
  config.loss = presets.get_loss('running_dice', sigmoid=True)
  config.loss.cross_entropy = 1.0
  if task == 'query_spans':
    config.query_spans.queries = str(tmp_path / 'queries.json')
  workdir = tmp_path / 'run'
  outcome = Trainer(config, workdir).train()
  row, column = outcome['headline']
  if config.select_by:
    assert f'{row}/{column}' == config.select_by
    assert outcome['beside'] == ['threshold 0.5', 'tuned']
  assert outcome['scores']['test'][row][column] > 0.9, outcome['scores']
  run = inference.load_run(workdir)
  prepared = Trainer(config, workdir)
  examples = prepared.examples['test']
  predictions = run.predict(examples, run.task.features(examples))
  again = run.task.score(examples, predictions, run.tuned)
  assert again == outcome['scores']['test']
  assert list((workdir / 'predictions').glob('test.*'))
  check_predict(task, tmp_path, workdir)
  check_selection(config, run.task, outcome['scores']['dev'])
  if task == 'query_spans':
    (tmp_path / 'queries.json').write_text(json.dumps({'PER': 'whom'}))
    with pytest.raises(FileExistsError, match='labels changed'):
      Trainer(config, workdir)
  check_old_run(run, workdir, examples, predictions)


def check_selection(config, task, scores):
  """Every score that may choose a checkpoint is there, and no other."""
  config = config.copy_and_resolve_references()
  for row, columns in task.selectable.items():
    for column in columns:
      assert 0 <= scores[row][column] <= 1
      config.select_by = f'{row}/{column}'
      assert tasks.select_headline(config, task) == (row, column)
  row, column = task.headline
  for name in (row, column, f'{row}/support', f'all of it/{column}'):
    config.select_by = name
    with pytest.raises(ValueError, match=f'select_by: .* out of .*{row}/'):
      tasks.select_headline(config, task)
  # An old run without anything to tune, or a run without dev.
  assert tasks.decide(task, {})[0] == 'argmax'
  with pytest.raises(
    ValueError, match='--decision=tuned: this run has argmax;'
  ):
    tasks.decide(task, {}, 'tuned')


def check_old_run(run, workdir, examples, predictions):
  """A run of version 0.1.0, which had fewer settings, is read as it was."""
  config = json.loads((workdir / 'config.json').read_text())
  for key in ('foreground', 'seed'):
    del config['data'][key]
  for key in ('full_weight_at', 'keep_hardest', 'running', 'class_weighting'):
    del config['loss'][key]
  for key in ('frozen', 'frozen_cache', 'frozen_memory', 'pooling'):
    del config['model'][key]
  del config['select_by'], config['model']['prior_bias']
  del config['data']['tfds']['builder']
  (workdir / 'config.json').write_text(json.dumps(config))
  old = inference.load_run(workdir)
  found = old.predict(examples, old.task.features(examples))
  assert old.task.score(examples, found, old.tuned) == run.task.score(
    examples, predictions, run.tuned
  )


def check_predict(task, tmp_path, workdir):
  path = tmp_path / 'input'
  path.write_text(
    {
      'classification': 'We met Ann in Rome\twin a prize\nWe met\tsee you',
      'query_spans': 'We met Ann in Rome.\n',
      'span_qa': json.dumps(
        {
          'data': [
            {
              'paragraphs': [
                {
                  'context': 'We met Ann in Rome .',
                  'qas': [{'id': 'a', 'question': 'who'}],
                }
              ]
            }
          ]
        }
      ),
    }[task]
  )
  done = run_command('train.predict', f'--workdir={workdir}', f'--input={path}')
  rows = [json.loads(line) for line in done.stdout.splitlines()]
  if task == 'classification':
    assert [row['label'] for row in rows] == ['spam', 'ham'], done.stderr
    decided_by = rows[0]['decided_by']
    assert decided_by['rule'] == 'tuned' and 0 < decided_by['threshold'] < 1
    assert sum(rows[0]['probabilities'].values()) == pytest.approx(1)
    assert rows[0]['pair'] == 'win a prize'
    check_stream(workdir)
  elif task == 'span_qa':
    (row,) = rows
    assert 0 < row.pop('scores')[0] <= 2  # The sum of two probabilities.
    assert row == {
      'id': 'a',
      'question': 'who',
      'answers': ['Ann'],
      'decided_by': {'rule': 'argmax'},
    }
  else:
    (row,) = rows
    assert 0.25 < row['entities'][0].pop('score') <= 1
    assert row['decided_by'].keys() == {'rule', 'threshold'}
    assert row['entities'] == [
      {'type': 'PER', 'start': 7, 'end': 10, 'text': 'Ann'}
    ]


def check_stream(workdir):
  """An input is answered before the next one is there, with its fields."""
  command = [sys.executable, '-m', 'train.predict', f'--workdir={workdir}']
  with subprocess.Popen(
    [*command, '--input=-'],
    stdin=subprocess.PIPE,
    stdout=subprocess.PIPE,
    cwd=pathlib.Path(tasks.__file__).parents[2],
    text=True,
  ) as process:
    for label, other in (('spam', 'win a prize'), ('ham', 'see you')):
      row = {'sentence': 'We\nmet', 'other': other, 'label': 'x', 'id': label}
      process.stdin.write(json.dumps(row) + '\n')
      process.stdin.flush()
      found = json.loads(process.stdout.readline())
      assert found['label'] == found['id'] == label
      assert found['input_label'] == 'x' and found['text'] == 'We\nmet'
    process.stdin.close()
  assert process.returncode == 0


def test_a_task_and_a_format_that_do_not_fit():
  sentence = Sentence(['Ann'], ['B-PER'], 1)
  for task in ('span_qa', 'classification'):
    config = default.get_config()
    config.task = task
    with pytest.raises(ValueError, match=f"'{task}' does not .*'conll'"):
      tasks.get_labels(config, [sentence])
