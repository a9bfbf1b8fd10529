"""Ontologies and linkers as values that JSON has."""

from collections.abc import Mapping
from typing import Any

from dicejax.concepts.ontology import Ontology
from dicejax.concepts.ontology import Term
from dicejax.concepts.text.aliases import Aliases
from dicejax.concepts.text.cues import LETTERS
from dicejax.concepts.text.linker import Linker
from dicejax.concepts.text.phrases import Phrases


def pack_ontology(ontology: Ontology) -> list:
  """Makes lists of an ontology."""
  terms = [list(term) for term in ontology.terms.values()]
  return [
    terms,
    ontology.alternatives,
    ontology.equivalents,
    ontology.skipped,
  ]


def unpack_ontology(parts: list) -> Ontology:
  """Makes an ontology of what `pack_ontology` returned."""
  terms, alternatives, equivalents, skipped = parts
  return Ontology(
    {term[0]: Term(*term[:2], *map(tuple, term[2:])) for term in terms},
    alternatives,
    tuple(map(tuple, equivalents)),
    skipped,
  )


def pack_linker(linker: Linker) -> dict[str, Any]:
  """Keeps what a linker has beside the ontology."""
  names = {letter: name for name, letter in LETTERS.items()}
  elsewhere = linker.aliases.elsewhere
  return {
    'stop': sorted(linker.aliases.stop),
    'elsewhere': {id: sorted(words) for id, words in elsewhere.items()},
    'cues': linker.cues and [[names[c], *words] for words, c in linker.cues],
    'alternatives': linker.alternatives,
    'forms': linker.forms.tree,
  }


def unpack_linker(settings: Mapping[str, Any], ontology: Ontology) -> Linker:
  """Makes a linker of what `pack_linker` returned."""
  cues = None
  if settings['cues']:
    cues = Phrases()
    for name, *words in settings['cues']:
      cues.add(words, LETTERS[name])
  words = settings['elsewhere']
  aliases = Aliases(
    stop=frozenset(settings['stop']),
    elsewhere={id: frozenset(given) for id, given in words.items()},
  )
  return Linker(
    ontology,
    aliases,
    cues=cues,
    alternatives=settings['alternatives'],
    forms=Phrases(settings['forms']),
  )
