"""RadGraph's JSON as mentions: graphs written and worked by hand."""

import copy
import json

import pytest

from dicejax.concepts.cli.parser import main
from dicejax.concepts.ontology import Ontology
from dicejax.concepts.ontology import Term
from dicejax.concepts.text import radgraph
from dicejax.concepts.text.linker import Linker
from dicejax.concepts.text.mentions import Polarity

_ONTOLOGY = Ontology(
  {
    id: Term(id, name, synonyms)
    for id, name, synonyms in [
      ('X:1', 'pleural effusion', ()),
      ('X:2', 'pneumothorax', ()),
      ('X:3', 'cardiomegaly', ('enlarged heart',)),
      ('X:4', 'pleural thickening', ()),
      ('X:5', 'opacity', ()),
      ('X:6', 'pneumonia', ()),
    ]
  }
)
PRESENT, ABSENT, UNCERTAIN = Polarity


def _report(text, *entities, style='XL'):
  """A report as RadGraph writes it.

  Args:
    text: tokens between blanks.
    entities: words, their first place, a label such as OBS-DP, and relations.
    style: of the labels.
  """
  long = {
    'OBS-DP': 'Observation::definitely present',
    'OBS-DA': 'Observation::definitely absent',
    'OBS-U': 'Observation::uncertain',
    'ANAT-DP': 'Anatomy::definitely present',
  }
  made = {}
  for number, (words, first, label, *relations) in enumerate(entities, 1):
    made[str(number)] = {
      'tokens': words,
      'label': long[label] if style == 'XL' else label,
      'start_ix': first,
      'end_ix': first + len(words.split()) - 1,
      'relations': [list(relation) for relation in relations],
    }
  return {
    'text': text,
    'entities': made,
    'data_source': None,
    'data_split': 'inference',
  }


def _extractor(tmp_path, reports):
  path = tmp_path / 'graphs.json'
  path.write_text(json.dumps(reports))
  graphs = radgraph.read_radgraph(path)
  return radgraph.RadGraphExtractor(graphs, Linker(_ONTOLOGY))


def _said(text, mentions):
  return [
    (m.concept, text[m.start : m.end], m.polarity, m.modifiers)
    for m in mentions
  ]


_EFFUSION = (
  'Small left pleural effusion . No pneumothorax .',
  ('Small', 0, 'OBS-DP', ('modify', '4')),
  ('left', 1, 'ANAT-DP', ('modify', '3')),
  ('pleural', 2, 'ANAT-DP'),
  ('effusion', 3, 'OBS-DP', ('located_at', '3')),
  ('pneumothorax', 6, 'OBS-DA'),
)


@pytest.mark.parametrize('style', ['v1', 'XL'])
@pytest.mark.parametrize(
  'text',
  [
    'Small left pleural effusion. No pneumothorax.',
    'Small left pleural effusion . No pneumothorax .',
    'Small  left\npleural effusion.\n\n(No pneumothorax)',
  ],
)
def test_both_label_styles_and_any_layout(tmp_path, text, style):
  extract = _extractor(tmp_path, {'0': _report(*_EFFUSION, style=style)})
  found = _said(text, extract(text))
  assert found == [
    (
      'X:1',
      'pleural effusion' if '\n' not in text else 'pleural effusion',
      PRESENT,
      ('small', 'left'),
    ),
    ('X:2', 'pneumothorax', ABSENT, ()),
  ]


@pytest.mark.parametrize(
  'report, expected',
  [
    # The name of the concept has the words in another order.
    (
      _report(
        'The heart is mildly enlarged .',
        ('heart', 1, 'ANAT-DP'),
        ('mildly', 3, 'OBS-DP', ('modify', '3')),
        ('enlarged', 4, 'OBS-DP', ('located_at', '1')),
      ),
      [('X:3', 'enlarged', PRESENT, ('mild',))],
    ),
    # Two observations share their anatomy, and each has its own concept.
    (
      _report(
        'Pleural effusion or thickening .',
        ('Pleural', 0, 'ANAT-DP'),
        ('effusion', 1, 'OBS-U', ('located_at', '1')),
        ('thickening', 3, 'OBS-U', ('located_at', '1')),
      ),
      [
        ('X:1', 'Pleural effusion', UNCERTAIN, ()),
        ('X:4', 'thickening', UNCERTAIN, ()),
      ],
    ),
    # A denied modifier denies what it modifies...
    (
      _report(
        'No focal opacity .',
        ('focal', 1, 'OBS-DA', ('modify', '2')),
        ('opacity', 2, 'OBS-DP'),
      ),
      [('X:5', 'opacity', ABSENT, ())],
    ),
    # ... but not over two steps, ...
    (
      _report(
        'No focal opacity , pneumonia .',
        ('focal', 1, 'OBS-DA', ('modify', '2')),
        ('opacity', 2, 'OBS-U', ('suggestive_of', '3')),
        ('pneumonia', 4, 'OBS-DP'),
      ),
      [('X:5', 'opacity', UNCERTAIN, ()), ('X:6', 'pneumonia', PRESENT, ())],
    ),
    # ... nor what points to something present.
    (
      _report(
        'No focal opacity , pneumonia .',
        ('focal', 1, 'OBS-DA', ('modify', '2')),
        ('opacity', 2, 'OBS-DP', ('suggestive_of', '3')),
        ('pneumonia', 4, 'OBS-DP'),
      ),
      [('X:5', 'opacity', PRESENT, ()), ('X:6', 'pneumonia', PRESENT, ())],
    ),
    # Neither words that no name has nor anatomy alone are mentions.
    (
      _report(
        'Pneumothorax at the right apex , pleural .',
        ('Pneumothorax', 0, 'OBS-DP', ('located_at', '3')),
        ('right', 3, 'ANAT-DP', ('modify', '3')),
        ('apex', 4, 'ANAT-DP'),
        ('pleural', 6, 'ANAT-DP'),
      ),
      [('X:2', 'Pneumothorax', PRESENT, ('right', 'apical'))],
    ),
  ],
)
def test_graphs_worked_by_hand(tmp_path, report, expected):
  extract = _extractor(tmp_path, {'p1/s2.txt': report})
  assert _said(report['text'], extract(report['text'])) == expected


def test_chains_of_absence_do_not_depend_on_the_order():
  links = {'1': ('2',), '2': ('3',), '3': ()}
  entities = {
    id: radgraph.Entity(
      0,
      1,
      True,
      ABSENT if id == '1' else PRESENT,
      tuple(('modify', other) for other in others),
    )
    for id, others in links.items()
  }
  entities['3'] = entities['3']._replace(polarity=UNCERTAIN)
  for order in (entities, dict(reversed(entities.items()))):
    spread = radgraph.spread_absence(order)
    assert [spread[id] for id in '123'] == [ABSENT, ABSENT, UNCERTAIN]


def test_equal_texts_are_counted_and_others_refused(tmp_path):
  report = _report(*_EFFUSION)
  extract = _extractor(tmp_path, {'0': report, '1': report})
  assert extract.skipped == {'graphs of a text that came before': 1}
  with pytest.raises(ValueError, match=r"begins 'Another text\.'"):
    extract('Another text.')


@pytest.mark.parametrize(
  'change, reason',
  [
    ({'label': 'OBS-XX'}, "entity '1': the label 'OBS-XX' is none of RadGraph"),
    ({'label': None}, 'the label None'),
    ({'relations': [['modify', '9']]}, "modify points to '9', no entity here"),
    ({'relations': [['near', '2']]}, "the relation 'near' is none of modify"),
    ({'relations': [['modify']]}, r'expected \[name, id\]'),
    ({'relations': 'modify'}, r'expected \[name, id\]'),
    ({'end_ix': 8}, "'end_ix' 8 are no places among the 8 tokens"),
    ({'start_ix': -1}, "'start_ix' -1"),
    ({'start_ix': 1}, "'start_ix' 1 and 'end_ix' 0"),
    ({'start_ix': '0'}, "'start_ix' '0'"),
    ({'end_ix': 1}, "'tokens' is 'Small', where the text has 'Small left'"),
  ],
)
def test_bad_entities_are_named(tmp_path, change, reason):
  report = copy.deepcopy(_report(*_EFFUSION))
  report['entities']['1'] |= change
  with pytest.raises(ValueError, match=reason) as error:
    _extractor(tmp_path, {'0': _report(*_EFFUSION), 's7': report})
  assert str(error.value).startswith(f"{tmp_path}/graphs.json: report 's7': ")


@pytest.mark.parametrize(
  'content, reason',
  [
    ('{"0": {"text": "a"}}', "report '0': expected an object with 'text' and"),
    ('{"0": []}', "report '0': expected an object"),
    ('{"0": {"text": "a", "entities": {"1": 5}}}', "entity '1': expected an"),
    ('[]', 'graphs.json: expected an object with reports'),
    ('{}', 'graphs.json: expected an object with reports'),
    ('{\n"0": }', 'graphs.json:2: no JSON: '),
    ('{"0": {}, "0": {}}', "graphs.json: '0' is there twice"),
    (b'\xff\xfe', 'graphs.json: .utf-8'),
  ],
)
def test_bad_files_are_named(tmp_path, content, reason):
  path = tmp_path / 'graphs.json'
  path.write_bytes(content if isinstance(content, bytes) else content.encode())
  with pytest.raises(ValueError, match=reason):
    radgraph.read_radgraph(path)


def test_the_command_indexes_and_labels_graphs(tmp_path, monkeypatch, capsys):
  monkeypatch.chdir(tmp_path)
  text = 'Small left pleural effusion. No pneumothorax.'
  words, place, _, *relations = _EFFUSION[4]
  denied = (*_EFFUSION[:4], (words, place, 'OBS-DA', *relations))
  for name, content in {
    'r.csv': f'id,text\na,{text}\n',
    'o.obo': '[Term]\nid: X:1\nname: pleural effusion\n',
    'labels.tsv': 'Effusion\tX:1\n',
    # The graph says what the text does not: which one was read is plain.
    'g.json': json.dumps({'s1': _report(*denied)}),
  }.items():
    (tmp_path / name).write_text(content)
  given = ['r.csv', '--text-columns=text', '--ontology=o.obo', '--aliases=none']
  graphs = '--radgraph=g.json'
  command = ['label', *given, '--labels=labels.tsv', graphs]
  assert main([*command, '--out=l.csv']) == 0
  assert (tmp_path / 'l.csv').read_text() == ('id,Effusion,No Finding\na,0,1\n')
  assert main(['index', *given, graphs, '--out=i']) == 0
  capsys.readouterr()
  # The text of a query has no graph; it is linked by the names.
  assert main(['search', 'i', 'no pleural effusion', '--format=json']) == 0
  (hit,) = json.loads(capsys.readouterr().out)['hits']
  assert (hit['id'], hit['negative_score']) == ('a', 1.0)
  (tmp_path / 'r.csv').write_text('id,text\na,Another text.\n')
  assert main([*command, '--out=m.csv']) == 1
  said = capsys.readouterr().err
  assert "failed on report 'a'" in said
  assert "RadGraph has no report with the text that begins 'Another" in said
  with pytest.raises(SystemExit) as stopped:
    main([*command, '--out=m.csv', '--extractor=builtins:list'])
  assert stopped.value.code == 2
