"""CSV: quotes, cells of any kind, several labels, and errors."""

import csv
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from train.data import tables
from train.data.fields import LabelledText
from train.data.fields import Text
from train.data.files import Skipped


@pytest.fixture
def read(tmp_path):
  def read(text, /, **options):
    path = tmp_path / 'file.csv'
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return list(tables.read_csv(path, **options))

  return read


ROWS = [
  Text('He said "no", twice', None, 'ham', 2),
  Text('two\nlines', None, 'spam', 3),
  Text('5" screen', None, 'ham', 5),
]


@pytest.mark.parametrize('end', ['\n', '\r\n'])
@pytest.mark.parametrize(
  'encoding', ['utf-8', 'utf-8-sig', 'utf-16', 'utf-16-le', 'cp1252']
)
def test_csv(read, end, encoding):
  text = end.join(
    [
      'text,id,label',
      '"He said ""no"", twice",1,ham',
      '"two\nlines", 2 ,spam',
      '5" screen,3, ham ',
      '',
    ]
  )
  options = {} if encoding == 'utf-8-sig' else {'encoding': encoding}
  assert read(text.encode(encoding), **options) == ROWS


def test_csv_of_old_line_ends_and_other_separators(read):
  assert read('text\tlabel\r"a\tb"\t1\rc\t0', separator=r'\t') == [
    Text('a\tb', None, '1', 2),
    Text('c', None, '0', 3),
  ]
  assert read(
    '1;a;b\n0;c;d', header=False, label='0', text='1', pair='2', separator=';'
  )[1] == Text('c', 'd', '0', 2)


_CELL = st.text(st.characters(exclude_categories=['Cs'])).filter(str.strip)


@given(st.lists(st.tuples(_CELL, _CELL), min_size=1))
def test_csv_reads_what_python_writes(tmp_path_factory, rows):
  path = tmp_path_factory.mktemp('csv') / 'file.csv'
  file = io.StringIO(newline='')
  csv.writer(file, quoting=csv.QUOTE_ALL).writerows(
    [('text', 'pair', 'label')] + [(*row, 'x') for row in rows]
  )
  path.write_bytes(file.getvalue().encode())
  found = list(tables.read_csv(path, pair='pair'))
  assert [(x.text, x.pair) for x in found] == rows


def test_csv_cells_of_any_size(read):
  (example,) = read(f'text,label\n{"long " * 100_000},1\n')
  assert len(example.text) == 500_000


@pytest.mark.parametrize(
  'text, options, message',
  [
    ('', {}, 'file.csv: expected at least one row.'),
    ('text,label\na,1\nb\n', {}, ':3: expected 2 columns, found 1.'),
    ('text,label\n"a,1\nb,0\n', {}, ':2: expected a row of CSV, .*not closed'),
    ('text,label\na,1\n"b"c,0', {}, ':3: expected a row of CSV, .*not doubled'),
    ('text,label\n" ",1\n', {}, ":2: expected something in column 'text'"),
    ('text,label\na,\n', {}, ":2: expected something in column 'label'"),
    ('text;label\na;1', {}, ":1: expected the column 'text', .*separator ';'"),
    ('text,text,label\n', {}, ":1: expected the column 'text', found it twice"),
    ('text,label\na,1', {'separator': ',,'}, '^data.csv.separator is one char'),
    ('text,label\na,1', {'separator': '"'}, '^data.csv.separator is one char'),
    ('text,label\na,1', {'encoding': 'utf'}, None),
    ('text,label\na,1', {'encoding': 'x'}, "^data.csv.encoding .* not 'x'"),
    ('text,label\na,1', {'encoding': 'hex'}, "^data.csv.encoding .* not 'hex'"),
    (b'text,label\na,1\n\xe4,0', {}, ':3: expected UTF-8: .*data.csv.encoding'),
    (
      'text,a,b\nx,1,0\ny,1,2\n',
      {'labels': 'a,b'},
      ":3: expected 1 or 0 as 'b",
    ),
    ('text,a\nx,1\n', {'labels': 'a,b'}, ":1: expected the column 'b', found"),
  ],
)
def test_csv_malformed(read, text, options, message):
  if message is None:  # Python knows several names of an encoding.
    assert len(read(text, **options)) == 1
    return
  with pytest.raises(ValueError, match=message):
    read(text, **options)


def test_csv_skips_what_it_may(read):
  text = 'text,label\na,1\n,\nb\n,0\nc,0\n'
  with pytest.raises(ValueError, match=':4: .*data.csv.skip_malformed skips'):
    read(text)
  found = read(text, skip_malformed=True)
  assert [type(x) for x in found] == [Text, Skipped, Skipped, Skipped, Text]
  assert found[1].rule == 'row of empty cells left out'


def test_several_labels(read):
  cells = read('text,label\na,x;y\nb,\nc, y ;;y\n', label_separator=';')
  assert [x.labels for x in cells] == [('x', 'y'), (), ('y',)]
  columns = read('x,text,y\n1,a,True\n0,b,0.0\nfalse,c,1\n', labels='y, x')
  assert columns == [
    LabelledText('a', None, ('y', 'x'), 2),
    LabelledText('b', None, (), 3),
    LabelledText('c', None, ('y',), 4),
  ]
