"""Checks of the settings and of the training split of span QA."""

from collections.abc import Sequence

import tokenizers

from dicejax.text.windows import learnt_spans
from train.data.squad import Question


def check_settings(config, tokenizer: tokenizers.Tokenizer) -> None:
  """Raises ValueError for settings that exclude each other."""
  settings, sigmoid = config.span_qa, config.loss.activation == 'sigmoid'
  for name in ('max_question', 'stride', 'max_answer', 'n_best'):
    if settings[name] < 1:
      raise ValueError(f'span_qa.{name} is at least 1, not {settings[name]}.')
  special = tokenizer.num_special_tokens_to_add(True)
  if config.max_length <= settings.max_question + special:
    raise ValueError(
      f'max_length={config.max_length} leaves no room for a context beside '
      f'span_qa.max_question={settings.max_question} and {special} special '
      'sub-words.'
    )
  if config.model.prior_bias and not sigmoid:
    raise ValueError(
      "model.prior_bias: span_qa needs loss.activation='sigmoid', as the "
      'positions of a softmax are not classes.'
    )
  if settings.several and settings.unanswerable:
    raise ValueError('span_qa: several or unanswerable, not both.')
  if settings.several and settings.characters:
    raise ValueError(
      'span_qa: several or characters, not both: answers of several spans are '
      'scored by words, as QuoRef does.'
    )
  if settings.several and not sigmoid:
    raise ValueError(
      "span_qa.several needs loss.activation 'sigmoid': a softmax has one "
      'start in a window.'
    )
  if settings.several != (config.data.squad.answers == 'spans'):
    raise ValueError(
      "span_qa.several and data.squad.answers='spans' go together: "
      f'{settings.several} does not with {config.data.squad.answers!r}.'
    )


def check_loss(loss, *, sigmoid: bool) -> None:
  """Raises ValueError for a `loss` section that a softmax cannot have.

  Its softmax is over positions, and each window has positions of its own.
  """
  if sigmoid:
    return
  if loss.options.get('label_smoothing'):
    raise ValueError(
      'span_qa: label_smoothing would go to positions outside the context.'
    )
  for key in ('running', 'class_weighting', 'keep_hardest'):
    if loss[key]:
      raise ValueError(
        f"span_qa: loss.{key} needs loss.activation='sigmoid', as the "
        'positions of a softmax are not classes.'
      )


def get_labels(config, examples: Sequence[Question]) -> tuple[str, ...]:
  """Returns no labels, as answers are positions.

  Raises:
    ValueError: no question has an answer in its context to learn from.
  """
  if not any(map(learnt_spans, examples)):
    raise ValueError(
      'The training split has no question with an answer in its context.'
    )
  return ()
