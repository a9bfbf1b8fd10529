"""Surface forms learnt from labelled reports, as a table to be reviewed.

If "large heart", affirmed, is nearly always in a report that people labelled
Cardiomegaly, it is a name of cardiomegaly. Sets of reports are integers with
one bit per report: they are cheap to intersect and to count.
"""

import collections
import itertools
import math
from collections.abc import Collection
from collections.abc import Iterator
from collections.abc import Mapping
from collections.abc import Sequence
from typing import NamedTuple

from dicejax.concepts.labels.candidates import Words
from dicejax.concepts.labels.candidates import affirmed_runs
from dicejax.concepts.labels.labelled import learnable
from dicejax.concepts.labels.table import LabelRules
from dicejax.concepts.ontology import Ontology
from dicejax.concepts.ontology import Term
from dicejax.concepts.ontology import ancestors
from dicejax.concepts.text.aliases import Aliases
from dicejax.concepts.text.cues import default_cues
from dicejax.concepts.text.linker import Linker
from dicejax.concepts.text.mentions import Polarity
from dicejax.concepts.text.modifiers import name_modifiers
from dicejax.concepts.text.phrases import FILLERS
from dicejax.concepts.text.phrases import Phrases
from dicejax.concepts.text.phrases import phrase_words

_LEAST = 3  # Reports that affirm a form.
_PRECISION = 0.6  # The least of a form, one standard error below the estimate.
_RESIDUAL = 0.6  # The least where no form that was chosen before explains it.
_PRIOR = 2  # Reports that the precision of a form counts for in its residual.
_ODDS = 3  # The least ratio of the label's odds with and without the form.
_SHARE = 0.5  # The least Dice coefficient of a label and a concept of its own.


class LearntForm(NamedTuple):
  """A surface form and what speaks for it.

  Attributes:
    words: folded words, with blanks between.
    label: the label that it goes with.
    concept: id of the concept that it is to mean.
    support: number of reports that affirm it, where no longer name is linked.
    precision: fraction of these that have the label.
    lift: the precision divided by the fraction of all reports with the label.
  """

  words: str
  label: str
  concept: str
  support: int
  precision: float
  lift: float


class Learnt(NamedTuple):
  """Forms learnt from labelled reports, and what was left out.

  Attributes:
    aliases: the table, for a `Linker`.
    forms: its forms with their numbers, by label, best first.
    concepts: id of the concept of each label, of the ontology or of the table.
    reports: number of reports.
    counts: number of reports with each label of `concepts`.
    skipped: why nothing was learnt for a label, by label.
  """

  aliases: Aliases
  forms: tuple[LearntForm, ...]
  concepts: dict[str, str]
  reports: int
  counts: dict[str, int]
  skipped: dict[str, str]


def learn_aliases(
  texts: Sequence[str],
  labels: Sequence[Collection[str]],
  ontology: Ontology,
  *,
  rules: LabelRules | None = None,
  cues: Phrases | None = None,
  min_reports: int = 10,
) -> Learnt:
  """Learns how reports name their labels.

  Candidates are runs of one to four words that a report affirms of the patient
  now, by the rules of assertion. A candidate belongs to the label with which it
  has the greatest Dice coefficient. It is chosen, best first, if

  - at least three reports affirm it;
  - its precision, the fraction of these with the label, is .6 or more at the
    lower end of Wilson's interval (one standard error), and the odds of the
    label are three times those in all reports or more;
  - it contains no form of the label that was chosen before;
  - there are reports that no such form explains, and its precision in these
    still is .6. They count together with two reports of its overall precision.

  At last, the reports are linked with all forms. Longer forms and names of the
  ontology take their words from shorter ones, which go if they fail then.

  The concept of a label is that of `rules`; else one with its name; else the
  one whose names, affirmed, have the greatest Dice coefficient with the label,
  if that is .5 or more; else one that is made. Branches of the ontology that
  only say a side, a degree and the like ("Left") are stopped: they are
  modifiers.

  Args:
    texts: of the reports.
    labels: names of labels, by report.
    ontology: the concepts.
    rules: concepts of labels, from `read_labels`; the first id is used.
    cues: see `Linker`.
    min_reports: labels of fewer reports are skipped, and so are those that all
      reports have.

  Returns:
    The forms, which a person should read before they are used. The order of the
    reports changes nothing.

  Raises:
    ValueError: `texts` and `labels` differ in length, or no label is left.

  Example:
    >>> ontology = Ontology({'X:1': Term('X:1', 'cardiomegaly')})
    >>> texts = ['The heart is large.'] * 10 + ['No large mass.'] * 10
    >>> labels = [['Cardiomegaly']] * 10 + [[]] * 10
    >>> learn_aliases(texts, labels, ontology).aliases.forms
    {'X:1': ('heart is large',)}
  """
  if len(texts) != len(labels):
    raise ValueError(
      f'expected labels of each report, got {len(labels)} for {len(texts)} '
      'reports.'
    )
  masks, skipped = _label_masks(labels, min_reports)
  cues = cues or default_cues()
  chosen = _choose(affirmed_runs(texts, cues, _LEAST), masks, len(texts))
  plain = Linker(ontology, cues=cues)
  named = _masks_of(plain, texts, lambda mention, text: mention.concept)
  modifiers = {id for id in named if _is_modifier(ontology.terms[id])}
  findings = {id: m for id, m in named.items() if id not in modifiers}
  concepts, terms = _link_labels(masks, findings, ontology, rules or {})
  stop = _branches(modifiers, named, ontology, concepts)
  while True:
    aliases = _table(chosen, concepts, terms, stop)
    linker = Linker(ontology, aliases, cues=cues)
    linked = _masks_of(linker, texts, _form_of)
    weak = [
      words
      for words, label in chosen.items()
      if not _is_good(linked.get(words, 0), masks[label], len(texts))
    ]
    if not weak:
      break
    for words in weak:
      del chosen[words]
  return Learnt(
    aliases,
    tuple(_numbers(chosen, linked, masks, concepts, len(texts))),
    concepts,
    len(texts),
    {name: mask.bit_count() for name, mask in masks.items()},
    skipped,
  )


def format_aliases(learnt: Learnt) -> Iterator[str]:
  """Yields the lines of an alias table, with the numbers as comments.

  Example:
    >>> form = LearntForm('large heart', 'Big', 'X:1', 9, 1.0, 2.5)
    >>> lines = format_aliases(
    ...     Learnt(Aliases(), (form,), {'Big': 'X:1'}, 50, {'Big': 20}, {})
    ... )
    >>> print('\\n'.join(lines).replace('\\t', ' '))
    # Forms learnt from 50 labelled reports. Read each of them, and delete
    # what is not a name of its concept, before you use the table.
    <BLANKLINE>
    # Big: 20 reports
    # large heart: support 9, precision 1.00, lift 2.5
    form X:1 large heart
  """
  yield (
    f'# Forms learnt from {learnt.reports:,} labelled reports. Read each '
    'of them, and delete\n# what is not a name of its concept, before you use '
    'the table.'
  )
  for label, forms in itertools.groupby(learnt.forms, lambda f: f.label):
    yield f'\n# {_one_line(label)}: {learnt.counts[label]:,} reports'
    made = learnt.aliases.terms.get(learnt.concepts[label])
    if made:
      yield f'term\t{made.id}\t{made.name}'
    for form in forms:
      yield (
        f'# {form.words}: support {form.support}, precision '
        f'{form.precision:.2f}, lift {form.lift:.1f}'
      )
      yield f'form\t{form.concept}\t{form.words}'
  if learnt.aliases.stop:
    yield '\n# Names of sides, degrees and the like'
    yield f'stop\t{" | ".join(sorted(learnt.aliases.stop))}'


def _label_masks(labels, least) -> tuple[dict[str, int], dict[str, str]]:
  left, skipped = learnable(labels, least)
  masks = dict.fromkeys(left, 0)
  for number, names in enumerate(labels):
    for name in left.keys() & set(names):
      masks[name] |= 1 << number
  return masks, skipped


def _choose(affirmed, labels, total) -> dict[Words, str]:
  """Chooses forms, best first, and their labels."""
  candidates = []
  for form, reports in affirmed.items():
    good = [
      (_dice(reports, mask), label)
      for label, mask in labels.items()
      if _is_good(reports, mask, total)
    ]
    if good:
      score, label = max(good)
      candidates.append((-score, -len(form), form, label))
  chosen, explained = {}, collections.defaultdict(int)
  for *_, form, label in sorted(candidates):
    parts = itertools.combinations(range(len(form) + 1), 2)
    if any(chosen.get(form[slice(*part)]) == label for part in parts):
      continue
    reports, mask = affirmed[form], labels[label]
    rest = reports & ~explained[label]
    if not rest:
      continue
    hits = (rest & mask).bit_count() + _PRIOR * _precision(reports, mask)
    if hits >= _RESIDUAL * (rest.bit_count() + _PRIOR):
      chosen[form] = label
      explained[label] |= reports
  return chosen


def _is_good(reports, mask, total) -> bool:
  """Whether a form that reports affirm goes with the label of a mask."""
  count, hits = reports.bit_count(), (reports & mask).bit_count()
  if count < _LEAST or _lower_bound(hits, count) < _PRECISION:
    return False
  base = mask.bit_count()
  return hits * (total - base) >= _ODDS * (count - hits) * base


def _lower_bound(hits, count) -> float:
  """The lower end of Wilson's interval, one standard error wide."""
  p = hits / count
  error = math.sqrt(p * (1 - p) / count + 1 / (4 * count**2))
  return (p + 1 / (2 * count) - error) / (1 + 1 / count)


def _precision(reports, mask) -> float:
  return (reports & mask).bit_count() / max(reports.bit_count(), 1)


def _dice(one, other) -> float:
  return 2 * (one & other).bit_count() / (one.bit_count() + other.bit_count())


def _masks_of(linker, texts, key) -> dict:
  """Finds the reports with a current, present mention of each key."""
  masks = collections.defaultdict(int)
  for number, text in enumerate(texts):
    for mention in linker(text):
      if mention.is_current and mention.polarity is Polarity.PRESENT:
        masks[key(mention, text)] |= 1 << number
  return masks


def _form_of(mention, text) -> Words:
  words = phrase_words(text[mention.start : mention.end])
  return tuple(word for word in words if word not in FILLERS)


def _link_labels(
  masks, named, ontology, rules
) -> tuple[dict[str, str], dict[str, Term]]:
  """Finds the concept of each label, and makes those that are lacking."""
  names = {}
  for term in ontology.terms.values():
    for name in (term.name, *term.synonyms):
      names.setdefault(phrase_words(name), term.id)
  concepts, terms = {}, {}
  for label, mask in masks.items():
    words = phrase_words(label.replace('_', ' '))
    given = sorted(rules[label].concepts) if label in rules else []
    given = [ontology.alternatives.get(id, id) for id in given]
    own = next((id for id in given if id in ontology.terms), names.get(words))
    share, best = max(
      ((_dice(reports, mask), id) for id, reports in named.items()),
      default=(0, ''),
    )
    if own is None and share >= _SHARE:
      own = best
    if own is None:
      own = f'LEARNT:{"_".join(words) or _one_line(label)}'
      # The word tells it from the form "lung", which the linker would find.
      terms[own] = Term(own, f'{_one_line(label)} (label)')
    concepts[label] = own
  return concepts, terms


def _is_modifier(term) -> bool:
  return all(name_modifiers([word]) for word in phrase_words(term.name))


def _branches(modifiers, named, ontology, concepts) -> frozenset[str]:
  """Finds the branches of which the reports name modifiers most often.

  Beside "Left" and "Right", an ontology may have "Lateral", which is no more of
  a finding. A branch with the concept of a label is never stopped.
  """
  above = ancestors(ontology)
  kept = set().union(*(above.get(id, ()) for id in concepts.values()))
  balance = collections.Counter()
  for id, reports in named.items():
    sign = 1 if id in modifiers else -1
    for branch in {id, *ontology.terms[id].parents} - kept:
      balance[branch] += sign * reports.bit_count()
  return frozenset(branch for branch, rest in balance.items() if rest > 0)


def _table(chosen, concepts, terms, stop) -> Aliases:
  forms = collections.defaultdict(list)
  for words, label in chosen.items():
    forms[concepts[label]].append(' '.join(words))
  return Aliases(
    {id: term for id, term in terms.items() if id in forms},
    {id: tuple(given) for id, given in forms.items()},
    stop,
  )


def _numbers(
  chosen, linked, masks, concepts: Mapping[str, str], total
) -> Iterator[LearntForm]:
  ranked = sorted(
    chosen, key=lambda w: (chosen[w], -_dice(linked[w], masks[chosen[w]]), w)
  )
  for words in ranked:
    label = chosen[words]
    precision = _precision(linked[words], masks[label])
    yield LearntForm(
      ' '.join(words),
      label,
      concepts[label],
      linked[words].bit_count(),
      precision,
      precision * total / masks[label].bit_count(),
    )


def _one_line(text) -> str:
  return ' '.join(text.split())
