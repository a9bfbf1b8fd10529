"""Side, zone, degree, age and change of findings, as words of a small table.

A mention gets these words of the table from its sentence:

- those inside it ("heart is *mildly* enlarged");
- those of the noun phrase before it ("*small left* pleural effusion", "*left*
  greater than *right* effusions"), back to a verb, a preposition, a mark or
  another mention;
- those said of it afterwards ("effusion on the *left*", "pneumothorax, *right
  apical*", "effusions are *moderate* on the *right* and *small* on the
  *left*"), up to the first word that says something else. After a comma or
  "and", a part counts only as a whole: "effusion, clear left lung" has no side;
- those of a place named first ("on the *left*, there is ...", "*Left* lung:
  ...").

A verb after a list speaks of the whole list ("A and B are *stable*"), and so do
words after alternatives ("A or B in the *left* lung"). In "left A and B" only A
is on the left, because the side may or may not hold for B. A finding and the
disease that it may be share one place: in "*left basal* opacity, likely
pneumonia" both have it.
"""

import itertools
from collections.abc import Iterable
from collections.abc import Sequence

from dicejax.concepts.text.sentences import fold

# By kind, each modifier and the words for it. Within a kind they exclude one
# another.
KINDS = {
  'side': {
    'left': 'left leftsided',
    'right': 'right rightsided',
    'bilateral': 'bilateral bilaterally both bibasilar bibasal biapical',
  },
  'zone': {
    'upper': 'upper',
    'mid': 'mid middle midlung midzone',
    'lower': 'lower',
    'apical': 'apical apex apices biapical',
    'basal': 'basal basilar base bases bibasilar bibasal',
  },
  'degree': {
    'trace': 'trace',
    'tiny': 'tiny minute',
    'minimal': 'minimal minimally',
    'small': 'small',
    'mild': 'mild mildly slight slightly',
    'moderate': 'moderate moderately',
    'marked': 'marked markedly',
    'large': 'large big sizable sizeable',
    'severe': 'severe severely',
    'massive': 'massive massively huge',
  },
  'age': {
    'acute': 'acute acutely',
    'chronic': 'chronic chronically longstanding',
    'old': 'old healed remote',
  },
  'change': {
    'new': 'new newly',
    'stable': 'stable unchanged',
    'increased': 'increased increasing increase worsened worsening worse '
    'progressed progressing larger enlarging',
    'decreased': 'decreased decreasing decrease improved improving improvement '
    'smaller diminished resolving',
  },
}


def _modifiers_by_word() -> dict[str, tuple[str, ...]]:
  table = {}
  for modifiers in KINDS.values():
    for modifier, words in modifiers.items():
      for word in words.split():
        table[fold(word)] = (*table.get(fold(word), ()), modifier)
  return table


def _folded(words: str) -> frozenset[str]:
  return frozenset(map(fold, words.split()))


_MODIFIERS = _modifiers_by_word()
_CHANGES = _folded(' '.join(KINDS['change'].values()))
_PLACES = _folded(
  'lung lobe zone field apex base side sided hemithorax hemidiaphragm '
  'diaphragm chest thorax lateral medial anterior posterior superior inferior '
  'segment aspect region area angle costophrenic sulcus pleural space hilum '
  'hilar perihilar infrahilar suprahilar retrocardiac paratracheal lingula '
  'mediastinum heart atrium ventricle rib spine thoracic lumbar cervical '
  'shoulder clavicle humerus neck parenchyma'
)
_PREPOSITIONS = _folded(
  'in on at of within involving along over overlying overlies projecting '
  'projects projected through throughout'
)
_ARTICLES = frozenset(['a', 'an', 'the', 'these', 'this'])
_INTRODUCING = _PLACES | _PREPOSITIONS | _ARTICLES
_COPULAS = frozenset(['is', 'has', 'be', 'been', 'being'])
# Words that may stand between a mention and what is said of it afterwards.
_SAID = (
  _MODIFIERS.keys()
  | _PLACES
  | _PREPOSITIONS
  | _ARTICLES
  | _COPULAS
  | _folded(
    'which that again now currently also still only very mostly mainly '
    'predominantly primarily seen noted identified present visualized '
    'demonstrated located yes size extent volume interval degree severity '
    'to than more greater developed from since compared prior previous exam '
    'examination study'
  )
)
_SEPARATORS = frozenset([',', 'and', 'or', 'but', 'with', 'then'])
_ENDS = _SEPARATORS | {';'}
_MARKS = frozenset([',', ';', ':', '?'])
_JOINS = frozenset([',', 'and', 'or', 'to', 'than', 'greater', 'more'])
# These end a noun phrase that is read backwards.
_BREAKS = (
  _MARKS
  | _SEPARATORS
  | _PREPOSITIONS
  | _COPULAS
  | _folded(
    'to than greater more less for from by as after due without versus except '
    'no not nor neither never there it which that may might can could should '
    'would will if because since while although though see show demonstrate '
    'represent suggest reflect reveal indicate cause include cannot'
  )
)
# "Opacity that may represent pneumonia".
_MEANING = _folded(
  'represent representing represents reflect reflecting reflects compatible '
  'consistent suggest suggests suggesting suggestive suspicious concerning '
  'worrisome favor favored indicate indicating likely probably probable '
  'possibly versus vs'
)
_APART = _folded('; but no without and')
_PLACING = frozenset([*KINDS['side'], *KINDS['zone']])
# "A small amount of", "interval increase in".
_QUANTITIES = _CHANGES | _folded(
  'amount volume area focus degree component quantity size extent appearance '
  'worsening'
)


def find_modifiers(
  words: Sequence[str], spans: Sequence[tuple[int, int]]
) -> list[tuple[str, ...]]:
  """The modifiers of each mention of a sentence.

  Args:
    words: the words and marks of the sentence, folded (`split_sentences`).
    spans: where the mentions are in it: in order, without overlap.

  Returns:
    For each mention, modifiers of the table in the order of the text, each
    once.

  Example:
    >>> find_modifiers('small left effusion , edema'.split(), [(2, 3), (4, 5)])
    [('small', 'left'), ()]
  """
  if _MODIFIERS.keys().isdisjoint(words):
    return [()] * len(spans)
  named = [
    word in _MODIFIERS and _is_modifier(words, place)
    for place, word in enumerate(words)
  ]
  places = [[place for place in range(*span) if named[place]] for span in spans]
  # Where the phrase of each mention begins: what is said of another ends there.
  begins = _add_before(words, named, spans, places)
  _add_after(words, named, spans, places, begins)
  _add_introduction(words, named, spans, places)
  found = [
    _join(_MODIFIERS[words[place]] for place in sorted(own)) for own in places
  ]
  return _share_place(words, spans, begins, found) if any(found) else found


def name_modifiers(words: Iterable[str]) -> tuple[str, ...]:
  """The modifiers among words that belong to one finding, each once.

  Example:
    >>> name_modifiers(['Bibasilar', 'slight'])
    ('bilateral', 'basal', 'mild')
  """
  return _join(_MODIFIERS.get(fold(word), ()) for word in words)


def _join(parts) -> tuple[str, ...]:
  return tuple(dict.fromkeys(itertools.chain.from_iterable(parts)))


def _is_modifier(words, place) -> bool:
  word, after = words[place], words[place + 1 : place + 2]
  if after and after[0] == 'limit':  # "upper limits of normal"
    return False
  if word == 'both':  # of "both lungs", not of "both A and B"
    return bool(after) and (after[0] in _PLACES or after[0] in _MODIFIERS)
  if word in _CHANGES or word == 'new':
    return True
  # "Slightly improved": the degree is that of the change.
  return not (_MODIFIERS[word][0] in KINDS['degree'] and _change(words, place))


def _change(words, place) -> bool:
  after = [word for word in words[place + 1 : place + 3] if word != 'interval']
  is_change = bool(after) and after[0] in _CHANGES
  return is_change and after[0] not in ('new', 'stable', 'unchanged')


def _add_before(words, named, spans, places) -> list[int]:
  """Adds the modifiers of the noun phrase before each mention."""
  begins, low = [], 0
  for (start, end), found in zip(spans, places, strict=True):
    begin = place = start
    # Beyond the first modifier there is nothing to look for.
    first = named.index(True, low, start) if any(named[low:start]) else start
    while place > first and _goes_on(words, named, place - 1, low):
      place -= 1
      if named[place]:
        found.append(place)
        begin = place
    begins.append(begin)
    low = end
  return begins


def _goes_on(words, named, place, low) -> bool:
  """Whether a noun phrase, read backwards, has the word at `place`, too."""
  word = words[place]
  if named[place]:
    return True
  if word in _JOINS and _joins(words, named, place, low):
    return True
  if word in _PREPOSITIONS:
    before = words[place - 1] if place > low else ''
    return before in _QUANTITIES or (before, word) == ('acute', 'on')
  return word not in _BREAKS


def _joins(words, named, place, low) -> bool:
  """Whether "and" and the like join modifiers of one noun phrase."""
  after = place + 1
  while after < len(words) and words[after] in _JOINS:
    after += 1
  if after == len(words) or not named[after]:
    return False
  first = place
  while first > low and words[first - 1] in _JOINS:
    first -= 1
  run = first
  while run > low and (named[run - 1] or words[run - 1] in _PLACES):
    run -= 1
  if run == first:
    return False
  # Behind another mention, they may be what is said of that one.
  return low == 0 or (run > low and words[run - 1] in _SEPARATORS)


def _add_after(words, named, spans, places, begins) -> None:
  """Adds the modifiers that are said of each mention after it."""
  limits = [*begins[1:], len(words)]
  for number, ((_, end), limit) in enumerate(zip(spans, limits, strict=True)):
    if not any(named[end:limit]):
      continue
    found = _said_after(words, named, end, limit)
    places[number] += found
    if not found:
      continue
    joins = {'and', 'or'} if words[end] in _COPULAS else {'or'}
    for other in _list_before(words, number, spans, begins, joins):
      places[other] += found


def _said_after(words, named, end, limit) -> list[int]:
  found, start = [], end
  while start < limit:
    stop = start
    while stop < limit and words[stop] not in _ENDS:
      stop += 1
    said = start + (words[start] == ':' and start == end)
    while said < stop and _is_said(words[said]):
      said += 1
    if said == stop or start == end:
      found += [place for place in range(start, said) if named[place]]
    if said < stop or words[stop : stop + 1] == [';']:
      break
    start = stop + 1
  return found


def _is_said(word) -> bool:
  """Whether a word may stand in what is said of a mention after it."""
  # "Probably within", "the right 8th rib".
  return word in _SAID or word.endswith('ly') or word[:1].isdecimal()


def _list_before(words, last, spans, begins, joins) -> list[int]:
  """The other mentions of a list, "A, B and C", that ends with one."""
  others = []
  while last:
    between = set(words[spans[last - 1][1] : begins[last]]) - _ARTICLES
    if not between & joins or not between <= {',', 'and', 'or'}:
      break
    last, joins = last - 1, {',', 'and', 'or'}
    others.append(last)
  return others


def _add_introduction(words, named, spans, places) -> None:
  """Adds the modifiers of a place that is named before the findings."""
  first = spans[0][0] if spans else 0
  if not any(named[:first]):
    return
  end = 0
  while end < first and (named[end] or words[end] in _INTRODUCING):
    end += 1
  found = [place for place in range(end) if named[place]]
  rest = list(words[end : end + 2])
  if rest[:1] == [':']:
    for own in places:
      own += found
  elif rest[:1] == ['there'] or rest == [',', 'there']:
    places[0] += found


def _share_place(words, spans, begins, found) -> list[tuple[str, ...]]:
  """Gives a finding and what it may be the side and zone of one of them."""
  same, linked = [], False
  for (_, end), begin in zip(spans, begins[1:], strict=False):
    between = list(words[end:begin])
    linked = _is_meaning(between) or (linked and between == ['or'])
    same.append(linked)
  pairs = [(n, n + 1) for n, linked in enumerate(same) if linked]
  for source, target in (*pairs, *((b, a) for a, b in reversed(pairs))):
    if not any(modifier in _PLACING for modifier in found[target]):
      found[target] += tuple(m for m in found[source] if m in _PLACING)
  return found


def _is_meaning(between) -> bool:
  """Whether words between two findings say that one may be the other."""
  if between in (['and', 'or'], ['versus'], ['vs'], []):
    return True
  return not _MEANING.isdisjoint(between) and _APART.isdisjoint(between)
