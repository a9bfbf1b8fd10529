"""The interface of a task."""

import pathlib
from collections.abc import Mapping
from collections.abc import Sequence
from typing import Any
from typing import Protocol
from typing import runtime_checkable

import numpy as np
import tokenizers
from flax import linen as nn

from dicejax.models import EncoderConfig
from dicejax.text.inputs import Input
from train.objective import Objective

# Names of the classes; for query spans, the query that asks for each.
Labels = tuple[str, ...] | dict[str, str]
Features = list[dict[str, np.ndarray]]
Scores = dict[str, dict[str, float]]
# Columns of scores that are fractions; the higher, the better.
PRF = ('precision', 'recall', 'f1')


def most_in_row(config: Any) -> int:
  """Returns the largest number of inputs in a packed row.

  Each may have a place of its own in the arrays of a model or of an objective.
  There are no more than a batch has inputs, as a step takes at least one row.
  """
  return min(32, config.batch_size)


class Task(Protocol):
  """Everything that the program calls of a task.

  A task is made for one config, tokenizer and set of labels. It copies the
  tokenizer, whose settings it may change.

  Attributes:
    example_types: types of the examples that the task accepts.
    labels: names of the classes; empty for a task without classes.
    headline: row and column of the score that chooses the best checkpoint,
      unless `select_by` names another.
    selectable: row of the scores → columns that `select_by` may name. Scores
      with all that `tune` returns have these rows.
    decision_rows: rows with the same score, one per rule of decision.
    has_prior: whether the logits belong to the classes of `targets`, so that
      their frequencies are a prior for the bias of the head.
    background: whether class 0 is the negative one, which F1 leaves out.
    fill: names of the features that go into a batch → value that pads them.
  """

  example_types: tuple[type, ...]
  labels: tuple[str, ...]
  headline: tuple[str, str]
  selectable: dict[str, tuple[str, ...]]
  decision_rows: tuple[str, ...]
  has_prior: bool
  background: bool
  fill: dict[str, int]

  def __init__(
    self, config: Any, tokenizer: tokenizers.Tokenizer, labels: Any
  ) -> None:
    """Checks the settings; raises ValueError where they exclude each other."""

  @staticmethod
  def get_labels(config: Any, examples: Sequence[Any]) -> Labels:
    """Finds the classes in the examples of a training split.

    Raises:
      ValueError: the examples do not fit the task, or nothing can be learnt
        from them.
    """
    ...

  # The model, its objective and its targets.

  def model(self, encoder: EncoderConfig, dtype: str) -> nn.Module:
    """Returns an encoder with the task's head, called as an encoder is."""
    ...

  def objective(
    self,
    loss: Any,
    axis_name: str | None = None,
    class_counts: np.ndarray | None = None,
  ) -> Objective:
    """Builds the training objective from the `loss` section of a config.

    Args:
      loss: the section.
      axis_name: mapped axis over which a batch is spread, if it is; the value
        then covers the whole batch.
      class_counts: how often each class of `targets` occurs in the training
        split.
    """
    ...

  def targets(self, feature: Mapping[str, np.ndarray]) -> np.ndarray:
    """Returns the classes that one feature teaches, `[n]`, from 0.

    `[1, labels]`, 1 or 0, where a text has several labels.
    """
    ...

  # From examples to predictions.

  def features(self, examples: Sequence[Any]) -> Features:
    """Returns the inputs of the model, in order; an example may have several.

    Returns:
      Int32 by name: 1-D arrays of the length of `tokens`, 0-D ones, and vectors
      `[1, n]`. Arrays whose names are not in `fill` are for decoding.
    """
    ...

  def notes(self, examples: Sequence[Any], features: Features) -> list[str]:
    """Returns sentences about what was lost from examples to features."""
    ...

  def postprocess(self, outputs: Any, batch: dict) -> Any:
    """Returns the part of the outputs that `decode` needs.

    It is computed on the device; arrays are `[batch, ...]`.
    """
    ...

  def decode(
    self, examples: Sequence[Any], features: Features, outputs: Sequence[Any]
  ) -> list:
    """Returns a prediction per example.

    Args:
      examples: in order.
      features: of the examples, as `features` returned them.
      outputs: per feature, what `postprocess` returned for its row.
    """
    ...

  # From predictions to decisions and scores.

  def tune(
    self, examples: Sequence[Any], predictions: Sequence[Any]
  ) -> dict[str, float]:
    """Returns the parameters of decisions that suit the examples best.

    Where the examples cannot tell, because none is positive, they are the
    parameters of the argmax; {} if the task has none.
    """
    ...

  def decisions(
    self, tuned: Mapping[str, float]
  ) -> Mapping[str, Mapping[str, float]]:
    """Returns the rules by which predictions may be decided: name → parameters.

    'argmax' takes what is most likely. Others, such as 'tuned', are there if
    `tuned` has what they need.
    """
    ...

  def score(
    self,
    examples: Sequence[Any],
    predictions: Sequence[Any],
    tuned: Mapping[str, float],
  ) -> Scores:
    """Returns row → column → value; fractions are in [0, 1]."""
    ...

  def write(
    self,
    path: pathlib.Path,
    examples: Sequence[Any],
    predictions: Sequence[Any],
    tuned: Mapping[str, float],
  ) -> None:
    """Writes the predictions of a split to `path` with a suffix."""
    ...

  # From predictions to records of them.

  def to_record(
    self,
    item: Input,
    example: Any,
    prediction: Any,
    parameters: Mapping[str, float],
  ) -> dict[str, Any]:
    """Returns a prediction as values for JSON.

    Args:
      item: the input; its words are those of the example, if it has any.
      example: made of the input.
      prediction: the prediction for the example.
      parameters: parameters of the rule that decides, one of `decisions`.
    """
    ...


@runtime_checkable
class WritesColumns(Protocol):
  """A task whose predictions may also be written in columns."""

  def to_columns(
    self, example: Any, prediction: Any, parameters: Mapping[str, float]
  ) -> str:
    """Returns a line per word of the example, the word and its tag."""
    ...
