"""Losses for imbalanced classification: `loss(logits, labels, *, ...)`.

Overlap losses have a value per set of elements, the others one per element.
Besides the losses there are class weights, hard example mining, soft counts,
sets that extend over time, and exact gradient accumulation.
"""

from dicejax.losses._accumulate import accumulate
from dicejax.losses._compound import asymmetric_unified_focal
from dicejax.losses._compound import focal_tversky
from dicejax.losses._compound import log_cosh_dice
from dicejax.losses._compound import unified_focal
from dicejax.losses._hard import keep_hardest
from dicejax.losses._lovasz import lovasz_hinge
from dicejax.losses._lovasz import lovasz_softmax
from dicejax.losses._margin import balanced_softmax
from dicejax.losses._margin import class_balanced_weights
from dicejax.losses._margin import deferred_weights
from dicejax.losses._margin import ldam
from dicejax.losses._margin import log_weights
from dicejax.losses._margin import logit_adjusted
from dicejax.losses._overlap import dice
from dicejax.losses._overlap import dice_plus_plus
from dicejax.losses._overlap import dice_semimetric
from dicejax.losses._overlap import f_beta
from dicejax.losses._overlap import generalised_dice
from dicejax.losses._overlap import jaccard
from dicejax.losses._overlap import self_adjusting_dice
from dicejax.losses._overlap import sigmoid_f1
from dicejax.losses._overlap import tversky
from dicejax.losses._pointwise import asymmetric
from dicejax.losses._pointwise import cross_entropy
from dicejax.losses._pointwise import focal
from dicejax.losses._pointwise import poly
from dicejax.losses._pointwise import zlpr
from dicejax.losses._running import RunningCounts
from dicejax.losses._running import RunningLoss
from dicejax.losses._running import with_running_counts
from dicejax.losses._sets import soft_counts

# Every loss by its name, for programs that choose one.
LOSSES = {
  loss.__name__: loss
  for loss in (
    asymmetric,
    asymmetric_unified_focal,
    balanced_softmax,
    cross_entropy,
    dice,
    dice_plus_plus,
    dice_semimetric,
    f_beta,
    focal,
    focal_tversky,
    generalised_dice,
    jaccard,
    ldam,
    log_cosh_dice,
    logit_adjusted,
    lovasz_hinge,
    lovasz_softmax,
    poly,
    self_adjusting_dice,
    sigmoid_f1,
    tversky,
    unified_focal,
    zlpr,
  )
}

__all__ = [
  'LOSSES',
  'RunningCounts',
  'RunningLoss',
  'accumulate',
  'asymmetric',
  'asymmetric_unified_focal',
  'balanced_softmax',
  'class_balanced_weights',
  'cross_entropy',
  'deferred_weights',
  'dice',
  'dice_plus_plus',
  'dice_semimetric',
  'f_beta',
  'focal',
  'focal_tversky',
  'generalised_dice',
  'jaccard',
  'keep_hardest',
  'ldam',
  'log_cosh_dice',
  'log_weights',
  'logit_adjusted',
  'lovasz_hinge',
  'lovasz_softmax',
  'poly',
  'self_adjusting_dice',
  'sigmoid_f1',
  'soft_counts',
  'tversky',
  'unified_focal',
  'with_running_counts',
  'zlpr',
]
