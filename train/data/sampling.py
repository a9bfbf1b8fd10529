"""Held-out parts, samples and resampled labels: draws that repeat exactly.

All draws depend on the seed and on their purpose only, so the same files and
settings give the same examples.
"""

import collections
import itertools
from collections.abc import Iterable
from collections.abc import Mapping
from collections.abc import Sequence
from typing import Any

import numpy as np

from train.data.example import Example

Splits = dict[str, list[Example]]


def hold_out(splits: Splits, shares: Mapping[str, float], seed: int) -> Splits:
  """Moves a part of the training split into other splits.

  Examples with equal groups, such as the questions on one article, stay
  together.

  Args:
    splits: split → examples.
    shares: split → the fraction of the training split that it gets, or 0.
    seed: seed of the draw.

  Raises:
    ValueError: fractions outside (0, 1) or that leave nothing to train on, or a
      split that is there already.
  """
  shares = {split: share for split, share in shares.items() if share}
  if not shares:
    return splits
  for split, share in shares.items():
    if not 0 < share < 1 or sum(shares.values()) >= 1:
      raise ValueError(
        'data.held_out are fractions of the training split that leave some of '
        f'it, not {share:g} for {split}.'
      )
    if split in splits:
      raise ValueError(
        f'data.held_out.{split} is {share:g}, but data.files has a file for '
        f'{split}: expected one of them.'
      )
  examples = splits.get('train', [])
  order = _random_groups(examples, 'held_out', seed)
  held_out = {}
  for split, share in shares.items():
    size = _whole_groups(order, share * len(examples))
    held_out[split], order = order[:size], order[size:]
  if not order:
    raise ValueError(
      'data.held_out leaves nothing to train on: the training split has too '
      'few examples, or too few articles or sentences to separate.'
    )
  parts = {'train': order, **held_out}
  return splits | {
    split: _in_order(examples, groups) for split, groups in parts.items()
  }


def take(splits: Splits, sizes: Mapping[str, int], seed: int) -> Splits:
  """Replaces splits with random samples, in the order of the file.

  Args:
    splits: split → examples.
    sizes: split → the number of examples to take, or 0 to take all. Groups are
      taken whole, so a sample may be a little larger or smaller.
    seed: seed of the draw.

  Raises:
    ValueError: a size that is negative, or larger than the split.
  """
  samples = {}
  for split, size in sizes.items():
    if not size:
      continue
    examples = splits.get(split, [])
    if not 0 < size <= len(examples):
      raise ValueError(
        f'data.take.{split} is at most {len(examples)}, the examples of the '
        f'split, not {size}.'
      )
    order = _random_groups(examples, split, seed)
    samples[split] = _in_order(examples, order[: _whole_groups(order, size)])
  return splits | samples


def resample(
  examples: Sequence[Any], factors: Mapping[str, float], seed: int
) -> list[Any]:
  """Returns texts, each repeated or dropped by the factor of its label.

  Args:
    examples: texts.
    factors: label → factor. With 2.5 each text comes twice, and half of them
      once more. Other labels have 1.
    seed: seed of the draw.

  Raises:
    ValueError: a label that no text has, or a negative factor.
  """
  counts = collections.Counter(getattr(x, 'label', None) for x in examples)
  for label, factor in factors.items():
    if label not in counts:
      known = ', '.join(repr(label) for label in counts if label is not None)
      raise ValueError(
        f'data.resample.{label}: the training split has no text with this label'
        + (
          f', but with {known}.'
          if known
          else '; only texts with one label are resampled.'
        )
      )
    if factor < 0:
      raise ValueError(f'data.resample.{label} is at least 0, not {factor:g}.')
  times = np.ones(len(examples), int)
  for label, factor in sorted(factors.items()):
    indices = [i for i, x in enumerate(examples) if x.label == label]
    more = round(factor % 1 * len(indices))
    times[indices] = int(factor)
    times[_rng(label, seed).permutation(indices)[:more]] += 1
  return [x for x, n in zip(examples, times, strict=True) for _ in range(n)]


def _random_groups(
  examples: Sequence[Example], purpose: str, seed: int
) -> list[list[int]]:
  """Returns the indices of each group of examples, the groups shuffled."""
  by_group = collections.defaultdict(list)
  for index, example in enumerate(examples):
    by_group[example.group].append(index)
  groups = list(by_group.values())
  return [groups[i] for i in _rng(purpose, seed).permutation(len(groups))]


def _whole_groups(groups: Sequence[Sequence[int]], size: float) -> int:
  """Returns how many groups come nearest to `size` examples, at least one."""
  sizes = np.cumsum([len(group) for group in groups])
  return int(np.argmin(np.abs(sizes - size))) + 1 if len(sizes) else 0


def _in_order(
  examples: Sequence[Example], groups: Iterable[list[int]]
) -> list[Example]:
  return [examples[i] for i in sorted(itertools.chain(*groups))]


def _rng(purpose: str, seed: int) -> np.random.Generator:
  # Draws for one purpose do not change those for another.
  return np.random.default_rng([seed, *purpose.encode()])
