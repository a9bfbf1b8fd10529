"""Tasks: features, head, decoding and metric of a kind of experiment.

To add a task, create a package beside the others, with a class that has all
that `Task` in task.py lists (tests/test_tasks.py checks it), and name the class
in `_TASKS` below. The program finds out everything else from the class.
"""

from collections.abc import Mapping
from collections.abc import Sequence

from train.data.fields import LabelledText
from train.data.fields import Text
from train.tasks.classification import Classification
from train.tasks.multi_label import MultiLabel
from train.tasks.query_spans import QuerySpans
from train.tasks.span_qa import SpanQa
from train.tasks.tagging import Tagging
from train.tasks.task import Labels
from train.tasks.task import Task

_TASKS: dict[str, type[Task]] = {
  'tagging': Tagging,
  'query_spans': QuerySpans,
  'span_qa': SpanQa,
  'classification': Classification,
  'multi_label': MultiLabel,
}

# (task, type of the examples) → how the two might go together.
_HINTS = {
  ('classification', LabelledText): ' here, where texts have lists of labels: '
  "task='multi_label' learns these",
  ('multi_label', Text): ' here, where each text has one label: expected lists '
  'of labels in JSON lines or, for a table, data.FORMAT.label_separator or '
  'data.FORMAT.labels',
}


def make_task(config, tokenizer, labels: Labels) -> Task:
  """Returns the task that `config.task` names, with labels of `get_labels`.

  Raises:
    ValueError: no task has this name, or the settings do not fit it.
  """
  return _find(config)(config, tokenizer, labels)


def get_labels(config, examples: Sequence) -> Labels:
  """Returns the classes of a training split, for `make_task`.

  Raises:
    ValueError: no task has this name, or the examples do not fit it.
  """
  task = _find(config)
  if not isinstance(examples[0], task.example_types):
    hint = _HINTS.get((config.task, type(examples[0])), '')
    raise ValueError(
      f'The task {config.task!r} does not go with '
      f'data.format={config.data.format!r}{hint}.'
    )
  return task.get_labels(config, examples)


def select_headline(config, task: Task) -> tuple[str, str]:
  """Returns row and column of the score that chooses checkpoints.

  Raises:
    ValueError: `config.select_by` does not name a score of the task.
  """
  if not config.select_by:
    return task.headline
  row, slash, column = config.select_by.rpartition('/')
  if not slash or column not in task.selectable.get(row, ()):
    known = ', '.join(
      f'{row}/{"|".join(columns)}' for row, columns in task.selectable.items()
    )
    raise ValueError(
      f'select_by: {config.select_by!r} is not a score of this task: expected '
      f'ROW/COLUMN out of {known}.'
    )
  return row, column


def decide(
  task: Task, tuned: Mapping[str, float], rule: str = ''
) -> tuple[str, Mapping[str, float]]:
  """Returns a rule of decision and its parameters.

  Args:
    task: has the rules.
    tuned: parameters from dev.
    rule: its name; by default 'tuned' if dev tuned it, else 'argmax'.

  Raises:
    ValueError: the task does not have the rule, or dev did not tune it.
  """
  rules = task.decisions(tuned)
  rule = rule or ('tuned' if 'tuned' in rules else 'argmax')
  if rule not in rules:
    raise ValueError(
      f'--decision={rule}: this run has {" and ".join(rules)}; other rules are '
      'there where a dev split tunes them.'
    )
  return rule, rules[rule]


def _find(config) -> type[Task]:
  if config.task not in _TASKS:
    raise ValueError(f'task: {config.task!r} is none of {", ".join(_TASKS)}.')
  return _TASKS[config.task]
