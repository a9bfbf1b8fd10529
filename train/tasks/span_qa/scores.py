"""Scores of answers by the official rules of SQuAD and of several spans."""

from collections.abc import Sequence

import numpy as np

from dicejax import metrics
from train.data.squad import Question
from train.tasks.task import Scores


def compare(
  question: Question,
  texts: Sequence[str],
  *,
  several: bool,
  unanswerable: bool,
  characters: bool = False,
) -> tuple[float, float]:
  """Returns exact match and F1 with the gold alternative that fits best.

  Args:
    question: with gold answers, or without one.
    texts: the predicted answer: its spans, or one text, '' for no answer.
    several: whether an answer may be several spans.
    unanswerable: whether there may be no answer.
    characters: whether characters are compared instead of words.
  """
  if several:
    return max(
      metrics.span_set_scores(texts, [span.text for span in spans])
      for spans in question.answers or [[]]
    )
  golds = [span.text for (span,) in question.answers]
  rules = {'unanswerable': unanswerable or not golds, 'characters': characters}
  (text,) = texts
  return (
    metrics.exact_match(text, golds, **rules),
    metrics.answer_f1(text, golds, **rules),
  )


def score_answers(
  questions: Sequence[Question],
  texts: Sequence[Sequence[str]],
  *,
  several: bool,
  unanswerable: bool,
  characters: bool = False,
) -> Scores:
  """Returns a row of mean scores for all questions.

  Where there may be no answer, questions with and without one have a row each.
  """
  scores = np.array(
    [
      compare(
        question,
        found,
        several=several,
        unanswerable=unanswerable,
        characters=characters,
      )
      for question, found in zip(questions, texts, strict=True)
    ]
  )
  has_answer = np.array([bool(question.answers) for question in questions])
  groups = {'all': np.ones(len(questions), bool)}
  if unanswerable:
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
