"""Query spans of real corpora, read from the folder DICEJAX_DATA."""

import collections
import os
import pathlib

import pytest

from configs import default
from dicejax.text.tokenizer import train_wordpiece
from train.data import conll
from train.tasks.query_spans import QuerySpans
from train.tasks.query_spans import get_labels

_DATA = pathlib.Path(os.environ.get('DICEJAX_DATA', ''))
_FILES = {
  'conll03/eng.train': ('conll2003', 3, 'conll'),
  'conll03/eng.testa': ('conll2003', 3, 'conll'),
  'conll03/eng.testb': ('conll2003', 3, 'conll'),
  'wnut17/wnut17train.conll': ('wnut17', 1, 'bio'),
  'wnut17/emerging.dev.conll': ('wnut17', 1, 'bio'),
  'wnut17/emerging.test.annotated': ('wnut17', 1, 'bio'),
  'msra/msra_test_bio': ('msra', 1, 'bio'),
}


@pytest.fixture(scope='module')
def sentences():
  return {
    file: list(conll.read_sentences(_DATA / file, tag=tag, scheme=scheme))
    for file, (_, tag, scheme) in _FILES.items()
  }


@pytest.fixture(scope='module')
def tokenizer(sentences):
  words = [s.tokens for file in list(_FILES)[::3] for s in sentences[file]]
  return train_wordpiece(words, 16_000)


def _answers(features):
  for feature in features:
    answer = {
      name: (feature[f'{name}s'] == 1) * 1.0 for name in ('start', 'end')
    }
    if 'pair_start' in feature:
      answer['match'] = (feature['pair_start'] >= 0) * 1.0
      length = len(feature['tokens'])
      answer['pair'] = feature['pair_start'] * length + feature['pair_end']
    yield answer


@pytest.mark.parametrize('match', [False, True])
@pytest.mark.parametrize('max_length', [512, 64])
@pytest.mark.parametrize('file', _FILES)
def test_gold_is_found_but_for_what_is_cut(
  sentences, tokenizer, file, max_length, match
):
  config = default.get_config()
  config.max_length = max_length
  config.query_spans.match = match
  name = f'configs/ner/queries/{_FILES[file][0]}.json'
  config.query_spans.queries = str(pathlib.Path(__file__).parents[1] / name)
  examples = sentences[file]
  task = QuerySpans(config, tokenizer, get_labels(config, examples))
  features = task.features(examples)
  found = task.decode(examples, features, list(_answers(features)))
  micro = task.score(examples, found, {})['micro']
  missed = round((1 - micro['recall']) * micro['support'])
  assert micro['precision'] == 1
  said = [line for line in task.notes(examples, features) if 'spans' in line]
  assert said == (
    [
      f'{missed} of {micro["support"]} spans begin or end at such words, or '
      'are longer than the overlap of windows: they count as missed.'
    ]
    if missed
    else []
  )
  assert missed == _missed(task, examples, features, match)


def _missed(task, examples, features, match):
  """Counts the spans whose ends have no sub-word or, to match, no window."""
  windows = collections.defaultdict(list)
  for feature in features:
    place = int(feature['example']), int(feature['query'])
    windows[place].append({*feature['words'].tolist()})
  missed = 0
  for i, example in enumerate(examples):
    for j, type_ in enumerate(task.labels):
      seen = windows[i, j] if match else [set().union(*windows[i, j])]
      starts = [k for k, t in enumerate(example.tags) if t == f'B-{type_}']
      for start in starts:
        last = start
        while example.tags[last + 1 : last + 2] == [f'I-{type_}']:
          last += 1
        missed += not any({start, last} <= words for words in seen)
  return missed
