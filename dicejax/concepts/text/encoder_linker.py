"""Links noun phrases that the dictionary leaves to names with a near vector."""

import itertools
import os
from collections.abc import Callable
from collections.abc import Iterable
from collections.abc import Iterator
from collections.abc import Mapping
from collections.abc import Sequence
from typing import Any

from dicejax.concepts.text.aliases import is_clear
from dicejax.concepts.text.assertion import Span
from dicejax.concepts.text.cues import LETTERS
from dicejax.concepts.text.cues import classify
from dicejax.concepts.text.cues import default_cues
from dicejax.concepts.text.linker import Linker
from dicejax.concepts.text.linker import is_elsewhere
from dicejax.concepts.text.modifiers import name_modifiers
from dicejax.concepts.text.phrases import FILLERS
from dicejax.concepts.text.phrases import Phrases
from dicejax.concepts.text.phrases import phrase_words
from dicejax.concepts.text.sentences import split_sentences

THRESHOLD = 0.7
# Semantic types of the paper's observations: disease or syndrome, pathologic
# function, finding, congenital abnormality, injury or poisoning.
_TYPES = frozenset(['T047', 'T046', 'T033', 'T019', 'T037'])
_LONGEST = 8  # Words of a phrase.
_MOST = 1 << 20  # Phrases that are remembered.
_WORD = LETTERS['word']
_INSIDE = frozenset(
  LETTERS[name] for name in 'word article change changed degree side'.split()
)
# Words that begin and end no phrase, and words that are in none.
_NORMAL = frozenset('normal normally unremarkable clear intact'.split())
_JOINS = frozenset(['of', 'a', 'an', 'the'])
_BETWEEN = frozenset(
  'about above across along around as at below between by during from in into '
  'near on over per through throughout toward under upon via within'.split()
)


class EncoderLinker(Linker):
  """A `Linker` that asks an encoder about the phrases which it does not know.

  What the dictionary finds stays. Any other noun phrase, a run of words without
  cues, verbs and prepositions (but "of"), means the concept whose name has the
  nearest vector, if their cosine reaches the threshold. Two vectors are tried:
  that of the whole phrase and that of the phrase without sides and words of
  degree; the nearer name counts. Polarity is decided as for other findings.
  Sentences that call something normal have no such phrases: "the heart is
  normal" is near to diseases of the heart.

  Names are those that the linker may link, abbreviations excluded. Where a term
  has UMLS semantic types, one of them must be a type of observations (the
  paper's list). The paper takes the first such name of the 128 nearest, and the
  nearest of any type if there is none; here other names are no candidates.

  Args:
    linker: the dictionary.
    encoder: an `Encoder`.
    threshold: the least cosine.
    cache: directory of the vectors of names, see `encoder.embed_names`.
    progress: see there.

  Raises:
    ValueError: the threshold is not between 0 and 1, or there are no names.

  Attributes:
    encoder: as given.
    threshold: as given.
  """

  def __init__(
    self,
    linker: Linker,
    encoder: Any,
    threshold: float = THRESHOLD,
    *,
    cache: str | os.PathLike | None = None,
    progress: Callable[[range], Iterable[int]] = iter,
  ):
    if not 0 < threshold <= 1:
      raise ValueError(f'threshold is above 0 and at most 1, not {threshold}.')
    super().__init__(
      linker.ontology,
      linker.aliases,
      cues=linker.cues,
      alternatives=linker.alternatives,
      forms=linker.forms,
    )
    self.skipped, self.encoder = linker.skipped, encoder
    self.threshold = threshold
    names = list(_names(linker))
    if not names:
      raise ValueError('The ontology has no names that an encoder may link.')
    self._concepts = [concept for _, concept in names]
    self._vectors = encoder.embed_names(
      [name for name, _ in names], cache, progress=progress
    )
    self._stopped = {phrase_words(form) for form in linker.aliases.stop}
    self._known: dict[str, tuple[float, str]] = {}

  def prepare(self, texts: Iterable[str]) -> None:
    """Looks up all phrases of texts together, which takes less time."""
    asked = {}
    for text in texts:
      for sentence in split_sentences(text):
        found = [span for _, span in super()._link(sentence, text)]
        for _, strings in self._phrases(sentence, text, found):
          asked |= dict.fromkeys(strings)
    self._look_up(asked)

  def _link(self, sentence, text) -> Iterator[tuple[str, Span]]:
    found = list(super()._link(sentence, text))
    phrases = list(self._phrases(sentence, text, [span for _, span in found]))
    self._look_up([string for _, strings in phrases for string in strings])
    for span, strings in phrases:
      cosine, concept = max(self._known[string] for string in strings)
      if cosine >= self.threshold and self._is_here(sentence, span, concept):
        found.append((concept, span))
    yield from sorted(found, key=lambda pair: pair[1])

  def _is_here(self, sentence, span, concept) -> bool:
    regions = self._elsewhere.get(concept)
    return not regions or (
      regions.isdisjoint(sentence.words[slice(*span)])
      and not is_elsewhere(sentence.words, span, regions)
    )

  def _look_up(self, strings: Iterable[str]) -> None:
    if len(self._known) > _MOST:
      self._known.clear()
    new = [string for string in strings if string not in self._known]
    if new:
      rows, cosines = self.encoder.nearest(new, self._vectors)
      for string, row, cosine in zip(new, rows, cosines, strict=True):
        self._known[string] = float(cosine), self._concepts[row]

  def _phrases(
    self, sentence, text, spans
  ) -> Iterator[tuple[Span, tuple[str, ...]]]:
    """Yields noun phrases between findings, and the strings to look up."""
    if not _NORMAL.isdisjoint(sentence.words):
      return
    for span in noun_phrases(sentence.words, spans, self.cues):
      if tuple(sentence.words[slice(*span)]) in self._stopped:
        continue
      words = [
        text[sentence.starts[place] : sentence.ends[place]]
        for place in range(*span)
      ]
      plain = [word for word in words if not _is_modifier(word)]
      strings = dict.fromkeys((' '.join(words), ' '.join(plain or words)))
      yield span, tuple(strings)


def made_by(linker: Any) -> dict[str, Any] | None:
  """Returns what tells an encoder and its threshold, for JSON.

  None if the linker, or an extractor of another kind, has no encoder.
  """
  if not isinstance(linker, EncoderLinker):
    return None
  return {
    'source': linker.encoder.source,
    'digest': linker.encoder.digest,
    'threshold': linker.threshold,
  }


def check_encoder(
  encoder: Any, made_by: Mapping[str, Any] | None, path: str | os.PathLike
) -> None:
  """Raises ValueError if an index was made by another encoder, or by none."""
  if not made_by:
    raise ValueError(f'{path} was made without an encoder: name none.')
  if made_by['digest'] != encoder.digest:
    raise ValueError(
      f'{path} was made with the encoder {made_by["source"]}, whose digest is '
      f'{made_by["digest"]}; {encoder.source} is another one, {encoder.digest}.'
    )


def _is_modifier(word) -> bool:
  word = word.lower()
  return word not in _JOINS and (
    word in FILLERS or bool(name_modifiers([word]))
  )


def noun_phrases(
  words: Sequence[str],
  spans: Sequence[tuple[int, int]],
  cues: Phrases | None = None,
) -> Iterator[Span]:
  """Finds the noun phrases of a sentence between its findings.

  Args:
    words: folded words and marks of the sentence (`split_sentences`).
    spans: the findings, in order.
    cues: from `read_cues`; by default the table of the package.

  Example:
    >>> words = 'mild prominence of the lung root without edema'.split()
    >>> list(noun_phrases(words, [(7, 8)]))
    [Span(start=0, end=6)]
  """
  letters, starts = classify(words, spans, cues or default_cues())
  inside = [
    letter in _INSIDE and words[start] not in _BETWEEN
    for letter, start in zip(letters, starts, strict=False)
  ]
  first = 0
  for is_inside, run in itertools.groupby(inside):
    last = first + len(list(run))
    if is_inside:
      span = _trimmed(words, starts[first], starts[last])
      fits = span.end - span.start <= _LONGEST and _WORD in letters[first:last]
      if fits and is_clear(words[slice(*span)]):
        yield span
    first = last


def _trimmed(words, start, end) -> Span:
  """Leaves out what begins or ends no phrase."""
  while start < end and words[start] in _JOINS:
    start += 1
  while start < end and words[end - 1] in _JOINS:
    end -= 1
  return Span(start, end)


def _names(linker: Linker) -> Iterator[tuple[str, str]]:
  """Yields the names that may be linked, and the concept of each."""
  concepts = {
    words: concept
    for words, (concept, is_abbreviation) in linker.forms
    if not is_abbreviation
  }
  for term in linker.ontology.terms.values():
    if term.types and _TYPES.isdisjoint(term.types):
      continue
    for name in (term.name, *term.synonyms):
      if concepts.pop(phrase_words(name), None) == term.id:
        yield name, term.id
