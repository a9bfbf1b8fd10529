"""Batches: each example once per epoch, as a function of seed and step."""

import numpy as np
import pytest

from dicejax.text.batches import batches_in_order
from dicejax.text.batches import pad
from train.data.batches import TrainingBatches
from train.data.batches import pack

FILL = {'tokens': 0, 'labels': -1}


def make(n, seed=0):
  rng = np.random.default_rng(seed)
  lengths = rng.integers(1, 40, n)
  return [
    # The first token is the number of the example.
    {
      'tokens': np.full(length, i + 1, np.int32),
      'labels': np.full(length, i + 1, np.int32),
    }
    for i, length in enumerate(lengths)
  ]


def batches(examples, seed=0, epochs=3):
  return TrainingBatches(
    examples, FILL, batch_size=4, max_length=40, epochs=epochs, seed=seed
  )


@pytest.mark.parametrize('n', [1, 4, 41, 803])
def test_an_epoch_has_every_example_once(n):
  examples = make(n)
  epochs = batches(examples)
  assert len(epochs) == 3 * -(-n // 4)
  orders = []
  for epoch in range(3):
    steps = range(epoch * len(epochs) // 3, (epoch + 1) * len(epochs) // 3)
    rows = np.concatenate([epochs[step]['tokens'][:, 0] for step in steps])
    orders.append(rows[rows > 0])
    assert sorted(orders[-1]) == list(range(1, n + 1))
  if n > 4:
    assert (orders[0] != orders[1]).any()


def test_a_batch_depends_on_seed_and_step_alone():
  examples = make(41)
  one, other = batches(examples), batches(examples)
  late = other[20]  # Another object is asked for this batch first.
  for name in late:
    np.testing.assert_array_equal(one[20][name], late[name])
  reseeded = batches(examples, seed=1)[20]
  assert (reseeded['tokens'][:, 0] != late['tokens'][:, 0]).any()


def test_prefetching_starts_where_it_should():
  epochs = batches(make(41))
  got = list(epochs.from_step(28))
  assert len(got) == len(epochs) - 28
  for step, batch in enumerate(got, 28):
    np.testing.assert_array_equal(batch['tokens'], epochs[step]['tokens'])
  assert list(epochs.from_step(len(epochs))) == []


def test_padding():
  batch = pad(make(3), FILL, 5, 40)
  lengths = batch['mask'].sum(axis=1)
  assert batch['tokens'].shape == (5, 40)
  assert list(lengths) == [len(e['tokens']) for e in make(3)] + [0, 0]
  np.testing.assert_array_equal(batch['tokens'][~batch['mask']], 0)
  np.testing.assert_array_equal(batch['labels'][~batch['mask']], -1)


def test_padding_of_single_values():
  examples = [e | {'label': np.int32(i)} for i, e in enumerate(make(3))]
  batch = pad(examples, FILL | {'label': -1}, 5, 40)
  np.testing.assert_array_equal(batch['label'], [0, 1, 2, -1, -1])
  np.testing.assert_array_equal(batch['tokens'][2, :1], 3)


@pytest.mark.parametrize(
  'length, max_length, padded', [(17, 512, 24), (17, 18, 18), (600, 600, 600)]
)
def test_padding_goes_no_further_than_it_may(length, max_length, padded):
  example = {name: np.ones(length, np.int32) for name in FILL}
  ((_, batch),) = batches_in_order(
    [example], FILL, batch_size=1, max_length=max_length
  )
  assert batch['tokens'].shape == (1, padded)


def test_like_lengths_share_batches():
  examples = make(803)
  epochs = batches(examples, epochs=1)
  grouped = [epochs[step]['mask'] for step in range(len(epochs))]
  mixed = [
    pad(examples[i : i + 4], FILL, 4, 40)['mask'] for i in range(0, 803, 4)
  ]
  slots = [sum(mask.size for mask in masks) for masks in (grouped, mixed)]
  assert slots[0] < 0.75 * slots[1]


def test_evaluation_has_every_example_once():
  examples = make(41)
  seen = []
  for indices, batch in batches_in_order(
    examples, FILL, batch_size=4, max_length=40
  ):
    assert batch['tokens'].shape[0] == 4
    np.testing.assert_array_equal(
      batch['tokens'][: len(indices), 0], indices + 1
    )
    seen += list(indices)
  assert sorted(seen) == list(range(41))


def test_processes_share_a_batch():
  examples = make(41)
  whole = batches(examples)
  settings = dict(batch_size=4, rows=6, max_length=40, epochs=3, seed=0)
  parts = [
    TrainingBatches(examples, FILL, own=slice(i, i + 2), **settings)
    for i in (0, 2, 4)
  ]
  for step in range(len(whole)):
    rows = [part[step] for part in parts]
    for name, x in whole[step].items():
      found = np.concatenate([row[name] for row in rows])
      np.testing.assert_array_equal(found[:4], x)
      empty = np.full_like(found[4:], FILL.get(name, 0))
      np.testing.assert_array_equal(found[4:], empty)


@pytest.mark.parametrize('seed', range(5))
def test_no_length_is_new_after_the_first_epoch(seed):
  epochs = batches(make(101, seed), seed=seed, epochs=10)
  widths = [epochs[step]['mask'].shape[1] for step in range(len(epochs))]
  first = set(widths[: epochs.steps_per_epoch])
  assert 1 < len(first) and set(widths) == first


@pytest.mark.parametrize('max_length', [40, 100])
def test_packing_has_every_example_once(max_length):
  examples = make(803)
  packed = pack(examples, FILL, max_length=max_length, seed=0, most=99)
  seen = []
  for row in packed:
    assert len(row['tokens']) == len(row['mask']) <= max_length
    assert list(row['mask']) == sorted(row['mask'])
    for number in range(1, row['mask'].max() + 1):
      tokens = row['tokens'][row['mask'] == number]
      example = examples[tokens[0] - 1]
      np.testing.assert_array_equal(tokens, example['tokens'])
      seen.append(tokens[0])
  assert sorted(seen) == list(range(1, 804))
  tokens = sum(len(example['tokens']) for example in examples)
  assert tokens > 0.97 * max_length * len(packed)
  again = pack(examples, FILL, max_length=max_length, seed=0, most=99)
  other = pack(examples, FILL, max_length=max_length, seed=1, most=99)
  assert [r['tokens'][0] for r in again] == [r['tokens'][0] for r in packed]
  assert [r['tokens'][0] for r in other] != [r['tokens'][0] for r in packed]


def test_packed_batches_count_their_examples():
  examples = make(41)
  packed = pack(examples, FILL, max_length=64, seed=0, most=99)
  batch = pad(packed[:3], FILL, 5, 64)
  assert batch['mask'].dtype == np.int32
  assert batch['mask'].max(axis=1).sum() == sum(
    row['mask'].max() for row in packed[:3]
  )
  np.testing.assert_array_equal(batch['labels'][batch['mask'] == 0], -1)


def test_packed_rows_hold_no_more_than_they_may():
  examples = [
    {'tokens': np.full(2, i, np.int32), 'label': np.array(i)} for i in range(8)
  ]
  fill = {'tokens': 0, 'label': -1}
  rows = pack(examples, fill, max_length=40, seed=0, most=3)
  assert sorted(len(row['example']) for row in rows) == [2, 3, 3]
  batch = pad(rows, fill, 4, 40)
  numbers = batch['tokens'][:, ::2][:, :3]
  assert batch['label'].shape == (4, 3)
  np.testing.assert_array_equal(
    batch['label'], np.where(batch['mask'][:, :6:2] > 0, numbers, -1)
  )


def oversampled(n, share, seed=0):
  foreground = [i % 10 == 0 for i in range(n)]
  return TrainingBatches(
    make(n), FILL, batch_size=8, max_length=40, epochs=40, seed=seed,
    foreground=foreground, share=share,
  )  # fmt: skip


def test_foreground_is_a_share_of_each_batch():
  """Two of eight are foreground, drawn equally often; the rest from all."""
  epochs = oversampled(203, 0.25)
  assert epochs.steps_per_epoch == -(-203 // 8)
  drawn = np.zeros(203, int)
  for i in range(len(epochs)):
    batch = epochs[i]
    numbers = batch['tokens'][batch['mask'][:, 0], 0] - 1
    assert len(numbers) == 8 or i % epochs.steps_per_epoch
    assert (numbers % 10 == 0).sum() >= 2
    np.add.at(drawn, numbers, 1)
  # An epoch of 26 batches draws 52 times from the 21, 156 times from all 203.
  common = drawn[np.arange(203) % 10 != 0].mean() / 40
  rare = drawn[::10].mean() / 40
  assert abs(common - 156 / 203) < 0.02
  assert abs(rare - (156 / 203 + 52 / 21)) < 0.1
  assert drawn.min() > 15 and np.ptp(drawn[::10]) < 40


def test_oversampled_batches_depend_on_seed_and_step_alone():
  late = oversampled(203, 0.5)[700]
  for name, x in oversampled(203, 0.5)[700].items():
    np.testing.assert_array_equal(x, late[name])
  other = oversampled(203, 0.5, seed=1)[700]
  assert (
    other['tokens'].shape != late['tokens'].shape
    or (other['tokens'] != late['tokens']).any()
  )


def test_foreground_that_cannot_be():
  with pytest.raises(ValueError, match=r'data.foreground=0.01 of batch_size=8'):
    oversampled(20, 0.01)
  with pytest.raises(ValueError, match='no training example has any'):
    TrainingBatches(
      make(8), FILL, batch_size=4, max_length=40, epochs=1, seed=0,
      foreground=[False] * 8, share=0.5,
    )  # fmt: skip
