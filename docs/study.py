"""Writes study.md's tables and study.svg: `python docs/study.py`.

All of it is computed from the lines that `train.sweep` wrote to docs/study/.
"""

import collections
import io
import itertools
import pathlib
import re
import sys
from collections.abc import Iterable
from collections.abc import Mapping
from typing import NamedTuple

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

import numpy as np
from matplotlib import figure
from matplotlib import rc_context

from train import results
from train.significance import Difference
from train.significance import bootstrap_interval
from train.significance import holm
from train.significance import paired_difference

HERE = pathlib.Path(__file__).resolve().parent
BASELINE = 'cross_entropy'
# The number of seeds that the plan asks for.
SEEDS = 5
LOSSES = (
  'cross_entropy',
  'focal',
  'paper_self_adjusting_dice',
  'macro_dice',
  'dice',
  'running_dice',
  'dice_alone',
  'running_dice_alone',
)
SETS = {
  'wnut17': 'WNUT-17',
  'conll2003': 'CoNLL-2003',
  'mrpc': 'MRPC',
  'qqp': 'QQP',
  'qqp5': 'QQP, 5 % positive',
  'sms3': 'SMS, 3 % positive',
  'sst2': 'SST-2',
  'sst5_0': 'SST-5, very negative',
  'sst5_4': 'SST-5, very positive',
  'wnut17_group': 'Posts that name a group',
  'wnut17_creative': 'Posts that name a work',
  'tnews_115': 'TNEWS, one topic',
  'openi_effusion': 'Open-i, effusion',
}
_CONDITION_TITLES = {
  '': 'Frozen',
  'finetuned': 'Fine-tuned',
  'dev=50': 'A dev set of 50',
  'dev=500': 'A dev set of 500',
  'train=10%': 'A tenth of the training examples',
}
CONDITIONS = tuple(_CONDITION_TITLES)
# Row of the scores → decision; the order is that of columns and colours.
DECISIONS = {
  'threshold 0.5': 'argmax',
  'micro': 'argmax',
  'all': 'argmax',
  'tuned': 'tuned',
  'micro, tuned': 'tuned',
  'plug-in': 'plug-in',
}
# Told apart by colour-blind eyes, on white and on black; so is the grey.
COLORS = {'argmax': '#D55E00', 'tuned': '#2A8FD0', 'plug-in': '#009E73'}
GREY = '#7A7F85'


class Group(NamedTuple):
  """The runs of one loss that are reported, by seed.

  Attributes:
    rate: their learning rate.
    diverged: seeds whose loss was not finite.
    scores: decision → seed → F1 (or accuracy) on test.
    counts: decision → seed → counts `[examples, 3]`.
    data: digests of the test split.
  """

  rate: float
  diverged: list[int]
  scores: dict[str, dict[int, float]]
  counts: dict[str, dict[int, np.ndarray]]
  data: set[str]


class Comparison(NamedTuple):
  """A loss beside cross entropy, with the same decision.

  Attributes:
    over_seeds: the paired difference; its p is Holm's over the set's losses.
    over_examples: bootstrap interval; None where test splits differ.
    to_tuned: the paired difference to tuned cross entropy; p is not corrected.
  """

  over_seeds: Difference
  over_examples: tuple[float, float] | None
  to_tuned: Difference | None


def read_lines(folder: pathlib.Path) -> list[dict]:
  """The lines of all files; a run may be in one of them only."""
  lines, seen = [], {}
  for path in sorted(folder.glob('*.jsonl')):
    for line in results.read(path):
      key = results.key(line)
      if key in seen:
        raise ValueError(f'{path} and {seen[key]} both have the run {key}.')
      seen[key] = path
      lines.append(line)
  return lines


def group_lines(lines: Iterable[Mapping]) -> dict[str, dict[str, Group]]:
  """Experiment → loss → its runs, with the rate that dev chose."""
  sorted_out = collections.defaultdict(lambda: collections.defaultdict(list))
  for line in lines:
    sorted_out[line['experiment']][line['loss']].append(line)
  groups = collections.defaultdict(dict)
  for experiment, by_loss in sorted_out.items():
    for loss, found in by_loss.items():
      if group := _group(f'{experiment}, {loss}', found):
        groups[experiment][loss] = group
  return dict(groups)


def _group(name, lines) -> Group | None:
  choosing = [line for line in lines if line['role'] == results.RATE]
  reported = [line for line in lines if line['role'] == results.REPORT]
  rates = {line['learning_rate'] for line in reported}
  if choosing:
    rates &= {results.best_rate(choosing)}
  if len(rates) > 1:
    raise ValueError(f'{name}: several learning rates, none chosen on dev.')
  if not rates:
    return None
  (rate,) = rates
  group = Group(rate, [], {}, {}, set())
  for line in reported:
    if line['learning_rate'] != rate:
      continue
    if 'diverged' in line:
      group.diverged.append(line['seed'])
      continue
    rows = line['scores'][line['counted']]
    group.data.add(line['data'][line['counted']])
    for row, packed in line['counts'].items():
      decision, seed = DECISIONS[row], line['seed']
      score = rows[row]['f1'] if 'f1' in rows[row] else rows[row]['accuracy']
      group.scores.setdefault(decision, {})[seed] = score
      group.counts.setdefault(decision, {})[seed] = results.unpack(packed)
  return group


def compare(groups: Mapping[str, Group]) -> dict[tuple, Comparison]:
  """(loss, decision) → how it differs from the baseline; of one experiment."""
  found = {}
  if BASELINE not in groups:
    return found
  baseline = groups[BASELINE]
  for decision in COLORS:
    family = {}
    for loss, group in groups.items():
      pair = _paired(group, decision, baseline, decision)
      if loss != BASELINE and pair:
        family[loss] = pair
    adjusted = holm([pair.p for pair in family.values()])
    for (loss, pair), p in zip(family.items(), adjusted, strict=True):
      found[loss, decision] = Comparison(
        pair._replace(p=p),
        _bootstrap(groups[loss], baseline, decision),
        _paired(groups[loss], decision, baseline, 'tuned'),
      )
  return found


def _paired(group, decision, baseline, other) -> Difference | None:
  ours = group.scores.get(decision, {})
  theirs = baseline.scores.get(other, {})
  if shared := sorted(ours.keys() & theirs.keys()):
    return paired_difference(
      [100 * ours[seed] for seed in shared],
      [100 * theirs[seed] for seed in shared],
    )
  return None


def _bootstrap(group, baseline, decision) -> tuple[float, float] | None:
  if len(group.data | baseline.data) > 1:
    return None
  ours, theirs = group.counts[decision], baseline.counts[decision]
  shared = sorted(ours.keys() & theirs.keys())
  low, high = bootstrap_interval(
    *(np.stack([counts[seed] for seed in shared]) for counts in (ours, theirs))
  )
  return 100 * low, 100 * high


def write_tables(groups: Mapping[str, Mapping[str, Group]]) -> str:
  """A table for each experiment that has runs, as Markdown."""
  parts = []
  for experiment, found in _in_order(groups):
    decisions = [
      d for d in COLORS if any(d in group.scores for group in found.values())
    ]
    comparisons = compare(found)
    header = ['loss', 'rate', 'seeds']
    for decision in decisions:
      header += [decision, 'Δ']
    if 'tuned' in decisions:
      header.append('argmax to tuned CE')
    parts += [f'### {title(experiment)}\n', _row(header)]
    parts.append('|---' * len(header) + '|')
    for loss, group in found.items():
      seeds = len(next(iter(group.scores.values()), {}))
      if group.diverged:
        seeds = f'{seeds}, {len(group.diverged)} diverged'
      cells = [loss, f'{group.rate:g}', str(seeds)]
      for decision in decisions:
        cells += [
          _mean(group.scores.get(decision, {})),
          _difference(comparisons.get((loss, decision))),
        ]
      if 'tuned' in decisions:
        cells.append(_to_tuned(comparisons.get((loss, 'argmax'))))
      parts.append(_row(cells))
    parts.append('')
  return '\n'.join(parts).rstrip()


def write_summary(groups: Mapping[str, Mapping[str, Group]]) -> str:
  """Writes a table of the mean difference of each loss over the hard sets.

  Hard are the sets, without conditions, on which tuned cross entropy has an F1
  below 60. Intervals are over sets, each of which counts once.
  """
  hard = [
    found
    for experiment, found in _in_order(groups)
    if '-' not in experiment.removeprefix('study-') and _is_hard(found)
  ]
  pairs = {
    'argmax': ('argmax', 'argmax'),
    'tuned': ('tuned', 'tuned'),
    'plug-in': ('plug-in', 'plug-in'),
    'argmax to tuned CE': ('argmax', 'tuned'),
  }
  parts = [_row(['loss', 'sets', *pairs]), '|---' * (2 + len(pairs)) + '|']
  for loss in LOSSES[1:]:
    there = [found for found in hard if loss in found]
    if len(there) < 3:
      continue
    cells = [loss, str(len(there))]
    for decision, other in pairs.values():
      means = [
        pair.mean
        for found in there
        if (pair := _paired(found[loss], decision, found[BASELINE], other))
      ]
      cells.append(_over_sets(means))
    parts.append(_row(cells))
  return '\n'.join(parts)


def _over_sets(means) -> str:
  if len(means) < 3:
    return ''
  mean, low, high, p = paired_difference(means, [0.0] * len(means))
  text = f'{mean:+.2f} [{low:+.2f}, {high:+.2f}]'
  return f'**{text}**' if p < 0.05 else text


def _is_hard(found) -> bool:
  scores = found[BASELINE].scores.get('tuned') if BASELINE in found else None
  return bool(scores) and np.mean(list(scores.values())) < 0.6


def _row(cells) -> str:
  return '| ' + ' | '.join(cells) + ' |'


def _mean(scores) -> str:
  values = [100 * score for score in scores.values()]
  if len(values) < 2:
    return ''.join(f'{value:.2f}' for value in values)
  return f'{np.mean(values):.2f} ± {np.std(values, ddof=1):.2f}'


def _difference(comparison) -> str:
  if not comparison:
    return ''
  mean, low, high, p = comparison.over_seeds
  text = f'{mean:+.2f}'
  if not np.isnan(p):
    text += f' [{low:+.2f}, {high:+.2f}]'
    text = f'**{text}**' if p < 0.05 else text
  if comparison.over_examples:
    text += '<br>({:+.2f}, {:+.2f})'.format(*comparison.over_examples)
  return text


def _to_tuned(comparison) -> str:
  if not comparison or not comparison.to_tuned:
    return ''
  mean, low, high, p = comparison.to_tuned
  return (
    f'{mean:+.2f}' if np.isnan(p) else f'{mean:+.2f} [{low:+.2f}, {high:+.2f}]'
  )


def write_missing(groups: Mapping[str, Mapping[str, Group]]) -> str:
  """Lists, per condition, what has too few seeds or none."""
  items = []
  for condition in CONDITIONS:
    whole = []
    for name in SETS:
      experiment = '-'.join(filter(None, ['study', name, condition]))
      if found := groups.get(experiment, {}):
        if lacking := _lacking(found):
          items.append(f'- {title(experiment)}: {", ".join(lacking)}')
      else:
        whole.append(SETS[name])
    if whole:
      items.append(
        f'- {_CONDITION_TITLES[condition]}, all losses: {"; ".join(whole)}'
      )
  return '\n'.join(items) or 'Nothing of the plan.'


def _lacking(found) -> list[str]:
  """Losses of the plan with fewer than `SEEDS` reported runs."""
  lacking = []
  for loss in LOSSES:
    seeds = 0
    if loss in found:
      seeds = max(map(len, found[loss].scores.values()), default=0)
      seeds += len(found[loss].diverged)
    if seeds < SEEDS:
      lacking.append(f'{loss} ({seeds} of {SEEDS} seeds)' if seeds else loss)
  return lacking


def title(experiment: str) -> str:
  """Names an experiment as people call it.

  Example:
    >>> title('study-sms3-dev=50')
    'SMS, 3 % positive; dev=50'
  """
  name, *conditions = experiment.removeprefix('study-').split('-')
  return '; '.join([SETS.get(name, name), *conditions])


def _in_order(groups):
  """Experiments in the order of the plan, others after them."""
  plan = [
    '-'.join(filter(None, ['study', name, condition]))
    for condition, name in itertools.product(CONDITIONS, SETS)
  ]
  planned = [name for name in plan if name in groups]
  for experiment in [*planned, *sorted(groups.keys() - set(plan))]:
    losses = groups[experiment]
    order = [loss for loss in LOSSES if loss in losses]
    order += [loss for loss in losses if loss not in LOSSES]
    yield experiment, {loss: losses[loss] for loss in order}


def draw(groups: Mapping[str, Mapping[str, Group]]) -> figure.Figure:
  """A forest plot: differences to cross entropy, a panel an experiment."""
  panels = [
    (experiment, found, compared)
    for experiment, found in _in_order(groups)
    if (compared := compare(found))
  ]
  columns = min(2, max(1, len(panels)))
  rows = -(-len(panels) // columns) or 1
  most = max((len(found) for _, found, _ in panels), default=2)
  page = figure.Figure(
    figsize=(4.2 * columns, (0.34 * most + 0.75) * rows + 0.45),
    layout='constrained',
  )
  grid = page.subplots(rows, columns, squeeze=False)
  for axes, panel in itertools.zip_longest(grid.flat, panels):
    if panel:
      _draw_panel(axes, *panel)
    else:
      axes.set_axis_off()
  handles = [
    grid[0, 0].plot([], [], 'o', color=color, label=decision, ms=5)[0]
    for decision, color in COLORS.items()
  ]
  page.legend(
    handles=handles, loc='outside upper left', ncols=3, frameon=False,
    labelcolor=GREY, fontsize=8.5,
  )  # fmt: skip
  return page


def _draw_panel(axes, experiment, found, comparisons):
  losses = [loss for loss in found if loss != BASELINE]
  axes.axvline(0, color=GREY, lw=1, zorder=0)
  for place, loss in enumerate(losses):
    for offset, (decision, color) in zip(
      (-0.22, 0, 0.22), COLORS.items(), strict=True
    ):
      if not (comparison := comparisons.get((loss, decision))):
        continue
      mean, low, high, p = comparison.over_seeds
      y = place + offset
      if comparison.over_examples:
        axes.plot(comparison.over_examples, [y, y], color=color, lw=0.7)
      if not np.isnan(p):
        axes.plot([low, high], [y, y], color=color, lw=2)
      sure = p < 0.05
      axes.plot(
        mean, y, 'o', ms=5, color=color, mew=1.2,
        mfc=color if sure else 'none', zorder=3,
      )  # fmt: skip
  axes.set_yticks(range(len(losses)), losses)
  axes.set_ylim(len(losses) - 0.45, -0.55)
  best = found[BASELINE].scores
  shown = 'tuned' if 'tuned' in best else 'argmax'
  score = 100 * np.mean(list(best[shown].values()))
  axes.set_title(
    f'{title(experiment)} (CE {shown} {score:.1f})',
    fontsize=8.5, loc='left', color=GREY,
  )  # fmt: skip
  axes.tick_params(labelsize=7.5, colors=GREY, length=2)
  axes.tick_params(axis='y', length=0)
  axes.spines[['top', 'right', 'left']].set_visible(False)
  axes.spines['bottom'].set_color(GREY)


def write_figure(path: pathlib.Path, page: figure.Figure) -> None:
  """An SVG without background, whose text is text."""
  svg = io.StringIO()
  page.savefig(svg, format='svg', transparent=True, metadata={'Date': None})
  path.write_text(re.sub(r'(\.\d\d)\d\d+', r'\1', svg.getvalue()), 'utf-8')


def fill(page: str, **parts: str) -> str:
  """Puts parts between their markers, `<!-- NAME -->` and `<!-- /NAME -->`."""
  for name, text in parts.items():
    begin, end = f'<!-- {name} -->', f'<!-- /{name} -->'
    if page.count(begin) != 1 or page.count(end) != 1:
      raise ValueError(f'study.md: expected one {begin} and one {end}.')
    before, _, rest = page.partition(begin)
    page = f'{before}{begin}\n\n{text}\n\n{end}{rest.partition(end)[2]}'
  return page


def main(folder: pathlib.Path = HERE) -> None:
  """Reads `folder`/study/*.jsonl; writes study.md and study.svg beside it."""
  groups = group_lines(read_lines(folder / 'study'))
  page = folder / 'study.md'
  text = fill(
    page.read_text('utf-8'),
    summary=write_summary(groups),
    tables=write_tables(groups) or 'No run yet.',
    missing=write_missing(groups),
  )
  fixed = {'svg.hashsalt': 'dicejax', 'svg.fonttype': 'none'}
  with rc_context(fixed):
    write_figure(folder / 'study.svg', draw(groups))
  page.write_text(text, 'utf-8')


if __name__ == '__main__':
  try:
    main()
  except (OSError, ValueError) as error:
    sys.exit(f'error: {error}')
