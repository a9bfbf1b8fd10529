"""When to stop before the last epoch."""

from collections.abc import Collection


class Patience:
  """Counts evaluations since the last one with a better score than before.

  Args:
    limit: number of such evaluations after which a run stops. 0: it does not.
    evaluations: the steps after which there is an evaluation.
    improved: step and score of the last better one, or None.
  """

  def __init__(
    self, limit: int, evaluations: Collection[int], improved: list | None
  ):
    self._limit, self._evaluations = limit, evaluations
    self.improved = improved

  def note(self, step: int, score: float) -> None:
    """Takes note of an evaluation. An equal score is no better one."""
    if self.improved is None or score > self.improved[1]:
      self.improved = [step, score]

  def is_over(self, step: int) -> bool:
    """Whether a run stops after a step."""
    if not self._limit or self.improved is None:
      return False
    since = sum(self.improved[0] < e <= step for e in self._evaluations)
    return since >= self._limit

  def explain(self, step: int) -> str:
    """Says why a run stopped after a step."""
    return (
      f'Stopped after step {step}: no better score on dev since step '
      f'{self.improved[0]} (patience={self._limit}).'
    )
