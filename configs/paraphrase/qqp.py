r"""Duplicates among Quora's question pairs, QQP (English; 0 and 1).

  python -m train --config=configs/paraphrase/qqp.py:running_dice \
    --config.data.dir=DIR

DIR holds train.tsv and dev.tsv of GLUE (https://gluebenchmark.com), with the
header `id qid1 qid2 question1 question2 is_duplicate`. Rows with another
number of columns, a few in train.tsv, are left out and counted. GLUE's test has
no labels: dev chooses the best checkpoint and the threshold of the row `tuned`,
and also gives the scores. For a file with the same columns but no header, where
a tenth becomes dev and a fifth test:

  --config.data.files.train=FILE --config.data.files.dev= \
    --config.data.held_out.dev=0.1 --config.data.held_out.test=0.2 \
    --config.data.tsv.header=False --config.data.tsv.text=3 \
    --config.data.tsv.pair=4 --config.data.tsv.label=5

Li et al., 2020, table 7, F1 of duplicates: 91.3 with cross entropy, 91.86
focal, 91.92 Dice, 92.11 self-adjusting Dice; of XLNet: 91.8 with cross entropy,
92.31 focal, 92.39 Dice, 92.60 self-adjusting Dice. They publish no settings;
these are the usual ones for BERT, the same for every loss. XLNet has the flag

  --config.model.pretrained=xlnet/xlnet-large-cased

or xlnet/xlnet-base-cased.

Measured with version 0.1.0, `--config=configs/small.py:paraphrase/qqp` (2,500
pairs of train.tsv), MiniLM, seed 0, two CPU cores that also did other work
(test):

                        F1 at 0.5   F1 tuned   accuracy   minutes
  cross_entropy             68.65      69.19      71.60         5
  paper_dice                68.65      69.04      70.95         4
  paper_self_adjusting_dice 69.39      70.17      75.30         2
"""

from configs import default
from configs import losses


def get_config(loss: str = losses.RECOMMENDED):
  c = default.get_config()
  c.task = 'classification'
  c.data.format = 'tsv'
  c.data.files = dict(train='train.tsv', dev='dev.tsv', test='')
  c.data.tsv.text = 'question1'
  c.data.tsv.pair = 'question2'
  c.data.tsv.label = 'is_duplicate'
  c.data.tsv.skip_malformed = True
  c.classification.positive = '1'
  c.loss = losses.get_binary_loss(loss)
  c.model.pretrained = 'google-bert/bert-base-cased'
  c.optimizer.learning_rate = 2e-5
  return c
