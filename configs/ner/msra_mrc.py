r"""Named entities of MSRA (Chinese; PER, LOC, ORG) as answers to queries.

  python -m train --config=configs/ner/msra_mrc.py:paper_self_adjusting_dice \
    --config.data.dir=DIR

DIR holds msra_train_bio and msra_test_bio: a character, a tab and its BIO tag
per row, from the corpus of the SIGHAN bakeoff 2006
(https://aclanthology.org/W06-0115), 45,000 and 3,442 sentences. As in the
paper, a random tenth of the training file becomes dev.

Li et al., 2020, table 5, test F1 of BERT-base: 95.75 with cross entropy, 95.67
focal, 96.44 Dice, 96.72 self-adjusting Dice.

Settings: as in their scripts with focal loss, which alone has the match
head, and, for every other loss, with Dice, except

                     theirs                          ours
  batch              accumulated, for Dice 3 x 10    one batch
  set of Dice        each accumulated part           the batch
  positions, Dice    all (there is no mask: query,   the sentence's characters
                     special tokens and padding
                     are negatives)
  hard negatives     ratio 0.3, which their code     all negatives
                     does not apply as meant
  activation, heads  ReLU                            GELU
  head for whether   weight 0.3 for Dice, 0.2 for    none
  there is an answer focal loss
"""

from configs import default
from configs import losses


def get_config(loss: str = 'paper_self_adjusting_dice'):
  c = default.get_config()
  c.task = 'query_spans'
  c.data.files = dict(train='msra_train_bio', dev='', test='msra_test_bio')
  c.data.held_out.dev = 0.1
  c.query_spans.queries = 'configs/ner/queries/msra.json'
  c.loss = losses.get_loss(loss, sigmoid=True)
  c.max_length = 275
  c.model.pretrained = 'google-bert/bert-base-chinese'
  c.model.dtype = 'bfloat16'
  c.optimizer.learning_rate = 2e-5
  c.optimizer.warmup = 0.02
  c.optimizer.final = 0.25
  c.optimizer.weight_decay = 0.002
  c.optimizer.eps = 1e-6
  c.batch_size = 10 * 3
  c.epochs = 5
  c.evaluations_per_epoch = 4
  if loss == 'focal':
    c.query_spans.match = True
    c.query_spans.match_weight = 0.3
    c.loss.options.gamma = 3.0
    c.optimizer.learning_rate = 1e-5
    c.optimizer.warmup = 0.08
    c.optimizer.final = 0.0
    c.batch_size = 9 * 3
  return c
