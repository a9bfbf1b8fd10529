"""Tagging: a label for each word, read off its first sub-word."""

import dataclasses
import pathlib
from collections.abc import Iterable
from collections.abc import Mapping
from collections.abc import Sequence

import numpy as np
import tokenizers

from dicejax import metrics
from dicejax.models import BertConfig
from dicejax.models import TokenTagger
from dicejax.tversky import Counts
from train.data import conll
from train.data import synthetic
from train.workdir import CONFIG
from train.workdir import CORPUS

Sentences = list[conll.Sentence]


@dataclasses.dataclass(frozen=True)
class Tagging:
  """The task for one tokenizer and one set of labels.

  Attributes:
    tokenizer: of sub-words.
    labels: tags in the order of the logits.
    max_length: sub-words a sentence, special ones included. Words beyond it
      have no prediction: they are tagged `O`, and what they hold is missed.
  """

  tokenizer: tokenizers.Tokenizer
  labels: tuple[str, ...]
  max_length: int

  @property
  def fill(self) -> Mapping[str, int]:
    """What padding is filled with; a label below 0 does not count."""
    return {'tokens': self.tokenizer.token_to_id('[PAD]') or 0, 'labels': -1}

  def model(self, config: BertConfig, dtype: str) -> TokenTagger:
    return TokenTagger(config, len(self.labels), dtype)

  def examples(self, sentences: Sentences) -> list[dict[str, np.ndarray]]:
    """Features of sentences.

    Args:
      sentences: with tags that may be empty or not among the labels: then
        there is no label to learn from.

    Returns:
      For each sentence, int32 `[sub-words]`: `tokens`; `words`, the word that
      a first sub-word begins, else -1; `labels`, of first sub-words, else -1.
    """
    # Each time: another task may share the tokenizer.
    self.tokenizer.enable_truncation(self.max_length)
    encodings = self.tokenizer.encode_batch(
      [sentence.tokens for sentence in sentences], is_pretokenized=True
    )
    ids = {label: i for i, label in enumerate(self.labels)}
    examples = []
    for sentence, encoding in zip(sentences, encodings, strict=True):
      words = _first_sub_words(encoding.word_ids)
      tags = [ids.get(tag, -1) for tag in sentence.tags]
      labels = [tags[w] if w >= 0 and tags else -1 for w in words]
      examples.append(
        {
          'tokens': np.array(encoding.ids, np.int32),
          'words': np.array(words, np.int32),
          'labels': np.array(labels, np.int32),
        }
      )
    return examples

  def describe_cut(self, sentences: Sentences) -> str:
    """Says how many words have no prediction; empty if all have one."""
    words = sum(len(sentence.tokens) for sentence in sentences)
    seen = sum((e['words'] >= 0).sum() for e in self.examples(sentences))
    if seen == words:
      return ''
    return (
      f'{words - seen} of {words} words have no sub-word, or none within '
      f'max_length={self.max_length}: they are tagged O.'
    )

  def decode(self, example, predicted: np.ndarray, num_words: int) -> list[str]:
    """Tags of a sentence's words, from labels `[length]` of its sub-words."""
    tags = ['O'] * num_words
    for label, word in zip(predicted, example['words'], strict=False):
      if word >= 0:
        tags[word] = self.labels[label]
    return tags


def score(
  sentences: Sentences, predictions: Iterable[Sequence[str]]
) -> dict[str, dict[str, float]]:
  """Entity scores of predicted tags, by the rules of the CoNLL script.

  Returns:
    A row for each type that occurs, true or predicted, `micro` and `macro`.
  """
  gold = [metrics.entity_spans(sentence.tags) for sentence in sentences]
  found = [metrics.entity_spans(tags) for tags in predictions]
  types = sorted({span.type for spans in gold + found for span in spans})
  none = np.zeros(len(types), np.int64)
  counts = sum(
    (
      metrics.span_counts(*spans, types)
      for spans in zip(gold, found, strict=True)
    ),
    start=Counts(none, none, none),
  )
  return metrics.span_scores(counts, types)


def headline(scores: Mapping[str, Mapping[str, float]]) -> float:
  """The number that the best checkpoint has the most of: micro F1."""
  return scores['micro']['f1']


def get_labels(sentences: Sentences) -> tuple[str, ...]:
  """`O`, then B and I of every type, also where a type never goes on."""
  types = {tag[2:] for s in sentences for tag in s.tags if tag != 'O'}
  if not types:
    raise ValueError('The training split has no entity: is data.columns right?')
  return ('O', *(f'{prefix}-{t}' for t in sorted(types) for prefix in 'BI'))


def read_splits(config, workdir: pathlib.Path) -> dict[str, Sentences]:
  """The sentences of the splits that a config names.

  A synthetic corpus is written to the workdir, unless a run is there.

  Raises:
    FileNotFoundError: a file that is not there.
    ValueError: a malformed file, an empty split, an unknown format.
  """
  data = config.data
  if data.format == 'synthetic':
    sizes, corpus = data.synthetic.sentences.to_dict(), workdir / CORPUS
    if (workdir / CONFIG).is_file():
      files = {split: corpus / f'{split}.conll' for split in sizes}
    else:
      files = synthetic.write_corpus(
        corpus,
        seed=config.seed,
        sizes=sizes,
        imbalance=data.synthetic.imbalance,
      )
    columns, scheme = {'token': 0, 'tag': 1}, 'bio'
  elif data.format == 'conll':
    directory = pathlib.Path(data.dir).expanduser()
    files = {s: directory / name for s, name in data.files.items() if name}
    columns, scheme = data.columns.to_dict(), data.scheme
  else:
    raise ValueError(
      f"data.format is 'conll' or 'synthetic', not {data.format!r}."
    )
  sources = conll.load(
    files,
    columns=columns,
    scheme=scheme,
    cache=pathlib.Path(data.cache).expanduser(),
  )
  return {
    split: [conll.decode(example) for example in source]
    for split, source in sources.items()
  }


def _first_sub_words(word_ids: Sequence[int | None]) -> list[int]:
  before = [None, *word_ids[:-1]]
  return [
    -1 if word is None or word == last else word
    for word, last in zip(word_ids, before, strict=True)
  ]
