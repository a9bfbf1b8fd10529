"""The interface of examples, whichever file they come from."""

from collections.abc import Hashable
from typing import Protocol


class Example(Protocol):
  """The properties of an example that do not depend on its kind.

  Attributes:
    where: names the example in messages, such as `line 17`.
    words: its words, from which a tokenizer may be trained.
    group: examples with equal groups are held out or sampled together.
  """

  @property
  def where(self) -> str: ...

  @property
  def words(self) -> list[str]: ...

  @property
  def group(self) -> Hashable: ...
