"""The encoder and the tagger that options name, loaded before long work."""

import os
import sys
from collections.abc import Iterator
from typing import Any

from dicejax.concepts.text import tagger


def load_encoder(arguments) -> Any:
  """Loads the encoder of --encoder; None if there is none.

  Raises:
    OSError, ValueError: it is none, or other options do not go with it.
  """
  if not arguments.encoder:
    if getattr(arguments, 'encoder_threshold', None):
      raise ValueError('--encoder-threshold needs an --encoder.')
    return None
  own = arguments.extractor and not os.path.isdir(arguments.extractor)
  if own or getattr(arguments, 'radgraph', None):
    raise ValueError(
      '--encoder links what the dictionary leaves: leave an --extractor of '
      'your own and --radgraph out.'
    )
  _refuse_workers(arguments)
  try:
    # JAX takes longer to import than most commands take.
    from dicejax.concepts.text.encoder import Encoder

    return Encoder(arguments.encoder)
  except ImportError as error:
    raise ValueError(f'--encoder {arguments.encoder}: {error}') from error


def announce(parts: range) -> Iterator[int]:
  """Says that vectors of names are being made, which takes minutes."""
  print(
    f'encoder: making the vectors of {parts.stop:,} names, which are kept for '
    'the next time.',
    file=sys.stderr,
  )
  yield from parts


def load_tagger(arguments) -> tagger.Tagger | None:
  """Loads the tagger of --extractor; None if that is no directory.

  Raises:
    OSError, ValueError: it is none, or other options do not go with it.
  """
  name = arguments.extractor
  if not name or not os.path.isdir(name):
    return None
  _refuse_workers(arguments)
  try:
    return tagger.load_tagger(name)
  except ImportError as error:
    raise ValueError(f'--extractor {name}: {error}') from error


def _refuse_workers(arguments):
  if getattr(arguments, 'workers', 1) > 1:
    raise ValueError(
      'An encoder or a tagger uses all devices: leave --workers out.'
    )
