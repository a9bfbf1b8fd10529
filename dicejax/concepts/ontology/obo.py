"""The OBO format: the tags of [Term] stanzas that concept sets need.

https://owlcollab.github.io/oboformat/doc/GO.format.obo-1_4.html describes it.
"""

import collections
import pathlib
import re
from collections.abc import Callable
from collections.abc import Iterable
from collections.abc import Iterator

from dicejax.concepts.ontology.terms import Ontology
from dicejax.concepts.ontology.terms import OntologyError
from dicejax.concepts.ontology.terms import Path
from dicejax.concepts.ontology.terms import Term
from dicejax.concepts.ontology.terms import assemble
from dicejax.concepts.ontology.terms import unique

# A broad synonym also names what the term is not ("heart disease"), a related
# one often does; a synonym without a scope is a related one.
_SCOPES = ('EXACT', 'NARROW')
_SYNONYM = re.compile(r'"((?:[^"\\]|\\.)*)"\s*([A-Z]*)')
_ESCAPED = re.compile(r'\\(.)')
_COMMENT = re.compile(r'(?<!\\)!')
_WHITE = {'n': ' ', 't': ' ', 'W': ' '}
_NO_TAG = ''
_TAKEN = 'alternative ids that another term has'


def read_obo(path: Path) -> Ontology:
  r"""Reads the terms of an OBO file, such as the Human Phenotype Ontology.

  These tags of each `[Term]` stanza are read: id, name, synonym, alt_id, is_a,
  xref, is_obsolete and replaced_by, and their equivalents in OBO 1.0. Escapes
  (`\"`, `\:`) are undone; trailing modifiers (`{...}`) and comments (`! ...`)
  are dropped. Left out and counted are

  - stanzas with a line that has no tag, without one id and one name, or with
    the id of a stanza before;
  - obsolete terms; their ids become alternatives of the term that replaces
    them (the first, if there are several);
  - synonyms that are broad, related or without a scope or quotes;
  - alternative ids that are the id of a live term, or an alternative of a term
    before;
  - parents that are not live terms, and parents that would close a cycle with
    the links before them in the file. A parent under an alternative id counts
    as the term.

  Args:
    path: the file, in UTF-8.

  Raises:
    OntologyError: the file is missing, not UTF-8 or without a live term.

  Example:
    >>> import tempfile
    >>> with tempfile.NamedTemporaryFile('w', suffix='.obo') as file:
    ...   _ = file.write('[Term]\nid: X:1\nname: heart\nis_a: X:9 ! organ\n')
    ...   file.flush()
    ...   ontology = read_obo(file.name)
    >>> ontology.terms['X:1'].name, ontology.skipped
    ('heart', {'parents that are not live terms': 1})
  """
  skipped = collections.Counter()
  terms, moved, seen = {}, {}, set()
  for stanza in _read_stanzas(_read_lines(path)):
    if fault := _fault(stanza, seen):
      skipped[fault] += 1
      continue
    (id,) = stanza['id']
    seen.add(id)
    aliases, target = stanza.get('alt_id', []), id
    if stanza.get('is_obsolete') == ['true']:
      skipped['obsolete terms'] += 1
      aliases, target = [id, *aliases], stanza.get('replaced_by', [None])[0]
    else:
      terms[id] = _make_term(stanza, skipped)
    for alias in aliases if target else ():
      if moved.setdefault(alias, target) != target:
        skipped[_TAKEN] += 1
  if not terms:
    raise OntologyError(f'{path}: expected live [Term] stanzas, found none.')
  alternatives = _settle(moved, terms, skipped)
  links = ((id, p) for id, term in terms.items() for p in term.parents)
  return assemble(terms, links, alternatives, skipped)


def _read_lines(path: Path) -> list[str]:
  try:
    data = pathlib.Path(path).read_bytes()
  except OSError as error:
    raise OntologyError(f'{path}: {error.strerror}.') from None
  try:
    return data.decode('utf-8-sig').split('\n')
  except UnicodeDecodeError as error:
    line = data.count(b'\n', 0, error.start) + 1
    raise OntologyError(f'{path}:{line}: not UTF-8 text.') from None


def _word(value: str) -> str:
  # Ids have no white space: what follows is a description or a comment.
  return _unescape(value.split(None, 1)[0]) if value else ''


def _id(value: str) -> str:
  return _word(_COMMENT.split(value, maxsplit=1)[0])


def _text(value: str) -> str:
  return _unescape(re.split(r'(?:^|\s)[!{]', value, maxsplit=1)[0])


def _unescape(value: str) -> str:
  if '\\' not in value:
    return value.strip()
  value = _ESCAPED.sub(lambda match: _WHITE.get(match[1], match[1]), value)
  return value.strip()


def _scoped(scope: str) -> Callable[[str], str]:
  """Makes a reader of synonyms whose tag says their scope, as in OBO 1.0."""
  return lambda value: _SYNONYM.sub(rf'"\1" {scope}', value)


# Each tag with the one whose values it has, and a reader.
_READ = {
  'id': ('id', _id),
  'name': ('name', _text),
  'synonym': ('synonym', str),
  'alt_id': ('alt_id', _id),
  'is_a': ('is_a', _id),
  'xref': ('xref', _word),
  'is_obsolete': ('is_obsolete', _id),
  'replaced_by': ('replaced_by', _id),
  # OBO 1.0
  **{
    f'{scope.lower()}_synonym': ('synonym', _scoped(scope))
    for scope in ('EXACT', 'NARROW', 'BROAD', 'RELATED')
  },
  'xref_analog': ('xref', _word),
  'use_term': ('replaced_by', _id),
}


def _read_stanzas(lines: Iterable[str]) -> Iterator[dict[str, list[str]]]:
  """Yields the values of each tag of each [Term]; '' has lines without tag."""
  stanza = None
  for line in lines:
    line = line.strip()
    if not line or line[0] == '!':
      continue
    if line[0] == '[' and line.split('!', 1)[0].rstrip().endswith(']'):
      if stanza is not None:
        yield stanza
      stanza = {} if line.startswith('[Term]') else None
    elif stanza is not None:
      tag, colon, value = line.partition(':')
      if not colon or not tag or ' ' in tag:
        stanza.setdefault(_NO_TAG, []).append(line)
      elif tag in _READ:
        name, read = _READ[tag]
        if value := read(value.strip()):
          stanza.setdefault(name, []).append(value)
  if stanza is not None:
    yield stanza


def _fault(stanza, seen) -> str | None:
  if _NO_TAG in stanza:
    return 'stanzas with a line that has no tag'
  if len(stanza.get('id', ())) != 1 or len(stanza.get('name', ())) != 1:
    return 'stanzas without one id and one name'
  if stanza['id'][0] in seen:
    return 'stanzas with the id of another'
  return None


def _make_term(stanza, skipped) -> Term:
  (name,) = stanza['name']
  synonyms = []
  for value in stanza.get('synonym', ()):
    match = _SYNONYM.match(value)
    if not match:
      skipped['synonyms without quotes'] += 1
    elif match[2] not in _SCOPES:
      skipped['broad or related synonyms'] += 1
    elif synonym := _unescape(match[1]):
      synonyms.append(synonym)
  return Term(
    id=stanza['id'][0],
    name=name,
    synonyms=tuple(s for s in unique(synonyms) if s != name),
    parents=unique(stanza.get('is_a', ())),
    xrefs=unique(stanza.get('xref', ())),
  )


def _settle(moved, terms, skipped) -> dict[str, str]:
  """Finds the other ids that lead to a live term, directly or by others."""
  alternatives = {}
  for alias in moved:
    if alias in terms:
      skipped[_TAKEN] += 1
      continue
    target, passed = moved[alias], {alias}
    while target not in terms and target in moved and target not in passed:
      passed.add(target)
      target = moved[target]
    if target in terms:
      alternatives[alias] = target
  return alternatives
