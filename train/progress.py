"""Shows and records a run while it trains."""

import contextlib
import json
import os
import pathlib
import sys
import time
from collections.abc import Iterator
from collections.abc import Mapping
from collections.abc import Sequence
from typing import Protocol

import jax
import numpy as np
import tqdm

from train.report import format_score
from train.workdir import METRICS

_COMPILED = '/jax/core/compile/backend_compile_duration'


_STEP = 'train_step'
_BAR = '{l_bar}{bar}| {n_fmt}/{total_fmt} [{elapsed}{postfix}]'


class Watcher(Protocol):
  """Gets what is recorded of a run, beside metrics.jsonl."""

  def record(self, step: int, values: Mapping[str, float]) -> None:
    """Takes values by name, such as `train/loss` or `dev/micro/f1`."""

  def close(self) -> None:
    """Ends the recording."""


class Progress:
  """A bar on a terminal, lines elsewhere, and always metrics.jsonl.

  The time left is that of the steps that remain at the speed so far, without
  the time of compiling, which each length of batches takes once.

  Args:
    workdir: directory of the run; None shows and records nothing.
    start: the step to start from.
    total: the last step.
    watchers: get the same values.
  """

  def __init__(
    self,
    workdir: pathlib.Path | None,
    start: int,
    total: int,
    watchers: Sequence[Watcher] = (),
  ):
    self._watchers = watchers if workdir else ()
    self._shapes: set[tuple[int, ...]] = set()
    self._all_compiling = 0.0
    # Only the first of several processes shows and records the run.
    self._path = workdir / METRICS if workdir else pathlib.Path(os.devnull)
    if self._path.is_file() and not self._path.read_bytes().endswith(b'\n'):
      # A kill cut the last line off, which must not spoil the next one.
      self._write('\n')
    self._total = total
    self._bar = tqdm.tqdm(
      initial=start,
      total=total,
      unit='step',
      # With None, tqdm shows a bar only on a terminal.
      disable=None if workdir else True,
      dynamic_ncols=True,
      bar_format=_BAR,
    )
    self._began, self._start = time.monotonic(), start
    self._clear()

  def __enter__(self):
    jax.monitoring.register_event_duration_secs_listener(self._listen)
    return self

  def __exit__(self, *_):
    jax.monitoring.unregister_event_duration_listener(self._listen)
    self._bar.close()
    for watcher in self._watchers:
      watcher.close()

  def _listen(self, event, seconds, fun_name='', **_):
    if event == _COMPILED:
      self._all_compiling += seconds
      if _STEP in fun_name:
        self._compiled.append(seconds)

  def announce(self, shape: tuple[int, ...]) -> None:
    """Says that a step is compiled, if no batch had this shape before."""
    if shape in self._shapes:
      return
    if self._bar.disable and not self._shapes:
      self.say('compiling, once for each length of batches ...')
    self._shapes.add(shape)
    self._bar.set_postfix_str(f'compiling for length {shape[-1]} ...')

  def say(self, text: str) -> None:
    """Prints a line above the bar, or where there is none."""
    self._bar.write(text)
    sys.stdout.flush()

  def advance(self, metrics: dict[str, jax.Array], inputs: int) -> None:
    """Counts a step, without waiting for its metrics.

    Args:
      metrics: scalars on devices, by name.
      inputs: number of examples in the batch.
    """
    self._metrics.append(metrics)
    self._inputs += inputs
    self._bar.update()

  def log(self, step: int, **values: float) -> tuple[int, dict] | None:
    """Records and shows the means over the steps since the last record.

    Args:
      step: the last step.
      **values: recorded with the means.

    Returns:
      The first step whose metrics are not finite, with its metrics; None if all
      are finite.
    """
    metrics = jax.device_get(self._metrics)  # Waits for the last step.
    speed = self._inputs / (time.monotonic() - self._window)
    means = {
      name: float(np.mean([m[name] for m in metrics])) for name in metrics[0]
    }
    self._record(
      step,
      **means,
      **values,
      inputs_per_second=speed,
      compilations=len(self._compiled),
      compile_seconds=sum(self._compiled),
    )
    for number, found in enumerate(metrics, step - len(metrics) + 1):
      if not np.isfinite(list(found.values())).all():
        return number, found
    loss = means['loss']
    shown = f'loss {loss:.4f}, {speed:.0f} inputs/s'
    if self._compiled:
      shown += f' ({sum(self._compiled):.0f} s compiling)'
    shown += f', {self._left(step)} left'
    self._bar.set_postfix_str(shown)
    if self._bar.disable:
      self.say(f'step {step}/{self._total}: {shown}')
    self._clear()
    return None

  def _left(self, step) -> str:
    spent = time.monotonic() - self._began - self._all_compiling
    left = round(max(spent, 0) / (step - self._start) * (self._total - step))
    return f'{left // 60}:{left % 60:02}'

  def log_scores(
    self, step: int, scores: dict, headline: Sequence[str]
  ) -> None:
    """Records an evaluation on dev, and shows the row of its headline."""
    self._record(step, dev=scores)
    row, _ = headline
    shown = ', '.join(
      f'{column} {format_score(column, value)}'
      for column, value in scores[row].items()
    )
    self._bar.write(f'step {step}/{self._total}: dev {row}: {shown}')

  @contextlib.contextmanager
  def paused(self) -> Iterator[None]:
    """Context: its time does not count for the speed of training."""
    began = time.monotonic()
    yield
    self._window += time.monotonic() - began

  def _record(self, step, **values):
    for watcher in self._watchers:
      watcher.record(step, dict(_flatten(values)))
    self._write(json.dumps({'step': step, **values}) + '\n')

  def _write(self, text):
    try:
      with self._path.open('a') as file:
        file.write(text)
    except OSError as error:  # The error of a full disk does not name a file.
      raise OSError(error.errno, error.strerror, str(self._path)) from None

  def _clear(self):
    self._metrics, self._inputs, self._compiled = [], 0, []
    self._window = time.monotonic()


def _flatten(values: Mapping, prefix: str = '') -> Iterator[tuple[str, float]]:
  """Yields names such as `train/loss` and `dev/micro/f1` with their values."""
  for name, value in values.items():
    if isinstance(value, Mapping):
      yield from _flatten(value, f'{prefix}{name}/')
    else:
      yield f'{prefix or "train/"}{name}', float(value)
