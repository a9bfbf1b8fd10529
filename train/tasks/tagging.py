"""Tagging: a label for each word, read off its first sub-word."""

import math
from collections.abc import Mapping
from collections.abc import Sequence
from typing import NamedTuple

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
from train.objective import learn_labels
from train.objective import make_loss
from train.tasks.task import PRF

# The tag of a word without a prediction where tags are no spans.
_NO_TAG = '_'
_TUNED = ', tuned'
_AVERAGES = 'micro', 'macro'


class Prediction(NamedTuple):
  """The candidate tags of a sentence, one value per word.

  Attributes:
    tags: the most likely ones; where tags spell entities, without `O`.
    probabilities: of these tags.
    gaps: by how much the logit of `O` is above that of the tag; -inf where
      there is no `O`, inf for a word without a prediction.
  """

  tags: list[str]
  probabilities: list[float]
  gaps: list[float]


class Tagging:
  """The task for one tokenizer and one set of labels.

  Labels `O`, `B-X` and `I-X` spell entities, which are scored; any others are
  of single words (parts of speech), and each word is scored.

  A word has the most likely label. Entities may be decided with an offset that
  is subtracted from the logit of `O`, tuned on dev: the more, the more of them
  are found. See `metrics.best_offset`.

  Words beyond `config.max_length` sub-words have no prediction: what they hold
  is missed.
  """

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
    self._has_entities = are_spans(self.labels)
    self._no_tag = 'O' if self._has_entities else _NO_TAG
    self.decision_rows = (
      ('micro', f'micro{_TUNED}') if self._has_entities else ('micro',)
    )
    self.headline = self.decision_rows[-1], 'f1'
    tuned = (f'micro{_TUNED}', f'macro{_TUNED}') if self._has_entities else ()
    self.selectable = dict.fromkeys(
      (*self._types(), 'micro', 'macro', *tuned), PRF
    )

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
    return learn_labels(loss, lambda batch: batch['labels'])

  has_prior = True

  @property
  def background(self) -> bool:
    return (
      self._has_entities
    )  # In parts of speech, O may be a tag like any other.

  def targets(self, feature) -> np.ndarray:
    return feature['labels'][feature['labels'] >= 0]

  def postprocess(self, logits: jax.Array, batch: dict) -> dict[str, jax.Array]:
    """The most likely labels but for `O`, and what to decide on them by.

    Returns:
      `[batch, length]` each: `label`, int; its `probability`; `gap`, the logit
      of `O` minus that of the label, -inf where tags are no spans.
    """
    first = int(self._has_entities)  # `O` is the first label.
    label = jnp.argmax(logits[..., first:], axis=-1) + first

    def of_label(values):
      return jnp.take_along_axis(values, label[..., None], axis=-1)[..., 0]

    background = logits[..., 0] if self._has_entities else -jnp.inf
    return {
      'label': label,
      'probability': of_label(jax.nn.softmax(logits)),
      'gap': background - of_label(logits),
    }

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
        begins = self._has_entities and tag in ids and tag.startswith('B-')
        again = f'I-{tag[2:]}' if begins else tag  # It begins but once.
        tag = again if self._label_all else None
      labels.append(ids.get(tag, -1))
      before = word
    return labels

  def notes(self, examples, features) -> list[str]:
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
    tags = {tag for sentence in examples for tag in sentence.tags}
    if self._has_entities and tags == {'O'}:
      said.append(
        'no word is in an entity: their F1 is 0, and no offset can be tuned '
        'here: it is 0.'
      )
    return said

  def decode(self, examples, features, answers) -> list[Prediction]:
    """Returns the candidate tags of each sentence."""
    return [
      self._decode(sentence, feature['words'], answer)
      for sentence, feature, answer in zip(
        examples, features, answers, strict=True
      )
    ]

  def _decode(self, sentence, words, answer):
    length = len(sentence.tokens)
    found = Prediction(
      [self._no_tag] * length, [0.0] * length, [math.inf] * length
    )
    first = np.flatnonzero(words >= 0)
    columns = (answer[n][first] for n in ('label', 'probability', 'gap'))
    for word, label, probability, gap in zip(
      words[first].tolist(), *(c.tolist() for c in columns), strict=True
    ):
      found.tags[word] = self.labels[label]
      found.probabilities[word] = probability
      found.gaps[word] = gap
    return found

  def tune(self, examples, predictions) -> dict[str, float]:
    """The offset with the highest micro F1 of entities; 0 if there are none."""
    if not self._has_entities:
      return {}
    gold = [sentence.tags for sentence in examples]
    if not any(map(metrics.entity_spans, gold)):
      return {'offset': 0.0}
    offset, _ = metrics.best_offset(
      # The dtype of the logits, whose neighbours are to be parted.
      [np.array(p.gaps, np.float32) for p in predictions],
      [p.tags for p in predictions],
      gold,
    )
    return {'offset': offset}

  def decisions(
    self, tuned: Mapping[str, float]
  ) -> dict[str, Mapping[str, float]]:
    """Rules and the offset of `O`, which only entities have."""
    if not self._has_entities:
      return {'argmax': {}}
    rules = {'argmax': {'offset': 0.0}}
    if 'offset' in tuned:
      rules['tuned'] = {'offset': tuned['offset']}
    return rules

  def tags(
    self, prediction: Prediction, parameters: Mapping[str, float]
  ) -> list[str]:
    """The tags of a sentence's words, by a rule of `decisions`."""
    offset = parameters.get('offset', 0.0)
    return [
      tag if gap < offset else self._no_tag
      for tag, gap in zip(prediction.tags, prediction.gaps, strict=True)
    ]

  def entities(
    self, prediction: Prediction, parameters: Mapping[str, float]
  ) -> list[tuple[metrics.Span, float]]:
    """The entities of a sentence, each with a score.

    The score is the probability that its words have the tags which spell it:
    the product of theirs, as the model tags each word by itself.
    """
    spans = metrics.entity_spans(self.tags(prediction, parameters))
    return [
      (span, math.prod(prediction.probabilities[span.start : span.end]))
      for span in spans
    ]

  def score(self, examples, predictions, tuned):
    """Scores of entities by the rules of the CoNLL script, or of words.

    Returns:
      A row for each type of the labels or of a true entity, `micro` and
      `macro`; `micro` and `macro` once more with the tuned offset.
    """
    rows = {}
    for rule, parameters in self.decisions(tuned).items():
      tags = [self.tags(p, parameters) for p in predictions]
      scores = self._score(examples, tags)
      if rule == 'argmax':
        rows = scores
      else:
        rows[f'micro{_TUNED}'] = scores['micro'] | parameters
        rows[f'macro{_TUNED}'] = scores['macro']
    return rows

  def _types(self) -> list[str]:
    """Types of the entities that may be predicted, or the labels."""
    if not self._has_entities:
      return list(self.labels)
    return list(dict.fromkeys(tag[2:] for tag in self.labels if tag != 'O'))

  def _score(self, examples, tags):
    spell = metrics.entity_spans if self._has_entities else _words_as_spans
    gold = [spell(sentence.tags) for sentence in examples]
    found = [spell(row) for row in tags]
    types = sorted(
      {span.type for spans in gold for span in spans}.union(self._types())
    )
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
    """Writes word, gold tag and predicted tag, as the CoNLL script reads.

    `path.conll` holds those of argmax, `path.tuned.conll` those of the offset.
    """
    for rule, parameters in self.decisions(tuned).items():
      suffix = '.conll' if rule == 'argmax' else f'.{rule}.conll'
      path.with_name(path.name + suffix).write_text(
        '\n'.join(
          ''.join(
            f'{token} {tag} {found}\n'
            for token, tag, found in zip(
              sentence.tokens,
              sentence.tags,
              self.tags(prediction, parameters),
              strict=True,
            )
          )
          for sentence, prediction in zip(examples, predictions, strict=True)
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
  rows = {name + suffix for name in _AVERAGES for suffix in ('', _TUNED)}
  if reserved := rows & types:
    raise ValueError(
      f'The entity type {min(reserved)!r} is called like a row of the scores: '
      'expected another name.'
    )
  if not types:
    raise ValueError('The training split has no entity: is the column right?')
  return ('O', *(f'{prefix}-{t}' for t in sorted(types) for prefix in 'BI'))


def _words_as_spans(tags):
  return [
    metrics.Span(tag, i, i + 1) for i, tag in enumerate(tags) if tag != _NO_TAG
  ]
