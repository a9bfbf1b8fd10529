"""Sets of labels of texts: what the independent logits of a classifier say."""

from __future__ import annotations

from collections.abc import Mapping
from collections.abc import Sequence
from typing import Any

import jax
import numpy as np
from scipy import special

from dicejax.text.inputs import Input
from dicejax.text.labels import TextDecoder

HALF = 0.5  # Where a label is as likely as its absence.


class LabelSetDecoder(TextDecoder):
  """Turns texts into inputs of a classifier, and logits into sets of labels.

  A text has each label whose probability is at least the threshold of this
  label; it may have any number.

  Attributes:
    labels: names of the labels.
    fill: names of the features that go into a batch → value that pads them.
  """

  def postprocess(self, logits: jax.Array, batch: dict) -> jax.Array:
    """Returns the logits of the labels, float32 `[batch, labels]`."""
    return logits

  def decode(self, texts, features, outputs) -> list[list[float]]:
    """Returns the probabilities of the labels, per text."""
    # In float64: near 1, float32 would have few digits left.
    return [special.expit(np.float64(logits)).tolist() for logits in outputs]

  def choose(
    self,
    prediction: Sequence[float],
    parameters: Mapping[str, float | Mapping[str, float]],
  ) -> list[str]:
    """Chooses the labels of a text.

    Args:
      prediction: its probabilities.
      parameters: `threshold`: a number for all labels, or label → number.
    """
    thresholds = parameters['threshold']
    if not isinstance(thresholds, Mapping):
      thresholds = dict.fromkeys(self.labels, thresholds)
    return [
      label
      for label, p in zip(self.labels, prediction, strict=True)
      if p >= thresholds[label]
    ]

  def decisions(self, tuned: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    """Returns the rules, each with a `threshold` for all labels or for each."""
    rules: dict[str, Mapping[str, Any]] = {'argmax': {'threshold': HALF}}
    if 'threshold' in tuned:
      rules['tuned'] = {'threshold': tuned['threshold']}
    if 'plug_in' in tuned:
      rules['plug-in'] = {'threshold': tuned['plug_in']}
    return rules

  def to_record(
    self,
    item: Input,
    prediction: Sequence[float],
    parameters: Mapping[str, Any],
  ) -> dict[str, Any]:
    """Returns the labels of a text, and the probabilities of all labels."""
    pair = {} if item.pair is None else {'pair': item.pair}
    return {
      'text': item.text,
      **pair,
      'labels': self.choose(prediction, parameters),
      'probabilities': dict(zip(self.labels, prediction, strict=True)),
    }
