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
  _, texts, labels, left_out = read_labelled(arguments, arguments.reports)
  for reason, count in left_out.items():
    print(f'left out: {reason}: {count:,}', file=sys.stderr)
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


def read_labelled(
  arguments, path
) -> tuple[list[str], list[str], list[set[str]], dict[str, int]]:
  """Reads the reports of a file that have a text and a label.

  Returns:
    Their ids, texts and labels, and counts of what was left out, by reason.
  """
  reports = _read(arguments, path, arguments.text_columns)
  given, _ = read_given(arguments, path)
  left_out = dict(reports.skipped)
  kept = [
    (id, text, given[id])
    for id, text in zip(reports.ids, reports.texts, strict=True)
    if id in given
  ]
  if missing := len(reports.ids) - len(kept):
    left_out['reports without label'] = missing
  ids, texts, labels = map(list, zip(*kept, strict=True)) if kept else 3 * [[]]
  return ids, texts, labels, left_out


def read_given(arguments, path) -> tuple[dict[str, set[str]], dict[str, int]]:
  """Reads the labels of the reports that have any, by id.

  Returns:
    The labels, and the number of reports without any, with its reason.
  """
  cells = _read(arguments, path, [arguments.label_column])
  blank = cells.skipped.get('reports without text', 0)
  given = {
    id: _names(cell, arguments.label_separator)
    for id, cell in zip(cells.ids, cells.texts, strict=True)
  }
  return given, {'reports without label': blank} if blank else {}


def _read(arguments, path, columns):
  return read_reports(
    path,
    columns,
    id_column=arguments.id_column,
    encoding=arguments.encoding,
  )


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
