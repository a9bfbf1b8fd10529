"""Tags of words: sentences for a `TokenTagger`, and what its logits say."""

from __future__ import annotations

import math
from collections.abc import Iterable
from collections.abc import Mapping
from collections.abc import Sequence
from typing import Any
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import tokenizers

from dicejax import metrics
from dicejax.text.inputs import Input
from dicejax.text.inputs import join_words
from dicejax.text.overlap import make_windows
from dicejax.text.tokenizer import check_length
from dicejax.text.tokenizer import copy_tokenizer
from dicejax.text.tokenizer import mark_words
from dicejax.text.tokenizer import padding_id
from dicejax.text.words import place_entities
from dicejax.text.words import split_words

# The tag of a word without a prediction, where tags do not spell entities.
NO_TAG = '_'


def are_spans(tags: Iterable[str]) -> bool:
  """Returns whether all tags are `O`, `B-X` or `I-X`, which spell entities."""
  return all(tag == 'O' or tag[:2] in ('B-', 'I-') for tag in tags)


class Prediction(NamedTuple):
  """The candidate tags of a sentence, one value per word.

  Attributes:
    tags: the most likely tags; where tags spell entities, `O` is excluded.
    probabilities: the probabilities of these tags.
    gaps: the logit of `O` minus the logit of the tag; -inf where there is no
      `O`, inf for a word without a prediction.
  """

  tags: list[str]
  probabilities: list[float]
  gaps: list[float]


class TagDecoder:
  """Turns words into inputs of a tagger, and its logits into tags.

  A word has the label of its first sub-word. Where labels spell entities, an
  offset may be subtracted from the logit of `O`: the higher it is, the more
  entities are found. See `metrics.best_offset`.

  Attributes:
    labels: names of the classes.
    has_entities: whether labels spell entities in BIO.
    no_tag: the tag of a word outside entities, or without a prediction.
    fill: names of the features that go into a batch → value that pads them.
    tokenizer: a copy that neither truncates nor pads.
    max_length: largest number of sub-words of an input.
  """

  def __init__(
    self,
    tokenizer: tokenizers.Tokenizer,
    labels: Sequence[str],
    max_length: int,
  ):
    """Makes a decoder.

    Args:
      tokenizer: the tokenizer of the encoder, which is copied.
      labels: names of the classes; where they spell entities, `O` is the first.
      max_length: largest number of sub-words of an input.

    Raises:
      ValueError: `max_length` leaves no room for a word.
    """
    check_length(tokenizer, max_length)
    self.labels = tuple(labels)
    self.has_entities = are_spans(self.labels) and 'O' in self.labels[:1]
    self.no_tag = 'O' if self.has_entities else NO_TAG
    self.fill = {'tokens': padding_id(tokenizer), 'segments': 0}
    self.tokenizer = copy_tokenizer(tokenizer)
    self.max_length = max_length
    mark_words(self.tokenizer)

  def read(self, given: str | Sequence[str]) -> Input:
    """Reads a sentence, or its words."""
    if isinstance(given, str):
      return Input(given, words=split_words(given))
    return join_words(given)

  def example(self, item: Input) -> list[str]:
    """Returns the words of an input, as `features` and `decode` take them."""
    return [item.text[start:end] for start, end in item.words or ()]

  def features(
    self, sentences: Sequence[Sequence[str]]
  ) -> list[dict[str, np.ndarray]]:
    """Makes the inputs of the model from the words of sentences.

    Returns:
      Per window of a sentence (see `make_windows`), int32 `[sub-words]`:
      `tokens`; `segments`; `words`, the word that a first sub-word begins, else
      -1; and 0-D: `example`, the number of the sentence.
    """
    return [
      {
        'tokens': np.array(window.tokens, np.int32),
        'segments': np.array(window.segments, np.int32),
        'words': np.array(window.words, np.int32),
        'example': np.array(window.example, np.int32),
      }
      for window in make_windows(self.tokenizer, sentences, self.max_length)
    ]

  def postprocess(self, logits: jax.Array, batch: dict) -> dict[str, jax.Array]:
    """Returns the most likely labels except `O`, and how they are decided on.

    Args:
      logits: `[batch, length, labels]`.
      batch: not used.

    Returns:
      `[batch, length]` each: `label`, int; its `probability`; `gap`, the logit
      of `O` minus the logit of the label, -inf where tags spell no entities.
    """
    first = int(self.has_entities)  # Label 0 is then `O`.
    label = jnp.argmax(logits[..., first:], axis=-1) + first

    def at_label(values):
      return jnp.take_along_axis(values, label[..., None], axis=-1)[..., 0]

    background = logits[..., 0] if self.has_entities else -jnp.inf
    return {
      'label': label,
      'probability': at_label(jax.nn.softmax(logits)),
      'gap': background - at_label(logits),
    }

  def decode(
    self,
    sentences: Sequence[Sequence[str]],
    features: Sequence[Mapping[str, np.ndarray]],
    outputs: Sequence[Mapping[str, np.ndarray]],
  ) -> list[Prediction]:
    """Returns the candidate tags of each sentence, from its windows."""
    predictions = [self._nothing(len(words)) for words in sentences]
    for feature, output in zip(features, outputs, strict=True):
      found = predictions[int(feature['example'])]
      self._fill_in(found, feature['words'], output)
    return predictions

  def _nothing(self, length: int) -> Prediction:
    return Prediction(
      [self.no_tag] * length, [0.0] * length, [math.inf] * length
    )

  def _fill_in(self, found: Prediction, words, output) -> None:
    """Fills in the words that a window has, and leaves the others alone."""
    first = np.flatnonzero(words >= 0)
    columns = (output[n][first] for n in ('label', 'probability', 'gap'))
    for word, label, probability, gap in zip(
      words[first].tolist(), *(c.tolist() for c in columns), strict=True
    ):
      found.tags[word] = self.labels[label]
      found.probabilities[word] = probability
      found.gaps[word] = gap

  def tags(
    self, prediction: Prediction, parameters: Mapping[str, float]
  ) -> list[str]:
    """Returns the tags of a sentence's words, with the `offset` of `O`."""
    offset = parameters.get('offset', 0.0)
    return [
      tag if gap < offset else self.no_tag
      for tag, gap in zip(prediction.tags, prediction.gaps, strict=True)
    ]

  def entities(
    self, prediction: Prediction, parameters: Mapping[str, float]
  ) -> list[tuple[metrics.Span, float]]:
    """Returns the entities of a sentence, each with a score.

    The score is the probability that its words have the tags that spell it: the
    product of their probabilities, as the model tags each word independently.
    """
    spans = metrics.entity_spans(self.tags(prediction, parameters))
    return [
      (span, math.prod(prediction.probabilities[span.start : span.end]))
      for span in spans
    ]

  def decisions(
    self, tuned: Mapping[str, float]
  ) -> Mapping[str, Mapping[str, float]]:
    """Returns the rules, and the offset of `O`, which only entities have."""
    if not self.has_entities:
      return {'argmax': {}}
    rules: dict[str, Mapping[str, float]] = {'argmax': {'offset': 0.0}}
    if 'offset' in tuned:
      rules['tuned'] = {'offset': tuned['offset']}
    return rules

  def to_record(
    self,
    item: Input,
    prediction: Prediction,
    parameters: Mapping[str, float],
  ) -> dict[str, Any]:
    """Returns the entities of a sentence, or the tags of its words."""
    if self.has_entities:
      found = self.entities(prediction, parameters)
      entities = place_entities(item.text, item.words or (), found)
      return {'text': item.text, 'entities': entities}
    return {
      'text': item.text,
      'words': self.example(item),
      'tags': self.tags(prediction, parameters),
      'scores': [round(p, 6) for p in prediction.probabilities],
    }
