r"""Words and parts of speech of UD 1.4 Chinese, as spans of characters.

  python -m train --config=configs/pos/ud_chinese.py:running_dice \
    --config.data.dir=DIR

DIR holds zh-ud-{train,dev,test}.conllu of Universal Dependencies 1.4
(https://universaldependencies.org). A word counts as found if its first and
last character and its tag are right: joint F1 of segmentation and tagging.

Li et al., 2020, table 3 (F1): BERT tagger 94.79, + focal 96.81, + dice 96.94,
+ self-adjusting Dice 96.98.

Measured with version 0.1.0, `--config=configs/small.py:pos/ud_chinese`, from
random weights, a minute on two CPU cores: F1 51.64 with cross entropy, 52.38
with Dice of single characters.
"""

from configs import default
from configs import losses


def get_config(loss: str = losses.RECOMMENDED):
  c = default.get_config(loss)
  c.data.format = 'conllu'
  c.data.files = dict(
    train='zh-ud-train.conllu',
    dev='zh-ud-dev.conllu',
    test='zh-ud-test.conllu',
  )
  c.data.conllu.unit = 'character'
  c.model.pretrained = 'google-bert/bert-base-chinese'
  c.model.scratch.vocab_size = 12_000  # Each character has two entries.
  c.optimizer.learning_rate = 3e-5
  return c
