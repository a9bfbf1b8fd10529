"""Reports, what they mention and their ontology, kept in one file.

The file of an index is a zip of numpy arrays (`numpy.savez`), some of which are
JSON. A search needs nothing else, and there is no pickle in it: to load it runs
no code of whoever wrote it.
"""

import dataclasses
import itertools
import json
import os
import zipfile
from collections.abc import Collection
from collections.abc import Mapping
from collections.abc import Sequence

import numpy as np

from dicejax.concepts.files import replacing
from dicejax.concepts.ontology import Ontology
from dicejax.concepts.ontology import Term
from dicejax.concepts.search.compare import split_polarity
from dicejax.concepts.search.similarity import ConceptSets
from dicejax.concepts.text.linker import DictionaryLinker
from dicejax.concepts.text.mentions import Experiencer
from dicejax.concepts.text.mentions import Extractor
from dicejax.concepts.text.mentions import Mention
from dicejax.concepts.text.mentions import Polarity
from dicejax.concepts.text.mentions import Time
from dicejax.concepts.text.reports import Reports
from dicejax.concepts.text.reports import read_reports

__all__ = [
  'Index',
  'Reports',
  'concept_sets',
  'read_reports',
]

_FORMAT = 'dicejax concepts index'
_VERSION = 2


@dataclasses.dataclass(frozen=True)
class Index:
  """Reports, what each mentions, and the ontology that names it.

  Attributes:
    ontology: with the local concepts and forms of an alias table, if any.
    reports: what was read.
    mentions: of each report.
    stop: forms that are never linked, in the text of a query as well.
  """

  ontology: Ontology
  reports: Reports
  mentions: Sequence[Sequence[Mention]]
  stop: frozenset[str] = frozenset()

  @classmethod
  def build(
    cls,
    reports: Reports,
    ontology: Ontology,
    *,
    stop: Collection[str] = (),
    extractor: Extractor | None = None,
  ) -> 'Index':
    """Finds the concepts of each report.

    Args:
      reports: to search in.
      ontology: the concepts.
      stop: forms that are never linked.
      extractor: finds the mentions, in place of `DictionaryLinker`. It may use
        alternative ids of the ontology; they are resolved.

    Raises:
      ValueError: a mention of a concept that the ontology lacks.
    """
    extract = extractor or DictionaryLinker(ontology, stop=stop)
    mentions = [
      tuple(_resolve(mention, ontology) for mention in extract(text))
      for text in reports.texts
    ]
    return cls(ontology, reports, mentions, frozenset(stop))

  def linker(self) -> DictionaryLinker:
    """What finds the concepts of a query's text."""
    return DictionaryLinker(self.ontology, stop=self.stop)

  def row(self, id: str) -> int:
    """Place of a report; raises ValueError where there is none."""
    try:
      return self.reports.ids.index(id)
    except ValueError:
      raise ValueError(f'{id!r} is the id of no report in the index.') from None

  def save(self, path: str | os.PathLike, *, force: bool = False) -> None:
    """Writes the index; the file is never seen half-written.

    Raises:
      FileExistsError: the file is there, and `force` is not set.
    """
    with replacing(path, force=force) as file:
      np.savez_compressed(file, **_pack(self))

  @classmethod
  def load(cls, path: str | os.PathLike) -> 'Index':
    """Reads what `save` wrote.

    Raises:
      FileNotFoundError: there is no such file.
      ValueError: it is no index, a damaged one or one of another version.
    """
    with open(path, 'rb') as file:
      try:
        # Of what is no zip, numpy would say that it may be a pickle.
        is_zip = zipfile.is_zipfile(file)
        file.seek(0)
        arrays = np.load(file, allow_pickle=False) if is_zip else {}
        about = _from_json(arrays['about'])
        found = about['format'], about['version']
        if found == (_FORMAT, _VERSION):
          return _unpack(arrays, about)
      # Whatever zip, array or JSON raise where they are another's, or damaged.
      except Exception as error:
        raise ValueError(f'{path}: no index, or a damaged one.') from error
    raise ValueError(
      f'{path}: {found[0]!r} of version {found[1]}, where this dicejax reads '
      f'version {_VERSION}: build it again.'
    )


def concept_sets(
  mentions: Sequence[Sequence[Mention]],
  vocabulary: Mapping[str, int] | Ontology,
  *,
  uncertain: str = 'ignore',
) -> ConceptSets:
  """What is there, and what is not, by report.

  Args:
    mentions: of each report.
    vocabulary: the number of each concept; of an ontology, its place there.
    uncertain: `'ignore'` them (recommended) or count them as `'present'` (as
      the paper does).

  Raises:
    ValueError: a concept that the vocabulary lacks.

  Example:
    >>> found = [Mention('a', 0, 1, Polarity.PRESENT)]
    >>> concept_sets([found, []], {'a': 5}).positive.tolist()
    [[5], [-1]]
  """
  if isinstance(vocabulary, Ontology):
    vocabulary = {id: place for place, id in enumerate(vocabulary.terms)}
  rows = [split_polarity(row, uncertain=uncertain) for row in mentions]
  try:
    return ConceptSets.from_ids(
      [[vocabulary[id] for id in row.positive] for row in rows],
      [[vocabulary[id] for id in row.negative] for row in rows],
    )
  except KeyError as error:
    raise _unknown(error.args[0]) from None


def _resolve(mention, ontology) -> Mention:
  id = mention.concept
  if id in ontology.terms:
    return mention
  live = ontology.alternatives.get(id)
  if live not in ontology.terms:
    raise _unknown(id)
  return mention._replace(concept=live)


def _unknown(id) -> ValueError:
  return ValueError(f'{id} is mentioned, but no concept of the ontology.')


def _pack(index) -> dict[str, np.ndarray]:
  ontology, flat = index.ontology, list(itertools.chain(*index.mentions))
  place = {id: number for number, id in enumerate(ontology.terms)}
  modifiers = list(dict.fromkeys(mention.modifiers for mention in flat))
  kinds = [list(Polarity), list(Experiencer), list(Time), modifiers]
  code = [{value: n for n, value in enumerate(kind)} for kind in kinds]
  numbers = [
    (
      place[mention.concept],
      mention.start,
      mention.end,
      *(mention.cue or (-1, -1)),
      code[0][mention.polarity],
      code[1][mention.experiencer],
      code[2][mention.time],
      code[3][mention.modifiers],
    )
    for mention in flat
  ]
  about = {
    'format': _FORMAT,
    'version': _VERSION,
    'skipped': index.reports.skipped,
    'stop': sorted(index.stop),
    'kinds': kinds,
  }
  terms = [
    [t.id, t.name, t.synonyms, t.parents, t.xrefs, t.types]
    for t in ontology.terms.values()
  ]
  rest = [ontology.alternatives, ontology.equivalents, ontology.skipped]
  return {
    'about': _to_json(about),
    'ontology': _to_json([terms, *rest]),
    'reports': _to_json([index.reports.ids, index.reports.texts]),
    'mentions': np.array(numbers, np.int32).reshape(-1, 9),
    'lengths': np.array([len(row) for row in index.mentions], np.int32),
  }


def _unpack(arrays, about) -> Index:
  terms, alternatives, equivalents, skipped = _from_json(arrays['ontology'])
  ids, texts = _from_json(arrays['reports'])
  concepts = [term[0] for term in terms]
  polarities, experiencers, times, modifiers = (
    [make(value) for value in kind]
    for make, kind in zip(
      (Polarity, Experiencer, Time, tuple), about['kinds'], strict=True
    )
  )
  flat = [
    Mention(
      concepts[concept],
      start,
      end,
      polarities[polarity],
      None if first < 0 else (first, last),
      experiencers[experiencer],
      times[time],
      modifiers[modifier],
    )
    for (
      concept,
      start,
      end,
      first,
      last,
      polarity,
      experiencer,
      time,
      modifier,
    ) in arrays['mentions'].tolist()
  ]
  ends = np.cumsum(arrays['lengths']).tolist()
  if not len(ids) == len(texts) == len(ends) or [0, *ends][-1] != len(flat):
    raise ValueError('Parts that do not belong together.')
  return Index(
    Ontology(
      {term[0]: Term(*term[:2], *map(tuple, term[2:])) for term in terms},
      alternatives,
      tuple(map(tuple, equivalents)),
      skipped,
    ),
    Reports(ids, texts, about['skipped']),
    [tuple(flat[a:b]) for a, b in itertools.pairwise([0, *ends])],
    frozenset(about['stop']),
  )


def _to_json(value) -> np.ndarray:
  return np.frombuffer(json.dumps(value).encode(), np.uint8)


def _from_json(array):
  return json.loads(array.tobytes())
