"""The command `learn`: surface forms from labelled reports, for review."""

import collections
import sys

from dicejax.concepts.cli import display
from dicejax.concepts.cli.commands import check_apart
from dicejax.concepts.cli.commands import check_ontologies
from dicejax.concepts.cli.commands import read_ontology
from dicejax.concepts.files import check_writable
from dicejax.concepts.files import replacing
from dicejax.concepts.labels.learning import format_aliases
from dicejax.concepts.labels.learning import learn_aliases
from dicejax.concepts.labels.table import read_labels
from dicejax.concepts.text.cues import read_cues
from dicejax.concepts.text.reports import read_reports


def learn(arguments) -> None:
  """Writes the surface forms that go with the labels of reports."""
  check_writable(arguments.out, force=arguments.force)
  check_apart(arguments.reports, arguments.out)
  check_ontologies(arguments)
  texts, labels = _read_labelled(arguments)
  ontology = read_ontology(arguments)
  learnt = learn_aliases(
    texts,
    labels,
    ontology,
    rules=arguments.labels and read_labels(arguments.labels, ontology),
    cues=arguments.cues and read_cues(arguments.cues),
    min_reports=arguments.min_reports,
  )
  with replacing(arguments.out, force=arguments.force, text=True) as file:
    file.writelines(f'{line}\n' for line in format_aliases(learnt))
  _print_labels(learnt, ontology)
  print(
    f'Read {arguments.out} and delete what is wrong; then use it with '
    f'--aliases={arguments.out}.',
    file=sys.stderr,
  )


def _read_labelled(arguments) -> tuple[list[str], list[set[str]]]:
  """Reads the reports that have a text and a label."""

  def read(columns):
    return read_reports(
      arguments.reports,
      columns,
      id_column=arguments.id_column,
      encoding=arguments.encoding,
    )

  reports, cells = read(arguments.text_columns), read([arguments.label_column])
  given = dict(zip(cells.ids, cells.texts, strict=True))
  pairs = [
    (text, _names(given[id], arguments.label_separator))
    for id, text in zip(reports.ids, reports.texts, strict=True)
    if id in given
  ]
  left_out = dict(reports.skipped)
  if missing := len(reports.ids) - len(pairs):
    left_out['reports without label'] = missing
  for reason, count in left_out.items():
    print(f'left out: {reason}: {count:,}', file=sys.stderr)
  return [text for text, _ in pairs], [names for _, names in pairs]


def _names(cell, separator) -> set[str]:
  parts = cell.split(separator) if separator else [cell]
  return {part.strip() for part in parts if part.strip()}


def _print_labels(learnt, ontology):
  for label, reason in learnt.skipped.items():
    print(f'left out: label {label}: {reason}', file=sys.stderr)
  forms = collections.Counter(form.label for form in learnt.forms)
  rows = [['label', 'reports', 'forms', 'concept']]
  for label, id in learnt.concepts.items():
    term = ontology.terms.get(id)
    concept = f'{id} {term.name}' if term else f'{id}, made for it'
    count = f'{learnt.counts[label]:,}'
    rows.append([label, count, str(forms[label]), concept])
  print('\n'.join(display.format_table(rows, display.terminal_width())))
