"""Span QA: the span of a context that answers a question, or several spans."""

import json
import pathlib
from collections.abc import Mapping
from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import tokenizers

from dicejax import metrics
from dicejax.models import BertConfig
from dicejax.models import SpanExtractor
from train.data.squad import Question
from train.data.tokenizer import padding_id
from train.objective import Objective
from train.objective import make_loss
from train.tasks import candidates
from train.tasks import windows
from train.tasks.candidates import Candidate
from train.tasks.task import Features
from train.tasks.task import Scores

_EXCLUDED = -1e9  # Logit of a position that is no answer; finite, unlike -inf.
# Untuned: a null answer as likely as the best, two probabilities of a half.
_THRESHOLDS = {'null': 0.0, 'span': 1.0}
_TUNED = ', tuned threshold'


class Prediction(NamedTuple):
  """Answers to a question.

  Attributes:
    candidates: the best first; several do not overlap if they may all be meant.
    null: by how much the score of no answer is above that of the best.
  """

  candidates: list[Candidate]
  null: float


class SpanQa:
  """The task for one tokenizer.

  A question is asked of each window `[CLS] question [SEP] piece [SEP]` of its
  context. The form of the loss is that of `config.loss.activation`:

  - 'softmax': which position of a window is the start, and which the end; for
    cross entropy and what is like it, as positions are no classes with an F1
    each. A span scores the sum of both logits.
  - 'sigmoid': whether a position is a start, and whether an end; the form of
    Dice. A span scores the sum of both probabilities, as in the published code.

  In a window without the whole answer, [CLS] is start and end. Of alternatives
  the first that is in the context is learnt.

  With `config.span_qa.unanswerable`, there is no answer where [CLS] scores
  above the best span by more than a threshold (over windows: the lowest score
  of [CLS]). With `config.span_qa.several`, the answer is all spans, from the
  best on, that score at least a threshold and do not overlap a better one; a
  span has no likely start or end of another in it.

  Raises:
    ValueError: settings that leave no room for a context, or that exclude each
      other.

  References:
    Devlin et al., `BERT <https://arxiv.org/abs/1810.04805>`_, 2019, §4.3, and
    its `run_squad.py`.
  """

  def __init__(
    self, config, tokenizer: tokenizers.Tokenizer, labels: Sequence[str] = ()
  ):
    self.labels = tuple(labels)
    self.fill = {
      'tokens': padding_id(tokenizer),
      'segments': 0,
      'allowed': 0,
      'starts': 0,
      'ends': 0,
    }
    self._tokenizer = tokenizer
    self._max_length = config.max_length
    self._settings = config.span_qa
    self._sigmoid = config.loss.activation == 'sigmoid'
    self._check(config)
    tuned = self._settings.unanswerable or self._settings.several
    self.decision_rows = ('all', f'all{_TUNED}') if tuned else ('all',)
    self.headline = self.decision_rows[-1], 'f1'
    self.selectable = dict.fromkeys(self.decision_rows, ('exact', 'f1'))

  def model(self, encoder: BertConfig, dtype: str) -> SpanExtractor:
    return SpanExtractor(encoder, dtype)

  background = True

  @property
  def has_prior(self) -> bool:
    return self._sigmoid  # Positions, the classes of a softmax, have none.

  def targets(self, feature) -> np.ndarray:
    """Starts in the context, 1 or 0: [CLS] is no answer."""
    allowed = feature['allowed'] > 0
    allowed[0] = False
    return feature['starts'][allowed]

  def objective(self, loss, axis_name=None, class_counts=None):
    """Mean of the losses of starts and ends, over context and [CLS].

    Windows of questions without a label are left out. Starts and ends have
    running counts of their own.
    """
    if not self._sigmoid and loss.options.get('label_smoothing'):
      raise ValueError(
        'span_qa: label_smoothing would go to positions outside the context.'
      )
    self._check_loss(loss)
    loss = make_loss(loss, axis_name=axis_name, class_counts=class_counts)

    def init(logits, batch):
      marks = batch['starts'], batch['ends']
      # With a softmax, positions are no classes that could be counted.
      return tuple(
        loss.init(jax.ShapeDtypeStruct(m.shape, logits.dtype), m) for m in marks
      )

    def of_one(logits, marks, allowed, running):
      has_label = jnp.any(marks > 0, axis=-1)
      if self._sigmoid:
        where = allowed & has_label[:, None]
        return loss.update(logits, marks, where, running)
      logits = jnp.where(allowed, logits, _EXCLUDED)
      labels = jnp.argmax(marks, axis=-1)
      return loss.update(logits, labels, has_label, running)

    def update(logits, batch, running):
      marks, allowed = (batch['starts'], batch['ends']), batch['allowed'] > 0
      (start, starts), (end, ends) = (
        of_one(logits[..., i], marks[i], allowed, running[i]) for i in range(2)
      )
      return (start + end) / 2, (starts, ends)

    return Objective(init, update, loss.description)

  def _check_loss(self, loss):
    """A softmax is over positions, of which each window has its own."""
    for key in ('running', 'class_weighting', 'keep_hardest'):
      if loss[key] and not self._sigmoid:
        raise ValueError(
          f"span_qa: loss.{key} needs loss.activation='sigmoid', as the "
          'positions of a softmax are no classes.'
        )

  def postprocess(self, logits: jax.Array, batch: dict) -> dict[str, jax.Array]:
    """The best starts and ends of each window, and the score of [CLS].

    Args:
      logits: `[batch, length, 2]`.
      batch: with `allowed`.

    Returns:
      `scores` and `positions` `[batch, 2, n_best]` of starts and ends, the best
      first, -inf where the context has no more; `null` `[batch]`.
    """
    scores = jnp.moveaxis(logits, -1, 1)
    if self._sigmoid:
      scores = jax.nn.sigmoid(scores)
    in_context = jnp.asarray(batch['allowed'] > 0).at[:, 0].set(False)
    best, positions = jax.lax.top_k(
      jnp.where(in_context[:, None], scores, -jnp.inf),
      min(self._settings.n_best, scores.shape[-1]),
    )
    null = scores[..., 0].sum(axis=-1)
    return {'scores': best, 'positions': positions, 'null': null}

  def features(self, examples: Sequence[Question]) -> Features:
    """Windows of questions, with or without answers: see `make_windows`."""
    settings = self._settings
    return windows.make_windows(
      self._tokenizer,
      examples,
      max_length=self._max_length,
      max_question=settings.max_question,
      stride=settings.stride,
      unanswerable=settings.unanswerable,
    )

  def notes(
    self, examples: Sequence[Question], features: Features
  ) -> list[str]:
    """Says how many windows there are, and what of the questions they lack."""
    settings = self._settings
    counts = windows.count_losses(
      examples, features, max_answer=settings.max_answer
    )
    said = {
      'cut': f'questions are longer than span_qa.max_question='
      f'{settings.max_question} sub-words: the rest is cut off.',
      'lost': f'answers lie whole in no window of max_length='
      f'{self._max_length}: they are not found.',
      'long': f'answers are longer than span_qa.max_answer='
      f'{settings.max_answer} sub-words: they are not found whole.',
      'wide': 'answers begin or end within a sub-word: all of it is read.',
      'no_place': 'questions have answers that are not in the context: they '
      'are not learnt.',
    }
    if not settings.unanswerable and any(q.answers for q in examples):
      said['no_answer'] = (
        'questions have no answer: without span_qa.unanswerable they are not '
        'learnt.'
      )
    return [
      f'{len(examples)} questions are asked of {len(features)} windows.',
      *(f'{counts[key]} {text}' for key, text in said.items() if counts[key]),
    ]

  def decode(
    self, examples: Sequence[Question], features: Features, answers: Sequence
  ) -> list[Prediction]:
    """The `n_best` answers to each question, over all of its windows."""
    answered = [[] for _ in examples]
    for feature, answer in zip(features, answers, strict=True):
      answered[feature['example']].append((feature, answer))
    return [
      self._predict(example.context, own)
      for example, own in zip(examples, answered, strict=True)
    ]

  def tune(
    self, examples: Sequence[Question], predictions: Sequence[Prediction]
  ) -> dict[str, float]:
    """The threshold with the highest F1: of no answer, or of several spans."""
    if self._settings.unanswerable:
      threshold, _ = metrics.best_null_threshold(
        [prediction.null for prediction in predictions],
        [
          self._compare(example, _best(prediction))[1]
          for example, prediction in zip(examples, predictions, strict=True)
        ],
        [self._compare(example, [''])[1] for example in examples],
      )
      return {'null': threshold}
    if self._settings.several:
      return self._tune_spans(examples, predictions)
    return {}

  def decisions(
    self, tuned: Mapping[str, float]
  ) -> dict[str, Mapping[str, float]]:
    """Rules, and the threshold of no answer or of several spans."""
    used = {
      'null': self._settings.unanswerable,
      'span': self._settings.several,
    }
    argmax = {name: _THRESHOLDS[name] for name in used if used[name]}
    return {'argmax': argmax} | ({'tuned': tuned} if tuned else {})

  def score(
    self,
    examples: Sequence[Question],
    predictions: Sequence[Prediction],
    tuned: Mapping[str, float],
  ) -> Scores:
    """Exact match and F1 by the official rules.

    Returns:
      A row for all questions, and for those with and without an answer where
      there may be none; the same at the tuned threshold, if there is one.
    """
    rows = self._rows(examples, predictions, {})
    if tuned:
      rows |= {
        name + _TUNED: row
        for name, row in self._rows(examples, predictions, tuned).items()
      }
    return rows

  def write(
    self,
    path: pathlib.Path,
    examples: Sequence[Question],
    predictions: Sequence[Prediction],
    tuned: Mapping[str, float],
  ) -> None:
    """Writes what the official scripts read, and what it was chosen from.

    `path.json` holds {id: text}, or {id: [text]} where there may be several;
    `path.nbest.jsonl` a line for each question, with scores.
    """
    texts = {
      example.id: self.texts(prediction, tuned)
      for example, prediction in zip(examples, predictions, strict=True)
    }
    if not self._settings.several:
      texts = {name: text for name, (text,) in texts.items()}
    path = pathlib.Path(path)
    path.with_name(f'{path.name}.json').write_text(
      json.dumps(texts, ensure_ascii=False, indent=1), encoding='utf-8'
    )
    with path.with_name(f'{path.name}.nbest.jsonl').open(
      'w', encoding='utf-8'
    ) as file:
      for example, prediction in zip(examples, predictions, strict=True):
        row = {
          'id': example.id,
          'null': prediction.null,
          'candidates': [c._asdict() for c in prediction.candidates],
        }
        file.write(json.dumps(row, ensure_ascii=False) + '\n')

  def _check(self, config):
    """Raises ValueError for settings that do not fit."""
    settings = self._settings
    for name in ('max_question', 'stride', 'max_answer', 'n_best'):
      if settings[name] < 1:
        raise ValueError(f'span_qa.{name} is at least 1, not {settings[name]}.')
    special = self._tokenizer.num_special_tokens_to_add(True)
    if self._max_length <= settings.max_question + special:
      raise ValueError(
        f'max_length={self._max_length} leaves no room for a context beside '
        f'span_qa.max_question={settings.max_question} and {special} special '
        'sub-words.'
      )
    if config.model.prior_bias and not self.has_prior:
      raise ValueError(
        "model.prior_bias: span_qa needs loss.activation='sigmoid', as the "
        'positions of a softmax are no classes.'
      )
    if settings.several and settings.unanswerable:
      raise ValueError('span_qa: several or unanswerable, not both.')
    if settings.several and not self._sigmoid:
      raise ValueError(
        "span_qa.several needs loss.activation 'sigmoid': a softmax has one "
        'start in a window.'
      )
    if settings.several != (config.data.squad.answers == 'spans'):
      raise ValueError(
        "span_qa.several and data.squad.answers='spans' go together: "
        f'{settings.several} does not with {config.data.squad.answers!r}.'
      )

  def _predict(self, context: str, answered: Sequence[tuple]) -> Prediction:
    found = candidates.find_candidates(
      context,
      answered,
      n_best=self._settings.n_best,
      max_answer=self._settings.max_answer,
      several=self._settings.several,
    )
    null = min(float(answer['null']) for _, answer in answered)
    return Prediction(found, null - found[0].score if found else 0.0)

  def _tune_spans(self, examples, predictions) -> dict[str, float]:
    scores, f1 = [], []
    for example, prediction in zip(examples, predictions, strict=True):
      texts = [candidate.text for candidate in prediction.candidates]
      scores.append([candidate.score for candidate in prediction.candidates])
      f1.append(
        [self._compare(example, texts[: n + 1])[1] for n in range(len(texts))]
      )
    threshold = candidates.best_span_threshold(scores, f1)
    return {'span': _THRESHOLDS['span'] if threshold is None else threshold}

  def texts(
    self, prediction: Prediction, tuned: Mapping[str, float]
  ) -> list[str]:
    """The answer at a threshold: its spans, or one text, '' for none."""
    return [candidate.text for candidate in self.answers(prediction, tuned)]

  def answers(
    self, prediction: Prediction, tuned: Mapping[str, float]
  ) -> list[Candidate]:
    """The answer at a threshold, with scores: of no answer, that of [CLS]."""
    thresholds = _THRESHOLDS | tuned
    best, *others = prediction.candidates or [Candidate('', 0, 0.0)]
    if self._settings.several:
      return [best, *(c for c in others if c.score >= thresholds['span'])]
    if self._settings.unanswerable and prediction.null > thresholds['null']:
      return [Candidate('', 0, best.score + prediction.null)]
    return [best]

  def _compare(self, example, texts) -> tuple[float, float]:
    """Exact match and F1 with the alternative that fits best."""
    if self._settings.several:
      return max(
        metrics.span_set_scores(texts, [span.text for span in spans])
        for spans in example.answers or [[]]
      )
    golds = [span.text for (span,) in example.answers]
    rules = {'unanswerable': self._settings.unanswerable or not golds}
    (text,) = texts
    return (
      metrics.exact_match(text, golds, **rules),
      metrics.answer_f1(text, golds, **rules),
    )

  def _rows(self, examples, predictions, tuned) -> Scores:
    scores = np.array(
      [
        self._compare(example, self.texts(prediction, tuned))
        for example, prediction in zip(examples, predictions, strict=True)
      ]
    )
    has_answer = np.array([bool(example.answers) for example in examples])
    groups = {'all': np.ones(len(examples), bool)}
    if self._settings.unanswerable:
      groups |= {'answerable': has_answer, 'unanswerable': ~has_answer}
    return {
      name: {
        'exact': float(scores[group, 0].mean()),
        'f1': float(scores[group, 1].mean()),
        'support': int(group.sum()),
      }
      for name, group in groups.items()
      if group.any()
    }


def get_labels(config, examples: Sequence[Question]) -> tuple[str, ...]:
  """None: answers are places.

  Raises:
    ValueError: no question has an answer with a place, so nothing is learnt.
  """
  if not any(map(windows.learnt_spans, examples)):
    raise ValueError(
      'The training split has no question with an answer in its context.'
    )
  return ()


def _best(prediction: Prediction) -> list[str]:
  return [prediction.candidates[0].text if prediction.candidates else '']
