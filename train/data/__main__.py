"""Prepares, checks and describes a data set: `python -m train.data mrpc`.

  python -m train.data NAME [--dir=DIR] [--json]
  python -m train.data --config=FILE [--config.data.dir=DIR] [--json]

NAME is one of the experiments, the files in the folders of configs/, without
`.py`; a loss behind it (`mrpc:focal`) is left out, as the data are the same.
They are read as for training, which then finds them prepared: any malformed
line is told here. Then come, by split: examples; tokens; their number in an
example; labels, or entities by type; and negatives for each positive: tokens
outside and inside of entities, words of a context and the starts and ends of
answers among them, texts by `--config.classification.positive`. Below stand
what was changed by a rule, examples that are there twice, and labels that the
training split does not have; what was left out by a rule goes to stderr.
"""

import json
import pathlib
import sys
import tempfile

from absl import flags

import configs
from train import cli

_CONFIGS = pathlib.Path(configs.__file__).parent
# Of configs/, what has no data of its own.
_NO_DATA = ('__init__', 'default', 'losses', 'small', 'tversky_alpha')
# Flags that do not take the next argument as their value.
_SWITCHES = ('--json', '--nojson')


def _with_config(argv: list[str]) -> list[str]:
  """The arguments with the first NAME made `--config=configs/.../NAME.py`.

  Raises:
    ValueError: no experiment is called so.
  """
  index = _find_name(argv)
  if index is None:
    return argv
  name, _, loss = argv[index].partition(':')
  files = {
    file.stem: file
    for file in sorted(_CONFIGS.rglob('*.py'))
    if file.stem not in _NO_DATA
  }
  if name not in files:
    known = ', '.join(sorted(files))
    raise ValueError(f'{name} is no experiment: expected one of {known}.')
  if loss:
    print(f'{name}: the data are the same without :{loss}.', file=sys.stderr)
  rest = argv[1:index] + argv[index + 1 :]
  return [argv[0], f'--config={files[name]}', *rest]


def _find_name(argv: list[str]) -> int | None:
  """Index of the first argument that is no flag, nor the value of one."""
  if any(argument.partition('=')[0] == '--config' for argument in argv):
    return None  # Then a NAME is one argument too many.
  for index, argument in enumerate(argv[1:], start=1):
    before = argv[index - 1] if index > 1 else ''
    is_value = (
      before.startswith('-') and '=' not in before and before not in _SWITCHES
    )
    if not argument.startswith('-') and not is_value:
      return index
  return None


if __name__ == '__main__':
  try:
    # Before --config is defined, which looks there for what it overrides.
    sys.argv = _with_config(sys.argv)
  except ValueError as error:
    sys.exit(f'error: {error}')

_CONFIG = cli.define_config(default=str(_CONFIGS / 'quickstart.py'))
flags.adopt_module_key_flags(cli)  # So that --help shows --config.
_DIR = flags.DEFINE_string('dir', None, 'Where the files are: data.dir.')
_JSON = flags.DEFINE_bool('json', False, 'JSON in place of a table.')


def main():
  # Here, so that --help and a misspelt flag are answered at once.
  from train import report as tables
  from train.data import describe
  from train.data import splits

  config = _CONFIG.value
  if _DIR.value is not None:
    config.data.dir = _DIR.value
  with tempfile.TemporaryDirectory() as workdir:
    workdir = pathlib.Path(workdir)
    examples = splits.read_splits(config, workdir)
    skipped = splits.count_skipped(config, workdir)
  report = describe.describe(examples, positive=config.classification.positive)
  for split, of_split in report.items():
    of_split['skipped'] = skipped.get(split, {})
  if _JSON.value:
    print(json.dumps(report, indent=2, ensure_ascii=False))
  else:
    print(tables.format_table(describe.table_rows(report)))
    for remark in describe.remarks(report):
      print(remark)


if __name__ == '__main__':
  cli.run(main, _CONFIG)
