"""The dictionary linker: names and synonyms of an ontology, found in texts."""

import collections
from collections.abc import Iterator

from dicejax.concepts.ontology.terms import Ontology
from dicejax.concepts.text import assertion
from dicejax.concepts.text import phrases
from dicejax.concepts.text.aliases import Aliases
from dicejax.concepts.text.aliases import add_aliases
from dicejax.concepts.text.aliases import is_clear
from dicejax.concepts.text.assertion import Span
from dicejax.concepts.text.mentions import Mention
from dicejax.concepts.text.modifiers import find_modifiers
from dicejax.concepts.text.sentences import fold
from dicejax.concepts.text.sentences import split_sentences

_BEFORE_REGION = frozenset(['of', 'in', 'at', 'over', 'about', 'around'])
_INSIDE_REGION = frozenset(
  'a an the both bilateral left right upper lower'.split()
)


class Linker:
  """Finds the names and synonyms of an ontology's terms in a text.

  From left to right, the longest form at each place is a mention, and the next
  mention begins after it, in the same sentence. Words are compared without case
  and plural `s`; hyphens, slashes and brackets only separate them; articles,
  sides ("left") and words of degree ("mildly") are skipped inside a form.

  A form that several terms have means the first of them. Never linked are

  - forms that the alias table stops, and forms of terms at or below an id that
    it stops;
  - forms without a word of two letters, or of one word of two characters;
  - forms of a concept next to a word that `aliases.elsewhere` has for it.

  A form of one word in capitals (an abbreviation, such as ALL) is linked only
  to the word in capitals.

  Args:
    ontology: the terms.
    aliases: concepts, surface forms and stopped forms, from `read_aliases`; by
      default, only the names and synonyms of the ontology are linked.
    cues: the words that affirm, deny or doubt, from `read_cues`; by default the
      table for English that comes with the package.
    alternatives: what "A or B" and "A versus B" say of both where nothing else
      decides: `'present'`, as the indexers of Open-i count them, or
      `'uncertain'`, as the radiologists of CheXpert do.
    forms: those of a linker whose ontology and aliases these are, which spares
      the time to collect them.

  Attributes:
    ontology: the terms with those of the alias table.
    aliases: the alias table.
    cues: the table of cues; None for the package's own.
    alternatives: as given.
    forms: the surface forms that are linked.
    skipped: counts of what was left out, by reason.

  Raises:
    ValueError: an alias table of one's own has an id that the ontology lacks.

  Example:
    >>> from dicejax.concepts.ontology import Term
    >>> linker = Linker(Ontology({'X:1': Term('X:1', 'effusion')}))
    >>> linker('No pleural effusions.')  # doctest: +ELLIPSIS
    [Mention(concept='X:1', start=11, end=20, \
polarity=<Polarity.ABSENT: 'absent'>, cue=(0, 2), ...)]
  """

  def __init__(
    self,
    ontology: Ontology,
    aliases: Aliases | None = None,
    *,
    cues: phrases.Phrases | None = None,
    alternatives: str = 'present',
    forms: phrases.Phrases | None = None,
  ):
    # A wrong value is an error now, not at the first text.
    assertion.assert_findings([], [], alternatives=alternatives)
    self.cues, self.alternatives = cues, alternatives
    self.aliases = aliases or Aliases()
    self.ontology = ontology
    if forms is None:
      self.ontology = add_aliases(ontology, self.aliases)
    self.forms = phrases.Phrases() if forms is None else forms
    self._elsewhere = {
      self.ontology.alternatives.get(id, id): frozenset(map(fold, words))
      for id, words in self.aliases.elsewhere.items()
    }
    self.skipped = self._add_forms() if forms is None else {}

  def __call__(self, text: str) -> list[Mention]:
    """Finds the mentions in a text, in order; none overlaps another."""
    mentions = []
    for sentence in split_sentences(text):
      if found := list(self._link(sentence, text)):
        mentions += self._assert(sentence, found)
    return mentions

  def _assert(self, sentence, found) -> Iterator[Mention]:
    """Yields what a sentence says of the concepts that are found in it."""
    spans = [span for _, span in found]
    said = assertion.assert_findings(
      sentence.words, spans, self.cues, alternatives=self.alternatives
    )
    modifiers = find_modifiers(sentence.words, spans)
    for (concept, span), of, own in zip(found, said, modifiers, strict=True):
      yield Mention(
        concept,
        *_characters(sentence, span),
        of.polarity,
        _characters(sentence, of.cue) if of.cue else None,
        of.experiencer,
        of.time,
        own,
      )

  def _add_forms(self) -> dict[str, int]:
    skipped = collections.Counter()
    stop = self.aliases.stop
    silent = _at_or_below(self.ontology, stop)
    stopped = {phrases.phrase_words(form) for form in stop}
    for term in self.ontology.terms.values():
      if term.id in silent:
        skipped['terms that are never linked'] += 1
        continue
      own = {}
      for form in (term.name, *term.synonyms):
        words = phrases.phrase_words(form)
        own[words] = own.get(words, True) and _is_abbreviation(form)
      for words, abbreviation in own.items():
        if words in stopped or not is_clear(words):
          skipped['forms that are never linked'] += 1
        elif not self.forms.add(words, (term.id, abbreviation)):
          skipped['forms of several terms, which mean the first'] += 1
    return dict(skipped)

  def _link(self, sentence, text) -> Iterator[tuple[str, Span]]:
    words, longest = sentence.words, self.forms.longest
    place, count = 0, len(words)
    while place < count:
      found = longest(words, place, count)
      if found is None:
        place += 1
        continue
      (concept, abbreviation), end = found
      span = Span(place, end)
      if abbreviation:
        start, stop = _characters(sentence, span)
        if not text[start:stop].rstrip('s').isupper():
          place += 1
          continue
      regions = self._elsewhere.get(concept)
      if not (regions and is_elsewhere(words, span, regions)):
        yield concept, span
      place = end


def is_elsewhere(words, span, regions) -> bool:
  """Whether a region stands right before a finding, or after "of the"."""
  if span.start and words[span.start - 1] in regions:
    return True
  place = span.end
  if place == len(words) or words[place] not in _BEFORE_REGION:
    return False
  place += 1
  while place < len(words) and words[place] in _INSIDE_REGION:
    place += 1
  return place < len(words) and words[place] in regions


def _is_abbreviation(form) -> bool:
  return form.isupper() and form.isalnum()


def _at_or_below(ontology, stop) -> set[str]:
  children = collections.defaultdict(list)
  for term in ontology.terms.values():
    for parent in term.parents:
      children[parent].append(term.id)
  resolved = (ontology.alternatives.get(id, id) for id in stop)
  pending = [id for id in resolved if id in ontology.terms]
  found = set()
  while pending:
    id = pending.pop()
    if id not in found:
      found.add(id)
      pending += children[id]
  return found


def _characters(sentence, span) -> tuple[int, int]:
  return sentence.starts[span[0]], sentence.ends[span[1] - 1]
