"""Reports as sets of concepts: `python -m dicejax.concepts COMMAND`.

  index     finds the concepts of reports and keeps them in one file
  search    finds the reports most like one of them, or like a text
  explain   shows two reports side by side, and how their score comes about
  label     writes which findings each report has, excludes or is unsure about

`COMMAND --help` lists the options of each and gives an example. Results go to
standard output: a table on a terminal, CSV elsewhere, or as --format says;
remarks go to standard error.
"""

import argparse
import math
import os
import sys
import textwrap
from collections.abc import Sequence

from dicejax.concepts.cli import commands
from dicejax.concepts.cli.display import FORMATS
from dicejax.concepts.labels.table import NO_FINDING
from dicejax.concepts.search.findings import UNCERTAIN
from dicejax.concepts.search.index import MODIFIERS
from dicejax.concepts.search.scorer import WEIGHTS
from dicejax.concepts.text.assertion import ALTERNATIVES
from dicejax.concepts.text.cues import CLASSES

_PROGRAM = 'python -m dicejax.concepts'
# The formats of the tables, which `index` and `label` print with their help.
_ALIASES_FORMAT = """\
A table of --aliases is UTF-8 text with tabs between the values of a line; |
separates several ids or forms; lines that begin with # are comments:
  term       ID  NAME  PARENT | PARENT     a concept that the ontology lacks
  form       ID  FORM | FORM               other names of a concept
  stop       FORM | ID                     never linked; an ID with those below
  elsewhere  ID | ID  WORD | WORD          their names next to one of the words
                                           ("ankle edema") are not linked

"""
_CUES_FORMAT = f"""\
A table of --cues has a line per class of words, with a tab between:
  CLASS  WORDS | WORDS
Write one for your language or speciality after the English table, cues.tsv in
dicejax/concepts/text, which says what each class means. The classes are:
{textwrap.indent(textwrap.fill(', '.join(CLASSES), 74), '  ')}

"""
_LABELS_FORMAT = """\
A table of --labels has a line per label, with tabs between:
  LABEL  ID | ID  WORDS | WORDS
The concepts with these ids and all below them give the label; so do concepts
with one of the WORDS in their names. Either of the two may be empty. An id or
words that the ontology lacks are an error.

"""
_FORMATS = {
  'index': _ALIASES_FORMAT + _CUES_FORMAT,
  'label': _ALIASES_FORMAT + _CUES_FORMAT + _LABELS_FORMAT,
}
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
    argv: the arguments without the program; by default the process's own.

  Returns:
    0, or 1 after one sentence on standard error about what is wrong with the
    input. Arguments that argparse refuses exit with 2.
  """
  arguments = _parser().parse_args(argv)
  try:
    arguments.run(arguments)
    sys.stdout.flush()
  except BrokenPipeError:
    # The reader of the output has enough. The interpreter flushes once more at
    # its exit, which must not fail.
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
    help='id of a report, which is then left out of the hits, or any text',
  )
  search.add_argument(
    '-k', type=_positive, default=10, help='number of hits (default: 10)'
  )
  search.add_argument(
    '--modifiers',
    choices=MODIFIERS,
    default='rank',
    help='sides, degrees and the like of the query, as in "small left '
    'effusion": rank: of hits with equal scores, those that agree come first '
    '(default); require: only hits on the side that the query names, which say '
    'nothing against its other words; ignore',
  )
  _add_scoring(search)

  explain = _add(added, 'explain', commands.explain, 'Shows a score by hand.')
  explain.add_argument('index', metavar='INDEX')
  explain.add_argument(
    'query', metavar='QUERY', help='id of a report, or a text'
  )
  explain.add_argument(
    'candidate', metavar='ID', help='report that is compared with it'
  )
  _add_html(explain, 'both reports and the score')
  _add_force(explain)
  _add_scoring(explain)

  label = _add(added, 'label', commands.label, 'Labels reports.')
  _add_input(label)
  label.add_argument(
    '--labels',
    metavar='FILE',
    help='table of labels and their concepts, see below (default: the 14 '
    'ChestX-ray14 classes)',
  )
  label.add_argument(
    '--precedence',
    choices=commands.PRECEDENCES,
    default='present',
    help='which mention decides if several disagree: present: present, then '
    'uncertain, then absent (default); paper: absent, then present, then '
    'uncertain',
  )
  label.add_argument(
    '--out',
    required=True,
    metavar='CSV',
    help='file to create, one column per label: 1 present, 0 absent, -1 '
    f'uncertain, blank not mentioned. {NO_FINDING} is 1 if no label of the '
    'table is present or uncertain, whatever else the report finds',
  )
  label.add_argument(
    '--trail',
    metavar='FILE',
    help='JSON-lines file to create with the evidence, one line per label',
  )
  _add_html(label, 'the reports, their labels and the evidence')
  label.add_argument(
    '--html-limit',
    type=_positive,
    default=200,
    metavar='N',
    help='how many reports the page shows, the first ones (default: 200)',
  )
  return parser


def _add(added, name, run, help) -> argparse.ArgumentParser:
  parser = added.add_parser(
    name,
    help=help,
    description=help,
    epilog=(
      f'{_FORMATS.get(name, "")}example:\n  {_PROGRAM} {name} {_EXAMPLES[name]}'
    ),
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
    help='columns with the text, separated by commas',
  )
  parser.add_argument(
    '--id-column',
    metavar='NAME',
    help='column with the ids (default: id, uid, report_id or study_id; '
    'without these, reports are numbered)',
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
    help='such as the Human Phenotype Ontology; may be repeated: terms with '
    'the same UMLS id become one',
  )
  sources.add_argument(
    '--umls',
    action='append',
    default=[],
    metavar='DIR',
    help='directory with MRCONSO.RRF, MRSTY.RRF and MRREL.RRF',
  )
  finding = parser.add_argument_group('how concepts are found')
  finding.add_argument(
    '--aliases',
    action='append',
    metavar='TABLE',
    help='table of surface forms, see below: a FILE, chest (for chest '
    'radiographs, with its own list of words that are never linked; the '
    'default) or none (names and synonyms of the ontology alone); may be '
    'repeated to join tables: --aliases=chest --aliases=FILE',
  )
  finding.add_argument(
    '--cues',
    metavar='FILE',
    help='table of the words that affirm, deny or doubt, see below, instead of '
    'the English one',
  )
  finding.add_argument(
    '--alternatives',
    choices=ALTERNATIVES,
    default='present',
    help='what "A or B" and "A versus B" say of both: present, as the indexers '
    'of Open-i count them (default), or uncertain, as CheXpert does',
  )
  source = finding.add_mutually_exclusive_group()
  _add_extractor(source)
  source.add_argument(
    '--radgraph',
    metavar='JSON',
    help='graphs that RadGraph made of the same texts: their entities are '
    'linked, and their labels say what is present',
  )
  _add_force(parser)


def _add_html(parser, what):
  parser.add_argument(
    '--html',
    metavar='FILE',
    help=f'HTML file to create that shows {what} in a browser',
  )


def _add_force(parser):
  parser.add_argument(
    '--force', action='store_true', help='replace files that exist'
  )


def _add_extractor(parser):
  parser.add_argument(
    '--extractor',
    metavar='MODULE:FUNCTION',
    help='Python function from a text to a list of dicejax.concepts.Mention, '
    'instead of the dictionary of names',
  )


def _add_scoring(parser):
  parser.add_argument(
    '--measure',
    choices=commands.MEASURES,
    default='asymmetric',
    help='default: asymmetric; symmetric is that of the paper',
  )
  parser.add_argument(
    '--alpha',
    type=_not_negative,
    metavar='X',
    help='asymmetric: weight of what only the hit has (default: 0.1); '
    'symmetric: share of the smaller difference, at most 1 (0.5)',
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
    choices=WEIGHTS,
    default='corpus',
    help='corpus: rare concepts of the index weigh most (default); uniform: '
    'all the same; intrinsic: deep concepts of the ontology weigh most; types: '
    'UMLS semantic types, as in the paper',
  )
  parser.add_argument(
    '--uncertain',
    choices=UNCERTAIN,
    default='ignore',
    help='uncertain mentions: ignore them (default) or count them as present, '
    'as in the paper',
  )
  parser.add_argument('--format', choices=FORMATS, help='output format')
  _add_extractor(parser)


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
