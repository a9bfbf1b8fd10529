"""Tables of surface forms: how reports name what ontologies name otherwise.

Ontologies name few findings as radiologists do ("the heart is enlarged"). The
table `aliases.tsv`, for English reports of chest radiographs, comes with the
package; other tables can be added to it or take its place.
"""

import collections
import dataclasses
import os
import pathlib
from collections.abc import Iterable
from collections.abc import Mapping

from dicejax.concepts import tables
from dicejax.concepts.ontology.terms import Ontology
from dicejax.concepts.ontology.terms import Term
from dicejax.concepts.ontology.terms import assemble
from dicejax.concepts.text import phrases

CHEST = 'chest'
_CHEST_TABLE = pathlib.Path(__file__).with_name('aliases.tsv')
_EXPECTED = (
  "expected 'term', id, name and perhaps ids of parents; 'form', id and forms; "
  "'stop' and forms or ids; or 'elsewhere', ids and words; between tabs"
)


@dataclasses.dataclass(frozen=True)
class Aliases:
  """Concepts and surface forms to add to an ontology, and forms to leave out.

  Attributes:
    terms: concepts that ontologies lack, by id, with parents in the ontology.
    forms: surface forms by concept, of the ontology or of `terms`.
    stop: forms that are not linked, and ids of terms that are not linked with
      all terms below them.
    elsewhere: words of other body regions by concept. A form of the concept is
      not linked right after such a word or before "of the" and such a word: an
      edema of the ankle is not an edema of the lungs.
    places: `file:line` by id, for the ids that the ontology must have.
  """

  terms: Mapping[str, Term] = dataclasses.field(default_factory=dict)
  forms: Mapping[str, tuple[str, ...]] = dataclasses.field(default_factory=dict)
  stop: frozenset[str] = frozenset()
  elsewhere: Mapping[str, frozenset[str]] = dataclasses.field(
    default_factory=dict
  )
  places: Mapping[str, str] = dataclasses.field(default_factory=dict)


def read_aliases(*names: str | os.PathLike[str]) -> Aliases:
  """Reads tables of surface forms and joins them.

  A line has a kind and values between tabs. Lines that begin with `#` and empty
  lines are comments.

  - `term`, id, name and perhaps ids of parents between `|`: a concept that the
    ontology lacks.
  - `form`, id, and surface forms between `|`: other names of a concept.
  - `stop`, and forms or ids between `|`: names that are not linked. With an id,
    no name of the concept or of any concept below it is linked.
  - `elsewhere`, ids between `|`, and words between `|`: names of these concepts
    are not linked right after one of the words ("ankle edema") or before "of
    the" and one of them.

  Args:
    *names: files in UTF-8. `'chest'` is the table for chest radiographs that
      comes with the package, and the only one if no name is given. Where two
      tables give one form to different concepts, the later table wins.

  Raises:
    ValueError: a line is malformed, or a table contradicts itself; the message
      begins with `path:line:`. Or a file is not UTF-8 text.

  Example:
    >>> read_aliases('chest').forms['HP:0001640'][:2]
    ('enlarged heart', 'heart enlarged')
  """
  joined = Aliases()
  for name in names or (CHEST,):
    joined = _join(joined, _read_table(name))
  return joined


def add_aliases(ontology: Ontology, aliases: Aliases) -> Ontology:
  """Adds the concepts and the surface forms of a table to an ontology.

  The terms that the table names come first, so that a form which several terms
  have means the table's. Within the table, a form is a synonym only of the
  concept that the table gives it to.

  Args:
    ontology: the terms; it is not changed.
    aliases: the table. Alternative ids stand for their terms.

  Returns:
    The ontology with local concepts and more synonyms. Concepts and parents
    which the ontology lacks are left out and counted in `skipped`.

  Raises:
    ValueError: the ontology lacks an id of `aliases.places`; the message begins
      with its place.

  Example:
    >>> bare = Ontology({'X:1': Term('X:1', 'cardiomegaly')})
    >>> table = Aliases(forms={'X:1': ('large heart',)})
    >>> add_aliases(bare, table).terms['X:1'].synonyms
    ('large heart',)
  """
  skipped = collections.Counter(ontology.skipped)
  known = {**aliases.terms, **ontology.terms}
  _check_ids(ontology, known, aliases)
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
  return assemble(
    terms,
    ((term.id, parent) for term in terms.values() for parent in term.parents),
    ontology.alternatives,
    skipped,
    equivalents=ontology.equivalents,
  )


def is_clear(words: Iterable[str]) -> bool:
  """Whether a form is long enough to be linked, given its folded words."""
  words = tuple(words)
  if len(words) == 1 and len(words[0]) < 3:
    return False
  return any(len(word) > 1 and not word.isdecimal() for word in words)


def _check_ids(ontology, known, aliases):
  for id, place in aliases.places.items():
    if id not in known and id not in ontology.alternatives:
      raise ValueError(
        f'{place}: {id} is not a concept of the ontology; correct the id, '
        'delete the line, or add an ontology that has it.'
      )


def _read_table(name) -> Aliases:
  path = _CHEST_TABLE if name == CHEST else name
  lines = _Lines(path)
  for number, fields in tables.read_rows(path):
    try:
      lines.add(number, fields)
    except ValueError as error:
      raise ValueError(f'{path}:{number}: {error}') from None
  # The table of the package serves any ontology; one's own table is written for
  # the ontology that it is used with.
  places = {} if name == CHEST else lines.places
  return Aliases(
    lines.terms,
    lines.forms,
    frozenset(lines.stop),
    {id: frozenset(words) for id, words in lines.elsewhere.items()},
    {id: p for id, p in places.items() if id not in lines.terms},
  )


class _Lines:
  """The lines of one table, added one after another."""

  def __init__(self, path):
    self.terms, self.forms, self.places = {}, {}, {}
    self.stop, self.elsewhere = set(), collections.defaultdict(set)
    self._path, self._owners = path, {}

  def add(self, number: int, fields: list[str]) -> None:
    kind, *values = fields
    add = {
      ('term', 2): self._add_term,
      ('term', 3): self._add_term,
      ('form', 2): self._add_forms,
      ('stop', 1): self._add_stop,
      ('elsewhere', 2): self._add_elsewhere,
    }.get((kind, len(values)))
    if add is None or not all(values[:2]):
      raise ValueError(f'{_EXPECTED}; found {kind!r} and {len(values)} values.')
    add(number, *values)

  def _add_term(self, number, id, name, parents=''):
    if id in self.terms:
      raise ValueError(f'the term {id} is there already.')
    above = tuple(tables.split(parents)) if parents else ()
    self.terms[id] = Term(id, name, parents=above)
    self.forms.setdefault(id, ())
    self._note(number, above)

  def _add_forms(self, number, id, forms):
    given = tuple(tables.split(forms))
    for form in given:
      if not is_clear(phrases.phrase_words(form)):
        raise ValueError(f'the form {form!r} is too short to be linked.')
      self._claim(form, f'of {id}', number)
    self.forms[id] = (*self.forms.get(id, ()), *given)
    self._note(number, [id])

  def _add_stop(self, number, forms):
    given = tables.split(forms)
    for form in given:
      self._claim(form, 'to stop', number)
    self.stop.update(given)

  def _add_elsewhere(self, number, ids, words):
    ids, words = tables.split(ids), tables.split(words)
    for word in words:
      if len(phrases.phrase_words(word)) != 1:
        raise ValueError(f'expected single words of regions, found {word!r}.')
    for id in ids:
      self.elsewhere[id].update(words)
    self._note(number, ids)

  def _claim(self, form, owner, number):
    """Refuses a form that another line gives another meaning."""
    words = phrases.phrase_words(form)
    other, line = self._owners.setdefault(words, (owner, number))
    if other != owner:
      raise ValueError(
        f'the form {form!r} is a form {other} already (line {line}).'
      )

  def _note(self, number, ids):
    for id in ids:
      self.places.setdefault(id, f'{self._path}:{number}')


def _join(first, second) -> Aliases:
  """Joins two tables; where they disagree, the second wins."""
  owner = {
    phrases.phrase_words(form): id
    for id, forms in second.forms.items()
    for form in forms
  }
  forms = {
    id: tuple(
      form for form in given if owner.get(phrases.phrase_words(form), id) == id
    )
    for id, given in first.forms.items()
  }
  for id, given in second.forms.items():
    forms[id] = (*forms.get(id, ()), *given)
  elsewhere = dict(first.elsewhere)
  for id, words in second.elsewhere.items():
    elsewhere[id] = elsewhere.get(id, frozenset()) | words
  terms = {**first.terms, **second.terms}
  stop = {
    form for form in first.stop if phrases.phrase_words(form) not in owner
  }
  places = {**first.places, **second.places}
  return Aliases(
    terms,
    forms,
    frozenset(stop) | second.stop,
    elsewhere,
    {id: place for id, place in places.items() if id not in terms},
  )
