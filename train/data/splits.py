"""The splits that a config names, whatever the format of their files."""

import collections
import itertools
import pathlib
import sys
from collections.abc import Iterable

import numpy as np

from train.data import builder
from train.data import catalogue
from train.data import conll
from train.data import conllu
from train.data import mrc_ner
from train.data import squad
from train.data import synthetic
from train.data import texts
from train.data.example import Example
from train.workdir import CONFIG
from train.workdir import CORPUS

# A format is a line here.
FORMATS = {
  'conll': conll.Conll,
  'conllu': conllu.Conllu,
  'jsonl': texts.Jsonl,
  'mrc_ner': mrc_ner.MrcNer,
  'squad': squad.Squad,
  'trees': texts.Trees,
  'tsv': texts.Tsv,
}
# Options that only the training split has as the config says.
_NOT_IN_TRAINING = {'trees': {'phrases': False}}
_SYNTHETIC = {'token': 0, 'tag': 1, 'scheme': 'bio'}
_ORDER = ('train', 'dev', 'test')


def read_splits(config, workdir: pathlib.Path) -> dict[str, list[Example]]:
  """The examples of the splits that a config names.

  Files are read by the options of their format. Then examples are held out of
  the training split, samples taken of the splits, and training texts resampled
  by their labels: the same ones for the same config and files. Questions on one
  article, queries on one sentence and phrases of one tree are in one split, and
  taken together. What the readers leave out is counted on stderr. A synthetic
  corpus is written to the workdir, unless a run is there.

  Args:
    config: `config.data` counts, and for a synthetic corpus `config.seed`.
    workdir: of the run.

  Returns:
    split → examples, in the order of the file.

  Raises:
    OSError: a file that is not there, or no network.
    ValueError: a malformed file, an empty split, an unknown format, or settings
      that do not fit the data.
  """
  data = config.data
  if data.seed < 0:
    raise ValueError(f'data.seed is at least 0, not {data.seed}.')
  if data.format == 'tfds':
    splits = catalogue.load(
      data.tfds.name,
      _named(data.files),
      directory=data.dir and pathlib.Path(data.dir).expanduser(),
      cache=_cache(data),
      **data.conllu,
    )
  else:
    splits = {}
    for source in _sources(config, workdir):
      splits |= builder.load(*source)
      _print_skipped(builder.count_skipped(*source))
  splits = _sorted(_hold_out(splits, data))
  for split, size in data.take.items():
    if size:
      splits[split] = _take(splits, split, size, data.seed)
  if data.resample:
    splits['train'] = _resample(
      splits.get('train', []), data.resample, data.seed
    )
  if empty := [split for split, examples in splits.items() if not examples]:
    raise ValueError(f'The split {empty[0]!r} has no examples.')
  return splits


def read_files(config, paths: Iterable[builder.Path]) -> list:
  """The examples of other files in the format of a config, one after another.

  Raises:
    OSError: a file that is not there.
    ValueError: a malformed file, or a format without files.
  """
  name = config.data.format
  if name == 'tfds':
    raise ValueError("A run on data.format='tfds' has no format of files.")
  if name == 'synthetic':
    read, options = conll.read_sentences, _SYNTHETIC
  else:
    read = _format(name).read
    options = {**config.data[name], **_NOT_IN_TRAINING.get(name, {})}
  examples = []
  for path in paths:
    found = list(read(path, **options))
    kept = [x for x in found if not isinstance(x, builder.Skipped)]
    rules = (x.rule for x in found if isinstance(x, builder.Skipped))
    _print_skipped({path: collections.Counter(rules)})
    if not kept:
      raise ValueError(f'{path}: expected at least one example.')
    examples += kept
  return examples


def count_skipped(config, workdir: pathlib.Path) -> dict[str, dict[str, int]]:
  """What the reader left out of the files: split → rule → how often."""
  if config.data.format in ('tfds', 'synthetic'):
    return {}
  counts = {}
  for source in _sources(config, workdir):
    counts |= builder.count_skipped(*source)
  return counts


def _sources(config, workdir) -> list[tuple]:
  """Arguments of `builder.load`: the files that are read in the same way."""
  data, cache = config.data, _cache(config.data)
  if data.format == 'synthetic':
    files = _write_synthetic(config, workdir)
    return [(conll.Conll, files, _SYNTHETIC, cache)]
  kind = _format(data.format)
  directory = pathlib.Path(data.dir).expanduser()
  files = {s: directory / name for s, name in _named(data.files).items()}
  options = data[data.format].to_dict()
  others = options | _NOT_IN_TRAINING.get(data.format, {})
  if others != options and any(data.held_out.values()):
    raise ValueError('data.held_out takes no phrases of trees, but whole ones.')
  train = {s: path for s, path in files.items() if s == 'train'}
  rest = {s: path for s, path in files.items() if s != 'train'}
  if others == options or not train or not rest:
    return [(kind, files, options if train else others, cache)]
  return [(kind, train, options, cache), (kind, rest, others, cache)]


def _format(name) -> type[builder.Files]:
  if name not in FORMATS:
    known = ', '.join(map(repr, [*FORMATS, 'tfds', 'synthetic']))
    raise ValueError(f'data.format is one of {known}, not {name!r}.')
  return FORMATS[name]


def _named(files) -> dict[str, str]:
  if named := {split: name for split, name in files.items() if name}:
    return _sorted(named)
  raise ValueError('data.files names no file.')


def _cache(data) -> pathlib.Path:
  return pathlib.Path(data.cache).expanduser()


def _write_synthetic(config, workdir) -> dict[str, pathlib.Path]:
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


def _print_skipped(counts) -> None:
  for name, rules in counts.items():
    for rule, count in rules.items():
      print(f'{name}: {count} × {rule}', file=sys.stderr)


def _sorted(splits: dict) -> dict:
  names = [name for name in _ORDER if name in splits]
  names += sorted(splits.keys() - set(_ORDER))
  return {name: splits[name] for name in names}


def _hold_out(splits, data) -> dict[str, list]:
  shares = {split: share for split, share in data.held_out.items() if share}
  if not shares:
    return splits
  for split, share in shares.items():
    if not 0 < share < 1 or sum(shares.values()) >= 1:
      raise ValueError(
        'data.held_out are shares of the training split that leave some of it, '
        f'not {share:g} for {split}.'
      )
    if split in splits:
      raise ValueError(
        f'data.held_out.{split} is {share:g}, but data.files has a file for '
        f'{split}: expected one of them.'
      )
  examples = splits.get('train', [])
  order = _random_groups(examples, 'held_out', data.seed)
  held_out = {}
  for split, share in shares.items():
    size = _whole_groups(order, share * len(examples))
    held_out[split], order = order[:size], order[size:]
  if not order:
    raise ValueError(
      'data.held_out leaves nothing to train on: the training split has too '
      'few examples, articles or sentences that are apart.'
    )
  parts = {'train': order, **held_out}
  return splits | {
    s: _in_order(examples, groups) for s, groups in parts.items()
  }


def _take(splits, split, size, seed) -> list:
  examples = splits.get(split, [])
  if not 0 < size <= len(examples):
    raise ValueError(
      f'data.take.{split} is at most {len(examples)}, the examples of the '
      f'split, not {size}.'
    )
  order = _random_groups(examples, split, seed)
  return _in_order(examples, order[: _whole_groups(order, size)])


def _resample(examples, factors, seed) -> list:
  counts = collections.Counter(getattr(x, 'label', None) for x in examples)
  for label, factor in factors.items():
    if label not in counts:
      known = ', '.join(repr(label) for label in counts if label is not None)
      raise ValueError(
        f'data.resample.{label}: the training split has no text of this label'
        + (f', but of {known}.' if known else '; only texts have labels.')
      )
    if factor < 0:
      raise ValueError(f'data.resample.{label} is at least 0, not {factor:g}.')
  times = np.ones(len(examples), int)
  for label, factor in sorted(factors.items()):
    indices = [i for i, x in enumerate(examples) if x.label == label]
    more = round(factor % 1 * len(indices))
    times[indices] = int(factor)
    times[_rng(label, seed).permutation(indices)[:more]] += 1
  return [x for x, n in zip(examples, times, strict=True) for _ in range(n)]


def _random_groups(examples, purpose, seed) -> list[list[int]]:
  """Indices of examples that belong together, group by group at random."""
  groups = collections.defaultdict(list)
  for index, example in enumerate(examples):
    groups[example.group].append(index)
  groups = list(groups.values())
  return [groups[i] for i in _rng(purpose, seed).permutation(len(groups))]


def _whole_groups(groups, size) -> int:
  """How many groups have nearest to `size` examples; at least one."""
  sizes = np.cumsum([len(group) for group in groups])
  return int(np.argmin(np.abs(sizes - size))) + 1 if len(sizes) else 0


def _in_order(examples, groups) -> list:
  return [examples[i] for i in sorted(itertools.chain(*groups))]


def _rng(purpose: str, seed: int) -> np.random.Generator:
  # Draws for one purpose do not change those for another.
  return np.random.default_rng([seed, *purpose.encode()])
