"""Batches of fixed shapes, as a function of (seed, step).

An iterator has no state to save, so a resumed run continues exactly.
"""

import collections
import functools
from collections.abc import Iterator
from collections.abc import Mapping
from collections.abc import Sequence

import grain
import numpy as np

from dicejax.text.batches import Batch
from dicejax.text.batches import Example
from dicejax.text.batches import length_of
from dicejax.text.batches import names
from dicejax.text.batches import pad
from dicejax.text.batches import width_of

# Examples are sorted by length within pools of this many batches. Larger pools
# give batches of more similar lengths, smaller ones more varied epochs.
_POOL = 50


class TrainingBatches:
  """Training batches: `batches[step]` for any step, shuffled in each epoch.

  An epoch has each example once. Batches with too few examples, such as the
  last one of an epoch, are filled up with masked rows. After the first epoch no
  batch has a new length, so nothing is compiled again.

  With `foreground`, a part of each batch is drawn from the foreground examples,
  each equally often, and the rest from all examples. An epoch then has the same
  number of batches, and not every example.

  Args:
    examples: see `pad`.
    fill: see `pad`.
    batch_size: the number of examples per step.
    rows: the number of rows of a batch, at least `batch_size`, which is the
      default.
    own: the rows that this process makes, if processes share a batch.
    max_length: the maximal length of the examples.
    epochs: how often each example comes.
    seed: the seed of the order.
    foreground: a bool for each example, True if it is foreground.
    share: the fraction of each batch that is drawn from the foreground, or 0.

  Raises:
    ValueError: no example is foreground, or the foreground of a batch is not at
      least one and less than all of its examples.

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
    self._lengths = np.array([length_of(example) for example in examples])
    self.steps_per_epoch = -(-len(examples) // batch_size)
    self._len = epochs * self.steps_per_epoch
    self._oversampled = round(share * batch_size)
    self._foreground = np.flatnonzero(foreground or ())
    if share and not 1 <= self._oversampled < batch_size:
      raise ValueError(
        f'data.foreground={share:g} of batch_size={batch_size} has to draw '
        'and to leave at least one example.'
      )
    if share and not len(self._foreground):
      raise ValueError('data.foreground: no training example has any.')
    # A cache on the method would keep this object alive as long as the class.
    self._epoch = functools.lru_cache(maxsize=2)(self._order)
    # With oversampling, the longest example may come after the first epoch.
    longest = {self._lengths[i].max() for i in self._epoch(0)}
    longest.add(self._lengths.max())
    self._widths = sorted({width_of(length, max_length) for length in longest})

  def __len__(self) -> int:
    return self._len

  def __getitem__(self, index: int) -> Batch:
    indices = self._indices(index)
    longest = self._lengths[indices].max()
    width = next(width for width in self._widths if width >= longest)
    rows = [
      self._examples[i] for i in indices[self._own.start : self._own.stop]
    ]
    return pad(rows, self._fill, len(self._own), width, self._examples[0])

  def sources(self, step: int) -> list[int]:
    """Returns the numbers of the examples in the batch of a step.

    For packed examples these are the numbers in their `example`.
    """
    of_rows = [self._examples[i].get('example', i) for i in self._indices(step)]
    return np.unique(np.hstack(of_rows)).tolist()

  def _indices(self, step: int) -> np.ndarray:
    epoch, i = divmod(step, self.steps_per_epoch)
    return self._epoch(epoch)[i]

  def from_step(self, step: int) -> Iterator[Batch]:
    """Yields the batches from `step` on, prepared in another thread."""
    dataset = grain.MapDataset.source(self)[step:]
    return iter(
      dataset.to_iter_dataset(
        grain.ReadOptions(num_threads=1, prefetch_buffer_size=8)
      )
    )

  def _order(self, epoch: int) -> list[np.ndarray]:
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

  def _cut(self, order: np.ndarray, size: int) -> list[np.ndarray]:
    """Cuts an epoch into batches of `size` examples of similar lengths."""
    order = order[: self.steps_per_epoch * size]
    batches = []
    for start in range(0, len(order), _POOL * size):
      pool = order[start : start + _POOL * size]
      pool = pool[np.argsort(self._lengths[pool], kind='stable')]
      batches += [pool[i : i + size] for i in range(0, len(pool), size)]
    return batches


def pack(
  examples: Sequence[Example],
  fill: Mapping[str, int],
  *,
  max_length: int,
  seed: int,
  most: int,
) -> list[Example]:
  """Joins short examples into long ones, which hardly need padding.

  The longest examples are placed first, each in the fullest row that has room
  for it (best fit). Examples of equal length come in random order.

  Args:
    examples: name → 1-D array with the length of `tokens`, or 0-D array.
    fill: name → value of padding, for each array to join.
    max_length: the maximal length of a row.
    seed: the seed of the random order.
    most: the largest number of examples in a row.

  Returns:
    Rows: the joined arrays, vectors `[1, most]` of 0-D arrays, and the `states`
    of a frozen encoder if there are any; an int32 `mask`, which numbers the
    examples in the row from 1, for each token; and `example`, the numbers of
    these examples in `examples`.

  References:
    Krell et al., `Efficient Sequence Packing without Cross-contamination
    <https://arxiv.org/abs/2107.02027>`_, 2021.
  """
  lengths = np.array([length_of(example) for example in examples])
  order = np.random.default_rng(seed).permutation(len(examples))
  rows, by_room, rooms = [], collections.defaultdict(list), 0
  for i in order[np.argsort(-lengths[order], kind='stable')].tolist():
    n = int(lengths[i])
    # Bit r of `rooms` is set if some row has room for exactly r more tokens, so
    # the lowest set bit from n on is the best fit.
    if fitting := rooms >> n:
      room = n + (fitting & -fitting).bit_length() - 1
      row = by_room[room].pop()
      if not by_room[room]:
        rooms ^= 1 << room
    else:
      room, row = max_length, []
      rows.append(row)
    row.append(i)
    if len(row) != most:
      by_room[room - n].append(row)
      rooms |= 1 << room - n
  return [_join(examples, row, fill, most) for row in rows]


def _join(
  examples: Sequence[Example],
  numbers: list[int],
  fill: Mapping[str, int],
  most: int,
) -> Example:
  examples, joined = [examples[i] for i in numbers], {}
  for name in names(fill, examples[0]):
    values = [example[name] for example in examples]
    if np.ndim(values[0]):
      joined[name] = np.concatenate(values)
    else:
      joined[name] = np.full((1, most), fill[name], np.int32)
      joined[name][0, : len(values)] = values
  lengths = [length_of(example) for example in examples]
  mask = np.repeat(np.arange(1, len(examples) + 1, dtype=np.int32), lengths)
  # A long sentence has several windows, which have its number.
  sources = [
    int(example.get('example', i))
    for i, example in zip(numbers, examples, strict=True)
  ]
  return joined | {'mask': mask, 'example': np.array(sources)}
