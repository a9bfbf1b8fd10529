"""Predicts with a run: `python -m train.predict --workdir=DIR --input=FILE`.

The input is UTF-8 text. For tagging and query spans, a sentence a line; for
classification, a text a line or a pair with a tab between; for span QA,
questions as SQuAD has them, in JSON, with or without answers.

The output is a JSON object a line: entities with their place in characters and
their probability, the label and the probabilities of all, or the answer and its
score. A tagger writes CoNLL columns (word and tag) with `--format=conll`.

Each line says in `decided_by` which rule chose, and with which parameters: what
was tuned on dev, if anything was. `--decision` names another: `argmax`, what is
most likely, or `plug-in`, the threshold of classification that suits the
probabilities themselves. To trade precision for recall, give a number:
`--threshold` of a classifier (lower finds more), `--offset` of a tagger (higher
finds more entities).
"""

import json
import pathlib
import re
import sys
from collections.abc import Sequence
from typing import Any

from absl import flags

from dicejax import metrics
from train import cli

_WORKDIR = flags.DEFINE_string(
  'workdir', None, 'Directory of a run.', required=True
)
_INPUT = flags.DEFINE_string('input', None, 'File to predict.', required=True)
_OUTPUT = flags.DEFINE_string(
  'output', None, 'File to create. Default: standard output.'
)
_FORMAT = flags.DEFINE_enum(
  'format', 'jsonl', ['jsonl', 'conll'], 'JSON lines, or columns of a tagger.'
)
_DECISION = flags.DEFINE_string(
  'decision',
  '',
  'Rule that decides: argmax, tuned or plug-in. Default: tuned on dev, if '
  'the run could tune.',
)

_PARAMETERS = {
  'threshold': flags.DEFINE_float(
    'threshold', None, 'Threshold of the positive label that decides.'
  ),
  'offset': flags.DEFINE_float(
    'offset',
    None,
    'Offset of O that decides; a higher one finds more.',
  ),
}

# Scripts without spaces (kana, Han): each character is a word.
_CHARACTER = r'[\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff]'
_LETTERS = rf'(?:(?!{_CHARACTER})\w)+'
# Or an English 's, which treebanks take off; letters and digits, with hyphens,
# dots and the like between them; a sign.
_WORD = re.compile(
  rf"{_CHARACTER}|'s\b|{_LETTERS}(?:[-.,/&]{_LETTERS})*|[^\w\s]"
)


def split_words(text: str) -> list[tuple[int, int]]:
  """Start and end, in characters, of each word of a sentence.

  Example:
    >>> text = "Peter Blackburn's 20-page note."
    >>> [text[start:end] for start, end in split_words(text)]
    ['Peter', 'Blackburn', "'s", '20-page', 'note', '.']
  """
  return [match.span() for match in _WORD.finditer(text)]


def entities(
  text: str, scored: Sequence[tuple[metrics.Span, float]]
) -> list[dict]:
  """The entities of a sentence, with their place in its text.

  Args:
    text: the sentence.
    scored: spans of its words, as `split_words` finds them, with scores.

  Example:
    >>> entities('Paris', [(metrics.Span('LOC', 0, 1), 0.75)])
    [{'type': 'LOC', 'start': 0, 'end': 5, 'text': 'Paris', 'score': 0.75}]
  """
  words, found = split_words(text), []
  for span, score in scored:
    start, end = words[span.start][0], words[span.end - 1][1]
    found.append(
      {
        'type': span.type,
        'start': start,
        'end': end,
        'text': text[start:end],
        'score': round(score, 6),
      }
    )
  return found


def main():
  from train import inference

  path = pathlib.Path(_INPUT.value)
  if _OUTPUT.value and pathlib.Path(_OUTPUT.value).exists():
    raise FileExistsError(f'--output={_OUTPUT.value}: the file exists.')
  if _OUTPUT.value and not pathlib.Path(_OUTPUT.value).parent.is_dir():
    raise FileNotFoundError(f'--output={_OUTPUT.value}: no such directory.')
  run = inference.load_run(pathlib.Path(_WORKDIR.value))
  task = run.config.task
  if _FORMAT.value == 'conll' and task != 'tagging':
    raise ValueError(f'--format=conll is of tagging; this run is of {task}.')
  rule, parameters = _decide(run)
  read, show = _INPUTS[task], _OUTPUTS[task]
  sources, examples = read(run, path)
  features = inference.make_features(run.task, examples, str(path))
  predictions = run.predict(examples, features)
  if _FORMAT.value == 'conll':
    lines = (
      _columns(example, run.task.tags(prediction, parameters))
      for example, prediction in zip(examples, predictions, strict=True)
    )
  else:
    decided_by = {'rule': rule, **parameters}
    lines = (
      _json(**show(run.task, parameters, *row), decided_by=decided_by)
      for row in zip(sources, examples, predictions, strict=True)
    )
  text = ''.join(f'{line}\n' for line in lines)
  if not _OUTPUT.value:
    sys.stdout.write(text)
    return
  with open(_OUTPUT.value, 'x', encoding='utf-8') as output:
    output.write(text)


def _decide(run) -> tuple[str, dict[str, float]]:
  """The rule of `--decision`, or the number that a flag gives."""
  from train import tasks

  rule, parameters = tasks.decide(run.task, run.tuned, _DECISION.value)
  for name, flag in _PARAMETERS.items():
    if flag.value is None:
      continue
    if name not in parameters:
      raise ValueError(f'--{name}: the predictions of this run have no {name}.')
    rule, parameters = 'given', {**parameters, name: flag.value}
  return rule, parameters


def _read_sentences(run, path) -> tuple[list[str], list]:
  from train.data import conll

  lines = _read_lines(path)
  # An empty line is a sentence without words: it stays where it was.
  return lines, [
    conll.Sentence([line[a:b] for a, b in split_words(line)], [], number)
    for number, line in enumerate(lines, start=1)
  ]


def _read_texts(run, path) -> tuple[list[str], list]:
  from train.data import texts

  lines = _read_lines(path)
  data = run.config.data
  pairs = 'pair' in data[data.format] and bool(data[data.format].pair)
  examples = []
  for number, line in enumerate(lines, start=1):
    text, tab, pair = line.partition('\t')
    if line and data.format != 'tfds' and bool(tab) != pairs:
      expected = 'two texts with a tab between' if pairs else 'one without tabs'
      raise ValueError(f'{path}:{number}: expected {expected}, as in training.')
    examples.append(texts.Text(text, pair if tab else None, '', number))
  return lines, examples


def _read_questions(run, path) -> tuple[list[str], list]:
  from train.data import squad

  questions = list(squad.read_questions(path))
  return [question.question for question in questions], questions


def _read_lines(path) -> list[str]:
  try:
    text = path.read_text(encoding='utf-8-sig')
  except UnicodeDecodeError as error:
    raise ValueError(f'{path}: expected UTF-8 text: {error}.') from None
  return text.removesuffix('\n').split('\n') if text else []


def _columns(example, tags) -> str:
  rows = zip(example.tokens, tags, strict=True)
  return ''.join(f'{token} {tag}\n' for token, tag in rows)


def _show_tags(task, parameters, line, example, prediction) -> dict:
  if task.spans:
    return _show_entities(task, parameters, line, example, prediction)
  return {
    'text': line,
    'words': example.tokens,
    'tags': task.tags(prediction, parameters),
    'scores': [round(p, 6) for p in prediction.probabilities],
  }


def _show_entities(task, parameters, line, example, prediction) -> dict:
  found = task.entities(prediction, parameters)
  return {'text': line, 'entities': entities(line, found)}


def _show_label(task, parameters, line, example, probabilities) -> dict:
  (label,) = task.predict([probabilities], parameters)
  names = zip(task.labels, probabilities, strict=True)
  return {'text': line, 'label': label, 'probabilities': dict(names)}


def _show_answer(task, parameters, question, example, prediction) -> dict:
  answers = task.answers(prediction, parameters)
  return {
    'id': example.id,
    'question': question,
    'answers': [answer.text for answer in answers],
    'scores': [round(answer.score, 6) for answer in answers],
  }


def _json(**values: Any) -> str:
  return json.dumps(values, ensure_ascii=False)


_INPUTS = {
  'tagging': _read_sentences,
  'query_spans': _read_sentences,
  'classification': _read_texts,
  'span_qa': _read_questions,
}
_OUTPUTS = {
  'tagging': _show_tags,
  'query_spans': _show_entities,
  'classification': _show_label,
  'span_qa': _show_answer,
}

if __name__ == '__main__':
  cli.run(main)
