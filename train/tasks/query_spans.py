"""Entities as answers to queries, one a type: BERT-MRC.

The input is [CLS] query [SEP] sentence [SEP]. Each word of the sentence may be
the first and may be the last of an entity, independently; a third head may say
which first belongs to which last.

References:
  Li et al., `A Unified MRC Framework for Named Entity Recognition
  <https://arxiv.org/abs/1910.11476>`_, 2020.
"""

import itertools
import json
from collections.abc import Iterator
from collections.abc import Mapping
from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import tokenizers

from dicejax import metrics
from dicejax.models import BertConfig
from dicejax.models import QuerySpanTagger
from train.data import mrc_ner
from train.data.conll import Sentence
from train.data.mrc_ner import Query
from train.data.tokenizer import first_sub_words
from train.data.tokenizer import mark_words
from train.data.tokenizer import padding_id
from train.objective import Objective
from train.objective import make_loss
from train.tasks.query_decoding import THRESHOLDS
from train.tasks.query_decoding import Found
from train.tasks.query_decoding import find_spans
from train.tasks.query_decoding import read_answer
from train.tasks.query_decoding import span_score
from train.tasks.task import PRF

_HALF = 'micro, threshold 0.5'


class _Frame(NamedTuple):
  """A query with special tokens: what stands before and after a sentence.

  Attributes:
    before: int32 `[3, n]`, sub-words, segments and words, which are -1.
    after: likewise.
    segment: of the sentence.
  """

  before: np.ndarray
  after: np.ndarray
  segment: int


class QuerySpans:
  """The task for one tokenizer and one set of entity types.

  Examples are `Query`, asked with their own wording, or `Sentence`, asked for
  each of the labels with the query that `get_labels` has for it.

  A word stands at its first sub-word, both as the first and as the last of an
  entity. All else (other sub-words, the query, padding) does not count. Nothing
  is found at words that `max_length` cuts off: their entities are missed.
  """

  headline = 'micro', 'f1'
  decision_rows = 'micro', _HALF

  def __init__(
    self, config, tokenizer: tokenizers.Tokenizer, labels: Mapping[str, str]
  ):
    self._settings = settings = config.query_spans
    if settings.nested and not settings.match:
      raise ValueError('query_spans.nested needs query_spans.match.')
    self._queries = dict(labels)
    self.labels = tuple(labels)
    self.selectable = dict.fromkeys(
      (*self.labels, 'micro', 'macro', _HALF), PRF
    )
    self.fill = {
      'tokens': padding_id(tokenizer),
      'segments': 0,
      'words': -1,
      'starts': -1,
      'ends': -1,
    }
    if settings.match:
      self.fill |= {'pair_start': -1, 'pair_end': -1}
    mark_words(tokenizer)
    self._tokenizer = tokenizer
    self._max_length = config.max_length

  def model(self, encoder: BertConfig, dtype: str) -> QuerySpanTagger:
    return QuerySpanTagger(encoder, self._settings.match, dtype)

  background = True
  has_prior = True

  def targets(self, feature) -> np.ndarray:
    """Whether a span starts at the words, 1 or 0."""
    return feature['starts'][feature['starts'] >= 0]

  def objective(self, loss, axis_name=None, class_counts=None):
    """The weighted sum of the losses of the heads, each over the batch.

    Each head has running counts of its own.

    Of the pairs, those count whose first word is a start or whose last is an
    end, true or predicted: others are never asked for. (The published code
    draws others at random besides, half of all.)
    """
    if loss.activation != 'sigmoid':
      raise ValueError(
        "query_spans needs loss.activation='sigmoid', which the presets of "
        f'get_loss(..., sigmoid=True) have, not {loss.activation!r}.'
      )
    loss = make_loss(loss, axis_name=axis_name, class_counts=class_counts)
    settings = self._settings
    weights = {'start': settings.start_weight, 'end': settings.end_weight}
    if settings.match:
      weights['match'] = settings.match_weight

    def labels_of(batch):
      labels = {'start': batch['starts'], 'end': batch['ends']}
      if settings.match:
        labels['match'] = _gold_pairs(batch)
      return labels

    def init(logits, batch):
      labels = labels_of(batch)
      return {n: loss.init(getattr(logits, n), labels[n]) for n in weights}

    def update(logits, batch, running):
      labels, counts, total = labels_of(batch), {}, 0.0
      start, end = labels['start'], labels['end']
      where = {'start': start >= 0, 'end': end >= 0}
      if settings.match:
        candidates = (start >= 0)[:, :, None] & (end >= 0)[:, None]
        candidates &= ((start > 0) | (logits.start > 0))[:, :, None] | (
          (end > 0) | (logits.end > 0)
        )[:, None]
        where['match'] = _upper(candidates)
      for name, weight in weights.items():
        value, counts[name] = loss.update(
          getattr(logits, name), labels[name], where[name], running[name]
        )
        total += weight * value
      return total, counts

    return Objective(init, update, loss.description)

  def postprocess(self, logits, batch) -> dict[str, jax.Array]:
    """Probabilities; of pairs, the most likely `length` that may be spans.

    Returns:
      `start` and `end`, float `[batch, length]`. With the match head also
      `pair`, int `[batch, length]`, row * length + column, and `match`, its
      probability, 0 where there is no more pair.
    """
    start, end = jax.nn.sigmoid(logits.start), jax.nn.sigmoid(logits.end)
    if logits.match is None:
      return {'start': start, 'end': end}
    lowest, word = THRESHOLDS[0], batch['words'] >= 0
    first, last = word & (start > lowest), word & (end > lowest)
    pairs = _upper(first[:, :, None] & last[:, None])
    match = jnp.where(pairs, jax.nn.sigmoid(logits.match), 0.0)
    score = match * start[:, :, None] * end[:, None]
    flat = (len(score), -1)
    _, pair = jax.lax.top_k(score.reshape(flat), score.shape[1])
    match = jnp.take_along_axis(match.reshape(flat), pair, axis=1)
    return {'start': start, 'end': end, 'pair': pair, 'match': match}

  def features(
    self, examples: Sequence[Query | Sentence]
  ) -> list[dict[str, np.ndarray]]:
    """Features of a row for each query of each example, in this order.

    Returns:
      int32 `[sub-words]` each: `tokens`, `segments`; `words`, the word that a
      first sub-word begins, else -1; `starts` and `ends`, 1 or 0 at words, else
      -1, also at the first word of an entity whose last one is cut off. For
      the match head `pair_start` and `pair_end`, which end with -1s: where the
      entities start and end. Of no axis: `example`, its number.

    Raises:
      ValueError: a query that is too long; entities of one type that overlap,
        unless they are `nested`.
    """
    self._tokenizer.no_truncation()  # Another task may share the tokenizer.
    contexts, frames = self._contexts(examples), {}
    features = []
    for number, example in enumerate(examples):
      context = contexts[tuple(example.tokens)]
      for type_, query, spans in self._rows(example):
        if query not in frames:
          frames[query] = self._frame(type_, query)
        try:
          if not self._settings.nested:
            _check_flat(spans)
          feature = self._feature(frames[query], context, spans)
        except ValueError as error:
          raise ValueError(f'{_name(example)}, {type_}: {error}') from None
        features.append(feature | {'example': np.int32(number)})
    return features

  def _rows(self, example) -> Iterator[tuple[str, str, list[tuple[int, int]]]]:
    """Type, query and true spans of each row of an example."""
    if isinstance(example, Query):
      yield example.type, example.query, example.spans
      return
    gold = _gold(example)
    for type_, query in self._queries.items():
      yield type_, query, [(s.start, s.end) for s in gold if s.type == type_]

  def _contexts(self, examples) -> dict[tuple[str, ...], np.ndarray]:
    """Sub-words, 0 and words of each sentence, however often it is asked."""
    sentences = list({tuple(example.tokens): None for example in examples})
    encodings = self._tokenizer.encode_batch(
      sentences, is_pretokenized=True, add_special_tokens=False
    )
    return {
      sentence: np.array(
        [e.ids, [0] * len(e.ids), first_sub_words(e.word_ids)], np.int32
      )
      for sentence, e in zip(sentences, encodings, strict=True)
    }

  def _frame(self, type_, query) -> _Frame:
    encoding = self._tokenizer.encode(query, add_special_tokens=False)
    n = len(encoding.ids)
    if not n:
      raise ValueError(f'The query of {type_!r} has no sub-word: {query!r}.')
    # The sentence's place is where the tokenizer puts a second text.
    pair = self._tokenizer.post_process(encoding, encoding)
    if len(pair.ids) - n >= self._max_length:
      raise ValueError(
        f'The query of {type_!r} has {n} sub-words: within '
        f'max_length={self._max_length} no sentence has room beside it.'
      )
    place = pair.sequence_ids.index(1)
    rows = np.array([pair.ids, pair.type_ids, [-1] * len(pair.ids)], np.int32)
    return _Frame(rows[:, :place], rows[:, place + n :], pair.type_ids[place])

  def _feature(self, frame, context, spans) -> dict[str, np.ndarray]:
    room = self._max_length - frame.before.shape[1] - frame.after.shape[1]
    kept = context[:, :room].copy()
    kept[1] = frame.segment
    tokens, segments, words = np.concatenate(
      [frame.before, kept, frame.after], axis=1
    )
    feature = {'tokens': tokens, 'segments': segments, 'words': words}
    return feature | self._labels(words, _positions(words, spans))

  def _labels(self, words, pairs) -> dict[str, np.ndarray]:
    starts = np.where(words >= 0, 0, -1).astype(np.int32)
    ends = starts.copy() if pairs else starts  # Most rows have no entity.
    whole = [pair for pair in pairs if None not in pair]
    # First what is cut: a word may be the start of another span, too.
    for start, end in [pair for pair in pairs if None in pair] + whole:
      if start is not None:
        starts[start] = -1 if end is None else 1
      if end is not None:
        ends[end] = -1 if start is None else 1
    labels = {'starts': starts, 'ends': ends}
    if self._settings.match:
      if len(whole) > len(words):
        raise ValueError(
          f'expected at most {len(words)} spans, as many as sub-words, found '
          f'{len(whole)}.'
        )
      both = np.full((2, len(words)), -1, np.int32)
      both[:, : len(whole)] = np.array(whole, np.int32).reshape(-1, 2).T
      labels |= {'pair_start': both[0], 'pair_end': both[1]}
    return labels

  def notes(self, examples, features) -> list[str]:
    rows = [(e, spans) for e in examples for *_, spans in self._rows(e)]
    words = sum(len(example.tokens) for example, _ in rows)
    unseen = words - sum(int((f['words'] >= 0).sum()) for f in features)
    spans = sum(len(spans) for _, spans in rows)
    name, least = ('pair_start', 0) if self._settings.match else ('starts', 1)
    cut = spans - sum(int((f[name] >= least).sum()) for f in features)
    unknown = [
      span.type
      for example in examples
      if isinstance(example, Sentence)
      for span in _gold(example)
      if span.type not in self.labels
    ]
    said = {
      f'{len(features)} inputs: each of {len(examples)} sentences with '
      f'{len(self.labels)} queries.': len(features) > len(examples),
      f'{unseen} of {words} words (of all inputs) have no sub-word, or none '
      f'within max_length={self._max_length}: nothing is found there.': unseen,
      f'{cut} of {spans} spans begin or end at such words: they count as '
      'missed.': cut,
      f'{len(unknown)} spans are of types that the training split lacks, '
      f'{sorted(set(unknown))}: they count as missed.': unknown,
    }
    return [sentence for sentence, is_so in said.items() if is_so]

  def decode(self, examples, features, answers) -> list[list[Found]]:
    """What the queries of each example find, those that find nothing left out.

    Which spans these are depends on a threshold: see `find_spans`.
    """
    predictions = [[] for _ in examples]
    rows = (
      (prediction, type_)
      for example, prediction in zip(examples, predictions, strict=True)
      for type_, *_ in self._rows(example)
    )
    for (prediction, type_), feature, answer in zip(
      rows, features, answers, strict=True
    ):
      found = read_answer(type_, feature['words'], answer)
      if found.start:
        prediction.append(found)
    return predictions

  def tune(self, examples, predictions) -> dict[str, float]:
    """The threshold of all probabilities with the best micro F1."""
    f1 = {
      threshold: self._score(examples, predictions, threshold)['micro']['f1']
      for threshold in THRESHOLDS
    }
    best = max(THRESHOLDS, key=lambda t: (f1[t], -abs(t - 0.5)))
    return {'threshold': best}

  def decisions(
    self, tuned: Mapping[str, float]
  ) -> dict[str, Mapping[str, float]]:
    """Rules, and the threshold of all probabilities."""
    return {'argmax': {'threshold': 0.5}} | ({'tuned': tuned} if tuned else {})

  def score(self, examples, predictions, tuned):
    """Scores of spans in words, summed over the queries.

    Returns:
      A row for each type of the labels or of a true span, `micro` and `macro`;
      with a tuned threshold also `micro, threshold 0.5`, as published.
    """
    published = self._score(examples, predictions, 0.5)
    if 'threshold' not in tuned:
      return published
    scores = self._score(examples, predictions, tuned['threshold'])
    scores['micro'] |= tuned
    return {**scores, _HALF: published['micro']}

  def _score(self, examples, predictions, threshold):
    gold = _number_through(examples, map(_gold, examples))
    found = _number_through(
      examples, (self._spans(p, threshold) for p in predictions)
    )
    types = sorted({span.type for span in gold | found}.union(self.labels))
    return metrics.class_scores(metrics.span_counts(gold, found, types), types)

  def entities(
    self, prediction: Sequence[Found], parameters: Mapping[str, float]
  ) -> list[tuple[metrics.Span, float]]:
    """The entities of an example, each with its probability."""
    threshold, nested = parameters['threshold'], self._settings.nested
    return [
      (metrics.Span(found.type, start, end), span_score(found, start, end))
      for found in prediction
      for start, end in find_spans(found, threshold, nested=nested)
    ]

  def _spans(self, prediction, threshold) -> list[metrics.Span]:
    found = self.entities(prediction, {'threshold': threshold})
    return [span for span, _ in found]

  def write(self, path, examples, predictions, tuned) -> None:
    """Writes a JSON object a line: words, true and predicted spans."""
    with path.with_suffix('.jsonl').open('w', encoding='utf-8') as file:
      for example, prediction in zip(examples, predictions, strict=True):
        row = {
          'tokens': example.tokens,
          'gold': _gold(example),
          'predicted': self._spans(prediction, tuned.get('threshold', 0.5)),
        }
        if isinstance(example, Query):
          row = {'id': example.id, **row}
        file.write(json.dumps(row, ensure_ascii=False) + '\n')


def get_labels(config, examples: Sequence[Query | Sentence]) -> dict[str, str]:
  """The types of entities, in order, and the query for each.

  Queries are those of the examples or, for data with tags, of the file
  `query_spans.queries`.
  """
  path = config.query_spans.queries
  queries = {e.type: e.query for e in examples if isinstance(e, Query)}
  types = {span.type for example in examples for span in _gold(example)}
  if not types:
    raise ValueError('The training split has no entity: is the column right?')
  if queries and path:
    raise ValueError(
      'query_spans.queries is for data with tags: MRC-NER files have their own.'
    )
  if not queries:
    if not path:
      raise ValueError(
        'query_spans.queries: expected a file of queries for data with tags.'
      )
    wordings = mrc_ner.read_wordings(path)
    if missing := sorted(types - wordings.keys()):
      raise ValueError(f'{path}: expected a query for {missing}, too.')
    queries = {type_: wordings[type_] for type_ in types}
  return dict(sorted(queries.items()))


def _positions(words, spans) -> list[tuple[int | None, int | None]]:
  """Where the first and the last words of spans are; None: cut off."""
  if not spans:
    return []
  place = {word: i for i, word in enumerate(words.tolist()) if word >= 0}
  return [(place.get(start), place.get(end - 1)) for start, end in spans]


def _check_flat(spans) -> None:
  for one, other in itertools.pairwise(sorted(spans)):
    if other[0] < one[1]:
      raise ValueError(
        f'spans {one} and {other} overlap, which takes query_spans.nested and '
        'query_spans.match.'
      )


def _name(example) -> str:
  if isinstance(example, Query):
    return f'item {example.id!r}'
  return f'sentence at line {example.line}'


def _gold(example) -> list[metrics.Span]:
  if isinstance(example, Query):
    return [metrics.Span(example.type, *span) for span in example.spans]
  return metrics.entity_spans(example.tags, 'bio')


def _number_through(examples, spans) -> set[metrics.Span]:
  """Spans of a corpus, whose words are numbered on from example to example."""
  lengths = itertools.accumulate((len(e.tokens) for e in examples), initial=0)
  return {
    metrics.Span(span.type, first + span.start, first + span.end)
    for first, found in zip(lengths, spans, strict=False)
    for span in found
  }


def _upper(pairs: jax.Array) -> jax.Array:
  """Those of `[batch, row, column]` whose column is not before their row."""
  return pairs & jnp.triu(jnp.ones(pairs.shape[1:], bool))[None]


def _gold_pairs(batch) -> jax.Array:
  """The pairs of a batch as bool `[batch, length, length]`."""
  length = batch['tokens'].shape[1]

  def scatter(start, end):
    # -1 would be the last position: what is out of range is dropped.
    start = jnp.where(start < 0, length, start)
    pairs = jnp.zeros((length, length), bool)
    return pairs.at[start, end].set(True, mode='drop')

  return jax.vmap(scatter)(batch['pair_start'], batch['pair_end'])
