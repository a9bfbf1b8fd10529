"""Words to sub-words and back; what is cut off is missed, not forgotten."""

import numpy as np
import pytest
import tokenizers

from train.data.conll import Sentence
from train.data.tokenizer import load_tokenizer
from train.tasks.tagging import Tagging
from train.tasks.tagging import get_labels
from train.tasks.tagging import headline
from train.tasks.tagging import score

VOCABULARY = '[PAD] [UNK] [CLS] [SEP] ann lee ##son saw paris ##ian .'.split()
LABELS = ('O', 'B-LOC', 'I-LOC', 'B-PER', 'I-PER')


@pytest.fixture
def tokenizer(tmp_path):
  (tmp_path / 'vocab.txt').write_text('\n'.join(VOCABULARY))
  return load_tokenizer(tmp_path)


def task(tokenizer, max_length=16):
  return Tagging(tokenizer, LABELS, max_length)


SENTENCE = Sentence(
  ['Ann', 'Leeson', 'saw', 'Parisian', 'paris', '.'],
  ['B-PER', 'I-PER', 'O', 'O', 'B-LOC', 'O'],
  1,
)


def test_labels_are_on_first_sub_words(tokenizer):
  (example,) = task(tokenizer).examples([SENTENCE])
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
  (example,) = task(tokenizer).examples([SENTENCE])
  padded = np.concatenate([example['labels'], [-1, -1]])
  assert task(tokenizer).decode(example, padded, 6) == SENTENCE.tags


def test_what_is_cut_off_is_missed(tokenizer):
  short = task(tokenizer, max_length=6)
  (example,) = short.examples([SENTENCE])
  assert len(example['tokens']) == 6 and example['tokens'][-1] == 3
  tags = short.decode(example, example['labels'], 6)
  assert tags == ['B-PER', 'I-PER', 'O', 'O', 'O', 'O']
  scores = score([SENTENCE], [tags])
  assert scores['LOC'] == {
    'precision': 0, 'recall': 0, 'f1': 0, 'support': 1
  }  # fmt: skip
  assert scores['micro']['recall'] == 0.5 and headline(scores) == 2 / 3
  assert short.describe_cut([SENTENCE]).startswith('3 of 6 words')
  assert task(tokenizer).describe_cut([SENTENCE]) == ''


def test_sentences_without_labels(tokenizer):
  plain = Sentence(['Ann', 'saw'], [], 1)
  unknown = Sentence(['Ann', 'saw'], ['B-GOD', 'O'], 1)
  empty = Sentence([], [], 1)
  found = task(tokenizer).examples([plain, unknown, empty])
  np.testing.assert_array_equal(found[0]['labels'], [-1, -1, -1, -1])
  np.testing.assert_array_equal(found[1]['labels'], [-1, -1, 0, -1])
  assert len(found[2]['tokens']) == 2


def test_types_of_gold_and_of_predictions_are_scored():
  scores = score([Sentence(['a', 'b'], ['B-GOD', 'O'], 1)], [['O', 'B-PER']])
  assert scores['GOD']['support'] == 1 and scores['PER']['precision'] == 0
  assert headline(scores) == 0


def test_label_set():
  assert get_labels([SENTENCE]) == LABELS
  with pytest.raises(ValueError, match='no entity'):
    get_labels([Sentence(['Ann'], ['O'], 1)])


def test_tokenizer_files(tmp_path, tokenizer):
  with pytest.raises(FileNotFoundError, match='tokenizer.json'):
    load_tokenizer(tmp_path / 'none')
  (tmp_path / 'tokenizer_config.json').write_text('{"do_lower_case": false}')
  cased = load_tokenizer(tmp_path).encode('Ann ann').tokens
  assert cased == ['[CLS]', '[UNK]', 'ann', '[SEP]']
  tokenizer.enable_truncation(4)
  tokenizer.save(str(tmp_path / 'tokenizer.json'))
  loaded = load_tokenizer(tmp_path)
  assert isinstance(loaded, tokenizers.Tokenizer) and loaded.truncation is None
  (tmp_path / 'tokenizer.json').write_text('{')
  with pytest.raises(ValueError, match='tokenizer.json'):
    load_tokenizer(tmp_path)
  (tmp_path / 'tokenizer.json').unlink()
  (tmp_path / 'vocab.txt').write_text('ann')
  with pytest.raises(ValueError, match='vocab.txt: not a tokenizer'):
    load_tokenizer(tmp_path)
