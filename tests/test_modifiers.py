"""Side and degree of findings: sentences worked by hand, and what must hold."""

import itertools
import re

import numpy as np
import pytest

from dicejax.concepts.ontology import Ontology
from dicejax.concepts.ontology import Term
from dicejax.concepts.search import agreement
from dicejax.concepts.search.index import ReportIndex
from dicejax.concepts.search.segment import Packer
from dicejax.concepts.text import modifiers
from dicejax.concepts.text.linker import Linker
from dicejax.concepts.text.mentions import Experiencer
from dicejax.concepts.text.mentions import Mention
from dicejax.concepts.text.mentions import Polarity
from dicejax.concepts.text.reports import Reports
from dicejax.concepts.text.sentences import split_sentences

# Mentions in braces; behind the bar, what is said of each, `-` for nothing.
_SENTENCES = """
Small left {pleural effusion}. | small left
Left greater than right {pleural effusions}. | left right
Left-sided moderate-sized {effusion} | left moderate
Small to moderate bilateral {effusions} | small moderate bilateral
A small amount of right {pleural fluid} | small right
Interval increase in the left {effusion} | increased left
Acute on chronic {subdural hematoma} | acute chronic
Old healed right {rib fractures} | old right
The {heart is mildly enlarged}. | mild
Bibasilar {atelectasis} | bilateral basal
Right upper and left lower lobe {opacities} | right upper left lower
Small right apical {pneumothorax}, unchanged | small right apical stable
{Effusion} on the left. | left
{Pneumothorax}, right apical. | right apical
{Atelectasis} at both bases | bilateral basal
Large {hiatal hernia}, unchanged from the prior study | large stable
Stable appearance of the right {catheter} | stable right
{Density} projecting over the anterior left 7th rib | left
{Airspace disease}, probably within the right lower lobe | right lower
{Round density} in the superior segment of the left upper lobe | left upper
Increase in size of the moderate right {effusion} | increased moderate right
{Opacity} is again seen in the left upper lobe. | left upper
{Effusions} are moderate on the right and small on the left. | \
moderate right small left
Trace {effusions}, right greater than left | trace right left
Mild {edema}, slightly improved. | mild decreased
The {effusion} has slightly increased. | increased
{Pleural effusion}: Yes, small, right | small right
{Edema}: Mild | mild
On the left, there is a large {effusion}. | left large
In the right lower lobe there is {opacity}. | right lower
Left lung: small {effusion} and {atelectasis}. | left small, left
Small left {effusion} and large right {pneumothorax}. | small left, large right
{Effusion} on the left and {pneumothorax} on the right | left, right
{Atelectasis} in the left lower lobe and right {effusion} | left lower, right
{Cardiomegaly} is stable, left {effusion} is new. | stable, left new
{Effusion} is small and stable {pneumothorax} | small, stable
{Effusion} and {atelectasis} are stable. | stable, stable
The {effusion}, {nodule} and left {edema} have increased. | \
increased, increased, left increased
No acute {infiltrate}, {cardiomegaly} is stable | acute, stable
{Opacity} in the left upper lobe, likely {pneumonia} | left upper, left upper
Left basal {opacity}, {atelectasis} versus {infiltrate} | left basal, -, -
{Density} in the right apex, compatible with {granuloma} | \
right apical, right apical
{Opacity} represents {scarring} or right lower {atelectasis} | \
right lower, right lower, right lower
{Opacity} may represent {scarring} or right {atelectasis} | right, right, right
{Atelectasis} or {scarring} in the left base | left basal, left basal
{Atelectasis} and {scarring} in the left base | -, left basal
Small left {effusion} versus {thickening} | small left, left
Right sided {pleural effusion}, clear left lung. | right
Right {effusion} with clear left lung | right
{Effusion} and the left lung is clear | -
{Effusion}; left lung clear | -
The left lung is well expanded with small {effusion} | small
Improved aeration and decreased {edema} | decreased
Both {pneumothorax} and {effusion} are seen | -, -
{Effusion} has not increased. | -
{Heart size at the upper limits} of normal | -
"""
_ROWS = [
  line.split(' | ')
  for line in _SENTENCES.replace('\\\n', '').strip().splitlines()
]


def _find(marked):
  """The modifiers of the mentions in braces of one sentence."""
  text, spans = re.sub('[{}]', '', marked), []
  for number, match in enumerate(re.finditer(r'\{(.*?)\}', marked)):
    start = match.start() - 2 * number
    spans.append((start, start + len(match[1])))
  (sentence,) = split_sentences(text)
  return modifiers.find_modifiers(
    sentence.words,
    [
      (sentence.starts.index(start), sentence.ends.index(end) + 1)
      for start, end in spans
    ],
  )


def _expected(said):
  return [
    () if words == '-' else tuple(words.split()) for words in said.split(', ')
  ]


@pytest.mark.parametrize('marked, said', _ROWS)
def test_sentences_worked_by_hand(marked, said):
  assert _find(marked) == _expected(said)


@pytest.mark.parametrize('marked, said', _ROWS)
def test_a_mirrored_sentence_is_mirrored(marked, said):
  mirrored = {'left': 'right', 'right': 'left', 'Left': 'Right'}
  mirrored['Right'] = 'Left'

  def swap(text):
    return re.sub(r'\b[Ll]eft\b|\b[Rr]ight\b', lambda m: mirrored[m[0]], text)

  assert _find(swap(marked)) == _expected(swap(said))
  assert _find(marked.upper()) == _expected(said)


def test_a_sentence_with_many_findings_keeps_them_apart():
  parts = [
    f'{degree} {side} {{effusion}}'
    for degree, side in itertools.product(('small', 'large'), ('left', 'right'))
  ]
  expected = [tuple(part.split()[:2]) for part in parts]
  for order in itertools.permutations(range(4)):
    for joint in (', ', ' and ', '; ', ' with '):
      marked = joint.join(parts[n] for n in order)
      assert _find(marked) == [expected[n] for n in order]


def test_no_sentence_breaks_it():
  marks = [',', 'and', ':', 'there', 'is', 'left', 'both', 'on', 'to', 'small']
  for words in itertools.product(marks, repeat=4):
    for span in itertools.combinations(range(5), 2):
      (found,) = modifiers.find_modifiers(words, [span])
      assert len(found) == len(set(found)) <= 4


@pytest.mark.parametrize(
  'query, hit, expected',
  [
    ('small left', 'small left', 3),
    ('small left', 'left', 2),
    ('small left', 'large left', 1),
    ('small left', '', 0),
    ('small left', 'small right', -1),
    ('small left', 'large right', -3),
    ('left', 'bilateral', 2),
    ('bilateral', 'left', 1),
    ('bilateral', 'right left', 2),
    ('lower', 'basal', 1),
    ('basal', 'lower', 0.5),
    ('small', 'mild', 1),
    ('small', 'small moderate', 1),
    ('acute', 'chronic', -1),
    ('chronic', 'old', 1),
    ('', 'large right', 0),
  ],
)
def test_agreement(query, hit, expected):
  assert agreement.agreement(query.split(), hit.split()) == expected


def _mention(concept, said, **changes):
  mention = Mention(concept, 0, 1, Polarity.PRESENT)
  return mention._replace(modifiers=tuple(said.split()), **changes)


def test_mentions_are_compared_finding_by_finding():
  query = [_mention('a', 'small left'), _mention('b', 'new'), _mention('c', '')]
  denied = _mention('d', 'left', polarity=Polarity.ABSENT)
  # What is said twice counts once, and what is denied does not.
  said = agreement.modified([*query, query[0], denied])
  assert said == query[:2]
  best = [_mention('a', 'large right'), _mention('a', 'small left')]
  others = [
    _mention('a', 'small left', polarity=Polarity.ABSENT),
    _mention('a', 'small left', experiencer=Experiencer.OTHER),
  ]
  reports = [best, [*best, _mention('b', 'stable')], others]
  compared = _compare(agreement.agreements, said, reports)
  assert compared.tolist() == [3, 2, 0]


def _compare(function, query, reports):
  """Compares the modifiers of a query and of all reports, in one segment."""
  packer = Packer(Ontology({id: Term(id, id) for id in 'abcd'}))
  ids = [str(number) for number in range(len(reports))]
  query = [
    ('abcd'.index(mention.concept), mention.modifiers) for mention in query
  ]
  return function(packer.pack(ids, ids, reports), np.arange(len(ids)), query)


def _build(texts):
  terms = [Term('a', 'effusion'), Term('b', 'mass'), Term('c', 'nodule')]
  linker = Linker(Ontology({term.id: term for term in terms}))
  ids = [str(number) for number in range(len(texts))]
  return ReportIndex.build(Reports(ids, texts, {}), linker)


def test_search_ranks_equal_hits_by_side_and_degree():
  index = _build(
    [
      'Right sided effusion. Clear left lung.',
      'Mass.',
      'Effusion.',
      'Large left effusion.',
      'Small right effusion. Large left mass.',
      'Small left effusion.',
    ]
  )
  hits = index.search('small left effusion')
  assert [hit.id for hit in hits] == ['5', '3', '2', '0', '4']
  assert [hit.agreement for hit in hits] == [3, 1, 0, -2, -1]
  # All others have the same score but 4; it has the mass as well.
  assert {hit.score for hit in hits[:4]} == {1.0}
  assert hits[4].score < 1
  for query, k in itertools.product(['small left effusion', '5'], range(1, 5)):
    expected = [hit.id for hit in hits if hit.id != query][:k]
    assert [hit.id for hit in index.search(query, k)] == expected
  as_before = index.search('small left effusion', modifiers='ignore')
  assert [hit.id for hit in as_before] == ['0', '2', '3', '5', '4']
  assert as_before == index.search('effusion')
  required = index.search('small left effusion', modifiers='require')
  assert [hit.id for hit in required] == ['5']
  required = index.search('left effusion', 1, modifiers='require')
  assert [hit.id for hit in required] == ['3']
  with pytest.raises(ValueError, match='modifiers must be one of rank'):
    index.search('effusion', modifiers='yes')


def test_ties_far_behind_the_last_hit_are_looked_at():
  texts = ['Effusion.'] * 500 + ['Nodule.'] * 20 + ['Left effusion.']
  index = _build(texts)
  assert index.search('left effusion', 1)[0].id == '520'
  assert [hit.id for hit in index.search('left effusion', 3)] == [
    '520',
    '0',
    '1',
  ]


@pytest.mark.parametrize(
  'hit, fits',
  [
    ('left', True),
    ('bilateral', True),
    ('small left', True),
    ('', False),  # no side
    ('right', False),
    ('large left', False),
  ],
)
def test_a_required_side_is_named_and_nothing_contradicted(hit, fits):
  query = [_mention('a', 'small left')]
  reports = [[_mention('a', hit)], []]
  compared = _compare(agreement.have_modifiers, query, reports)
  assert compared.tolist() == [fits, False]
