"""Trains variations of one config, and compares them in one table."""

import dataclasses
import pathlib
import shutil
import time
from collections.abc import Mapping
from collections.abc import Sequence
from typing import NamedTuple

import filelock
from ml_collections import config_dict

from train import page
from train import report
from train import results
from train import settings
from train import workdir as files
from train.trainer import Trainer

# The seconds between two looks at a run of another process.
_PAUSE = 5.0


def variations(config: config_dict.ConfigDict) -> dict:
  """Makes the configs that `config.runs` names: copies with other sections.

  Raises:
    ValueError: a variation has a section that the config does not have.
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
) -> dict[str, Trainer]:
  """Prepares all runs, so that mistakes show before the first one trains.

  Raises:
    OSError, ValueError: see `Trainer`.
  """
  files.check_experiment(workdir, config, leftovers=config.runs)
  runs = {
    name: Trainer(varied, workdir / name)
    for name, varied in variations(config).items()
  }
  files.write_whole(workdir / files.CONFIG, config.to_json(indent=2))
  return runs


def compare(runs: Mapping[str, Trainer], workdir: pathlib.Path) -> dict:
  """Trains runs in directories of one workdir; prints and writes one table.

  Returns:
    Results of `Trainer.train` by name.
  """
  outcomes = {}
  for name, run in runs.items():
    print(f'{name}:', flush=True)
    outcomes[name] = run.train()
  print('\n' + report.format_table(report.comparison_rows(outcomes)))
  page.write_comparison(workdir, outcomes)
  return outcomes


class Trial(NamedTuple):
  """A run of a sweep: its config, its workdir, and the identity of its line."""

  config: config_dict.ConfigDict
  workdir: pathlib.Path
  identity: dict


@dataclasses.dataclass(frozen=True)
class Sweep:
  """Variations of a config, trained with several seeds.

  Several processes may train the same sweep. Each takes the next run that no
  other one has, and all wait for the last.

  Attributes:
    varied: configs by name; the first is the baseline.
    seeds: seeds of the runs that are reported.
    workdir: directory with one directory per run.
    results: file with one JSON line per run, which processes may share.
    experiment: name of the experiment in the results.
    learning_rates: rates from which each variation gets the one with the best
      mean headline on dev. A single rate is used as it is; without any, each
      config has its own.
    rate_seeds: seeds of the runs that choose the rate.
    new_splits: whether `data.seed` follows the seed, which then also chooses
      the examples that are held out, taken and resampled.
    keep_checkpoints: whether the checkpoints of a run stay when its line is
      written.
  """

  varied: Mapping[str, config_dict.ConfigDict]
  seeds: Sequence[int]
  workdir: pathlib.Path
  results: pathlib.Path
  experiment: str
  learning_rates: Sequence[float] = ()
  rate_seeds: Sequence[int] = ()
  new_splits: bool = False
  keep_checkpoints: bool = True

  def train(self) -> dict[str, list[dict]]:
    """Trains the runs without a line in the results; writes a table of all.

    A run whose loss is not finite has a line as well. It is named above the
    table and left out of the means, and its learning rate is not chosen.

    Returns:
      Lines of the reported runs by name, one per seed; an empty list for a name
      whose runs diverged at each learning rate.

    Raises:
      OSError, ValueError: before the first run, if settings exclude each other
        or the workdir or the results hold other runs; later see `Trainer`.
      FloatingPointError: no run has a finite loss.
    """
    self._check()
    countdown = _Countdown(*self._count())
    rate_trials = {name: self._rate_trials(name) for name in self.varied}
    self._run_all(rate_trials, countdown)
    reported = {}
    for name, trials in rate_trials.items():
      rate = self._fixed_rate(name)
      if trials:
        found = self._lines(trials)
        rate = results.best_rate(found)
        print(_describe_rates(name, found, rate), flush=True)
      reported[name] = [] if rate is None else self._reported_trials(name, rate)
    self._run_all(reported, countdown)
    groups = {name: self._lines(trials) for name, trials in reported.items()}
    self._write_table(groups)
    return groups

  def _check(self):
    if (self.workdir / files.CONFIG).is_file():
      raise FileExistsError(
        f'{self.workdir} holds a run. Choose another --workdir.'
      )
    if both := set(self.seeds) & set(self.rate_seeds):
      raise ValueError(
        f'--rate_seeds: {min(both)} is among --seeds. Expected others, so that '
        'no run that chose the learning rate is reported.'
      )
    if self.results.is_dir():
      raise IsADirectoryError(f'--results={self.results} is a directory.')
    self.results.parent.mkdir(parents=True, exist_ok=True)
    lines = results.read(self.results)
    self._check_settings(lines)
    for name in self.varied:
      for trial in [
        *self._rate_trials(name),
        *(
          trial
          for rate in self.learning_rates or [self._fixed_rate(name)]
          for trial in self._reported_trials(name, rate)
        ),
      ]:
        settings.check(trial.config)
        results.check(self.results, trial.identity, lines)
        files.check_experiment(trial.workdir, trial.config)

  def _check_settings(self, lines):
    """Checks that losses that are compared share all other settings."""
    ours = {
      self._reported_trials(name, 1.0)[0].identity['settings']
      for name in self.varied
    }
    theirs = {
      line['settings']
      for line in lines
      if line['experiment'] == self.experiment
    }
    # The variations of a config with `runs` may differ in any setting, and
    # then have several digests.
    if len(ours) == 1 and theirs - ours:
      raise FileExistsError(
        f'{self.results} holds runs of {self.experiment} with settings that '
        'differ in more than the loss and the learning rate. Choose another '
        '--results, or another --name for these.'
      )

  def _rate_trials(self, name) -> list[Trial]:
    """Makes the runs that choose a learning rate, if there is a choice."""
    if len(self.learning_rates) < 2:
      return []
    return [
      self._trial(name, results.RATE, rate, seed)
      for rate in self.learning_rates
      for seed in self.rate_seeds
    ]

  def _reported_trials(self, name, rate) -> list[Trial]:
    role = results.REPORT
    return [self._trial(name, role, rate, seed) for seed in self.seeds]

  def _fixed_rate(self, name) -> float:
    own = self.varied[name].optimizer.learning_rate
    return self.learning_rates[0] if self.learning_rates else own

  def _trial(self, name, role, rate, seed) -> Trial:
    config = self.varied[name].copy_and_resolve_references()
    config.seed = seed
    config.optimizer.learning_rate = rate
    if self.new_splits:
      config.data.seed = seed
    middle = f'-{rate:g}' if self.learning_rates else ''
    return Trial(
      config,
      self.workdir / f'{name}{middle}-{seed}',
      results.identity(self.experiment, name, role, config),
    )

  def _lines(self, trials) -> list[dict]:
    """Returns the lines of finished trials, in the order of the trials."""
    found = {results.key(line): line for line in results.read(self.results)}
    keys = [results.key(trial.identity) for trial in trials]
    return [found[key] for key in keys if key in found]

  def _count(self) -> tuple[int, int]:
    """Counts the runs, and how many of them are finished."""
    rates = [t for name in self.varied for t in self._rate_trials(name)]
    names = {(name, seed) for name in self.varied for seed in self.seeds}
    reported = {
      (line['loss'], line['seed'])
      for line in results.read(self.results)
      if line['experiment'] == self.experiment
      and line['role'] == results.REPORT
    }
    number = len(rates) + len(names)
    return number, len(self._lines(rates)) + len(names & reported)

  def _run_all(self, groups, countdown) -> None:
    """Trains runs without a line; waits for those of other processes."""
    left = [trial for trials in groups.values() for trial in trials]
    waits = False
    while left:
      number = len(left)
      left = [trial for trial in left if not self._run(trial, countdown)]
      if len(left) < number:
        continue
      if not waits:
        name = left[0].workdir.name
        print(f'Waiting for another process to finish {name}.', flush=True)
      waits = True
      time.sleep(_PAUSE)

  def _run(self, trial, countdown) -> bool:
    """Trains a run, unless it has a line, and writes the line.

    Returns:
      Whether the run has a line; if not, another process is training it.
    """
    if not self._lines([trial]):
      self.workdir.mkdir(parents=True, exist_ok=True)
      try:
        # The operating system releases the lock of a process that is killed.
        with self._lock(trial.workdir.name, timeout=0):
          if not self._lines([trial]):  # It may have been finished just now.
            _, finished = self._count()
            print(countdown.describe(finished, trial.workdir.name), flush=True)
            self._append(trial)
      except filelock.Timeout:
        return False
    if not self.keep_checkpoints:
      shutil.rmtree(trial.workdir / files.CHECKPOINTS, ignore_errors=True)
    return True

  def _lock(self, name, timeout=-1):
    return filelock.FileLock(self.workdir / f'.{name}.lock', timeout)

  def _append(self, trial):
    run = Trainer(trial.config, trial.workdir)
    line = trial.identity | results.describe_run(run)
    # Synthetic sentences depend on the seed as well.
    own_data = self.new_splits or trial.config.data.format == 'synthetic'
    others = results.read(self.results)
    results.check(self.results, line, others, same_data=not own_data)
    try:
      outcome = run.train()
    except FloatingPointError as error:
      print(f'{trial.workdir.name} diverged: {error}', flush=True)
      results.append(self.results, line | {'diverged': str(error)})
      return
    counts = results.example_counts(run, outcome)
    results.append(self.results, line | outcome | counts)
    rows = report.comparison_rows({trial.workdir.name: outcome})
    print(report.format_table(rows), flush=True)

  def _write_table(self, groups):
    for name, lines in groups.items():
      if diverged := [line['seed'] for line in lines if 'diverged' in line]:
        print(
          f'{name}: {len(diverged)} of {len(lines)} runs diverged (seed '
          f'{", ".join(map(str, diverged))}); the means are of the others.'
        )
    groups = {
      name: [line for line in lines if 'diverged' not in line]
      for name, lines in groups.items()
    }
    groups = {name: lines for name, lines in groups.items() if lines}
    if not groups:
      raise FloatingPointError('No run has a finite loss.')
    rows = report.sweep_rows(groups)
    print('\n' + report.format_table(rows))
    folders = {
      self._trial(
        name, results.REPORT, line['learning_rate'], line['seed']
      ).workdir.name: line
      for name, lines in groups.items()
      for line in lines
    }
    here = {  # Some runs of the results may be on another machine.
      name: line
      for name, line in folders.items()
      if (self.workdir / name / files.METRICS).is_file()
    }
    if here:
      with self._lock(files.REPORT):
        page.write_comparison(self.workdir, here, rows)


class _Countdown:
  """Estimates the time that the rest of the runs takes."""

  def __init__(self, number: int, finished: int):
    self._number, self._before = number, finished
    self._began = time.monotonic()

  def describe(self, finished: int, name: str) -> str:
    left = ''
    if finished > self._before:
      mean = (time.monotonic() - self._began) / (finished - self._before)
      minutes = mean * (self._number - finished) / 60
      left = f', about {minutes:.0f} min left'
    return f'Run {finished + 1} of {self._number}{left}: {name}'


def _describe_rates(name, lines, chosen) -> str:
  """Describes the mean scores of the learning rates on dev in a sentence."""
  means = ', '.join(
    f'{rate:g} {"diverged" if mean is None else f"{100 * mean:.2f}"}'
    for rate, mean in results.mean_by_rate(lines).items()
  )
  if chosen is None:
    return f'{name}: no learning rate without a run that diverged ({means}).'
  return f'{name}: learning rate {chosen:g} of {means} on dev.'
