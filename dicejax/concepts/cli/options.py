"""Groups of options that several commands share, and formats of tables."""

import argparse
import math
import textwrap

from dicejax.concepts.cli.display import FORMATS
from dicejax.concepts.search.findings import UNCERTAIN
from dicejax.concepts.search.measures import Asymmetric
from dicejax.concepts.search.measures import Symmetric
from dicejax.concepts.search.scorer import WEIGHTS
from dicejax.concepts.text.assertion import ALTERNATIVES
from dicejax.concepts.text.cues import CLASSES
from dicejax.concepts.text.encoder_linker import THRESHOLD

MEASURES = {'asymmetric': Asymmetric, 'symmetric': Symmetric}
# The formats of the tables follow the options in the help of a command.
ALIASES_FORMAT = """\
A table of --aliases is UTF-8 text with tabs between the values of a line; |
separates several ids or forms; lines that begin with # are comments:
  term       ID  NAME  PARENT | PARENT     a concept that the ontology lacks
  form       ID  FORM | FORM               other names of a concept
  stop       FORM | ID                     never linked; an ID with those below
  elsewhere  ID | ID  WORD | WORD          their names next to one of the words
                                           ("ankle edema") are not linked

"""
CUES_FORMAT = f"""\
A table of --cues has a line per class of words, with a tab between:
  CLASS  WORDS | WORDS
Write one for your language or speciality after the English table, cues.tsv in
dicejax/concepts/text, which says what each class means. The classes are:
{textwrap.indent(textwrap.fill(', '.join(CLASSES), 74), '  ')}

"""
LABELS_FORMAT = """\
A table of --labels has a line per label, with tabs between:
  LABEL  ID | ID  WORDS | WORDS
The concepts with these ids and all below them give the label; so do concepts
with one of the WORDS in their names. Either of the two may be empty. An id or
words that the ontology lacks are an error.

"""


def add_input(parser: argparse.ArgumentParser) -> None:
  """Adds what `index` and `label` read."""
  add_reports(parser)
  _add_finding(parser)
  add_force(parser)


def add_reports(parser: argparse.ArgumentParser) -> None:
  """Adds the reports and the ontologies."""
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
  _add_ontologies(parser)


def _add_ontologies(parser):
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


def _add_finding(parser):
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
  add_cues(finding)
  finding.add_argument(
    '--alternatives',
    choices=ALTERNATIVES,
    default='present',
    help='what "A or B" and "A versus B" say of both: present, as the indexers '
    'of Open-i count them (default), or uncertain, as CheXpert does',
  )
  _add_encoder(finding)
  finding.add_argument(
    '--encoder-threshold',
    type=_cosine,
    metavar='X',
    help='least cosine of a phrase and a name that it means (default: '
    f'{THRESHOLD})',
  )
  source = finding.add_mutually_exclusive_group()
  _add_extractor(source)
  source.add_argument(
    '--radgraph',
    metavar='JSON',
    help='graphs that RadGraph made of the same texts: their entities are '
    'linked, and their labels say what is present',
  )


def add_cues(parser) -> None:
  """Adds the table of words that decide the polarity."""
  parser.add_argument(
    '--cues',
    metavar='FILE',
    help='table of the words that affirm, deny or doubt, see below, instead of '
    'the English one',
  )


def add_label_column(parser, *, required: bool = False) -> None:
  """Adds where the labels of labelled reports are, and which are learnt."""
  parser.add_argument(
    '--label-column',
    required=required,
    metavar='NAME',
    help='column with the labels; reports where it is blank are left out',
  )
  parser.add_argument(
    '--label-separator',
    metavar='MARK',
    help='what is between several labels of a report (default: a cell is one '
    'label)',
  )
  parser.add_argument(
    '--min-reports',
    type=positive,
    default=10,
    metavar='N',
    help='labels of fewer reports are skipped, and named (default: 10)',
  )


def add_html(parser: argparse.ArgumentParser, what: str) -> None:
  """Adds the page that a command may write."""
  parser.add_argument(
    '--html',
    metavar='FILE',
    help=f'HTML file to create that shows {what} in a browser',
  )


def add_force(parser: argparse.ArgumentParser) -> None:
  """Adds the leave to replace files."""
  parser.add_argument(
    '--force', action='store_true', help='replace files that exist'
  )


def _add_extractor(parser):
  parser.add_argument(
    '--extractor',
    metavar='MODULE:FUNCTION',
    help='Python function from a text to a list of dicejax.concepts.Mention, '
    'instead of the dictionary of names; or, to read reports, the directory of '
    'a tagger with the types PRESENT, ABSENT and UNCERTAIN from `python -m '
    'train`, whose entities are looked up there',
  )


def _add_encoder(parser):
  parser.add_argument(
    '--encoder',
    metavar='DIR',
    help='encoder, such as SapBERT, a directory or a name on the Hugging Face '
    'hub: noun phrases that are no name mean the concept whose name has the '
    'nearest vector; an index is searched by texts with the encoder that made '
    'it. The vectors of names take minutes once, and are kept in '
    '~/.cache/dicejax/names',
  )


def add_scoring(parser: argparse.ArgumentParser) -> None:
  """Adds how `search` and `explain` compare reports."""
  parser.add_argument(
    '--measure',
    choices=MEASURES,
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
  parser.add_argument(
    '--verify',
    action='store_true',
    help='compare the checksums of all files of the index first, which takes '
    'longer than a search; without it, only their sizes are compared',
  )
  _add_extractor(parser)
  _add_encoder(parser)


def _names(text: str) -> list[str]:
  return [name.strip() for name in text.split(',') if name.strip()]


def positive(text: str) -> int:
  """Reads a number from 1."""
  if not text.isdecimal() or int(text) == 0:
    raise argparse.ArgumentTypeError(f'{text}: expected 1, 2, ...')
  return int(text)


def _cosine(text: str) -> float:
  number = _not_negative(text)
  if not 0 < number <= 1:
    raise argparse.ArgumentTypeError(f'{text}: expected more than 0, at most 1')
  return number


def share(text: str) -> float:
  """Reads a number above 0 and below 1."""
  number = _not_negative(text)
  if not 0 < number < 1:
    raise argparse.ArgumentTypeError(f'{text}: expected 0 < X < 1')
  return number


def _not_negative(text: str) -> float:
  try:
    number = float(text)
  except ValueError:
    number = math.nan
  if not 0 <= number < math.inf:
    raise argparse.ArgumentTypeError(f'{text}: expected 0 or more')
  return number
