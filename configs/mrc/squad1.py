r"""Answers in paragraphs of Wikipedia, SQuAD 1.1.

  python -m train --config=configs/mrc/squad1.py:paper_self_adjusting_dice \
    --config.data.dir=DIR

DIR holds train-v1.1.json and dev-v1.1.json (https://rajpurkar.github.io/
SQuAD-explorer). As in the paper, dev both chooses the best checkpoint and
gives the scores.

Li et al., 2020, table 6, exact match and F1: BERT 84.1, 90.9 with cross entropy
(as in the paper of BERT, of the large model), 84.67, 91.25 focal, 84.83, 91.86
Dice, 85.34, 91.97 self-adjusting Dice. XLNet: 88.95, 94.52 with cross entropy,
88.90, 94.55 focal, 89.79, 95.77 self-adjusting Dice.

Cross entropy is over the softmax of the positions of a window. Other losses
have a sigmoid per position; Dice has one set of starts and one of ends per
batch.

Settings: as in their scripts for BERT-base with cross entropy, with focal
loss and, for every other loss, with Dice, except

                     theirs                          ours
  batch              accumulated, for Dice 5 x 4     one batch
  set of Dice        each accumulated part           the batch
  positions, Dice    all (the mask does not mask)    context and [CLS]
  hard negatives     ratio 0.3, which their code     all negatives
                     does not apply as meant
  decay, focal loss  one cycle                       linear from the start
  number type        float16                         bfloat16

For BERT-large their scripts have

  --config.model.pretrained=google-bert/bert-large-uncased

and in addition, with cross entropy

  --config.batch_size=24

with focal loss (the script for large names the base model; 3 GPUs)

  --config.batch_size=72 --config.epochs=2 --config.evaluations_per_epoch=8 \
    --config.optimizer.warmup=0.002 --config.optimizer.weight_decay=0.002

with Dice

  --config.batch_size=40 --config.epochs=5 \
    --config.optimizer.learning_rate=2e-5 --config.optimizer.warmup=0.06 \
    --config.optimizer.final=0.25 --config.optimizer.weight_decay=0.002

For XLNet they publish no scripts; the flag for the large model (or for
xlnet/xlnet-base-cased) is

  --config.model.pretrained=xlnet/xlnet-large-cased

Measured with version 0.1.0, `--config=configs/small.py:mrc/squad1` (1,006
questions of the dev file, by article), MiniLM, seed 0, two CPU cores that also
did other work, test:

                              exact      F1   minutes
  cross_entropy                9.22   17.05         6
  paper_dice                   4.26   10.62         6
  paper_self_adjusting_dice    4.15   10.54         7
"""

from configs import default
from configs import losses


def get_config(loss: str = 'paper_self_adjusting_dice'):
  c = default.get_config()
  c.task = 'span_qa'
  c.data.format = 'squad'
  c.data.files = dict(train='train-v1.1.json', dev='dev-v1.1.json', test='')
  c.loss = losses.get_loss(loss, sigmoid=loss != 'cross_entropy')
  c.max_length = 384
  c.model.pretrained = 'google-bert/bert-base-uncased'
  c.model.dtype = 'bfloat16'
  c.optimizer.learning_rate = 3e-5
  c.optimizer.warmup = 0.0
  c.optimizer.weight_decay = 0.0
  c.optimizer.eps = 1e-6
  c.batch_size = 4 * 5
  c.epochs = 10
  c.evaluations_per_epoch = 8
  if loss == 'cross_entropy':
    c.optimizer.warmup = 0.002
    c.optimizer.weight_decay = 0.002
    c.batch_size = 12
    c.epochs = 2
  elif loss == 'focal':
    c.optimizer.weight_decay = 0.01
    c.batch_size = 2 * 6
    c.epochs = 3
    c.evaluations_per_epoch = 2
  return c
