"""Runs the tutorials of docs/ and compares what they print with the page."""

import contextlib
import io
import math
import os
import pathlib
import re
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).parents[1]
PAGES = sorted((ROOT / 'docs/tutorials').glob('*.md'))


def run(language, code, names):
  if language == 'sh':
    # `python` in a page is the interpreter of this test.
    folders = [os.path.dirname(sys.executable), os.environ['PATH']]
    environment = {
      **os.environ, 'PYTHONPATH': str(ROOT), 'PATH': os.pathsep.join(folders)
    }  # fmt: skip
    command = ['bash', '-euc', code]
    return subprocess.check_output(command, env=environment, text=True)
  with contextlib.redirect_stdout(io.StringIO()) as printed:
    exec(code, names)
  return printed.getvalue()


def check_same(printed, shown):
  """Compares words exactly, and numbers up to the noise of a seed."""
  printed, shown = printed.split(), shown.split()
  assert len(printed) == len(shown), (printed, shown)
  for ours, theirs in zip(printed, shown, strict=True):
    try:
      assert math.isclose(float(ours), float(theirs), abs_tol=0.1), printed
    except ValueError:
      assert ours == theirs, printed


@pytest.mark.slow
@pytest.mark.parametrize('page', PAGES, ids=lambda page: page.stem)
def test_page(page, tmp_path, monkeypatch):
  monkeypatch.chdir(tmp_path)
  (tmp_path / 'configs').symlink_to(ROOT / 'configs')
  names, printed = {}, ''
  blocks = re.findall(r'```(python|sh|text)\n(.*?)```', page.read_text(), re.S)
  assert any(language == 'text' for language, _ in blocks)
  for language, code in blocks:
    if language == 'text':
      check_same(printed, code)
    else:
      printed = run(language, code, names)
