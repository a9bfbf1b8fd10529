"""Each task from files to predictions, as its users run it, on toy data."""

import json
import random

import pytest
from helpers import PEOPLE
from helpers import PLACES
from helpers import run_command

from configs import default
from configs import losses as presets
from train import inference
from train import loop
from train import tasks
from train.data.conll import Sentence


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
    },
  ),
  'span_qa': (
    write_questions,
    {'data.format': 'squad', 'span_qa.max_question': 8},
  ),
  'query_spans': (write_sentences, {}),
}


@pytest.mark.parametrize('task', CASES)
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
  outcome = loop.train(loop.prepare(config, workdir))
  row, column = outcome['headline']
  if config.select_by:
    assert f'{row}/{column}' == config.select_by
    assert outcome['beside'] == ['threshold 0.5', 'tuned']
  assert outcome['scores']['test'][row][column] > 0.9, outcome['scores']
  run = inference.load_run(workdir)
  prepared = loop.prepare(config, workdir)
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
      loop.prepare(config, workdir)


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
  # A run of before there was anything to tune, or one without dev.
  assert tasks.decide(task, {})[0] == 'argmax'
  with pytest.raises(
    ValueError, match='--decision=tuned: this run has argmax;'
  ):
    tasks.decide(task, {}, 'tuned')


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


def test_a_task_and_a_format_that_do_not_fit():
  sentence = Sentence(['Ann'], ['B-PER'], 1)
  for task in ('span_qa', 'classification'):
    config = default.get_config()
    config.task = task
    with pytest.raises(ValueError, match=f"'{task}' does not .*'conll'"):
      tasks.get_labels(config, [sentence])
