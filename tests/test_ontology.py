"""Ontologies: what is read, what is left out, closures, merging, weights."""

import itertools
import math
import random
import time

import hypothesis
import hypothesis.strategies as st
import numpy as np
import pytest
from draws import examples

from dicejax.concepts import ontology as on
from dicejax.concepts.ontology import Ontology
from dicejax.concepts.ontology import OntologyError
from dicejax.concepts.ontology import Term
from dicejax.concepts.ontology.terms import without_cycles

# Every trap that a stanza may have, one a stanza.
_OBO = r"""format-version: 1.2
default-namespace: test
is_a: X:1

[Term]
id: X:1 ! the root
name: finding {kind="a ! b"} ! not part of the name
def: "It says [Term]: \"id: X:99\"." [url:http\://x.org]
unknown_tag: anything

! A comment line, and a stanza of another kind.
[Typedef]
id: part_of
name: part of
is_a: X:1

[Term] ! more
id: X:2
name: heart \{left\}\: size\, \"large\" \\ C\ntwo
synonym: "big \"heart\"" EXACT []
synonym: "the \\ sign" NARROW plural_form [PMID:1]
synonym: "heart thing" RELATED []
synonym: "organ thing" BROAD [] {comment="x"}
synonym: "no scope" []
synonym: "big \"heart\"" EXACT layperson []
synonym: without quotes EXACT []
synonym: "" EXACT []
alt_id: X:20
alt_id: X:21
xref: UMLS:C0018800 {source="MONDO"}
xref: MESH:D006332 "described here" ! and there
xref: UMLS:C0018800
xref: url\:x
is_a: X:1 {is_inferred="true"} ! finding
is_a: X:1 ! again
is_a: X:77 ! nobody
[Term]
name: name before id
is_obsolete: false
id: X:3
is_a: X:20 ! an alternative of X:2
is_a: X:5 ! obsolete, replaced by X:2
is_a: X:6 ! obsolete, but X:7 has its id
is_a: X:60 ! obsolete, replaced by nothing

[Term]
id: X:4
name: with a broken line
this line has no tag

[Term]
id: X:4a
name: with a broken tag
this line has: no tag

[Term]
id: X:4b

[Term]
name: no id

[Term]
id: X:4c
id: X:4d
name: two ids

[Term]
id: X:4e
name: ! only a comment

[Term]
id: X:5
name: obsolete, replaced by way of another
alt_id: X:50
is_obsolete: true
replaced_by: X:51
replaced_by: X:1

[Term]
id: X:51
name: obsolete, replaced
is_obsolete: true
replaced_by: X:2

[Term]
id: X:6
name: obsolete for good
alt_id: X:60
is_obsolete: true

[Term]
id: X:61
name: obsolete, in a ring
is_obsolete: true
replaced_by: X:62

[Term]
id: X:62
name: obsolete, in a ring
is_obsolete: true
replaced_by: X:61

[Term]
id: X:2
name: the id of another
is_a: X:3

[Term]
id: X:7
name: hungry for ids
alt_id: X:1
alt_id: X:20
alt_id: X:6
is_a: X:3 ! whose parent it is
"""


@pytest.fixture
def read(tmp_path):
  def read(text, newline='\n'):
    path = tmp_path / 'x.obo'
    data = text if isinstance(text, bytes) else text.encode()
    path.write_bytes(data.replace(b'\n', newline.encode()))
    return on.read_obo(path)

  return read


@pytest.mark.parametrize('newline', ['\n', '\r\n'])
@pytest.mark.parametrize('start', ['', '\ufeff'])
def test_obo(read, newline, start):
  found = read(start + _OBO, newline)
  assert list(found.terms.values()) == [
    Term('X:1', 'finding'),
    Term(
      'X:2',
      'heart {left}: size, "large" \\ C two',
      synonyms=('big "heart"', 'the \\ sign'),
      parents=('X:1',),
      xrefs=('UMLS:C0018800', 'MESH:D006332', 'url:x'),
    ),
    Term('X:3', 'name before id', parents=('X:2', 'X:7')),
    Term('X:7', 'hungry for ids'),
  ]
  assert list(found.terms) == ['X:1', 'X:2', 'X:3', 'X:7']
  assert found.alternatives == {
    **dict.fromkeys(['X:20', 'X:21', 'X:5', 'X:50', 'X:51'], 'X:2'),
    'X:6': 'X:7',
  }
  assert found.equivalents == ()
  assert found.skipped == {
    'synonyms without quotes': 1,
    'broad or related synonyms': 3,
    'stanzas with a line that has no tag': 2,
    'stanzas without one id and one name': 4,
    'obsolete terms': 5,
    'stanzas with the id of another': 1,
    'alternative ids that another term has': 2,
    'parents that are not live terms': 2,
    'parents that would close a cycle': 1,
  }


def test_obo_without_a_header(read):
  assert list(read('\ufeff[Term]\nid: a\nname: b').terms) == ['a']


@pytest.mark.parametrize(
  'text, message',
  [
    ('', r'x.obo: expected live \[Term\] stanzas, found none'),
    ('id,name\nX:1,a\n', r'x.obo: expected live \[Term\] stanzas, found none'),
    ('[Typedef]\nid: a\nname: b\n', 'found none'),
    ('[Term]\nid: a\nname: b\nis_obsolete: true\n', 'found none'),
    (b'[Term]\nid: a\nname: b\xff\n', 'x.obo:3: not UTF-8 text'),
    (b'\xef\xbb\xbf[Term]\n\n\nname: Sj\xf6gren', 'x.obo:4: not UTF-8 text'),
  ],
)
def test_no_obo(read, tmp_path, text, message):
  with pytest.raises(OntologyError, match=message) as raised:
    read(text)
  assert str(raised.value).startswith(str(tmp_path))


def test_missing_obo(tmp_path):
  with pytest.raises(OntologyError, match='none.obo: No such file'):
    on.read_obo(tmp_path / 'none.obo')
  with pytest.raises(OntologyError, match='Is a directory'):
    on.read_obo(tmp_path)


_many = examples(100)

# Links among a few terms, in any order, with repeats and cycles.
_links = st.lists(st.tuples(st.integers(0, 6), st.integers(0, 6)), max_size=25)


def _closure(links, size=7):
  """Whether the second is reached from the first: Warshall."""
  reached = np.eye(size, dtype=bool)
  for one, other in links:
    reached[one, other] = True
  for k in range(size):
    reached |= np.outer(reached[:, k], reached[k])
  return reached


def _keep(links):
  """The rule said once more: one link after the other, the closure anew."""
  kept, dropped = [], 0
  for child, parent in dict.fromkeys(links):
    if _closure(kept)[parent, child]:
      dropped += 1
    else:
      kept.append((child, parent))
  return kept, dropped


@_many
@hypothesis.given(_links)
def test_cycles_are_cut_where_they_close(links):
  kept, dropped = _keep(links)
  parents, cyclic = without_cycles(links)
  found = [(child, p) for child, above in parents.items() for p in above]
  assert sorted(found) == sorted(kept)
  assert cyclic == dropped
  for child, above in parents.items():
    assert above == [p for c, p in kept if c == child]


def test_obo_cycles_in_the_order_of_the_file(read):
  found = read(
    '[Term]\nid: a\nname: a\nis_a: b\nis_a: a\n'
    '[Term]\nid: b\nname: b\nis_a: c\nis_a: d\n'
    '[Term]\nid: c\nname: c\nis_a: a\nis_a: d\n'
    '[Term]\nid: d\nname: d\n'
  )
  assert {t.id: t.parents for t in found.terms.values()} == {
    'a': ('b',),
    'b': ('c', 'd'),
    'c': ('d',),
    'd': (),
  }
  assert found.skipped == {'parents that would close a cycle': 2}


@pytest.mark.parametrize('order', ['up', 'down', 'any'])
def test_a_long_ring_is_cut_in_time(order):
  size = 30_000
  links = [(i, (i + 1) % size) for i in range(size)]
  if order == 'down':
    links.reverse()
  if order == 'any':
    random.Random(0).shuffle(links)
  start = time.perf_counter()
  parents, cyclic = without_cycles(links)
  # Quadratic time would be minutes.
  assert time.perf_counter() - start < 5
  assert cyclic == 1
  assert links[-1][0] not in parents


def _ontology(links, pairs=(), size=7):
  """Terms '0', '1', ... and the links that keep them without a cycle."""
  kept, _ = _keep(links)
  terms = {
    str(i): Term(
      str(i), f'name {i}', parents=tuple(str(p) for c, p in kept if c == i)
    )
    for i in range(size)
  }
  equivalents = tuple((str(a), str(b)) for a, b in pairs)
  return Ontology(terms, equivalents=equivalents), kept


@_many
@hypothesis.given(_links)
def test_ancestors(links):
  ontology, kept = _ontology(links)
  reached = _closure(kept)
  found = on.ancestors(ontology)
  assert list(found) == list(ontology.terms)
  for id, above in found.items():
    assert above == {str(j) for j in range(7) if reached[int(id), j]}


def test_ancestors_of_a_deep_ontology():
  size = 1_500
  chain = {
    str(i): Term(str(i), 'a', parents=(str(i + 1),) if i + 1 < size else ())
    for i in range(size)
  }
  assert len(on.ancestors(Ontology(chain))['0']) == size


@pytest.mark.parametrize(
  'parents, message',
  [
    ({'a': ('b',)}, 'a has the parent b, which is not a term'),
    ({'a': ('b',), 'b': ('a',)}, '[ab] is among its own ancestors'),
    ({'a': ('a',)}, 'a is among its own ancestors'),
  ],
)
def test_ancestors_of_terms_that_do_not_fit(parents, message):
  terms = {id: Term(id, id, parents=above) for id, above in parents.items()}
  with pytest.raises(OntologyError, match=message):
    on.ancestors(Ontology(terms))


@pytest.mark.parametrize(
  'fields, message',
  [
    ({'alternatives': {'b': 'c'}}, 'b points to c, which is not a term'),
    (
      {'equivalents': (('a', 'd'),)},
      'd is among the equivalents, but not',
    ),
  ],
)
def test_ontology_of_ids_that_are_no_terms(fields, message):
  with pytest.raises(OntologyError, match=message):
    Ontology({'a': Term('a', 'a')}, **fields)


@_many
@hypothesis.given(_links)
def test_synonym_components(pairs):
  ontology, _ = _ontology((), pairs)
  reached = _closure([*pairs, *((b, a) for a, b in pairs)])
  assert on.synonym_components(ontology) == {
    str(i): str(np.flatnonzero(reached[i])[0]) for i in range(7)
  }


def _leaves(id, children):
  """The leaves below a term, by every path."""
  if not children[id]:
    return {id}
  return set().union(*(_leaves(child, children) for child in children[id]))


@_many
@hypothesis.given(_links)
def test_intrinsic_information(links):
  ontology, kept = _ontology(links)
  children = {i: [c for c, p in kept if p == i] for i in range(7)}
  total = sum(not below for below in children.values())
  for id, information in on.intrinsic_information(ontology).items():
    share = len(_leaves(int(id), children)) / total
    assert information == pytest.approx(-math.log(share), abs=1e-15)


def test_a_leaf_by_two_paths_counts_once():
  # 3 is below 1 and below 2; by paths the root would have 3 leaves of 2.
  ontology, _ = _ontology([(1, 0), (2, 0), (3, 1), (3, 2), (4, 2)], size=5)
  assert on.intrinsic_information(ontology) == pytest.approx(
    {'0': 0, '1': math.log(2), '2': 0, '3': math.log(2), '4': math.log(2)}
  )


@_many
@hypothesis.given(_links, st.lists(st.sets(st.integers(0, 6)), max_size=6))
def test_corpus_information(links, documents):
  ontology, kept = _ontology(links)
  reached = _closure(kept)
  found = on.corpus_information(
    ontology, [[str(i) for i in document] for document in documents]
  )
  for id, term in ontology.terms.items():
    n = sum(any(reached[i, int(id)] for i in d) for d in documents)
    expected = -math.log((n + 1) / (len(documents) + 1))
    assert found[id] == pytest.approx(expected, abs=1e-15)
    assert all(found[id] >= found[parent] >= 0 for parent in term.parents)


def test_corpus_information_by_hand():
  ontology, _ = _ontology([(1, 0), (2, 1)], size=4)
  documents = (iter(ids) for ids in ('221', '', '0', '2'))
  assert on.corpus_information(ontology, documents) == pytest.approx(
    {
      '0': math.log(5 / 4),
      '1': math.log(5 / 3),
      '2': math.log(5 / 3),
      '3': math.log(5),
    }
  )
  assert set(on.corpus_information(ontology, []).values()) == {0.0}
  with pytest.raises(OntologyError, match='document 2 has 9, which is not a'):
    on.corpus_information(ontology, [['0'], ['1', '9']])


def test_type_weights():
  types = [('T047',), ('T033', 'T046'), ('T046', 'T033'), ('T019',), ()]
  terms = {str(i): Term(str(i), 'a', types=t) for i, t in enumerate(types)}
  assert on.type_weights(Ontology(terms)) == dict(
    zip('01234', [3.0, 2.0, 2.0, 0.0, 0.0], strict=True)
  )
  assert on.type_weights(Ontology(terms), {'T019': 0.5, 'T033': 2}) == dict(
    zip('01234', [0.0, 2.0, 2.0, 0.5, 0.0], strict=True)
  )


def _of(*terms, **fields):
  return Ontology({term.id: term for term in terms}, **fields)


def test_merge():
  first = _of(
    Term('A:1', 'lung', xrefs=('UMLS:C0000001', 'UMLS:C0000004')),
    Term(
      'A:2',
      'mass',
      synonyms=('lump',),
      parents=('A:1',),
      xrefs=('UMLS:C0000002', 'UMLS:C0000003'),
      types=('T033',),
    ),
    Term('A:3', 'tumour', parents=('A:1',), xrefs=('UMLS:C0000003',)),
    alternatives={'A:9': 'A:2'},
    equivalents=(('A:3', 'A:2'),),
    skipped={'obsolete terms': 2},
  )
  second = _of(
    Term('B:0', 'disease'),
    # By its second xref; the first is unknown, the third would be A:1.
    Term(
      'B:1',
      'mass of the lung',
      synonyms=('lump', 'mass'),
      parents=('B:0', 'B:2'),
      xrefs=('UMLS_CUI:C0000008', 'umls_cui:C0000002', 'UMLSCUI:C0000004'),
      types=('T047', 'T033'),
    ),
    Term('B:2', 'lungs', xrefs=('MESH:1', 'UMLS:0000001')),
    # Not the same: no UMLS id, an id of another kind, one that is too long.
    Term('B:3', 'cough', xrefs=('NCI:C0000001', 'UMLS:C00000011')),
    alternatives={'B:8': 'B:1', 'A:3': 'B:3'},
    equivalents=(('B:3', 'B:0'),),
    skipped={'obsolete terms': 3},
  )
  third = _of(
    # Carries what only B:1 had; by its id, an alternative, it is A:2, too.
    Term('C0000008', 'lump of lung', xrefs=('UMLS:C0000008',)),
    Term('A:9', 'swelling', parents=('C0000008',), xrefs=('UMLS:C0000001',)),
    Term('B:3', 'coughing', parents=('A:9', 'C:9')),
    # The first that had it, A:1, though B:1 has it and became A:2.
    Term('C:2', 'airway', xrefs=('UMLS:C0000004',)),
    equivalents=(('C0000008', 'B:3'), ('C0000008', 'A:9')),
  )
  merged = on.merge(first, second, third)
  assert list(merged.terms.values()) == [
    Term(
      'A:1',
      'lung',
      synonyms=('lungs', 'airway'),
      xrefs=('UMLS:C0000001', 'UMLS:C0000004', 'MESH:1', 'UMLS:0000001'),
    ),
    Term(
      'A:2',
      'mass',
      synonyms=('lump', 'mass of the lung', 'lump of lung', 'swelling'),
      parents=('A:1', 'B:0'),
      xrefs=(
        'UMLS:C0000002',
        'UMLS:C0000003',
        'UMLS_CUI:C0000008',
        'umls_cui:C0000002',
        'UMLSCUI:C0000004',
        'UMLS:C0000008',
        'UMLS:C0000001',
      ),
      types=('T033', 'T047'),
    ),
    Term('A:3', 'tumour', parents=('A:1',), xrefs=('UMLS:C0000003',)),
    Term('B:0', 'disease'),
    Term(
      'B:3',
      'cough',
      synonyms=('coughing',),
      parents=('A:2',),
      xrefs=('NCI:C0000001', 'UMLS:C00000011'),
    ),
  ]
  assert merged.alternatives == {
    'A:9': 'A:2',
    'B:1': 'A:2',
    'B:2': 'A:1',
    'B:8': 'A:2',
    'C0000008': 'A:2',
    'C:2': 'A:1',
  }
  assert merged.equivalents == (
    ('A:2', 'A:3'),
    ('B:0', 'B:3'),
    ('A:2', 'B:3'),
  )
  assert merged.skipped == {
    'obsolete terms': 5,
    # C0000003 of the first.
    'UMLS identifiers that several terms of one ontology have': 1,
    'parents that are not live terms': 1,
    # From the third: A:2 above itself.
    'parents that would close a cycle': 1,
  }


def test_merge_links_one_identifier_to_one_term():
  # Two terms of an ontology do not become one by the identifier they share,
  x = ('UMLS:C0000001',)
  first = _of(Term('A:1', 'a', xrefs=x), Term('A:2', 'b', xrefs=x))
  second = _of(Term('B:1', 'c', xrefs=x), Term('B:2', 'd', xrefs=x))
  merged = on.merge(first, second)
  assert list(merged.terms) == ['A:1', 'A:2', 'B:2']
  assert merged.alternatives == {'B:1': 'A:1'}
  assert list(merged.skipped.values()) == [2]
  # but by two identifiers of one other term.
  both = _of(Term('A:1', 'a', xrefs=('UMLS:C0000001', 'UMLS:C0000002')))
  apart = _of(
    Term('B:1', 'c', xrefs=x),
    Term('B:2', 'd', xrefs=('UMLS:C0000002',), parents=('B:1',)),
  )
  merged = on.merge(both, apart)
  assert merged.terms['A:1'].synonyms == ('c', 'd')
  assert merged.terms['A:1'].parents == ()
  assert merged.skipped == {'parents that would close a cycle': 1}


@pytest.mark.parametrize('order', [*itertools.permutations('xyz')])
def test_merge_drops_cycles_of_the_later_ontology(order):
  cui = dict(zip('xyz', ('C0000001', 'C0000002', 'C0000003'), strict=True))

  def make(prefix, **parents):
    return _of(
      *(
        Term(
          prefix + id,
          id,
          parents=tuple(prefix + p for p in parents.get(id, ())),
          xrefs=(f'UMLS:{cui[id]}',),
        )
        for id in order
      )
    )

  merged = on.merge(make('A:', x='y', y='z'), make('B:', z='x', x='z'))
  assert {id: set(term.parents) for id, term in merged.terms.items()} == {
    'A:x': {'A:y', 'A:z'},
    'A:y': {'A:z'},
    'A:z': set(),
  }
  assert merged.skipped == {'parents that would close a cycle': 1}


def test_merge_of_one_and_with_itself(read):
  ontology = read(_OBO)
  assert on.merge(ontology) == ontology
  twice = on.merge(ontology, ontology)
  assert twice.terms == ontology.terms
  assert twice.alternatives == ontology.alternatives
  assert twice.skipped == {k: 2 * n for k, n in ontology.skipped.items()}


_ids = st.sampled_from([f'UMLS:C000000{i}' for i in range(5)])


@_many
@hypothesis.given(
  st.lists(
    st.tuples(_links, st.lists(st.lists(_ids, max_size=3), max_size=7)),
    min_size=1,
    max_size=3,
  )
)
def test_merge_keeps_its_promises(parts):
  ontologies = []
  for prefix, (links, xrefs) in enumerate(parts):
    ontology, _ = _ontology(links)
    terms = {}
    for term, x in itertools.zip_longest(ontology.terms.values(), xrefs):
      id = f'{prefix}:{term.id}'
      parents = tuple(f'{prefix}:{p}' for p in term.parents)
      terms[id] = Term(id, id, parents=parents, xrefs=tuple(x or ()))
    ontologies.append(Ontology(terms))
  merged = on.merge(*ontologies)
  every = {id: term for o in ontologies for id, term in o.terms.items()}
  assert sorted([*merged.terms, *merged.alternatives]) == sorted(every)
  assert set(merged.alternatives.values()) <= merged.terms.keys()
  home = {id: merged.alternatives.get(id, id) for id in every}
  closures = on.ancestors(merged)  # raises if there is a cycle
  # All of the first, links included; and terms join earlier ones only.
  for id, term in ontologies[0].terms.items():
    assert home[id] == id
    assert merged.terms[id].parents[: len(term.parents)] == term.parents
  place = {id: i for i, id in enumerate(every)}
  assert all(place[home[id]] <= place[id] for id in every)
  # No name and no xref is lost.
  for id, term in merged.terms.items():
    joined = {i for i in every if home[i] == id}
    assert {term.name, *term.synonyms} == joined
    assert {x for i in joined for x in every[i].xrefs} == set(term.xrefs)
  links = {
    (home[id], home[parent])
    for id, term in every.items()
    for parent in term.parents
  }
  kept = {(id, p) for id, term in merged.terms.items() for p in term.parents}
  lost = links - kept
  assert kept <= links
  assert len(lost) == merged.skipped.get('parents that would close a cycle', 0)
  assert all(child in closures[parent] for child, parent in lost)


def _name(cui, name, **columns):
  """A row of MRCONSO.RRF; columns that are not read have a letter."""
  row = {
    'CUI': cui, 'LAT': 'ENG', 'TS': 'P', 'LUI': 'L', 'STT': 'PF', 'SUI': 'S',
    'ISPREF': 'Y', 'AUI': 'A', 'SAUI': '', 'SCUI': 'x', 'SDUI': '',
    'SAB': 'SNOMEDCT_US', 'TTY': 'PT', 'CODE': 'x', 'STR': name, 'SRL': '9',
    'SUPPRESS': 'N', 'CVF': '256',
  } | columns  # fmt: skip
  assert len(row) == 18
  return ''.join(f'{field}|' for field in row.values())


def _relation(first, relation, second, **columns):
  row = {
    'CUI1': first, 'AUI1': 'A1', 'STYPE1': 'SCUI', 'REL': relation,
    'CUI2': second, 'AUI2': 'A2', 'STYPE2': 'SCUI', 'RELA': 'isa', 'RUI': 'R1',
    'SRUI': '', 'SAB': 'SNOMEDCT_US', 'SL': 'SNOMEDCT_US', 'RG': '0',
    'DIR': 'N', 'SUPPRESS': 'N', 'CVF': '',
  } | columns  # fmt: skip
  assert len(row) == 16
  return ''.join(f'{field}|' for field in row.values())


def _type(cui, tui):
  return f'{cui}|{tui}|A1.2|Some Type|AT1|256|'


_UMLS = {
  'MRCONSO.RRF': [
    _name('C0000005', 'lung disease'),
    _name('C0000001', 'consolidations', ISPREF='N', TTY='SY', TS='S'),
    _name('C0000001', 'Consolidation', ISPREF='N', TTY='SY'),
    _name('C0000001', 'consolidation', TTY='SY'),
    _name('C0000001', 'CONSOLIDATION', STT='VC'),
    _name('C0000001', 'Verdichtung', LAT='GER'),
    _name('C0000001', 'airspace consolidation', SAB='MSH'),
    _name('C0000001', 'old name', SUPPRESS='O'),
    _name('C0000001', 'edited name', SUPPRESS='E'),
    _name('C0000001', 'short name', SUPPRESS='Y'),
    # No row of the preferred term: a preferred one of the source.
    _name('C0000002', 'pneumonia (disorder)', TS='S', TTY='FN'),
    _name('C0000002', 'pneumonia', TS='S'),
    _name('C0000002', 'pneumonia', TS='S', TTY='SY'),
    _name('C0000003', 'Sj\u00f6gren "lung"', TS='S', STT='VO', ISPREF='N'),
    _name('C0000004', 'hidden', SUPPRESS='O'),
    _name('C0000006', 'only elsewhere', SAB='MSH'),
  ],
  'MRSTY.RRF': [
    _type('C0000001', 'T033'),
    _type('C0000006', 'T047'),
    _type('C0000002', 'T047'),
    _type('C0000001', 'T046'),
  ],
  'MRREL.RRF': [
    # The second is the parent of the first, and the other way round.
    _relation('C0000001', 'PAR', 'C0000005', RELA='inverse_isa'),
    _relation('C0000005', 'CHD', 'C0000001'),
    _relation('C0000005', 'CHD', 'C0000002'),
    _relation('C0000002', 'PAR', 'C0000004'),
    _relation('C0000004', 'CHD', 'C0000002'),
    _relation('C0000004', 'PAR', 'C0000005'),
    _relation('C0000005', 'PAR', 'C0000001'),
    _relation('C0000003', 'PAR', 'C0000005', SAB='MSH'),
    _relation('C0000003', 'PAR', 'C0000002', SUPPRESS='O'),
    _relation('C0000003', 'RB', 'C0000002'),
    _relation('C0000003', 'SY', 'C0000002', SAB='MSH'),
    _relation('C0000002', 'SY', 'C0000003', SAB='MSH'),
    _relation('C0000001', 'SY', 'C0000001'),
    _relation('C0000001', 'SY', 'C0000006'),
    _relation('C0000005', 'SY', 'C0000001', SUPPRESS='Y'),
  ],
}


@pytest.fixture
def read_umls(tmp_path):
  def read_umls(files=_UMLS, **options):
    for file, rows in files.items():
      data = ''.join(f'{row}\n' for row in rows)
      (tmp_path / file).write_bytes(data.encode('utf-8', 'surrogateescape'))
    return on.read_umls(tmp_path, **options)

  return read_umls


def test_umls(read_umls):
  found = read_umls()
  assert list(found.terms.values()) == [
    Term('C0000005', 'lung disease', xrefs=('UMLS:C0000005',)),
    Term(
      'C0000001',
      'consolidation',
      synonyms=('consolidations', 'Consolidation', 'CONSOLIDATION'),
      parents=('C0000005',),
      xrefs=('UMLS:C0000001',),
      types=('T033', 'T046'),
    ),
    Term(
      'C0000002',
      'pneumonia',
      synonyms=('pneumonia (disorder)',),
      parents=('C0000005',),
      xrefs=('UMLS:C0000002',),
      types=('T047',),
    ),
    Term('C0000003', 'Sj\u00f6gren "lung"', xrefs=('UMLS:C0000003',)),
  ]
  assert list(found.terms) == [term.id for term in found.terms.values()]
  assert found.alternatives == {}
  assert found.equivalents == (('C0000002', 'C0000003'),)
  assert found.skipped == {
    'suppressible names': 4,
    'suppressible relations': 2,
    'parents that are not live terms': 1,
    'parents that would close a cycle': 1,
  }
  assert on.type_weights(found) == {
    'C0000005': 0,
    'C0000001': 2,
    'C0000002': 3,
    'C0000003': 0,
  }


def test_umls_of_other_sources(read_umls):
  found = read_umls(sources=['MSH', 'RCD'])
  assert [t.name for t in found.terms.values()] == [
    'airspace consolidation',
    'only elsewhere',
  ]
  assert found.equivalents == (('C0000001', 'C0000006'),)
  assert list(read_umls(language='GER').terms) == ['C0000001']


def test_umls_gives_types_to_another_ontology(read_umls):
  hpo = _of(Term('HP:1', 'Pulmonary density', xrefs=('UMLS:C0000001',)))
  merged = on.merge(hpo, read_umls())
  assert on.type_weights(merged)['HP:1'] == 2
  assert merged.alternatives == {'C0000001': 'HP:1'}
  assert merged.terms['HP:1'].parents == ('C0000005',)


@pytest.mark.parametrize(
  'file, columns', [('MRCONSO', 18), ('MRSTY', 6), ('MRREL', 16)]
)
def test_malformed_umls(read_umls, tmp_path, file, columns):
  file = f'{file}.RRF'
  first, good, *_ = _UMLS[file]
  for bad, message in [
    (f'{good}x|', f'found {columns + 1}.'),
    (good.removesuffix('|'), f'found {columns - 1}'),
    (f'{good}x', f"found {columns} and then 'x'"),
    ('', 'found 0.'),
  ]:
    expected = f'{tmp_path}/{file}:2: expected {columns} columns, .*{message}'
    with pytest.raises(OntologyError, match=expected):
      read_umls(_UMLS | {file: [first, bad]})
  with pytest.raises(OntologyError, match=f'{file}:2: not UTF-8 text'):
    read_umls(_UMLS | {file: [first, good.replace('C', '\udcff', 1)]})
  (tmp_path / file).unlink()
  with pytest.raises(OntologyError, match=f'{file}: No such file'):
    on.read_umls(tmp_path)


def test_comments_of_parents_need_no_blank(tmp_path):
  path = tmp_path / 'x.obo'
  path.write_text(
    '[Term]\nid: X:1\nname: lung\n\n[Term]\nid: X:2! a\nname: spot! of ink\n'
    'is_a: X:1! lung\n\n[Term]\nid: X:3\nname: dot\nis_a:X:1!lung\n'
    'xref: URL:http://a.b/c!d\n'
  )
  terms = on.read_obo(path).terms
  assert {id: term.parents for id, term in terms.items()} == {
    'X:1': (),
    'X:2': ('X:1',),
    'X:3': ('X:1',),
  }
  assert terms['X:3'].xrefs == ('URL:http://a.b/c!d',)


def test_tags_of_obo_1_0(tmp_path):
  path = tmp_path / 'x.obo'
  path.write_text(
    'format-version: 1.0\n\n[Term]\nid: X:1\nname: a\n'
    'exact_synonym: "b \\"c\\"" []\nnarrow_synonym: "d" [X:1]\n'
    'broad_synonym: "e" []\nrelated_synonym: "f" []\n'
    'exact_synonym: no quotes\nxref_analog: UMLS_CUI:C0000001\n\n'
    '[Term]\nid: X:2\nname: g\nis_obsolete: true\nuse_term: X:1\n'
  )
  found = on.read_obo(path)
  assert found.terms == {
    'X:1': Term('X:1', 'a', ('b "c"', 'd'), (), ('UMLS_CUI:C0000001',))
  }
  assert found.alternatives == {'X:2': 'X:1'}
  assert found.skipped == {
    'broad or related synonyms': 2,
    'synonyms without quotes': 1,
    'obsolete terms': 1,
  }


def test_umls_without_names(read_umls):
  with pytest.raises(OntologyError, match='names in ENG of A, B, found none'):
    read_umls(sources=('A', 'B'))
  with pytest.raises(ValueError, match="a collection of names, got 'MSH'"):
    read_umls(sources='MSH')
