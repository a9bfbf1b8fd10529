"""Runs and results from before a setting was added are still the same."""

import json
import operator
import pathlib

import pytest

from configs import default
from configs import study
from train import older
from train import results
from train import workdir as files

LINES = sorted(
  (pathlib.Path(__file__).parents[1] / 'docs/study').glob('*jsonl')
)


@pytest.mark.parametrize('path', LINES, ids=lambda path: path.stem)
def test_results_of_the_study_can_be_extended(path):
  digests = {(x['experiment'], x['settings']) for x in results.read(path)}
  for experiment, digest in digests:
    name = experiment.removeprefix('study-').replace('-', '/')
    config = study.get_config(name)
    ours = results.identity(experiment, 'dice', 'report', config)
    assert ours['settings'] == digest, experiment


def test_added_settings_have_their_default():
  config = default.get_config()
  for key, value in older.ADDED.items():
    *parents, name = key.split('.')
    part = operator.attrgetter('.'.join(parents))(config) if parents else config
    assert part.to_dict()[name] == value, key


@pytest.fixture
def setting(monkeypatch):
  """A setting and a section of one that an older config lacks."""
  added = {'data.new': 1, 'data.section.only': ''}
  monkeypatch.setattr(older, 'ADDED', added)
  config = default.get_config().unlock()
  config.data.new = 1
  config.data.section = dict(only='')
  return config


def test_an_added_setting_counts_where_it_was_changed(setting, tmp_path):
  old = default.get_config()
  (tmp_path / files.CONFIG).write_text(old.to_json())
  digest = results.identity('x', 'y', 'report', old)['settings']
  assert results.identity('x', 'y', 'report', setting)['settings'] == digest
  files.check_experiment(tmp_path, setting)
  for key, value in {'new': 2, 'section': {'only': 'a'}}.items():
    setting.data[key], before = value, setting.data[key]
    found = results.identity('x', 'y', 'report', setting)['settings']
    assert found != digest
    with pytest.raises(FileExistsError, match=f'data.{key}.* is .* here'):
      files.check_experiment(tmp_path, setting)
    setting.data[key] = before


def test_an_older_config_is_completed(setting):
  old = json.loads(default.get_config().to_json())
  assert older.read_config(old).data.section.only == ''
  assert older.complete(old) == json.loads(setting.to_json())
  assert 'new' not in old['data']
