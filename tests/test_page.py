"""The report of a run: charts, confusions, mistakes and curves, by hand."""

import re
import types
import xml.etree.ElementTree

import numpy as np
import pytest

from dicejax import metrics
from dicejax.text.answers import Prediction as AnswerPrediction
from dicejax.text.candidates import Candidate
from dicejax.text.label_sets import LabelSetDecoder
from train import charts
from train import decision_curve
from train import page
from train.data.conll import Sentence
from train.data.fields import LabelledText
from train.data.fields import Text
from train.data.squad import Answer
from train.data.squad import Question
from train.tasks import review as reviews
from train.tasks.classification import Classification
from train.tasks.multi_label import MultiLabel
from train.tasks.review import review
from train.tasks.span_qa import SpanQa
from train.tasks.tagging import Prediction
from train.tasks.tagging import Tagging


def make_task(kind, **attributes):
  """Makes a task without its tokenizer, as reviews need none."""
  task = object.__new__(kind)
  vars(task).update(attributes)
  return task


def test_lines_are_where_their_values_are():
  svg = charts.line_chart(
    {'<a>': [(0, 1.0), (10, 100.0)], 'b': [(5, 10.0)]},
    charts.Axis('step'),
    charts.axis_for('loss', [1.0, 10.0, 100.0]),
    marked=(5, 'best'),
  )
  legend, picture = svg.split('<svg', 1)
  assert '&lt;a&gt;' in legend and '<a>' not in svg
  root = xml.etree.ElementTree.fromstring(f'<svg{picture}')
  (x0, y0), (x1, y1) = (
    map(float, pair.split(','))
    for pair in root.find('polyline').get('points').split()
  )
  (middle,) = root.findall('polyline')[1].get('points').split()
  x, y = map(float, middle.split(','))
  # Ten is in the middle of 1 and 100 by their logarithms.
  np.testing.assert_allclose([x, y], [(x0 + x1) / 2, (y0 + y1) / 2], atol=0.1)
  chosen = next(each for each in root if each.get('class') == 'chosen')
  assert float(chosen.get('x1')) == x and y1 < y0
  ticks = [each.text for each in root.findall('text')]
  assert {'1', '10', '100', 'step', 'best'} <= set(ticks)


@pytest.mark.parametrize(
  'low, high', [(0, 1), (0.331, 0.374), (-1e-9, 1e-9), (5, 1e7), (0.5, 0.5)]
)
@pytest.mark.parametrize('scale', ['linear', 'log'])
def test_ticks_are_few_and_around_the_values(low, high, scale):
  if scale == 'log' and low <= 0:
    low, high = 1e-5, 1e-1
  axis = charts.Axis('', scale)
  found = charts._Scale(axis, low, high, 0, 100, whole_ticks=True)
  assert 2 <= len(found.ticks) <= 8
  assert found.ticks[0] <= low + 1e-12 and found.ticks[-1] >= high - 1e-12
  assert 0 <= found(low) <= found(high) <= 100


def test_percentages_end_at_100():
  found = charts._Scale(charts.Axis('', percent=True), 1.0, 1.0, 0, 1, True)
  assert found.ticks[-1] == 1.0 and found(1.0) == 1


def test_review_of_texts():
  labels = ('ham', 'spam')
  gold = ['ham', 'spam', 'ham', 'spam']
  examples = [Text(f'<{i}>', 'b', label, i) for i, label in enumerate(gold)]
  predictions = [[0.9, 0.1], [0.8, 0.2], [0.3, 0.7], [0.4, 0.6]]
  task = make_task(
    Classification,
    labels=labels,
    choose=lambda ps, _: [labels[int(np.argmax(p))] for p in ps],
  )
  found = review(task, examples, predictions, {})
  assert found.confusion == [[1, 1], [1, 1]] and found.number == 2
  assert [(m.where, m.true, m.found, m.sure) for m in found.mistakes] == [
    ('line 1', 'spam', 'ham', 0.8),
    ('line 2', 'ham', 'spam', 0.7),
  ]
  text = ''.join(page._review(found, 'test'))
  assert '&lt;1&gt;\nb' in text and '<1>' not in text and '80% sure' in text


def test_review_of_entities():
  """A missed one, a wrong border, and one that is not there."""
  tags = ['B-PER', 'O', 'B-LOC', 'I-LOC', 'O', 'O']
  found = ['O', 'O', 'B-LOC', 'O', 'O', 'B-PER']
  sentence = Sentence(list('abcdef'), tags, 7)
  prediction = Prediction(
    ['B-PER', 'B-PER', 'B-LOC', 'B-LOC', 'B-LOC', 'B-PER'],
    [0.25, 0.1, 0.5, 0.5, 0.5, 0.75],
    [1.0, 1.0, -1.0, 1.0, 1.0, -1.0],
  )
  task = make_task(
    Tagging,
    labels=('O', 'B-LOC', 'I-LOC', 'B-PER', 'I-PER'),
    background=True,
    tags=lambda p, _: found,
    entities=lambda p, _: [
      (span, p.probabilities[span.start])
      for span in metrics.entity_spans(found)
    ],
  )
  result = review(task, [sentence], [prediction], {})
  assert result.labels == ['O', 'LOC', 'PER'] and result.number == 3
  # a is missed, b and e are right, d is missed; c is right; f is too much.
  assert result.confusion == [[2, 0, 1], [1, 1, 0], [1, 0, 0]]
  (worst,) = result.mistakes  # One of a sentence.
  mistakes = {
    (m.true, m.found): (m.parts, m.sure)
    for m in reviews._compare_entities(
      sentence, prediction, dict(task.entities(prediction, {}))
    )
  }
  both, true = reviews.BOTH, reviews.TRUE
  plain, spurious = reviews.PLAIN, reviews.FOUND
  assert mistakes == {
    ('PER', ''): ([('a', true), ('b c d e f', plain)], 0.75),
    ('', 'PER'): ([('a b c d e', plain), ('f', spurious)], 0.75),
    ('LOC', 'LOC'): (
      [('a b', plain), ('c', both), ('d', true), ('e f', plain)],
      0.5,
    ),
  }
  assert worst.sure == 0.75


def test_decision_curve():
  """Precision and recall of a threshold, counted by hand."""
  gold, probabilities = np.array([0, 0, 1, 1]), np.array([0.1, 0.4, 0.3, 0.9])

  def score(examples, predictions, tuned):
    found = probabilities >= tuned['threshold']
    right = (found & (gold == 1)).sum()
    precision, recall = right / max(found.sum(), 1), right / 2
    f1 = 2 * right / (found.sum() + 2)
    scores = {'precision': precision, 'recall': recall, 'f1': f1}
    return {'half': {'f1': 0.0}, 'tuned': scores | tuned}

  task = types.SimpleNamespace(score=score)
  (curve,) = decision_curve.trace(task, gold, None, {'threshold': 0.35})
  assert curve.parameter == 'threshold' and curve.chosen == 0.35
  by_value = {column: dict(points) for column, points in curve.scores.items()}
  assert by_value['precision'][0.35] == by_value['recall'][0.35] == 0.5
  recalls = [recall for _, recall in curve.scores['recall']]
  assert recalls == sorted(recalls, reverse=True) and recalls[0] == 1
  assert decision_curve.trace(task, gold, None, {}) == []
  text = ''.join(page._decision([curve]))
  assert 'The threshold 35 % has the best F1' in text and '<svg' in text
  # Where nothing is found, no precision is drawn.
  assert len(page._where_found(curve)['precision']) < len(recalls)


def test_decision_curves_of_labels():
  """Each label by its own threshold, the most frequent first."""
  examples = [
    LabelledText('', None, labels, 0) for labels in [('a', 'b'), ('b',), ()]
  ]
  predictions = [[0.75, 0.5], [0.25, 0.5], [0.0, 0.25]]
  task = make_task(
    MultiLabel,
    labels=('a', 'b'),
    _decoder=make_task(LabelSetDecoder, labels=('a', 'b')),
  )
  chosen = {'a': 0.3, 'b': 0.4}
  curves = decision_curve.trace(
    task, examples, predictions, {'threshold': chosen}
  )
  assert [(c.label, c.chosen) for c in curves] == [('b', 0.4), ('a', 0.3)]
  by_value = [dict(curve.scores['f1']) for curve in curves]
  assert by_value[0][0.4] == by_value[1][0.3] == 1
  lowest = min(by_value[0])
  assert by_value[0][lowest] == pytest.approx(4 / 5)  # All three texts.
  assert by_value[1][lowest] == pytest.approx(2 / 3)  # Two of them.
  text = ''.join(page._decision(curves))
  assert text.index('<h3>b</h3>') < text.index('<h3>a</h3>') and '40 %' in text
  assert 'most frequent' not in text
  many = [curve._replace(label=f'<{i}>') for i in range(7) for curve in curves]
  text = ''.join(page._decision(many))
  assert text.count('<svg') == 12 and '12 most frequent of 14' in text
  assert '&lt;0&gt;' in text and '<0>' not in text


def test_decision_curve_of_no_answer():
  """The F1 of questions that have an answer, and of those that have none."""

  examples = [
    Question(str(i), '', '', 'Ann Bob', [[Answer(x, 0)]] if x else [], [])
    for i, x in enumerate(['Ann', 'Ann Bob', ''])
  ]
  predictions = [
    AnswerPrediction([Candidate('Ann', 0, 1.0)], null)
    for null in (-2.0, 1.0, 4.0)
  ]
  rules = {'several': False, 'unanswerable': True, 'characters': False}
  task = make_task(SpanQa, _rules=rules, choose=lambda p, _: p.candidates[:1])
  (curve,) = decision_curve.trace(task, examples, predictions, {'null': 2.0})
  by_value = {name: dict(points) for name, points in curve.scores.items()}
  # "Ann" is right, two thirds of the F1 of "Ann Bob", or wrong.
  assert by_value['unanswerable'] == {x: x < 4 for x in by_value['all']}
  assert by_value['answerable'][2.0] == pytest.approx((1 + 2 / 3) / 2)
  assert by_value['answerable'][-2.0] == pytest.approx(1 / 2)
  assert by_value['all'][2.0] == pytest.approx((1 + 2 / 3 + 1) / 3)
  text = ''.join(page._decision([curve]))
  assert text.count('<svg') == 1 and 'by more than 2, which has' in text


def test_most_confused_labels_are_shown():
  labels = [f'l{i}' for i in range(20)]
  confusion = np.diag(np.arange(100, 120)).tolist()
  confusion[19][0] = 7
  kept, counts = page._most_confused(labels, confusion)
  assert len(kept) == len(counts) == 12
  assert {'l0', 'l19'} <= set(kept) and counts[-1][0] == 7
  assert len(re.findall('<td', page._confusion(kept, counts))) == 144
