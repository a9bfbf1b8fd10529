"""The part that classifiers of texts share, for one label or several."""

from collections.abc import Mapping
from collections.abc import Sequence
from typing import Any

import jax

from dicejax.text.label_sets import LabelSetDecoder
from dicejax.text.labels import LabelDecoder
from train.data.fields import LabelledText
from train.data.fields import Text
from train.tasks.task import Features


class TextTask:
  """Inputs and outputs of a task of texts, by the decoder of the library."""

  has_prior = True

  def __init__(self, config, decoder: LabelDecoder | LabelSetDecoder):
    self.labels = decoder.labels
    self._decoder = decoder
    self._max_length = config.max_length
    self._pooling = config.model.get('pooling', 'cls')

  def postprocess(self, logits: jax.Array, batch: dict) -> jax.Array:
    """Returns what `decode` needs of the logits, float32 `[batch, labels]`."""
    return self._decoder.postprocess(logits, batch)

  def decode(self, examples, features, outputs) -> list[list[float]]:
    """Returns the probabilities of the labels, per text."""
    return self._decoder.decode(examples, features, outputs)

  def decisions(
    self, tuned: Mapping[str, Any]
  ) -> Mapping[str, Mapping[str, Any]]:
    """Returns the rules, each with its `threshold`, if it has one."""
    return self._decoder.decisions(tuned)

  def choose(
    self,
    predictions: Sequence[Sequence[float]],
    parameters: Mapping[str, Any],
  ) -> list[Any]:
    """Chooses the label, or the labels, of each text by a rule."""
    return [self._decoder.choose(p, parameters) for p in predictions]

  def to_record(self, item, example, prediction, parameters) -> dict[str, Any]:
    """Returns the choice for a text, and the probabilities of all labels."""
    return self._decoder.to_record(item, prediction, parameters)

  def _encode(self, examples: Sequence[Text | LabelledText]) -> Features:
    """Makes the inputs of the model, see `LabelDecoder.features`."""
    return self._decoder.features(
      [e.text if e.pair is None else (e.text, e.pair) for e in examples]
    )

  def _note_cut(self, features: Features) -> list[str]:
    """Says how many texts were cut, if any were."""
    cut = sum(int(feature['cut']) for feature in features)
    if not cut:
      return []
    return [
      f'{cut} of {len(features)} texts are longer than '
      f'max_length={self._max_length}: the rest is cut off.'
    ]
