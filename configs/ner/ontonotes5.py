r"""Named entities of OntoNotes 5 (English, 18 types), as a tagger.

  python -m train --config=configs/ner/ontonotes5.py:running_dice \
    --config.data.dir=DIR

DIR holds train.txt, dev.txt and test.txt: the CoNLL-2012 split of LDC2013T19,
a word and its BIO tag per row, from the name annotation of the
*_gold_conll files (their column 11, with brackets turned into BIO).

Li et al., 2020, table 5: a BERT tagger has 89.16.
For queries see ontonotes5_mrc.py.
"""

from configs import default
from configs import losses


def get_config(loss: str = losses.RECOMMENDED):
  c = default.get_config(loss)
  c.model.pretrained = 'google-bert/bert-base-cased'
  c.optimizer.learning_rate = 3e-5
  return c
