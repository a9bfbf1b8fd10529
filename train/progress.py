"""What a run shows and records while it trains."""

import contextlib
import json
import math
import pathlib
import time
from collections.abc import Iterator
from collections.abc import Sequence

import jax
import numpy as np
import tqdm

from train.report import format_score
from train.workdir import METRICS


class Progress:
  """A bar on a terminal, plain lines elsewhere, metrics.jsonl always."""

  def __init__(self, workdir: pathlib.Path, start: int, total: int):
    path = workdir / METRICS
    cut = path.is_file() and not path.read_bytes().endswith(b'\n')
    self._file = path.open('a')
    if cut:  # A kill may have: what it left must not spoil the next line.
      self._file.write('\n')
    self._total = total
    self._bar = tqdm.tqdm(
      initial=start,
      total=total,
      unit='step',
      disable=None,  # Where standard error is no terminal.
      dynamic_ncols=True,
    )
    self._began, self._start = time.monotonic(), start
    self._clear()

  def __enter__(self):
    return self

  def __exit__(self, *_):
    self._bar.close()
    self._file.close()

  def advance(self, metrics: dict[str, jax.Array], inputs: int) -> None:
    """Notes a step; does not wait for its metrics."""
    self._metrics.append(metrics)
    self._inputs += inputs
    self._bar.update()

  def log(self, step: int, **values: float) -> None:
    """Records the means since the last record, and shows them.

    Raises:
      FloatingPointError: the loss is not finite.
    """
    metrics = jax.device_get(self._metrics)  # Waits for the last step.
    speed = self._inputs / (time.monotonic() - self._window)
    means = {
      name: float(np.mean([m[name] for m in metrics])) for name in metrics[0]
    }
    self._record(step, **means, **values, inputs_per_second=speed)
    loss = means['loss']
    if not math.isfinite(loss):
      raise FloatingPointError(
        f'The loss is {loss} in the {len(metrics)} steps up to {step}.'
      )
    self._bar.set_postfix_str(f'loss {loss:.4f}, {speed:.0f} inputs/s')
    if self._bar.disable:
      spent = time.monotonic() - self._began
      left = spent / (step - self._start) * (self._total - step)
      print(
        f'step {step}/{self._total}: loss {loss:.4f}, {speed:.0f} inputs/s, '
        f'{left // 60:.0f}:{left % 60:02.0f} left',
        flush=True,
      )
    self._clear()

  def log_scores(self, step: int, scores: dict, place: Sequence[str]) -> None:
    """Records an evaluation on dev, and shows the row of its headline."""
    self._record(step, dev=scores)
    row = place[0]
    shown = ', '.join(
      f'{column} {format_score(column, value)}'
      for column, value in scores[row].items()
    )
    self._bar.write(f'step {step}/{self._total}: dev {row}: {shown}')

  @contextlib.contextmanager
  def paused(self) -> Iterator[None]:
    """Within, time is no training time."""
    began = time.monotonic()
    yield
    self._window += time.monotonic() - began

  def _record(self, step, **values):
    self._file.write(json.dumps({'step': step, **values}) + '\n')
    self._file.flush()

  def _clear(self):
    self._metrics, self._inputs = [], 0
    self._window = time.monotonic()
