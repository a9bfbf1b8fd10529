"""Words to sub-words and back, also in windows of long sentences."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import tokenizers
from helpers import check_packing
from seqeval.metrics import f1_score

from configs import default
from configs import losses
from dicejax.models import BertConfig
from dicejax.text.tokenizer import load_tokenizer
from train.data.conll import Sentence
from train.tasks.tagging import Prediction
from train.tasks.tagging import Tagging
from train.tasks.tagging import get_labels
from train.tasks.task import most_in_row

VOCABULARY = '[PAD] [UNK] [CLS] [SEP] ann lee ##son saw paris ##ian .'.split()
NO_TOKENIZER = tokenizers.Tokenizer(tokenizers.models.WordPiece())
LABELS = ('O', 'B-LOC', 'I-LOC', 'B-PER', 'I-PER')
ENCODER = BertConfig(
  vocab_size=len(VOCABULARY), hidden_size=8, num_hidden_layers=1,
  num_attention_heads=2, intermediate_size=8, max_position_embeddings=40,
  hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0,
)  # fmt: skip


@pytest.fixture
def tokenizer(tmp_path):
  (tmp_path / 'vocab.txt').write_text('\n'.join(VOCABULARY))
  return load_tokenizer(tmp_path)


def task(tokenizer, max_length=16, labels=LABELS, label_all=False):
  config = default.get_config()
  config.max_length = max_length
  config.tagging.label_all = label_all
  return Tagging(config, tokenizer, labels)


def sure(tags):
  """Makes predictions of tags that no offset changes."""
  gaps = [-np.inf if tag != 'O' else np.inf for tag in tags]
  return Prediction(tags, [1.0] * len(tags), gaps)


def score(sentences, tags, labels=LABELS):
  return Tagging(default.get_config(), NO_TOKENIZER, labels).score(
    sentences, [sure(row) for row in tags], {}
  )


def outputs_of(task, labels):
  """Outputs of a model whose logits prefer these labels; -1 is anything."""
  logits = 9.0 * jax.nn.one_hot(jnp.array(labels)[None], len(task.labels))
  return jax.tree.map(lambda x: np.asarray(x)[0], task.postprocess(logits, {}))


def decode(task, sentence, feature, labels):
  """Tags with a model whose logits prefer these labels."""
  outputs = outputs_of(task, labels)
  (prediction,) = task.decode([sentence], [feature], [outputs])
  return task.tags(prediction, {})


SENTENCE = Sentence(
  ['Ann', 'Leeson', 'saw', 'Parisian', 'paris', '.'],
  ['B-PER', 'I-PER', 'O', 'O', 'B-LOC', 'O'],
  1,
)


@pytest.mark.parametrize('axis', [None, (), 1, (-2,)])
def test_packed_sentences_are_alone(tokenizer, axis):
  """The sets of a loss are those of rows with one sentence."""
  config = default.get_config()
  config.update(max_length=40, batch_size=6)
  config.loss = losses.get_loss('paper_dice')
  config.loss.cross_entropy = 0.5
  config.loss.options.axis = axis
  tagging = Tagging(config, tokenizer, LABELS)
  check_packing(
    tagging.model(ENCODER, 'float32'),
    tagging.objective(config.loss),
    tagging.features(
      [
        Sentence(SENTENCE.tokens[i % 4 :], SENTENCE.tags[i % 4 :], i)
        for i in range(15)
      ]
    ),
    tagging.fill,
    length=40,
    most=most_in_row(config),
  )


def test_labels_are_on_first_sub_words(tokenizer):
  (example,) = task(tokenizer).features([SENTENCE])
  pieces = [VOCABULARY[i] for i in example['tokens']]
  assert ' '.join(pieces) == (
    '[CLS] ann lee ##son saw paris ##ian paris . [SEP]'
  )
  np.testing.assert_array_equal(
    example['words'], [-1, 0, 1, -1, 2, 3, -1, 4, 5, -1]
  )
  np.testing.assert_array_equal(
    example['labels'], [-1, 3, 4, -1, 0, 0, -1, 1, 0, -1]
  )


def test_gold_labels_decode_to_the_gold_tags(tokenizer):
  (example,) = task(tokenizer).features([SENTENCE])
  padded = np.concatenate([example['labels'], [-1, -1]])
  tags = decode(task(tokenizer), SENTENCE, example, padded)
  assert tags == SENTENCE.tags
  assert score([SENTENCE], [tags])['micro']['f1'] == 1


def test_every_sub_word_may_learn(tokenizer):
  """The pieces of a word go on with its entity, and do not begin another."""
  all_labels = task(tokenizer, label_all=True)
  (example,) = all_labels.features([SENTENCE])
  np.testing.assert_array_equal(
    example['labels'], [-1, 3, 4, 4, 0, 0, 0, 1, 0, -1]
  )
  begun = Sentence(['Leeson', 'saw'], ['B-PER', 'O'], 1)
  (feature,) = all_labels.features([begun])
  np.testing.assert_array_equal(feature['labels'], [-1, 3, 4, 0, -1])
  assert decode(all_labels, begun, feature, feature['labels']) == begun.tags


def test_types_with_hyphens_go_on(tokenizer):
  labels = ('O', 'B-B-X', 'I-B-X')
  hyphens = Sentence(['Ann', 'Leeson'], ['B-B-X', 'I-B-X'], 1)
  (feature,) = task(tokenizer, labels=labels, label_all=True).features(
    [hyphens]
  )
  np.testing.assert_array_equal(feature['labels'], [-1, 1, 2, 2, -1])


def test_words_of_byte_level_tokenizers_begin_after_a_space():
  """Encodes a word as after a space, though words are given one by one."""
  alphabet = tokenizers.pre_tokenizers.ByteLevel.alphabet()
  pieces = ['<s>', '<pad>', '</s>', *sorted(alphabet)]
  vocabulary = {piece: i for i, piece in enumerate(pieces)}
  bytes_ = tokenizers.Tokenizer(tokenizers.models.BPE(vocabulary, []))
  bytes_.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(False)
  (feature,) = task(bytes_).features([Sentence(['a', 'b'], ['O', 'O'], 1)])
  assert [pieces[i] for i in feature['tokens']] == ['Ġ', 'a', 'Ġ', 'b']
  assert task(bytes_).fill['tokens'] == 1


def test_parts_of_speech(tokenizer):
  """Each word is scored; one without a sub-word has no tag."""
  tagged = Sentence(
    ['Ann', 'Leeson', 'saw', '\x00'], ['NN', 'NN', 'VB', 'NN'], 1
  )
  labels = get_labels(default.get_config(), [tagged])
  assert labels == ('NN', 'VB')
  short = task(tokenizer, labels=labels)
  (feature,) = short.features([tagged])
  tags = decode(short, tagged, feature, feature['labels'])
  assert tags == ['NN', 'NN', 'VB', '_']
  gaps = [-np.inf] * 3 + [np.inf]
  found = [Prediction(['NN', 'VB', 'VB', '_'], [1.0] * 4, gaps)]
  scores = short.score([tagged], found, short.tune([tagged], found))
  assert [*scores] == ['NN', 'VB', 'micro', 'macro'] == [*short.selectable]
  # 2 of 3 predictions are right, and 2 of 4 words are found.
  assert scores['micro'] == {
    'precision': 2 / 3, 'recall': 0.5, 'f1': 4 / 7, 'support': 4
  }  # fmt: skip
  assert 'are tagged _' in short.notes([tagged], [feature])[0]


def test_long_sentences_are_read_in_windows(tokenizer):
  """Each word is learnt once and predicted once, where it has most context."""
  long = Sentence(
    ['Ann', 'Leeson', 'saw', 'Parisian', 'paris', '.'] * 3,
    ['B-PER', 'I-PER', 'O', 'O', 'B-LOC', 'O'] * 3,
    1,
  )
  whole, short = task(tokenizer, 64), task(tokenizer, max_length=10)
  examples = [SENTENCE, long, SENTENCE]
  features = short.features(examples)
  of = [int(feature['example']) for feature in features]
  assert of == [0, 1, 1, 1, 1, 2]
  assert all(len(feature['tokens']) == 10 for feature in features)
  assert all(feature['tokens'][-1] == 3 for feature in features)
  (expected,) = whole.features([long])
  for name, nothing in (('words', -1), ('labels', -1)):
    joined = np.concatenate([f[name][f[name] > nothing] for f in features[1:5]])
    np.testing.assert_array_equal(joined, expected[name][expected[name] >= 0])
  words = [f['words'][f['words'] >= 0] for f in features[1:5]]
  # 24 sub-words in windows of 8: 0-7, 6-13, 12-19, 16-23; cut in the middle.
  assert [w.tolist() for w in words] == [
    [0, 1, 2, 3, 4], [5, 6, 7, 8, 9], [10, 11, 12, 13], [14, 15, 16, 17]
  ]  # fmt: skip
  predictions = short.decode(
    examples, features, [outputs_of(short, f['labels']) for f in features]
  )
  assert [short.tags(p, {}) for p in predictions] == [e.tags for e in examples]
  (said,) = short.notes(examples, features)
  assert said.startswith('1 of 3 sentences are longer than max_length=10')
  assert whole.notes(examples, whole.features(examples)) == []


def test_a_word_longer_than_a_window(tokenizer):
  """Its first sub-word counts, and the sub-words of one word stay together."""
  word = Sentence(['Ann', 'leesonsonsonsonson', 'saw'], ['O', 'B-PER', 'O'], 1)
  features = task(tokenizer, max_length=5, label_all=True).features([word])
  words = np.concatenate([f['words'] for f in features])
  assert sorted(words[words >= 0]) == [0, 1, 2]
  first = [f['labels'][f['labels'] >= 0].tolist() for f in features]
  assert sum(first, []).count(3) == 1
  last = features[-1]
  assert last['words'].tolist()[-2:] == [2, -1]


def test_sentences_without_labels(tokenizer):
  plain = Sentence(['Ann', 'saw'], [], 1)
  unknown = Sentence(['Ann', 'saw'], ['B-GOD', 'O'], 1)
  empty = Sentence([], [], 1)
  found = task(tokenizer).features([plain, unknown, empty])
  np.testing.assert_array_equal(found[0]['labels'], [-1, -1, -1, -1])
  np.testing.assert_array_equal(found[1]['labels'], [-1, -1, 0, -1])
  (said,) = task(tokenizer).notes([unknown], found[1:2])
  assert said.startswith('1 of 2 words have a tag that is not in')
  assert len(found[2]['tokens']) == 2


def test_types_of_gold_and_of_predictions_are_scored():
  scores = score([Sentence(['a', 'b'], ['B-GOD', 'O'], 1)], [['O', 'B-PER']])
  assert scores['GOD']['support'] == 1 and scores['PER']['precision'] == 0
  assert scores['micro']['f1'] == 0


def test_label_set():
  config = default.get_config()
  assert get_labels(config, [SENTENCE]) == LABELS
  with pytest.raises(ValueError, match='no entity'):
    get_labels(config, [Sentence(['Ann'], ['O'], 1)])


def noisy(random, sentences):
  """Makes predictions of a tagger that knows a little and prefers `O`."""
  for sentence in sentences:
    gold = np.array([LABELS.index(tag) for tag in sentence.tags])
    logits = random.normal(size=(1, len(gold), len(LABELS)))
    logits[0, np.arange(len(gold)), gold] += 2
    logits[..., 0] += 2
    yield jnp.array(logits, jnp.float32)


def test_the_offset_is_at_least_as_good_as_the_argmax(tokenizer):
  """Scores the logits independently; a higher offset finds more entities."""
  random = np.random.default_rng(0)
  sentences = [
    Sentence(
      ['ann', 'lee', 'saw', 'paris'],
      random.choice(['B-PER', 'I-PER', 'O'], 2).tolist()
      + ['O', random.choice(['B-LOC', 'O'])],
      i,
    )
    for i in range(60)
  ]
  tagging = task(tokenizer)
  features = tagging.features(sentences)
  logits = list(noisy(random, sentences))
  answers = [
    jax.tree.map(lambda x: np.pad(x[0], (1, 1)), tagging.postprocess(row, {}))
    for row in logits
  ]
  found = tagging.decode(sentences, features, answers)
  tuned = tagging.tune(sentences, found)
  scores = tagging.score(sentences, found, tuned)
  gold = [sentence.tags for sentence in sentences]

  def tags(offset):
    moved = [np.asarray(row[0]) - [offset, 0, 0, 0, 0] for row in logits]
    return [[LABELS[i] for i in row.argmax(axis=-1)] for row in moved]

  for row, offset in [('micro', 0.0), ('micro, tuned', tuned['offset'])]:
    f1 = f1_score(gold, tags(offset))
    assert scores[row]['f1'] == pytest.approx(f1, rel=1e-12)
  assert tuned['offset'] > 0.5
  assert scores['micro, tuned']['f1'] > scores['micro']['f1'] + 0.05
  assert scores['micro, tuned']['recall'] > scores['micro']['recall']
  assert scores['micro, tuned']['offset'] == tuned['offset']
  assert all(
    f1_score(gold, tags(k)) <= scores['micro, tuned']['f1']
    for k in np.linspace(-4, 4, 81)
  )
  assert tagging.selectable.keys() == scores.keys()
  # The probability that these words have these tags.
  for row, prediction, k in zip(logits, found, range(60), strict=True):
    p = np.asarray(jax.nn.softmax(row[0]), np.float64)
    spelt = tags(tuned['offset'])[k]
    for span, likely in tagging.entities(prediction, tuned):
      words = range(span.start, span.end)
      expected = np.prod([p[i, LABELS.index(spelt[i])] for i in words])
      assert likely == pytest.approx(expected, rel=1e-5)


def test_without_entities_nothing_is_tuned(tokenizer):
  plain = Sentence(['ann', 'saw'], ['O', 'O'], 1)
  tagging = task(tokenizer)
  found = [Prediction(['B-PER', 'B-LOC'], [0.25, 0.5], [-1.0, 1.0])]
  assert tagging.tune([plain], found) == {'offset': 0}
  assert tagging.tags(found[0], {'offset': 0}) == ['B-PER', 'O']
  (said,) = tagging.notes([plain], tagging.features([plain]))
  assert said.startswith('no word is in an entity')
  # Neither a sentence to predict nor an old run has an offset.
  unknown = [Sentence(['ann', 'saw'], [], 1)]
  assert not tagging.notes(unknown, tagging.features(unknown))
  assert tagging.decisions({}) == {'argmax': {'offset': 0.0}}
  assert 'micro, tuned' not in tagging.score([plain], found, {})


def test_both_decisions_are_written(tokenizer, tmp_path):
  found = [Prediction(['B-PER', 'I-PER'], [0.5, 0.25], [-1.0, 1.0])]
  pair = [Sentence(['Ann', 'Lee'], ['B-PER', 'I-PER'], 1)]
  task(tokenizer).write(tmp_path / 'dev', pair, found, {'offset': 2.0})
  assert (tmp_path / 'dev.conll').read_text() == (
    'Ann B-PER B-PER\nLee I-PER O\n'
  )
  assert (tmp_path / 'dev.tuned.conll').read_text() == (
    'Ann B-PER B-PER\nLee I-PER I-PER\n'
  )
