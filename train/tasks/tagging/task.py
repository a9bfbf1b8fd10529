"""The task of tagging: a label for each word, read off its first sub-word."""

import collections
import pathlib
from collections.abc import Mapping
from collections.abc import Sequence
from typing import Any

import jax
import numpy as np
import tokenizers

from dicejax import metrics
from dicejax.models import EncoderConfig
from dicejax.models import TokenTagger
from dicejax.text.tags import Prediction
from dicejax.text.tags import TagDecoder
from train.data.conll import Sentence
from train.objective import Objective
from train.objective import learn_labels
from train.objective import make_loss
from train.objective import unpack_rows
from train.tasks.tagging import labels as label_names
from train.tasks.tagging.features import make_features
from train.tasks.tagging.labels import TUNED
from train.tasks.task import PRF
from train.tasks.task import Features
from train.tasks.task import Scores
from train.tasks.task import most_in_row


class Tagging:
  """The task for one tokenizer and one set of labels.

  Labels `O`, `B-X` and `I-X` spell entities, which are scored; any other labels
  belong to single words (parts of speech), and each word is scored.

  A word has the most likely label. Entities may be decided with an offset that
  is subtracted from the logit of `O` and tuned on dev: the higher it is, the
  more entities are found. See `metrics.best_offset`.

  A sentence of more than `config.max_length` sub-words is read in windows that
  overlap, see `make_windows`. A word without a sub-word has no prediction.
  """

  example_types = (Sentence,)
  has_prior = True
  get_labels = staticmethod(label_names.get_labels)

  def __init__(
    self, config, tokenizer: tokenizers.Tokenizer, labels: Sequence[str]
  ):
    self.labels = tuple(labels)
    self._decoder = TagDecoder(tokenizer, labels, config.max_length)
    self.fill = self._decoder.fill | {'labels': -1}
    if config.loss.activation != 'softmax':
      raise ValueError(
        "tagging needs loss.activation='softmax', not "
        f'{config.loss.activation!r}.'
      )
    self._max_length = config.max_length
    # Logits are [rows, tokens, classes]; by default a set has all tokens.
    axis = config.loss.options.get('axis')
    self._set_per_sentence = axis is not None and {
      *np.atleast_1d(axis) % 3
    } == {1}
    self._most_in_row = most_in_row(config)
    self._label_all = config.tagging.label_all
    self._has_entities = self._decoder.has_entities
    # Among parts of speech, O may be a tag like any other.
    self.background = self._has_entities
    rows, tuned = ('micro',), ()
    if self._has_entities:
      rows, tuned = (
        ('micro', f'micro{TUNED}'),
        (f'micro{TUNED}', f'macro{TUNED}'),
      )
    self.decision_rows: tuple[str, ...] = rows
    self.headline = rows[-1], 'f1'
    self.selectable = dict.fromkeys(
      (*label_names.types_of(self.labels), 'micro', 'macro', *tuned), PRF
    )

  def model(self, encoder: EncoderConfig, dtype: str) -> TokenTagger:
    return TokenTagger(encoder, len(self.labels), dtype)

  def objective(self, loss, axis_name=None, class_counts=None) -> Objective:
    loss = make_loss(
      loss,
      self.labels,
      axis_name,
      class_counts=class_counts,
      background=self.background,
    )

    def select(logits, batch):
      labels = batch['labels']
      if self._set_per_sentence and batch['mask'].dtype != bool:
        # Unpacked padding is 0, and has to become the label -1.
        logits, labels = unpack_rows(
          (logits, labels + 1), batch['mask'], self._most_in_row
        )
        labels -= 1
      return logits, labels

    return learn_labels(loss, select)

  def targets(self, feature) -> np.ndarray:
    return feature['labels'][feature['labels'] >= 0]

  def features(self, examples: Sequence[Sentence]) -> Features:
    """Makes the features of sentences: see `make_features`."""
    return make_features(
      self._decoder.tokenizer,
      examples,
      self.labels,
      self._max_length,
      label_all=self._label_all,
      has_entities=self._has_entities,
    )

  def notes(self, examples: Sequence[Sentence], features) -> list[str]:
    words = sum(len(sentence.tokens) for sentence in examples)
    seen = sum((f['words'] >= 0).sum() for f in features)
    unknown = sum(tag not in self.labels for s in examples for tag in s.tags)
    notes = []
    if seen < words:
      notes.append(
        f'{words - seen} of {words} words have no sub-word: they are tagged '
        f'{self._decoder.no_tag}.'
      )
    windows = collections.Counter(int(f['example']) for f in features)
    if long := sum(number > 1 for number in windows.values()):
      notes.append(
        f'{long} of {len(examples)} sentences are longer than '
        f'max_length={self._max_length}: they are read in windows.'
      )
    if unknown:
      notes.append(
        f'{unknown} of {words} words have a tag that is not in the training '
        'split: it is never predicted, and counts as missed.'
      )
    tags = {tag for sentence in examples for tag in sentence.tags}
    if self._has_entities and tags == {'O'}:
      notes.append(
        'no word is in an entity: their F1 is 0, and no offset can be tuned '
        'here: it is 0.'
      )
    return notes

  def postprocess(self, logits: jax.Array, batch: dict) -> dict[str, jax.Array]:
    """Returns the most likely labels, see `TagDecoder`."""
    return self._decoder.postprocess(logits, batch)

  def decode(self, examples, features, outputs) -> list[Prediction]:
    """Returns the candidate tags of each sentence."""
    sentences = [sentence.tokens for sentence in examples]
    return self._decoder.decode(sentences, features, outputs)

  def tune(self, examples, predictions) -> dict[str, float]:
    """Returns the offset with the highest micro F1; 0 if there is no entity."""
    if not self._has_entities:
      return {}
    gold = [sentence.tags for sentence in examples]
    if not any(map(metrics.entity_spans, gold)):
      return {'offset': 0.0}
    offset, _ = metrics.best_offset(
      # In the dtype of the logits, so that it can separate neighbours.
      [np.array(p.gaps, np.float32) for p in predictions],
      [p.tags for p in predictions],
      gold,
    )
    return {'offset': offset}

  def decisions(
    self, tuned: Mapping[str, float]
  ) -> Mapping[str, Mapping[str, float]]:
    """Returns the rules, and the offset of `O`, which only entities have."""
    return self._decoder.decisions(tuned)

  def tags(
    self, prediction: Prediction, parameters: Mapping[str, float]
  ) -> list[str]:
    """Returns the tags of a sentence's words, by a rule of `decisions`."""
    return self._decoder.tags(prediction, parameters)

  def entities(
    self, prediction: Prediction, parameters: Mapping[str, float]
  ) -> list[tuple[metrics.Span, float]]:
    """Returns the entities of a sentence, each with a score."""
    return self._decoder.entities(prediction, parameters)

  def score(self, examples, predictions, tuned) -> Scores:
    """Scores entities by the rules of the CoNLL script, or words.

    Returns:
      A row per type of the labels or of a true entity, `micro` and `macro`;
      `micro` and `macro` once more with the tuned offset.
    """
    gold, rows = [sentence.tags for sentence in examples], {}
    for rule, parameters in self.decisions(tuned).items():
      tags = [self.tags(p, parameters) for p in predictions]
      scores = label_names.score_tags(gold, tags, self.labels)
      if rule == 'argmax':
        rows = scores
      else:
        rows[f'micro{TUNED}'] = scores['micro'] | parameters
        rows[f'macro{TUNED}'] = scores['macro']
    return rows

  def write(self, path: pathlib.Path, examples, predictions, tuned) -> None:
    """Writes word, gold tag and predicted tag, as the CoNLL script reads them.

    `path.conll` holds the tags of the argmax, `path.tuned.conll` those that the
    offset decides.
    """
    for rule, parameters in self.decisions(tuned).items():
      suffix = '.conll' if rule == 'argmax' else f'.{rule}.conll'
      blocks = (
        _join_columns(e.tokens, e.tags, self.tags(prediction, parameters))
        for e, prediction in zip(examples, predictions, strict=True)
      )
      path.with_name(path.name + suffix).write_text(
        '\n'.join(blocks), encoding='utf-8'
      )

  def to_record(self, item, example, prediction, parameters) -> dict[str, Any]:
    """Returns the entities of a sentence, or the tags of its words."""
    return self._decoder.to_record(item, prediction, parameters)

  def to_columns(self, example, prediction, parameters) -> str:
    """Returns a line per word: the word and its tag."""
    return _join_columns(example.tokens, self.tags(prediction, parameters))


def _join_columns(*columns: Sequence[str]) -> str:
  return ''.join(f'{" ".join(row)}\n' for row in zip(*columns, strict=True))
