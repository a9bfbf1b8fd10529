"""Mentions: the concepts of a text and what it says of them."""

import collections
import enum
from collections.abc import Callable
from collections.abc import Iterable
from collections.abc import Mapping
from typing import NamedTuple


class Polarity(enum.StrEnum):
  """Whether a text says that a finding is there."""

  PRESENT = 'present'
  ABSENT = 'absent'
  UNCERTAIN = 'uncertain'


class Experiencer(enum.StrEnum):
  """Whose finding it is."""

  PATIENT = 'patient'
  OTHER = 'other'  # A relative or another person.


class Time(enum.StrEnum):
  """When the finding was or may be there."""

  CURRENT = 'current'
  PAST = 'past'  # In the history, or on an earlier study only.
  HYPOTHETICAL = 'hypothetical'  # "If pneumonia develops".


class Mention(NamedTuple):
  """A concept in a text.

  Attributes:
    concept: id of its term.
    start: where its words begin, in characters: they are `text[start:end]`.
    end: where they end.
    polarity: whether the text says that it is there.
    cue: start and end of the words that decided the polarity; None if the
      finding is simply named.
    experiencer: whose finding it is.
    time: when it was or may be there.
    modifiers: its side and degree in lower case, such as `('small', 'left')`.
  """

  concept: str
  start: int
  end: int
  polarity: Polarity
  cue: tuple[int, int] | None = None
  experiencer: Experiencer = Experiencer.PATIENT
  time: Time = Time.CURRENT
  modifiers: tuple[str, ...] = ()

  @property
  def is_current(self) -> bool:
    """Whether it speaks of the patient now, as sets and labels require.

    Example:
      >>> Mention('X:1', 0, 8, Polarity.PRESENT, time=Time.PAST).is_current
      False
    """
    return self.experiencer is Experiencer.PATIENT and self.time is Time.CURRENT


Extractor = Callable[[str], list[Mention]]


def count_left_out(mentions: Iterable[Mention]) -> dict[str, int]:
  """Counts the mentions that do not speak of the patient now, by reason.

  Example:
    >>> count_left_out([Mention('X:1', 0, 8, Polarity.PRESENT, time=Time.PAST)])
    {'mentions of the past': 1}
  """
  return name_left_out(
    collections.Counter((m.experiencer, m.time) for m in mentions)
  )


def name_left_out(
  counts: Mapping[tuple[Experiencer, Time], int],
) -> dict[str, int]:
  """Names what `count_left_out` counts, of numbers by experiencer and time."""
  reasons = {
    Experiencer.OTHER: 'mentions of others',
    Time.PAST: 'mentions of the past',
    Time.HYPOTHETICAL: 'hypothetical mentions',
  }
  found = collections.Counter()
  for (experiencer, time), count in counts.items():
    found[time if experiencer is Experiencer.PATIENT else experiencer] += count
  return {name: found[why] for why, name in reasons.items() if found[why]}
