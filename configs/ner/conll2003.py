"""Named entities of CoNLL-2003 (English; PER, LOC, ORG, MISC).

  python -m train --config=configs/ner/conll2003.py:self_adjusting_dice \
    --config.data.dir=DIR --config.model.pretrained=MODEL

DIR holds eng.train, eng.testa and eng.testb as the shared task distributes
them (https://aclanthology.org/W03-0419).
"""

from configs import default


def get_config(loss: str = 'self_adjusting_dice'):
  c = default.get_config(loss)
  c.data.files = dict(train='eng.train', dev='eng.testa', test='eng.testb')
  c.data.columns = dict(token=0, tag=3)
  c.data.scheme = 'conll'  # IOB1, which the distributed files break twice.
  c.model.pretrained = 'sentence-transformers/all-MiniLM-L6-v2'
  return c
