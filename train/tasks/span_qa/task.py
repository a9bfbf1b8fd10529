"""The task of span QA: the span of a context that answers a question."""

import json
import pathlib
from collections.abc import Mapping
from collections.abc import Sequence
from typing import Any

import jax
import numpy as np
import tokenizers

from dicejax import metrics
from dicejax.models import EncoderConfig
from dicejax.models import SpanExtractor
from dicejax.text import windows
from dicejax.text.answers import THRESHOLDS
from dicejax.text.answers import AnswerDecoder
from dicejax.text.answers import AnswerSettings
from dicejax.text.answers import Prediction
from dicejax.text.candidates import Candidate
from dicejax.text.candidates import best_span_threshold
from train.data.squad import Question
from train.objective import Objective
from train.objective import make_loss
from train.tasks.span_qa import scores
from train.tasks.span_qa.objective import make_objective
from train.tasks.span_qa.settings import check_loss
from train.tasks.span_qa.settings import check_settings
from train.tasks.span_qa.settings import get_labels
from train.tasks.task import Features
from train.tasks.task import Scores
from train.tasks.task import most_in_row

_TUNED = ', tuned threshold'


class SpanQa:
  """The task for one tokenizer.

  A question is asked of each window `[CLS] question [SEP] piece [SEP]` of its
  context. `config.loss.activation` selects the form of the loss:

  - 'softmax': which position of a window is the start, and which the end; for
    cross entropy and similar losses, as positions are not classes that each
    have an F1. A span scores the sum of both logits.
  - 'sigmoid': whether a position is a start, and whether an end; the form of
    Dice. A span scores the sum of both probabilities, as in the published code.

  In a window without the whole answer, [CLS] is start and end. The first
  alternative answer that is in the context is learnt.

  With `config.span_qa.unanswerable`, there is no answer where [CLS] scores
  above the best span by more than a threshold; [CLS] has the lowest score of
  all windows. With `config.span_qa.several`, the answer is all spans, from the
  best on, that score at least a threshold and do not overlap a better one; no
  span contains a likely start or end of another.

  Raises:
    ValueError: settings that leave no room for a context, or that exclude each
      other.

  References:
    Devlin et al., `BERT <https://arxiv.org/abs/1810.04805>`_, 2019, §4.3, and
    its `run_squad.py`.
  """

  example_types = (Question,)
  background = True
  get_labels = staticmethod(get_labels)

  def __init__(
    self, config, tokenizer: tokenizers.Tokenizer, labels: Sequence[str] = ()
  ):
    check_settings(config, tokenizer)
    self.labels = tuple(labels)
    self._max_length = config.max_length
    self._settings = config.span_qa
    self._sigmoid = config.loss.activation == 'sigmoid'
    self._windows = most_in_row(config)
    settings = AnswerSettings(
      max_length=config.max_length,
      sigmoid=self._sigmoid,
      **{
        n: x for n, x in config.span_qa.items() if n in AnswerSettings._fields
      },
    )
    self._decoder = AnswerDecoder(tokenizer, settings)
    self.fill = self._decoder.fill | {'starts': 0, 'ends': 0}
    self._rules = {
      'several': config.span_qa.several,
      'unanswerable': config.span_qa.unanswerable,
      'characters': config.span_qa.characters,
    }
    # Positions, the classes of a softmax, have no prior.
    self.has_prior = self._sigmoid
    self.decision_rows: tuple[str, ...] = ('all',)
    if config.span_qa.several or config.span_qa.unanswerable:
      self.decision_rows = 'all', f'all{_TUNED}'
    self.headline = self.decision_rows[-1], 'f1'
    self.selectable = dict.fromkeys(self.decision_rows, ('exact', 'f1'))

  def model(self, encoder: EncoderConfig, dtype: str) -> SpanExtractor:
    return SpanExtractor(encoder, dtype)

  def objective(self, loss, axis_name=None, class_counts=None) -> Objective:
    """Builds the mean of the losses of starts and ends: `make_objective`."""
    check_loss(loss, sigmoid=self._sigmoid)
    loss = make_loss(loss, axis_name=axis_name, class_counts=class_counts)
    return make_objective(loss, sigmoid=self._sigmoid, windows=self._windows)

  def targets(self, feature) -> np.ndarray:
    """Returns 1 for each start in the context, 0 for other sub-words there."""
    return feature['starts'][feature['allowed'] == windows.IN_PIECE]

  def features(self, examples: Sequence[Question]) -> Features:
    """Makes windows of questions: see `make_windows`."""
    return self._decoder.features(examples)

  def notes(self, examples: Sequence[Question], features) -> list[str]:
    """Says how many windows there are, and what the questions lost in them."""
    settings = self._settings
    counts = windows.count_losses(
      examples, features, max_answer=settings.max_answer
    )
    notes = {
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
      notes['no_answer'] = (
        'questions have no answer: without span_qa.unanswerable they are not '
        'learnt.'
      )
    return [
      f'{_count(examples, "question")}, split into '
      f'{_count(features, "window")}.',
      *(f'{counts[key]} {note}' for key, note in notes.items() if counts[key]),
    ]

  def postprocess(self, logits: jax.Array, batch: dict) -> dict[str, jax.Array]:
    """Returns the best starts and ends of each window, see `AnswerDecoder`."""
    return self._decoder.postprocess(logits, batch)

  def decode(
    self, examples: Sequence[Question], features: Features, outputs: Sequence
  ) -> list[Prediction]:
    """Returns the `n_best` candidates per question, over all of its windows."""
    return self._decoder.decode(examples, features, outputs)

  def tune(
    self, examples: Sequence[Question], predictions: Sequence[Prediction]
  ) -> dict[str, float]:
    """Finds the threshold with the best F1: of no answer, or several spans."""
    if self._settings.unanswerable:
      threshold, _ = metrics.best_null_threshold(
        [prediction.null for prediction in predictions],
        [
          self.f1(example, [c.text for c in prediction.candidates[:1]] or [''])
          for example, prediction in zip(examples, predictions, strict=True)
        ],
        [self.f1(example, ['']) for example in examples],
      )
      return {'null': threshold}
    if self._settings.several:
      return self._tune_spans(examples, predictions)
    return {}

  def _tune_spans(self, examples, predictions) -> dict[str, float]:
    spans, f1 = [], []
    for example, prediction in zip(examples, predictions, strict=True):
      texts = [candidate.text for candidate in prediction.candidates]
      spans.append([candidate.score for candidate in prediction.candidates])
      f1.append([self.f1(example, texts[: n + 1]) for n in range(len(texts))])
    threshold = best_span_threshold(spans, f1)
    return {'span': THRESHOLDS['span'] if threshold is None else threshold}

  def f1(self, example, texts) -> float:
    """Returns the F1 of an answer, by the rules of the data set."""
    return scores.compare(example, texts, **self._rules)[1]

  def decisions(
    self, tuned: Mapping[str, float]
  ) -> Mapping[str, Mapping[str, float]]:
    """Returns the rules, and the threshold of no answer or of several spans."""
    return self._decoder.decisions(tuned)

  def choose(
    self, prediction: Prediction, parameters: Mapping[str, float]
  ) -> list[Candidate]:
    """Returns the spans of the answer, by a rule of `decisions`."""
    return self._decoder.choose(prediction, parameters)

  def texts(
    self, prediction: Prediction, parameters: Mapping[str, float]
  ) -> list[str]:
    """Returns the texts of `choose`."""
    return [candidate.text for candidate in self.choose(prediction, parameters)]

  def score(
    self,
    examples: Sequence[Question],
    predictions: Sequence[Prediction],
    tuned: Mapping[str, float],
  ) -> Scores:
    """Scores answers by exact match and F1, with the official rules.

    Returns:
      A row for all questions, and for those with and without an answer where
      there may be none; the same at the tuned threshold, if there is one.
    """

    def rows(parameters):
      texts = [self.texts(p, parameters) for p in predictions]
      return scores.score_answers(examples, texts, **self._rules)

    found = rows({})
    if tuned:
      found |= {name + _TUNED: row for name, row in rows(tuned).items()}
    return found

  def write(
    self,
    path: pathlib.Path,
    examples: Sequence[Question],
    predictions: Sequence[Prediction],
    tuned: Mapping[str, float],
  ) -> None:
    """Writes what the official scripts read, and the candidates.

    `path.json` holds {id: text}, or {id: [text]} where an answer may be several
    spans; `path.nbest.jsonl` a line per question, with scores.
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

  def to_record(self, item, example, prediction, parameters) -> dict[str, Any]:
    """Returns the spans of the answer to a question, with their scores."""
    return self._decoder.to_record(item, prediction, parameters)


def _count(items: Sequence, noun: str) -> str:
  """Returns a number and its noun, which adds an s unless there is one."""
  return f'{len(items)} {noun}{"" if len(items) == 1 else "s"}'
