"""Frozen encoders: hidden states are computed once and used for many epochs.

They are also cached on disk, under a digest of everything they depend on, so
that a sweep of many runs computes them once. Cached files that are damaged or
missing are computed again.

A head learns from standardised states, because their dimensions differ in mean
and scale, and a linear head on raw states is far worse. The encoder ends with a
layer norm whose scale and bias can express the standardisation, so that encoder
and head together are an ordinary model.
"""

import contextlib
import dataclasses
import hashlib
import json
import math
import os
import pathlib
import sys
import time
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import tqdm

from dicejax.models import TextClassifier
from dicejax.models import make_encoder
from dicejax.text.runs import Moments
from train import inference
from train.encoder import digest_params
from train.tasks.task import Features

_GIB = 2**30
_DIGEST = 32  # A cached file begins with a SHA-256, in bytes.


def add_states(
  config,
  model: Any,
  params: Any,
  features: Mapping[str, Features],
  fill: Mapping[str, int],
  mesh: jax.sharding.Mesh,
) -> tuple[dict[str, Features], Moments]:
  """Adds the standardised hidden states of a frozen encoder to features.

  States have the dtype in which the encoder computes. Nothing is rounded, and
  so a head trains as it would on top of the encoder.

  Args:
    config: the config of the run.
    model: the task's model, an encoder and a head.
    params: parameters of the encoder.
    features: features by split.
    fill: the names of the features and their padding, see `Task`.
    mesh: all devices, from `make_mesh`.

  Returns:
    Features by split with `states` `[L, H]`. A text to be classified is
    shortened to one token, whose state is the pooled state of the text. Then
    the moments of the training split, for `standardize`.

  Raises:
    ValueError: the states would take more than `config.model.frozen_memory`.
  """
  pooled = isinstance(model, TextClassifier)
  _check_memory(config, model, features, pooled)
  # By their digests, inputs are found in whichever split they are, so that
  # splits drawn anew from the same examples share their states.
  unique = {_digest_inputs(f): f for part in features.values() for f in part}
  inputs = dict(sorted(unique.items()))
  states = _find_states(config, model, params, inputs, fill, mesh, pooled)
  moments = _moments(
    [
      states[_digest_inputs(feature)][_has_target(feature, fill, pooled)]
      for feature in features['train']
    ]
  )
  # In place, because the states may fill most of the memory.
  for x in states.values():
    x[:] = (x - moments.mean) / moments.scale
  features = {
    split: [
      _shorten(feature, pooled) | {'states': states[_digest_inputs(feature)]}
      for feature in part
    ]
    for split, part in features.items()
  }
  return features, moments


def _check_memory(config, model, features, pooled):
  rows = sum(_length(f, pooled) for part in features.values() for f in part)
  itemsize = jnp.dtype(model.dtype).itemsize
  size = rows * model.config.hidden_size * itemsize / _GIB
  if size > config.model.frozen_memory:
    raise ValueError(
      f'model.frozen: the hidden states of all splits take {size:.2f} GiB, '
      f'more than model.frozen_memory={config.model.frozen_memory:g}.'
    )


def _length(feature, pooled) -> int:
  """Returns the number of states of an input."""
  return 1 if pooled else len(feature['tokens'])


def _find_states(config, model, params, inputs, fill, mesh, pooled):
  """Reads the states of inputs from the cache, or computes and caches them.

  Returns:
    Raw states `[L, H]` by the digest of the input.
  """
  lengths = [_length(feature, pooled) for feature in inputs.values()]
  ends = np.cumsum(lengths)
  shape, dtype = (
    (int(ends[-1]), model.config.hidden_size),
    jnp.dtype(model.dtype),
  )
  cache, key = _Cache(config), _cache_key(model, params, inputs, pooled)
  states = cache.read(key, shape, dtype)
  if states is None:
    states = np.empty(shape, dtype)
    encode = inference.make_mapper(
      _make_encode(model, pooled), fill, config, mesh
    )
    encoded = encode(params, list(inputs.values()))
    for i, x in _with_progress(encoded, len(inputs)):
      states[ends[i] - lengths[i] : ends[i]] = x[: lengths[i]]
    cache.write(key, states)
  return dict(zip(inputs, np.split(states, ends[:-1]), strict=True))


def _make_encode(model, pooled):
  """Makes `(params, batch) -> states`, `[B, L, H]` (pooled: `[B, 1, H]`)."""
  encoder = make_encoder(model.config, model.dtype)

  def encode(params, batch):
    states = encoder.apply(
      {'params': params}, batch['tokens'], batch.get('segments'), batch['mask']
    )
    if pooled:
      return model.pool(states, batch['mask'])[:, None]
    return states

  return encode


def _cache_key(model, params, inputs, pooled) -> str:
  """Computes a digest of everything that states depend on."""
  # Dropout is off, and `remat` saves memory without changing a number: configs
  # that differ only in these share their states.
  encoder = dataclasses.replace(
    model.config,
    hidden_dropout_prob=0.0,
    attention_probs_dropout_prob=0.0,
    remat=False,
  )
  parts = [
    digest_params(params),
    dataclasses.asdict(encoder),
    str(jnp.dtype(model.dtype)),
    model.pooling if pooled else '',
  ]
  lines = [json.dumps(parts, sort_keys=True), *inputs]
  return hashlib.sha256('\n'.join(lines).encode()).hexdigest()


def _has_target(feature, fill, pooled):
  """Selects the states that a head learns from: tokens that have a label.

  Others would distort the moments: [CLS] and [SEP] have states far from words'.
  """
  if pooled:
    return slice(None)
  labels = [
    feature[name] >= 0
    for name, value in fill.items()
    if value == -1 and np.ndim(feature[name])
  ]
  return np.any(labels, axis=0) if labels else slice(None)


def _moments(states) -> Moments:
  states = np.concatenate(states)
  mean = states.mean(axis=0, dtype=np.float64)
  scale = states.std(axis=0, dtype=np.float64)
  # Some dimensions of some encoders are constant.
  scale = np.where(scale > 1e-6, scale, 1.0)
  return Moments(mean.astype(np.float32), scale.astype(np.float32))


def _digest_inputs(feature) -> str:
  digest = hashlib.sha256()
  for name in ('tokens', 'segments'):
    if name in feature:
      digest.update(f'{name} {len(feature[name])}'.encode())
      digest.update(np.ascontiguousarray(feature[name], '<i4'))
  return digest.hexdigest()


def _shorten(feature, pooled):
  if not pooled:
    return feature
  first = {n: feature[n][:1] for n in ('tokens', 'segments') if n in feature}
  return feature | first


def _with_progress(items, number):
  """Yields items with a progress bar on a terminal, and prints the seconds."""
  began = time.monotonic()
  name = 'hidden states'
  # With None, tqdm shows a bar only on a terminal.
  yield from tqdm.tqdm(items, name, number, disable=None, leave=False)
  spent = time.monotonic() - began
  print(f'{name} of {number} inputs in {spent:.1f} s.', file=sys.stderr)


class _Cache:
  """Files of hidden states by key; the least recently used are deleted."""

  def __init__(self, config):
    self._directory = pathlib.Path(config.data.cache).expanduser() / 'states'
    self._limit = config.model.frozen_cache * _GIB

  def read(self, key, shape, dtype) -> np.ndarray | None:
    """Reads the states under a key; None if they are missing or damaged."""
    path = self._directory / key
    try:
      if path.stat().st_size != _DIGEST + math.prod(shape) * dtype.itemsize:
        return None
      # 'c' is copy-on-write: what a caller writes does not change the file.
      data = np.memmap(path, np.uint8, 'c')
      os.utime(path)
    except OSError:
      return None
    if hashlib.sha256(data[_DIGEST:]).digest() != data[:_DIGEST].tobytes():
      return None
    return np.asarray(data[_DIGEST:]).view(dtype).reshape(shape)

  def write(self, key, states) -> None:
    """Writes states, unless they exceed the limit or the disk is full."""
    if states.nbytes > self._limit:
      return
    part = self._directory / f'{key}.{os.getpid()}.part'
    values = memoryview(states.reshape(-1).view(np.uint8))
    try:
      self._directory.mkdir(parents=True, exist_ok=True)
      with part.open('wb') as file:
        file.write(hashlib.sha256(values).digest())
        file.write(values)
      os.replace(part, self._directory / key)
      self._forget()
    except OSError as error:
      part.unlink(missing_ok=True)
      print(f'{self._directory}: states are not kept: {error}', file=sys.stderr)

  def _forget(self):
    """Deletes the least recently used files until the rest fits the limit."""
    used = []
    for path in self._directory.iterdir():
      with contextlib.suppress(FileNotFoundError):  # Deleted by a process.
        status = path.stat()
        used.append((status.st_mtime, status.st_size, path))
    size = sum(size for _, size, _ in used)
    for _, own, path in sorted(used):
      if size <= self._limit:
        break
      path.unlink(missing_ok=True)
      size -= own
