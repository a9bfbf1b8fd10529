"""Reports, what they mention and their ontology: built, kept, searched."""

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
from dicejax.concepts.search import agreement
from dicejax.concepts.search import storage
from dicejax.concepts.search.explanation import Explanation
from dicejax.concepts.search.explanation import Side
from dicejax.concepts.search.explanation import explain_pair
from dicejax.concepts.search.findings import Findings
from dicejax.concepts.search.measures import Asymmetric
from dicejax.concepts.search.measures import Measure
from dicejax.concepts.search.scorer import Scorer
from dicejax.concepts.search.storage import pack_linker
from dicejax.concepts.search.storage import unpack_linker
from dicejax.concepts.text.extraction import extract
from dicejax.concepts.text.extraction import find_mentions
from dicejax.concepts.text.extraction import name_of
from dicejax.concepts.text.extraction import ontology_of
from dicejax.concepts.text.linker import Linker
from dicejax.concepts.text.mentions import Extractor
from dicejax.concepts.text.mentions import Mention
from dicejax.concepts.text.radgraph import RadGraphExtractor
from dicejax.concepts.text.reports import Reports

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
    linker_settings: what makes the linker again with the ontology; None if the
      mentions were found by a function of one's own.

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
  linker_settings: dict[str, Any] | None = None
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
    """Finds the concepts of each report.

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
    # RadGraph has no graph of a query; the dictionary of its entities links it.
    own = linker.linker if isinstance(linker, RadGraphExtractor) else linker
    settings = pack_linker(own) if isinstance(own, Linker) else None
    return cls(known, reports, mentions, own, name_of(linker), settings)

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
    scorer = self.scorer(weights=weights, measure=measure, uncertain=uncertain)
    findings = self.findings(uncertain)
    said = [] if modifiers == 'ignore' else agreement.modified(asked.mentions)
    hits = self._rank(asked, scorer, findings)
    if modifiers == 'require':
      hits = (
        hit
        for hit in hits
        if agreement.has_modifiers(said, self.mentions[hit[0]])
      )
    return [
      Hit(
        self.reports.ids[row],
        score,
        negative_score,
        *scorer.compare(asked.findings, findings[row]),
        agrees,
      )
      for row, score, negative_score, agrees in agreement.rank_ties(
        hits, k, said, self.mentions
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
    if not asked.mentions and query not in self._rows:
      raise ValueError(self._why_nothing(asked))
    scorer = self.scorer(weights=weights, measure=measure, uncertain=uncertain)
    return explain_pair(asked, other, self.ontology, scorer)

  def findings(self, uncertain: str = 'ignore') -> list[Findings]:
    """Returns what each report finds; it is collected once."""

    def make():
      return [Findings.of(row, uncertain=uncertain) for row in self.mentions]

    return self._once(('findings', uncertain), make)

  def scorer(
    self,
    *,
    weights: Weights = 'corpus',
    measure: Measure = Asymmetric(),  # noqa: B008 -- immutable.
    uncertain: str = 'ignore',
  ) -> Scorer:
    """Returns what compares findings with all reports; it is made once."""

    def make():
      findings = self.findings(uncertain)
      return Scorer(self.ontology, findings, weights=weights, measure=measure)

    if not isinstance(weights, str):
      return make()
    return self._once(('scorer', weights, measure, uncertain), make)

  def side(self, query: str, *, uncertain: str = 'ignore') -> Side:
    """Returns the report with an id, or a text with its mentions."""
    row = self._rows.get(query)
    if row is None:
      mentions = self._read_query(query)
      return Side(
        query, query, mentions, Findings.of(mentions, uncertain=uncertain)
      )
    return Side(
      query,
      self.reports.texts[row],
      tuple(self.mentions[row]),
      self.findings(uncertain)[row],
    )

  def row(self, id: str) -> int:
    """Returns the position of a report; raises ValueError if there is none."""
    if id not in self._rows:
      raise ValueError(f'{id!r} is not the id of a report in the index.')
    return self._rows[id]

  def save(self, path: str | os.PathLike, *, force: bool = False) -> None:
    """Writes the index; nobody ever sees half a file.

    Raises:
      FileExistsError: the file exists, and `force` is not set.
    """
    parts = {
      'ontology': storage.pack_ontology(self.ontology),
      'reports': list(self.reports),
      'extractor': [self.extractor_name, self.linker_settings],
      **storage.pack_mentions(self.mentions, self.ontology),
    }
    storage.write_arrays(path, parts, force=force)

  @classmethod
  def load(
    cls, path: str | os.PathLike, extractor: Extractor | None = None
  ) -> 'ReportIndex':
    """Reads what `save` wrote.

    Args:
      path: the file.
      extractor: the function that found the mentions, if it was not a `Linker`;
        only searching by a text needs it.

    Raises:
      FileNotFoundError: there is no such file.
      ValueError: it is not an index, damaged or of another version.
    """

    def unpack(arrays):
      ontology = storage.unpack_ontology(storage.from_json(arrays['ontology']))
      reports = Reports(*storage.from_json(arrays['reports']))
      mentions = storage.unpack_mentions(arrays, ontology)
      if not len(reports.ids) == len(reports.texts) == len(mentions):
        raise ValueError('The reports do not belong to the mentions.')
      made_by = storage.from_json(arrays['extractor'])
      return cls(ontology, reports, mentions, extractor, *made_by)

    return storage.read_arrays(path, unpack)

  def _rank(self, asked, scorer, findings) -> Iterator[tuple]:
    """Yields the other reports that share a finding, the best first."""
    query, own = asked.findings, self._rows.get(asked.name)
    for hit in scorer.rank(query):
      # A query without a present finding asks for reports that have few.
      shares = not query.present or query.overlaps(findings[hit[0]])
      if shares and hit[0] != own:
        yield hit

  @property
  def _rows(self) -> dict[str, int]:
    ids = self.reports.ids
    return self._once('rows', lambda: {id: row for row, id in enumerate(ids)})

  def _once(self, key, make):
    if key not in self._made:
      self._made[key] = make()
    return self._made[key]

  def _read_query(self, text) -> tuple[Mention, ...]:
    if self.extractor:
      extractor = self.extractor
    elif self.linker_settings:
      settings = self.linker_settings
      extractor = self._once(
        'linker', lambda: unpack_linker(settings, self.ontology)
      )
    else:
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
    if side.name in self._rows:
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
