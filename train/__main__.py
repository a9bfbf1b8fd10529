r"""Trains a model and scores it: `python -m train --config=FILE[:LOSS]`.

  python -m train
  python -m train --config=configs/ner/wnut17.py --config.data.dir=DIR
  python -m train --config=configs/ner/wnut17.py:focal --config.data.dir=DIR \
    --config.loss.options.gamma=1.5 --config.loss.class_weights.B-person=2.0
  python -m train --config=configs/ner/wnut17.py:focal --settings

The first one, the quickstart, needs no files and no network. FILE is one of
configs/ or your own, LOSS a preset of configs/losses.py. The same command again
goes on where it stopped. All devices of the machine are used; for several
machines see docs/scaling.md.

`python -m train.evaluate` scores a run again, `python -m train.predict` applies
it to texts, `python -m train.sweep` compares losses over seeds.
"""

import pathlib

from absl import flags

from train import cli
from train import memory
from train import workdir as files
from train.data.files import find_files

_CONFIG = cli.define_config(default='configs/quickstart.py')
_WORKDIR = flags.DEFINE_string(
  'workdir',
  None,
  'Directory of the run. Default: runs/CONFIG-LOSS. Machines share it.',
)
_TENSORBOARD = flags.DEFINE_bool(
  'tensorboard', False, 'Write event files to WORKDIR/tensorboard as well.'
)
_WANDB = flags.DEFINE_string(
  'wandb', None, 'Project of wandb, if it is installed, to record the run in.'
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
  memory.use_huge_pages()
  config = _CONFIG.value
  workdir = pathlib.Path(_WORKDIR.value or cli.default_workdir(_CONFIG.file))
  _check_files(config.data, workdir)
  # Here, so that --help, a misspelt flag and a missing file are answered early.
  from train import compare
  from train import exporting
  from train import parallel
  from train import report
  from train.trainer import Trainer

  if _DISTRIBUTED.value or _COORDINATOR.value:
    parallel.initialize(_COORDINATOR.value, _PROCESSES.value, _PROCESS.value)
  with parallel.only_first_prints():
    if config.runs:
      with parallel.first_process_runs_first():
        runs = compare.prepare(config, workdir)
      for run in runs.values():
        _watch(run)
      compare.compare(runs, workdir)
    else:
      with parallel.first_process_runs_first():
        run = Trainer(config, workdir)
      _watch(run)
      outcome = run.train()
      for split, scores in sorted(outcome['scores'].items()):
        table = report.format_table(report.score_rows(scores))
        print(f'\n{split}, after step {outcome["best_step"]}:\n{table}')
    print(f'\nCurves and more: {workdir / "report.html"}')
    if config.task in exporting.TASKS:
      command = exporting.command(workdir, list(dict(config.runs)))
      print(f'Take the model with you: {command}')


def _check_files(data, workdir: pathlib.Path) -> None:
  """Checks that a new run has its files, without reading any."""
  elsewhere = 'synthetic', 'hf', 'tfds'
  is_local = data.format in data and data.format not in elsewhere
  if is_local and not (workdir / files.CONFIG).is_file():
    named = [(split, name) for split, name in data.files.items() if name]
    # Who has the wrong directory should read of the training file.
    find_files(data.dir, dict(sorted(named, key=lambda x: x[0] != 'train')))


def _watch(run) -> None:
  """Adds the watchers that flags name, unless the run is finished."""
  from train import parallel
  from train import watchers

  if not parallel.is_first() or (run.workdir / files.RESULTS).is_file():
    return
  if _TENSORBOARD.value:
    run.watchers.append(watchers.TensorBoard(run.workdir))
  if _WANDB.value:
    settings = run.config.to_dict()
    run.watchers.append(watchers.Wandb(run.workdir, _WANDB.value, settings))


if __name__ == '__main__':
  cli.run(main, _CONFIG)
