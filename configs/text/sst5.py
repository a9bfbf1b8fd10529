r"""Sentiment of film reviews, SST-5 (English; 0 very negative to 4 positive).

  python -m train --config=configs/text/sst5.py:running_dice \
    --config.data.dir=DIR

DIR holds train.txt, dev.txt and test.txt: the trees of the Stanford Sentiment
Treebank (https://nlp.stanford.edu/sentiment). Dev and test are whole sentences
(1,101 and 2,210); training also has the phrases of its 8,544.

Li et al., 2020, table 9, accuracy of BERT-large: 55.57 with cross entropy,
54.63 Dice, 55.19 self-adjusting Dice. They publish no settings; these are the
usual ones for BERT-large, the same for every loss.
"""

from configs import default
from configs import losses


def get_config(loss: str = losses.RECOMMENDED):
  c = default.get_config()
  c.task = 'classification'
  c.data.format = 'trees'
  c.data.trees.phrases = True
  c.loss = losses.get_loss(loss)
  c.model.pretrained = 'google-bert/bert-large-cased'
  c.optimizer.learning_rate = 2e-5
  return c
