"""MRC-NER files: reading, and errors."""

import json

import pytest

from train.data.mrc_ner import Query
from train.data.mrc_ner import read_queries
from train.data.mrc_ner import read_wordings

ITEM = {
  'qas_id': '3.ORG',
  'query': 'Find bodies.',
  'context': 'the Port of Oslo and Oslo Rail',
  'entity_label': 'ORG',
  'start_position': [1, 5],
  'end_position': [3, 6],
  'span_position': ['1;3', '5;6'],
  'impossible': False,
}
QUERY = Query(
  '3.ORG',
  'ORG',
  'Find bodies.',
  ['the', 'Port', 'of', 'Oslo', 'and', 'Oslo', 'Rail'],
  [(1, 4), (5, 7)],
  [],
)
# The same example in an older file.
STRINGS = {
  'start_position': ['1', '5'],
  'end_position': ['3', '6'],
  'impossible': 'false',
}


def without(item, *keys):
  return {key: value for key, value in item.items() if key not in keys}


@pytest.fixture
def path(tmp_path):
  return tmp_path / 'mrc-ner.train'


def read(path, *items):
  path.write_text(json.dumps(items))
  return list(read_queries(path))


@pytest.mark.parametrize(
  'item',
  [
    ITEM,
    ITEM | STRINGS,
    without(ITEM, 'span_position', 'impossible'),
    without(ITEM, 'span_position') | {'start_position': [5, 1]},
    ITEM | {'span_position': ['5;6', '1;3']},
    ITEM | {'note': 'a key that no one reads'},
  ],
)
def test_forms_of_one_item(path, item):
  assert read(path, item) == [QUERY]


def test_chinese_and_no_entity(path):
  item = ITEM | {
    'qas_id': 4,
    'query': '找出机构名',
    'context': '我 在 奥 斯 陆',
    'start_position': [],
    'end_position': [],
    'span_position': [],
    'impossible': True,
  }
  assert read(path, item) == [
    Query('4', 'ORG', '找出机构名', list('我在奥斯陆'), [], [])
  ]


def test_nested_spans_are_read_where_they_are_given(path):
  nested = {
    'start_position': [1, 3],
    'end_position': [3, 3],
    'span_position': ['1;3', '3;3'],
  }
  assert read(path, ITEM | nested)[0].spans == [(1, 4), (3, 4)]
  with pytest.raises(ValueError, match='expected span_position, as spans over'):
    read(path, without(ITEM | nested, 'span_position'))


def test_what_a_rule_changes_is_noted(path):
  (query,) = read(path, ITEM | {'impossible': True})
  assert query.spans == QUERY.spans and 'impossible' in query.notes[0]
  double = dict(
    start_position=[1, 1], end_position=[3, 3], span_position=['1;3', '1;3']
  )
  (query,) = read(path, ITEM | double)
  assert query.spans == [(1, 4)] and 'twice' in query.notes[0]
  (query,) = read(path, ITEM | {'context': ' ' + ITEM['context']})
  assert query.tokens == QUERY.tokens and 'white space' in query.notes[0]


def test_bom_and_crlf(path):
  text = json.dumps([ITEM], indent=2).replace('\n', '\r\n')
  path.write_bytes(b'\xef\xbb\xbf' + text.encode())
  assert list(read_queries(path)) == [QUERY]


@pytest.mark.parametrize(
  'item, message',
  [
    (7, 'expected an object, found 7'),
    (without(ITEM, 'query'), "expected the key 'query'"),
    (without(ITEM, 'end_position'), "expected the key 'end_position'"),
    (ITEM | {'context': ' '}, "expected a text as 'context'"),
    (ITEM | {'entity_label': None}, "expected a text as 'entity_label'"),
    (ITEM | {'context': 'a \ud83d'}, "expected Unicode in 'context'"),
    (ITEM | {'entity_label': '\ud83d'}, "expected Unicode in 'entity_label'"),
    (ITEM | {'qas_id': ['3']}, "expected a text as 'qas_id'"),
    (ITEM | {'start_position': 1}, "expected a list as 'start_position'"),
    (ITEM | {'end_position': [3, 6.5]}, 'expected numbers of words .* 6.5'),
    (ITEM | {'end_position': [3, True]}, 'expected numbers of words .* True'),
    (ITEM | {'end_position': [3, '-1']}, "expected numbers of words .* '-1'"),
    (ITEM | {'span_position': ['1;3', '5,6']}, "as in '0;1', found '5,6'"),
    (ITEM | {'span_position': ['1;3']}, 'start_position to agree with span'),
    (ITEM | {'end_position': [3, 5]}, 'end_position to agree with span'),
    (
      without(ITEM, 'span_position') | {'end_position': [3]},
      'expected as many start_position as end_position, found 2 and 1',
    ),
    (
      without(ITEM, 'span_position') | {'end_position': [3, 7]},
      'within words 0 to 6 whose .* found 5 to 7',
    ),
    (
      without(ITEM, 'span_position') | {'end_position': [0, 6]},
      'whose first word is not after the last, found 1 to 0',
    ),
    (
      without(ITEM, 'span_position') | {'start_position': [-1, 5]},
      'found -1 to 3',
    ),
  ],
)
def test_malformed_item(path, item, message):
  name = item['qas_id'] if isinstance(item, dict) else ''
  with pytest.raises(ValueError, match=message) as error:
    read(path, ITEM | {'qas_id': '2.ORG'}, item)
  assert str(error.value).startswith(f'{path}: item 1 ({name!r}): ')


def test_duplicate_id(path):
  with pytest.raises(ValueError, match=r"1 \('3.ORG'\): .* qas_id that no"):
    read(path, ITEM, ITEM)


@pytest.mark.parametrize(
  'text, message',
  [
    (b'[\n{"qas_id": }]', r'2: expected JSON: Expecting value\.$'),
    (b'[\n"\xe4"]', '2: expected UTF-8'),
    (b'{}', '1: expected a list'),
    (b'[]', '1: expected a list'),
  ],
)
def test_malformed_file(path, text, message):
  path.write_bytes(text)
  with pytest.raises(ValueError, match=f'^{path}:{message}'):
    list(read_queries(path))


def test_query_without_spans_that_is_not_impossible(path):
  nothing = ITEM | dict(
    qas_id='4', start_position=[], end_position=[], span_position=[]
  )
  queries = read(path, ITEM, nothing)
  assert queries[1].notes  # Not marked as impossible, but without spans.
  json.dumps(queries)  # Digests of splits are computed from their JSON.


def test_wordings(tmp_path):
  path = tmp_path / 'queries.json'
  path.write_text('{"ORG": "Find bodies."}')
  assert read_wordings(path) == {'ORG': 'Find bodies.'}
  for text, message in {
    '{\n"ORG": }': ':2: expected JSON',
    '[]': 'expected an object',
    '{"ORG": " "}': "expected a query for 'ORG'",
  }.items():
    path.write_text(text)
    with pytest.raises(ValueError, match=message):
      read_wordings(path)
