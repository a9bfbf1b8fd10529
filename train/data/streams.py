"""Opens what is to be predicted: its format, and its inputs as they come."""

import itertools
import json
import os
import pathlib
import queue
import re
import sys
import tempfile
import threading
from collections.abc import Collection
from collections.abc import Iterator

from dicejax.text.inputs import Input
from train.data import files
from train.data import unlabelled
from train.data.conll import is_separator
from train.data.conll import split_columns
from train.data.files import Lines
from train.data.files import Skipped
from train.data.files import name_path
from train.data.splits import FORMATS

STDIN = '-'
FORMS = [*unlabelled.READERS, *sorted(FORMATS.keys() - unlabelled.READERS)]

_SUFFIXES = {
  '.jsonl': 'jsonl',
  '.ndjson': 'jsonl',
  '.csv': 'csv',
  '.tsv': 'tsv',
  '.conll': 'conll',
  '.conllu': 'conllu',
}
_TAG = re.compile(r'O|[BIESLUM]-\S+')
# Lines of one word each that tell a column of words from lines of text.
_ENOUGH = 3
_WAIT = 0.02  # Seconds that a chunk waits for more of a stream.


def read_inputs(
  path: str, config, form: str, labels: Collection[str]
) -> tuple[str, Iterator[Input]]:
  """Reads what is to be predicted.

  Args:
    path: a file, or `-` for standard input.
    config: the config of the run, whose options the formats have.
    form: one of `FORMS`; '': the suffix or the first lines tell.
    labels: the labels of the run, by which tags are recognised.

  Returns:
    The format, and the inputs. They raise ValueError at a malformed one, with
    a message that begins with the path.
  """
  lines = _lines(path, config)
  if path != STDIN and pathlib.Path(path).is_dir():
    form = form or config.data.format
    if form in unlabelled.READERS:
      raise IsADirectoryError(f'--input={path}: expected a file.')
  if not form:
    form, lines = _recognise(pathlib.Path(path).suffix, lines, config, labels)
  if form not in unlabelled.READERS:
    return form, _read_whole(path, lines, config, form)
  inputs = unlabelled.READERS[form](lines, **_options(config, form))
  return form, name_path(path, inputs)


def chunks(
  inputs: Iterator[Input], size: int, live: bool
) -> Iterator[list[Input]]:
  """Yields lists of at most so many inputs.

  Args:
    inputs: the inputs.
    size: the largest number of a list.
    live: whether the inputs come from a stream: those that are there do not
      wait for the next.
  """
  if not live:
    yield from _whole_chunks(inputs, size)
    return
  arrived: queue.Queue = queue.Queue(maxsize=2 * size)
  threading.Thread(target=_fill, args=(inputs, arrived), daemon=True).start()
  error = None
  while error is None:
    chunk, wait = [], None
    while len(chunk) < size:
      try:
        item, error = arrived.get(timeout=wait)
      except queue.Empty:
        break
      if error is not None:
        break
      chunk.append(item)
      wait = _WAIT
    if chunk:
      yield chunk
  if not isinstance(error, StopIteration):
    raise error


def _whole_chunks(inputs, size):
  chunk = []
  try:
    for item in inputs:
      chunk.append(item)
      if len(chunk) == size:
        yield chunk
        chunk = []
  except ValueError:
    if chunk:  # The inputs before a malformed one are predicted.
      yield chunk
    raise
  if chunk:
    yield chunk


def _fill(inputs, arrived):
  try:
    for item in inputs:
      arrived.put((item, None))
    arrived.put((None, StopIteration()))
  except Exception as error:  # Raised again where the inputs are used.
    arrived.put((None, error))


def _lines(path: str, config) -> Lines:
  if path == STDIN or _is_stream(path):
    return _stream(path)
  if not path or not pathlib.Path(path).exists():
    raise FileNotFoundError(f'--input={path}: no such file.')
  if pathlib.Path(path).is_dir():
    return ()
  if config.data.format == 'csv':
    text = files.read_text(path, config.data.csv.encoding, 'data.csv.encoding')
    return enumerate(re.split(r'\r\n?|\n', text), 1)
  return files.read_lines(path)


def _is_stream(path: str) -> bool:
  """Whether a path is a pipe or the like, such as `/dev/stdin`."""
  place = pathlib.Path(path)
  return place.exists() and not (place.is_file() or place.is_dir())


def _stream(path: str) -> Iterator[tuple[int, str]]:
  """Yields the lines of a stream as they come, as `read_lines` does."""
  # A descriptor of its own: at exit, Python waits for the lock of sys.stdin,
  # which a thread that still reads would hold.
  opened = os.dup(sys.stdin.fileno()) if path == STDIN else path
  with open(opened, 'rb') as source:
    ended, number = True, 0
    for number, data in enumerate(source, 1):
      try:
        line = data.decode('utf-8-sig' if number == 1 else 'utf-8')
      except UnicodeDecodeError as error:
        raise ValueError(f'{path}:{number}: expected UTF-8: {error}.') from None
      ended = line.endswith('\n')
      if number == 1 and not ended:
        # As in a file without a line feed, carriage returns end its lines.
        yield from enumerate(line.split('\r'), 1)
        return
      yield number, line.rstrip('\r\n')
  if ended and number:
    yield number + 1, ''  # As after the last line feed of a file.


def _read_whole(path, lines, config, form) -> Iterator[Input]:
  """Reads a format that is one value, by the reader of training."""
  if path == STDIN or _is_stream(path):
    with tempfile.TemporaryDirectory() as directory:
      copy = pathlib.Path(directory) / 'stdin'
      copy.write_text('\n'.join(line for _, line in lines), encoding='utf-8')
      try:
        yield from _read_whole(str(copy), (), config, form)
      except ValueError as error:
        raise ValueError(str(error).replace(str(copy), path)) from None
    return
  seen = set()
  for example in FORMATS[form](path, **config.data.get(form, {})):
    if isinstance(example, Skipped):
      continue
    found = unlabelled.from_example(example)
    # A sentence of MRC-NER comes back with each type.
    if form != 'mrc_ner' or example.group not in seen:
      yield found
    seen.add(example.group)


def _options(config, form) -> dict:
  """Returns the options of a reader, by the section of its format."""
  own, data = config.data.get(form, {}), config.data
  trained = data.get(data.format, {})
  if form == 'conll':
    return {'token': own.token if data.format == 'conll' else 0}
  if form == 'text':
    return {'tabs': _tabs(config, trained)}
  if form == 'conllu':
    return {'unit': own.unit if data.format == 'conllu' else 'word'}
  section = own if form == data.format else trained
  options = {name: section.get(name, '') for name in ('text', 'pair')}
  if form == 'jsonl':
    return options | {'words': config.task in ('tagging', 'query_spans')}
  separator = own.get('separator', ',' if form == 'csv' else '\t')
  return options | {
    'separator': '\t' if separator == r'\t' else separator,
    'header': own.get('header', True),
    'quotes': form == 'csv',
  }


def _tabs(config, trained) -> str:
  """Returns what tabs mean in lines of text, as for `read_text`."""
  if config.task not in ('classification', 'multi_label'):
    return 'text'
  if config.data.format in ('tfds', 'hf'):  # Their data sets do not say.
    return 'any'
  return 'pair' if trained.get('pair') else 'none'


def _recognise(suffix, lines, config, labels) -> tuple[str, Lines]:
  """Tells the format by the suffix or the first lines, which are kept."""
  words = config.task in ('tagging', 'query_spans')
  if suffix == '.json':
    return ('mrc_ner' if words else 'squad'), lines
  if suffix in _SUFFIXES and not (words and suffix == '.tsv'):
    return _SUFFIXES[suffix], lines
  lines, seen = iter(lines), []
  first = next(lines, None)
  if first is None:
    return 'text', ()
  seen.append(first)
  form = _of_line(first[1], config)
  if not form and words:
    form = _of_columns(seen, lines, labels)
  return form or 'text', itertools.chain(seen, lines)


def _of_line(line: str, config) -> str:
  """Tells the format by the first line, or returns ''."""
  if line.lstrip().startswith('{'):
    try:
      row = json.loads(line)
    except json.JSONDecodeError:
      row = None
    if isinstance(row, dict) and 'data' not in row:
      return 'jsonl'
  if config.task == 'span_qa':
    return 'squad'
  own = config.data.get(config.data.format, {})
  if config.data.format in ('csv', 'tsv') and own.get('header'):
    separator = own.separator.replace(r'\t', '\t')
    cells = [cell.strip('"') for cell in line.split(separator)]
    if own.text in cells and own.label in cells:
      return config.data.format
  return ''


def _of_columns(seen, lines, labels) -> str:
  """Tells columns of words from sentences; adds the lines it reads to seen."""
  if '-DOCSTART-' in seen[0][1]:
    return 'conll'
  while seen[-1][1].startswith(('# ', '#\t')) and _read_on(seen, lines):
    pass
  rows = [_cells(seen[-1][1])]
  while rows[-1] and len(rows) < _ENOUGH and _may_be_row(rows[-1], labels):
    if not _read_on(seen, lines):
      break
    rows.append(_cells(seen[-1][1]))
  block = [row for row in rows if row]
  is_whole = not rows[-1] and block and len(block[0]) > 1
  if len(block) < _ENOUGH and not is_whole:
    return ''
  if len({len(row) for row in block}) > 1:
    return ''
  return 'conll' if all(_may_be_row(row, labels) for row in block) else ''


def _cells(line: str) -> list[str]:
  return [] if is_separator((0, line)) else split_columns(line)


def _read_on(seen, lines) -> bool:
  line = next(lines, None)
  if line is not None:
    seen.append(line)
  return line is not None


def _may_be_row(row, labels) -> bool:
  return len(row) == 1 or row[-1] in labels or bool(_TAG.fullmatch(row[-1]))
