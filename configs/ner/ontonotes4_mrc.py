r"""Named entities of OntoNotes 4 (Chinese; 4 types) as answers to queries.

  python -m train \
    --config=configs/ner/ontonotes4_mrc.py:paper_self_adjusting_dice \
    --config.data.dir=DIR

The corpus is LDC2011T03 (https://catalog.ldc.upenn.edu/LDC2011T03) with the
types GPE, LOC, ORG and PER, split as in Glyce
(https://arxiv.org/abs/1901.10125). DIR holds mrc-ner.train, mrc-ner.dev and
mrc-ner.test: MRC-NER JSON as BERT-MRC's authors convert it, with their queries
(https://github.com/ShannonAI/mrc-for-flat-nested-ner). For the same sentences
with a character and its BIOES tag in columns, and the queries of this
repository:

  --config.data.format=conll --config.data.conll.scheme=bioes \
    --config.data.files.train=train.txt --config.data.files.dev=dev.txt \
    --config.data.files.test=test.txt \
    --config.query_spans.queries=configs/ner/queries/ontonotes4.json

Li et al., 2020, table 5, test F1 of BERT-base: 82.11 with cross entropy, 83.30
focal, 84.01 Dice, 84.47 self-adjusting Dice (84.67 with Tversky, alpha 0.6:
table 10).

Settings: as in their scripts with focal loss and, for every other loss, with
Dice, except

                     theirs                          ours
  batch              accumulated, 2 x 8              one batch
  set of Dice        each accumulated part           the batch
  positions, Dice    all (there is no mask: query,   the sentence's characters
                     special tokens and padding
                     are negatives)
  hard negatives     ratio 0.3, which their code     all negatives
                     does not apply as meant
  activation, heads  ReLU                            GELU
  head for whether   weight 0.2 for Dice, 0.3 for    none
  there is an answer focal loss
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
  c.model.pretrained = 'google-bert/bert-base-chinese'
  c.model.dtype = 'bfloat16'
  c.optimizer.learning_rate = 2e-5
  c.optimizer.warmup = 0.1
  c.optimizer.final = 0.25
  c.optimizer.weight_decay = 0.002
  c.optimizer.eps = 1e-6
  c.batch_size = 8 * 2
  c.epochs = 5
  c.evaluations_per_epoch = 4
  if loss == 'focal':
    c.loss.options.gamma = 4.0
  return c
