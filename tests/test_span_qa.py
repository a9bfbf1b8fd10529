"""Questions to windows and back to answers, losses of them, and scores."""

import collections
import itertools
import json
import operator
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import tokenizers
from helpers import check_packing
from helpers import first_value
from helpers import interrupt_at
from helpers import make_config

from configs import default
from configs import losses
from dicejax import metrics
from dicejax.models import BertConfig
from dicejax.text import candidates
from dicejax.text.batches import pad
from dicejax.text.candidates import Candidate
from dicejax.text.tokenizer import load_tokenizer
from train import interrupts
from train.data.batches import pack
from train.data.squad import Answer
from train.data.squad import Question
from train.tasks.span_qa import Prediction
from train.tasks.span_qa import SpanQa
from train.tasks.span_qa import get_labels
from train.trainer import Trainer

VOCABULARY = (
  '[PAD] [UNK] [CLS] [SEP] who met ann bob cleo ##ne , . and at in rome 19 ##84'
).split()
ENCODER = BertConfig(
  vocab_size=len(VOCABULARY),
  hidden_size=8,
  num_hidden_layers=1,
  num_attention_heads=2,
  intermediate_size=8,
  hidden_dropout_prob=0.0,
)
CONTEXT = 'Ann met Bob, Cleone and Bob in Rome. In 1984 Bob met Ann in Rome.'


@pytest.fixture(scope='module')
def tokenizer(tmp_path_factory):
  directory = tmp_path_factory.mktemp('tokenizer')
  (directory / 'vocab.txt').write_text('\n'.join(VOCABULARY))
  return load_tokenizer(directory)


def task(tokenizer, activation='softmax', **settings):
  config = default.get_config()
  config.max_length = settings.pop('max_length', 64)
  config.loss = losses.get_loss(
    'cross_entropy', sigmoid=activation == 'sigmoid'
  )
  if settings.get('several'):
    config.data.squad.answers = 'spans'
  config.span_qa.max_question = 8
  config.span_qa.update(settings)
  return SpanQa(config, tokenizer, ())


def ask(*texts, question='Who met Ann?', context=CONTEXT, id='q'):
  """Makes a question; its alternatives are where these texts occur first."""
  return Question(
    id,
    'title',
    question,
    context,
    [[Answer(text, context.find(text))] for text in texts],
    [],
  )


def words(feature, name='tokens'):
  chosen = (
    feature['tokens']
    if name == 'tokens'
    else feature['tokens'][feature[name] > 0]
  )
  return ' '.join(VOCABULARY[i] for i in chosen)


def batch_of(spanqa, features, max_length=64, rows=None):
  return pad(features, spanqa.fill, rows or len(features), max_length)


def decode(spanqa, questions, features, logits):
  """Makes predictions from logits `[sub-words, 2]` of each window."""
  batch = batch_of(spanqa, features)
  padded = np.full((*batch['tokens'].shape, 2), 50.0, np.float32)
  for i, row in enumerate(logits):
    padded[i, : len(row)] = row
  answers = jax.device_get(spanqa.postprocess(padded, batch))
  rows = [
    jax.tree.map(operator.itemgetter(i), answers) for i in range(len(features))
  ]
  return spanqa.decode(questions, features, rows)


def gold_logits(features):
  return [
    np.where(np.stack([f['starts'], f['ends']], -1), 5.0, -5.0)
    for f in features
  ]


def random_logits(features, seed=0, scale=3.0):
  rng = np.random.default_rng(seed)
  return [rng.normal(0, scale, (len(f['tokens']), 2)) for f in features]


# Windows.


def test_window_of_a_short_context(tokenizer):
  spanqa = task(tokenizer)
  question = ask('Rome', 'Cleone', question='Who?', context='Cleone, in Rome.')
  (feature,) = spanqa.features([question])
  assert words(feature) == '[CLS] who [UNK] [SEP] cleo ##ne , in rome . [SEP]'
  np.testing.assert_array_equal(feature['segments'], [0] * 4 + [1] * 7)
  assert words(feature, 'allowed') == '[CLS] cleo ##ne , in rome .'
  # The first alternative.
  assert words(feature, 'starts') == words(feature, 'ends') == 'rome'
  assert spanqa.notes([question], [feature]) == [
    '1 question, split into 1 window.'
  ]


def test_windows_begin_a_stride_apart_and_hold_whole_answers(tokenizer):
  spanqa = task(tokenizer, max_length=11, stride=3, max_question=2)
  question = ask('Cleone', question='Who', context='Ann met Cleone at Rome.')
  features = spanqa.features([question, question])
  assert [words(f) for f in features[:2]] == [
    '[CLS] who [SEP] ann met cleo ##ne at rome . [SEP]'
  ] * 2
  spanqa = task(tokenizer, max_length=7, stride=1, max_question=2)
  features = spanqa.features([question])
  assert [words(f)[16:-6] for f in features] == [
    'ann met cleo',
    'met cleo ##ne',
    'cleo ##ne at',
    '##ne at rome',
    'at rome .',
  ]
  assert [words(f, 'starts') for f in features] == [
    '[CLS]',
    'cleo',
    'cleo',
    '[CLS]',
    '[CLS]',
  ]
  assert [words(f, 'ends') for f in features] == [
    '[CLS]',
    '##ne',
    '##ne',
    '[CLS]',
    '[CLS]',
  ]


@pytest.mark.parametrize('max_length', [12, 14, 20, 27, 40])
@pytest.mark.parametrize('stride', [1, 4, 100])
def test_windows_are_those_of_the_tokenizer(tokenizer, max_length, stride):
  question = ask('Bob')
  spanqa = task(tokenizer, max_length=max_length, stride=stride)
  features = spanqa.features([question])
  room = max_length - 3 - 4
  tokenizer.enable_truncation(
    max_length, stride=room - min(stride, room), strategy='only_second'
  )
  encoding = tokenizer.encode(question.question, question.context)
  expected = [encoding, *encoding.overflowing]
  assert len(expected) == len(features)
  for window, feature in zip(expected, features, strict=True):
    np.testing.assert_array_equal(feature['tokens'], window.ids)
    np.testing.assert_array_equal(feature['segments'], window.type_ids)
    in_context = [place == 1 for place in window.sequence_ids]
    in_context[0] = True
    np.testing.assert_array_equal(feature['allowed'] > 0, in_context)


def test_long_question_is_cut_and_counted(tokenizer):
  spanqa = task(tokenizer, max_question=3)
  cut = ask('Bob', question='Who, Cleone?')
  questions = [ask('Bob', question='Who met Ann'), cut]
  features = spanqa.features(questions)
  assert words(features[1]).startswith('[CLS] who , cleo [SEP] ann met')
  assert spanqa.notes(questions, features) == [
    '2 questions, split into 2 windows.',
    '1 questions are longer than span_qa.max_question=3 sub-words: the rest is '
    'cut off.',
  ]


def test_what_is_not_found_is_counted(tokenizer):
  spanqa = task(
    tokenizer, max_length=10, stride=2, max_question=4, max_answer=2
  )
  questions = [
    ask('met Bob, Cleone'),  # Six sub-words; a window has three.
    ask('Bob, Cleone'[:5]),  # 'Bob, ' is two sub-words and white space.
    ask('Bob, C'),  # Within 'Cleone', which is three sub-words.
    ask('Cleo'),  # The sub-word that contains it.
    ask('9'),
    ask('Eve'),
    ask(),
  ]
  features = spanqa.features(questions)
  assert spanqa.notes(questions, features)[1:] == [
    '1 answers lie whole in no window of max_length=10: they are not found.',
    '1 answers are longer than span_qa.max_answer=2 sub-words: they are not '
    'found whole.',
    '2 answers begin or end within a sub-word: all of it is read.',
    '1 questions have answers that are not in the context: they are not '
    'learnt.',
    '1 questions have no answer: without span_qa.unanswerable they are not '
    'learnt.',
  ]


def test_only_questions_without_answer_learn_that_there_is_none(tokenizer):
  questions = [ask('Eve'), ask(), ask('Eve', 'Cleone')]
  for unanswerable in (False, True):
    spanqa = task(tokenizer, unanswerable=unanswerable)
    starts = [words(f, 'starts') for f in spanqa.features(questions)]
    assert starts == ['', '[CLS]' * unanswerable, 'cleo']


def test_context_without_sub_words(tokenizer):
  question = ask(context='\u200b')
  spanqa = task(tokenizer, unanswerable=True)
  features = spanqa.features([question])
  assert words(features[0]) == '[CLS] who met ann [UNK] [SEP] [SEP]'
  assert decode(spanqa, [question], features, gold_logits(features)) == [
    Prediction([], 0.0)
  ]


@pytest.mark.parametrize(
  'settings, message',
  [
    (
      dict(max_length=11),
      'max_length=11 leaves no room for a context beside '
      'span_qa.max_question=8 and 3 special sub-words',
    ),
    (dict(stride=0), 'span_qa.stride is at least 1, not 0'),
    (dict(several=True), "several needs loss.activation 'sigmoid'"),
    (
      dict(several=True, unanswerable=True, activation='sigmoid'),
      'several or unanswerable, not both',
    ),
  ],
)
def test_settings_that_do_not_fit(tokenizer, settings, message):
  with pytest.raises(ValueError, match=message):
    task(tokenizer, **settings)


def test_parts_of_answers_need_several(tokenizer):
  config = default.get_config()
  config.data.squad.answers = 'spans'
  with pytest.raises(
    ValueError, match="data.squad.answers='spans' go together"
  ):
    SpanQa(config, tokenizer, ())


def test_only_sigmoids_have_a_prior(tokenizer):
  assert task(tokenizer, 'sigmoid').has_prior
  assert not task(tokenizer, 'softmax').has_prior
  config = default.get_config()
  config.task = 'span_qa'
  config.model.prior_bias = True
  with pytest.raises(ValueError, match='model.prior_bias: span_qa needs'):
    SpanQa(config, tokenizer, ())


def test_training_split_without_answers():
  with pytest.raises(ValueError, match='no question with an answer in its'):
    get_labels(default.get_config(), [ask(), ask('Eve')])
  assert get_labels(default.get_config(), [ask(), ask('Ann')]) == ()


# Losses.


def labelled_batch(tokenizer, activation, rows=None, max_length=64):
  spanqa = task(tokenizer, activation, max_length=30, stride=8)
  features = spanqa.features([ask('Cleone'), ask('Eve'), ask('Rome')])
  return spanqa, batch_of(spanqa, features, max_length, rows)


def logits_for(batch, seed=0):
  rng = np.random.default_rng(seed)
  shape = (*batch['tokens'].shape, 2)
  return jnp.array(rng.normal(size=shape), jnp.float32)


def test_softmax_cross_entropy_by_hand(tokenizer):
  spanqa, batch = labelled_batch(tokenizer, 'softmax')
  logits = logits_for(batch)
  objective = spanqa.objective(losses.get_loss('cross_entropy'))
  loss = first_value(objective)(logits, batch)
  values = []
  for row, start, end, allowed in zip(
    np.asarray(logits, np.float64),
    batch['starts'],
    batch['ends'],
    batch['allowed'],
    strict=True,
  ):
    for column, marks in enumerate((start, end)):
      if marks.any():
        p = np.exp(row[:, column]) * (allowed > 0)
        values.append(-np.log(p[marks > 0].item() / p.sum()))
  assert len(values) < 2 * len(batch['tokens'])  # Eve is not learnt.
  np.testing.assert_allclose(loss, np.mean(values), rtol=1e-6)


@pytest.mark.parametrize('name', ['cross_entropy', 'paper_dice'])
def test_sigmoid_losses_by_hand(tokenizer, name):
  spanqa, batch = labelled_batch(tokenizer, 'sigmoid')
  logits = logits_for(batch)
  config = losses.get_loss(name, sigmoid=True)
  loss = first_value(spanqa.objective(config))(logits, batch)
  learnt = batch['starts'].any(1, keepdims=True)
  where = (batch['allowed'] > 0) & learnt
  expected = []
  for column, marks in enumerate((batch['starts'], batch['ends'])):
    p = 1 / (1 + np.exp(-np.asarray(logits, np.float64)[..., column][where]))
    y = marks[where]
    expected.append(
      -np.log(np.where(y, p, 1 - p)).mean()
      if name == 'cross_entropy'
      else 1 - (2 * (p * y).sum() + 1) / ((p**2).sum() + y.sum() + 1)
    )
  np.testing.assert_allclose(loss, np.mean(expected), rtol=1e-6)


@pytest.mark.parametrize('name', losses.SIGMOID)
def test_every_preset_fits(tokenizer, name):
  spanqa, batch = labelled_batch(tokenizer, 'sigmoid')
  objective = spanqa.objective(losses.get_loss(name, sigmoid=True))
  loss = jax.eval_shape(first_value(objective), logits_for(batch), batch)
  assert (loss.shape, loss.dtype) == ((), jnp.float32)


@pytest.mark.parametrize(
  'name, activation',
  [
    ('cross_entropy', 'softmax'),
    ('self_adjusting_dice', 'sigmoid'),
    pytest.param('focal', 'softmax', marks=pytest.mark.slow),
    pytest.param('focal', 'sigmoid', marks=pytest.mark.slow),
    pytest.param('tversky', 'sigmoid', marks=pytest.mark.slow),
  ],
)
def test_only_what_is_allowed_counts(tokenizer, name, activation):
  spanqa, batch = labelled_batch(tokenizer, activation)
  _, longer = labelled_batch(tokenizer, activation, rows=16, max_length=30)
  assert longer['tokens'].shape != batch['tokens'].shape
  rows, length = batch['tokens'].shape
  length = min(length, longer['tokens'].shape[1])
  wide = logits_for(longer, seed=1)
  logits = logits_for(batch)
  wide = wide.at[:rows, :length].set(logits[:, :length])
  objective = spanqa.objective(
    losses.get_loss(name, sigmoid=activation == 'sigmoid')
  )
  value, gradient = jax.value_and_grad(first_value(objective))(wide, longer)
  np.testing.assert_allclose(
    value, first_value(objective)(logits, batch), rtol=1e-5
  )
  counts = (longer['allowed'] > 0) & longer['starts'].any(1, keepdims=True)
  np.testing.assert_array_equal(gradient[~counts], 0)
  assert np.all(gradient[counts] != 0)


@pytest.mark.parametrize(
  'name, activation',
  [
    ('cross_entropy', 'softmax'),
    ('running_dice', 'sigmoid'),
    pytest.param('paper_dice', 'sigmoid', marks=pytest.mark.slow),
    pytest.param('zlpr', 'sigmoid', marks=pytest.mark.slow),
  ],
)
def test_packed_windows_are_alone(tokenizer, name, activation):
  """Also where a window without a label is beside others in a row."""
  spanqa = task(tokenizer, activation, max_length=20, stride=5)
  questions = [ask('Cleone'), ask('Eve', context='Bob met Ann.'), ask('Rome')]
  features = spanqa.features(questions)
  assert [f['example'] for f in features if not f['starts'].any()] == [1]
  packed = pack(features, spanqa.fill, max_length=76, seed=0, most=32)
  (row,) = (r for r in packed if 1 in r['example'])
  assert len(row['example']) > 1
  check_packing(
    spanqa.model(ENCODER, 'float32'),
    spanqa.objective(losses.get_loss(name, sigmoid=activation == 'sigmoid')),
    features,
    spanqa.fill,
    length=76,
    most=32,
  )


@pytest.mark.slow
def test_packed_windows_are_learnt_from(
  tmp_path, one_device, capsys, monkeypatch
):
  """A run that is interrupted goes on, and answers from single windows."""
  for split, size in {'train': 48, 'dev': 12}.items():
    paragraphs = []
    for i in range(size):
      name, place = 'Ann Bob Cyd Dan'[i % 4 * 4 :][:3], 'RO'[i % 2]
      context = f'In {place} we met {name} .'
      answers = [{'text': name, 'answer_start': context.index(name)}]
      asked = {'id': f'{i}', 'question': 'Who was met ?', 'answers': answers}
      paragraphs.append({'context': context, 'qas': [asked]})
    text = json.dumps({'data': [{'title': split, 'paragraphs': paragraphs}]})
    (tmp_path / f'{split}.json').write_text(text)
  config = make_config(tmp_path)
  config.task, config.data.format = 'span_qa', 'squad'
  config.data.dir = str(tmp_path)
  config.data.files = dict(train='train.json', dev='dev.json', test='')
  config.span_qa.update(max_question=8, max_answer=4, n_best=2)
  config.update(packing=True, max_length=64, epochs=5, checkpoint_every=100)
  interrupt_at(7, monkeypatch)
  run = Trainer(config, tmp_path / 'run')
  rows = re.search(r'packing: 48 inputs in (\d+) rows', capsys.readouterr().out)
  assert int(rows[1]) < 48 / 2 and len(run.batches) == 5 * 6
  with pytest.raises(interrupts.Stopped, match='Stopped after step 7'):
    run.train()
  outcome = Trainer(config, tmp_path / 'run').train()
  assert outcome['scores']['dev']['all']['f1'] > 0.9


# Answers.


@pytest.mark.parametrize('activation', ['softmax', 'sigmoid'])
@pytest.mark.parametrize('max_length', [16, 64])
def test_gold_labels_decode_to_the_gold_answers(
  tokenizer, activation, max_length
):
  spanqa = task(tokenizer, activation, max_length=max_length, stride=3)
  questions = [
    ask('Cleone', 'Ann'),
    ask('Ann met Bob'),
    ask('1984'),
    ask('met'),
    ask('Rome. In'),
  ]
  features = spanqa.features(questions)
  predictions = decode(spanqa, questions, features, gold_logits(features))
  assert [p.candidates[0][:2] for p in predictions] == [
    q.answers[0][0] for q in questions
  ]
  assert spanqa.score(questions, predictions, {}) == {
    'all': {'exact': 1.0, 'f1': 1.0, 'support': 5}
  }


def test_wrong_answers_fail(tokenizer):
  spanqa = task(tokenizer)
  questions = [ask('Bob, Cleone and Bob'), ask('Cleone'), ask('Rome')]
  wrong = [ask('Bob'), ask('Ann'), ask('Rome')]
  features = spanqa.features(wrong)
  predictions = decode(spanqa, wrong, features, gold_logits(features))
  row = spanqa.score(questions, predictions, {})['all']
  # 'bob' of 'bob cleone and bob': precision 1, recall 1/4.
  assert row['exact'] == pytest.approx(1 / 3)
  assert row['f1'] == pytest.approx((0.4 + 0 + 1) / 3)
  assert row['support'] == 3


def brute_force(spanqa, question, features, logits, probability):
  """Every span of every window, the best first; and the null score."""
  best, null = collections.defaultdict(lambda: -np.inf), np.inf
  for feature, row in zip(features, logits, strict=True):
    scores = np.float32(row)
    if probability:
      scores = 1 / (1 + np.exp(-scores))
    null = min(null, scores[0].sum())
    first, offsets = feature['first'], feature['offsets']
    pairs = itertools.product(range(len(offsets)), repeat=2)
    for i, j in pairs:
      if 0 <= j - i < spanqa._settings.max_answer:
        place = int(offsets[i, 0]), int(offsets[j, 1])
        score = scores[first + i, 0] + scores[first + j, 1]
        best[place] = max(best[place], score)
  spans = sorted(best.items(), key=lambda item: -item[1])
  return [(question.context[a:b], a, s) for (a, b), s in spans], null


@pytest.mark.parametrize('seed', range(3))
@pytest.mark.parametrize('activation', ['softmax', 'sigmoid'])
@pytest.mark.parametrize('max_answer', [2, 30])
def test_n_best_is_brute_force(tokenizer, activation, max_answer, seed):
  # As many starts and ends as a window has, so none is missed.
  spanqa = task(
    tokenizer, activation, max_length=20, stride=5, max_answer=max_answer
  )
  question = ask('Bob')
  features = spanqa.features([question])
  assert len(features) > 1
  logits = random_logits(features, seed)
  (prediction,) = decode(spanqa, [question], features, logits)
  spans, null = brute_force(
    spanqa, question, features, logits, activation == 'sigmoid'
  )
  assert len(prediction.candidates) == 20
  for candidate, (text, start, score) in zip(
    prediction.candidates, spans, strict=False
  ):
    assert candidate[:2] == (text, start)
    assert candidate.score == pytest.approx(score, rel=1e-5)
    assert candidate.end == start + len(text)
  assert prediction.null == pytest.approx(null - spans[0][2], rel=1e-4)


def test_few_candidates_keep_the_best_of_starts_and_ends(tokenizer):
  spanqa = task(tokenizer, n_best=2)
  question = ask('Bob', context='Ann met Bob')
  (feature,) = spanqa.features([question])
  logits = np.zeros((len(feature['tokens']), 2))
  first = feature['first']
  logits[first : first + 3] = [[3, 0], [0, 2], [2, 5]]
  (prediction,) = decode(spanqa, [question], [feature], [logits])
  # Starts ann and bob, ends met and bob; bob to met is none.
  assert prediction.candidates == [
    Candidate('Ann met Bob', 0, 8.0),
    Candidate('Bob', 8, 7.0),
  ]


def test_byte_level_tokenizer(tmp_path):
  texts = ['Who met Zo\u00eb?', ' Ann met Zo\u00eb \u4e2d in \u201cRome\u201d.']
  bpe = tokenizers.ByteLevelBPETokenizer(add_prefix_space=True)
  special = ['<s>', '<pad>', '</s>', '<unk>']
  bpe.train_from_iterator(
    texts * 9, 300, show_progress=False, special_tokens=special
  )
  bpe.post_processor = tokenizers.processors.RobertaProcessing(
    ('</s>', 2), ('<s>', 0), add_prefix_space=True
  )
  bpe.save(str(tmp_path / 'tokenizer.json'))
  tokenizer = load_tokenizer(tmp_path)
  spanqa = task(tokenizer, max_length=24, stride=1)
  names = ['Zo\u00eb', 'Ann', '\u4e2d', 'Rome', 'Ann met Zo\u00eb']
  questions = [ask(name, question='Who', context=texts[1]) for name in names]
  features = spanqa.features(questions)
  assert spanqa.fill['tokens'] == 1
  assert not any(f['segments'].any() for f in features)
  assert all(f['tokens'][0] == 0 and f['tokens'][-1] == 2 for f in features)
  predictions = decode(spanqa, questions, features, gold_logits(features))
  assert [p.candidates[0].text for p in predictions] == names


# No answer.


def predict(text, null, *others):
  found = [Candidate(text, 0, 3.0), *(Candidate(t, 9, s) for t, s in others)]
  return Prediction(found, null)


UNANSWERABLE = [ask('Ann'), ask('Bob'), ask(), ask(), ask('in Rome')]
NULL = [
  predict('Ann', -2.0),
  predict('Bob', 1.0),
  predict('Rome', 2.0),
  predict('Rome', 3.0),
  predict('Rome', -1.0),
]


def test_scores_with_and_without_answer(tokenizer):
  spanqa = task(tokenizer, unanswerable=True)
  tuned = spanqa.tune(UNANSWERABLE, NULL)
  assert tuned == {'null': 1.0}
  third = pytest.approx(2 / 3)
  f1 = 2 / 3  # 'rome' of 'in rome'.
  assert spanqa.score(UNANSWERABLE, NULL, tuned) == {
    'all': {'exact': 0.6, 'f1': pytest.approx((1 + 2 + f1) / 5), 'support': 5},
    'answerable': {
      'exact': pytest.approx(1 / 3),
      'f1': pytest.approx((1 + f1) / 3),
      'support': 3,
    },
    'unanswerable': {'exact': 1.0, 'f1': 1.0, 'support': 2},
    'all, tuned threshold': {
      'exact': 0.8,
      'f1': pytest.approx((4 + f1) / 5),
      'support': 5,
    },
    'answerable, tuned threshold': {
      'exact': third,
      'f1': pytest.approx((2 + f1) / 3),
      'support': 3,
    },
    'unanswerable, tuned threshold': {'exact': 1.0, 'f1': 1.0, 'support': 2},
  }
  row, column = spanqa.headline
  assert spanqa.score(UNANSWERABLE, NULL, tuned)[row][column] > 0.9


def test_null_score_is_the_lowest_of_the_windows(tokenizer):
  spanqa = task(tokenizer, max_length=20, stride=10, unanswerable=True)
  question = ask('Ann')
  features = spanqa.features([question])
  logits = [np.full((len(f['tokens']), 2), -1.0) for f in features]
  logits[0][0], logits[1][0] = [4, 5], [2, 3]
  logits[1][features[1]['first']] = [1, 2]
  for other in logits[2:]:
    other[0] = 9
  (prediction,) = decode(spanqa, [question], features, logits)
  assert prediction.null == 5 - 3
  assert spanqa.score([question], [prediction], {})['all']['exact'] == 0


def test_gold_labels_of_questions_without_answer(tokenizer):
  for activation in ('softmax', 'sigmoid'):
    spanqa = task(
      tokenizer, activation, max_length=20, stride=10, unanswerable=True
    )
    questions = [ask('Cleone'), ask(), ask('Bob met Ann')]
    features = spanqa.features(questions)
    predictions = decode(spanqa, questions, features, gold_logits(features))
    scores = spanqa.score(questions, predictions, {})
    assert scores['all'] == {'exact': 1.0, 'f1': 1.0, 'support': 3}


# Several spans.


def ask_for_all(*texts):
  question = ask(*texts)
  return question._replace(answers=[[s for (s,) in question.answers]])


SEVERAL = [
  ask_for_all('Bob', 'Cleone'),
  ask_for_all('Rome'),
  ask_for_all('Ann', 'Cleone', 'Rome', '1984'),
]


@pytest.mark.parametrize('max_length', [16, 64])
def test_gold_labels_decode_to_all_spans(tokenizer, max_length):
  spanqa = task(
    tokenizer, 'sigmoid', max_length=max_length, stride=4, several=True
  )
  features = spanqa.features(SEVERAL)
  logits = gold_logits(features)
  predictions = decode(spanqa, SEVERAL, features, logits)
  tuned = spanqa.tune(SEVERAL, predictions)
  scores = spanqa.score(SEVERAL, predictions, tuned)
  for row in ('all', spanqa.headline[0]):
    assert scores[row] == {'exact': 1.0, 'f1': 1.0, 'support': 3}
  wrong = spanqa.score(SEVERAL[1:] + SEVERAL[:1], predictions, {})
  assert wrong['all']['exact'] == 0


def test_several_spans_do_not_overlap_nor_hold_another(tokenizer):
  spanqa = task(tokenizer, 'sigmoid', several=True)
  question = ask_for_all('Bob', 'Cleone')
  (feature,) = spanqa.features([question])
  logits = np.full((len(feature['tokens']), 2), -5.0)
  first = feature['first']
  # Bob ends less surely than Cleone: together they would score more.
  logits[first + 2], logits[first + 4, 0], logits[first + 5, 1] = 2, 3, 6
  (prediction,) = decode(spanqa, [question], [feature], [logits])
  assert [c.text for c in prediction.candidates[:2]] == ['Cleone', 'Bob']
  spans = [(c.start, c.end) for c in prediction.candidates]
  for (a, b), (c, d) in itertools.combinations(spans, 2):
    assert b <= c or d <= a
  assert spanqa.score([question], [prediction], {})['all']['exact'] == 1


def test_at_least_the_best_span_is_answered(tokenizer):
  spanqa = task(tokenizer, 'sigmoid', several=True)
  prediction = Prediction([Candidate('Rome', 0, 0.1)], 0.0)
  scores = spanqa.score([SEVERAL[1]], [prediction], {'span': 1.9})
  assert scores['all, tuned threshold']['exact'] == 1
  assert spanqa.tune([SEVERAL[1]], [prediction]) == {'span': 1.0}


def test_span_threshold_is_brute_force(tokenizer):
  spanqa = task(tokenizer, 'sigmoid', several=True)
  names = ['Ann', 'Bob', 'Cleone', 'Rome', '1984']
  rng = np.random.default_rng(0)
  for _ in range(20):
    predictions = [
      Prediction(
        [
          Candidate(name, 0, score)
          for name, score in zip(
            rng.permutation(names).tolist(),
            sorted(rng.integers(0, 6, 5) / 4, reverse=True),
            strict=True,
          )
        ],
        0.0,
      )
      for _ in SEVERAL
    ]
    tuned = spanqa.tune(SEVERAL, predictions)
    f1 = {
      threshold: spanqa.score(SEVERAL, predictions, {'span': threshold})[
        'all, tuned threshold'
      ]['f1']
      for threshold in np.arange(0, 3, 0.25)
    }
    best = spanqa.score(SEVERAL, predictions, tuned)['all, tuned threshold']
    assert best['f1'] == pytest.approx(max(f1.values()), abs=1e-12)


def test_span_threshold_by_hand():
  scores = [[1.5, 1.2, 0.4], [1.8], [1.9, 0.4]]
  values = [[0.5, 1.0, 0.6], [1.0], [0.5, 0.7]]
  assert candidates.best_span_threshold(scores, values) == 1.2
  assert candidates.best_span_threshold(scores[2:], values[2:]) == 0.4
  # Any second span lowers the score: the threshold is above them all.
  assert candidates.best_span_threshold([[2.0, 1.0]], [[1.0, 0.5]]) > 1
  assert candidates.best_span_threshold([[2.0]], [[1.0]]) is None


# Files.


def read_predictions(path):
  lines = path.with_name(f'{path.name}.nbest.jsonl').read_text().splitlines()
  texts = json.loads(path.with_name(f'{path.name}.json').read_text())
  return texts, [json.loads(line) for line in lines]


def test_written_answers_are_those_that_were_scored(tokenizer, tmp_path):
  spanqa = task(tokenizer, unanswerable=True)
  questions = [q._replace(id=f'q{i}') for i, q in enumerate(UNANSWERABLE)]
  path = tmp_path / 'dev.best'
  spanqa.write(path, questions, NULL, {'null': 1.0})
  texts, lines = read_predictions(path)
  assert texts == {'q0': 'Ann', 'q1': 'Bob', 'q2': '', 'q3': '', 'q4': 'Rome'}
  assert lines[1] == {
    'id': 'q1',
    'null': 1.0,
    'candidates': [{'text': 'Bob', 'start': 0, 'score': 3.0}],
  }
  f1 = np.mean(
    [
      metrics.answer_f1(texts[q.id], [s.text for (s,) in q.answers])
      for q in questions
    ]
  )
  scores = spanqa.score(questions, NULL, {'null': 1.0})
  assert scores['all, tuned threshold']['f1'] == pytest.approx(f1)


def test_several_written_answers_are_lists(tokenizer, tmp_path):
  spanqa = task(tokenizer, 'sigmoid', several=True)
  prediction = predict('Bob', 0.0, ('Zo\u00eb', 1.5), ('Rome', 1.1))
  spanqa.write(tmp_path / 'dev', [SEVERAL[0]], [prediction], {'span': 1.2})
  assert read_predictions(tmp_path / 'dev')[0] == {'q': ['Bob', 'Zo\u00eb']}
