"""What a task is to the program."""

import pathlib
from collections.abc import Mapping
from collections.abc import Sequence
from typing import Any
from typing import Protocol

import numpy as np
from flax import linen as nn

from dicejax.models import BertConfig
from train.objective import Objective

# Names of classes, for some tasks with what is asked about each.
Labels = tuple[str, ...] | dict[str, str]
Features = list[dict[str, np.ndarray]]
Scores = dict[str, dict[str, float]]
# Columns of scores that are shares, of which more is better.
PRF = ('precision', 'recall', 'f1')


class Task(Protocol):
  """What the program needs of a task, made for one tokenizer and label set.

  Attributes:
    labels: names of the classes; empty for a task without.
    headline: row and column of the scores: the best checkpoint has the most,
      unless `select_by` names another score.
    selectable: row of the scores → columns that `select_by` may name. Scores
      with all that `tune` returns have these rows.
    decision_rows: rows with the same score, one per rule of decision.
    has_prior: whether the logits are those of the classes of `targets`, so that
      their frequencies are a prior for the bias of the head.
    background: whether class 0 is the negative one, which F1 leaves out.
    fill: which of the features a batch has, and what they are padded with.
  """

  labels: tuple[str, ...]
  headline: tuple[str, str]
  selectable: Mapping[str, Sequence[str]]
  decision_rows: Sequence[str]
  has_prior: bool
  background: bool
  fill: Mapping[str, int]

  def model(self, encoder: BertConfig, dtype: str) -> nn.Module:
    """An encoder and the task's head, called as `Bert` is."""

  def objective(
    self,
    loss: Any,
    axis_name: str | None = None,
    class_counts: np.ndarray | None = None,
  ) -> Objective:
    """Builds the training objective from the `loss` section of a config.

    Args:
      loss: the part.
      axis_name: mapped axis over which a batch is spread, if it is; the scalar
        is that of all of it.
      class_counts: how often the training split has each of the `targets`.
    """

  def targets(self, feature: Mapping[str, np.ndarray]) -> np.ndarray:
    """Classes that are learnt from one of the features, `[n]`, from 0."""

  def postprocess(self, outputs: Any, batch: dict) -> Any:
    """Returns the part of the outputs that `decode` needs.

    It is computed on the device; arrays are `[batch, ...]`.
    """

  def features(self, examples: Sequence) -> Features:
    """Inputs of the model, in order; an example may have several.

    Returns:
      By name, int32: 1-D arrays of the length of `tokens`, and 0-D ones. What
      is not in `fill` is for decoding.
    """

  def notes(self, examples: Sequence, features: Features) -> list[str]:
    """Sentences about what was lost from examples to features."""

  def decode(
    self, examples: Sequence, features: Features, answers: Sequence
  ) -> list:
    """A prediction for each example, from an answer for each feature."""

  def tune(self, examples: Sequence, predictions: Sequence) -> dict[str, float]:
    """Parameters of decisions that suit the examples best.

    Where the examples do not tell, as none is positive, these are the
    parameters of the argmax; {} if the task has none.
    """

  def decisions(
    self, tuned: Mapping[str, float]
  ) -> dict[str, Mapping[str, float]]:
    """Rules by which predictions may be decided, and their parameters.

    'argmax' takes what is most likely; the others, such as 'tuned', are there
    if `tuned` has what they need.
    """

  def score(
    self,
    examples: Sequence,
    predictions: Sequence,
    tuned: Mapping[str, float],
  ) -> Scores:
    """Row → column → value; shares are in [0, 1]."""

  def write(
    self,
    path: pathlib.Path,
    examples: Sequence,
    predictions: Sequence,
    tuned: Mapping[str, float],
  ) -> None:
    """Writes the predictions of a split, to `path` with a suffix."""
