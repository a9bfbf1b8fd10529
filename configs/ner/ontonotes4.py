r"""Named entities of OntoNotes 4 (Chinese; GPE, LOC, ORG, PER), as a tagger.

  python -m train --config=configs/ner/ontonotes4.py:running_dice \
    --config.data.dir=DIR

DIR holds train.txt, dev.txt and test.txt: LDC2011T03, a character and its
BIOES tag per row, split as in Che et al., 2013
(https://aclanthology.org/N13-1006).

Li et al., 2020, table 5: a BERT tagger has 79.16.
For queries see ontonotes4_mrc.py.
"""

from configs import default
from configs import losses


def get_config(loss: str = losses.RECOMMENDED):
  c = default.get_config(loss)
  c.data.conll.scheme = 'bioes'
  c.model.pretrained = 'google-bert/bert-base-chinese'
  c.model.scratch.vocab_size = 12_000  # Each character has two entries.
  c.optimizer.learning_rate = 3e-5
  return c
