r"""Emerging and rare entities of WNUT 2017 (English, social media; 6 types).

  python -m train --config=configs/ner/wnut17.py:running_dice \
    --config.data.dir=DIR --config.model.pretrained=MODEL

DIR holds wnut17train.conll, emerging.dev.conll and emerging.test.annotated from
https://github.com/leondz/emerging_entities_17. Not in Li et al., 2020; more
imbalanced than their NER sets: one word in 20 belongs to an entity.

Measured with version 0.1.0, `--config=configs/small.py:ner/wnut17`, MiniLM,
seed 0, two CPU cores that also did other work:

                                           dev F1   test F1   minutes
  cross_entropy                             49.63     41.49        10
  paper_self_adjusting_dice+cross_entropy   49.82     38.49         5
  paper_dice                                 0.00      0.00         5
  paper_self_adjusting_dice                  0.00      0.00         6
"""

from configs import default
from configs import losses


def get_config(loss: str = losses.RECOMMENDED):
  c = default.get_config(loss)
  c.data.files = dict(
    train='wnut17train.conll',
    dev='emerging.dev.conll',
    test='emerging.test.annotated',
  )
  c.model.pretrained = 'sentence-transformers/all-MiniLM-L6-v2'
  return c
