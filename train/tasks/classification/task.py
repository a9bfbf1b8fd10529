"""The task of classification: one label for a text or for a pair of texts."""

import pathlib
from collections.abc import Mapping
from collections.abc import Sequence

import numpy as np
import tokenizers

from dicejax import metrics
from dicejax.models import EncoderConfig
from dicejax.models import TextClassifier
from dicejax.text.labels import LabelDecoder
from train.data.fields import Text
from train.objective import Objective
from train.objective import learn_labels
from train.objective import make_loss
from train.tasks.classification import labels as label_names
from train.tasks.classification.labels import ALL
from train.tasks.classification.labels import score_labels
from train.tasks.task import PRF
from train.tasks.task import Features
from train.tasks.task import Scores
from train.tasks.task import most_in_row
from train.tasks.texts import TextTask
from train.tasks.thresholds import plug_in_threshold

# Rule of decision → its row of the scores, with a positive label.
_ROWS = {'argmax': 'threshold 0.5', 'tuned': 'tuned', 'plug-in': 'plug-in'}
# Parameters where nothing can be tuned: they decide as the argmax does.
_UNTUNED = {'threshold': 0.5, 'plug_in': 0.5}


class Classification(TextTask):
  """The task for one tokenizer and one set of labels.

  With `config.classification.positive`, there are two labels, the positive one
  last, and the headline is its F1; otherwise it is the accuracy. A text is
  positive if its probability is at least a threshold, which is

  - 0.5, where the positive label is at least as likely as the other;
  - tuned: the threshold with the highest F1 on dev;
  - plug-in: the threshold with the highest expected F1, by the probabilities of
    dev after calibration. The labels of dev only serve to fit a slope and a
    bias, for which few are enough.

  Every threshold applies to the probabilities of the model itself. Without a
  positive label, the likeliest label is predicted, the first among equals, and
  nothing is tuned.

  With `config.loss.activation` 'softmax' there is a logit per label; with
  'sigmoid' there is one, for the positive label: the form of Dice with one set
  per batch.

  Raises:
    ValueError: 'sigmoid' without a positive label.
  """

  example_types = (Text,)
  get_labels = staticmethod(label_names.get_labels)

  def __init__(
    self, config, tokenizer: tokenizers.Tokenizer, labels: Sequence[str]
  ):
    self._positive = config.classification.positive
    self._sigmoid = config.loss.activation == 'sigmoid'
    decoder = LabelDecoder(
      tokenizer,
      labels,
      config.max_length,
      positive=self._positive,
      sigmoid=self._sigmoid,
    )
    super().__init__(config, decoder)
    self._texts = most_in_row(config)
    self.fill = decoder.fill | {'label': -1}
    self.background = bool(self._positive)
    overall = ('accuracy', 'macro_f1')
    self.decision_rows: tuple[str, ...] = (ALL,)
    self.headline = ALL, 'accuracy'
    self.selectable = dict.fromkeys((*self.labels, 'macro'), PRF)
    self.selectable[ALL] = overall
    if self._positive:
      self.decision_rows = tuple(_ROWS.values())
      self.headline = _ROWS['tuned'], 'f1'
      self.selectable = dict.fromkeys(self.decision_rows, (*PRF, *overall))
    if self._sigmoid and not self._positive:
      raise ValueError(
        "loss.activation: 'sigmoid' is one logit, for one of two labels: "
        'expected it as classification.positive, out of '
        f'{", ".join(map(repr, self.labels))}.'
      )

  def model(self, encoder: EncoderConfig, dtype: str) -> TextClassifier:
    outputs = 1 if self._sigmoid else len(self.labels)
    return TextClassifier(encoder, outputs, dtype, self._pooling, self._texts)

  def objective(self, loss, axis_name=None, class_counts=None) -> Objective:
    loss = make_loss(
      loss,
      self.labels,
      axis_name,
      class_counts=class_counts,
      background=self.background,
    )

    def select(logits, batch):
      # A text is an element, whether rows hold one or several.
      logits = logits.reshape(-1, logits.shape[-1])
      labels = batch['label'].reshape(-1)
      # `[texts, 1]` for a sigmoid, the shape of its logits.
      return logits, labels[:, None] if self._sigmoid else labels

    return learn_labels(loss, select)

  def targets(self, feature) -> np.ndarray:
    label = np.atleast_1d(feature['label'])
    return label[label >= 0]

  def features(self, examples: Sequence[Text]) -> Features:
    """Makes the features of texts, see `LabelDecoder`, with their `label`.

    It is int32, 0-D, and -1 for a label that is not among the labels, which
    teaches nothing.
    """
    ids = {label: i for i, label in enumerate(self.labels)}
    return [
      feature | {'label': np.array(ids.get(example.label, -1), np.int32)}
      for example, feature in zip(examples, self._encode(examples), strict=True)
    ]

  def notes(self, examples: Sequence[Text], features: Features) -> list[str]:
    """Says what was cut, and which labels cannot be predicted or tuned."""
    notes = self._note_cut(features)
    # '' stands for a missing label.
    known = {*self.labels, ''}
    unknown = [e.label for e in examples if e.label not in known]
    if unknown:
      names = ', '.join(map(repr, sorted(set(unknown))[:5]))
      notes.append(
        f'{len(unknown)} of {len(examples)} texts have a label that is not in '
        f'the training split ({names}): it is never predicted, and counts as '
        'missed.'
      )
    labels = {example.label for example in examples}
    if self._positive and labels - {''} and self._positive not in labels:
      notes.append(
        f'no text is labelled {self._positive!r}: its F1 is 0, and no '
        'threshold can be tuned here: it is 0.5.'
      )
    return notes

  def tune(
    self, examples: Sequence[Text], predictions: Sequence[Sequence[float]]
  ) -> dict[str, float]:
    """Finds thresholds of the positive label.

    Returns:
      `threshold` and `plug_in`, both 0.5 if no text is positive; {} without a
      positive label.
    """
    if not self._positive:
      return {}
    positive = np.array([e.label == self._positive for e in examples])
    if not positive.any():
      return dict(_UNTUNED)
    probabilities = np.array(predictions)
    threshold, _ = metrics.best_threshold(probabilities[:, -1], positive)
    plug_in = plug_in_threshold(_logits(probabilities), positive)
    return {'threshold': threshold, 'plug_in': plug_in}

  def score(
    self,
    examples: Sequence[Text],
    predictions: Sequence[Sequence[float]],
    tuned: Mapping[str, float],
  ) -> Scores:
    """Scores the labels of texts as scikit-learn does.

    Returns:
      With a positive label, a row per rule (0.5, tuned, plug-in) with the
      label's precision, recall and F1, the accuracy and the mean F1 of the
      labels. Otherwise a row per label, also for labels that the training split
      lacks, `macro` and `all`.
    """
    gold = [example.label for example in examples]
    if not self._positive:
      return score_labels(gold, self.choose(predictions, {}), self.labels)
    return {
      _ROWS[rule]: self._positive_row(gold, predictions, parameters)
      for rule, parameters in self.decisions(tuned).items()
    }

  def write(
    self,
    path: pathlib.Path,
    examples: Sequence[Text],
    predictions: Sequence[Sequence[float]],
    tuned: Mapping[str, float],
  ) -> None:
    """Writes a row per text in tab-separated columns, the text last.

    Columns are the gold label; the label that each rule predicts, `predicted`
    for the argmax; the probability of each label. Tabs and line breaks in a
    text are written as spaces.
    """
    columns = {'gold': [example.label for example in examples]}
    for rule, parameters in self.decisions(tuned).items():
      name = 'predicted' if rule == 'argmax' else rule
      columns[name] = self.choose(predictions, parameters)
    for i, label in enumerate(self.labels):
      columns[f'p({label})'] = [f'{p[i]:.6f}' for p in predictions]
    columns['text'] = [example.text for example in examples]
    if any(example.pair is not None for example in examples):
      columns['pair'] = [example.pair or '' for example in examples]
    rows = [list(columns), *zip(*columns.values(), strict=True)]
    path.with_suffix('.tsv').write_text(
      ''.join('\t'.join(map(_on_one_line, row)) + '\n' for row in rows),
      encoding='utf-8',
    )

  def _positive_row(self, gold, predictions, parameters):
    rows = score_labels(gold, self.choose(predictions, parameters), self.labels)
    return {
      'accuracy': rows[ALL]['accuracy'],
      'macro_f1': rows[ALL]['macro_f1'],
      **rows[self._positive],
      **parameters,
    }


def _logits(probabilities: np.ndarray) -> np.ndarray:
  """Returns the logits of the second of two labels, finite also for p = 0."""
  tiny = np.finfo(np.float32).tiny
  return np.diff(np.log(np.maximum(probabilities, tiny)), axis=-1)[:, 0]


def _on_one_line(cell: str) -> str:
  return ' '.join(cell.split())
