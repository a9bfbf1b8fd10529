"""The splits that a config names, whichever format their files have."""

import collections
import functools
import glob
import pathlib
import sys
from collections.abc import Callable
from collections.abc import Iterable
from collections.abc import Iterator
from collections.abc import Mapping

from train.data import conll
from train.data import conllu
from train.data import mrc_ner
from train.data import sampling
from train.data import squad
from train.data import tables
from train.data import texts
from train.data.example import Example
from train.data.files import Path
from train.data.files import Skipped
from train.data.files import find_files
from train.workdir import CONFIG
from train.workdir import CORPUS

# A format is one line here: a generator function over one file. Its keyword
# arguments are the settings in the section of `config.data` with its name.
FORMATS: dict[str, Callable[..., Iterator]] = {
  'conll': conll.read_sentences,
  'conllu': conllu.read_sentences,
  'csv': tables.read_csv,
  'jsonl': texts.read_jsonl,
  'mrc_ner': mrc_ner.read_queries,
  'squad': squad.read_questions,
  'trees': texts.read_trees,
  'tsv': tables.read_tsv,
}
_ORDER = ('train', 'dev', 'test')


def read_splits(config, workdir: pathlib.Path) -> dict[str, list[Example]]:
  """Returns the examples of the splits that a config names.

  Each file is read once, with the options of its format. Then examples are held
  out of the training split, splits are sampled, and training texts resampled by
  their labels. The same config and files always give the same examples.
  Questions on one article, queries on one sentence and phrases of one tree stay
  together. What the readers skip is counted on stderr. A synthetic corpus is
  written to the workdir, unless it holds a run.

  Args:
    config: the config, of which `config.data` matters and, for a synthetic
      corpus, `config.seed`.
    workdir: the directory of the run.

  Returns:
    split → examples, in the order of the file.

  Raises:
    OSError: a file is missing, or there is no network.
    ValueError: a malformed file, an empty split, an unknown format, or settings
      that do not fit the data.
  """
  return read_and_count(config, workdir)[0]


def read_and_count(
  config, workdir: pathlib.Path
) -> tuple[dict[str, list[Example]], dict[str, collections.Counter[str]]]:
  """Reads the splits and counts what the readers skip.

  Args:
    config: as for `read_splits`.
    workdir: as for `read_splits`.

  Returns:
    The examples, as from `read_splits`, and split → rule → the number of times
    that the rule skipped something in the file of the split.

  Raises:
    OSError: as for `read_splits`.
    ValueError: as for `read_splits`.
  """
  data = config.data
  if data.seed < 0:
    raise ValueError(f'data.seed is at least 0, not {data.seed}.')
  splits, skipped = _read(config, workdir)
  splits = _sorted(sampling.hold_out(splits, data.held_out, data.seed))
  splits = sampling.take(splits, data.take, data.seed)
  if data.resample:
    splits['train'] = sampling.resample(
      splits.get('train', []), data.resample, data.seed
    )
  if empty := [split for split, examples in splits.items() if not examples]:
    raise ValueError(f'The split {empty[0]!r} has no examples.')
  return splits, skipped


def read_files(config, paths: Iterable[Path]) -> list[Example]:
  """Returns the examples of other files in the format of a config, in order.

  Raises:
    OSError: a file is missing.
    ValueError: a malformed or empty file, or a format that has no files.
  """
  if config.data.format == 'hf':
    return [x for path in paths for x in _read_parquet(config.data, path)]
  read = _reader(config.data)
  return [x for path in paths for x in _read_file(read, path, path)[0]]


def _read(
  config, workdir: pathlib.Path
) -> tuple[dict[str, list[Example]], dict[str, collections.Counter[str]]]:
  """Returns the splits before any draw, and what the readers skipped."""
  data = config.data
  if data.format == 'tfds':
    # Importing TFDS takes seconds, and only this format needs it.
    from train.data import catalogue

    return catalogue.load(
      data.tfds.name,
      _named(data.files),
      builder=data.tfds.builder,
      directory=data.dir,
      cache=pathlib.Path(data.cache).expanduser(),
      **data.conllu,
    ), {}
  if data.format == 'hf':
    from train.data import hub  # Importing datasets takes seconds.

    return hub.load(
      splits=_named(data.files),
      directory=data.dir,
      answers=data.squad.answers,
      **data.hf,
    ), {}
  splits, skipped = {}, {}
  for split, path in _paths(config, workdir).items():
    read = _reader(data, training=split == 'train')
    splits[split], skipped[split] = _read_file(read, path, split)
  return splits, skipped


def _read_parquet(data, path: Path) -> list[Example]:
  from train.data import hub  # Importing datasets takes seconds.

  place = pathlib.Path(path)
  found = hub.load(
    splits={'file': glob.escape(place.name)},
    directory=str(place.parent),
    answers=data.squad.answers,
    **{**data.hf, 'name': '', 'subset': ''},
  )
  return found['file']


def _read_file(
  read: Callable[[Path], Iterator], path: Path, name: Path
) -> tuple[list[Example], collections.Counter[str]]:
  """Returns the examples of a file, and how often each rule skipped one.

  The counts are also printed to stderr, under the name.
  """
  examples, skipped = [], collections.Counter()
  for example in read(path):
    if isinstance(example, Skipped):
      skipped[example.rule] += 1
    else:
      examples.append(example)
  for rule, count in skipped.items():
    print(f'{name}: {count} × {rule}', file=sys.stderr)
  if not examples:
    raise ValueError(f'{path}: expected at least one example.')
  return examples, skipped


def _reader(data, *, training: bool = False) -> Callable[[Path], Iterator]:
  """Returns the reader of a format with its options."""
  if data.format == 'tfds':
    raise ValueError("A run with data.format='tfds' reads no local files.")
  if data.format == 'synthetic':
    return functools.partial(conll.read_sentences, tag=1)
  if data.format not in FORMATS:
    known = ', '.join(map(repr, [*FORMATS, 'hf', 'tfds', 'synthetic']))
    raise ValueError(f'data.format is one of {known}, not {data.format!r}.')
  options = {**data.get(data.format, {})}
  if data.format == 'trees' and not training:
    options['phrases'] = False  # Only whole sentences are scored.
  return functools.partial(FORMATS[data.format], **options)


def _paths(config, workdir: pathlib.Path) -> dict[str, pathlib.Path]:
  """Returns split → path of files that exist, whatever is in them."""
  data = config.data
  if data.format == 'synthetic':
    return _write_synthetic(config, workdir)
  _reader(data)  # An unknown format is reported before a missing file.
  phrases = data.format == 'trees' and data.trees.phrases
  if phrases and any(data.held_out.values()):
    raise ValueError('data.held_out takes whole trees, not phrases of trees.')
  return find_files(data.dir, _named(data.files))


def _named(files: Mapping[str, str]) -> dict[str, str]:
  if named := {split: name for split, name in files.items() if name}:
    return _sorted(named)
  raise ValueError('data.files names no file.')


def _write_synthetic(config, workdir: pathlib.Path) -> dict[str, pathlib.Path]:
  from train.data import synthetic  # Importing Faker takes a while.

  sizes = config.data.synthetic.sentences.to_dict()
  corpus = workdir / CORPUS
  if (workdir / CONFIG).is_file():
    return {split: corpus / f'{split}.conll' for split in sizes}
  return synthetic.write_corpus(
    corpus,
    seed=config.seed,
    sizes=sizes,
    imbalance=config.data.synthetic.imbalance,
  )


def _sorted(splits: dict) -> dict:
  names = [name for name in _ORDER if name in splits]
  names += sorted(splits.keys() - set(_ORDER))
  return {name: splits[name] for name in names}
