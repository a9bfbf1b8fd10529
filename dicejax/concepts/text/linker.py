"""Mentions of concepts in a text: which, where, and whether they are denied.

`DictionaryLinker` looks the names and synonyms of an ontology up among the
words of a text. Ontologies name few findings as radiologists do ("the heart is
enlarged"), so a table of surface forms, `aliases.tsv`, comes with the package
and may be replaced. Any other callable from a text to mentions, such as a
neural tagger, serves as well.
"""

import collections
import os
import pathlib
from collections.abc import Collection
from collections.abc import Iterator
from typing import NamedTuple

from dicejax.concepts import tables
from dicejax.concepts.ontology import Ontology
from dicejax.concepts.ontology import Term
from dicejax.concepts.ontology.terms import assemble
from dicejax.concepts.text import assertion
from dicejax.concepts.text import phrases
from dicejax.concepts.text.assertion import Span
from dicejax.concepts.text.mentions import Extractor
from dicejax.concepts.text.mentions import Mention
from dicejax.concepts.text.mentions import Polarity

__all__ = [
  'Aliases',
  'DictionaryLinker',
  'Extractor',
  'Mention',
  'Polarity',
  'read_aliases',
  'with_aliases',
]

_ALIASES = pathlib.Path(__file__).with_name('aliases.tsv')


class DictionaryLinker:
  """Finds the names and synonyms of an ontology's terms in a text.

  From left to right, the longest form at each place is a mention, and the next
  begins after it, in the same sentence. Words are compared without case and
  plural `s`; hyphens, slashes and brackets only separate them; articles, sides
  ("left") and words of degree ("mildly") are skipped inside a form.

  A form of several terms means the first of them. Never linked are

  - forms in `stop`, and forms of terms at or below an id in `stop`,
  - forms without a word of two letters, or of one word of two characters,

  and a form of one word in capitals (an abbreviation, such as ALL) is linked
  only to the word in capitals.

  Args:
    ontology: the terms.
    stop: forms, or ids of terms, that are not linked.

  Attributes:
    skipped: what was left out, as a phrase that follows a number, and how many.

  Example:
    >>> linker = DictionaryLinker(Ontology({'X:1': Term('X:1', 'effusion')}))
    >>> linker('No pleural effusions.')  # doctest: +ELLIPSIS
    [Mention(concept='X:1', start=11, end=20, \
polarity=<Polarity.ABSENT: 'absent'>, cue=(0, 2), ...)]
  """

  def __init__(self, ontology: Ontology, *, stop: Collection[str] = ()):
    self._forms = phrases.Phrases()
    skipped = collections.Counter()
    silent = _at_or_below(ontology, stop)
    stopped = {phrases.phrase_words(form) for form in stop}
    for term in ontology.terms.values():
      if term.id in silent:
        skipped['terms that are never linked'] += 1
        continue
      own = {}
      for form in (term.name, *term.synonyms):
        words = phrases.phrase_words(form)
        own[words] = own.get(words, True) and _abbreviation(form)
      for words, abbreviation in own.items():
        if words in stopped or not _is_clear(words):
          skipped['forms that are never linked'] += 1
        elif not self._forms.add(words, (term.id, abbreviation)):
          skipped['forms of several terms, which mean the first'] += 1
    self.skipped = dict(skipped)

  def __call__(self, text: str) -> list[Mention]:
    """The mentions in a text, in order; none overlaps another."""
    mentions = []
    for sentence in phrases.split_sentences(text):
      found = list(self._link(sentence, text))
      if not found:
        continue
      spans = [span for _, span in found]
      said = assertion.assert_findings(sentence.words, spans)
      for (concept, span), of in zip(found, said, strict=True):
        cue = _characters(sentence, of.cue) if of.cue else None
        mentions.append(
          Mention(
            concept,
            *_characters(sentence, span),
            of.polarity,
            cue,
            of.experiencer,
            of.time,
          )
        )
    return mentions

  def _link(self, sentence, text) -> Iterator[tuple[str, Span]]:
    words, longest = sentence.words, self._forms.longest
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
      yield concept, span
      place = end


class Aliases(NamedTuple):
  """Surface forms that an ontology lacks.

  Attributes:
    terms: concepts that ontologies lack, by id, with parents in the ontology.
    forms: the surface forms of concepts, of the ontology and of `terms`.
    stop: forms, and ids of terms with all that is below them, that are not to
      be linked.
  """

  terms: dict[str, Term]
  forms: dict[str, tuple[str, ...]]
  stop: frozenset[str]


def read_aliases(path: str | os.PathLike[str] | None = None) -> Aliases:
  """Reads a table of surface forms.

  A line has a kind and values between tabs; lines that begin with `#` and empty
  lines are comments:

  - `term`, id, name and, if any, ids of parents between `|`: a local concept;
  - `form`, id, and surface forms between `|`: of a local concept or any other;
  - `stop` and forms or ids between `|`: what is not linked.

  Args:
    path: the file, in UTF-8; by default the table for chest radiographs that
      comes with the package.

  Raises:
    ValueError: at the first malformed line, beginning `path:line:`; or the file
      is no text.

  Example:
    >>> read_aliases().forms['HP:0001640'][:2]
    ('enlarged heart', 'heart enlarged')
  """
  path = _ALIASES if path is None else path
  aliases = Aliases({}, {}, frozenset())
  seen, stop = {}, set()
  for number, fields in tables.read_rows(path):
    try:
      _read_line(fields, aliases, seen, stop, number)
    except ValueError as error:
      raise ValueError(f'{path}:{number}: {error}') from None
  return aliases._replace(stop=frozenset(stop))


def with_aliases(ontology: Ontology, aliases: Aliases) -> Ontology:
  """An ontology with the concepts and the surface forms of a table.

  The terms that the table names come first, so that its forms are theirs where
  other terms have them, too; among themselves, a form is a synonym of the one
  that the table gives it to. An alternative id stands for its term. Concepts
  and parents that the ontology lacks are left out, and counted in `skipped`.

  Args:
    ontology: the terms; it is not changed.
    aliases: what `read_aliases` gave.

  Returns:
    The ontology with synonyms and local terms.

  Example:
    >>> bare = Ontology({'X:1': Term('X:1', 'cardiomegaly')})
    >>> table = Aliases({}, {'X:1': ('large heart',)}, frozenset())
    >>> with_aliases(bare, table).terms['X:1'].synonyms
    ('large heart',)
  """
  skipped = collections.Counter(ontology.skipped)
  known = {**aliases.terms, **ontology.terms}
  forms = collections.defaultdict(list)
  for id in dict.fromkeys((*aliases.terms, *aliases.forms)):
    resolved = ontology.alternatives.get(id, id)
    if resolved in known:
      forms[resolved] += aliases.forms.get(id, ())
    else:
      skipped['concepts of the alias table that the ontology lacks'] += 1
  owner = {phrases.phrase_words(f): id for id in forms for f in forms[id]}
  terms = {}
  for id, given in forms.items():
    own = [
      name
      for name in known[id].synonyms
      if owner.get(phrases.phrase_words(name), id) == id
    ]
    synonyms = tuple(dict.fromkeys((*own, *given)))
    terms[id] = known[id]._replace(synonyms=synonyms)
  terms |= {id: t for id, t in ontology.terms.items() if id not in terms}
  links = [
    (term.id, parent) for term in terms.values() for parent in term.parents
  ]
  return assemble(
    terms,
    links,
    ontology.alternatives,
    skipped,
    equivalents=ontology.equivalents,
  )


def _read_line(fields, aliases, seen, stop, number):
  kind, *values = fields
  if kind == 'term' and len(values) in (2, 3) and all(values[:2]):
    id, name = values[:2]
    if id in aliases.terms:
      raise ValueError(f'the term {id} is there already.')
    parents = tuple(tables.split(values[2])) if values[2:] else ()
    aliases.terms[id] = Term(id, name, parents=parents)
    given = aliases.forms.setdefault(id, ())
  elif kind == 'form' and len(values) == 2 and all(values):
    id = values[0]
    given = tuple(tables.split(values[1]))
    for form in given:
      _claim(form, id, seen, number)
    aliases.forms[id] = (*aliases.forms.get(id, ()), *given)
  elif kind == 'stop' and len(values) == 1 and all(values):
    stop.update(tables.split(values[0]))
  else:
    raise ValueError(
      "expected 'term', id, name and perhaps parents, 'form', id and forms, "
      f"or 'stop' and forms, between tabs; found {kind!r} and {len(values)} "
      'values.'
    )


def _claim(form, id, seen, number):
  """Notes that a form is the concept's; it may be only one concept's."""
  words = phrases.phrase_words(form)
  if not _is_clear(words):
    raise ValueError(f'the form {form!r} is too short to be linked.')
  other, line = seen.setdefault(words, (id, number))
  if other != id:
    raise ValueError(
      f'the form {form!r} is that of {other}, too (line {line}).'
    )


def _is_clear(words) -> bool:
  if len(words) == 1 and len(words[0]) < 3:
    return False
  return any(len(word) > 1 and not word.isdecimal() for word in words)


def _abbreviation(form) -> bool:
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
