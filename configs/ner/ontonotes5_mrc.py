r"""Named entities of OntoNotes 5 (English, 18 types) as answers to queries.

  python -m train \
    --config=configs/ner/ontonotes5_mrc.py:paper_self_adjusting_dice \
    --config.data.dir=DIR

The corpus is LDC2013T19 (https://catalog.ldc.upenn.edu/LDC2013T19), split
as in CoNLL-2012 (https://aclanthology.org/W13-3516). DIR holds mrc-ner.train,
mrc-ner.dev and mrc-ner.test: MRC-NER JSON as BERT-MRC's authors convert it,
with their queries (https://github.com/ShannonAI/mrc-for-flat-nested-ner). For
the same sentences with BIO tags in columns, and the queries of this repository:

  --config.data.format=conll --config.data.files.train=train.txt \
    --config.data.files.dev=dev.txt --config.data.files.test=test.txt \
    --config.query_spans.queries=configs/ner/queries/ontonotes5.json

Li et al., 2020, table 5, test F1 of BERT-large: 91.11 with cross entropy, 91.22
focal, 91.88 Dice, 92.07 self-adjusting Dice; their code's README says 91.12
focal and 92.01 Dice.

Settings: as in their scripts with focal loss and, for every other loss, with
Dice, except

                     theirs                          ours
  batch              accumulated, for Dice 6 x 12    one batch
  set of Dice        each accumulated part           the batch
  positions, Dice    all (there is no mask: query,   first sub-words of the
                     special tokens and padding      sentence's words
                     are negatives)
  hard negatives     ratio 0.3, which their code     all negatives
                     does not apply as meant
  activation, heads  ReLU                            GELU
  head for whether   weight 0.2                      none
  there is an answer
"""

from configs import default
from configs import losses


def get_config(loss: str = 'paper_self_adjusting_dice'):
  c = default.get_config()
  c.task = 'query_spans'
  c.data.format = 'mrc_ner'
  c.data.files = dict(
    train='mrc-ner.train', dev='mrc-ner.dev', test='mrc-ner.test'
  )
  c.loss = losses.get_loss(loss, sigmoid=True)
  c.max_length = 300
  c.model.pretrained = 'google-bert/bert-large-cased'
  c.model.dtype = 'bfloat16'
  c.optimizer.learning_rate = 2e-5
  c.optimizer.warmup = 0.1
  c.optimizer.weight_decay = 0.002
  c.optimizer.eps = 1e-6
  c.batch_size = 12 * 6
  c.epochs = 5
  c.evaluations_per_epoch = 4
  if loss == 'focal':
    c.loss.options.gamma = 4.0
    c.optimizer.learning_rate = 1e-5
    c.batch_size = 4 * 12
  return c
