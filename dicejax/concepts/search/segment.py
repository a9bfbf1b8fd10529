"""A segment of an index: some thousands of reports as arrays of numbers.

All that a search needs is in numbers, so that nothing is made of the reports
that are not found:

- `mentions`, a record for each mention, in the order of the reports;
- `sets`, the findings of each report: a concept c of V has the number c if it
  is present, V + c if it is only uncertain and 2V + c if it is absent;
- `postings`, the same the other way round: the reports of each number;
- `counts`, in how many reports a concept or one below it is present, and in how
  many it is present or uncertain;
- `ids` and `texts` in UTF-8, and `keys`, the hashes of the ids in order.

Arrays of different lengths are joined: `x_stops[n]` to `x_stops[n + 1]` is what
belongs to the n-th.
"""

import hashlib
import itertools
import mmap
from collections.abc import Iterable
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from dicejax.concepts.ontology import Ontology
from dicejax.concepts.ontology import ancestors
from dicejax.concepts.text.mentions import Experiencer
from dicejax.concepts.text.mentions import Mention
from dicejax.concepts.text.mentions import Polarity
from dicejax.concepts.text.mentions import Time

REPORTS = 1 << 15  # of a segment, at most: memory while building grows with it
POLARITIES = (Polarity.PRESENT, Polarity.UNCERTAIN, Polarity.ABSENT)
EXPERIENCERS, TIMES = tuple(Experiencer), tuple(Time)
_NUMBERS = ('concept', 'start', 'end', 'cue_start', 'cue_end', 'modifiers')
MENTION = np.dtype(
  [(name, '<i4') for name in _NUMBERS]
  + [(name, 'u1') for name in ('polarity', 'experiencer', 'time')]
)
_KINDS = (POLARITIES, EXPERIENCERS, TIMES)
_BLOCK = 255  # Reports whose ancestors are counted at a time.


class Segment(NamedTuple):
  """Reports as arrays; see the module."""

  id_stops: np.ndarray
  ids: np.ndarray
  keys: np.ndarray
  key_rows: np.ndarray
  text_stops: np.ndarray
  texts: np.ndarray
  mention_stops: np.ndarray
  mentions: np.ndarray
  set_stops: np.ndarray
  sets: np.ndarray
  posting_stops: np.ndarray
  postings: np.ndarray
  counts: np.ndarray
  modifiers: list[tuple[str, ...]]
  data: mmap.mmap | None = None  # in which the arrays are, if they are mapped

  def __len__(self) -> int:
    return len(self.keys)

  def id(self, row: int) -> str:
    """The id of a report."""
    return _text(self.ids, self.id_stops, row)

  def text(self, row: int) -> str:
    """The text of a report."""
    return _text(self.texts, self.text_stops, row)

  def mentions_of(self, row: int, concepts: Sequence[str]) -> tuple:
    """The mentions of a report; `concepts` are the ids of the ontology."""
    first, last = self.mention_stops[row : row + 2].tolist()
    return tuple(
      self._mention(concepts, *record)
      for record in self.mentions[first:last].tolist()
    )

  def _mention(self, concepts, concept, start, end, *rest) -> Mention:
    cue, (modifiers, polarity, experiencer, time) = rest[:2], rest[2:]
    return Mention(
      concepts[concept],
      start,
      end,
      POLARITIES[polarity],
      None if cue[0] < 0 else cue,
      EXPERIENCERS[experiencer],
      TIMES[time],
      self.modifiers[modifiers],
    )

  def release(self, name: str) -> None:
    """Drops the pages of a mapped array from the memory of this process.

    They stay in the cache of the system, and are there when they are read.
    """
    if self.data is not None and hasattr(mmap, 'MADV_DONTNEED'):
      array = getattr(self, name)
      begin = np.frombuffer(self.data, np.uint8).ctypes.data
      start = array.ctypes.data - begin
      first = start - start % mmap.PAGESIZE
      length = start + array.nbytes - first
      if length:
        self.data.madvise(mmap.MADV_DONTNEED, first, length)

  def find(self, id: str) -> int | None:
    """The row of the report with an id."""
    key = _keys([id])[0]
    first, last = (
      np.searchsorted(self.keys, key, s) for s in ('left', 'right')
    )
    rows = self.key_rows[first:last].tolist()
    return next((row for row in rows if self.id(row) == id), None)

  def rows_of(self, number: int) -> np.ndarray:
    """The reports with a concept, by the number that it has in `sets`."""
    first, last = self.posting_stops[number : number + 2]
    return self.postings[first:last]


ARRAYS = Segment._fields[:-2]


class Packer:
  """Makes segments of reports, with the concepts of an ontology."""

  def __init__(self, ontology: Ontology):
    self._concepts = {id: row for row, id in enumerate(ontology.terms)}
    above = [
      [self._concepts[id] for id in ids] for ids in ancestors(ontology).values()
    ]
    self._above_stops = _stops(map(len, above))
    self._above = _flat(above, np.int32)

  def pack(
    self,
    ids: Sequence[str],
    texts: Sequence[str],
    mentions: Sequence[Sequence[Mention]],
  ) -> Segment:
    """Packs some reports and their mentions."""
    records, modifiers = self._records(mentions)
    stops = _stops(map(len, mentions))
    return self.pack_records(ids, texts, stops, records, modifiers)

  def pack_records(
    self,
    ids: Sequence[str],
    texts: Sequence[str],
    mention_stops: np.ndarray,
    records: np.ndarray,
    modifiers: list[tuple[str, ...]],
  ) -> Segment:
    """Packs some reports whose mentions are records already."""
    keys = _keys(ids)
    order = np.argsort(keys, kind='stable').astype(np.int32)
    rows = np.repeat(np.arange(len(ids)), np.diff(mention_stops))
    size = len(self._concepts)
    owners, sets = _sets(rows, records, size)
    by_number = np.argsort(sets, kind='stable')
    numbers = np.arange(3 * size + 1)
    found = [sets < size, sets < 2 * size]
    return Segment(
      *_joined(ids),
      keys[order],
      order,
      *_joined(texts),
      mention_stops,
      records,
      np.searchsorted(owners, np.arange(len(ids) + 1)),
      sets.astype(np.int32),
      np.searchsorted(sets[by_number], numbers).astype(np.int32),
      owners[by_number].astype(np.int32),
      np.stack([self._count(owners[x], sets[x] % size) for x in found]),
      modifiers,
    )

  def _records(self, mentions):
    codes = {}
    kinds = [{v: n for n, v in enumerate(values)} for values in _KINDS]
    records = [
      (
        self._concepts[mention.concept],
        mention.start,
        mention.end,
        *(mention.cue or (-1, -1)),
        codes.setdefault(mention.modifiers, len(codes)),
        kinds[0][mention.polarity],
        kinds[1][mention.experiencer],
        kinds[2][mention.time],
      )
      for mention in itertools.chain.from_iterable(mentions)
    ]
    return np.array(records, MENTION), list(codes)

  def _count(self, owners, concepts) -> np.ndarray:
    """Counts the reports that have each concept or one below it."""
    size = len(self._concepts)
    counts = np.zeros(size, np.int32)
    last = owners[-1] + 1 if len(owners) else 0
    edges = np.searchsorted(owners, [*range(0, last, _BLOCK), last])
    for first, stop in itertools.pairwise(edges.tolist()):
      at, places = expand(self._above_stops, concepts[first:stop])
      # A table of marks is faster than sorting, and a byte holds its sums.
      marks = np.zeros((_BLOCK, size), np.uint8)
      marks[owners[first:stop][at] % _BLOCK, self._above[places]] = 1
      counts += marks.sum(0, dtype=np.uint8)
    return counts


def expand(stops: np.ndarray, rows: np.ndarray) -> tuple:
  """Lists what belongs to rows of joined arrays.

  Returns:
    The position in `rows` and the place in the joined array of each element.

  Example:
    >>> at, places = expand(np.array([0, 2, 2, 5]), np.array([2, 0]))
    >>> at.tolist(), places.tolist()
    ([0, 0, 0, 1, 1], [2, 3, 4, 0, 1])
  """
  starts = stops[rows]
  lengths = stops[rows + 1] - starts
  at = np.repeat(np.arange(len(rows)), lengths)
  before = np.cumsum(lengths) - lengths
  return at, np.arange(len(at)) + np.repeat(starts - before, lengths)


def is_current(records: np.ndarray) -> np.ndarray:
  """Whether mentions speak of the patient now, as `Mention.is_current`."""
  patient = records['experiencer'] == EXPERIENCERS.index(Experiencer.PATIENT)
  return patient & (records['time'] == TIMES.index(Time.CURRENT))


def _sets(rows, records, size):
  """Numbers the distinct findings of each report, in order."""
  now = is_current(records)
  numbers = records['polarity'][now] * np.int64(size) + records['concept'][now]
  # One sort by report and number; 3 * size * reports is far below 2 ** 63.
  pairs = np.sort(rows[now] * (3 * size) + numbers)
  pairs = pairs[np.diff(pairs, prepend=-1) > 0]
  owners, numbers = np.divmod(pairs, max(3 * size, 1))
  # What is present is not uncertain as well.
  doubted = np.flatnonzero((numbers >= size) & (numbers < 2 * size))
  there = pairs[doubted] - size
  twice = doubted[pairs[np.searchsorted(pairs, there)] == there]
  return np.delete(owners, twice), np.delete(numbers, twice)


def _keys(ids) -> np.ndarray:
  digests = (
    hashlib.blake2b(id.encode('utf-8', 'surrogatepass'), digest_size=8).digest()
    for id in ids
  )
  return np.frombuffer(b''.join(digests), '<u8')


def _joined(texts):
  """Joins texts as UTF-8, in which single surrogates may be."""
  parts = [text.encode('utf-8', 'surrogatepass') for text in texts]
  return _stops(map(len, parts)), np.frombuffer(b''.join(parts), np.uint8)


def _text(array, stops, row) -> str:
  first, last = stops[row : row + 2]
  return array[first:last].tobytes().decode('utf-8', 'surrogatepass')


def _stops(lengths: Iterable[int]) -> np.ndarray:
  return np.cumsum([0, *lengths])


def _flat(lists, dtype) -> np.ndarray:
  return np.fromiter(itertools.chain.from_iterable(lists), dtype)
