"""Sub-word tokenizers of published checkpoints."""

import json
import pathlib

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
  if whole.is_file():
    try:
      tokenizer = tokenizers.Tokenizer.from_file(str(whole))
    except Exception as error:  # All that the package raises.
      raise ValueError(f'{whole}: not a tokenizer: {error}') from None
  elif vocabulary.is_file():
    tokenizer = tokenizers.BertWordPieceTokenizer(
      str(vocabulary), lowercase=_lowercase(directory)
    )._tokenizer
  else:
    raise FileNotFoundError(f'{directory} has no tokenizer.json or vocab.txt.')
  tokenizer.no_truncation()
  tokenizer.no_padding()
  return tokenizer


def _lowercase(directory):
  path = directory / 'tokenizer_config.json'
  if not path.is_file():
    return True  # As transformers does.
  return json.loads(path.read_text()).get('do_lower_case', True)
