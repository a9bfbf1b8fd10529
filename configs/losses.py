"""Presets of losses: the part after the colon of `--config=FILE:PRESET`.

A preset names a loss of `dicejax.losses` with its keyword arguments (`options`)
and, where they are not the defaults of `get_loss`, other settings of the
section `loss`, which default.py explains. `PRESET+cross_entropy` adds a cross
entropy to it, and `PRESET+0.1*cross_entropy` one of this weight, which takes
the place of the preset's own.

Presets that begin with `paper_` compute what Li et al., 2020, and their code
compute. In version 0.1 `dice` and `self_adjusting_dice` did.
"""

import re

from ml_collections import config_dict

from configs import none_of

# The preset of an experiment that has no settings of its own for a loss.
RECOMMENDED = 'running_dice'

# Losses for softmax heads with class-id labels. `average='micro'` pools all
# classes except the background, as micro F1 does; 'macro' takes the mean of
# their losses.
SOFTMAX = {
  'running_dice': dict(
    name='dice',
    options=dict(smooth=1.0, axis=None, average='micro'),
    cross_entropy=1.0,
    full_weight_at=0.2,
    running=0.95,
  ),
  'dice': dict(
    name='dice',
    options=dict(smooth=1.0, axis=None, average='micro'),
    cross_entropy=1.0,
    full_weight_at=0.2,
  ),
  'macro_dice': dict(
    name='dice',
    options=dict(smooth=1.0, axis=None, average='macro'),
    cross_entropy=1.0,
    full_weight_at=0.2,
  ),
  # Without the cross entropy that gets the training of an encoder going.
  'running_dice_alone': dict(
    name='dice',
    options=dict(smooth=1.0, axis=None, average='micro'),
    running=0.95,
  ),
  'dice_alone': dict(
    name='dice', options=dict(smooth=1.0, axis=None, average='micro')
  ),
  'self_adjusting_dice': dict(
    name='self_adjusting_dice',
    options=dict(
      alpha=0.01,
      smooth=1.0,
      square=True,
      decay_gradient='full',
      axis=None,
      average='micro',
    ),
    cross_entropy=1.0,
  ),
  'tversky': dict(
    name='tversky',
    options=dict(alpha=0.5, beta=0.5, smooth=1.0, axis=None, average='macro'),
    cross_entropy=1.0,
  ),
  'focal_tversky': dict(
    name='focal_tversky',
    options=dict(
      alpha=0.3, beta=0.7, gamma=0.75, smooth=1.0, axis=None, average='macro'
    ),
    cross_entropy=1.0,
  ),
  'f_beta': dict(
    name='f_beta',
    options=dict(beta=1.0, smooth=1.0, axis=None, average='macro'),
    cross_entropy=1.0,
  ),
  'jaccard': dict(
    name='jaccard',
    options=dict(smooth=1.0, axis=None, average='macro'),
    cross_entropy=1.0,
  ),
  'log_cosh_dice': dict(
    name='log_cosh_dice',
    options=dict(smooth=1.0, axis=None, average='macro'),
    cross_entropy=1.0,
  ),
  'dice_plus_plus': dict(
    name='dice_plus_plus',
    options=dict(gamma=2.0, smooth=1.0, axis=None, average='macro'),
    cross_entropy=1.0,
  ),
  'dice_semimetric': dict(
    name='dice_semimetric',
    options=dict(smooth=1.0, axis=None, average='macro'),
    cross_entropy=1.0,
  ),
  'generalised_dice': dict(
    name='generalised_dice', options=dict(axis=None), cross_entropy=1.0
  ),
  'lovasz_softmax': dict(
    name='lovasz_softmax', options=dict(axis=None), cross_entropy=1.0
  ),
  # These two contain a cross entropy.
  'unified_focal': dict(
    name='unified_focal', options=dict(weight=0.5, delta=0.6, gamma=0.5)
  ),
  'asymmetric_unified_focal': dict(
    name='asymmetric_unified_focal',
    options=dict(weight=0.5, delta=0.6, gamma=0.5),
  ),
  'cross_entropy': dict(
    name='cross_entropy', options=dict(label_smoothing=0.0)
  ),
  'focal': dict(name='focal', options=dict(gamma=2.0)),
  'poly': dict(name='poly', options=dict(epsilon=1.0)),
  # These depend on the class counts of the training split.
  'logit_adjusted': dict(name='logit_adjusted', options=dict(tau=1.0)),
  'balanced_softmax': dict(name='balanced_softmax', options={}),
  'ldam': dict(name='ldam', options=dict(max_margin=0.5, scale=30.0)),
  # DL and DSC as the paper's code computes them for several classes: each
  # element is a set, and the denominator is squared.
  'paper_dice': dict(
    name='dice', options=dict(square=True, smooth=1.0, axis=())
  ),
  'paper_self_adjusting_dice': dict(
    name='self_adjusting_dice',
    options=dict(
      alpha=0.01, smooth=1.0, square=True, decay_gradient='full', axis=()
    ),
  ),
  # TL as the paper's equation has it; its code does not contain TL.
  'paper_tversky': dict(
    name='tversky', options=dict(alpha=0.5, beta=0.5, smooth=1.0, axis=())
  ),
}

# Losses for heads with independent sigmoids, where positives are rare.
SIGMOID = {
  'running_dice': dict(
    name='dice',
    options=dict(smooth=1.0, axis=None),
    cross_entropy=1.0,
    full_weight_at=0.2,
    running=0.95,
  ),
  'dice': dict(
    name='dice',
    options=dict(smooth=1.0, axis=None),
    cross_entropy=1.0,
    full_weight_at=0.2,
  ),
  # Without a cross entropy: for a head on a frozen encoder, and for a threshold
  # that stays at one half.
  'running_dice_alone': dict(
    name='dice', options=dict(smooth=1.0, axis=None), running=0.95
  ),
  'dice_alone': dict(name='dice', options=dict(smooth=1.0, axis=None)),
  'self_adjusting_dice': dict(
    name='self_adjusting_dice',
    options=dict(
      alpha=0.01, smooth=1.0, square=True, decay_gradient='full', axis=None
    ),
  ),
  'tversky': dict(
    name='tversky', options=dict(alpha=0.5, beta=0.5, smooth=1.0, axis=None)
  ),
  'focal_tversky': dict(
    name='focal_tversky',
    options=dict(alpha=0.3, beta=0.7, gamma=0.75, smooth=1.0, axis=None),
  ),
  'f_beta': dict(name='f_beta', options=dict(beta=1.0, smooth=1.0, axis=None)),
  'jaccard': dict(name='jaccard', options=dict(smooth=1.0, axis=None)),
  'log_cosh_dice': dict(
    name='log_cosh_dice', options=dict(smooth=1.0, axis=None)
  ),
  'dice_plus_plus': dict(
    name='dice_plus_plus', options=dict(gamma=2.0, smooth=1.0, axis=None)
  ),
  'dice_semimetric': dict(
    name='dice_semimetric', options=dict(smooth=1.0, axis=None)
  ),
  'sigmoid_f1': dict(name='sigmoid_f1', options={}),
  'lovasz_hinge': dict(name='lovasz_hinge', options=dict(axis=None)),
  'cross_entropy': dict(
    name='cross_entropy', options=dict(label_smoothing=0.0)
  ),
  'focal': dict(name='focal', options=dict(gamma=2.0)),
  'poly': dict(name='poly', options=dict(epsilon=1.0)),
  'asymmetric': dict(
    name='asymmetric',
    options=dict(gamma_positive=1.0, gamma_negative=4.0, margin=0.05),
  ),
  'zlpr': dict(name='zlpr', options={}),
  # DL and DSC as the paper's code computes them for one logit: the batch is one
  # set, and the denominator is squared.
  'paper_dice': dict(
    name='dice', options=dict(square=True, smooth=1.0, axis=None)
  ),
  'paper_self_adjusting_dice': dict(
    name='self_adjusting_dice',
    options=dict(
      alpha=0.01, smooth=1.0, square=True, decay_gradient='full', axis=None
    ),
  ),
  'paper_tversky': dict(
    name='tversky', options=dict(alpha=0.5, beta=0.5, smooth=1.0, axis=None)
  ),
}

# Losses for several labels of a text: those for sigmoids, in which the labels
# share one set (micro), and their form with a set per label (macro).
MULTI_LABEL = SIGMOID | {
  'macro_running_dice': dict(
    name='dice',
    options=dict(smooth=1.0, axis=0),
    cross_entropy=1.0,
    full_weight_at=0.2,
    running=0.95,
  ),
  'macro_dice': dict(
    name='dice',
    options=dict(smooth=1.0, axis=0),
    cross_entropy=1.0,
    full_weight_at=0.2,
  ),
  'macro_running_dice_alone': dict(
    name='dice', options=dict(smooth=1.0, axis=0), running=0.95
  ),
  'macro_dice_alone': dict(name='dice', options=dict(smooth=1.0, axis=0)),
  'macro_tversky': dict(
    name='tversky', options=dict(alpha=0.5, beta=0.5, smooth=1.0, axis=0)
  ),
  'macro_sigmoid_f1': dict(name='sigmoid_f1', options=dict(axis=0)),
}


def get_loss(
  name: str, *, sigmoid: bool = False, background: str = ''
) -> config_dict.ConfigDict:
  """Makes the section `loss` of a config.

  Args:
    name: a preset; `+cross_entropy` or `+0.1*cross_entropy` may follow.
    sigmoid: whether the head has independent sigmoids instead of a softmax.
    background: the label whose F1 does not matter; losses over sets give it a
      weight of 0.

  Raises:
    ValueError: there is no such preset for this kind of head.
  """
  presets = SIGMOID if sigmoid else SOFTMAX
  return _make(name, presets, sigmoid, background)


def get_multi_label_loss(name: str) -> config_dict.ConfigDict:
  """Makes the section `loss` of a config for texts with several labels.

  Args:
    name: a preset; `+cross_entropy` or `+0.1*cross_entropy` may follow.

  Raises:
    ValueError: there is no such preset.
  """
  return _make(name, MULTI_LABEL, sigmoid=True)


def _make(name, presets, sigmoid, background='') -> config_dict.ConfigDict:
  preset, weight = _parse(name, presets)
  loss = config_dict.ConfigDict(
    dict(
      class_weights={},
      class_weighting='',
      cross_entropy=0.0,
      full_weight_at=0.0,
      running=0.0,
      keep_hardest=0.0,
      activation='sigmoid' if sigmoid else 'softmax',
    )
    | presets[preset]
  )
  if weight is not None:
    loss.cross_entropy = weight
  options = loss.options
  if 'axis' in options:
    if background and options.axis != ():
      loss.class_weights = {background: 0.0}
    # A flag may set the axis to None, a number or a tuple: any type is allowed.
    axis = options.axis
    del options.axis
    options.axis = config_dict.FieldReference(axis, field_type=object)
  return loss


def get_binary_loss(name: str) -> config_dict.ConfigDict:
  """Makes the section `loss` of a config for two labels, one of them positive.

  As in the paper's code, a loss over sets, or one for sigmoids only, has one
  logit and a sigmoid; any other loss has two logits and a softmax.

  Args:
    name: a preset; `+cross_entropy` or `+0.1*cross_entropy` may follow.

  Raises:
    ValueError: there is no such preset.
  """
  preset, _ = _parse(name, SOFTMAX | SIGMOID)
  if preset in SIGMOID:
    over_sets = 'axis' in SIGMOID[preset]['options']
    return get_loss(name, sigmoid=over_sets or preset not in SOFTMAX)
  return get_loss(name)


def _parse(name, presets) -> tuple[str, float | None]:
  """Splits a name into its preset and the weight of a cross entropy, if any."""
  preset, plus, added = name.partition('+')
  weight = re.fullmatch(r'(?:(\d+\.?\d*|\.\d+)\*)?cross_entropy', added)
  if preset not in presets or bool(plus) != bool(weight):
    endings = 'with +cross_entropy or +0.1*cross_entropy'
    names = [*presets, f'nor one of them {endings}']
    raise ValueError(f'The loss {none_of(name, names)}')
  return preset, float(weight[1] or 1) if weight else None
