"""Checks of the labels of a training split, whichever task has them."""

import collections
from collections.abc import Iterable

# So many labels that occur once are not an accident if they are the majority.
_MANY = 20


def check_labels(config, labels: Iterable[str]) -> None:
  """Checks that labels are not texts, numbers or ids.

  Args:
    config: the config, whose reader has read the labels.
    labels: the labels of all examples, one after the other.

  Raises:
    ValueError: most labels occur once, and there are many of them.
  """
  counts = collections.Counter(labels)
  once = [label for label, count in counts.items() if count == 1]
  if len(once) < _MANY or len(once) <= len(counts) / 2:
    return
  section = config.data.get(config.data.format, {})
  key = f'data.{config.data.format}.label'
  column = f'is {key}={section.label!r} right' if 'label' in section else ''
  causes = [column] if column else ['is the column of the labels right']
  if config.data.format == 'tsv':
    causes.append("or are there quotes (data.format='csv')")
  raise ValueError(
    f'The training split has {len(counts)} labels, and {len(once)} of them '
    f'occur once, such as {once[0][:40]!r}: {", ".join(causes)}?'
  )
