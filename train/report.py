"""What a run leaves to read: tables, predictions, a page with figures."""

import html
import io
import json
import pathlib
from collections.abc import Mapping
from collections.abc import Sequence

from matplotlib import figure

from train.tasks.tagging import Sentences
from train.workdir import METRICS
from train.workdir import REPORT
from train.workdir import write_whole

Scores = Mapping[str, Mapping[str, float]]

_PAGE = """<!DOCTYPE html>
<html lang="en">
<meta charset="utf-8">
<title>{title}</title>
<style>
  body {{ font: 16px/1.5 system-ui, sans-serif; max-width: 60em;
         margin: 2em auto; padding: 0 1em }}
  table {{ border-collapse: collapse; margin: 1em 0 }}
  th, td {{ padding: .2em .8em; text-align: right;
            border-bottom: 1px solid #ddd }}
  th:first-child, td:first-child {{ text-align: left }}
  svg {{ max-width: 100%; height: auto }}
  pre {{ overflow-x: auto; background: #f6f6f6; padding: 1em }}
</style>
<h1>{title}</h1>
{body}
</html>
"""


def write_predictions(
  path: pathlib.Path, sentences: Sentences, tags: Sequence[Sequence[str]]
) -> None:
  """Writes word, gold tag and predicted tag, as the CoNLL script reads them."""
  path.parent.mkdir(exist_ok=True)
  path.write_text(
    '\n'.join(
      ''.join(
        f'{row[0]} {row[1]} {row[2]}\n'
        for row in zip(sentence.tokens, sentence.tags, predicted, strict=True)
      )
      for sentence, predicted in zip(sentences, tags, strict=True)
    ),
    encoding='utf-8',
  )


def format_table(rows: Sequence[Sequence[str]]) -> str:
  """Plain text; the first row is the heading, the first column the name."""
  widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
  return '\n'.join(
    '  '.join(
      [row[0].ljust(widths[0])]
      + [c.rjust(w) for c, w in zip(row[1:], widths[1:], strict=True)]
    )
    for row in rows
  )


def score_rows(scores: Scores) -> list[list[str]]:
  """Precision, recall and F1 in percent, for each type, micro and macro."""
  rows = [['', 'precision', 'recall', 'F1', 'entities']]
  for name, row in scores.items():
    percent = [f'{100 * row[key]:.2f}' for key in ('precision', 'recall', 'f1')]
    rows.append([name, *percent, str(row['support'])])
  return rows


def comparison_rows(outcomes: Mapping[str, Mapping]) -> list[list[str]]:
  """Micro scores of runs side by side: on dev, and on test where it is."""
  heading = 'dev F1, test precision, test recall, test F1, minutes'
  rows = [['', *heading.split(', ')]]
  for name, outcome in outcomes.items():
    dev, test = (
      outcome['scores'].get(split, {}).get('micro') for split in ('dev', 'test')
    )
    cells = [dev['f1']]
    cells += [
      test[key] if test else None for key in ('precision', 'recall', 'f1')
    ]
    percent = ['' if cell is None else f'{100 * cell:.2f}' for cell in cells]
    rows.append([name, *percent, f'{outcome["seconds"] / 60:.1f}'])
  return rows


def write_report(workdir: pathlib.Path, config: Mapping, outcome: Mapping):
  """Writes report.html of one run: scores, curves, settings."""
  history = read_history(workdir)
  parts = [
    f'<p>Best on dev after step {outcome["best_step"]}; '
    f'{outcome["seconds"] / 60:.1f} minutes.</p>'
  ]
  for split, scores in sorted(outcome['scores'].items(), reverse=True):
    parts += [f'<h2>{split}</h2>', _html_table(score_rows(scores))]
  parts += [
    '<h2>Training</h2>',
    _curves({config['loss']['name']: history}),
    '<h2>Settings</h2>',
    f'<pre>{html.escape(json.dumps(config, indent=2))}</pre>',
  ]
  _write_page(workdir / REPORT, str(workdir), parts)


def write_comparison(workdir: pathlib.Path, outcomes: Mapping[str, Mapping]):
  """Writes report.html of several runs in folders of one workdir."""
  histories = {name: read_history(workdir / name) for name in outcomes}
  parts = [_html_table(comparison_rows(outcomes)), _curves(histories), '<ul>']
  parts += [
    f'<li><a href="{name}/report.html">{html.escape(name)}</a></li>'
    for name in outcomes
  ]
  _write_page(workdir / REPORT, str(workdir), [*parts, '</ul>'])


def read_history(workdir: pathlib.Path) -> dict[int, dict]:
  """Step → what was recorded there.

  The steps that a kill made useless come twice, the second time in means over
  fewer steps: the first one counts.
  """
  history = {}
  for line in (workdir / METRICS).read_text().splitlines():
    try:
      record = json.loads(line)
    except json.JSONDecodeError:
      continue  # Cut off as the run was killed.
    step = record['step']
    history[step] = record | history.get(step, {})
  return history


def _curves(histories) -> str:
  """An SVG: loss and dev F1 against the step, a line a run."""
  canvas = figure.Figure(figsize=(9, 3.2), layout='constrained')
  left, right = canvas.subplots(1, 2)
  for name, history in histories.items():
    for axes, values in (
      (left, {s: r['loss'] for s, r in history.items() if 'loss' in r}),
      (
        right,
        {
          s: 100 * r['dev']['micro']['f1']
          for s, r in history.items()
          if 'dev' in r
        },
      ),
    ):
      axes.plot(values.keys(), values.values(), marker='.', label=name)
  left.set(title='training loss', xlabel='step', yscale='symlog')
  right.set(title='dev micro F1, percent', xlabel='step')
  for axes in (left, right):
    axes.spines[['top', 'right']].set_visible(False)
  right.legend(frameon=False)
  text = io.StringIO()
  canvas.savefig(text, format='svg')
  return (
    text.getvalue().partition('<svg')[1] + text.getvalue().partition('<svg')[2]
  )


def _html_table(rows):
  head, *body = (
    ''.join(f'<{tag}>{html.escape(cell)}</{tag}>' for cell in row)
    for tag, row in zip(['th'] + ['td'] * len(rows), rows, strict=False)
  )
  return '\n'.join(
    ['<table>', *(f'<tr>{row}</tr>' for row in (head, *body)), '</table>']
  )


def _write_page(path, title, parts):
  write_whole(
    path, _PAGE.format(title=html.escape(title), body='\n'.join(parts))
  )
