"""The UMLS Metathesaurus: three of its RRF files, for those with a licence.

Rows of columns that end with `|`, without a header:
https://www.ncbi.nlm.nih.gov/books/NBK9685/ (chapter 3 of the UMLS Reference
Manual) describes them.
"""

import collections
import pathlib
from collections.abc import Collection
from collections.abc import Iterator

from dicejax.concepts.ontology.terms import Link
from dicejax.concepts.ontology.terms import Ontology
from dicejax.concepts.ontology.terms import OntologyError
from dicejax.concepts.ontology.terms import Path
from dicejax.concepts.ontology.terms import Term
from dicejax.concepts.ontology.terms import assemble
from dicejax.concepts.ontology.terms import unique

# Columns, counted from 0, and how many there are.
_NAMES = 18  # CUI LAT TS LUI STT SUI ISPREF AUI .. 11: SAB TTY CODE STR ..
_TYPES = 6  # CUI TUI STN STY ATUI CVF
_RELATIONS = 16  # CUI1 AUI1 STYPE1 REL CUI2 .. 10: SAB .. 14: SUPPRESS CVF


def read_umls(
  directory: Path,
  *,
  sources: Collection[str] = ('SNOMEDCT_US',),
  language: str = 'ENG',
) -> Ontology:
  """Reads the concepts of some source vocabularies of the UMLS.

  Terms are the concepts (CUI) that have a name in the sources and the language.
  The UMLS needs a licence, so this reader was tested on rows written by hand
  after the manual, not on a release.

  - Names (MRCONSO.RRF): suppressible ones (SUPPRESS is O, E or Y: obsolete, or
    marked by an editor or for their type) are left out and counted. The
    preferred name is that of the preferred term, form and atom (TS `P`, STT
    `PF`, ISPREF `Y`, in this order of weight), then a term of type `PT`, then
    the first; the others are synonyms.
  - Types (MRSTY.RRF): all semantic types of a concept.
  - Parents (MRREL.RRF): rows of the sources. REL says what the SECOND concept
    is to the first, so `C1|..|PAR|C2` makes C2 the parent of C1 and
    `C1|..|CHD|C2` makes C1 the parent of C2. Parents without a name here, and
    those that would close a cycle with the rows before, are left out and
    counted; so are all suppressible relations.
  - Equivalents: SY rows of any source between two of the terms.

  Args:
    directory: the folder (META) with the three files.
    sources: abbreviations of the source vocabularies (SAB).
    language: three letters (LAT).

  Returns:
    The ontology; a term's id is its CUI, which is also its xref `UMLS:CUI`.

  Raises:
    OntologyError: a file is missing or not UTF-8, a row has the wrong number of
      columns (at its line), or no name is left.
  """
  if isinstance(sources, str):
    raise ValueError(f'sources must be a collection of names, got {sources!r}.')
  directory = pathlib.Path(directory)
  skipped = collections.Counter()
  names = _read_names(directory / 'MRCONSO.RRF', sources, language, skipped)
  types = _read_types(directory / 'MRSTY.RRF', names)
  links, equivalents = _read_relations(
    directory / 'MRREL.RRF', sources, names, skipped
  )
  terms = {}
  for cui, ranked in names.items():
    _, name = min(ranked, key=lambda rank_and_name: rank_and_name[0])
    terms[cui] = Term(
      id=cui,
      name=name,
      synonyms=tuple(s for s in unique(s for _, s in ranked) if s != name),
      xrefs=(f'UMLS:{cui}',),
      types=unique(types.get(cui, ())),
    )
  return assemble(terms, links, {}, skipped, equivalents=equivalents)


def _rows(path: pathlib.Path, columns: int) -> Iterator[list[str]]:
  try:
    file = path.open('rb')
  except OSError as error:
    raise OntologyError(f'{path}: {error.strerror}.') from None
  with file:
    for number, line in enumerate(file, start=1):
      try:
        fields = line.decode().rstrip('\r\n').split('|')
      except UnicodeDecodeError:
        raise OntologyError(f'{path}:{number}: not UTF-8 text.') from None
      if len(fields) != columns + 1 or fields[-1]:
        rest = f' and then {fields[-1]!r}' if fields[-1] else ''
        raise OntologyError(
          f'{path}:{number}: expected {columns} columns, each with a | behind'
          f' it, found {len(fields) - 1}{rest}.'
        )
      yield fields


def _read_names(path, sources, language, skipped) -> dict[str, list]:
  """Collects the names of each concept with their ranks, in file order."""
  names = {}
  for row in _rows(path, _NAMES):
    cui, lat, ts, _, stt, _, ispref = row[:7]
    sab, tty, _, name = row[11:15]
    if lat != language or sab not in sources:
      continue
    if row[16] != 'N':
      skipped['suppressible names'] += 1
      continue
    rank = (ts != 'P', stt != 'PF', ispref != 'Y', tty != 'PT')
    names.setdefault(cui, []).append((rank, name))
  if not names:
    wanted = ', '.join(sources)
    raise OntologyError(
      f'{path}: expected names in {language} of {wanted}, found none.'
    )
  return names


def _read_types(path, names) -> dict[str, list[str]]:
  types = {}
  for cui, tui, *_ in _rows(path, _TYPES):
    if cui in names:
      types.setdefault(cui, []).append(tui)
  return types


def _read_relations(
  path, sources, names, skipped
) -> tuple[list[Link], list[tuple[str, str]]]:
  """Collects links from term to parent, and pairs of synonymous terms."""
  links, equivalents = {}, {}
  for row in _rows(path, _RELATIONS):
    first, relation, second = row[0], row[3], row[4]
    if relation not in ('PAR', 'CHD', 'SY') or first == second:
      continue  # Between names of one concept there is nothing to learn.
    if relation == 'SY':
      if first not in names or second not in names:
        continue
    elif row[10] not in sources:
      continue
    if row[14] not in ('N', ''):
      skipped['suppressible relations'] += 1
    elif relation == 'SY':
      equivalents[min(first, second), max(first, second)] = None
    else:
      child, parent = (first, second) if relation == 'PAR' else (second, first)
      # Every link comes twice, as PAR and as CHD: a parent counts once.
      if child in names:
        links[child, parent] = None
  return list(links), list(equivalents)
