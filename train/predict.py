"""Predicts with a run: `python -m train.predict --workdir=DIR --input=FILE`.

The input is UTF-8 text. For tagging and query spans, a sentence a line; for
classification, a text a line or a pair with a tab between; for span QA,
questions as SQuAD has them, in JSON, with or without answers.

The output is a JSON object a line: entities with their place in characters, the
label and the probabilities of all, or the answer. A tagger writes CoNLL columns
(word and tag) with `--format=conll`.
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

_WORKDIR = flags.DEFINE_string('workdir', None, 'A run.', required=True)
_INPUT = flags.DEFINE_string('input', None, 'A file.', required=True)
_OUTPUT = flags.DEFINE_string('output', None, 'A new file; or the terminal.')
_FORMAT = flags.DEFINE_enum(
  'format', 'jsonl', ['jsonl', 'conll'], 'JSON lines, or columns of a tagger.'
)

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


def entities(text: str, spans: Sequence[metrics.Span]) -> list[dict]:
  """The entities of a sentence, with their place in its text.

  Args:
    text: the sentence.
    spans: of its words, as `split_words` finds them.

  Example:
    >>> entities('To Paris', [metrics.Span('LOC', 1, 2)])
    [{'type': 'LOC', 'start': 3, 'end': 8, 'text': 'Paris'}]
  """
  words, found = split_words(text), []
  for span in spans:
    start, end = words[span.start][0], words[span.end - 1][1]
    found.append(
      {'type': span.type, 'start': start, 'end': end, 'text': text[start:end]}
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
  read, show = _INPUTS[task], _OUTPUTS[task]
  sources, examples = read(run, path)
  features = inference.make_features(run.task, examples, str(path))
  predictions = run.predict(examples, features)
  text = ''.join(
    show(run, *row) + '\n'
    for row in zip(sources, examples, predictions, strict=True)
  )
  if not _OUTPUT.value:
    sys.stdout.write(text)
    return
  with open(_OUTPUT.value, 'x', encoding='utf-8') as output:
    output.write(text)


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


def _show_tags(run, line, example, tags) -> str:
  if _FORMAT.value == 'conll':
    rows = zip(example.tokens, tags, strict=True)
    return ''.join(f'{token} {tag}\n' for token, tag in rows)
  if run.task.spans:
    return _json(text=line, entities=entities(line, metrics.entity_spans(tags)))
  return _json(text=line, words=example.tokens, tags=tags)


def _show_spans(run, line, example, found) -> str:
  spans = run.task.spans(found, run.tuned)
  return _json(text=line, entities=entities(line, spans))


def _show_label(run, line, example, probabilities) -> str:
  (label,) = run.task.predict([probabilities], run.tuned)
  names = zip(run.task.labels, probabilities, strict=True)
  return _json(text=line, label=label, probabilities=dict(names))


def _show_answer(run, question, example, prediction) -> str:
  texts = run.task.texts(prediction, run.tuned)
  return _json(id=example.id, question=question, answers=texts)


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
  'query_spans': _show_spans,
  'classification': _show_label,
  'span_qa': _show_answer,
}

if __name__ == '__main__':
  cli.run(main)
