"""Draws the figure of losses.md: `python docs/losses.py` writes losses.svg.

Every curve is computed by the losses themselves: derivatives by `jax.grad`,
optima by gradient descent or on a grid.
"""

import functools
import io
import pathlib
import re

import jax
import jax.numpy as jnp
import numpy as np
from matplotlib import figure
from matplotlib import rc_context

from dicejax import losses

# Okabe and Ito's colours differ for colour-blind readers, and in grey.
BLACK, GREY, BLUE, SKY = '#000000', '#808080', '#0072B2', '#56B4E9'
GREEN, RED, ORANGE, PINK = '#009E73', '#D55E00', '#E69F00', '#CC79A7'

# The figure shows single elements: each is a set of its own.
dice = functools.partial(losses.dice, axis=())
decayed = functools.partial(losses.self_adjusting_dice, square=False, axis=())
CURVES = {  # Each element a set, smooth = 1.
  'cross entropy': (losses.cross_entropy, BLACK),
  'focal': (losses.focal, GREY),
  'tversky': (
    functools.partial(losses.tversky, alpha=0.3, beta=0.7, axis=()),
    GREEN,
  ),
  'dice': (dice, BLUE),
  'squared': (functools.partial(dice, square=True), SKY),
  '0.01': (functools.partial(decayed, alpha=0.01), PINK),
  '0.1': (functools.partial(decayed, alpha=0.1), ORANGE),
  '1': (functools.partial(decayed, alpha=1.0), RED),
}


def slope(loss, p, label, **kwargs):
  """Computes the derivative by the logit at the probabilities p."""
  logits = jnp.log(p) - jnp.log1p(-p)
  return jax.grad(lambda z: loss(z, jnp.full(p.shape, label), **kwargs).sum())(
    logits
  )


def calibrated_data():
  """Makes elements: their groups, posteriors of the groups, and labels.

  A group of 60 k elements has as many positives as its posterior says. Its
  elements look the same, so they share a logit.
  """
  posteriors = (np.arange(30) + 0.5) / 30
  sizes = 60 * (1 + np.round(200 * np.exp(-16 * posteriors)).astype(int))
  positives = np.round(sizes * posteriors).astype(int)
  group = np.repeat(np.arange(30), sizes)
  place = np.concatenate([np.arange(size) for size in sizes])
  return group, posteriors, (place < positives[group]).astype(int)


def fit(loss, steps=300):
  """Minimises a loss on `calibrated_data`; returns p of each group."""
  group, posteriors, labels = calibrated_data()
  share = np.bincount(group) / len(group)

  def step(logits, _):
    gradient = jax.grad(lambda z: loss(z[group], labels))(logits)
    # By p and not by the logit, which would take for ever near 0 and 1.
    by_p = gradient / (jax.nn.sigmoid(logits) * jax.nn.sigmoid(-logits))
    return jnp.clip(logits - 0.5 * by_p / share, -15, 15), None

  start = jnp.zeros(len(posteriors))
  logits, _ = jax.jit(lambda z: jax.lax.scan(step, z, None, steps))(start)
  return jax.nn.sigmoid(logits)


def f1_at(threshold):
  """F1 on `calibrated_data` if posteriors above the threshold are positive."""
  group, posteriors, labels = calibrated_data()
  logits = np.where(posteriors > threshold, 50.0, -50.0)[group]
  return 1 - losses.dice(logits, labels, smooth=0.0)


def best_p(loss, posteriors):
  """Finds the p with the lowest expected loss of single elements."""
  p = jax.nn.sigmoid(jnp.linspace(-20, 20, 4001))
  logits = jnp.log(p) - jnp.log1p(-p)
  of = [loss(logits, jnp.full(p.shape, label)) for label in (0, 1)]
  risk = np.outer(1 - posteriors, of[0]) + np.outer(posteriors, of[1])
  return p[risk.argmin(axis=1)]


def draw_by_p(axes, label):
  p = np.concatenate(
    [np.linspace(1e-4, 0.94, 60), 1 - np.geomspace(0.05, 1e-4, 40)]
  )
  axes.axhline(0, color='0.7', lw=0.6, zorder=0)
  for name, (loss, color) in CURVES.items():
    draw = functools.partial(axes.plot, color=color, lw=1.4)
    draw(p, slope(loss, p, label) / (p * (1 - p)))
    if name == '1':
      stop = slope(loss, p, label, decay_gradient='stop') / (p * (1 - p))
      draw(p, stop, ls=(0, (3, 2)), lw=1)
  for alpha, color in [(1, RED), (0.1, ORANGE), (0.01, PINK)]:
    axes.plot(1 / (1 + alpha), 0, 'o', color=color, ms=4, zorder=5)
  ylim = (-1.6, 1) if label else (-1, 1.6)
  axes.set(xlim=(0, 1), ylim=ylim, xticks=[0, 0.25, 0.5, 0.75, 1])


def draw_by_logit(axes, label):
  z = np.linspace(-7.5, 7.5, 301)
  p = 1 / (1 + np.exp(-z))
  for name, (loss, color) in CURVES.items():
    by_logit = slope(loss, p, label)
    wrong = by_logit * (1 - 2 * label) < 0
    size = np.abs(by_logit)
    draw = functools.partial(axes.plot, p, color=color)
    draw(np.where(wrong, np.nan, size), lw=1.4)
    draw(np.where(wrong, size, np.nan), lw=3.5, alpha=0.35)
    if name == '1':
      stop = np.abs(slope(loss, p, label, decay_gradient='stop'))
      draw(stop, ls=(0, (3, 2)), lw=1)
  axes.set(xscale='logit', yscale='log', xlim=(p[0], p[-1]), ylim=(2e-4, 2.5))
  ticks = [0.001, 0.01, 0.1, 0.5, 0.9, 0.99, 0.999]
  axes.set_xticks(ticks, [f'{tick:g}' for tick in ticks])
  ticks = [0.001, 0.01, 0.1, 1]
  axes.set_yticks(ticks, [f'{tick:g}' for tick in ticks])
  axes.minorticks_off()


def draw_threshold(axes):
  """Draws F1 at all thresholds, and the threshold that set-level Dice finds."""
  _, posteriors, _ = calibrated_data()
  at = (posteriors[1:] + posteriors[:-1]) / 2  # Between the groups.
  scores = np.array([f1_at(threshold) for threshold in at])
  best = scores.max()
  axes.plot(at, scores, color=BLUE, lw=1.4)
  axes.plot([best / 2, best / 2], [0, best], color=BLUE, lw=0.8, ls=':')
  axes.plot(best / 2, best, 'o', color=BLUE, ms=4)
  half = f1_at(0.5)
  axes.plot([0.5, 0.5], [0, half], color='0.5', lw=0.8, ls=':')
  axes.plot(0.5, half, 'o', color='0.5', ms=4)
  axes.set(xlim=(0, 1), ylim=(0, 0.6))
  note(axes, 0.27, 0.545, BLUE, f'F* = {best:.3f} at F*/2 = {best / 2:.3f}')
  note(axes, 0.52, 0.435, '0.4', f'{half:.3f} at 0.5')


def draw_optima(axes):
  """Draws the p with the lowest loss against the posterior."""
  _, posteriors, _ = calibrated_data()
  sets = functools.partial(losses.dice, smooth=0.0)
  fine = np.linspace(0.002, 0.998, 499)
  squared = functools.partial(dice, square=True)
  axes.plot([0, 1], [0, 1], color=BLACK, lw=1.4)
  axes.step(posteriors, fit(sets), color=BLUE, lw=1.4, where='mid')
  axes.plot(
    posteriors,
    fit(functools.partial(sets, square=True)),
    color=SKY,
    lw=1.4,
  )
  elements = (0, (3, 2))
  axes.plot(fine, best_p(dice, fine), color=BLUE, lw=1.2, ls=elements)
  axes.plot(fine, best_p(squared, fine), color=SKY, lw=1.2, ls=elements)
  axes.axhline(0.5, color='0.7', lw=0.6, zorder=0)
  axes.set(xlim=(0, 1), ylim=(-0.03, 1.03))
  note(axes, 0.2, 0.93, BLUE, 'dice,\none set', ha='right')
  note(axes, 0.255, 0.68, SKY, 'squared', rotation=63)
  note(axes, 0.39, 0.31, BLACK, 'cross entropy', rotation=45)
  note(axes, 0.53, 0.06, BLUE, 'dashed:\neach element a set')


def note(axes, x, y, color, text, **kwargs):
  axes.text(x, y, text, color=color, fontsize=7.5, **kwargs)


def draw():
  """Draws the figure: slopes by p, slopes by the logit, and optima."""
  page = figure.Figure(figsize=(7.4, 9.6), layout='constrained')
  grid = page.subplots(3, 2)
  for axes in grid.flat:
    axes.spines[['top', 'right']].set_visible(False)
    axes.tick_params(labelsize=7.5)
  for column, label in [(0, 1), (1, 0)]:
    draw_by_p(grid[0, column], label)
    draw_by_logit(grid[1, column], label)
  draw_threshold(grid[2, 0])
  draw_optima(grid[2, 1])

  for axes, title, below in [
    (grid[0, 0], 'Positives (y = 1): ∂L/∂p', 'p'),
    (grid[0, 1], 'Negatives (y = 0): ∂L/∂p', 'p'),
    (grid[1, 0], 'Positives: |∂L/∂z|, by the logit', 'p'),
    (grid[1, 1], 'Negatives: |∂L/∂z|, by the logit', 'p'),
    (grid[2, 0], 'F1 at each threshold', 'threshold'),
    (grid[2, 1], 'p of least loss', 'true probability'),
  ]:
    axes.set_title(title, fontsize=9, loc='left')
    axes.set_xlabel(below, fontsize=8, labelpad=1)

  positive, negative = grid[0]
  note(positive, 0.7, -1.52, BLACK, 'cross entropy')
  note(positive, 0.53, -1.2, GREY, 'focal')
  note(positive, 0.04, -1.1, SKY, 'dice, squared')
  note(positive, 0.02, -0.43, GREEN, 'tversky')
  note(positive, 0.73, -0.56, BLUE, 'dice')
  note(positive, 0.53, -0.2, RED, "'stop'")
  note(positive, 0.76, 0.43, RED, 'α = 1', ha='right')
  note(positive, 0.9, 0.09, ORANGE, '0.1', ha='right')
  note(positive, 1.01, 0.5, PINK, '0.01')
  note(negative, 0.01, 1.45, BLACK, 'cross entropy')
  note(negative, 0.56, 1.4, GREY, 'focal')
  note(negative, 0.62, 0.69, SKY, 'dice, squared')
  note(negative, 0.5, 0.47, BLUE, 'dice')
  note(negative, 0.6, 0.1, GREEN, 'tversky')
  note(negative, 0.385, 0.265, RED, "'stop'")
  note(negative, 0.55, -0.35, RED, 'α = 1')
  note(negative, 0.9, -0.16, ORANGE, '0.1', ha='right')
  note(negative, 1.01, -0.6, PINK, '0.01')

  positive, negative = grid[1]
  note(positive, 0.93, 0.12, BLACK, 'cross entropy')
  note(positive, 0.02, 1.3, GREY, 'focal')
  note(positive, 0.0009, 0.03, SKY, 'dice, squared')
  note(positive, 0.012, 0.0022, GREEN, 'tversky')
  note(positive, 0.48, 0.0006, RED, 'α = 1', ha='right')
  note(positive, 0.994, 0.03, ORANGE, '0.1')
  note(positive, 0.9975, 0.0045, PINK, '0.01')
  note(negative, 0.02, 0.06, BLACK, 'cross entropy', ha='right')
  note(negative, 0.09, 0.0006, GREY, 'focal')
  note(negative, 0.66, 0.3, '0.3', 'pale and wide:\nthe wrong way')
  return page


def write(path):
  """Writes an SVG with real text and coordinates in 1/100 of a point."""
  svg = io.StringIO()
  fixed = {'svg.hashsalt': 'dicejax', 'svg.fonttype': 'none'}
  with rc_context(fixed), jax.enable_x64(True):
    draw().savefig(svg, format='svg', metadata={'Date': None})
  path.write_text(re.sub(r'(\.\d\d)\d\d+', r'\1', svg.getvalue()))


if __name__ == '__main__':
  write(pathlib.Path(__file__).with_suffix('.svg'))
