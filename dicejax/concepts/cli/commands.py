"""The commands of `python -m dicejax.concepts`; each takes its arguments."""

import collections
import csv
import dataclasses
import itertools
import json
import os
import sys
import time
from typing import Any
from typing import NamedTuple

from dicejax.concepts.cli import display
from dicejax.concepts.cli import options
from dicejax.concepts.cli import page
from dicejax.concepts.cli import queries
from dicejax.concepts.cli import views
from dicejax.concepts.cli.networks import announce
from dicejax.concepts.cli.networks import load_encoder
from dicejax.concepts.cli.networks import load_tagger
from dicejax.concepts.files import check_writable
from dicejax.concepts.files import replacing
from dicejax.concepts.labels.rules import PAPER_ORDER
from dicejax.concepts.labels.rules import PRESENT_FIRST
from dicejax.concepts.labels.rules import label_mentions
from dicejax.concepts.labels.table import NO_FINDING
from dicejax.concepts.labels.table import read_labels
from dicejax.concepts.ontology import Ontology
from dicejax.concepts.ontology import merge
from dicejax.concepts.ontology import read_obo
from dicejax.concepts.ontology import read_umls
from dicejax.concepts.search.index import ReportIndex
from dicejax.concepts.search.storage import check_target
from dicejax.concepts.text.aliases import CHEST
from dicejax.concepts.text.aliases import Aliases
from dicejax.concepts.text.aliases import read_aliases
from dicejax.concepts.text.cues import read_cues
from dicejax.concepts.text.encoder_linker import THRESHOLD
from dicejax.concepts.text.encoder_linker import EncoderLinker
from dicejax.concepts.text.extraction import extract
from dicejax.concepts.text.extraction import load_extractor
from dicejax.concepts.text.linker import Linker
from dicejax.concepts.text.mentions import Extractor
from dicejax.concepts.text.mentions import Polarity
from dicejax.concepts.text.mentions import count_left_out
from dicejax.concepts.text.radgraph import RadGraphExtractor
from dicejax.concepts.text.radgraph import read_radgraph
from dicejax.concepts.text.reports import ReportFile
from dicejax.concepts.text.reports import read_reports
from dicejax.concepts.text.tagger import TaggerExtractor

PRECEDENCES = {'present': PRESENT_FIRST, 'paper': PAPER_ORDER}
_CELLS = {Polarity.PRESENT: 1, Polarity.ABSENT: 0, Polarity.UNCERTAIN: -1}
_NO_ALIASES = 'none'


class _Input(NamedTuple):
  """The files and functions that the options of `index` and `label` name.

  Attributes:
    reports: the reports: `Reports`, or a `ReportFile` of `index`.
    ontology: the concepts, with those of the alias tables.
    extractor: finds the mentions.
    skipped: counts of what was left out of the ontology, by reason.
  """

  reports: Any
  ontology: Ontology
  extractor: Extractor
  skipped: dict[str, int]


def index(arguments) -> None:
  """Finds the concepts of reports and keeps them in a directory."""
  began = time.monotonic()
  made, left_out = (_add if arguments.add else _create)(arguments)
  counts, not_counted = made.summary()
  counts['seconds'] = f'{time.monotonic() - began:.1f}'
  print(display.format_counts(counts))
  print_left_out(*left_out, not_counted)


def _create(arguments):
  """Makes an index; returns it and counts of what was left out."""
  check_target(arguments.out, force=arguments.force)
  given = read_input(arguments, ReportFile)
  made = ReportIndex.create(
    arguments.out,
    display.progress(given.reports),
    given.extractor,
    ontology=given.ontology,
    skipped=given.reports.skipped,
    force=arguments.force,
    workers=arguments.workers,
  )
  return made, (given.reports.skipped, given.skipped)


def _add(arguments):
  """Adds to an index; returns it and counts of what was left out."""
  for name in ('ontology', 'umls', 'aliases', 'cues', 'radgraph', 'force'):
    if getattr(arguments, name):
      raise ValueError(f'--add takes what the index has: leave --{name} out.')
  if arguments.encoder_threshold:
    raise ValueError('--add takes the threshold that the index has.')
  extractor = load_own_extractor(arguments.extractor)
  encoder = load_encoder(arguments)
  old = ReportIndex.load(arguments.out, extractor, encoder=encoder)
  reports = read_texts(arguments, ReportFile)
  made = old.add(display.progress(reports), workers=arguments.workers)
  return made, (reports.skipped,)


def join(arguments) -> None:
  """Joins indexes that were made apart."""
  made = ReportIndex.join(arguments.out, arguments.parts, force=arguments.force)
  counts, not_counted = made.summary()
  print(display.format_counts(counts))
  print_left_out(made.reports.skipped, not_counted)


def search(arguments) -> None:
  """Shows the reports most like one of them, or like a text."""
  queries.check(arguments)
  loaded, settings = _load(arguments)
  queries.search(loaded, arguments, settings)


def explain(arguments) -> None:
  """Shows two reports side by side, and how their score comes about."""
  if arguments.html:
    check_writable(arguments.html, force=arguments.force)
  loaded, settings = _load(arguments)
  pair = loaded.explain(arguments.query, arguments.candidate, **settings)
  if arguments.html:
    _write_page(page.pair_page(pair, loaded.ontology), arguments)
  views.show_pair(pair, arguments.format)


def label(arguments) -> None:
  """Writes what each report says of each label."""
  outs = (arguments.out, arguments.trail, arguments.html)
  outs = list(filter(None, outs))
  for path in outs:
    check_writable(path, force=arguments.force)
  check_apart(arguments.reports, *outs)
  given = read_input(arguments)
  rules = read_labels(arguments.labels, given.ontology)
  mentions = extract(
    given.reports, given.extractor, given.ontology, progress=display.progress
  )
  precedence = PRECEDENCES[arguments.precedence]
  labels = label_mentions(
    mentions, given.ontology, rules, precedence=precedence
  )
  columns = [*rules, NO_FINDING]
  _write_label_files(arguments, given, columns, mentions, labels)
  _print_labels(columns, labels)
  empty = sum(not row for row in mentions)
  print(f'\nreports: {len(mentions):,}, without concept: {empty:,}')
  not_counted = count_left_out(itertools.chain(*mentions))
  print_left_out(given.reports.skipped, given.skipped, not_counted)
  _print_other_findings(mentions, labels)


def _write_label_files(arguments, given, columns, mentions, labels):
  force = arguments.force
  with replacing(arguments.out, force=force, text=True) as file:
    _write_labels(columns, given.reports.ids, labels, file)
  if arguments.trail:
    with replacing(arguments.trail, force=force, text=True) as file:
      for line in _trail(given, labels):
        file.write(json.dumps(line, ensure_ascii=False) + '\n')
  if arguments.html:
    shown = map(page.Report, *given.reports[:2], mentions, labels)
    text = page.labels_page(
      list(shown), columns, given.ontology, limit=arguments.html_limit
    )
    _write_page(text, arguments)


def _load(arguments) -> tuple[ReportIndex, dict[str, Any]]:
  """Reads the index, and the options that its methods take."""
  extractor = load_own_extractor(arguments.extractor)
  given = {'alpha': arguments.alpha, 'beta': arguments.beta}
  given = {name: value for name, value in given.items() if value is not None}
  measure = options.MEASURES[arguments.measure]()
  encoder = load_encoder(arguments)
  loaded = ReportIndex.load(arguments.index, extractor, encoder=encoder)
  if arguments.verify:
    loaded.verify()
  return loaded, {
    'weights': arguments.weights,
    'measure': dataclasses.replace(measure, **given),
    'uncertain': arguments.uncertain,
  }


def load_own_extractor(name) -> Extractor | None:
  """Loads the function of --extractor; None if there is none."""
  if name and os.path.isdir(name):
    raise ValueError(
      f'--extractor {name}: a tagger finds the mentions of reports only, not '
      'those of queries; leave it out.'
    )
  return None if name is None else load_extractor(name)


def read_ontology(arguments) -> Ontology:
  """Reads the ontologies that the options name, and joins them."""
  check_ontologies(arguments)
  ontologies = [read_obo(path) for path in arguments.ontology]
  ontologies += [read_umls(path) for path in arguments.umls]
  return merge(*ontologies) if len(ontologies) > 1 else ontologies[0]


def check_ontologies(arguments) -> None:
  """Raises early what `read_ontology` would raise after the reports."""
  if not arguments.ontology and not arguments.umls:
    raise ValueError('No ontology: name one with --ontology or --umls.')


def read_input(arguments, read=read_reports) -> _Input:
  """Reads the files that the options of `index` and `label` name."""
  check_ontologies(arguments)
  tagger = load_tagger(arguments)
  extractor = None if tagger else load_own_extractor(arguments.extractor)
  encoder = load_encoder(arguments)
  reports = read_texts(arguments, read)
  aliases = _read_aliases(arguments.aliases, extractor)
  linker = Linker(
    read_ontology(arguments),
    aliases,
    cues=arguments.cues and read_cues(arguments.cues),
    alternatives=arguments.alternatives,
  )
  if encoder:
    threshold = arguments.encoder_threshold or THRESHOLD
    linker = EncoderLinker(linker, encoder, threshold, progress=announce)
  # An extractor of one's own finds no forms, but may name the tables' concepts.
  skipped = dict(linker.ontology.skipped)
  if extractor is None:
    skipped |= linker.skipped
  if arguments.radgraph:
    graphs = read_radgraph(arguments.radgraph)
    extractor = RadGraphExtractor(graphs, linker)
    skipped |= extractor.skipped
  if tagger:
    extractor = TaggerExtractor(tagger, linker)
  return _Input(reports, linker.ontology, extractor or linker, skipped)


def read_texts(arguments, read=read_reports) -> Any:
  """Reads reports with `read_reports`, or opens them with `ReportFile`."""
  return read(
    arguments.reports,
    arguments.text_columns,
    id_column=arguments.id_column,
    encoding=arguments.encoding,
  )


def _read_aliases(names, extractor) -> Aliases:
  if names is None:
    names = [CHEST] if extractor is None else [_NO_ALIASES]
  if _NO_ALIASES not in names:
    if CHEST in names:
      print(
        'aliases: the table for chest radiographs that comes with dicejax, '
        'with its list of words that are never linked; --aliases=none leaves '
        'it out, --aliases=FILE takes another.',
        file=sys.stderr,
      )
    return read_aliases(*names)
  if len(names) > 1:
    raise ValueError('--aliases=none cannot be joined with other tables.')
  return Aliases()


def check_apart(*paths) -> None:
  """Refuses one file in two roles: the second would take its place."""
  if len(set(map(os.path.realpath, paths))) < len(paths):
    raise ValueError('Input, --out, --trail and --html are different files.')


def _write_page(text, arguments):
  with replacing(arguments.html, force=arguments.force, text=True) as file:
    file.write(text)


def print_left_out(*counts) -> None:
  """Says on standard error what was left out, by reason."""
  for reason, count in itertools.chain(*(part.items() for part in counts)):
    print(f'left out: {reason}: {count:,}', file=sys.stderr)


def _print_labels(columns, labels):
  counts = collections.Counter(
    (name, found.polarity) for row in labels for name, found in row.items()
  )
  rows = [['', *Polarity]]
  rows += [[c, *(f'{counts[c, p]:,}' for p in Polarity)] for c in columns]
  print('\n'.join(display.format_table(rows, display.terminal_width())))


def _print_other_findings(mentions, labels):
  """Says how often `No Finding` stands beside a finding without a label."""
  number = sum(
    NO_FINDING in given
    and any(m.is_current and m.polarity is not Polarity.ABSENT for m in row)
    for row, given in zip(mentions, labels, strict=True)
  )
  if number:
    print(
      f'{NO_FINDING} is about the labels of the table only: {number:,} of '
      'these reports mention other concepts, present or uncertain.',
      file=sys.stderr,
    )


def _write_labels(columns, ids, labels, file):
  writer = csv.writer(file, lineterminator='\n')
  writer.writerow(['id', *columns])
  for id, row in zip(ids, labels, strict=True):
    cells = [_CELLS[row[c].polarity] if c in row else '' for c in columns]
    writer.writerow([id, *cells])


def _trail(given, labels):
  """Yields why each report has each of its labels."""
  reports, terms = given.reports, given.ontology.terms
  for id, text, row in zip(reports.ids, reports.texts, labels, strict=True):
    for name, found in row.items():
      yield {
        'id': id,
        'label': name,
        'polarity': found.polarity,
        'evidence': [
          {
            'words': text[mention.start : mention.end],
            'start': mention.start,
            'end': mention.end,
            'polarity': mention.polarity,
            'cue': text[slice(*mention.cue)] if mention.cue else '',
            'concept': mention.concept,
            'name': terms[mention.concept].name,
            'rule': rule,
          }
          for mention, rule in found.evidence
        ],
      }
