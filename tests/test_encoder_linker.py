"""Names and phrases by an encoder: exact search, cache, linker, commands."""

import json
import pathlib
import shutil
import types

import helpers
import jax.numpy as jnp
import numpy as np
import pytest
import tokenizers

from dicejax import models
from dicejax.concepts.cli import parser as command
from dicejax.concepts.ontology import Ontology
from dicejax.concepts.ontology import Term
from dicejax.concepts.search.index import ReportIndex
from dicejax.concepts.text.aliases import Aliases
from dicejax.concepts.text.encoder import Encoder
from dicejax.concepts.text.encoder import nearest
from dicejax.concepts.text.encoder_linker import EncoderLinker
from dicejax.concepts.text.encoder_linker import noun_phrases
from dicejax.concepts.text.linker import Linker
from dicejax.concepts.text.reports import Reports
from dicejax.concepts.text.sentences import split_sentences

_WORDS = (
  'heart large lung nodule small left pleural effusion edema of the wall ankle '
  'swelling spot root'
).split()


def _save(directory, seed=0, pooling=None):
  helpers.save_encoder(directory, _WORDS, seed)
  if pooling:
    (directory / '1_Pooling').mkdir()
    text = json.dumps({'word_embedding_dimension': 16, pooling: True})
    (directory / '1_Pooling' / 'config.json').write_text(text)
  return directory


@pytest.fixture(scope='module')
def source(tmp_path_factory):
  return _save(tmp_path_factory.mktemp('a'), 0, 'pooling_mode_mean_tokens')


@pytest.fixture(scope='module')
def encoder(source):
  return Encoder(source)


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
  monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path / 'cache'))
  monkeypatch.chdir(tmp_path)
  return tmp_path


def _unit(rng, rows, size=64):
  vectors = rng.normal(size=(rows, size))
  vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
  return np.float16(np.round(vectors * 2048) / 2048)


@pytest.mark.parametrize('block', [1, 7, 100, 333, 5000])
def test_nearest_is_that_of_float64_whatever_the_blocks(block):
  rng = np.random.default_rng(0)
  names, queries = _unit(rng, 333), _unit(rng, 300)
  # Equal names, and names that are the query itself.
  names[200:210] = names[3]
  queries[5:9] = names[[3, 205, 332, 0]]
  scores = queries.astype(np.float64) @ names.astype(np.float64).T
  rows, cosines = nearest(queries, names, block=block)
  np.testing.assert_array_equal(rows, scores.argmax(1))
  np.testing.assert_array_equal(cosines, scores.max(1))
  assert rows[5:9].tolist() == [3, 3, 332, 0]


def test_vectors_are_the_mean_or_cls_of_the_states(source, encoder, tmp_path):
  texts = ['small left pleural effusion', 'x ' * 99]
  config, params = models.load_pretrained(source)
  tokenizer = tokenizers.Tokenizer.from_file(str(source / 'tokenizer.json'))
  module = models.make_encoder(config)
  plain = Encoder(_save(tmp_path / 'b'))
  for text, mean, first in zip(
    texts, encoder(texts), plain(texts), strict=True
  ):
    ids = tokenizer.encode(text).ids
    ids = [*ids[:24], 3] if len(ids) > 25 else ids
    states = np.float64(module.apply({'params': params}, jnp.array([ids]))[0])
    for wanted, found in ((states.mean(0), mean), (states[0], first)):
      wanted = wanted / np.linalg.norm(wanted)
      np.testing.assert_allclose(found, wanted, atol=0.51 / 2048)
  assert encoder([]).shape == (0, 16)


def test_many_texts_are_as_one_by_one(encoder):
  rng = np.random.default_rng(1)
  texts = [
    ' '.join(rng.choice(_WORDS, rng.integers(1, 20))) for _ in range(300)
  ]
  alone = np.concatenate([encoder([text]) for text in texts[:20]])
  np.testing.assert_allclose(encoder(texts)[:20], alone, atol=1.01 / 2048)


def test_vectors_of_names_are_cached_until_something_changes(
  encoder, tmp_path, monkeypatch
):
  calls = []

  def count(self, texts):
    calls.append(len(texts))
    return np.zeros((len(texts), 16), np.float16)

  monkeypatch.setattr(Encoder, '__call__', count)
  for _ in range(2):
    assert encoder.embed_names(['heart', 'lung']).shape == (2, 16)
  assert calls == [2]
  encoder.embed_names(['heart', 'nodule'])
  encoder.embed_names(['heartlung', ''])
  assert calls == [2, 2, 2]
  files = sorted((tmp_path / 'cache' / 'dicejax' / 'names').iterdir())
  assert len(files) == 3 and all(file.suffix == '.npy' for file in files)
  other = Encoder(_save(tmp_path / 'c', 1))
  assert other.digest != encoder.digest
  other.embed_names(['heart', 'lung'])
  assert calls == [2, 2, 2, 2]
  # What was cut off or overwritten is made again.
  for file in files:
    file.write_bytes(file.read_bytes()[:-1])
  encoder.embed_names(['heart', 'lung'])
  assert calls == [2, 2, 2, 2, 2]


def test_nothing_is_cached_of_names_that_fail(encoder, tmp_path, monkeypatch):
  monkeypatch.setattr(Encoder, '__call__', lambda self, texts: 1 / 0)
  with pytest.raises(ZeroDivisionError):
    encoder.embed_names(['heart'])
  assert not list((tmp_path / 'cache' / 'dicejax' / 'names').iterdir())


@pytest.mark.parametrize(
  'text, phrases',
  [
    ('Mild prominence of the left root.', ['Mild prominence of the left root']),
    ('No spot in the lung.', ['spot', 'lung']),
    (
      'The wall is intact and round spot, 5 mm.',
      ['wall', 'intact', 'round spot'],
    ),
    ('There is no left small.', []),
    ('Known effusion root.', ['root']),
    ('a b c d e f g h i', []),
  ],
)
def test_noun_phrases(text, phrases):
  (sentence,) = split_sentences(text)
  at = [i for i, word in enumerate(sentence.words) if word == 'effusion']
  found = [
    text[sentence.starts[start] : sentence.ends[end - 1]]
    for start, end in noun_phrases(sentence.words, [(i, i + 1) for i in at])
  ]
  assert found == phrases


_TERMS = (
  Term('X:1', 'pleural effusion', ('effusion',)),
  Term('X:2', 'large heart'),
  Term('X:3', 'heart wall', types=('T023',)),
  Term('X:4', 'lung edema', types=('T047',)),
  Term('X:5', 'LUNG'),
)


class _ByWords:
  """Stands for an encoder: a vector has a number for each word."""

  source, digest, size = 'words', '0', len(_WORDS) + 1

  def __init__(self):
    self.calls = []

  def __call__(self, texts):
    self.calls.append(list(texts))
    vectors = np.zeros((len(texts), self.size))
    for row, text in enumerate(texts):
      for word in text.lower().split():
        vectors[row, _WORDS.index(word) if word in _WORDS else -1] = 1
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.float16(np.round(vectors * 2048) / 2048)

  def nearest(self, texts, names):
    return nearest(self(texts), names)

  def embed_names(self, names, cache, progress):
    return self(names)


@pytest.fixture
def linker():
  ontology = Ontology({term.id: term for term in _TERMS})
  table = Aliases(
    stop=frozenset(['large wall']), elsewhere={'X:4': frozenset(['ankle'])}
  )
  return EncoderLinker(Linker(ontology, table), _ByWords(), 0.7)


def test_phrases_mean_the_nearest_name_that_may_be_linked(linker):
  def found(text):
    return [
      (m.concept, text[m.start : m.end], str(m.polarity)) for m in linker(text)
    ]

  assert linker.encoder.calls == [
    ['pleural effusion', 'effusion', 'large heart', 'lung edema']
  ]
  assert found('Effusion and no edema of the lung.') == [
    ('X:1', 'Effusion', 'present'),
    ('X:4', 'edema of the lung', 'absent'),
  ]
  # Sides and degrees may be in the way, or part of the name.
  assert found('Small left lung. Left edema. Heart, large round heart.') == [
    ('X:4', 'Small left lung', 'present'),
    ('X:4', 'Left edema', 'present'),
    ('X:2', 'Heart', 'present'),
    ('X:2', 'large round heart', 'present'),
  ]
  assert linker('Small left lung.')[0].modifiers == ('small', 'left')
  assert found('Left wall. Ankle edema. Edema of the ankle. Large wall.') == []
  assert found('Edema of the lung, normal effusion.') == [
    ('X:1', 'effusion', 'present')
  ]
  assert found('spot. pleural effusion root.') == [
    ('X:1', 'pleural effusion', 'present')
  ]


def test_prepared_phrases_are_computed_once(linker):
  texts = ['Edema. Spot of the lung.', 'No edema, left spot.']
  alone = [linker(text) for text in texts]
  linker._known.clear()
  linker.encoder.calls.clear()
  linker.prepare(texts)
  assert [linker(text) for text in texts] == alone
  assert linker.encoder.calls == [
    ['Edema', 'Spot of the lung', 'edema', 'left spot', 'spot']
  ]


def test_the_dictionary_is_right_without_the_encoder(linker):
  plain = Linker(linker.ontology, linker.aliases)
  for text in ('Effusion, no large heart.', 'The LUNG', 'Round thing.'):
    assert [m for m in linker(text)] == plain(text)


def test_wrong_arguments(linker):
  for threshold in (0, 1.1, float('nan')):
    with pytest.raises(ValueError, match='threshold is above 0 and at most 1'):
      EncoderLinker(linker, _ByWords(), threshold)
  empty = Linker(Ontology({'X:3': _TERMS[2]}))
  with pytest.raises(ValueError, match='no names that an encoder may link'):
    EncoderLinker(empty, _ByWords())


def test_an_index_in_memory_remembers_its_encoder(linker, tmp_path):
  reports = Reports(['a', 'b'], ['Edema of the lung.', 'Effusion.'], {})
  index = ReportIndex.build(reports, linker)
  assert [hit.id for hit in index.search('lung edema')] == ['a']
  index.save('i')
  loaded = ReportIndex.load('i')
  loaded.save('j')
  for path in ('i', 'j'):
    with pytest.raises(ValueError, match='needs the encoder that made it, wor'):
      ReportIndex.load(path).search('left lung')
    with pytest.raises(ValueError, match='needs the encoder that made it, wor'):
      ReportIndex.load(path).add([('c', 'Left lung.')])
    again = ReportIndex.load(path, encoder=linker.encoder)
    assert [hit.id for hit in again.search('left lung')] == ['a']
  added = again.add([('c', 'Left lung.')])
  assert [hit.id for hit in added.search('lung edema')] == ['a', 'c']
  other = types.SimpleNamespace(source='other', digest='1')
  with pytest.raises(ValueError, match='words, whose digest is 0; other is'):
    ReportIndex.load('j', encoder=other)
  ReportIndex.build(reports, Linker(linker.ontology)).save('k')
  with pytest.raises(ValueError, match='k was made without an encoder'):
    ReportIndex.load('k', encoder=other)


_OBO = """[Term]
id: X:1
name: pleural effusion

[Term]
id: X:2
name: large heart
"""
_CSV = 'id,text\n1,Pleural effusion. Small left spot.\n2,No heart root.\n'
_INPUT = [
  'reports.csv',
  '--text-columns=text',
  '--ontology=x.obo',
  '--aliases=none',
]


@pytest.fixture
def run(home, capsys):
  (home / 'x.obo').write_text(_OBO)
  (home / 'reports.csv').write_text(_CSV)

  def run(*arguments):
    code = command.main([str(argument) for argument in arguments])
    return code, *capsys.readouterr()

  return run


def test_parts_are_joined_if_they_have_one_encoder(run, source, tmp_path):
  shutil.copytree(source, tmp_path / 'copy')
  pathlib.Path('more.csv').write_text('id,text\n3,A left spot.\n')
  for reports, encoder, threshold, out in (
    ('reports.csv', source, 0.01, 'i'),
    ('more.csv', tmp_path / 'copy', 0.01, 'same'),
    ('more.csv', source, 0.5, 'other'),
  ):
    made = [f'--encoder={encoder}', f'--encoder-threshold={threshold}']
    code, _, err = run('index', reports, *_INPUT[1:], *made, f'--out={out}')
    assert code == 0, err
  code, _, err = run('join', 'i', 'same', '--out=whole')
  assert code == 0, err
  code, _, err = run('search', 'whole', 'spot', f'--encoder={source}')
  assert code == 0, err
  code, _, err = run('join', 'i', 'other', '--out=none')
  assert code == 1 and err.startswith('error: other was made with another'), err


def test_commands(run, source, tmp_path):
  with_encoder = [f'--encoder={source}', '--encoder-threshold=0.01']
  code, out, err = run('index', *_INPUT, *with_encoder, '--out=i')
  assert code == 0 and 'making the vectors of 2 names' in err, err
  mentions = ReportIndex.load('i').mentions
  assert [len(row) for row in mentions] == [2, 1]
  assert mentions[1][0].polarity == 'absent'
  code, out, err = run('search', 'i', 'heart root', with_encoder[0])
  assert code == 0 and 'without' not in err, err
  assert len(list((tmp_path / 'cache' / 'dicejax' / 'names').iterdir())) == 1
  # The ids of reports need no encoder.
  assert run('search', 'i', '1')[0] == 0
  assert run('explain', 'i', '1', '2')[0] == 0
  assert run('search', 'i', 'heart root')[2] == (
    'error: To read a text, the index needs the encoder that made it, '
    f'{source}: name it with --encoder.\n'
  )
  other = _save(tmp_path / 'other', 1)
  code, out, err = run('search', 'i', 'heart', f'--encoder={other}')
  assert code == 1 and 'i was made with the encoder' in err
  assert err.count('\n') == 1
  code, out, err = run(
    'label', *_INPUT, *with_encoder, '--labels=labels.tsv', '--out=l.csv'
  )
  assert 'labels.tsv: No such file' in err
  pathlib.Path('labels.tsv').write_text('Any\tX:1 | X:2\n')
  code, out, err = run(
    'label', *_INPUT, *with_encoder, '--labels=labels.tsv', '--out=l.csv'
  )
  assert code == 0 and 'making' not in err, err
  rows = pathlib.Path('l.csv').read_text().splitlines()
  assert rows[1:] == ['1,1,', '2,0,1']
  pathlib.Path('new.csv').write_text('id,text\n3,A spot.\n')
  add = ['index', 'new.csv', '--text-columns=text', '--add', '--out=i']
  assert 'needs the encoder' in run(*add)[2]
  assert run(*add, with_encoder[0])[0] == 0
  assert len(ReportIndex.load('i').mentions[2]) == 1
  assert 'takes the threshold that the index' in run(*add, *with_encoder)[2]


def _cut(directory):
  file = directory / 'model.safetensors'
  file.write_bytes(file.read_bytes()[:100])


def _pool(text):
  def write(directory):
    (directory / '1_Pooling' / 'config.json').write_text(text)

  return write


def _modules(text):
  return lambda directory: (directory / 'modules.json').write_text(text)


@pytest.mark.parametrize(
  'damage, reason',
  [
    (lambda d: (d / 'config.json').unlink(), 'config.json'),
    (lambda d: (d / 'config.json').write_text('{}'), 'model_type is None'),
    (lambda d: (d / 'tokenizer.json').unlink(), 'no tokenizer.json'),
    (lambda d: (d / 'tokenizer.json').write_text('{}'), 'not a tokenizer'),
    (lambda d: (d / 'model.safetensors').unlink(), 'holds no model.safetens'),
    (_cut, 'model.safetensors'),
    (_pool('{"pooling_mode_max_tokens": true}'), 'pooling_mode_max_tokens'),
    (_pool('{}'), 'found none'),
    (_pool('no'), 'is not JSON'),
    (_modules('[{"type": "models.Dense"}]'), 'the part Dense is not read'),
    (_modules('{}x'), 'does not list the parts'),
    (_modules('[7]'), 'does not list the parts'),
  ],
)
def test_directories_that_are_no_encoder(run, source, damage, reason):
  broken = pathlib.Path(shutil.copytree(source, 'broken'))
  damage(broken)
  code, out, err = run('index', *_INPUT, f'--encoder={broken}', '--out=i')
  assert code == 1 and reason in err, err
  assert err.startswith('error: ') and err.count('\n') == 1
  assert not pathlib.Path('i').exists()


@pytest.mark.parametrize(
  'options, reason',
  [
    (['--encoder=./none'], 'none is not a directory.'),
    (['--encoder=reports.csv'], 'reports.csv is not a directory.'),
    (['--encoder-threshold=0.5'], '--encoder-threshold needs an --encoder.'),
    (['--encoder=x', '--extractor=a:b'], '--encoder links what'),
    (['--encoder=x', '--radgraph=x.json'], '--encoder links what'),
    (['--encoder=x', '--workers=2'], 'leave --workers out'),
  ],
)
def test_wrong_options(run, options, reason):
  if '--extractor=a:b' in options:
    options = ['--encoder=x', '--extractor=builtins:len']
  code, out, err = run('index', *_INPUT, *options, '--out=i')
  assert code == 1 and reason in err and err.count('\n') == 1


def test_thresholds_are_cosines(run):
  for value in ('0', '1.5', 'x'):
    with pytest.raises(SystemExit):
      run('index', *_INPUT, f'--encoder-threshold={value}', '--out=i')
