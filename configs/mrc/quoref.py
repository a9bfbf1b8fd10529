r"""Answers that need coreference, of one span or of several: QuoRef.

  python -m train --config=configs/mrc/quoref.py:paper_self_adjusting_dice \
    --config.data.dir=DIR

DIR holds quoref-train-v0.1.json and quoref-dev-v0.1.json
(https://allenai.org/data/quoref). Dev chooses the best checkpoint and the
threshold of further spans, and also gives the scores. The row without 'tuned'
has a threshold of 1, for the sum of two probabilities.

Li et al., 2020, table 6, exact match and F1 of BERT: 58.44, 64.95 with cross
entropy, 60.78, 66.19 focal, 62.03, 66.88 Dice, 62.44, 67.52 self-adjusting
Dice; of XLNet: 64.52, 71.49 with cross entropy, 65.19, 72.34 focal, 65.98,
72.90 self-adjusting Dice. Table 10, F1 of BERT with Tversky, alpha 0.1, 0.2,
... 0.9, and beta 1 - alpha: 63.23, 63.45, 65.88, 68.44, 67.52, 66.35, 65.09,
64.13, 64.84.

Here cross entropy also has a sigmoid per position, because a softmax has one
start in a window. The paper does not say how it reads several spans.

Settings: as in squad1.py. None are published for this data set. XLNet has the
flag

  --config.model.pretrained=xlnet/xlnet-large-cased

or xlnet/xlnet-base-cased.
"""

from configs import losses
from configs.mrc import squad1


def get_config(loss: str = 'paper_self_adjusting_dice'):
  c = squad1.get_config(loss)
  c.data.files = dict(
    train='quoref-train-v0.1.json', dev='quoref-dev-v0.1.json', test=''
  )
  c.data.squad.answers = 'spans'
  c.span_qa.several = True
  c.loss = losses.get_loss(loss, sigmoid=True)
  return c
