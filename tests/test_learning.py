"""Surface forms learnt from made-up labelled reports; counts by hand."""

import dataclasses
import pathlib
import random

import pytest

from dicejax.concepts import Linker
from dicejax.concepts import Ontology
from dicejax.concepts import Term
from dicejax.concepts import format_aliases
from dicejax.concepts import learn_aliases
from dicejax.concepts import read_aliases
from dicejax.concepts.cli import parser as command
from dicejax.concepts.labels.table import LabelRule

_TERMS = [
  Term('X:1', 'cardiomegaly'),
  Term('X:2', 'pleural effusion'),
  Term('X:3', 'position'),
  Term('X:4', 'left', parents=('X:3',)),
  Term('X:5', 'lateral', parents=('X:3',)),
]
_ONTOLOGY = Ontology({term.id: term for term in _TERMS})
_REPORTS = [
  ('The heart is enlarged. No pneumothorax.', {'Cardiomegaly'}, 9),
  ('Cardiomegaly. No pneumothorax.', {'Cardiomegaly'}, 3),
  ('Pneumothorax is not seen. The heart is normal.', set(), 10),
  ('Patchy opacity.', {'Opacity'}, 20),
  ('Streaky opacity on the left.', {'Opacity'}, 10),
  ('Nodular opacity.', {'Nodule'}, 10),
  ('Nodular opacity, lateral.', {'Nodule', 'Rare'}, 1),
]


def _learn(reports=_REPORTS, ontology=_ONTOLOGY, **settings):
  rows = [(text, labels) for text, labels, n in reports for _ in range(n)]
  return learn_aliases(*zip(*rows, strict=True), ontology, **settings)


@pytest.fixture(scope='module')
def learnt():
  return _learn()


def test_forms_are_affirmed_and_longer_ones_take_from_shorter_ones(learnt):
  # "Pneumothorax" stands in each report with cardiomegaly, but is denied. Of 41
  # opacities 11 are nodular, so that 30 are left, all of them right.
  assert [form[:5] for form in learnt.forms] == [
    ('heart is enlarged', 'Cardiomegaly', 'X:1', 9, 1),
    ('cardiomegaly', 'Cardiomegaly', 'X:1', 3, 1),
    ('nodular opacity', 'Nodule', 'LEARNT:nodule', 11, 1),
    ('opacity', 'Opacity', 'LEARNT:opacity', 30, 1),
  ]
  assert [form.lift for form in learnt.forms] == pytest.approx(
    [63 / 12, 63 / 12, 63 / 11, 63 / 30]
  )
  assert learnt.skipped == {'Rare': 'fewer than 10 reports (1)'}


def test_the_order_of_reports_changes_nothing(learnt):
  rows = [(*row[:2], 1) for row in _REPORTS for _ in range(row[2])]
  random.Random(0).shuffle(rows)
  assert _learn(rows) == learnt


def test_the_table_is_read_back_and_linked(learnt, tmp_path):
  path = tmp_path / 'table.tsv'
  path.write_text('\n'.join(format_aliases(learnt)))
  table = read_aliases(path)
  assert dataclasses.replace(table, places={}) == learnt.aliases
  assert '# opacity: support 30, precision 1.00, lift 2.1' in path.read_text()
  # Sides are no concepts, and the name of a made concept is no form.
  text = 'The heart is mildly enlarged. Left nodular opacity. A nodule.'
  found = [mention.concept for mention in Linker(_ONTOLOGY, table)(text)]
  assert found == ['X:1', 'LEARNT:nodule']


def test_a_form_needs_precision_odds_and_support():
  def forms(*reports):
    learnt = _learn([*reports, ('Clear.', set(), 70)])
    return [form.words for form in learnt.forms]

  fixed = ('Blob.', {'A'}, 20)
  assert forms(fixed, ('Haze.', {'A'}, 3)) == ['blob', 'haze']
  assert forms(fixed, ('Haze.', {'A'}, 2)) == ['blob']
  # 7 of 10 are .544 or more by Wilson's interval, 8 of 10 are .653 or more.
  for right, found in [(7, ['blob']), (8, ['blob', 'haze'])]:
    assert (
      forms(fixed, ('Haze.', {'A'}, right), ('Haze.', set(), 10 - right))
      == found
    )
  # Beside blobs, haze explains nothing; alone, it is right in 1 of 4 reports.
  assert forms(
    fixed, ('Blob. Haze.', {'A'}, 20), ('Haze.', {'A'}, 1), ('Haze.', set(), 3)
  ) == ['blob']


def test_labels_find_their_concepts():
  reports = [
    ('Large pleural effusion.', {'Fluid', 'Wet'}, 10),
    ('Blob.', {'Pleural_Effusion', 'Heart'}, 10),
    ('Clear.', set(), 40),
  ]
  rules = {'Heart': LabelRule(frozenset(['X:1']))}
  assert _learn(reports, rules=rules).concepts == {
    'Fluid': 'X:2',  # Named in the same reports.
    'Heart': 'X:1',  # By the rule.
    'Pleural_Effusion': 'X:2',  # By its name.
    'Wet': 'X:2',
  }


def test_nothing_to_learn_from():
  with pytest.raises(ValueError, match='got 1 for 2 reports'):
    learn_aliases(['a', 'b'], [[]], _ONTOLOGY)
  for reports in ([('Blob.', {'A'}, 20)], [('B.', {'A'}, 9), ('C.', set(), 9)]):
    with pytest.raises(ValueError, match='no label has 10 reports or more and'):
      _learn(reports)


_OBO = ''.join(f'[Term]\nid: {t.id}\nname: {t.name}\n\n' for t in _TERMS)
_ARGUMENTS = [
  'learn',
  'reports.csv',
  '--text-columns=text',
  '--label-column=labels',
  '--label-separator=;',
  '--ontology=x.obo',
  '--out=out.tsv',
]


@pytest.fixture
def home(tmp_path, monkeypatch):
  monkeypatch.chdir(tmp_path)
  lines = ['id,text,labels', '0,Blob.,', '1,Clear.,"Mass; "']
  for text, labels, count in _REPORTS:
    cell = '; '.join(sorted(labels)) or 'normal'
    lines += [f'{len(lines) + n},"{text}",{cell}' for n in range(count)]
  pathlib.Path('reports.csv').write_text('\n'.join(lines))
  pathlib.Path('x.obo').write_text(_OBO)
  return tmp_path


def test_command(home, capsys):
  assert command.main(_ARGUMENTS) == 0
  out, err = capsys.readouterr()
  assert read_aliases('out.tsv').forms['X:1'] == (
    'heart is enlarged',
    'cardiomegaly',
  )
  assert 'left out: reports without label: 1\n' in err
  assert 'left out: label Rare: fewer than 10 reports (1)\n' in err
  assert ['Cardiomegaly', '12', '2', 'X:1', 'cardiomegaly'] in [
    line.split() for line in out.splitlines()
  ]
  before = pathlib.Path('out.tsv').read_bytes()
  assert command.main(_ARGUMENTS) == 1
  assert 'out.tsv: the file exists' in capsys.readouterr().err
  assert pathlib.Path('out.tsv').read_bytes() == before


@pytest.mark.parametrize(
  ('change', 'message'),
  [
    ('--label-column=label', 'reports.csv: no column label; there are: id,'),
    ('--text-columns=note', 'reports.csv: no column note; there are: id,'),
    ('--label-column=id', 'nothing to learn from: no label has 10 reports'),
    ('--out=reports.csv', 'reports.csv: the file exists'),
  ],
)
def test_bad_input_is_one_sentence(home, capsys, change, message):
  assert command.main([*_ARGUMENTS, change]) == 1
  last = capsys.readouterr().err.splitlines()[-1]
  assert last.startswith(f'error: {message}')
  assert not pathlib.Path('out.tsv').exists()
