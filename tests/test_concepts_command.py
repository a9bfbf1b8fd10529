"""`python -m dicejax.concepts`, from reports to hits and labels."""

import csv
import io
import json
import os
import pathlib
import pty
import re
import subprocess
import sys

import pytest

from dicejax.concepts.cli import display
from dicejax.concepts.cli import parser as command
from dicejax.concepts.search import pool
from dicejax.concepts.search.index import ReportIndex

ROOT = pathlib.Path(__file__).parents[1]

# Ids and UMLS ids are made up; so are the reports.
_OBO = """format-version: 1.2

[Term]
id: X:0
name: lung finding

[Term]
id: X:1
name: pleural effusion
synonym: "effusion" EXACT []
is_a: X:0

[Term]
id: X:2
name: pneumothorax
is_a: X:0

[Term]
id: X:3
name: cardiomegaly
xref: UMLS:C9000003

[Term]
id: X:4
name: edema
is_a: X:0

[Term]
id: X:9
name: hysteria
is_obsolete: true
"""
_OTHER = """[Term]
id: Z:3
name: big heart
xref: UMLS:C9000003

[Term]
id: Z:5
name: scoliosis
"""
_CSV = """uid,findings,impression
10,There is cardiomegaly.,Effusion. No pneumothorax.
11,Scoliosis.,Big heart. Small pleural effusion.
12,Large pneumothorax.,No effusion.
13,,
14,Everything is fine.,
15,Possible edema.,
16,No pneumothorax.,
"""
_ALIASES = 'form\tX:3\tenlarged heart\nstop\tscoliosis\n'
_LABELS = '# A comment.\nEffusion\tX:1\nLung\t\tlung\nHeart\tX:3\n'


@pytest.fixture
def home(tmp_path, monkeypatch):
  monkeypatch.chdir(tmp_path)
  for name, text in {
    'reports.csv': _CSV,
    'x.obo': _OBO,
    'z.obo': _OTHER,
    'aliases.tsv': _ALIASES,
    'labels.tsv': _LABELS,
  }.items():
    pathlib.Path(name).write_text(text)
  return tmp_path


_INPUT = [
  'reports.csv',
  '--text-columns=findings,impression',
  '--ontology=x.obo',
  '--ontology=z.obo',
  '--aliases=none',
]


@pytest.fixture
def index(home, capsys):
  assert command.main(['index', *_INPUT, '--out=i']) == 0
  capsys.readouterr()
  return home / 'i'


@pytest.fixture
def run(capsys):
  def run(*arguments):
    code = command.main(arguments)
    out, err = capsys.readouterr()
    return code, out, err

  return run


def _rows(text):
  return list(csv.DictReader(io.StringIO(text)))


def test_index_counts_what_it_keeps_and_leaves_out(home, run):
  code, out, err = run('index', *_INPUT, '--out=i')
  assert code == 0
  counts = {name: value for name, value in re.findall(r'(.*?)  +(\S+)\n', out)}
  seconds = counts.pop('seconds')
  assert float(seconds) >= 0
  assert counts == {
    'reports': '6',
    'reports without concept': '1',
    'mentions': '10',
    'distinct concepts': '5',
    'concepts of the ontology': '6',
  }
  assert 'left out: reports without text: 1\n' in err
  assert 'left out: obsolete terms: 1' in err
  assert ReportIndex.load('i').reports.ids == [
    '10',
    '11',
    '12',
    '14',
    '15',
    '16',
  ]
  assert ReportIndex.load('i').ontology.alternatives == {'Z:3': 'X:3'}


def test_aliases_are_names_and_stop_words(home, run):
  pathlib.Path('reports.csv').write_text(
    'uid,findings,impression\n1,Scoliosis.,Enlarged heart.\n'
  )
  arguments = [a for a in _INPUT if 'aliases' not in a]
  code, _, err = run('index', *arguments, '--aliases=aliases.tsv', '--out=i')
  assert code == 0, err
  (found,) = ReportIndex.load('i').mentions
  assert [m.concept for m in found] == ['X:3']
  # The stop list is that of a query's text, too.
  assert run('search', 'i', 'scoliosis')[0] == 1


def test_search_by_report(index, run):
  code, out, err = run('search', 'i', '10', '--weights=uniform', '-k', '2')
  assert code == 0
  first, second = _rows(out)
  # Both have two concepts of two; one has one more: 2 / (2 + .1 * 1).
  assert first == {
    'rank': '1',
    'id': '11',
    'score': '0.952381',
    'negative_score': '0.0',
    'agreement': '0.0',
    'shared': 'cardiomegaly; pleural effusion',
    'missing': '',
    'extra': 'scoliosis',
    'forgiven': '',
    'contradicting': '',
    'snippet': 'Scoliosis. Big heart. Small pleural effusion.',
  }
  # Nothing that is there, but the same absence.
  assert (second['id'], second['score']) == ('16', '0.0')
  assert second['negative_score'] == '1.0'
  assert second['snippet'] == 'No pneumothorax.'
  assert err.split() == (
    'present cardiomegaly; pleural effusion absent pneumothorax'.split()
  )


def test_search_by_text(index, run):
  code, out, _ = run(
    'search',
    'i',
    'pneumothorax, no edema',
    '--weights=uniform',
    '--format=json',
  )
  assert code == 0
  found = json.loads(out)
  assert found['query'] == {
    'present': ['pneumothorax'],
    'absent': ['edema'],
    'modifiers': {},
  }
  # The others have nothing of it.
  (hit,) = found['hits']
  assert hit == {
    'rank': 1,
    'id': '12',
    'score': 1.0,
    'negative_score': 0.0,
    'agreement': 0.0,
    'shared': [{'concept': 'X:2', 'name': 'pneumothorax'}],
    'missing': [],
    'extra': [],
    'forgiven': [],
    'contradicting': [],
    'snippet': 'Large pneumothorax. No effusion.',
  }


def test_contradictions_both_ways(index, run):
  _, out, _ = run('search', 'i', '12', '--format=json', '--weights=uniform')
  hits = {hit['id']: hit for hit in json.loads(out)['hits']}
  assert hits == {}
  _, out, _ = run('search', 'i', 'pneumothorax and effusion', '--format=json')
  hits = {hit['id']: hit for hit in json.loads(out)['hits']}
  assert set(hits) == {'10', '11', '12'}
  names = {
    id: [c['name'] for c in hit['contradicting']] for id, hit in hits.items()
  }
  assert names == {
    '10': ['pneumothorax'],
    '11': [],
    '12': ['pleural effusion'],
  }


def test_nothing_in_common(index, run):
  for query, options in (('12', ()), ('scoliosis', ('--weights=corpus',))):
    code, out, err = run('search', 'i', query, *options, '--format=table')
    if query == '12':
      assert err == 'No report shares a finding with the query.\n'
    else:
      assert ' 11  score' in out
    assert code == 0
  _, out, _ = run('search', 'i', '12', '--format=csv')
  assert _rows(out) == [] and out.startswith('rank,id,score,')


def test_a_query_that_affirms_nothing_gets_the_lightest(index, run):
  _, out, _ = run('search', 'i', 'no effusion', '-k', '6')
  scores = [float(row['negative_score']) for row in _rows(out)]
  assert len(scores) == 6 and max(scores) > 0


def test_uncertain_is_ignored_unless_it_counts(index, run):
  code, out, err = run('search', 'i', '15')
  assert (code, out) == (1, '')
  assert err == (
    "error: '15' has only uncertain mentions, which are ignored; "
    'uncertain=present counts them.\n'
  )
  code, out, _ = run('search', 'i', 'edema', '--uncertain=present')
  assert [row['id'] for row in _rows(out)] == ['15']
  assert _rows(run('search', 'i', 'edema')[1]) == []


@pytest.mark.parametrize(
  'uncertain, extra', [('ignore', ''), ('present', 'pneumothorax')]
)
def test_uncertain_concepts_of_a_hit(home, run, uncertain, extra):
  pathlib.Path('reports.csv').write_text(
    'uid,findings,impression\n1,Edema.,\n2,Edema.,Possible pneumothorax.\n'
  )
  assert run('index', *_INPUT, '--out=i')[0] == 0
  options = ('--weights=uniform', f'--uncertain={uncertain}')
  (hit,) = _rows(run('search', 'i', '1', *options)[1])
  assert hit['extra'] == extra
  assert float(hit['score']) == pytest.approx(
    1 / (1 + 0.1 * bool(extra)), abs=1e-6
  )


def test_measures_and_their_weights(index, run):
  def score(*options):
    options = ('--weights=uniform', '--format=json', *options)
    return json.loads(run('explain', 'i', '11', '10', *options)[1])['score']

  # The query has three concepts, of which 10 has two and nothing else.
  assert score() == pytest.approx(2 / (2 + 0.9), abs=1e-6)
  assert score('--beta=0.25') == pytest.approx(2 / 2.25, abs=1e-6)
  assert score('--measure=symmetric') == pytest.approx(4 / 5, abs=1e-6)
  assert score('--measure=symmetric', '--alpha=0') == pytest.approx(
    2 / 3, abs=1e-6
  )


@pytest.mark.parametrize('weights', ['corpus', 'uniform', 'intrinsic'])
def test_kinds_of_weights(index, run, weights):
  code, out, _ = run('search', 'i', '10', f'--weights={weights}')
  assert code == 0
  assert _rows(out)[0]['id'] == '11'


def test_no_concept_has_a_type(index, run):
  code, _, err = run('search', 'i', '10', '--weights=types')
  assert code == 1
  assert err == 'error: weights=types gives no concept any weight.\n'


def test_synonyms_of_the_umls_are_forgiven(home, run):
  def conso(cui, name):
    fields = [cui, 'ENG', 'P', 'L1', 'PF', 'S1', 'Y', 'A1', '', '', '']
    return '|'.join([*fields, 'SNOMEDCT_US', 'PT', '1', name, '0', 'N', '', ''])

  names = {
    'C0000001': 'enlarged heart',
    'C0000002': 'large heart',
    'C0000003': 'edema',
  }
  pathlib.Path('umls').mkdir()
  pathlib.Path('umls/MRCONSO.RRF').write_text(
    ''.join(f'{conso(*item)}\n' for item in names.items())
  )
  pathlib.Path('umls/MRSTY.RRF').write_text(
    ''.join(f'{cui}|T047|B1|Disease or Syndrome|A1||\n' for cui in names)
  )
  pathlib.Path('umls/MRREL.RRF').write_text(
    'C0000001|A1|AUI|SY|C0000002|A2|AUI|||||SNOMEDCT_US|||N||\n'
  )
  pathlib.Path('reports.csv').write_text(
    'id,t\n1,Enlarged heart. Edema.\n2,Large heart. Edema.\n'
  )
  code, _, err = run(
    *('index', 'reports.csv', '--text-columns=t', '--umls=umls'),
    *('--aliases=none', '--out=i'),
  )
  assert code == 0, err
  _, out, _ = run('search', 'i', '1', '--weights=types')
  (hit,) = _rows(out)
  assert (hit['extra'], hit['forgiven']) == ('', 'large heart')
  assert hit['missing'] == 'enlarged heart'
  assert float(hit['score']) == pytest.approx(3 / (3 + 0.9 * 3), abs=1e-6)


def test_explain_can_be_checked_by_hand(index, run):
  code, out, _ = run(
    'explain', 'i', '12', '10', '--weights=uniform', '--format=json'
  )
  assert code == 0
  found = json.loads(out)
  assert found['score'] == 0
  assert found['calculation'] == '0 / (0 + 0.1 * 2 + 0.9 * 1)'
  assert [(c['name'], c['counts']) for c in found['concepts']] == [
    ('pneumothorax', ['missing', 'contradicting']),
    ('cardiomegaly', ['extra']),
    ('pleural effusion', ['extra', 'contradicting']),
  ]
  assert found['concepts'][0]['query'] == ['present "pneumothorax" [large]']
  assert found['concepts'][0]['candidate'] == ['absent "pneumothorax" (No)']


def test_explain_as_table_and_csv(index, run, monkeypatch):
  monkeypatch.setenv('COLUMNS', '78')
  code, out, _ = run('explain', 'i', '10', '11', '--format=table')
  assert code == 0
  lines = out.splitlines()
  assert lines[0].split() == ['concept', 'weight', '10', '11', 'counts']
  assert max(map(len, lines[:-2])) <= 78
  assert lines[1].startswith('cardiomegaly')
  calculation, value = re.fullmatch('score = (.*) = (.*)', lines[-2]).groups()
  assert eval(calculation) == pytest.approx(float(value), abs=1e-6)
  assert lines[-1] == 'negative score = 0'
  code, out, err = run('explain', 'i', '10', '11', '--format=csv')
  assert [row['counts'] for row in _rows(out)] == [
    'shared',
    'shared',
    'extra',
    '',
  ]
  assert lines[-2] in err


def test_explain_agrees_with_search(index, run):
  for options in ((), ('--measure=symmetric', '--uncertain=present')):
    _, out, _ = run('search', 'i', '10', *options)
    for row in _rows(out):
      pair = ('10', row['id'], *options, '--format=json')
      found = json.loads(run('explain', 'i', *pair)[1])
      assert found['score'] == float(row['score'])
      assert found['negative_score'] == float(row['negative_score'])


def test_label(home, run):
  code, out, err = run(
    *('label', *_INPUT, '--labels=labels.tsv'),
    *('--out=labels.csv', '--trail=trail.jsonl'),
  )
  assert code == 0, err
  assert pathlib.Path('labels.csv').read_text() == (
    'id,Effusion,Lung,Heart,No Finding\n'
    '10,1,0,1,\n'
    '11,1,,1,\n'
    '12,0,1,,\n'
    '14,,,,1\n'
    '15,,-1,,\n'
    '16,,0,,1\n'
  )
  lines = pathlib.Path('trail.jsonl').read_text().splitlines()
  trail = [json.loads(line) for line in lines]
  assert trail[0] == {
    'id': '10',
    'label': 'Effusion',
    'polarity': 'present',
    'evidence': [
      {
        'words': 'Effusion',
        'start': 24,
        'end': 32,
        'polarity': 'present',
        'cue': '',
        'concept': 'X:1',
        'name': 'pleural effusion',
        'rule': 'concept X:1',
      }
    ],
  }
  assert trail[1]['evidence'][0]['cue'] == 'No'
  assert trail[1]['evidence'][0]['rule'] == 'parent X:0'
  assert out.splitlines()[0].split() == ['present', 'absent', 'uncertain']
  assert out.splitlines()[1].split() == ['Effusion', '2', '1', '0']


@pytest.mark.parametrize(
  'line, message',
  [
    ('Lung\tX:4 | X:404', 'X:404 is not a concept of the ontology; correct'),
    ('Lung\tlung\n', 'lung is not a concept of the ontology; correct the id'),
    ('Bone\t\tbone', "no concept of the ontology has 'bone' in its name; co"),
  ],
)
def test_labels_that_the_ontology_lacks_stop(home, run, line, message):
  pathlib.Path('more.tsv').write_text(f'Edema\tX:4\n{line}\n')
  code, out, err = run(
    *('label', *_INPUT, '--labels=more.tsv', '--out=labels.csv')
  )
  assert (code, out) == (1, '')
  assert err.startswith(f'error: more.tsv:2: {message}')
  assert err.count('\n') == 1
  assert not pathlib.Path('labels.csv').exists()


_CHEST_OBO = """[Term]
id: HP:0100598
name: Pulmonary edema

[Term]
id: HP:0002206
name: Pulmonary fibrosis

[Term]
id: HP:0002202
name: Pleural effusion

[Term]
id: HP:0012735
name: Cough
"""
_CHEST_LABELS = (
  'Edema\tHP:0100598\nFibrosis\tHP:0002206\nEffusion\tHP:0002202\n'
  'Cough\tHP:0012735\n'
)


def _label_texts(run, texts, *options, ontology=_CHEST_OBO):
  rows = ''.join(f'{n},"{text}"\n' for n, text in enumerate(texts))
  pathlib.Path('r.csv').write_text(f'id,t\n{rows}')
  pathlib.Path('o.obo').write_text(ontology)
  pathlib.Path('l.tsv').write_text(_CHEST_LABELS)
  code, out, err = run(
    *('label', 'r.csv', '--text-columns=t', '--ontology=o.obo', '--force'),
    *('--labels=l.tsv', '--out=l.csv', *options),
  )
  assert code == 0, err
  found = [
    list(row.values())[1:] for row in _rows(pathlib.Path('l.csv').read_text())
  ]
  return found, err


def test_present_wins_unless_the_paper_is_followed(home, run):
  texts = [
    'No right pleural effusion. Large left pleural effusion.',
    'Possible edema. No edema.',
  ]
  found, _ = _label_texts(run, texts)
  assert found == [['', '', '1', '', ''], ['-1', '', '', '', '']]
  found, _ = _label_texts(run, texts, '--precedence=paper')
  assert found == [['', '', '0', '', '1'], ['0', '', '', '', '1']]


def test_other_diseases_and_regions_are_not_labelled(home, run):
  found, err = _label_texts(
    run,
    ['Cystic fibrosis.', 'Soft tissue edema of the ankle.', 'Edema. Fibrosis.'],
  )
  assert found == [['', '', '', '', '1']] * 2 + [['1', '1', '', '', '']]
  assert 'No Finding is about' not in err


def test_the_chest_table_is_announced_and_its_stop_list_is_its_own(home, run):
  texts = ['Cough. Edema of the lungs. Swelling.']
  own = 'form\tHP:0100598\tswelling\n'
  pathlib.Path('own.tsv').write_text(own)
  announced = 'aliases: the table for chest radiographs that comes with dicejax'
  for options, labels, is_announced in (
    ([], ['1', '', '', '', ''], True),
    (['--aliases=chest'], ['1', '', '', '', ''], True),
    (['--aliases=none'], ['', '', '', '1', ''], False),
    (['--aliases=own.tsv'], ['1', '', '', '1', ''], False),
    (['--aliases=chest', '--aliases=own.tsv'], ['1', '', '', '', ''], True),
  ):
    (found,), err = _label_texts(run, texts, *options)
    assert found == labels, options
    assert err.startswith(announced) == is_announced
    assert err.count('aliases: ') == is_announced


def test_no_finding_is_about_the_labels_of_the_table(home, run):
  ontology = _CHEST_OBO + '\n[Term]\nid: X:1\nname: scoliosis\n'
  texts = ['Scoliosis.', 'No scoliosis.', 'No edema.', 'Edema.']
  found, err = _label_texts(run, texts, ontology=ontology)
  assert [row[-1] for row in found] == ['1', '1', '1', '']
  assert (
    'No Finding is about the labels of the table only: 1 of these reports '
    'mention other concepts, present or uncertain.\n'
  ) in err


def test_cues_and_alternatives(home, run):
  texts = ['Kein edema.', 'No edema.', 'Edema or fibrosis.']
  pathlib.Path('cues.tsv').write_text('no\tkein\nor\toder\n')
  found, _ = _label_texts(run, texts, '--cues=cues.tsv')
  assert [row[0] for row in found] == ['0', '1', '1']
  found, _ = _label_texts(run, texts, '--alternatives=uncertain')
  assert [row[:2] for row in found] == [['1', ''], ['0', ''], ['-1', '-1']]


@pytest.mark.parametrize(
  'line, message',
  [
    ('kein', 'expected a class and, after a tab, phrases'),
    ('nein\tkein', 'expected a class and, after a tab, phrases'),
    ('not\tkein', "the cue 'kein' is in line 2 already."),
  ],
)
def test_bad_cues(home, run, line, message):
  pathlib.Path('cues.tsv').write_text(f'# x\nno\tkein\n{line}\n')
  for first in ('index', 'label'):
    code, _, err = run(first, *_INPUT, '--cues=cues.tsv', '--out=o')
    assert code == 1
    assert err.startswith(f'error: cues.tsv:3: {message}')


_EXTRACTOR = """
from dicejax.concepts import Mention, Time

def find(text):
  return [
    Mention('X:4', 0, 2, 'present'),
    Mention('X:3', 0, 2, 'present', time=Time.PAST),
  ]

def fail(text):
  if 'fine' in text:
    raise OSError('no memory left')
  return []
"""


@pytest.fixture
def own(home, monkeypatch):
  pathlib.Path('tagger_of_test.py').write_text(_EXTRACTOR)
  monkeypatch.syspath_prepend(home)
  yield 'tagger_of_test'
  sys.modules.pop('tagger_of_test', None)


def test_an_extractor_of_ones_own(home, run, own):
  arguments = [a for a in _INPUT if 'aliases' not in a]
  option = f'--extractor={own}:find'
  code, out, err = run('index', *arguments, option, '--out=i')
  assert code == 0, err
  assert 'left out: mentions of the past: 6\n' in err
  assert 'aliases' not in err and 'never linked' not in err
  _, out, _ = run('search', 'i', '10', '-k1', '--weights=uniform')
  assert _rows(out)[0]['shared'] == 'edema'
  code, _, err = run('search', 'i', 'any text')
  assert code == 1 and f'{own}:find' in err
  code, out, _ = run('search', 'i', 'any text', option, '--weights=uniform')
  assert code == 0 and len(_rows(out)) == 6
  code, _, err = run(
    *('label', *arguments, option, '--labels=labels.tsv', '--out=l.csv')
  )
  assert code == 0, err
  assert {row['Lung'] for row in _rows(pathlib.Path('l.csv').read_text())} == {
    '1'
  }


@pytest.mark.parametrize(
  'function, message',
  [
    ('fail', "failed on report '14': OSError: no memory left"),
    ('none', 'cannot be imported (AttributeError: '),
    ('__name__', 'is a str, not a function.'),
  ],
)
def test_an_extractor_that_fails(home, run, own, function, message):
  name = f'{own}:{function}'
  for first in (['index'], ['label', '--labels=labels.tsv']):
    code, out, err = run(*first, *_INPUT, f'--extractor={name}', '--out=o')
    assert (code, out) == (1, '')
    assert err.startswith(f'error: extractor {name}: {message}')
    assert err.count('\n') == 1
    assert not pathlib.Path('o').exists()


@pytest.mark.parametrize(
  'outs', [['--out=x', '--trail=./x'], ['--out=reports.csv', '--force']]
)
def test_label_refuses_one_file_in_two_roles(home, run, outs):
  before = pathlib.Path('reports.csv').read_bytes()
  code, _, err = run('label', *_INPUT, *outs)
  assert code == 1
  assert 'are different files' in err
  assert pathlib.Path('reports.csv').read_bytes() == before
  assert not pathlib.Path('x').exists()


def test_reports_are_added_all_or_none(index, run):
  pathlib.Path('more.csv').write_text('id,t\n20,Big heart.\n21,No effusion.\n')
  add = ['index', '--text-columns=t', '--out=i', '--add']
  code, out, err = run(*add, 'more.csv')
  assert code == 0, err
  assert re.search(r'^reports +8$', out, re.M)
  hits = _rows(run('search', 'i', 'cardiomegaly', '--verify')[1])
  assert [hit['id'] for hit in hits] == ['20', '10', '11']
  # The same as the index of all of them at once.
  pathlib.Path('all.csv').write_text(
    _CSV + '20,Big heart.,\n21,No effusion.,\n'
  )
  assert run('index', 'all.csv', *_INPUT[1:], '--out=j')[0] == 0
  assert ReportIndex.load('i').reports[:2] == ReportIndex.load('j').reports[:2]
  for query in ('20', 'no effusion', 'large left pneumothorax'):
    assert run('search', 'i', query) == run('search', 'j', query)
  for arguments, message in (
    ([*add, 'more.csv'], "the id '20' is that of two reports."),
    ([*add, 'more.csv', '--ontology=x.obo'], '--add takes what the index has'),
    ([*add, 'more.csv', '--out=none'], 'none: No such file'),
  ):
    code, _, err = run(*arguments)
    assert code == 1 and err.startswith(f'error: {message}')
  assert len(ReportIndex.load('i').reports.ids) == 8


def test_parts_are_joined_to_the_whole(index, run):
  rows = _CSV.splitlines(keepends=True)
  for i, part in enumerate((rows[1:3], rows[3:])):
    pathlib.Path(f'{i}.csv').write_text(rows[0] + ''.join(part))
    assert run('index', f'{i}.csv', *_INPUT[1:], f'--out=part{i}')[0] == 0
  code, out, err = run('join', 'part0', 'part1', '--out=whole')
  assert code == 0, err
  assert re.search(r'^reports +6$', out, re.M)
  one, other = map(ReportIndex.load, ('i', 'whole'))
  assert one.reports == other.reports and one.mentions == other.mentions
  assert len(list(pathlib.Path('whole').glob('*.arrays'))) == 1
  for query in ('10', 'no effusion', 'large left pneumothorax'):
    assert run('search', 'whole', query, '--verify') == run(
      'search', 'i', query, '--verify'
    )
  pathlib.Path('alone.obo').write_text(_OTHER)
  alone = [*_INPUT[1:2], '--ontology=alone.obo', '--out=other']
  assert run('index', '1.csv', '--aliases=none', *alone)[0] == 0
  before = pathlib.Path('whole/index.json').read_bytes()
  for arguments, message in (
    (['part0', 'part0', '--out=new'], "the id '10' is that of two reports."),
    (['part0', 'other', '--out=new'], 'other was made with another ontology'),
    (['part0', 'none', '--out=new'], 'none: No such file'),
    (['part0', '--out=whole'], 'whole: the index exists'),
  ):
    code, _, err = run('join', *arguments)
    assert code == 1 and err.startswith(f'error: {message}'), err
    assert not pathlib.Path('new').exists()
  assert pathlib.Path('whole/index.json').read_bytes() == before


def test_workers_change_nothing(index, run, monkeypatch):
  monkeypatch.setattr(pool, 'REPORTS', 2)
  code, _, err = run('index', *_INPUT, '--out=j', '--workers=2')
  assert code == 0, err
  assert ReportIndex.load('j') == ReportIndex.load('i')
  assert len(list(pathlib.Path('j').glob('*.arrays'))) == 3


def test_queries_of_a_file(index, run):
  pathlib.Path('q.txt').write_text('10\n\nweather\n no effusion \n')
  code, out, _ = run('search', 'i', '--queries=q.txt', '--weights=uniform')
  first, second, third = map(json.loads, out.splitlines())
  assert code == 0 and first['hits'][0]['id'] == '11'
  assert first['hits'][0]['shared'] == ['X:3', 'X:1']
  assert second['error'].startswith("'weather' is not the id of a report in")
  assert third['query'] == 'no effusion' and len(third['hits']) == 6
  for arguments, message in (
    (['10', '--queries=q.txt'], 'Give a QUERY or --queries, not both.'),
    (['--queries=q.txt', '--format=csv'], '--queries writes JSON lines'),
    ([], 'No query: give a QUERY or --queries FILE.'),
    (['--queries=none'], 'none: No such file'),
  ):
    code, _, err = run('search', 'i', *arguments)
    assert code == 1 and err.startswith(f'error: {message}')


def test_a_terminal_is_asked_for_queries(index, run, monkeypatch):
  monkeypatch.setattr(sys.stdin, 'isatty', lambda: True, raising=False)
  asked = iter(['10', 'weather', ''])
  monkeypatch.setattr('builtins.input', lambda _: next(asked))
  code, out, err = run('search', 'i', '-k1')
  assert code == 0 and _rows(out)[0]['id'] == '11'
  assert "'weather' is not the id" in err


def test_nothing_is_overwritten_without_force(index, run):
  before = ReportIndex.load(index)
  for arguments, message in (
    (
      ['index', *_INPUT, '--out=i'],
      'the index exists, and is not overwritten.',
    ),
    (
      ['label', *_INPUT, '--labels=labels.tsv', '--out=i'],
      'is a directory, expected a file.',
    ),
    (
      ['label', *_INPUT, '--labels=labels.tsv', '--out=new', '--trail=x.obo'],
      'the file exists, and is not overwritten.',
    ),
  ):
    code, out, err = run(*arguments)
    assert (code, out) == (1, '')
    assert err.endswith(f': {message}\n')
  assert ReportIndex.load(index) == before
  assert not pathlib.Path('new').exists()
  assert run('index', *_INPUT, '--out=i', '--force')[0] == 0


@pytest.mark.parametrize(
  'arguments, message',
  [
    (
      ['index', 'reports.csv', '--text-columns=t', '--out=o'],
      'No ontology: name one with --ontology or --umls.',
    ),
    (
      ['index', *_INPUT[:1], '--text-columns=report', *_INPUT[2:], '--out=o'],
      'reports.csv: no column report; there are: uid, findings, impression.',
    ),
    (['index', 'no.csv', *_INPUT[1:], '--out=o'], 'no.csv: No such file'),
    (['index', *_INPUT, '--ontology=no.obo', '--out=o'], 'no.obo: '),
    (['index', *_INPUT, '--ontology=reports.csv', '--out=o'], 'reports.csv'),
    (['index', *_INPUT, '--umls=no', '--out=o'], 'no'),
    (
      ['index', *_INPUT[:-1], '--aliases=no.tsv', '--out=o'],
      'no.tsv: No such file',
    ),
    (
      ['index', *_INPUT, '--aliases=chest', '--out=o'],
      '--aliases=none cannot be joined with other tables.',
    ),
    (
      ['index', *_INPUT[:-1], '--aliases=labels.tsv', '--out=o'],
      "labels.tsv:2: expected 'term', id, name",
    ),
    (
      ['label', *_INPUT, '--extractor=module', '--out=o'],
      'extractor module: expected package.module:function',
    ),
    (['index', *_INPUT, '--out=no/i'], 'no: no such directory.'),
    (['index', *_INPUT, '--encoding=no', '--out=o'], "'no' is not an encoding"),
    (
      ['label', *_INPUT, '--labels=x.obo', '--out=o'],
      'x.obo:1: expected a label',
    ),
    (['search', 'no', '10'], 'no: No such file'),
    (['search', 'reports.csv', '10'], 'reports.csv: not an index, or damaged.'),
    (
      ['search', 'i', 'The weather'],
      "'The weather' is not the id of a report in the index, and none of its "
      'words is a name or a synonym of its 6 concepts.',
    ),
    (
      ['search', 'i', ''],
      "'' is not the id of a report in the index, and ",
    ),
    (
      ['search', 'i', '14'],
      "The report '14' mentions no concept of the ontology.",
    ),
    (
      ['search', 'i', '10', '--measure=symmetric', '--alpha=1.5'],
      'alpha is at most 1 in the symmetric measure, got 1.5.',
    ),
    (
      ['explain', 'i', '10', '99'],
      "'99' is not the id of a report in the index.",
    ),
    (
      ['explain', 'i', '13', '10'],
      "'13' is not the id of a report in the",
    ),
  ],
)
def test_bad_input_is_one_sentence(index, run, arguments, message):
  code, out, err = run(*arguments)
  assert (code, out) == (1, '')
  assert err.startswith(f'error: {message}')
  assert err.count('\n') == 1
  assert not pathlib.Path('o').exists()


@pytest.mark.parametrize(
  'arguments',
  [
    [],
    ['find'],
    ['search', 'i', '10', '-k', '0'],
    ['search', 'i', '10', '-k', 'ten'],
    ['search', 'i', '10', '--alpha=-1'],
    ['search', 'i', '10', '--beta=nan'],
    ['search', 'i', '10', '--format=xml'],
    ['index', 'reports.csv', '--out=o'],
  ],
)
def test_bad_arguments(arguments, capsys):
  with pytest.raises(SystemExit) as stopped:
    command.main(arguments)
  assert stopped.value.code == 2
  assert 'usage: python -m dicejax.concepts' in capsys.readouterr().err


@pytest.mark.parametrize(
  'name', ['index', 'search', 'explain', 'label', 'learn']
)
def test_help_has_an_example_that_parses(name, capsys):
  with pytest.raises(SystemExit) as stopped:
    command.main([name, '--help'])
  assert stopped.value.code == 0
  assert f'  python -m dicejax.concepts {name} ' in capsys.readouterr().out


def _on_terminal(arguments, **environment):
  """Shows standard output and error as a person sees them, on one terminal."""
  screen, terminal = pty.openpty()
  process = subprocess.Popen(
    [sys.executable, '-m', 'dicejax.concepts', *arguments],
    env=os.environ | {'PYTHONPATH': str(ROOT), 'COLUMNS': '60'} | environment,
    stdin=subprocess.DEVNULL,
    stdout=terminal,
    stderr=terminal,
  )
  os.close(terminal)
  shown = b''
  while True:
    try:
      part = os.read(screen, 4096)
    except OSError:  # The other end is closed.
      break
    if not part:
      break
    shown += part
  os.close(screen)
  assert process.wait() == 0, shown
  return shown.decode().replace('\r\n', '\n')


def test_on_a_terminal(index):
  plain = _on_terminal(
    ['search', 'i', '10', '-k1', '--weights=uniform'], NO_COLOR='1'
  )
  assert plain == (
    '     present        cardiomegaly; pleural effusion\n'
    '     absent         pneumothorax\n'
    '\n'
    '  1  11  score 0.9524, negative score 0.0000\n'
    '     shared         cardiomegaly; pleural effusion\n'
    '     extra          scoliosis\n'
    '     text           Scoliosis. Big heart. Small pleural\n'
    '                    effusion.\n'
  )


def test_a_reader_who_has_enough(index):
  reading, writing = os.pipe()
  os.close(reading)
  done = subprocess.run(
    [sys.executable, '-m', 'dicejax.concepts', 'explain', 'i', '10', '11'],
    env=os.environ | {'PYTHONPATH': str(ROOT)},
    stdout=writing,
    stderr=subprocess.PIPE,
    text=True,
  )
  os.close(writing)
  assert done.returncode == 0
  # What standard output got, if anything, depends on its buffer.
  assert 'rror' not in done.stderr


def test_progress_is_for_terminals(monkeypatch):
  stream = io.StringIO()
  monkeypatch.setattr(sys, 'stderr', stream)
  assert list(display.progress(['text'])) == ['text']
  assert stream.getvalue() == ''
  stream.isatty = lambda: True
  texts = list(map(str, range(1200)))
  assert list(display.progress(texts)) == texts
  first, *_, last = stream.getvalue().split('\r')[1:]
  assert re.fullmatch(r'1 of 1,200 reports, .* a second, .* left\x1b\[K', first)
  assert re.match(r'1,200 of 1,200 reports, .* a second, 0:00 left', last)
  assert stream.getvalue().endswith('\n')
  assert stream.getvalue().count('\n') == 1


@pytest.mark.parametrize('no_color, on_terminal', [('', 1), ('1', 1), ('', 0)])
def test_colours_are_for_terminals(monkeypatch, no_color, on_terminal):
  monkeypatch.setenv('NO_COLOR', no_color)
  stream = io.StringIO()
  stream.isatty = lambda: bool(on_terminal)
  shown = display.paint('a\nb', 'missing', stream)
  coloured = '\x1b[33ma\x1b[0m\n\x1b[33mb\x1b[0m'
  assert shown == ('a\nb' if no_color or not on_terminal else coloured)
  assert display.paint('a', 'forgiven', stream) == 'a'


def test_nothing_of_a_report_steers_the_terminal():
  shown = display.snippet('a \x1b[2J mass\r\nand\x07 edema', 6, 10)
  assert shown == 'a [2J mass and edema'


@pytest.mark.parametrize('start', [0, 100, 212, 395])
def test_a_snippet_holds_its_place(start):
  text = ' '.join(f'word{n:03}' for n in range(50))
  start = text.index(' ', start) + 1 if start < 390 else len(text) - 7
  shown = display.snippet(text, start, start + 7, width=30)
  assert text[start : start + 7] in shown
  assert len(shown) <= 30 + 2 * 8 + 6
  assert all(re.fullmatch(r'word\d{3}', w.strip('.')) for w in shown.split())
