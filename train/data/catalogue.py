"""Data sets of TFDS's own catalogue: conll2003, glue, squad, UD.

TFDS downloads them once, which takes a network, or finds the files that it
would download in a directory.
"""

import functools
import pathlib
import sys
from collections.abc import Callable
from collections.abc import Mapping
from collections.abc import Sequence
from typing import Any
from typing import NamedTuple

import tensorflow_datasets as tfds
from tensorflow_datasets.core import download
from tensorflow_datasets.core.download import download_manager

from dicejax import metrics
from train.data import builder
from train.data import conllu
from train.data import squad
from train.data.conll import Sentence
from train.data.texts import Text

# A wrong checksum is that of another file in the directory.
_DOWNLOAD_ERRORS = (
  OSError,
  download.util.DownloadError,
  download_manager.NonMatchingChecksumError,
)
# A test of GLUE has it in place of a label.
_UNLABELLED = -1


def load(
  name: str,
  splits: Mapping[str, str],
  *,
  directory: builder.Path,
  cache: builder.Path,
  tag: str = 'upos',
  unit: str = 'word',
) -> dict[str, list[NamedTuple]]:
  """Examples of a data set of TFDS.

  Args:
    name: as in `'conll2003'`, `'glue/mrpc'`, `'squad/v2.0'` or
      `'universal_dependencies/en_ewt'`.
    splits: our name → that of TFDS, which may be a slice: `'train[:90%]'`.
    directory: where the files that TFDS would download may be; `''`: nowhere.
    cache: where the data set is prepared and found again.
    tag: of Universal Dependencies, as for `conllu.read_sentences`.
    unit: likewise.

  Returns:
    split → sentences, questions or texts, in the order of TFDS.

  Raises:
    OSError: no network, or none that has the files.
    ValueError: no name, an unknown data set or split, one without labels, or
      one that takes a package that is not here.
  """
  if not name:
    raise ValueError(
      "data.format='tfds' needs data.tfds.name, as in 'glue/mrpc', and in "
      "data.files TFDS's names of the splits, as in --config.data.files.dev="
      'validation.'
    )
  with builder.quiet():
    data_set = _find(name, cache)
    make = _maker(data_set, tag, unit)
    _prepare(data_set, name, directory)
    return {
      split: _read(data_set, name, theirs, make)
      for split, theirs in splits.items()
    }


def make_text(
  fields: Sequence[str],
  labels: tfds.features.ClassLabel,
  index: int,
  example: Mapping[str, Any],
) -> Text:
  """A text or a pair of GLUE.

  Args:
    fields: names of its one or two texts.
    labels: names of its labels.
    index: of the example, in place of a line.
    example: as TFDS returns it.

  Raises:
    ValueError: an example without label.
  """
  if example['label'] == _UNLABELLED:
    raise ValueError('the split has no labels')
  text, pair = [*(example[field].decode() for field in fields), None][:2]
  return Text(text, pair, labels.int2str(int(example['label'])), index)


def make_entities(
  tags: tfds.features.ClassLabel, index: int, example: Mapping[str, Any]
) -> Sentence:
  """A sentence of conll2003; in BIO, whatever its tags are in."""
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
  """A sentence of Universal Dependencies, as `conllu` makes them."""
  if tag == 'upos':
    tags = [upos.int2str(int(i)) for i in example['upos']]
  else:
    tags = [value.decode() for value in example[tag]]
  words = [token.decode() for token in example['tokens']]
  return conllu.make_sentence(words, tags, unit, index)


def make_question(index: int, example: Mapping[str, Any]) -> squad.Question:
  """A question of SQuAD; one that is impossible has no answers."""
  del index  # A question has an id.
  answers = example['answers']
  return squad.Question(
    id=example['id'].decode(),
    title=example['title'].decode(),
    question=example['question'].decode(),
    # One copy for all the questions on it.
    context=sys.intern(example['context'].decode()),
    answers=[
      [squad.Answer(text.decode(), int(start))]
      for text, start in zip(
        answers['text'], answers['answer_start'], strict=True
      )
    ],
    notes=[],
  )


def _find(name, cache) -> tfds.core.DatasetBuilder:
  # What is in TFDS's older folders is found only once that is imported.
  import tensorflow_datasets.text  # noqa: F401

  try:
    return tfds.builder(name, data_dir=pathlib.Path(cache) / 'tfds')
  except ImportError as error:
    raise ValueError(f'{name}: TFDS needs a package here: {error}.') from None
  except (tfds.core.DatasetNotFoundError, ValueError) as error:
    reason = str(error).strip().splitlines()[0]
    raise ValueError(f'{name!r} is no data set of TFDS: {reason}') from None


def _maker(data_set, tag, unit) -> Callable[[int, Mapping], NamedTuple]:
  features = data_set.info.features
  match data_set.name:
    case 'conll2003':
      return functools.partial(make_entities, features['ner'].feature)
    case 'universal_dependencies':
      upos = features['upos'].feature
      return functools.partial(make_words, upos, tag=tag, unit=unit)
    case 'squad':
      return make_question
    case 'glue' if isinstance(features['label'], tfds.features.ClassLabel):
      fields = list(data_set.builder_config.text_features)
      return functools.partial(make_text, fields, features['label'])
  raise ValueError(
    'Of TFDS, conll2003, glue with classes, squad and universal_dependencies '
    f'are read, not {data_set.name!r}.'
  )


def _read(data_set, name, split, make) -> list[NamedTuple]:
  try:
    examples = builder.read_all(data_set, split)
    return [make(index, example) for index, example in enumerate(examples)]
  except (KeyError, ValueError) as error:
    known = ', '.join(sorted(data_set.info.splits))
    raise ValueError(
      f'{name}, {split!r}: {error}. TFDS has the splits {known}; data.files '
      'names these or slices of them.'
    ) from None


def _prepare(data_set, name, directory) -> None:
  if data_set.is_prepared():
    return
  print(f'{name}: preparing, from the network if need be.', file=sys.stderr)
  config = tfds.download.DownloadConfig(manual_dir=directory or None)
  try:
    data_set.download_and_prepare(
      file_format='array_record', download_config=config
    )
  except ImportError as error:
    raise ValueError(f'{name}: TFDS needs a package here: {error}.') from None
  except _DOWNLOAD_ERRORS as error:
    raise OSError(
      f'{name} could not be had: {str(error).splitlines()[0]}. data.dir may '
      'hold the files that TFDS would download.'
    ) from None
