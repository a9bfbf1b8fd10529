"""The model card of an export: data, loss, scores, and how to decide."""

import json
import pathlib
from collections.abc import Mapping
from typing import Any

import jax

import dicejax
from train import report
from train import tasks
from train import workdir as files
from train.data.files import read_json

_AUTO = {  # Task -> class in transformers, and name of the pipeline.
  'tagging': ('AutoModelForTokenClassification', 'token-classification'),
  'classification': (
    'AutoModelForSequenceClassification',
    'text-classification',
  ),
  'multi_label': (
    'AutoModelForSequenceClassification',
    'text-classification',
  ),
  'span_qa': ('AutoModelForQuestionAnswering', 'question-answering'),
}
_INPUTS = {
  'tagging': "['Anna works at Siemens in Munich.']",
  'classification': "['the text of a message']",
  'multi_label': "['the text of a message']",
  'span_qa': "[{'question': 'Who called?', 'context': 'Anna called Ben.'}]",
}


def make(run: Any, workdir: pathlib.Path, name: str) -> str:
  """Returns the text of README.md.

  Args:
    run: a `TrainedRun`.
    workdir: its directory.
    name: the title.
  """
  config = run.config
  _, pipeline = _AUTO[config.task]
  base = pathlib.PurePath(config.model.pretrained)
  head = {
    'library_name': 'transformers' if is_theirs(run) else 'dicejax',
    'pipeline_tag': pipeline,
    'tags': ['dicejax', 'jax', config.loss.name],
  }
  # The name on the hub; a path on this machine helps nobody.
  if config.model.pretrained.count('/') == 1 and not base.exists():
    head['base_model'] = config.model.pretrained
  parts = [
    _front(head),
    f'# {name}',
    f'{_describe(run, base.name)} Trained with '
    f'dicejax {dicejax.__version__}, jax {jax.__version__}.',
    '## Use',
    _usage(run, name),
    '## Decision',
    _decision(run),
    '## Scores',
    _scores(workdir),
    '## Training',
    _training(config, workdir),
  ]
  return '\n\n'.join(parts) + '\n'


def is_theirs(run) -> bool:
  """Whether transformers has a class for a model."""
  return getattr(run.model, 'pooling', 'cls') == 'cls'


def _front(values: Mapping[str, Any]) -> str:
  # JSON values are YAML values.
  lines = (f'{name}: {json.dumps(x)}\n' for name, x in values.items())
  return f'---\n{"".join(lines)}---'


def _describe(run, base: str) -> str:
  encoder = run.model.config
  shape = (
    f'{encoder.model_type}, {encoder.num_hidden_layers} layers, width '
    f'{encoder.hidden_size}'
  )
  origin = f'from {base}' if base else 'from random weights'
  labels = ', '.join(f'`{label}`' for label in run.task.labels)
  labels = f' Labels: {labels}.' if labels else ''
  return f'A model for {run.config.task} ({shape}), {origin}.{labels}'


def _usage(run, name: str) -> str:
  auto, pipeline = _AUTO[run.config.task]
  inputs = _INPUTS[run.config.task]
  ours = _code(
    f"import dicejax  # pip install 'dicejax[text]'\n\n"
    f"model = dicejax.load('{name}')\nmodel({inputs})"
  )
  if not is_theirs(run):
    return (
      f'{ours}\n\ntransformers has no class for this model, which classifies '
      f'the {run.model.pooling} of all tokens.'
    )
  theirs = _code(
    'from transformers import AutoTokenizer\n'
    f'from transformers import {auto}\n\n'
    f"tokenizer = AutoTokenizer.from_pretrained('{name}')\n"
    f"model = {auto}.from_pretrained('{name}')"
  )
  return (
    f'{ours}\n\nIn PyTorch, with the same logits (the pipeline is '
    f'`{pipeline}`):\n\n{theirs}'
  )


def _decision(run) -> str:
  """Says which rule decides, and how to apply it without dicejax."""
  rule, parameters = tasks.decide(run.task, run.tuned)
  if not parameters:
    return 'What is most likely is predicted: the argmax.'
  if run.config.task == 'multi_label':
    return _thresholds(rule, parameters['threshold'])
  shown = ', '.join(f'{name} {value:.6g}' for name, value in parameters.items())
  if parameters == run.task.decisions(run.tuned)['argmax']:
    return f'Rule: **{rule}**, {shown}, which decides as the argmax does.'
  return (
    f'Rule: **{rule}**, {shown}. The argmax, as the pipelines of transformers '
    f'take it, decides otherwise. {_apply(run, parameters)} `dicejax.load` '
    'applies the rule.'
  )


def _thresholds(rule: str, thresholds: Mapping[str, float] | float) -> str:
  """Says how several labels are decided."""
  if not isinstance(thresholds, Mapping):
    return (
      'A text has each label whose probability, a sigmoid of its own, is at '
      f'least {thresholds:.6g}.'
    )
  rows = [[f'`{label}`', f'{value:.6g}'] for label, value in thresholds.items()]
  return (
    f'Rule: **{rule}**. A text has each label whose probability, a sigmoid of '
    'its own, is at least the threshold of the label. The pipelines of '
    'transformers take 0.5; `dicejax.load` applies these:\n\n'
    + _table([['label', 'threshold'], *rows])
  )


def _apply(run, parameters: Mapping[str, float]) -> str:
  if 'threshold' in parameters:
    positive = run.task.labels[-1]
    return (
      f'A text is `{positive}` if its probability, of the softmax, is at least '
      f'{parameters["threshold"]:.6g}.'
    )
  if 'offset' in parameters:
    return (
      f'{parameters["offset"]:.6g} is subtracted from the logit of `O` before '
      'the argmax, which is taken at the first sub-word of each word.'
    )
  if run.config.loss.activation == 'sigmoid':
    scores = 'the sum of the probabilities (sigmoid) of its start and end'
  else:
    scores = 'the sum of the logits of its start and end'
  if 'null' in parameters:
    return (
      f'A span scores {scores}. There is no answer if [CLS] scores above the '
      f'best span by more than {parameters["null"]:.6g}.'
    )
  return (
    f'A span scores {scores}. The answer is the best span, and all that '
    f'overlap no better one and score at least {parameters["span"]:.6g}.'
  )


def _scores(workdir: pathlib.Path) -> str:
  path = workdir / files.RESULTS
  if not path.is_file():
    return 'The run is not finished: there are none yet.'
  results = read_json(path)
  tables = [
    f'On {split}:\n\n{_table(report.score_rows(scores))}'
    for split, scores in sorted(results['scores'].items(), reverse=True)
  ]
  row, column = results['headline']
  return (
    f'The checkpoint after step {results["best_step"]} had the best '
    f'`{row}/{column}` on dev, where the decision was tuned as well.\n\n'
    + '\n\n'.join(tables)
  )


def _training(config, workdir: pathlib.Path) -> str:
  rows = {
    'data': _data(config),
    'loss': _loss(config.loss),
    'learning rate': f'{config.optimizer.learning_rate:g}',
    'batch size': config.batch_size,
    'epochs': config.epochs,
    'longest input': f'{config.max_length} sub-words',
    'encoder': 'frozen' if config.model.frozen else 'fine-tuned',
    'seed': config.seed,
  }
  return _table([['setting', 'value'], *([n, str(x)] for n, x in rows.items())])


def _data(config) -> str:
  data = config.data
  if data.format in ('tfds', 'synthetic'):
    return f'{data.format} {data[data.format].get("name", "")}'.strip()
  names = {split: name for split, name in data.files.items() if name}
  shown = ', '.join(f'{split} {name}' for split, name in names.items())
  folder = pathlib.PurePath(data.dir).name
  held = ', '.join(
    f'{split} {part:g} of train'
    for split, part in data.held_out.items()
    if part and split not in names
  )
  return '; '.join(filter(None, [f'{folder} ({data.format}): {shown}', held]))


def _loss(loss) -> str:
  options = json.loads(loss.options.to_json()) if loss.options else {}
  shown = ', '.join(f'{name}={value}' for name, value in options.items())
  parts = [f'{loss.name}({shown})' if shown else loss.name]
  if loss.cross_entropy:
    parts.append(f'{loss.cross_entropy:g} × cross_entropy')
  return ' + '.join(parts)


def _table(rows) -> str:
  heading, *body = rows
  lines = [heading, ['---'] * len(heading), *body]
  return '\n'.join('| ' + ' | '.join(map(str, line)) + ' |' for line in lines)


def _code(text: str) -> str:
  return f'```python\n{text}\n```'
