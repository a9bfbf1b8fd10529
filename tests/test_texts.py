"""TSV, JSON lines and trees: reading, skipping, and errors."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from train.data import tables
from train.data import texts
from train.data.fields import LabelledText
from train.data.fields import Text
from train.data.files import Skipped


@pytest.fixture
def path(tmp_path):
  return tmp_path / 'file'


def _read(read, path, text, /, **options):
  path.write_bytes(text.encode())
  return list(read(path, **options))


def _tsv(path, text, /, **options):
  return _read(tables.read_tsv, path, text, **options)


@pytest.mark.parametrize(
  'text',
  [
    'label\tsentence\n1\tgood\n0\tbad\n',
    'label\tsentence\n1\tgood\n0\tbad',
    '\ufefflabel\tsentence\r\n1\tgood\r\n0\tbad\r\n',
    'sentence\tid\tlabel\ngood\t7\t1\nbad\t\t0\n',
  ],
  ids=['newline', 'no newline', 'BOM and CRLF', 'other columns'],
)
def test_tsv_with_header(path, text):
  assert _tsv(path, text) == [
    Text('good', None, '1', 2),
    Text('bad', None, '0', 3),
  ]


def test_tsv_pairs_and_quotes(path):
  text = 'Quality\t#1 String\t#2 String\n1\t"a\tb"\n\n0\t"\t\'c\n'
  found = _tsv(path, text, text='#1 String', pair='#2 String', label='Quality')
  assert found == [Text('"a', 'b"', '1', 2), Text('"', "'c", '0', 4)]


def test_tsv_without_header(path):
  options = {'header': False, 'text': '1', 'label': '0'}
  assert _tsv(path, 'ham\tsee you\nspam\twin', **options) == [
    Text('see you', None, 'ham', 1),
    Text('win', None, 'spam', 2),
  ]


def test_tsv_text_is_the_rest_of_a_line(path):
  options = {'header': False, 'text': '1', 'label': '0', 'separator': ' '}
  assert _tsv(path, '4 so  good\n0 bad\tx\n', **options) == [
    Text('so  good', None, '4', 1),
    Text('bad\tx', None, '0', 2),
  ]


def test_tsv_labels_without_white_space(path):
  text = 'sentence\tlabel\n a \t1 \nb\t 1\nc\t\u00a01\n'
  found = [(x.text, x.label) for x in _tsv(path, text)]
  assert found == [(' a ', '1'), ('b', '1'), ('c', '1')]


_MALFORMED = 'a\tb\t1\nc\t 0\nd\te\tf\t0\ng\t \t1\nh\ti\t\nj\tk\t0\n'
_NO_HEADER = {'header': False, 'text': '0', 'pair': '1', 'label': '2'}


@pytest.mark.parametrize(
  'line, message',
  [
    (1, '2: expected 3 columns, found 2'),
    (2, '2: expected 3 columns, found 4'),
    (3, "2: expected something in column '1', found only white space"),
    (4, "2: expected something in column '2', found only white space"),
  ],
)
def test_tsv_malformed(path, line, message):
  lines = _MALFORMED.splitlines(keepends=True)
  text = lines[0] + lines[line] + lines[-1]
  with pytest.raises(ValueError, match=f'^{path}:{message}.*skip_malformed'):
    _tsv(path, text, **_NO_HEADER)


def test_tsv_malformed_first_row(path):
  # The rows tell how many columns there are, not the first one.
  with pytest.raises(ValueError, match=f'^{path}:1: expected 3 columns, fou'):
    _tsv(path, 'a\tb 1\nc\td\t0\ne\tf\t0\n', **_NO_HEADER)


def test_tsv_skips_malformed_rows(path):
  found = _tsv(path, _MALFORMED, **_NO_HEADER, skip_malformed=True)
  assert found[0] == Text('a', 'b', '1', 1)
  assert found[-1] == Text('j', 'k', '0', 6)
  assert {x.rule for x in found[1:-1] if isinstance(x, Skipped)} == {
    'row with too few columns left out',
    'row with too many columns left out',
    "row with nothing in column '1' left out",
    "row with nothing in column '2' left out",
  }
  assert len(found) == 6


@pytest.mark.parametrize(
  'text, options, message',
  [
    ('a\tlabel\n', {}, "1: expected the column 'sentence', found 'a', 'label'"),
    ('a\tb\n', {'header': False}, "1: expected the column 'sentence', fo"),
    ('a\tb\n', _NO_HEADER, "1: expected the column '2', found '0', '1'"),
    ('', {}, ' expected at least one row'),
    ('\n\n', {}, ' expected at least one row'),
  ],
)
def test_tsv_columns_that_are_not_there(path, text, options, message):
  with pytest.raises(ValueError, match=f'^{path}:{message}'):
    _tsv(path, text, **options)


_FIELD = st.text(
  st.characters(exclude_characters='\t\n\r\ufeff', exclude_categories=['Cs']),
  min_size=1,
).filter(str.strip)


@given(st.lists(st.tuples(_FIELD, _FIELD, _FIELD), min_size=1))
def test_tsv_round_trip(tmp_path_factory, rows):
  path = tmp_path_factory.mktemp('tsv') / 'file'
  text = ''.join('\t'.join(row) + '\n' for row in rows)
  found = _tsv(path, text, **_NO_HEADER)
  assert [(x.text, x.pair, x.label) for x in found] == [
    (text, pair, label.strip()) for text, pair, label in rows
  ]


def _jsonl(path, *examples, **options):
  text = ''.join(json.dumps(example) + '\n' for example in examples)
  return _read(texts.read_jsonl, path, text, **options)


def test_jsonl(path):
  examples = (
    {'sentence': 'a "b"\n', 'label': 103, 'keywords': ''},
    {'label': ' news\n', 'sentence': '\u4f60'},
  )
  assert _jsonl(path, *examples) == [
    Text('a "b"\n', None, '103', 1),
    Text('\u4f60', None, 'news', 2),
  ]
  pairs = _jsonl(
    path, {'a': 'x', 'b': 'y', 'c': 0}, text='a', pair='b', label='c'
  )
  assert pairs == [Text('x', 'y', '0', 1)]


@pytest.mark.parametrize(
  'line, message',
  [
    ('{"sentence": "a"}', "expected the key 'label', found 'sentence'"),
    ('{"label": "a"}', "expected the key 'sentence', found 'label'"),
    ('{"sentence": " ", "label": 1}', "expected some text as 'sentence', fo"),
    (
      '{"sentence": 1, "label": 1}',
      "expected some text as 'sentence', found 1",
    ),
    (
      '{"sentence": "a", "label": 0.5}',
      "a whole number, .* 'label', found 0.5",
    ),
    (
      '{"sentence": "a", "label": NaN}',
      "a whole number, .* 'label', found nan",
    ),
    ('{"sentence": "a", "label": null}', "true or .* 'label', found None"),
    ('{"sentence": "a", "label": ""}', "true or false as 'label', found ''"),
    ('{"sentence": "a", "label": {}}', "true or false as 'label', found {}"),
    (
      '{"sentence": "a", "label": [1]}',
      'expected one label, as in line 1, fou',
    ),
    (
      '{"sentence": "a", "label": [[]]}',
      "true or false as 'label', found \\[\\]",
    ),
    ('[1]', 'expected a JSON object, found list'),
    ('{"sentence": "a"', 'expected a JSON object: '),
    (r'{"sentence": "\ud83d", "label": 1}', "expected Unicode in 'sentence'"),
    (r'{"sentence": "a", "label": "\ud83d"}', "expected Unicode in 'label'"),
  ],
)
def test_jsonl_malformed(path, line, message):
  text = f'{{"sentence": "a", "label": 1}}\n\n{line}\n'
  with pytest.raises(ValueError, match=f'^{path}:3: .*{message}'):
    _read(texts.read_jsonl, path, text)


_TREE = r'(3 (2 It) (4 (2 -LRB-) (0 (2 is\/was) (1 good))))'


def _trees(path, text, /, **options):
  return _read(texts.read_trees, path, text, **options)


def test_trees(path):
  assert _trees(path, f'{_TREE}\n\n(0 1\u00a01\\/2)\n') == [
    Text('It ( is/was good', None, '3', 1),
    Text('1\u00a01/2', None, '0', 3),
  ]


def test_trees_of_every_phrase(path):
  found = _trees(path, _TREE, phrases=True)
  assert [(x.label, x.text) for x in found] == [
    ('3', 'It ( is/was good'),
    ('2', 'It'),
    ('4', '( is/was good'),
    ('2', '('),
    ('0', 'is/was good'),
    ('2', 'is/was'),
    ('1', 'good'),
  ]


def test_trees_binary(path):
  found = _trees(path, '(3 a)\n(2 b)\n(0 c)\n(1 d)\n(4 e)\n', binary=True)
  assert found.pop(1) == Skipped('neutral phrase left out')
  assert [(x.text, x.label) for x in found] == [
    ('a', '1'),
    ('c', '0'),
    ('d', '0'),
    ('e', '1'),
  ]


@pytest.mark.parametrize(
  'tree, message',
  [
    ('(3 (2 It) (4 good)', r'expected 1 more "\)"'),
    ('(3 (2 It', r'expected 2 more "\)"'),
    ('(3 It))', r"expected one tree, found '\)' after it"),
    ('(3 It) (2 is)', r"expected one tree, found '\(' after it"),
    ('It', "expected a tree, found 'It'"),
    (')', r"expected a tree, found '\)'"),
    ('((2 It))', r"""expected a label after "\(", found '\('"""),
    ('(3 ())', r"""expected a label after "\(", found '\)'"""),
    ('(', r"""expected a label after "\(", found ''"""),
    ('(3 (2))', 'expected words in every phrase'),
    ('(3 (good It))', "expected a label from 0 to 4, found 'good'"),
  ],
)
def test_trees_malformed(path, tree, message):
  with pytest.raises(ValueError, match=f'^{path}:2: {message}'):
    _trees(path, f'{_TREE}\n{tree}\n')


def test_jsonl_labels_of_any_kind(path):
  values = ['a', ' a', 1, 1.0, True, False, -2, 1e3]
  found = _jsonl(path, *({'sentence': 's', 'label': x} for x in values))
  assert [x.label for x in found] == 'a a 1 1 true false -2 1000'.split()


def test_jsonl_several_labels(path):
  lists = [['a', 'b', 'a'], [], [1.0, True]]
  found = _jsonl(path, *({'sentence': 's', 'label': x} for x in lists))
  expected = [('a', 'b'), (), ('1', 'true')]
  assert [x.labels for x in found] == expected
  assert found[0] == LabelledText('s', None, ('a', 'b'), 1)
  with pytest.raises(
    ValueError, match=':2: expected a list .* line 1, found o'
  ):
    _jsonl(path, *({'sentence': 's', 'label': x} for x in (['a'], 'a')))
  rows = [
    {'sentence': 's', 'a': 1, 'b': False},
    {'sentence': 's', 'a': '0', 'b': 1.0},
  ]
  assert [x.labels for x in _jsonl(path, *rows, labels='a, b')] == [
    ('a',),
    ('b',),
  ]
  rows = [{'sentence': 's', 'label': x} for x in ('a|b', '', ' b ')]
  found = _jsonl(path, *rows, label_separator='|')
  assert [x.labels for x in found] == [('a', 'b'), (), ('b',)]


def test_json_that_python_cannot_hold(path):
  for value in ('[' * 100_000, '9' * 5000):
    with pytest.raises(
      ValueError, match=f'^{path}:1: expected a JSON object: '
    ):
      _read(texts.read_jsonl, path, f'{{"sentence": {value}')
