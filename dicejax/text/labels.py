"""Labels of texts: inputs of a `TextClassifier`, and what its logits say."""

from __future__ import annotations

from collections.abc import Mapping
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import tokenizers

from dicejax.text.inputs import Input
from dicejax.text.tokenizer import check_length
from dicejax.text.tokenizer import copy_tokenizer
from dicejax.text.tokenizer import padding_id

HALF = 0.5  # The threshold of a label that is as likely as its absence.


class TextDecoder:
  """Turns texts, or pairs of texts, into inputs of a classifier.

  Attributes:
    labels: names of the classes.
    fill: names of the features that go into a batch → value that pads them.
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
      labels: names of the classes.
      max_length: largest number of sub-words of an input.

    Raises:
      ValueError: `max_length` leaves no room for a text.
    """
    check_length(tokenizer, max_length)
    self.labels = tuple(labels)
    self.fill = {'tokens': padding_id(tokenizer), 'segments': 0}
    self._tokenizer = copy_tokenizer(tokenizer)
    self._tokenizer.enable_truncation(max_length, strategy='longest_first')
    self._max_length = max_length

  def read(self, given: str | tuple[str, str]) -> Input:
    """Reads a text, or a pair of texts.

    Raises:
      TypeError: it is neither.
    """
    if isinstance(given, str):
      return Input(given)
    if not isinstance(given, Sequence) or list(map(type, given)) != [str, str]:
      raise TypeError(f'Expected a text or a pair of texts, not {given!r}.')
    return Input(*given)

  def example(self, item: Input) -> str | tuple[str, str]:
    """Returns an input as `features` takes it."""
    return item.text if item.pair is None else (item.text, item.pair)

  def features(
    self, texts: Sequence[str | tuple[str, str]]
  ) -> list[dict[str, np.ndarray]]:
    """Makes the inputs of the model from texts and pairs of texts.

    The input is `[CLS] text [SEP]` or `[CLS] text [SEP] pair [SEP]`. If it is
    too long, the longer of the two texts is cut.

    Returns:
      Per text, int32 `[sub-words]`: `tokens`; `segments`, 1 in the second text
      if the tokenizer's model has segments; and 0-D: `cut`, 1 if a text was
      cut.

    Raises:
      ValueError: `max_length` leaves no room for a pair, which one of them is.
    """
    if any(isinstance(text, tuple) for text in texts):
      check_length(self._tokenizer, self._max_length, pair=True)
    return [
      {
        'tokens': np.array(encoding.ids, np.int32),
        'segments': np.array(encoding.type_ids, np.int32),
        'cut': np.array(bool(encoding.overflowing), np.int32),
      }
      for encoding in self._tokenizer.encode_batch(list(texts))
    ]

  def decisions(
    self, tuned: Mapping[str, Any]
  ) -> Mapping[str, Mapping[str, Any]]:
    """Returns the rules, each with its `threshold`."""
    rules: dict[str, Mapping[str, Any]] = {'argmax': {'threshold': HALF}}
    if 'threshold' in tuned:
      rules['tuned'] = {'threshold': tuned['threshold']}
    if 'plug_in' in tuned:
      rules['plug-in'] = {'threshold': tuned['plug_in']}
    return rules

  def _record(self, item, prediction, **chosen) -> dict[str, Any]:
    """Makes a record of a text, what was chosen, and all probabilities."""
    pair = {} if item.pair is None else {'pair': item.pair}
    probabilities = dict(zip(self.labels, prediction, strict=True))
    return {'text': item.text, **pair, **chosen, 'probabilities': probabilities}


class LabelDecoder(TextDecoder):
  """Turns texts, or pairs, into inputs of a classifier, and logits into labels.

  With a positive label, the last of two, a text has it if its probability is at
  least a threshold. Otherwise a text has the likeliest label, the first among
  equals.

  Attributes:
    labels: names of the classes.
    fill: names of the features that go into a batch → value that pads them.
  """

  def __init__(
    self,
    tokenizer: tokenizers.Tokenizer,
    labels: Sequence[str],
    max_length: int,
    *,
    positive: str = '',
    sigmoid: bool = False,
  ):
    """Makes a decoder.

    Args:
      tokenizer: the tokenizer of the encoder, which is copied.
      labels: names of the classes, the positive one last.
      max_length: largest number of sub-words of an input.
      positive: name of the positive label; '' if there is none.
      sigmoid: whether there is a single logit, for the positive label.
    """
    super().__init__(tokenizer, labels, max_length)
    self._positive, self._sigmoid = positive, sigmoid

  def postprocess(self, logits: jax.Array, batch: dict) -> jax.Array:
    """Returns the probabilities of the labels, float32 `[batch, labels]`."""
    if self._sigmoid:
      # 1 - p would have no digits left where p is almost 1.
      return jax.nn.sigmoid(jnp.concatenate([-logits, logits], axis=-1))
    return jax.nn.softmax(logits)

  def decode(self, texts, features, outputs) -> list[list[float]]:
    """Returns the probabilities of the labels, per text."""
    return [output.tolist() for output in outputs]

  def choose(
    self, prediction: Sequence[float], parameters: Mapping[str, float]
  ) -> str:
    """Chooses the label of a text, with the `threshold` of the positive one."""
    if self._positive:
      return self.labels[int(prediction[-1] >= parameters['threshold'])]
    return self.labels[int(np.argmax(prediction))]

  def decisions(
    self, tuned: Mapping[str, float]
  ) -> Mapping[str, Mapping[str, float]]:
    """Returns the rules, and the threshold of the positive label, if any."""
    if not self._positive:
      return {'argmax': {}}
    return super().decisions(tuned)

  def to_record(
    self,
    item: Input,
    prediction: Sequence[float],
    parameters: Mapping[str, float],
  ) -> dict[str, Any]:
    """Returns the label of a text, and the probabilities of all labels."""
    label = self.choose(prediction, parameters)
    return self._record(item, prediction, label=label)
