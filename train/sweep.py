r"""Compares losses on one data set, over seeds: `python -m train.sweep`.

  python -m train.sweep --config=configs/ner/conll2003.py --seeds=0,1,2 \
    --losses=cross_entropy,focal,running_dice --config.data.dir=DIR
  python -m train.sweep --config=configs/ner/conll2003.py --seeds=0,1,2 \
    --learning_rates=5e-5,1e-4,2e-4 --rate_seeds=100,101 --config.data.dir=DIR

The table has the mean ± the standard deviation over seeds, the difference to
the first loss, and the p-value of a paired t-test. A config with `runs`
(configs/quickstart.py, configs/ablations/) varies by them instead of losses.

With --learning_rates each loss is first trained with every rate and
--rate_seeds. The rate with the highest mean score on dev is then trained with
--seeds, which alone are reported.

The same command again goes on where it stopped; losses, rates or seeds may be
added. In several processes, such as one per GPU, it shares the runs among them.
"""

# The results have a line per run that finished or whose loss diverged: a JSON
# object with its settings, its scores, and its counts of found, wrongly found
# and missed items in each test example.

import math
import pathlib

from absl import flags

from train import cli
from train import memory

_CONFIG = cli.define_config(default='configs/quickstart.py')
_LOSSES = flags.DEFINE_list(
  'losses',
  'cross_entropy,running_dice',
  'Losses of configs/losses.py; the first is the baseline.',
)
_SEEDS = flags.DEFINE_list('seeds', '0', 'Random seeds, one reported run each.')
_RATES = flags.DEFINE_list(
  'learning_rates',
  '',
  'Learning rates to choose from, for each loss; a single one is used as it '
  "is. Default: the config's.",
)
_RATE_SEEDS = flags.DEFINE_list(
  'rate_seeds',
  '100,101',
  'Seeds of the runs that choose the learning rate; not among --seeds.',
)
_NEW_SPLITS = flags.DEFINE_bool(
  'new_splits',
  False,
  'Each seed also chooses other held-out and sampled examples.',
)
_WORKDIR = flags.DEFINE_string(
  'workdir', None, 'Directory of the runs. Default: runs/NAME-sweep.'
)
_RESULTS = flags.DEFINE_string(
  'results',
  None,
  'File to write results to, one JSON object per line. Default: results.jsonl '
  'in the workdir.',
)
_NAME = flags.DEFINE_string(
  'name',
  None,
  'Name of this config in the results. Default: the name of FILE.',
)
_KEEP = flags.DEFINE_bool(
  'keep_checkpoints',
  True,
  'Delete the checkpoints of a run as soon as its result is written.',
)


def main():
  memory.use_huge_pages()
  # Here, so that --help and a misspelt flag are answered at once.
  from train import compare
  from train import workdir as files

  file = _CONFIG.file
  default = pathlib.Path(cli.default_workdir(file))
  name = _NAME.value or default.name
  workdir = pathlib.Path(_WORKDIR.value or default.parent / f'{name}-sweep')
  sweep = compare.Sweep(
    experiment=name,
    seeds=_seeds(_SEEDS),
    learning_rates=_learning_rates(),
    rate_seeds=_seeds(_RATE_SEEDS),
    varied=_variations(file),
    workdir=workdir,
    results=pathlib.Path(_RESULTS.value or workdir / files.SWEEP),
    new_splits=_NEW_SPLITS.value,
    keep_checkpoints=_KEEP.value,
  )
  sweep.train()
  print(f'\nResults: {sweep.results}. Curves: {workdir / files.REPORT}')


def _variations(file):
  """Configs by the name of what varies."""
  from train import compare

  if _CONFIG.value.runs:
    if _LOSSES.present:
      raise cli.UsageError(
        f'--losses: {file} has variations of its own; expected none, or '
        'another --config.'
      )
    return compare.variations(_CONFIG.value)
  losses = _distinct(_LOSSES, _LOSSES.value)
  return {loss: _CONFIG.load(f'{file}:{loss}') for loss in losses}


def _seeds(flag) -> list[int]:
  if bad := [text for text in flag.value if not text.isdecimal()]:
    raise cli.UsageError(
      f'--{flag.name}: expected whole numbers, found {bad[0]!r}.'
    )
  return _distinct(flag, [int(text) for text in flag.value])


def _learning_rates() -> list[float]:
  rates = []
  for text in _RATES.value:
    try:
      rate = float(text)
    except ValueError:
      rate = math.nan
    if not 0 < rate < math.inf:
      raise cli.UsageError(
        f'--learning_rates: expected numbers above 0, found {text!r}.'
      )
    rates.append(rate)
  return _distinct(_RATES, rates) if rates else []


def _distinct(flag, values) -> list:
  if not values:
    raise cli.UsageError(f'--{flag.name}: expected at least one.')
  if twice := [value for value in values if values.count(value) > 1]:
    raise cli.UsageError(f'--{flag.name}: {twice[0]} is there twice.')
  return values


if __name__ == '__main__':
  cli.run(main, _CONFIG)
