"""Answers: windows for a `SpanExtractor`, and what its logits say."""

from __future__ import annotations

from collections.abc import Mapping
from collections.abc import Sequence
from typing import Any
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import tokenizers

from dicejax.text.candidates import Candidate
from dicejax.text.candidates import find_candidates
from dicejax.text.inputs import Asked
from dicejax.text.inputs import Input
from dicejax.text.tokenizer import copy_tokenizer
from dicejax.text.tokenizer import padding_id
from dicejax.text.windows import IN_PIECE
from dicejax.text.windows import ON_CLS
from dicejax.text.windows import Question
from dicejax.text.windows import make_windows

# Untuned: no answer needs a better score than the best span, and a further span
# needs a start and an end with a probability of a half each.
THRESHOLDS = {'null': 0.0, 'span': 1.0}


class Prediction(NamedTuple):
  """The candidates for the answer to a question.

  Attributes:
    candidates: the best first; they do not overlap if an answer may be several.
    null: the score of no answer minus the score of the best candidate.
  """

  candidates: list[Candidate]
  null: float


class AnswerSettings(NamedTuple):
  """How a context is cut into windows, and which spans may be an answer.

  Attributes:
    max_length: largest number of sub-words of a window.
    max_question: largest number of sub-words of a question; it is cut there.
    stride: sub-words between the beginnings of two windows.
    max_answer: largest number of sub-words of a span.
    n_best: number of candidates.
    unanswerable: whether there may be no answer.
    several: whether an answer may be several spans.
    sigmoid: whether spans score the sum of the probabilities of their start and
      end, each decided independently; otherwise the sum of their logits.
  """

  max_length: int
  max_question: int = 64
  stride: int = 128
  max_answer: int = 30
  n_best: int = 20
  unanswerable: bool = False
  several: bool = False
  sigmoid: bool = False


class AnswerDecoder:
  """Turns questions into windows of their contexts, and logits into answers.

  With `unanswerable`, there is no answer where [CLS] scores above the best span
  by more than a threshold; [CLS] has the lowest score of all windows. With
  `several`, the answer is all spans, from the best on, that score at least a
  threshold and do not overlap a better one.

  Attributes:
    fill: names of the features that go into a batch → value that pads them.
  """

  def __init__(self, tokenizer: tokenizers.Tokenizer, settings: AnswerSettings):
    self.fill = {'tokens': padding_id(tokenizer), 'segments': 0, 'allowed': 0}
    self._tokenizer = copy_tokenizer(tokenizer)
    self._settings = settings

  def read(self, given: Mapping[str, str] | tuple[str, str]) -> Input:
    """Reads a question and its context.

    Args:
      given: with `question`, `context` and, if it has one, `id`; or question
        and context.

    Raises:
      TypeError: it is neither.
    """
    if isinstance(given, Mapping):
      parts = given.get('question'), given.get('context')
      name = str(given.get('id', ''))
    else:
      parts, name = given, ''
    if not isinstance(parts, Sequence) or list(map(type, parts)) != [str, str]:
      raise TypeError(
        f"Expected 'question' and 'context', two texts, not {given!r}."
      )
    question, context = map(str, parts)
    return Input(context, question=Asked(name, question, context, []))

  def example(self, item: Input) -> Any:
    """Returns an input as `features` and `decode` take it."""
    return item.question

  def features(
    self, questions: Sequence[Question]
  ) -> list[dict[str, np.ndarray]]:
    """Makes windows of questions: see `make_windows`."""
    settings = self._settings
    return make_windows(
      self._tokenizer,
      questions,
      max_length=settings.max_length,
      max_question=settings.max_question,
      stride=settings.stride,
      unanswerable=settings.unanswerable,
    )

  def postprocess(self, logits: jax.Array, batch: dict) -> dict[str, jax.Array]:
    """Returns the best starts and ends of each window, and the score of [CLS].

    Args:
      logits: `[batch, length, 2]`.
      batch: with `allowed`.

    Returns:
      `scores` and `positions` `[batch, 2, n_best]` of starts and ends, the best
      first, with a score of -inf beyond the end of the context; `null`
      `[batch]`.
    """
    scores = jnp.moveaxis(logits, -1, 1)
    if self._settings.sigmoid:
      scores = jax.nn.sigmoid(scores)
    in_context, on_cls = (batch['allowed'] == x for x in (IN_PIECE, ON_CLS))
    best, positions = jax.lax.top_k(
      jnp.where(in_context[:, None], scores, -jnp.inf),
      min(self._settings.n_best, scores.shape[-1]),
    )
    null = jnp.where(on_cls[:, None], scores, 0).sum(axis=(1, 2))
    return {'scores': best, 'positions': positions, 'null': null}

  def decode(
    self,
    questions: Sequence[Question],
    features: Sequence[Mapping[str, np.ndarray]],
    outputs: Sequence,
  ) -> list[Prediction]:
    """Returns the `n_best` candidates per question, over all of its windows."""
    own = [[] for _ in questions]
    for feature, output in zip(features, outputs, strict=True):
      own[feature['example']].append((feature, output))
    return [
      self._predict(question.context, pairs)
      for question, pairs in zip(questions, own, strict=True)
    ]

  def _predict(self, context: str, own: Sequence[tuple]) -> Prediction:
    found = find_candidates(
      context,
      own,
      n_best=self._settings.n_best,
      max_answer=self._settings.max_answer,
      several=self._settings.several,
    )
    null = min(float(output['null']) for _, output in own)
    return Prediction(found, null - found[0].score if found else 0.0)

  def choose(
    self, prediction: Prediction, parameters: Mapping[str, float]
  ) -> list[Candidate]:
    """Returns the spans of the answer, with the thresholds of `THRESHOLDS`.

    No answer is one span, an empty text with the score of [CLS].
    """
    thresholds = THRESHOLDS | dict(parameters)
    best, *others = prediction.candidates or [Candidate('', 0, 0.0)]
    if self._settings.several:
      return [best, *(c for c in others if c.score >= thresholds['span'])]
    if self._settings.unanswerable and prediction.null > thresholds['null']:
      return [Candidate('', 0, best.score + prediction.null)]
    return [best]

  def decisions(
    self, tuned: Mapping[str, float]
  ) -> Mapping[str, Mapping[str, float]]:
    """Returns the rules, and the threshold of no answer or of several spans."""
    used = {
      'null': self._settings.unanswerable,
      'span': self._settings.several,
    }
    argmax = {name: THRESHOLDS[name] for name in used if used[name]}
    rules: dict[str, Mapping[str, float]] = {'argmax': argmax}
    return rules | ({'tuned': dict(tuned)} if tuned else {})

  def to_record(
    self, item: Any, prediction: Prediction, parameters: Mapping[str, float]
  ) -> dict[str, Any]:
    """Returns the spans of the answer to a question, with their scores."""
    chosen = self.choose(prediction, parameters)
    return {
      'id': item.question.id,
      'question': item.question.question,
      'answers': [candidate.text for candidate in chosen],
      'scores': [round(candidate.score, 6) for candidate in chosen],
    }
