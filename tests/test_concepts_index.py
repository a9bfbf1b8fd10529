"""Reports from CSV files, and the file of an index."""

import io
import json
import pathlib
import pickle
import zipfile

import numpy as np
import pytest
from draws import examples
from hypothesis import given
from hypothesis import strategies as st

from dicejax.concepts.files import replacing
from dicejax.concepts.ontology import Ontology
from dicejax.concepts.ontology import Term
from dicejax.concepts.search.index import ReportIndex
from dicejax.concepts.text.aliases import Aliases
from dicejax.concepts.text.cues import read_cues
from dicejax.concepts.text.linker import Linker
from dicejax.concepts.text.mentions import Experiencer
from dicejax.concepts.text.mentions import Mention
from dicejax.concepts.text.mentions import Polarity
from dicejax.concepts.text.mentions import Time
from dicejax.concepts.text.reports import Reports
from dicejax.concepts.text.reports import read_reports

PRESENT, ABSENT, UNCERTAIN = (
  Polarity.PRESENT,
  Polarity.ABSENT,
  Polarity.UNCERTAIN,
)


@pytest.fixture
def read(tmp_path):
  def read(content, columns=('findings', 'impression'), **options):
    path = tmp_path / 'reports.csv'
    data = content if isinstance(content, bytes) else content.encode()
    path.write_bytes(data)
    return read_reports(path, columns, **options)

  return read


# Reading reports.


@pytest.mark.parametrize('newline', ['\n', '\r\n'])
@pytest.mark.parametrize('mark', ['', '\ufeff'])
def test_texts_are_the_columns_in_the_order_asked_for(read, newline, mark):
  content = (
    'impression,uid, findings \n'
    'Edema.,a,"Large heart, ""boot""\nshaped."\n'
    '\n'
    ' ,b,No effusion.\n'
    'Normal., c ,\n'
    ' ,d,\n'
  )
  found = read(mark + content.replace('\n', newline))
  inside = newline.join(['Large heart, "boot"', 'shaped.'])
  assert found == Reports(
    ['a', 'b', 'c'],
    [f'{inside}\n\nEdema.', 'No effusion.', 'Normal.'],
    {'blank lines': 1, 'reports without text': 1},
  )


@pytest.mark.parametrize(
  'header, ids',
  [
    ('UID,x,findings', ['1', '3']),
    ('study_id,Report_ID,findings', ['2', '4']),
    ('ID,uid,findings', ['1', '3']),
    ('uid,ID,findings', ['2', '4']),
    # Numbered from 1, the second report, without text, as well.
    ('a,b,findings', ['1', '3']),
  ],
)
def test_which_column_is_the_id(read, header, ids):
  rows = '1,2,edema\n3,4,mass\n'
  if header[0] == 'a':
    rows = '1,2,edema\n3,4,\n5,6,mass\n'
  assert read(f'{header}\n{rows}', ['findings']).ids == ids


def test_id_column_by_name(read):
  assert read('id,key,t\n1,p,x\n1,q,y\n', ['t'], id_column='key').ids == [
    'p',
    'q',
  ]


def test_other_encoding(read):
  content = 'id,t\n1,œdème\n'
  assert read(content.encode('cp1252'), ['t'], encoding='cp1252').texts == [
    'œdème'
  ]
  assert read(content.encode('utf-16'), ['t'], encoding='utf-16').texts == [
    'œdème'
  ]


@pytest.mark.parametrize(
  'content, options, message',
  [
    ('', {}, ': no column findings; there are: none.'),
    (
      'id,text\n1,x\n',
      {},
      ': no column findings; there are: id, text.',
    ),
    ('id,t\n1,x\n', {'columns': []}, ': text_columns is empty.'),
    (
      'id,t\n1,x\n',
      {'columns': ['t'], 'id_column': 'uid'},
      ': no column uid; there are: id, t.',
    ),
    (
      'id,t,t\n1,x,y\n',
      {'columns': ['t']},
      ': 2 columns are called t.',
    ),
    (
      'id,t\n7,"a\nb"\n8,x\n\n7,y\n',
      {'columns': ['t']},
      ":6: the id '7' is in line 2 already.",
    ),
    # Also where the first has no text and is left out.
    (
      'id,t\n7,\n7,y\n',
      {'columns': ['t']},
      ":3: the id '7' is in line 2 already.",
    ),
    (
      'id,t\n1,x\n ,y\n',
      {'columns': ['t']},
      ':3: the column id is blank.',
    ),
    (
      'id,t\n1,"a\nb"\n2,x,y\n',
      {'columns': ['t']},
      ':4: expected 2 cells, found 3.',
    ),
    ('id,t\n1\n', {'columns': ['t']}, ':2: expected 2 cells, found 1.'),
    (
      b'id,t\n1,x\n2,caf\xe9\n',
      {'columns': ['t']},
      ':3: bytes that are not utf-8: name the encoding of the file, such as '
      '--encoding=cp1252.',
    ),
    (
      'id,t\n1,x\n'.encode('utf-16-le'),
      {'columns': ['t']},
      ': 50 % of the characters are NUL: not text, or of another --encoding.',
    ),
    (
      'id,t\n1,x\n2,"y\n3,z\n',
      {'columns': ['t']},
      ':3: a row that is not CSV (unexpected end of data): is a quote not '
      'closed?',
    ),
    (
      'id,t\n1,\n2,  \n',
      {'columns': ['t']},
      ': no report has a text in t.',
    ),
  ],
)
def test_bad_reports_are_one_sentence(
  read, tmp_path, content, options, message
):
  with pytest.raises(ValueError) as raised:
    read(content, **options)
  assert str(raised.value) == f'{tmp_path}/reports.csv{message}'


def test_odd_texts_stop_nothing(read):
  long = 'x' * 1_000_000
  found = read(f'id,t\n1,"{long}"\n2,a\0b\0\n3,\x1b[2J\n4,?!.\n', ['t'])
  assert found.texts == [long, 'a b ', '\x1b[2J', '?!.']
  assert found.skipped == {'NUL characters, read as blanks': 2}


def test_unknown_encoding(read):
  for encoding in ('klingon', 'hex'):
    with pytest.raises(ValueError, match=f"^'{encoding}' is not an encodin"):
      read('id,t\n', ['t'], encoding=encoding)


def test_no_file(tmp_path):
  with pytest.raises(FileNotFoundError):
    read_reports(tmp_path / 'none.csv', ['t'])


# The index.

ONTOLOGY = Ontology(
  terms={
    'X:1': Term('X:1', 'effusion', ('fluid',), (), ('UMLS:C0000001',), ()),
    'X:2': Term('X:2', 'edema', (), ('X:1',), (), ('T046', 'T047')),
    'X:3': Term('X:3', 'mass'),
  },
  alternatives={'Y:3': 'X:3'},
  equivalents=(('X:1', 'X:3'),),
  skipped={'obsolete terms': 4},
)
MENTIONS = {
  'No fluid. Œdema?': [
    Mention('X:1', 3, 8, ABSENT, (0, 2)),
    Mention('X:2', 10, 15, UNCERTAIN, (15, 16)),
  ],
  'nothing \ud800': [],
  'mass': [Mention('X:3', 0, 4, PRESENT)],
}
REPORTS = Reports(['a', '7', 'ü'], list(MENTIONS), {'blank lines': 2})


def _look_up(text):
  return MENTIONS[text]


def _build():
  return ReportIndex.build(REPORTS, _look_up, ontology=ONTOLOGY)


def test_round_trip(tmp_path):
  path = tmp_path / 'reports.index'
  _build().save(path)
  loaded = ReportIndex.load(path)
  assert loaded == _build()
  assert loaded.ontology == ONTOLOGY
  assert list(loaded.ontology.terms) == ['X:1', 'X:2', 'X:3']
  assert loaded.mentions[0] == tuple(MENTIONS['No fluid. Œdema?'])
  assert type(loaded.mentions[0][1].polarity) is Polarity
  assert loaded.row('ü') == 2
  assert [p.name for p in tmp_path.iterdir()] == ['reports.index']


def test_round_trip_without_any_mention(tmp_path):
  empty = ReportIndex(ONTOLOGY, REPORTS, [(), (), ()])
  empty.save(tmp_path / 'i')
  assert ReportIndex.load(tmp_path / 'i') == empty


@examples(30)
@given(
  st.lists(
    st.lists(
      st.builds(
        Mention,
        st.sampled_from(sorted(ONTOLOGY.terms)),
        st.integers(0, 2**31 - 1),
        st.integers(0, 2**31 - 1),
        st.sampled_from(Polarity),
        st.none() | st.tuples(st.integers(0, 99), st.integers(0, 99)),
        st.sampled_from(Experiencer),
        st.sampled_from(Time),
        st.sampled_from([(), ('left',), ('small', 'left')]),
      )
    ).map(tuple),
    min_size=1,
  ),
  st.dictionaries(st.text(), st.integers(0)),
)
def test_round_trip_of_anything(tmp_path_factory, mentions, skipped):
  ids = [str(n) for n in range(len(mentions))]
  index = ReportIndex(ONTOLOGY, Reports(ids, ids, skipped), mentions)
  path = tmp_path_factory.mktemp('round') / 'i'
  index.save(path)
  assert ReportIndex.load(path) == index


def test_same_linker_before_and_after(tmp_path):
  aliases = Aliases(
    forms={'X:2': ('swelling',)},
    stop=frozenset(['mass']),
    elsewhere={'Y:3': frozenset(['skin']), 'X:2': frozenset(['ankle'])},
  )
  text = (
    'No fluid in the lung; a mass. Ankle swelling and swelling. Not any fluid. '
    'Without fluid. Fluid or swelling.'
  )
  cues = tmp_path / 'cues.tsv'
  cues.write_text('no\tno | not any\nor\tor\nauxiliary\tis\n')
  linker = Linker(
    ONTOLOGY, aliases, cues=read_cues(cues), alternatives='uncertain'
  )
  index = ReportIndex.build(Reports(['1'], [text], {}), linker)
  assert [(m.concept, m.polarity) for m in index.mentions[0]] == [
    ('X:1', ABSENT),
    ('X:2', PRESENT),
    ('X:1', ABSENT),
    ('X:1', PRESENT),
    ('X:1', UNCERTAIN),
    ('X:2', UNCERTAIN),
  ]
  index.save(tmp_path / 'i')
  loaded = ReportIndex.load(tmp_path / 'i')
  assert loaded.side(text).mentions == index.mentions[0]
  # What was loaded can be saved again.
  loaded.save(tmp_path / 'j')
  again = ReportIndex.load(tmp_path / 'j')
  assert again == index and again.side(text).mentions == index.mentions[0]


def test_alternative_ids_are_resolved():
  reports = Reports(['1'], ['t'], {})
  index = ReportIndex.build(
    reports, lambda _: [Mention('Y:3', 0, 1, PRESENT)], ontology=ONTOLOGY
  )
  assert index.mentions == [(Mention('X:3', 0, 1, PRESENT),)]


def test_no_such_report():
  with pytest.raises(ValueError, match="^'b' is not the id of a report in "):
    _build().row('b')


def test_a_file_that_is_there_is_kept(tmp_path):
  path = tmp_path / 'i'
  path.write_text('mine')
  with pytest.raises(FileExistsError, match='i: the file exists, and is not'):
    _build().save(path)
  assert path.read_text() == 'mine'
  with open(path) as before:
    _build().save(path, force=True)
    # Another file in its place: who reads the old one is not disturbed.
    assert before.read() == 'mine'
  assert ReportIndex.load(path) == _build()


def test_a_failing_save_leaves_the_old_file(tmp_path, monkeypatch):
  path = tmp_path / 'i'
  _build().save(path)
  before = path.read_bytes()

  def fail(file, **arrays):
    file.write(b'half of it')
    raise OSError('disk full')

  monkeypatch.setattr(np, 'savez_compressed', fail)
  with pytest.raises(OSError, match='disk full'):
    _build().save(path, force=True)
  assert path.read_bytes() == before
  assert [p.name for p in tmp_path.iterdir()] == ['i']


def test_text_is_replaced_whole_or_not_at_all(tmp_path):
  path = tmp_path / 'labels.csv'
  with replacing(path, text=True) as file:
    file.write('é\n')
    assert not path.exists()
  assert path.read_bytes() == 'é\n'.encode()
  with pytest.raises(KeyError):
    with replacing(path, force=True, text=True) as file:
      file.write('other')
      raise KeyError
  assert path.read_bytes() == 'é\n'.encode()
  assert [p.name for p in tmp_path.iterdir()] == ['labels.csv']


def test_where_no_file_can_be(tmp_path):
  with pytest.raises(FileNotFoundError, match='/none: no such directory'):
    _build().save(tmp_path / 'none' / 'i')
  with pytest.raises(IsADirectoryError, match='is a directory, expected'):
    _build().save(tmp_path, force=True)


def _npz(**arrays):
  file = io.BytesIO()
  np.savez(file, **arrays)
  return file.getvalue()


def _about(**about):
  return np.frombuffer(json.dumps(about).encode(), np.uint8)


def _zip_of_text():
  file = io.BytesIO()
  with zipfile.ZipFile(file, 'w') as archive:
    archive.writestr('about.txt', 'x')
  return file.getvalue()


class _Evil:
  def __reduce__(self):
    return pathlib.Path('evil').touch, ()


@pytest.mark.parametrize(
  'content',
  [
    b'',
    b'id,t\n1,x\n',
    pickle.dumps(_Evil()),
    _zip_of_text(),
    _npz(about=np.zeros(3)),
    _npz(about=_about(format='dicejax concepts index', version=2)),
    _npz(about=_about(version=2)),
    _npz(about=np.array([_Evil()], object)),
  ],
)
def test_foreign_files(tmp_path, monkeypatch, content):
  monkeypatch.chdir(tmp_path)
  path = tmp_path / 'i'
  path.write_bytes(content)
  with pytest.raises(ValueError) as raised:
    ReportIndex.load(path)
  assert str(raised.value) == f'{path}: not an index, or damaged.'
  assert not pathlib.Path('evil').exists()


def test_other_version(tmp_path):
  (tmp_path / 'i').write_bytes(
    _npz(about=_about(format='dicejax concepts index', version=1))
  )
  with pytest.raises(ValueError, match='of version 1, but this dicejax reads'):
    ReportIndex.load(tmp_path / 'i')


def test_damaged_files(tmp_path):
  path = tmp_path / 'i'
  _build().save(path)
  data = path.read_bytes()
  for cut in range(0, len(data), 97):
    path.write_bytes(data[:cut])
    with pytest.raises(ValueError, match='not an index, or damaged'):
      ReportIndex.load(path)
  noticed = 0
  for place in range(0, len(data), 7):
    changed = bytearray(data)
    changed[place] ^= 0xFF
    path.write_bytes(changed)
    try:
      loaded = ReportIndex.load(path)
    except ValueError as error:
      assert 'i: not an index, or damaged.' in str(error)
      noticed += 1
    else:
      assert loaded == _build()  # A time of day in the zip, or the like.
  assert noticed > len(data) / 14


def test_parts_that_do_not_belong_together(tmp_path):
  path = tmp_path / 'i'
  _build().save(path)
  with np.load(path) as arrays:
    arrays = dict(arrays)
  lengths = arrays.pop('lengths')
  for wrong in (lengths[:-1], lengths + 1, [[1, 2], [3, 4]]):
    path.write_bytes(_npz(**arrays, lengths=wrong))
    with pytest.raises(ValueError, match='not an index, or damaged'):
      ReportIndex.load(path)
