r"""The study of docs/study.md: which loss has the higher F1, and by how much.

  python docs/study_data.py CORPORA DIR
  python -m train.sweep --config=configs/study.py:wnut17 --config.data.dir=DIR \
    --config.model.pretrained=MODEL --results=docs/study/wnut17.jsonl \
    --losses=cross_entropy,focal --learning_rates=3e-3,1e-2 \
    --seeds=0,1,2,3,4 --new_splits --keep_checkpoints=false

The part after the colon selects one of `SETS`. Conditions may follow, each
after a slash:

- `finetuned`: trains the whole encoder, not only the head;
- `dev=50`: leaves 50 examples of dev to choose checkpoint, learning rate and
  decision with;
- `train=10%`: leaves a tenth of the training examples.

With `--new_splits` each seed draws anew which part of the training file is dev,
where there is no official dev split, and which examples a condition leaves. The
test examples are always the same.
"""

import re

from ml_collections import config_dict

from configs import default
from configs import losses
from configs import none_of


def _tagging(name, size, **conll):
  files = dict(
    train=f'{name}/train.conll',
    dev=f'{name}/dev.conll',
    test=f'{name}/test.conll',
  )
  return size, dict(data=dict(files=files, conll=conll))


def _texts(name, size, *, positive='1', dev=0.0, **tsv):
  files = dict(
    train=f'{name}/train.tsv',
    dev='' if dev else f'{name}/dev.tsv',
    test=f'{name}/test.tsv',
  )
  return size, dict(
    task='classification',
    classification=dict(positive=positive),
    data=dict(
      format='tsv',
      files=files,
      held_out=dict(dev=dev),  # Fraction of the training file.
      tsv=dict(text='text') | tsv,
    ),
  )


# The number of training examples, and the settings that differ from default.py.
SETS = {
  'wnut17': _tagging('wnut17', 3394),
  'conll2003': _tagging('conll2003', 14041, tag=3, scheme='conll'),
  'mrpc': _texts(
    'mrpc', 3668, text='#1 String', pair='#2 String', label='Quality'
  ),
  'qqp': _texts('qqp', 5000, pair='pair', dev=1 / 6),
  'qqp5': _texts('qqp5', 5000, pair='pair', dev=1 / 6),  # 5 % positive.
  'sms3': _texts('sms3', 2000, dev=1 / 3),  # 3 % positive.
  'sst2': _texts('sst2', 6920, positive=''),  # Accuracy.
  'sst5_0': _texts('sst5_0', 8544),  # Very negative against the rest.
  'sst5_4': _texts('sst5_4', 8544),  # Very positive against the rest.
  # Posts of WNUT-17 that name such an entity against the others.
  'wnut17_group': _texts('wnut17_group', 2600, dev=0.235),
  'wnut17_creative': _texts('wnut17_creative', 2600, dev=0.235),
  'tnews_115': _texts(
    'tnews_115', 5000, dev=1 / 6
  ),  # A topic against the rest.
  'openi_effusion': _texts('openi_effusion', 1000, dev=1 / 3),
}
# A head on a frozen encoder trains in larger batches.
_FROZEN = dict(
  batch_size=256,
  epochs=20,
  model=dict(frozen=True, pooling='mean', dropout=0.0),
)
_FROZEN_TAGGER = _FROZEN | dict(batch_size=64)  # In sentences.
_FINETUNED = dict(
  batch_size=32,
  epochs=3,
  model=dict(frozen=False, pooling='cls', dropout=0.1),
)


def get_config(experiment: str = 'wnut17') -> config_dict.ConfigDict:
  """Makes the experiment of a set under conditions.

  Args:
    experiment: such as `wnut17` or `sms3/finetuned/dev=50`; `:LOSS` may follow.

  Raises:
    ValueError: there is no such set, condition or loss.
  """
  experiment, _, loss = experiment.partition(':')
  name, *conditions = experiment.split('/')
  if name not in SETS:
    raise ValueError(f'The set {none_of(name, SETS)}')
  size, changes = SETS[name]
  c = default.get_config()
  c.update(max_length=128, packing=False)
  c.update(log_every=1000, checkpoint_every=1000)
  c.update(changes)
  c.update(_FROZEN_TAGGER if c.task == 'tagging' else _FROZEN)
  c.model.pretrained = 'sentence-transformers/all-MiniLM-L6-v2'
  if c.task == 'tagging':
    c.loss = losses.get_loss(loss or 'cross_entropy', background='O')
  elif c.classification.positive:
    c.loss = losses.get_binary_loss(loss or 'cross_entropy')
  else:
    c.loss = losses.get_loss(loss or 'cross_entropy')
  for condition in conditions:
    _set(c, condition, size)
  return c


def _set(c, condition, size):
  key, _, value = condition.partition('=')
  if condition == 'finetuned':
    c.update(_FINETUNED)
    c.packing = c.task == 'tagging'
  elif key == 'dev' and value.isdecimal() and int(value):
    c.data.take.dev = int(value)
  elif re.fullmatch(r'train=(100|[1-9]\d?)%', condition):
    c.data.take.train = round(size * int(value.removesuffix('%')) / 100)
  else:
    raise ValueError(
      f'The condition {condition!r} is none of finetuned, dev=NUMBER and '
      'train=PERCENT%.'
    )
