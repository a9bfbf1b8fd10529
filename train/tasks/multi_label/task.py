"""The task of several labels: any number for a text or for a pair of texts."""

import json
import pathlib
from collections.abc import Mapping
from collections.abc import Sequence
from typing import Any

import numpy as np
import tokenizers

from dicejax import metrics
from dicejax.models import EncoderConfig
from dicejax.models import TextClassifier
from dicejax.text.label_sets import LabelSetDecoder
from dicejax.text.labels import HALF
from train.data.fields import LabelledText
from train.objective import Objective
from train.objective import learn_labels
from train.objective import make_loss
from train.tasks.multi_label import labels as label_names
from train.tasks.multi_label.labels import AVERAGES
from train.tasks.multi_label.labels import SUFFIXES
from train.tasks.multi_label.labels import average_precisions
from train.tasks.multi_label.labels import score_label_sets
from train.tasks.multi_label.labels import to_array
from train.tasks.task import PRF
from train.tasks.task import Features
from train.tasks.task import Scores
from train.tasks.texts import TextTask
from train.tasks.thresholds import plug_in_threshold

# Names of the elements that a loss of sigmoids may weigh.
_SIGNS = 'negative', 'positive'


class MultiLabel(TextTask):
  """The task for one tokenizer and one set of labels.

  The model has a logit and a sigmoid per label. A text has each label whose
  probability is at least a threshold, which is

  - 0.5 for all labels;
  - tuned: for each label the threshold with the highest F1 on dev;
  - plug-in: for each label the threshold with the highest expected F1, by the
    probabilities of dev after calibration.

  A label that no text of dev has keeps 0.5. The headline is the macro F1 with
  the tuned thresholds, as these are the best for it; `select_by` may name the
  micro F1 or an average precision.

  Raises:
    ValueError: the loss has a softmax.
  """

  example_types = (LabelledText,)
  background = True
  get_labels = staticmethod(label_names.get_labels)

  def __init__(
    self, config, tokenizer: tokenizers.Tokenizer, labels: Sequence[str]
  ):
    if config.loss.activation != 'sigmoid':
      raise ValueError(
        "The task 'multi_label' needs loss.activation='sigmoid', as in "
        'configs/text/own_labels.py: the labels of a softmax exclude each '
        'other.'
      )
    decoder = LabelSetDecoder(tokenizer, labels, config.max_length)
    super().__init__(config, decoder)
    self.fill = decoder.fill | {'labels': -1}
    self.decision_rows = tuple(f'macro{end}' for end in SUFFIXES.values())
    self.headline = f'macro{SUFFIXES["tuned"]}', 'f1'
    rows = [name + end for name in AVERAGES for end in SUFFIXES.values()]
    self.selectable = dict.fromkeys(rows, (*PRF, 'average_precision'))
    self.selectable |= dict.fromkeys(self.labels, PRF)

  def model(self, encoder: EncoderConfig, dtype: str) -> TextClassifier:
    return TextClassifier(encoder, len(self.labels), dtype, self._pooling)

  def objective(self, loss, axis_name=None, class_counts=None) -> Objective:
    """Builds the loss of all labels; sets may be `axis=None` or 0 (a label)."""
    if class_counts is not None:
      class_counts = np.reshape(class_counts, (2, -1)).sum(axis=1)
    loss = make_loss(
      loss, _SIGNS, axis_name, class_counts=class_counts, several=True
    )
    return learn_labels(loss, lambda logits, batch: (logits, batch['labels']))

  def targets(self, feature) -> np.ndarray:
    """Returns 1 or 0 for each label, `[1, labels]`."""
    return feature['labels']

  def features(self, examples: Sequence[LabelledText]) -> Features:
    """Makes the features of texts, see `LabelDecoder`, with their `labels`.

    These are int32 `[1, labels]`, 1 or 0. Labels that are not among the labels
    of the task are left out.
    """
    table = to_array([example.labels for example in examples], self.labels)
    return [
      feature | {'labels': row[None]}
      for feature, row in zip(self._encode(examples), table, strict=True)
    ]

  def notes(self, examples: Sequence[LabelledText], features) -> list[str]:
    """Says what was cut, and which labels cannot be predicted or tuned."""
    notes = self._note_cut(features)
    found = {label for example in examples for label in example.labels}
    if unknown := sorted(found - {*self.labels}):
      notes.append(
        f'{len(unknown)} labels are not in the training split '
        f'({", ".join(map(repr, unknown[:5]))}): they are never predicted, and '
        'count as missed.'
      )
    missing = [label for label in self.labels if label not in found]
    if found and missing:
      notes.append(
        f'no text has {len(missing)} of the {len(self.labels)} labels '
        f'({", ".join(map(repr, missing[:5]))}): their thresholds cannot be '
        f'tuned here and are {HALF}.'
      )
    return notes

  def tune(
    self,
    examples: Sequence[LabelledText],
    predictions: Sequence[Sequence[float]],
  ) -> dict[str, Any]:
    """Finds thresholds: `threshold` and `plug_in`, each label → number."""
    probabilities = np.array(predictions)
    gold = to_array([example.labels for example in examples], self.labels)
    if not gold.any():
      return {
        name: dict.fromkeys(self.labels, HALF)
        for name in ('threshold', 'plug_in')
      }
    tuned, _ = metrics.best_thresholds(probabilities, gold, default=HALF)
    plug_in = [
      plug_in_threshold(_logits(p), true > 0) if true.any() else HALF
      for p, true in zip(probabilities.T, gold.T, strict=True)
    ]
    return {
      'threshold': dict(zip(self.labels, tuned.tolist(), strict=True)),
      'plug_in': dict(zip(self.labels, plug_in, strict=True)),
    }

  def score(
    self,
    examples: Sequence[LabelledText],
    predictions: Sequence[Sequence[float]],
    tuned: Mapping[str, Any],
  ) -> Scores:
    """Scores the labels of texts as scikit-learn does.

    Returns:
      Per rule, `micro` and `macro` with precision, recall, F1 and average
      precision, which no threshold changes; then a row per label, with its
      tuned threshold if there is one, also for labels that the training split
      lacks.
    """
    gold = [example.labels for example in examples]
    precisions = average_precisions(
      to_array(gold, self.labels), np.array(predictions), self.labels
    )
    rows, of_labels = {}, {}
    for rule, parameters in self.decisions(tuned).items():
      scores = score_label_sets(
        gold, self.choose(predictions, parameters), self.labels
      )
      for name in AVERAGES:
        rows[name + SUFFIXES[rule]] = {
          **scores.pop(name),
          'average_precision': precisions[name],
        }
      if rule in ('argmax', 'tuned'):
        of_labels = scores
    thresholds = tuned.get('threshold', {})
    for label in self.labels:
      of_labels[label]['threshold'] = thresholds.get(label, HALF)
      if label in precisions:
        of_labels[label]['average_precision'] = precisions[label]
    return rows | of_labels

  def write(
    self,
    path: pathlib.Path,
    examples: Sequence[LabelledText],
    predictions: Sequence[Sequence[float]],
    tuned: Mapping[str, Any],
  ) -> None:
    """Writes a JSON object per text, on lines of their own.

    Keys are `gold`, the labels; the labels that each rule predicts, `predicted`
    for 0.5; `probabilities`; and the text.
    """
    found = {
      'predicted' if rule == 'argmax' else rule: self.choose(
        predictions, parameters
      )
      for rule, parameters in self.decisions(tuned).items()
    }
    lines = []
    for i, (example, prediction) in enumerate(
      zip(examples, predictions, strict=True)
    ):
      pair = {} if example.pair is None else {'pair': example.pair}
      lines.append(
        {
          'gold': list(example.labels),
          **{name: sets[i] for name, sets in found.items()},
          'probabilities': dict(zip(self.labels, prediction, strict=True)),
          'text': example.text,
          **pair,
        }
      )
    path.with_suffix('.jsonl').write_text(
      ''.join(json.dumps(x, ensure_ascii=False) + '\n' for x in lines),
      encoding='utf-8',
    )


def _logits(probabilities: np.ndarray) -> np.ndarray:
  """Returns the logits of probabilities, finite also for 0 and 1."""
  tiny = np.finfo(np.float64).tiny
  return np.log(np.maximum(probabilities, tiny)) - np.log(
    np.maximum(1 - probabilities, tiny)
  )
