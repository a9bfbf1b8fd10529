"""Tasks: features, head, decoding and metric of a kind of experiment."""

from collections.abc import Mapping
from collections.abc import Sequence

from train.data.conll import Sentence
from train.data.mrc_ner import Query
from train.data.squad import Question
from train.data.texts import Text
from train.tasks import classification
from train.tasks import query_spans
from train.tasks import span_qa
from train.tasks import tagging
from train.tasks.task import Labels
from train.tasks.task import Task

_TASKS = {
  'tagging': (tagging.Tagging, tagging.get_labels, Sentence),
  'query_spans': (
    query_spans.QuerySpans,
    query_spans.get_labels,
    (Query, Sentence),
  ),
  'span_qa': (span_qa.SpanQa, span_qa.get_labels, Question),
  'classification': (
    classification.Classification,
    classification.get_labels,
    Text,
  ),
}


def make_task(config, tokenizer, labels: Labels) -> Task:
  """The task that `config.task` names, with the labels of `get_labels`.

  Raises:
    ValueError: no such task, or settings that do not fit it.
  """
  return _entry(config)[0](config, tokenizer, labels)


def get_labels(config, examples: Sequence) -> Labels:
  """Names of the classes of a training split, for `make_task`.

  Raises:
    ValueError: no such task, or examples that do not fit it.
  """
  _, find, kinds = _entry(config)
  if not isinstance(examples[0], kinds):
    raise ValueError(
      f'The task {config.task!r} does not go with '
      f'data.format={config.data.format!r}.'
    )
  return find(config, examples)


def select_headline(config, task: Task) -> tuple[str, str]:
  """Row and column of the scores by which checkpoints are chosen.

  Raises:
    ValueError: `config.select_by` names no score.
  """
  if not config.select_by:
    return task.headline
  row, slash, column = config.select_by.rpartition('/')
  if not slash or column not in task.selectable.get(row, ()):
    known = (
      f'{r}/{"|".join(columns)}' for r, columns in task.selectable.items()
    )
    raise ValueError(
      f'select_by: {config.select_by!r} is no score of this task: expected '
      f'ROW/COLUMN out of {", ".join(known)}.'
    )
  return row, column


def decide(
  task: Task, tuned: Mapping[str, float], rule: str = ''
) -> tuple[str, Mapping[str, float]]:
  """The rule that decides, 'tuned' if there is one, and its parameters.

  Raises:
    ValueError: a rule that the task does not have, or that was not tuned.
  """
  rules = task.decisions(tuned)
  rule = rule or ('tuned' if 'tuned' in rules else 'argmax')
  if rule not in rules:
    raise ValueError(
      f'--decision={rule}: this run has {" and ".join(rules)}; other rules are '
      'there where a dev split tunes them.'
    )
  return rule, rules[rule]


def _entry(config):
  if config.task not in _TASKS:
    raise ValueError(f'task: {config.task!r} is none of {", ".join(_TASKS)}.')
  return _TASKS[config.task]
