"""Settings of the losses that an experiment can be run with: `FILE.py:NAME`."""

from ml_collections import config_dict

# Of heads with class ids, a softmax.
SOFTMAX = {
  'cross_entropy': dict(
    name='cross_entropy', options=dict(label_smoothing=0.0)
  ),
  'focal': dict(name='focal', options=dict(gamma=2.0)),
  # The paper's DL and DSC as its code computes them for several classes: each
  # element a set, squared. (Linear, single tokens do not start to learn.)
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
# Options of losses of one set a class and batch.
_SETS = {
  'tversky': dict(alpha=0.5, beta=0.5, smooth=1.0),
  'focal_tversky': dict(alpha=0.3, beta=0.7, gamma=0.75, smooth=1.0),
  'jaccard': dict(smooth=1.0),
  'f_beta': dict(beta=1.0, smooth=1.0),
  'log_cosh_dice': dict(smooth=1.0),
  'dice_plus_plus': dict(gamma=2.0, smooth=1.0),
}
# A class's soft F1, where alpha = beta = 1/2. Alone, some classes never start
# to learn; cross entropy starts them.
SOFTMAX |= {
  name: dict(name=name, options=options | dict(axis=None), cross_entropy=1.0)
  for name, options in (
    _SETS | {'generalised_dice': {}, 'lovasz_softmax': {}}
  ).items()
}

# Of heads with independent sigmoids, in which one side is rare. What the batch
# finds is one set, as in the paper's code.
SIGMOID = {
  name: SOFTMAX[name] for name in ('cross_entropy', 'focal', 'poly')
} | {
  name: dict(name=name, options=options | dict(axis=None))
  for name, options in (
    {name: SOFTMAX[name]['options'] for name in ('dice', 'self_adjusting_dice')}
    | _SETS
    | {'lovasz_hinge': {}, 'sigmoid_f1': {}}
  ).items()
}


def get_loss(
  name: str, *, sigmoid: bool = False, background: str = ''
) -> config_dict.ConfigDict:
  """The part `loss` of a config.

  Args:
    name: a preset; `+cross_entropy` may follow, which starts what it does not.
    sigmoid: of independent sigmoids in place of a softmax.
    background: the label whose F1 does not matter: losses of sets leave it out.
  """
  presets = SIGMOID if sigmoid else SOFTMAX
  preset, added = _parse(name, presets)
  loss = (
    dict(
      class_weights={},  # By label, 1 where not given.
      cross_entropy=0.0,  # Weight of a cross entropy that is added.
      activation='sigmoid' if sigmoid else 'softmax',
    )
    | presets[preset]
  )
  if background and 'axis' in loss['options']:
    loss['class_weights'] = {background: 0.0}
  if added:
    loss['cross_entropy'] = 1.0
  # `name` is one of dicejax.losses, `options` are its keyword arguments.
  return config_dict.ConfigDict(loss)


def get_binary_loss(name: str) -> config_dict.ConfigDict:
  """The part `loss` of a config for two labels, one of which is positive.

  As in the paper's code: what is a loss of sets has one logit and a sigmoid,
  and the batch is one set; any other loss has two logits and a softmax.
  """
  preset, _ = _parse(name, SIGMOID | SOFTMAX)
  options = SIGMOID.get(preset, {'options': {}})['options']
  return get_loss(name, sigmoid='axis' in options)


def _parse(name, presets):
  """The preset, and what is added to it or ''."""
  preset, plus, added = name.partition('+')
  if preset not in presets or plus and added != 'cross_entropy':
    raise ValueError(
      f'The loss {name!r} is none of {", ".join(presets)}, nor one of them '
      'with +cross_entropy.'
    )
  return preset, added
