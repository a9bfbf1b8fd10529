"""Reports with labels that people gave: which labels can be learnt."""

import collections
from collections.abc import Collection
from collections.abc import Iterable


def learnable(
  labels: Iterable[Collection[str]], min_reports: int
) -> tuple[dict[str, int], dict[str, str]]:
  """Chooses the labels that enough reports have, and not all of them.

  Args:
    labels: names of labels, by report.
    min_reports: how many reports of a label are enough.

  Returns:
    The number of reports of each label that is left, and why others are
    skipped; both in the order of the names.

  Raises:
    ValueError: no label is left.

  Example:
    >>> learnable([{'edema', 'mass'}, {'edema'}, set()], 2)
    ({'edema': 2}, {'mass': 'fewer than 2 reports (1)'})
  """
  labels = [set(names) for names in labels]
  counts = collections.Counter(name for names in labels for name in names)
  left, skipped = {}, {}
  for name, count in sorted(counts.items()):
    if count < min_reports:
      skipped[name] = f'fewer than {min_reports} reports ({count})'
    elif count == len(labels):
      skipped[name] = 'all reports have it'
    else:
      left[name] = count
  if not left:
    raise ValueError(
      f'nothing to learn from: no label has {min_reports} reports or more and '
      'reports without it.'
    )
  return left, skipped
