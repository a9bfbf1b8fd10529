"""Reports from CSV files, and the file of an index."""

import contextlib
import io
import itertools
import json
import os
import pathlib
import pickle
import threading

import numpy as np
import pytest
from draws import examples
from hypothesis import given
from hypothesis import strategies as st

from dicejax.concepts.files import replacing
from dicejax.concepts.ontology import Ontology
from dicejax.concepts.ontology import Term
from dicejax.concepts.search import pool
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


def test_a_pipe_is_read_once(tmp_path):
  pipe = tmp_path / 'pipe'
  os.mkfifo(pipe)
  writer = threading.Thread(target=pipe.write_text, args=['id,t\n1,mass\n'])
  writer.start()
  assert read_reports(pipe, ['t'])[:2] == (['1'], ['mass'])
  writer.join()


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


def test_what_is_there_is_kept(tmp_path):
  path = tmp_path / 'i'
  path.write_text('mine')
  with pytest.raises(FileExistsError, match='i: the file exists, and is not'):
    _build().save(path)
  assert path.read_text() == 'mine'
  _build().save(path, force=True)
  before = ReportIndex.load(path)
  with pytest.raises(FileExistsError, match='i: the index exists, and is not'):
    _build().save(path)
  _small('new').save(path, force=True)
  # Who has the old index open is not disturbed, not even by a query's text.
  assert before == _build() and before.reports.texts[2] == 'mass'
  assert ReportIndex.load(path).reports.ids == ['new']
  assert len(list(path.iterdir())) == 5
  with pytest.raises(IsADirectoryError, match='directory, but not an index'):
    _build().save(tmp_path, force=True)
  with pytest.raises(FileNotFoundError, match='/none: no such directory'):
    _build().save(tmp_path / 'none' / 'i')


def _small(*ids):
  return ReportIndex(ONTOLOGY, Reports(ids, ids, {}), [()] * len(ids))


class _KilledError(BaseException):
  """Stops the process that writes an index."""


@pytest.mark.parametrize('force', [False, True])
def test_killed_at_any_moment_the_old_index_or_the_new(
  tmp_path, monkeypatch, force
):
  """Every call that changes the disk is the last one, in turn."""
  names = [(os, 'replace'), (os, 'fsync'), (pathlib.Path, 'rename')]
  names += [(pathlib.Path, 'unlink'), (pathlib.Path, 'mkdir')]
  path = tmp_path / 'i'
  if force:
    _small('old').save(path)

  def attempt(left):
    def counted(function):
      def call(*arguments, **options):
        nonlocal left
        left -= 1
        if left < 0:
          raise _KilledError
        return function(*arguments, **options)

      return call

    with monkeypatch.context() as patch:
      for owner, name in names:
        patch.setattr(owner, name, counted(getattr(owner, name)))
      _small('new').save(path, force=force)

  seen = []
  for left in itertools.count():
    try:
      attempt(left)
    except _KilledError:
      known = ReportIndex.load(path).reports.ids[0] if path.exists() else None
      seen.append(known)
    except FileExistsError:  # The last one was killed when all was done.
      assert not force
      break
    else:
      break
  assert seen == sorted(seen, key=['old', None, 'new'].index)
  assert seen[0] == ('old' if force else None) and len(seen) > 10
  assert ReportIndex.load(path).reports.ids == ['new']
  # What the killed ones left is gone.
  assert len(list(path.iterdir())) == 5


def test_two_writers_of_one_index(tmp_path):
  path = tmp_path / 'i'
  _build().save(path)

  def reports():
    with pytest.raises(ValueError, match='i: another process writes this ind'):
      _build().save(path, force=True)
    yield 'a', 'mass'

  index = ReportIndex.create(
    path, reports(), _look_up, ontology=ONTOLOGY, force=True
  )
  assert index.reports.ids == ['a']


def test_an_id_in_two_segments(tmp_path, monkeypatch):
  monkeypatch.setattr(pool, 'REPORTS', 2)
  path = tmp_path / 'i'
  for ids, wrong in (('abc', ''), ('abca', 'a'), ('abb', 'b'), ('aa', 'a')):
    with (
      contextlib.nullcontext()
      if not wrong
      else pytest.raises(
        ValueError, match=f"^the id '{wrong}' is that of two reports"
      )
    ):
      _small(*ids).save(path, force=True)
    assert ReportIndex.load(path).reports.ids == list('abc')


def _version_2():
  file = io.BytesIO()
  about = json.dumps({'format': 'dicejax concepts index', 'version': 2})
  np.savez_compressed(file, about=np.frombuffer(about.encode(), np.uint8))
  return file.getvalue()


class _Evil:
  def __reduce__(self):
    return pathlib.Path('evil').touch, ()


@pytest.mark.parametrize(
  'content', [b'', b'id,t\n1,x\n', pickle.dumps(_Evil()), _version_2()[:-1]]
)
def test_foreign_files(tmp_path, monkeypatch, content):
  monkeypatch.chdir(tmp_path)
  path = tmp_path / 'i'
  path.write_bytes(content)
  with pytest.raises(ValueError) as raised:
    ReportIndex.load(path)
  assert str(raised.value) == f'{path}: not an index, or damaged.'
  assert not pathlib.Path('evil').exists()
  path.unlink()
  path.mkdir()
  (path / 'index.json').write_bytes(content)
  with pytest.raises(ValueError, match='i: not an index, or damaged'):
    ReportIndex.load(path)


def test_old_indexes_name_the_command_that_makes_them_again(tmp_path):
  path = tmp_path / 'i'
  path.write_bytes(_version_2())
  with pytest.raises(ValueError) as raised:
    ReportIndex.load(path)
  assert str(raised.value) == (
    f"{path}: 'dicejax concepts index' of version 2, but this dicejax reads "
    'version 3: make it again with python -m dicejax.concepts index '
    f'REPORTS.csv --text-columns NAMES --ontology OBO --out {path} --force'
  )


def test_damaged_files(tmp_path):
  path = tmp_path / 'i'
  _build().save(path)
  for file in path.iterdir():
    data = file.read_bytes()
    # Whatever is lost or changed is noticed, of arrays if one asks for it.
    for cut in (0, 1, len(data) // 2, len(data) - 1):
      file.write_bytes(data[:cut])
      with pytest.raises(ValueError, match='not an index, or damaged'):
        ReportIndex.load(path).verify()
    for place in range(0, len(data), 11):
      changed = bytearray(data)
      changed[place] ^= 0xFF
      file.write_bytes(changed)
      try:
        index = ReportIndex.load(path)
        assert file.suffix == '.arrays' or file.stem.startswith('linker')
        index.verify()
      except ValueError as error:
        assert 'damaged' in str(error)
      else:
        assert index == _build()  # Between two arrays, or the like.
    file.unlink()
    with pytest.raises(ValueError, match='not an index, or damaged'):
      ReportIndex.load(path)
    file.write_bytes(data)
  ReportIndex.load(path).verify()


def test_numbers_that_lead_nowhere(tmp_path):
  path = tmp_path / 'i'
  _build().save(path)
  (arrays,) = path.glob('*.arrays')
  parts = json.loads(next(path.glob('reports-*.json')).read_bytes())
  _, shape, place, _ = parts['arrays']['postings']
  with open(arrays, 'r+b') as file:
    file.seek(place)
    file.write(b'\x7f' * 4 * shape[0])
  with pytest.raises(ValueError, match='i: damaged'):
    ReportIndex.load(path).search('ü', weights='uniform')


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


@pytest.mark.parametrize(
  'sizes, expected',
  [
    ((1, 1, 1), [3]),
    ((8, 1, 2, 8, 5, 1, 1), [8, 3, 8, 5, 2]),
    ((4, 4, 4, 6), [8, 4, 6]),
  ],
)
def test_small_segments_become_large_in_order(monkeypatch, sizes, expected):
  monkeypatch.setattr(pool, 'REPORTS', 8)
  ontology = Ontology({'X:1': Term('X:1', 'edema')})
  linker = Linker(ontology)
  texts = [f'{"No " * (i % 2)}edema {i}.' for i in range(sum(sizes))]
  ids = [str(i) for i in range(len(texts))]
  mentions = [linker(text) for text in texts]
  stops = np.cumsum([0, *sizes])
  parts = [
    part
    for start, stop in itertools.pairwise(stops)
    for part in pool.pack_segments(
      ids[start:stop], texts[start:stop], mentions[start:stop], ontology
    )
  ]
  merged = list(pool.merge_small(parts, ontology))
  assert [len(segment) for segment in merged] == expected
  found = pool.Pool(merged)
  rows = [found.locate(row) for row in range(len(found))]
  assert [segment.id(row) for segment, row in rows] == ids
  assert [segment.text(row) for segment, row in rows] == texts
  found_mentions = [[*s.mentions_of(row, ['X:1'])] for s, row in rows]
  assert found_mentions == mentions
  assert found.frequencies('ignore') == pool.Pool(parts).frequencies('ignore')
