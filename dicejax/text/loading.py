"""Loads a trained model: an export, a run, or a Hugging Face directory."""

from __future__ import annotations

import numbers
import os
import pathlib
from collections.abc import Mapping
from typing import Any

from dicejax.models import FineTuned
from dicejax.models import SpanExtractor
from dicejax.models import TokenTagger
from dicejax.models import load_finetuned
from dicejax.models import resolve
from dicejax.models.pretrained import OWN
from dicejax.models.pretrained import read_values
from dicejax.text import runs
from dicejax.text.answers import AnswerDecoder
from dicejax.text.answers import AnswerSettings
from dicejax.text.label_sets import LabelSetDecoder
from dicejax.text.labels import LabelDecoder
from dicejax.text.predictor import Predictor
from dicejax.text.tags import TagDecoder
from dicejax.text.tokenizer import check_length
from dicejax.text.tokenizer import load_tokenizer

# Prefixes of tags in BIOES, BILOU and BMES -> those in BIO.
_BIO = dict(zip('BIESLUM', 'BIIBIBI', strict=True))
_DTYPES = 'float32', 'bfloat16'
# The length in pretraining of encoders that have no limit of their own.
_PRETRAINED, _UNKNOWN = 512, 1e9


def load(
  source: str | os.PathLike,
  *,
  decision: str = '',
  batch_size: int = 32,
  max_length: int = 0,
  dtype: str = 'float32',
) -> Predictor:
  """Loads a trained model, to be called with texts.

  Args:
    source: a directory that `python -m train.export` wrote; the directory of a
      run, if orbax-checkpoint is installed; or any directory, or name on the
      Hugging Face hub, of an encoder of `dicejax.models.FAMILIES` that was
      fine-tuned for tagging, classification of texts or pairs, or extractive
      question answering.
    decision: the rule of decision: 'tuned', on the data that the model was
      chosen by (the default if there is one), 'argmax' or 'plug-in'.
    batch_size: number of inputs that are computed together.
    max_length: largest number of sub-words of an input; longer ones are cut,
      or have several windows for a question. 0: as in training, or as many as
      the encoder has positions for; 512 if there is no limit.
    dtype: the number type of the computation, 'float32' or 'bfloat16'.

  Returns:
    A predictor, which shows how it decides.

  Raises:
    FileNotFoundError, ImportError, ValueError: as for `load_finetuned`; or the
      model does not have the rule, or no positions for `max_length`, or an
      argument has no such value.
    TypeError: the source is no path and no name.
  """
  _check_at_least('batch_size', batch_size, 1)
  _check_at_least('max_length', max_length, 0)
  if dtype not in _DTYPES:
    raise ValueError(
      f'dtype is {" or ".join(map(repr, _DTYPES))}, not {dtype!r}.'
    )
  directory = _find(source)
  read = runs.read_run if runs.is_run(directory) else load_finetuned
  found = read(directory)
  own = _read_own(directory, found)
  limit = found.model.config.max_length
  if max_length > limit:
    raise ValueError(f'max_length={max_length}: the encoder has only {limit}.')
  length = max_length or own.get('max_length') or _longest(directory, limit)
  if isinstance(found.model, TokenTagger):
    found = in_bio(found)
  return Predictor(
    found.model.clone(dtype=dtype),
    found.params,
    _make_decoder(found, load_tokenizer(directory), length, own),
    max_length=length,
    tuned=own.get('tuned') or {},
    decision=decision,
    batch_size=batch_size,
  )


def _check_at_least(name: str, value: int, minimum: int) -> None:
  if not isinstance(value, numbers.Integral) or value < minimum:
    raise ValueError(
      f'{name} is a whole number of at least {minimum}, not {value!r}.'
    )


def _find(source: str | os.PathLike) -> pathlib.Path:
  """Returns the directory of a model; one from the hub is downloaded."""
  if not isinstance(source, str | os.PathLike) or source == '':
    raise TypeError(
      f'Expected a directory or a name on the Hugging Face hub, not {source!r}.'
    )
  directory = resolve(source)
  runs.check_is_model(directory)
  return directory


def _read_own(directory: pathlib.Path, found: FineTuned) -> dict[str, Any]:
  """Returns what this library adds to a config, {} where it added nothing."""
  own = found.values.get(OWN) or {}
  sections = 'tuned', 'answers'
  if (
    not isinstance(own, dict)
    or not isinstance(own.get('max_length', 0), int)
    or not all(isinstance(own.get(name, {}), dict) for name in sections)
    or not own.get('answers', {}).keys() <= {*AnswerSettings._fields}
    or not all(_is_decision(x, found) for x in own.get('tuned', {}).values())
  ):
    raise ValueError(
      f'{directory}: the section {OWN!r} of config.json is not as train.export '
      'writes it.'
    )
  return own


def _is_decision(value: Any, found: FineTuned) -> bool:
  """Whether a tuned value is a number, or has a number for each label."""
  if isinstance(value, dict):
    numbers_ = value.values() if value.keys() == {*found.labels} else [None]
    return all(isinstance(x, float | int) for x in numbers_)
  return isinstance(value, float | int)


def in_bio(found: FineTuned) -> FineTuned:
  """Brings the labels of a tagger into the form that is decoded: BIO, O first.

  Other labels, such as parts of speech, stay as they are.
  """
  labels = found.labels
  if 'O' not in labels or not all(map(_is_tag, labels)):
    return found
  first = labels.index('O')
  order = [first, *(i for i in range(len(labels)) if i != first)]
  labels = tuple(
    'O' if labels[i] == 'O' else _BIO[labels[i][0]] + labels[i][1:]
    for i in order
  )
  head = {name: x[..., order] for name, x in found.params['head'].items()}
  return found._replace(labels=labels, params={**found.params, 'head': head})


def _is_tag(label: str) -> bool:
  return label == 'O' or (label[:1] in _BIO and label[1:2] == '-')


def _make_decoder(
  found: FineTuned, tokenizer, max_length: int, own: Mapping[str, Any]
):
  if isinstance(found.model, TokenTagger):
    return TagDecoder(tokenizer, found.labels, max_length)
  if isinstance(found.model, SpanExtractor):
    return _make_answer_decoder(tokenizer, max_length, own)
  if 'multi_label' in (own.get('task'), _problem(found)):
    return LabelSetDecoder(tokenizer, found.labels, max_length)
  return LabelDecoder(
    tokenizer,
    found.labels,
    max_length,
    positive=own.get('positive', ''),
    sigmoid=found.model.num_labels == 1,
  )


def _make_answer_decoder(
  tokenizer, max_length: int, own: Mapping[str, Any]
) -> AnswerDecoder:
  check_length(tokenizer, max_length, pair=True)
  settings = AnswerSettings(max_length, **own.get('answers', {}))
  # However short the inputs, a question leaves room for some context.
  room = max_length - tokenizer.num_special_tokens_to_add(True)
  longest = min(settings.max_question, room - 1)
  return AnswerDecoder(tokenizer, settings._replace(max_question=longest))


def _problem(found: FineTuned) -> str:
  """Returns what transformers calls the problem of a classifier."""
  problem = found.values.get('problem_type') or ''
  return problem.removesuffix('_classification')


def _longest(directory: pathlib.Path, limit: float) -> int:
  """Returns the largest input of a published model, in sub-words."""
  file = directory / 'tokenizer_config.json'
  values = read_values(file) if file.is_file() else {}
  longest = min(limit, values.get('model_max_length') or limit)
  # Where nobody knows, transformers writes a number of 30 digits.
  return int(longest) if longest < _UNKNOWN else _PRETRAINED
