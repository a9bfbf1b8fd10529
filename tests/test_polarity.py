"""Polarity: what sentences say of their findings, whatever the layout."""

import itertools
import pathlib
import re

import pytest
from draws import examples
from hypothesis import given
from hypothesis import strategies as st
from polarity import LAYOUTS

from dicejax.concepts import Experiencer
from dicejax.concepts import Linker
from dicejax.concepts import Ontology
from dicejax.concepts import Polarity
from dicejax.concepts import Term
from dicejax.concepts import Time
from dicejax.concepts.text import assertion
from dicejax.concepts.text.cues import read_cues
from dicejax.concepts.text.sentences import split_sentences

_NAMES = (
  'effusion pneumothorax edema consolidation pneumonia atelectasis '
  'cardiomegaly nodule mass opacity scar scarring fracture'
).split()
_TERMS = [Term(f'X:{name}', name) for name in _NAMES]
_TERMS += [
  Term('X:pleural', 'pleural effusion'),
  Term('X:heart', 'heart is enlarged'),
]
_LINKER = Linker(Ontology({term.id: term for term in _TERMS}))

# Each finding is in braces; then a sign for each, + (present), - (absent) or
# ? (uncertain), and the words of each cue that decided.
_SENTENCES = [
  # No cue.
  ('There is a small left {pleural effusion}.', '+'),
  ('{Cardiomegaly}.', '+'),
  ('Stable {cardiomegaly} and {atelectasis}.', '++'),
  ('{Opacity} consistent with {pneumonia}.', '++'),
  ('{Edema} compatible with volume overload.', '+'),
  ('{Scarring} or {atelectasis}.', '++'),
  ('{Atelectasis} versus {consolidation}.', '++'),
  # A negation before, and how far it reaches.
  ('No {effusion}.', '-', 'No'),
  ('There is no {pleural effusion} or {pneumothorax}.', '--', 'no', 'no'),
  ('No {edema}, {consolidation} or {mass}.', '---', 'No', 'No', 'No'),
  ('No {edema}, {consolidation}, and {mass}.', '---', 'No', 'No', 'No'),
  ('Lungs are clear, without {effusion}.', '-', 'without'),
  ('No evidence of {pneumonia}.', '-', 'No evidence of'),
  ('No definite {pneumothorax} is seen.', '-', 'No'),
  ('Negative for {pneumonia} or {edema}.', '--') + ('Negative for',) * 2,
  ('The lungs are free of {consolidation}.', '-', 'free of'),
  ('Interval resolution of the {effusion}.', '-', 'Interval resolution of'),
  ('Neither {effusion} nor {pneumothorax}.', '--', 'Neither', 'nor'),
  ('Films do not demonstrate {edema}.', '-', 'not demonstrate'),
  ('Absence of {edema}.', '-', 'Absence of'),
  ('Scar rather than {nodule}.'.replace('Scar', '{Scar}'), '+-', 'rather than'),
  ('No XXXX {effusion}.', '-', 'No'),
  ('No large\n  {effusion}, and no {mass}.', '--', 'No large', 'no'),
  ('No acute or chronic {consolidation}.', '-', 'No'),
  ('No known {pneumonia} or {edema}.', '--', 'No known', 'No known'),
  ('Not consistent with {edema}.', '-', 'Not consistent with'),
  ('Non-displaced {mass}.', '+'),
  ('{Pneumonia} difficult to exclude.', '?', 'difficult to exclude'),
  ('Difficult to exclude {mass}.', '?', 'Difficult to exclude'),
  ('Exclude {pneumonia}.', '?', 'Exclude'),
  ("Can't reliably exclude {mass}.", '?', "n't reliably exclude"),
  # What ends its reach.
  ('No {effusion} but {cardiomegaly}.', '-+', 'No'),
  ('No {effusion}; {cardiomegaly}.', '-+', 'No'),
  ('No {edema}, however {effusion}.', '-+', 'No'),
  ('No {edema}, stable {cardiomegaly}.', '-+', 'No'),
  ('No {edema}, with {atelectasis} at the base.', '-+', 'No'),
  ('No {mass} is seen and there is {edema}.', '-+', 'No'),
  ('No {mass} except a {nodule}.', '-+', 'No'),
  ('No {mass}, although {nodule} is possible.', '-?', 'No', 'is possible'),
  ('No change of disease otherwise {edema}.', '+', 'No change'),
  ('No {effusion}. {Edema}.', '-+', 'No'),
  ('No {effusion}\nLungs: {Edema}', '-+', 'No'),
  ('No {effusion}.Mild {edema}.', '-+', 'No'),
  ('No {mass}!\n\nnew {edema}', '-+', 'No'),
  ('No {nodule} of 1.5 cm or {mass}.', '--', 'No', 'No'),
  ('No {nodule}, e.g. {mass}.', '--', 'No', 'No'),
  # What only looks like a negation.
  ('No change in the {effusion}.', '+', 'No change'),
  (
    'No significant interval change in {cardiomegaly}.',
    '+',
    'No significant interval change',
  ),
  ('Without change in {edema}.', '+', 'Without change'),
  ('Not only {edema} but {effusion}.', '++'),
  ('The {nodule} is not increased.', '+', 'is not increased'),
  # A negation after.
  ('{Effusion} is not seen.', '-', 'is not seen'),
  ('{Effusion} and {edema} are not seen.', '--') + ('are not seen',) * 2,
  ('{Effusion}, {edema} or {mass} not identified.', '---')
  + ('not identified',) * 3,
  ('The {pneumothorax} has resolved.', '-', 'has resolved'),
  ('{Pneumonia} was ruled out.', '-', 'was ruled out'),
  ('{Edema}: none\n{Mass}: 2 cm', '-+', ': none'),
  ('Negative for: {edema}, {mass}', '--') + ('Negative for:',) * 2,
  ('{Edema} absent.', '-', 'absent'),
  ('{Edema} with {mass} not seen.', '+-', 'not seen'),
  ('{Cardiomegaly} is noted, {effusion} is not seen.', '+-', 'is not seen'),
  ('{Edema} is no longer present.', '-', 'is no longer present'),
  ('{Effusion} but {edema} not seen.', '+-', 'not seen'),
  ('{Effusion} or {heart is enlarged} not seen.', '--') + ('not seen',) * 2,
  # Doubt.
  ('Possible {pneumonia}.', '?', 'Possible'),
  ('This may represent {pneumonia} or {edema}.', '??') + ('may represent',) * 2,
  ('{Opacity} suggesting {pneumonia}.', '+?', 'suggesting'),
  ('{Opacity} that could be {atelectasis}.', '+?', 'could be'),
  ('{Opacity} may be due to {edema}.', '+?', 'may be due to'),
  ('{Pneumonia} cannot be excluded.', '?', 'cannot be excluded'),
  ('Cannot exclude {pneumonia}.', '?', 'Cannot exclude'),
  ('? {pneumonia}', '?', '?'),
  ('{Pneumonia}? No {edema}.', '?-', '?', 'No'),
  ('{Effusion}, ?{edema}.', '+?', '?'),
  ('Questionable {nodule}, no {mass}.', '?-', 'Questionable', 'no'),
  ('{Effusion} is unlikely.', '?', 'is unlikely'),
  ('Unlikely {effusion}.', '?', 'Unlikely'),
  ('Suspicious for {mass}.', '?', 'Suspicious for'),
  ('{Pneumonia} is not excluded.', '?', 'is not excluded'),
  ('Question {nodule}.', '?', 'Question'),
  # Doubt and negation together.
  ('No {effusion}, possible {edema}.', '-?', 'No', 'possible'),
  ('No {effusion} and possible {edema}.', '-?', 'No', 'possible'),
  ('No findings suggestive of {pneumonia}.', '-', 'No'),
  ('No {consolidation} to suggest {pneumonia}.', '--', 'No', 'No'),
  ('No {mass} suspicious for {nodule}.', '--', 'No', 'No'),
  ('{Mass}, no finding suggestive of {edema}.', '+-', 'no'),
  ('Possible {edema} not seen.', '?', 'Possible'),
  ('Possible {edema} without {effusion}.', '?-', 'Possible', 'without'),
  ('No {mass}, {pneumonia} cannot be excluded.', '-?')
  + ('No', 'cannot be excluded'),
]
_SIGNS = {
  '+': Polarity.PRESENT,
  '-': Polarity.ABSENT,
  '?': Polarity.UNCERTAIN,
}
_OF_POLARITY = {polarity: sign for sign, polarity in _SIGNS.items()}


def _unmark(marked):
  """Returns the text without braces, and the spans that they enclosed."""
  parts = marked.replace('}', '{').split('{')
  ends = list(itertools.accumulate(map(len, parts)))
  return ''.join(parts), list(zip(ends[::2], ends[1::2], strict=False))


def test_a_cue_does_not_run_into_a_finding():
  said = assertion.assert_findings(['no', 'change', 'seen'], [(1, 2)])
  assert [of[:2] for of in said] == [(Polarity.ABSENT, (0, 1))]


@pytest.mark.parametrize('case', _SENTENCES, ids=lambda case: case[0])
def test_sentences(case):
  marked, signs, *cues = case
  text, spans = _unmark(marked)
  found = _LINKER(text)
  assert [(m.start, m.end) for m in found] == spans
  assert [m.polarity for m in found] == [_SIGNS[sign] for sign in signs]
  assert [text[slice(*m.cue)] for m in found if m.cue] == cues


def _signs(text, spans):
  """Says of each span + (present now), - or ? as the tables do."""
  signs = {}
  for sentence in split_sentences(text):
    inside = [
      (number, [n for n, at in enumerate(sentence.starts) if a <= at < b])
      for number, (a, b) in enumerate(spans)
    ]
    inside = [(number, places) for number, places in inside if places]
    said = assertion.assert_findings(
      sentence.words, [(places[0], places[-1] + 1) for _, places in inside]
    )
    for (number, _), one in zip(inside, said, strict=True):
      is_past = one.time is Time.PAST or one.experiencer is Experiencer.OTHER
      signs[number] = '-' if is_past else _OF_POLARITY[one.polarity]
  return ''.join(signs[number] for number in range(len(spans)))


# A grid: each of the first with each of the second and of the third.
_ADVERBS = ['', 'currently ', 'definitely ', 'convincingly ', 'now ']
_GRID = [
  (
    '{edema} %s %s%s',
    '-',
    [
      'is not',
      'was never',
      'has not been',
      "isn't",
      'cannot be',
      'could not be',
    ],
    _ADVERBS,
    'seen identified evident present visible demonstrated appreciated'.split(),
  ),
  (
    '{edema} %s %s%s',
    '?',
    ['cannot be', 'could not be', 'is not', "can't be", 'has not been'],
    ['', 'completely ', 'confidently ', 'entirely '],
    ['excluded', 'ruled out'],
  ),
  (
    'The film %s %s%s {edema}',
    '-',
    ['does not', "didn't", 'fails to', 'failed to', 'cannot', 'did not'],
    ['', 'clearly ', 'convincingly '],
    'show demonstrate reveal suggest identify confirm support'.split(),
  ),
  (
    'We %s %s%s {edema}',
    '?',
    ['cannot', 'could not', "can't", 'are unable to', 'did not'],
    ['', 'reliably ', 'fully '],
    ['exclude', 'rule out'],
  ),
  (
    '%s %s%s the {edema}',
    '+',
    ['No', 'Without', 'There has been no'],
    ['', 'significant ', 'appreciable ', 'interval '],
    ['change in', 'worsening of', 'increase in', 'growth of', 'reduction in'],
  ),
  (
    'There is %s %s of the {edema}%s',
    '-',
    ['', 'complete', 'interval', 'total'],
    ['resolution', 'clearing', 'disappearance'],
    [''],
  ),
  (
    'There is %s %s of the {edema}%s',
    '+',
    ['partial', 'near-complete', 'incomplete', 'no', 'almost complete'],
    ['resolution', 'clearing', 'disappearance'],
    [''],
  ),
  (
    'The {edema} has %s %s%s',
    '+',
    ['not', 'not yet', 'almost', 'partially', 'nearly', 'not completely'],
    ['resolved', 'cleared', 'disappeared'],
    [''],
  ),
  (
    '{edema}%s%s%s',
    '-',
    [': ', ' - ', '   ', ': ', ' = '],
    ['no', 'none', 'nil', 'absent', 'negative', 'not seen'],
    ['', ', {mass}: present'],
  ),
]


@pytest.mark.parametrize('case', _GRID, ids=lambda case: case[0])
def test_grid(case):
  pattern, sign, *parts = case
  wrong = []
  for words in itertools.product(*parts):
    text, spans = _unmark(pattern % words)
    wanted = sign + '+' * (len(spans) - 1)
    if (got := _signs(text, spans)) != wanted:
      wrong.append((text, got))
  assert not wrong


_KINDS = pathlib.Path(__file__).with_name('golden') / 'polarity.tsv'


def _kinds():
  """The sentences of golden/polarity.tsv, by kind."""
  lines = _KINDS.read_text('utf-8').splitlines()
  rows = [line.split('\t') for line in lines if not line.startswith('#')]
  rows.sort(key=lambda row: row[0])
  return [
    (kind, [row[1:] for row in group])
    for kind, group in itertools.groupby(rows, key=lambda row: row[0])
  ]


@pytest.mark.parametrize('kind, rows', _kinds(), ids=lambda case: case)
def test_kinds(kind, rows):
  wrong = []
  for marked, signs in rows:
    text, spans = _unmark(marked.replace('\\n', '\n'))
    if (got := _signs(text, spans)) != signs:
      wrong.append((marked, signs, got))
  assert not wrong


# Words of a made-up report, whose sentences are written in many ways below.
_REPORT = [
  'The heart is enlarged',
  'There is no evidence of pneumothorax or pleural effusion',
  'Mild edema has improved since the prior study',
  'A nodule in the left lung could represent a scar',
  'No focal consolidation, mass, or acute displaced fracture is seen',
  'Pneumonia cannot be excluded',
  'Bibasilar opacities, unchanged, are consistent with atelectasis',
]


@pytest.mark.parametrize('layout', LAYOUTS)
@examples(40)
@given(order=st.permutations(_REPORT))
def test_layout_does_not_matter(layout, order):
  plain = '. '.join(order) + '.'
  written = LAYOUTS[layout](order)
  assert [(m.concept, m.polarity) for m in _LINKER(written)] == [
    (m.concept, m.polarity) for m in _LINKER(plain)
  ]


@pytest.mark.parametrize(
  'text, experiencer, time',
  [
    ('Mother had pneumonia', 'other', 'current'),
    ('Family history of scarring', 'other', 'current'),
    ('Her son states that she has edema', 'patient', 'current'),
    ('History of pneumonia', 'patient', 'past'),
    ('Prior pneumonia', 'patient', 'past'),
    ('Pneumonia in 2010', 'patient', 'past'),
    ('Status post resection of a mass', 'patient', 'past'),
    ('Comparison: film with pneumonia', 'patient', 'past'),
    ('No effusion was seen on the prior study', 'patient', 'past'),
    ('Effusion is unchanged since 2010', 'patient', 'current'),
    ('Opacity seen on the prior study', 'patient', 'current'),
    ('Scar consistent with prior fracture', 'patient', 'current'),
    ('If pneumonia develops, repeat', 'patient', 'hypothetical'),
    ('Effusion', 'patient', 'current'),
  ],
)
def test_whose_and_when(text, experiencer, time):
  *_, mention = _LINKER(text)
  assert (mention.experiencer, mention.time) == (
    Experiencer(experiencer),
    Time(time),
  )
  assert mention.is_current == (experiencer == 'patient' and time == 'current')


def test_alternatives():
  linker = Linker(_LINKER.ontology, alternatives='uncertain')
  text = 'Nodule, mass or scar. Edema and opacity. No effusion or fracture.'
  found = {m.concept[2:]: m for m in linker(text)}
  doubted = [n for n, m in found.items() if m.polarity is Polarity.UNCERTAIN]
  assert doubted == ['nodule', 'mass', 'scar']
  assert text[slice(*found['mass'].cue)] == 'or'
  assert not [m for m in _LINKER(text) if m.polarity is Polarity.UNCERTAIN]
  with pytest.raises(ValueError, match='alternatives must be one of'):
    Linker(_LINKER.ontology, alternatives='maybe')


def test_own_cues(tmp_path):
  """Another language is another table."""
  path = tmp_path / 'german.tsv'
  path.write_text('no\tkein | keine\nnot\tnicht\nseen\tsichtbar\n')
  linker = Linker(_LINKER.ontology, cues=read_cues(path))
  text = 'Keine Pneumonia, Edema. Pneumothorax nicht sichtbar. No mass.'
  assert ''.join(_OF_POLARITY[m.polarity] for m in linker(text)) == '---+'


@pytest.mark.parametrize(
  'content, message',
  [
    ('no\n', ':1: expected a class and'),
    ('no\tnil\tzero\n', ':1: expected a class and'),
    ('# A comment.\nnegator\tnil\n', ':2: expected a class and'),
    ('no\tnil | \n', ':1: expected something on both sides'),
    ('no\tnil\nnot\tNil\n', ":2: the cue 'Nil' is in line 1 already"),
    ('no\t...\n', ":1: the cue '...' has no word"),
    ('# Only a comment.\n', ': there are no cues'),
    (b'no\tnil\xff\n', ': is not UTF-8'),
  ],
)
def test_bad_cues(tmp_path, content, message):
  path = tmp_path / 'cues.tsv'
  path.write_bytes(content if isinstance(content, bytes) else content.encode())
  with pytest.raises(ValueError, match=re.escape(f'{path}{message}')):
    read_cues(path)


@examples(300)
@given(st.lists(st.sampled_from(range(60))), st.data())
def test_any_sentence(numbers, data):
  """Every order of the words of the table is read, once for each finding."""
  words = [_WORDS[number % len(_WORDS)] for number in numbers]
  places = data.draw(st.sets(st.integers(0, max(0, len(words) - 1))))
  findings = [(n, n + 1) for n in sorted(places) if n < len(words)]
  said = assertion.assert_findings(words, findings)
  assert len(said) == len(findings)
  for one in said:
    assert (one.polarity is Polarity.PRESENT) or one.cue is not None
    assert one.cue is None or 0 <= one.cue.start < one.cue.end <= len(words)


_WORDS = (
  'no not is seen been excluded cannot , and or but with : - ( ) ? may be '
  'possible resolution of resolved change in the a small stable history mother '
  'if prior in 2010 which absent partial almost difficult to exclude'
).split()
