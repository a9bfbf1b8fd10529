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
# A length of 1 is that of hidden states that are pooled.
_BUCKETS = (1, *range(16, 64, 8), *range(64, 128, 16), *range(128, 513, 32))

Example = Mapping[str, np.ndarray]
Batch = dict[str, np.ndarray]


class TrainingBatches:
  """`batches[step]` for any step, each epoch in its own order.

  An epoch has each example once. What a batch lacks, the last one of an epoch
  above all, are rows that are masked whole. After the first epoch no batch has
  a length that is new.

  With `foreground`, a share of each batch is drawn from the examples that have
  some, each equally often, and the rest from all. An epoch has as many batches
  as without, and not each example.

  Args:
    examples: see `pad`.
    fill: see `pad`.
    batch_size: examples a step.
    rows: of a batch, at least `batch_size`; None: as many.
    own: those rows that are made here, where processes share a batch.
    max_length: of the examples.
    epochs: how often each example comes.
    seed: of the order.
    foreground: which of the examples are oversampled, bool; with `share`.
    share: of each batch that is drawn from these; 0: nothing is oversampled.

  Raises:
    ValueError: no example is foreground, or a share that is no whole example.

  References:
    Isensee et al., `nnU-Net <https://doi.org/10.1038/s41592-020-01008-z>`_,
    2021, for the oversampled foreground.
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
    foreground: Sequence[bool] | None = None,
    share: float = 0.0,
  ):
    self._examples = examples
    self._fill = fill
    self._batch_size = batch_size
    self._own = range(rows or batch_size)[own]
    self._seed = seed
    self._lengths = np.array([_length(example) for example in examples])
    self.steps_per_epoch = -(-len(examples) // batch_size)
    self._len = epochs * self.steps_per_epoch
    self._oversampled = round(share * batch_size)
    self._foreground = np.flatnonzero(foreground or ())
    if share and not 1 <= self._oversampled < batch_size:
      raise ValueError(
        f'data.foreground={share:g} of batch_size={batch_size} has to leave '
        'and to draw at least one example.'
      )
    if share and not len(self._foreground):
      raise ValueError('data.foreground: no training example has any.')
    # Of this object, not of the class: the cache must not outlive it.
    self._epoch = functools.lru_cache(maxsize=2)(self._order)
    # Where some are oversampled, the longest may come only later.
    longest = {self._lengths[i].max() for i in self._epoch(0)}
    longest.add(self._lengths.max())
    self._widths = sorted({_width(length, max_length) for length in longest})

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
    batches = self._cut(order, self._batch_size - self._oversampled)
    if self._oversampled:
      needed = self.steps_per_epoch * self._oversampled
      times = -(-needed // len(self._foreground))
      drawn = [rng.permutation(self._foreground) for _ in range(times)]
      more = self._cut(np.concatenate(drawn), self._oversampled)
      batches = [
        np.concatenate(both) for both in zip(batches, more, strict=True)
      ]
    return [batches[i] for i in rng.permutation(len(batches))]

  def _cut(self, order, size) -> list[np.ndarray]:
    """Batches of an epoch of `size` examples, of like lengths within pools."""
    order = order[: self.steps_per_epoch * size]
    batches = []
    for start in range(0, len(order), _POOL * size):
      pool = order[start : start + _POOL * size]
      pool = pool[np.argsort(self._lengths[pool], kind='stable')]
      batches += [pool[i : i + size] for i in range(0, len(pool), size)]
    return batches


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
    The arrays, with the `states` of a frozen encoder; int32 `mask`: the
    how-manieth example in the row a token is of, from 1; `example`, the numbers
    of the examples.

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
    for name in _names(fill, examples[0])
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
    width]`, bool, False on padding, or of packed examples int32, 0 on padding;
    where examples have `states`, these, `[rows, width, hidden_size]`.
  """
  like = examples[0] if like is None else like
  batch = {
    name: np.full((rows, width)[: 1 + np.ndim(like[name])], value, np.int32)
    for name, value in fill.items()
  }
  packed = 'mask' in like
  batch['mask'] = np.zeros((rows, width), np.int32 if packed else bool)
  if 'states' in like:
    states = like['states']
    batch['states'] = np.zeros((rows, width, states.shape[-1]), states.dtype)
  for row, example in enumerate(examples):
    n = _length(example)
    for name in _names(fill, like):
      cells = (row, slice(n))[: batch[name].ndim]
      batch[name][cells] = example[name]
    batch['mask'][row, :n] = example['mask'] if packed else True
  return batch


def _names(fill, example) -> list[str]:
  """Names of the arrays of a batch; a frozen encoder adds its states."""
  return [*fill, 'states'] if 'states' in example else [*fill]


def _width(longest: int, max_length: int) -> int:
  """The next bucket."""
  width = next((b for b in _BUCKETS if b >= longest), int(longest))
  return min(width, max_length)


def _length(example):
  return len(example['tokens'])
