"""Frozen encoders: hidden states are computed once and used for many epochs.

They are also cached on disk, under a digest of the encoder, so that the runs of
a sweep compute those of a text once, and a corpus that grows only those of its
new texts. States in a damaged file are computed again.

A head learns from standardised states, because their dimensions differ in mean
and scale, and a linear head on raw states is far worse. The encoder ends with a
layer norm whose scale and bias can express the standardisation, so that encoder
and head together are an ordinary model.
"""

import contextlib
import dataclasses
import hashlib
import json
import os
import pathlib
import sys
import time
import zipfile
from collections.abc import Mapping
from collections.abc import Set
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import tqdm

from dicejax.models import TextClassifier
from dicejax.models import make_encoder
from dicejax.text.batches import width_of
from dicejax.text.runs import Moments
from train import inference
from train.encoder import digest_params
from train.tasks.task import Features

_GIB = 2**30


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
  inputs = {_digest_inputs(f): f for part in features.values() for f in part}
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
  """Reads the states of inputs from the cache; computes and adds the others.

  Returns:
    Raw states `[L, H]` by the digest of the input.
  """
  cache = _Cache(config, _digest_encoder(model, params, pooled))
  states = cache.read(inputs.keys(), jnp.dtype(model.dtype))
  missing = {key: x for key, x in inputs.items() if key not in states}
  if missing:
    encode = inference.make_mapper(
      _make_encode(model, pooled), fill, config, mesh
    )
    encoded = _by_width(
      encode, params, list(missing.values()), config.max_length
    )
    lengths = [_length(x, pooled) for x in missing.values()]
    ends = np.cumsum(lengths)
    new = np.empty((ends[-1], model.config.hidden_size), model.dtype)
    for i, x in _with_progress(encoded, len(missing)):
      new[ends[i] - lengths[i] : ends[i]] = x[: lengths[i]]
    cache.write(list(missing), ends, new)
    states |= zip(missing, np.split(new, ends[:-1]), strict=True)
  return states


def _by_width(encode, params, inputs, max_length):
  """Encodes inputs in batches of one width each.

  Otherwise the states of an input would depend, by a rounding error, on the
  inputs that happen to be computed with it.
  """
  groups = {}
  for i, x in enumerate(inputs):
    width = width_of(len(x['tokens']), max_length)
    groups.setdefault(width, []).append(i)
  for group in groups.values():
    for i, x in encode(params, [inputs[j] for j in group]):
      yield group[i], x


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


def _digest_encoder(model, params, pooled) -> str:
  """Computes a digest of everything but the input that states depend on."""
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
  return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


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
  """Files of the hidden states of inputs; the least recently used are deleted.

  A file has the states that one run added: `keys` of the inputs, their `states`
  one after another, and where those of each input end.
  """

  def __init__(self, config, encoder: str):
    self._directory = pathlib.Path(config.data.cache).expanduser() / 'states'
    self._encoder = self._directory / encoder
    self._limit = config.model.frozen_cache * _GIB

  def read(self, keys: Set[str], dtype) -> dict[str, np.ndarray]:
    """Reads the states `[L, H]` of inputs, as many as there are."""
    found: dict[str, np.ndarray] = {}
    for path in self._encoder.glob('*.npz'):
      # A file may be damaged, which its checksums tell, or just be deleted.
      with contextlib.suppress(
        OSError, EOFError, ValueError, KeyError, zipfile.BadZipFile
      ):
        found |= self._read(path, keys - found.keys(), dtype)
    return found

  def _read(self, path, keys, dtype):
    # NumPy would leave a file open that it cannot read.
    with path.open('rb') as file, np.load(file) as arrays:
      own = arrays['keys'].tolist()
      if keys.isdisjoint(own):
        return {}
      states = np.split(arrays['states'].view(dtype), arrays['ends'][:-1])
    os.utime(path)
    wanted = {k: x for k, x in zip(own, states, strict=True) if k in keys}
    if len(wanted) < len(own):  # Copies, so that the others leave the memory.
      wanted = {key: x.copy() for key, x in wanted.items()}
    return wanted

  def write(
    self, keys: list[str], ends: np.ndarray, states: np.ndarray
  ) -> None:
    """Adds states, unless they exceed the limit or the disk is full."""
    if states.nbytes > self._limit:
      return
    name = hashlib.sha256(''.join(keys).encode()).hexdigest()
    part = self._encoder / f'{name}.{os.getpid()}.part'
    try:
      self._encoder.mkdir(parents=True, exist_ok=True)
      with part.open('wb') as file:
        np.savez(file, keys=keys, ends=ends, states=states)
      os.replace(part, part.with_name(f'{name}.npz'))
      self._forget()
    except OSError as error:
      part.unlink(missing_ok=True)
      print(f'{self._encoder}: states are not kept: {error}', file=sys.stderr)

  def _forget(self):
    """Deletes the least recently used files until the rest fits the limit."""
    used = []
    for path in self._directory.rglob('*.*'):
      with contextlib.suppress(FileNotFoundError):  # Deleted by a process.
        status = path.stat()
        used.append((status.st_mtime, status.st_size, path))
    size = sum(size for _, size, _ in used)
    for _, own, path in sorted(used):
      if size <= self._limit:
        break
      path.unlink(missing_ok=True)
      size -= own
