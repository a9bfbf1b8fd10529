"""Mentions by a tagger whose entities are findings, typed by polarity."""

import os
from collections.abc import Callable
from collections.abc import Iterable
from typing import Any

import dicejax
from dicejax.concepts.text.extraction import prepare
from dicejax.concepts.text.linker import Linker
from dicejax.concepts.text.mentions import Mention
from dicejax.concepts.text.mentions import Polarity
from dicejax.concepts.text.sentences import split_sentences

_POLARITIES = {polarity.name: polarity for polarity in Polarity}

# From a list of sentences to a record of each, with its `entities`.
Tagger = Callable[[list[str]], list[dict[str, Any]]]


def load_tagger(source: str | os.PathLike) -> Tagger:
  """Loads a tagger that `python -m train` made, with `dicejax.load`.

  Args:
    source: an exported directory; or a run, with orbax-checkpoint.

  Raises:
    FileNotFoundError, ImportError, ValueError: as for `dicejax.load`; or its
      entities are no polarities.
  """
  predictor = dicejax.load(source)
  labels = getattr(predictor.decoder, 'labels', ())
  types = {label[2:] for label in labels if label != 'O'}
  is_tagger = getattr(predictor.decoder, 'has_entities', False)
  if not is_tagger or not {name.upper() for name in types} <= {*_POLARITIES}:
    raise ValueError(
      f'{source}: expected a tagger of entities of the types '
      f'{", ".join(_POLARITIES)}, found {", ".join(sorted(types)) or "none"}.'
    )
  return predictor


class TaggerExtractor:
  """Links what a tagger marks; the type of an entity is its polarity.

  The tagger is given sentences. What a linker finds within an entity is a
  mention with the polarity of the entity; other mentions are left out, and so
  is an entity without a name. Mentions have no cue, and all are of the patient
  now.

  Args:
    tagger: from `load_tagger`.
    linker: finds the concepts of entities, and the mentions of queries.

  Attributes:
    linker: as given.

  Example:
    >>> from dicejax.concepts.ontology import Ontology, Term
    >>> def tagger(sentences):
    ...   entity = {'type': 'ABSENT', 'start': 3, 'end': 11}
    ...   return [{'entities': [entity]} for _ in sentences]
    >>> linker = Linker(Ontology({'X:1': Term('X:1', 'effusion')}))
    >>> found = TaggerExtractor(tagger, linker)('No effusion.')
    >>> found[0].concept, found[0].start, found[0].polarity.value
    ('X:1', 3, 'absent')
  """

  def __init__(self, tagger: Tagger, linker: Linker):
    self.linker, self._tagger = linker, tagger
    self._known: dict[str, list[dict[str, Any]]] = {}

  def prepare(self, texts: Iterable[str]) -> None:
    """Tags the sentences of texts together, and forgets others."""
    asked = {part: None for text in texts for _, part in _sentences(text)}
    self._known.clear()
    self._tag(list(asked))
    prepare(
      self.linker,
      [
        part[entity['start'] : entity['end']]
        for part, entities in self._known.items()
        for entity in entities
      ],
    )

  def __call__(self, text: str) -> list[Mention]:
    """Finds the mentions in a text, in order."""
    sentences = list(_sentences(text))
    self._tag([part for _, part in sentences if part not in self._known])
    return [
      mention
      for start, part in sentences
      for entity in self._known[part]
      for mention in self._link(text, start, entity)
    ]

  def _tag(self, sentences) -> None:
    for sentence, record in zip(
      sentences, self._tagger(sentences), strict=True
    ):
      self._known[sentence] = record['entities']

  def _link(self, text, start, entity) -> Iterable[Mention]:
    first, last = start + entity['start'], start + entity['end']
    for mention in self.linker(text[first:last]):
      yield Mention(
        mention.concept,
        first + mention.start,
        first + mention.end,
        _POLARITIES[entity['type'].upper()],
        modifiers=mention.modifiers,
      )


def _sentences(text) -> Iterable[tuple[int, str]]:
  """Yields where each sentence begins, and its text."""
  for _, starts, ends in split_sentences(text):
    yield starts[0], text[starts[0] : ends[-1]]
