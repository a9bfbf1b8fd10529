"""Pages of labels and of two reports: their markup, and a browser's view."""

import html
import html.parser
import json
import re
import shutil
import subprocess

import hypothesis
import matplotlib.image
import numpy as np
import pytest
from hypothesis import strategies as st

from dicejax.concepts.cli import page
from dicejax.concepts.cli.parser import main
from dicejax.concepts.labels.rules import Evidence
from dicejax.concepts.labels.rules import Label
from dicejax.concepts.ontology import Ontology
from dicejax.concepts.ontology import Term
from dicejax.concepts.search.explanation import Side
from dicejax.concepts.search.explanation import explain_pair
from dicejax.concepts.search.findings import Findings
from dicejax.concepts.search.scorer import Scorer
from dicejax.concepts.text.mentions import Experiencer
from dicejax.concepts.text.mentions import Mention
from dicejax.concepts.text.mentions import Polarity
from dicejax.concepts.text.mentions import Time

PRESENT, ABSENT, UNCERTAIN = Polarity
_ONTOLOGY = Ontology(
  {
    'X:1': Term('X:1', 'pleural effusion'),
    'X:2': Term('X:2', 'edema & "more" <b>'),
  }
)
_BROWSER = next(
  filter(None, map(shutil.which, ('chromium', 'chromium-browser', 'chrome'))),
  None,
)
_VOID = {'meta'}


class _Reader(html.parser.HTMLParser):
  """The elements of a page, which must be balanced, and the texts in it."""

  def __init__(self, markup):
    super().__init__()
    self.open, self.elements, self.texts = [], [], []
    self.feed(markup)
    self.close()
    assert not self.open

  def handle_starttag(self, tag, attrs):
    self.elements.append((tag, dict(attrs)))
    if tag not in _VOID:
      self.open.append((tag, dict(attrs).get('class', '')))
      if self.open[-1][1] == 'text':
        self.texts.append('')

  def handle_endtag(self, tag):
    assert self.open.pop()[0] == tag

  def handle_data(self, data):
    classes = {name for _, name in self.open}
    if 'text' in classes and not classes & {'sign', 'unseen'}:
      self.texts[-1] += data


def _at(text, words, polarity=PRESENT, cue=None, concept='X:1', **changes):
  start = text.index(words)
  if cue:
    cue = text.index(cue), text.index(cue) + len(cue)
  found = Mention(concept, start, start + len(words), polarity, cue)
  return found._replace(**changes)


_TEXT = (
  'Small left effusion. No edema, possible mass.\n<script>document.title = '
  '"broken"</script> & \'quotes\' \x00\x07\ud800 Old cyst. Mother had a tumor.'
)
_MENTIONS = [
  _at(_TEXT, 'effusion', modifiers=('small', 'left')),
  _at(_TEXT, 'edema', ABSENT, 'No', 'X:2'),
  _at(_TEXT, 'mass', UNCERTAIN, 'possible'),
  _at(_TEXT, 'cyst', time=Time.PAST),
  _at(_TEXT, 'tumor', experiencer=Experiencer.OTHER),
]
_LABELS = {
  'Effusion': Label(PRESENT, (Evidence(_MENTIONS[0], 'concept X:1'),)),
  'Edema': Label(ABSENT, (Evidence(_MENTIONS[1], 'name <edema>'),)),
}
_REPORT = page.Report('<7>', _TEXT, _MENTIONS, _LABELS)


def _labels(reports=(_REPORT,), **options):
  return page.labels_page(reports, ['Effusion', 'Edema'], _ONTOLOGY, **options)


def _pair():
  other = '<edema> without effusion'
  mentions = (
    _at(other, 'edema', concept='X:2'),
    _at(other, 'effusion', ABSENT, 'without'),
  )
  sides = [
    Side(id, text, said, Findings.of(said))
    for id, text, said in (
      ('<7>', _TEXT, tuple(_MENTIONS)),
      ('"8"', other, mentions),
    )
  ]
  scorer = Scorer(_ONTOLOGY, weights='uniform')
  return page.pair_page(explain_pair(*sides, _ONTOLOGY, scorer), _ONTOLOGY)


@pytest.mark.parametrize('markup', [_labels(), _pair()])
def test_all_text_is_escaped_and_all_elements_are_closed(markup):
  markup.encode('utf-8')  # No lone surrogate is left.
  read = _Reader(markup)
  tags = {tag for tag, _ in read.elements}
  assert not tags & {'script', 'img', 'link', 'iframe', 'edema'}
  assert read.texts[0] == re.sub('[\x00\x07\ud800]', '\ufffd', _TEXT)
  assert tags >= {'main', 'h1', 'title', 'table', 'mark'}
  assert ('html', {'lang': 'en'}) in read.elements
  assert any(attrs.get('name') == 'viewport' for _, attrs in read.elements)
  assert not [a for _, a in read.elements if 'src' in a or 'onclick' in a]
  links = [a['href'] for _, a in read.elements if 'href' in a]
  places = {a['id'] for _, a in read.elements if 'id' in a}
  assert {link.removeprefix('#') for link in links} == places


def test_marks_say_what_is_said():
  read = _Reader(_labels())
  marks = [a for tag, a in read.elements if tag == 'mark' and 'title' in a]
  assert [(a['class'], a['title']) for a in marks] == [
    ('present', 'pleural effusion, present, small, left'),
    ('absent', 'edema & "more" <b>, absent'),
    ('uncertain', 'pleural effusion, uncertain'),
    ('aside', 'pleural effusion, present, past'),
    ('aside', 'pleural effusion, present, of another person'),
  ]
  assert (
    _labels().count('<span class="cue">No</span>') == 2
  )  # And in the table.


@hypothesis.given(st.data())
def test_any_mentions_in_any_text(data):
  text = data.draw(st.text(max_size=30).map(lambda t: t.replace('\r', '')))
  spans = st.tuples(*[st.integers(0, len(text))] * 2).map(sorted).map(tuple)
  mentions = data.draw(
    st.lists(
      st.builds(
        lambda span, cue, *rest: Mention(*rest[:1], *span, rest[1], cue),
        spans.filter(lambda span: span[0] < span[1]),
        st.none() | spans,
        st.sampled_from(['X:1', 'X:2']),
        st.sampled_from(Polarity),
      ),
      max_size=5 if text else 0,
    )
  )
  read = _Reader(_labels([page.Report('1', text, mentions)]))
  bad = '[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff]'
  assert read.texts == [re.sub(bad, '\ufffd', text)]
  covered = {n for m in mentions for n in range(m.start, m.end)}
  assert any(
    tag == 'mark' and 'title' in a for tag, a in read.elements
  ) == bool(covered)


def test_only_the_first_are_shown_and_all_are_counted():
  reports = [_REPORT._replace(id=str(n)) for n in range(1200)]
  markup = _labels(reports, limit=20)
  assert 'The first 20 of 1,200 reports are shown.' in markup
  assert len(_Reader(markup).texts) == 20
  assert '<td class="number">1,200</td>' in markup
  assert '<details class="report" open="">' not in markup
  assert 'All reports are shown.' in _labels()
  assert '<details class="report" open="">' in _labels()


def test_colours_can_be_told_from_what_is_behind_them():
  """Contrast of text is at least 4.5, WCAG's level AA, in both schemes."""

  def luminance(colour):
    double = len(colour) == 3
    digits = ''.join(2 * digit for digit in colour) if double else colour
    parts = [int(digits[n : n + 2], 16) / 255 for n in (0, 2, 4)]
    linear = [
      x / 12.92 if x <= 0.04045 else ((x + 0.055) / 1.055) ** 2.4 for x in parts
    ]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

  def contrast(one, other):
    low, high = sorted(luminance(colour) for colour in (one, other))
    return (high + 0.05) / (low + 0.05)

  schemes = re.findall(r':root \{(.*?)\}', _labels(), re.DOTALL)
  assert len(schemes) == 2
  for scheme in schemes:
    colours = dict(re.findall(r'--([a-z-]+): #([0-9a-f]+);', scheme))
    for state in ('present', 'absent', 'uncertain', 'aside'):
      back = colours[f'{state}-back']
      assert contrast(colours[state], back) >= 4.5
      assert contrast(colours['ink'], back) >= 4.5
    for name in ('ink', 'soft', 'link', 'against'):
      assert contrast(colours[name], colours['paper']) >= 4.5
      assert contrast(colours[name], colours['panel']) >= 4.5


def _browse(path, *options):
  done = subprocess.run(
    [
      _BROWSER,
      '--headless',
      '--no-sandbox',
      '--disable-gpu',
      '--hide-scrollbars',
      *options,
      path.as_uri(),
    ],
    capture_output=True,
    timeout=120,
    check=True,
  )
  return done.stdout.decode()


@pytest.mark.slow
@pytest.mark.skipif(_BROWSER is None, reason='there is no Chromium')
@pytest.mark.parametrize('kind', ['labels', 'pair'])
@pytest.mark.parametrize('width', [390, 1280])
def test_a_browser_shows_it(tmp_path, kind, width):
  markup = _labels([_REPORT] * 12) if kind == 'labels' else _pair()
  path, picture = tmp_path / 'page.html', tmp_path / 'page.png'
  path.write_text(markup, 'utf-8')
  size = f'--window-size={width},900'
  _browse(path, size, f'--screenshot={picture}')
  pixels = np.rint(255 * matplotlib.image.imread(picture)[..., :3])
  assert pixels.shape == (900, width, 3)
  for colour in re.findall(r'-back: #([0-9a-f]{6})', markup)[:4]:
    assert (pixels == tuple(bytes.fromhex(colour))).all(-1).any()
  # The page's policy lets no script run that somebody puts into it.
  changed = markup.replace('</body>', '<script>document.title = 1</script>')
  path.write_text(changed, 'utf-8')
  assert html.unescape(_title(_browse(path, '--dump-dom'))) == html.unescape(
    _title(markup)
  )
  # Nothing is wider than the screen. (The window itself would be 500 wide.)
  path.write_text(
    f'<title></title><iframe width={width} srcdoc="{html.escape(markup)}">'
    '</iframe><script>onload = () => document.title = document.querySelector('
    '"iframe").contentDocument.documentElement.scrollWidth</script>',
    'utf-8',
  )
  assert 0 < int(_title(_browse(path, '--dump-dom'))) <= width


def _title(markup):
  return re.search('<title>(.*?)</title>', markup)[1]


@pytest.fixture
def home(tmp_path, monkeypatch):
  monkeypatch.chdir(tmp_path)
  (tmp_path / 'o.obo').write_text(
    '[Term]\nid: X:1\nname: effusion\n\n[Term]\nid: X:2\nname: edema\n'
  )
  (tmp_path / 'r.csv').write_text(
    'id,text\na,Small left effusion. No edema.\nb,Edema & <b>effusion</b>.\n'
  )
  (tmp_path / 'labels.tsv').write_text('Effusion\tX:1\n')
  return tmp_path


_INPUT = ['r.csv', '--text-columns=text', '--ontology=o.obo', '--aliases=none']


def test_label_writes_a_page(home, capsys):
  command = ['label', *_INPUT, '--labels=labels.tsv', '--out=l.csv']
  assert main([*command, '--html=p.html', '--html-limit=1']) == 0
  written = (home / 'p.html').read_text('utf-8')
  assert _Reader(written).texts == ['Small left effusion. No edema.']
  assert 'The first 1 of 2 reports are shown.' in written
  assert '<h3>Found, but of no label</h3>' in written  # The edema.
  (home / 'l.csv').unlink()
  assert main([*command, '--html=p.html']) == 1
  assert 'p.html: the file exists' in capsys.readouterr().err
  assert not (home / 'l.csv').exists()  # Said before the work is done.
  assert main([*command, '--html=l.csv']) == 1
  assert '--html are different files' in capsys.readouterr().err
  assert main([*command, '--html=p.html', '--force']) == 0
  assert len(_Reader((home / 'p.html').read_text('utf-8')).texts) == 2


def test_explain_writes_a_page(home, capsys):
  assert main(['index', *_INPUT, '--out=i']) == 0
  capsys.readouterr()
  assert main(['explain', 'i', 'a', 'b', '--html=p.html', '--format=json']) == 0
  read = _Reader((home / 'p.html').read_text('utf-8'))
  assert read.texts == [
    'Small left effusion. No edema.',
    'Edema & <b>effusion</b>.',
  ]
  calculation = json.loads(capsys.readouterr().out)['calculation']
  assert f'score = {calculation} = ' in (home / 'p.html').read_text('utf-8')
  assert main(['explain', 'i', 'a', 'b', '--html=p.html']) == 1
  assert 'p.html: the file exists' in capsys.readouterr().err
  query = '"effusion" & <edema>'
  assert main(['explain', 'i', query, 'b', '--html=p.html', '--force']) == 0
  assert _Reader((home / 'p.html').read_text('utf-8')).texts[0] == query
