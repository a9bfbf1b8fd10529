"""Words to sub-words and back; what is cut off is missed, not forgotten."""

import numpy as np
import pytest
import tokenizers

from configs import default
from train.data.conll import Sentence
from train.data.tokenizer import load_tokenizer
from train.tasks.tagging import Tagging
from train.tasks.tagging import get_labels

VOCABULARY = '[PAD] [UNK] [CLS] [SEP] ann lee ##son saw paris ##ian .'.split()
NO_TOKENIZER = tokenizers.Tokenizer(tokenizers.models.WordPiece())
LABELS = ('O', 'B-LOC', 'I-LOC', 'B-PER', 'I-PER')


@pytest.fixture
def tokenizer(tmp_path):
  (tmp_path / 'vocab.txt').write_text('\n'.join(VOCABULARY))
  return load_tokenizer(tmp_path)


def task(tokenizer, max_length=16, labels=LABELS, label_all=False):
  config = default.get_config()
  config.max_length = max_length
  config.tagging.label_all = label_all
  return Tagging(config, tokenizer, labels)


def score(sentences, tags, labels=LABELS):
  return Tagging(default.get_config(), NO_TOKENIZER, labels).score(
    sentences, tags, {}
  )


SENTENCE = Sentence(
  ['Ann', 'Leeson', 'saw', 'Parisian', 'paris', '.'],
  ['B-PER', 'I-PER', 'O', 'O', 'B-LOC', 'O'],
  1,
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
  tags = task(tokenizer).decode([SENTENCE], [example], [padded])
  assert tags == [SENTENCE.tags]
  assert score([SENTENCE], tags)['micro']['f1'] == 1


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
  assert all_labels.decode([begun], [feature], [feature['labels']]) == [
    begun.tags
  ]


def test_types_with_hyphens_go_on(tokenizer):
  labels = ('O', 'B-B-X', 'I-B-X')
  hyphens = Sentence(['Ann', 'Leeson'], ['B-B-X', 'I-B-X'], 1)
  (feature,) = task(tokenizer, labels=labels, label_all=True).features(
    [hyphens]
  )
  np.testing.assert_array_equal(feature['labels'], [-1, 1, 2, 2, -1])


def test_words_of_byte_level_tokenizers_begin_after_a_space():
  """As in `Ann Leeson`, where words are given one by one."""
  alphabet = tokenizers.pre_tokenizers.ByteLevel.alphabet()
  pieces = ['<s>', '<pad>', '</s>', *sorted(alphabet)]
  vocabulary = {piece: i for i, piece in enumerate(pieces)}
  bytes_ = tokenizers.Tokenizer(tokenizers.models.BPE(vocabulary, []))
  bytes_.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(False)
  (feature,) = task(bytes_).features([Sentence(['a', 'b'], ['O', 'O'], 1)])
  assert [pieces[i] for i in feature['tokens']] == ['Ġ', 'a', 'Ġ', 'b']
  assert task(bytes_).fill['tokens'] == 1


def test_parts_of_speech(tokenizer):
  """Each word is scored; one that is cut off has no tag."""
  tagged = Sentence(
    ['Ann', 'Leeson', 'saw', 'Paris'], ['NN', 'NN', 'VB', 'NN'], 1
  )
  labels = get_labels(default.get_config(), [tagged])
  assert labels == ('NN', 'VB')
  short = task(tokenizer, max_length=6, labels=labels)
  (feature,) = short.features([tagged])
  (tags,) = short.decode([tagged], [feature], [feature['labels']])
  assert tags == ['NN', 'NN', 'VB', '_']
  scores = short.score([tagged], [['NN', 'VB', 'VB', '_']], {})
  # Of 3 predictions 2 are right, of 4 words 2 are found.
  assert scores['micro'] == {
    'precision': 2 / 3, 'recall': 0.5, 'f1': 4 / 7, 'support': 4
  }  # fmt: skip
  assert 'are tagged _' in short.describe([tagged], [feature])[0]


def test_what_is_cut_off_is_missed(tokenizer):
  short = task(tokenizer, max_length=6)
  (example,) = short.features([SENTENCE])
  assert len(example['tokens']) == 6 and example['tokens'][-1] == 3
  (tags,) = short.decode([SENTENCE], [example], [example['labels']])
  assert tags == ['B-PER', 'I-PER', 'O', 'O', 'O', 'O']
  scores = score([SENTENCE], [tags])
  assert scores['LOC'] == {
    'precision': 0, 'recall': 0, 'f1': 0, 'support': 1
  }  # fmt: skip
  assert scores['micro']['recall'] == 0.5
  assert scores['micro']['f1'] == 2 / 3
  (said,) = short.describe([SENTENCE], [example])
  assert said.startswith('3 of 6 words')
  whole = task(tokenizer)
  assert whole.describe([SENTENCE], whole.features([SENTENCE])) == []


def test_sentences_without_labels(tokenizer):
  plain = Sentence(['Ann', 'saw'], [], 1)
  unknown = Sentence(['Ann', 'saw'], ['B-GOD', 'O'], 1)
  empty = Sentence([], [], 1)
  found = task(tokenizer).features([plain, unknown, empty])
  np.testing.assert_array_equal(found[0]['labels'], [-1, -1, -1, -1])
  np.testing.assert_array_equal(found[1]['labels'], [-1, -1, 0, -1])
  (said,) = task(tokenizer).describe([unknown], found[1:2])
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
