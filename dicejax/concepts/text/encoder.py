"""Vectors of names and phrases, by an encoder, and the nearest of them.

The numbers of a vector are multiples of 1/2048. So all inner products of
vectors of length 1 are exact in float32, in any order of summation: neither the
size of a block nor the device changes which name is the nearest.

References:
  Liu et al., `Self-alignment pretraining for biomedical entity representations
  <https://aclanthology.org/2021.naacl-main.334>`_, 2021 (SapBERT).
"""

import hashlib
import json
import os
import pathlib
from collections.abc import Callable
from collections.abc import Iterable
from collections.abc import Iterator
from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import NamedSharding
from jax.sharding import PartitionSpec

from dicejax import models
from dicejax.concepts.files import replacing
from dicejax.models.pretrained import find_weights
from dicejax.models.pretrained import read_values
from dicejax.text.tokenizer import cls_place
from dicejax.text.tokenizer import load_tokenizer
from dicejax.text.tokenizer import padding_id

_GRID = 2048
_LONGEST = 25  # Sub-words of a name, as in the paper.
_WIDTHS = (8, 16, _LONGEST)  # Each costs one compilation, as does each number
_FEW, _MANY = 16, 256  # of rows.
_NAMES = 16_384  # That are in the memory of a device at the same time.
_PARTS = ('Transformer', 'Pooling', 'Normalize')  # Of a published model.


class Encoder:
  """Makes vectors of names and phrases.

  A vector is the mean of the last states or the state of [CLS], as
  `1_Pooling/config.json` of the model says; without this file it is [CLS], as
  in SapBERT. Its length is 1.

  Args:
    source: the directory of an encoder of `dicejax.models.FAMILIES`, or its
      name on the Hugging Face hub.

  Attributes:
    source: as given.
    digest: of all files that the vectors depend on.

  Raises:
    FileNotFoundError, ImportError, ValueError: as for `load_pretrained`; there
      is no tokenizer, or the model pools in another way.

  Example::

    encoder = Encoder('cambridgeltl/SapBERT-from-PubMedBERT-fulltext')
    names = encoder(['cardiomegaly', 'scoliosis'])
    rows, cosines = encoder.nearest(['large heart'], names)
  """

  def __init__(self, source: str | os.PathLike):
    directory = models.resolve(source)
    self.source = os.fspath(source)
    pooling = _read_pooling(directory)
    tokenizer = load_tokenizer(directory)
    config, params = models.load_pretrained(directory)
    self._padding, place = padding_id(tokenizer), cls_place(tokenizer)
    self._longest = int(min(_LONGEST, config.max_length))
    tokenizer.enable_truncation(self._longest)
    self._tokenizer = tokenizer
    self.digest = _digest(directory)
    self.size = config.hidden_size
    encoder = models.make_encoder(config)
    everywhere, self._rows = _shardings()
    self._params = jax.device_put(params, everywhere)

    @jax.jit
    def encode(params, tokens, mask):
      states = encoder.apply({'params': params}, tokens, mask=mask)
      return _pool(states, mask, pooling, place)

    self._encode = encode

  def __call__(self, texts: Sequence[str]) -> np.ndarray:
    """Returns float16 vectors `[n, H]` of texts, cut after 25 sub-words."""
    ids = [encoding.ids for encoding in self._tokenizer.encode_batch(texts)]
    order = sorted(range(len(ids)), key=lambda row: len(ids[row]))
    vectors = np.zeros((len(ids), self.size), np.float16)
    size = _batch_size(len(ids))
    for start in range(0, len(order), size):
      rows = order[start : start + size]
      width = next(w for w in _WIDTHS if w >= len(ids[rows[-1]]))
      width = min(width, self._longest)
      tokens = np.full((size, width), self._padding, np.int32)
      # A row without text sees one token, so that its numbers are finite.
      mask = np.arange(width) < np.ones((size, 1))
      for at, row in enumerate(rows):
        tokens[at, : len(ids[row])] = ids[row]
        mask[at, : len(ids[row])] = True
      batch = jax.device_put((tokens, mask), self._rows)
      vectors[rows] = self._encode(self._params, *batch)[: len(rows)]
    return vectors

  def nearest(
    self, texts: Sequence[str], names: np.ndarray
  ) -> tuple[np.ndarray, np.ndarray]:
    """Finds the nearest of vectors for each text, see `nearest`."""
    return nearest(self(texts), names)

  def embed_names(
    self,
    names: Sequence[str],
    cache: str | os.PathLike | None = None,
    *,
    progress: Callable[[range], Iterable[int]] = iter,
  ) -> np.ndarray:
    """Reads the vectors of names from a cache, or makes them and caches them.

    Args:
      names: such as those of an ontology.
      cache: a directory; by default `~/.cache/dicejax/names`, or the same in
        `$XDG_CACHE_HOME`. Files there may be deleted at any time. Their names
        are digests of the encoder and of all names: another encoder or another
        ontology has another file.
      progress: wraps the first names of parts, to show how many are done.

    Returns:
      float16 `[n, H]`, mapped into memory.

    Raises:
      OSError: the cache cannot be written.
    """
    directory = pathlib.Path(cache or _default_cache())
    made_by = f'{self.digest} {_GRID} {_LONGEST}'
    key = hashlib.blake2b(made_by.encode(), digest_size=16)
    for name in names:
      key.update(f'\0{name}'.encode())
    path = directory / f'{key.hexdigest()}.npy'
    shape = len(names), self.size
    found = _mapped(path, shape)
    if found is None:
      directory.mkdir(parents=True, exist_ok=True)
      with replacing(path, force=True) as file:
        header = {'descr': '<f2', 'fortran_order': False, 'shape': shape}
        np.lib.format.write_array_header_1_0(file, header)
        for part in progress(range(0, len(names), _NAMES)):
          file.write(self(names[part : part + _NAMES]).tobytes())
      found = _mapped(path, shape)
    assert found is not None
    return found


def nearest(
  queries: np.ndarray, names: np.ndarray, *, block: int = _NAMES
) -> tuple[np.ndarray, np.ndarray]:
  """Finds the name with the largest inner product, exactly, in blocks.

  Rows of the queries are divided among the devices. A device has one block of
  names at a time.

  Args:
    queries: `[n, H]`, from an `Encoder`.
    names: `[m, H]`, m > 0.
    block: names of a block; it does not change the result.

  Returns:
    The row of the nearest name `[n]`, the first of equal ones, and the inner
    product `[n]`, which is the cosine.

  Example:
    >>> import numpy as np
    >>> names = np.float16([[1, 0], [0.5, 0.5], [0, 1]])
    >>> rows, cosines = nearest(names[2:], names, block=2)
    >>> int(rows[0]), float(cosines[0])
    (2, 1.0)
  """
  _, by_row = _shardings()
  size = _batch_size(len(queries))
  rows = np.zeros(len(queries), np.int64)
  best = np.full(len(queries), -np.inf, np.float32)
  block = min(block, len(names))
  for start in range(0, len(queries), size):
    stop = min(start + size, len(queries))
    asked = np.zeros((size, queries.shape[1]), np.float16)
    asked[: stop - start] = queries[start:stop]
    asked = jax.device_put(asked, by_row)
    for first in range(0, len(names), block):
      # The last block begins earlier, so that all have one shape.
      first = min(first, len(names) - block)
      found, scores = jax.device_get(
        _nearest(asked, names[first : first + block])
      )
      better = scores[: stop - start] > best[start:stop]
      at = start + np.flatnonzero(better)
      rows[at] = first + found[at - start]
      best[at] = scores[at - start]
  return rows, best


@jax.jit
def _nearest(queries, names):
  queries, names = (x.astype(jnp.float32) for x in (queries, names))
  scores = jnp.matmul(queries, names.T, precision=jax.lax.Precision.HIGHEST)
  return scores.argmax(1), scores.max(1)


def _pool(states, mask, pooling, place):
  """Returns the vectors `[b, H]` of states `[b, length, H]`, on the grid."""
  if pooling == 'mean':
    pooled = jnp.where(mask[..., None], states, 0).sum(1)
  else:
    at = mask.sum(1) - 1 if place else jnp.zeros(len(states), int)
    pooled = states[jnp.arange(len(states)), at]
  length = jnp.linalg.norm(pooled, axis=1, keepdims=True)
  unit = pooled / jnp.maximum(length, jnp.finfo(jnp.float32).tiny)
  return (jnp.round(unit * _GRID) / _GRID).astype(jnp.float16)


def _shardings() -> tuple[NamedSharding, NamedSharding]:
  """Returns what has a copy on each device, and what is divided by rows."""
  mesh = jax.make_mesh(
    (jax.device_count(),), ('data',), (jax.sharding.AxisType.Auto,)
  )
  return (
    NamedSharding(mesh, PartitionSpec()),
    NamedSharding(mesh, PartitionSpec('data')),
  )


def _batch_size(number: int) -> int:
  """Returns the rows of a batch, of which each device has as many."""
  size = _FEW if number <= _FEW else _MANY
  return size + -size % jax.device_count()


def _read_pooling(directory) -> str:
  """Returns 'mean' or 'cls'."""
  modules = directory / 'modules.json'
  if modules.is_file():
    for part in _read_parts(modules):
      if part not in _PARTS:
        raise ValueError(
          f'{modules}: the part {part} is not read, only {", ".join(_PARTS)}.'
        )
  file = directory / '1_Pooling' / 'config.json'
  if not file.is_file():
    return 'cls'
  values = read_values(file)
  modes = [name for name, on in values.items() if on is True and 'mode' in name]
  names = {'pooling_mode_mean_tokens': 'mean', 'pooling_mode_cls_token': 'cls'}
  if len(modes) != 1 or modes[0] not in names:
    raise ValueError(
      f'{file}: expected one of {" and ".join(names)} to be true, found '
      f'{", ".join(modes) or "none"}.'
    )
  return names[modes[0]]


def _read_parts(file) -> Iterator[str]:
  try:
    for part in json.loads(file.read_text('utf-8')):
      yield part['type'].rsplit('.', 1)[-1]
  except (ValueError, TypeError, KeyError, AttributeError):
    raise ValueError(f'{file} does not list the parts of a model.') from None


def _digest(directory) -> str:
  """Digests the weights and settings of a directory."""
  weights = find_weights(directory)
  files = [directory / name for name in ('config.json', 'tokenizer.json')]
  files += [directory / 'vocab.txt', directory / '1_Pooling' / 'config.json']
  files += sorted(directory.glob('*.safetensors')) or [weights]
  digest = hashlib.blake2b(digest_size=16)
  for file in filter(pathlib.Path.is_file, files):
    with open(file, 'rb') as opened:
      part = hashlib.file_digest(opened, 'blake2b').hexdigest()
    digest.update(f'{file.name}:{part};'.encode())
  return digest.hexdigest()


def _default_cache() -> pathlib.Path:
  home = os.environ.get('XDG_CACHE_HOME') or os.path.expanduser('~/.cache')
  return pathlib.Path(home, 'dicejax', 'names')


def _mapped(path, shape) -> np.ndarray | None:
  """Maps a cached array; None if there is none of this shape."""
  try:
    found = np.load(path, mmap_mode='r')
  except (OSError, ValueError):
    return None
  is_right = found.shape == shape and found.dtype == np.float16
  return found if is_right else None
