"""Variations of one config, trained one after another, in one table."""

import pathlib
from collections.abc import Mapping
from collections.abc import Sequence

from ml_collections import config_dict

from train import loop
from train import report
from train import workdir as files


def variations(config: config_dict.ConfigDict) -> dict:
  """The configs that `config.runs` names: copies with other sections.

  Raises:
    ValueError: a variation of a section that there is not.
  """
  varied = {}
  for name, sections in config.runs.items():
    varied[name] = config_dict.ConfigDict(config.to_dict()).lock()
    varied[name].runs = {}
    for section, value in sections.to_dict().items():
      if section not in config:
        raise ValueError(f'runs.{name}: a config has no {section!r}.')
      varied[name][section] = value
  return varied


def prepare(
  config: config_dict.ConfigDict, workdir: pathlib.Path
) -> dict[str, loop.Run]:
  """Prepares all runs before the first one trains.

  Raises:
    OSError, ValueError: as `loop.prepare`.
  """
  files.check_config(workdir, config, leftovers=config.runs)
  runs = {
    name: loop.prepare(varied, workdir / name)
    for name, varied in variations(config).items()
  }
  files.write_whole(workdir / files.CONFIG, config.to_json(indent=2))
  return runs


def compare(runs: Mapping[str, loop.Run], workdir: pathlib.Path) -> dict:
  """Trains runs in folders of one workdir; prints and writes one table.

  Returns:
    name → what `loop.train` returns.
  """
  outcomes = {}
  for name, run in runs.items():
    print(f'{name}:', flush=True)
    outcomes[name] = loop.train(run)
  print('\n' + report.format_table(report.comparison_rows(outcomes)))
  report.write_comparison(workdir, outcomes)
  return outcomes


def sweep(
  varied: Mapping[str, config_dict.ConfigDict],
  seeds: Sequence[int],
  workdir: pathlib.Path,
) -> dict[str, list[dict]]:
  """Trains variations with each of several seeds; prints and writes a table.

  Runs that are finished are not trained again. A run whose loss is not finite
  is told, and left out.

  Returns:
    name → what `loop.train` returns, for each seed.

  Raises:
    OSError, ValueError: as `loop.prepare`; or the workdir holds a run itself.
  """
  if (workdir / files.CONFIG).is_file():
    raise FileExistsError(f'{workdir} holds a run. Choose another --workdir.')
  configs = {
    (name, seed): _with_seed(config, seed)
    for name, config in varied.items()
    for seed in seeds
  }
  for (name, seed), config in configs.items():  # The first may take hours.
    loop.check_config(config)
    files.check_config(workdir / f'{name}-{seed}', config)
  outcomes, groups = {}, {}
  for (name, seed), config in configs.items():
    folder = f'{name}-{seed}'
    print(f'{folder}:', flush=True)
    try:
      outcome = _outcome(config, workdir / folder)
    except FloatingPointError as error:
      print(f'{folder} is left out: {error}')
      continue
    groups.setdefault(name, []).append(outcome)
    outcomes[folder] = outcome
    print(report.format_table(report.comparison_rows({folder: outcome})))
  if not outcomes:
    raise FloatingPointError('No run has a finite loss.')
  rows = report.sweep_rows(groups)
  print('\n' + report.format_table(rows))
  report.write_comparison(workdir, outcomes, rows)
  return groups


def _outcome(config, workdir) -> dict:
  """Of a run, without preparing it again if it is finished."""
  results = workdir / files.RESULTS
  if results.is_file():
    return files.read_json(results)
  return loop.train(loop.prepare(config, workdir))


def _with_seed(config, seed):
  config = config.copy_and_resolve_references()
  config.seed = seed
  return config
