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
    elif missing := [x for x in self.labels if x not in thresholds]:
      raise ValueError(f'threshold: expected a number for {missing[0]!r} too.')
    return [
      label
      for label, p in zip(self.labels, prediction, strict=True)
      if p >= thresholds[label]
    ]

  def to_record(
    self,
    item: Input,
    prediction: Sequence[float],
    parameters: Mapping[str, Any],
  ) -> dict[str, Any]:
    """Returns the labels of a text, and the probabilities of all labels."""
    labels = self.choose(prediction, parameters)
    return self._record(item, prediction, labels=labels)
