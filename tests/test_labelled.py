"""Labels learnt from labelled reports: by neighbours and by a linear model."""

import csv
import json
import math
import pathlib

import numpy as np
import pytest
from draws import examples
from hypothesis import given
from hypothesis import strategies as st
from scipy import optimize

from dicejax import concepts
from dicejax.concepts import Mention
from dicejax.concepts import Neighbour
from dicejax.concepts import Polarity
from dicejax.concepts.cli import parser as command
from dicejax.concepts.labels import linear
from dicejax.concepts.labels import neighbours
from dicejax.concepts.labels.labelled import learnable
from dicejax.concepts.text.mentions import Experiencer
from dicejax.concepts.text.mentions import Time

PRESENT, ABSENT, UNCERTAIN = Polarity
_NAMES = ('edema', 'mass', 'effusion', 'scoliosis')
_ONTOLOGY = concepts.Ontology(
  {f'X:{n}': concepts.Term(f'X:{n}', name) for n, name in enumerate(_NAMES)}
)
_REPORTS = {
  'a': ('Edema.', {'wet'}),
  'b': ('Edema and mass.', {'wet', 'lump'}),
  'c': ('Mass. No edema.', {'lump'}),
  'd': ('No mass. No edema.', set()),
  'e': ('Edema, mass and scoliosis.', {'bent'}),
}
_LABELS = {id: labels for id, (_, labels) in _REPORTS.items()}


@pytest.fixture(scope='module')
def index():
  texts = [text for text, _ in _REPORTS.values()]
  reports = concepts.Reports(list(_REPORTS), texts, {})
  return concepts.ReportIndex.build(reports, concepts.Linker(_ONTOLOGY))


def test_labels_of_enough_reports_that_not_all_have():
  labels = [['a', 'a', 'b'], ['a', 'b', 'c'], ['a']]
  assert learnable(labels, 2) == (
    {'b': 2},
    {'a': 'all reports have it', 'c': 'fewer than 2 reports (1)'},
  )
  with pytest.raises(ValueError, match='no label has 3 reports or more and'):
    learnable(labels, 3)


# Neighbours.


@given(
  st.lists(st.sets(st.sampled_from('xyz')), min_size=1, max_size=9),
  st.floats(0.01, 1),
)
@examples(50)
def test_votes_are_those_of_numpy(has, share):
  labels = dict(enumerate(has))
  near = [Neighbour(id, 1 - id / 10) for id in labels]
  votes = neighbours.vote(near, labels, share=share)
  weights = 1 / np.log2(np.arange(2, len(has) + 2))
  for name in 'xyz':
    member = np.array([name in row for row in has])
    expected = weights[member].sum() / weights.sum()
    if name in votes:
      assert votes[name].share == pytest.approx(expected)
      assert [n.id for n in votes[name].neighbours] == [*np.flatnonzero(member)]
      assert expected > share - 1e-9
    else:
      assert expected < share + 1e-9
  shares = [vote.share for vote in votes.values()]
  assert shares == sorted(shares, reverse=True)


def test_neighbours_are_the_hits_that_have_labels(index):
  text = 'Edema and mass.'
  hits = [Neighbour(h.id, h.score) for h in index.search(text, 5)]
  # Report d shares nothing with it; b is the same, e has more.
  assert [hit.id for hit in hits] == ['b', 'e', 'a', 'c']
  assert neighbours.nearest(text, index, _LABELS, 2) == hits[:2]
  # Those without labels do not take the place of others.
  assert neighbours.nearest(text, index, {'c'}, 1) == hits[3:]
  assert neighbours.nearest(text, index, {'a', 'c'}, 9) == hits[2:]


def test_labels_by_hand(index):
  texts = ['Edema and mass.', 'No scoliosis.', 'All is well.']
  settings = {'k': 3, 'share': 0.4, 'min_reports': 1}
  found = concepts.label_by_neighbours(texts, index, _LABELS, **settings)
  # Of b, e and a with weights 1, 1 / log2(3) and 1 / 2: a and b are wet.
  total = 1.5 + 1 / math.log2(3)
  assert {name: vote.share for name, vote in found[0].items()} == {
    'wet': pytest.approx(1.5 / total),
    'lump': pytest.approx(1 / total),
  }
  assert [near.id for near in found[0]['wet'].neighbours] == ['b', 'a']
  assert found[2] == {}  # It finds nothing to search by.
  # Of two reports each, wet and lump are left.
  rows = concepts.label_by_neighbours(
    texts, index, _LABELS, k=3, share=0.01, min_reports=2
  )
  # What affirms nothing is like the reports that find least: d, a and c.
  both = {'wet', 'lump'}
  assert [set(row) for row in rows] == [both, both, set()]


@pytest.mark.parametrize(
  'change, message',
  [
    ({'labels': {'z': {'wet'}}}, 'none of the labelled reports is in the ind'),
    ({'labels': {'a': {'wet'}}}, 'no label has 1 reports or more and reports'),
    ({'min_reports': 3}, 'no label has 3 reports or more and reports without'),
    ({'k': 0}, 'k must be at least 1, got 0.'),
    ({'share': 0}, 'share must be above 0 and at most 1, got 0.'),
    ({'share': 1.5}, 'share must be above 0 and at most 1, got 1.5.'),
  ],
)
def test_bad_votes(index, change, message):
  given = {'labels': _LABELS, 'min_reports': 1, **change}
  with pytest.raises(ValueError, match=message):
    concepts.label_by_neighbours(['Edema.'], index, **given)


def test_one_text_is_not_texts(index):
  with pytest.raises(TypeError, match='list of texts, got one text'):
    concepts.label_by_neighbours('Edema.', index, _LABELS)


# The linear model.


def _mention(concept, polarity=PRESENT, **more):
  return Mention(concept, 0, 1, polarity, **more)


@pytest.fixture(scope='module')
def drawn():
  """Sixty reports with three concepts, two polarities and two labels."""
  rng = np.random.default_rng(0)
  said = rng.random((60, 6)) < 0.4
  features = [(c, p) for c in 'abc' for p in (PRESENT, UNCERTAIN)]
  mentions = [
    [_mention(*f) for f, there in zip(features, row, strict=True) if there]
    for row in said
  ]
  noise = rng.normal(size=(60, 2))
  has = said @ rng.normal(size=(6, 2)) + noise > 0.5
  labels = [
    {name for name, x in zip('xy', row, strict=True) if x} for row in has
  ]
  return said, has, features, mentions, labels


@pytest.mark.parametrize('decay', [0.1, 1.0])
def test_the_model_is_that_of_scipy(drawn, decay):
  said, has, features, mentions, labels = drawn
  model = concepts.train_labels(mentions, labels, decay=decay)
  assert model.features == tuple(features) and model.labels == ('x', 'y')
  assert model.counts == dict(zip('xy', has.sum(0).tolist(), strict=True))
  signs = np.where(has, 1.0, -1)

  def objective(params):
    weights, bias = params[:12].reshape(6, 2), params[12:]
    margins = signs * (said @ weights + bias)
    return np.logaddexp(0, -margins).sum() + decay / 2 * (weights**2).sum()

  best = optimize.minimize(objective, np.zeros(14), tol=1e-10).x
  logits = said @ best[:12].reshape(6, 2) + best[12:]
  np.testing.assert_allclose(
    linear.probabilities(model, mentions),
    1 / (1 + np.exp(-logits)),
    atol=2e-4,
  )
  np.testing.assert_allclose(model.weights, best[:12].reshape(6, 2), atol=2e-3)


def test_losses_may_have_any_shape(drawn):
  from dicejax import losses

  *_, mentions, labels = drawn

  def total(logits, targets):
    return losses.cross_entropy(logits, targets).sum()

  one, other = (
    concepts.train_labels(mentions, labels, loss=loss)
    for loss in (losses.cross_entropy, total)
  )
  np.testing.assert_allclose(one.weights, other.weights, atol=1e-3)
  dice = concepts.train_labels(
    mentions, labels, loss=lambda x, y: 60 * losses.dice(x, y, axis=0)
  )
  _, has, *_ = drawn

  def loss(model):
    soft = linear.probabilities(model, mentions)
    return (1 - 2 * (soft * has).sum(0) / (soft.sum(0) + has.sum(0))).sum()

  assert loss(dice) < loss(one)


def test_what_counts_and_what_is_skipped():
  others = {'experiencer': Experiencer.OTHER}, {'time': Time.PAST}
  report = [
    _mention('a'),
    _mention('b', ABSENT),
    *(_mention(id, **more) for id, more in zip('cd', others, strict=True)),
  ]
  mentions = [report, [_mention('a', UNCERTAIN)]] * 10 + [[_mention('once')]]
  labels = [{'all', 'x'}, {'all'}] * 10 + [{'all', 'rare'}]
  model = concepts.train_labels(mentions, labels)
  assert model.features == (('a', PRESENT), ('a', UNCERTAIN))
  assert model.counts == {'x': 10}
  assert model.skipped == {
    'all': 'all reports have it',
    'rare': 'fewer than 10 reports (1)',
  }
  assert model.weights[0, 0] > 0 > model.weights[1, 0]
  backwards = concepts.train_labels(mentions[::-1], labels[::-1])
  np.testing.assert_allclose(model.weights, backwards.weights, atol=1e-4)


def test_predictions_by_hand():
  features = ('a', PRESENT), ('a', UNCERTAIN), ('b', PRESENT)
  weights = np.array([[2, 0], [1, -5], [3, 1]], np.float32)
  bias = np.array([-4, -1], np.float32)
  model = concepts.LabelModel(features, ('x', 'y'), weights, bias, {}, {})
  reports = [
    [_mention('a'), _mention('b'), _mention('new')],
    [],
    [_mention('a', UNCERTAIN)],
  ]
  found = concepts.predict_labels(model, reports, threshold=0.5)
  assert [list(row) for row in found] == [['x', 'y'], [], []]
  assert found[0]['x'].probability == pytest.approx(1 / (1 + math.exp(-1)))
  assert found[0]['y'].probability == 0.5
  assert found[0]['x'].reasons == (('b', PRESENT, 3), ('a', PRESENT, 2))
  assert found[0]['y'].reasons == (('b', PRESENT, 1),)
  assert concepts.predict_labels(model, []) == []


@pytest.mark.parametrize(
  'change, message',
  [
    (
      {'labels': [{'x'}]},
      'expected labels of each report, got 1 for 2',
    ),
    ({'decay': -1}, 'decay must be at least 0, got -1.'),
    ({'decay': math.nan}, 'decay must be at least 0, got nan.'),
    ({'labels': [{'x'}, {'x'}]}, 'no label has 1 reports or more and reports'),
    ({'mentions': [[], []]}, 'no concept is in two reports.'),
    ({'min_reports': 2}, 'no label has 2 reports or more and reports without'),
  ],
)
def test_bad_training(change, message):
  arguments = {
    'mentions': [[_mention('a')]] * 2,
    'labels': [{'x'}, set()],
    'min_reports': 1,
    **change,
  }
  with pytest.raises(ValueError, match=message):
    concepts.train_labels(**arguments)


@pytest.mark.parametrize('threshold', [0, 1, math.nan])
def test_bad_thresholds(threshold):
  with pytest.raises(ValueError, match='threshold must be between 0 and 1'):
    concepts.predict_labels(None, [], threshold=threshold)


# The command.

_OBO = ''.join(
  f'[Term]\nid: {t.id}\nname: {t.name}\n\n' for t in _ONTOLOGY.terms.values()
)
_INPUT = ['label', 'new.csv', '--text-columns=text', '--out=out.csv']
_GIVEN = [
  '--labelled=old.csv',
  '--label-column=problems',
  '--label-separator=;',
]
_MODEL = [*_INPUT, *_GIVEN, '--ontology=x.obo', '--aliases=none']
_NEAR = [*_INPUT, *_GIVEN, '--from=i', '-k=10']


@pytest.fixture
def home(tmp_path, monkeypatch, capsys):
  monkeypatch.chdir(tmp_path)
  old = [
    ('Edema.', 'wet'),
    ('Edema and mass.', 'wet; lump'),
    ('Mass. No edema.', 'lump'),
    ('No mass. No edema.', 'normal'),
  ] * 10 + [('Scoliosis.', 'bent'), ('Effusion.', '')]
  lines = [
    'id,text,problems',
    *(f'{n},{t},{p}' for n, (t, p) in enumerate(old)),
  ]
  pathlib.Path('old.csv').write_text('\n'.join(lines))
  new = 'id,text\n90,Edema.\n91,No edema. Large mass.\n92,Fine.\n93,\n'
  pathlib.Path('new.csv').write_text(new)
  pathlib.Path('x.obo').write_text(_OBO)
  arguments = ['old.csv', '--text-columns=text', '--ontology=x.obo', '--out=i']
  assert command.main(['index', *arguments, '--aliases=none']) == 0
  capsys.readouterr()
  return tmp_path


def _read(path='out.csv'):
  with open(path, newline='') as file:
    rows = csv.DictReader(file)
    return {
      row.pop('id'): {name for name in row if row[name] == '1'} for row in rows
    }


@pytest.mark.parametrize('arguments', [_MODEL, _NEAR])
def test_command(home, capsys, arguments):
  code = command.main([*arguments, '--trail=trail.jsonl', '--threshold=0.5'])
  out, err = capsys.readouterr()
  assert code == 0, err
  nothing = set() if arguments is _NEAR else {'normal'}
  assert _read() == {'90': {'wet'}, '91': {'lump'}, '92': nothing}
  assert pathlib.Path('out.csv').read_text().startswith('id,lump,normal,wet\n')
  assert 'left out: reports without label: 1\n' in err
  assert 'left out: reports without text: 1\n' in err
  assert 'left out: label bent: fewer than 10 reports (1)\n' in err
  assert ['lump', '20', '1'] in [line.split() for line in out.splitlines()]
  trail = pathlib.Path('trail.jsonl').read_text().splitlines()
  first = json.loads(trail[0])
  if arguments is _NEAR:
    near = [{'id': str(4 * n), 'score': 1.0} for n in range(10)]
    assert first == {
      'id': '90',
      'label': 'wet',
      'share': 1.0,
      'neighbours': near,
    }
  else:
    assert (first['id'], first['label']) == ('90', 'wet')
    assert first['probability'] > 0.5
    (why,) = first['why']
    assert why.pop('weight') > 0
    assert why == {'concept': 'X:0', 'polarity': 'present', 'name': 'edema'}


@pytest.mark.parametrize(
  'arguments, message',
  [
    (
      [*_MODEL, '--label-column=no'],
      'old.csv: no column no; there are: id,',
    ),
    (
      [*_NEAR, '--label-column=no'],
      'old.csv: no column no; there are: id,',
    ),
    ([*_NEAR, '--labelled=no.csv'], 'no.csv: No such file or directory.'),
    ([*_NEAR, '--from=no'], 'no: No such file or directory.'),
    ([*_NEAR, '--from=old.csv'], 'old.csv: not an index, or damaged.'),
    (
      [*_NEAR, '--ontology=x.obo'],
      '--from takes what the index has: leave',
    ),
    (
      [*_NEAR, '--cues=c'],
      '--from takes what the index has: leave',
    ),
    ([*_NEAR, '--min-reports=99'], 'nothing to learn from: no label has'),
    (
      [*_MODEL, '--min-reports=99'],
      'nothing to learn from: no label has',
    ),
    ([*_MODEL, '--labels=l.tsv'], '--labelled takes no --labels: leave '),
    ([*_MODEL, '--html=p.html'], '--labelled takes no --html: leave '),
    (
      [*_MODEL, '-k=3'],
      '-k is a number of neighbours: name an index ',
    ),
    (
      [*_INPUT, '--from=i', '-k=10'],
      'Labels are learnt from --labelled FILE and',
    ),
    ([*_INPUT, _GIVEN[0]], 'Labels are learnt from --labelled FILE and'),
    ([*_MODEL[:-2]], 'No ontology: name one with --ontology or --umls.'),
    (
      [*_MODEL, '--out=old.csv', '--force'],
      'Input, --out, --trail and',
    ),
  ],
)
def test_bad_input_is_one_sentence(home, capsys, arguments, message):
  before = pathlib.Path('old.csv').read_bytes()
  assert command.main(arguments) == 1
  out, err = capsys.readouterr()
  assert out == ''
  assert err.splitlines()[-1].startswith(f'error: {message}')
  assert not pathlib.Path('out.csv').exists()
  assert pathlib.Path('old.csv').read_bytes() == before


@pytest.mark.parametrize('value', ['0', '1', 'many'])
def test_bad_thresholds_of_the_command(value, capsys):
  with pytest.raises(SystemExit) as stopped:
    command.main([*_MODEL, f'--threshold={value}'])
  assert stopped.value.code == 2
  assert 'expected' in capsys.readouterr().err


def test_labels_of_reports_that_the_index_lacks(home, capsys):
  text = pathlib.Path('old.csv').read_text()
  pathlib.Path('more.csv').write_text(f'{text}\n200,Edema.,wet\n')
  assert command.main([*_NEAR, '--labelled=more.csv']) == 0
  err = capsys.readouterr().err
  assert 'left out: labelled reports that the index lacks: 1\n' in err
  pathlib.Path('more.csv').write_text('id,problems\n200,wet\n201,dry\n')
  assert command.main([*_NEAR, '--labelled=more.csv', '--force']) == 1
  err = capsys.readouterr().err
  assert err.endswith('error: none of the labelled reports is in the index.\n')
