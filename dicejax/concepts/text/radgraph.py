"""Mentions from the entities and relations that RadGraph found in reports.

RadGraph's JSON has, by the id of a report, its `text`, tokens between blanks,
and its `entities` by their ids: `tokens`; `label`, an observation or anatomy
that is present, absent or uncertain; `start_ix` and `end_ix`, the places of the
first and the last token; and `relations`, each a name (`modify`, `located_at`,
`suggestive_of`) and the id of another entity. RadGraph writes OBS-DP where
RadGraph-XL writes `Observation::definitely present`; both are read.

References:
  Jain et al., `RadGraph: extracting clinical entities and relations from
  radiology reports <https://arxiv.org/abs/2106.14463>`_, 2021. Delbrouck et
  al., `RadGraph-XL <https://aclanthology.org/2024.findings-acl.765>`_, 2024.
"""

import json
import os
import pathlib
from collections.abc import Iterator
from collections.abc import Mapping
from typing import Any
from typing import NamedTuple

from dicejax.concepts.text.mentions import Extractor
from dicejax.concepts.text.mentions import Mention
from dicejax.concepts.text.mentions import Polarity
from dicejax.concepts.text.modifiers import name_modifiers

_POLARITIES = {
  'definitely present': Polarity.PRESENT,
  'definitely absent': Polarity.ABSENT,
  'uncertain': Polarity.UNCERTAIN,
}
# Each label as whether it is an observation, and its polarity.
_LABELS = {
  f'{kind}{measured}::{words}': (kind == 'Observation', polarity)
  for kind in ('Observation', 'Anatomy')
  for measured in ('', '::measurement')
  for words, polarity in _POLARITIES.items()
} | {
  'OBS-DP': (True, Polarity.PRESENT),
  'OBS-DA': (True, Polarity.ABSENT),
  'OBS-U': (True, Polarity.UNCERTAIN),
  'ANAT-DP': (False, Polarity.PRESENT),
}
_RELATIONS = ('modify', 'located_at', 'suggestive_of')


class Entity(NamedTuple):
  """Tokens of a report that mean one thing.

  Attributes:
    start: place of the first token.
    end: of the token behind the last.
    is_observation: otherwise it is anatomy.
    polarity: whether it is there, by its own label.
    relations: the name of each and the id of the entity that it points to.
  """

  start: int
  end: int
  is_observation: bool
  polarity: Polarity
  relations: tuple[tuple[str, str], ...]


class Graph(NamedTuple):
  """The tokens of a report, and its entities by their ids."""

  tokens: tuple[str, ...]
  entities: dict[str, Entity]


def read_radgraph(path: str | os.PathLike[str]) -> dict[str, Graph]:
  """Reads the graphs of reports, by their ids.

  Args:
    path: a JSON file as RadGraph publishes and writes it, in UTF-8.

  Raises:
    ValueError: it is no such file, or an entity has a label, a relation or a
      place that it cannot have; the first is named with its report.
  """
  try:
    reports = json.loads(
      pathlib.Path(path).read_text('utf-8'), object_pairs_hook=_unique
    )
  except json.JSONDecodeError as error:
    raise ValueError(f'{path}:{error.lineno}: no JSON: {error.msg}.') from None
  except ValueError as error:
    raise ValueError(f'{path}: {error}') from None
  if not isinstance(reports, dict) or not reports:
    raise ValueError(f'{path}: expected an object with reports by their ids.')
  graphs = {}
  for id, report in reports.items():
    try:
      graphs[id] = _read_graph(report)
    except ValueError as error:
      raise ValueError(f'{path}: report {id!r}: {error}') from None
  return graphs


class RadGraphExtractor:
  """Finds the mentions of a text in the graph that RadGraph made of it.

  An observation is linked together with its anatomy (what it is located at or
  modifies) and with what modifies either: with "effusion" located at "pleural",
  the name "pleural effusion" is looked up, in the order of the text, then with
  the observation first, then with the words between; else the observation
  alone. Where no name has a word of the observation, it is no mention. Its side
  and degree are among the same words. Anatomy by itself is no mention.

  An entity that is absent makes those it points to absent, one step far, unless
  they point to something present: in "no focal consolidation", "focal" may be
  what is denied (Nützel et al., 2025).

  A text is that of a report with the same letters and digits: RadGraph changes
  blanks and marks. Mentions have no cue: RadGraph does not say which words
  decided.

  Args:
    graphs: from `read_radgraph`.
    link: finds the concepts of a few words, such as a `Linker`.

  Attributes:
    linker: what links the words.
    skipped: graphs that are not used, as a phrase that follows a number, and
      how many.

  Example:
    >>> effusion = Entity(1, 2, True, Polarity.ABSENT, ())
    >>> graphs = {'7': Graph(('No', 'effusion', '.'), {'1': effusion})}
    >>> def link(words):
    ...   start = words.find('effusion')
    ...   return [Mention('X:1', start, start + 8, Polarity.PRESENT)]
    >>> RadGraphExtractor(graphs, link)('No effusion.')  # doctest: +ELLIPSIS
    [Mention(concept='X:1', start=3, end=11, \
polarity=<Polarity.ABSENT: 'absent'>, ...)]
  """

  def __init__(self, graphs: Mapping[str, Graph], link: Extractor):
    self.linker = link
    self._by_text = {}
    for graph in graphs.values():
      self._by_text.setdefault(_key(' '.join(graph.tokens)), graph)
    same = len(graphs) - len(self._by_text)
    self.skipped = {'graphs of a text that came before': same} if same else {}

  def __call__(self, text: str) -> list[Mention]:
    """The mentions in a text, in order.

    Raises:
      ValueError: there is no graph of the text.
    """
    graph = self._by_text.get(_key(text))
    if graph is None:
      raise ValueError(
        f'RadGraph has no report with the text that begins {text[:60]!r}.'
      )
    polarities = spread_absence(graph.entities)
    bounds = _token_bounds(graph.tokens, text)
    found = {}
    for id, entity in graph.entities.items():
      if entity.is_observation and entity.start in bounds:
        mention = self._mention(graph, id, polarities[id], bounds)
        if mention:
          found.setdefault(
            (mention.start, mention.end, mention.concept), mention
          )
    return sorted(found.values(), key=lambda mention: mention.start)

  def _mention(self, graph, id, polarity, bounds) -> Mention | None:
    own = _places(graph.entities[id])
    related = _related(graph.entities, id)
    others = [place for place in related if place not in own]
    stretch = range(related[0], related[-1] + 1)
    for places in (related, own + others, stretch, own):
      linked = self._linked(graph.tokens, places, own)
      if linked:
        concept, named = linked
        first, last = _widened(own, named)
        words = [graph.tokens[place] for place in related]
        return Mention(
          concept,
          bounds[first][0],
          bounds[last][1],
          polarity,
          modifiers=name_modifiers(words),
        )
    return None

  def _linked(self, tokens, places, own) -> tuple[str, set[int]] | None:
    """The concept of tokens, and the places of those that name it."""
    ends, end = {}, -1
    for place in places:
      start = end + 1
      end = start + len(tokens[place])
      ends[place] = start, end
    best = None
    for mention in self.linker(' '.join(tokens[place] for place in places)):
      named = {
        place
        for place, (start, end) in ends.items()
        if start < mention.end and mention.start < end
      }
      if named & set(own) and (best is None or len(named) > len(best[1])):
        best = mention.concept, named
    return best


def spread_absence(entities: Mapping[str, Entity]) -> dict[str, Polarity]:
  """The polarity of each entity once absence is spread over relations.

  Example:
    >>> no_focal = Entity(1, 2, True, Polarity.ABSENT, (('modify', '2'),))
    >>> opacity = Entity(2, 3, True, Polarity.PRESENT, ())
    >>> spread_absence({'1': no_focal, '2': opacity})['2'].value
    'absent'
  """
  polarities = {id: entity.polarity for id, entity in entities.items()}
  for entity in entities.values():
    if entity.polarity is Polarity.ABSENT:
      for _, id in entity.relations:
        if entities[id].polarity is Polarity.PRESENT and not any(
          entities[other].polarity is Polarity.PRESENT
          for _, other in entities[id].relations
        ):
          polarities[id] = Polarity.ABSENT
  return polarities


def _unique(pairs) -> dict[str, Any]:
  found = dict(pairs)
  if len(found) < len(pairs):
    names = [name for name, _ in pairs]
    twice = next(name for name in names if names.count(name) > 1)
    raise ValueError(f'{twice!r} is there twice in one object.')
  return found


def _read_graph(report) -> Graph:
  text = report.get('text') if isinstance(report, dict) else None
  given = report.get('entities') if isinstance(report, dict) else None
  if not isinstance(text, str) or not isinstance(given, dict):
    raise ValueError("expected an object with 'text' and 'entities'.")
  tokens = tuple(text.split())
  entities = {}
  for id, values in given.items():
    try:
      entities[id] = _read_entity(values, tokens, given.keys())
    except ValueError as error:
      raise ValueError(f'entity {id!r}: {error}') from None
  return Graph(tokens, entities)


def _read_entity(values, tokens, ids) -> Entity:
  if not isinstance(values, dict):
    raise ValueError('expected an object.')
  label = values.get('label')
  if not isinstance(label, str) or label not in _LABELS:
    raise ValueError(
      f"the label {label!r} is none of RadGraph's, such as 'OBS-DP' or "
      "'Observation::definitely present'."
    )
  first, last = values.get('start_ix'), values.get('end_ix')
  if not (
    isinstance(first, int)
    and isinstance(last, int)
    and 0 <= first <= last < len(tokens)
  ):
    raise ValueError(
      f"'start_ix' {first!r} and 'end_ix' {last!r} are no places among the "
      f'{len(tokens)} tokens of the text.'
    )
  there, named = ' '.join(tokens[first : last + 1]), values.get('tokens')
  if named != there:
    raise ValueError(f"'tokens' is {named!r}, where the text has {there!r}.")
  relations = tuple(_read_relations(values.get('relations', []), ids))
  return Entity(first, last + 1, *_LABELS[label], relations)


def _read_relations(values, ids) -> Iterator[tuple[str, str]]:
  for value in values if isinstance(values, list) else [values]:
    if (
      not isinstance(value, list)
      or len(value) != 2
      or not all(isinstance(part, str) for part in value)
    ):
      raise ValueError(f'expected [name, id] as a relation, found {value!r}.')
    name, id = value
    if name not in _RELATIONS:
      raise ValueError(
        f'the relation {name!r} is none of {", ".join(_RELATIONS)}.'
      )
    if id not in ids:
      raise ValueError(f'the relation {name} points to {id!r}, no entity here.')
    yield name, id


def _key(text) -> tuple[int, str]:
  """Reduces a text to its letters and digits, which every copy shares."""
  kept = [char for char in text if char.isalnum()]
  return len(kept), ''.join(kept).casefold()


def _token_bounds(tokens, text) -> dict[int, tuple[int, int]]:
  """Where each token with a letter or digit is in the text, in characters."""
  places = [place for place, char in enumerate(text) if char.isalnum()]
  bounds, done = {}, 0
  for number, token in enumerate(tokens):
    size = sum(char.isalnum() for char in token)
    if size:
      bounds[number] = places[done], places[done + size - 1] + 1
    done += size
  return bounds


def _places(entity) -> list[int]:
  return list(range(entity.start, entity.end))


def _related(entities, id) -> list[int]:
  """Places of an observation's tokens, its anatomy's, and their modifiers'."""
  anatomy = {
    other
    for name, other in entities[id].relations
    if name != 'suggestive_of' and not entities[other].is_observation
  }
  found = list({id: None} | dict.fromkeys(sorted(anatomy)))
  for other in found:
    for source, entity in entities.items():
      modifies = ('modify', other) in entity.relations
      # An observation of the anatomy is a finding of its own.
      fits = entities[other].is_observation or not entity.is_observation
      if modifies and fits and source not in found:
        found.append(source)
  return sorted(
    {place for other in found for place in _places(entities[other])}
  )


def _widened(own, named) -> tuple[int, int]:
  """The first and last of the own places and of named ones beside them."""
  first, last = own[0], own[-1]
  while first - 1 in named:
    first -= 1
  while last + 1 in named:
    last += 1
  return first, last
