r"""Parts of speech of tweets (Ritter et al., 2011; English).

  python -m train --config=configs/pos/tweets.py:running_dice \
    --config.data.dir=DIR

DIR holds pos.txt from https://github.com/aritter/twitter_nlp, a word and its
tag per row. There is no split: a tenth becomes dev and a tenth test, which may
differ from the paper's.

Li et al., 2020, table 4 (F1): BERT tagger 92.34, + focal 92.47, + dice 92.52,
+ self-adjusting Dice 92.58.
"""

from configs import losses
from configs.pos import wsj


def get_config(loss: str = losses.RECOMMENDED):
  c = wsj.get_config(loss)
  c.data.files = dict(train='pos.txt', dev='', test='')
  c.data.held_out = dict(dev=0.1, test=0.1)
  return c
