"""Real questions there and back: SQuAD 1.1, 2.0 and QuoRef, dev."""

import collections
import operator
import os
import pathlib

import jax
import numpy as np
import pytest
import tokenizers

from configs.mrc import quoref
from configs.mrc import squad1
from configs.mrc import squad2
from dicejax.text import windows
from dicejax.text.batches import batches_in_order
from train.data import squad
from train.tasks.span_qa import SpanQa

_DATA = pathlib.Path(os.environ.get('DICEJAX_DATA', ''))
_MOVED = 'answer moved to the nearest place of its text'
_CASES = {
  'squad1': (squad1, 'squad/dev-v1.1.json'),
  'squad2': (squad2, 'squad/dev-v2.0.rebuilt.json'),
  'quoref': (quoref, 'quoref/quoref-dev-v0.1.json'),
}


def _read(name):
  config_file, path = _CASES[name]
  config = config_file.get_config()
  return config, list(
    squad.read_questions(_DATA / path, **config.data.squad.to_dict())
  )


@pytest.mark.parametrize(
  'name, questions, without_answer, with_several, moved',
  [
    ('squad1', 10_570, 0, 0, 0),
    ('squad2', 11_873, 5_945, 0, 0),
    # 47 offsets are too large by one, and three are further off.
    ('quoref', 2_418, 0, 221, 50),
  ],
)
def test_questions(name, questions, without_answer, with_several, moved):
  # Rajpurkar et al., 2016 and 2018; Dasigi et al., 2019.
  _, found = _read(name)
  assert len(found) == questions
  assert sum(not q.answers for q in found) == without_answer
  assert sum(len(s) > 1 for q in found for s in q.answers) == with_several
  notes = collections.Counter(note for q in found for note in q.notes)
  assert notes[_MOVED] == moved
  for question in found:
    for span in sum(question.answers, []):
      assert question.context.startswith(span.text, span.start)


@pytest.fixture(scope='module')
def tokenizer():
  """Splits into words, numbers and punctuation, at most six characters each."""
  pieces = tokenizers.Regex(r'\w{1,6}|[^\w\s]')
  tokenizer = tokenizers.Tokenizer(
    tokenizers.models.WordLevel({'[UNK]': 0, '[CLS]': 1, '[SEP]': 2}, '[UNK]')
  )
  tokenizer.pre_tokenizer = tokenizers.pre_tokenizers.Split(
    pieces, behavior='removed', invert=True
  )
  tokenizer.post_processor = tokenizers.processors.BertProcessing(
    ('[SEP]', 2), ('[CLS]', 1)
  )
  return tokenizer


def _decode_gold(task, questions, features, max_length):
  """Makes predictions from logits that are high where the labels are."""
  answers, answer = [None] * len(features), jax.jit(task.postprocess)
  for indices, batch in batches_in_order(
    features, task.fill, batch_size=64, max_length=max_length
  ):
    marks = np.stack([batch['starts'], batch['ends']], axis=-1)
    logits = np.where(marks, np.float32(9), np.float32(-9))
    found = jax.device_get(answer(logits, batch))
    for row, i in enumerate(indices):
      answers[i] = jax.tree.map(operator.itemgetter(row), found)
  return task.decode(questions, features, answers)


def _found(question, own, max_answer):
  """Whether the windows hold all of an answer, not more, and not too long."""
  spans = {int(i): (w, a, b) for w in own for i, a, b in w['spans']}
  wanted = windows.learnt_spans(question)
  return len(spans) == len(wanted) and all(
    windows.read_span(question.context, *spans[i]).text == span.text.strip()
    and spans[i][2] - spans[i][1] < max_answer
    for i, span in enumerate(wanted)
  )


@pytest.mark.parametrize(
  'name, activation, lost',
  [
    ('squad1', 'softmax', 61),
    ('squad2', 'sigmoid', 35),
    ('quoref', 'sigmoid', 2),
  ],
)
def test_gold_labels_give_all_points_but_for_what_is_lost(
  tokenizer, name, activation, lost
):
  config, questions = _read(name)
  config.loss.activation = activation
  task = SpanQa(config, tokenizer, ())
  features = task.features(questions)
  predictions = _decode_gold(task, questions, features, config.max_length)
  own = collections.defaultdict(list)
  for feature in features:
    own[int(feature['example'])].append(feature)
  missed = 0
  for i, (question, prediction) in enumerate(
    zip(questions, predictions, strict=True)
  ):
    scores = task.score([question], [prediction], {})['all']
    if (scores['exact'], scores['f1']) != (1, 1):
      assert not _found(question, own[i], config.span_qa.max_answer)
      missed += 1
  assert missed == lost
