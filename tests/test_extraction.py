"""Extractors of one's own: how they plug in, and every way they fail."""

import sys

import numpy as np
import pytest

from dicejax import concepts
from dicejax.concepts import Mention
from dicejax.concepts import Ontology
from dicejax.concepts import Polarity
from dicejax.concepts import ReportIndex
from dicejax.concepts import Reports
from dicejax.concepts import Term

ABSENT, PRESENT = Polarity.ABSENT, Polarity.PRESENT
ONTOLOGY = Ontology(
  {'X:1': Term('X:1', 'mass'), 'X:2': Term('X:2', 'spot')}, {'Y:1': 'X:1'}
)
REPORTS = Reports(['a', 'b'], ['No mass.', 'A mass'], {})


def find_mass(text):
  start = text.index('mass')
  polarity = 'absent' if 'No' in text else 'present'
  return [Mention('Y:1', start, start + 4, polarity)]


def test_any_function_serves():
  found = concepts.extract(REPORTS, find_mass, ONTOLOGY)
  assert found == [
    (Mention('X:1', 3, 7, ABSENT),),
    (Mention('X:1', 2, 6, PRESENT),),
  ]
  assert type(found[0][0].polarity) is Polarity
  (first, second) = concepts.label(
    REPORTS.texts,
    find_mass,
    {'Mass': concepts.LabelRule(frozenset(['X:1']))},
    ontology=ONTOLOGY,
  )
  assert first['Mass'].polarity is ABSENT
  assert second['Mass'].polarity is PRESENT


def test_generators_and_the_numbers_of_numpy_serve():
  def find(text):
    start, end = np.array([0, len(text)])
    yield Mention('X:2', start, end, PRESENT, cue=np.array([0, 1]))

  found = concepts.extract(REPORTS, find, ONTOLOGY)
  assert found[0] == (Mention('X:2', 0, 8, PRESENT, (0, 1)),)
  assert {type(n) for n in (*found[0][0][1:3], *found[0][0].cue)} == {int}


def test_an_index_by_a_function_of_ones_own(tmp_path):
  index = ReportIndex.build(REPORTS, find_mass, ontology=ONTOLOGY)
  assert [hit.id for hit in index.search('mass', weights='uniform')] == ['b']
  index.save(tmp_path / 'i')
  loaded = ReportIndex.load(tmp_path / 'i')
  assert [hit.id for hit in loaded.search('a', weights='uniform')] == ['b']
  name = f'{__name__}:find_mass'
  with pytest.raises(ValueError, match=f'needs the extractor .* {name}.$'):
    loaded.search('a mass')
  loaded = ReportIndex.load(tmp_path / 'i', find_mass)
  assert [hit.id for hit in loaded.search('mass', weights='uniform')] == ['b']


def _fail(text):
  raise KeyError('token 7')


@pytest.mark.parametrize(
  'find, reason',
  [
    (_fail, "KeyError: 'token 7'"),
    (lambda text: None, 'it returned None, not a list of mentions.'),
    (lambda text: text, "it returned 'A mass', not a list of mentions."),
    (lambda text: ['mass'], "it returned 'mass' among the mentions."),
    (
      lambda text: [('X:1', 0, 1, 'present')],
      "it returned ('X:1', 0, 1, 'present') among the mentions.",
    ),
    (
      lambda text: [Mention('X:9', 0, 1, PRESENT)],
      'it mentions X:9, which is not in the ontology.',
    ),
    *(
      (
        lambda text, span=span: [Mention('X:1', *span, PRESENT)],
        f'it returned a mention at {span[0]} to {span[1]} in a text of 6 chara',
      )
      for span in [(0, 7), (-1, 2), (3, 3), (5, 4)]
    ),
    (
      lambda text: [Mention('X:1', 0, 2, ABSENT, (5, 9))],
      'it returned a cue at 5 to 9 in a text of 6 characters.',
    ),
    (lambda text: [Mention('X:1', 0.5, 2, ABSENT)], 'TypeError: '),
    (
      lambda text: [Mention('X:1', 0, 2, 'maybe')],
      "ValueError: 'maybe' is ",
    ),
    (lambda text: [Mention('X:1', 0, 2, ABSENT, 'no')], 'TypeError: '),
  ],
)
def test_faults_name_the_extractor_and_the_report(find, reason):
  def extractor(text):
    return find(text) if text == 'A mass' else []

  with pytest.raises(ValueError) as raised:
    ReportIndex.build(REPORTS, extractor, ontology=ONTOLOGY)
  where = f'extractor {__name__}:{extractor.__qualname__}: failed on report '
  assert str(raised.value).startswith(f"{where}'b': {reason}")


def test_an_ontology_is_needed():
  with pytest.raises(ValueError, match='pass the ontology of its concepts'):
    ReportIndex.build(REPORTS, find_mass)


@pytest.mark.parametrize(
  'name, reason',
  [
    ('find_mass', 'expected package.module:function'),
    (':find_mass', 'expected package.module:function'),
    ('module:', 'expected package.module:function'),
    ('none.such:find', 'cannot be imported (ModuleNotFoundError: No module'),
    ('own_extractor:none', 'cannot be imported (AttributeError: '),
    ('own_extractor:NUMBER', 'is a int, not a function.'),
    ('broken_extractor:find', 'cannot be imported (ZeroDivisionError: divis'),
  ],
)
def test_extractors_that_cannot_be_imported(
  tmp_path, monkeypatch, name, reason
):
  (tmp_path / 'own_extractor.py').write_text('NUMBER = 7\n')
  (tmp_path / 'broken_extractor.py').write_text('1 / 0\n')
  monkeypatch.syspath_prepend(tmp_path)
  with pytest.raises(ValueError) as raised:
    concepts.load_extractor(name)
  assert str(raised.value).startswith(f'extractor {name}: {reason}')
  sys.modules.pop('own_extractor', None)


def test_extractors_by_name():
  name = f'{__name__}:find_mass'
  assert concepts.load_extractor(name) is find_mass
