"""Batches of fixed widths, so that few shapes have to be compiled."""

from __future__ import annotations

from collections.abc import Iterator
from collections.abc import Mapping
from collections.abc import Sequence

import numpy as np

# Batches are padded to these lengths, each of which costs one compilation.
# Pooled hidden states have the length 1.
_BUCKETS = (1, *range(16, 64, 8), *range(64, 128, 16), *range(128, 513, 32))

Example = Mapping[str, np.ndarray]
Batch = dict[str, np.ndarray]


def batches_in_order(
  examples: Sequence[Example],
  fill: Mapping[str, int],
  *,
  batch_size: int,
  max_length: int,
) -> Iterator[tuple[np.ndarray, Batch]]:
  """Batches each example once, together with examples of similar length.

  Args:
    examples: see `pad`.
    fill: see `pad`.
    batch_size: the number of rows of a batch.
    max_length: the maximal length of the examples.

  Yields:
    The indices of at most `batch_size` examples, and their batch.
  """
  order = np.argsort([length_of(e) for e in examples], kind='stable')
  for start in range(0, len(order), batch_size):
    indices = order[start : start + batch_size]
    rows = [examples[i] for i in indices]
    width = width_of(max(map(length_of, rows)), max_length)
    yield indices, pad(rows, fill, batch_size, width)


def pad(
  examples: Sequence[Example],
  fill: Mapping[str, int],
  rows: int,
  width: int,
  like: Example | None = None,
) -> Batch:
  """Stacks sequences, padded to one width, and adds their `mask`.

  Args:
    examples: name → 1-D array with the length of `tokens`; 0-D array; or
      `[1, n]` with the same n in each example, a vector of the whole example.
      Those from `pack` have a `mask` of their own.
    fill: name → value of padding, for each array to stack.
    rows: the number of rows. Rows without an example are padding.
    width: the width of the batch, at least the length of the examples.
    like: an example with the names and types of arrays, if `examples` may be
      empty.

  Returns:
    name → int32 `[rows, width]`, `[rows]` for 0-D arrays, `[rows, n]` for
    vectors; `mask` `[rows, width]`, bool and False on padding, or int32 and 0
    on padding for packed examples; and `states` `[rows, width, hidden_size]` if
    the examples have them.
  """
  like = examples[0] if like is None else like
  batch = {
    name: np.full(_shape(like[name], rows, width), value, np.int32)
    for name, value in fill.items()
  }
  packed = 'mask' in like
  batch['mask'] = np.zeros((rows, width), np.int32 if packed else bool)
  if 'states' in like:
    states = like['states']
    batch['states'] = np.zeros((rows, width, states.shape[-1]), states.dtype)
  for row, example in enumerate(examples):
    n = length_of(example)
    for name in names(fill, like):
      if name == 'states' or np.ndim(example[name]) == 1:
        batch[name][row, :n] = example[name]
      else:
        batch[name][row] = example[name]
    batch['mask'][row, :n] = example['mask'] if packed else True
  return batch


def _shape(array: np.ndarray, rows: int, width: int) -> tuple[int, ...]:
  """Returns the shape of a batch of arrays like this one."""
  return (rows, *{0: (), 1: (width,)}.get(array.ndim, array.shape[1:]))


def names(fill: Mapping[str, int], example: Example) -> list[str]:
  """Returns the names of the arrays, with the states of a frozen encoder."""
  return [*fill, 'states'] if 'states' in example else [*fill]


def width_of(longest: int, max_length: int) -> int:
  """Returns the smallest bucket that has room for `longest` tokens."""
  width = next((b for b in _BUCKETS if b >= longest), int(longest))
  return min(width, max_length)


def length_of(example: Example) -> int:
  return len(example['tokens'])
