"""Plain text to predict: its lines, as examples."""

import pathlib

from dicejax.text.words import split_words
from train.data import files
from train.data.conll import Sentence


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
