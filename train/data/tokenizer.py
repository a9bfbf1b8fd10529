"""Sub-word tokenizers: those of published checkpoints, and trained ones."""

import json
import pathlib
from collections.abc import Iterable
from collections.abc import Sequence

import tokenizers

_SPECIAL_TOKENS = ['[PAD]', '[UNK]', '[CLS]', '[SEP]', '[MASK]']


def load_tokenizer(directory: pathlib.Path) -> tokenizers.Tokenizer:
  """Reads tokenizer.json or, in old checkpoints, vocab.txt.

  Args:
    directory: of the checkpoint.

  Returns:
    A tokenizer that neither truncates nor pads, whatever the file says.

  Raises:
    FileNotFoundError: neither file is there.
    ValueError: the file is not a tokenizer.
  """
  whole, vocabulary = directory / 'tokenizer.json', directory / 'vocab.txt'
  path = whole if whole.is_file() else vocabulary
  if not path.is_file():
    raise FileNotFoundError(f'{directory} has no tokenizer.json or vocab.txt.')
  try:
    tokenizer = _read(path)
  except Exception as error:  # All that the package raises.
    raise ValueError(f'{path}: not a tokenizer: {error}') from None
  tokenizer.no_truncation()
  tokenizer.no_padding()
  return tokenizer


def train_wordpiece(
  sentences: Iterable[Sequence[str]], vocab_size: int
) -> tokenizers.Tokenizer:
  """Trains a cased BERT tokenizer.

  Args:
    sentences: their words.
    vocab_size: of WordPiece, with the special tokens; at most so many.

  Returns:
    The same tokenizer for the same sentences.

  Raises:
    ValueError: the vocabulary is too small for the characters.
  """
  texts = [' '.join(tokens) for tokens in sentences]
  tokenizer = _bert_tokenizer(tokenizers.models.WordPiece(unk_token='[UNK]'))
  # The trainer breaks ties by id, and gives `##x` ids in the order of a hash
  # map, so that its vocabulary changes from run to run. What is called special
  # gets its id from us.
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


def padding_id(tokenizer: tokenizers.Tokenizer) -> int:
  """What BERT or RoBERTa pads with; any id would do, as padding is masked."""
  ids = map(tokenizer.token_to_id, ('[PAD]', '<pad>'))
  return next((i for i in ids if i is not None), 0)


def mark_words(tokenizer: tokenizers.Tokenizer) -> None:
  """Lets words that come one by one begin as after a space (byte-level BPE)."""
  if isinstance(tokenizer.pre_tokenizer, tokenizers.pre_tokenizers.ByteLevel):
    tokenizer.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(
      add_prefix_space=True, use_regex=tokenizer.pre_tokenizer.use_regex
    )


def first_sub_words(word_ids: Sequence[int | None]) -> list[int]:
  """The word that a first sub-word begins, -1 at any other."""
  return [
    -1 if word is None or word == last else word
    for last, word in zip([None, *word_ids], word_ids, strict=False)
  ]


def _read(path):
  if path.suffix == '.json':
    return tokenizers.Tokenizer.from_file(str(path))
  settings = path.with_name('tokenizer_config.json')
  lowercase = True  # As transformers has it.
  if settings.is_file():
    lowercase = json.loads(settings.read_text()).get('do_lower_case', True)
  bert = tokenizers.BertWordPieceTokenizer(str(path), lowercase=lowercase)
  return tokenizers.Tokenizer.from_str(bert.to_str())


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
