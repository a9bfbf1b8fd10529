"""The command line: changes of settings, and errors in one sentence."""

import ast
import inspect
import os
import pathlib
import re
import subprocess
import sys

import pytest

from configs import default
from train import config_flag
from train import memory
from train import settings_table

ROOT = pathlib.Path(default.__file__).parents[1]
WNUT = 'configs/ner/wnut17.py'


@pytest.fixture(autouse=True)
def root(monkeypatch):
  monkeypatch.chdir(ROOT)


def run(module, *arguments):
  return subprocess.run(
    [sys.executable, '-m', module, *arguments],
    cwd=ROOT,
    capture_output=True,
    text=True,
    env=os.environ | {'JAX_PLATFORMS': 'cpu'},
  )


@pytest.mark.parametrize(
  'command, text',
  [
    (
      'train --config.lr=1',
      'no setting `lr`; did you mean `optimizer.learning_rate`?',
    ),
    ('train --confg=x', 'no flag --confg; did you mean --config?'),
    (
      'train --batch_size=16',
      'no flag --batch_size; did you mean --config.batch_size?',
    ),
    ('train --zzz', 'no flag --zzz; --help shows all flags.'),
    ('train ner', 'not understood: ner'),
    (f'train --config={WNUT}:focl', '; did you mean focal?'),
    (
      'train --config=configs/study.py:wnut',
      "error: The set 'wnut' is none of wnut17, ",
    ),
    ('train --config=configs/small.py:ner/wnut', 'did you mean ner/wnut17?'),
    (
      'train --config=configs/ner/wnut.py',
      '--config: there is no file configs/ner/wnut.py; did you mean '
      'configs/ner/wnut17.py',
    ),
    ('train.sweep --config.lr=1', 'no setting `lr`; did you mean'),
    (f'train.sweep --config={WNUT} --losses=focl', "'focl' is none of"),
    ('train.data wnut17 --config.lr=1', 'no setting `lr`; did you mean'),
    ('train.evaluate --split=dev', '--workdir is required; see --help.'),
  ],
)
def test_one_sentence_for_an_error(command, text):
  done = run(*command.split())
  assert (done.returncode, done.stdout) == (2, '')
  assert done.stderr.startswith('error: ') and text in done.stderr
  assert done.stderr.count('\n') == 1, done.stderr


@pytest.mark.parametrize(
  'main, code', [('print(1)', 141), ('print(1, flush=True)', 141), ('0', 0)]
)
def test_nobody_reads_the_output(main, code):
  ours, theirs = os.pipe()
  os.close(ours)
  script = f'from train import cli; cli.run(lambda: {main})'
  done = subprocess.run(
    [sys.executable, '-c', script],
    cwd=ROOT,
    stdout=theirs,
    stderr=subprocess.PIPE,
    env=os.environ | {'JAX_PLATFORMS': 'cpu'},
  )
  os.close(theirs)
  assert (done.returncode, done.stderr) == (code, b'')


@pytest.mark.parametrize(
  'change, text',
  [
    ('batchsize=3', '`batchsize`; did you mean `batch_size`?'),
    ('max_len=3', '`max_len`; did you mean `max_length`?'),
    ('learning-rate=3', 'did you mean `optimizer.learning_rate`?'),
    ('dir=here', '`dir`; did you mean `data.dir`?'),
    ('optimiser.eps=1', 'did you mean `optimizer.eps`?'),
    ('loss.options.smoth=1', 'did you mean `loss.options.smooth`?'),
    ('loss.options.gama=1', '`loss.options` has average, axis, smooth.'),
    ('quux=1', 'no setting `quux`; --settings prints all settings.'),
    ('batch_size.x=1', 'no setting `batch_size.x`'),
    ('batch_size=x', "--config.batch_size: expected a whole number, found 'x'"),
    ('optimizer.eps=x', "optimizer.eps: expected a number, found 'x'"),
    ('packing=3.5', "packing: expected true or false, found '3.5'"),
    ('data.resample=3', "data.resample: expected a dict such as {'a': 1.0}"),
    (
      "optimizer={'lr': 1}",
      '--config.optimizer: expected a dict with clip_norm, eps, final, '
      'learning_rate, name, options, schedule, schedule_options, warmup, '
      'weight_decay, found lr.',
    ),
    ("data.files={'train': 'a'}", 'with dev, test, train, found train.'),
    ('data.files={}', 'with dev, test, train, found none.'),
    ('loss.class_weights.O=x', "weights.O: expected a number, found 'x'"),
    ('loss.class_weights.a.b=1', 'a label with a dot cannot be a key'),
    ('los.class_weights.O=1', 'did you mean `loss.class_weights`?'),
    ('batch_size', 'Missing value for flag --config.batch_size'),
  ],
)
def test_wrong_changes(change, text):
  with pytest.raises(config_flag.UsageError) as error:
    config_flag.load(WNUT, [f'--config.{change}'])
  assert text in str(error.value) and '\n' not in str(error.value)


def test_settings_of_runs():
  """The config has no loss if each of its runs has one."""
  with pytest.raises(
    config_flag.UsageError, match='`runs.cross_entropy.loss.c'
  ):
    config_flag.load(
      'configs/quickstart.py', ['--config.loss.class_weights.O=1']
    )


def test_aliases_are_settings():
  settings = set(config_flag.near_settings(default.get_config(), 'seed'))
  assert 'seed' in settings
  for alias, setting in config_flag.ALIASES.items():
    near = config_flag.near_settings(default.get_config(), alias)
    assert near == [setting]


def test_errors_of_a_config_file(tmp_path):
  file = tmp_path / 'own.py'
  for body, text in [
    ('def get_config(): return 1 / 0', 'raises ZeroDivisionError: division'),
    ('def get_config(: pass', 'raises SyntaxError'),
    ('from configs import nothing', 'raises ImportError: cannot import'),
    ("def get_config(): raise ValueError('so')", '^so$'),
  ]:
    file.write_text(body)
    with pytest.raises(config_flag.UsageError, match=text):
      config_flag.load(str(file))


def test_changes():
  config = config_flag.load(
    f'{WNUT}:focal',
    [
      '--config.optimizer.learning_rate=3e-5',
      '--config.loss.options.gamma=1.5',
      '--config.data.dir=a=b',
      '--config.loss.class_weighting=balanced',
      '--noconfig.packing',
      '--noconfig.model.remat',
      "--config.data.held_out={'dev': 0.1, 'test': 0.2}",
      '--config.epochs=2',
      '--config.epochs=4',
    ],
  )
  assert config.is_locked
  assert config.loss.name == 'focal' and config.loss.options.gamma == 1.5
  assert config.optimizer.learning_rate == 3e-5
  assert config.loss.class_weighting == 'balanced'
  assert config.data.held_out.to_dict() == {'dev': 0.1, 'test': 0.2}
  assert config.data.dir == 'a=b' and config.epochs == 4
  assert config.packing is False and config.model.remat is False


def test_numbers_by_label():
  """A key adds one label to the preset's; a dict replaces them all."""
  for changes, weights in [
    (['class_weights.B-PER=2'], {'O': 0.0, 'B-PER': 2.0}),
    (['class_weights.O=.5', 'class_weights.1=3'], {'O': 0.5, '1': 3.0}),
    (['class_weights={"B-PER": 2.0}'], {'B-PER': 2.0}),
    (['class_weights.#1 a=1', 'class_weights={}'], {'#1 a': 1.0}),
  ]:
    changes = [f'--config.loss.{change}' for change in changes]
    config = config_flag.load(WNUT, changes)
    assert config.loss.class_weights.to_dict() == weights
    assert config.is_locked
  change = '--config.loss.class_weights.B-PER=2'
  config = config_flag.load(f'{WNUT}:cross_entropy', [change])
  assert config.loss.class_weights.to_dict() == {'B-PER': 2.0}
  config = config_flag.load(
    'configs/paraphrase/mrpc.py', ['--config.data.resample.1=2']
  )
  assert config.data.resample.to_dict() == {'1': 2.0}


def test_wrong_labels_are_errors_of_the_run(tmp_path):
  (tmp_path / 'train.txt').write_text('Ann B-PER\n\nhere O\n')
  for file in ('dev.txt', 'test.txt'):
    (tmp_path / file).symlink_to('train.txt')
  done = run(
    'train',
    '--config=configs/default.py',
    f'--config.data.dir={tmp_path}',
    f'--config.data.cache={tmp_path}/cache',
    f'--workdir={tmp_path}/run',
    '--config.loss.class_weights.B-LOC=2',
  )
  assert done.returncode == 1
  assert "loss.class_weights: no label ['B-LOC']" in done.stderr


def test_comments_are_read():
  source = """
x = create(
  # Above,
  # in two lines.
  a=1,
  b=2,  # Behind.
  c=create(d=3, e=4),  # All of it.
  # A list:
  # - g: first,
  #   in two lines;
  # - h: second.
  f=create(
    # The comment of h.
    h='# no comment',
  ),
)
"""
  assert settings_table.read_comments(source) == {
    'a': 'Above, in two lines.',
    'b': 'Behind.',
    'c': 'All of it.',
    'f': 'A list:',
    'f.g': 'First, in two lines;',
    'f.h': 'The comment of h.',
  }


def test_every_setting_has_a_comment():
  """The comment may be on the setting or on its section."""
  comments = settings_table.read_comments(inspect.getsource(default))
  flat = flatten(default.get_config().to_dict())
  assert len(flat) > 80
  for key in flat:
    section = key.rpartition('.')[0]
    assert comments.get(key) or comments[section], key
    assert not comments.get(key, '').endswith((',', ';')), key


def flatten(settings, prefix=''):
  flat = {}
  for name, value in settings.items():
    key = f'{prefix}{name}'
    by_label = name in ('class_weights', 'resample') or value == {}
    if isinstance(value, dict) and not by_label:
      flat |= flatten(value, f'{key}.')
    else:
      flat[key] = value
  return flat


@pytest.mark.parametrize('command', ['train', 'train.sweep'])
def test_print_settings(command, tmp_path):
  done = run(
    command,
    f'--config={WNUT}:focal',
    '--config.optimizer.learning_rate=3e-5',
    '--config.loss.class_weights.O=0.5',
    '--settings',
    f'--workdir={tmp_path}/run',
  )
  assert (done.returncode, done.stderr) == (0, '')
  assert not (tmp_path / 'run').exists()
  printed, starred = {}, set()
  for line in done.stdout.splitlines()[2:]:
    if match := re.match(r'([* ]) ([\w.]+) = (.*?)(?:   .*)?$', line):
      star, key, value = match.groups()
      printed[key] = ast.literal_eval(re.sub(r'  +\S.*', '', value))
      starred |= {key} if star == '*' else set()
  config = config_flag.load(
    f'{WNUT}:focal',
    [
      '--config.optimizer.learning_rate=3e-5',
      '--config.loss.class_weights.O=0.5',
    ],
  )
  flat = flatten(config.to_dict())
  assert printed == flat
  defaults = flatten(default.get_config().to_dict())
  assert starred == {
    key for key in flat if key not in defaults or flat[key] != defaults[key]
  }
  assert 'Fraction of all steps' in done.stdout


@pytest.mark.parametrize(
  'command, options',
  [
    ('train', '--config --settings --workdir --coordinator'),
    ('train.sweep', '--losses --rate_seeds --nokeep_checkpoints --results'),
    ('train.evaluate', '--workdir --split --files --json'),
  ],
)
def test_help_fits_a_screen(command, options):
  done = run(command, '--help')
  assert (done.returncode, done.stderr) == (0, '')
  lines = done.stdout.splitlines()
  assert len(lines) <= 40 and max(map(len, lines)) <= 80
  assert f'python -m {command} --' in done.stdout
  for option in options.split():
    assert sum(line.startswith(f'  {option} ') for line in lines) == 1
  assert '--helpfull' not in done.stdout and '/' + command not in done.stdout


def test_a_command_starts_anew_for_huge_pages_once():
  code = (
    'import os, sys\nfrom train import memory\nmemory.use_huge_pages()\n'
    "print(os.getpid(), os.environ.get('GLIBC_TUNABLES'), *sys.argv[1:])"
  )

  def run(**changes):
    env = {n: x for n, x in os.environ.items() if n != 'GLIBC_TUNABLES'}
    process = subprocess.Popen(
      [sys.executable, '-c', code, 'a b', '--c'],
      env=env | changes,
      cwd=ROOT,
      stdout=subprocess.PIPE,
      text=True,
    )
    return process.pid, process.communicate()[0].rstrip('\n')

  pid, printed = run()
  chosen = 'glibc.malloc.hugetlb=1' if memory._is_a_choice() else None
  assert printed == f'{pid} {chosen} a b --c'
  pid, printed = run(GLIBC_TUNABLES='')
  assert printed == f'{pid}  a b --c'
