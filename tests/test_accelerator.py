"""Measurements for an accelerator, in miniature on any machine."""

import json
import subprocess
import sys

import accelerator
import pytest
from helpers import ROOT


@pytest.mark.slow
def test_miniature(tmp_path):
  out = tmp_path / 'figures.json'
  script = ROOT / 'benchmarks' / 'accelerator.py'
  command = [sys.executable, script, '--miniature', f'--out={out}']
  done = subprocess.run(command, capture_output=True, text=True)
  assert done.returncode == 0, done.stdout + done.stderr
  losses, search = json.loads(out.read_text())
  rows = [row for table in losses['tables'] for row in table]
  assert {row['by'] for row in rows} >= {'dicejax', 'optax', 'plain JAX'}
  assert all(float(row['ms']) > 0 for row in rows)
  assert search['tables'] and search['ended'] == 0


def test_what_takes_too_long_is_killed_and_said(monkeypatch, tmp_path):
  (tmp_path / 'slow.py').write_text(
    'import time\nprint("| a | b |\\n| --- | ---: |\\n| 1 | x-y |", flush=True)'
    '\ntime.sleep(60)'
  )
  monkeypatch.setattr(accelerator, 'HERE', tmp_path)
  result = accelerator.run('slow.py', 2)
  assert result['tables'] == [[{'a': '1', 'b': 'x-y'}]]
  assert result['ended'] == 'killed when its time was over'
  (tmp_path / 'wrong.py').write_text('raise SystemExit(3)')
  assert accelerator.run('wrong.py', 60)['ended'] == 3
