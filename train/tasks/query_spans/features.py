"""Features of query spans: `[CLS] query [SEP] sentence [SEP]` with labels."""

import itertools
from collections.abc import Mapping
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import tokenizers

from dicejax.text.tokenizer import first_sub_words
from train.data.conll import Sentence
from train.data.mrc_ner import Query
from train.tasks.query_spans.labels import ask
from train.tasks.task import Features


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
  """Makes an input per query of each example, in this order.

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
    -1, also at the first word of an entity whose last one is cut off. For the
    match head `pair_start` and `pair_end`, where the entities start and end,
    padded with -1. And 0-D: `example`, the number of the example.

  Raises:
    ValueError: a query is too long, or entities of one type overlap that are
      not `nested`.
  """
  contexts, frames = _encode_sentences(tokenizer, examples), {}
  features = []
  for number, example in enumerate(examples):
    context = contexts[tuple(example.tokens)]
    for type_, query, spans in ask(example, queries):
      if query not in frames:
        frames[query] = _make_frame(tokenizer, type_, query, max_length)
      feature = _join(frames[query], context, max_length)
      try:
        if not nested:
          _check_flat(spans)
        feature |= _label(feature['words'], spans, match)
      except ValueError as error:
        raise ValueError(f'{_name(example)}, {type_}: {error}') from None
      features.append(feature | {'example': np.int32(number)})
  return features


def _encode_sentences(tokenizer, examples) -> dict[tuple[str, ...], np.ndarray]:
  """Encodes each sentence once: sub-words, 0 and words, int32 `[3, n]`."""
  sentences = list({tuple(example.tokens): None for example in examples})
  encodings = tokenizer.encode_batch(
    sentences, is_pretokenized=True, add_special_tokens=False
  )
  return {
    sentence: np.array(
      [e.ids, [0] * len(e.ids), first_sub_words(e.word_ids)], np.int32
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


def _join(frame, context, max_length) -> dict[str, np.ndarray]:
  """Puts as much of a sentence as there is room for into a frame."""
  room = max_length - frame.before.shape[1] - frame.after.shape[1]
  kept = context[:, :room].copy()
  kept[1] = frame.segment
  rows = np.concatenate([frame.before, kept, frame.after], axis=1)
  return dict(zip(('tokens', 'segments', 'words'), rows, strict=True))


def _label(words, spans, match) -> dict[str, np.ndarray]:
  pairs = _positions(words, spans)
  starts = np.where(words >= 0, 0, -1).astype(np.int32)
  ends = starts.copy() if pairs else starts  # Most inputs have no entity.
  whole = [pair for pair in pairs if None not in pair]
  # Spans that are cut come first, so that a whole one with the same first word
  # overwrites their -1.
  for start, end in [pair for pair in pairs if None in pair] + whole:
    if start is not None:
      starts[start] = -1 if end is None else 1
    if end is not None:
      ends[end] = -1 if start is None else 1
  labels = {'starts': starts, 'ends': ends}
  if match:
    if len(whole) > len(words):
      raise ValueError(
        f'expected at most {len(words)} spans, as many as sub-words, found '
        f'{len(whole)}.'
      )
    both = np.full((2, len(words)), -1, np.int32)
    both[:, : len(whole)] = np.array(whole, np.int32).reshape(-1, 2).T
    labels |= {'pair_start': both[0], 'pair_end': both[1]}
  return labels


def _positions(words, spans) -> list[tuple[int | None, int | None]]:
  """Finds the first and last sub-words of spans; None if one is cut off."""
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
  return f'sentence at {example.where}'
