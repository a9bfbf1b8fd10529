"""Scores a finished run again: `python -m train.evaluate --workdir=DIR`.

  python -m train.evaluate --workdir=runs/wnut17 --split=dev
  python -m train.evaluate --workdir=runs/wnut17 --files=a.txt,b.txt --json

The best checkpoint is scored, with the decisions that the run tuned on dev.
Files are read in the format and with the options of the run. Nothing in the
workdir changes.
"""

import json
import pathlib

from absl import flags

from train import cli
from train import workdir as files

_WORKDIR = flags.DEFINE_string(
  'workdir', None, 'Directory of a finished run.', required=True
)
_SPLIT = flags.DEFINE_string(
  'split', 'test', 'Split of the data of the run to score: train, dev or test.'
)
_FILES = flags.DEFINE_list(
  'files', None, 'Files to score instead of a split, separated by commas.'
)
_JSON = flags.DEFINE_bool('json', False, 'Print JSON instead of a table.')


def main():
  workdir = pathlib.Path(_WORKDIR.value)
  # Imports take seconds, so a workdir without a run is reported before them.
  files.find_config(workdir)
  from train import inference
  from train import report
  from train.data import splits

  run = inference.load_run(workdir)
  if _FILES.value:
    source = ', '.join(_FILES.value)
    examples = splits.read_files(run.config, _FILES.value)
  else:
    found = splits.read_splits(run.config, workdir)
    if _SPLIT.value not in found:
      raise cli.UsageError(
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
