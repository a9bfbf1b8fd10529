"""Mentions of all reports, found by the linker or by an extractor of one's own.

An extractor is a function from a text to mentions, such as a neural tagger. It
is not trusted: what it returns is checked, and the first fault stops the run
with a sentence that names the extractor and the report.
"""

import importlib
import operator
from collections.abc import Callable
from collections.abc import Iterable
from collections.abc import Iterator
from collections.abc import Sequence

from dicejax.concepts.ontology.terms import Ontology
from dicejax.concepts.text.linker import Linker
from dicejax.concepts.text.mentions import Experiencer
from dicejax.concepts.text.mentions import Extractor
from dicejax.concepts.text.mentions import Mention
from dicejax.concepts.text.mentions import Polarity
from dicejax.concepts.text.mentions import Time
from dicejax.concepts.text.reports import Reports


def load_extractor(name: str) -> Extractor:
  """Imports an extractor by its name, `'package.module:function'`.

  Raises:
    ValueError: it cannot be imported or is not callable.

  Example:
    >>> load_extractor('builtins:len')('text')
    4
  """
  module, colon, attributes = name.partition(':')
  if not (module and colon and attributes):
    raise ValueError(
      f'extractor {name}: expected package.module:function, or the directory '
      'of a tagger.'
    )
  try:
    found = importlib.import_module(module)
    for attribute in attributes.split('.'):
      found = getattr(found, attribute)
  # Importing runs code that may raise anything.
  except Exception as error:
    raise ValueError(
      f'extractor {name}: cannot be imported ({_describe(error)}).'
    ) from error
  if not callable(found):
    raise ValueError(
      f'extractor {name}: is a {type(found).__name__}, not a function.'
    )
  return found


def extract(
  reports: Reports,
  extractor: Extractor,
  ontology: Ontology | None = None,
  *,
  progress: Callable[[Iterable[str]], Iterable[str]] = iter,
) -> list[tuple[Mention, ...]]:
  """Finds the mentions of each report.

  Args:
    reports: their texts are read.
    extractor: a `Linker`, or any function from a text to mentions.
    ontology: the concepts; that of the linker by default. Mentions may use its
      alternative ids, which are replaced.
    progress: wraps the texts to show how many are done, such as `tqdm`.

  Returns:
    Mentions by report.

  Raises:
    ValueError: the extractor fails or returns something else than mentions of
      concepts of the ontology at places inside the text.

  Example:
    >>> from dicejax.concepts.ontology import Term
    >>> linker = Linker(Ontology({'X:1': Term('X:1', 'edema')}))
    >>> found = extract(Reports(['a'], ['No edema.'], {}), linker)
    >>> [mention.concept for mention in found[0]]
    ['X:1']
  """
  ontology = ontology_of(extractor, ontology)
  prepare(extractor, reports.texts)
  return [
    find_mentions(text, extractor, ontology, f'report {id!r}')
    for id, text in zip(reports.ids, progress(reports.texts), strict=True)
  ]


def find_mentions(
  text: str, extractor: Extractor, ontology: Ontology, where: str = 'the text'
) -> tuple[Mention, ...]:
  """Finds the mentions of a text and checks them.

  Args:
    text: the text.
    extractor: a function from a text to mentions.
    ontology: the concepts.
    where: names the text in errors.

  Raises:
    ValueError: see `extract`.
  """
  if isinstance(extractor, Linker):
    return tuple(extractor(text))
  try:
    return tuple(_checked(extractor(text), text, ontology))
  # Whatever somebody else's code raises.
  except Exception as error:
    reason = str(error) if isinstance(error, _Fault) else _describe(error)
    raise ValueError(
      f'extractor {name_of(extractor)}: failed on {where}: {reason}'
    ) from error


def prepare(extractor: Extractor, texts: Sequence[str]) -> None:
  """Shows texts to an extractor that computes many together, if it does.

  Such an extractor has a method `prepare`. Each text is passed to the extractor
  afterwards, too.
  """
  look_at = getattr(extractor, 'prepare', None)
  if look_at:
    look_at(texts)


def ontology_of(extractor: Extractor, ontology: Ontology | None) -> Ontology:
  """Returns the ontology that was given, or else the linker's own."""
  if isinstance(extractor, Linker):
    return extractor.ontology
  if ontology is None:
    raise ValueError(
      f'extractor {name_of(extractor)}: pass the ontology of its concepts as '
      'ontology=.'
    )
  return ontology


def name_of(extractor: Extractor) -> str:
  """Returns the name by which `load_extractor` may import it."""
  own = extractor if hasattr(extractor, '__qualname__') else type(extractor)
  return f'{own.__module__}:{own.__qualname__}'


class _Fault(ValueError):
  """A wrong result of an extractor."""


def _checked(found, text, ontology) -> Iterator[Mention]:
  if isinstance(found, str) or not isinstance(found, Iterable):
    raise _Fault(f'it returned {_show(found)}, not a list of mentions.')
  for mention in found:
    if not isinstance(mention, Mention):
      raise _Fault(f'it returned {_show(mention)} among the mentions.')
    concept = ontology.alternatives.get(mention.concept, mention.concept)
    if concept not in ontology.terms:
      raise _Fault(
        f'it mentions {mention.concept}, which is not in the ontology.'
      )
    yield mention._replace(
      concept=concept,
      start=(span := _inside(mention[1:3], text, 'mention'))[0],
      end=span[1],
      polarity=Polarity(mention.polarity),
      cue=None if mention.cue is None else _inside(mention.cue, text, 'cue'),
      experiencer=Experiencer(mention.experiencer),
      time=Time(mention.time),
      modifiers=tuple(mention.modifiers),
    )


def _inside(span, text, name) -> tuple[int, int]:
  """Makes plain numbers of a span, which numpy's integers serve as well."""
  start, end = map(operator.index, span)
  if not 0 <= start < end <= len(text):
    raise _Fault(
      f'it returned a {name} at {start} to {end} in a text of {len(text)} '
      'characters.'
    )
  return start, end


def _describe(error) -> str:
  text = ' '.join(str(error).split())
  return f'{type(error).__name__}: {text}' if text else type(error).__name__


def _show(value) -> str:
  text = ' '.join(repr(value).split())
  return text if len(text) <= 60 else f'{text[:57]}...'
