"""Predicts with a run: `python -m train.predict --workdir=DIR --input=FILE`.

The input is UTF-8 text. For tagging and query spans, it has a sentence per
line; for classification, a text per line, or a pair with a tab between; for
span QA, questions in the JSON of SQuAD, with or without answers.

The output has a JSON object per line: entities with their characters and their
probability, the label and the probabilities of all labels, or the answer and
its score. A tagger writes CoNLL columns (word and tag) with `--format=conll`.

In each line, `decided_by` holds the rule that decided and its parameters: those
tuned on dev, if any were. `--decision` chooses another rule: `argmax`, what is
most likely, or `plug-in`, the threshold of a classifier that suits its own
probabilities. To trade precision for recall, give a number: `--threshold` for a
classifier or query spans (lower finds more), `--offset` for a tagger (higher
finds more entities).
"""

import json
import pathlib
import sys
from collections.abc import Iterator
from collections.abc import Mapping

from absl import flags

from train import cli

_WORKDIR = flags.DEFINE_string(
  'workdir', None, 'Directory of a finished run.', required=True
)
_INPUT = flags.DEFINE_string(
  'input', None, 'File to predict, see above.', required=True
)
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
    'threshold', None, 'Threshold of probabilities that decides.'
  ),
  'offset': flags.DEFINE_float(
    'offset', None, 'Offset of O that decides; a higher one finds more.'
  ),
}


def main():
  from train import inference
  from train.tasks.task import WritesColumns

  if _OUTPUT.value:
    _check_output(pathlib.Path(_OUTPUT.value))
  run = inference.load_run(pathlib.Path(_WORKDIR.value))
  if _FORMAT.value == 'conll' and not isinstance(run.task, WritesColumns):
    raise ValueError(
      f'--format=conll is for tagging; this run is of {run.config.task}.'
    )
  text = ''.join(f'{line}\n' for line in _predict(run))
  if not _OUTPUT.value:
    sys.stdout.write(text)
    return
  with open(_OUTPUT.value, 'x', encoding='utf-8') as output:
    output.write(text)


def _check_output(path: pathlib.Path) -> None:
  if path.exists():
    raise FileExistsError(f'--output={path}: the file exists.')
  if not path.parent.is_dir():
    raise FileNotFoundError(f'--output={path}: no such directory.')


def _predict(run) -> Iterator[str]:
  """Yields a line of output per example, or the lines of a sentence."""
  from train import inference

  rule, parameters = _decide(run)
  path = pathlib.Path(_INPUT.value)
  sources, examples = run.task.read(path)
  features = inference.make_features(run.task, examples, str(path))
  predictions = run.predict(examples, features)
  decided_by = {'rule': rule, **parameters}
  for source, example, prediction in zip(
    sources, examples, predictions, strict=True
  ):
    if _FORMAT.value == 'conll':
      yield run.task.to_columns(example, prediction, parameters)
    else:
      record = run.task.to_record(source, example, prediction, parameters)
      record['decided_by'] = decided_by
      yield json.dumps(record, ensure_ascii=False)


def _decide(run) -> tuple[str, Mapping[str, float]]:
  """Returns the rule of `--decision`, or the parameters that flags give."""
  from train import tasks

  rule, parameters = tasks.decide(run.task, run.tuned, _DECISION.value)
  for name, flag in _PARAMETERS.items():
    if flag.value is None:
      continue
    if name not in parameters:
      raise ValueError(f'--{name}: the predictions of this run have no {name}.')
    rule, parameters = 'given', {**parameters, name: flag.value}
  return rule, parameters


if __name__ == '__main__':
  cli.run(main)
