"""Features of sentences: sub-words, the words they begin, and labels."""

from collections.abc import Sequence

import numpy as np
import tokenizers

from dicejax.text.tokenizer import first_sub_words
from train.data.conll import Sentence
from train.tasks.task import Features


def make_features(
  tokenizer: tokenizers.Tokenizer,
  sentences: Sequence[Sentence],
  labels: Sequence[str],
  *,
  label_all: bool,
  has_entities: bool,
) -> Features:
  """Makes the features of sentences.

  Args:
    tokenizer: truncates to the length of the model's input.
    sentences: their tags may be missing or not among the labels; there is then
      no label to learn from.
    labels: names of the classes, in order.
    label_all: whether all sub-words of a word have a label, or only the first.
    has_entities: whether labels spell entities in BIO.

  Returns:
    Per sentence, int32 `[sub-words]`: `tokens`; `words`, the word that a first
    sub-word begins, else -1; `labels`, or -1.
  """
  ids = {label: i for i, label in enumerate(labels)}
  encodings = tokenizer.encode_batch(
    [sentence.tokens for sentence in sentences], is_pretokenized=True
  )
  return [
    {
      'tokens': np.array(encoding.ids, np.int32),
      'words': np.array(first_sub_words(encoding.word_ids), np.int32),
      'labels': np.array(
        _label_sub_words(
          encoding.word_ids, sentence.tags, ids, label_all, has_entities
        ),
        np.int32,
      ),
    }
    for sentence, encoding in zip(sentences, encodings, strict=True)
  ]


def _label_sub_words(word_ids, tags, ids, label_all, has_entities) -> list[int]:
  previous, labels = None, []
  for word in word_ids:
    tag = tags[word] if tags and word is not None else None
    if word == previous and not label_all:
      tag = None
    elif word == previous and has_entities and tag in ids:
      # An entity begins only once: its first word goes on with I.
      tag = tag.replace('B-', 'I-', 1) if tag.startswith('B-') else tag
    labels.append(ids.get(tag, -1))
    previous = word
  return labels
