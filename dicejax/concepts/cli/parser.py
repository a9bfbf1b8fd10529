"""Reports as sets of concepts: `python -m dicejax.concepts COMMAND`.

  index     finds the concepts of reports and keeps them in a directory
  search    finds the reports most like one of them, or like a text
  explain   shows two reports side by side, and how their score comes about
  label     writes which findings each report has, excludes or is unsure about
  learn     writes how labelled reports name their labels, as a table of aliases

`COMMAND --help` lists the options of each and gives an example. Results go to
standard output: a table on a terminal, CSV elsewhere, or as --format says;
remarks go to standard error.
"""

import argparse
import os
import sys
from collections.abc import Sequence

from dicejax.concepts.cli import commands
from dicejax.concepts.cli import labelled
from dicejax.concepts.cli import learning
from dicejax.concepts.cli import options
from dicejax.concepts.labels.table import NO_FINDING
from dicejax.concepts.search.index import MODIFIERS

_PROGRAM = 'python -m dicejax.concepts'
_FORMATS = {
  'index': options.ALIASES_FORMAT + options.CUES_FORMAT,
  'label': options.ALIASES_FORMAT + options.CUES_FORMAT + options.LABELS_FORMAT,
  'learn': options.ALIASES_FORMAT + options.CUES_FORMAT + options.LABELS_FORMAT,
}
_EXAMPLES = {
  'index': (
    'reports.csv --text-columns findings,impression --ontology hp.obo '
    '--out reports.index'
  ),
  'join': 'part-1.index part-2.index --out reports.index',
  'search': 'reports.index "small left pleural effusion, no pneumothorax" -k 5',
  'explain': 'reports.index 12 40',
  'label': (
    'reports.csv --text-columns findings,impression --ontology hp.obo '
    '--out labels.csv --trail trail.jsonl'
  ),
  'learn': (
    'reports.csv --text-columns findings,impression --label-column problems '
    '--label-separator=";" --ontology hp.obo --out my_aliases.tsv'
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
  _add_index(added)
  _add_join(added)
  _add_search(added)
  _add_explain(added)
  _add_label(added)
  _add_learn(added)
  return parser


def _add_index(added):
  parser = _add(added, 'index', commands.index, 'Keeps reports for searches.')
  options.add_input(parser)
  parser.add_argument(
    '--out', required=True, metavar='INDEX', help='directory to create'
  )
  parser.add_argument(
    '--add',
    action='store_true',
    help='add the reports to INDEX, which exists, with its ontology, aliases '
    'and cues, instead of creating it; all of them are added, or none',
  )
  parser.add_argument(
    '--workers',
    type=options.positive,
    default=1,
    metavar='N',
    help='processes that find the concepts (default: 1)',
  )


def _add_join(added):
  parser = _add(
    added,
    'join',
    commands.join,
    'Makes one index of several that were made with the same ontology, aliases '
    'and extractor: the parts of a large collection, built at the same time on '
    'several machines; or one index whose reports came by many --add.',
  )
  parser.add_argument('parts', nargs='+', metavar='INDEX')
  parser.add_argument(
    '--out', required=True, metavar='INDEX', help='directory to create'
  )
  parser.add_argument(
    '--force', action='store_true', help='replace an index that exists'
  )


def _add_search(added):
  parser = _add(added, 'search', commands.search, 'Finds similar reports.')
  parser.add_argument('index', metavar='INDEX')
  parser.add_argument(
    'query',
    metavar='QUERY',
    nargs='?',
    help='id of a report, which is then left out of the hits, or any text; '
    'without one, a terminal is asked for them',
  )
  parser.add_argument(
    '--queries',
    metavar='FILE',
    help='text file with a query in each line; the hits are written as JSON '
    'lines, one for each query',
  )
  parser.add_argument(
    '-k', type=options.positive, default=10, help='number of hits (default: 10)'
  )
  parser.add_argument(
    '--modifiers',
    choices=MODIFIERS,
    default='rank',
    help='sides, degrees and the like of the query, as in "small left '
    'effusion": rank: of hits with equal score, those that agree come first '
    '(default); require: only hits on the side that the query names, which say '
    'nothing against its other words; ignore',
  )
  options.add_scoring(parser)


def _add_explain(added):
  parser = _add(added, 'explain', commands.explain, 'Shows a score by hand.')
  parser.add_argument('index', metavar='INDEX')
  parser.add_argument(
    'query', metavar='QUERY', help='id of a report, or any text'
  )
  parser.add_argument(
    'candidate', metavar='ID', help='report that is compared with it'
  )
  options.add_html(parser, 'both reports and the score')
  options.add_force(parser)
  options.add_scoring(parser)


def _add_label(added):
  parser = _add(added, 'label', _label, 'Labels reports.')
  options.add_input(parser)
  parser.add_argument(
    '--labels',
    metavar='FILE',
    help='table of labels and their concepts, see below (default: the 14 '
    'ChestX-ray14 classes)',
  )
  parser.add_argument(
    '--precedence',
    choices=commands.PRECEDENCES,
    default='present',
    help='which mention decides if several disagree: present: present, then '
    'uncertain, then absent (default); paper: absent, then present, then '
    'uncertain',
  )
  _add_labelled(parser)
  _add_outputs_of_label(parser)


def _label(arguments):
  learnt = arguments.labelled or arguments.index or arguments.label_column
  (labelled.label if learnt else commands.label)(arguments)


def _add_labelled(parser):
  learnt = parser.add_argument_group(
    'labels learnt from labelled reports, in place of a table',
    'A linear model learns which concepts go with each label. With --from, the '
    'labelled reports that are most like a report vote instead.',
  )
  learnt.add_argument(
    '--labelled',
    metavar='CSV',
    help='reports with labels, in columns named as those of REPORTS.csv; with '
    '--from, ids and labels are enough',
  )
  options.add_label_column(learnt)
  learnt.add_argument(
    '--from',
    dest='index',
    metavar='INDEX',
    help='index of the labelled reports, made by the command index; reports '
    'are read with its ontology, aliases and cues',
  )
  learnt.add_argument(
    '-k',
    type=options.positive,
    help='number of neighbours that vote (default: 20)',
  )
  learnt.add_argument(
    '--threshold',
    type=options.share,
    metavar='X',
    help='what a label needs: the probability of the model (default: 0.1), or '
    'the share of the votes (default: 0.2)',
  )


def _add_outputs_of_label(parser):
  parser.add_argument(
    '--out',
    required=True,
    metavar='CSV',
    help='file to create, one column per label: 1 present, 0 absent, -1 '
    f'uncertain, blank not mentioned. {NO_FINDING} is 1 if no label of the '
    'table is present or uncertain, whatever else the report finds. With '
    '--labelled: 1 given, 0 not',
  )
  parser.add_argument(
    '--trail',
    metavar='FILE',
    help='JSON-lines file to create with the evidence, one line per label: '
    'words and rules, concepts of the model, or neighbours',
  )
  options.add_html(parser, 'the reports, their labels and the evidence')
  parser.add_argument(
    '--html-limit',
    type=options.positive,
    default=200,
    metavar='N',
    help='how many reports the page shows, the first ones (default: 200)',
  )


def _add_learn(added):
  parser = _add(
    added, 'learn', learning.learn, 'Learns surface forms, for review.'
  )
  options.add_reports(parser)
  options.add_label_column(parser, required=True)
  parser.add_argument(
    '--labels',
    metavar='FILE',
    help='table of labels and their concepts, see below; other labels get the '
    'concept with their name, or a new one',
  )
  options.add_cues(parser)
  options.add_force(parser)
  parser.add_argument(
    '--out',
    required=True,
    metavar='TABLE',
    help='table of surface forms to create, with the support and the precision '
    'of each as comments; read it before you use it with --aliases',
  )


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


if __name__ == '__main__':
  sys.exit(main())
