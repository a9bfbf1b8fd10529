"""Trains a model: `python -m train --config=FILE[:LOSS] --workdir=DIR`.

Without flags it runs the quickstart, which needs no files and no network. Any
setting of configs/default.py can be changed: `--config.batch_size=16`. The same
command again goes on where it stopped.

`python -m train.evaluate` scores a run again, `python -m train.predict` tags
text with it.
"""

import pathlib

from absl import flags
from ml_collections import config_flags

from train import cli

_CONFIG = cli.define_config(default='configs/quickstart.py')
flags.adopt_module_key_flags(cli)  # So that --help shows --config.
_WORKDIR = flags.DEFINE_string(
  'workdir', None, 'Where the run goes; by default in runs/, named as it is.'
)


def main():
  # Here, so that --help and a misspelt flag are answered at once.
  from train import compare
  from train import loop
  from train import report

  name = config_flags.get_config_filename(flags.FLAGS['config'])
  config = _CONFIG.value
  workdir = pathlib.Path(_WORKDIR.value or cli.default_workdir(name))
  if config.runs:
    compare.compare(compare.prepare(config, workdir), workdir)
  else:
    outcome = loop.train(loop.prepare(config, workdir))
    for split, scores in sorted(outcome['scores'].items()):
      table = report.format_table(report.score_rows(scores))
      print(f'\n{split}, after step {outcome["best_step"]}:\n{table}')
  print(f'\nCurves and more: {workdir / "report.html"}')


if __name__ == '__main__':
  cli.run(main)
