"""Experiments: files that `python -m train --config=FILE` takes."""

import difflib
from collections.abc import Iterable


def none_of(name: str, names: Iterable[str]) -> str:
  """Says that a name is none of those known, and which one is near."""
  names = list(names)
  text = f'{name!r} is none of {", ".join(names)}'
  near = difflib.get_close_matches(name, names, n=1)
  return f'{text}; did you mean {near[0]}?' if near else f'{text}.'
