"""Sentences with entity tags from CoNLL column files.

A row holds a word and its tag among other columns, a blank line ends a
sentence. Rows are split at tabs where they have one (a token may then hold
spaces), else at spaces. Lines with `-DOCSTART-` only separate.
"""

import contextlib
import dataclasses
import functools
import hashlib
import io
import itertools
import json
import os
import pathlib
from collections.abc import Iterator
from collections.abc import Mapping
from collections.abc import Sequence
from typing import Any
from typing import NamedTuple

import numpy as np
import tensorflow_datasets as tfds
from absl import logging

from dicejax import metrics


class Sentence(NamedTuple):
  """A sentence: its words, their BIO tags and its first line in the file."""

  tokens: list[str]
  tags: list[str]
  line: int


def read_sentences(
  path: str | os.PathLike, *, columns: Mapping[str, int], scheme: str
) -> Iterator[Sentence]:
  """Reads the sentences of a UTF-8 column file, in order.

  The rows of a sentence have one number of columns. Only a line that differs
  from them in this, begins with `# ` and stands before them is a comment: `#`
  is a token, too.

  Args:
    path: the file.
    columns: where `'token'` and `'tag'` are, from 0 or, negative, from the end.
    scheme: `'iob1'`, `'bio'` or `'bioes'`, which the file must keep to, or
      `'conll'`, which reads any of them, and ill-formed tags as the CoNLL
      evaluation script does (CoNLL-2003 breaks IOB1 in two places).

  Yields:
    Sentences, tagged in BIO whatever the scheme.

  Raises:
    ValueError: at the first malformed row, beginning `path:line:`; or the file
      has no sentence.
  """
  if set(columns) != {'token', 'tag'}:
    raise ValueError(f'Expected the columns token and tag, got {columns}.')
  empty = True
  for is_boundary, block in itertools.groupby(_lines(path), _is_boundary):
    if not is_boundary:
      empty = False
      yield _sentence(path, list(block), columns, scheme)
  if empty:
    raise ValueError(f'{path}: expected at least one sentence.')


def decode(example: Mapping[str, Any]) -> Sentence:
  """The sentence of an example as TFDS returns it (text as bytes)."""
  return Sentence(
    tokens=[token.decode() for token in example['tokens']],
    tags=[tag.decode() for tag in example['tags']],
    line=int(example['line']),
  )


@dataclasses.dataclass(eq=False, kw_only=True)
class ConllConfig(tfds.core.BuilderConfig):
  """Files of a data set by split, and how to read them (`read_sentences`)."""

  files: Mapping[str, pathlib.Path]
  columns: Mapping[str, int]
  scheme: str


class Conll(tfds.core.GeneratorBasedBuilder):
  """CoNLL column files as a TFDS data set, in the order of the files."""

  VERSION = tfds.core.Version('1.0.0')  # Of what is stored: part of its path.

  def _info(self) -> tfds.core.DatasetInfo:
    return tfds.core.DatasetInfo(
      builder=self,
      features=tfds.features.FeaturesDict(
        {
          'tokens': tfds.features.Sequence(tfds.features.Text()),
          'tags': tfds.features.Sequence(tfds.features.Text()),
          'line': tfds.features.Scalar(np.int64),
        }
      ),
      disable_shuffling=True,
    )

  def _split_generators(self, dl_manager):
    del dl_manager  # The files are here.
    return {
      split: self._generate_examples(path)
      for split, path in self.builder_config.files.items()
    }

  def _generate_examples(self, path):
    sentences = read_sentences(
      path,
      columns=self.builder_config.columns,
      scheme=self.builder_config.scheme,
    )
    for key, sentence in enumerate(sentences):
      yield key, sentence._asdict()


def load(
  files: Mapping[str, str | os.PathLike],
  *,
  columns: Mapping[str, int],
  scheme: str,
  cache: str | os.PathLike,
) -> dict[str, Sequence[Mapping[str, Any]]]:
  """Random-access examples by split, parsed on the first call only.

  What is stored under `cache` belongs to the contents of the files, the columns
  and the scheme: a file that changes is parsed anew.

  Args:
    files: split → path.
    columns: as for `read_sentences`.
    scheme: as for `read_sentences`.
    cache: directory for the parsed files; made if need be. Processes may share
      it.

  Returns:
    split → examples in the order of the file; `decode` makes sentences of them.

  Raises:
    FileNotFoundError: a file that is not there.
    ValueError: a malformed file or one without sentences.
  """
  files = {split: pathlib.Path(path) for split, path in files.items()}
  for split, path in files.items():
    if not path.is_file():
      raise FileNotFoundError(f'{path}: no such file, for the split {split!r}.')
  config = ConllConfig(
    name=_fingerprint(files, columns, scheme),
    files=files,
    columns=columns,
    scheme=scheme,
  )
  with _quiet():
    builder = Conll(config=config, data_dir=cache)
    if not builder.is_prepared():
      try:
        builder.download_and_prepare(file_format='array_record')
      except OSError:
        # TFDS renames a finished directory into place, which fails where
        # another process was faster.
        builder = Conll(config=config, data_dir=cache)
        if not builder.is_prepared():
          raise
    return {split: builder.as_data_source(split) for split in files}


def _lines(path) -> Iterator[tuple[int, str]]:
  try:
    text = pathlib.Path(path).read_bytes().decode('utf-8-sig')
  except UnicodeDecodeError as error:
    line = error.object.count(b'\n', 0, error.start) + 1
    raise ValueError(f'{path}:{line}: expected UTF-8: {error}.') from None
  # Not `splitlines`: a token may hold, say, a line separator of Unicode.
  for number, line in enumerate(text.split('\n'), start=1):
    yield number, line.rstrip('\r')


def _is_boundary(numbered_line: tuple[int, str]) -> bool:
  _, line = numbered_line
  return not line.strip(' \t') or '-DOCSTART-' in line


def _sentence(path, block, columns, scheme) -> Sentence:
  lines = [line for _, line in block]
  row = next((line for line in lines if not line.startswith('# ')), lines[-1])
  width = len(_fields(row))
  rows = itertools.dropwhile(lambda row: _is_comment(row[1], width), block)
  words = []
  for number, line in rows:
    try:
      words.append(_word(_fields(line), width, columns, scheme))
    except ValueError as error:
      raise ValueError(f'{path}:{number}: {error}') from None
  tokens, tags = map(list, zip(*words, strict=True))
  first = number - len(words) + 1
  ill_formed = metrics.first_ill_formed(tags, scheme)
  if ill_formed is not None:
    raise ValueError(
      f'{path}:{first + ill_formed}: {tags[ill_formed]!r} starts an entity '
      f"that is ill-formed in the scheme {scheme!r}. Is that the file's? The "
      "scheme 'conll' reads them all, and takes ill-formed entities as the "
      'CoNLL evaluation script does.'
    )
  spans = metrics.entity_spans(tags, scheme)
  return Sentence(tokens, metrics.bio_tags(spans, len(tags)), first)


def _is_comment(line: str, width: int) -> bool:
  return line.startswith('# ') and len(_fields(line)) != width


def _fields(line: str) -> list[str]:
  # Not `line.split()`: a token may hold, say, a no-break space.
  if '\t' in line:
    return line.split('\t')
  return [field for field in line.split(' ') if field]


def _word(fields, width, columns, scheme) -> tuple[str, str]:
  if len(fields) != width:
    raise ValueError(
      f'expected {width} columns, as in other rows of the sentence, found '
      f'{len(fields)}.'
    )
  for name, column in columns.items():
    if not -width <= column < width:
      raise ValueError(
        f'expected the {name} in column {column} (from 0), found {width} '
        'columns.'
      )
  token, tag = fields[columns['token']], fields[columns['tag']]
  if not token.strip():
    raise ValueError('expected a token, found only white space.')
  _check_tag(tag, scheme)
  return token, tag


@functools.cache  # A corpus has few tags.
def _check_tag(tag: str, scheme: str) -> None:
  metrics.entity_spans([tag], scheme)  # Raises where it is none.


def _fingerprint(files, columns, scheme) -> str:
  digests = {
    split: hashlib.sha256(path.read_bytes()).hexdigest()
    for split, path in files.items()
  }
  key = json.dumps([digests, dict(columns), scheme], sort_keys=True)
  return hashlib.sha256(key.encode()).hexdigest()[:16]


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
  """Keeps TFDS from printing, logging and drawing bars."""
  tfds.disable_progress_bar()
  verbosity = logging.get_verbosity()
  logging.set_verbosity(logging.ERROR)
  try:
    with contextlib.redirect_stdout(io.StringIO()):
      yield
  finally:
    logging.set_verbosity(verbosity)
