"""Tagging: a label for each word, read off its first sub-word."""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np
import tokenizers

from dicejax import metrics
from dicejax.models import BertConfig
from dicejax.models import TokenTagger
from dicejax.tversky import Counts
from train.data.conll import Sentence
from train.data.conll import are_spans
from train.data.tokenizer import first_sub_words
from train.data.tokenizer import mark_words
from train.data.tokenizer import padding_id
from train.objective import Objective
from train.objective import make_loss

# The tag of a word without a prediction where tags are no spans.
_NO_TAG = '_'


class Tagging:
  """The task for one tokenizer and one set of labels.

  Labels `O`, `B-X` and `I-X` spell entities, which are scored; any others are
  of single words (parts of speech), and each word is scored.

  Words beyond `config.max_length` sub-words have no prediction: what they hold
  is missed.

  Attributes:
    spans: whether labels spell entities.
  """

  headline = 'micro', 'f1'
  beside = ''

  def __init__(
    self, config, tokenizer: tokenizers.Tokenizer, labels: Sequence[str]
  ):
    self.labels = tuple(labels)
    self.fill = {'tokens': padding_id(tokenizer), 'labels': -1}
    if config.loss.activation != 'softmax':
      raise ValueError(
        "tagging needs loss.activation='softmax', not "
        f'{config.loss.activation!r}.'
      )
    mark_words(tokenizer)
    self._tokenizer = tokenizer
    self._max_length = config.max_length
    self._label_all = config.tagging.label_all
    self.spans = are_spans(self.labels)
    self._no_tag = 'O' if self.spans else _NO_TAG

  def model(self, encoder: BertConfig, dtype: str) -> TokenTagger:
    return TokenTagger(encoder, len(self.labels), dtype)

  def objective(self, loss, axis_name=None, class_counts=None):
    loss = make_loss(
      loss,
      self.labels,
      axis_name,
      class_counts=class_counts,
      background=self.background,
    )

    def init(logits, batch):
      return loss.init(logits, batch['labels'])

    def update(logits, batch, running):
      labels = batch['labels']
      return loss.update(logits, labels, labels >= 0, running)

    return Objective(init, update)

  @property
  def background(self) -> bool:
    return self.labels[0] == 'O'

  def targets(self, feature) -> np.ndarray:
    return feature['labels'][feature['labels'] >= 0]

  def answer(self, logits: jax.Array, batch: dict) -> jax.Array:
    """The most likely labels, int `[batch, length]`."""
    return jnp.argmax(logits, axis=-1)

  def features(
    self, examples: Sequence[Sentence]
  ) -> list[dict[str, np.ndarray]]:
    """Features of sentences.

    Args:
      examples: with tags that may be empty or not among the labels: then
        there is no label to learn from.

    Returns:
      For each sentence, int32 `[sub-words]`: `tokens`; `words`, the word that
      a first sub-word begins, else -1; `labels`, or -1.
    """
    # Each time: another task may share the tokenizer.
    self._tokenizer.enable_truncation(self._max_length)
    encodings = self._tokenizer.encode_batch(
      [sentence.tokens for sentence in examples], is_pretokenized=True
    )
    return [
      {
        'tokens': np.array(encoding.ids, np.int32),
        'words': np.array(first_sub_words(encoding.word_ids), np.int32),
        'labels': np.array(
          self._sub_word_labels(encoding.word_ids, sentence.tags), np.int32
        ),
      }
      for sentence, encoding in zip(examples, encodings, strict=True)
    ]

  def _sub_word_labels(self, word_ids, tags):
    ids = {label: i for i, label in enumerate(self.labels)}
    before, labels = None, []
    for word in word_ids:
      tag = tags[word] if tags and word is not None else None
      if word == before:
        begins = self.spans and tag in ids and tag.startswith('B-')
        again = f'I-{tag[2:]}' if begins else tag  # It begins but once.
        tag = again if self._label_all else None
      labels.append(ids.get(tag, -1))
      before = word
    return labels

  def describe(self, examples, features) -> list[str]:
    words = sum(len(sentence.tokens) for sentence in examples)
    seen = sum((f['words'] >= 0).sum() for f in features)
    unknown = sum(tag not in self.labels for s in examples for tag in s.tags)
    said = []
    if seen < words:
      said.append(
        f'{words - seen} of {words} words have no sub-word, or none within '
        f'max_length={self._max_length}: they are tagged {self._no_tag}.'
      )
    if unknown:
      said.append(
        f'{unknown} of {words} words have a tag that is not in the training '
        'split: it is never predicted, and counts as missed.'
      )
    return said

  def decode(self, examples, features, answers) -> list[list[str]]:
    """Tags of each sentence's words."""
    return [
      self._decode(sentence, feature['words'], answer)
      for sentence, feature, answer in zip(
        examples, features, answers, strict=True
      )
    ]

  def _decode(self, sentence, words, answer):
    tags = [self._no_tag] * len(sentence.tokens)
    for label, word in zip(answer, words, strict=False):
      if word >= 0:
        tags[word] = self.labels[label]
    return tags

  def tune(self, examples, predictions) -> dict[str, float]:
    return {}

  def score(self, examples, predictions, tuned):
    """Scores of entities by the rules of the CoNLL script, or of words.

    Returns:
      A row for each type that occurs, true or predicted, `micro` and `macro`.
    """
    spell = metrics.entity_spans if self.spans else _words_as_spans
    gold = [spell(sentence.tags) for sentence in examples]
    found = [spell(tags) for tags in predictions]
    types = sorted({span.type for spans in gold + found for span in spans})
    none = np.zeros(len(types), np.int64)
    counts = sum(
      (
        metrics.span_counts(*spans, types)
        for spans in zip(gold, found, strict=True)
      ),
      start=Counts(none, none, none),
    )
    return metrics.class_scores(counts, types)

  def write(self, path, examples, predictions, tuned) -> None:
    """Writes word, gold tag and predicted tag, as the CoNLL script reads."""
    path.with_suffix('.conll').write_text(
      '\n'.join(
        ''.join(
          f'{row[0]} {row[1]} {row[2]}\n'
          for row in zip(sentence.tokens, sentence.tags, tags, strict=True)
        )
        for sentence, tags in zip(examples, predictions, strict=True)
      ),
      encoding='utf-8',
    )


def get_labels(config, examples: Sequence[Sentence]) -> tuple[str, ...]:
  """`O`, then B and I of every type, also where a type never goes on.

  Of tags that are no spans, the tags.
  """
  tags = {tag for sentence in examples for tag in sentence.tags}
  if not are_spans(tags):
    return tuple(sorted(tags))
  types = {tag[2:] for tag in tags if tag != 'O'}
  if not types:
    raise ValueError('The training split has no entity: is the column right?')
  return ('O', *(f'{prefix}-{t}' for t in sorted(types) for prefix in 'BI'))


def _words_as_spans(tags):
  return [
    metrics.Span(tag, i, i + 1) for i, tag in enumerate(tags) if tag != _NO_TAG
  ]
