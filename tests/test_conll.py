"""CoNLL files: what is read and what is refused."""

import pytest

from dicejax import metrics
from train.data import conll
from train.data.conll import Sentence


def _read(path, text, **options):
  path.write_bytes(text if isinstance(text, bytes) else text.encode())
  return list(conll.read_sentences(path, **options))


@pytest.fixture
def path(tmp_path):
  return tmp_path / 'file.conll'


def test_sentences_and_their_lines(path):
  text = 'Ada NNP B-PER\nsleeps VBZ O\n\n\n. . O\n'
  assert _read(path, text) == [
    Sentence(['Ada', 'sleeps'], ['B-PER', 'O'], line=1),
    Sentence(['.'], ['O'], line=5),
  ]


@pytest.mark.parametrize(
  'text',
  [
    'Ada O\n\nruns O',  # The file ends without a newline.
    'Ada O\r\n\r\nruns O\r\n',
    '\ufeffAda O\n\nruns O\n\n\n',
    'Ada\tO\n\t\nruns\tO\n \n',
    'Ada   O \n\nruns  O\n',
    '-DOCSTART- -X- O\n\nAda O\n-DOCSTART-\nruns O\n\n-DOCSTART- O\n',
  ],
  ids=['no newline', 'CRLF', 'BOM', 'tabs', 'padding', 'DOCSTART'],
)
def test_forms_of_one_file(path, text):
  sentences = _read(path, text)
  assert [(s.tokens, s.tags) for s in sentences] == [
    (['Ada'], ['O']),
    (['runs'], ['O']),
  ]


def test_tabs_let_tokens_hold_spaces(path):
  text = 'New York\tB-LOC\n15\u00a0000\tO\na\u2028b\tO\n'
  assert _read(path, text)[0].tokens == ['New York', '15\xa0000', 'a\u2028b']


def test_columns_in_any_order(path):
  text = '1 O x Ada\n2 B-PER y Lovelace\n'
  for columns in ({'token': 3, 'tag': 1}, {'tag': -3, 'token': -1}):
    sentence = _read(path, text, **columns)[0]
    assert sentence.tokens == ['Ada', 'Lovelace']
    assert sentence.tags == ['O', 'B-PER']


def test_comments_are_told_from_the_token(path):
  text = '# id 7\n# a longer remark\n# O\n1 O\n# O\n\n#\tO\n#1\tO\n\n# O\n'
  assert [(s.tokens, s.line) for s in _read(path, text)] == [
    (['#', '1', '#'], 3),
    (['#', '#1'], 7),
    (['#'], 10),
  ]


@pytest.mark.parametrize(
  'scheme, tags',
  [
    ('iob1', 'I-X I-X B-X O I-Y'),
    ('bio', 'B-X I-X B-X O B-Y'),
    ('bioes', 'B-X E-X S-X O S-Y'),
    ('bmes', 'B-X E-X S-X O S-Y'),
    ('bilou', 'B-X L-X U-X O U-Y'),
    ('conll', 'I-X E-X I-X O E-Y'),
  ],
)
def test_every_scheme_becomes_bio(path, scheme, tags):
  text = ''.join(f'w {tag}\n' for tag in tags.split())
  sentence = _read(path, text, scheme=scheme)[0]
  assert sentence.tags == ['B-X', 'I-X', 'B-X', 'O', 'B-Y']


@pytest.mark.parametrize(
  'text, message',
  [
    ('a O\n\nb\xe4 O\n'.encode('latin-1'), '3: expected UTF-8'),
    ('a O\nb c O\nd O\n', '2: expected 2 columns, .*, found 3'),
    ('a O\n# a remark\nd O\n', '2: expected 2 columns, .*, found 3'),
    ('# remark 1\na O\nb\n', '3: expected 2 columns, .*, found 1'),
    ('a\tO\n\tO\n', '2: expected a token, found only white space'),
    ('a\tO\nb\t\n', "2: '' is not a tag of the scheme 'bio'"),
    (
      'a O\nb PER\n',
      "2: 'PER' is not a tag of the scheme 'bio': expected O or",
    ),
    ('a O\nb E-PER\n', "2: 'E-PER' is not a tag of the scheme 'bio'"),
    ('# 1\n\n', "1: '1' is not a tag"),
    ('a X O\n\nb O\n\nc X O\n', '3: expected 3 columns, .*, found 2'),
    ('a O\n\nb X O\n\nc X O\n', '1: expected 3 columns, .*, found 2'),
    ('a B-X\nb O\nc I-X\n', "3: 'I-X' starts .* ill-formed .*'conll'"),
  ],
)
def test_malformed(path, text, message):
  with pytest.raises(ValueError, match=f'^{path}:{message}'):
    _read(path, text)


@pytest.mark.parametrize(
  'scheme, tags',
  [
    ('bmes', 'B M M E S O S'),
    ('bilou', 'B I I L U O U'),
    ('bioes', 'B I I E S O S'),
  ],
)
@pytest.mark.parametrize('kind', ['X', 'A-B', ''])
def test_the_same_entities_in_other_letters(path, scheme, tags, kind):
  ends = f'-{kind}' if kind else ''
  rows = [f'w {tag}{"" if tag == "O" else ends}\n' for tag in tags.split()]
  kind = kind or conll.ENTITY
  spans = [(kind, 0, 4), (kind, 4, 5), (kind, 6, 7)]
  (sentence,) = _read(path, ''.join(rows), scheme=scheme)
  assert metrics.entity_spans(sentence.tags, 'bio') == spans


@pytest.mark.parametrize(
  'scheme, text, message',
  [
    ('bmes', 'a O\nb I-X\n', "2: 'I-X' is not a tag .* 'bmes': .* B, M, E, S"),
    ('bilou', 'a O\nb U\nc U-X\n', "2: 'U' is not a tag of the scheme 'bilou'"),
    ('bilou', 'a B-X\nb O\n', "1: 'B-X' starts an entity .* scheme 'bilou'"),
    ('bmes', 'a M-X\n', "1: 'M-X' starts an entity that is .* scheme 'bmes'"),
    ('bio', 'a O\nb M-X\n', "2: 'M-X' is not .* names others: .*'bmes', 'bil"),
  ],
)
def test_malformed_in_other_letters(path, scheme, text, message):
  with pytest.raises(ValueError, match=f'^{path}:{message}'):
    _read(path, text, scheme=scheme)


@pytest.mark.parametrize('tag', [2, -3])
def test_column_that_is_not_there(path, tag):
  message = f'{path}:1: expected the tag in column {tag} .*, found 2 columns'
  with pytest.raises(ValueError, match=message):
    _read(path, 'a O\n', tag=tag)


@pytest.mark.parametrize('text', ['a\nb\n', 'a\n\nb X\n\nc\n'])
def test_token_is_not_its_own_tag(path, text):
  message = f'{path}:1: expected the tag in another column .* 0 and -1 are the'
  with pytest.raises(ValueError, match=message):
    _read(path, text, scheme='token')


@pytest.mark.parametrize('scheme', ['bio', 'token'])
def test_sentence_without_tags(path, scheme):
  message = f'{path}:3: expected 2 columns, as in most rows .*, found 1'
  with pytest.raises(ValueError, match=message):
    _read(path, 'a O\n\nb\nc\n\nd O\ne O\n', scheme=scheme)


def test_comments_as_wide_as_rows(path):
  text = (
    '# newdoc\nI PRON\n# SYM\n\n# newdoc\n# new\nYou PRON\n\n# SYM\n% SYM\n'
  )
  found = _read(path, text, scheme='token')
  assert [(x.tokens, x.line) for x in found] == [
    (['I', '#'], 2),
    (['You'], 7),
    (['#', '%'], 9),
  ]
  # The Penn Treebank's tag of the pound sign.
  found = _read(path, '# #\n20 CD\n', scheme='token')
  assert found == [Sentence(['#', '20'], ['#', 'CD'], 1)]


def test_comments_as_wide_as_rows_of_entities(path):
  text = '# id_1\nAda B-PER\n\n# B-NUM\n1 I-NUM\n'
  assert [x.tokens for x in _read(path, text)] == [['Ada'], ['#', '1']]


def test_comments_without_words(path):
  assert _read(path, '#\n# \nAda O\n\n#\n') == [Sentence(['Ada'], ['O'], 3)]


def test_comments_with_a_tab(path):
  text = '#\thttp://a.b\t[2009]\n1\tA\tB-X\tO\n\n#\tB-X\tc\n2\t#\tO\tO\n'
  found = _read(path, text, token=1, tag=2)
  assert [(x.tokens, x.tags, x.line) for x in found] == [
    (['A'], ['B-X'], 2),
    (['#'], ['O'], 5),
  ]


def test_blanks_around_tokens_and_tags_do_not_count(path):
  text = 'A b \tB-X \n c\t I-X\u00a0\n\nd\tO \n'
  assert _read(path, text) == [
    Sentence(['A b', 'c'], ['B-X', 'I-X'], 1),
    Sentence(['d'], ['O'], 4),
  ]
  assert _read(path, 'a\tNN \nb\tNN\n', scheme='token') == [
    Sentence(['a', 'b'], ['NN', 'NN'], 1)
  ]


@pytest.mark.parametrize(
  'scheme, tags', [('bio', 'O B I O B'), ('bioes', 'O B E O S')]
)
def test_tags_without_types(path, scheme, tags):
  text = ''.join(f'w\t{tag}\n' for tag in tags.split())
  (sentence,) = _read(path, text, scheme=scheme)
  assert metrics.entity_spans(sentence.tags) == [
    metrics.Span(conll.ENTITY, 1, 3),
    metrics.Span(conll.ENTITY, 4, 5),
  ]


def test_tags_with_and_without_types(path):
  with pytest.raises(ValueError, match=f"^{path}:2: 'B' is not a tag"):
    _read(path, 'a B-X\nb B\n')


def test_tags_without_types_are_labels_of_words(path):
  (sentence,) = _read(path, 'a B\nb I\nc O\n', scheme='token')
  assert sentence.tags == ['B', 'I', 'O']


def test_carriage_returns_end_lines(path):
  assert [x.line for x in _read(path, 'a O\rb O\r\rc O\r')] == [1, 4]


def test_comments_that_stand_alone(path):
  text = '# made up\n# of two\n\n# id = 1\na O\n\n# the end of it\n'
  assert _read(path, text, scheme='token') == [Sentence(['a'], ['O'], line=5)]


def test_labels_of_words_are_as_they_are(path):
  text = 'Ada NNP\n( -LRB-\nB-X I-Y\n\nO ,\n'
  assert [(s.tokens, s.tags) for s in _read(path, text, scheme='token')] == [
    (['Ada', '(', 'B-X'], ['NNP', '-LRB-', 'I-Y']),
    (['O'], [',']),
  ]


def test_labels_of_words_are_there(path):
  message = f'{path}:2: expected a tag, found only white space'
  with pytest.raises(ValueError, match=message):
    _read(path, 'a\tX\nb\t\n', scheme='token')


def test_file_without_sentences(path):
  with pytest.raises(ValueError, match=f'{path}: expected at least one sent'):
    _read(path, '-DOCSTART- O\n\n')


def test_unknown_scheme(path):
  with pytest.raises(
    ValueError, match="^data.conll.scheme is .*'bilou'.*'xyz'"
  ):
    _read(path, 'a O\n', scheme='xyz')
