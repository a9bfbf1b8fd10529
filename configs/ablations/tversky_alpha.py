"""Tversky losses with the price alpha of false positives from 0.1 to 0.9.

  python -m train.sweep --config=configs/ablations/tversky_alpha.py:wnut17 \
    --config.data.dir=DIR

Trains nine times on wnut17, ontonotes4 (the paper's, as a query reader) or
quoref. A false negative costs 1 - alpha, and 0.5 is Dice. On each of them a set
is a batch, and a cross entropy of weight 1 is added, which the paper does not
have: alone, some classes never start to learn.

Li et al., 2020, table 10 (F1 of OntoNotes 4 Chinese and QuoRef):

  alpha          .1     .2     .3     .4     .5     .6     .7     .8     .9
  OntoNotes 4  80.13  81.17  84.22  84.52  84.47  84.67  81.81  80.97  80.21
  QuoRef       63.23  63.45  65.88  68.44  67.52  66.35  65.09  64.13  64.84
"""

from configs.mrc import quoref
from configs.ner import ontonotes4_mrc
from configs.ner import wnut17

_DATA = {'wnut17': wnut17, 'ontonotes4': ontonotes4_mrc, 'quoref': quoref}


def get_config(data: str = 'wnut17'):
  if data not in _DATA:
    raise ValueError(f'The data {data!r} is none of {", ".join(_DATA)}.')
  c = _DATA[data].get_config('tversky+cross_entropy')
  # Each run has its own, of the same kind.
  tversky = c.loss.to_dict()
  c.loss = None
  c.runs = {
    f'alpha_{percent}_percent': {
      'loss': tversky | {'options': _options(tversky, percent / 100)}
    }
    for percent in range(10, 100, 10)
  }
  return c


def _options(tversky, alpha):
  return tversky['options'] | dict(alpha=alpha, beta=round(1 - alpha, 2))
