"""Sub-word tokenizers, from published checkpoints or trained on a corpus."""

from __future__ import annotations

import json
import pathlib
from collections.abc import Iterable
from collections.abc import Sequence

import tokenizers

_SPECIAL_TOKENS = ['[PAD]', '[UNK]', '[CLS]', '[SEP]', '[MASK]']
# Keys of tokenizer_config.json that matter beside a vocab.txt.
_NAMES = {'pad_token', 'unk_token', 'cls_token', 'sep_token', 'mask_token'}
_PROPERTIES = {
  'content',
  'single_word',
  'lstrip',
  'rstrip',
  'normalized',
  'special',
}


def load_tokenizer(directory: pathlib.Path) -> tokenizers.Tokenizer:
  """Reads tokenizer.json or, in old checkpoints, vocab.txt.

  A vocab.txt is read as `AutoTokenizer` does, with the settings of
  tokenizer_config.json and the tokens of added_tokens.json beside it.

  Args:
    directory: the checkpoint, as Hugging Face saves it.

  Returns:
    A tokenizer that neither truncates nor pads, whatever the file says.

  Raises:
    FileNotFoundError: the directory has neither file.
    ValueError: the file does not hold a tokenizer.
  """
  whole, vocabulary = directory / 'tokenizer.json', directory / 'vocab.txt'
  path = whole if whole.is_file() else vocabulary
  if not path.is_file():
    raise FileNotFoundError(
      f'{directory} has no tokenizer.json or vocab.txt; from other files, such '
      'as spiece.model, they are made by transformers: '
      'AutoTokenizer.from_pretrained(OLD).save_pretrained(NEW).'
    )
  try:
    tokenizer = _read(path)
  except Exception as error:  # The package raises no narrower class.
    raise ValueError(f'{path}: not a tokenizer: {error}') from None
  tokenizer.no_truncation()
  tokenizer.no_padding()
  return tokenizer


def check_length(
  tokenizer: tokenizers.Tokenizer, max_length: int, *, pair: bool = False
) -> None:
  """Checks that an input has room for a sub-word beside the special ones.

  Args:
    tokenizer: adds special sub-words, such as [CLS] and [SEP].
    max_length: largest number of sub-words of an input.
    pair: whether an input may have two texts.

  Raises:
    ValueError: there is no room.
  """
  special = tokenizer.num_special_tokens_to_add(pair)
  if max_length <= special:
    raise ValueError(
      f'max_length is at least {special + 1}, for a sub-word beside {special} '
      f'special ones, not {max_length}.'
    )


def train_wordpiece(
  sentences: Iterable[Sequence[str]], vocab_size: int
) -> tokenizers.Tokenizer:
  """Trains a cased BERT tokenizer.

  Args:
    sentences: the words of each.
    vocab_size: largest size of the vocabulary, special tokens included.

  Returns:
    A tokenizer that depends on nothing but the arguments.

  Raises:
    ValueError: the vocabulary is too small for the characters.
  """
  texts = [' '.join(tokens) for tokens in sentences]
  tokenizer = _bert_tokenizer(tokenizers.models.WordPiece(unk_token='[UNK]'))
  # The trainer breaks ties by id, and numbers `##x` in the order of a hash map,
  # so that its vocabulary changes from run to run. Pieces that we declare
  # special have fixed ids.
  characters = sorted(set(tokenizer.normalizer.normalize_str(''.join(texts))))
  alphabet = [c for c in characters if not c.isspace()]
  pieces = [*_SPECIAL_TOKENS, *alphabet, *(f'##{c}' for c in alphabet)]
  if len(pieces) > vocab_size:
    raise ValueError(
      f'vocab_size is at least {len(pieces)} for these characters, not '
      f'{vocab_size}.'
    )
  trainer = tokenizers.trainers.WordPieceTrainer(
    vocab_size=vocab_size, special_tokens=pieces, show_progress=False
  )
  tokenizer.train_from_iterator(texts, trainer)
  tokenizer = _bert_tokenizer(
    tokenizers.models.WordPiece(tokenizer.get_vocab(), unk_token='[UNK]')
  )
  tokenizer.add_special_tokens(_SPECIAL_TOKENS)
  return tokenizer


def copy_tokenizer(tokenizer: tokenizers.Tokenizer) -> tokenizers.Tokenizer:
  """Returns an independent copy that neither truncates nor pads."""
  copy = tokenizers.Tokenizer.from_str(tokenizer.to_str())
  copy.no_truncation()
  copy.no_padding()
  return copy


def padding_id(tokenizer: tokenizers.Tokenizer) -> int:
  """Returns the id that BERT or RoBERTa pads with, 0 for other tokenizers.

  Padding is masked, so any id would do.
  """
  ids = map(tokenizer.token_to_id, ('[PAD]', '<pad>'))
  return next((i for i in ids if i is not None), 0)


def cls_place(tokenizer: tokenizers.Tokenizer) -> int:
  """Returns where an input has [CLS]: 0, or -1 for the end, as in XLNet."""
  nothing = tokenizer.encode('', add_special_tokens=False)
  ids = tokenizer.post_process(nothing, nothing).ids
  # A pair of texts has one [CLS] and several [SEP].
  single = (i for i, token in enumerate(ids) if ids.count(token) == 1)
  return -1 if next(single, 0) else 0


def mark_words(tokenizer: tokenizers.Tokenizer) -> None:
  """Sets byte-level BPE to encode single words as it does after a space."""
  if isinstance(tokenizer.pre_tokenizer, tokenizers.pre_tokenizers.ByteLevel):
    tokenizer.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(
      add_prefix_space=True, use_regex=tokenizer.pre_tokenizer.use_regex
    )


def first_sub_words(word_ids: Sequence[int | None]) -> list[int]:
  """Returns, per sub-word, the word that it begins, or -1 if it begins none."""
  return [
    -1 if word is None or word == last else word
    for last, word in zip([None, *word_ids], word_ids, strict=False)
  ]


def _read(path):
  if path.suffix == '.json':
    return tokenizers.Tokenizer.from_file(str(path))
  settings = _read_settings(path.with_name('special_tokens_map.json'))
  settings |= _read_settings(path.with_name('tokenizer_config.json'))
  names = {key: _content(settings[key]) for key in _NAMES & settings.keys()}
  bert = tokenizers.BertWordPieceTokenizer(
    str(path),
    # The defaults of transformers.
    lowercase=settings.get('do_lower_case', True),
    strip_accents=settings.get('strip_accents'),
    handle_chinese_chars=settings.get('tokenize_chinese_chars', True),
    **names,
  )
  tokenizer = tokenizers.Tokenizer.from_str(bert.to_str())
  _add_tokens(tokenizer, path, settings.get('added_tokens_decoder', {}))
  return tokenizer


def _read_settings(path) -> dict:
  return json.loads(path.read_text('utf-8')) if path.is_file() else {}


def _content(token) -> str:
  """Returns a token that a file has as a text or as an object."""
  return token['content'] if isinstance(token, dict) else token


def _add_tokens(tokenizer, path, decoder) -> None:
  """Adds the tokens that a checkpoint has besides its vocabulary.

  Args:
    tokenizer: the tokenizer of the vocabulary.
    path: the vocabulary; added_tokens.json may be beside it.
    decoder: id → token with its properties, as newer versions save them.
  """
  added = {
    int(number): tokenizers.AddedToken(
      **{name: value for name, value in token.items() if name in _PROPERTIES}
    )
    for number, token in decoder.items()
  }
  older = _read_settings(path.with_name('added_tokens.json'))
  for token, number in older.items():
    added.setdefault(number, tokenizers.AddedToken(token, normalized=True))
  for number, token in sorted(added.items()):
    tokenizer.add_tokens([token])
    if tokenizer.token_to_id(token.content) != number:
      raise ValueError(
        f'the added token {token.content!r} has the id {number}, but the next '
        f'one is {tokenizer.token_to_id(token.content)}.'
      )


def _bert_tokenizer(model) -> tokenizers.Tokenizer:
  tokenizer = tokenizers.Tokenizer(model)
  tokenizer.normalizer = tokenizers.normalizers.BertNormalizer(lowercase=False)
  tokenizer.pre_tokenizer = tokenizers.pre_tokenizers.BertPreTokenizer()
  tokenizer.post_processor = tokenizers.processors.TemplateProcessing(
    single='[CLS] $A [SEP]',
    pair='[CLS] $A [SEP] $B:1 [SEP]:1',
    special_tokens=[
      (token, _SPECIAL_TOKENS.index(token)) for token in ('[CLS]', '[SEP]')
    ],
  )
  return tokenizer
