"""Answers against the official rules by hand, brute force and invariants."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dicejax import metrics

# Few words, so that answers have some in common; the rules have something to do
# with most of them.
_WORDS = st.sampled_from(
  [
    'red',
    'Red',
    'fox',
    'fox!',
    'the',
    'An',
    'a',
    '...',
    '12',
    '12.0',
    '-3',
    '½',
  ]
)
_ANSWERS = st.lists(_WORDS, max_size=4).map(' '.join)
_SPANS = st.lists(_ANSWERS, min_size=1, max_size=4)


@pytest.mark.parametrize(
  'text, normal',
  [
    ('Red Fox', 'red fox'),
    ('the fox and a hen, an owl', 'fox and hen owl'),
    ('then anthem aa', 'then anthem aa'),
    ("the fox's", 'foxs'),  # Punctuation goes before articles do.
    ('a-b', 'ab'),
    ('a.', ''),
    ('$1,000.50 (U.S.)', '100050 us'),
    (' \t red \n\u00a0fox\u2009', 'red fox'),
    ('“Élan” — the ½', '“élan” — ½'),  # Only ASCII punctuation goes.
    ('the', ''),
    ('', ''),
  ],
)
def test_normalize_answer(text, normal):
  assert metrics.normalize_answer(text) == normal


@pytest.mark.parametrize(
  'prediction, golds, exact, f1',
  [
    ('The Red Fox.', ['red fox'], 1, 1),
    ('fox red', ['red fox'], 0, 1),
    ('the fox', ['red fox'], 0, 2 / 3),
    ('fox', ['red fox', 'hen', 'fox'], 1, 1),
    ('fox', ['old red fox', 'red fox'], 0, 2 / 3),
    # A repeated word counts as often as it occurs.
    ('fox fox hen', ['fox fox fox'], 0, 2 / 3),
    ('hen', ['red fox'], 0, 0),
    ('', ['red fox'], 0, 0),
  ],
)
@pytest.mark.parametrize('unanswerable', [True, False])
def test_answers(prediction, golds, exact, f1, unanswerable):
  how = {'unanswerable': unanswerable}
  assert metrics.exact_match(prediction, golds, **how) == exact
  assert metrics.answer_f1(prediction, golds, **how) == pytest.approx(f1, 1e-15)


@pytest.mark.parametrize(
  'prediction, golds, v2, v1',
  [
    # Pairs of exact match and F1.
    ('', [''], (1, 1), (1, 0)),
    ('The', [''], (1, 1), (1, 0)),
    ('fox', [''], (0, 0), (0, 0)),
    ('', ['The'], (1, 1), (1, 0)),
    # An empty true answer is ignored if there are others.
    ('', ['The', 'fox'], (0, 0), (1, 0)),
    ('a', ['The', 'fox'], (0, 0), (1, 0)),
    ('fox', ['The', 'fox'], (1, 1), (1, 1)),
  ],
)
def test_answers_that_are_nothing(prediction, golds, v2, v1):
  for unanswerable, scores in [(True, v2), (False, v1)]:
    how = {'unanswerable': unanswerable}
    exact = metrics.exact_match(prediction, golds, **how)
    assert (exact, metrics.answer_f1(prediction, golds, **how)) == scores


@pytest.mark.parametrize('score', [metrics.exact_match, metrics.answer_f1])
def test_questions_without_answers(score):
  assert score('', []) == 1
  assert score('fox', []) == 0
  with pytest.raises(ValueError, match='No true answer'):
    score('', [], unanswerable=False)


@given(_ANSWERS, _SPANS, _ANSWERS, st.booleans())
def test_answers_keep_order(prediction, golds, another, unanswerable):
  how = {'unanswerable': unanswerable}
  exact = metrics.exact_match(prediction, golds, **how)
  f1 = metrics.answer_f1(prediction, golds, **how)
  assert 0 <= exact <= 1 and 0 <= f1 <= 1
  if metrics.normalize_answer(prediction):
    assert f1 >= exact
    # Another true answer may only help.
    assert metrics.exact_match(prediction, [*golds, another], **how) >= exact
    assert metrics.answer_f1(prediction, [*golds, another], **how) >= f1
  # F1 of two answers has no direction.
  forth = metrics.answer_f1(prediction, [another], **how)
  assert metrics.answer_f1(another, [prediction], **how) == forth


@pytest.mark.parametrize(
  'predictions, golds, exact, f1',
  [
    (['red fox'], ['Red fox.'], 1, 1),
    (['fox', 'hen'], ['hen', 'the fox'], 1, 1),
    (['fox', 'hen', 'owl'], ['fox'], 0, 0.33),
    (['fox'], ['fox', 'hen', 'owl'], 0, 0.33),
    # A span is used once, and words do not mix between spans.
    (['fox'], ['fox', 'fox'], 0, 0.5),
    (['red hen', 'old fox'], ['red fox', 'old hen'], 0, 0.5),
    # If the first took its best partner, the second would lose its only one.
    (['red fox', 'fox'], ['fox', 'red owl'], 0, 0.75),
    # As many spans, and the same ones, but repeated in other numbers.
    (['fox', 'fox', 'hen'], ['fox', 'hen', 'hen'], 1, 0.67),
    # Sets of words: repeated ones count once.
    (['fox fox hen'], ['fox hen hen'], 0, 1),
    (['fox'], ['red fox'], 0, 0.67),
    # Hyphens separate words; other punctuation is removed.
    (['twenty-one'], ['twenty one'], 1, 1),
    (['U.S. (fox)'], ['us fox'], 1, 1),
    # Numbers are compared as numbers, and one must be right.
    (['12 hens'], ['12.00 hens'], 1, 1),
    (['1,200'], ['1.2e3'], 1, 1),
    (['12 hens'], ['13 hens'], 0, 0),
    (['hens'], ['13 hens'], 0, 0),
    (['13 hens'], ['hens'], 0, 0.67),
    (['12 13 hens'], ['13 14 hens'], 0, 0.67),
    ([''], ['fox'], 0, 0),
    ([], ['fox'], 0, 0),
    (['fox'], [], 0, 0),
    ([], [], 1, 1),
    (['the'], ['a'], 1, 1),
  ],
)
def test_span_sets(predictions, golds, exact, f1):
  assert metrics.span_set_scores(predictions, golds) == (exact, f1)


@given(_SPANS, _SPANS)
def test_span_sets_by_brute_force(predictions, golds):
  short, long = sorted([predictions, golds], key=len)
  pairs = [
    zip(short, spans, strict=True)
    for spans in itertools.permutations(long, len(short))
  ]
  if short is golds:
    pairs = [[(p, g) for g, p in pair] for pair in pairs]
  # F1 of a pair of spans is rounded, so the sum may be off by as much.
  best = max(
    sum(metrics.span_set_scores([p], [g])[1] for p, g in pair) for pair in pairs
  )
  f1 = metrics.span_set_scores(predictions, golds)[1]
  np.testing.assert_allclose(f1, best / len(long), atol=0.01 + 1e-9)


@given(_SPANS, st.randoms(use_true_random=False))
def test_span_sets_have_no_order(spans, random):
  shuffled = random.sample(spans, len(spans))
  assert metrics.span_set_scores(shuffled, spans) == (1, 1)


@pytest.mark.parametrize(
  'score, arguments',
  [
    (metrics.exact_match, ('fox', 'fox')),
    (metrics.answer_f1, ('fox', 'fox')),
    (metrics.span_set_scores, ('fox', ['fox'])),
    (metrics.span_set_scores, (['fox'], 'fox')),
  ],
)
def test_a_text_is_no_list(score, arguments):
  with pytest.raises(TypeError, match="list of texts, not one: 'fox'"):
    score(*arguments)


@pytest.mark.parametrize(
  'prediction, gold, exact, f1',
  [
    ('北京大学', '北京大学的', 0, 8 / 9),
    ('1990年3月', '1990年3月5日', 0, 14 / 16),
    ('北京。', '北京', 1, 1),
    ('《红楼梦》', '红楼梦', 1, 1),
    ('東京都', '東京', 0, 0.8),
    ('ＩＢＭ、东京', '东京', 0, 4 / 7),
    ('U.S. 陆军', 'u.s.陆军', 1, 1),
    ('日本', '东京', 0, 0),
    ('人人', '人', 0, 2 / 3),
    ('。', '北京', 0, 0),
    ('the 东', 'the东', 1, 1),
  ],
)
def test_answers_by_characters(prediction, gold, exact, f1):
  how = {'characters': True}
  assert metrics.exact_match(prediction, [gold], **how) == exact
  assert metrics.answer_f1(prediction, [gold], **how) == pytest.approx(f1)
  golds = ['别的', gold]
  assert metrics.answer_f1(prediction, golds, **how) == pytest.approx(f1)


@given(st.lists(_WORDS), st.lists(_WORDS))
def test_characters_are_words_of_one_letter(one, other):
  prediction, gold = ' '.join(one), ' '.join(other)
  apart = [
    ' '.join(c for c in text if c not in 'aA') for text in (prediction, gold)
  ]
  joined = [text.replace(' ', '') for text in apart]
  words = metrics.answer_f1(apart[0], [apart[1]])
  characters = metrics.answer_f1(joined[0], [joined[1]], characters=True)
  assert characters == pytest.approx(words)


def test_no_answer_by_characters():
  how = {'characters': True}
  assert metrics.answer_f1('', [], **how) == 1
  assert metrics.answer_f1('。', [], **how) == 1
  assert metrics.exact_match('北', [], **how) == 0
