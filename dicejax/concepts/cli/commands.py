"""The commands of `python -m dicejax.concepts`; each takes its arguments."""

import collections
import csv
import json
import os
import sys
import time

import numpy as np

from dicejax.concepts.cli import display
from dicejax.concepts.cli import views
from dicejax.concepts.files import check_writable
from dicejax.concepts.files import replacing
from dicejax.concepts.labels.rules import NO_FINDING
from dicejax.concepts.labels.rules import assign_labels
from dicejax.concepts.labels.rules import read_labels
from dicejax.concepts.ontology import merge
from dicejax.concepts.ontology import read_obo
from dicejax.concepts.ontology import read_umls
from dicejax.concepts.search import scoring
from dicejax.concepts.search.compare import compare
from dicejax.concepts.search.compare import formula
from dicejax.concepts.search.compare import split_polarity
from dicejax.concepts.search.index import Index
from dicejax.concepts.search.index import concept_sets
from dicejax.concepts.search.index import read_reports
from dicejax.concepts.search.similarity import ConceptSets
from dicejax.concepts.search.similarity import pairwise
from dicejax.concepts.search.similarity import search as search_sets
from dicejax.concepts.text.linker import DictionaryLinker
from dicejax.concepts.text.linker import read_aliases
from dicejax.concepts.text.linker import with_aliases
from dicejax.concepts.text.mentions import Polarity

_CELLS = {Polarity.PRESENT: 1, Polarity.ABSENT: 0, Polarity.UNCERTAIN: -1}


def index(arguments) -> None:
  """Finds the concepts of reports and keeps them in one file."""
  began = time.monotonic()
  check_writable(arguments.out, force=arguments.force)
  reports, ontology, stop = _read_input(arguments)
  linker = DictionaryLinker(ontology, stop=stop)
  extract = display.Progress(linker, len(reports.texts), 'reports')
  made = Index.build(reports, ontology, stop=stop, extractor=extract)
  made.save(arguments.out, force=arguments.force)
  mentions = [mention for row in made.mentions for mention in row]
  counts = {
    'reports': len(reports.ids),
    'reports without concept': sum(not row for row in made.mentions),
    'mentions': len(mentions),
    'distinct concepts': len({mention.concept for mention in mentions}),
    'concepts of the ontology': len(ontology.terms),
    'seconds': f'{time.monotonic() - began:.1f}',
  }
  print(display.format_counts(counts))
  _tell_skipped(reports, ontology, linker)


def label(arguments) -> None:
  """Writes what each report says of each label."""
  for path in filter(None, (arguments.out, arguments.trail)):
    check_writable(path, force=arguments.force)
  _check_apart(arguments.reports, arguments.out, arguments.trail)
  rules = read_labels(arguments.labels)
  reports, ontology, stop = _read_input(arguments)
  linker = DictionaryLinker(ontology, stop=stop)
  extract = display.Progress(linker, len(reports.texts), 'reports')
  mentions = [extract(text) for text in reports.texts]
  labels = [assign_labels(row, ontology, rules) for row in mentions]
  columns = [*rules, NO_FINDING]
  with replacing(arguments.out, force=arguments.force, text=True) as file:
    writer = csv.writer(file, lineterminator='\n')
    writer.writerow(['id', *columns])
    for id, row in zip(reports.ids, labels, strict=True):
      cells = [_CELLS[row[c].polarity] if c in row else '' for c in columns]
      writer.writerow([id, *cells])
  if arguments.trail:
    with replacing(arguments.trail, force=arguments.force, text=True) as file:
      for id, text, row in zip(reports.ids, reports.texts, labels, strict=True):
        for name, found in row.items():
          line = _trail(id, text, name, found, ontology)
          file.write(json.dumps(line, ensure_ascii=False) + '\n')
  counts = collections.Counter(
    (name, found.polarity) for row in labels for name, found in row.items()
  )
  rows = [['', *Polarity]]
  rows += [[c, *(f'{counts[c, p]:,}' for p in Polarity)] for c in columns]
  print('\n'.join(display.format_table(rows, display.terminal_width())))
  empty = sum(not row for row in mentions)
  print(f'\nreports: {len(mentions):,}, without concept: {empty:,}')
  _tell_skipped(reports, ontology, linker)
  wanted = set().union(*(rule.concepts for rule in rules.values()))
  lacking = wanted - ontology.terms.keys() - ontology.alternatives.keys()
  if lacking:
    print(
      'left out: concepts of labels that the ontology lacks: '
      f'{", ".join(sorted(lacking))}',
      file=sys.stderr,
    )


def search(arguments) -> None:
  """Shows the reports most like one of them, or like a text."""
  loaded = Index.load(arguments.index)
  if arguments.query in loaded.reports.ids:
    own = loaded.row(arguments.query)
    mentions = loaded.mentions[own]
  else:
    own, mentions = None, loaded.linker()(arguments.query)
  query = split_polarity(mentions, uncertain=arguments.uncertain)
  if not query.positive | query.negative:
    raise ValueError(_nothing_found(arguments.query, own, mentions, loaded))
  space = scoring.Space.of(loaded, arguments)
  asked = concept_sets(
    [mentions], loaded.ontology, uncertain=arguments.uncertain
  )
  hits = search_sets(
    asked,
    space.sets,
    min(arguments.k + (own is not None), len(space.sets)),
    space.weights,
    measure=space.measure,
    synonyms=space.synonyms,
  )
  scored = zip(*(np.asarray(part)[0].tolist() for part in hits), strict=True)
  found = [
    hit
    for hit in scored
    if hit[0] != own
    and views.has_something(query, loaded.mentions[hit[0]], space)
  ]
  rows = [
    views.hit_row(rank, hit, query, loaded, space)
    for rank, hit in enumerate(found[: arguments.k], start=1)
  ]
  views.show_hits(rows, query, loaded, space, arguments.format)


def explain(arguments) -> None:
  """Shows two reports side by side, and how their score comes about."""
  loaded = Index.load(arguments.index)
  places = loaded.row(arguments.query), loaded.row(arguments.candidate)
  space = scoring.Space.of(loaded, arguments)
  pair = space.sets[np.array(places)]
  nothing = np.full_like(pair.positive, -1)
  score, negative_score = (
    float(
      pairwise(
        sets[:1],
        sets[1:],
        space.weights,
        measure=space.measure,
        synonyms=space.synonyms,
      )[0, 0]
    )
    for sets in (pair, ConceptSets(pair.negative, nothing))
  )
  query, candidate = (
    split_polarity(loaded.mentions[place], uncertain=arguments.uncertain)
    for place in places
  )
  comparison = compare(query, candidate, space.same)
  rows = views.pair_rows(places, query, candidate, comparison, loaded, space)
  about = {
    'query': arguments.query,
    'candidate': arguments.candidate,
    'score': round(score, 6),
    'negative_score': round(negative_score, 6),
    'calculation': formula(query, comparison, space.weight, space.measure),
  }
  views.show_pair(rows, about, arguments.format)


def _read_input(arguments):
  """Reports, the ontology with its aliases, and the forms not to link."""
  parts = [(read_obo, path) for path in arguments.ontology]
  parts += [(read_umls, path) for path in arguments.umls]
  if not parts:
    raise ValueError('No ontology: name one with --ontology or --umls.')
  reports = read_reports(
    arguments.reports,
    arguments.text_columns,
    id_column=arguments.id_column,
    encoding=arguments.encoding,
  )
  ontologies = [read(path) for read, path in parts]
  ontology = merge(*ontologies) if len(parts) > 1 else ontologies[0]
  if arguments.aliases == 'none':
    return reports, ontology, frozenset()
  aliases = read_aliases(arguments.aliases)
  return reports, with_aliases(ontology, aliases), aliases.stop


def _check_apart(*paths):
  """Refuses one file in two roles: the second would take its place."""
  seen = [os.path.realpath(path) for path in paths if path]
  if len(set(seen)) < len(seen):
    raise ValueError('REPORTS.csv, --out and --trail are different files.')


def _tell_skipped(*parts):
  """What each left out."""
  for part in parts:
    for phrase, count in part.skipped.items():
      print(f'left out: {phrase}: {count:,}', file=sys.stderr)


def _trail(id, text, name, found, ontology) -> dict:
  return {
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
        'name': ontology.terms[mention.concept].name,
        'rule': rule,
      }
      for mention, rule in found.evidence
    ],
  }


def _nothing_found(query, own, mentions, index) -> str:
  if mentions:
    return (
      f'{query!r} mentions only what is uncertain, which is ignored: '
      '--uncertain=present counts it.'
    )
  if own is not None:
    return f'The report {query!r} mentions no concept of the ontology.'
  return (
    f'{query!r} is the id of no report in the index, and none of its words is '
    f'a name or a synonym of its {len(index.ontology.terms):,} concepts.'
  )
