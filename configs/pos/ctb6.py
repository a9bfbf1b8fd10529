r"""Words and parts of speech of the Chinese Treebank 6, as spans of characters.

  python -m train --config=configs/pos/ctb6.py:running_dice \
    --config.data.dir=DIR

As ctb5.py, from LDC2007T36 in its official split.

Li et al., 2020, table 3 (F1): BERT tagger 94.77, + focal 95.44, + dice 95.09,
+ self-adjusting Dice 96.57.
"""

from configs.pos import ctb5

get_config = ctb5.get_config
