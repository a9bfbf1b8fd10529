r"""Named entities of CoNLL-2003 (English; PER, LOC, ORG, MISC).

  python -m train --config=configs/ner/conll2003.py:running_dice \
    --config.data.dir=DIR --config.model.pretrained=MODEL

DIR holds eng.train, eng.testa and eng.testb as the shared task distributes
them (https://aclanthology.org/W03-0419).

Measured with version 0.1.0, sentence-transformers/all-MiniLM-L6-v2, seed 0, one
run each, on two CPU cores, which also did other work except during the run of
cross entropy:

                                     dev F1   test F1   minutes
  cross_entropy                       90.60     85.69        11
  tversky (with cross entropy)        90.51     85.61        14
  focal                               90.15     85.22        15
  paper_dice                          88.69     85.17        17
  paper_self_adjusting_dice           88.54     84.69        28

Li et al., 2020, table 5, BERT-large with queries: 93.04 with cross entropy,
93.33 with self-adjusting Dice. A BERT tagger: 92.8.
"""

from configs import default
from configs import losses


def get_config(loss: str = losses.RECOMMENDED):
  c = default.get_config(loss)
  c.data.files = dict(train='eng.train', dev='eng.testa', test='eng.testb')
  c.data.conll.tag = 3
  c.data.conll.scheme = 'conll'  # IOB1, with two exceptions in the files.
  c.model.pretrained = 'sentence-transformers/all-MiniLM-L6-v2'
  return c
