"""The command `label --labelled`: labels learnt from labelled reports."""

import collections
import csv
import json
import sys

from dicejax import concepts
from dicejax.concepts.cli import commands
from dicejax.concepts.cli import display
from dicejax.concepts.cli.learning import read_given
from dicejax.concepts.cli.learning import read_labelled
from dicejax.concepts.cli.networks import load_encoder
from dicejax.concepts.files import check_writable
from dicejax.concepts.files import replacing
from dicejax.concepts.labels.labelled import learnable
from dicejax.concepts.labels.neighbours import labels_in
from dicejax.concepts.search.index import ReportIndex
from dicejax.concepts.text.extraction import extract
from dicejax.concepts.text.reports import Reports

_OF_THE_INDEX = ('ontology', 'umls', 'aliases', 'cues', 'radgraph')


def label(arguments) -> None:
  """Writes the labels that each report gets, by neighbours or by a model."""
  _check(arguments)
  by = _by_neighbours if arguments.index else _by_model
  reports, counts, labels, trail = by(arguments)
  _write(arguments, reports, counts, labels, trail)
  given = collections.Counter(name for row in labels for name in row)
  rows = [['label', 'labelled', 'given']]
  rows += [[n, f'{c:,}', f'{given[n]:,}'] for n, c in counts.items()]
  print('\n'.join(display.format_table(rows, display.terminal_width())))
  empty = sum(not row for row in labels)
  print(f'\nreports: {len(labels):,}, without label: {empty:,}')


def _check(arguments):
  """Refuses what does not go together, before anything is read."""
  for name in ('labelled', 'label_column'):
    if not getattr(arguments, name):
      raise ValueError(
        'Labels are learnt from --labelled FILE and its --label-column NAME: '
        f'--{name.replace("_", "-")} is missing.'
      )
  for name in ('labels', 'html'):
    if getattr(arguments, name):
      raise ValueError(f'--labelled takes no --{name}: leave one of them out.')
  if arguments.index:
    for name in _OF_THE_INDEX:
      if getattr(arguments, name):
        raise ValueError(
          f'--from takes what the index has: leave --{name} out.'
        )
  elif arguments.k is not None:
    raise ValueError('-k is a number of neighbours: name an index with --from.')
  outs = list(filter(None, (arguments.out, arguments.trail)))
  for path in outs:
    check_writable(path, force=arguments.force)
  for path in (arguments.reports, arguments.labelled):
    commands.check_apart(path, *outs)


def _settings(arguments, **named):
  """Returns the options that were given, by their names in the functions."""
  values = {name: getattr(arguments, of) for name, of in named.items()}
  return {name: value for name, value in values.items() if value is not None}


def _by_neighbours(arguments):
  if arguments.encoder_threshold:
    raise ValueError('--from takes the threshold that the index has.')
  extractor = commands.load_own_extractor(arguments.extractor)
  encoder = load_encoder(arguments)
  index = ReportIndex.load(arguments.index, extractor, encoder=encoder)
  reports = commands.read_texts(arguments)
  given, left_out = read_given(arguments, arguments.labelled)
  known = labels_in(index, given)
  if absent := len(given) - len(known):
    left_out['labelled reports that the index lacks'] = absent
  counts, skipped = learnable(known.values(), arguments.min_reports)
  labels = concepts.label_by_neighbours(
    display.progress(reports.texts),
    index,
    known,
    min_reports=arguments.min_reports,
    **_settings(arguments, k='k', share='threshold'),
  )
  _print_left_out(skipped, reports.skipped, left_out)

  def trail(name, vote):
    near = [neighbour._asdict() for neighbour in vote.neighbours]
    return {'label': name, 'share': vote.share, 'neighbours': near}

  return reports, counts, labels, trail


def _by_model(arguments):
  given = commands.read_input(arguments)
  ids, texts, names, left_out = read_labelled(arguments, arguments.labelled)
  known, mentions = (
    extract(part, given.extractor, given.ontology, progress=display.progress)
    for part in (Reports(ids, texts), given.reports)
  )
  model = concepts.train_labels(known, names, min_reports=arguments.min_reports)
  labels = concepts.predict_labels(
    model, mentions, **_settings(arguments, threshold='threshold')
  )
  skipped = given.reports.skipped, given.skipped
  _print_left_out(model.skipped, left_out, *skipped)
  terms = given.ontology.terms

  def trail(name, found):
    reasons = [
      {**reason._asdict(), 'name': terms[reason.concept].name}
      for reason in found.reasons
    ]
    return {'label': name, 'probability': found.probability, 'why': reasons}

  return given.reports, model.counts, labels, trail


def _print_left_out(skipped, *counts):
  commands.print_left_out(*counts)
  for name, reason in skipped.items():
    print(f'left out: label {name}: {reason}', file=sys.stderr)


def _write(arguments, reports, columns, labels, trail):
  force = arguments.force
  with replacing(arguments.out, force=force, text=True) as file:
    writer = csv.writer(file, lineterminator='\n')
    writer.writerow(['id', *columns])
    for id, row in zip(reports.ids, labels, strict=True):
      writer.writerow([id, *(int(name in row) for name in columns)])
  if arguments.trail:
    with replacing(arguments.trail, force=force, text=True) as file:
      for id, row in zip(reports.ids, labels, strict=True):
        for name, found in row.items():
          line = {'id': id, **trail(name, found)}
          file.write(json.dumps(line, ensure_ascii=False) + '\n')
