"""Prepares, checks and describes a data set: `python -m train.data mrpc`.

  python -m train.data NAME [--dir=DIR] [--json]
  python -m train.data --config=FILE [--config.data.dir=DIR] [--json]

NAME is one of the files under configs/, without `.py`. Its data are read as for
training, which then finds them prepared: any malformed line is told here. Then
come, by split: examples; tokens; their number in an example; labels, or
entities by type; and negatives for each positive: tokens outside and inside of
entities, words of a context and the starts and ends of answers among them,
texts by `--config.classification.positive`. Below stand what was changed by a
rule, examples that are there twice, and labels that the training split does not
have; what was left out by a rule goes to stderr.
"""

import json
import pathlib
import sys
import tempfile

from absl import flags

from train import cli


def _with_config(argv: list[str], configs: pathlib.Path) -> list[str]:
  """The arguments with a leading NAME made `--config=configs/.../NAME.py`.

  Raises:
    ValueError: no config is called so, or several.
  """
  if len(argv) < 2 or argv[1].startswith('-'):
    return argv
  name, *rest = argv[1:]
  files = {
    str(file)
    for file in configs.rglob('*.py')
    if file.stem == name and name != '__init__'
  }
  if len(files) != 1:
    found = ', '.join(sorted(files)) or 'none'
    raise ValueError(
      f'{name}: expected one config of this name in {configs}/, found {found}.'
    )
  return [argv[0], f'--config={files.pop()}', *rest]


if __name__ == '__main__':
  try:
    # Before --config is defined, which looks there for what it overrides.
    sys.argv = _with_config(sys.argv, pathlib.Path('configs'))
  except ValueError as error:
    sys.exit(f'error: {error}')

_CONFIG = cli.define_config(default='configs/quickstart.py')
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
  cli.run(main)
