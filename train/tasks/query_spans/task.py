"""Entities as answers to queries, one query per type: BERT-MRC.

The input is [CLS] query [SEP] sentence [SEP]. Each word of the sentence may be
the first and may be the last of an entity, independently; a third head may say
which first word belongs to which last word.

References:
  Li et al., `A Unified MRC Framework for Named Entity Recognition
  <https://arxiv.org/abs/1910.11476>`_, 2020.
"""

import itertools
import json
import pathlib
from collections.abc import Iterable
from collections.abc import Mapping
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import tokenizers

from dicejax import metrics
from dicejax.models import EncoderConfig
from dicejax.models import QuerySpanTagger
from dicejax.text.tokenizer import copy_tokenizer
from dicejax.text.tokenizer import mark_words
from dicejax.text.tokenizer import padding_id
from dicejax.text.words import place_entities
from train.data.conll import Sentence
from train.data.mrc_ner import Query
from train.objective import Objective
from train.objective import make_loss
from train.tasks.query_spans import labels as label_names
from train.tasks.query_spans.decoding import THRESHOLDS
from train.tasks.query_spans.decoding import Found
from train.tasks.query_spans.decoding import find_spans
from train.tasks.query_spans.decoding import read_windows
from train.tasks.query_spans.decoding import span_score
from train.tasks.query_spans.features import make_features
from train.tasks.query_spans.labels import ask
from train.tasks.query_spans.labels import gold_spans
from train.tasks.query_spans.objective import make_objective
from train.tasks.query_spans.objective import upper
from train.tasks.task import PRF
from train.tasks.task import Features
from train.tasks.task import Scores

_HALF = 'micro, threshold 0.5'


class QuerySpans:
  """The task for one tokenizer and one set of entity types.

  Examples are `Query`, asked in its own wording, or `Sentence`, asked for each
  of the labels with the query that `get_labels` has for it.

  A word is represented by its first sub-word, both as the first and as the last
  word of an entity. Other sub-words, the query and padding do not count. A
  sentence that is longer than `max_length` is read in windows that overlap.
  """

  example_types = (Query, Sentence)
  headline = 'micro', 'f1'
  decision_rows: tuple[str, ...] = 'micro', _HALF
  has_prior = True
  background = True
  get_labels = staticmethod(label_names.get_labels)

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
    self._tokenizer = copy_tokenizer(tokenizer)
    mark_words(self._tokenizer)
    self._max_length = config.max_length

  def model(self, encoder: EncoderConfig, dtype: str) -> QuerySpanTagger:
    return QuerySpanTagger(encoder, self._settings.match, dtype)

  def objective(self, loss, axis_name=None, class_counts=None) -> Objective:
    """Builds the weighted sum of the losses of the heads: `make_objective`."""
    if loss.activation != 'sigmoid':
      raise ValueError(
        "query_spans needs loss.activation='sigmoid', which the presets of "
        f'get_loss(..., sigmoid=True) have, not {loss.activation!r}.'
      )
    settings = self._settings
    weights = {'start': settings.start_weight, 'end': settings.end_weight}
    if settings.match:
      weights['match'] = settings.match_weight
    loss = make_loss(loss, axis_name=axis_name, class_counts=class_counts)
    return make_objective(loss, weights)

  def targets(self, feature) -> np.ndarray:
    """Returns 1 for each word that starts a span, 0 for each other."""
    return feature['starts'][feature['starts'] >= 0]

  def features(self, examples: Sequence[Query | Sentence]) -> Features:
    """Makes an input per query of each example: see `make_features`."""
    return make_features(
      self._tokenizer,
      examples,
      self._queries,
      max_length=self._max_length,
      match=self._settings.match,
      nested=self._settings.nested,
    )

  def notes(self, examples, features) -> list[str]:
    rows = [
      (example, spans)
      for example in examples
      for *_, spans in ask(example, self._queries)
    ]
    words = sum(len(example.tokens) for example, _ in rows)
    unseen = words - sum(int((f['own'] >= 0).sum()) for f in features)
    spans = sum(len(spans) for _, spans in rows)
    cut = spans - _count_whole(features, self._settings.match)
    unknown = [
      span.type
      for example in examples
      if isinstance(example, Sentence)
      for span in gold_spans(example)
      if span.type not in self.labels
    ]
    notes = {
      f'{len(rows)} inputs: each of {len(examples)} sentences with '
      f'{len(self.labels)} queries.': len(rows) > len(examples),
      f'{len(features)} windows, as sentences are longer than '
      f'max_length={self._max_length}.': len(features) > len(rows),
      f'{unseen} of {words} words (of all inputs) have no sub-word: nothing is '
      'found there.': unseen,
      f'{cut} of {spans} spans begin or end at such words, or are longer than '
      'the overlap of windows: they count as missed.': cut,
      f'{len(unknown)} spans are of types that the training split lacks, '
      f'{sorted(set(unknown))}: they count as missed.': unknown,
    }
    return [note for note, applies in notes.items() if applies]

  def postprocess(self, logits, batch) -> dict[str, jax.Array]:
    """Returns probabilities, and the most likely pairs.

    Returns:
      `start` and `end`, float `[batch, length]`. With the match head also
      `pair`, int `[batch, length]`, row * length + column of the `length`
      likeliest pairs that may be spans, and `match`, their probability, 0 where
      there are no more pairs.
    """
    start, end = jax.nn.sigmoid(logits.start), jax.nn.sigmoid(logits.end)
    if logits.match is None:
      return {'start': start, 'end': end}
    lowest, word = THRESHOLDS[0], batch['words'] >= 0
    first, last = word & (start > lowest), word & (end > lowest)
    pairs = upper(first[:, :, None] & last[:, None])
    match = jnp.where(pairs, jax.nn.sigmoid(logits.match), 0.0)
    score = match * start[:, :, None] * end[:, None]
    flat = (len(score), -1)
    _, pair = jax.lax.top_k(score.reshape(flat), score.shape[1])
    match = jnp.take_along_axis(match.reshape(flat), pair, axis=1)
    return {'start': start, 'end': end, 'pair': pair, 'match': match}

  def decode(self, examples, features, outputs) -> list[list[Found]]:
    """Returns what the queries of each example find.

    Queries that find nothing are left out. Which spans the others find depends
    on a threshold: see `find_spans`.
    """
    predictions = [[] for _ in examples]
    types = [[t for t, *_ in ask(e, self._queries)] for e in examples]
    rows = zip(features, outputs, strict=True)
    for (example, query), windows in itertools.groupby(rows, _place):
      found = read_windows(types[example][query], windows)
      if found.start:
        predictions[example].append(found)
    return predictions

  def tune(self, examples, predictions) -> dict[str, float]:
    """Returns the threshold of all probabilities with the best micro F1."""
    f1 = {
      threshold: self._score(examples, predictions, threshold)['micro']['f1']
      for threshold in THRESHOLDS
    }
    best = max(THRESHOLDS, key=lambda t: (f1[t], -abs(t - 0.5)))
    return {'threshold': best}

  def decisions(
    self, tuned: Mapping[str, float]
  ) -> Mapping[str, Mapping[str, float]]:
    """Returns the rules, and the threshold of all probabilities."""
    return {'argmax': {'threshold': 0.5}} | ({'tuned': tuned} if tuned else {})

  def score(self, examples, predictions, tuned) -> Scores:
    """Scores spans in words, with counts summed over the queries.

    Returns:
      A row per type of the labels or of a true span, `micro` and `macro`; with
      a tuned threshold also `micro, threshold 0.5`, as published.
    """
    published = self._score(examples, predictions, 0.5)
    if 'threshold' not in tuned:
      return published
    scores = self._score(examples, predictions, tuned['threshold'])
    scores['micro'] |= tuned
    return {**scores, _HALF: published['micro']}

  def _score(self, examples, predictions, threshold) -> Scores:
    found = (self._spans(prediction, threshold) for prediction in predictions)
    gold = _number_through(examples, map(gold_spans, examples))
    found = _number_through(examples, found)
    types = sorted({span.type for span in gold | found}.union(self.labels))
    return metrics.class_scores(metrics.span_counts(gold, found, types), types)

  def entities(
    self, prediction: Sequence[Found], parameters: Mapping[str, float]
  ) -> list[tuple[metrics.Span, float]]:
    """Returns the entities of an example, each with its probability."""
    threshold, nested = parameters['threshold'], self._settings.nested
    return [
      (metrics.Span(found.type, start, end), span_score(found, start, end))
      for found in prediction
      for start, end in find_spans(found, threshold, nested=nested)
    ]

  def _spans(self, prediction, threshold) -> list[metrics.Span]:
    found = self.entities(prediction, {'threshold': threshold})
    return [span for span, _ in found]

  def write(self, path: pathlib.Path, examples, predictions, tuned) -> None:
    """Writes a JSON object per line: words, true and predicted spans."""
    threshold = tuned.get('threshold', 0.5)
    with path.with_suffix('.jsonl').open('w', encoding='utf-8') as file:
      for example, prediction in zip(examples, predictions, strict=True):
        row = {
          'tokens': example.tokens,
          'gold': gold_spans(example),
          'predicted': self._spans(prediction, threshold),
        }
        if isinstance(example, Query):
          row = {'id': example.id, **row}
        file.write(json.dumps(row, ensure_ascii=False) + '\n')

  def to_record(self, item, example, prediction, parameters) -> dict[str, Any]:
    """Returns the entities of a sentence."""
    found = self.entities(prediction, parameters)
    entities = place_entities(item.text, item.words, found)
    return {'text': item.text, 'entities': entities}


def _place(row) -> tuple[int, int]:
  """Returns the number of the example and of the query of a feature."""
  feature, _ = row
  return int(feature['example']), int(feature['query'])


def _count_whole(features, match: bool) -> int:
  """Counts the spans that can be found."""
  if not match:
    own = ((f['starts'] == 1) & (f['own'] >= 0) for f in features)
    return sum(int(starts.sum()) for starts in own)
  pairs = set()  # Each once, as windows overlap.
  for f in features:
    kept = f['pair_start'] >= 0
    ends = (f['words'][f[n][kept]].tolist() for n in ('pair_start', 'pair_end'))
    pairs.update((_place((f, None)), pair) for pair in zip(*ends, strict=True))
  return len(pairs)


def _number_through(
  examples: Sequence[Query | Sentence], spans: Iterable[list[metrics.Span]]
) -> set[metrics.Span]:
  """Returns spans of a corpus, with its words numbered on across examples."""
  lengths = itertools.accumulate((len(e.tokens) for e in examples), initial=0)
  return {
    metrics.Span(span.type, first + span.start, first + span.end)
    for first, found in zip(lengths, spans, strict=False)
    for span in found
  }
