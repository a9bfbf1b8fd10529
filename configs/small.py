"""An experiment cut down to minutes on two cores: what README's table measures.

  python -m train.sweep --config=configs/small.py:paraphrase/mrpc \
    --config.data.dir=DIR --losses=cross_entropy,paper_dice,running_dice

Behind the colon, a file of configs/ that is listed below. Data, task and loss
are its own. The encoder is a 6-layer, 384-wide MiniLM; the other settings are
the same for each loss. Where the full set takes too long, a fixed sample is
taken. No Chinese encoder is that small: those start from random weights, which
shows that they run, and not how good they are.

Two sets are not split as their owners split them, for want of their files:

- QQP was at hand as 23,497 rows of GLUE's training split, in a file without
  header that is not published. One like it, but not of the same rows, is

    tail -n +2 train.tsv | head -n 23497 > qqp_train_subset_23497.tsv

- SQuAD 1.1 was measured on its dev file alone, dev-v1.1.json, split by article:
  60 % for training, 15 % for dev, 25 % for test.
"""

import importlib

from ml_collections import config_dict

_MINILM = 'sentence-transformers/all-MiniLM-L6-v2'
_SCRATCH = dict(model=dict(pretrained=''), optimizer=dict(learning_rate=1e-3))
# What differs from the file.
CHANGES = {
  'ner/wnut17': {},
  'ner/conll2003_mrc': dict(
    data=dict(take=dict(train=1000, dev=300, test=600)), epochs=2
  ),
  'ner/msra': dict(
    data=dict(take=dict(train=4000, dev=500, test=1000)), **_SCRATCH
  ),
  'pos/ud_chinese': _SCRATCH,
  'paraphrase/mrpc': dict(epochs=2),
  # A part of the GLUE training split without header; see above.
  'paraphrase/qqp': dict(
    data=dict(
      files=dict(train='qqp_train_subset_23497.tsv', dev='', test=''),
      held_out=dict(dev=0.1, test=0.2),
      tsv=dict(header=False, text='3', pair='4', label='5'),
      take=dict(train=2500, dev=500, test=2000),
    ),
    epochs=2,
  ),
  'text/sms_spam': dict(epochs=2),
  'text/sst2': dict(data=dict(take=dict(train=20_000)), epochs=1),
  'text/tnews': dict(data=dict(take=dict(train=8000, dev=2000)), **_SCRATCH),
  # The dev file, split by article; see above.
  'mrc/squad1': dict(
    data=dict(
      files=dict(train='dev-v1.1.json', dev='', test=''),
      held_out=dict(dev=0.15, test=0.25),
      take=dict(train=1200, dev=400, test=800),
    ),
    span_qa=dict(max_question=40, stride=96),
    max_length=192,
    epochs=2,
  ),
}


def get_config(experiment: str = 'ner/wnut17') -> config_dict.ConfigDict:
  """The small form of an experiment.

  Args:
    experiment: a file of configs/, such as `text/sst2`; `:LOSS` may follow.
  """
  name, _, loss = experiment.partition(':')
  if name not in CHANGES:
    raise ValueError(f'{name!r} is none of {", ".join(CHANGES)}.')
  module = importlib.import_module(f'configs.{name.replace("/", ".")}')
  c = module.get_config(*([loss] if loss else []))
  c.update(
    batch_size=32,
    epochs=3,
    evaluations_per_epoch=1,
    max_length=128,
    model=dict(pretrained=_MINILM, dropout=0.1, dtype='float32'),
    optimizer=dict(
      learning_rate=1e-4,
      warmup=0.1,
      final=0.0,
      weight_decay=0.01,
      eps=1e-8,
    ),
  )
  c.update(CHANGES[name])
  return c
