"""A small BERT from scratch on made-up sentences: cross entropy and Dice.

  python -m train

Needs no files and no network. One word in 51 is of an entity.
"""

from configs import default
from configs import losses


def get_config():
  c = default.get_config()
  c.data.format = 'synthetic'
  c.runs = {
    name: {'loss': losses.get_loss(name)}
    for name in ('cross_entropy', 'self_adjusting_dice')
  }
  return c
