"""Cutting plain text into words."""

import unicodedata

import pytest

from dicejax.text.words import split_words


def words(text):
  return [text[start:end] for start, end in split_words(text)]


@pytest.mark.parametrize(
  'text',
  [
    'हिन्दी भाषा हैं',
    'தமிழ் நாடு',
    'ประเทศ กรุงเทพฯ',
    'שָׁלוֹם עולם',
    'عَرَبِيّ نص',
    'می‌خواهم بروم',
    unicodedata.normalize('NFD', 'Zürich São Łódź Việt'),
    "O'Brien doesn't know rock'n'roll",
    'The U.S. Army and J. K. Rowling at 7:30 p.m. :',
    'Dr. Ng vs. St. Ives Corp. and Sons Inc. ,',
    'in 1996 . It did n\'t , he \'ll say , 1,000 times -- or 5 % ... ! " . "',
    'see https://a.b/c_d?e=f&g=1#h @name #tag me@mail.com :-) !!! &amp;',
    '1. Ferrari +44 .500 US$ 3 non- and AT&T 20-page and/or',
    '東 京 Tokyo の 山',
  ],
)
def test_blanks_part_words_that_are_cut_already(text):
  """The conventions of CoNLL-2003 and WNUT-17, in sentences of our own."""
  assert words(text) == text.split()


@pytest.mark.parametrize(
  'text, expected',
  [
    ("Anna's (old) dog.", "Anna 's ( old ) dog ."),
    ('“Plan B,” she said…', '“ Plan B , ” she said …'),
    ('Zoë’s 3.5% of $1,000.', 'Zoë ’s 3.5 % of $ 1,000 .'),
    ("the dogs' home, 'quoted'", "the dogs ' home , ' quoted '"),
    ('In 1996. Go to https://a.b/c, now!', None),
    ('東京Tokyo。', '東 京 Tokyo 。'),
    ('हिन्दी।', 'हिन्दी ।'),
    ('wait--what?!', 'wait -- what ? !'),
    (' \n', ''),
  ],
)
def test_signs_part_words(text, expected):
  if expected is None:
    expected = 'In 1996 . Go to https://a.b/c , now !'
  assert words(text) == expected.split()


def test_marks_change_no_cut():
  text = 'Zürich, Müller’s café. Łódź!'
  composed, decomposed = (
    [unicodedata.normalize('NFC', w) for w in words(form)]
    for form in (text, unicodedata.normalize('NFD', text))
  )
  assert (
    composed
    == decomposed
    == ['Zürich', ',', 'Müller', '’s', 'café', '.']
    + [
      'Łódź',
      '!',
    ]
  )
