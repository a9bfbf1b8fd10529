"""Tables of scores, and what was recorded of a run."""

import json
import pathlib
from collections.abc import Mapping
from collections.abc import Sequence

import numpy as np

from train.significance import paired_difference
from train.workdir import METRICS

Scores = Mapping[str, Mapping[str, float]]

# Columns with parameters of the decision, which are not percentages.
_PARAMETERS = {'threshold', 'offset'}


def format_table(rows: Sequence[Sequence[str]]) -> str:
  """Formats a table as plain text.

  Args:
    rows: cells; the first row is the heading, the first column is aligned left.
  """
  widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
  return '\n'.join(
    '  '.join(
      [row[0].ljust(widths[0])]
      + [c.rjust(w) for c, w in zip(row[1:], widths[1:], strict=True)]
    )
    for row in rows
  )


def headline_score(scores: Scores, headline: Sequence[str]) -> float:
  """Returns the score in the row and column of a headline."""
  row, column = headline
  return scores[row][column]


def format_score(column: str, value: float) -> str:
  """Formats a count, a parameter (four digits) or a score (in percent)."""
  if isinstance(value, int):
    return str(value)
  return f'{value:.4f}' if column in _PARAMETERS else f'{100 * value:.2f}'


def score_rows(scores: Scores) -> list[list[str]]:
  """Makes a table of all scores; a row may lack some of the columns."""
  columns = list(dict.fromkeys(c for row in scores.values() for c in row))
  rows = [['', *columns]]
  for name, row in scores.items():
    cells = [format_score(c, row[c]) if c in row else '' for c in columns]
    rows.append([name, *cells])
  return rows


def comparison_rows(outcomes: Mapping[str, Mapping]) -> list[list[str]]:
  """Makes a table with one row per run.

  Its columns are the headline on dev, the row of the headline on test (or dev,
  without a test split), and the same score by the other rules of decision.

  Args:
    outcomes: results of `Trainer.train` by name.
  """
  columns = _columns(outcomes.values())
  rows = [['', *columns, 'minutes']]
  for name, outcome in outcomes.items():
    values = _values(outcome)
    cells = [_cell(c, values[c]) if c in values else '' for c in columns]
    rows.append([name, *cells, f'{outcome["seconds"] / 60:.1f}'])
  return rows


def sweep_rows(groups: Mapping[str, Sequence[Mapping]]) -> list[list[str]]:
  """Makes a table with one row per group of runs.

  Its cells are means ± sample standard deviations (n - 1; none for a single
  run). The last columns compare the headline, on test if there is one, with the
  first group: mean difference over the seeds that both groups have, and p of a
  paired t-test.

  Args:
    groups: lines of results by name, one per seed.
  """
  outcomes = [outcome for group in groups.values() for outcome in group]
  columns = _columns(outcomes)
  _, column = outcomes[0]['headline']
  compared = next(
    c for c in (f'test {column}', f'dev {column}') if c in columns
  )
  rows = [['', *columns, f'Δ {column}', 'p', 'runs']]
  baseline = None
  for name, group in groups.items():
    values = {
      c: [_values(outcome)[c] for outcome in group if c in _values(outcome)]
      for c in columns
    }
    found = {outcome['seed']: _values(outcome)[compared] for outcome in group}
    cells = [_mean_and_deviation(c, values[c]) for c in columns]
    rows.append([name, *cells, *_compared(found, baseline), str(len(group))])
    baseline = baseline or found
  return rows


def _compared(found, baseline) -> list[str]:
  """Makes the cells of a difference and its p-value, from scores by seed."""
  shared = [seed for seed in found if seed in (baseline or {})]
  if not shared:
    return ['', '']
  difference = paired_difference(
    [found[seed] for seed in shared], [baseline[seed] for seed in shared]
  )
  p = '' if np.isnan(difference.p) else f'{difference.p:.3f}'
  return [f'{100 * difference.mean:+.2f}', p]


def _values(outcome) -> dict[str, float]:
  """Selects the scores that comparisons show, by the heading of a column."""
  row, column = outcome['headline']
  beside, scores = outcome['beside'], outcome['scores']
  values = {f'dev {column}': scores['dev'][row][column]}
  last = 'test' if 'test' in scores else 'dev'
  for name, value in scores[last].get(row, {}).items():
    if not isinstance(value, int):
      values[f'{last} {name}'] = value
  for other in beside:
    if column in scores[last].get(other, {}):
      values[f'{other}: {column}'] = scores[last][other][column]
  return values


def _columns(outcomes) -> list[str]:
  return list(
    dict.fromkeys(c for outcome in outcomes for c in _values(outcome))
  )


def _cell(heading, value) -> str:
  return format_score(heading.rpartition(' ')[2], value)


def _mean_and_deviation(heading, values) -> str:
  if not values:
    return ''
  mean = _cell(heading, float(np.mean(values)))
  if len(values) == 1:
    return mean
  return f'{mean} ± {_cell(heading, float(np.std(values, ddof=1)))}'


def read_history(workdir: pathlib.Path) -> dict[int, dict]:
  """Reads what was recorded, by step.

  Steps that a kill made useless are recorded twice, the second time perhaps as
  means over fewer steps: the first record counts.
  """
  history = {}
  for line in (workdir / METRICS).read_text().splitlines():
    try:
      record = json.loads(line)
    except json.JSONDecodeError:
      continue  # A kill cut the line off.
    step = record['step']
    history[step] = record | history.get(step, {})
  return history
