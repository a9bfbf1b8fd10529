"""The file of an index: a zip of numpy arrays (`numpy.savez`), some are JSON.

There is no pickle in it: loading it runs no code of whoever wrote it.
"""

import itertools
import json
import os
import zipfile
from collections.abc import Callable
from collections.abc import Mapping
from collections.abc import Sequence
from typing import Any

import numpy as np

from dicejax.concepts.files import replacing
from dicejax.concepts.ontology import Ontology
from dicejax.concepts.ontology import Term
from dicejax.concepts.text.aliases import Aliases
from dicejax.concepts.text.cues import LETTERS
from dicejax.concepts.text.linker import Linker
from dicejax.concepts.text.mentions import Experiencer
from dicejax.concepts.text.mentions import Mention
from dicejax.concepts.text.mentions import Polarity
from dicejax.concepts.text.mentions import Time
from dicejax.concepts.text.phrases import Phrases

_FORMAT = 'dicejax concepts index'
_VERSION = 2
_NUMBERS = 9  # of a mention, the concept and eight more


def write_arrays(
  path: str | os.PathLike, parts: Mapping[str, Any], *, force: bool
) -> None:
  """Writes arrays, and anything else as JSON; never half a file.

  Raises:
    FileExistsError: the file exists, and `force` is not set.
  """
  about = {'format': _FORMAT, 'version': _VERSION}
  arrays = {
    name: part if isinstance(part, np.ndarray) else _to_json(part)
    for name, part in {'about': about, **parts}.items()
  }
  with replacing(path, force=force) as file:
    np.savez_compressed(file, **arrays)


def read_arrays(
  path: str | os.PathLike, unpack: Callable[[Mapping[str, np.ndarray]], Any]
) -> Any:
  """Reads what `write_arrays` wrote, and makes something of it.

  Raises:
    FileNotFoundError: there is no such file.
    ValueError: it is not an index, damaged or of another version.
  """
  with open(path, 'rb') as file:
    try:
      # numpy would say of a file that is not a zip that it may be a pickle.
      is_zip = zipfile.is_zipfile(file)
      file.seek(0)
      arrays = np.load(file, allow_pickle=False) if is_zip else {}
      about = from_json(arrays['about'])
      found = about['format'], about['version']
      if found == (_FORMAT, _VERSION):
        return unpack(arrays)
    # A foreign or damaged file makes zip, numpy and JSON raise anything.
    except Exception as error:
      raise ValueError(f'{path}: not an index, or damaged.') from error
  raise ValueError(
    f'{path}: {found[0]!r} of version {found[1]}, but this dicejax reads '
    f'version {_VERSION}: build the index again.'
  )


def from_json(array: np.ndarray) -> Any:
  """Reads JSON from bytes."""
  return json.loads(array.tobytes())


def _to_json(value) -> np.ndarray:
  return np.frombuffer(json.dumps(value).encode(), np.uint8)


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


def pack_mentions(
  mentions: Sequence[Sequence[Mention]], ontology: Ontology
) -> dict[str, Any]:
  """Makes numbers of mentions: a row per attribute, which compresses best."""
  flat = list(itertools.chain(*mentions))
  modifiers = list(dict.fromkeys(mention.modifiers for mention in flat))
  kinds = [list(Polarity), list(Experiencer), list(Time), modifiers]
  concepts, *codes = (
    {value: number for number, value in enumerate(values)}
    for values in (ontology.terms, *kinds)
  )
  numbers = [
    (
      concepts[concept],
      start,
      end,
      *(cue or (-1, -1)),
      *(code[value] for code, value in zip(codes, rest, strict=True)),
    )
    for concept, start, end, polarity, cue, *others in flat
    for rest in [(polarity, *others)]
  ]
  table = np.array(numbers, np.int32).reshape(-1, _NUMBERS)
  return {
    'kinds': kinds,
    'mentions': np.ascontiguousarray(table.T),
    'lengths': np.array([len(row) for row in mentions], np.int32),
  }


def unpack_mentions(
  arrays: Mapping[str, np.ndarray], ontology: Ontology
) -> list[tuple[Mention, ...]]:
  """Makes mentions of what `pack_mentions` returned."""
  concepts, starts, ends, *cues, polarity, experiencer, time, modifiers = (
    row.tolist() for row in arrays['mentions']
  )
  kinds = zip(
    (Polarity, Experiencer, Time, tuple),
    from_json(arrays['kinds']),
    (polarity, experiencer, time, modifiers),
    strict=True,
  )
  polarities, *others = (
    map([make(value) for value in values].__getitem__, codes)
    for make, values, codes in kinds
  )
  spans = (None if cue[0] < 0 else cue for cue in zip(*cues, strict=True))
  ids = map(list(ontology.terms).__getitem__, concepts)
  flat = list(map(Mention, ids, starts, ends, polarities, spans, *others))
  stops = [0, *np.cumsum(arrays['lengths']).tolist()]
  if stops[-1] != len(flat):
    raise ValueError('The lengths do not belong to the mentions.')
  return [tuple(flat[a:b]) for a, b in itertools.pairwise(stops)]


def pack_linker(linker: Linker) -> dict[str, Any]:
  """Keeps what a linker has beside the terms, which are the ontology's."""
  names = {letter: name for name, letter in LETTERS.items()}
  elsewhere = linker.aliases.elsewhere
  return {
    'stop': sorted(linker.aliases.stop),
    'elsewhere': {id: sorted(words) for id, words in elsewhere.items()},
    'cues': linker.cues and [[names[c], *words] for words, c in linker.cues],
    'alternatives': linker.alternatives,
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
    ontology, aliases, cues=cues, alternatives=settings['alternatives']
  )
