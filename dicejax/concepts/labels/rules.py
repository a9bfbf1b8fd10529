"""Labels of reports from their mentions, and why each was given.

The two stages are those of Nützel et al., `Ontology-based concept distillation
for radiology report retrieval and labeling <https://arxiv.org/abs/2508.19915>`_,
2025: a mention gives a label by its concept or by its name; and two sets of
labels of a report are made one by how well they cover its concepts.
"""

import os
import pathlib
from collections.abc import Collection
from collections.abc import Iterable
from collections.abc import Mapping
from collections.abc import Sequence
from typing import NamedTuple

from dicejax.concepts import tables
from dicejax.concepts.ontology import Ontology
from dicejax.concepts.text.mentions import Mention
from dicejax.concepts.text.mentions import Polarity

NO_FINDING = 'No Finding'
# Among mentions that disagree, the paper's order: what is denied wins.
PAPER_ORDER = (Polarity.ABSENT, Polarity.PRESENT, Polarity.UNCERTAIN)
PRESENT_FIRST = (Polarity.PRESENT, Polarity.UNCERTAIN, Polarity.ABSENT)

_LABELS = pathlib.Path(__file__).with_name('labels.tsv')


class Evidence(NamedTuple):
  """A mention that speaks of a label, and the rule that links the two.

  Attributes:
    mention: the words, the concept and the polarity.
    rule: `'concept HP:..'`: the label has the concept; `'below HP:..'`: it has
      a more general one; `'name ..'`: what is named so is in the name of the
      concept, or, `'parent HP:..'`, in the name of the concept right above it.
  """

  mention: Mention
  rule: str


class Label(NamedTuple):
  """What a report says of a label, with the mentions that say so."""

  polarity: Polarity
  evidence: tuple[Evidence, ...]


class LabelRule(NamedTuple):
  """What gives a label.

  Attributes:
    concepts: ids of terms, alternative ones too; they and all below them give
      it.
    names: words; a concept whose name contains them gives it, too.
  """

  concepts: frozenset[str] = frozenset()
  names: tuple[str, ...] = ()


LabelRules = Mapping[str, LabelRule]


def read_labels(path: str | os.PathLike[str] | None = None) -> LabelRules:
  """Reads which concepts give which label.

  A line has a label, ids of concepts between `|`, and, if any, words between
  `|` that names of concepts contain; tabs between the three. Lines that begin
  with `#` and empty lines are comments.

  Args:
    path: the file, in UTF-8; by default the 14 classes of ChestX-ray14, which
      come with the package.

  Raises:
    ValueError: at the first malformed line, beginning `path:line:`; or the file
      is no text or has no label.

  Example:
    >>> sorted(read_labels()['Cardiomegaly'].concepts)
    ['HP:0001640']
  """
  path = _LABELS if path is None else path
  rules = {}
  for number, (label, *values) in tables.read_rows(path):
    if not label or not 1 <= len(values) <= 2 or not any(values):
      raise ValueError(
        f'{path}:{number}: expected a label, ids of concepts and perhaps words '
        'of names, between tabs.'
      )
    if label in rules or label == NO_FINDING:
      reason = 'is there already' if label in rules else 'is given by itself'
      raise ValueError(f'{path}:{number}: the label {label!r} {reason}.')
    try:
      parts = [tables.split(value) if value else [] for value in values]
    except ValueError as error:
      raise ValueError(f'{path}:{number}: {error}') from None
    concepts, names = [*parts, []][:2]
    rules[label] = LabelRule(frozenset(concepts), tuple(names))
  if not rules:
    raise ValueError(f'{path}: no line has a label.')
  return rules


def assign_labels(
  mentions: Iterable[Mention],
  ontology: Ontology,
  rules: LabelRules,
  *,
  precedence: Sequence[Polarity] = PAPER_ORDER,
) -> dict[str, Label]:
  """Labels a report from its mentions: stage 1.

  A mention speaks of a label if its concept is one of the label's or below one
  of them, or if the label's words are part of the concept's name. If it speaks
  of no label so, the names of the concepts right above it are tried. Where
  mentions of a label disagree, `precedence` decides.

  The paper has the rules of names only, and takes the name of the label for its
  words. Its order of polarities, the default, lets what is denied win;
  `PRESENT_FIRST` finds a little more and is a little less precise.

  Args:
    mentions: those of the report.
    ontology: the terms; mentions of what it lacks speak of no label.
    rules: what gives each label, from `read_labels`.
    precedence: polarities, the one that wins first.

  Returns:
    The labels that the report speaks of, in the order of `rules`, each with all
    the mentions that do; and the label `No Finding`, without evidence, if none
    of them is present or uncertain.

  Example:
    >>> from dicejax.concepts.ontology import Term
    >>> ontology = Ontology({'X:1': Term('X:1', 'pleural effusion')})
    >>> mention = Mention('X:1', 3, 11, Polarity.ABSENT, 'no')
    >>> rules = {'Effusion': LabelRule(names=('effusion',))}
    >>> labels = assign_labels([mention], ontology, rules)
    >>> labels['Effusion'].polarity.value, labels['Effusion'].evidence[0].rule
    ('absent', 'name effusion')
    >>> 'No Finding' in labels
    True
  """
  if set(precedence) != set(Polarity):
    raise ValueError('precedence is an order of all polarities.')
  found = {label: [] for label in rules}
  for mention in mentions:
    for label, rule in find_rules(mention.concept, ontology, rules):
      found[label].append(Evidence(mention, rule))
  labels = {}
  for label, evidence in found.items():
    if evidence:
      said = {e.mention.polarity for e in evidence}
      polarity = next(p for p in precedence if p in said)
      labels[label] = Label(polarity, tuple(evidence))
  if all(label.polarity is Polarity.ABSENT for label in labels.values()):
    labels[NO_FINDING] = Label(Polarity.PRESENT, ())
  return labels


def find_rules(
  concept: str, ontology: Ontology, rules: LabelRules
) -> list[tuple[str, str]]:
  """The labels that a concept speaks of, each with the rule that says so.

  Example:
    >>> from dicejax.concepts.ontology import Term
    >>> ontology = Ontology({'X:1': Term('X:1', 'large mass')})
    >>> rules = {'Mass': LabelRule(names=('mass',)), 'Any': LabelRule({'X:1'})}
    >>> find_rules('X:1', ontology, rules)
    [('Mass', 'name mass'), ('Any', 'concept X:1')]
  """
  concept = ontology.alternatives.get(concept, concept)
  if concept not in ontology.terms:
    return []
  lineage = _lineage(concept, ontology)
  own = [
    (label, rule)
    for label, given in rules.items()
    if (rule := _own_rule(concept, lineage, ontology, given))
  ]
  if own:
    return own
  return [
    (label, f'parent {parent}')
    for label, given in rules.items()
    if (parent := _named_parent(concept, ontology, given))
  ]


def merge_labels(
  primary: Collection[str],
  secondary: Collection[str],
  present: Collection[str],
  concepts: Mapping[str, Collection[str]],
) -> frozenset[str]:
  """Makes one set of labels of two, by the concepts of the report: stage 2.

  Of the first, the second, their intersection and their union, that which
  covers most of the concepts that are present; of several, the first in this
  order.

  Args:
    primary: labels of the report.
    secondary: labels of the report by another method.
    present: ids of the concepts that the report says are present.
    concepts: ids of the concepts of each label; a label without any covers
      nothing.

  Returns:
    The labels.

  Example:
    >>> concepts = {'Edema': {'X:1'}, 'Mass': {'X:2'}}
    >>> sorted(merge_labels({'Edema'}, {'Mass'}, {'X:1', 'X:2'}, concepts))
    ['Edema', 'Mass']
    >>> sorted(merge_labels({'Edema'}, {'Mass'}, {'X:2'}, concepts))
    ['Mass']
  """
  first, second, present = map(frozenset, (primary, secondary, present))

  def covered(labels) -> int:
    of_labels = {id for name in labels for id in concepts.get(name, ())}
    return len(present & of_labels)

  return max((first, second, first & second, first | second), key=covered)


def _lineage(concept, ontology) -> list[str]:
  """The concept and all above it, nearest first."""
  found = {concept: None}
  for id in (queue := [concept]):
    for parent in ontology.terms[id].parents:
      if parent not in found:
        found[parent] = None
        queue.append(parent)
  return list(found)


def _own_rule(concept, lineage, ontology, given) -> str | None:
  live = ontology.alternatives
  concepts = {live.get(id, id) for id in given.concepts}
  if concept in concepts:
    return f'concept {concept}'
  for id in lineage:
    if id in concepts:
      return f'below {id}'
  return _named(ontology.terms[concept].name, given)


def _named(name, given) -> str | None:
  name = name.casefold()
  words = next((w for w in given.names if w.casefold() in name), None)
  return None if words is None else f'name {words}'


def _named_parent(concept, ontology, given) -> str | None:
  parents = ontology.terms[concept].parents
  terms = ontology.terms
  return next((id for id in parents if _named(terms[id].name, given)), None)
