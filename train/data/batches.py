"""Batches of fixed shapes: a function of (seed, step), nothing to save."""

import collections
import functools
from collections.abc import Iterator
from collections.abc import Mapping
from collections.abc import Sequence

import grain
import numpy as np

# Sentences are sorted by length within pools of this many batches: enough for
# batches of like lengths, few enough that no epoch is like another.
_POOL = 50
# Lengths that batches are padded to; each costs one compilation.
_BUCKETS = (*range(16, 64, 8), *range(64, 128, 16), *range(128, 513, 32))

Example = Mapping[str, np.ndarray]
Batch = dict[str, np.ndarray]


class TrainingBatches:
  """`batches[step]` for any step, each epoch in its own order.

  An epoch has each example once. What a batch lacks, the last one of an epoch
  above all, are rows that are masked whole. After the first epoch no batch has
  a length that is new.

  Args:
    examples: see `pad`.
    fill: see `pad`.
    batch_size: examples a step.
    rows: of a batch, at least `batch_size`; None: as many.
    own: those rows that are made here, where processes share a batch.
    max_length: of the examples.
    epochs: how often each example comes.
    seed: of the order.
  """

  def __init__(
    self,
    examples: Sequence[Example],
    fill: Mapping[str, int],
    *,
    batch_size: int,
    rows: int | None = None,
    own: slice = slice(None),
    max_length: int,
    epochs: int,
    seed: int,
  ):
    self._examples = examples
    self._fill = fill
    self._batch_size = batch_size
    self._own = range(rows or batch_size)[own]
    self._seed = seed
    self._lengths = np.array([_length(example) for example in examples])
    self.steps_per_epoch = -(-len(examples) // batch_size)
    self._len = epochs * self.steps_per_epoch
    # Of this object, not of the class: the cache must not outlive it.
    self._epoch = functools.lru_cache(maxsize=2)(self._order)
    self._widths = sorted(
      {_width(self._lengths[i].max(), max_length) for i in self._epoch(0)}
    )

  def __len__(self) -> int:
    return self._len

  def __getitem__(self, step: int) -> Batch:
    indices = self._indices(step)
    longest = self._lengths[indices].max()
    width = next(width for width in self._widths if width >= longest)
    rows = [
      self._examples[i] for i in indices[self._own.start : self._own.stop]
    ]
    return pad(rows, self._fill, len(self._own), width, self._examples[0])

  def sources(self, step: int) -> list[int]:
    """What the batch of a step was made from.

    Numbers of examples; where these have `example`, of what it says.
    """
    of_rows = [self._examples[i].get('example', i) for i in self._indices(step)]
    return np.unique(np.hstack(of_rows)).tolist()

  def _indices(self, step):
    epoch, i = divmod(step, self.steps_per_epoch)
    return self._epoch(epoch)[i]

  def from_step(self, step: int) -> Iterator[Batch]:
    """The batches from `step` on, prepared while others are computed."""
    dataset = grain.MapDataset.source(self)[step:]
    return iter(
      dataset.to_iter_dataset(
        grain.ReadOptions(num_threads=1, prefetch_buffer_size=8)
      )
    )

  def _order(self, epoch):
    rng = np.random.default_rng((self._seed, epoch))
    order = rng.permutation(len(self._lengths))
    size = _POOL * self._batch_size
    batches = []
    for start in range(0, len(order), size):
      pool = order[start : start + size]
      pool = pool[np.argsort(self._lengths[pool], kind='stable')]
      batches += [
        pool[i : i + self._batch_size]
        for i in range(0, len(pool), self._batch_size)
      ]
    return [batches[i] for i in rng.permutation(len(batches))]


def batches_in_order(
  examples: Sequence[Example],
  fill: Mapping[str, int],
  *,
  batch_size: int,
  max_length: int,
) -> Iterator[tuple[np.ndarray, Batch]]:
  """Each example once, those of like lengths together.

  Yields:
    Indices of the examples, at most `batch_size`, and their batch.
  """
  order = np.argsort([_length(e) for e in examples], kind='stable')
  for start in range(0, len(order), batch_size):
    indices = order[start : start + batch_size]
    rows = [examples[i] for i in indices]
    width = _width(max(map(_length, rows)), max_length)
    yield indices, pad(rows, fill, batch_size, width)


def pack(
  examples: Sequence[Example],
  fill: Mapping[str, int],
  *,
  max_length: int,
  seed: int,
) -> list[Example]:
  """Joins short examples into long ones, which hardly need padding.

  Best fit, the longest first; among equally long ones chance decides.

  Args:
    examples: by name, 1-D arrays of the length of `tokens`.
    fill: names which arrays are joined.
    max_length: of what is joined.
    seed: of chance.

  Returns:
    The arrays; int32 `mask`: the how-manieth example in the row a token is of,
    from 1; `example`, the numbers of the examples.

  References:
    Krell et al., `Efficient Sequence Packing without Cross-contamination
    <https://arxiv.org/abs/2107.02027>`_, 2021.
  """
  lengths = np.array([_length(example) for example in examples])
  order = np.random.default_rng(seed).permutation(len(examples))
  rows, by_room, rooms = [], collections.defaultdict(list), 0
  for i in order[np.argsort(-lengths[order], kind='stable')].tolist():
    n = int(lengths[i])
    # Bit r of `rooms` is set where a row has room for r more tokens.
    if fitting := rooms >> n:
      room = n + (fitting & -fitting).bit_length() - 1
      row = by_room[room].pop()
      if not by_room[room]:
        rooms ^= 1 << room
    else:
      room, row = max_length, []
      rows.append(row)
    row.append(i)
    by_room[room - n].append(row)
    rooms |= 1 << room - n
  return [_join(examples, row, fill) for row in rows]


def _join(examples, numbers, fill) -> Example:
  examples = [examples[i] for i in numbers]
  joined = {
    name: np.concatenate([example[name] for example in examples])
    for name in fill
  }
  lengths = [_length(example) for example in examples]
  mask = np.repeat(np.arange(1, len(examples) + 1, dtype=np.int32), lengths)
  return joined | {'mask': mask, 'example': np.array(numbers)}


def pad(
  examples: Sequence[Example],
  fill: Mapping[str, int],
  rows: int,
  width: int,
  like: Example | None = None,
) -> Batch:
  """Stacks sequences, padded to one width, and adds their `mask`.

  Args:
    examples: by name, 1-D arrays of the length of `tokens` and 0-D ones; those
      of `pack` have their own `mask`.
    fill: the value of padding, by name; names which arrays are taken.
    rows: of the batch; those beyond the examples are padding.
    width: at least the length of the examples.
    like: one of all examples, where this batch may have none.

  Returns:
    By name, int32 `[rows, width]`, or `[rows]` of 0-D arrays, and `mask [rows,
    width]`, bool, False on padding, or of packed examples int32, 0 on padding.
  """
  like = examples[0] if like is None else like
  batch = {
    name: np.full((rows, width)[: 1 + np.ndim(like[name])], value, np.int32)
    for name, value in fill.items()
  }
  packed = 'mask' in like
  batch['mask'] = np.zeros((rows, width), np.int32 if packed else bool)
  for row, example in enumerate(examples):
    n = _length(example)
    for name in fill:
      cells = (row, slice(n))[: batch[name].ndim]
      batch[name][cells] = example[name]
    batch['mask'][row, :n] = example['mask'] if packed else True
  return batch


def _width(longest: int, max_length: int) -> int:
  """The next bucket."""
  width = next((b for b in _BUCKETS if b >= longest), int(longest))
  return min(width, max_length)


def _length(example):
  return len(example['tokens'])
