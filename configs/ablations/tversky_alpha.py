r"""Tversky losses with the weight alpha of false positives from 0.1 to 0.9.

  python -m train.sweep --config=configs/ablations/tversky_alpha.py:wnut17 \
    --config.data.dir=DIR

Trains nine times on wnut17, ontonotes4 (the paper's, with queries) or quoref.
The weight of false negatives is 1 - alpha, and alpha = 0.5 is Dice. A set is a
batch. Unlike in the paper, a cross entropy of weight 1 is added, because some
classes never start to learn without it.

Li et al., 2020, table 10 (F1 of OntoNotes 4 Chinese and QuoRef):

  alpha          .1     .2     .3     .4     .5     .6     .7     .8     .9
  OntoNotes 4  80.13  81.17  84.22  84.52  84.47  84.67  81.81  80.97  80.21
  QuoRef       63.23  63.45  65.88  68.44  67.52  66.35  65.09  64.13  64.84
"""

from configs import none_of
from configs.mrc import quoref
from configs.ner import ontonotes4_mrc
from configs.ner import wnut17

_DATA = {'wnut17': wnut17, 'ontonotes4': ontonotes4_mrc, 'quoref': quoref}


def get_config(data: str = 'wnut17'):
  if data not in _DATA:
    raise ValueError(f'The data {none_of(data, _DATA)}')
  c = _DATA[data].get_config('tversky+cross_entropy')
  tversky = c.loss.to_dict()
  c.loss = None  # Each run has its own.
  c.runs = {
    'alpha_10_percent': _run(tversky, alpha=0.1, beta=0.9),
    'alpha_20_percent': _run(tversky, alpha=0.2, beta=0.8),
    'alpha_30_percent': _run(tversky, alpha=0.3, beta=0.7),
    'alpha_40_percent': _run(tversky, alpha=0.4, beta=0.6),
    'alpha_50_percent': _run(tversky, alpha=0.5, beta=0.5),
    'alpha_60_percent': _run(tversky, alpha=0.6, beta=0.4),
    'alpha_70_percent': _run(tversky, alpha=0.7, beta=0.3),
    'alpha_80_percent': _run(tversky, alpha=0.8, beta=0.2),
    'alpha_90_percent': _run(tversky, alpha=0.9, beta=0.1),
  }
  return c


def _run(tversky, **weights):
  return {'loss': tversky | {'options': tversky['options'] | weights}}
