"""Plain text to predict: its lines and words, and the entities found in it."""

import pathlib
import re
from collections.abc import Sequence
from typing import Any

from dicejax import metrics
from train.data import files
from train.data.conll import Sentence

# In scripts without spaces (kana, Han), each character is a word.
_CHARACTER = r'[\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff]'
_LETTERS = rf'(?:(?!{_CHARACTER})\w)+'
# Otherwise a word is an English 's, which treebanks separate; letters and
# digits, joined by hyphens, dots and the like; or a single other character.
_WORD = re.compile(
  rf"{_CHARACTER}|'s\b|{_LETTERS}(?:[-.,/&]{_LETTERS})*|[^\w\s]"
)


def read_lines(path: pathlib.Path) -> list[str]:
  """Reads the lines of a UTF-8 file; an empty file has none."""
  lines = [line for _, line in files.read_lines(path)]
  return lines if lines[-1] else lines[:-1]


def read_sentences(path: pathlib.Path) -> tuple[list[str], list[Sentence]]:
  """Reads a sentence per line, without tags.

  An empty line is a sentence without words, so that outputs keep their line.
  """
  lines = read_lines(path)
  return lines, [
    Sentence([line[start:end] for start, end in split_words(line)], [], number)
    for number, line in enumerate(lines, start=1)
  ]


def split_words(text: str) -> list[tuple[int, int]]:
  """Returns start and end, in characters, of each word of a sentence.

  Example:
    >>> text = "Peter Blackburn's 20-page note."
    >>> [text[start:end] for start, end in split_words(text)]
    ['Peter', 'Blackburn', "'s", '20-page', 'note', '.']
  """
  return [match.span() for match in _WORD.finditer(text)]


def place_entities(
  text: str, scored: Sequence[tuple[metrics.Span, float]]
) -> list[dict[str, Any]]:
  """Places the entities of a sentence in its text.

  Args:
    text: the sentence.
    scored: spans of its words, which `split_words` finds, with scores.

  Example:
    >>> place_entities('Paris', [(metrics.Span('LOC', 0, 1), 0.75)])
    [{'type': 'LOC', 'start': 0, 'end': 5, 'text': 'Paris', 'score': 0.75}]
  """
  words, placed = split_words(text), []
  for span, score in scored:
    start, end = words[span.start][0], words[span.end - 1][1]
    placed.append(
      {
        'type': span.type,
        'start': start,
        'end': end,
        'text': text[start:end],
        'score': round(score, 6),
      }
    )
  return placed
