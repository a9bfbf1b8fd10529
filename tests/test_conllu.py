"""CoNLL-U: words and parts of speech, and what is refused."""

import pytest

from dicejax import metrics
from train.data import conllu
from train.data.conll import Sentence
from train.data.files import Skipped


def _row(number, word, upos, xpos='_'):
  return f'{number}\t{word}\t_\t{upos}\t{xpos}\t_\t0\t_\t_\t_\n'


_TEXT = (
  '# text = Im Haus\n'
  + _row('1-2', 'Im', '_')
  + _row(1, 'In', 'ADP', 'APPR')
  + _row(2, 'dem', 'DET', 'ART')
  + _row(3, 'Haus', 'NOUN', 'NN')
  + '\n# newdoc\n\n'
  + _row(1, 'New York', 'PROPN', 'NE')
  + _row('1.1', 'ist', 'VERB', 'VAFIN')
  + _row(2, '#', 'SYM', 'XY')
)


@pytest.fixture
def read(tmp_path):
  def read(text, **options):
    path = tmp_path / 'file.conllu'
    path.write_bytes(text.encode())
    return list(conllu.read_sentences(path, **options))

  return read


@pytest.mark.parametrize('newline', ['\n', '\r\n'])
def test_words_and_what_is_none(read, newline):
  assert read('\ufeff' + _TEXT.replace('\n', newline)) == [
    Skipped('range of a multiword token left out'),
    Sentence(['In', 'dem', 'Haus'], ['ADP', 'DET', 'NOUN'], line=3),
    Skipped('empty node left out'),
    Sentence(['New York', '#'], ['PROPN', 'SYM'], line=9),
  ]


def test_xpos(read):
  sentences = [x for x in read(_TEXT, tag='xpos') if isinstance(x, Sentence)]
  assert [s.tags for s in sentences] == [['APPR', 'ART', 'NN'], ['NE', 'XY']]


def test_characters_spell_the_words(read):
  text = _row(1, '\u540c\u6a23', 'ADV') + _row(2, '\U00020000', 'X')
  text += _row(3, '\u5927\u5c0f', 'ADV')
  (sentence,) = read(text, unit='character')
  assert sentence == Sentence(
    ['\u540c', '\u6a23', '\U00020000', '\u5927', '\u5c0f'],
    ['B-ADV', 'I-ADV', 'B-X', 'B-ADV', 'I-ADV'],
    line=1,
  )
  spans = metrics.entity_spans(sentence.tags, 'bio')
  assert [(s.type, s.start, s.end) for s in spans] == [
    ('ADV', 0, 2),
    ('X', 2, 3),
    ('ADV', 3, 5),
  ]


@pytest.mark.parametrize(
  'text, message',
  [
    (_row(1, 'a', 'X') + '2\tb\t_\tX\n', '2: expected 10 columns .*found 4'),
    ('a b c d e f g h i j\n', '1: expected 10 columns between tabs, found 1'),
    (_row('a', 'b', 'X'), "1: expected the number of a word, found 'a'"),
    ('# x\n' + _row(1, ' ', 'X'), '2: expected a word, found only white'),
    (_row(1, 'a', '_'), '1: expected a tag in the column upos, found none'),
    (_row(1, 'a', ''), '1: expected a tag in the column upos, found none'),
  ],
)
def test_malformed(read, tmp_path, text, message):
  with pytest.raises(ValueError, match=f'^{tmp_path}/file.conllu:{message}'):
    read(text)


@pytest.mark.parametrize(
  'options, message',
  [
    ({'tag': 'pos'}, "tag is 'upos' or 'xpos', not 'pos'"),
    ({'unit': 'syllable'}, "unit is 'word' or 'character', not 'syllable'"),
  ],
)
def test_unknown_options(read, options, message):
  with pytest.raises(ValueError, match=message):
    read(_TEXT, **options)
