"""Emerging and rare entities of WNUT 2017 (English, social media; 6 types).

  python -m train --config=configs/ner/wnut17.py:self_adjusting_dice \
    --config.data.dir=DIR --config.model.pretrained=MODEL

DIR holds wnut17train.conll, emerging.dev.conll and emerging.test.annotated of
https://github.com/leondz/emerging_entities_17. Not in Li et al., 2020; more
imbalanced than their NER sets: one word in 20 is of an entity.
"""

from configs import default


def get_config(loss: str = 'self_adjusting_dice'):
  c = default.get_config(loss)
  c.data.files = dict(
    train='wnut17train.conll',
    dev='emerging.dev.conll',
    test='emerging.test.annotated',
  )
  c.model.pretrained = 'sentence-transformers/all-MiniLM-L6-v2'
  return c
