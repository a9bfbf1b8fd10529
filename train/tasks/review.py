"""Mistakes of a task: which labels it confuses, and its worst mistakes."""

import collections
import itertools
from collections.abc import Callable
from collections.abc import Iterable
from collections.abc import Mapping
from collections.abc import Sequence
from typing import Any
from typing import NamedTuple

from dicejax import metrics
from train.data.fields import Text
from train.tasks.classification import Classification
from train.tasks.multi_label import MultiLabel
from train.tasks.span_qa import SpanQa
from train.tasks.tagging import Tagging

# Kinds of the parts of a text.
PLAIN, TRUE, FOUND, BOTH = 'plain', 'true', 'found', 'both'
_MOST = 20  # Mistakes that are kept.
_AROUND = 160  # Characters of a context that are shown around an answer.


class Mistake(NamedTuple):
  """A wrong prediction.

  Attributes:
    where: names the example, such as `line 17`.
    parts: the text in parts, each with its kind.
    true: what is right; '' for nothing.
    found: what was predicted; '' for nothing.
    sure: how sure the model was, from 0 to 1; None if that has no measure.
  """

  where: str
  parts: list[tuple[str, str]]
  true: str
  found: str
  sure: float | None


class Review(NamedTuple):
  """Mistakes of a task on a split.

  Attributes:
    labels: names of the labels; empty without a table of confusions.
    confusion: how often each label (row) was predicted as each (column).
    unit: what is counted, such as `texts`.
    mistakes: the worst mistakes, of each predicted label in turn: those of
      which the model was surest.
    number: the number of all mistakes.
  """

  labels: list[str]
  confusion: list[list[int]]
  unit: str
  mistakes: list[Mistake]
  number: int


def review(
  task: Any,
  examples: Sequence[Any],
  predictions: Sequence[Any],
  parameters: Mapping[str, float],
) -> Review | None:
  """Reviews the predictions of a split; None if the task has no review.

  Args:
    task: the task.
    examples: examples with labels.
    predictions: a prediction for each.
    parameters: parameters of the rule that decides.
  """
  make = _REVIEWS.get(type(task))
  return make and make(task, examples, predictions, parameters)


def _review_texts(task, examples, predictions, parameters) -> Review | None:
  if not all(isinstance(example, Text) for example in examples):
    return None
  found = task.choose(predictions, parameters)
  mistakes = [
    Mistake(
      example.where,
      _texts(example.text, example.pair),
      example.label,
      label,
      p[task.labels.index(label)],
    )
    for example, label, p in zip(examples, found, predictions, strict=True)
    if label != example.label
  ]
  gold = [example.label for example in examples]
  return _make_review(
    task.labels, zip(gold, found, strict=True), 'texts', mistakes
  )


def _review_label_sets(task, examples, predictions, parameters) -> Review:
  mistakes = []
  found = task.choose(predictions, parameters)
  for example, labels, p in zip(examples, found, predictions, strict=True):
    wrong = {*labels} ^ {*example.labels}
    if not wrong:
      continue
    sure = [
      x if label in labels else 1 - x
      for label, x in zip(task.labels, p, strict=True)
      if label in wrong
    ]
    mistakes.append(
      Mistake(
        example.where,
        _texts(example.text, example.pair),
        ', '.join(example.labels),
        ', '.join(labels),
        max(sure, default=1.0),  # The training split may lack the label.
      )
    )
  return _make_review([], (), 'texts', mistakes)


def _review_tags(task, examples, predictions, parameters) -> Review | None:
  if not task.background:  # Parts of speech.
    return _review_words(task, examples, predictions, parameters)
  mistakes, pairs = [], collections.Counter()
  for example, prediction in zip(examples, predictions, strict=True):
    tags = task.tags(prediction, parameters)
    pairs.update(zip(map(_type, example.tags), map(_type, tags), strict=True))
    scores = dict(task.entities(prediction, parameters))
    mistakes += _compare_entities(example, prediction, scores)
  labels = ['O', *dict.fromkeys(map(_type, task.labels[1:]))]
  return _make_review(labels, pairs.elements(), 'words', mistakes)


def _review_words(task, examples, predictions, parameters) -> Review:
  pairs, mistakes = [], []
  for example, prediction in zip(examples, predictions, strict=True):
    tags = task.tags(prediction, parameters)
    pairs += zip(example.tags, tags, strict=True)
    for i, (true, found) in enumerate(zip(example.tags, tags, strict=True)):
      if true != found:
        parts = _mark_words(example.tokens, {i}, {i})
        sure = prediction.probabilities[i]
        mistakes.append(Mistake(example.where, parts, true, found, sure))
  return _make_review(task.labels, pairs, 'words', mistakes)


def _compare_entities(example, prediction, scores) -> Iterable[Mistake]:
  """Yields each wrong entity, with the true ones that it overlaps."""
  true = set(metrics.entity_spans(example.tags))
  missed = true - scores.keys()
  for span in scores.keys() - true:
    near = {t for t in missed if t.start < span.end and span.start < t.end}
    yield _entity_mistake(example, near, {span}, scores[span])
  overlapping = {
    t
    for t in missed
    if any(t.start < s.end and s.start < t.end for s in scores)
  }
  for span in missed - overlapping:
    sure = max(0.0, 1 - max(prediction.probabilities[span.start : span.end]))
    yield _entity_mistake(example, {span}, set(), sure)


def _entity_mistake(example, true, found, sure) -> Mistake:
  def cover(spans):
    return {i for span in spans for i in range(span.start, span.end)}

  def name(spans):
    return ', '.join(sorted(span.type for span in spans))

  parts = _mark_words(example.tokens, cover(true), cover(found))
  return Mistake(example.where, parts, name(true), name(found), sure)


def _mark_words(words, true, found) -> list[tuple[str, str]]:
  kinds = {(0, 0): PLAIN, (1, 0): TRUE, (0, 1): FOUND, (1, 1): BOTH}
  parts = []
  for i, word in enumerate(words):
    kind = kinds[i in true, i in found]
    if parts and parts[-1][1] == kind:
      parts[-1] = (f'{parts[-1][0]} {word}', kind)
    else:
      parts.append((word, kind))
  return parts


def _review_answers(task, examples, predictions, parameters) -> Review:
  mistakes = []
  for example, prediction in zip(examples, predictions, strict=True):
    chosen = task.choose(prediction, parameters)
    texts = [candidate.text for candidate in chosen]
    if task.f1(example, texts) < 0.5:
      true = [' / '.join(a.text for a in answer) for answer in example.answers]
      parts = _texts(example.question, '') + _excerpt(example, chosen[0])
      mistakes.append(
        Mistake(
          example.where,
          parts,
          ' | '.join(dict.fromkeys(true)),
          ' / '.join(texts),
          None,
        )
      )
  return _make_review([], (), 'questions', mistakes)


def _texts(text: str, pair: str | None) -> list[tuple[str, str]]:
  first = (text if pair is None else f'{text}\n', PLAIN)
  return [first, (pair, PLAIN)] if pair else [first]


def _excerpt(example, chosen) -> list[tuple[str, str]]:
  """Returns the surroundings of the predicted answer, or of the true one."""
  start, end, kind = chosen.start, chosen.start + len(chosen.text), FOUND
  if not chosen.text and example.answers:
    answer = example.answers[0][0]
    start, end, kind = answer.start, answer.start + len(answer.text), TRUE
  if start < 0 or start == end:
    return []
  first = max(0, start - _AROUND)
  before = ('… ' if first else '') + example.context[first:start]
  after = example.context[end : end + _AROUND]
  after += ' …' if end + _AROUND < len(example.context) else ''
  return [(before, PLAIN), (example.context[start:end], kind), (after, PLAIN)]


def _type(tag: str) -> str:
  return tag if tag == 'O' else tag.partition('-')[2]


def _make_review(labels, pairs, unit, mistakes) -> Review:
  counts = collections.Counter(pairs)
  labels = list(labels)
  labels += sorted({label for pair in counts for label in pair} - {*labels})
  confusion = [[counts[row, column] for column in labels] for row in labels]
  mistakes = list(mistakes)
  return Review(labels, confusion, unit, _worst(mistakes), len(mistakes))


def _worst(mistakes) -> list[Mistake]:
  """Chooses mistakes of all kinds in turn, at most one of an example."""
  of_kind = collections.defaultdict(list)
  seen = set()
  for mistake in sorted(mistakes, key=lambda m: -(m.sure or 0.0)):
    if mistake.where not in seen:
      of_kind[mistake.found if mistake.sure is not None else ''].append(mistake)
    seen.add(mistake.where)
  turns = itertools.zip_longest(*of_kind.values())
  in_turn = itertools.chain.from_iterable(turns)
  return [*itertools.islice((m for m in in_turn if m), _MOST)]


_REVIEWS: dict[type, Callable[..., Review | None]] = {
  Classification: _review_texts,
  MultiLabel: _review_label_sets,
  Tagging: _review_tags,
  SpanQa: _review_answers,
}
