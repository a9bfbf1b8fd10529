"""Classification: one label for a text or for a pair of texts."""

import pathlib
from collections.abc import Mapping
from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np
import tokenizers
from scipy import special

from dicejax import metrics
from dicejax.models import BertConfig
from dicejax.models import TextClassifier
from train.data.texts import Text
from train.data.tokenizer import padding_id
from train.objective import learn_labels
from train.objective import make_loss
from train.tasks.task import PRF
from train.tasks.task import Features
from train.tasks.task import Scores

_ALL = 'all'
# Rows of scores with a positive label, by the rule that decides.
_ROWS = {'argmax': 'threshold 0.5', 'tuned': 'tuned', 'plug-in': 'plug-in'}
# The parameters of argmax, used where nothing can be tuned.
_UNTUNED = {'threshold': 0.5, 'plug_in': 0.5}
# Rows of scores: a label called so would be lost among them.
_RESERVED = {'micro', 'macro', _ALL}


class Classification:
  """The task for one tokenizer and one set of labels.

  With `config.classification.positive`, there are two labels, the positive one
  last, and its F1 counts; else the accuracy does. A text is positive if its
  probability is at least a threshold, which is

  - 0.5 (also at exactly 0.5), where the positive label is the likelier;
  - tuned: the one with the highest F1 on dev;
  - plug-in: the one with the highest expected F1, by the probabilities of dev
    once they are calibrated. Dev's labels only serve to fit a slope and a bias,
    for which few are enough.

  Every threshold is one of the model's own probabilities. Without a positive
  label, the likeliest label is predicted, the first among equals, and nothing
  is tuned.

  With `config.loss.activation` 'softmax' there is a logit for each label; with
  'sigmoid' there is one, of the positive label: the form of Dice that is one
  set a batch.

  Raises:
    ValueError: 'sigmoid' without a positive label.
  """

  def __init__(
    self, config, tokenizer: tokenizers.Tokenizer, labels: Sequence[str]
  ):
    self.labels = tuple(labels)
    self.fill = {'tokens': padding_id(tokenizer), 'segments': 0, 'label': -1}
    self._positive = config.classification.positive
    self._sigmoid = config.loss.activation == 'sigmoid'
    self._max_length = config.max_length
    self._pooling = config.model.get('pooling', 'cls')
    self._tokenizer = tokenizer
    of_all = ('accuracy', 'macro_f1')
    if self._positive:
      self.headline = _ROWS['tuned'], 'f1'
      self.decision_rows = tuple(_ROWS.values())
      self.selectable = dict.fromkeys(self.decision_rows, (*PRF, *of_all))
    else:
      self.headline = _ALL, 'accuracy'
      self.decision_rows = (_ALL,)
      self.selectable = dict.fromkeys((*self.labels, 'macro'), PRF)
      self.selectable[_ALL] = of_all
    if self._sigmoid and not self._positive:
      raise ValueError(
        "loss.activation: 'sigmoid' is one logit, of one of two labels: "
        'expected it as classification.positive, out of '
        f'{", ".join(map(repr, self.labels))}.'
      )

  def model(self, encoder: BertConfig, dtype: str) -> TextClassifier:
    outputs = 1 if self._sigmoid else len(self.labels)
    return TextClassifier(encoder, outputs, dtype, self._pooling)

  def objective(self, loss, axis_name=None, class_counts=None):
    loss = make_loss(
      loss,
      self.labels,
      axis_name,
      class_counts=class_counts,
      background=self.background,
    )

    def labels_of(batch):
      # [batch, 1], shaped like the logits of a sigmoid.
      return batch['label'][:, None] if self._sigmoid else batch['label']

    return learn_labels(loss, labels_of)

  has_prior = True

  @property
  def background(self) -> bool:
    return bool(self._positive)

  def targets(self, feature) -> np.ndarray:
    label = np.atleast_1d(feature['label'])
    return label[label >= 0]

  def postprocess(self, logits: jax.Array, batch: dict) -> jax.Array:
    """Probabilities of the labels, float32 `[batch, labels]`."""
    if self._sigmoid:
      # Not 1 - p, which has no digits left where p is almost 1.
      return jax.nn.sigmoid(jnp.concatenate([-logits, logits], axis=-1))
    return jax.nn.softmax(logits)

  def features(self, examples: Sequence[Text]) -> Features:
    """Features of texts: `[CLS] text [SEP]` or `[CLS] text [SEP] pair [SEP]`.

    Of a pair that is too long, the longer text is cut.

    Args:
      examples: with labels that may not be among the labels: then there is
        nothing to learn from.

    Returns:
      For each text, int32 `[sub-words]`: `tokens`; `segments`, 1 in the second
      text, if the tokenizer's model knows segments; and of no axis: `label`, or
      -1; `cut`, 1 where something was.
    """
    # Each time: another task may share the tokenizer.
    self._tokenizer.enable_truncation(
      self._max_length, strategy='longest_first'
    )
    encodings = self._tokenizer.encode_batch(
      [e.text if e.pair is None else (e.text, e.pair) for e in examples]
    )
    ids = {label: i for i, label in enumerate(self.labels)}
    return [
      {
        'tokens': np.array(encoding.ids, np.int32),
        'segments': np.array(encoding.type_ids, np.int32),
        'label': np.array(ids.get(example.label, -1), np.int32),
        'cut': np.array(bool(encoding.overflowing), np.int32),
      }
      for example, encoding in zip(examples, encodings, strict=True)
    ]

  def notes(self, examples: Sequence[Text], features: Features) -> list[str]:
    """Says what was cut, and which labels cannot be predicted or tuned."""
    said = []
    if cut := sum(int(feature['cut']) for feature in features):
      said.append(
        f'{cut} of {len(examples)} texts are longer than '
        f'max_length={self._max_length}: the rest is cut off.'
      )
    # '' where there is no label to compare with.
    known = {*self.labels, ''}
    unknown = [e.label for e in examples if e.label not in known]
    if unknown:
      names = ', '.join(map(repr, sorted(set(unknown))[:5]))
      said.append(
        f'{len(unknown)} of {len(examples)} texts have a label that is not in '
        f'the training split ({names}): it is never predicted, and counts as '
        'missed.'
      )
    labels = {example.label for example in examples}
    if self._positive and labels - {''} and self._positive not in labels:
      said.append(
        f'no text is labelled {self._positive!r}: its F1 is 0, and no '
        'threshold can be tuned here: it is 0.5.'
      )
    return said

  def decode(self, examples, features, answers) -> list[list[float]]:
    """Probabilities of the labels, for each text."""
    return [answer.tolist() for answer in answers]

  def tune(
    self, examples: Sequence[Text], predictions: Sequence[Sequence[float]]
  ) -> dict[str, float]:
    """Thresholds of the positive label.

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
    logits = _logits(probabilities)
    slope, bias = metrics.fit_platt(logits, positive)
    calibrated = special.expit(slope * logits + bias)
    best, _ = metrics.plug_in_threshold(calibrated)
    # The threshold is compared with the probabilities of the model itself.
    plug_in = special.expit((special.logit(best) - bias) / slope)
    return {'threshold': threshold, 'plug_in': float(plug_in)}

  def decisions(
    self, tuned: Mapping[str, float]
  ) -> dict[str, Mapping[str, float]]:
    """Rules, and the threshold of the positive label, if there is one."""
    if not self._positive:
      return {'argmax': {}}
    rules = {'argmax': {'threshold': 0.5}}
    if 'threshold' in tuned:
      rules['tuned'] = {'threshold': tuned['threshold']}
    if 'plug_in' in tuned:
      rules['plug-in'] = {'threshold': tuned['plug_in']}
    return rules

  def score(
    self,
    examples: Sequence[Text],
    predictions: Sequence[Sequence[float]],
    tuned: Mapping[str, float],
  ) -> Scores:
    """Scores as scikit-learn computes them.

    Returns:
      With a positive label, its precision, recall and F1, the accuracy and the
      mean F1 of the labels: a row for each rule, at 0.5, tuned and plug-in.
      Else a row for each label, also for those that are not in the training
      split, `macro` and `all`.
    """
    gold = [example.label for example in examples]
    if not self._positive:
      return _scores(gold, self.predict(predictions, {}), self.labels)
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
    """Writes a row for each text, the text last, as tab-separated columns.

    Columns are the gold label; the label that each rule predicts, `predicted`
    by argmax; the probability of each label. A tab or a line break in a text is
    a space.
    """
    columns = {'gold': [example.label for example in examples]}
    for rule, parameters in self.decisions(tuned).items():
      name = 'predicted' if rule == 'argmax' else rule
      columns[name] = self.predict(predictions, parameters)
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
    rows = _scores(gold, self.predict(predictions, parameters), self.labels)
    return {
      'accuracy': rows[_ALL]['accuracy'],
      'macro_f1': rows[_ALL]['macro_f1'],
      **rows[self._positive],
      **parameters,
    }

  def predict(
    self,
    predictions: Sequence[Sequence[float]],
    parameters: Mapping[str, float],
  ) -> list[str]:
    """The labels that probabilities stand for, by a rule of `decisions`."""
    if self._positive:
      threshold = parameters['threshold']
      return [self.labels[int(p[-1] >= threshold)] for p in predictions]
    return [self.labels[int(np.argmax(p))] for p in predictions]


def get_labels(config, examples: Sequence[Text]) -> tuple[str, ...]:
  """The labels of the training split, sorted; a positive one comes last.

  Raises:
    ValueError: fewer than two labels; more than two, or others, with a
      positive one; a label that is called like a row of the scores.
  """
  labels = sorted({example.label for example in examples})
  positive = config.classification.positive
  names = ', '.join(map(repr, labels))
  if len(labels) < 2:
    raise ValueError(
      f'The training split has only the label {names}: expected two or more.'
    )
  if reserved := _RESERVED.intersection(labels):
    raise ValueError(
      f'The label {min(reserved)!r} is called like a row of the scores: '
      'expected another name.'
    )
  if not positive:
    return tuple(labels)
  if positive not in labels or len(labels) > 2:
    raise ValueError(
      f'classification.positive: expected one of two labels, not {positive!r} '
      f'of {names}.'
    )
  return tuple(sorted(labels, key=positive.__eq__))


def _scores(gold, predicted, labels) -> Scores:
  """Rows of labels, `macro`, and `all` with the accuracy."""
  # In the order of scikit-learn, for means to the last digit.
  names = sorted({*gold, *labels})
  ids = {name: i for i, name in enumerate(names)}
  counts = metrics.label_counts(
    np.array([ids[label] for label in gold]),
    np.array([ids[label] for label in predicted]),
    len(names),
  )
  rows = metrics.class_scores(counts, names)
  # Each text has one label: F1 over all is the accuracy.
  micro = rows.pop('micro')
  rows[_ALL] = {
    'accuracy': micro['f1'],
    'macro_f1': rows['macro']['f1'],
    'support': micro['support'],
  }
  return rows


def _logits(probabilities: np.ndarray) -> np.ndarray:
  """Logits of the second of two labels, finite even for a probability of 0."""
  tiny = np.finfo(np.float32).tiny
  return np.diff(np.log(np.maximum(probabilities, tiny)), axis=-1)[:, 0]


def _on_one_line(cell: str) -> str:
  return ' '.join(cell.split())
