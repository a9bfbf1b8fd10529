"""A trained model that is called with texts."""

from __future__ import annotations

import collections
import functools
import math
import numbers
import operator
from collections.abc import Iterator
from collections.abc import Mapping
from collections.abc import Sequence
from typing import Any
from typing import Protocol

import jax
import numpy as np
from flax import linen as nn
from jax.sharding import NamedSharding
from jax.sharding import PartitionSpec

from dicejax.text.batches import batches_in_order
from dicejax.text.inputs import Input

# At most so many batches are computed at the same time: their results take
# memory of the devices until they are fetched.
_UNDER_WAY = 16


class Decoder(Protocol):
  """Interface of a task: it reads inputs and decodes outputs.

  Attributes:
    fill: names of the features that go into a batch → value that pads them.
  """

  fill: dict[str, int]

  def read(self, given: Any, /) -> Input:
    """Reads what the user gives; raises TypeError if it is something else."""
    ...

  def example(self, item: Input, /) -> Any:
    """Returns an input as `features` and `decode` take it."""
    ...

  def features(self, examples: Sequence[Any], /) -> list[dict[str, np.ndarray]]:
    """Makes the inputs of the model; an example may have several."""
    ...

  def postprocess(self, outputs: Any, batch: dict, /) -> Any:
    """Returns the part of the outputs that `decode` needs, on the device."""
    ...

  def decode(
    self, examples: Sequence[Any], features: Sequence, outputs: Sequence, /
  ) -> list:
    """Returns a prediction per example."""
    ...

  def decisions(
    self, tuned: Mapping[str, float], /
  ) -> Mapping[str, Mapping[str, float]]:
    """Returns the rules by which predictions may be decided, as parameters."""
    ...

  def to_record(
    self, item: Any, prediction: Any, parameters: Mapping[str, float], /
  ) -> dict[str, Any]:
    """Returns a prediction as values for JSON."""
    ...


class Predictor:
  """A trained model, from `dicejax.load`, that is called with texts.

  Attributes:
    model: an encoder with a head.
    params: its parameters, on all devices.
    decoder: reads inputs and outputs.
    decided_by: the rule of decision and its parameters, which each prediction
      repeats.
  """

  def __init__(
    self,
    model: nn.Module,
    params: Any,
    decoder: Decoder,
    *,
    max_length: int,
    tuned: Mapping[str, float],
    decision: str = '',
    batch_size: int = 32,
  ):
    """Makes a predictor.

    Args:
      model: an encoder with a head.
      params: its parameters.
      decoder: reads inputs and outputs of the model.
      max_length: largest number of sub-words of an input.
      tuned: parameters of decisions, tuned on held-out data.
      decision: a rule of decision; by default the tuned one, if there is one.
      batch_size: number of inputs that are computed together.

    Raises:
      ValueError: the model does not have the rule.
    """
    rules = decoder.decisions(tuned)
    rule = decision or ('tuned' if 'tuned' in rules else 'argmax')
    if rule not in rules:
      raise ValueError(
        f'decision={rule!r}: this model has {" and ".join(rules)}.'
      )
    self.model, self.decoder = model, decoder
    self.decided_by: dict[str, Any] = {'rule': rule, **rules[rule]}
    self._max_length, self._batch_size = max_length, batch_size
    mesh = jax.make_mesh(
      (jax.device_count(),), ('data',), (jax.sharding.AxisType.Auto,)
    )
    whole, by_row = PartitionSpec(), PartitionSpec('data')
    self.params = jax.device_put(params, NamedSharding(mesh, whole))
    self._rows = NamedSharding(mesh, by_row)
    # Each device works on its own rows, without communication.
    step = jax.shard_map(
      functools.partial(_step, model, decoder.postprocess),
      mesh=mesh,
      in_specs=(whole, by_row),
      out_specs=by_row,
      check_vma=False,
    )
    self._step = jax.jit(step)

  def __call__(
    self, inputs: Any, **parameters: float | Mapping[str, float]
  ) -> Any:
    """Predicts.

    Inputs are batched by length. The network is compiled once for each width
    of a batch, and once more for single inputs.

    Args:
      inputs: a list. For tagging, of sentences, each a text or a list of words;
        for classification, of texts or pairs of texts; for questions, of
        mappings with `question`, `context` and perhaps `id`, or of pairs. A
        single text is predicted alone.
      **parameters: replace those of the decision, such as `threshold` of a
        classifier (lower finds more) or `offset` of a tagger (higher finds
        more). Where a text has several labels, `threshold` is one for all, or a
        dict with one for each.

    Returns:
      A dict for each input, as `python -m train.predict` writes them: its text
      and the entities (`type`, `start`, `end`, `text`, `score`), the tags, the
      label with all probabilities, or the answers; and `decided_by`. For a
      single text, one dict.

    Raises:
      TypeError: an input is of another kind.
      ValueError: the decision has no such parameter, or it is no number.
    """
    decided_by = self._decide(parameters)
    if isinstance(inputs, str | Mapping):
      return self._predict([inputs], decided_by)[0]
    return self._predict(list(inputs), decided_by)

  def _decide(self, parameters):
    for name in parameters:
      if name not in self.decided_by or name == 'rule':
        own = sorted(self.decided_by.keys() - {'rule'})
        raise ValueError(
          f'{name}: this model is decided by {self.decided_by["rule"]}, with '
          f'{", ".join(own) or "no parameter"}.'
        )
      value = parameters[name]
      for x in value.values() if isinstance(value, Mapping) else [value]:
        if not isinstance(x, numbers.Real) or not math.isfinite(x):
          raise ValueError(f'{name} is a finite number, not {x!r}.')
    if not parameters:
      return self.decided_by
    return {**self.decided_by, **parameters, 'rule': 'given'}

  def _predict(self, inputs, decided_by) -> list[dict[str, Any]]:
    decoder = self.decoder
    items = [decoder.read(given) for given in inputs]
    examples = [decoder.example(item) for item in items]
    features = decoder.features(examples) if examples else []
    outputs: list = [None] * len(features)
    for i, output in self._compute(features):
      outputs[i] = output
    found = decoder.decode(examples, features, outputs)
    parameters = {n: x for n, x in decided_by.items() if n != 'rule'}
    return [
      decoder.to_record(item, prediction, parameters)
      | {'decided_by': decided_by}
      for item, prediction in zip(items, found, strict=True)
    ]

  def _compute(self, features) -> Iterator[tuple[int, Any]]:
    """Yields the number of each feature and its output."""
    devices, pending = jax.device_count(), collections.deque()
    size = 1 if len(features) == 1 else self._batch_size
    for indices, batch in batches_in_order(
      features,
      self.decoder.fill,
      batch_size=size + -size % devices,
      max_length=self._max_length,
    ):
      batch = jax.device_put(batch, self._rows)
      pending.append((indices, self._step(self.params, batch)))
      # Fetched late, so that the host prepares batches while others compute.
      if len(pending) > _UNDER_WAY:
        yield from _by_row(*pending.popleft())
    while pending:
      yield from _by_row(*pending.popleft())

  def __repr__(self) -> str:
    rule, *parameters = self.decided_by.items()
    shown = (
      f'{n} of each label' if isinstance(x, Mapping) else f'{n} {x:g}'
      for n, x in parameters
    )
    decided = ', '.join([rule[1], *shown])
    config = self.model.config
    return (
      f'<{type(self.model).__name__} of {config.num_hidden_layers} layers, '
      f'decided by {decided}>'
    )


def _step(model, postprocess, params, batch):
  logits = model.apply(
    {'params': params}, batch['tokens'], batch.get('segments'), batch['mask']
  )
  return postprocess(logits, batch)


def _by_row(indices, outputs) -> Iterator[tuple[int, Any]]:
  outputs = jax.device_get(outputs)
  for row, i in enumerate(indices):
    yield int(i), jax.tree.map(operator.itemgetter(row), outputs)
