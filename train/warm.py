"""Where a run starts from: published weights, an export, or another run."""

import pathlib
from collections.abc import Sequence
from typing import Any
from typing import NamedTuple

import numpy as np

from dicejax.models import EncoderConfig
from dicejax.models import load_finetuned
from dicejax.models import load_pooler
from dicejax.models import load_pretrained
from dicejax.models import pretrained
from dicejax.text import runs


class Start(NamedTuple):
  """Weights to start from.

  Attributes:
    encoder: the shape of the encoder.
    weights: parameters by module: `encoder`, perhaps `pooler` and `head`.
    labels: what the head predicts; None if there is no head.
    task: the task of the head, or ''.
  """

  encoder: EncoderConfig
  weights: dict[str, Any]
  labels: tuple[str, ...] | None = None
  task: str = ''


def read_start(source: pathlib.Path) -> Start:
  """Reads the weights to start from.

  The head is read if this program trained it.

  Args:
    source: the directory of a published model, of an export or of a run.

  Raises:
    OSError, ValueError: there are no such weights.
  """
  runs.check_is_model(source)
  if runs.is_run(source):
    return _start(runs.read_run(source))
  values = pretrained.read_values(source / 'config.json')
  if isinstance(values.get(pretrained.OWN), dict):
    return _start(load_finetuned(source))
  encoder, params = load_pretrained(source)
  weights = {'encoder': params}
  if pooler := load_pooler(source):
    weights['pooler'] = pooler
  return Start(encoder, weights)


def _start(found) -> Start:
  own = found.values['dicejax']
  config = found.model.config
  return Start(config, dict(found.params), found.labels, own.get('task', ''))


def keep_head(
  start: Start, config: Any, labels: Sequence[str]
) -> dict[str, Any]:
  """Returns the weights to start with: the head only where it fits.

  Where it is dropped, a line says why.

  Args:
    start: where the run starts from.
    config: the config of the run.
    labels: the labels of the run.
  """
  if 'head' not in start.weights:
    return start.weights
  if reason := _difference(start, config, labels):
    print(f'{config.model.pretrained}: its head is dropped, because {reason}.')
    return {n: x for n, x in start.weights.items() if n != 'head'}
  print(f'{config.model.pretrained}: goes on from its head as well.')
  if config.task != 'classification':
    return start.weights
  is_single = config.loss.activation == 'sigmoid'
  head = {
    name: _with_logits(x, 1 if is_single else len(labels))
    for name, x in start.weights['head'].items()
  }
  return {**start.weights, 'head': head}


def _with_logits(x: np.ndarray, outputs: int) -> np.ndarray:
  """Turns one logit into two with the same probabilities, or two into one."""
  if x.shape[-1] == outputs:
    return x
  if outputs == 1:
    return x[..., 1:] - x[..., :1]
  return np.concatenate([np.zeros_like(x), x], axis=-1)


def _difference(start: Start, config: Any, labels: Sequence[str]) -> str:
  """Says why a head does not fit; '' if it does."""
  if start.task != config.task:
    return f'its task was {start.task}'
  if start.labels != tuple(labels):
    return f'its labels were {_shorten(start.labels or ())}'
  if config.model.frozen:
    return 'a frozen encoder has standardised states'
  return ''


def _shorten(labels: Sequence[str]) -> str:
  shown = ', '.join(map(repr, labels[:5]))
  return f'{shown}, ...' if len(labels) > 5 else shown
