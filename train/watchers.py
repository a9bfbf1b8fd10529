"""Other places that record a run: event files of TensorBoard, and wandb."""

import importlib
import os
import pathlib
import socket
import struct
import time
from collections.abc import Mapping
from typing import Any

TENSORBOARD = 'tensorboard'


class TensorBoard:
  """Writes the scalars of a run to an event file.

  The format is written by hand, as it is a few lines and the packages that
  write it depend on TensorFlow or on a version of protobuf: records, each with
  its length and two checksums, that hold a message `Event` of
  https://github.com/tensorflow/tensorboard/blob/master/tensorboard/compat/proto/event.proto
  with a summary of `simple_value`.

  Args:
    workdir: the directory of the run; the file is in `tensorboard`.
  """

  def __init__(self, workdir: pathlib.Path):
    directory = workdir / TENSORBOARD
    directory.mkdir(exist_ok=True)
    name = f'events.out.tfevents.{time.time():.6f}.{socket.gethostname()}'
    self._file = (directory / f'{name}.{os.getpid()}').open('wb')
    self._write(_bytes(3, b'brain.Event:2'))

  def record(self, step: int, values: Mapping[str, float]) -> None:
    """Writes values by name; they can be seen at once."""
    summary = b''.join(
      _bytes(1, _bytes(1, name.encode()) + _float(2, value))
      for name, value in values.items()
    )
    self._write(_varint(2 << 3) + _varint(step) + _bytes(5, summary))

  def close(self) -> None:
    self._file.close()

  def _write(self, event: bytes) -> None:
    event = _varint(1 << 3 | 1) + struct.pack('<d', time.time()) + event
    length = struct.pack('<Q', len(event))
    self._file.write(length + _masked_crc(length))
    self._file.write(event + _masked_crc(event))
    self._file.flush()


class Wandb:
  """Records the scalars and settings of a run with wandb, if it is installed.

  Args:
    workdir: the directory of the run. The same one goes on with the same run.
    project: the name of the project.
    settings: the config of the run.

  Raises:
    ValueError: wandb is not installed.
  """

  def __init__(
    self, workdir: pathlib.Path, project: str, settings: Mapping[str, Any]
  ):
    try:
      wandb = importlib.import_module('wandb')
    except ImportError:
      raise ValueError(
        '--wandb needs the package wandb: pip install wandb.'
      ) from None
    self._run = wandb.init(
      project=project,
      name=workdir.name,
      dir=workdir,
      config=dict(settings),
      id='-'.join(workdir.absolute().parts[-2:]),
      resume='allow',
    )

  def record(self, step: int, values: Mapping[str, float]) -> None:
    self._run.log(dict(values), step=step)

  def close(self) -> None:
    self._run.finish()


def _varint(number: int) -> bytes:
  """Encodes a whole number as protobuf does, seven bits a byte."""
  parts = []
  while number > 127:
    parts.append(number & 127 | 128)
    number >>= 7
  return bytes([*parts, number])


def _bytes(field: int, value: bytes) -> bytes:
  return _varint(field << 3 | 2) + _varint(len(value)) + value


def _float(field: int, value: float) -> bytes:
  return _varint(field << 3 | 5) + struct.pack('<f', value)


def _make_table() -> list[int]:
  table = []
  for byte in range(256):
    for _ in range(8):
      byte = byte >> 1 ^ (0x82F63B78 if byte & 1 else 0)
    table.append(byte)
  return table


_TABLE = _make_table()


def _masked_crc(data: bytes) -> bytes:
  """Computes the CRC-32C, masked as TFRecord files have it."""
  crc = 0xFFFFFFFF
  for byte in data:
    crc = crc >> 8 ^ _TABLE[(crc ^ byte) & 255]
  crc ^= 0xFFFFFFFF
  masked = ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF
  return struct.pack('<I', masked)
