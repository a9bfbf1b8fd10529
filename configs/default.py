"""Every setting there is, with its default. Experiments change a few of them.

Any key can be changed on the command line, as in
`--config.optimizer.learning_rate=3e-5`. A key that is not here is an error.
"""

from ml_collections import config_dict

from configs import losses


def get_config(loss: str = 'self_adjusting_dice') -> config_dict.ConfigDict:
  create = config_dict.create
  return create(
    seed=0,  # Of initial weights, dropout, order of examples, synthetic data.
    task='tagging',
    data=create(
      format='conll',  # Or 'synthetic': sentences made up on the spot.
      dir='',  # Where the files are.
      files=create(train='train.txt', dev='dev.txt', test='test.txt'),
      columns=create(token=0, tag=-1),  # From 0; negative: from the end.
      scheme='bio',  # 'iob1', 'bio', 'bioes'; 'conll' forgives ill-formed tags.
      cache='~/.cache/dicejax',  # Parsed files, by their contents.
      synthetic=create(
        sentences=create(train=4000, dev=1000, test=1000),
        imbalance=50.0,  # Words outside entities for each word inside.
      ),
    ),
    max_length=128,  # Sub-words a sentence, with [CLS] and [SEP].
    model=create(
      pretrained='',  # A directory or a hub name; '': from scratch.
      scratch=create(  # BertConfig of a model from scratch.
        vocab_size=4000,  # At most; WordPiece, trained on the training split.
        hidden_size=128,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=512,
      ),
      dropout=0.1,  # On embeddings and sublayers, and before the head.
      dtype='float32',  # Of the computation: 'bfloat16' on TPUs and new GPUs.
    ),
    loss=losses.get_loss(loss),
    optimizer=create(  # AdamW, linear warm-up and decay.
      learning_rate=1e-4,  # At its highest.
      warmup=0.1,  # Share of all steps.
      weight_decay=0.01,  # Of matrices; biases and norms have none.
      clip_norm=1.0,  # Of the whole gradient.
    ),
    batch_size=32,  # Sentences.
    epochs=3,
    evaluations_per_epoch=1,  # On dev; the best of these is kept.
    checkpoint_every=200,  # Steps; the latest is kept, to resume from.
    log_every=50,  # Steps.
    # Named variations, {'name': {'loss': {...}}}: each is trained in its own
    # folder of the workdir, one table compares them.
    runs=create(),
  ).lock()
