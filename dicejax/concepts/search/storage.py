"""The directory of an index: JSON and mapped arrays, with checksums.

`index.json` names all other files; their names have their checksums. They are
written beside those in use, and become the index when `index.json` is replaced,
which is one step: whoever is stopped at any moment leaves the old index or the
new one. There is no pickle: reading runs no code of whoever wrote the index.

Opening an index compares the checksums of the JSON files and the sizes of the
arrays. The checksums of the arrays, which take longer than a search, are for
`verify`.
"""

import contextlib
import errno
import json
import mmap
import os
import pathlib
import shutil
import zipfile
from collections.abc import Iterable
from collections.abc import Iterator
from collections.abc import Mapping
from collections.abc import Sequence
from typing import Any
from typing import NamedTuple

import numpy as np

from dicejax.concepts.files import check_writable
from dicejax.concepts.files import replacing
from dicejax.concepts.search.mapping import digest
from dicejax.concepts.search.mapping import map_segment
from dicejax.concepts.search.mapping import mapped
from dicejax.concepts.search.mapping import parse
from dicejax.concepts.search.mapping import to_json
from dicejax.concepts.search.mapping import verify_segment
from dicejax.concepts.search.mapping import write_json
from dicejax.concepts.search.mapping import write_segment
from dicejax.concepts.search.segment import Segment

try:
  import fcntl
except ImportError:  # Windows: neither locks nor flushes directories so.
  fcntl = None

_FORMAT = 'dicejax concepts index'
_VERSION = 3
_HEADER = 'index.json'


class Stored(NamedTuple):
  """An index that is open; replacing it on the disk does not disturb it.

  Attributes:
    path: its directory.
    header: what `index.json` has.
    files: the JSON files that `write` was given, mapped.
    segments: the reports, mapped.
  """

  path: pathlib.Path
  header: dict[str, Any]
  files: dict[str, mmap.mmap]
  segments: list[Segment]

  def read(self, name: str) -> Any:
    """Reads one of the JSON files."""
    with _refusing(self.path):
      return parse(self.files[name], self.header['files'][name])


def check_target(path: str | os.PathLike, *, force: bool = False) -> None:
  """Raises early what `write` would raise after the work is done.

  Raises:
    FileExistsError: there is an index or a file, and `force` is not set.
    IsADirectoryError: there is a directory that is not an index.
    FileNotFoundError: its directory does not exist.
  """
  path = pathlib.Path(path)
  if not (path / _HEADER).exists():
    if path.is_dir():
      raise IsADirectoryError(f'{path}: is a directory, but not an index.')
    check_writable(path, force=force)
  elif not force:
    raise FileExistsError(f'{path}: the index exists, and is not overwritten.')


def write(
  path: str | os.PathLike,
  about: Any,
  files: Mapping[str, Any],
  segments: Iterable[Segment],
  *,
  force: bool = False,
) -> None:
  """Writes an index: an old one stays until the new one is complete.

  Args:
    path: the directory.
    about: goes into the header.
    files: values by name, each of which goes into a JSON file.
    segments: only one at a time is in memory.
    force: whether an index or a file that exists may be replaced.

  Raises:
    FileExistsError, IsADirectoryError, FileNotFoundError: see `check_target`.
    ValueError: two reports have one id, or another process writes the index.
  """
  path = pathlib.Path(path)
  check_target(path, force=force)
  if path.is_dir():
    with _locked(path):
      _fill(path, about, _write_files(path, files), segments)
    return
  part = path.with_name(f'{path.name}.{os.getpid()}.part')
  part.mkdir()
  try:
    _fill(part, about, _write_files(part, files), segments)
    path.unlink(missing_ok=True)  # A file, which `force` allows to replace.
    part.rename(path)
    _sync(path.parent)
  finally:
    shutil.rmtree(part, ignore_errors=True)


def add(path: str | os.PathLike, segments: Iterable[Segment]) -> None:
  """Adds segments to an index: all of them or none.

  Raises:
    ValueError: two reports have one id, or another process writes the index.
  """
  path = pathlib.Path(path)
  with _locked(path):
    old = open_index(path)
    about, files = old.header['about'], old.header['files']
    names = old.header['segments']
    _fill(path, about, files, segments, (names, old.segments))


def open_index(path: str | os.PathLike) -> Stored:
  """Opens an index without reading its arrays.

  Raises:
    FileNotFoundError: there is no such file.
    ValueError: it is not an index, damaged or of another version.
  """
  path = pathlib.Path(path)
  os.stat(path)
  try:
    return _open(path)
  except ValueError as error:
    # Another process may have replaced the index after its header was read.
    if not isinstance(error.__cause__, FileNotFoundError):
      raise
    return _open(path)


def verify(stored: Stored) -> None:
  """Compares all checksums; raises ValueError if one is wrong."""
  for name in stored.files:
    stored.read(name)
  names = stored.header['segments']
  for name, segment in zip(names, stored.segments, strict=True):
    verify_segment(stored.path, name, segment)


def _open(path) -> Stored:
  with _refusing(path):
    if path.is_file():
      _refuse_file(path)
    header = json.loads((path / _HEADER).read_bytes())
    if (header['format'], header['version']) != (_FORMAT, _VERSION):
      raise _OtherVersionError(header['format'], header['version'])
    if header.pop('checksum') != digest(to_json(header)):
      raise ValueError('The header has another checksum.')
    files = {
      name: mapped(path / f'{file}.json')
      for name, file in header['files'].items()
    }
    segments = [map_segment(path, name) for name in header['segments']]
    return Stored(path, header, files, segments)


class _OtherVersionError(Exception):
  """An index of another format or version, which are its arguments."""


@contextlib.contextmanager
def _refusing(path) -> Iterator[None]:
  """Makes one sentence of whatever a foreign or damaged index raises."""
  try:
    yield
  except PermissionError:
    raise
  except _OtherVersionError as error:
    name, version = error.args
    raise ValueError(
      f'{path}: {name!r} of version {version}, but this dicejax reads version '
      f'{_VERSION}: make it again with python -m dicejax.concepts index '
      f'REPORTS.csv --text-columns NAMES --ontology OBO --out {path} --force'
    ) from None
  except Exception as error:
    if isinstance(error, OSError) and error.errno == errno.EMFILE:
      raise  # Each segment is an open file.
    raise ValueError(f'{path}: not an index, or damaged.') from error


def _refuse_file(path):
  """Raises for a file; before version 3, an index was a zip of arrays."""
  with zipfile.ZipFile(path) as archive:
    array = archive.read('about.npy')
  about = json.loads(array[array.index(b'\n') + 1 :])
  raise _OtherVersionError(about['format'], about['version'])


def _fill(path, about, files, segments, old=((), ())) -> None:
  """Writes segments, then the header, into the directory of an index."""
  names, known = map(list, old)
  try:
    for segment in segments:
      _check_new(segment, known)
      names.append(write_segment(path, segment))
      known.append(map_segment(path, names[-1]))
    header = {
      'format': _FORMAT,
      'version': _VERSION,
      'about': about,
      'files': files,
      'segments': names,
    }
    header['checksum'] = digest(to_json(header))
    _sync(path)
    with replacing(path / _HEADER, force=True) as file:
      file.write(to_json(header))
    _sync(path)
  finally:
    _tidy(path)


def _tidy(path):
  """Removes what neither the header nor a reader that comes needs."""
  if not (path / _HEADER).exists():
    return
  header = json.loads((path / _HEADER).read_bytes())
  kept = {*header['files'].values(), *header['segments'], 'index'}
  for file in path.iterdir():
    if file.stem not in kept:
      # Windows keeps what somebody has open; the next writer removes it.
      with contextlib.suppress(PermissionError):
        file.unlink()


def _check_new(segment: Segment, known: Sequence[Segment]) -> None:
  """Raises ValueError if the segment has an id twice, or one that is known."""
  twice = np.flatnonzero(segment.keys[1:] == segment.keys[:-1])
  for pair in segment.key_rows[np.stack([twice, twice + 1], 1)].tolist():
    _refuse_same(*map(segment.id, pair))
  for other in known:
    places = np.searchsorted(other.keys, segment.keys)
    places = np.minimum(places, len(other) - 1)
    rows = np.sort(segment.key_rows[other.keys[places] == segment.keys])
    for row in rows.tolist():
      if other.find(id := segment.id(row)) is not None:
        _refuse_same(id, id)


def _refuse_same(one, other):
  if one == other:  # Else only their hashes are the same.
    raise ValueError(f'the id {one!r} is that of two reports.')


def _write_files(path, files) -> dict[str, str]:
  return {name: write_json(path, name, value) for name, value in files.items()}


@contextlib.contextmanager
def _locked(path) -> Iterator[None]:
  """Keeps other writers out of the directory of an index."""
  if not fcntl:
    yield
    return
  handle = os.open(path, os.O_RDONLY)
  try:
    fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    yield
  except BlockingIOError:
    raise ValueError(f'{path}: another process writes this index.') from None
  finally:
    os.close(handle)


def _sync(path):
  """Writes the names in a directory to the disk."""
  if not fcntl:
    return
  handle = os.open(path, os.O_RDONLY)
  try:
    os.fsync(handle)
  finally:
    os.close(handle)
