"""Runs docs/concepts.md: its Python, its commands and its tables."""

import pathlib
import re
import shlex

import helpers
import pytest

from dicejax import concepts
from dicejax.concepts.cli import parser

PAGE = (pathlib.Path(__file__).parents[1] / 'docs/concepts.md').read_text()
_NAMES = {
  'HP:0001640': 'Cardiomegaly',
  'HP:0100598': 'Pulmonary edema',
  'HP:0002202': 'Pleural effusion',
  'HP:0002107': 'Pneumothorax',
  'HP:0002103': 'Abnormal pleura morphology',
  'HP:0012823': 'Clinical modifier',
  'HP:0100750': 'Atelectasis',
  'HP:0002113': 'Pulmonary infiltrates',
  'HP:0033821': 'Lung mass',
  'HP:0033608': 'Pulmonary nodule',
  'HP:0002090': 'Pneumonia',
  'HP:0032177': 'Consolidation',
  'HP:0002097': 'Emphysema',
  'HP:0002206': 'Pulmonary fibrosis',
  'HP:0031944': 'Pleural thickening',
  'HP:0100790': 'Hernia',
}
_CSV = """id,findings,impression
12,The heart is enlarged.,No effusion.
17,Small left pleural effusion.,No pneumothorax.
40,Large heart. Right effusion.,Pulmonary edema.
"""


def _blocks(language):
  return re.findall(rf'```{language}\n(.*?)```', PAGE, re.S)


@pytest.fixture
def home(tmp_path, monkeypatch):
  monkeypatch.chdir(tmp_path)
  terms = (f'[Term]\nid: {id}\nname: {name}\n' for id, name in _NAMES.items())
  pathlib.Path('hp.obo').write_text('\n'.join(terms))
  pathlib.Path('doid.obo').write_text('[Term]\nid: DOID:1\nname: asthma\n')
  pathlib.Path('reports.csv').write_text(_CSV)
  pathlib.Path('labelled.csv').write_text(
    'findings,impression,problems\n'
    + 10 * 'Large heart.,,Cardiomegaly\n'
    + 10 * 'Clear.,,normal\n'
  )
  pathlib.Path('new.csv').write_text(_CSV.replace('\n', '\n9').rstrip('9'))
  helpers.save_encoder(tmp_path / 'ENCODER', ['heart', 'effusion'])
  monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path))
  pathlib.Path('queries.txt').write_text('17\nleft effusion\n')


def test_python(home):
  names = {}
  for block in _blocks('python'):
    exec(block, names)
  assert names['labels'][1]['Effusion'].polarity == 'present'
  assert names['labels'][0]['Cardiomegaly'].polarity == 'present'
  assert 'heart' in names['votes'][0] and 'heart' in names['learnt'][0]
  assert names['hits'].rows.shape == (2, 2)


def test_commands(home, capsys):
  blocks = [block for block in _blocks('sh') if 'dicejax.concepts' in block]
  lines = ''.join(blocks).replace('\\\n', ' ').splitlines()
  assert len(lines) == 13
  for line in lines:
    program, arguments = line.split('dicejax.concepts ', 1)
    assert program == 'python -m '
    code = parser.main(shlex.split(arguments))
    assert code == 0, capsys.readouterr().err
  labels = pathlib.Path('labels.csv').read_text().splitlines()
  assert len(labels) == 4


def test_tables(home):
  aliases, cues, labels = _blocks('tsv')
  pathlib.Path('aliases.tsv').write_text(aliases)
  pathlib.Path('labels.tsv').write_text(labels)
  ontology = concepts.read_obo('hp.obo')
  linker = concepts.Linker(ontology, concepts.read_aliases('aliases.tsv'))
  text = 'Pleural tags. Knee effusion. Large heart.'
  assert [m.concept for m in linker(text)] == ['MY:1', 'HP:0001640']
  pathlib.Path('cues.tsv').write_text(cues)
  linker = concepts.Linker(ontology, cues=concepts.read_cues('cues.tsv'))
  text = 'Kein Pneumothorax, fragliche Consolidation. No Pneumonia.'
  assert [m.polarity for m in linker(text)] == [
    'absent',
    'uncertain',
    'present',
  ]
  with pytest.raises(ValueError, match="labels.tsv:3: no concept .* 'heart'"):
    concepts.read_labels('labels.tsv', ontology)
