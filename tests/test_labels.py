"""Labels: which rule gives one, what wins, and the two sets made one."""

import pytest
from draws import examples
from hypothesis import given
from hypothesis import strategies as st

from dicejax.concepts.labels import rules as labels
from dicejax.concepts.labels.rules import Evidence
from dicejax.concepts.labels.rules import Label
from dicejax.concepts.labels.table import LabelRule
from dicejax.concepts.labels.table import read_labels
from dicejax.concepts.ontology import Ontology
from dicejax.concepts.ontology import Term
from dicejax.concepts.text.aliases import read_aliases
from dicejax.concepts.text.linker import Linker
from dicejax.concepts.text.mentions import Experiencer
from dicejax.concepts.text.mentions import Mention
from dicejax.concepts.text.mentions import Polarity
from dicejax.concepts.text.mentions import Time

PRESENT, ABSENT, UNCERTAIN = Polarity

# all - lung - opacity - infiltrate - small infiltrate
#     \      \ mass (pulmonary mass) - round thing
#      bone - mass of bone - spur
_TERMS = [
  Term('X:0', 'all'),
  Term('X:1', 'lung finding', parents=('X:0',)),
  Term('X:2', 'opacity', parents=('X:1',)),
  Term('X:3', 'infiltrate', parents=('X:2',)),
  Term('X:4', 'small infiltrate', parents=('X:3',)),
  Term('X:5', 'Pulmonary Mass', parents=('X:1',)),
  Term('X:6', 'round thing', parents=('X:0', 'X:5')),
  Term('X:7', 'mass of bone', parents=('X:0',)),
  Term('X:8', 'spur', parents=('X:7',)),
  Term('X:9', 'tip of a spur', parents=('X:8',)),
]
_ONTOLOGY = Ontology({t.id: t for t in _TERMS}, alternatives={'Y:3': 'X:3'})
_NAMES = {
  'Infiltration': LabelRule(frozenset(['X:3'])),
  'Opacity': LabelRule(frozenset(['X:2']), ('opacity',)),
  'Mass': LabelRule(names=('mass',)),
  'Bone': LabelRule(names=('of bone', 'spur')),
}


@pytest.mark.parametrize(
  'concept, rules',
  [
    ('X:0', []),
    ('X:1', []),
    ('X:2', [('Opacity', 'concept X:2')]),
    ('X:3', [('Infiltration', 'concept X:3'), ('Opacity', 'below X:2')]),
    ('Y:3', [('Infiltration', 'concept X:3'), ('Opacity', 'below X:2')]),
    ('X:4', [('Infiltration', 'below X:3'), ('Opacity', 'below X:2')]),
    ('X:5', [('Mass', 'name mass')]),
    ('X:6', [('Mass', 'parent X:5')]),
    ('X:7', [('Mass', 'name mass'), ('Bone', 'name of bone')]),
    # Its own name speaks of Bone, so that no parent is asked about Mass;
    ('X:8', [('Bone', 'name spur')]),
    # nor would a parent of a parent be.
    ('X:9', [('Bone', 'name spur')]),
    ('Z:1', []),
  ],
)
def test_rules(concept, rules):
  assert labels.find_rules(concept, _ONTOLOGY, _NAMES) == rules


def test_parents_are_asked_one_step_up():
  names = {'Mass': LabelRule(names=('mass',))}
  assert labels.find_rules('X:8', _ONTOLOGY, names) == [('Mass', 'parent X:7')]
  assert labels.find_rules('X:9', _ONTOLOGY, names) == []


def _mention(concept, polarity, start=0, **more):
  return Mention(concept, start, start + 1, polarity, **more)


def _label(mentions, **options):
  (found,) = labels.label_mentions([mentions], _ONTOLOGY, _NAMES, **options)
  return found


@pytest.mark.parametrize(
  'said, by_default, in_the_paper',
  [
    ([PRESENT], PRESENT, PRESENT),
    ([ABSENT], ABSENT, ABSENT),
    ([UNCERTAIN], UNCERTAIN, UNCERTAIN),
    ([PRESENT, ABSENT], PRESENT, ABSENT),
    ([UNCERTAIN, PRESENT], PRESENT, PRESENT),
    ([UNCERTAIN, ABSENT], UNCERTAIN, ABSENT),
    ([UNCERTAIN, PRESENT, ABSENT, PRESENT], PRESENT, ABSENT),
  ],
)
def test_what_wins(said, by_default, in_the_paper):
  mentions = [_mention('X:5', p, n) for n, p in enumerate(said)]
  evidence = tuple(Evidence(m, 'name mass') for m in mentions)
  assert _label(mentions)['Mass'] == Label(by_default, evidence)
  found = _label(mentions, precedence=labels.PAPER_ORDER)
  assert found['Mass'] == Label(in_the_paper, evidence)


def test_labels_of_a_report():
  mentions = [
    _mention('X:6', UNCERTAIN, 0),
    _mention('X:3', ABSENT, 2),
    _mention('X:2', PRESENT, 4),
    _mention('X:1', PRESENT, 6),
  ]
  # The opacity is denied as an infiltrate and then described.
  assert _label(mentions) == {
    'Infiltration': Label(ABSENT, (Evidence(mentions[1], 'concept X:3'),)),
    'Opacity': Label(
      PRESENT,
      (
        Evidence(mentions[1], 'below X:2'),
        Evidence(mentions[2], 'concept X:2'),
      ),
    ),
    'Mass': Label(UNCERTAIN, (Evidence(mentions[0], 'parent X:5'),)),
  }


@pytest.mark.parametrize(
  'mentions, none_found',
  [
    ([], True),
    ([('X:1', PRESENT)], True),
    ([('X:5', ABSENT)], True),
    ([('X:5', ABSENT), ('X:3', UNCERTAIN)], False),
    ([('X:5', PRESENT)], False),
  ],
)
def test_no_finding(mentions, none_found):
  mentions = [_mention(*m) for m in mentions]
  found = _label(mentions)
  assert (found.get('No Finding') == Label(PRESENT, ())) == none_found
  assert ('No Finding' in found) == none_found


@pytest.mark.parametrize(
  'aside',
  [
    {'experiencer': Experiencer.OTHER},
    {'time': Time.PAST},
    {'time': Time.HYPOTHETICAL},
  ],
)
def test_only_the_patient_now_is_labelled(aside):
  family = _mention('X:5', PRESENT, **aside)
  assert set(_label([family])) == {'No Finding'}
  own = _mention('X:5', ABSENT, 3)
  assert _label([family, own])['Mass'] == Label(
    ABSENT, (Evidence(own, 'name mass'),)
  )


@examples(100)
@given(
  st.lists(
    st.lists(
      st.tuples(
        st.sampled_from([*_ONTOLOGY.terms, 'Y:3', 'Z:1']),
        st.sampled_from(Polarity),
        st.sampled_from(Time),
      ),
      max_size=5,
    ),
    max_size=5,
  ),
  st.permutations(list(Polarity)),
)
def test_labels_by_brute_force(reports, precedence):
  mentions = [
    [_mention(id, polarity, time=time) for id, polarity, time in report]
    for report in reports
  ]
  found = labels.label_mentions(
    mentions, _ONTOLOGY, _NAMES, precedence=precedence
  )
  assert len(found) == len(reports)
  for row, has in zip(mentions, found, strict=True):
    wanted = {}
    for name in _NAMES:
      said = [
        m.polarity
        for m in row
        if m.time is Time.CURRENT
        and name in dict(labels.find_rules(m.concept, _ONTOLOGY, _NAMES))
      ]
      if said:
        wanted[name] = min(said, key=precedence.index)
    if not {PRESENT, UNCERTAIN} & {*wanted.values()}:
      wanted['No Finding'] = PRESENT
    assert {name: label.polarity for name, label in has.items()} == wanted


def test_one_text_is_not_a_list_of_texts():
  with pytest.raises(TypeError, match='texts must be a list of texts'):
    labels.label('No mass.', Linker(_ONTOLOGY), _NAMES)


_CONCEPTS = {'A': {1, 2}, 'B': {2, 3}, 'C': {4}, 'D': set()}


@pytest.mark.parametrize(
  'primary, secondary, present, merged',
  [
    ('A', 'A', {4}, 'A'),
    ('A', 'B', {2}, 'A'),  # both cover it: the first
    ('A', 'B', {3}, 'B'),
    ('A', 'B', {1, 3}, 'AB'),  # only both together cover all
    ('A', 'B', {5}, 'A'),
    ('A', 'B', set(), 'A'),
    ('AB', 'BC', {2}, 'AB'),  # the intersection covers no more
    ('', 'C', {4}, 'C'),
    ('', 'C', {1}, ''),
    ('D', 'E', {1}, 'D'),
    ('AC', 'B', {1, 2, 4}, 'AC'),
  ],
)
def test_merge_by_hand(primary, secondary, present, merged):
  assert labels.merge_labels(primary, secondary, present, _CONCEPTS) == (
    frozenset(merged)
  )


def _merge_as_published(primary, secondary, present, concepts):
  """The shares as fractions of the concepts, one option after the other."""
  if primary == secondary or not present:
    return primary
  best, most = None, -1.0
  for option in (
    primary,
    secondary,
    {x for x in primary if x in secondary},
    primary | secondary,
  ):
    covered = [c for c in present if any(c in concepts[x] for x in option)]
    if len(covered) / len(present) > most:
      best, most = option, len(covered) / len(present)
  return best


_LABELS = st.frozensets(st.sampled_from('ABCD'))
_IDS = st.frozensets(st.integers(0, 6))


@examples(300)
@given(
  _LABELS, _LABELS, _IDS, st.fixed_dictionaries(dict.fromkeys('ABCD', _IDS))
)
def test_merge_by_brute_force(primary, secondary, present, concepts):
  merged = labels.merge_labels(primary, secondary, present, concepts)
  assert merged == _merge_as_published(primary, secondary, present, concepts)


@pytest.fixture
def read(tmp_path):
  def read(text):
    path = tmp_path / 'labels.tsv'
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return read_labels(path)

  return read


def test_rules_know_other_ids_and_cases():
  """Labels may name terms of a merged ontology by the ids of either one."""
  terms = {
    'X:1': Term('X:1', 'Effusion'),
    'X:2': Term('X:2', 'deep', parents=('X:1',)),
    'X:3': Term('X:3', 'Mass'),
  }
  merged = Ontology(terms, {'HP:7': 'X:1'})
  rules = {
    'Effusion': LabelRule(frozenset(['HP:7'])),
    'Mass': LabelRule(names=('MASS',)),
  }
  assert labels.find_rules('X:2', merged, rules) == [('Effusion', 'below X:1')]
  assert labels.find_rules('HP:7', merged, rules) == [
    ('Effusion', 'concept X:1')
  ]
  assert labels.find_rules('X:3', merged, rules) == [('Mass', 'name MASS')]


def test_an_order_without_a_polarity_is_refused():
  with pytest.raises(ValueError, match='all polarities'):
    labels.label_mentions([], Ontology({}), {}, precedence=['present'])


def test_read_labels(read):
  text = (
    '\ufeff# x\n\nMass\tX:1 | X:2\tLung Mass|tumor\nEdema\tX:3\nRest\t\ta\n'
  )
  assert read(text) == {
    'Mass': LabelRule(frozenset(['X:1', 'X:2']), ('Lung Mass', 'tumor')),
    'Edema': LabelRule(frozenset(['X:3']), ()),
    'Rest': LabelRule(frozenset(), ('a',)),
  }


@pytest.mark.parametrize(
  'text, message',
  [
    ('Mass\n', ':1: expected a label, ids of concepts'),
    ('# x\nMass\t\t\n', ':2: expected a label'),
    ('\tX:1\n', ':1: expected a label'),
    ('Mass\tX:1\tmass\tmore\n', ':1: expected a label'),
    ('Mass\tX:1\nMass\tX:2\n', ":2: the label 'Mass' is there already"),
    ('No Finding\tX:1\n', ":1: the label 'No Finding' is given by itself"),
    ('Mass\tX:1 | \n', ':1: expected something on both sides'),
    ('# nothing\n', ': no line has a label'),
    (b'M\xe9\tX:1\n', ': is not UTF-8'),
  ],
)
def test_malformed_labels(read, tmp_path, text, message):
  with pytest.raises(ValueError, match=f'^{tmp_path}/labels.tsv{message}'):
    read(text)


@pytest.mark.parametrize(
  'line, message',
  [
    ('Bone\tX:404', 'X:404 is not a concept of the ontology; correct the id, '),
    ('Bone\tX:7 | X:404\tspur', 'X:404 is not a concept'),
    ('Bone\tbone mass', 'bone mass is not a concept of the ontology'),
    ('Bone\tX:7\tspur | spurr', "no concept of the ontology has 'spurr' in "),
    ('Bone\t\tbones', "no concept of the ontology has 'bones' in its name; "),
    ('Bone\tY:3\tOF BONE', None),
  ],
)
def test_labels_that_the_ontology_lacks(tmp_path, line, message):
  path = tmp_path / 'labels.tsv'
  path.write_text(f'# Labels.\nMass\tX:5\n{line}\n')
  assert len(read_labels(path)) == 2
  if message is None:
    assert len(read_labels(path, _ONTOLOGY)) == 2
    return
  with pytest.raises(ValueError, match=f'^{path}:3: {message}'):
    read_labels(path, _ONTOLOGY)


def test_the_labels_of_the_package_need_some_concept():
  names = 'Atelectasis Cardiomegaly Pneumothorax Consolidation Hernia'.split()
  names += ['pleural effusion', 'pulmonary infiltrate', 'lung mass']
  names += ['lung nodule', 'pneumonia', 'pulmonary edema', 'pleural thickening']
  names += ['pulmonary emphysema', 'pulmonary fibrosis']
  terms = {name: Term(name, name) for name in names}
  assert len(read_labels(ontology=Ontology(terms))) == 14
  del terms['pneumonia']
  with pytest.raises(ValueError, match="no concept for the label 'Pneumonia'"):
    read_labels(ontology=Ontology(terms))


def test_the_classes_of_the_package():
  names = read_labels()
  assert len(names) == 14
  forms = read_aliases().forms
  roots = {id for rule in names.values() for id in rule.concepts}
  assert roots - {*forms} == {'HP:0100790'}  # hernia, whose name is enough
  ontology = Ontology(
    {
      'HP:0100750': Term('HP:0100750', 'Atelectasis'),
      'HP:0002103': Term('HP:0002103', 'Abnormal pleura morphology'),
      'HP:0002202': Term('HP:0002202', 'Pleural effusion', (), ('HP:0002103',)),
      'HP:1': Term('HP:1', 'Malignant pleural effusion', (), ('HP:0002202',)),
      'HP:0100790': Term('HP:0100790', 'Hernia'),
      'HP:0002036': Term('HP:0002036', 'Hiatus hernia', (), ('HP:0100790',)),
    }
  )
  text = 'Hiatus hernia. Malignant pleural effusion. No atelectasis.'
  (found,) = labels.label([text], Linker(ontology), names)
  assert {k: (v.polarity, v.evidence[0].rule) for k, v in found.items()} == {
    'Atelectasis': (ABSENT, 'concept HP:0100750'),
    'Effusion': (PRESENT, 'below HP:0002202'),
    'Hernia': (PRESENT, 'below HP:0100790'),
  }
