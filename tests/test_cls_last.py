"""Inputs of models whose [CLS] is the last token, as XLNet's is."""

import jax
import numpy as np
import pytest
import tokenizers
from helpers import make_xlnet_tokenizer

from configs import default
from configs import losses
from dicejax.text.answers import AnswerDecoder
from dicejax.text.answers import AnswerSettings
from dicejax.text.batches import pad
from dicejax.text.inputs import Asked
from dicejax.text.labels import LabelDecoder
from dicejax.text.tags import TagDecoder
from dicejax.text.tokenizer import cls_place
from dicejax.text.windows import Answer
from train.data.mrc_ner import Query
from train.tasks.query_spans.features import make_features
from train.tasks.span_qa import SpanQa

PIECES = '▁who ▁met ▁ann ▁bob ▁cle one ▁in ▁rome ▁ .'
QUESTION = Asked(
  'q', 'who met ann', 'bob met cleone in rome.', [[Answer('cleone', 8)]]
)


@pytest.fixture(scope='module')
def tokenizer():
  return make_xlnet_tokenizer(PIECES.split())


def read(tokenizer, ids):
  tokens = [tokenizer.id_to_token(i) for i in ids]
  return ' '.join(tokens).replace('\u2581', '')


def encode_pair(tokenizer, max_length):
  settings = AnswerSettings(max_length, stride=2, unanswerable=True)
  return AnswerDecoder(tokenizer, settings).features([QUESTION])


def test_place_of_cls(tokenizer):
  assert cls_place(tokenizer) == -1
  words = tokenizers.models.WordLevel({'a': 0, 'b': 1, 'c': 2}, 'a')
  other = tokenizers.Tokenizer(words)
  assert cls_place(other) == 0
  for kind in ('BertProcessing', 'RobertaProcessing'):
    processor = getattr(tokenizers.processors, kind)
    other.post_processor = processor(('b', 1), ('c', 2))
    assert cls_place(other) == 0


def test_window_of_a_short_context(tokenizer):
  (feature,) = encode_pair(tokenizer, 32)
  assert read(tokenizer, feature['tokens']) == (
    'who met ann <sep> bob met cle one in rome . <sep> <cls>'
  )
  np.testing.assert_array_equal(feature['segments'], [0] * 4 + [1] * 8 + [2])
  np.testing.assert_array_equal(
    feature['allowed'], [0] * 4 + [1] * 7 + [0] + [2]
  )
  assert np.argmax(feature['starts']) == 6 and np.argmax(feature['ends']) == 7


def test_windows_without_the_answer_learn_cls(tokenizer):
  features = encode_pair(tokenizer, 10)
  own = tokenizers.Tokenizer.from_str(tokenizer.to_str())
  own.enable_truncation(10, stride=2, strategy='only_second')
  encoding = own.encode(QUESTION.question, QUESTION.context)
  for feature, window in zip(
    features, [encoding, *encoding.overflowing], strict=True
  ):
    np.testing.assert_array_equal(feature['tokens'], window.ids)
  starts, ends = (
    [read(tokenizer, f['tokens'][f[name] > 0]) for f in features]
    for name in ('starts', 'ends')
  )
  assert (starts, ends) == (
    ['cle', 'cle', '<cls>'],
    ['one', 'one', '<cls>'],
  )


@pytest.mark.parametrize('sigmoid', [False, True])
def test_score_of_no_answer_is_that_of_cls(tokenizer, sigmoid):
  settings = AnswerSettings(16, unanswerable=True, sigmoid=sigmoid)
  decoder = AnswerDecoder(tokenizer, settings)
  features = decoder.features(
    [QUESTION, QUESTION._replace(context='bob', answers=[])]
  )
  batch = pad(features, decoder.fill, 3, 16)
  logits = np.full((3, 16, 2), 9.0)  # On all that is no answer.
  for row, feature in zip(logits, features, strict=False):
    row[: len(feature['tokens'])][feature['allowed'] == 1] = -2.0
    row[len(feature['tokens']) - 1] = [0.25, 0.5]
  logits[0, 6, 0] = logits[0, 7, 1] = 3.0
  out = jax.device_get(decoder.postprocess(logits, batch))
  value = (lambda x: 1 / (1 + np.exp(-x))) if sigmoid else float
  null = value(0.25) + value(0.5)
  np.testing.assert_allclose(out['null'][:2], null, rtol=1e-6)
  outputs = [jax.tree.map(lambda x, i=i: x[i], out) for i in range(2)]
  questions = [QUESTION, QUESTION._replace(context='bob')]
  found, none = decoder.decode(questions, features, outputs)
  assert found.candidates[0].text == 'cleone'
  np.testing.assert_allclose(found.null, null - 2 * value(3.0), rtol=1e-6)
  assert decoder.choose(found, {})[0].text == 'cleone'
  assert decoder.choose(none, {})[0].text == ''


def test_targets_are_in_the_context(tokenizer):
  config = default.get_config()
  config.max_length, config.span_qa.max_question = 16, 8
  config.loss = losses.get_loss('cross_entropy')
  task = SpanQa(config, tokenizer)
  (feature,) = task.features([QUESTION])
  assert task.targets(feature).tolist() == [0, 0, 1, 0, 0, 0, 0]


def test_words_to_be_tagged(tokenizer):
  sentence = 'bob met cleone in rome .'.split()
  decoder = TagDecoder(tokenizer, ['O', 'B-X'], 16)
  (feature,) = decoder.features([sentence])
  assert read(tokenizer, feature['tokens']) == (
    'bob met cle one in rome  . <sep> <cls>'
  )
  np.testing.assert_array_equal(feature['segments'], [0] * 9 + [2])
  np.testing.assert_array_equal(
    feature['words'], [0, 1, 2, -1, 3, 4, 5, -1, -1, -1]
  )
  windows = TagDecoder(tokenizer, ['O', 'B-X'], 6).features([sentence])
  assert [read(tokenizer, f['tokens']) for f in windows] == [
    'bob met cle one <sep> <cls>',
    'one in rome  <sep> <cls>',
    'in rome  . <sep> <cls>',
  ]
  for window in windows:
    np.testing.assert_array_equal(window['segments'], [0] * 5 + [2])


def test_a_cut_text_keeps_its_cls(tokenizer):
  decoder = LabelDecoder(tokenizer, ['a', 'b'], 8)
  one, two = decoder.features(
    ['bob met ann in rome in rome', ('bob met ann in', 'bob met ann')]
  )
  assert read(tokenizer, one['tokens']) == 'bob met ann in rome in <sep> <cls>'
  assert read(tokenizer, two['tokens']) == (
    'bob met ann <sep> bob met <sep> <cls>'
  )
  np.testing.assert_array_equal(two['segments'], [0] * 4 + [1] * 3 + [2])
  assert one['cut'] and two['cut']


def test_query_beside_a_sentence(tokenizer):
  words = 'bob met ann in rome'.split()
  query = Query('1', 'PER', 'who met', words, [(0, 1)], ())
  feature, last = make_features(
    tokenizer, [query], {}, max_length=9, match=False, nested=False
  )
  assert read(tokenizer, feature['tokens']) == (
    'who met <sep> bob met ann in <sep> <cls>'
  )
  np.testing.assert_array_equal(feature['segments'], [0] * 3 + [1] * 5 + [2])
  np.testing.assert_array_equal(
    feature['starts'], [-1] * 3 + [1, 0, 0, 0] + [-1] * 2
  )
  assert read(tokenizer, last['tokens']).endswith('ann in rome <sep> <cls>')
  np.testing.assert_array_equal(last['starts'] > 0, 9 * [False])
