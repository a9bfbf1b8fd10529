r"""Your own texts with labels, in tab-separated files.

  python -m train --config=configs/text/own.py --config.data.dir=DIR \
    --config.classification.positive=LABEL --config.model.pretrained=MODEL

DIR holds train.tsv, dev.tsv and test.tsv, with a header that names the columns
`text` and `label`. Other names: `--config.data.tsv.text=NAME`. Without dev.tsv:
`--config.data.files.dev= --config.data.held_out.dev=0.1`. For more than two
labels: `--config.classification.positive=` and a softmax loss, such as
`configs/text/own.py:macro_dice`.
"""

from configs import default
from configs import losses


def get_config(loss: str = losses.RECOMMENDED):
  c = default.get_config()
  c.task = 'classification'
  c.data.format = 'tsv'
  c.data.files = dict(train='train.tsv', dev='dev.tsv', test='test.tsv')
  c.data.tsv.text = 'text'
  c.data.tsv.label = 'label'
  c.classification.positive = '1'
  c.loss = losses.get_binary_loss(loss)
  return c
