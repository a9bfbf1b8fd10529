"""Alias tables: their lines, several joined, and what they add to a linker."""

import dataclasses

import pytest

from dicejax.concepts.ontology import Ontology
from dicejax.concepts.ontology import Term
from dicejax.concepts.text.aliases import Aliases
from dicejax.concepts.text.aliases import add_aliases
from dicejax.concepts.text.aliases import read_aliases
from dicejax.concepts.text.linker import Linker


def _ontology(*terms):
  return Ontology({term.id: term for term in terms})


_TABLE = """# A comment.
term\tL:1\tlarge dot\tX:9|L:2
term\tL:2\tthing

form\tX:8\tspot | coin
form\tL:1\tblob
form\tX:8\tround shadow
stop\tcoins of gold | X:5
elsewhere\tX:8|L:1\tpurse | Pockets
elsewhere\tX:8\that
"""


@pytest.fixture
def read(tmp_path):
  def read(text, name='table.tsv'):
    path = tmp_path / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return read_aliases(path)

  read.folder = tmp_path
  return read


@pytest.mark.parametrize('newline', ['\n', '\r\n'])
def test_alias_table(read, tmp_path, newline):
  path = tmp_path / 'table.tsv'
  table = read('\ufeff' + _TABLE.replace('\n', newline))
  assert table == Aliases(
    {
      'L:1': Term('L:1', 'large dot', parents=('X:9', 'L:2')),
      'L:2': Term('L:2', 'thing'),
    },
    {'L:1': ('blob',), 'L:2': (), 'X:8': ('spot', 'coin', 'round shadow')},
    frozenset(['coins of gold', 'X:5']),
    {
      'X:8': frozenset(['purse', 'Pockets', 'hat']),
      'L:1': frozenset(['purse', 'Pockets']),
    },
    {'X:9': f'{path}:2', 'X:8': f'{path}:5'},
  )


@pytest.mark.parametrize(
  'text, message',
  [
    ('term\tL:1\n', "1: expected 'term', id.* found 'term' and 1 values"),
    ('# x\nterm\tL:1\t\n', "2: expected 'term'"),
    ('form\tX:1\n', "1: expected 'term', id"),
    ('form\tX:1\ta b\tc d\n', "1: .*found 'form' and 3 values"),
    ('form X:1 spot\n', "1: .*found 'form X:1 spot' and 0 values"),
    ('word\tX:1\tspot\n', "1: .*found 'word'"),
    ('stop\n', "1: .*found 'stop' and 0 values"),
    ('elsewhere\tX:1\n', "1: .*found 'elsewhere' and 1 values"),
    ('elsewhere\tX:1\tlower leg\n', "1: expected single words .* 'lower leg'"),
    (
      'form\tX:1\tspot\nstop\tspots\n',
      "2: the form 'spots' is a form of X:1 already .line 1.",
    ),
    (
      'stop\tspot\nform\tX:1\tspot\n',
      "2: the form 'spot' is a form to stop already .line 1.",
    ),
    ('form\tX:1\tspot | \n', '1: expected something on both sides of |'),
    ('term\tL:1\tone\nterm\tL:1\ttwo\n', '2: the term L:1 is there already'),
    (
      'form\tX:1\tspot\n\nform\tX:2\tthe Spots\n',
      "3: the form 'the Spots' is a form of X:1 already .line 1.",
    ),
    ('form\tX:1\ta\n', "1: the form 'a' is too short"),
    ('form\tX:1\t1 2 3\n', "1: the form '1 2 3' is too short"),
    (b'form\tX:1\tb\xe9b\xe9\n', ' is not UTF-8'),
  ],
)
def test_malformed_alias_table(read, tmp_path, text, message):
  with pytest.raises(ValueError, match=f'^{tmp_path}/table.tsv:{message}'):
    read(text)


def test_add_aliases():
  ontology = dataclasses.replace(
    _ontology(
      Term('X:1', 'edema', ('swelling', 'dropsy')),
      Term('X:2', 'mass', ('lump', 'swelling of skin')),
      Term('X:3', 'nodule', ('lump', 'spot'), parents=('X:2',)),
    ),
    alternatives={'Y:3': 'X:3'},
    skipped={'obsolete terms': 2},
  )
  aliases = Aliases(
    {'L:1': Term('L:1', 'cuff', parents=('Y:3', 'Z:1'))},
    {
      'Y:3': ('coin', 'the lump'),
      'X:2': ('spot',),
      'L:1': ('swelling',),
      'Z:2': ('never',),
    },
    frozenset(),
  )
  made = add_aliases(ontology, aliases)
  assert list(made.terms) == ['L:1', 'X:3', 'X:2', 'X:1']
  assert made.terms['L:1'].parents == ('X:3',)
  assert made.terms['X:3'].parents == ('X:2',)
  assert made.skipped == {
    'obsolete terms': 2,
    'concepts of the alias table that the ontology lacks': 1,
    'parents that are not live terms': 1,
  }
  assert ontology.terms['X:1'].synonyms == ('swelling', 'dropsy')
  linker = Linker(ontology, aliases)
  assert linker.ontology == made
  text = 'coin, lump, spot, swelling, dropsy, cuff, never, swelling of skin'
  assert [m.concept for m in linker(text)] == (
    ['X:3', 'X:3', 'X:2', 'L:1', 'X:1', 'L:1', 'X:2']
  )


def test_the_table_of_the_package():
  aliases = read_aliases()
  ids = {id for id in aliases.forms if not id.startswith('DJ:')}
  ids |= {p for t in aliases.terms.values() for p in t.parents} - {
    *aliases.terms
  }
  ontology = _ontology(*(Term(id, f'name {n}') for n, id in enumerate(ids)))
  linker = Linker(ontology, aliases)
  assert linker.ontology.skipped == linker.skipped == {}
  assert all(id.startswith('DJ:') for id in aliases.terms)
  for id, forms in aliases.forms.items():
    for form in forms:
      assert [m.concept for m in linker(form)] == [id], form
  text = 'Airspace disease at the base. No cardiopulmonary disease.'
  assert [m.concept for m in linker(text)] == ['DJ:airspace_disease']


def _linked(linker, text):
  return [
    (mention.concept, text[mention.start : mention.end])
    for mention in linker(text)
  ]


def test_a_later_table_adds_to_an_earlier_one(read):
  first = 'form\tX:1\tspot | coin\nstop\tdot | patch\nelsewhere\tX:1\that\n'
  second = (
    'term\tL:1\tblot\tX:1\nform\tX:2\tthe coin\nform\tX:2\tDots\n'
    'elsewhere\tX:1\tcap\n'
  )
  read(first, 'first.tsv'), read(second, 'second.tsv')
  folder = read.folder
  table = read_aliases(folder / 'first.tsv', folder / 'second.tsv')
  ontology = _ontology(
    Term('X:1', 'mark', ('patch',)), Term('X:2', 'money', ('dot',))
  )
  linker = Linker(ontology, table)
  # The coin has moved, and a form of the later table is not stopped.
  assert _linked(linker, 'spot, coin, dots, patch, blot') == [
    ('X:1', 'spot'),
    ('X:2', 'coin'),
    ('X:2', 'dots'),
    ('L:1', 'blot'),
  ]
  assert _linked(linker, 'hat spot. Cap spot. Spot of the cap.') == []


@pytest.mark.parametrize(
  'text, line, id',
  [
    ('form\tX:9\tspot\n', 1, 'X:9'),
    ('# x\nterm\tL:1\tspot\tX:9\n', 2, 'X:9'),
    ('elsewhere\tX:1 | X:9\that\n', 1, 'X:9'),
    # Alternative ids and terms of the table itself are known.
    ('form\tY:1\tspot\nterm\tL:1\tblot\tL:2\nterm\tL:2\tink\n', 0, ''),
  ],
)
def test_an_id_that_the_ontology_lacks(read, text, line, id):
  ontology = Ontology({'X:1': Term('X:1', 'mark')}, {'Y:1': 'X:1'})
  table = read(text)
  if not line:
    assert len(Linker(ontology, table).ontology.terms) == 3
    return
  place = f'^{read.folder}/table.tsv:{line}: {id} is not a concept of the onto'
  with pytest.raises(ValueError, match=place):
    Linker(ontology, table)


_REGIONS = [
  ('Ankle edema.', 0),
  ('ankles: edema', 1),
  ('Edema of the left ankle.', 0),
  ('Edema in both lower legs', 0),
  ('edema at the ANKLES', 0),
  ('Edema, ankle is normal.', 1),
  ('Edema of the lungs.', 1),
  ('Left ankle and leg edema; edema of the lungs', 1),
  ('Edema. Ankle.', 1),
  ('Edema of', 1),
  ('edema', 1),
  ('Edema with ankle swelling', 1),
  ('pulmonary edema', 1),
  ('ankle-edema', 0),
  ('edema (ankle)', 1),
  ('ankle fracture, edema', 1),
]


@pytest.mark.parametrize('text, number', _REGIONS)
def test_findings_of_other_regions(read, text, number):
  table = read('form\tX:1\tedema\nelsewhere\tX:1\tankle | leg\n')
  linker = Linker(_ontology(Term('X:1', 'pulmonary edema')), table)
  assert len(linker(text)) == number


def test_a_longer_term_wins_over_a_region(read):
  table = read('form\tX:1\tedema\nelsewhere\tX:1\tankle\n')
  ontology = _ontology(
    Term('X:1', 'pulmonary edema'), Term('X:2', 'ankle edema')
  )
  text = 'Ankle edema and edema.'
  assert _linked(Linker(ontology, table), text) == [
    ('X:2', 'Ankle edema'),
    ('X:1', 'edema'),
  ]


@pytest.mark.parametrize(
  'text, names',
  [
    ('Cystic fibrosis.', []),
    ('Fibrosis of the liver. Fibrosis.', ['HP:0002206']),
    ('Pedal edema, brain edema, edema of the knee.', []),
    ('Soft tissue edema of the ankle.', []),
    ('Knee effusion. Small effusion.', ['HP:0002202']),
    ('Thyroid nodule and a nodule.', ['HP:0033608']),
    ('Vertebral collapse, collapse of the left lower lobe', ['HP:0100750']),
    ('Perihilar edema of the lungs', ['HP:0100598']),
  ],
)
def test_regions_of_the_chest_table(text, names):
  linker = Linker(
    _ontology(
      Term('HP:0002206', 'Pulmonary fibrosis'),
      Term('HP:0100598', 'Pulmonary edema'),
      Term('HP:0002202', 'Pleural effusion'),
      Term('HP:0033608', 'Pulmonary nodule'),
      Term('HP:0100750', 'Atelectasis'),
    ),
    read_aliases('chest'),
  )
  assert [mention.concept for mention in linker(text)] == names


def test_the_stop_list_belongs_to_the_chest_table(read):
  ontology = _ontology(Term('X:1', 'Cough'), Term('X:2', 'Pain', ('ache',)))
  text = 'Cough and pain.'
  assert [m.concept for m in Linker(ontology)(text)] == ['X:1', 'X:2']
  own = read('form\tX:2\thurt\n')
  assert [m.concept for m in Linker(ontology, own)(text)] == ['X:1', 'X:2']
  assert Linker(ontology, read_aliases('chest'))(text) == []
  # A table that is joined to the one for chests may want a word back.
  read('form\tX:2\tpain\n')
  both = read_aliases('chest', read.folder / 'table.tsv')
  assert [m.concept for m in Linker(ontology, both)(text)] == ['X:2']
