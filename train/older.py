"""Settings that are newer than a run or a line of results, with their meaning.

A new setting must not make an old run another experiment. Each is listed here
with the value by which runs worked that did not have it.
"""

import copy
from collections.abc import Mapping
from typing import Any

from ml_collections import config_dict

# Settings that configs of version 0.1.0 lack.
_SINCE_0_1 = {
  'data.seed': 0,
  'data.foreground': 0.0,
  'data.tfds.builder': '',
  'model.frozen': False,
  'model.pooling': 'cls',
  'model.prior_bias': False,
  'select_by': '',
}
# Settings that were added after the first results with a digest of settings
# (docs/study). Where they have this value, which is the default, a digest does
# not cover them.
ADDED: dict[str, Any] = {
  'data.csv.header': True,
  'data.csv.text': 'text',
  'data.csv.pair': '',
  'data.csv.label': 'label',
  'data.csv.labels': '',
  'data.csv.label_separator': '',
  'data.csv.separator': ',',
  'data.csv.encoding': 'utf-8',
  'data.csv.skip_malformed': False,
  'data.tsv.labels': '',
  'data.tsv.label_separator': '',
  'data.jsonl.labels': '',
  'data.jsonl.label_separator': '',
  'span_qa.characters': False,
  'data.hf.name': '',
  'data.hf.subset': '',
  'data.hf.text': '',
  'data.hf.pair': '',
  'data.hf.label': '',
  'data.hf.labels': '',
  'data.hf.tokens': '',
  'data.hf.tags': '',
  'optimizer.name': 'adamw',
  'optimizer.options': {},
  'optimizer.schedule': 'linear_schedule',
  'optimizer.schedule_options': {},
  'patience': 0,
  'model.attention_dropout': 0.0,
  'compilation_cache': 2.0,
}


def complete(settings: Mapping[str, Any]) -> dict[str, Any]:
  """Adds the settings that an older config lacks.

  Args:
    settings: the config as nested dicts, perhaps without newer settings.
  """
  settings = copy.deepcopy(dict(settings))
  for key, value in (_SINCE_0_1 | ADDED).items():
    *parents, name = key.split('.')
    part = settings
    for parent in parents:
      part = part.setdefault(parent, {})
    part.setdefault(name, copy.deepcopy(value))
  return settings


def without_added(settings: Mapping[str, Any]) -> dict[str, Any]:
  """Drops added settings that have their default, as older digests lack them.

  Args:
    settings: the config as nested dicts.
  """
  settings = copy.deepcopy(dict(settings))
  for key, value in ADDED.items():
    _drop(settings, key.split('.'), value)
  return settings


def read_config(settings: Mapping[str, Any]) -> config_dict.ConfigDict:
  """Makes a config of the settings of a run, which may be an older one."""
  return config_dict.ConfigDict(complete(settings))


def _drop(part, names, value):
  """Drops a setting with this value, and the section that it leaves empty."""
  name, *others = names
  if name not in part:
    return
  if others:
    _drop(part[name], others, value)
    if not part[name]:
      del part[name]
  elif part[name] == value:
    del part[name]
