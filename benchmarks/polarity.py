"""Polarity of marked findings: how many does `dicejax.concepts` read right?

  python benchmarks/polarity.py tests/golden/polarity.tsv OTHER.tsv
  python benchmarks/polarity.py --kit=rsAnnotations-1-120-random.txt

A table has a group, a sentence and, for each of its findings, a sign, between
tabs. Findings are in braces, `\\n` and `\\r` are line breaks. The signs are `+`
for present, `-` for absent, of somebody else or of the past, and `?` for
uncertain or hypothetical. The fraction of right signs is printed.

The kit is that of NegEx (chapmanbe/negex on GitHub, Apache-2.0): 2,376
sentences of clinical notes, each with a condition that is negated or not. The
F1 score of what is negated is printed; in 11 lines the condition is not in the
sentence, and they are left out.
"""

import argparse
import collections
import itertools
import pathlib
import re
import sys

# Imports the library of this tree, not an installed one.
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

from dicejax.concepts import Experiencer
from dicejax.concepts import Polarity
from dicejax.concepts import Time
from dicejax.concepts.text.assertion import assert_findings
from dicejax.concepts.text.sentences import split_sentences

_SIGNS = {
  Polarity.PRESENT: '+',
  Polarity.ABSENT: '-',
  Polarity.UNCERTAIN: '?',
}


def main():
  parser = argparse.ArgumentParser(
    description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
  )
  parser.add_argument('tables', nargs='*', type=pathlib.Path)
  parser.add_argument('--kit', type=pathlib.Path)
  parser.add_argument(
    '--wrong', action='store_true', help='print what is read wrongly'
  )
  arguments = parser.parse_args()
  for path in arguments.tables:
    score_table(path, arguments.wrong)
  if arguments.kit:
    score_kit(arguments.kit, arguments.wrong)


def score_table(path: pathlib.Path, wrong: bool) -> None:
  right = count = 0
  for line in path.read_text('utf-8').splitlines():
    if '{' not in line:
      continue  # The heading.
    _, marked, signs = line.split('\t')
    marked = marked.replace('\\n', '\n').replace('\\r', '\r')
    parts = marked.replace('}', '{').split('{')
    ends = list(itertools.accumulate(map(len, parts)))
    spans = list(zip(ends[::2], ends[1::2], strict=False))
    found = [_sign(said) for said in assert_spans(''.join(parts), spans)]
    right += sum(map(str.__eq__, found, signs))
    count += len(signs)
    if wrong and ''.join(found) != signs:
      print(f'  expected {signs}, found {"".join(found)}: {marked!r}')
  print(f'{path.name}: {right} of {count} findings, {right / count:.3f}')


def score_kit(path: pathlib.Path, wrong: bool) -> None:
  counts = collections.Counter()
  for line in path.read_text('utf-8', errors='replace').splitlines():
    _, condition, text, given, *_ = line.split('\t')
    if given not in ('Negated', 'Affirmed'):
      continue  # The heading.
    words = map(re.escape, condition.split())
    match = re.search(r'\s+'.join(words), text, re.IGNORECASE)
    if match is None:
      counts['left out'] += 1
      continue
    (said,) = assert_spans(text, [match.span()])
    found = said is not None and said.polarity is Polarity.ABSENT
    counts[found, given == 'Negated'] += 1
    if wrong and found != (given == 'Negated'):
      print(f'  {given}: {condition!r} in {text!r}')
  tp, fp, fn = counts[True, True], counts[True, False], counts[False, True]
  print(
    f'{path.name}: precision {tp / (tp + fp):.4f}, '
    f'recall {tp / (tp + fn):.4f}, '
    f'F1 {2 * tp / (2 * tp + fp + fn):.4f}, left out {counts["left out"]}'
  )


def assert_spans(text, spans) -> list:
  """Says of each span of characters what its sentence says of it, or None."""
  said = [None] * len(spans)
  for sentence in split_sentences(text):
    inside = []
    for number, (start, end) in enumerate(spans):
      bounds = zip(sentence.starts, sentence.ends, strict=True)
      words = [n for n, (a, b) in enumerate(bounds) if start <= a and b <= end]
      if words:
        inside.append((number, (words[0], words[-1] + 1)))
    found = assert_findings(sentence.words, [span for _, span in inside])
    for (number, _), one in zip(inside, found, strict=True):
      said[number] = one
  return said


def _sign(said) -> str:
  if said is None:
    return '!'
  if said.experiencer is Experiencer.OTHER or said.time is Time.PAST:
    return '-'
  return _SIGNS[said.polarity]


if __name__ == '__main__':
  main()
