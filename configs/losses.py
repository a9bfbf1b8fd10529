"""Settings of the losses that an experiment can be run with: `FILE.py:NAME`."""

from ml_collections import config_dict

PRESETS = {
  'cross_entropy': dict(
    name='cross_entropy', options=dict(label_smoothing=0.0)
  ),
  'focal': dict(name='focal', options=dict(gamma=2.0)),
  # The paper's DL and DSC as its code computes them for several classes: each
  # token a set, squared. (Linear, single tokens do not start to learn.)
  'dice': dict(name='dice', options=dict(square=True, smooth=1.0)),
  'self_adjusting_dice': dict(
    name='self_adjusting_dice',
    options=dict(alpha=0.01, smooth=1.0, square=True, decay_gradient='full'),
  ),
  'poly': dict(name='poly', options=dict(epsilon=1.0)),
  # The cross entropy is in it.
  'unified_focal': dict(
    name='unified_focal', options=dict(weight=0.5, delta=0.6, gamma=0.5)
  ),
  'asymmetric_unified_focal': dict(
    name='asymmetric_unified_focal',
    options=dict(weight=0.5, delta=0.6, gamma=0.5),
  ),
}
# One set per class and batch: its soft F1, where alpha = beta = 1/2. Alone,
# some classes never start to learn; cross entropy starts them.
PRESETS |= {
  name: dict(
    name=name,
    options=options | dict(axis=None),
    class_weights={'O': 0.0},
    cross_entropy=1.0,
  )
  for name, options in {
    'tversky': dict(alpha=0.5, beta=0.5, smooth=1.0),
    'focal_tversky': dict(alpha=0.3, beta=0.7, gamma=0.75, smooth=1.0),
    'jaccard': dict(smooth=1.0),
    'f_beta': dict(beta=1.0, smooth=1.0),
    'generalised_dice': {},
    'log_cosh_dice': dict(smooth=1.0),
    'dice_plus_plus': dict(gamma=2.0, smooth=1.0),
    'lovasz_softmax': {},
  }.items()
}


def get_loss(name: str) -> config_dict.ConfigDict:
  """The part `loss` of a config."""
  if name not in PRESETS:
    raise ValueError(f'The loss {name!r} is none of {", ".join(PRESETS)}.')
  defaults = dict(
    class_weights={},  # By label, 1 where not given.
    cross_entropy=0.0,  # Weight of a cross entropy that is added.
  )
  # `name` is one of dicejax.losses, `options` are its keyword arguments.
  return config_dict.ConfigDict(defaults | PRESETS[name])
