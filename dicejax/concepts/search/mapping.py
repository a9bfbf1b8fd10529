"""Files of an index: JSON whose checksum is in its name, and mapped arrays."""

import hashlib
import json
import math
import mmap
import pathlib
import zlib
from typing import Any

import numpy as np

from dicejax.concepts.files import replacing
from dicejax.concepts.search.segment import ARRAYS
from dicejax.concepts.search.segment import Segment

_ALIGNED = 64  # Each array begins at a multiple of so many bytes.


def write_json(path: pathlib.Path, name: str, value: Any) -> str:
  """Writes JSON into a directory; returns the name, which has its checksum."""
  data = to_json(value)
  name = f'{name}-{digest(data)}'
  with replacing(path / f'{name}.json', force=True) as file:
    file.write(data)
  return name


def write_segment(path: pathlib.Path, segment: Segment) -> str:
  """Writes a segment into a directory; returns its name, as `write_json`."""
  arrays, place = {}, 0
  for field in ARRAYS:
    array = getattr(segment, field)
    dtype = array.dtype.descr if array.dtype.names else array.dtype.str
    checksum = zlib.crc32(_bytes(array))
    arrays[field] = (dtype, array.shape, place, checksum)
    place += math.ceil(array.nbytes / _ALIGNED) * _ALIGNED
  parts = {'arrays': arrays, 'bytes': place, 'modifiers': segment.modifiers}
  name = write_json(path, 'reports', parts)
  with replacing(path / f'{name}.arrays', force=True) as file:
    for field, (*_, place, _) in arrays.items():
      file.seek(place)
      file.write(_bytes(getattr(segment, field)))
    file.truncate(parts['bytes'])
  return name


def map_segment(path: pathlib.Path, name: str) -> Segment:
  """Maps a segment that `write_segment` wrote.

  Raises:
    OSError, ValueError, KeyError, TypeError: a file is missing or damaged.
  """
  parts = parse(mapped(path / f'{name}.json'), name)
  data = mapped(path / f'{name}.arrays')
  if len(data) != parts['bytes']:
    raise ValueError('The arrays have another size.')
  arrays = {
    field: np.frombuffer(
      data,
      np.dtype(dtype if isinstance(dtype, str) else list(map(tuple, dtype))),
      math.prod(shape),
      place,
    ).reshape(shape)
    for field, (dtype, shape, place, _) in parts['arrays'].items()
  }
  modifiers = list(map(tuple, parts['modifiers']))
  return Segment(**arrays, modifiers=modifiers, data=data)


def mapped(path: pathlib.Path) -> mmap.mmap:
  """Maps a file."""
  with open(path, 'rb') as file:
    return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)


def parse(data: mmap.mmap, name: str) -> Any:
  """Reads JSON; raises ValueError if its checksum is not that of the name."""
  if not name.endswith(f'-{digest(data)}'):
    raise ValueError(f'{name} has another checksum.')
  return json.loads(bytes(data))


def verify_segment(path: pathlib.Path, name: str, segment: Segment) -> None:
  """Compares the checksums of the arrays; raises ValueError if one is wrong."""
  arrays = parse(mapped(path / f'{name}.json'), name)['arrays']
  for field, (*_, checksum) in arrays.items():
    if zlib.crc32(_bytes(getattr(segment, field))) != checksum:
      raise ValueError(
        f'{path}: damaged: {field} in {name}.arrays has another checksum.'
      )
    segment.release(field)


def digest(data: bytes | mmap.mmap) -> str:
  """Returns a checksum in letters and digits."""
  return hashlib.blake2b(data, digest_size=8).hexdigest()


def to_json(value: Any) -> bytes:
  """Makes compact JSON."""
  return json.dumps(value, separators=(',', ':')).encode()


def _bytes(array) -> memoryview:
  return memoryview(np.ascontiguousarray(array).reshape(-1).view(np.uint8))
