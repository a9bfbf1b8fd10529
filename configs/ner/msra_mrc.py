"""Named entities of MSRA (Chinese; PER, LOC, ORG) as answers to queries.

  python -m train --config=configs/ner/msra_mrc.py:paper_self_adjusting_dice \
    --config.data.dir=DIR

DIR holds msra_train_bio and msra_test_bio: a character, a tab and its BIO tag a
row, of the corpus of the SIGHAN bakeoff 2006
(https://aclanthology.org/W06-0115), 45,000 and 3,442 sentences. A tenth of the
training file is dev, drawn at random as in the paper.

Li et al., 2020, table 5, test F1 of BERT-base: 95.75 with cross entropy, 95.67
focal, 96.44 Dice, 96.72 self-adjusting Dice.

Settings: their scripts', for focal loss (which alone has the match head) and,
with any other loss, for Dice. Different here: one batch of what they accumulate
(for Dice 3 x 10, each of the 3 a set of its own), heads with GELU (theirs:
ReLU), only the sentence's characters count (their Dice has no mask: tokens of
the query, special ones and padding are negatives), their hard-negative ratio
0.3, which their code does not apply as meant, is left out, and no head for
whether there is an answer (weight 0.3 for Dice, 0.2 for focal).
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
