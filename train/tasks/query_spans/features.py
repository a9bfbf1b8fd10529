"""Features of query spans: `[CLS] query [SEP] sentence [SEP]` with labels."""

import itertools
from collections.abc import Iterator
from collections.abc import Mapping
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import tokenizers

from dicejax.text import overlap
from dicejax.text.tokenizer import first_sub_words
from train.data.conll import Sentence
from train.data.mrc_ner import Query
from train.tasks.query_spans.labels import ask
from train.tasks.task import Features


class _Context(NamedTuple):
  """A sentence in sub-words.

  Attributes:
    tokens: int32 `[n]`, their ids.
    words: int32 `[n]`, the word that a first sub-word begins, else -1.
    word_ids: the word of each.
  """

  tokens: np.ndarray
  words: np.ndarray
  word_ids: list[int | None]


class _Frame(NamedTuple):
  """A query with special tokens, split where the sentence goes.

  Attributes:
    before: int32 `[3, n]`, the sub-words before the sentence, their segments,
      and -1 for their words.
    after: likewise, after the sentence.
    segment: the segment of the sentence.
  """

  before: np.ndarray
  after: np.ndarray
  segment: int


def make_features(
  tokenizer: tokenizers.Tokenizer,
  examples: Sequence[Query | Sentence],
  queries: Mapping[str, str],
  *,
  max_length: int,
  match: bool,
  nested: bool,
) -> Features:
  """Makes the inputs of each query of each example, in this order.

  There is one for each, or windows that overlap of a sentence that is too long.

  Args:
    tokenizer: of BERT or RoBERTa, without truncation.
    examples: with or without true spans.
    queries: type → query, for sentences.
    max_length: largest number of sub-words of an input.
    match: whether there are labels for the match head.
    nested: whether entities of one type may overlap.

  Returns:
    int32 `[sub-words]` each: `tokens`, `segments`; `words`, the word that a
    first sub-word begins, else -1; `starts` and `ends`, 1 or 0 at words, else
    -1, also at the first word of an entity whose last one has no sub-word. For
    the match head `pair_start` and `pair_end`, where the entities start and
    end, padded with -1. For decoding `own`, as `words`, but -1 for a word that
    has more context in another window. And 0-D: `example` and `query`, the
    number of the example and of its query.

  Raises:
    ValueError: a query is too long, or entities of one type overlap that are
      not `nested`.
  """
  contexts, frames = _encode_sentences(tokenizer, examples), {}
  features = []
  for number, example in enumerate(examples):
    context = contexts[tuple(example.tokens)]
    seen = {*context.words.tolist()}
    for i, (type_, query, spans) in enumerate(ask(example, queries)):
      if query not in frames:
        frames[query] = _make_frame(tokenizer, type_, query, max_length)
      places = {'example': np.int32(number), 'query': np.int32(i)}
      try:
        if not nested:
          _check_flat(spans)
        for feature in _windows(frames[query], context, max_length):
          labels = _label(feature['words'], spans, seen, match)
          features.append(feature | labels | places)
      except ValueError as error:
        raise ValueError(f'{_name(example)}, {type_}: {error}') from None
  return features


def _encode_sentences(tokenizer, examples) -> dict[tuple[str, ...], _Context]:
  """Encodes each sentence once."""
  sentences = list({tuple(example.tokens): None for example in examples})
  encodings = tokenizer.encode_batch(
    sentences, is_pretokenized=True, add_special_tokens=False
  )
  return {
    sentence: _Context(
      np.array(e.ids, np.int32),
      np.array(first_sub_words(e.word_ids), np.int32),
      e.word_ids,
    )
    for sentence, e in zip(sentences, encodings, strict=True)
  }


def _make_frame(tokenizer, type_, query, max_length) -> _Frame:
  encoding = tokenizer.encode(query, add_special_tokens=False)
  n = len(encoding.ids)
  if not n:
    raise ValueError(f'The query of {type_!r} has no sub-word: {query!r}.')
  # The query twice, as a pair: the sentence goes where the second copy is.
  pair = tokenizer.post_process(encoding, encoding)
  if len(pair.ids) - n >= max_length:
    raise ValueError(
      f'The query of {type_!r} has {n} sub-words: within '
      f'max_length={max_length} no sentence has room beside it.'
    )
  place = pair.sequence_ids.index(1)
  rows = np.array([pair.ids, pair.type_ids, [-1] * len(pair.ids)], np.int32)
  return _Frame(rows[:, :place], rows[:, place + n :], pair.type_ids[place])


def _windows(
  frame: _Frame, context: _Context, max_length: int
) -> Iterator[dict[str, np.ndarray]]:
  """Puts a sentence, or windows of a long one, into a frame."""
  size = len(context.tokens)
  room = max_length - frame.before.shape[1] - frame.after.shape[1]
  spans, owners = [(0, size)], np.zeros(size, np.int32)
  if size > room:
    spans = overlap.split_evenly(size, room)
    owners = np.array(overlap.find_owners(context.word_ids, spans))
  for number, (start, end) in enumerate(spans):
    words = context.words[start:end]
    segments = np.full(end - start, frame.segment, np.int32)
    kept = np.stack([context.tokens[start:end], segments, words])
    rows = np.concatenate([frame.before, kept, frame.after], axis=1)
    own = rows[2]
    if len(spans) > 1:
      own = own.copy()
      place = slice(frame.before.shape[1], own.size - frame.after.shape[1])
      own[place] = np.where(owners[start:end] == number, words, -1)
    names = 'tokens', 'segments', 'words'
    yield dict(zip(names, rows, strict=True)) | {'own': own}


def _label(words, spans, seen, match) -> dict[str, np.ndarray]:
  """Labels a window; `seen` are the words of the sentence with a sub-word."""
  starts = np.where(words >= 0, 0, -1).astype(np.int32)
  ends = starts.copy() if spans else starts  # Most inputs have no entity.
  place = {word: i for i, word in enumerate(words.tolist() if spans else ())}
  pairs = []
  # Spans that are cut come first, so that a whole one with the same first word
  # overwrites their -1.
  for is_whole, first, last in sorted(
    (seen.issuperset((start, end - 1)), start, end - 1) for start, end in spans
  ):
    if first in place:
      starts[place[first]] = 1 if is_whole else -1
    if last in place:
      ends[place[last]] = 1 if is_whole else -1
    if first in place and last in place:
      pairs.append((place[first], place[last]))
  labels = {'starts': starts, 'ends': ends}
  if match:
    if len(pairs) > len(words):
      raise ValueError(
        f'expected at most {len(words)} spans, as many as sub-words, found '
        f'{len(pairs)}.'
      )
    both = np.full((2, len(words)), -1, np.int32)
    both[:, : len(pairs)] = np.array(pairs, np.int32).reshape(-1, 2).T
    labels |= {'pair_start': both[0], 'pair_end': both[1]}
  return labels


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
  return f'sentence at {example.where}'
