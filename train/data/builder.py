"""Examples of local files as TFDS data sets: parsed once, read at random.

A format is a subclass of `Files` with a reader. What it stores belongs to the
contents of the files, the format and the options: a file that changes is parsed
anew.
"""

import abc
import collections
import contextlib
import dataclasses
import hashlib
import io
import json
import os
import pathlib
from collections.abc import Iterator
from collections.abc import Mapping
from typing import Any
from typing import ClassVar
from typing import NamedTuple

import tensorflow_datasets as tfds
from absl import logging

Path = str | os.PathLike


class Skipped(NamedTuple):
  """What a reader yields in place of an example, where a rule leaves it out."""

  rule: str  # The same words wherever it is the same rule: they are counted.


@dataclasses.dataclass(eq=False, kw_only=True)
class FilesConfig(tfds.core.BuilderConfig):
  """Files of a data set by split, and the options of their reader."""

  files: Mapping[str, pathlib.Path]
  options: Mapping[str, Any]


class Files(tfds.core.GeneratorBasedBuilder, skip_registration=True):
  """Base of the formats: a TFDS data set in the order of its files."""

  # Of what is stored: part of its path. To be raised when a reader changes,
  # for what it read before would be served.
  VERSION = tfds.core.Version('1.1.0')
  # Features of one example, by the names of its fields.
  FEATURES: ClassVar[Mapping[str, Any]]

  def __init_subclass__(cls, **kwargs):
    # Not registered: TFDS has data sets of its own that are called so.
    super().__init_subclass__(skip_registration=True, **kwargs)

  @staticmethod
  @abc.abstractmethod
  def read(path: Path, **options) -> Iterator[NamedTuple]:
    """Parses a file into examples, and `Skipped` where it leaves one out.

    Raises:
      ValueError: at the first malformed line, beginning `path:line:`.
    """

  @staticmethod
  def encode(example: NamedTuple) -> Mapping[str, Any]:
    """The values of `FEATURES`: named tuples, also nested, as dicts.

    To be overridden where a field holds lists of lists, which TFDS stores only
    with TensorFlow: as flat lists, or as JSON.
    """
    return _as_dicts(example)

  @staticmethod
  @abc.abstractmethod
  def decode(example: Mapping[str, Any]) -> NamedTuple:
    """An example from what TFDS returns: text as bytes, NumPy's numbers."""

  def _info(self) -> tfds.core.DatasetInfo:
    return tfds.core.DatasetInfo(
      builder=self,
      features=tfds.features.FeaturesDict(dict(self.FEATURES)),
      disable_shuffling=True,
      metadata=tfds.core.MetadataDict(),
    )

  def _split_generators(self, dl_manager):
    del dl_manager  # The files are here.
    return {
      split: self._generate_examples(split)
      for split in self.builder_config.files
    }

  def _generate_examples(self, split):
    config = self.builder_config
    skipped, empty = collections.Counter(), True
    for key, example in enumerate(
      self.read(config.files[split], **config.options)
    ):
      if isinstance(example, Skipped):
        skipped[example.rule] += 1
      else:
        empty = False
        yield key, self.encode(example)
    if empty:
      raise ValueError(f'{config.files[split]}: expected at least one example.')
    self.info.metadata[split] = dict(skipped)


def load(
  builder: type[Files],
  files: Mapping[str, Path],
  options: Mapping[str, Any],
  cache: Path,
) -> dict[str, list[NamedTuple]]:
  """The examples of files by split, which are parsed on the first call only.

  Args:
    builder: the format.
    files: split → path.
    options: keywords of the format's `read`; JSON can write them.
    cache: directory for the parsed files; made if need be. Processes may share
      it.

  Returns:
    split → examples in the order of the file.

  Raises:
    FileNotFoundError: a file that is not there.
    ValueError: a malformed file or one without examples.
  """
  with quiet():
    prepared = _prepare(builder, files, options, cache)
    return {
      split: [*map(builder.decode, read_all(prepared, split))]
      for split in files
    }


def count_skipped(
  builder: type[Files],
  files: Mapping[str, Path],
  options: Mapping[str, Any],
  cache: Path,
) -> dict[str, dict[str, int]]:
  """How much of each file the reader left out; arguments as for `load`.

  Returns:
    split → rule → how often.
  """
  with quiet():
    metadata = _prepare(builder, files, options, cache).info.metadata
    return {split: dict(metadata[split]) for split in files}


def read_all(data_set: tfds.core.DatasetBuilder, split: str) -> list[Mapping]:
  """The examples of a split that is prepared, in order."""
  source = data_set.as_data_source(split)
  # Together: three times as fast as one after another.
  return source.__getitems__(range(len(source)))


def read_lines(path: Path) -> Iterator[tuple[int, str]]:
  """Numbers, from 1, and lines of a UTF-8 file, without BOM, CR and LF.

  Raises:
    ValueError: `path:line:` of what is not UTF-8.
  """
  try:
    text = pathlib.Path(path).read_bytes().decode('utf-8-sig')
  except UnicodeDecodeError as error:
    line = error.object.count(b'\n', 0, error.start) + 1
    raise ValueError(f'{path}:{line}: expected UTF-8: {error}.') from None
  # Not `splitlines`: a token may hold, say, a line separator of Unicode.
  for number, line in enumerate(text.split('\n'), start=1):
    yield number, line.rstrip('\r')


def read_json(path: Path) -> Any:
  """What a UTF-8 file of JSON holds.

  Raises:
    ValueError: `path:line:` of what is not UTF-8 or not JSON.
  """
  text = '\n'.join(line for _, line in read_lines(path))
  try:
    return json.loads(text)
  except json.JSONDecodeError as error:
    raise ValueError(
      f'{path}:{error.lineno}: expected JSON: {error.msg}.'
    ) from None


def check_unicode(text: str, key: str) -> None:
  """Refuses half a character, which JSON can write and UTF-8 cannot.

  Raises:
    ValueError: the text under the key has a lone surrogate.
  """
  try:
    text.encode()
  except UnicodeEncodeError:
    raise ValueError(
      f'expected Unicode in {key!r}, found half a character (a lone surrogate).'
    ) from None


@contextlib.contextmanager
def quiet() -> Iterator[None]:
  """Keeps TFDS from printing to stdout, logging and drawing bars."""
  tfds.disable_progress_bar()
  verbosity = logging.get_verbosity()
  logging.set_verbosity(logging.ERROR)
  try:
    with contextlib.redirect_stdout(io.StringIO()):
      yield
  finally:
    logging.set_verbosity(verbosity)


def _prepare(builder, files, options, cache) -> Files:
  files = {split: pathlib.Path(path) for split, path in files.items()}
  for split, path in files.items():
    if not path.is_file():
      raise FileNotFoundError(f'{path}: no such file, for the split {split!r}.')
  config = FilesConfig(
    name=_fingerprint(builder, files, options), files=files, options=options
  )
  data_set = builder(config=config, data_dir=cache)
  if not data_set.is_prepared():
    try:
      data_set.download_and_prepare(file_format='array_record')
    except OSError:
      # TFDS renames a finished directory into place, which fails where
      # another process was faster.
      data_set = builder(config=config, data_dir=cache)
      if not data_set.is_prepared():
        raise
  return data_set


def _fingerprint(builder, files, options) -> str:
  digests = {
    split: hashlib.sha256(path.read_bytes()).hexdigest()
    for split, path in files.items()
  }
  key = json.dumps([builder.__name__, digests, dict(options)], sort_keys=True)
  return hashlib.sha256(key.encode()).hexdigest()[:16]


def _as_dicts(value):
  if isinstance(value, tuple) and hasattr(value, '_asdict'):
    return {name: _as_dicts(item) for name, item in value._asdict().items()}
  if isinstance(value, list | tuple):
    return [_as_dicts(item) for item in value]
  return value
