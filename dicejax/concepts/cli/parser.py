"""Reports as sets of concepts: `python -m dicejax.concepts COMMAND`.

  index     finds the concepts of reports and keeps them in one file
  search    the reports most like one of them, or like a text
  explain   two reports side by side, and how their score comes about
  label     which findings each report says are there, are not, or may be

`COMMAND --help` tells the options of each and gives an example. What is found
goes to standard output: a table on a terminal, CSV elsewhere, or as --format
says; remarks go to standard error.
"""

import argparse
import math
import os
import sys
from collections.abc import Sequence

from dicejax.concepts.cli import commands
from dicejax.concepts.cli.display import FORMATS
from dicejax.concepts.search import scoring
from dicejax.concepts.search.compare import UNCERTAIN

_PROGRAM = 'python -m dicejax.concepts'
_EXAMPLES = {
  'index': (
    'reports.csv --text-columns findings,impression --ontology hp.obo '
    '--out reports.index'
  ),
  'search': 'reports.index "small left pleural effusion, no pneumothorax" -k 5',
  'explain': 'reports.index 12 40',
  'label': (
    'reports.csv --text-columns findings,impression --ontology hp.obo '
    '--out labels.csv --trail trail.jsonl'
  ),
}


def main(argv: Sequence[str] | None = None) -> int:
  """Runs a command.

  Args:
    argv: without the program; by default those of the process.

  Returns:
    0, or 1 after one sentence on standard error that says what is wrong with
    the input. Arguments that argparse refuses exit with 2.
  """
  arguments = _parser().parse_args(argv)
  try:
    arguments.run(arguments)
    sys.stdout.flush()
  except BrokenPipeError:
    # Whoever read has enough; at its exit the interpreter flushes once more.
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
  except (OSError, ValueError) as error:
    print(f'error: {_sentence(error)}', file=sys.stderr)
    return 1
  except KeyboardInterrupt:
    print('Stopped.', file=sys.stderr)
    return 130
  return 0


def _sentence(error: Exception) -> str:
  if isinstance(error, OSError) and error.filename and error.strerror:
    return f'{error.filename}: {error.strerror}.'
  return ' '.join(str(error).split())


def _parser() -> argparse.ArgumentParser:
  parser = argparse.ArgumentParser(
    prog=_PROGRAM,
    description=__doc__,
    formatter_class=argparse.RawDescriptionHelpFormatter,
  )
  added = parser.add_subparsers(metavar='COMMAND', required=True)

  index = _add(added, 'index', commands.index, 'Keeps reports in one file.')
  _add_input(index)
  index.add_argument('--out', required=True, metavar='INDEX', help='a new file')

  search = _add(added, 'search', commands.search, 'Finds similar reports.')
  search.add_argument('index', metavar='INDEX')
  search.add_argument(
    'query',
    metavar='QUERY',
    help='id of a report of the index, which is then left out, or a text',
  )
  search.add_argument(
    '-k', type=_positive, default=10, help='how many, at most (default: 10)'
  )
  _add_scoring(search)

  explain = _add(added, 'explain', commands.explain, 'Shows a score by hand.')
  explain.add_argument('index', metavar='INDEX')
  explain.add_argument('query', metavar='ID1', help='the report asked for')
  explain.add_argument('candidate', metavar='ID2', help='compared with it')
  _add_scoring(explain)

  label = _add(added, 'label', commands.label, 'Labels reports.')
  _add_input(label)
  label.add_argument(
    '--labels',
    metavar='FILE',
    help='names and their concepts (default: the ChestX-ray14 classes)',
  )
  label.add_argument(
    '--out',
    required=True,
    metavar='CSV',
    help='a new file, a column a label: 1 is there, 0 is not, -1 uncertain, '
    'blank not mentioned; No Finding where no label is there or uncertain',
  )
  label.add_argument(
    '--trail', metavar='FILE', help='a new file: in JSON, why, a line a label'
  )
  return parser


def _add(added, name, run, help) -> argparse.ArgumentParser:
  parser = added.add_parser(
    name,
    help=help,
    description=help,
    epilog=f'example:\n  {_PROGRAM} {name} {_EXAMPLES[name]}',
    formatter_class=argparse.RawDescriptionHelpFormatter,
  )
  parser.set_defaults(run=run)
  return parser


def _add_input(parser):
  parser.add_argument('reports', metavar='REPORTS.csv')
  parser.add_argument(
    '--text-columns',
    required=True,
    type=_names,
    metavar='NAMES',
    help='columns that make the text, with commas between',
  )
  parser.add_argument(
    '--id-column',
    metavar='NAME',
    help='default: id, uid, report_id or study_id, or else the number of the '
    'report',
  )
  parser.add_argument(
    '--encoding', default='utf-8', help='of the reports (default: utf-8)'
  )
  sources = parser.add_argument_group('ontologies, at least one')
  sources.add_argument(
    '--ontology',
    action='append',
    default=[],
    metavar='OBO',
    help='such as the Human Phenotype Ontology; of several, terms with one '
    'UMLS id become one',
  )
  sources.add_argument(
    '--umls',
    action='append',
    default=[],
    metavar='DIR',
    help='with MRCONSO.RRF, MRSTY.RRF and MRREL.RRF',
  )
  sources.add_argument(
    '--aliases',
    metavar='FILE',
    help='how radiologists put it (default: the table of this package; none: '
    'names and synonyms of the ontology alone)',
  )
  parser.add_argument(
    '--force', action='store_true', help='replace files that are there'
  )


def _add_scoring(parser):
  parser.add_argument(
    '--measure',
    choices=scoring.MEASURES,
    default='asymmetric',
    help="default: asymmetric; symmetric is the paper's",
  )
  parser.add_argument(
    '--alpha',
    type=_not_negative,
    metavar='X',
    help='asymmetric: weight of what only the hit has (default: 0.1); '
    'symmetric: share of the smaller difference (0.5)',
  )
  parser.add_argument(
    '--beta',
    type=_not_negative,
    metavar='X',
    help='asymmetric: weight of what only the query has (0.9); symmetric: '
    'weight of the differences (1)',
  )
  parser.add_argument(
    '--weights',
    choices=scoring.WEIGHTS,
    default='corpus',
    help='corpus: rare concepts of the index weigh most (default); uniform: '
    'all the same; intrinsic: deep concepts of the ontology weigh most; types: '
    "UMLS semantic types, the paper's",
  )
  parser.add_argument(
    '--uncertain',
    choices=UNCERTAIN,
    default='ignore',
    help="uncertain mentions (default: ignore; present is the paper's)",
  )
  parser.add_argument('--format', choices=FORMATS, help='of the output')


def _names(text: str) -> list[str]:
  return [name.strip() for name in text.split(',') if name.strip()]


def _positive(text: str) -> int:
  if not text.isdecimal() or int(text) == 0:
    raise argparse.ArgumentTypeError(f'{text}: expected 1, 2, ...')
  return int(text)


def _not_negative(text: str) -> float:
  try:
    number = float(text)
  except ValueError:
    number = math.nan
  if not 0 <= number < math.inf:
    raise argparse.ArgumentTypeError(f'{text}: expected 0 or more')
  return number


if __name__ == '__main__':
  sys.exit(main())
