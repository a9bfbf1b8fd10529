"""Data sets that TFDS prepares, from its catalogue or your own.

TFDS downloads a data set of its catalogue once, which needs a network, or finds
the files that it would download in a directory. Your own is the directory that
`download_and_prepare(file_format='array_record')` has written.

The features of a data set decide how it is read.
"""

import contextlib
import functools
import io
import pathlib
import sys
from collections.abc import Callable
from collections.abc import Iterator
from collections.abc import Mapping
from collections.abc import Sequence
from typing import Any

import tensorflow_datasets as tfds
from absl import logging
from tensorflow_datasets.core.download import download_manager
from tensorflow_datasets.core.download import util

from dicejax import metrics
from train.data import conllu
from train.data import squad
from train.data.conll import Sentence
from train.data.example import Example
from train.data.fields import Text
from train.data.files import Path

# A checksum is wrong if another file of the same name is in the directory.
_DOWNLOAD_ERRORS = (
  OSError,
  util.DownloadError,
  download_manager.NonMatchingChecksumError,
)
_UNLABELLED = -1  # The label of GLUE's test examples.
_SQUAD = {'id', 'title', 'context', 'question', 'answers'}

_Make = Callable[[int, Mapping[str, Any]], Example]


def load(
  name: str,
  splits: Mapping[str, str],
  *,
  builder: Path = '',
  directory: Path = '',
  cache: Path,
  tag: str = 'upos',
  unit: str = 'word',
) -> dict[str, list[Example]]:
  """Returns the examples of a data set of TFDS.

  Args:
    name: the name of a data set in the catalogue, such as `'conll2003'`,
      `'glue/mrpc'`, `'squad/v2.0'` or `'universal_dependencies/en_ewt'`.
    splits: our name → the name in TFDS, which may be a slice: `'train[:90%]'`.
    builder: the directory of a prepared data set, instead of a name.
    directory: a directory that may hold the files that TFDS would download;
      `''` if there is none.
    cache: the directory in which data sets of the catalogue are prepared and
      found again.
    tag: the part of speech to read, as for `conllu.read_sentences`.
    unit: as for `conllu.read_sentences`.

  Returns:
    split → sentences, questions or texts, in the order of TFDS.

  Raises:
    OSError: no network, or the files are not there.
    ValueError: no name and no builder, or both; an unknown data set or split;
      examples without labels; features that are not read; or a package that
      TFDS needs is not installed.
  """
  if bool(name) == bool(builder):
    raise ValueError(
      "data.format='tfds' needs data.tfds.name, as in 'glue/mrpc', or "
      'data.tfds.builder, the directory of a prepared data set (one of them), '
      "and in data.files TFDS's names of the splits, as in "
      '--config.data.files.dev=validation.'
    )
  with _quiet():
    if builder:
      name = str(builder)
      data_set = _from_directory(builder)
      make = _maker(name, data_set.info.features, tag, unit)
    else:
      data_set = _find(name, cache)
      make = _maker(name, data_set.info.features, tag, unit)
      _prepare(data_set, name, directory)
    return {
      split: _read(data_set, name, theirs, make)
      for split, theirs in splits.items()
    }


def make_text(
  fields: Sequence[str],
  labels: tfds.features.ClassLabel,
  label: str,
  index: int,
  example: Mapping[str, Any],
) -> Text:
  """Makes a text or a pair, as in GLUE.

  Args:
    fields: the names of its one or two texts.
    labels: the names of the labels.
    label: the name of the feature that holds the label.
    index: the number of the example, in place of a line.
    example: the example as TFDS returns it.

  Raises:
    ValueError: the example has no label.
  """
  if example[label] == _UNLABELLED:
    raise ValueError('the split has no labels')
  text, pair = [*(example[field].decode() for field in fields), None][:2]
  return Text(text, pair, labels.int2str(int(example[label])), index)


def make_entities(
  tags: tfds.features.ClassLabel, index: int, example: Mapping[str, Any]
) -> Sentence:
  """Makes a sentence of conll2003, in BIO whichever scheme its tags have."""
  spans = metrics.entity_spans([tags.int2str(int(i)) for i in example['ner']])
  tokens = [token.decode() for token in example['tokens']]
  return Sentence(tokens, metrics.bio_tags(spans, len(tokens)), index)


def make_words(
  upos: tfds.features.ClassLabel,
  index: int,
  example: Mapping[str, Any],
  *,
  tag: str,
  unit: str,
) -> Sentence:
  """Makes a sentence of Universal Dependencies, as `conllu` makes them."""
  if tag == 'upos':
    tags = [upos.int2str(int(i)) for i in example['upos']]
  else:
    tags = [value.decode() for value in example[tag]]
  words = [token.decode() for token in example['tokens']]
  return conllu.make_sentence(words, tags, unit, index)


def make_question(index: int, example: Mapping[str, Any]) -> squad.Question:
  """Makes a question of SQuAD. An unanswerable one has no answers."""
  del index  # A question has an id.
  answers = example['answers']
  return squad.Question(
    id=example['id'].decode(),
    title=example['title'].decode(),
    question=example['question'].decode(),
    # All questions on a context share one copy of it.
    context=sys.intern(example['context'].decode()),
    answers=[
      [squad.Answer(text.decode(), int(start))]
      for text, start in zip(
        answers['text'], answers['answer_start'], strict=True
      )
    ],
    notes=[],
  )


def _from_directory(builder: Path) -> tfds.core.DatasetBuilder:
  path = pathlib.Path(builder).expanduser()
  try:
    return tfds.builder_from_directory(path)
  except OSError:
    raise FileNotFoundError(
      f'data.tfds.builder={str(builder)!r}: expected a directory with the '
      'dataset_info.json and features.json of a prepared data set, as in '
      '~/tensorflow_datasets/my_data/1.0.0.'
    ) from None


def _find(name: str, cache: Path) -> tfds.core.DatasetBuilder:
  # TFDS finds the data sets in its older folders only after this import.
  import tensorflow_datasets.text  # noqa: F401

  try:
    return tfds.builder(name, data_dir=pathlib.Path(cache) / 'tfds')
  except ImportError as error:
    raise ValueError(f'{name}: TFDS needs a package here: {error}.') from None
  except (tfds.core.DatasetNotFoundError, ValueError) as error:
    reason = str(error).strip().splitlines()[0]
    raise ValueError(f'{name!r} is not a data set of TFDS: {reason}') from None


def _maker(name: str, features: Any, tag: str, unit: str) -> _Make:
  """Returns the function that makes examples of a data set's features."""
  kinds = {key: _kind(feature) for key, feature in features.items()}
  classes = [key for key, kind in kinds.items() if kind == 'ClassLabel']
  # Directories do not store the order of features. That of GLUE's pairs is
  # alphabetical, except that a hypothesis comes after its premise.
  fields = [key for key, kind in kinds.items() if kind == 'Text']
  fields.sort(key=lambda key: (key == 'hypothesis', key))
  if kinds.keys() >= _SQUAD:
    return make_question
  if 'tokens' in kinds and kinds.get('upos') == 'Sequence of ClassLabel':
    if tag not in kinds:
      raise ValueError(f'{name}: expected the feature {tag!r}, found none.')
    upos = features['upos'].feature
    return functools.partial(make_words, upos, tag=tag, unit=unit)
  if 'tokens' in kinds and kinds.get('ner') == 'Sequence of ClassLabel':
    return functools.partial(make_entities, features['ner'].feature)
  if len(classes) == 1 and len(fields) in (1, 2):
    (label,) = classes
    return functools.partial(make_text, fields, features[label], label)
  found = ', '.join(f'{key}: {kind}' for key, kind in sorted(kinds.items()))
  raise ValueError(
    f'{name}: expected the features of conll2003 (tokens and ner), of '
    'universal_dependencies (tokens and upos), of squad '
    f'({", ".join(sorted(_SQUAD))}), or one ClassLabel and one or two Text as '
    f'in glue, found {found}.'
  )


def _kind(feature) -> str:
  inner = getattr(feature, 'feature', None)
  kind = type(feature).__name__
  return f'{kind} of {_kind(inner)}' if inner is not None else kind


def _read(data_set, name: str, split: str, make: _Make) -> list[Example]:
  try:
    source = data_set.as_data_source(split)
    # Reading all at once is three times as fast as one after another.
    examples = source.__getitems__(range(len(source)))
  except (KeyError, ValueError) as error:
    known = ', '.join(sorted(data_set.info.splits))
    raise ValueError(
      f'{name}, {split!r}: {error}. It has the splits {known}; data.files '
      'names these or slices of them.'
    ) from None
  except NotImplementedError:
    raise ValueError(
      f'{name}: expected a data set in array_record. Prepare it with '
      "download_and_prepare(file_format='array_record')."
    ) from None
  try:
    return [make(index, example) for index, example in enumerate(examples)]
  except ValueError as error:
    raise ValueError(f'{name}, {split!r}: {error}.') from None


def _prepare(data_set, name: str, directory: Path) -> None:
  if data_set.is_prepared():
    return
  print(f'{name}: preparing, from the network if need be.', file=sys.stderr)
  manual = pathlib.Path(directory).expanduser() if directory else None
  config = tfds.download.DownloadConfig(manual_dir=manual)
  try:
    data_set.download_and_prepare(
      file_format='array_record', download_config=config
    )
  except ImportError as error:
    raise ValueError(f'{name}: TFDS needs a package here: {error}.') from None
  except _DOWNLOAD_ERRORS as error:
    raise OSError(
      f'{name} could not be downloaded: {str(error).splitlines()[0]}. Set '
      'data.dir to a directory with the files that TFDS would download.'
    ) from None


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
  """Keeps TFDS from printing to stdout, logging and drawing bars."""
  tfds.disable_progress_bar()
  verbosity = logging.get_verbosity()
  logging.set_verbosity(logging.ERROR)
  try:
    with contextlib.redirect_stdout(io.StringIO()):
      yield
  finally:
    logging.set_verbosity(verbosity)
