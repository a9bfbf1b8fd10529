r"""Answers in paragraphs of Wikipedia, or none: SQuAD 2.0.

  python -m train --config=configs/mrc/squad2.py:paper_self_adjusting_dice \
    --config.data.dir=DIR

DIR holds train-v2.0.json and dev-v2.0.json (https://rajpurkar.github.io/
SQuAD-explorer). Dev chooses the best checkpoint and the threshold of no answer,
and also gives the scores. Rows without 'tuned' have a threshold of 0.

Li et al., 2020, table 6, exact match and F1 of BERT: 78.7, 81.9 with cross
entropy (as in the paper of BERT, of the large model), 78.92, 82.20 focal,
78.99, 82.88 Dice, 79.02, 82.95 self-adjusting Dice. XLNet: 86.12, 88.79 with
cross entropy, 87.04, 89.32 focal, 87.65, 89.51 self-adjusting Dice.

Settings: as in squad1.py. None are published for this data set, which the
published code cannot evaluate. XLNet has the flag

  --config.model.pretrained=xlnet/xlnet-large-cased

or xlnet/xlnet-base-cased.
"""

from configs.mrc import squad1


def get_config(loss: str = 'paper_self_adjusting_dice'):
  c = squad1.get_config(loss)
  c.data.files = dict(train='train-v2.0.json', dev='dev-v2.0.json', test='')
  c.span_qa.unanswerable = True
  return c
