"""Made-up answers to SQuAD and QuoRef get the official scripts' scores.

The expected numbers are what evaluate-v1.1.py and evaluate-v2.0.py of SQuAD and
quoref_eval.py of AllenNLP give for the same predictions.
"""

import json
import os
import pathlib
import zlib

import numpy as np

from dicejax import metrics

_DATA = pathlib.Path(os.environ.get('DICEJAX_DATA', ''))


def _questions(path):
  """Returns (id, context, texts of the true answers) of each question."""
  for article in json.loads((_DATA / path).read_text())['data']:
    for paragraph in article['paragraphs']:
      for question in paragraph['qas']:
        golds = [answer['text'] for answer in question['answers']]
        yield question['id'], paragraph['context'], golds


def _predict(id_, context, golds):
  """Makes a right, half right or wrong answer, by the id of the question."""
  words = context.split()
  answer = golds[-1] if golds else ' '.join(words[3:6])
  return [
    answer,
    f'The {answer.upper()}.',
    ' '.join(answer.split()[1:]),
    ' '.join(answer.split()[::-1]),
    f'{answer} and so on',
    answer[: len(answer) // 2],
    ' '.join(words[:3]),
    '',
  ][zlib.crc32(id_.encode()) % 8]


def _null_score(id_, has_answer):
  uniform = zlib.crc32(f'null {id_}'.encode()) / 2**32
  return uniform**2 if has_answer else uniform**0.5


def _squad_scores(path, unanswerable):
  """Returns rows: null score, whether there is an answer, exact match, F1."""
  rows = []
  for id_, context, golds in _questions(path):
    prediction = _predict(id_, context, golds)
    exact = metrics.exact_match(prediction, golds, unanswerable=unanswerable)
    f1 = metrics.answer_f1(prediction, golds, unanswerable=unanswerable)
    rows.append((_null_score(id_, golds), bool(golds), exact, f1))
  return np.array(rows)


def test_squad_1():
  scores = _squad_scores('squad/dev-v1.1.json', unanswerable=False)[:, 2:]
  percent = 100 * scores.mean(axis=0)
  expected = [31.721854304635762, 55.512195818472264]
  np.testing.assert_allclose(percent, expected, rtol=1e-12)


def test_squad_2():
  rows = _squad_scores('squad/dev-v2.0.rebuilt.json', unanswerable=True)
  null, scores = rows[:, 0], rows[:, 2:]
  has_answer = rows[:, 1].astype(bool)
  for chosen, expected in [
    (slice(None), [22.117409247873326, 34.38699907122712]),
    (has_answer, [31.545209176788124, 56.11957489417692]),
    (~has_answer, [12.716568544995795, 12.716568544995795]),
  ]:
    percent = 100 * scores[chosen].mean(axis=0)
    np.testing.assert_allclose(percent, expected, rtol=1e-12)
  for score, threshold, percent in [
    (scores[:, 0], 0.1647045295891608, 55.25983323507117),
    (scores[:, 1], 0.3016432093348984, 61.586951727466335),
  ]:
    best, mean = metrics.best_null_threshold(null, score, ~has_answer)
    np.testing.assert_allclose(best, threshold, rtol=1e-12)
    np.testing.assert_allclose(100 * mean, percent, rtol=1e-12)


def test_no_answer_to_squad_2():
  # 5,945 of 11,873 questions have no answer: Rajpurkar et al., 2018, table 2.
  golds = [g for _, _, g in _questions('squad/dev-v2.0.rebuilt.json')]
  right = sum(metrics.exact_match('', gold) for gold in golds)
  assert (right, len(golds)) == (5_945, 11_873)


def _predict_spans(id_, context, golds):
  """Makes as many spans as there are, and some of the true ones."""
  spans = [_predict(f'{id_} {gold}', context, [gold]) for gold in golds]
  return [*spans, *golds[: zlib.crc32(id_.encode()) % 3]][::-1]


def test_quoref():
  scores = [
    metrics.span_set_scores(_predict_spans(id_, context, golds), golds)
    for id_, context, golds in _questions('quoref/quoref-dev-v0.1.json')
  ]
  mean = np.mean(scores, axis=0)
  expected = [0.09801488833746898, 0.4962117452440033]
  np.testing.assert_allclose(mean, expected, rtol=1e-12)
