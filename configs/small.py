r"""Experiments cut down to minutes on two cores, measured in their heads.

  python -m train.sweep --config=configs/small.py:paraphrase/mrpc \
    --config.data.dir=DIR --losses=cross_entropy,paper_dice,running_dice

The part after the colon selects one of EXPERIMENTS below. Its data, task and
loss are kept; the encoder is a 6-layer, 384-wide MiniLM, and the other settings
are the same for each loss. Where the full set takes too long, a fixed sample is
taken. For Chinese there is no encoder that small: those experiments start from
random weights, which shows that they run, not how good they are.

Two sets are split in another way than by their owners, whose files were not all
at hand:

- QQP was at hand as 23,497 rows of GLUE's training split, in a file without
  header that is not published. One like it, but not of the same rows, is

    tail -n +2 train.tsv | head -n 23497 > qqp_train_subset_23497.tsv

- SQuAD 1.1 was measured on its dev file alone, dev-v1.1.json, split by article:
  60 % for training, 15 % for dev, 25 % for test.
"""

from ml_collections import config_dict

from configs import none_of
from configs.mrc import squad1
from configs.ner import conll2003_mrc
from configs.ner import msra
from configs.ner import wnut17
from configs.paraphrase import mrpc
from configs.paraphrase import qqp
from configs.pos import ud_chinese
from configs.text import sms_spam
from configs.text import sst2
from configs.text import tnews

EXPERIMENTS = {
  'ner/wnut17': wnut17,
  'ner/conll2003_mrc': conll2003_mrc,
  'ner/msra': msra,
  'pos/ud_chinese': ud_chinese,
  'paraphrase/mrpc': mrpc,
  'paraphrase/qqp': qqp,
  'text/sms_spam': sms_spam,
  'text/sst2': sst2,
  'text/tnews': tnews,
  'mrc/squad1': squad1,
}
# The settings in which each small form differs from `_SAME` below.
CHANGES = {
  'ner/wnut17': {},
  'ner/conll2003_mrc': dict(
    data=dict(take=dict(train=1000, dev=300, test=600)), epochs=2
  ),
  'ner/msra': dict(
    data=dict(take=dict(train=4000, dev=500, test=1000)),
    model=dict(pretrained=''),
    optimizer=dict(learning_rate=1e-3),
  ),
  'pos/ud_chinese': dict(
    model=dict(pretrained=''), optimizer=dict(learning_rate=1e-3)
  ),
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
  'text/tnews': dict(
    data=dict(take=dict(train=8000, dev=2000)),
    model=dict(pretrained=''),
    optimizer=dict(learning_rate=1e-3),
  ),
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
_SAME = dict(
  batch_size=32,
  epochs=3,
  evaluations_per_epoch=1,
  max_length=128,
  model=dict(
    pretrained='sentence-transformers/all-MiniLM-L6-v2',
    dropout=0.1,
    dtype='float32',
  ),
  optimizer=dict(
    learning_rate=1e-4, warmup=0.1, final=0.0, weight_decay=0.01, eps=1e-8
  ),
)


def get_config(experiment: str = 'ner/wnut17') -> config_dict.ConfigDict:
  """Makes the small form of an experiment.

  Args:
    experiment: one of EXPERIMENTS, such as `text/sst2`; `:LOSS` may follow.

  Raises:
    ValueError: there is no such experiment or loss.
  """
  name, _, loss = experiment.partition(':')
  if name not in EXPERIMENTS:
    raise ValueError(f'The experiment {none_of(name, EXPERIMENTS)}')
  get_large = EXPERIMENTS[name].get_config
  c = get_large(loss) if loss else get_large()
  c.update(_SAME)
  c.update(CHANGES[name])
  return c
