"""One data set, many losses and seeds: `python -m train.sweep --config=FILE`.

  python -m train.sweep --config=configs/ner/conll2003.py --seeds=0,1,2 \
    --losses=cross_entropy,dice,self_adjusting_dice --config.data.dir=DIR

Each run has its folder in the workdir. The table has the mean ± the standard
deviation over seeds, and the difference to the first loss. The same command
again goes on where it stopped; more losses or seeds may be added.

A config with `runs` (configs/quickstart.py, configs/ablations/) varies by them
in place of losses.
"""

import pathlib

from absl import flags
from ml_collections import config_flags

from train import cli

_CONFIG = cli.define_config(default='configs/quickstart.py')
flags.adopt_module_key_flags(cli)  # So that --help shows --config.
_LOSSES = flags.DEFINE_list(
  'losses',
  'cross_entropy,dice,self_adjusting_dice',
  'Of configs/losses.py; the first is compared with.',
)
_SEEDS = flags.DEFINE_list('seeds', '0', 'Whole numbers.')
_WORKDIR = flags.DEFINE_string(
  'workdir', None, 'Where the runs go; by default in runs/, named as FILE is.'
)


def main():
  # Here, so that --help and a misspelt flag are answered at once.
  from train import compare

  name = config_flags.get_config_filename(flags.FLAGS['config'])
  workdir = pathlib.Path(_WORKDIR.value or f'{cli.default_workdir(name)}-sweep')
  seeds = [_seed(text) for text in _SEEDS.value]
  if not seeds or not _LOSSES.value:
    raise ValueError('--losses and --seeds: expected one of each, or more.')
  compare.sweep(_variations(name), seeds, workdir)
  print(f'\nCurves and more: {workdir / "report.html"}')


def _variations(name):
  """Configs by the name of what varies."""
  from train import compare

  if _CONFIG.value.runs:
    return compare.variations(_CONFIG.value)
  return {
    loss: cli.load_config(f'{name}:{loss}', _CONFIG) for loss in _LOSSES.value
  }


def _seed(text):
  if not text.isdecimal():
    raise ValueError(f'--seeds: expected whole numbers, found {text!r}.')
  return int(text)


if __name__ == '__main__':
  cli.run(main)
