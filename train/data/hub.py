"""Data sets of the package `datasets`: hub names, directories and Parquet.

The columns of a data set and their types decide how it is read: `question`,
`context` and `answers` are questions; a list of words with a list of tags is a
sentence; otherwise rows are texts with a label or several.
"""

import functools
import pathlib
from collections.abc import Callable
from collections.abc import Mapping
from collections.abc import Sequence
from typing import Any
from typing import NamedTuple

from dicejax import metrics
from train.data import squad
from train.data.conll import Sentence
from train.data.example import Example
from train.data.fields import Fields
from train.data.fields import of_one_kind

_ROW = {'question', 'context', 'answers'}
_UNLABELLED = -1  # The label of the test examples of many data sets.
# A directory that `save_to_disk` wrote has the first of these for several
# splits, and the second for one.
_SAVED = 'dataset_dict.json', 'state.json'

_Make = Callable[[int, Mapping[str, Any]], Example]


class Columns(NamedTuple):
  """Names of columns; '' where the types of the columns tell.

  Attributes:
    text: the text.
    pair: a second text.
    label: the label, or a list of labels.
    labels: columns with 1 or 0, one for each label, separated by commas.
    tokens: the words.
    tags: the tags of the words.
  """

  text: str = ''
  pair: str = ''
  label: str = ''
  labels: str = ''
  tokens: str = ''
  tags: str = ''


def load(
  name: str,
  splits: Mapping[str, str],
  *,
  subset: str = '',
  directory: str = '',
  answers: str = 'alternatives',
  **columns: str,
) -> dict[str, list[Example]]:
  """Returns the examples of a data set.

  Args:
    name: a name on the Hugging Face hub, or a directory that `save_to_disk` of
      `datasets` wrote; '' for files of Parquet.
    splits: our name → the name in the data set, which may be a slice on the
      hub (`'train[:90%]'`), or the name of a file or several (`'train-*'`).
    subset: the configuration of a data set on the hub, such as 'mrpc' of
      'glue'.
    directory: the directory of the files.
    answers: as for `squad.read_questions`.
    **columns: see `Columns`.

  Raises:
    OSError: there is no such data set or file, or no network.
    ValueError: `datasets` is not installed, or the columns are not those of a
      task.
  """
  tables = _open(name, splits, subset, directory)
  return {
    split: _read(
      f'{name or directory}, {splits[split]!r}',
      table,
      answers,
      Columns(**columns),
    )
    for split, table in tables.items()
  }


def _open(name, splits, subset, directory) -> dict[str, Any]:
  """Opens each split as a `datasets.Dataset`."""
  try:
    import datasets
  except ImportError:
    raise ValueError(
      "data.format='hf' needs the package datasets: pip install datasets."
    ) from None
  datasets.disable_progress_bars()
  if not name:
    return {ours: _parquet(directory, file) for ours, file in splits.items()}
  path = pathlib.Path(name).expanduser()
  if any((path / file).is_file() for file in _SAVED):
    try:
      saved = datasets.load_from_disk(str(path))
    except Exception as error:  # Of many classes, as below.
      raise ValueError(
        f'data.hf.name={name!r}: {_reason(error)}. Expected a directory that '
        'save_to_disk wrote.'
      ) from None
    found = saved if isinstance(saved, Mapping) else {'train': saved}
    for split in splits.values():
      if split not in found:
        raise ValueError(
          f'{name}: expected the split {split!r}, as data.files has it, found '
          f'{", ".join(map(repr, found))}.'
        )
    return {ours: found[theirs] for ours, theirs in splits.items()}
  return {
    ours: _from_hub(name, subset, theirs) for ours, theirs in splits.items()
  }


def _from_hub(name, subset, split):
  import datasets
  import huggingface_hub

  # It would print each time that it tries to reach the hub again.
  huggingface_hub.utils.logging.set_verbosity_error()
  try:
    return datasets.load_dataset(name, subset or None, split=split)
  # The hub, the network and the data set raise errors of many classes.
  except Exception as error:
    raise OSError(
      f'data.hf.name={name!r}, split {split!r}: {_reason(error)}. Expected a '
      'data set on the Hugging Face hub or in its cache, with data.files '
      'naming its splits, or a directory that save_to_disk wrote.'
    ) from None


def _reason(error: Exception) -> str:
  """Returns the first line of an error, without its full stop."""
  return (str(error) or type(error).__name__).splitlines()[0].rstrip('. ')


def _parquet(directory, file):
  import datasets
  import pyarrow as pa
  from pyarrow import parquet

  paths = sorted(pathlib.Path(directory).expanduser().glob(file))
  if not paths:
    raise FileNotFoundError(
      f'{pathlib.Path(directory) / file}: no such file of Parquet; '
      'data.hf.name names a data set on the hub.'
    )
  tables = []
  for path in paths:
    try:
      tables.append(parquet.read_table(path))
    except (pa.ArrowInvalid, OSError) as error:
      raise ValueError(f'{path}: expected Parquet: {_reason(error)}.') from None
    if tables[-1].schema.names != tables[0].schema.names:
      raise ValueError(
        f'{path}: expected the columns of {paths[0]}, '
        f'{", ".join(tables[0].schema.names)}, found '
        f'{", ".join(tables[-1].schema.names)}.'
      )
  return datasets.Dataset(pa.concat_tables(tables))


def _read(place: str, table, answers: str, columns: Columns) -> list[Example]:
  used, make = _maker(place, table.features, answers, columns)
  examples: list[Any] = []
  for index, row in enumerate(table.select_columns(used), start=1):
    try:
      examples.append(make(index, row))
    except ValueError as error:
      raise ValueError(f'{place}, row {index}: {error}') from None
  if not examples:
    raise ValueError(f'{place}: expected at least one example.')
  if _is_text(examples[0]):
    for _ in of_one_kind(place, examples):
      pass  # It raises where they are not.
  return examples


def _is_text(example) -> bool:
  return not isinstance(example, Sentence | squad.Question)


def _maker(
  place: str, features, answers: str, columns: Columns
) -> tuple[list[str], _Make]:
  """Returns the columns that are read, and what makes an example of a row."""
  if missing := [
    name
    for key in columns
    for name in key.split(',')
    if name and name.strip() not in features
  ]:
    raise ValueError(
      f'{place}: expected the column {missing[0].strip()!r}, found '
      f'{", ".join(map(repr, features))}.'
    )
  if _ROW <= features.keys() and not columns.text:
    used = [x for x in ('id', 'title', *_ROW, 'is_impossible') if x in features]
    return used, functools.partial(_make_question, answers)
  tokens, tags = _find_words(features, columns)
  if tokens and tags:
    return [tokens, tags], functools.partial(
      _make_sentence, tokens, tags, _names(features[tags])
    )
  fields = _find_fields(place, features, columns)
  names = _names(features[fields.label]) if fields.label in features else None
  return fields.names, functools.partial(_make_text, fields, names)


def _find_words(features, columns: Columns) -> tuple[str, str]:
  """Returns the columns of words and of their tags, '' where there are none."""
  words = columns.tokens or next(
    (x for x in ('tokens', 'words') if _is_list(features.get(x))), ''
  )
  lists = [x for x in features if _is_list(features[x]) and x != words]
  lists.sort(
    key=lambda name: (name != 'ner_tags', _names(features[name]) is None)
  )
  return words, columns.tags or (lists[0] if words and lists else '')


def _find_fields(place, features, columns: Columns) -> Fields:
  """Returns the columns of a text with a label or several."""
  kinds = {name: str(getattr(x, 'dtype', '')) for name, x in features.items()}
  label = columns.label or next(
    (
      name
      for name in ('label', 'labels', *features)
      if name in features
      and (name in ('label', 'labels') or _names(features[name]) is not None)
    ),
    '',
  )
  texts = [x for x, kind in kinds.items() if 'string' in kind and x != label]
  if columns.text:
    texts = [columns.text, columns.pair]
  else:
    alone = [x for x in ('text', 'sentence') if x in texts]
    texts = alone[:1] or [x for x in texts if not x.lower().endswith('id')]
    texts = texts if len(texts) <= 2 else []
  if not texts or not (label or columns.labels):
    missing = 'label' if texts else 'text'
    raise ValueError(
      f'{place}: data.hf.{missing} names the column of the {missing}; there '
      f'are {", ".join(map(repr, features))}.'
    )
  text, pair = [*texts, ''][:2]
  return Fields(text, pair, label, columns.labels)


def _is_list(feature) -> bool:
  return hasattr(feature, 'feature') or isinstance(feature, list)


def _names(feature) -> Sequence[str] | None:
  """Returns the names of a class, or of the classes in a list."""
  inner = feature[0] if isinstance(feature, list) else feature
  return getattr(getattr(inner, 'feature', inner), 'names', None)


def _name(names: Sequence[str] | None, value: Any) -> Any:
  if isinstance(value, list):
    return [_name(names, each) for each in value]
  if value == _UNLABELLED and names is not None:
    raise ValueError('the split has no labels.')
  if names is None or isinstance(value, str) or value is None:
    return value
  return names[value]


def _make_text(fields: Fields, names, index: int, row):
  if fields.label in row:
    row = {**row, fields.label: _name(names, row[fields.label])}
  return fields.make(row, index)


def _make_sentence(tokens, tags, names, index: int, row) -> Sentence:
  words, found = row[tokens], _name(names, row[tags])
  for name, value in ((tokens, words), (tags, found)):
    if not isinstance(value, list) or None in value:
      raise ValueError(f'expected a list as {name!r}, found {value!r}.')
  if not all(isinstance(word, str) and word.strip() for word in words):
    raise ValueError(f'expected words as {tokens!r}, found {words!r}.')
  if not words or len(words) != len(found):
    raise ValueError(
      f'expected as many tags as words, found {len(found)} and {len(words)}.'
    )
  found = [str(tag) for tag in found]
  # Whichever scheme the tags have, they become BIO.
  if all(tag == 'O' or tag[1:2] == '-' for tag in names or found):
    found = metrics.bio_tags(metrics.entity_spans(found), len(found))
  return Sentence(list(words), found, index)


def _make_question(answers: str, index: int, row) -> squad.Question:
  row = {'id': str(index), **row}
  return squad.make_row_question(row, 'the row', answers)
