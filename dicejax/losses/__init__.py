"""Losses for imbalanced classification: `loss(logits, labels, **options)`.

Set losses compare two sets and give one value a set:
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
