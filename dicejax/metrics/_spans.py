"""Entities as spans and as tags.

A tag is `O` (outside) or a prefix, a hyphen and a type. The prefix `B` begins
an entity, `I` continues it, `E` ends it, and `S` marks an entity of one word.
The schemes differ in the prefixes they use and in which tag may follow which.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable
from collections.abc import Iterator
from collections.abc import Sequence
from typing import NamedTuple

# Patterns of the prefixes of an entity, one letter per word. `=` means that the
# word before the entity belongs to another entity of the same type.
_WELL_FORMED = {
  'conll': r'=?[BIES]+',
  'iob1': r'I+|=BI*',
  'bio': r'=?BI*',
  'bioes': r'=?(S|BI*E)',
}
_OUTSIDE = ('O', '')


class Span(NamedTuple):
  """An entity: its type, its first word, and the word after its last."""

  type: str
  start: int
  end: int


def entity_spans(tags: Sequence[str], scheme: str = 'conll') -> list[Span]:
  """Returns the entities that the tags of a sentence encode, in order.

  Ill-formed tags (an `I-X` after `O`, for example) are divided into entities by
  the rules of the shared task's script. `'conll'` accepts all of these entities
  and reads every scheme. The other schemes are strict: ill-formed entities are
  ignored.

  Args:
    tags: one tag per word. A type may contain hyphens.
    scheme: `'conll'`, `'iob1'` (`B-X` only right after another X), `'bio'`
      (every entity begins with `B-X`) or `'bioes'`.

  Returns:
    The entities, which never overlap.

  Raises:
    ValueError: the scheme is unknown, or a tag is not part of it.

  Example:
    >>> entity_spans(['I-PER', 'I-PER', 'O', 'B-LOC'])
    [Span(type='PER', start=0, end=2), Span(type='LOC', start=3, end=4)]
    >>> entity_spans(['I-PER', 'I-PER', 'O', 'B-LOC'], scheme='bio')
    [Span(type='LOC', start=3, end=4)]

  References:
    Tjong Kim Sang and Buchholz, `Introduction to the CoNLL-2000 shared task
    <https://aclanthology.org/W00-0726>`_, 2000, and its script `conlleval`.
    Nakayama, `seqeval <https://github.com/chakki-works/seqeval>`_, 2018, whose
    default mode is `'conll'` and whose strict mode the strict schemes.
  """
  return [span for span, well_formed in _chunks(tags, scheme) if well_formed]


def first_ill_formed(tags: Sequence[str], scheme: str) -> int | None:
  """Finds the first ill-formed entity of a sentence.

  Args:
    tags: one tag per word.
    scheme: as for `entity_spans`. In `'conll'` nothing is ill-formed.

  Returns:
    The index of its first word, or None if all entities are well-formed.

  Raises:
    ValueError: the scheme is unknown, or a tag is not part of it.

  Example:
    >>> first_ill_formed(['O', 'I-PER', 'I-PER'], 'bio')
    1
  """
  chunks = _chunks(tags, scheme)
  return next(
    (span.start for span, well_formed in chunks if not well_formed), None
  )


def bio_tags(spans: Iterable[Span], length: int) -> list[str]:
  """Writes entities as BIO tags, the inverse of `entity_spans`.

  Args:
    spans: the entities of a sentence, in any order.
    length: the number of words of the sentence.

  Returns:
    One tag per word.

  Raises:
    ValueError: a span is empty, out of range, or overlaps another.

  Example:
    >>> bio_tags([Span('LOC', 3, 4), Span('PER', 0, 2)], length=5)
    ['B-PER', 'I-PER', 'O', 'B-LOC', 'O']
  """
  tags = ['O'] * length
  for span in spans:
    type_, start, end = span
    if not 0 <= start < end <= length:
      raise ValueError(f'{span} is not a span of a sentence of {length} words.')
    if tags[start:end] != ['O'] * (end - start):
      raise ValueError(f'{span} overlaps another span.')
    tags[start:end] = [f'B-{type_}'] + [f'I-{type_}'] * (end - start - 1)
  return tags


def _chunks(tags: Sequence[str], scheme: str) -> Iterator[tuple[Span, bool]]:
  """Yields the entities that conlleval sees, and if `scheme` allows them."""
  if scheme not in _WELL_FORMED:
    known = ', '.join(_WELL_FORMED)
    raise ValueError(f'Scheme {scheme!r} is not one of {known}.')
  parsed = [_parse(tag, scheme) for tag in tags]
  start, before, before_type = 0, *_OUTSIDE
  for i, (prefix, type_) in enumerate([*parsed, _OUTSIDE]):
    if prefix in 'BS' or before in 'OES' or type_ != before_type:
      if before != 'O':
        span = Span(before_type, start, i)
        yield span, _is_well_formed(parsed, span, scheme)
      start = i
    before, before_type = prefix, type_


def _is_well_formed(parsed, span, scheme):
  prefixes = ''.join(prefix for prefix, _ in parsed[span.start : span.end])
  if span.start and parsed[span.start - 1][1] == span.type:
    prefixes = f'={prefixes}'
  return re.fullmatch(_WELL_FORMED[scheme], prefixes) is not None


@functools.cache  # A corpus repeats a few tags many times.
def _parse(tag: str, scheme: str) -> tuple[str, str]:
  if tag == 'O':
    return _OUTSIDE
  prefix, _, type_ = tag.partition('-')
  prefixes = 'BI' if scheme in ('iob1', 'bio') else 'BIES'
  if len(prefix) != 1 or prefix not in prefixes or not type_:
    raise ValueError(
      f'{tag!r} is not a tag of the scheme {scheme!r}: expected O or '
      f'one of {", ".join(prefixes)}, a hyphen and a type, as in B-PER.'
    )
  return prefix, type_
