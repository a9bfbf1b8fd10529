"""Texts to logits to labels to scores; padding and cuts change none of them."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from helpers import NO_TOKENIZER
from helpers import SPAM
from helpers import TOPICS
from helpers import check_packing
from helpers import first_value
from helpers import make_text_config
from helpers import spam
from helpers import topics
from hypothesis import given
from hypothesis import strategies as st
from scipy import special
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import accuracy_score
from sklearn.metrics import f1_score
from sklearn.metrics import precision_recall_fscore_support

from configs import losses as presets
from dicejax import losses
from dicejax.models import BertConfig
from dicejax.text.batches import pad
from dicejax.text.tokenizer import load_tokenizer
from train.data.fields import Text
from train.step import init_state
from train.step import make_predict_step
from train.step import make_train_step
from train.tasks.classification import Classification
from train.tasks.classification import get_labels

VOCABULARY = '[PAD] [UNK] [CLS] [SEP] a b c d ##s'.split()
ENCODER = BertConfig(
  vocab_size=len(VOCABULARY),
  hidden_size=16,
  num_hidden_layers=1,
  num_attention_heads=2,
  intermediate_size=32,
  hidden_dropout_prob=0.0,
  attention_probs_dropout_prob=0.0,
)


@pytest.fixture(scope='module')
def tokenizer(tmp_path_factory):
  directory = tmp_path_factory.mktemp('tokenizer')
  (directory / 'vocab.txt').write_text('\n'.join(VOCABULARY))
  return load_tokenizer(directory)


def texts(*labels):
  return [Text('a', None, label, i) for i, label in enumerate(labels, 1)]


def pieces(feature):
  return ' '.join(VOCABULARY[i] for i in feature['tokens'])


def test_inputs_of_texts_and_pairs(tokenizer):
  one, two = topics(tokenizer).features(
    [Text('A bs', None, 'law', 1), Text('a', 'c d', 'god', 2)]
  )
  assert pieces(one) == '[CLS] a b ##s [SEP]'
  assert one['segments'].tolist() == [0] * 5 and one['label'] == 1
  assert pieces(two) == '[CLS] a [SEP] c d [SEP]'
  assert two['segments'].tolist() == [0, 0, 0, 1, 1, 1] and two['label'] == -1
  assert {value.dtype for f in (one, two) for value in f.values()} == {
    np.dtype(np.int32)
  }


def test_what_is_cut_is_counted(tokenizer):
  examples = [
    Text('a b c', None, 'law', 1),  # This one just fits.
    Text('a b c d', None, 'art', 2),
    Text('a', 'b c d', 'sea', 3),
    Text('a', None, 'god', 4),
  ]
  short = topics(tokenizer, max_length=5)
  features = short.features(examples)
  assert [pieces(f) for f in features[:3]] == [
    '[CLS] a b c [SEP]',
    '[CLS] a b c [SEP]',
    '[CLS] a [SEP] b [SEP]',
  ]
  cut, unknown = short.notes(examples, features)
  assert cut.startswith('2 of 4 texts are longer than max_length=5')
  assert unknown.startswith('1 of 4 texts have a label')
  assert "('god')" in unknown
  # A text to predict has no label at all.
  plain = [Text('a', None, '', 1)]
  assert short.notes(plain, short.features(plain)) == []


def test_truncation_is_that_of_this_task(tokenizer):
  long, short = topics(tokenizer), topics(tokenizer, max_length=3)
  with pytest.raises(ValueError, match='max_length is at least 4, for a sub'):
    short.features([Text('a', 'b', 'law', 1)])
  examples = [Text('a b', None, 'law', 1)]
  short.features(examples)
  assert len(long.features(examples)[0]['tokens']) == 4


def test_label_sets():
  examples = texts('yes', 'no', 'yes')
  for positive, expected in [
    ('', ('no', 'yes')),
    ('yes', ('no', 'yes')),
    ('no', ('yes', 'no')),
  ]:
    assert get_labels(make_text_config(positive), examples) == expected
  assert get_labels(make_text_config(), texts(*'cab')) == ('a', 'b', 'c')


@pytest.mark.parametrize(
  'positive, labels, says',
  [
    ('maybe', 'yes no', "one of two labels, not 'maybe' of 'no', 'yes'"),
    ('yes', 'yes no maybe', 'classification.positive: expected one of two'),
    ('', 'yes', "only the label 'yes'"),
    ('', 'all none', "label 'all' is called like a row"),
  ],
)
def test_label_sets_that_do_not_fit(positive, labels, says):
  with pytest.raises(ValueError, match=says):
    get_labels(make_text_config(positive), texts(*labels.split()))


def test_one_logit_needs_a_positive_label():
  config = make_text_config(sigmoid=True)
  with pytest.raises(ValueError, match="positive, out of 'art', 'law', 'sea'"):
    Classification(config, NO_TOKENIZER, TOPICS)


@pytest.mark.parametrize('name', [*presets.SOFTMAX, *presets.SIGMOID])
def test_which_losses_have_one_logit(name):
  loss = presets.get_binary_loss(name)
  elements = 'cross_entropy', 'focal', 'poly'
  one = name in presets.SIGMOID and name not in elements
  counts = np.array([2, 1])
  assert loss.activation == ('sigmoid' if one else 'softmax')
  config = make_text_config('spam')
  config.loss = loss
  task = Classification(config, NO_TOKENIZER, SPAM)
  assert task.model(ENCODER, 'float32').num_labels == (1 if one else 2)
  logits = jnp.zeros((3, 1 if one else 2))
  batch = {'label': jnp.array([1, 0, -1])}
  assert (
    jax.eval_shape(
      first_value(task.objective(loss, class_counts=counts)), logits, batch
    ).shape
    == ()
  )


def test_probabilities():
  logits = np.array([[0.0, 1.0, 3.0], [30.0, 0.0, -30.0]], np.float32)
  found = topics().postprocess(jnp.array(logits), {})
  exp = np.exp(logits.astype(np.float64))
  expected = exp / exp.sum(axis=1, keepdims=True)
  np.testing.assert_allclose(found, expected, rtol=1e-6)
  logit = np.array([-20.0, 0.0, 20.0], np.float32)[:, None]
  found = spam(sigmoid=True).postprocess(jnp.array(logit), {})
  rare = 1 / (1 + np.exp(20.0))  # 1 - p would be 0 in float32.
  expected = [[1, rare], [0.5, 0.5], [rare, 1]]
  np.testing.assert_allclose(found, expected, rtol=1e-6)
  assert found.dtype == jnp.float32


@pytest.mark.parametrize(
  'loss, sigmoid',
  [
    ('cross_entropy', False),
    ('tversky', False),
    ('self_adjusting_dice', True),
  ],
)
def test_padded_rows_do_not_count(tokenizer, loss, sigmoid):
  task = spam(tokenizer, loss, sigmoid)
  examples = [Text('a', None, 'spam', 1), Text('b c', 'd', 'ham', 2)]
  features = task.features([*examples, Text('d', None, 'god', 3)])
  whole = pad(features[:2], task.fill, 2, 16)
  padded = pad(features, task.fill, 5, 16)
  assert padded['label'].tolist() == [1, 0, -1, -1, -1]
  objective = task.objective(make_text_config(loss=loss, sigmoid=sigmoid).loss)
  logits = jax.random.normal(jax.random.key(0), (2, 1 if sigmoid else 2))
  more = jnp.full((3, logits.shape[1]), jnp.nan)
  both = jax.jit(jax.value_and_grad(first_value(objective)))
  value, gradient = both(logits, whole)
  padded_value, padded_gradient = both(jnp.concatenate([logits, more]), padded)
  assert float(value) > 0 and np.abs(gradient).min() > 0
  np.testing.assert_allclose(padded_value, value, rtol=1e-6)
  np.testing.assert_allclose(padded_gradient[:2], gradient, rtol=1e-5)
  np.testing.assert_array_equal(padded_gradient[2:], 0)


@pytest.mark.parametrize(
  'loss, sigmoid, pooling',
  [
    ('tversky', False, 'cls'),
    ('running_dice', True, 'mean'),
    pytest.param('paper_dice', True, 'cls', marks=pytest.mark.slow),
  ],
)
def test_packed_texts_are_alone(tokenizer, loss, sigmoid, pooling):
  config = make_text_config('spam', loss, sigmoid)
  config.model.pooling = pooling
  config.batch_size = 6
  task = Classification(config, tokenizer, SPAM)
  examples = [
    Text(' '.join('abcd'[i % 4 :]), 'd' * (i % 3) or None, label, i)
    for i, label in enumerate(['spam', 'ham', 'ham', 'god', 'spam'] * 3)
  ]
  check_packing(
    task.model(ENCODER, 'float32'),
    task.objective(config.loss),
    task.features(examples),
    task.fill,
    length=24,
    most=6,
  )


def test_dice_of_one_logit_is_one_set_a_batch():
  # By hand: p = 4/5 of a positive, 1/2 and 1/5 of negatives, and padding.
  logits = jnp.log(jnp.array([4.0, 1.0, 0.25, 9.0]))[:, None]
  task = spam(loss='paper_dice', sigmoid=True)
  config = make_text_config(loss='paper_dice', sigmoid=True).loss
  value = first_value(task.objective(config))(
    logits, {'label': jnp.array([1, 0, 0, -1])}
  )
  expected = 1 - (2 * 0.8 + 1) / ((0.64 + 0.25 + 0.04) + 1 + 1)
  np.testing.assert_allclose(value, expected, rtol=1e-6)
  # The loss is not the mean over sets of one example.
  ones = losses.dice(
    logits[:3, 0], jnp.array([1, 0, 0]), square=True, axis=()
  ).mean()
  assert abs(float(ones) - expected) > 0.02


def test_learns(tokenizer):
  """A pair is spam if either of its texts mentions `d`."""
  task = spam(tokenizer, 'paper_dice', sigmoid=True)
  examples = [
    Text(text, pair, 'spam' if 'd' in f'{text}{pair}' else 'ham', 1)
    for text in ('a', 'b', 'c d', 'd')
    for pair in (None, 'a', 'b d')
  ]
  features = task.features(examples)
  batch = pad(features, task.fill, len(examples), 16)
  model = task.model(ENCODER, 'float32')
  init = jax.jit(model.init)
  params = init(jax.random.key(0), batch['tokens'])['params']
  optimizer = optax.adam(1e-2)
  state = init_state(params, optimizer)
  objective = task.objective(
    make_text_config(loss='paper_dice', sigmoid=True).loss
  )
  step = jax.jit(make_train_step(model, objective, optimizer))
  for _ in range(40):
    state, _ = step(state, batch)
  predict = jax.jit(make_predict_step(model, task.postprocess))
  answers = predict(state.params, batch)
  predictions = task.decode(examples, features, np.asarray(answers))
  assert task.score(examples, predictions, {})['threshold 0.5'] == {
    'accuracy': 1, 'precision': 1, 'recall': 1, 'f1': 1, 'support': 8,
    'macro_f1': 1, 'threshold': 0.5,
  }  # fmt: skip


def test_decoded_predictions_are_json_able():
  answers = np.array([[0.25, 0.75]], np.float32)
  assert spam().decode(texts('ham'), [{}], answers) == [[0.25, 0.75]]


# Ties are likely, and some are 0.5.
shares = st.integers(0, 8).map(lambda n: n / 8)
binary = st.lists(
  st.tuples(st.sampled_from([*SPAM, 'god']), shares), min_size=1, max_size=30
)


@given(binary)
def test_scores_of_a_positive_label_are_those_of_scikit_learn(rows):
  gold, scores = zip(*rows, strict=True)
  task = spam()
  predictions = [[1 - p, p] for p in scores]
  tuned = task.tune(texts(*gold), predictions)
  found = task.score(texts(*gold), predictions, tuned)
  assert (
    [*found] == ['threshold 0.5', 'tuned', 'plug-in'] == [*task.decision_rows]
  )
  for name, row in found.items():
    threshold = row.pop('threshold')
    assert (name == 'threshold 0.5' or 'spam' not in gold) <= (threshold == 0.5)
    predicted = [SPAM[p >= threshold] for p in scores]
    p, r, f1, _ = precision_recall_fscore_support(
      gold, predicted, labels=['spam'], zero_division=0
    )
    assert row == {
      'accuracy': accuracy_score(gold, predicted),
      'precision': p[0],
      'recall': r[0],
      'f1': f1[0],
      'support': gold.count('spam'),
      'macro_f1': f1_score(gold, predicted, average='macro', zero_division=0),
    }
    if name == 'tuned':
      assert all(f1[0] >= f1_at(gold, scores, t / 8) for t in range(10))


def f1_at(gold, scores, threshold):
  positive = [label == 'spam' for label in gold]
  return f1_score(positive, np.array(scores) >= threshold, zero_division=0)


@given(
  st.lists(
    st.tuples(st.sampled_from([*TOPICS, 'god']), st.integers(0, 2)),
    min_size=1,
    max_size=30,
  )
)
def test_scores_of_labels_are_those_of_scikit_learn(rows):
  gold, ids = zip(*rows, strict=True)
  found = topics().score(texts(*gold), np.eye(3)[list(ids)].tolist(), {})
  predicted = [TOPICS[i] for i in ids]
  names = sorted({*gold, *TOPICS})
  by_label = precision_recall_fscore_support(
    gold, predicted, labels=names, zero_division=0
  )
  *macro, _ = precision_recall_fscore_support(
    gold, predicted, average='macro', zero_division=0
  )
  assert [*found] == [*names, 'macro', 'all']
  for name, row in zip(names, np.transpose(by_label), strict=True):
    assert [*found[name].values()] == row.tolist()
  assert [*found['macro'].values()] == [*macro, len(gold)]
  assert found['all'] == {
    'accuracy': accuracy_score(gold, predicted),
    'macro_f1': macro[2],
    'support': len(gold),
  }


def test_labels_that_training_lacks_are_never_right():
  scores = topics().score(
    texts('law', 'god'), [[0.0, 1.0, 0.0], [0.0, 1.0, 0.0]], {}
  )
  assert scores['law'] == {
    'precision': 0.5, 'recall': 1, 'f1': 2 / 3, 'support': 1
  }  # fmt: skip
  assert scores['god'] == {'precision': 0, 'recall': 0, 'f1': 0, 'support': 1}
  assert scores['all']['accuracy'] == 0.5
  row = spam().score(texts('ham', 'god'), [[0.9, 0.1]] * 2, {})
  assert row['threshold 0.5']['accuracy'] == 0.5


def test_plug_in_is_that_of_calibrated_probabilities():
  """Compares with scikit-learn; shifted, scaled logits change nothing."""
  random = np.random.default_rng(0)
  true = 2 * random.normal(size=4000) - 3
  positive = true > random.logistic(size=4000)
  gold = np.array(SPAM)[positive.astype(int)].tolist()
  labels, task = [], spam(sigmoid=True)
  for stretch in (1.0, 4.0):
    logits = jnp.array(stretch * true, jnp.float32)[:, None]
    answers = np.asarray(task.postprocess(logits, {}))
    found = task.decode(texts(*gold), [{}] * 4000, answers)
    tuned = task.tune(texts(*gold), found)
    model = LogisticRegression(C=np.inf).fit(stretch * true[:, None], positive)
    p = np.sort(model.predict_proba(stretch * true[:, None])[:, 1])[::-1]
    f1 = np.max(2 * p.cumsum() / (np.arange(1, 4001) + p.sum()))
    logit = (special.logit(f1 / 2) - model.intercept_[0]) / model.coef_[0, 0]
    # Platt's targets are not quite 0 and 1.
    assert tuned['plug_in'] == pytest.approx(special.expit(logit), rel=0.01)
    parameters = task.decisions(tuned)['plug-in']
    labels.append(task.choose(found, parameters))
    scores = task.score(texts(*gold), found, tuned)
    assert scores['plug-in']['f1'] == pytest.approx(
      f1_score(positive, np.array(labels[-1]) == 'spam'), rel=1e-12
    )
    assert scores['plug-in']['f1'] > scores['threshold 0.5']['f1'] + 0.02
  assert np.mean(np.array(labels[0]) == labels[1]) > 0.999


def test_without_positive_texts_nothing_is_tuned(tokenizer):
  task, ham = spam(tokenizer), texts('ham', 'ham')
  tuned = task.tune(ham, [[0.5, 0.5], [0.75, 0.25]])
  assert tuned == {'threshold': 0.5, 'plug_in': 0.5}
  (said,) = task.notes(ham, task.features(ham))
  assert said.startswith("no text is labelled 'spam'")
  # Thresholds of earlier runs are used; without a positive label, none is.
  assert [*task.decisions({'threshold': 0.25})] == ['argmax', 'tuned']
  assert topics().tune(texts('law'), [[0.25, 0.5, 0.25]]) == {}
  assert topics().decisions({}) == {'argmax': {}}


def test_certain_predictions_are_tuned():
  """Probabilities of exactly 0 and 1 are given finite logits."""
  tuned = spam().tune(texts('spam', 'ham'), [[0.0, 1.0], [1.0, 0.0]])
  assert 0 < tuned.pop('plug_in') < 1
  assert tuned == pytest.approx({'threshold': 0.5})


@pytest.mark.parametrize('labels, task', [(SPAM, spam()), (TOPICS, topics())])
def test_headline_is_1_of_gold_labels_and_less_with_a_mistake(labels, task):
  examples = texts(*labels)
  answers = np.eye(len(labels), dtype=np.float32)
  right = task.decode(examples, [{}] * len(labels), answers)
  wrong = [*right[:-1], right[0]]
  row, column = task.headline
  tuned = task.tune(examples, right)
  assert task.score(examples, right, tuned)[row][column] == 1
  assert task.score(examples, wrong, tuned)[row][column] < 1
  assert column in task.selectable[row]


def test_just_half_is_positive():
  scores = spam().score(texts('spam', 'spam'), [[0.5, 0.5], [0.51, 0.49]], {})
  assert scores['threshold 0.5']['recall'] == 0.5
  # Without a positive label, it is the first.
  scores = topics().score(texts('law'), [[0.25, 0.375, 0.375]], {})
  assert scores['all']['accuracy'] == 1


def test_predictions_to_read(tmp_path):
  examples = [Text('a\tb\r\nc "', 'd', 'spam', 1), Text('d', 'e', 'ham', 2)]
  predictions = [[0.75, 0.25], [0.9, 0.1]]
  tuned = {'threshold': 0.2, 'plug_in': 0.05}
  spam().write(tmp_path / 'dev', examples, predictions, tuned)
  assert (tmp_path / 'dev.tsv').read_text().splitlines() == [
    'gold\tpredicted\ttuned\tplug-in\tp(ham)\tp(spam)\ttext\tpair',
    'spam\tham\tspam\tspam\t0.750000\t0.250000\ta b c "\td',
    'ham\tham\tham\tspam\t0.900000\t0.100000\td\te',
  ]
  topics().write(tmp_path / 'test', texts('law'), [[0.5, 0.25, 0.25]], {})
  assert (tmp_path / 'test.tsv').read_text() == (
    'gold\tpredicted\tp(art)\tp(law)\tp(sea)\ttext\n'
    'law\tart\t0.500000\t0.250000\t0.250000\ta\n'
  )


def test_labels_that_look_like_texts():
  config = make_text_config()
  config.data.format = 'tsv'
  usual = [Text('a', None, str(i % 3), i) for i in range(300)]
  odd = [Text('a', None, f'text {i}', i) for i in range(20)]
  assert len(get_labels(config, usual + odd[:19])) == 22
  with pytest.raises(
    ValueError, match="23 labels, and 20 .* 'text 0': is data.tsv.label='label'"
  ):
    get_labels(config, usual + odd)
  # Many rare labels are as they should be if most labels are not rare.
  many = [Text('a', None, f'topic {i % 50}', i) for i in range(300)]
  assert len(get_labels(config, usual + odd + many)) == 73
