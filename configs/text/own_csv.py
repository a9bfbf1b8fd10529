r"""Your own texts with labels, in CSV.

  python -m train --config=configs/text/own_csv.py --config.data.dir=DIR \
    --config.classification.positive=LABEL --config.model.pretrained=MODEL

DIR holds train.csv, dev.csv and test.csv, with a header that names the columns
`text` and `label`; cells may be in double quotes. As in configs/text/own.py,
other names are `--config.data.csv.text=NAME`, and without dev.csv
`--config.data.files.dev= --config.data.held_out.dev=0.1`. Files of another
program may need `--config.data.csv.separator=';'` or
`--config.data.csv.encoding=cp1252`.
"""

from configs import losses
from configs.text import own


def get_config(loss: str = losses.RECOMMENDED):
  c = own.get_config(loss)
  c.data.format = 'csv'
  c.data.files = dict(train='train.csv', dev='dev.csv', test='test.csv')
  return c
