"""Tokenizers from files, and trained on a corpus."""

import json

import pytest
import tokenizers

from dicejax.text.tokenizer import copy_tokenizer
from dicejax.text.tokenizer import load_tokenizer
from dicejax.text.tokenizer import mark_words
from dicejax.text.tokenizer import train_wordpiece
from train.data import conll
from train.data import synthetic

VOCABULARY = '[PAD] [UNK] [CLS] [SEP] ann lee ##son saw'.split()


@pytest.fixture(scope='module')
def corpus(tmp_path_factory):
  directory = tmp_path_factory.mktemp('corpus')
  paths = synthetic.write_corpus(directory, seed=0, sizes={'train': 1000})
  return [s.tokens for s in conll.read_sentences(paths['train'])]


def test_tokenizer_files(tmp_path):
  (tmp_path / 'vocab.txt').write_text('\n'.join(VOCABULARY))
  tokenizer = load_tokenizer(tmp_path)
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


@pytest.mark.parametrize('kind', ['wordpiece', 'bytes'])
def test_a_copy_is_independent(tmp_path, kind):
  (tmp_path / 'vocab.txt').write_text('\n'.join(VOCABULARY))
  tokenizer = load_tokenizer(tmp_path)
  if kind == 'bytes':
    tokenizer = tokenizers.Tokenizer(tokenizers.models.BPE())
    tokenizer.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(
      add_prefix_space=False
    )
  whole = tokenizer.to_str()
  copy = copy_tokenizer(tokenizer)
  assert copy.to_str() == whole
  assert (
    copy.encode('ann leeson saw').ids == tokenizer.encode('ann leeson saw').ids
  )
  copy.enable_truncation(4)
  mark_words(copy)
  assert (copy_tokenizer(copy).to_str() == whole) == (kind == 'wordpiece')
  assert tokenizer.to_str() == whole != copy.to_str()


def test_wordpiece_is_the_same_every_time(corpus):
  one, other = (train_wordpiece(corpus, 1500) for _ in range(2))
  assert one.to_str() == other.to_str()


def test_wordpiece_is_berts(corpus):
  tokenizer = train_wordpiece(corpus, vocab_size=1500)
  assert tokenizer.get_vocab_size() == 1500
  special = ['[PAD]', '[UNK]', '[CLS]', '[SEP]', '[MASK]']
  assert [tokenizer.id_to_token(i) for i in range(5)] == special
  added = json.loads(tokenizer.to_str())['added_tokens']
  assert [token['content'] for token in added] == special
  for words in corpus:
    encoding = tokenizer.encode(words, is_pretokenized=True)
    assert '[UNK]' not in encoding.tokens
    first, *inner, last = encoding.tokens
    assert (first, last) == ('[CLS]', '[SEP]')
    text = ''.join(token.removeprefix('##') for token in inner)
    assert text == ''.join(words)
  pair = tokenizer.encode('The house', 'the street')
  assert pair.tokens.count('[SEP]') == 2
  assert pair.type_ids[0] == 0 and pair.type_ids[-1] == 1


def test_wordpiece_too_small():
  with pytest.raises(ValueError, match='vocab_size is at least 9 .* not 8'):
    train_wordpiece([['ab']], vocab_size=8)


LETTERS = (
  VOCABULARY + '[MASK] müller muller é e 東京 東 京 the ##s [ ] ##1 <u>'.split()
)
TEXTS = 'Müller 東京 thes', 'Ann [E1] ann[e1]', '[E1]s É [MASK]', '東the京 <X>s'


def write_vocabulary(directory, settings, added=None):
  vocabulary = ''.join(f'{token}\n' for token in LETTERS)
  (directory / 'vocab.txt').write_text(vocabulary)
  (directory / 'tokenizer_config.json').write_text(json.dumps(settings))
  (directory / 'config.json').write_text('{"model_type": "bert"}')
  if added:
    (directory / 'added_tokens.json').write_text(json.dumps(added))


@pytest.mark.parametrize(
  'settings, text, tokens',
  [
    ({}, 'Müller 東京', 'muller 東 京'),
    ({'strip_accents': False}, 'Müller 東京', 'müller 東 京'),
    ({'do_lower_case': False}, 'müller Ann', 'müller [UNK]'),
    (
      {'do_lower_case': False, 'strip_accents': True},
      'müller é',
      'muller e',
    ),
    ({'tokenize_chinese_chars': False}, '東京 the', '東京 the'),
    ({'unk_token': {'content': '<u>'}}, 'what', '<u>'),
  ],
)
def test_vocabulary_with_settings(tmp_path, settings, text, tokens):
  write_vocabulary(tmp_path, settings)
  found = load_tokenizer(tmp_path).encode(text, add_special_tokens=False)
  assert found.tokens == tokens.split()


def test_vocabulary_with_added_tokens(tmp_path):
  number = len(LETTERS)
  write_vocabulary(tmp_path, {}, {'<x>': number + 1, '[E1]': number})
  encoding = load_tokenizer(tmp_path).encode('Ann [E1]s <X>')
  assert encoding.ids[1:-1] == [4, number, LETTERS.index('[UNK]'), number + 1]
  (tmp_path / 'added_tokens.json').write_text(f'{{"[E1]": {number + 1}}}')
  with pytest.raises(ValueError, match=f'has the id {number + 1}, but the nex'):
    load_tokenizer(tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize('lower', [None, True, False])
@pytest.mark.parametrize('strip', [None, True, False])
@pytest.mark.parametrize('chinese', [None, True, False])
def test_vocabulary_as_auto_tokenizer_reads_it(tmp_path, lower, strip, chinese):
  transformers = pytest.importorskip('transformers')
  settings = {
    'do_lower_case': lower,
    'strip_accents': strip,
    'tokenize_chinese_chars': chinese,
  }
  settings = {
    key: value for key, value in settings.items() if value is not None
  }
  number = len(LETTERS)
  properties = ('lstrip', 'rstrip', 'single_word', 'special', 'normalized')
  for place, yes in enumerate([None, *properties]):
    token = dict.fromkeys(properties, False) | {'content': '[E1]'}
    decoder = {str(number): token | ({yes: True} if yes else {})}
    added = {'<x>': number} if place == 0 else None
    more = {} if place == 0 else {'added_tokens_decoder': decoder}
    directory = tmp_path / str(place)
    directory.mkdir()
    write_vocabulary(directory, settings | more, added)
    theirs = transformers.AutoTokenizer.from_pretrained(directory)
    ours = load_tokenizer(directory)
    for text in TEXTS:
      assert ours.encode(text).ids == theirs(text)['input_ids'], text
