"""Records of a run while it trains."""

import io
import json
import struct
import sys
import types

import numpy as np
import pytest

from train import progress
from train import watchers


def read_events(path):
  """Reads an event file by the rules of its format, checksums aside."""
  data = io.BytesIO(path.read_bytes())
  while header := data.read(12):
    yield dict(read_fields(data.read(struct.unpack('<Q', header[:8])[0])))
    data.read(4)


def read_fields(data):
  at = 0

  def varint():
    nonlocal at
    number = shift = 0
    while True:
      byte = data[at]
      at += 1
      number |= (byte & 127) << shift
      shift += 7
      if byte < 128:
        return number

  while at < len(data):
    field, kind = divmod(varint(), 8)
    if kind == 0:
      yield field, varint()
      continue
    size = {1: 8, 5: 4}.get(kind) or varint()
    yield field, data[at : at + size]
    at += size


def test_event_files(tmp_path):
  writer = watchers.TensorBoard(tmp_path)
  writer.record(300, {'train/loss': 0.5, 'dev/é/f1': 1.0})
  writer.close()
  (path,) = (tmp_path / 'tensorboard').iterdir()
  first, second = read_events(path)
  assert first[3] == b'brain.Event:2'
  assert second[2] == 300
  (_, loss), (_, f1) = read_fields(second[5])
  for value, name, number in ((loss, 'train/loss', 0.5), (f1, 'dev/é/f1', 1.0)):
    fields = dict(read_fields(value))
    assert fields[1].decode() == name
    assert struct.unpack('<f', fields[2]) == (number,)
  # The check value of CRC-32C, masked as TFRecord says.
  crc = 0xE3069283
  masked = ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF
  assert watchers._masked_crc(b'123456789') == struct.pack('<I', masked)


def test_wandb(tmp_path, monkeypatch):
  monkeypatch.setitem(sys.modules, 'wandb', None)
  with pytest.raises(ValueError, match='--wandb needs .* pip install wandb'):
    watchers.Wandb(tmp_path, 'project', {})
  logged = []
  run = types.SimpleNamespace(
    log=lambda values, step: logged.append((step, values)),
    finish=lambda: logged.append('end'),
  )
  fake = types.SimpleNamespace(init=lambda **options: run)
  monkeypatch.setitem(sys.modules, 'wandb', fake)
  writer = watchers.Wandb(tmp_path, 'project', {'seed': 0})
  writer.record(3, {'train/loss': 1.0})
  writer.close()
  assert logged == [(3, {'train/loss': 1.0}), 'end']


def test_time_left_is_without_compiling(tmp_path, monkeypatch, capsys):
  now = [0.0]
  monkeypatch.setattr(progress.time, 'monotonic', lambda: now[0])
  seen = []
  watcher = types.SimpleNamespace(
    record=lambda step, values: seen.append((step, values)),
    close=lambda: seen.append('end'),
  )
  with progress.Progress(tmp_path, 0, 100, [watcher]) as shown:
    shown.announce((8, 32))
    now[0] += 60
    shown._listen(progress._COMPILED, 60.0, fun_name='jit(train_step)')
    now[0] += 20
    shown.advance({'loss': np.float32(1)}, 8)
    shown.announce((8, 32))
    shown.advance({'loss': np.float32(2)}, 8)
    assert shown.log(2, learning_rate=0.5) is None
    shown.log_scores(2, {'micro': {'f1': 0.5, 'support': 3}}, ['micro', 'f1'])
  said = capsys.readouterr().out
  assert said.count('compiling, once') == 1
  assert 'step 2/100: loss 1.5000' in said
  assert '(60 s compiling), 16:20 left' in said  # 98 steps of 10 seconds.
  (_, values), (_, scores), end = seen
  assert values['train/loss'] == 1.5 and values['train/learning_rate'] == 0.5
  assert scores == {'dev/micro/f1': 0.5, 'dev/micro/support': 3.0}
  records = (tmp_path / 'metrics.jsonl').read_text().splitlines()
  assert json.loads(records[0])['compile_seconds'] == 60.0 and end == 'end'
