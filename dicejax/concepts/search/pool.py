"""Segments as one run of reports, and how they are made of reports."""

import collections
import itertools
import multiprocessing
from collections.abc import Callable
from collections.abc import Iterable
from collections.abc import Iterator
from collections.abc import Sequence
from concurrent import futures
from typing import Any

import numpy as np

from dicejax.concepts.ontology import Ontology
from dicejax.concepts.ontology.weights import Frequencies
from dicejax.concepts.search.segment import EXPERIENCERS
from dicejax.concepts.search.segment import REPORTS
from dicejax.concepts.search.segment import TIMES
from dicejax.concepts.search.segment import Packer
from dicejax.concepts.search.segment import Segment
from dicejax.concepts.text.extraction import find_mentions
from dicejax.concepts.text.extraction import prepare
from dicejax.concepts.text.mentions import Extractor
from dicejax.concepts.text.mentions import Mention
from dicejax.concepts.text.mentions import name_left_out


class Pool:
  """Segments as one run of reports, which are numbered from 0.

  Args:
    segments: the reports.
  """

  def __init__(self, segments: Iterable[Segment]):
    self.segments = list(segments)
    self._firsts = np.cumsum([0, *map(len, self.segments)])

  def __len__(self) -> int:
    return int(self._firsts[-1])

  def locate(self, row: int) -> tuple[Segment, int]:
    """Returns the segment of a report, and its row there."""
    if not 0 <= row < len(self):
      raise IndexError(f'{row} is not the row of a report.')
    number = int(np.searchsorted(self._firsts, row, 'right')) - 1
    return self.segments[number], row - int(self._firsts[number])

  def find(self, id: str) -> int | None:
    """Returns the row of the report with an id, if there is one."""
    for segment, first in zip(
      self.segments, self._firsts.tolist(), strict=False
    ):
      row = segment.find(id)
      if row is not None:
        return first + row
    return None

  def frequencies(self, uncertain: str) -> Frequencies:
    """Adds up how often concepts occur."""
    kind = int(uncertain == 'present')
    counts = sum(segment.counts[kind] for segment in self.segments)
    return Frequencies(len(self), np.asarray(counts).tolist())

  def summary(self) -> dict[str, int]:
    """Counts reports, mentions and concepts."""
    concepts = [np.unique(part.mentions['concept']) for part in self.segments]
    return {
      'reports': len(self),
      'reports without concept': sum(
        int((np.diff(part.mention_stops) == 0).sum()) for part in self.segments
      ),
      'mentions': sum(len(part.mentions) for part in self.segments),
      'distinct concepts': len(set().union(*(c.tolist() for c in concepts))),
    }

  def left_out(self) -> dict[str, int]:
    """Counts the mentions that do not count for sets, by reason."""
    counts = collections.Counter()
    for part in self.segments:
      kinds = part.mentions[['experiencer', 'time']]
      found = np.unique(kinds, return_counts=True)
      for kind, count in zip(*(x.tolist() for x in found), strict=True):
        counts[EXPERIENCERS[kind[0]], TIMES[kind[1]]] += count
    return name_left_out(counts)


class Column(Sequence):
  """A value of each report, which is read when it is asked for.

  Args:
    pool: the reports.
    read: makes the value of a report, by its segment and its row there.
  """

  def __init__(self, pool: Pool, read: Callable[[Segment, int], Any]):
    self._pool, self._read = pool, read

  def __len__(self) -> int:
    return len(self._pool)

  def __getitem__(self, row):
    if isinstance(row, slice):
      return [self[number] for number in range(*row.indices(len(self)))]
    return self._read(*self._pool.locate(row + len(self) * (row < 0)))

  def __eq__(self, other: object) -> bool:
    if not isinstance(other, Sequence) or len(self) != len(other):
      return False
    return all(map(lambda one, two: one == two, self, other))


def extract_segments(
  reports: Iterable[tuple[str, str]],
  extractor: Extractor,
  ontology: Ontology,
  workers: int = 1,
) -> Iterator[Segment]:
  """Finds the mentions of reports, some thousands at a time.

  Args:
    reports: ids and texts.
    extractor: a `Linker`, or any function from a text to mentions.
    ontology: the concepts.
    workers: processes that do it; with several, the extractor is pickled.
  """
  reports = iter(reports)
  batches = iter(lambda: list(itertools.islice(reports, REPORTS)), [])
  if workers == 1:
    yield from map(_Maker(extractor, ontology), batches)
    return
  waiting = collections.deque()
  try:
    with futures.ProcessPoolExecutor(
      workers,
      # A fork of a process with threads, which JAX starts, may hang.
      multiprocessing.get_context('spawn'),
      initializer=_prepare,
      initargs=(extractor, ontology),
    ) as pool:
      for batch in batches:
        waiting.append(pool.submit(_make, batch))
        # No more reports are read than the processes can take.
        if len(waiting) > workers:
          yield waiting.popleft().result()
      while waiting:
        yield waiting.popleft().result()
  except futures.BrokenExecutor:
    raise ValueError('A process of --workers ended before its work.') from None


class _Maker:
  """Makes a segment of ids and texts."""

  def __init__(self, extractor, ontology):
    self._extractor, self._ontology = extractor, ontology
    self._packer = Packer(ontology)

  def __call__(self, batch: list[tuple[str, str]]) -> Segment:
    ids, texts = zip(*batch, strict=True)
    prepare(self._extractor, texts)
    mentions = [
      find_mentions(text, self._extractor, self._ontology, f'report {id!r}')
      for id, text in batch
    ]
    return self._packer.pack(ids, texts, mentions)


_makers = []  # of a worker process: one


def _prepare(extractor, ontology) -> None:
  _makers.append(_Maker(extractor, ontology))


def _make(batch) -> Segment:
  return _makers[0](batch)


def pack_segments(
  ids: Sequence[str],
  texts: Sequence[str],
  mentions: Sequence[Sequence[Mention]],
  ontology: Ontology,
) -> Iterator[Segment]:
  """Packs reports whose mentions are known."""
  packer = Packer(ontology)
  for first in range(0, len(ids), REPORTS):
    part = slice(first, first + REPORTS)
    yield packer.pack(ids[part], texts[part], mentions[part])


def merge_small(
  segments: Iterable[Segment], ontology: Ontology
) -> Iterator[Segment]:
  """Makes large segments of small ones that follow each other.

  Each segment is a file that a search opens, and has counts of all concepts.
  Large ones stay as they are, and so does the order of the reports.
  """
  packer, concepts = Packer(ontology), list(ontology.terms)
  small: list[Segment] = []

  def merged():
    pool = Pool(small)
    small.clear()
    if len(pool.segments) < 2:
      return pool.segments
    columns = (
      [*Column(pool, read)]
      for read in (
        Segment.id,
        Segment.text,
        lambda segment, row: segment.mentions_of(row, concepts),
      )
    )
    return [packer.pack(*columns)]

  for segment in segments:
    if sum(map(len, small)) + len(segment) > REPORTS:
      yield from merged()
    if len(segment) > REPORTS // 2:
      yield from merged()
      yield segment
    else:
      small.append(segment)
  yield from merged()
