"""Lines and JSON of local files, and the errors that name a line."""

import pytest

from train.data import files


@pytest.mark.parametrize(
  'data, lines',
  [
    (b'a\nb', ['a', 'b']),
    (b'a\r\nb\r\n', ['a', 'b', '']),
    (b'\xef\xbb\xbfa\n\nb', ['a', '', 'b']),
    ('a\u2028b\x0cc\x85'.encode(), ['a\u2028b\x0cc\x85']),
    (b'', ['']),
    # Carriage returns alone end lines, but only if no line feed does.
    (b'a\rb\r\rc', ['a', 'b', '', 'c']),
    (b'a\rb\nc\r\n', ['a\rb', 'c', '']),
  ],
)
def test_lines(tmp_path, data, lines):
  path = tmp_path / 'file'
  path.write_bytes(data)
  assert list(files.read_lines(path)) == [*enumerate(lines, start=1)]


def test_lines_that_are_not_utf8(tmp_path):
  path = tmp_path / 'file'
  path.write_bytes(b'a\nb\n\xe4\n')
  with pytest.raises(ValueError, match=f'^{path}:3: expected UTF-8'):
    list(files.read_lines(path))
  path.write_bytes(b'a\r\xe4\r')
  with pytest.raises(ValueError, match=f'^{path}:2: expected UTF-8'):
    list(files.read_lines(path))


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
  assert files.read_json(path) == value


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
    files.read_json(path)


def test_half_a_character():
  files.check_unicode('\U0001f600 \u00e9', 'text')
  with pytest.raises(ValueError, match="Unicode in 'text', .* lone surrogate"):
    files.check_unicode('\ud83d', 'text')
