r"""Answers in Chinese paragraphs of Wikipedia, CMRC 2018.

  python -m train --config=configs/mrc/cmrc2018.py --config.data.dir=DIR

DIR holds cmrc2018_train.json and cmrc2018_dev.json, the data in SQuAD's form
(https://github.com/ymcui/cmrc2018, squad-style-data). The labels of its test
are not public: dev both chooses the best checkpoint and gives the scores.

Cui et al., 2019 (https://arxiv.org/abs/1810.07366). Answers are scored by
characters without punctuation; their script keeps numbers and Latin words
whole, which changes F1 a little. An answer with an offset below 0, of which the
file of dev has some, is placed where its text occurs once.

Not in the paper of Li et al.; the settings are the usual ones for BERT-base,
the same for every loss.
"""

from configs import default
from configs import losses


def get_config(loss: str = losses.RECOMMENDED):
  c = default.get_config()
  c.task = 'span_qa'
  c.data.format = 'squad'
  c.data.files = dict(
    train='cmrc2018_train.json', dev='cmrc2018_dev.json', test=''
  )
  c.span_qa.characters = True
  c.span_qa.max_answer = 50  # In characters, mostly.
  c.loss = losses.get_loss(loss, sigmoid=loss != 'cross_entropy')
  c.max_length = 384
  c.model.pretrained = 'google-bert/bert-base-chinese'
  c.model.dtype = 'bfloat16'
  c.optimizer.learning_rate = 3e-5
  c.epochs = 2
  return c
