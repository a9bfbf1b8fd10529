r"""Named entities of MSRA (Chinese; LOC, ORG, PER), as a tagger of characters.

  python -m train --config=configs/ner/msra.py:running_dice \
    --config.data.dir=DIR

DIR holds msra_train_bio and msra_test_bio (SIGHAN 2006, a character and its tag
per row). There is no dev set: a tenth of the training sentences becomes dev.

Li et al., 2020, table 5: a BERT tagger has 94.80. For queries see msra_mrc.py.

Measured with version 0.1.0, `--config=configs/small.py:ner/msra`, from random
weights on a slice, a minute on two CPU cores: F1 16.58 with cross entropy, 0.00
with Dice of single characters.
"""

from configs import default
from configs import losses


def get_config(loss: str = losses.RECOMMENDED):
  c = default.get_config(loss)
  c.data.files = dict(train='msra_train_bio', dev='', test='msra_test_bio')
  c.data.held_out.dev = 0.1
  c.model.pretrained = 'google-bert/bert-base-chinese'
  c.model.scratch.vocab_size = 12_000  # Each character has two entries.
  c.optimizer.learning_rate = 3e-5
  return c
