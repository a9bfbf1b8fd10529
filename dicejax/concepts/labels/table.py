"""Tables of labels: which concepts give which label."""

import os
import pathlib
from collections.abc import Mapping
from typing import NamedTuple

from dicejax.concepts import tables
from dicejax.concepts.ontology import Ontology

NO_FINDING = 'No Finding'
_CHEST_TABLE = pathlib.Path(__file__).with_name('labels.tsv')


class LabelRule(NamedTuple):
  """The concepts that give a label.

  Attributes:
    concepts: ids of terms, or alternative ids; they and all terms below them
      give the label.
    names: words; terms whose name contains one of them give the label, too.
  """

  concepts: frozenset[str] = frozenset()
  names: tuple[str, ...] = ()


LabelRules = Mapping[str, LabelRule]


def read_labels(
  path: str | os.PathLike[str] | None = None,
  ontology: Ontology | None = None,
) -> LabelRules:
  """Reads which concepts give which label.

  A line has a label, ids of concepts between `|`, and perhaps words between `|`
  that names of concepts contain; there are tabs between the three. Lines that
  begin with `#` and empty lines are comments.

  Args:
    path: the file, in UTF-8; by default the 14 classes of ChestX-ray14, whose
      table comes with the package.
    ontology: the table is checked against it, if it is given.

  Raises:
    ValueError: a line is malformed, or the ontology lacks an id or has no name
      with the words; the message begins with `path:line:`. Of the package's own
      table, only a label for which the ontology has nothing is an error. Or the
      file is not text or has no label.

  Example:
    >>> sorted(read_labels()['Cardiomegaly'].concepts)
    ['HP:0001640']
  """
  own = path is not None
  path = path if own else _CHEST_TABLE
  rules = {}
  for number, fields in tables.read_rows(path):
    try:
      label, rule = _read_rule(fields, rules)
      if ontology is not None:
        _check_rule(label, rule, ontology, own)
    except ValueError as error:
      raise ValueError(f'{path}:{number}: {error}') from None
    rules[label] = rule
  if not rules:
    raise ValueError(f'{path}: no line has a label.')
  return rules


def _read_rule(fields, rules) -> tuple[str, LabelRule]:
  label, *values = fields
  if not label or not 1 <= len(values) <= 2 or not any(values):
    raise ValueError(
      'expected a label, ids of concepts and perhaps words of names, between '
      'tabs.'
    )
  if label == NO_FINDING:
    raise ValueError(f'the label {label!r} is given by itself.')
  if label in rules:
    raise ValueError(f'the label {label!r} is there already.')
  concepts, names = [tables.split(v) if v else [] for v in [*values, ''][:2]]
  return label, LabelRule(frozenset(concepts), tuple(names))


def _check_rule(label, rule, ontology, own) -> None:
  known = ontology.terms.keys() | ontology.alternatives.keys()
  unknown = sorted(rule.concepts - known)
  unused = [name for name in rule.names if not _is_in_a_name(name, ontology)]
  nothing = not rule.concepts & known and len(unused) == len(rule.names)
  if nothing and not own:
    raise ValueError(
      f'the ontology has no concept for the label {label!r}; add the Human '
      'Phenotype Ontology, for which this table is made, or give a table of '
      'your own.'
    )
  if own and unknown:
    raise ValueError(
      f'{unknown[0]} is not a concept of the ontology; correct the id, remove '
      'it from the line, or add an ontology that has it.'
    )
  if own and unused:
    raise ValueError(
      f'no concept of the ontology has {unused[0]!r} in its name; correct the '
      'words, remove them from the line, or add an ontology that has them.'
    )


def _is_in_a_name(words, ontology) -> bool:
  words = words.casefold()
  return any(words in term.name.casefold() for term in ontology.terms.values())
