"""Losses for imbalanced classification: `loss(logits, labels, *, ...)`.

`cross_entropy` and `focal` have a value for each element, the others for each
set of elements.
"""

from dicejax.losses._overlap import dice
from dicejax.losses._overlap import self_adjusting_dice
from dicejax.losses._overlap import tversky
from dicejax.losses._pointwise import cross_entropy
from dicejax.losses._pointwise import focal

__all__ = [
  'cross_entropy',
  'dice',
  'focal',
  'self_adjusting_dice',
  'tversky',
]
