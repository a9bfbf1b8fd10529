"""Mentions by a tagger of polarities, and the commands that use one."""

import pathlib

import helpers
import jax
import jax.numpy as jnp
import pytest

import dicejax
from dicejax import models
from dicejax.concepts.cli import parser as command
from dicejax.concepts.ontology import Ontology
from dicejax.concepts.ontology import Term
from dicejax.concepts.search.index import ReportIndex
from dicejax.concepts.text.extraction import extract
from dicejax.concepts.text.linker import Linker
from dicejax.concepts.text.reports import Reports
from dicejax.concepts.text.tagger import TaggerExtractor

_WORDS = 'effusion no edema left small .'.split()
_TYPES = ('PRESENT', 'ABSENT', 'uncertain')
_CONFIG = helpers.tiny_bert(_WORDS)


def _save(directory, types=_TYPES, head=models.TokenTagger):
  """Exports a tiny model with random weights that marks something."""
  labels = ('O', *(f'{letter}-{name}' for name in types for letter in 'BI'))
  model = head(_CONFIG, len(labels))
  params = model.init(jax.random.key(3), jnp.ones((1, 2), int))['params']
  params = jax.tree.map(lambda x: 30 * x if x.ndim > 1 else x, params)
  models.save_finetuned(directory, model, params, labels)
  helpers.save_word_tokenizer(directory, _WORDS)
  return directory


@pytest.fixture
def linker():
  terms = Term('X:1', 'effusion'), Term('X:2', 'edema')
  return Linker(Ontology({term.id: term for term in terms}))


def test_entities_are_linked_and_have_the_polarity_of_their_type(linker):
  calls = []

  def tagger(sentences):
    calls.append(list(sentences))
    entity = {'type': 'uncertain', 'start': 0, 'end': 19}
    marks = {'type': 'ABSENT', 'start': 21, 'end': 26}
    return [{'entities': [entity, marks]} for _ in sentences]

  text = 'Small left effusion, edema. No edema and effusion, edema'
  extractor = TaggerExtractor(tagger, linker)
  found = [
    (m.concept, text[m.start : m.end], str(m.polarity), m.modifiers)
    for m in extractor(text)
  ]
  assert found == [
    ('X:1', 'effusion', 'uncertain', ('small', 'left')),
    ('X:2', 'edema', 'absent', ()),
    # The linker reads "no", but the tagger decides.
    ('X:2', 'edema', 'uncertain', ()),
  ]
  calls.clear()
  reports = Reports(['1', '2', '3'], [text, 'Clear.', text], {})
  mentions = extract(reports, extractor, linker.ontology)
  assert mentions[0] == mentions[2] == tuple(extractor(text))
  parts = [
    'Small left effusion, edema',
    'No edema and effusion, edema',
    'Clear',
  ]
  assert [call for call in calls if call] == [parts]


_OBO = '[Term]\nid: X:1\nname: effusion\n\n[Term]\nid: X:2\nname: edema\n'
_CSV = 'id,text\n1,No effusion. Small edema.\n2,Left edema.\n3,Edema effusion\n'
_INPUT = [
  'reports.csv',
  '--text-columns=text',
  '--ontology=x.obo',
  '--aliases=none',
]


@pytest.fixture
def run(tmp_path, monkeypatch, capsys):
  monkeypatch.chdir(tmp_path)
  pathlib.Path('x.obo').write_text(_OBO)
  pathlib.Path('reports.csv').write_text(_CSV)

  def run(*arguments):
    code = command.main([str(argument) for argument in arguments])
    return code, *capsys.readouterr()

  return run


def test_commands(run, tmp_path, linker):
  out = _save(tmp_path / 'tagger')
  code, _, err = run('index', *_INPUT, f'--extractor={out}', '--out=i')
  assert code == 0, err
  index = ReportIndex.load('i')
  own = TaggerExtractor(dicejax.load(out), linker)
  assert list(map(tuple, index.mentions)) == [
    tuple(own(text)) for text in index.reports.texts
  ]
  assert any(index.mentions)
  # The texts of queries are linked by names.
  assert run('search', 'i', 'small edema')[0] == 0
  err = run('search', 'i', 'edema', f'--extractor={out}')[2]
  assert 'a tagger finds the mentions of reports only' in err
  add = ['index', 'reports.csv', '--text-columns=text', '--add', '--out=i']
  assert 'needs the extractor that made it' in run(*add)[2]
  pathlib.Path('labels.tsv').write_text('Any\tX:1 | X:2\n')
  label = ['label', *_INPUT, '--labels=labels.tsv', '--out=l.csv']
  assert run(*label, f'--extractor={out}')[0] == 0


def test_directories_that_are_no_tagger_of_polarities(run, tmp_path):
  types = ('PERSON', 'PRESENT')
  params = models.make_encoder(_CONFIG).init(
    jax.random.key(0), jnp.ones((1, 2), int)
  )['params']
  models.save_pretrained(tmp_path / 'plain', _CONFIG, params)
  (tmp_path / 'empty').mkdir()
  _save(tmp_path / 'tagger')
  for directory, reason in {
    _save(tmp_path / 'people', types): 'ABSENT, UNCERTAIN, found PERSON, PRES',
    _save(tmp_path / 'texts', head=models.TextClassifier): 'found ',
    tmp_path / 'plain': '',
    tmp_path / 'empty': '',
  }.items():
    code, _, err = run('index', *_INPUT, f'--extractor={directory}', '--out=i')
    assert code == 1 and reason in err and err.count('\n') == 1, err
    assert str(directory) in err
  err = run(
    'index',
    *_INPUT,
    f'--extractor={tmp_path / "tagger"}',
    '--workers=2',
    '--out=i',
  )[2]
  assert 'leave --workers out' in err
