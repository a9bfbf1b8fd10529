"""Reports, what they mention and their ontology: built, kept, searched."""

import collections
import contextlib
import dataclasses
import os
from collections.abc import Callable
from collections.abc import Iterable
from collections.abc import Iterator
from collections.abc import Mapping
from collections.abc import Sequence
from typing import Any
from typing import NamedTuple

from dicejax.concepts.ontology import Ontology
from dicejax.concepts.search import storage
from dicejax.concepts.search.agreement import modified
from dicejax.concepts.search.explanation import Explanation
from dicejax.concepts.search.explanation import Side
from dicejax.concepts.search.explanation import explain_pair
from dicejax.concepts.search.findings import Findings
from dicejax.concepts.search.measures import Asymmetric
from dicejax.concepts.search.measures import Measure
from dicejax.concepts.search.packing import pack_linker
from dicejax.concepts.search.packing import pack_ontology
from dicejax.concepts.search.packing import unpack_linker
from dicejax.concepts.search.packing import unpack_ontology
from dicejax.concepts.search.pool import Column
from dicejax.concepts.search.pool import Pool
from dicejax.concepts.search.pool import extract_segments
from dicejax.concepts.search.pool import merge_small
from dicejax.concepts.search.pool import pack_segments
from dicejax.concepts.search.ranking import Ranker
from dicejax.concepts.search.scorer import Scorer
from dicejax.concepts.search.segment import Segment
from dicejax.concepts.text.encoder_linker import EncoderLinker
from dicejax.concepts.text.encoder_linker import check_encoder
from dicejax.concepts.text.encoder_linker import made_by
from dicejax.concepts.text.extraction import extract
from dicejax.concepts.text.extraction import find_mentions
from dicejax.concepts.text.extraction import name_of
from dicejax.concepts.text.extraction import ontology_of
from dicejax.concepts.text.linker import Linker
from dicejax.concepts.text.mentions import Extractor
from dicejax.concepts.text.mentions import Mention
from dicejax.concepts.text.radgraph import RadGraphExtractor
from dicejax.concepts.text.reports import Reports
from dicejax.concepts.text.tagger import TaggerExtractor

Weights = str | Mapping[str, float]

MODIFIERS = ('rank', 'require', 'ignore')


class Hit(NamedTuple):
  """A report that `ReportIndex.search` found.

  Attributes:
    id: of the report.
    score: similarity of what is present.
    negative_score: similarity of what is absent; it decides after `agreement`.
    shared: ids of concepts present in both, the heaviest first.
    missing: present in the query only.
    extra: present in the report only.
    forgiven: present in the report only, but synonyms of one of the query's.
    contradicting: present in one and absent in the other.
    agreement: of sides and degrees, see `agreement.mentions_agree`; it decides
      between hits of equal `score`.
  """

  id: str
  score: float
  negative_score: float
  shared: tuple[str, ...]
  missing: tuple[str, ...]
  extra: tuple[str, ...]
  forgiven: tuple[str, ...]
  contradicting: tuple[str, ...]
  agreement: float


@dataclasses.dataclass(frozen=True)
class ReportIndex:
  """Reports, what each mentions, and the ontology that names it.

  Attributes:
    ontology: the concepts, with those of an alias table.
    reports: ids and texts.
    mentions: of each report.
    extractor: finds the mentions of a query's text, if it is at hand.
    extractor_name: its name.

  Example:
    >>> from dicejax.concepts.ontology import Term
    >>> terms = Term('X:1', 'edema'), Term('X:2', 'mass')
    >>> linker = Linker(Ontology({term.id: term for term in terms}))
    >>> reports = Reports(['a', 'b'], ['Edema.', 'No edema. A mass.'], {})
    >>> index = ReportIndex.build(reports, linker)
    >>> [hit.id for hit in index.search('edema')]
    ['a']
    >>> index.explain('a', 'b').score
    0.0
  """

  ontology: Ontology
  reports: Reports
  mentions: Sequence[Sequence[Mention]]
  extractor: Extractor | None = dataclasses.field(default=None, compare=False)
  extractor_name: str = ''
  _stored: storage.Stored | None = dataclasses.field(
    default=None, repr=False, compare=False
  )
  _encoder: Any = dataclasses.field(default=None, repr=False, compare=False)
  _made: dict[Any, Any] = dataclasses.field(
    default_factory=dict, init=False, repr=False, compare=False
  )

  @classmethod
  def build(
    cls,
    reports: Reports,
    linker: Extractor,
    *,
    ontology: Ontology | None = None,
    progress: Callable[[Iterable[str]], Iterable[str]] = iter,
  ) -> 'ReportIndex':
    """Finds the concepts of each report, in memory.

    Args:
      reports: to search in.
      linker: a `Linker`, or any function from a text to mentions.
      ontology: the concepts, for a function of one's own. It may use their
        alternative ids.
      progress: wraps the texts to show how many are done, such as `tqdm`.

    Raises:
      ValueError: two reports have one id, or the function fails or returns
        something else than mentions of concepts of the ontology.
    """
    _check_reports(reports)
    mentions = extract(reports, linker, ontology, progress=progress)
    known = ontology_of(linker, ontology)
    return cls(known, reports, mentions, _for_queries(linker), name_of(linker))

  @classmethod
  def create(
    cls,
    path: str | os.PathLike,
    reports: Iterable[tuple[str, str]],
    linker: Extractor,
    *,
    ontology: Ontology | None = None,
    skipped: Mapping[str, int] | None = None,
    force: bool = False,
    workers: int = 1,
  ) -> 'ReportIndex':
    """Builds and saves an index with some thousands of reports in memory.

    Args:
      path: the directory to make.
      reports: ids and texts; they are read once.
      linker: as in `build`.
      ontology: as in `build`.
      skipped: counts for `Reports.skipped`.
      force: whether an index or a file that exists may be replaced.
      workers: processes that find the mentions; to more than one, `linker` is
        pickled.

    Raises:
      FileExistsError: the index exists, and `force` is not set.
      ValueError: as in `build`, or another process writes the index.
    """
    known = ontology_of(linker, ontology)
    about = {
      'extractor': name_of(linker),
      'skipped': skipped or {},
      'encoder': made_by(_for_queries(linker)),
    }
    files = _files(known, _for_queries(linker))
    segments = extract_segments(reports, linker, known, workers)
    storage.write(path, about, files, segments, force=force)
    return cls.load(path, _for_queries(linker))

  @classmethod
  def join(
    cls,
    path: str | os.PathLike,
    parts: Sequence[str | os.PathLike],
    *,
    force: bool = False,
  ) -> 'ReportIndex':
    """Saves one index with the reports of others, in their order.

    It is the index that `create` makes of all reports at once. Parts of a large
    collection may so be built at the same time, on as many machines as there
    are; and the many small segments of repeated `add` become large ones.

    Args:
      path: the directory to make.
      parts: directories of indexes made with one ontology and one extractor.
      force: whether an index or a file that exists may be replaced.

    Raises:
      FileExistsError: the index exists, and `force` is not set.
      FileNotFoundError: there is no such part.
      ValueError: no part, parts made with other settings, two reports with one
        id, or a damaged part.
    """
    storage.check_target(path, force=force)
    if not parts:
      raise ValueError('Expected at least one index to join.')
    opened = [storage.open_index(part) for part in parts]
    first = opened[0]
    for other in opened[1:]:
      if _made_with(other) != _made_with(first):
        raise ValueError(
          f'{other.path} was made with another ontology, alias table, cues or '
          f'extractor than {first.path}: an index has one of each.'
        )
    skipped = collections.Counter()
    for part in opened:
      skipped.update(part.header['about']['skipped'])
    about = first.header['about'] | {'skipped': dict(skipped)}
    files = {name: first.read(name) for name in first.files}
    segments = (segment for part in opened for segment in part.segments)
    whole = merge_small(segments, unpack_ontology(first.read('ontology')))
    storage.write(path, about, files, whole, force=force)
    return cls.load(path)

  def search(
    self,
    query: str,
    k: int = 10,
    *,
    weights: Weights = 'corpus',
    measure: Measure = Asymmetric(),  # noqa: B008 -- immutable.
    uncertain: str = 'ignore',
    modifiers: str = 'rank',
  ) -> list[Hit]:
    """Finds the reports most like a report or a text.

    Hits are ordered by `score`, then by `agreement`, then by `negative_score`,
    then as the reports are. Often many reports have the score of the k-th: all
    of them are looked at. Reports that share nothing with the query are left
    out; but a query that finds nothing present gets the reports that find
    least.

    Args:
      query: the id of a report, which is then left out, or a text.
      k: how many to find, at most.
      weights: of concepts, see `Scorer`.
      measure: see `Asymmetric` and `Symmetric`.
      uncertain: `'ignore'` uncertain mentions or count them as `'present'`.
      modifiers: of the query's findings, such as "small left": `'rank'` equal
        hits by their agreement; `'require'` the side that the query names, and
        nothing against its other modifiers; or `'ignore'` them.

    Raises:
      ValueError: the query has no finding to search by.
    """
    asked = self.side(query, uncertain=uncertain)
    if not asked.findings:
      raise ValueError(self._why_nothing(asked))
    if modifiers not in MODIFIERS:
      raise ValueError(
        f'modifiers must be one of {", ".join(MODIFIERS)}, got {modifiers!r}.'
      )
    ranker = self._ranker(weights, measure, uncertain)
    said = [] if modifiers == 'ignore' else modified(asked.mentions)
    with self._refusing_damage():
      return [
        Hit(
          self.reports.ids[row],
          score,
          negative_score,
          *ranker.scorer.compare(asked.findings, self.findings(uncertain)[row]),
          agrees,
        )
        for row, score, negative_score, agrees in ranker.best(
          asked.findings,
          k,
          own=self._pool.find(asked.name),
          modified=said,
          require=modifiers == 'require',
        )
      ]

  def explain(
    self,
    query: str,
    candidate: str,
    *,
    weights: Weights = 'corpus',
    measure: Measure = Asymmetric(),  # noqa: B008 -- immutable.
    uncertain: str = 'ignore',
  ) -> Explanation:
    """Puts two reports side by side; `print` shows the result.

    Args:
      query: the id of a report, or a text.
      candidate: the id of a report.
      weights: as in `search`.
      measure: as in `search`.
      uncertain: as in `search`.

    Raises:
      ValueError: an id of no report.
    """
    self.row(candidate)
    asked, other = (
      self.side(name, uncertain=uncertain) for name in (query, candidate)
    )
    if not asked.mentions and self._pool.find(query) is None:
      raise ValueError(self._why_nothing(asked))
    scorer = self.scorer(weights=weights, measure=measure, uncertain=uncertain)
    return explain_pair(asked, other, self.ontology, scorer)

  def findings(self, uncertain: str = 'ignore') -> Sequence[Findings]:
    """Returns what each report finds."""
    Findings.of((), uncertain=uncertain)  # A wrong value is an error now.

    def read(segment, row):
      mentions = segment.mentions_of(row, self._concepts)
      return Findings.of(mentions, uncertain=uncertain)

    return Column(self._pool, read)

  def scorer(
    self,
    *,
    weights: Weights = 'corpus',
    measure: Measure = Asymmetric(),  # noqa: B008 -- immutable.
    uncertain: str = 'ignore',
  ) -> Scorer:
    """Returns what compares findings with all reports; it is made once."""

    def make():
      frequencies = self._pool.frequencies(uncertain)
      return Scorer(
        self.ontology, frequencies, weights=weights, measure=measure
      )

    if not isinstance(weights, str):
      return make()
    return self._once(('scorer', weights, measure, uncertain), make)

  def side(self, query: str, *, uncertain: str = 'ignore') -> Side:
    """Returns the report with an id, or a text with its mentions."""
    row = self._pool.find(query)
    if row is None:
      text, mentions = query, self._read_query(query)
    else:
      text, mentions = self.reports.texts[row], tuple(self.mentions[row])
    findings = Findings.of(mentions, uncertain=uncertain)
    return Side(query, text, mentions, findings)

  def __contains__(self, id: str) -> bool:
    """Whether the index has a report with an id."""
    return self._pool.find(id) is not None

  def row(self, id: str) -> int:
    """Returns the position of a report; raises ValueError if there is none."""
    row = self._pool.find(id)
    if row is None:
      raise ValueError(f'{id!r} is not the id of a report in the index.')
    return row

  def save(self, path: str | os.PathLike, *, force: bool = False) -> None:
    """Writes the index into a directory; nobody ever sees half of it.

    Raises:
      FileExistsError: the index exists, and `force` is not set.
    """
    about = {
      'extractor': self.extractor_name,
      'skipped': self.reports.skipped,
      'encoder': self._made_by,
    }
    files = _files(self.ontology, self._linker)
    storage.write(path, about, files, self._pool.segments, force=force)

  @classmethod
  def load(
    cls,
    path: str | os.PathLike,
    extractor: Extractor | None = None,
    *,
    encoder: Any = None,
  ) -> 'ReportIndex':
    """Opens what `save` wrote; reports are read when they are looked at.

    Checksums of the arrays are not compared, which takes longer than a search:
    `verify` does it.

    Args:
      path: the directory.
      extractor: the function that found the mentions, if it was not a `Linker`;
        only searching by a text needs it.
      encoder: the `Encoder` of the `EncoderLinker` that found the mentions, if
        it was one; only searching by a text needs it.

    Raises:
      FileNotFoundError: there is no such file.
      ValueError: it is not an index, damaged or of another version, or made
        with another encoder.
    """
    stored = storage.open_index(path)
    if encoder:
      check_encoder(encoder, stored.header['about'].get('encoder'), path)
    ontology = unpack_ontology(stored.read('ontology'))
    concepts = list(ontology.terms)
    about, pool = stored.header['about'], Pool(stored.segments)
    return cls(
      ontology,
      Reports(
        Column(pool, Segment.id), Column(pool, Segment.text), about['skipped']
      ),
      Column(pool, lambda segment, row: segment.mentions_of(row, concepts)),
      extractor,
      about['extractor'],
      stored,
      encoder,
    )

  def add(
    self, reports: Iterable[tuple[str, str]], *, workers: int = 1
  ) -> 'ReportIndex':
    """Adds reports to an index that was loaded, on the disk: all or none.

    Args:
      reports: ids and texts; they are read once.
      workers: as in `create`.

    Returns:
      The index with the reports. This one stays as it is.

    Raises:
      ValueError: the index was not loaded, or the extractor that made it is not
        at hand; or as in `create`.
    """
    if not self._stored:
      raise ValueError('Reports are added to an index that was loaded only.')
    extractor = self._extractor_at_hand()
    if not extractor or name_of(extractor) != self.extractor_name:
      raise ValueError(
        f'To add reports, the index needs the extractor that made it, '
        f'{self.extractor_name}.'
      )
    segments = extract_segments(reports, extractor, self.ontology, workers)
    storage.add(self._stored.path, segments)
    return self.load(self._stored.path, self.extractor, encoder=self._encoder)

  def verify(self) -> None:
    """Compares the checksums of an index that was loaded.

    Raises:
      ValueError: one is wrong: the index is damaged.
    """
    if self._stored:
      storage.verify(self._stored)

  def summary(self) -> tuple[dict[str, int | str], dict[str, int]]:
    """Counts what the index has, and by reason what does not count."""
    counts = self._pool.summary()
    counts['concepts of the ontology'] = len(self.ontology.terms)
    return {**counts}, self._pool.left_out()

  @property
  def _concepts(self) -> list[str]:
    return self._once('concepts', lambda: list(self.ontology.terms))

  @property
  def _pool(self) -> Pool:
    def make():
      if self._stored:
        return Pool(self._stored.segments)
      return Pool(
        pack_segments(*self.reports[:2], self.mentions, self.ontology)
      )

    return self._once('pool', make)

  @property
  def _linker(self) -> Linker | None:
    """The linker that found the mentions, or None for another extractor."""

    def read():
      settings = self._stored and self._stored.read('linker')
      linker = settings and unpack_linker(settings, self.ontology)
      if linker and self._encoder and self._made_by:
        threshold = self._made_by['threshold']
        return EncoderLinker(linker, self._encoder, threshold)
      return linker

    if isinstance(self.extractor, Linker):
      return self.extractor
    return self._once('linker', read)

  @property
  def _made_by(self) -> dict[str, Any] | None:
    """Source, digest and threshold of the encoder, if one was used."""
    if self.extractor:
      return made_by(self.extractor)
    return self._stored and self._stored.header['about'].get('encoder')

  def _extractor_at_hand(self) -> Extractor | None:
    """Returns what finds mentions, if it is there.

    Raises:
      ValueError: it needs an encoder, which was not given.
    """
    if self._made_by and not (self.extractor or self._encoder):
      raise ValueError(
        'To read a text, the index needs the encoder that made it, '
        f'{self._made_by["source"]}: name it with --encoder.'
      )
    return self.extractor or self._linker

  def _ranker(self, weights, measure, uncertain) -> Ranker:
    def make():
      scorer = self.scorer(
        weights=weights, measure=measure, uncertain=uncertain
      )
      return Ranker(self._pool.segments, scorer, uncertain)

    # Weights of one's own may be others for each query: nothing is kept.
    if not isinstance(weights, str):
      return make()
    return self._once(('ranker', weights, measure, uncertain), make)

  def _once(self, key, make):
    if key not in self._made:
      self._made[key] = make()
    return self._made[key]

  @contextlib.contextmanager
  def _refusing_damage(self) -> Iterator[None]:
    """Makes one sentence of numbers that lead nowhere."""
    try:
      yield
    except (IndexError, UnicodeDecodeError) as error:
      if not self._stored:
        raise
      raise ValueError(f'{self._stored.path}: damaged.') from error

  def _read_query(self, text) -> tuple[Mention, ...]:
    extractor = self._extractor_at_hand()
    if not extractor:
      raise ValueError(
        f'{text!r} is not the id of a report in the index, and to search by a '
        f'text the index needs the extractor that made it, '
        f'{self.extractor_name}.'
      )
    return find_mentions(text, extractor, self.ontology, 'the query')

  def _why_nothing(self, side) -> str:
    if any(mention.is_current for mention in side.mentions):
      return (
        f'{side.name!r} has only uncertain mentions, which are ignored; '
        'uncertain=present counts them.'
      )
    if side.mentions:
      return (
        f'{side.name!r} mentions only findings of the past, of other people, '
        'or hypothetical ones.'
      )
    if self._pool.find(side.name) is not None:
      return f'The report {side.name!r} mentions no concept of the ontology.'
    return (
      f'{side.name!r} is not the id of a report in the index, and none of its '
      f'words is a name or a synonym of its {len(self.ontology.terms):,} '
      'concepts.'
    )


def _check_reports(reports) -> None:
  counts = len(reports.ids), len(reports.texts)
  if counts[0] != counts[1]:
    raise ValueError(f'{counts[0]} ids of reports, but {counts[1]} texts.')
  if len(set(reports.ids)) < counts[0]:
    seen = set()
    id = next(id for id in reports.ids if id in seen or seen.add(id))
    raise ValueError(f'the id {id!r} is that of two reports.')


def _for_queries(linker) -> Extractor:
  # RadGraph has no graph of a query, and a tagger may not know its style; the
  # dictionary of their entities links it.
  is_other = isinstance(linker, RadGraphExtractor | TaggerExtractor)
  return linker.linker if is_other else linker


def _files(ontology, linker) -> dict[str, Any]:
  settings = pack_linker(linker) if isinstance(linker, Linker) else None
  return {'ontology': pack_ontology(ontology), 'linker': settings}


def _made_with(stored: storage.Stored) -> tuple[Any, ...]:
  """Returns what all mentions depend on; files are named by their content."""
  about = stored.header['about']
  # Machines may have the same encoder in different directories.
  encoder = {**(about.get('encoder') or {}), 'source': None}
  return stored.header['files'], about['extractor'], encoder
