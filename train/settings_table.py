"""The settings of a config with their comments: `--settings`."""

import ast
import inspect
import io
import re
import textwrap
import tokenize
from collections.abc import Iterator
from typing import Any

from ml_collections.config_dict import ConfigDict

from configs import default

_LEFT, _WIDTH = 42, 100
# Sections whose keys are labels; they are shown as one setting.
_BY_LABEL = 'class_weights', 'resample'


def format_settings(config: ConfigDict) -> str:
  """Writes a line `KEY = VALUE  comment` per setting.

  A star marks a value that differs from configs/default.py. The comments are
  read from there.
  """
  defaults = dict(_walk(default.get_config()))
  comments = read_comments(inspect.getsource(default))
  lines = []
  for key, value in _walk(config):
    if value is ... and not comments.get(key):
      continue
    differs = value is not ... and (key, value) not in defaults.items()
    left = key if value is ... else f'{key} = {value!r}'
    lines += _wrap(f'{"*" if differs else " "} {left}', comments.get(key, ''))
  return '\n'.join(lines)


def changed_settings(config: ConfigDict) -> dict[str, Any]:
  """Returns the settings that differ from configs/default.py, by key."""
  defaults = dict(_walk(default.get_config()))
  return {
    key: value
    for key, value in _walk(config)
    if value is not ... and (key, value) not in defaults.items()
  }


def read_comments(source: str) -> dict[str, str]:
  """Reads the comments of a config file, by dotted key.

  The comment of a key stands on the lines above it or behind it. In a comment
  above, `- NAME: text` is the comment of KEY.NAME.

  Args:
    source: the code of the file, where `create(key=value, ...)` is a section.
  """
  lines = source.splitlines()
  tokens = tokenize.generate_tokens(io.StringIO(source).readline)
  behind = {
    token.start[0]: token.string.lstrip('# ')
    for token in tokens
    if token.type == tokenize.COMMENT
  }
  comments = {}

  def read(section, prefix):
    for keyword in section.keywords:
      key, is_section = f'{prefix}{keyword.arg}', _is_section(keyword.value)
      if keyword.lineno != section.lineno:  # Else the comment is the section's.
        above, end = keyword.lineno - 1, keyword.value.end_lineno
        while lines[above - 1].lstrip().startswith('#'):
          above -= 1
        numbers = [*range(above + 1, keyword.lineno)]
        numbers.append(keyword.lineno if is_section else end)
        text = '\n'.join(behind[n] for n in numbers if n in behind)
        comments.update(_split_list(key, text))
      if is_section:
        read(keyword.value, f'{key}.')

  sections = filter(_is_section, ast.walk(ast.parse(source)))
  read(next(sections), '')
  return comments


def _is_section(node) -> bool:
  return (
    isinstance(node, ast.Call)
    and isinstance(node.func, ast.Name)
    and node.func.id == 'create'
  )


def _split_list(key, text) -> dict[str, str]:
  own, *parts = re.split(r'^- (\w+): ', text, flags=re.MULTILINE)
  split = {key: ' '.join(own.split())}
  for name, comment in zip(parts[::2], parts[1::2], strict=True):
    comment = ' '.join(comment.split())
    split[f'{key}.{name}'] = comment[:1].upper() + comment[1:]
  return split


def _walk(config, prefix='') -> Iterator[tuple[str, Any]]:
  """Dotted keys with their values; a section has `...` and comes first."""
  for name, value in config.items():
    key = f'{prefix}{name}'
    if not isinstance(value, ConfigDict):
      yield key, value
    elif name in _BY_LABEL or not value:
      yield key, value.to_dict()
    else:
      yield key, ...
      yield from _walk(value, f'{key}.')


def _wrap(left, comment) -> list[str]:
  if not comment:
    return [left]
  right = textwrap.wrap(comment, _WIDTH - _LEFT)
  if len(left) > _LEFT - 2:
    return [left, *(' ' * _LEFT + line for line in right)]
  first = f'{left:{_LEFT}}{right[0]}'
  return [first, *(' ' * _LEFT + line for line in right[1:])]
