"""Inputs to predict: what is read of each format, and how it is told."""

import io
import json
import os
import sys

import pytest

from configs import default
from dicejax.text.inputs import Asked
from train.data import streams
from train.data.fields import Text
from train.data.squad import Question
from train.data.unlabelled import to_example

LABELS = ['O', 'B-PER', 'I-PER']


def make_config(task='tagging', **changes):
  config = default.get_config()
  config.task = task
  if task == 'classification':
    config.data.format = 'jsonl'
  config.update_from_flattened_dict(changes)
  return config


def read(tmp_path, name, text, config=None, form=''):
  path = tmp_path / name
  path.write_text(text, encoding='utf-8', newline='')
  form, inputs = streams.read_inputs(
    str(path), config or make_config(), form, LABELS
  )
  return form, [*inputs]


def words(item):
  return [item.text[start:end] for start, end in item.words]


COLUMNS = 'Ann NNP B-PER\nsaw VBD O\n\nJo NNP B-PER\n'


@pytest.mark.parametrize(
  'text',
  [
    COLUMNS,
    COLUMNS.replace(' ', '\t'),
    '-DOCSTART- -X- O\n\n' + COLUMNS,
    '# 1 of 2\n' + COLUMNS,
    COLUMNS.replace('\n', '\r\n'),
    '\n'.join(line.split(' ')[0] for line in 'Ann|saw|me||Jo'.split('|')),
  ],
)
def test_columns_with_or_without_tags(tmp_path, text):
  form, items = read(tmp_path, 'input', text)
  assert form == 'conll'
  expected = [['Ann', 'saw', 'me'], ['Jo']] if 'me' in text else None
  assert [words(item) for item in items] == (
    expected or [['Ann', 'saw'], ['Jo']]
  )
  assert items[-1].line == 1 + text.rstrip().count('\n')


@pytest.mark.parametrize(
  'unit, expected', [('word', ['Ann', 'is']), ('character', [*'Annis'])]
)
def test_words_of_conllu_are_those_of_training(tmp_path, unit, expected):
  rows = ['1-2 Annis', '1 Ann', '2 is', '2.1 x']
  text = '# text\n' + '\n'.join(
    row.replace(' ', '\t') + 8 * '\t_' for row in rows
  )
  config = make_config(**{'data.format': 'conllu', 'data.conllu.unit': unit})
  form, (item,) = read(tmp_path, 'a.conllu', text, config)
  assert form == 'conllu' and words(item) == expected
  with pytest.raises(ValueError, match='a.conllu:1: expected 10 columns'):
    read(tmp_path, 'a.conllu', '1\tAnn\n', config)


@pytest.mark.parametrize(
  'text',
  ['Ann saw Jo.\n\nOh\n', 'Ann\nJo saw B-PER\n', 'Ann\tJo\n\nVitamin O.'],
)
def test_sentences_are_not_columns(tmp_path, text):
  form, items = read(tmp_path, 'input', text)
  lines = text.rstrip('\n').split('\n')
  assert form == 'text' and [item.text for item in items] == lines
  assert all(item.words is None for item in items)


def test_fields_of_json_lines_and_words_that_are_given(tmp_path):
  rows = [
    {'id': 7, 'text': 'Ann\nsaw', 'deep': {'a': [1]}},
    {'tokens': ['Jo', 'New York'], 'text': 'Jo  New York'},
  ]
  text = '\n\n'.join(map(json.dumps, rows))
  form, (first, second) = read(tmp_path, 'input', text)
  assert form == 'jsonl'
  assert first.text == 'Ann\nsaw' and first.words is None
  assert first.fields == {'id': 7, 'deep': {'a': [1]}} and first.line == 1
  assert words(second) == rows[1]['tokens'] and second.line == 3
  assert second.fields == {'text': 'Jo  New York'}


def test_rows_of_csv_and_tsv(tmp_path):
  config = make_config('classification')
  text = 'id,text,label\r\n1,"a ""b"",\r\nc",x\r\n2,d,\r\n'
  form, (first, second) = read(tmp_path, 'a.csv', '\ufeff' + text, config)
  assert form == 'csv'
  assert first.text == 'a "b",\nc' and first.fields == {'id': '1', 'label': 'x'}
  assert (second.text, second.line) == ('d', 4)
  assert to_example(first, (Text,)) == Text('a "b",\nc', None, '', 2)
  config = make_config(
    'classification',
    **{'data.format': 'tsv', 'data.tsv.pair': 'b', 'data.tsv.text': 'a'},
  )
  form, (item,) = read(tmp_path, 'input', 'a\tb\tlabel\n"x\ty\tz\n', config)
  assert form == 'tsv' and (item.text, item.pair) == ('"x', 'y')


def test_questions(tmp_path):
  config = make_config('span_qa')
  row = {'id': 'q', 'question': 'Who?', 'context': 'Ann', 'source': 'me'}
  form, (item,) = read(tmp_path, 'input', json.dumps(row), config)
  asked = Asked('q', 'Who?', 'Ann', [])
  assert form == 'jsonl' and item.fields == {'source': 'me'}
  assert to_example(item, (Question,)) == asked
  article = {'paragraphs': [{'context': 'Ann', 'qas': [row]}], 'title': ''}
  text = json.dumps({'data': [article]}, indent=1)
  form, (item,) = read(tmp_path, 'input', text, config)
  assert form == 'squad' and to_example(item, (Question,)) == asked
  with pytest.raises(ValueError, match='1: expected a question on a context'):
    to_example(item._replace(question=None, line=1), (Question,))


@pytest.mark.parametrize(
  'name, text, message',
  [
    ('a.jsonl', '{"text": "a"}\n{"texts": "b"}', "a.jsonl:2: .* at 'text'"),
    ('a.jsonl', '{"text": 3}', "a.jsonl:1: expected some text as 'text'"),
    ('a.jsonl', '[1]', 'a.jsonl:1: expected a JSON object'),
    ('a.jsonl', '{', 'a.jsonl:1: expected a JSON object: '),
    ('a.jsonl', '{"text": "\\ud83d"}', 'a.jsonl:1: .*found half a character'),
    (
      'a.jsonl',
      '{"tokens": ["a", 1]}',
      "a.jsonl:1: expected words as 'tokens'",
    ),
    ('a.csv', 'id,text\n1,a,b', 'a.csv:2: expected 2 columns, found 3'),
    ('a.csv', 'text\na\n"b', 'a.csv:3: expected a row of CSV'),
    ('a.csv', 'id,body\n1,a', "a.csv:2: expected the text at 'text'"),
  ],
)
def test_malformed_inputs(tmp_path, name, text, message):
  with pytest.raises(ValueError, match=message):
    read(tmp_path, name, text)


def test_a_stream_is_not_read_ahead(monkeypatch):
  ours, theirs = os.pipe()
  with os.fdopen(ours, 'rb') as source, os.fdopen(theirs, 'w') as sink:
    monkeypatch.setattr(sys, 'stdin', io.TextIOWrapper(source))
    sink.write('Ann saw Jo.\n')
    sink.flush()
    _, inputs = streams.read_inputs('-', make_config(), '', LABELS)
    chunks = streams.chunks(inputs, 8, live=True)
    assert [item.text for item in next(chunks)] == ['Ann saw Jo.']
    sink.write('a\nb\n\xff')
    sink.close()
    rest = [item.text for chunk in chunks for item in chunk]
    assert rest == ['a', 'b', 'ÿ']


def test_carriage_returns_end_the_lines_of_a_stream(tmp_path):
  for text, lines in [('a\rb\r', 'a b'), ('a\rb', 'a b'), ('a', 'a')]:
    (tmp_path / 'file').write_text(text, newline='')
    ours, theirs = os.pipe()
    with os.fdopen(theirs, 'w', newline='') as sink:
      sink.write(text)
    for path in (f'/dev/fd/{ours}', str(tmp_path / 'file')):
      _, inputs = streams.read_inputs(path, make_config(), '', LABELS)
      found = [(item.line, item.text) for item in inputs]
      assert found == [*enumerate(lines.split(), 1)]
    os.close(ours)


def test_pipes_and_directories(tmp_path):
  ours, theirs = os.pipe()
  with os.fdopen(theirs, 'w') as sink:
    sink.write('{"text": "a"}\n{"text": 1}\n')
  form, inputs = streams.read_inputs(
    f'/dev/fd/{ours}', make_config(), '', LABELS
  )
  assert form == 'jsonl' and next(inputs).text == 'a'
  with pytest.raises(ValueError, match=f"^/dev/fd/{ours}:2: .* 'text'"):
    next(inputs)
  os.close(ours)
  with pytest.raises(IsADirectoryError, match='expected a file'):
    streams.read_inputs(str(tmp_path), make_config(), '', LABELS)
  with pytest.raises(FileNotFoundError, match='--input=: no such file'):
    streams.read_inputs('', make_config(), '', LABELS)


def test_chunks_are_whole_and_raise_at_the_end():
  def inputs():
    yield from range(5)
    raise ValueError('bad')

  for live in (False, True):
    found = []
    with pytest.raises(ValueError, match='bad'):
      for chunk in streams.chunks(inputs(), 2, live=live):
        assert 1 <= len(chunk) <= 2
        found += chunk
    assert found == [0, 1, 2, 3, 4]


def test_columns_are_those_of_training(tmp_path):
  """An empty cell is a column, and the last cell may be the rest of a line."""
  config = make_config(**{'data.conll.token': 1})
  rows = '1\tJohn\tB-PER\n\tsleeps\tO\n3\there\tO\n'
  _, (item,) = read(tmp_path, 'a.txt', rows, config, 'conll')
  assert words(item) == ['John', 'sleeps', 'here']
  config = make_config('classification', **{'data.format': 'tsv'})
  config.data.tsv.update(separator=' ', header=False, text='1', label='0')
  _, items = read(tmp_path, 'b.tsv', '4 a long day\n1 night\n', config)
  assert [item.text for item in items] == ['a long day', 'night']
