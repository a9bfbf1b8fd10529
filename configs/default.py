"""All settings with their defaults. An experiment changes a few of them.

Any key can be changed on the command line, as in
`--config.optimizer.learning_rate=3e-5`. A key that is not here is an error.
"""

from ml_collections import config_dict

from configs import losses


def get_config(loss: str = losses.RECOMMENDED) -> config_dict.ConfigDict:
  create = config_dict.create
  return create(
    seed=0,  # For initial weights, dropout, batches and synthetic data.
    # 'tagging', 'query_spans', 'span_qa' or 'classification'. Each has a
    # section below.
    task='tagging',
    data=create(
      # 'conll', 'conllu', 'squad', 'mrc_ner', 'tsv', 'jsonl', 'trees', 'tfds',
      # or 'synthetic': sentences made up on the spot.
      format='conll',
      dir='',  # The directory that holds the files.
      files=create(train='train.txt', dev='dev.txt', test='test.txt'),
      # Fractions of the training file to hold out where dev or test has no
      # file. Questions on one article stay together.
      held_out=create(dev=0.0, test=0.0),
      seed=0,  # Chooses what is held out, taken and resampled.
      # The size of a random sample; 0 takes all.
      take=create(train=0, dev=0, test=0),
      # A factor per label: {'ham': 0.5} keeps half of the training texts
      # labelled ham, {'spam': 2.0} takes each text labelled spam twice.
      resample=create(),
      # Fraction of each training batch drawn from the examples that have
      # something to find: an entity, an answer, a positive label. 0 turns it
      # off.
      foreground=0.0,
      # Keeps data sets of TFDS and hidden states of frozen encoders.
      cache='~/.cache/dicejax',
      # Options for each format.
      conll=create(
        token=0,  # Column number from 0; negative numbers count from the end.
        tag=-1,
        # 'bio', 'iob1' or 'bioes'; 'conll' accepts ill-formed tags; 'token'
        # means one label per word, no spans.
        scheme='bio',
      ),
      conllu=create(
        tag='upos',  # Or 'xpos'.
        unit='word',  # Or 'character': words are spans of characters.
      ),
      # 'alternatives'; 'spans' if several answers of a question are parts of
      # one.
      squad=create(answers='alternatives'),
      mrc_ner=create(),
      # Column names or, without a header, numbers from '0'.
      tsv=create(
        header=True,
        text='sentence',
        pair='',
        label='label',
        separator='\t',
        skip_malformed=False,  # Skips (and counts) rows with too many columns.
      ),
      jsonl=create(text='sentence', pair='', label='label'),
      trees=create(
        phrases=False,  # Adds all phrases of the training trees.
        binary=False,  # Two labels; neutral texts are left out.
      ),
      # The name of a data set, such as 'glue/mrpc' (needs a network once), or
      # the directory of a prepared one, such as '~/my_data/1.0.0'.
      tfds=create(name='', builder=''),
      synthetic=create(
        sentences=create(train=4000, dev=1000, test=1000),
        imbalance=50.0,  # Words outside entities per word inside one.
      ),
    ),
    tagging=create(
      label_all=False,  # Trains on all sub-words of a word, not only the first.
    ),
    query_spans=create(
      # Path of a JSON file {type: query}, relative to the working directory.
      # MRC-NER files have queries of their own.
      queries='',
      match=False,  # Adds a third head, which pairs starts and ends.
      nested=False,  # Allows entities of one type to overlap; needs match.
      start_weight=1.0,
      end_weight=1.0,
      match_weight=0.1,
    ),
    span_qa=create(
      max_question=64,  # In sub-words; longer questions are cut.
      stride=128,  # Sub-words from the start of one window to the next.
      max_answer=30,  # In sub-words.
      n_best=20,  # Number of candidate answers.
      unanswerable=False,  # Allows questions without an answer (SQuAD 2.0).
      several=False,  # Allows answers of several spans (QuoRef).
    ),
    classification=create(
      positive='',  # The label whose F1 is scored; '': accuracy is scored.
    ),
    max_length=128,  # In sub-words, including [CLS] and [SEP].
    model=create(
      pretrained='',  # A directory or a hub name; '' trains from scratch.
      scratch=create(  # The BertConfig of a model trained from scratch.
        vocab_size=4000,  # At most; a WordPiece of the training split.
        hidden_size=128,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=512,
      ),
      # 'xla', or 'cudnn' for its fused attention (GPUs, bfloat16).
      attention='xla',
      remat=False,  # Recomputes layers for the gradient, to save memory.
      # Trains the head only. The hidden states of all examples are computed
      # once and kept in memory, so that an epoch takes seconds.
      frozen=False,
      frozen_memory=8.0,  # Limit of these states in memory, in GiB.
      frozen_cache=8.0,  # Limit of these states in data.cache, in GiB.
      # What a classifier reads: 'cls', the first token, or 'mean', the mean of
      # all tokens (better where the encoder is frozen).
      pooling='cls',
      # Starts the bias of the head at the log odds of the classes in the
      # training split, so that rare classes are predicted rarely from the
      # beginning. A head on a frozen encoder always starts so.
      prior_bias=False,
      dropout=0.1,  # On embeddings and sublayers, and before the head.
      dtype='float32',  # For the computation; 'bfloat16' on TPUs and new GPUs.
    ),
    # A preset of losses.py. Its keys:
    # - name: a loss of dicejax.losses; options: its keyword arguments;
    # - cross_entropy: the weight of a cross entropy that is added;
    # - full_weight_at: the fraction of positives in the training split at which
    #   an overlap loss reaches its full weight beside the cross entropy. With
    #   rarer positives its weight is lower, in proportion. 0: always full;
    # - running: the decay of running counts, such as 0.95, which make a set of
    #   about 1 / (1 - running) batches. 0: each batch is a set;
    # - class_weights: weights by label, such as {'O': 0.0}; 1 for the others;
    # - class_weighting: weights computed from the training split: 'balanced',
    #   'log', 'class_balanced', or '' for none. class_weights override them;
    # - keep_hardest: negatives kept per positive of a batch, those with the
    #   highest cross entropy. 0: all are kept;
    # - activation: 'softmax' or 'sigmoid'.
    loss=losses.get_loss(loss, background='O'),
    optimizer=create(  # AdamW, linear warm-up and decay.
      learning_rate=1e-4,  # The peak.
      warmup=0.1,  # Fraction of all steps.
      final=0.0,  # The final learning rate as a fraction of the peak.
      weight_decay=0.01,  # For matrices only, not biases or norms.
      eps=1e-8,  # Added to the denominator in Adam.
      clip_norm=1.0,  # The gradient is scaled down to this norm.
    ),
    batch_size=32,  # Inputs per step, on all devices together.
    micro_batches=1,  # Splits a batch to save memory; results stay the same.
    packing=False,  # Puts several sentences in a row; see docs/scaling.md.
    parallel='jit',  # Or 'pmap', which is in maintenance mode in JAX.
    fsdp=1,  # Number of devices that share one copy of the parameters.
    epochs=3,
    evaluations_per_epoch=1,  # On dev; the best checkpoint is kept.
    # The dev score that chooses the best checkpoint: 'ROW/COLUMN' of the
    # printed table, such as 'macro/f1' or 'threshold 0.5/f1'. '': the task's
    # default, the score with the tuned decision.
    select_by='',
    checkpoint_every=200,  # In steps; a run resumes from the latest.
    log_every=50,  # In steps.
    # Named variations, {'name': {'loss': {...}}}. Each is trained in its own
    # folder of the workdir, and one table compares them.
    runs=create(),
  ).lock()
