"""Line charts as SVG, whose colours follow the page in light and in dark."""

import html
import math
from collections.abc import Mapping
from collections.abc import Sequence
from typing import NamedTuple

_WIDTH, _HEIGHT = 440, 264
_LEFT, _RIGHT, _TOP, _BOTTOM = 52, 18, 12, 40
_COLOURS = 8  # As many as the page has variables for.

Points = Sequence[tuple[float, float]]


class Axis(NamedTuple):
  """One axis of a chart.

  Attributes:
    label: what it shows.
    scale: `'linear'`, `'log'` for positive values, or `'logit'` for values
      between 0 and 1.
    percent: whether ticks are shown in percent.
  """

  label: str
  scale: str = 'linear'
  percent: bool = False


def line_chart(
  series: Mapping[str, Points],
  x: Axis,
  y: Axis,
  *,
  marked: tuple[float, str] | None = None,
  limits: tuple[float, float] | None = None,
) -> str:
  """Draws lines with a legend.

  Args:
    series: points of each line by its name, in order of x.
    x: the horizontal axis.
    y: the vertical axis.
    marked: a value of x, and what it is.
    limits: lowest and highest value of y; by default those of the points.
  """
  series = {name: points for name, points in series.items() if points}
  if not series:
    return '<p class="note">Nothing was recorded.</p>'
  xs = [point[0] for points in series.values() for point in points]
  ys = [point[1] for points in series.values() for point in points]
  if marked:
    xs.append(marked[0])
  across = _Scale(x, min(xs), max(xs), _LEFT, _WIDTH - _RIGHT)
  low, high = limits or (min(ys), max(ys))
  up = _Scale(y, low, high, _HEIGHT - _BOTTOM, _TOP, whole_ticks=True)
  parts = [*_grid(across, up)]
  if marked:
    parts += _mark(across, *marked)
  for i, (name, points) in enumerate(series.items()):
    parts += _line(name, points, across, up, i % _COLOURS)
  summary = html.escape(f'{y.label} by {x.label}: {", ".join(series)}')
  legend = _legend(series) if len(series) > 1 else ''
  return (
    f'{legend}<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" '
    f'aria-label="{summary}">{"".join(parts)}</svg>'
  )


def axis_for(label: str, values: Sequence[float]) -> Axis:
  """Chooses a logarithm for positive values that differ much."""
  is_wide = bool(values) and min(values) > 0 and max(values) > 20 * min(values)
  return Axis(label, 'log' if is_wide else 'linear')


class _Scale:
  """Places values of an axis between two coordinates.

  With `whole_ticks`, the axis goes on to the next tick.
  """

  def __init__(self, axis, low, high, start, end, whole_ticks=False):
    self.axis, self._start, self._end = axis, start, end
    self._forward = {'log': math.log10, 'logit': _logit}.get(axis.scale, float)
    if low == high:
      low, high = low - abs(low) / 10 - 1e-9, high + abs(high) / 10 + 1e-9
    if axis.percent:
      low, high = max(low, 0.0), min(high, 1.0)
    self.ticks = self._ticks(low, high)
    if whole_ticks:
      low, high = min(low, self.ticks[0]), max(high, self.ticks[-1])
    else:
      self.ticks = [tick for tick in self.ticks if low <= tick <= high]
    self._low, self._high = self._forward(low), self._forward(high)

  def __call__(self, value: float) -> float:
    share = (self._forward(value) - self._low) / (self._high - self._low)
    return self._start + share * (self._end - self._start)

  def _ticks(self, low, high) -> list[float]:
    if self.axis.scale == 'log':
      return _log_ticks(low, high)
    if self.axis.scale == 'logit':
      shown = (0.0001, 0.001, 0.01, 0.1, 0.5, 0.9, 0.99, 0.999)
      return [tick for tick in shown if low <= tick <= high]
    return _linear_ticks(low, high)

  def text(self, value: float) -> str:
    if self.axis.percent:
      return f'{100 * value:g} %'
    return f'{value:,g}' if abs(value) < 1e6 else f'{value:.0e}'


def _logit(value: float) -> float:
  return math.log(value / (1 - value))


def _linear_ticks(low: float, high: float, most: int = 6) -> list[float]:
  """Returns multiples of 1, 2 or 5 times a power of ten around the values."""
  power = 10.0 ** math.floor(math.log10((high - low) / most))
  step = next(
    power * n for n in (1, 2, 5, 10, 20) if (high - low) / (power * n) < most
  )
  first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
  return [round(i * step, 12) for i in range(first, last + 1)]


def _log_ticks(low: float, high: float) -> list[float]:
  """Returns powers of ten, and 2 and 5 times them if there are few."""
  first, last = math.floor(math.log10(low)), math.ceil(math.log10(high))
  steps = (1, 2, 5) if last - first <= 2 else (1,)
  ticks = [n * 10.0**e for e in range(first, last + 1) for n in steps]
  below = [tick for tick in ticks if tick <= low] or ticks[:1]
  above = [tick for tick in ticks if tick >= high] or ticks[-1:]
  inside = [tick for tick in ticks if below[-1] <= tick <= above[0]]
  few = inside[:: 1 + len(inside) // 8]
  return few if few[-1] == inside[-1] else [*few, inside[-1]]


def _grid(across: _Scale, up: _Scale) -> list[str]:
  parts, bottom = [], _HEIGHT - _BOTTOM
  for tick in up.ticks:
    y = up(tick)
    parts.append(
      f'<line class="grid" x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{y:.1f}" '
      f'y2="{y:.1f}"/><text class="tick" x="{_LEFT - 6}" y="{y + 4:.1f}" '
      f'text-anchor="end">{up.text(tick)}</text>'
    )
  for tick in across.ticks:
    parts.append(
      f'<text class="tick" x="{across(tick):.1f}" y="{bottom + 16}" '
      f'text-anchor="middle">{across.text(tick)}</text>'
    )
  parts.append(
    f'<line class="axis" x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{bottom}" '
    f'y2="{bottom}"/><text class="tick" x="{_WIDTH - _RIGHT}" '
    f'y="{_HEIGHT - 6}" text-anchor="end">{html.escape(across.axis.label)}'
    f'</text>'
  )
  return parts


def _mark(across: _Scale, value: float, text: str) -> list[str]:
  x, is_right = across(value), across(value) > _WIDTH * 0.6
  return [
    f'<line class="chosen" x1="{x:.1f}" x2="{x:.1f}" y1="{_TOP}" '
    f'y2="{_HEIGHT - _BOTTOM}"/>',
    f'<text class="tick" x="{x + (-5 if is_right else 5):.1f}" '
    f'y="{_HEIGHT - _BOTTOM - 6}" '
    f'text-anchor="{"end" if is_right else "start"}">{html.escape(text)}'
    f'</text>',
  ]


def _line(name, points, across, up, colour) -> list[str]:
  places = [(across(x), up(y)) for x, y in points]
  path = ' '.join(f'{x:.1f},{y:.1f}' for x, y in places)
  parts = [f'<polyline class="c{colour}" points="{path}"/>']
  if len(points) <= 60:
    parts += [
      f'<circle class="c{colour}" cx="{px:.1f}" cy="{py:.1f}" r="2.5"><title>'
      f'{html.escape(name)}: {up.text(round(y, 4))} at {across.text(x)}'
      f'</title></circle>'
      for (px, py), (x, y) in zip(places, points, strict=True)
    ]
  return parts


def _legend(names) -> str:
  items = (
    f'<li><span class="swatch c{i % _COLOURS}"></span>{html.escape(name)}</li>'
    for i, name in enumerate(names)
  )
  return f'<ul class="legend">{"".join(items)}</ul>'
