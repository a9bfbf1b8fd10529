"""Scores a run again: `python -m train.evaluate --workdir=DIR --split=test`.

Or on other files, in the columns and the scheme of the run:
`--files=a.txt,b.txt`. Nothing in the workdir changes.
"""

import json
import pathlib
import sys

from absl import flags

from train import cli

_WORKDIR = flags.DEFINE_string('workdir', None, 'A run.', required=True)
_SPLIT = flags.DEFINE_string('split', 'test', 'A split of its data.')
_FILES = flags.DEFINE_list('files', None, 'CoNLL files to score instead.')
_JSON = flags.DEFINE_bool('json', False, 'Scores as JSON in place of a table.')


def main():
  from train import inference
  from train import report
  from train.data import conll
  from train.tasks import tagging

  workdir = pathlib.Path(_WORKDIR.value)
  run = inference.load_run(workdir)
  data = run.config.data
  if _FILES.value:
    sentences = [
      sentence
      for path in _FILES.value
      for sentence in conll.read_sentences(
        path, columns=data.columns.to_dict(), scheme=data.scheme
      )
    ]
  else:
    splits = tagging.read_splits(run.config, workdir)
    if _SPLIT.value not in splits:
      raise ValueError(
        f'--split={_SPLIT.value} is none of {", ".join(sorted(splits))}.'
      )
    sentences = splits[_SPLIT.value]
  if message := run.task.describe_cut(sentences):
    print(message, file=sys.stderr)
  scores = tagging.score(sentences, run.predict(sentences))
  if _JSON.value:
    print(json.dumps(scores, indent=2))
  else:
    print(report.format_table(report.score_rows(scores)))


if __name__ == '__main__':
  cli.run(main)
