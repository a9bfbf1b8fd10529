"""Checks and describes a data set: `python -m train.data mrpc`.

  python -m train.data NAME [--dir=DIR] [--json]
  python -m train.data --config=FILE [--config.data.dir=DIR] [--json]

NAME is an experiment: a file in the folders of configs/, without `.py`. A loss
behind it (`mrpc:focal`) is ignored, because the data are the same.

The files are read as for training, so a malformed line is reported here. The
table shows, for each split: examples, tokens, the lengths of examples, labels
(or entities by type), and the number of negatives per positive. Negatives and
positives are tokens outside and inside entities, words of a context that are
not and are the start or end of an answer, or texts without and with the label
`--config.classification.positive`. Below the table stand what rules changed,
examples that occur twice, and labels that the training split lacks. What rules
skipped is printed to stderr.
"""

import json
import pathlib
import sys
import tempfile
from collections.abc import Sequence
from typing import Any

from absl import flags

import configs
from train import cli
from train.config_flag import UsageError

_CONFIGS = pathlib.Path(configs.__file__).parent
# Files of configs/ that name no data.
_NO_DATA = ('__init__', 'default', 'losses', 'small', 'tversky_alpha')
# Flags that never take the next argument as their value.
_SWITCHES = ('--json', '--nojson', '--settings')


def _with_config(argv: Sequence[str]) -> list[str]:
  """Replaces the first NAME with `--config=configs/.../NAME.py`.

  Raises:
    UsageError: no experiment has this name.
  """
  index = _find_name(argv)
  if index is None:
    return [*argv]
  name, _, loss = argv[index].partition(':')
  files = {
    file.stem: file
    for file in sorted(_CONFIGS.rglob('*.py'))
    if file.stem not in _NO_DATA
  }
  if name not in files:
    known = ', '.join(sorted(files))
    raise UsageError(f'{name} is not an experiment: expected one of {known}.')
  if loss:
    print(f'{name}: the data are the same without :{loss}.', file=sys.stderr)
  return [*argv[:index], f'--config={files[name]}', *argv[index + 1 :]]


def _find_name(argv: Sequence[str]) -> int | None:
  """Returns the index of the first argument that is not part of a flag."""
  if any(argument.partition('=')[0] == '--config' for argument in argv):
    return None  # A NAME beside --config is reported as not understood.
  for index, argument in enumerate(argv[1:], start=1):
    before = argv[index - 1] if index > 1 else ''
    is_value = (
      before.startswith('-') and '=' not in before and before not in _SWITCHES
    )
    if not argument.startswith('-') and not is_value:
      return index
  return None


_CONFIG = cli.define_config(default=str(_CONFIGS / 'quickstart.py'))
_DIR = flags.DEFINE_string('dir', None, 'Directory of the files: data.dir.')
_JSON = flags.DEFINE_bool('json', False, 'Print JSON instead of a table.')


def main():
  # Imported here, so that --help and a misspelt flag are answered at once.
  from train import report as tables
  from train.data import describe
  from train.data import splits

  config: Any = _CONFIG.value
  if _DIR.value is not None:
    config.data.dir = _DIR.value
  with tempfile.TemporaryDirectory() as workdir:
    examples, skipped = splits.read_and_count(config, pathlib.Path(workdir))
  report = describe.describe(examples, positive=config.classification.positive)
  for split, facts in report.items():
    facts['skipped'] = skipped.get(split, {})
  if _JSON.value:
    print(json.dumps(report, indent=2, ensure_ascii=False))
  else:
    print(tables.format_table(describe.table_rows(report)))
    for remark in describe.remarks(report):
      print(remark)


if __name__ == '__main__':
  cli.run(main, _CONFIG, _with_config)
