r"""Your own texts with any number of labels each, in CSV.

  python -m train --config=configs/text/own_labels.py --config.data.dir=DIR \
    --config.model.pretrained=MODEL

DIR holds train.csv, dev.csv and test.csv, with a header that names the columns
`text` and `labels`; a semicolon separates the labels of a text, and a text
without any has an empty cell. With one column per label instead, of 1 and 0:
`--config.data.csv.labels=toxic,threat`. JSON lines have lists of labels:
`--config.data.format=jsonl --config.data.jsonl.text=text
--config.data.jsonl.label=labels`, and the names of the files in data.files.
Without dev.csv: `--config.data.files.dev= --config.data.held_out.dev=0.1`.

The loss may be any of `MULTI_LABEL` in configs/losses.py, such as
`configs/text/own_labels.py:zlpr`.
"""

from configs import default
from configs import losses


def get_config(loss: str = 'macro_running_dice'):
  c = default.get_config()
  c.task = 'multi_label'
  c.data.format = 'csv'
  c.data.files = dict(train='train.csv', dev='dev.csv', test='test.csv')
  c.data.csv.label = 'labels'
  c.data.csv.label_separator = ';'
  c.loss = losses.get_multi_label_loss(loss)
  return c
