"""Features of sentences: sub-words, the words they begin, and labels."""

from collections.abc import Sequence

import numpy as np
import tokenizers

from dicejax.text.overlap import make_windows
from train.data.conll import Sentence
from train.tasks.task import Features


def make_features(
  tokenizer: tokenizers.Tokenizer,
  sentences: Sequence[Sentence],
  labels: Sequence[str],
  max_length: int,
  *,
  label_all: bool,
  has_entities: bool,
) -> Features:
  """Makes the features of sentences.

  Args:
    tokenizer: it neither truncates nor pads.
    sentences: their tags may be missing or not among the labels; there is then
      no label to learn from.
    labels: names of the classes, in order.
    max_length: largest number of sub-words of an input.
    label_all: whether all sub-words of a word have a label, or only the first.
    has_entities: whether labels spell entities in BIO.

  Returns:
    Per window of a sentence (see `make_windows`), int32 `[sub-words]`:
    `tokens`; `segments`; `words`, the word that a first sub-word begins, else
    -1; `labels`, or -1; and 0-D: `example`, the number of the sentence.
  """
  ids = {label: i for i, label in enumerate(labels)}
  words = [sentence.tokens for sentence in sentences]
  return [
    {
      'tokens': np.array(window.tokens, np.int32),
      'segments': np.array(window.segments, np.int32),
      'words': np.array(window.words, np.int32),
      'labels': np.array(
        _label_sub_words(
          window.word_ids,
          sentences[window.example].tags,
          ids,
          label_all,
          has_entities,
        ),
        np.int32,
      ),
      'example': np.array(window.example, np.int32),
    }
    for window in make_windows(tokenizer, words, max_length)
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
