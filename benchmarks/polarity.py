"""Polarity of marked findings: how many does `dicejax.concepts` read right?

  python benchmarks/polarity.py tests/golden/polarity.tsv OTHER.tsv
  python benchmarks/polarity.py --kit=rsAnnotations-1-120-random.txt
  python benchmarks/polarity.py --reports=REPORTS.csv --ontology=hp.obo

A table has a group, a sentence and, for each of its findings, a sign, between
tabs. Findings are in braces, `\\n` and `\\r` are line breaks. The signs are `+`
for present, `-` for absent, of somebody else or of the past, and `?` for
uncertain or hypothetical. The fraction of right signs is printed.

The kit is that of NegEx (chapmanbe/negex on GitHub, Apache-2.0): 2,376
sentences of clinical notes, each with a condition that is negated or not. The
F1 score of what is negated is printed; in 11 lines the condition is not in the
sentence, and they are left out.

Reports, from the columns findings and impression, are written again in other
layouts. For each layout, the number of reports of which other findings, or
other polarities, are read than before is printed. No text is.
"""

import argparse
import collections
import itertools
import pathlib
import re
import sys
import textwrap

# Imports the library of this tree, not an installed one.
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

from dicejax.concepts import Experiencer
from dicejax.concepts import Linker
from dicejax.concepts import Polarity
from dicejax.concepts import Time
from dicejax.concepts import read_aliases
from dicejax.concepts import read_obo
from dicejax.concepts import read_reports
from dicejax.concepts.text.assertion import assert_findings
from dicejax.concepts.text.sentences import split_sentences

_SIGNS = {
  Polarity.PRESENT: '+',
  Polarity.ABSENT: '-',
  Polarity.UNCERTAIN: '?',
}

# A report, as sentences without full stops → the same, written in another way.
LAYOUTS = {
  'capitals': lambda s: '. '.join(s).upper() + '.',
  'small letters': lambda s: '. '.join(s).lower() + '.',
  'no blank': lambda s: '.'.join(s).upper() + '.',
  'wrapped': lambda s: textwrap.fill('. '.join(s) + '.', 44),
  'capitals, wrapped': lambda s: textwrap.fill('. '.join(s).upper() + '.', 44),
  'small, wrapped': lambda s: textwrap.fill('. '.join(s).lower() + '.', 50),
  'lines': '\n'.join,
  'small lines': lambda s: '\n'.join(s).lower(),
  'lines in capitals': lambda s: '\n'.join(s).upper(),
  'lines of Windows': '\r\n'.join,
  'lines of the Macintosh': '\r'.join,
  'full-width': lambda s: '。'.join(s) + '。',
  'bullets': lambda s: '\n'.join(f'- {x}' for x in s),
  'numbers': lambda s: '\n'.join(f'{n}. {x}.' for n, x in enumerate(s, 1)),
  'numbers in a line': lambda s: ' '.join(
    f'{n}) {x}' for n, x in enumerate(s, 1)
  ),
  'paragraphs': lambda s: ''.join(f'<p>{x}</p>' for x in s),
  'line tags': '<br>'.join,
  'bold': lambda s: '. '.join(f'<b>{x}</b>' for x in s),
}


def main():
  parser = argparse.ArgumentParser(
    description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
  )
  parser.add_argument('tables', nargs='*', type=pathlib.Path)
  parser.add_argument('--kit', type=pathlib.Path)
  parser.add_argument('--reports', type=pathlib.Path)
  parser.add_argument('--ontology', type=pathlib.Path)
  parser.add_argument(
    '--wrong', action='store_true', help='print what is read wrongly'
  )
  arguments = parser.parse_args()
  for path in arguments.tables:
    score_table(path, arguments.wrong)
  if arguments.kit:
    score_kit(arguments.kit, arguments.wrong)
  if arguments.reports:
    if not arguments.ontology:
      parser.error('--reports needs --ontology.')
    compare_layouts(arguments.reports, arguments.ontology)


def compare_layouts(path: pathlib.Path, ontology: pathlib.Path) -> None:
  linker = Linker(read_obo(ontology), read_aliases('chest'))

  def read(text):
    return [(m.concept, m.polarity, m.time) for m in linker(text)]

  texts = read_reports(path, ['findings', 'impression']).texts[:1000]
  reports = [
    re.split(r'[.!?:]+\s+', ' '.join(text.split()).rstrip('. '))
    for text in texts
  ]
  found = [read('. '.join(report) + '.') for report in reports]
  print(f'{path.name}: of {len(reports)} reports, these change')
  for name, write in LAYOUTS.items():
    changed = sum(
      read(write(report)) != before
      for report, before in zip(reports, found, strict=True)
    )
    print(f'{name:>22} {changed:4}')


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
