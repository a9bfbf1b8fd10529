"""Query spans: features, decoding, scores and the objective."""

import itertools
import json
import pathlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import seqeval.metrics
from helpers import first_value
from hypothesis import given
from hypothesis import strategies as st

from configs import default
from configs import losses
from dicejax import metrics
from dicejax.models import BertConfig
from dicejax.models import QuerySpanLogits
from dicejax.text.tokenizer import load_tokenizer
from train.data.conll import Sentence
from train.data.mrc_ner import Query
from train.objective import make_loss
from train.tasks.query_spans import QuerySpans
from train.tasks.query_spans import get_labels
from train.tasks.query_spans.decoding import Found
from train.tasks.query_spans.decoding import find_spans
from train.tasks.query_spans.decoding import pair_nearest
from train.tasks.query_spans.decoding import read_outputs
from train.tasks.query_spans.decoding import span_score

VOCABULARY = (
  '[PAD] [UNK] [CLS] [SEP] find places people ann lee ##son saw new york ##er .'
).split()
QUERIES = {'LOC': 'Find places', 'PER': 'Find people'}
SENTENCE = Sentence(
  ['Ann', 'Leeson', 'saw', 'New', 'Yorker', '.'],
  ['B-PER', 'I-PER', 'O', 'B-LOC', 'I-LOC', 'O'],
  1,
)
QUERY = Query(
  '1.PER', 'PER', 'Find people', SENTENCE.tokens, [(0, 2)], notes=[]
)
NESTED = QUERY._replace(spans=[(0, 2), (1, 2), (3, 5)])


@pytest.fixture(scope='module')
def directory(tmp_path_factory):
  directory = tmp_path_factory.mktemp('queries')
  (directory / 'vocab.txt').write_text('\n'.join(VOCABULARY))
  return directory


@pytest.fixture
def make_task(directory):
  def make(labels=QUERIES, max_length=32, **settings):
    config = default.get_config()
    config.max_length = max_length
    config.query_spans.update(settings)
    return QuerySpans(config, load_tokenizer(directory), labels)

  return make


def gold_answers(features):
  """Makes the outputs of `postprocess` for heads that are right."""
  answers = []
  for feature in features:
    n = len(feature['tokens'])
    answer = {
      'start': (feature['starts'] == 1) * 1.0,
      'end': (feature['ends'] == 1) * 1.0,
    }
    if 'pair_start' in feature:
      answer['match'] = (feature['pair_start'] >= 0) * 1.0
      answer['pair'] = feature['pair_start'] * n + feature['pair_end']
    # The batch is longer, and padding may be anything.
    for name in ('start', 'end'):
      answer[name] = np.pad(answer[name], (0, 3), constant_values=1.0)
    if 'pair_start' in feature:
      answer['pair'] = feature['pair_start'] * (n + 3) + feature['pair_end']
    answers.append(answer)
  return answers


def test_words_stand_at_their_first_sub_words(make_task):
  place, person = make_task().features([SENTENCE])
  pieces = ' '.join(VOCABULARY[i] for i in person['tokens'])
  assert pieces == (
    '[CLS] find people [SEP] ann lee ##son saw new york ##er . [SEP]'
  )
  rows = {
    'segments': [0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 1, 1, 1],
    'words': [-1, -1, -1, -1, 0, 1, -1, 2, 3, 4, -1, 5, -1],
    'starts': [-1, -1, -1, -1, 1, 0, -1, 0, 0, 0, -1, 0, -1],
    'ends': [-1, -1, -1, -1, 0, 1, -1, 0, 0, 0, -1, 0, -1],
  }
  for name, row in rows.items():
    np.testing.assert_array_equal(person[name], row, name)
  np.testing.assert_array_equal(np.flatnonzero(place['starts'] == 1), [8])
  np.testing.assert_array_equal(np.flatnonzero(place['ends'] == 1), [9])


@pytest.mark.parametrize('max_length', [6, 7, 9, 12, 13, 32])
def test_input_is_that_of_the_tokenizer(make_task, directory, max_length):
  tokenizer = load_tokenizer(directory)
  tokenizer.enable_truncation(max_length, strategy='only_second')
  encoding = tokenizer.encode(
    ['Find', 'people'], SENTENCE.tokens, is_pretokenized=True
  )
  feature, *_ = make_task(max_length=max_length).features([QUERY])
  assert feature['tokens'].tolist() == encoding.ids
  assert feature['segments'].tolist() == encoding.type_ids


def test_a_file_s_query_and_a_sentence_s_are_one(make_task):
  (asked,) = make_task(labels={}).features([QUERY])
  _, person = make_task().features([SENTENCE])
  assert (asked.pop('query'), person.pop('query')) == (0, 1)
  jax.tree.map(np.testing.assert_array_equal, asked, person)


@pytest.mark.parametrize('settings', [{}, {'match': True}])
def test_gold_labels_decode_to_the_gold_spans(make_task, settings):
  examples = [SENTENCE, QUERY, Sentence([], [], 9), SENTENCE]
  task = make_task(**settings)
  features = task.features(examples)
  assert len(features) == 2 + 1 + 2 + 2
  found = task.decode(examples, features, gold_answers(features))
  scores = task.score(examples, found, {})
  assert scores['micro'] == {
    'precision': 1, 'recall': 1, 'f1': 1, 'support': 5
  }  # fmt: skip
  (only,) = found[1]
  assert (only.type, only.start) == ('PER', {0: 1.0})
  assert [word for word, p in only.end.items() if p > 0.5] == [1]
  # Every entity has the probability 1.
  (((_, start, end), score),) = task.entities(found[1], {'threshold': 0.5})
  assert (start, end, score) == (0, 2, 1)
  assert found[2] == []


def test_a_span_may_end_at_a_word_without_a_sub_word():
  # The start at word 2 ends the span before it at word 1, which has none.
  words = np.array([-1, 0, 2, -1])
  start = end = np.array([0.0, 0.75, 0.5, 0.0])
  found = read_outputs(
    'PER',
    {'words': words, 'own': words},
    {'start': start, 'end': end * [1, 0.1, 1, 1]},
  )
  assert find_spans(found, 0.4) == [(0, 2), (2, 3)]
  assert [span_score(found, *span) for span in [(0, 2), (2, 3)]] == [0, 0.25]


def test_nested_spans_need_both_settings(make_task):
  task = make_task(match=True, nested=True)
  features = task.features([NESTED])
  np.testing.assert_array_equal(features[0]['pair_start'][:4], [4, 5, 8, -1])
  np.testing.assert_array_equal(features[0]['pair_end'][:4], [5, 5, 9, -1])
  found = task.decode([NESTED], features, gold_answers(features))
  assert task.score([NESTED], found, {})['micro']['f1'] == 1
  with pytest.raises(ValueError, match="'1.PER'.*overlap.*nested"):
    make_task(match=True).features([NESTED])
  with pytest.raises(ValueError, match='nested needs query_spans.match'):
    make_task(nested=True)


@pytest.mark.parametrize('match', [False, True])
def test_long_sentences_are_read_in_windows(make_task, match):
  """Every word belongs to one window, and every entity is found."""
  long = Sentence(3 * SENTENCE.tokens, 3 * SENTENCE.tags, 1)
  # Room for 11 of 24 sub-words; neighbours share at least 2.
  task = make_task(max_length=16, match=match)
  features = task.features([long, SENTENCE])
  assert [(int(f['example']), int(f['query'])) for f in features] == (
    3 * [(0, 0)] + 3 * [(0, 1)] + [(1, 0), (1, 1)]
  )
  own = np.concatenate([f['own'] for f in features[:3]])
  assert own[own >= 0].tolist() == [*range(18)]
  starts = [f['words'][f['starts'] == 1].tolist() for f in features[:3]]
  assert starts == [[3], [9], [15]]
  notes = task.notes([long, SENTENCE], features)
  assert notes[:2] == [
    '4 inputs: each of 2 sentences with 2 queries.',
    '8 windows, as sentences are longer than max_length=16.',
  ]
  found = task.decode([long, SENTENCE], features, gold_answers(features))
  micro = task.score([long, SENTENCE], found, {})['micro']
  assert micro['f1'] == 1 and micro['support'] == 8 and not notes[2:]


def test_an_entity_that_no_window_has(make_task):
  """Without the match head, its start and its end are found all the same."""
  tags = ['B-PER', *['I-PER'] * 5]
  example = SENTENCE._replace(tags=tags)
  for match in (False, True):
    task = make_task(max_length=10, match=match)
    features = task.features([example])
    found = task.decode([example], features, gold_answers(features))
    recall = task.score([example], found, {})['PER']['recall']
    assert recall == (not match)
    assert ('1 of 1 spans' in task.notes([example], features)[-1]) == match


def test_a_start_counts_if_another_span_from_it_is_whole(make_task):
  """The longer span ends at a word without a sub-word."""
  task = make_task(match=True, nested=True)
  tokens = [*SENTENCE.tokens[:4], '\u200b', '.']
  example = QUERY._replace(tokens=tokens, spans=[(3, 4), (3, 5)])
  (feature,) = features = task.features([example])
  assert feature['starts'][8] == 1 and feature['ends'][8] == 1
  np.testing.assert_array_equal(feature['pair_start'][:2], [8, -1])
  assert '1 of 2 spans' in task.notes([example], features)[-1]
  (feature,) = make_task().features([example._replace(spans=[(3, 5)])])
  np.testing.assert_array_equal(feature['starts'][8:10], [-1, 0])


def test_a_type_that_was_never_seen_is_missed(make_task):
  example = SENTENCE._replace(tags=['B-GOD', *SENTENCE.tags[1:]])
  task = make_task()
  features = task.features([example])
  assert '1 spans are of types that' in task.notes([example], features)[-1]
  found = task.decode([example], features, gold_answers(features))
  assert task.score([example], found, {})['GOD']['support'] == 1


def test_bad_input(make_task):
  with pytest.raises(ValueError, match="query of 'PER' has 2 sub-words: .*=5"):
    make_task(max_length=5).features([QUERY])
  with pytest.raises(ValueError, match="query of 'PER' has no sub-word"):
    make_task().features([QUERY._replace(query='\u200b')])
  with pytest.raises(ValueError, match='get_loss'):
    make_task().objective(losses.get_loss('dice'))
  every = [*itertools.combinations(range(7), 2)]
  with pytest.raises(ValueError, match="'1.PER', PER: expected at most 13"):
    make_task(match=True, nested=True).features([QUERY._replace(spans=every)])


def test_labels_and_their_queries(tmp_path):
  config = default.get_config()
  other = QUERY._replace(type='GOD', query='Find ann', spans=[])
  labels = get_labels(config, [QUERY, other])
  assert [*labels.items()] == [('GOD', 'Find ann'), ('PER', 'Find people')]
  with pytest.raises(ValueError, match='no entity'):
    get_labels(config, [other])
  with pytest.raises(ValueError, match='expected a file of queries'):
    get_labels(config, [SENTENCE])
  path = tmp_path / 'queries.json'
  path.write_text(json.dumps({'PER': 'Find people'}))
  config.query_spans.queries = str(path)
  with pytest.raises(ValueError, match=r"a query for \['LOC'\] as well"):
    get_labels(config, [SENTENCE])
  path.write_text(json.dumps({'PER': 'Find people', 'GOD': 'x', **QUERIES}))
  labels = get_labels(config, [SENTENCE])
  assert [*labels.items()] == [*QUERIES.items()]
  with pytest.raises(ValueError, match='MRC-NER files have their own'):
    get_labels(config, [QUERY])


# Decoding.


@pytest.mark.parametrize(
  'starts, ends, spans',
  [
    # Measured on the published code, whose spans include their ends.
    ([2, 3], [5], [(2, 6)]),
    ([2], [4, 6], [(2, 5)]),
    ([2, 5], [5], [(2, 5), (5, 6)]),
    ([2], [], [(2, 3)]),
    ([], [2], []),
    ([2], [1], [(2, 3)]),
    ([2], [2], [(2, 3)]),
  ],
)
def test_nearest_ends_as_published(starts, ends, spans):
  assert pair_nearest(starts, ends) == spans


def _by_tags(starts, ends, length):
  """Decodes as published: writes tags B, M, E, S into a row and reads them."""
  tags = ['O'] * length
  for start in starts:
    tags[start] = 'B'
  for end in ends:
    tags[end] = 'E'
  for start in starts:
    after = [end for end in ends if end >= start]
    if after and min(after) == start:
      tags[start] = 'S'
    elif after:
      tags[start + 1 : min(after)] = 'M' * (min(after) - start - 1)
  spans, i = [], 0
  while i < length:
    end = i + 1
    if tags[i] == 'B':
      while end < length and tags[end] == 'M':
        end += 1
      end += end < length and tags[end] == 'E'
    if tags[i] in 'BS':
      spans.append((i, end))
    i = end
  return spans


def test_nearest_ends_of_every_row():
  length = 6
  rows = [
    [i for i in range(length) if bits >> i & 1] for bits in range(1 << length)
  ]
  for starts, ends in itertools.product(rows, rows):
    assert pair_nearest(starts, ends) == _by_tags(starts, ends, length)


def test_flat_gold_has_no_nearer_end():
  # Every set of spans of 7 words that do not overlap.
  for cuts in itertools.product('OBI', repeat=7):
    tags = [f'{c}-X' if c != 'O' else c for c in cuts]
    spans = {(s.start, s.end) for s in metrics.entity_spans(tags)}
    starts, ends = {s for s, _ in spans}, {e - 1 for _, e in spans}
    assert set(pair_nearest(starts, ends)) == spans


PROBABILITY = st.sampled_from([0.2, 0.45, 0.6, 0.7, 0.9])


@given(
  st.dictionaries(st.integers(0, 3), PROBABILITY),
  st.dictionaries(st.integers(0, 3), PROBABILITY),
  st.dictionaries(st.tuples(st.integers(0, 3), st.integers(0, 3)), PROBABILITY),
  st.sampled_from([0.3, 0.5]),
)
def test_match_by_brute_force(start, end, match, threshold):
  found = Found('X', start, end, match)
  pairs = {}
  for i in range(4):
    for j in range(i, 4):
      p = [start.get(i, 0), end.get(j, 0), match.get((i, j), 0)]
      if min(p) > threshold:
        pairs[i, j + 1] = np.prod(p)
  assert find_spans(found, threshold, nested=True) == sorted(pairs)
  flat = find_spans(found, threshold)
  assert all(a[1] <= b[0] for a, b in itertools.pairwise(flat))
  for span, score in pairs.items():
    assert span_score(found, *span) == pytest.approx(score)
    # A span is left out only for another that is at least as likely.
    rivals = [s for s in flat if s[0] < span[1] and span[0] < s[1]]
    assert span in flat or max(pairs[s] for s in rivals) > score - 1e-9


def test_flat_match_takes_the_likelier_of_two_that_overlap():
  start, end = {0: 0.9, 1: 0.8}, {1: 0.9, 2: 0.7}
  match = {(0, 1): 0.6, (0, 2): 0.9, (1, 1): 0.55, (1, 2): 0.4}
  found = Found('X', start, end, match)
  # 0.9 * 0.9 * 0.6 = 0.486 and 0.9 * 0.7 * 0.9 = 0.567.
  assert find_spans(found, 0.5) == [(0, 3)]
  assert find_spans(found, 0.5, nested=True) == [(0, 2), (0, 3), (1, 2)]
  assert find_spans(found, 0.65) == [(0, 3)]
  assert find_spans(found, 0.75) == []


# Scores.


def spell(spans, type_='X'):
  starts = {start: 0.9 for start, _ in spans}
  ends = {end - 1: 0.9 for _, end in spans}
  return [Found(type_, starts, ends, None)]


def test_scores_are_those_of_seqeval(make_task):
  rng = np.random.default_rng(0)
  tags = rng.choice(['O', 'O', 'B-LOC', 'I-LOC', 'B-PER'], (200, 8)).tolist()
  gold = [
    Sentence(list('abcdefgh'), metrics.bio_tags(metrics.entity_spans(t), 8), 1)
    for t in tags
  ]
  moved = [[tag if rng.random() > 0.2 else 'O' for tag in s.tags] for s in gold]
  found = [
    [
      *spell([s[1:] for s in spans if s.type == 'LOC'], 'LOC'),
      *spell([s[1:] for s in spans if s.type == 'PER'], 'PER'),
    ]
    for spans in map(metrics.entity_spans, moved)
  ]
  scores = make_task().score(gold, found, {})
  report = seqeval.metrics.classification_report(
    [s.tags for s in gold], moved, output_dict=True
  )
  assert 0.3 < scores['micro']['f1'] < 0.9
  for ours, theirs in {
    'LOC': 'LOC', 'PER': 'PER', 'micro': 'micro avg', 'macro': 'macro avg'
  }.items():  # fmt: skip
    assert scores[ours]['precision'] == report[theirs]['precision']
    assert scores[ours]['recall'] == pytest.approx(report[theirs]['recall'])
    assert scores[ours]['f1'] == pytest.approx(report[theirs]['f1-score'])
    assert scores[ours]['support'] == report[theirs]['support']


def test_wrong_spans_are_wrong(make_task):
  task = make_task()
  for spans, f1 in [
    ([(0, 2)], 1.0),
    ([(0, 1)], 0.0),
    ([(1, 2)], 0.0),
    ([(0, 2), (3, 5)], 2 / 3),
    ([], 0.0),
  ]:
    assert task.score([QUERY], [spell(spans, 'PER')], {})['micro']['f1'] == f1
  assert task.score([QUERY], [spell([(0, 2)], 'LOC')], {})['micro']['f1'] == 0
  # The same words of another example are other words.
  assert task.score([QUERY, QUERY], [[], spell([(0, 2)], 'PER')], {})['micro'][
    'f1'
  ] == pytest.approx(2 / 3)


def test_queries_may_claim_the_same_words(make_task):
  # As published: predictions of different queries are not reconciled.
  found = [[*spell([(0, 2)], 'PER'), *spell([(0, 2)], 'LOC')]]
  scores = make_task().score([SENTENCE], found, {})
  assert scores['micro']['precision'] == 0.5


def test_threshold(make_task):
  task = make_task()
  found = [[Found('PER', {0: 0.35, 3: 0.25}, {1: 0.35}, None)]]
  assert task.score([QUERY], found, {})['micro']['f1'] == 0
  tuned = task.tune([QUERY], found)
  assert tuned == {'threshold': 0.3}
  scores = task.score([QUERY], found, tuned)
  assert scores['micro']['f1'] == 1 and scores['micro']['threshold'] == 0.3
  assert scores['micro, threshold 0.5']['f1'] == 0
  assert task.tune([QUERY], [[]]) == {'threshold': 0.5}


def test_written_predictions(make_task, tmp_path):
  found = [spell([(0, 1)], 'PER')] * 2
  make_task().write(tmp_path / 'dev', [SENTENCE, QUERY], found, {})
  lines = (tmp_path / 'dev.jsonl').read_text().splitlines()
  sentence, query = map(json.loads, lines)
  assert sentence == {
    'tokens': SENTENCE.tokens,
    'gold': [['PER', 0, 2], ['LOC', 3, 5]],
    'predicted': [['PER', 0, 1]],
  }
  assert query['id'] == '1.PER' and query['gold'] == [['PER', 0, 2]]


# On the device.


def make_batch(task, features, length):
  batch = {
    name: np.full((len(features), length), fill, np.int32)
    for name, fill in task.fill.items()
  }
  for row, feature in enumerate(features):
    for name in task.fill:
      batch[name][row, : len(feature[name])] = feature[name]
  return batch


def random_logits(seed, batch, length, match):
  rng = np.random.default_rng(seed)

  def draw(*shape):
    return jnp.asarray(rng.normal(size=shape), jnp.float32)

  return QuerySpanLogits(
    draw(batch, length),
    draw(batch, length),
    draw(batch, length, length) if match else None,
  )


@pytest.mark.parametrize('name', ['cross_entropy', 'self_adjusting_dice'])
@pytest.mark.parametrize('match', [False, True])
def test_only_words_count(make_task, name, match):
  task = make_task(match=match)
  features = task.features([SENTENCE])
  batch = make_batch(task, features, 16)
  objective = task.objective(losses.get_loss(name, sigmoid=True))
  logits = random_logits(0, 2, 16, match)
  evaluate = jax.jit(jax.value_and_grad(first_value(objective)))
  value, gradient = evaluate(logits, batch)
  word = batch['words'] >= 0
  # Outputs outside words, and more padding, must not change anything.
  poisoned = logits._replace(
    start=jnp.where(word, logits.start, jnp.nan),
    end=jnp.where(word, logits.end, jnp.nan),
  )
  if match:
    pair = word[:, :, None] & word[:, None]
    poisoned = poisoned._replace(match=jnp.where(pair, logits.match, jnp.nan))
  again, same = evaluate(poisoned, batch)
  np.testing.assert_allclose(again, value, rtol=1e-6)
  for name in ('start', 'end'):
    one, two = getattr(gradient, name), getattr(same, name)
    np.testing.assert_allclose(one, two, rtol=1e-6)
    np.testing.assert_array_equal(one != 0, word)
  padded = make_batch(task, features, 24)
  longer = jax.tree.map(
    lambda x: jnp.pad(x, [(0, 0)] + [(0, 8)] * (x.ndim - 1)), logits
  )
  np.testing.assert_allclose(
    jax.jit(first_value(objective))(longer, padded), value, rtol=1e-6
  )


def test_an_empty_row_counts_nothing(make_task):
  task = make_task(match=True)
  batch = make_batch(task, task.features([SENTENCE]), 16)
  objective = jax.jit(
    first_value(task.objective(losses.get_loss('cross_entropy', sigmoid=True)))
  )
  logits = random_logits(1, 3, 16, True)
  two = jax.tree.map(lambda x: x[:2], logits)
  empty = {
    name: np.pad(x, ((0, 1), (0, 0)), constant_values=task.fill[name])
    for name, x in batch.items()
  }
  np.testing.assert_allclose(
    objective(logits, empty), objective(two, batch), rtol=1e-6
  )


def test_objective_by_hand(make_task):
  task = make_task(match=True, nested=True, start_weight=0.5, match_weight=3.0)
  (feature,) = features = task.features([NESTED])
  batch = make_batch(task, features, 13)
  logits = random_logits(2, 1, 13, True)
  x = jax.tree.map(lambda x: np.asarray(x[0], np.float64), logits)

  def bce(x, y):
    return np.log1p(np.exp(-x if y else x))

  words = {w: i for i, w in enumerate(feature['words'].tolist()) if w >= 0}
  spans = {(words[s], words[e - 1]) for s, e in NESTED.spans}
  starts, ends = {i for i, _ in spans}, {j for _, j in spans}
  start = [bce(x.start[i], i in starts) for i in words.values()]
  end = [bce(x.end[j], j in ends) for j in words.values()]
  pairs = [
    bce(x.match[i, j], (i, j) in spans)
    for i, j in itertools.product(words.values(), repeat=2)
    if i <= j and (i in starts or x.start[i] > 0 or j in ends or x.end[j] > 0)
  ]
  assert 3 < len(pairs) < 21
  expected = 0.5 * np.mean(start) + np.mean(end) + 3 * np.mean(pairs)
  objective = jax.jit(
    first_value(task.objective(losses.get_loss('cross_entropy', sigmoid=True)))
  )
  np.testing.assert_allclose(objective(logits, batch), expected, rtol=1e-5)


def test_flat_objective_is_the_loss_of_each_head(make_task):
  task = make_task(end_weight=0.25)
  batch = make_batch(task, task.features([SENTENCE]), 13)
  logits = random_logits(3, 2, 13, False)
  config = losses.get_loss('self_adjusting_dice', sigmoid=True)
  word = batch['words'] >= 0
  loss = make_loss(config)
  expected = first_value(loss)(logits.start, batch['starts'] == 1, word)
  expected += 0.25 * first_value(loss)(logits.end, batch['ends'] == 1, word)
  got = jax.jit(first_value(task.objective(config)))(logits, batch)
  np.testing.assert_allclose(got, expected, rtol=1e-6)


def test_answers_become_spans(make_task):
  task = make_task(match=True, nested=True)
  features = task.features([NESTED, QUERY])
  batch = make_batch(task, features, 16)
  # Right where it matters; everything else, also padding, claims a span.
  start = np.where(batch['starts'] == 0, -9.0, 9.0)
  end = np.where(batch['ends'] == 0, -9.0, 9.0)
  match = np.full((2, 16, 16), 9.0)
  match[0, 4, 9] = -9.0  # A start and an end that do not belong together.
  match[0, 5, 9] = -9.0
  match[0, 8, 5] = 9.0
  logits = jax.tree.map(jnp.float32, QuerySpanLogits(start, end, match))
  answer = jax.tree.map(np.asarray, jax.jit(task.postprocess)(logits, batch))
  assert answer['pair'].shape == answer['match'].shape == (2, 16)
  answers = [{k: v[row] for k, v in answer.items()} for row in range(2)]
  found = task.decode([NESTED, QUERY], features, answers)
  assert find_spans(found[0][0], 0.5, nested=True) == NESTED.spans
  assert find_spans(found[1][0], 0.5) == QUERY.spans


def test_the_model_fits_the_task(make_task):
  encoder = BertConfig(
    vocab_size=len(VOCABULARY), hidden_size=8, num_hidden_layers=1,
    num_attention_heads=2, intermediate_size=8,
  )  # fmt: skip
  task = make_task(match=True)
  features = task.features([SENTENCE])
  batch = make_batch(task, features, 16)
  model = task.model(encoder, 'float32')
  mask = batch['words'] >= 0
  inputs = batch['tokens'], batch['segments'], mask

  @jax.jit
  def outputs():
    logits, _ = model.init_with_output(jax.random.key(0), *inputs)
    loss = first_value(objective)(logits, batch)
    return loss, task.postprocess(logits, batch)

  objective = task.objective(losses.get_loss('dice_alone', sigmoid=True))
  loss, answer = outputs()
  assert 0 < loss < 2.2  # Weights of 1, 1 and 0.1.
  answers = [{k: np.asarray(v[i]) for k, v in answer.items()} for i in (0, 1)]
  assert len(task.decode([SENTENCE], features, answers)) == 1


# Wordings that come with the repository.


@pytest.mark.parametrize(
  'name, types',
  [
    ('conll2003', 'LOC MISC ORG PER'),
    (
      'ontonotes5',
      'CARDINAL DATE EVENT FAC GPE LANGUAGE LAW LOC MONEY NORP ORDINAL ORG '
      'PERCENT PERSON PRODUCT QUANTITY TIME WORK_OF_ART',
    ),
    ('msra', 'LOC ORG PER'),
    ('ontonotes4', 'GPE LOC ORG PER'),
    ('wnut17', 'corporation creative-work group location person product'),
  ],
)
def test_wordings(name, types):
  root = pathlib.Path(__file__).parents[1]
  text = (root / f'configs/ner/queries/{name}.json').read_text('utf-8')
  queries = json.loads(text)
  assert ' '.join(queries) == types
  assert len(set(queries.values())) == len(queries)
