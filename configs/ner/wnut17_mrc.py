r"""Emerging entities of WNUT 2017 as answers to queries: BERT-MRC.

  python -m train --config=configs/ner/wnut17_mrc.py:running_dice \
    --config.data.dir=DIR

As wnut17.py, with a query per type. Not in Li et al., 2020;
the settings are the same for every loss.
"""

from configs import losses
from configs.ner import wnut17


def get_config(loss: str = losses.RECOMMENDED):
  c = wnut17.get_config()
  c.task = 'query_spans'
  c.query_spans.queries = 'configs/ner/queries/wnut17.json'
  c.loss = losses.get_loss(loss, sigmoid=True)
  return c
