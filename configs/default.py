"""Every setting there is, with its default. Experiments change a few of them.

Any key can be changed on the command line, as in
`--config.optimizer.learning_rate=3e-5`. A key that is not here is an error.
"""

from ml_collections import config_dict

from configs import losses


def get_config(loss: str = losses.RECOMMENDED) -> config_dict.ConfigDict:
  create = config_dict.create
  return create(
    seed=0,  # Of initial weights, dropout, order of examples, synthetic data.
    # 'tagging', 'query_spans', 'span_qa' or 'classification'; sections below.
    task='tagging',
    data=create(
      # 'conll', 'conllu', 'squad', 'mrc_ner', 'tsv', 'jsonl', 'trees', 'tfds',
      # or 'synthetic': sentences made up on the spot.
      format='conll',
      dir='',  # Where the files are.
      files=create(train='train.txt', dev='dev.txt', test='test.txt'),
      # Shares of the training file that are dev and test, where these have no
      # file; questions on one article stay together.
      held_out=create(dev=0.0, test=0.0),
      seed=0,  # Of what is held out, taken and resampled.
      take=create(train=0, dev=0, test=0),  # Only so many, at random; 0: all.
      # {'label': 0.5}: half of the training texts with it; 2.0: each twice.
      resample=create(),
      # The share of each training batch that is drawn from the examples with
      # something to find: an entity, an answer, a positive label. 0: none is.
      foreground=0.0,
      # Parsed files and states of frozen encoders, by their contents.
      cache='~/.cache/dicejax',
      # Options of the formats.
      conll=create(
        token=0,  # Columns, from 0; negative: from the end.
        tag=-1,
        # 'iob1', 'bio', 'bioes'; 'conll' forgives ill-formed tags; 'token': a
        # label for each word, no spans.
        scheme='bio',
      ),
      conllu=create(
        tag='upos',  # Or 'xpos'.
        unit='word',  # 'character': words are spans of characters.
      ),
      # 'alternatives', or 'spans': several answers are parts of one.
      squad=create(answers='alternatives'),
      mrc_ner=create(),
      # Columns by name or, without a header, by number from '0'.
      tsv=create(
        header=True,
        text='sentence',
        pair='',
        label='label',
        separator='\t',
        skip_malformed=False,  # Rows with other columns; they are counted.
      ),
      jsonl=create(text='sentence', pair='', label='label'),
      trees=create(
        phrases=False,  # All phrases of the training trees, too.
        binary=False,  # Two labels; what is neutral is left out.
      ),
      tfds=create(name=''),  # As in 'glue/mrpc'; needs a network once.
      synthetic=create(
        sentences=create(train=4000, dev=1000, test=1000),
        imbalance=50.0,  # Words outside entities for each word inside.
      ),
    ),
    tagging=create(
      label_all=False,  # Every sub-word of a word learns, not just the first.
    ),
    query_spans=create(
      # A JSON file {type: query}; MRC-NER files have their own. As any path,
      # relative to the working directory: the repository's root.
      queries='',
      match=False,  # A third head, which joins starts and ends.
      nested=False,  # Entities of one type may overlap; needs match.
      start_weight=1.0,
      end_weight=1.0,
      match_weight=0.1,
    ),
    span_qa=create(
      max_question=64,  # Sub-words; what is longer is cut.
      stride=128,  # Sub-words from the beginning of a window to the next.
      max_answer=30,  # Sub-words.
      n_best=20,  # Candidates of an answer.
      unanswerable=False,  # An answer may be none: SQuAD 2.0.
      several=False,  # An answer may be several spans: QuoRef.
    ),
    classification=create(
      positive='',  # The label whose F1 counts; '': the accuracy.
    ),
    max_length=128,  # Sub-words of an input, with [CLS] and [SEP].
    model=create(
      pretrained='',  # A directory or a hub name; '': from scratch.
      scratch=create(  # BertConfig of a model from scratch.
        vocab_size=4000,  # At most; WordPiece, trained on the training split.
        hidden_size=128,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=512,
      ),
      # 'cudnn': its fused attention, on GPUs, with bfloat16.
      attention='xla',
      remat=False,  # Layers are computed again for the gradient: less memory.
      # The encoder stays as it is, and only the head is trained: the hidden
      # states of all examples are computed once, and kept in memory.
      frozen=False,
      frozen_memory=8.0,  # GiB that they may take.
      frozen_cache=8.0,  # GiB of them that are kept in data.cache.
      pooling='cls',  # Classification: or 'mean', of all tokens' states.
      # The bias of the head begins at the log odds of the classes in the
      # training split: at the start, the rare ones are predicted rarely.
      prior_bias=False,
      dropout=0.1,  # On embeddings and sublayers, and before the head.
      dtype='float32',  # Of the computation: 'bfloat16' on TPUs and new GPUs.
    ),
    # Keys that not every preset of losses.py names:
    # - name, options: of a loss of dicejax.losses, and its keyword arguments;
    # - cross_entropy: weight of a cross entropy that is added;
    # - full_weight_at: the share of positives in the training split from which
    #   on a loss of sets has its full weight beside the cross entropy; with
    #   rarer positives it has less, in proportion. 0: the full weight always;
    # - running: decay of counts that run over the batches, as in 0.99, so that
    #   a set is some 1 / (1 - running) batches; 0: a set is a batch;
    # - class_weights: by label, {'O': 0.0}; 1 where not given;
    # - class_weighting: weights from the counts of the training split, 'log',
    #   'balanced' or 'class_balanced'; class_weights replace them by label;
    # - keep_hardest: negatives kept for each positive of a batch, those with
    #   the highest cross entropy; 0: all are;
    # - activation: 'softmax' or 'sigmoid'.
    loss=losses.get_loss(loss, background='O'),
    optimizer=create(  # AdamW, linear warm-up and decay.
      learning_rate=1e-4,  # At its highest.
      warmup=0.1,  # Share of all steps.
      final=0.0,  # Of the learning rate, what is left at the end.
      weight_decay=0.01,  # Of matrices; biases and norms have none.
      eps=1e-8,  # Added to the denominator of Adam.
      clip_norm=1.0,  # Of the whole gradient.
    ),
    batch_size=32,  # Inputs, on all devices together.
    micro_batches=1,  # Parts of a batch in turn, in the memory of one.
    packing=False,  # Tagging: several inputs in one row; see docs/scaling.md.
    parallel='jit',  # Or 'pmap', which JAX only maintains; as above.
    fsdp=1,  # Devices that share one copy of the parameters.
    epochs=3,
    evaluations_per_epoch=1,  # On dev; the best of these is kept.
    # The score that is best: 'ROW/COLUMN' of those on dev, as in 'macro/f1' or
    # 'threshold 0.5/f1'. '': the task's own, by the decision that is tuned.
    select_by='',
    checkpoint_every=200,  # Steps; the latest is kept, to resume from.
    log_every=50,  # Steps.
    # Named variations, {'name': {'loss': {...}}}: each is trained in its own
    # folder of the workdir, one table compares them.
    runs=create(),
  ).lock()
