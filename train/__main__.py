"""Trains a model: `python -m train --config=FILE[:LOSS] --workdir=DIR`.

Without flags it runs the quickstart, which needs no files and no network. Any
setting of configs/default.py can be changed: `--config.batch_size=16`. The same
command again goes on where it stopped.

All devices of the machine are used. On several machines, start the same command
on each: with `--distributed` on Slurm, GKE or a TPU pod, elsewhere with
`--coordinator`, `--processes` and `--process`. All machines must see the same
workdir. See docs/scaling.md.

`python -m train.evaluate` scores a run again, `python -m train.predict` tags
text with it.
"""

import pathlib

from absl import flags

from train import cli

_CONFIG = cli.define_config(default='configs/quickstart.py')
_WORKDIR = flags.DEFINE_string(
  'workdir', None, 'Directory of the run. Default: runs/CONFIG-LOSS.'
)
_DISTRIBUTED = flags.DEFINE_bool(
  'distributed',
  False,
  'Join the cluster that JAX detects (Slurm, GKE, TPU pod).',
)
_COORDINATOR = flags.DEFINE_string(
  'coordinator', None, 'HOST:PORT of process 0, outside such clusters.'
)
_PROCESSES = flags.DEFINE_integer('processes', None, 'Number of processes.')
_PROCESS = flags.DEFINE_integer(
  'process', None, 'Index of this process, from 0.'
)


def main():
  # Here, so that --help and a misspelt flag are answered at once.
  from train import compare
  from train import loop
  from train import parallel
  from train import report

  if _DISTRIBUTED.value or _COORDINATOR.value:
    parallel.initialize(_COORDINATOR.value, _PROCESSES.value, _PROCESS.value)
  config = _CONFIG.value
  workdir = pathlib.Path(_WORKDIR.value or cli.default_workdir(_CONFIG.file))
  with parallel.one_speaks():
    if config.runs:
      with parallel.first_process_first():
        runs = compare.prepare(config, workdir)
      compare.compare(runs, workdir)
    else:
      with parallel.first_process_first():
        run = loop.prepare(config, workdir)
      outcome = loop.train(run)
      for split, scores in sorted(outcome['scores'].items()):
        table = report.format_table(report.score_rows(scores))
        print(f'\n{split}, after step {outcome["best_step"]}:\n{table}')
    print(f'\nCurves and more: {workdir / "report.html"}')


if __name__ == '__main__':
  cli.run(main, _CONFIG)
