"""Labels of reports from their mentions, and why each was given.

The two stages are those of Nützel et al., `Ontology-based concept distillation
for radiology report retrieval and labeling <https://arxiv.org/abs/2508.19915>`_,
2025: a mention gives a label by its concept or by its name; and two sets of
labels of a report become one by how well they cover its concepts.
"""

from collections.abc import Collection
from collections.abc import Iterable
from collections.abc import Mapping
from collections.abc import Sequence
from typing import NamedTuple

from dicejax.concepts.labels.table import NO_FINDING
from dicejax.concepts.labels.table import LabelRules
from dicejax.concepts.labels.table import read_labels
from dicejax.concepts.ontology import Ontology
from dicejax.concepts.text.extraction import find_mentions
from dicejax.concepts.text.extraction import ontology_of
from dicejax.concepts.text.mentions import Extractor
from dicejax.concepts.text.mentions import Mention
from dicejax.concepts.text.mentions import Polarity

# Orders of polarities; the first that a mention has is the label's.
PRESENT_FIRST = (Polarity.PRESENT, Polarity.UNCERTAIN, Polarity.ABSENT)
PAPER_ORDER = (Polarity.ABSENT, Polarity.PRESENT, Polarity.UNCERTAIN)


class Evidence(NamedTuple):
  """A mention that gives a label, and the rule that links the two.

  Attributes:
    mention: the words, the concept and the polarity.
    rule: `'concept HP:..'`: the label has the concept; `'below HP:..'`: it has
      a more general one; `'name ..'`: the name of the concept contains these
      words; `'parent HP:..'`: the name of this parent does.
  """

  mention: Mention
  rule: str


class Label(NamedTuple):
  """A label of a report, with the mentions that give it."""

  polarity: Polarity
  evidence: tuple[Evidence, ...]


def label(
  texts: Iterable[str],
  linker: Extractor,
  rules: LabelRules | None = None,
  *,
  ontology: Ontology | None = None,
  precedence: Sequence[Polarity] = PRESENT_FIRST,
) -> list[dict[str, Label]]:
  """Labels texts.

  Args:
    texts: of reports.
    linker: a `Linker`, or any function from a text to mentions.
    rules: what gives each label, from `read_labels`; by default the 14 classes
      of ChestX-ray14.
    ontology: the concepts, for a function of one's own.
    precedence: see `label_mentions`.

  Returns:
    The labels of each text, see `label_mentions`.

  Example:
    >>> from dicejax.concepts.ontology import Term
    >>> from dicejax.concepts.text.linker import Linker
    >>> linker = Linker(Ontology({'X:1': Term('X:1', 'pleural effusion')}))
    >>> from dicejax.concepts.labels.table import LabelRule
    >>> rules = {'Effusion': LabelRule(names=('effusion',))}
    >>> found, = label(['No pleural effusion.'], linker, rules)
    >>> {name: given.polarity.value for name, given in found.items()}
    {'Effusion': 'absent', 'No Finding': 'present'}
  """
  if isinstance(texts, str):
    raise TypeError('texts must be a list of texts, got one text.')
  ontology = ontology_of(linker, ontology)
  rules = read_labels(ontology=ontology) if rules is None else rules
  mentions = (
    find_mentions(text, linker, ontology, f'text {number}')
    for number, text in enumerate(texts)
  )
  return label_mentions(mentions, ontology, rules, precedence=precedence)


def label_mentions(
  mentions: Iterable[Iterable[Mention]],
  ontology: Ontology,
  rules: LabelRules,
  *,
  precedence: Sequence[Polarity] = PRESENT_FIRST,
) -> list[dict[str, Label]]:
  """Labels reports from their mentions: stage 1 of the paper.

  A mention gives a label if its concept is one of the label's or below one of
  them, or if the label's words are part of the concept's name. If it gives no
  label so, the names of the concept's parents are tried. Mentions of other
  people, of the past and of what may come give none.

  The paper has the rules of names only, and takes the name of the label for its
  words. Where mentions of a label disagree, its order of polarities lets the
  absent one win, `PAPER_ORDER`.

  Args:
    mentions: of each report.
    ontology: the terms; mentions of unknown concepts give no label.
    rules: what gives each label, from `read_labels`.
    precedence: all polarities; if mentions of a label disagree, the first of
      these that one of them has is the label's.

  Returns:
    For each report the labels that it speaks of, in the order of `rules`, with
    all mentions that do. `No Finding` is present, without evidence, if none of
    them is present or uncertain, whatever the report says of other findings.

  Example:
    >>> from dicejax.concepts.ontology import Term
    >>> ontology = Ontology({'X:1': Term('X:1', 'pleural effusion')})
    >>> said = [Mention('X:1', 3, 11, p) for p in Polarity]
    >>> from dicejax.concepts.labels.table import LabelRule
    >>> rules = {'Effusion': LabelRule(names=('effusion',))}
    >>> found, = label_mentions([said], ontology, rules)
    >>> found['Effusion'].polarity.value, found['Effusion'].evidence[0].rule
    ('present', 'name effusion')
  """
  if set(precedence) != set(Polarity):
    raise ValueError('precedence must be an order of all polarities.')
  known = {}  # Rules by concept: reports share most of their concepts.

  def rules_of(concept):
    if concept not in known:
      known[concept] = find_rules(concept, ontology, rules)
    return known[concept]

  return [_label_report(row, rules, rules_of, precedence) for row in mentions]


def _label_report(mentions, rules, rules_of, precedence) -> dict[str, Label]:
  found = {}
  for mention in mentions:
    if mention.is_current:
      for name, rule in rules_of(mention.concept):
        found.setdefault(name, []).append(Evidence(mention, rule))
  labels = {}
  for name in filter(found.__contains__, rules):
    said = {evidence.mention.polarity for evidence in found[name]}
    polarity = next(p for p in precedence if p in said)
    labels[name] = Label(polarity, tuple(found[name]))
  if all(given.polarity is Polarity.ABSENT for given in labels.values()):
    labels[NO_FINDING] = Label(Polarity.PRESENT, ())
  return labels


def find_rules(
  concept: str, ontology: Ontology, rules: LabelRules
) -> list[tuple[str, str]]:
  """Finds the labels that a concept gives, each with the rule.

  Example:
    >>> from dicejax.concepts.ontology import Term
    >>> ontology = Ontology({'X:1': Term('X:1', 'large mass')})
    >>> from dicejax.concepts.labels.table import LabelRule
    >>> rules = {'Mass': LabelRule(names=('mass',)), 'Any': LabelRule({'X:1'})}
    >>> find_rules('X:1', ontology, rules)
    [('Mass', 'name mass'), ('Any', 'concept X:1')]
  """
  concept = ontology.alternatives.get(concept, concept)
  if concept not in ontology.terms:
    return []
  lineage = _lineage(concept, ontology)
  own = [
    (name, rule)
    for name, given in rules.items()
    if (rule := _own_rule(concept, lineage, ontology, given))
  ]
  if own:
    return own
  return [
    (name, f'parent {parent}')
    for name, given in rules.items()
    if (parent := _named_parent(concept, ontology, given))
  ]


def merge_labels(
  primary: Collection[str],
  secondary: Collection[str],
  present: Collection[str],
  concepts: Mapping[str, Collection[str]],
) -> frozenset[str]:
  """Joins two sets of labels by the concepts of the report: stage 2.

  Takes the first set, the second, their intersection or their union, whichever
  covers most of the present concepts; among equals, the first in this order.

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
  """Lists the concept and all above it, nearest first."""
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
