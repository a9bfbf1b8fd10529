"""Findings of reports, and the search of an index beside Python's sets."""

import contextlib
import fractions
import math

import numpy as np
import pytest
from draws import examples
from hypothesis import given
from hypothesis import strategies as st

from dicejax import concepts
from dicejax.concepts import Asymmetric
from dicejax.concepts import Findings
from dicejax.concepts import Linker
from dicejax.concepts import Mention
from dicejax.concepts import Ontology
from dicejax.concepts import ReportIndex
from dicejax.concepts import Reports
from dicejax.concepts import Symmetric
from dicejax.concepts import Term
from dicejax.concepts import concept_sets
from dicejax.concepts import on_grid
from dicejax.concepts import pairwise
from dicejax.concepts import search_sets
from dicejax.concepts.ontology.weights import Frequencies
from dicejax.concepts.search import agreement
from dicejax.concepts.search import pool
from dicejax.concepts.search.findings import compare
from dicejax.concepts.search.scorer import Scorer
from dicejax.concepts.text.mentions import count_left_out

PRESENT, ABSENT, UNCERTAIN = concepts.Polarity
_IDS = 'abcdefgh'
_WEIGHTS = dict(zip(_IDS, [0, 1 / 64, 2.5, 3, 1, 0.25, 7, 1], strict=True))


def _of(*mentions, **options):
  return Findings.of([Mention(id, 0, 1, p) for id, p in mentions], **options)


# Findings.


def test_findings_by_polarity():
  rows = [
    ('X:3', PRESENT),
    ('X:3', ABSENT),
    ('X:1', PRESENT),
    ('X:1', PRESENT),
    ('X:2', UNCERTAIN),
  ]
  assert _of(*rows) == ({'X:1', 'X:3'}, {'X:3'})
  assert _of(*rows, uncertain='present') == ({'X:1', 'X:2', 'X:3'}, {'X:3'})
  assert not _of(('X:2', UNCERTAIN)) and _of(('X:2', ABSENT))
  with pytest.raises(ValueError, match="'ignore' or 'present', got 'absent'"):
    Findings.of([], uncertain='absent')


def test_findings_are_those_of_the_patient_now():
  own = Mention('a', 0, 1, PRESENT)
  mentions = [
    own,
    own._replace(concept='b', experiencer=concepts.Experiencer.OTHER),
    own._replace(concept='c', time=concepts.Time.PAST),
    own._replace(concept='d', time=concepts.Time.HYPOTHETICAL),
    own._replace(
      concept='e',
      experiencer=concepts.Experiencer.OTHER,
      time=concepts.Time.PAST,
      polarity=ABSENT,
    ),
  ]
  assert Findings.of(mentions) == ({'a'}, set())
  assert count_left_out(mentions) == {
    'mentions of others': 2,
    'mentions of the past': 1,
    'hypothetical mentions': 1,
  }


def test_concept_sets_are_numbers():
  found = [Findings({'X:1', 'X:3'}, {'X:3'}), Findings()]
  ontology = Ontology({id: Term(id, id) for id in ('X:1', 'X:2', 'X:3')})
  sets = concept_sets(found, ontology)
  assert sets.positive.tolist() == [[0, 2], [-1, -1]]
  assert sets.negative.tolist() == [[2], [-1]]
  sets = concept_sets(found, {'X:1': 9, 'X:3': 0})
  assert sets.positive.tolist() == [[0, 9], [-1, -1]]
  with pytest.raises(ValueError, match='^X:3 is not in the vocabulary'):
    concept_sets(found, {'X:1': 9})


def test_comparison_by_hand():
  query = Findings(frozenset('abc'), frozenset('xz'))
  candidate = Findings(frozenset('bdex'), frozenset('c'))
  found = compare(query, candidate, {'d': 'a', 'e': 'x'})
  assert found.shared == ('b',)
  assert found.missing == ('a', 'c')
  assert found.extra == ('e', 'x')
  assert found.forgiven == ('d',)
  assert found.contradicting == ('c', 'x')


@pytest.mark.parametrize(
  'measure',
  [Asymmetric(), Asymmetric(0.25, 2), Symmetric(), Symmetric(0.3, 2)],
)
def test_the_formula_gives_the_score(measure):
  generator = np.random.default_rng(0)
  polarities = [PRESENT, PRESENT, ABSENT, UNCERTAIN]
  said = [
    _of(
      *(
        (_IDS[n], polarities[generator.integers(4)])
        for n in generator.integers(8, size=generator.integers(7))
      )
    )
    for _ in range(40)
  ]
  # The synonyms of a and b, and of c and d.
  ontology = Ontology(
    {id: Term(id, id) for id in _IDS}, equivalents=(('a', 'b'), ('d', 'c'))
  )
  scorer = Scorer(ontology, weights=_WEIGHTS, measure=measure)
  sets = concept_sets(said, ontology)
  scores = pairwise(
    sets,
    sets,
    scorer.weights,
    measure=measure,
    synonyms=[0, 0, 2, 2, 4, 5, 6, 7],
  )
  values = np.zeros((40, 40))
  for q, r in np.ndindex(40, 40):
    with contextlib.suppress(ZeroDivisionError):
      values[q, r] = eval(scorer.formula(said[q], said[r]))
  np.testing.assert_allclose(values, scores, rtol=1e-6)
  assert len(np.unique(values)) > 50
  for q, r in ((0, 1), (2, 3), (4, 5), (6, 7)):
    assert scorer.score(said[q], said[r])[0] == scores[q, r]


def test_weights_of_a_scorer():
  ontology = Ontology({id: Term(id, id) for id in 'abc'})
  found = Frequencies(2, [2, 1, 0])
  weights = Scorer(ontology, found).weight_by_id
  for id, number in (('a', 2), ('b', 1), ('c', 0)):
    assert abs(weights[id] - math.log(3 / (number + 1))) <= 1 / 128
  with pytest.raises(ValueError, match='weights=types gives no concept any'):
    Scorer(ontology, found, weights='types')
  with pytest.raises(ValueError, match="intrinsic, types, got 'tfidf'"):
    Scorer(ontology, found, weights='tfidf')
  with pytest.raises(ValueError, match='at most 1 in the symmetric measure'):
    Symmetric(alpha=1.5)


# Searching an index.


def _score(query, candidate, weights):
  """The default measure, 0.1 and 0.9, as a fraction."""
  weigh = lambda ids: fractions.Fraction(sum(weights[id] for id in ids))  # noqa: E731
  both = weigh(query & candidate)
  missed = weigh(candidate - query) / 10 + 9 * weigh(query - candidate) / 10
  return both / (both + missed) if both else fractions.Fraction(0)


def _search(said, query, own, k, weights):
  """Rows of hits by a full sort."""

  def key(row):
    report = said[row]
    first = _score(query.present, report.present, weights)
    second = _score(query.absent, report.absent, weights)
    light = sum(weights[id] for id in report.present)
    heavy = sum(weights[id] for id in query.present)
    return (-first if heavy else light, -second, row)

  return [
    row
    for row in sorted(range(len(said)), key=key)
    if row != own
    and (
      not query.present
      or query.present & said[row].present
      or query.absent & said[row].absent
    )
  ][:k]


_REPORTS = st.lists(
  st.lists(
    st.tuples(
      st.sampled_from(_IDS),
      st.sampled_from(concepts.Polarity),
      st.sampled_from(concepts.Time),
    ),
    max_size=4,
  ),
  min_size=1,
  max_size=9,
)


@examples(30)
@given(_REPORTS, st.integers(1, 5), st.sampled_from(['ignore', 'present']))
def test_search_by_brute_force(reports, k, uncertain):
  ids = [f'r{n}' for n in range(len(reports))]
  mentions = [
    [Mention(id, 0, 1, p, time=time) for id, p, time in report]
    for report in reports
  ]
  ontology = Ontology({id: Term(id, id) for id in _IDS})
  index = ReportIndex(ontology, Reports(ids, ['text'] * len(ids), {}), mentions)
  said = index.findings(uncertain)
  assert said == [Findings.of(row, uncertain=uncertain) for row in mentions]
  options = {'weights': _WEIGHTS, 'uncertain': uncertain}
  for own, id in enumerate(ids):
    if not said[own]:
      with pytest.raises(ValueError):
        index.search(id, k, **options)
      continue
    hits = index.search(id, k, **options)
    wanted = _search(said, said[own], own, k, _WEIGHTS)
    assert [hit.id for hit in hits] == [ids[row] for row in wanted]
    for hit, row in zip(hits, wanted, strict=True):
      score = _score(said[own].present, said[row].present, _WEIGHTS)
      assert hit.score == pytest.approx(float(score), rel=1e-6)
      assert set(hit.shared) == said[own].present & said[row].present
      assert set(hit.missing) == said[own].present - said[row].present
      assert set(hit.extra) == said[row].present - said[own].present
      assert hit.forgiven == ()
      explained = index.explain(id, hit.id, **options)
      assert explained[2:4] == (hit.score, hit.negative_score)


_MENTIONS = st.lists(
  st.lists(
    st.builds(
      Mention,
      st.sampled_from(_IDS),
      st.just(0),
      st.just(1),
      st.sampled_from(concepts.Polarity),
      st.none(),
      st.sampled_from([concepts.Experiencer.PATIENT]),
      time=st.sampled_from([concepts.Time.CURRENT] * 3 + [concepts.Time.PAST]),
      modifiers=st.sampled_from([(), ('left',), ('right',), ('small', 'left')]),
    ),
    max_size=5,
  ),
  # One size, so that the matrices are compiled once for each measure.
  min_size=24,
  max_size=24,
)


@examples(60)
@given(
  _MENTIONS,
  st.integers(1, 12),
  st.sampled_from(['ignore', 'present']),
  st.sampled_from(
    [Asymmetric(), Asymmetric(1, 0), Symmetric(), Symmetric(0.3)]
  ),
  st.sampled_from([(), (('a', 'b'), ('d', 'c'))]),
  st.sampled_from(['corpus', 'uniform', dict.fromkeys('abc', 1), _WEIGHTS]),
  st.sampled_from(['rank', 'require', 'ignore']),
)
def test_search_as_with_matrices(
  mentions, k, uncertain, measure, equivalents, weights, modifiers
):
  """Compares with `search_sets`, and with modifiers one report at a time."""
  terms = {id: Term(id, id) for id in _IDS}
  ontology = Ontology(terms, equivalents=equivalents)
  count = len(mentions)
  ids = [str(row) for row in range(count)]
  with pytest.MonkeyPatch.context() as patch:
    patch.setattr(pool, 'REPORTS', 7)
    index = ReportIndex(ontology, Reports(ids, ids, {}), mentions)
    scorer = index.scorer(uncertain=uncertain, weights=weights, measure=measure)
  said = [Findings.of(row, uncertain=uncertain) for row in mentions]
  if isinstance(weights, str) and weights == 'corpus':
    found = concepts.corpus_information(ontology, [row[0] for row in said])
    assert scorer.weights.tolist() == on_grid(list(found.values())).tolist()
  sets = concept_sets(
    [*said, Findings(frozenset('abcde'), frozenset('abcde'))], ontology
  )[:count]
  synonyms = [0, 0, 2, 2, 4, 5, 6, 7] if equivalents else range(8)
  hits = search_sets(
    *(sets, sets, count, scorer.weights),
    measure=measure,
    synonyms=np.array(synonyms),
  )
  for own in np.flatnonzero(list(map(bool, said))).tolist():
    query = agreement.modified(mentions[own] if modifiers != 'ignore' else [])
    ranked = []
    for row, score, negative in zip(
      *(part[own].tolist() for part in hits), strict=True
    ):
      shares = not said[own].present or said[own].overlaps(said[row])
      fits = modifiers != 'require' or _have(query, mentions[row])
      if row != own and shares and fits:
        ranked.append((ids[row], score, negative, _agree(query, mentions[row])))
    if query:
      ranked.sort(key=lambda hit: (-hit[1], -hit[3]))
    found = index.search(
      *(ids[own], k),
      **{'uncertain': uncertain, 'weights': weights, 'measure': measure},
      modifiers=modifiers,
    )
    found = [(h.id, h.score, h.negative_score, h.agreement) for h in found]
    assert found == ranked[:k]


def _said(query, hit):
  """The modifiers of a finding of the query in another report."""
  return [
    m.modifiers
    for m in hit
    if m.concept == query.concept and m.is_current and m.polarity != ABSENT
  ]


def _agree(query, hit):
  best = 0.0
  for asked in query:
    said = [agreement.agreement(asked.modifiers, x) for x in _said(asked, hit)]
    best += max(said, default=0.0)
  return best


def _have(query, hit):
  sides = {'left', 'right'}
  return all(
    any(
      sides.intersection(asked.modifiers) <= set(x) for x in _said(asked, hit)
    )
    for asked in query
  )


def _index():
  terms = [Term('X:1', 'effusion'), Term('X:2', 'edema'), Term('X:3', 'mass')]
  texts = {
    'a': 'Small effusion. No mass.',
    'b': 'Effusion and edema. Possible mass.',
    'c': 'Mass. No effusion.',
    'd': 'Clear.',
  }
  linker = Linker(Ontology({term.id: term for term in terms}))
  return ReportIndex.build(
    Reports(list(texts), list(texts.values()), {}), linker
  )


def test_search_by_id_and_by_text():
  index = _index()
  hits = index.search('a', weights='uniform')
  assert [(hit.id, hit.shared, hit.extra) for hit in hits] == [
    ('b', ('X:1',), ('X:2',)),
  ]
  hits = index.search('Effusion.', weights='uniform')
  assert [(hit.id, round(hit.score, 6)) for hit in hits] == [
    ('a', 1),
    ('b', 0.909091),
  ]
  assert len(index.search('Effusion.', 1)) == 1
  hits = index.search('mass', weights={'X:3': 2}, uncertain='present')
  assert [(hit.id, hit.score) for hit in hits] == [('b', 1.0), ('c', 1.0)]


def test_reports_in_memory():
  linker = Linker(Ontology({'X:1': Term('X:1', 'mass')}))
  index = ReportIndex.build(Reports(['a'], ['A mass.']), linker)
  assert [hit.id for hit in index.search('mass', weights='uniform')] == ['a']
  with pytest.raises(ValueError, match="^the id 'b' is that of two reports"):
    ReportIndex.build(Reports(list('abcb'), ['mass'] * 4), linker)
  with pytest.raises(ValueError, match='^2 ids of reports, but 1 texts'):
    ReportIndex.build(Reports(['a', 'b'], ['mass']), linker)


@pytest.mark.parametrize(
  'query, message',
  [
    ('possible mass', "'possible mass' has only uncertain mentions, which are"),
    ('d', "The report 'd' mentions no concept of the ontology."),
    (
      'sun',
      "'sun' is not the id of a report in the index, and none of its ",
    ),
  ],
)
def test_queries_without_findings(query, message):
  with pytest.raises(ValueError, match=f'^{message}'):
    _index().search(query)


def test_explanations_can_be_printed():
  shown = str(_index().explain('a', 'c', weights='uniform')).splitlines()
  assert shown == [
    'effusion (1): present "effusion" [small] | absent "effusion" (No) | '
    'missing, contradicting',
    'mass (1): absent "mass" (No) | present "Mass" | extra, contradicting',
    'score = 0 / (0 + 0.1 * 1 + 0.9 * 1) = 0',
    'negative score = 0',
  ]
  text = _index().explain('large effusion', 'b', weights='uniform')
  assert text.score == pytest.approx(1 / 1.1)
  assert [concept.counts for concept in text.concepts] == [
    ('shared',),
    ('extra',),
    (),
  ]
  with pytest.raises(ValueError, match="^'x' is not the id of a report"):
    _index().explain('a', 'x')


def test_explanations_show_what_does_not_count():
  mentions = [
    [
      Mention(
        *('a', 0, 4, ABSENT, (6, 8), concepts.Experiencer.OTHER),
        *(concepts.Time.PAST, ('small', 'left')),
      )
    ],
    [Mention('a', 0, 4, PRESENT)],
  ]
  ontology = Ontology({'a': Term('a', 'mass')})
  texts = ['mass, no', 'mass']
  index = ReportIndex(ontology, Reports(['1', '2'], texts, {}), mentions)
  (found,) = index.explain('1', '2', weights='uniform').concepts
  assert found.query == (
    'absent "mass" (no) [small, left] of another person past',
  )
  assert found.counts == ('extra',)


def test_every_public_name_is_there():
  assert sorted(concepts.__all__) == concepts.__all__
  assert all(hasattr(concepts, name) for name in concepts.__all__)


# Sides and degrees.


def _sided(*texts):
  terms = Term('X:1', 'effusion'), Term('X:2', 'edema')
  linker = Linker(Ontology({term.id: term for term in terms}))
  ids = [str(n) for n in range(len(texts))]
  return ReportIndex.build(Reports(ids, list(texts), {}), linker)


def test_sides_decide_between_equals():
  index = _sided(
    'Right effusion. Clear left lung.',
    'Effusion.',
    'Large left effusion.',
    'Small left effusion.',
    'Small left effusion and edema.',
  )

  def ids(query, **options):
    return [hit.id for hit in index.search(query, weights='uniform', **options)]

  assert ids('small left effusion') == ['3', '2', '1', '0', '4']
  assert ids('small left effusion', modifiers='ignore') == list('01234')
  assert ids('small left effusion', modifiers='require') == ['3', '4']
  assert ids('right effusion', modifiers='require') == ['0']
  assert ids('effusion') == list('01234')
  # A hit of a higher score stays before one that agrees.
  assert ids('left effusion, edema')[0] == '4'
  assert ids('0', k=2) == ['1', '2']
  with pytest.raises(ValueError, match="rank, require, ignore, got 'left'"):
    ids('effusion', modifiers='left')


def test_sides_decide_before_what_is_absent():
  index = _sided('Right effusion. No edema.', 'Left effusion.', 'Effusion.')
  hits = index.search('left effusion, no edema', weights='uniform')
  assert [(hit.id, hit.negative_score) for hit in hits] == [
    ('1', 0.0),
    ('2', 0.0),
    ('0', 1.0),
  ]


def test_tied_hits_beyond_the_last_compete():
  texts = ['Right effusion.'] * 30 + ['Left effusion.']
  (hit,) = _sided(*texts).search('left effusion', 1, weights='uniform')
  assert hit.id == '30'
