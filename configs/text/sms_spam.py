r"""Spam among text messages (English; ham and spam, 6.5 to 1).

  python -m train --config=configs/text/sms_spam.py:running_dice \
    --config.data.dir=DIR

DIR holds SMSSpamCollection (https://archive.ics.uci.edu/dataset/228), 5,574
messages. There is no official split: a random tenth becomes dev, a fifth test.
A message that was sent to several people may be in more than one split.

Almeida et al., 2011 (https://doi.org/10.1145/2034691.2034742). Not in the paper
of Li et al.: a small set with a rare label, for a start.
"""

from configs import default
from configs import losses


def get_config(loss: str = losses.RECOMMENDED):
  c = default.get_config()
  c.task = 'classification'
  c.data.format = 'tsv'
  c.data.files = dict(train='SMSSpamCollection', dev='', test='')
  c.data.held_out = dict(dev=0.1, test=0.2)
  c.data.tsv.header = False
  c.data.tsv.label = '0'
  c.data.tsv.text = '1'
  c.classification.positive = 'spam'
  c.loss = losses.get_binary_loss(loss)
  c.model.pretrained = 'sentence-transformers/all-MiniLM-L6-v2'
  return c
