"""Tags text: `python -m train.predict --workdir=DIR --input=FILE.txt`.

The input is UTF-8 text, one sentence a line. The output is CoNLL columns (word
and tag), or JSON lines with the character offsets of each entity.
"""

import json
import pathlib
import re
import sys
from collections.abc import Sequence

from absl import flags

from dicejax import metrics
from train import cli

_WORKDIR = flags.DEFINE_string('workdir', None, 'A run.', required=True)
_INPUT = flags.DEFINE_string('input', None, 'A text file.', required=True)
_OUTPUT = flags.DEFINE_string('output', None, 'A new file; or the terminal.')
_FORMAT = flags.DEFINE_enum(
  'format', 'conll', ['conll', 'jsonl'], 'Columns, or offsets in JSON lines.'
)

# Scripts without spaces (kana, Han): each character is a word.
_CHARACTER = r'[\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff]'
_LETTERS = rf'(?:(?!{_CHARACTER})\w)+'
# Or an English 's, which treebanks take off; letters and digits, with hyphens,
# dots and the like between them; a sign.
_WORD = re.compile(
  rf"{_CHARACTER}|'s\b|{_LETTERS}(?:[-.,/&]{_LETTERS})*|[^\w\s]"
)


def split_words(text: str) -> list[tuple[int, int]]:
  """Start and end, in characters, of each word of a sentence.

  Example:
    >>> text = "Peter Blackburn's 20-page note."
    >>> [text[start:end] for start, end in split_words(text)]
    ['Peter', 'Blackburn', "'s", '20-page', 'note', '.']
  """
  return [match.span() for match in _WORD.finditer(text)]


def entities(
  text: str, words: Sequence[tuple[int, int]], tags: Sequence[str]
) -> list[dict]:
  """The entities of a sentence, with their place in its text.

  Example:
    >>> entities('To Paris', [(0, 2), (3, 8)], ['O', 'B-LOC'])
    [{'type': 'LOC', 'start': 3, 'end': 8, 'text': 'Paris'}]
  """
  found = []
  for span in metrics.entity_spans(tags):
    start, end = words[span.start][0], words[span.end - 1][1]
    found.append(
      {'type': span.type, 'start': start, 'end': end, 'text': text[start:end]}
    )
  return found


def main():
  from train import inference
  from train.data import conll

  path = pathlib.Path(_INPUT.value)
  if _OUTPUT.value and pathlib.Path(_OUTPUT.value).exists():
    raise FileExistsError(f'--output={_OUTPUT.value}: the file exists.')
  try:
    text = path.read_text(encoding='utf-8-sig')
  except UnicodeDecodeError as error:
    raise ValueError(f'{path}: expected UTF-8 text: {error}.') from None
  lines = text.removesuffix('\n').split('\n') if text else []
  run = inference.load_run(pathlib.Path(_WORKDIR.value))
  words = [split_words(line) for line in lines]
  # An empty line is a sentence without words: it stays where it was.
  sentences = [
    conll.Sentence([line[start:end] for start, end in spans], [], number)
    for number, (line, spans) in enumerate(
      zip(lines, words, strict=True), start=1
    )
  ]
  if message := run.task.describe_cut(sentences):
    print(f'{path}: {message}', file=sys.stderr)
  tags = run.predict(sentences)
  rows = zip(lines, words, tags, strict=True)
  text = ''.join(_format(*row) + '\n' for row in rows)
  if not _OUTPUT.value:
    sys.stdout.write(text)
    return
  with open(_OUTPUT.value, 'x', encoding='utf-8') as output:
    output.write(text)


def _format(line, words, tags) -> str:
  if _FORMAT.value == 'jsonl':
    return json.dumps(
      {'text': line, 'entities': entities(line, words, tags)},
      ensure_ascii=False,
    )
  return ''.join(
    f'{line[start:end]} {tag}\n'
    for (start, end), tag in zip(words, tags, strict=True)
  )


if __name__ == '__main__':
  cli.run(main)
