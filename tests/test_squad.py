"""SQuAD's JSON: reading, corrections with their notes, and errors."""

import json

import pytest

from train.data import squad
from train.data.squad import Answer
from train.data.squad import Question

CONTEXT = 'Ann met Bob. Bob met\u00a0Cleo  Drew.'


def answers(*pairs):
  return [{'text': text, 'answer_start': start} for text, start in pairs]


def qa(id='q1', question='Who?', **others):
  return {'id': id, 'question': question, **others}


def file(*qas, context=CONTEXT, title='People'):
  article = {'paragraphs': [{'context': context, 'qas': list(qas)}]}
  return {'data': [article | ({'title': title} if title else {})]}


@pytest.fixture
def read(tmp_path):
  def read(content, **options):
    path = tmp_path / 'file.json'
    if not isinstance(content, bytes):
      content = json.dumps(content).encode()
    path.write_bytes(content)
    return list(squad.read_questions(path, **options))

  return read


def test_questions_of_all_articles_in_order(read):
  content = file(
    qa('a', answers=answers(('Ann', 0), ('Bob', 8))), qa('b', answers=[])
  )
  content['data'] += file(qa('c'), context='X', title=None)['data']
  content['version'] = '1.1'
  assert read(content) == [
    Question(
      'a',
      'People',
      'Who?',
      CONTEXT,
      [[Answer('Ann', 0)], [Answer('Bob', 8)]],
      [],
    ),
    Question('b', 'People', 'Who?', CONTEXT, [], []),
    Question('c', 'data[1]', 'Who?', 'X', [], []),
  ]


def test_spans_are_parts_of_one_answer(read):
  content = file(qa(answers=answers(('Ann', 0), ('Bob', 8))))
  (question,) = read(content, answers='spans')
  assert question.answers == [[Answer('Ann', 0), Answer('Bob', 8)]]
  assert question.notes == []


def test_version_2(read):
  plausible = {'plausible_answers': answers(('Ann', 0))}
  content = file(
    qa('a', is_impossible=True, answers=[], **plausible),
    qa('b', is_impossible=True, **plausible),
    qa('c', is_impossible=False, answers=answers(('Ann', 0))),
  )
  assert [q.answers for q in read(content)] == [[], [], [[Answer('Ann', 0)]]]
  assert not any(q.notes for q in read(content))


@pytest.mark.parametrize('bom', [b'', b'\xef\xbb\xbf'], ids=['', 'BOM'])
@pytest.mark.parametrize('end', [b'\n', b'\r\n'], ids=['LF', 'CRLF'])
def test_forms_of_one_file(read, bom, end):
  content = file(
    qa(answers=answers(('b\r\n\u4e2d', 2))), context='a b\r\n\u4e2d'
  )
  text = json.dumps(content, indent=1, ensure_ascii=False).encode()
  assert read(bom + text.replace(b'\n', end)) == read(content)
  assert read(content)[0].answers == [[Answer('b\r\n\u4e2d', 2)]]


MOVED = 'answer moved to the nearest place of its text'
HERE = 'answer at its offset except for case, white space or signs'
ALIKE = 'answer found except for case, white space or signs'
ONCE = 'answer placed where its text occurs once (its offset is below 0)'
NOWHERE = 'answer not in the context'


@pytest.mark.parametrize(
  'text, start, expected, note',
  [
    ('Bob', 8, ('Bob', 8), None),
    ('Bob', 7, ('Bob', 8), MOVED),
    ('Bob', 9, ('Bob', 8), MOVED),
    ('Bob', 10, ('Bob', 8), MOVED),
    ('Bob', 11, ('Bob', 13), MOVED),
    ('Ann', 99, ('Ann', 0), MOVED),
    ('ann', 0, ('Ann', 0), HERE),
    ('ann', 1, ('Ann', 0), ALIKE),
    ('BOB', 8, ('Bob', 8), HERE),
    ('Bob\t', 8, ('Bob', 8), HERE),
    (' bob met ', 0, ('Bob met', 13), ALIKE),
    ('Cleo Drew', 21, ('Cleo  Drew', 21), HERE),
    ('met Cleo', 17, ('met\u00a0Cleo', 17), HERE),
    ('Eve', 0, ('Eve', -1), NOWHERE),
    ('Bo.', 0, ('Bo.', -1), NOWHERE),
    ('Ann', -1, ('Ann', 0), ONCE),
    ('ann', -7, ('ann', -1), 'answer without a place (its offset is below 0)'),
    ('Bob', -1, ('Bob', -1), 'answer without a place (its offset is below 0)'),
  ],
)
def test_place_of_an_answer(read, text, start, expected, note):
  (question,) = read(file(qa(answers=answers((text, start)))))
  assert question.answers == [[Answer(*expected)]]
  assert question.notes == [note] * bool(note)
  start = expected[1]
  assert start < 0 or CONTEXT.startswith(expected[0], start)


CHINESE = '张三 ，在北京的 IBM China\u3000和\n苹果工作。'


@pytest.mark.parametrize(
  'text, expected, note',
  [
    ('张三，在', '张三 ，在', ALIKE),
    ('北京 的IBM', '北京的 IBM', ALIKE),
    ('China和苹 果', 'China\u3000和\n苹果', ALIKE),
    (' 苹 果\n', '苹果', ALIKE),
    ('ibm\u3000china', 'IBM China', ALIKE),
    # White space between Latin words must stay.
    ('IBMChina', None, NOWHERE),
    ('I BM', None, NOWHERE),
    ('在上海', None, NOWHERE),
  ],
)
def test_white_space_beside_chinese(read, text, expected, note):
  content = file(qa(answers=answers((text, 3))), context=CHINESE)
  (question,) = read(content)
  start = CHINESE.index(expected) if expected else -1
  assert question.answers == [[Answer(expected or text, start)]]
  assert question.notes == [note]


def test_empty_answers_are_left_out(read):
  content = file(qa(answers=answers(('', 0), ('Ann', 0), (' ', 3))))
  for mode in 'alternatives', 'spans':
    (question,) = read(content, answers=mode)
    assert question.answers == [[Answer('Ann', 0)]]
    assert question.notes == ['empty answer left out'] * 2


def test_impossible_questions_that_contradict_themselves(read):
  content = file(
    qa('a', is_impossible=True, answers=answers(('Ann', 0))),
    qa('b', is_impossible=False, answers=[]),
  )
  assert [(q.answers, q.notes) for q in read(content)] == [
    ([], ['answers of an impossible question left out']),
    ([], ['no answer, though not marked as impossible']),
  ]


def test_spans_twice_and_overlapping(read):
  content = file(
    qa('a', answers=answers(('Ann', 0), ('Bob', 8), ('Ann', 0))),
    qa('b', answers=answers(('met Bob', 4), ('Ann', 0), ('Bob', 8))),
    qa('c', answers=answers(('met ', 4), ('Bob', 8))),
  )
  assert [
    (len(q.answers[0]), q.notes) for q in read(content, answers='spans')
  ] == [
    (2, ['a span that an answer has twice left out']),
    (3, ['spans of one answer overlap']),
    (2, []),
  ]
  assert not any(q.notes for q in read(content))


def test_blank_question_is_noted(read):
  (question,) = read(file(qa(question=' ')))
  assert question.notes == ['question of only white space']


def without(item, key):
  return {k: v for k, v in item.items() if k != key}


QA = 'data[0].paragraphs[0].qas[0]'


@pytest.mark.parametrize(
  'content, message',
  [
    (7, "the file: expected an object with 'data', found 7"),
    ({'version': '1.1'}, "the file: expected a list 'data', found none"),
    ({'data': [7]}, "data[0]: expected an object with 'title', found 7"),
    ({'data': [{}]}, "data[0]: expected a list 'paragraphs', found none"),
    (file(title=3), "data[0]: expected a text 'title', found 3"),
    (
      file(context=' \n'),
      'data[0].paragraphs[0]: expected a context, found only white space',
    ),
    (file(without(qa(), 'id')), f"{QA}: expected a text 'id', found none"),
    (file(qa(7.5)), f"{QA}: expected a text 'id', found 7.5"),
    (file(qa('')), f'{QA}: expected an id, found an empty one'),
    (
      file(qa('a'), qa('b'), qa('a')),
      'data[0].paragraphs[0].qas[2]: expected an id of its own, found '
      f"'a' again, the id of {QA}",
    ),
    (
      file(without(qa(), 'question')),
      f"{QA}: expected a text 'question', found none",
    ),
    (
      file(qa(answers={'text': ['Ann'], 'answer_start': [0]})),
      f"{QA}: expected a list 'answers', found {{'answer_start': [0]",
    ),
    (
      file(qa(answers=[{'text': 'Ann'}])),
      f"{QA}.answers[0]: expected a whole number 'answer_start', found none",
    ),
    (
      file(qa(answers=answers(('Ann', 0), ('Bob', True)))),
      f"{QA}.answers[1]: expected a whole number 'answer_start', found True",
    ),
    (
      file(qa(answers=answers((None, 0)))),
      f"{QA}.answers[0]: expected a text 'text', found None",
    ),
    (
      file(qa(is_impossible='false')),
      f"{QA}: expected true or false 'is_impossible', found 'false'",
    ),
    (
      file(qa(question='\ud83d')),
      f"{QA}: expected Unicode in 'question', found half a character",
    ),
  ],
)
def test_malformed(read, tmp_path, content, message):
  with pytest.raises(ValueError) as error:
    read(content)
  assert str(error.value).startswith(f'{tmp_path / "file.json"}: {message}')


@pytest.mark.parametrize(
  'content, message',
  [
    (b'{\n "data": [\n  {"title": "x",}\n ]\n}', '3: expected JSON: '),
    (b'', '1: expected JSON: '),
    (b'{\n "data": ["\xe4"]}', '2: expected UTF-8: '),
  ],
)
def test_not_json(read, tmp_path, content, message):
  with pytest.raises(ValueError) as error:
    read(content)
  assert str(error.value).startswith(f'{tmp_path / "file.json"}:{message}')


def test_unknown_option(read):
  with pytest.raises(ValueError, match="'alternatives' or 'spans', not 'all'"):
    read(file(qa()), answers='all')


@pytest.mark.parametrize(
  'there, text',
  [
    ('Anna’s', "Anna's"),
    ('‘Anna’', "'Anna'"),
    ('“A” – b…', '"a" - B...'),
    ('1990–1995', '1990-1995'),
    ('1990-1995', '1990—1995'),
    ('«Bonn»', '"Bonn"'),
    ('北京（2008），', '北京(2008),'),
    ('ABC　１', 'ABC 1'),
    ('wait...', 'wait…'),
  ],
)
def test_an_offset_is_kept_where_only_signs_differ(read, there, text):
  # The very text stands elsewhere in the context, and must not be taken.
  context = f'x {there} and {text}.'
  (question,) = read(file(qa(answers=answers((text, 2))), context=context))
  assert question.answers == [[Answer(there, 2)]]
  assert question.notes == [HERE]
  (other,) = read(file(qa(answers=answers((text + 'q', 2))), context=context))
  assert other.notes == [NOWHERE]


ROWS = [
  {
    'id': 'a',
    'title': 'T',
    'context': CONTEXT,
    'question': 'Who?',
    'answers': {'text': ['Bob', 'Ann'], 'answer_start': [8, 0]},
  },
  {'id': 7, 'context': CONTEXT, 'question': 'When?', 'answers': None},
  {
    'id': 'c',
    'context': 'X',
    'question': 'What?',
    'answers': {'text': [], 'answer_start': []},
  },
]
EXPECTED = [
  Question(
    'a', 'T', 'Who?', CONTEXT, [[Answer('Bob', 8)], [Answer('Ann', 0)]], []
  ),
  Question('7', CONTEXT, 'When?', CONTEXT, [], []),
  Question('c', 'X', 'What?', 'X', [], []),
]


def test_flat_rows(read):
  lines = '\n'.join(map(json.dumps, ROWS)).encode()
  assert read(lines) == read(lines + b'\n\n') == EXPECTED
  assert read(ROWS) == read({'data': ROWS, 'version': 1}) == EXPECTED
  assert read(json.dumps(ROWS[0]).encode()) == EXPECTED[:1]
  assert read(json.dumps(ROWS[0], indent=1).encode()) == EXPECTED[:1]


@pytest.mark.parametrize(
  'change, message',
  [
    (
      {'context': ''},
      ':2: the row: expected a context, found only white space',
    ),
    ({'id': 'a'}, ":2: expected an id .* found 'a' again, the id of line 1"),
    ({'question': 1}, ":2: the row: expected a text 'question', found 1"),
    (
      {'answers': {'text': []}},
      ":2: the row, answers: .* 'answer_start', found",
    ),
    (
      {'answers': {'text': ['a'], 'answer_start': []}},
      ':2: the row: expected as many texts as starts of answers, found 1 and 0',
    ),
    (
      {'answers': {'text': ['a'], 'answer_start': ['0']}},
      ":2: answers\\[0\\]: expected a whole number 'answer_start', found '0'",
    ),
    ({'answers': 'Bob'}, ":2: the row: expected a list 'answers', found 'Bob'"),
  ],
)
def test_malformed_rows(read, tmp_path, change, message):
  lines = [ROWS[0], ROWS[1] | change]
  with pytest.raises(ValueError, match=f'^{tmp_path}/file.json{message}'):
    read('\n'.join(map(json.dumps, lines)).encode())


def test_a_line_that_is_no_row(read):
  lines = f'{json.dumps(ROWS[0])}\n[1]\n'.encode()
  with pytest.raises(
    ValueError, match=':2: expected a JSON object, found list'
  ):
    read(lines)
  with pytest.raises(ValueError, match=':2: expected a JSON object: '):
    read(lines.replace(b'[1]', b'{'))
