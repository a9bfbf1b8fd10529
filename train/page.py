"""The HTML report of a run, or of several."""

import html
import pathlib
from collections.abc import Iterable
from collections.abc import Mapping
from collections.abc import Sequence
from typing import Any

from ml_collections import config_dict

from train import charts
from train.decision_curve import DecisionCurve
from train.report import Scores
from train.report import comparison_rows
from train.report import format_score
from train.report import headline_score
from train.report import read_history
from train.report import score_rows
from train.tasks import review as reviews
from train.tasks.review import Review
from train.workdir import REPORT
from train.workdir import write_whole

_PAGE = """<!DOCTYPE html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>
{style}</style>
<h1>{title}</h1>
{body}
</html>
"""
_STYLE = pathlib.Path(__file__).with_name('page.css')
# Limits of a table of confusions and of the labels with a chart, and of the
# characters shown of a mistake.
_MOST_LABELS = 12
_MOST_CHARACTERS = 600
_ADVICE = {  # Parameter of the decision → what it does.
  'threshold': 'The threshold {} has the best F1 on dev. A lower threshold '
  'finds more, with more false alarms: '
  '<code>train.predict --threshold=…</code>',
  'offset': 'The offset {} has the best F1 on dev. A higher offset finds more, '
  'with more false alarms: <code>train.predict --offset=…</code>',
  'null': 'There is no answer where this scores above the best span by more '
  'than {}, which has the best F1 on dev. A higher threshold answers more '
  'questions.',
}


def write_report(
  workdir: pathlib.Path,
  config: config_dict.ConfigDict,
  outcome: Mapping[str, Any],
  *,
  sizes: Mapping[str, int],
  curves: Sequence[DecisionCurve],
  review: Review | None,
) -> None:
  """Writes report.html of one run.

  Args:
    workdir: the directory of the run.
    config: its config.
    outcome: the results of `Trainer.train`.
    sizes: number of examples by split.
    curves: scores on dev by the parameters that decide.
    review: what was wrong on the last split, test if there is one.
  """
  history = read_history(workdir)
  last = _last_split(outcome['scores'])
  parts = [
    _summary(config, outcome, sizes, max(history, default=0)),
    _figures(outcome),
    *_score_tables(outcome),
    '<h2>Training</h2>',
    _curves({config.loss.name: history}, outcome),
  ]
  parts += _decision(curves)
  if review:
    parts += _review(review, last)
  parts += _settings(config)
  _write_page(workdir, parts)


def write_comparison(
  workdir: pathlib.Path,
  outcomes: Mapping[str, Mapping],
  summary: Sequence[Sequence[str]] = (),
) -> None:
  """Writes report.html of several runs in folders of one workdir."""
  histories = {name: read_history(workdir / name) for name in outcomes}
  tables = ([summary] if summary else []) + [comparison_rows(outcomes)]
  links = (
    f'<li><a href="{name}/report.html">{name}</a></li>'
    for name in map(html.escape, outcomes)
  )
  parts = [
    *map(_table, tables),
    '<h2>Training</h2>',
    _curves(histories, next(iter(outcomes.values()))),
    f'<h2>Runs</h2><ul>{"".join(links)}</ul>',
  ]
  _write_page(workdir, parts)


def _last_split(scores: Mapping[str, Scores]) -> str:
  return 'test' if 'test' in scores else 'dev'


def _summary(config, outcome, sizes, last_step) -> str:
  counts = ', '.join(f'{n:,} {split}' for split, n in sizes.items())
  # The name of a model on the hub, or the end of a path.
  encoder = '/'.join(pathlib.PurePath(config.model.pretrained).parts[-2:])
  encoder = encoder or 'an encoder from scratch'
  return (
    f'<p class="note">{html.escape(config.task)} with {html.escape(encoder)}, '
    f'loss {html.escape(_loss_name(config.loss))}. Examples: {counts}. Best on '
    f'dev, by {html.escape("/".join(outcome["headline"]))}, after step '
    f'{outcome["best_step"]:,} of {last_step:,}; '
    f'{outcome["seconds"] / 60:.1f} minutes.</p>'
  )


def _loss_name(loss) -> str:
  return f'{loss.name} + cross_entropy' if loss.cross_entropy else loss.name


def _figures(outcome) -> str:
  """The headline on each split, and by the other rules of decision."""
  (row, column), scores = outcome['headline'], outcome['scores']
  last = _last_split(scores)
  shown = {f'{column} on {last}, {row}': scores[last][row][column]}
  for other in outcome['beside']:
    if column in scores[last].get(other, {}):
      shown[f'{column} on {last}, {other}'] = scores[last][other][column]
  if last != 'dev':
    shown[f'{column} on dev, {row}'] = scores['dev'][row][column]
  items = (
    f'<li><b>{format_score(column, value)}</b>'
    f'<span>{html.escape(name)}</span></li>'
    for name, value in shown.items()
  )
  return f'<ul class="figures">{"".join(items)}</ul>'


def _score_tables(outcome) -> list[str]:
  row, column = outcome['headline']
  tables = (
    (f'On {split}', _table(_first(score_rows(scores), column), chosen=row))
    for split, scores in sorted(outcome['scores'].items(), reverse=True)
  )
  return ['<h2>Scores</h2>', _side_by_side(*tables, kind='charts tables')]


def _first(rows, column) -> list[list[str]]:
  """Moves a column to the front, where a narrow screen shows it."""
  i = rows[0].index(column)
  return [[row[0], row[i], *row[1:i], *row[i + 1 :]] for row in rows]


def _curves(histories, outcome) -> str:
  """Loss and headline on dev by step, a line per run."""
  headline = outcome['headline']
  losses = {
    name: [(s, r['loss']) for s, r in sorted(history.items()) if 'loss' in r]
    for name, history in histories.items()
  }
  dev = {
    name: [
      (s, headline_score(r['dev'], headline))
      for s, r in sorted(history.items())
      if 'dev' in r
    ]
    for name, history in histories.items()
  }
  step = charts.Axis('step')
  values = [y for points in losses.values() for _, y in points]
  loss = charts.axis_for('loss', values)
  best = outcome.get('best_step') if len(histories) == 1 else None
  title = html.escape(' '.join(headline[::-1]))
  return _side_by_side(
    ('Training loss', charts.line_chart(losses, step, loss)),
    (
      f'Dev: {title}',
      charts.line_chart(
        dev,
        step,
        charts.Axis(title, percent=True),
        marked=(best, 'best') if best else None,
      ),
    ),
  )


def _side_by_side(*charts_with_titles, kind: str = 'charts') -> str:
  parts = (
    f'<div><h3>{title}</h3>{chart}</div>' for title, chart in charts_with_titles
  )
  return f'<div class="{kind}">{"".join(parts)}</div>'


def _decision(curves: Sequence[DecisionCurve]) -> list[str]:
  """Shows what other values of the parameters that dev chose would do."""
  if not curves:
    return []
  parts = _of_labels(curves) if curves[0].label else _of_all(curves[0])
  return ['<h2>Decision on dev</h2>', *parts]


def _of_labels(curves: Sequence[DecisionCurve]) -> list[str]:
  """A chart of each label, or of the most frequent ones."""
  few, most = curves[:_MOST_LABELS], ''
  if len(few) < len(curves):
    most = f' These are the {len(few)} most frequent of {len(curves)} labels.'
  return [
    '<p>Each label has the threshold with its best F1 on dev. A lower one '
    f'finds more, with more false alarms.{most}</p>',
    _side_by_side(*((html.escape(c.label), _by_value(c)) for c in few)),
  ]


def _of_all(curve: DecisionCurve) -> list[str]:
  """Scores by the parameter; precision and recall against each other."""
  found = [(f'By {_axis(curve).label}', _by_value(curve))]
  if 'recall' in curve.scores:
    found.append(('Precision by recall', _by_recall(curve)))
  advice = _ADVICE[curve.parameter].format(_chosen(curve))
  return [f'<p>{advice}</p>', _side_by_side(*found)]


def _axis(curve: DecisionCurve) -> charts.Axis:
  if curve.parameter == 'threshold':
    return charts.Axis('threshold', 'logit', percent=True)
  if curve.parameter == 'null':
    return charts.Axis('threshold of no answer')
  return charts.Axis(curve.parameter)


def _chosen(curve: DecisionCurve) -> str:
  if curve.parameter == 'threshold':
    return f'{100 * curve.chosen:.3g} %'
  return f'{curve.chosen:.3g}'


def _by_value(curve: DecisionCurve) -> str:
  return charts.line_chart(
    _where_found(curve),
    _axis(curve),
    charts.Axis('F1' if curve.parameter == 'null' else 'score', percent=True),
    marked=(curve.chosen, _chosen(curve)),
    limits=(0.0, 1.0),
  )


def _by_recall(curve: DecisionCurve) -> str:
  # In the order of the parameter: recall may fall again where entities merge.
  points = [
    (recall, precision)
    for (_, recall), (_, precision) in zip(
      curve.scores['recall'], curve.scores['precision'], strict=True
    )
    if recall > 0
  ]
  return charts.line_chart(
    {'precision': points},
    charts.Axis('recall', percent=True),
    charts.Axis('precision', percent=True),
    limits=(0.0, 1.0),
    marked=_recall_at(curve),
  )


def _where_found(curve) -> dict[str, list[tuple[float, float]]]:
  """Leaves precision out where nothing is found: it means nothing there."""
  if 'recall' not in curve.scores:
    return curve.scores
  found = {value for value, recall in curve.scores['recall'] if recall > 0}
  return curve.scores | {
    'precision': [p for p in curve.scores['precision'] if p[0] in found]
  }


def _recall_at(curve) -> tuple[float, str] | None:
  recall = dict(curve.scores['recall']).get(curve.chosen)
  return None if recall is None else (recall, 'chosen')


def _review(review: Review, split: str) -> list[str]:
  parts = []
  if review.labels:
    parts += [
      f'<h2>Confusions on {split}</h2>',
      f'<p class="note">Rows are true, columns predicted; numbers of '
      f'{review.unit}. Colours are shares of a row.</p>',
      _confusion(*_most_confused(review.labels, review.confusion)),
    ]
  count = f'{review.number:,} on {split}'
  if review.number > len(review.mistakes):
    count += '; here are those of which the model was surest'
  parts.append('<h2>Worst mistakes</h2>')
  parts.append(f'<p class="note">{count if review.number else "None."}</p>')
  items = ''.join(map(_mistake, review.mistakes))
  return [*parts, f'<ul class="mistakes">{items}</ul>']


def _most_confused(labels, confusion):
  """Keeps the labels with the most errors, if there are many."""
  if len(labels) <= _MOST_LABELS:
    return labels, confusion
  errors = [
    sum(row) + sum(other[i] for other in confusion) - 2 * row[i]
    for i, row in enumerate(confusion)
  ]
  order = sorted(range(len(labels)), key=lambda i: -errors[i])
  kept = sorted(order[:_MOST_LABELS])
  return [labels[i] for i in kept], [
    [confusion[i][j] for j in kept] for i in kept
  ]


def _confusion(labels, confusion) -> str:
  head = ''.join(
    f'<th scope="col">{html.escape(label)}</th>' for label in labels
  )
  rows = [f'<tr><th></th>{head}</tr>']
  for i, (label, counts) in enumerate(zip(labels, confusion, strict=True)):
    total = sum(counts) or 1
    cells = ''.join(
      f'<td class="{"right" if i == j else "wrong" if count else ""}" '
      f'style="--share:{count / total:.3f}">{count:,}</td>'
      for j, count in enumerate(counts)
    )
    rows.append(f'<tr><th scope="row">{html.escape(label)}</th>{cells}</tr>')
  return (
    f'<div class="wide"><table class="confusion">{"".join(rows)}</table></div>'
  )


def _mistake(mistake) -> str:
  true = html.escape(mistake.true) or 'nothing'
  found = html.escape(mistake.found) or 'nothing'
  sure = '' if mistake.sure is None else f'<span>{mistake.sure:.0%} sure</span>'
  text = ' '.join(_part(*part) for part in _shorten(mistake.parts))
  text = text.replace('\n ', '\n')
  return (
    f'<li><div class="head"><span>{html.escape(mistake.where)}</span>'
    f'<span class="true">true: {true}</span>'
    f'<span class="found">predicted: {found}</span>{sure}</div>'
    f'<div class="text">{text}</div></li>'
  )


def _part(text: str, kind: str) -> str:
  if kind == reviews.PLAIN:
    return html.escape(text)
  return f'<mark class="{kind}">{html.escape(text)}</mark>'


def _shorten(parts) -> Iterable[tuple[str, str]]:
  """Shortens what is far from marked parts, or the end of a plain text."""
  is_plain = all(kind == reviews.PLAIN for _, kind in parts)
  most = _MOST_CHARACTERS if is_plain else _MOST_CHARACTERS // 3
  for i, (text, kind) in enumerate(parts):
    if kind != reviews.PLAIN or len(text) <= most:
      yield text, kind
    elif i == 0 and not is_plain:
      yield f'… {text[-most:]}', kind
    else:
      yield f'{text[:most]} …', kind


def _settings(config) -> list[str]:
  # Here, as importing a trainer should not import the experiments.
  from train.settings_table import changed_settings

  rows = ''.join(
    f'<tr><td><code>{html.escape(key)}</code></td>'
    f'<td><code>{html.escape(repr(value))}</code></td></tr>'
    for key, value in changed_settings(config).items()
  )
  return [
    '<h2>Settings</h2>',
    '<p class="note">Those that differ from configs/default.py; config.json '
    'has all.</p>',
    f'<table class="settings">{rows}</table>',
  ]


def _table(rows, chosen: str = '') -> str:
  head, *body = rows
  lines = [_cells(head, 'th'), *(_cells(r, 'td') for r in body)]
  classes = ['', *(' class="chosen"' if r[0] == chosen else '' for r in body)]
  text = ''.join(
    f'<tr{name}>{line}</tr>' for name, line in zip(classes, lines, strict=True)
  )
  return f'<div class="wide"><table>{text}</table></div>'


def _cells(row, tag) -> str:
  return ''.join(f'<{tag}>{html.escape(cell)}</{tag}>' for cell in row)


def _write_page(workdir: pathlib.Path, parts: Sequence[str]) -> None:
  title = html.escape(workdir.absolute().name)
  page = _PAGE.format(
    title=title, style=_STYLE.read_text('utf-8'), body='\n'.join(parts)
  )
  write_whole(workdir / REPORT, page)
