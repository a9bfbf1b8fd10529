"""Phrases that are looked up among the words of sentences."""

import functools
from collections.abc import Iterator
from collections.abc import Sequence
from typing import Any

from dicejax.concepts.text.sentences import split_sentences

# Words and marks that no phrase has.
_DROPPED = frozenset(['a', 'an', 'the', '(', ')', '-'])
# Words that may stand inside a phrase without being part of it.
FILLERS = _DROPPED | frozenset(
  'borderline grossly markedly mild mildly minimal minimally moderate '
  'moderately severe severely significantly slight slightly somewhat stable '
  'both bilateral left right'.split()
)
MOST_FILLERS = 3  # in a row
_VALUE = ''  # the key of a phrase's value: no word is empty


# Learning makes one linker after another of the same thousands of names.
@functools.lru_cache(maxsize=1 << 17)
def phrase_words(phrase: str) -> tuple[str, ...]:
  """The folded words of a phrase, without articles.

  Example:
    >>> phrase_words('Enlargement of the cardiac silhouette')
    ('enlargement', 'of', 'cardiac', 'silhouette')
  """
  words = (word for sentence in split_sentences(phrase) for word in sentence[0])
  return tuple(word for word in words if word not in _DROPPED)


class Phrases:
  """A dictionary of phrases, which finds the longest one at a place.

  Inside a phrase, up to three articles, sides and words of degree may stand in
  the text that the phrase does not have: "the heart is mildly enlarged".

  Example:
    >>> phrases = Phrases()
    >>> phrases.add(('heart', 'is', 'enlarged'), 7)
    True
    >>> phrases.longest(['heart', 'is', 'mildly', 'enlarged', 'now'], 0, 5)
    (7, 4)

  Attributes:
    tree: the phrases as dictionaries in one another, a word each; it can be
      written as JSON if the values can.
  """

  def __init__(self, tree: dict[str, Any] | None = None):
    self.tree = tree or {}

  def add(self, words: Sequence[str], value: Any) -> bool:
    """Adds a phrase; False, and nothing is changed, if it is there already."""
    node = self.tree
    for word in words:
      node = node.setdefault(word, {})
    if _VALUE in node:
      return False
    node[_VALUE] = value
    return True

  def __iter__(self) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Yields each phrase with its value."""
    pending = [((), self.tree)]
    while pending:
      words, node = pending.pop()
      for word, below in node.items():
        if word == _VALUE:
          yield words, below
        else:
          pending.append(((*words, word), below))

  def longest(
    self, words: Sequence[str], start: int, stop: int
  ) -> tuple[Any, int] | None:
    """The value of the longest phrase in `words[start:stop]` that begins there.

    Returns:
      The value and the position after its last word; None if there is none.
    """
    node = self.tree.get(words[start])
    if node is None:
      return None
    found, end = None, start + 1
    while True:
      if _VALUE in node:
        found = node[_VALUE], end
      last = min(stop, end + MOST_FILLERS)
      while end < last and words[end] not in node and words[end] in FILLERS:
        end += 1
      if end >= stop or words[end] not in node:
        return found
      node = node[words[end]]
      end += 1
