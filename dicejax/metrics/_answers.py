"""Scores of answers, as in SQuAD and, for several spans, in QuoRef."""

from __future__ import annotations

import collections
import re
import string
import unicodedata
from collections.abc import Sequence

import numpy as np

_ARTICLES = re.compile(r'\b(a|an|the)\b')
_NO_PUNCTUATION = str.maketrans('', '', string.punctuation)


def normalize_answer(text: str, *, characters: bool = False) -> str:
  """Removes case, punctuation, articles and extra white space.

  Args:
    text: the answer, as it stands in the context.
    characters: whether the language separates no words, as Chinese: then all
      Unicode punctuation and all white space are removed, and no articles.
      Otherwise ASCII punctuation is removed.

  Returns:
    The text that is compared; `''` for no answer.

  Example:
    >>> normalize_answer('The  Eiffel Tower, (Paris)')
    'eiffel tower paris'

  References:
    Rajpurkar et al., `SQuAD <https://arxiv.org/abs/1606.05250>`_, 2016, and its
    `evaluate-v1.1.py`. Cui et al., `CMRC 2018
    <https://arxiv.org/abs/1810.07366>`_, 2019, for characters.
  """
  text = text.lower().translate(_NO_PUNCTUATION)
  if characters:
    return ''.join(filter(_is_content, text))
  return _fix_white_space(_ARTICLES.sub(' ', text))


def exact_match(
  prediction: str,
  golds: Sequence[str],
  *,
  unanswerable: bool = True,
  characters: bool = False,
) -> float:
  """Tests whether a normalised answer equals one of the true answers.

  Args:
    prediction: the answer to score; `''` claims that there is no answer.
    golds: the true answers, any of which is right. `[]` and `['']` mean that
      there is no answer.
    unanswerable: whether the data set has questions without an answer. True
      follows SQuAD 2.0: a true answer that normalises to nothing (such as
      'The') is dropped, and a question without true answers has `''` as its
      only one. False follows v1.1: all of `golds` are kept. The two only differ
      where a true answer normalises to nothing.
    characters: as for `normalize_answer`.

  Returns:
    1.0 or 0.0.

  Raises:
    ValueError: `golds` is empty and `unanswerable` is False.
    TypeError: `golds` is a string instead of a list.

  Example:
    >>> exact_match('the Eiffel Tower', ['Eiffel Tower', 'a tower'])
    1.0
    >>> exact_match('Paris', [])
    0.0

  References:
    Rajpurkar et al., `Know what you don't know
    <https://arxiv.org/abs/1806.03822>`_, 2018, and its `evaluate-v2.0.py`.
  """
  golds = _normalize_golds(golds, unanswerable, characters)
  return float(normalize_answer(prediction, characters=characters) in golds)


def answer_f1(
  prediction: str,
  golds: Sequence[str],
  *,
  unanswerable: bool = True,
  characters: bool = False,
) -> float:
  """Computes the F1 of an answer's words, against the closest true answer.

  Args:
    prediction: the answer to score; `''` claims that there is no answer.
    golds: the true answers, any of which is right. `[]` and `['']` mean that
      there is no answer.
    unanswerable: whether the data set has questions without an answer, as for
      `exact_match`. If an answer normalises to nothing, its F1 with another is
      1 if that one does as well (True, SQuAD 2.0) or always 0 (False, v1.1).
    characters: whether characters are compared instead of words, for languages
      that do not separate these, as DRCD does. (The script of CMRC 2018 keeps
      numbers and Latin words whole, and counts the longest part that two
      answers have in common. Theirs and this agree on Chinese characters where
      one answer contains the other.)

  Returns:
    The F1 of the two bags of words, or of characters, in [0, 1].

  Raises:
    ValueError: `golds` is empty and `unanswerable` is False.
    TypeError: `golds` is a string instead of a list.

  Example:
    >>> answer_f1('東京都', ['東京'], characters=True)
    0.8
    >>> answer_f1('the tall Eiffel Tower', ['Eiffel Tower'])
    0.8
    >>> answer_f1('', [])
    1.0

  References:
    As for `exact_match`.
  """
  split = list if characters else str.split
  words = split(normalize_answer(prediction, characters=characters))
  golds = _normalize_golds(golds, unanswerable, characters)
  if not words:
    return float(unanswerable and '' in golds)
  return max(_words_f1(words, split(gold)) for gold in golds)


def span_set_scores(
  predictions: Sequence[str], golds: Sequence[str]
) -> tuple[float, float]:
  """Computes exact match and F1 of an answer that consists of several spans.

  QuoRef took these rules from DROP. An exact match has the same number of spans
  and the same spans. For F1, each predicted span is paired with at most one
  true span such that the sum over pairs of the F1 of their sets of words is
  largest; the sum is divided by the larger number of spans and rounded to two
  digits.

  Spans are normalised word by word, which differs from `normalize_answer`: a
  hyphen separates words, and a word that `float` can read is a number, which
  keeps its point and sign ('12' and '12.00' are equal). The F1 of a true span
  with numbers is 0 if the predicted span has none of these numbers.

  Args:
    predictions: the spans to score, in any order.
    golds: the true spans, in any order.

  Returns:
    Exact match (1.0 or 0.0) and F1 in [0, 1]. Two empty lists match.

  Raises:
    TypeError: `predictions` or `golds` is a string instead of a list.

  Example:
    >>> span_set_scores(['the Joker', 'Robin'], ['Joker'])
    (0.0, 0.5)

  References:
    Dua et al., `DROP <https://arxiv.org/abs/1903.00161>`_, 2019.
    Dasigi et al., `Quoref <https://arxiv.org/abs/1908.05803>`_, 2019, whose
    `quoref_eval.py` calls DROP's.
  """
  # Importing scipy.optimize takes a third as long as importing dicejax.
  from scipy import optimize

  predictions, golds = _normalize_spans(predictions), _normalize_spans(golds)
  same_length = len(predictions) == len(golds)
  exact = float(same_length and set(predictions) == set(golds))
  if not (predictions and golds):
    return exact, exact
  f1 = np.array([[_bag_f1(p, g) for p in predictions] for g in golds])
  rows, columns = optimize.linear_sum_assignment(f1, maximize=True)
  paired = np.zeros(max(f1.shape))
  paired[rows] = f1[rows, columns]
  return exact, float(round(np.mean(paired), 2))


def _is_content(character: str) -> bool:
  is_punctuation = unicodedata.category(character).startswith('P')
  return not (is_punctuation or character.isspace())


def _normalize_golds(
  golds: Sequence[str], unanswerable: bool, characters: bool
) -> list[str]:
  _refuse_text(golds)
  golds = [normalize_answer(gold, characters=characters) for gold in golds]
  if unanswerable:
    return [gold for gold in golds if gold] or ['']
  if not golds:
    raise ValueError('No true answer: expected one, or unanswerable=True.')
  return golds


def _words_f1(predicted: list[str], gold: list[str]) -> float:
  common = collections.Counter(predicted) & collections.Counter(gold)
  same = sum(common.values())
  if not same:
    return 0.0
  # As the official script does it: 2 * same / (lengths) can differ in the last
  # digit.
  precision, recall = same / len(predicted), same / len(gold)
  return 2 * precision * recall / (precision + recall)


def _bag_f1(predicted: str, gold: str) -> float:
  found, true = set(predicted.split()), set(gold.split())
  numbers = {word for word in true if _is_number(word)}
  if numbers and not numbers & found:
    return 0.0
  same = len(found & true)
  precision = same / len(found) if found else 1.0
  recall = same / len(true) if true else 1.0
  if precision == recall == 0:
    return 0.0
  return 2 * precision * recall / (precision + recall)


def _normalize_spans(spans: Sequence[str]) -> list[str]:
  _refuse_text(spans)
  return [
    ' '.join(filter(None, map(_normalize_word, re.split('[ -]', span))))
    for span in spans
  ]


def _normalize_word(word: str) -> str:
  word = word.lower()
  if not _is_number(word):
    word = word.translate(_NO_PUNCTUATION)
  if _is_number(word):
    return str(float(word))
  return _fix_white_space(_ARTICLES.sub(' ', word))


def _is_number(word: str) -> bool:
  try:
    float(word)
  except ValueError:
    return False
  return True


def _fix_white_space(text: str) -> str:
  return ' '.join(text.split())


def _refuse_text(texts: Sequence[str]) -> None:
  if isinstance(texts, str):  # A loop would take each letter for a text.
    raise TypeError(f'Expected a list of texts, not one: {texts!r}.')
