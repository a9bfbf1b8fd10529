"""Sub-word tokenizers of published checkpoints."""

import json
import pathlib
from collections.abc import Sequence

import tokenizers


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
