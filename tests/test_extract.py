"""Mentions: which words, and which polarity by which cue."""

import pytest
from draws import examples
from hypothesis import given
from hypothesis import strategies as st

from dicejax.concepts.ontology import Ontology
from dicejax.concepts.ontology import Term
from dicejax.concepts.text.aliases import Aliases
from dicejax.concepts.text.linker import Linker
from dicejax.concepts.text.mentions import Polarity
from dicejax.concepts.text.phrases import Phrases
from dicejax.concepts.text.phrases import phrase_words


def _ontology(*terms):
  return Ontology({term.id: term for term in terms})


_TERMS = [
  Term('X:1', 'effusion', ('pleural effusion',)),
  Term('X:2', 'pneumothorax'),
  Term('X:3', 'edema'),
  Term('X:4', 'consolidation'),
  Term('X:5', 'pneumonia', ('Pneumonia, recurrent',)),
  Term('X:6', 'atelectasis'),
  Term(
    'X:7', 'cardiomegaly', ('heart is enlarged', 'enlargement of the heart')
  ),
  Term('X:8', 'nodule', ('pulmonary nodule',)),
  Term('X:9', 'mass'),
  Term('X:10', 'opacity'),
  Term('X:11', 'chronic obstructive pulmonary disease', ('COPD',)),
  Term('X:12', 'scar', ('scarring',)),
]
_LINKER = Linker(_ontology(*_TERMS))


@pytest.mark.parametrize(
  'text, concepts',
  [
    ('NODULES and Masses, opacities', ['X:8', 'X:9', 'X:10']),
    ('The heart was mildly enlarged', ['X:7']),
    ('heart remains enlarged', ['X:7']),
    (
      'enlargement of heart; severe enlargement of the right heart',
      ['X:7'] * 2,
    ),
    ('heart is not enlarged', []),
    ('heart, is enlarged', []),
    ('heart is. Enlarged', []),
    ('pulmonary-nodule/mass', ['X:8', 'X:9']),
    ('pleural effusion', ['X:1']),
    ('pneumonia, recurrent', ['X:5']),
    ('nodular massive edematous', []),
    ('COPD copd', ['X:11']),
    ('chronic obstructive pulmonary disease', ['X:11']),
    ('chronic obstructive pulmonary', []),
    ('(effusion)', ['X:1']),
    ('', []),
    (' \n\n?!.,;: -- ', []),
  ],
)
def test_links(text, concepts):
  assert [mention.concept for mention in _LINKER(text)] == concepts


def test_the_longest_form_wins_and_none_overlaps():
  linker = Linker(
    _ontology(
      Term('X:1', 'a1 b1'), Term('X:2', 'a1 b1 c1 d1'), Term('X:3', 'b1 c1')
    )
  )
  assert [m.concept for m in linker('a1 b1 c1 d1 b1 c1')] == ['X:2', 'X:3']
  assert [m.concept for m in linker('a1 b1 c1 e1')] == ['X:1']


def test_first_term_has_a_shared_form():
  linker = Linker(
    _ontology(Term('X:1', 'lump'), Term('X:2', 'tumor', ('Lumps', 'lump')))
  )
  assert [m.concept for m in linker('lump, tumor')] == ['X:1', 'X:2']
  assert linker.skipped == {'forms of several terms, which mean the first': 1}


def test_forms_never_linked():
  linker = Linker(
    _ontology(
      Term('X:1', 'a', ('12', '1 2', 'PE', '', '-', 'b 12')),
      Term('X:2', 'modifier'),
      Term('X:3', 'mild', parents=('X:2',)),
      Term('X:4', 'heart disease', ('cor',)),
      Term('X:5', 'kept'),
    ),
    Aliases(stop=frozenset(['X:2', 'Heart  diseases'])),
  )
  text = 'a 12 1 2 PE b 12 modifier mild heart disease cor kept'
  assert [m.concept for m in linker(text)] == ['X:4', 'X:5']
  assert linker.skipped == {
    'forms that are never linked': 6,
    'terms that are never linked': 2,
  }


def test_abbreviations_need_capitals_unless_a_form_has_none():
  linker = Linker(
    _ontology(
      Term('X:1', 'leukemia', ('ALL',)),
      Term('X:2', 'CHF', ('chf',)),
      Term('X:3', 'ptx', ('PTX',)),
    )
  )
  found = linker('all ALL All; chf CHF ptx')
  assert [(m.concept, m.start) for m in found] == [
    ('X:1', 4),
    ('X:2', 13),
    ('X:2', 17),
    ('X:3', 21),
  ]


_WORDS = st.sampled_from(
  'no not possible without is seen not but and or , . ; : ? ! \n \n\n edema '
  'effusions heart enlarged the mildly XXXX resolved absent may represent COPD '
  'change pulmonary nodule 1.5 straße ﬁndings İ é \u0301 \U0001f600'.split(' ')
)


@examples(300)
@given(
  st.text() | st.lists(_WORDS).map(' '.join) | st.lists(_WORDS).map(''.join)
)
def test_any_text(text):
  found = _LINKER(text)
  assert found == _LINKER(text)
  ids = {term.id for term in _TERMS}
  end = 0
  for mention in found:
    assert end <= mention.start < mention.end <= len(text)
    end = mention.end
    assert mention.concept in ids
    # Some cues affirm: "not without edema".
    assert mention.cue is not None or mention.polarity is Polarity.PRESENT
    # The words are one of the concept's forms, but for what is skipped.
    words = phrase_words(text[mention.start : mention.end])
    term = _TERMS[int(mention.concept.split(':')[1]) - 1]
    forms = map(phrase_words, (term.name, *term.synonyms))
    assert any(set(form) <= set(words) for form in forms)


@examples(200)
@given(
  st.lists(
    st.lists(st.sampled_from('xyz'), min_size=1, max_size=4), max_size=6
  ),
  st.lists(st.sampled_from('xyz'), max_size=12),
)
def test_longest_phrase_by_brute_force(phrases, words):
  held = Phrases()
  kept = {}
  for number, phrase in enumerate(phrases):
    assert held.add(phrase, number) == (tuple(phrase) not in kept)
    kept.setdefault(tuple(phrase), number)
  for start in range(len(words)):
    for stop in range(start + 1, len(words) + 1):
      ends = [
        e for e in range(start, stop + 1) if tuple(words[start:e]) in kept
      ]
      wanted = (
        (kept[tuple(words[start : ends[-1]])], ends[-1]) if ends else None
      )
      assert held.longest(words, start, stop) == wanted


@pytest.mark.slow
def test_time_is_linear():
  # Each of these takes minutes if a rule looks again at what it has seen.
  for piece in (
    'left ',
    'heart left ',
    'edema not seen ',
    'no edema , ',
    '\n ',
  ):
    assert len(_LINKER(piece * 20_000)) in (0, 20_000)
