r"""Predicts with a run: `python -m train.predict --workdir=DIR --input=FILE`.

  python -m train.predict --workdir=runs/x --input=texts.jsonl --output=OUT
  ... | python -m train.predict --workdir=runs/x --input=- | ...

The input is what training reads, with or without labels: CoNLL columns or words
alone, JSON lines, CSV, TSV, the JSON of SQuAD. Or it is UTF-8 text with a
sentence or a text per line, or a pair with a tab between. The format is told by
the suffix or the first lines; `--read` names it. JSON lines may have words as a
list (`tokens`), or `question` and `context`. `--input=-` is standard input,
which is answered line by line.

The output has a JSON object per input, in order: entities with their characters
and the probability that their words have these tags, the label and the
probabilities of all labels, or the answer and its score. Ids and other fields
of the input are repeated; one that is called like a part of the prediction gets
the name `input_...`. A tagger writes CoNLL columns (word and tag) with
`--format=conll`.

In each line, `decided_by` holds the rule that decided and its parameters: those
tuned on dev, if any were. `--decision` chooses another rule: `argmax`, what is
most likely, or `plug-in`, the threshold of a classifier that suits its own
probabilities. To trade precision for recall, give a number: `--threshold` for a
classifier or query spans (lower finds more), `--offset` for a tagger (higher
finds more entities).
"""

import json
import math
import os
import pathlib
import sys
from collections.abc import Iterable
from collections.abc import Iterator
from collections.abc import Mapping

from absl import flags

from train import cli
from train import workdir as files

_WORKDIR = flags.DEFINE_string(
  'workdir', None, 'Directory of a finished run.', required=True
)
_INPUT = flags.DEFINE_string(
  'input', None, 'File to predict, or - for standard input.', required=True
)
_READ = flags.DEFINE_string(
  'read',
  '',
  'Format of the input: text, conll, jsonl, csv, tsv, squad or another that '
  'data.format may name. Default: what the suffix or the first lines tell.',
)
_WORDS = flags.DEFINE_enum(
  'words',
  'text',
  ['text', 'blanks'],
  'What parts the words of plain text: text, as treebanks have them, or '
  'blanks, if they are separated already.',
)
_OUTPUT = flags.DEFINE_string(
  'output',
  None,
  'File to create, which appears when it is whole. Default: standard output.',
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
    'threshold', None, 'Threshold of probabilities that decides.'
  ),
  'offset': flags.DEFINE_float(
    'offset', None, 'Offset of O that decides; a higher one finds more.'
  ),
}


# Inputs that are predicted together, sorted by length among themselves.
_CHUNK = 1024


def main():
  # Imports take seconds, so a workdir without a run is reported before them.
  files.find_config(pathlib.Path(_WORKDIR.value))
  from train import inference
  from train.tasks.task import WritesColumns

  if _OUTPUT.value:
    _check_output(pathlib.Path(_OUTPUT.value))
  _check_read()
  run = inference.load_run(pathlib.Path(_WORKDIR.value))
  if _FORMAT.value == 'conll' and not isinstance(run.task, WritesColumns):
    raise ValueError(
      f'--format=conll is for tagging; this run is of {run.config.task}.'
    )
  lines = _predict(run)
  if _OUTPUT.value:
    _write(pathlib.Path(_OUTPUT.value), lines)
    return
  for line in lines:
    print(line, end='', flush=True)


def _write(path: pathlib.Path, lines: Iterable[str]) -> None:
  """Writes a file that is whole or, after an error, not there at all."""
  part = path.with_name(f'{path.name}.part')
  output = part.open('x', encoding='utf-8')
  try:
    with output:
      output.writelines(lines)
    _check_output(path)  # Another process may have been faster.
    os.replace(part, path)
  except BaseException:
    part.unlink()
    raise


def _check_output(path: pathlib.Path) -> None:
  if path.exists():
    raise FileExistsError(f'--output={path}: the file exists.')
  if not path.parent.is_dir():
    raise FileNotFoundError(f'--output={path}: no such directory.')


def _check_read() -> None:
  from train.data import streams

  if _READ.value and _READ.value not in streams.FORMS:
    known = ', '.join(streams.FORMS)
    raise ValueError(f'--read={_READ.value} is none of {known}.')


def _predict(run) -> Iterator[str]:
  """Yields a line of output per input, or the lines of a sentence."""
  from train.data import streams

  rule, parameters = _decide(run)
  path = _INPUT.value
  form, inputs = streams.read_inputs(
    path, run.config, _READ.value, run.task.labels
  )
  if not _READ.value:
    print(f'{path}: read as {form}; --read names another.', file=sys.stderr)
  is_file = pathlib.Path(path).is_file()
  for chunk in streams.chunks(inputs, _CHUNK, live=not is_file):
    for item, example, prediction in _predict_chunk(run, path, chunk):
      if _FORMAT.value == 'conll':
        yield run.task.to_columns(example, prediction, parameters) + '\n'
        continue
      record = run.task.to_record(item, example, prediction, parameters)
      record = _with_fields(record, item.fields)
      record['decided_by'] = {'rule': rule, **parameters}
      yield json.dumps(record, ensure_ascii=False) + '\n'


def _predict_chunk(run, path, chunk):
  """Returns inputs with their examples and predictions."""
  from dicejax.text.words import split_words
  from train import inference
  from train.data import unlabelled
  from train.data.conll import Sentence

  cut = {'text': split_words, 'blanks': unlabelled.split_at_blanks}
  types = run.task.example_types
  if Sentence in types:
    chunk = [
      item._replace(words=cut[_WORDS.value](item.text))
      if item.words is None
      else item
      for item in chunk
    ]
  try:
    examples = [unlabelled.to_example(item, types) for item in chunk]
  except ValueError as error:
    raise ValueError(f'{path}:{error}') from None
  features = inference.make_features(run.task, examples, path)
  found = run.predict(examples, features)
  return zip(chunk, examples, found, strict=True)


def _with_fields(record: dict, fields: Mapping) -> dict:
  """Adds the fields of an input in front of a record."""
  return {
    f'input_{name}' if name in record or name == 'decided_by' else name: value
    for name, value in fields.items()
  } | record


def _decide(run) -> tuple[str, Mapping[str, float]]:
  """Returns the rule of `--decision`, or the parameters that flags give."""
  from train import tasks

  rule, parameters = tasks.decide(run.task, run.tuned, _DECISION.value)
  for name, flag in _PARAMETERS.items():
    if flag.value is None:
      continue
    if name not in parameters:
      raise ValueError(f'--{name}: the predictions of this run have no {name}.')
    if not math.isfinite(flag.value):
      raise cli.UsageError(f'--{name} is a finite number, not {flag.value}.')
    rule, parameters = 'given', {**parameters, name: flag.value}
  return rule, parameters


if __name__ == '__main__':
  cli.run(main)
