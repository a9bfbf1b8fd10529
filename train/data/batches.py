"""Batches of fixed shapes: a function of (seed, step), nothing to save."""

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
_BUCKETS = (16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512)

Example = Mapping[str, np.ndarray]
Batch = dict[str, np.ndarray]


class TrainingBatches:
  """`batches[step]` for any step, each epoch in its own order.

  An epoch has each example once. Its last batch, if short, is filled with rows
  that are masked whole.
  """

  def __init__(
    self,
    examples: Sequence[Example],
    fill: Mapping[str, int],
    *,
    batch_size: int,
    max_length: int,
    epochs: int,
    seed: int,
  ):
    self._examples = examples
    self._fill = fill
    self._batch_size = batch_size
    self._max_length = max_length
    self._seed = seed
    self.steps_per_epoch = -(-len(examples) // batch_size)
    self._len = epochs * self.steps_per_epoch
    # Of this object, not of the class: the cache must not outlive it.
    self._epoch = functools.lru_cache(maxsize=2)(self._order)

  def __len__(self) -> int:
    return self._len

  def __getitem__(self, step: int) -> Batch:
    epoch, i = divmod(step, self.steps_per_epoch)
    rows = [self._examples[j] for j in self._epoch(epoch)[i]]
    return pad(rows, self._fill, self._batch_size, self._max_length)

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
    lengths = np.array([_length(example) for example in self._examples])
    order = rng.permutation(len(lengths))
    size = _POOL * self._batch_size
    batches = []
    for start in range(0, len(order), size):
      pool = order[start : start + size]
      pool = pool[np.argsort(lengths[pool], kind='stable')]
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
    yield indices, pad(rows, fill, batch_size, max_length)


def pad(
  examples: Sequence[Example],
  fill: Mapping[str, int],
  batch_size: int,
  max_length: int,
) -> Batch:
  """Stacks sequences, padded to the next bucket, and adds their `mask`.

  Args:
    examples: by name, 1-D arrays of the length of `tokens` and 0-D ones.
    fill: the value of padding, by name; names which arrays are taken.
    batch_size: rows; those beyond the examples are padding.
    max_length: of the examples, and so of what they are padded to.

  Returns:
    By name, int32 `[batch_size, length]`, or `[batch_size]` of 0-D arrays, and
    bool `mask [batch_size, length]`, False on padding.
  """
  lengths = [_length(example) for example in examples]
  longest = max(lengths)
  length = next((b for b in _BUCKETS if b >= longest), longest)
  length = min(length, max_length)
  batch = {
    name: np.full(
      (batch_size, length)[: 1 + np.ndim(examples[0][name])], value, np.int32
    )
    for name, value in fill.items()
  }
  batch['mask'] = np.zeros((batch_size, length), bool)
  for row, (example, n) in enumerate(zip(examples, lengths, strict=True)):
    for name in fill:
      cells = (row, slice(n))[: batch[name].ndim]
      batch[name][cells] = example[name]
    batch['mask'][row, :n] = True
  return batch


def _length(example):
  return len(example['tokens'])
