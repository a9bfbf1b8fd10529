"""Scores a run again: `python -m train.evaluate --workdir=DIR --split=test`.

Or on other files of the same format and options: `--files=a.txt,b.txt`. Nothing
in the workdir changes.
"""

import json
import pathlib

from absl import flags

from train import cli

_WORKDIR = flags.DEFINE_string(
  'workdir', None, 'Directory of a run.', required=True
)
_SPLIT = flags.DEFINE_string('split', 'test', 'Split of its data to score.')
_FILES = flags.DEFINE_list('files', None, 'Files to score instead.')
_JSON = flags.DEFINE_bool(
  'json', False, 'Print scores as JSON instead of a table.'
)


def main():
  from train import inference
  from train import report
  from train.data import splits

  workdir = pathlib.Path(_WORKDIR.value)
  run = inference.load_run(workdir)
  if _FILES.value:
    source = ', '.join(_FILES.value)
    examples = splits.read_files(run.config, _FILES.value)
  else:
    found = splits.read_splits(run.config, workdir)
    if _SPLIT.value not in found:
      raise ValueError(
        f'--split={_SPLIT.value} is none of {", ".join(sorted(found))}.'
      )
    source, examples = _SPLIT.value, found[_SPLIT.value]
  features = inference.make_features(run.task, examples, source)
  predictions = run.predict(examples, features)
  scores = run.task.score(examples, predictions, run.tuned)
  if _JSON.value:
    print(json.dumps(scores, indent=2))
  else:
    print(report.format_table(report.score_rows(scores)))


if __name__ == '__main__':
  cli.run(main)
