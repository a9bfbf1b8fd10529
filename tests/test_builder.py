"""The cache of parsed files: what it serves, and what it never does."""

from typing import NamedTuple

import pytest
import tensorflow_datasets as tfds

from train.data import builder
from train.data.builder import Skipped


class Part(NamedTuple):
  name: str


class Line(NamedTuple):
  text: str
  parts: list[Part]


class Lines(builder.Files):
  """Lines of a file and their words; `#` is left out, `!` is an error."""

  FEATURES = {
    'text': tfds.features.Text(),
    'parts': tfds.features.Sequence({'name': tfds.features.Text()}),
  }

  @staticmethod
  def read(path, *, upper=False):
    for number, line in builder.read_lines(path):
      if line.startswith('!'):
        raise ValueError(f'{path}:{number}: expected no "!".')
      if line.startswith('#'):
        yield Skipped(f'line with {line}')
      elif line:
        line = line.upper() if upper else line
        yield Line(line, [Part(word) for word in line.split()])

  @staticmethod
  def decode(example):
    parts = [Part(name.decode()) for name in example['parts']['name']]
    return Line(example['text'].decode(), parts)


@pytest.fixture
def load(tmp_path):
  def load(kind=Lines, options=None, function=builder.load, **texts):
    files = {}
    for split, text in texts.items():
      files[split] = tmp_path / f'{split}.txt'
      files[split].write_text(text, encoding='utf-8')
    return function(kind, files, options or {}, tmp_path / 'cache')

  return load


def _texts(lines):
  return [line.text for line in lines]


def test_load_is_what_is_read_in_order(load, tmp_path):
  text = ''.join(f'{i}\u00e9 y\n' for i in range(30))
  data = load(train=text, dev='x\n')
  assert list(data) == ['train', 'dev']
  assert data['train'] == list(Lines.read(tmp_path / 'train.txt'))
  assert data['train'][7] == Line('7\u00e9 y', [Part('7\u00e9'), Part('y')])
  assert _texts(data['dev']) == ['x']


def test_load_parses_once(load, monkeypatch):
  load(train='x\n')
  monkeypatch.setattr(Lines, 'read', None)
  assert _texts(load(train='x\n')['train']) == ['x']


def test_load_never_serves_a_file_that_changed(load):
  for text in 'xyx':
    assert _texts(load(train=text)['train']) == [text]


def test_load_never_serves_other_options(load):
  for upper, text in [(False, 'x'), (True, 'X'), (False, 'x')]:
    data = load(options={'upper': upper}, train='x')
    assert _texts(data['train']) == [text]


def test_load_never_serves_another_format(load):
  class Backwards(Lines):
    @staticmethod
    def read(path):
      return reversed(list(Lines.read(path)))

  assert _texts(load(train='x\ny\n')['train']) == ['x', 'y']
  assert _texts(load(Backwards, train='x\ny\n')['train']) == ['y', 'x']


def test_load_never_serves_what_an_older_reader_read(load, monkeypatch):
  load(train='x\n')
  newer = tfds.core.Version('99.0.0')
  monkeypatch.setattr(Lines, 'VERSION', newer)
  monkeypatch.setattr(Lines, 'read', staticmethod(lambda _: [Line('y', [])]))
  assert _texts(load(train='x\n')['train']) == ['y']


def test_load_never_serves_what_was_half_written(load, monkeypatch):
  def killed(path):
    yield Line('x', [])
    raise KeyboardInterrupt

  with monkeypatch.context() as patch:
    patch.setattr(Lines, 'read', staticmethod(killed))
    with pytest.raises(KeyboardInterrupt):
      load(train='x\ny\n')
  assert _texts(load(train='x\ny\n')['train']) == ['x', 'y']


def test_load_beside_a_faster_process(load, monkeypatch):
  read = Lines.read

  def slow_read(path):
    monkeypatch.setattr(Lines, 'read', staticmethod(read))
    load(train='x\n')  # The other process starts now and is done first.
    yield from read(path)

  monkeypatch.setattr(Lines, 'read', staticmethod(slow_read))
  assert _texts(load(train='x\n')['train']) == ['x']


def test_load_is_quiet(load, capfd, caplog):
  load(train='x\n')
  assert capfd.readouterr() == ('', '')
  assert not caplog.records


def test_load_missing_file(tmp_path):
  files = {'dev': tmp_path / 'none.txt'}
  with pytest.raises(FileNotFoundError, match=r"none\.txt.*'dev'"):
    builder.load(Lines, files, {}, tmp_path)


@pytest.mark.parametrize('text', ['', '#\n'])
def test_load_without_examples(load, text):
  with pytest.raises(ValueError, match=r'dev\.txt: expected at least one ex'):
    load(train='x\n', dev=text)


def test_load_malformed_file(load):
  with pytest.raises(ValueError, match=r'train\.txt:2: expected no "!"'):
    load(train='x\n!\n')


def test_what_is_skipped_is_counted(load, monkeypatch):
  texts = {'train': '#\nx\n# y\n#\n', 'dev': 'x\n'}
  assert _texts(load(**texts)['train']) == ['x']
  monkeypatch.setattr(Lines, 'read', None)  # The counts are stored, too.
  assert load(function=builder.count_skipped, **texts) == {
    'train': {'line with #': 2, 'line with # y': 1},
    'dev': {},
  }


def test_formats_may_be_called_as_those_of_tfds():
  class Squad(builder.Files):
    pass

  assert tfds.builder_cls('squad') is not Squad


@pytest.mark.parametrize(
  'data, lines',
  [
    (b'a\nb', ['a', 'b']),
    (b'a\r\nb\r\n', ['a', 'b', '']),
    (b'\xef\xbb\xbfa\n\nb', ['a', '', 'b']),
    ('a\u2028b\x0cc\x85'.encode(), ['a\u2028b\x0cc\x85']),
    (b'', ['']),
  ],
)
def test_lines(tmp_path, data, lines):
  path = tmp_path / 'file'
  path.write_bytes(data)
  assert list(builder.read_lines(path)) == [*enumerate(lines, start=1)]


def test_lines_that_are_not_utf8(tmp_path):
  path = tmp_path / 'file'
  path.write_bytes(b'a\nb\n\xe4\n')
  with pytest.raises(ValueError, match=f'^{path}:3: expected UTF-8'):
    list(builder.read_lines(path))


@pytest.mark.parametrize(
  'data, value',
  [
    (b'\xef\xbb\xbf{"a": [1]}\r\n', {'a': [1]}),
    ('["\u00e9\u2028"]'.encode(), ['\u00e9\u2028']),
  ],
)
def test_json(tmp_path, data, value):
  path = tmp_path / 'file'
  path.write_bytes(data)
  assert builder.read_json(path) == value


@pytest.mark.parametrize(
  'data, message',
  [
    (b'[\n1,\n}', '3: expected JSON: Expecting value'),
    (b'[\n"\xe4"]', '2: expected UTF-8'),
  ],
)
def test_json_that_is_none(tmp_path, data, message):
  path = tmp_path / 'file'
  path.write_bytes(data)
  with pytest.raises(ValueError, match=f'^{path}:{message}'):
    builder.read_json(path)


def test_half_a_character():
  builder.check_unicode('\U0001f600 \u00e9', 'text')
  with pytest.raises(ValueError, match="Unicode in 'text', .* lone surrogate"):
    builder.check_unicode('\ud83d', 'text')
