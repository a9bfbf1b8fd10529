"""All settings with their defaults. An experiment changes a few of them.

Any setting can be changed on the command line, as in
`--config.optimizer.learning_rate=3e-5`, with a value of the kind that stands
here. A setting that is not here is an error. `python -m train --config=FILE
--settings` prints the settings of an experiment with these comments.

Settings by label, `{label: number}`, take one label at a time, which is added
to the experiment's labels, or all at once:

  --config.loss.class_weights.B-PER=2.0
  --config.loss.class_weights="{'O': 0.0, 'B-PER': 2.0}"
"""

from ml_collections import config_dict

from configs import losses


def get_config(loss: str = losses.RECOMMENDED) -> config_dict.ConfigDict:
  """Makes a tagger of CoNLL columns, trained from scratch.

  Args:
    loss: a preset of losses.py.
  """
  create = config_dict.create
  return create(
    # Seeds the initial weights, dropout, batches and synthetic data.
    seed=0,
    # The task: 'tagging', 'query_spans', 'span_qa', 'classification' (one label
    # for a text) or 'multi_label' (any number). The section of the task is
    # below; the sections of the others are not read.
    task='tagging',
    data=create(  # Files, and the examples that are taken of them.
      # Format of the files: 'conll', 'conllu', 'squad', 'mrc_ner', 'csv',
      # 'tsv', 'jsonl' or 'trees'. 'hf' reads Parquet and data sets of Hugging
      # Face, 'tfds' those of TensorFlow Datasets, 'synthetic' makes up
      # sentences.
      format='conll',
      # Path of the directory that holds the files.
      dir='',
      # File names, relative to data.dir. '': there is no such file.
      files=create(train='train.txt', dev='dev.txt', test='test.txt'),
      # Fractions of the training file, from 0 to 1, that become dev or test
      # where these have no file. Questions on one article stay together.
      held_out=create(dev=0.0, test=0.0),
      # Seeds the choice of what is held out, taken and resampled.
      seed=0,
      # Number of examples in a random sample of each split. 0: all examples.
      take=create(train=0, dev=0, test=0),
      # {label: factor}: how many times a training text with this label comes.
      # {'ham': 0.5} keeps half of the texts labelled ham, {'spam': 2.0} takes
      # each text labelled spam twice. For classification only.
      resample=create(),
      # Fraction of each training batch, from 0 to below 1, drawn from the
      # examples that have something to find: an entity, an answer, a positive
      # label. 0: batches are drawn from all examples alike.
      foreground=0.0,
      # Path of the directory for data sets of TFDS, hidden states of frozen
      # encoders and compiled programs, which later runs read again.
      cache='~/.cache/dicejax',
      # Options of the format 'conll'. Columns count from 0, negative numbers
      # from the end.
      conll=create(
        token=0,  # Column of the word.
        tag=-1,  # Column of the tag.
        # Meaning of the tags: 'bio', 'iob1', 'bioes', 'bmes' or 'bilou'.
        # 'conll' accepts ill-formed tags as conlleval does. 'token' has one
        # label per word, no spans.
        scheme='bio',
      ),
      conllu=create(  # Options of the format 'conllu'.
        tag='upos',  # Column of the tag: 'upos' or 'xpos'.
        # The unit that is tagged: 'word', or 'character': words become spans.
        unit='word',
      ),
      squad=create(  # Options of the format 'squad'.
        # Meaning of several answers to a question: 'alternatives', or 'spans',
        # which together are one answer.
        answers='alternatives',
      ),
      mrc_ner=create(),  # The format 'mrc_ner' has no options.
      # Options of the format 'csv': with quotes, as in RFC 4180. Columns go by
      # name or, without a header, by number: '0' is the first.
      csv=create(
        header=True,  # Whether the first row names the columns.
        text='text',  # Column of the text.
        pair='',  # Column of a second text. '': there is none.
        label='label',  # Column of the label, or of several.
        # Columns with 1 or 0, one for each label, as in 'toxic,threat'. '': the
        # labels are in the column `label`.
        labels='',
        # Separator of several labels in the column `label`, such as ';'. '':
        # each text has one label.
        label_separator='',
        separator=',',  # Character between cells, such as ';'.
        encoding='utf-8',  # Encoding of the files, such as 'cp1252'.
        # Skips and counts rows with a wrong number of columns, without text or
        # without label. Otherwise they are errors.
        skip_malformed=False,
      ),
      # Options of the format 'tsv'. Columns go by name or, without a header, by
      # number: '0' is the first.
      tsv=create(
        header=True,  # Whether the first row names the columns.
        text='sentence',  # Column of the text.
        pair='',  # Column of a second text. '': there is none.
        label='label',  # Column of the label, or of several.
        labels='',  # As in `csv`.
        label_separator='',  # As in `csv`.
        separator='\t',  # Character between columns.
        # Skips and counts rows with a wrong number of columns, without text or
        # without label. Otherwise they are errors.
        skip_malformed=False,
      ),
      jsonl=create(  # Options of the format 'jsonl'.
        text='sentence',  # Key of the text.
        pair='',  # Key of a second text. '': there is none.
        # Key of the label: a text, a whole number, true or false; or of a list.
        label='label',
        labels='',  # As in `csv`, with keys.
        label_separator='',  # As in `csv`.
      ),
      trees=create(  # Options of the format 'trees'.
        phrases=False,  # Adds all phrases of the training trees.
        # Makes two labels of five: 0 and 1 are negative, 3 and 4 positive.
        # Neutral texts are left out.
        binary=False,
      ),
      # Options of the format 'hf'. Columns that are not named here are found by
      # their types.
      hf=create(
        # Name on the Hugging Face hub, such as 'nyu-mll/glue', or path of a
        # directory that `save_to_disk` of the package datasets wrote;
        # data.files then names splits. '': data.files are Parquet.
        name='',
        subset='',  # Configuration of a data set on the hub, such as 'mrpc'.
        text='',  # Column of the text.
        pair='',  # Column of a second text.
        label='',  # Column of the label, or of a list of labels.
        labels='',  # Columns with 1 or 0, one for each label: 'toxic,threat'.
        tokens='',  # Column of the words of a sentence.
        tags='',  # Column of their tags.
      ),
      # Options of the format 'tfds': one of the two.
      tfds=create(
        # Name of a data set, such as 'glue/mrpc'. Needs a network once.
        name='',
        # Path of a directory with a prepared one, such as '~/my_data/1.0.0'.
        builder='',
      ),
      synthetic=create(  # Options of the format 'synthetic'.
        # Number of sentences in each split.
        sentences=create(train=4000, dev=1000, test=1000),
        imbalance=50.0,  # Number of words outside entities per word inside.
      ),
    ),
    tagging=create(  # Options of the task 'tagging'.
      # Trains on all sub-words of a word. Otherwise on the first one only.
      label_all=False,
    ),
    query_spans=create(  # Options of the task 'query_spans'.
      # Path of a JSON file {type: query}, relative to the working directory.
      # Not read for data.format='mrc_ner', where the files have the queries.
      queries='',
      match=False,  # Adds a third head, which pairs starts and ends.
      nested=False,  # Allows entities of one type to overlap; needs match.
      start_weight=1.0,  # Weight of the loss of the starts.
      end_weight=1.0,  # Weight of the loss of the ends.
      match_weight=0.1,  # Weight of the loss of the pairs.
    ),
    span_qa=create(  # Options of the task 'span_qa'.
      max_question=64,  # Length in sub-words; longer questions are cut.
      # Distance in sub-words between the starts of two windows of a context.
      stride=128,
      max_answer=30,  # Length in sub-words.
      n_best=20,  # Number of candidate answers.
      unanswerable=False,  # Allows questions without an answer (SQuAD 2.0).
      several=False,  # Allows answers of several spans (QuoRef).
      # Scores answers by characters instead of words: for Chinese and other
      # languages that do not separate words.
      characters=False,
    ),
    classification=create(  # Options of the task 'classification'.
      # The label whose F1 is scored. '': accuracy is scored.
      positive='',
    ),
    # Length of an input in sub-words, including [CLS] and [SEP].
    max_length=128,
    model=create(  # The encoder, with a head that the task knows.
      # Name on the Hugging Face hub, or path of a directory of its files. '':
      # trained from scratch.
      pretrained='',
      # Sizes of a BERT trained from scratch; not read with model.pretrained.
      scratch=create(
        # At most this many entries, of a WordPiece of the training split.
        vocab_size=4000,
        hidden_size=128,  # Width of the layers.
        num_hidden_layers=2,  # Number of layers.
        num_attention_heads=4,  # Number of heads in each layer.
        intermediate_size=512,  # Width of the feed-forward networks.
      ),
      # 'xla', or 'cudnn' for its fused attention (GPUs, bfloat16).
      attention='xla',
      # Recomputes the layers for the gradient, which saves memory.
      remat=False,
      # Trains the head only. The hidden states of all examples are computed
      # once and kept in memory, so that an epoch takes seconds.
      frozen=False,
      frozen_memory=8.0,  # Limit of these states in memory, in GiB.
      frozen_cache=8.0,  # Limit of these states in data.cache, in GiB.
      # The state of a text: 'cls', the token [CLS], or 'mean', the mean of all
      # tokens (better where the encoder is frozen).
      pooling='cls',
      # Starts the bias of the head at the log odds of the classes in the
      # training split, so that rare classes are predicted rarely from the
      # beginning. A head on a frozen encoder always starts so.
      prior_bias=False,
      # Probability, on embeddings and sublayers and before the head.
      dropout=0.1,
      # Probability, on attention probabilities: 0.1 in most published recipes.
      # With 0, attention is faster and takes less memory.
      attention_dropout=0.0,
      # Number type of the computation: 'float32', or 'bfloat16' on TPUs and
      # new GPUs. Parameters are float32.
      dtype='float32',
    ),
    # A preset of losses.py, `FILE:PRESET` on the command line. Its settings:
    # - name: a loss of dicejax.losses.
    # - options: keyword arguments of the loss; each has its own.
    # - cross_entropy: weight of a cross entropy that is added. 0: none.
    # - full_weight_at: fraction of positives in the training split at which an
    #   overlap loss reaches its full weight beside the cross entropy. With
    #   rarer positives its weight is lower, in proportion. 0: always full.
    # - running: decay of running counts, such as 0.95, which make a set of
    #   about 1 / (1 - running) batches. 0: each batch is a set.
    # - class_weights: {label: weight}, such as {'O': 0.0}; 1 for the others.
    # - class_weighting: weights computed from the training split: 'balanced',
    #   'log', 'class_balanced', or '' for none. class_weights override them.
    # - keep_hardest: number of negatives kept per positive of a batch, those
    #   with the highest cross entropy. 0: all are kept.
    # - activation: 'softmax' or 'sigmoid'; the preset knows which.
    loss=losses.get_loss(loss, background='O'),
    # The optimizer, and the schedule of its learning rate.
    optimizer=create(
      # Name in optax: 'adamw', 'adam', 'lamb', 'lion', 'adafactor', 'sgd',
      # 'contrib.muon' and others.
      name='adamw',
      options=create(),  # Its other arguments, such as {'b2': 0.98}.
      learning_rate=1e-4,  # The peak.
      warmup=0.1,  # Fraction of all steps, from 0 to 1; the rise is linear.
      # Name in optax of the schedule after the warm-up: 'linear_schedule',
      # 'cosine_decay_schedule', 'constant_schedule', 'polynomial_schedule',
      # 'exponential_decay' and others.
      schedule='linear_schedule',
      schedule_options=create(),  # Its other arguments, such as {'power': 2.0}.
      final=0.0,  # The final learning rate as a fraction of the peak.
      # For matrices only, not biases or norms. Optimizers without a decay of
      # their own get it as part of the gradient.
      weight_decay=0.01,
      eps=1e-8,  # Added to the denominator in Adam.
      clip_norm=1.0,  # A gradient with a larger norm is scaled down to it.
    ),
    batch_size=32,  # Inputs per step, on all devices together.
    # Number of parts in which a batch is computed, to save memory. Results stay
    # the same.
    micro_batches=1,
    # Puts several inputs in a row for training, to save time; see
    # docs/scaling.md. For tagging, span_qa and classification; not with
    # data.foreground, or texts with a frozen encoder.
    packing=True,
    # Over devices: 'jit', or 'pmap', which is in maintenance mode in JAX.
    parallel='jit',
    fsdp=1,  # Number of devices that share one copy of the parameters.
    epochs=3,  # Number of times that the training split is seen.
    # Number of scorings on dev per epoch. The best checkpoint is kept.
    evaluations_per_epoch=1,
    # The dev score that chooses the best checkpoint: 'ROW/COLUMN' of the
    # printed table, such as 'macro/f1' or 'threshold 0.5/f1'. '': the task's
    # default, the score with the tuned decision.
    select_by='',
    # Stops after this many evaluations without a better score than before. 0:
    # all epochs are trained. The learning rate falls as for all of them.
    patience=0,
    checkpoint_every=200,  # In steps; a run resumes from the latest.
    log_every=50,  # In steps.
    # Limit of the compiled programs kept in data.cache, in GiB. Later runs of
    # the same shapes start at once. 0: none are kept.
    compilation_cache=2.0,
    # Named variations, {name: {section: settings}}. Each is trained in its own
    # folder of the workdir, and one table compares them.
    runs=create(),
  ).lock()
