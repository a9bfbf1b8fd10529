"""From a run to an export, and what `dicejax.load` and PyTorch make of it."""

import json
import math
import pathlib
import random
import shutil

import jax
import numpy as np
import pytest
from helpers import make_config

import dicejax
from configs import default
from configs import losses as presets
from configs.text import own_labels
from dicejax.models import FineTuned
from dicejax.text.inputs import Input
from dicejax.text.loading import in_bio
from train import exporting
from train import inference
from train import workdir as files
from train.data import unlabelled
from train.data.fields import Text
from train.trainer import Trainer

pytestmark = pytest.mark.usefixtures('one_device')
SENTENCES = 'We met Ann Bob in Rome .', 'Gus', '', 'We met Hal in Oslo .'


def shrink(config):
  config.model.scratch.update(
    hidden_size=32, num_hidden_layers=1, intermediate_size=64
  )
  config.optimizer.learning_rate = 1e-2
  config.update(batch_size=8, epochs=2, log_every=4, max_length=32)
  return config


def make_texts(tmp_path, *, pair, sigmoid=False, pooling='cls'):
  """Returns the config of a classifier that learns a word in seconds."""
  rng = random.Random(0)
  for split, size in {'train': 64, 'dev': 24}.items():
    rows = []
    for _ in range(size):
      label, word = rng.choice([('spam', 'win'), ('ham', 'home')])
      text = ' '.join(rng.choices('we go by car now'.split(), k=4))
      cells = [f'{word} {text}', text, label] if pair else [f'{word} {text}']
      rows.append('\t'.join(cells if pair else [*cells, label]))
    heading = 'text\tother\tlabel' if pair else 'text\tlabel'
    (tmp_path / f'{split}.tsv').write_text('\n'.join([heading, *rows]) + '\n')
  config = default.get_config()
  config.task, config.data.format = 'classification', 'tsv'
  config.data.dir, config.data.cache = str(tmp_path), str(tmp_path / 'cache')
  config.data.files = dict(train='train.tsv', dev='dev.tsv', test='')
  config.data.tsv.text = 'text'
  config.data.tsv.pair = 'other' if pair else ''
  config.classification.positive = 'spam'
  config.loss = presets.get_loss('cross_entropy', sigmoid=sigmoid)
  config.model.pooling = pooling
  return shrink(config)


def make_label_sets(tmp_path):
  """Returns the config of a classifier with several labels a text."""
  rng = random.Random(0)
  words = {'art': 'paint', 'law': 'court', 'sea': 'ship'}
  for split, size in {'train': 64, 'dev': 24}.items():
    rows = ['text,labels']
    for _ in range(size):
      labels = [label for label in words if rng.random() < 0.4]
      text = ' '.join(['we', *(words[label] for label in labels), 'go'])
      rows.append(f'{text},{";".join(labels)}')
    (tmp_path / f'{split}.csv').write_text('\n'.join(rows))
  config = own_labels.get_config('macro_dice')
  config.data.dir = str(tmp_path)
  config.data.files.test = ''
  return shrink(config)


def make_questions(tmp_path, *, sigmoid, unanswerable):
  rng, names = random.Random(0), 'Ann Bob Cyd Dan'.split()
  for split, size in {'train': 48, 'dev': 12}.items():
    paragraphs = []
    for i in range(size):
      name = rng.choice(names)
      context = f'In Rome and by car we met {name} now .'
      found = not (unanswerable and i % 4 == 0)
      answers = [{'text': name, 'answer_start': context.index(name)}]
      question = {
        'id': f'{split}{i}',
        'question': 'Who was met ?' if found else 'Who was left ?',
        'answers': answers if found else [],
        'is_impossible': not found,
      }
      paragraphs.append({'context': context, 'qas': [question]})
    text = json.dumps({'data': [{'title': split, 'paragraphs': paragraphs}]})
    (tmp_path / f'{split}.json').write_text(text)
  config = default.get_config()
  config.task, config.data.format = 'span_qa', 'squad'
  config.data.dir = str(tmp_path)
  config.data.files = dict(train='train.json', dev='dev.json', test='')
  config.loss = presets.get_loss('cross_entropy', sigmoid=sigmoid)
  config.span_qa.update(
    max_question=8, stride=4, unanswerable=unanswerable, n_best=5
  )
  return shrink(config)


QUESTIONS = [
  {
    'id': 'a',
    'question': 'Who was met ?',
    'context': 'Now we met Cyd in Rome .',
  },
  {
    'id': 'b',
    'question': 'Who was left ?',
    'context': 'We met Dan and Ann in Rome by car . ' * 4,
  },
]
CASES = {
  'tagging': (lambda path: make_config(path), SENTENCES),
  'texts': (
    lambda path: make_texts(path, pair=False),
    ['win we go', 'home by car now now', ''],
  ),
  'sigmoid': (
    lambda path: make_texts(path, pair=False, sigmoid=True),
    ['win we go', 'home by car now now'],
  ),
  'mean': (
    lambda path: make_texts(path, pair=False, pooling='mean'),
    ['win we go', 'home by car now now'],
  ),
  'pairs': (
    lambda path: make_texts(path, pair=True),
    [('win we go', 'by car'), ('home', 'we go')],
  ),
  'label sets': (make_label_sets, ['we paint go', 'we ship court go', '']),
  'answers': (
    lambda path: make_questions(path, sigmoid=False, unanswerable=False),
    QUESTIONS,
  ),
  'no answer': (
    lambda path: make_questions(path, sigmoid=True, unanswerable=True),
    QUESTIONS,
  ),
}


@pytest.fixture(
  scope='module',
  params=[
    case if case == 'tagging' else pytest.param(case, marks=pytest.mark.slow)
    for case in CASES
  ],
)
def trained(request, tmp_path_factory):
  """A finished run of each kind, its export, and inputs for it."""
  make, inputs = CASES[request.param]
  path = tmp_path_factory.mktemp('run')
  workdir, out = path / 'run', path / 'export'
  Trainer(make(path), workdir).train()
  exporting.write(inference.load_run(workdir), workdir, out)
  return workdir, out, list(inputs)


def predict(workdir, decoder, inputs):
  """Predicts as the program does, without a batch of another shape."""
  from train import tasks

  run = inference.load_run(workdir)
  items = [decoder.read(given) for given in inputs]
  rule, parameters = tasks.decide(run.task, run.tuned)
  types = run.task.example_types
  examples = [unlabelled.to_example(item, types) for item in items]
  features = run.task.features(examples)
  return [
    run.task.to_record(item, example, prediction, parameters)
    | {'decided_by': {'rule': rule, **parameters}}
    for item, example, prediction in zip(
      items, examples, run.predict(examples, features), strict=True
    )
  ]


def same(actual, expected):
  """Whether records are equal, numbers up to what a batch of 1 rounds."""
  assert jax.tree.structure(actual) == jax.tree.structure(expected)
  for x, y in zip(
    jax.tree.leaves(actual), jax.tree.leaves(expected), strict=True
  ):
    if isinstance(y, float):
      assert x == pytest.approx(y, abs=2e-6)
    else:
      assert x == y
  return True


def test_predicts_what_the_program_does(trained):
  workdir, out, inputs = trained
  model = dicejax.load(out)
  expected = predict(workdir, model.decoder, inputs)
  assert same(model(inputs), expected)
  assert same([model([given])[0] for given in inputs], expected)
  assert same(dicejax.load(workdir)(inputs), expected)


def test_an_export_says_how_it_decides(trained):
  workdir, out, _ = trained
  model, card = dicejax.load(out), (out / 'README.md').read_text('utf-8')
  rule, *parameters = model.decided_by.values()
  assert rule == ('argmax' if not parameters else 'tuned')
  for value in parameters:
    if isinstance(value, dict):
      assert 'threshold of each label' in repr(model)
    else:
      assert f'{value:g}' in repr(model)
    for number in jax.tree.leaves(value):
      assert f'{number:.6g}' in card
  scores = json.loads((workdir / files.RESULTS).read_text())['scores']['dev']
  first = next(iter(scores.values()))
  assert f'{100 * first["f1"]:.2f}' in card
  assert dicejax.load(out, decision='argmax').decided_by['rule'] == 'argmax'
  config = json.loads((out / 'config.json').read_text())
  is_ours = config['model_type'] == 'dicejax'
  assert ('which classifies the mean of all tokens.' in card) == is_ours
  assert ('library_name: "dicejax"' in card) == is_ours


def test_pytorch_computes_the_same(trained):
  """Tokens, segments and logits, by transformers' own tokenizer and classes."""
  torch = pytest.importorskip('torch')
  transformers = pytest.importorskip('transformers')
  _, out, inputs = trained
  model = dicejax.load(out)
  config = json.loads((out / 'config.json').read_text())
  if config['model_type'] == 'dicejax':
    with pytest.raises(ValueError, match='dicejax'):
      transformers.AutoConfig.from_pretrained(out)
    return
  tokenizer = transformers.AutoTokenizer.from_pretrained(out)
  kind = config['architectures'][0].removeprefix('Bert')
  theirs, info = getattr(transformers, f'AutoModel{kind}').from_pretrained(
    out, output_loading_info=True
  )
  assert not any(info.values())
  examples = [model.decoder.example(model.decoder.read(x)) for x in inputs]
  for example, feature in zip(
    examples, model.decoder.features(examples), strict=False
  ):
    if kind.endswith('Answering'):
      if len(feature['tokens']) == 32:  # The first of several windows.
        continue
      given = dict(text=example.question, text_pair=example.context)
    elif kind.endswith('TokenClassification'):
      given = dict(text=example, is_split_into_words=True)
    elif isinstance(example, tuple):
      given = dict(text=example[0], text_pair=example[1])
    else:
      given = dict(text=example)
    encoded = tokenizer(**given, return_tensors='pt')
    np.testing.assert_array_equal(encoded['input_ids'][0], feature['tokens'])
    if 'segments' in feature:
      np.testing.assert_array_equal(
        encoded['token_type_ids'][0], feature['segments']
      )
    with torch.no_grad():
      found = theirs(**encoded)
    expected = (
      torch.stack([found.start_logits, found.end_logits], -1)
      if kind.endswith('Answering')
      else found.logits
    )
    actual = model.model.apply(
      {'params': model.params},
      feature['tokens'][None],
      feature['segments'][None] if 'segments' in feature else None,
    )
    np.testing.assert_allclose(actual, expected, rtol=1e-5, atol=1e-5)


def test_a_finished_run_keeps_the_best_parameters_alone(trained):
  workdir, _, _ = trained
  (kept,) = (workdir / files.CHECKPOINTS).iterdir()
  assert {'params', 'meta'} <= {path.name for path in kept.iterdir()}
  assert not (kept / 'rest').exists()


def test_parameters_of_a_call_replace_the_decision(trained):
  _, out, inputs = trained
  model = dicejax.load(out)
  with pytest.raises(ValueError, match='other: this model is decided by'):
    model(inputs, other=1.0)
  for name in model.decided_by.keys() - {'rule'}:
    for wrong in (math.nan, 'high', None):
      with pytest.raises(ValueError, match=f'{name} is a finite number, not '):
        model(inputs, **{name: wrong})
  if 'threshold' not in model.decided_by:
    return
  low, high = (model(inputs, threshold=t) for t in (0.0, 1.1))
  if 'labels' in low[0]:
    with pytest.raises(ValueError, match="expected a number for 'law' too"):
      model(inputs, threshold={'art': 0.5})
    assert [x['labels'] for x in low] == [['art', 'law', 'sea']] * len(low)
    assert not any(x['labels'] for x in high)
    return
  assert {record['label'] for record in low} == {'spam'}
  assert {record['label'] for record in high} == {'ham'}
  assert low[0]['decided_by'] == {'rule': 'given', 'threshold': 0.0}


def test_wrong_inputs(trained):
  _, out, _ = trained
  model = dicejax.load(out)
  for wrong in (1, None, [1, 2], b'text', {'text': 'a'}):
    with pytest.raises(TypeError, match='^Expected .*, not '):
      model([wrong])
  assert model([]) == []


@pytest.mark.parametrize(
  'source, options, message',
  [
    (None, {}, 'Expected a directory or a name on .*, not None'),
    (3, {}, 'Expected a directory or a name on .*, not 3'),
    ('', {}, "Expected a directory or a name on .*, not ''"),
    ('none', {}, 'holds no model: there is no config.json'),
    ('export', {'dtype': 'int8'}, "dtype is 'float32' or 'bfloat16', not 'in"),
    ('export', {'batch_size': 0}, 'batch_size is a whole number of at least 1'),
    ('export', {'batch_size': 2.5}, 'at least 1, not 2.5'),
    (
      'export',
      {'max_length': -1},
      'max_length is a whole number of at least 0',
    ),
    ('export', {'max_length': 2}, 'max_length is at least 3, for a sub-word'),
    ('export', {'decision': 'x'}, "decision='x': this model has argmax and"),
  ],
)
def test_wrong_arguments_of_load(tmp_path, tagger, source, options, message):
  if source == 'none':
    source = tmp_path
  elif source == 'export':
    source = tagger / source
  with pytest.raises((TypeError, ValueError, OSError), match=message):
    dicejax.load(source, **options)


@pytest.mark.parametrize(
  'own',
  [{'max_length': '9'}, {'tuned': 3}, {'tuned': {'offset': 'x'}}]
  + [{'answers': {'x': 1}}, {'tuned': {'threshold': {'B-PER': 0.5}}}],
)
def test_a_section_of_a_config_that_somebody_changed(tmp_path, tagger, own):
  shutil.copytree(tagger / 'export', tmp_path / 'export')
  file = tmp_path / 'export' / 'config.json'
  file.write_text(json.dumps(json.loads(file.read_text()) | {'dicejax': own}))
  with pytest.raises(ValueError, match="the section 'dicejax' of config.json"):
    dicejax.load(tmp_path / 'export')


@pytest.mark.parametrize('name', ['meta/metadata', 'params/_METADATA'])
def test_a_damaged_run_is_not_loaded(tmp_path, tagger, name):
  run = shutil.copytree(tagger / 'run', tmp_path / 'run')
  (step,) = (run / 'checkpoints').iterdir()
  (step / name).write_text('{')
  with pytest.raises(ValueError, match=f'^{step} is damaged: '):
    dicejax.load(run)


def run_from(tmp_path, source, change=lambda config: None):
  config = make_config(tmp_path)
  config.model.pretrained = str(source)
  change(config)
  return Trainer(config, tmp_path / 'next')


@pytest.fixture(scope='module')
def tagger(tmp_path_factory):
  path = tmp_path_factory.mktemp('tagger')
  run = Trainer(make_config(path), path / 'run')
  run.train()
  exporting.write(
    inference.load_run(path / 'run'), path / 'run', path / 'export'
  )
  return path


@pytest.mark.parametrize('source', ['run', 'export'])
def test_goes_on_from_a_run(tmp_path, tagger, source, capsys):
  run = run_from(tmp_path, tagger / source)
  assert 'goes on from its head as well' in capsys.readouterr().out
  before = inference.load_run(tagger / 'run').params
  after = run.init().params
  assert jax.tree.all(jax.tree.map(np.array_equal, before, after))
  _, scores = run.evaluate(after)
  results = json.loads((tagger / 'run' / files.RESULTS).read_text())
  assert scores['micro']['f1'] == results['scores']['dev']['micro']['f1']


@pytest.mark.parametrize('source', ['run', 'export'])
def test_another_head_is_dropped(tmp_path, tagger, source, capsys):
  def change(config):
    for path in (tmp_path / 'corpus').iterdir():
      path.write_text(path.read_text().replace('-LOC', '-TOWN'))

  run = run_from(tmp_path, tagger / source, change)
  text = capsys.readouterr().out
  assert "its head is dropped, because its labels were 'O', 'B-LOC'" in text
  before, after = inference.load_run(tagger / 'run').params, run.init().params
  for name in before:
    equal = jax.tree.map(np.array_equal, before[name], after[name])
    assert jax.tree.all(equal) == (name == 'encoder')


@pytest.mark.slow
@pytest.mark.parametrize(
  'theirs', [False, pytest.param(True, marks=pytest.mark.slow)]
)
def test_a_head_of_one_logit_or_two_is_kept(tmp_path, theirs, capsys):
  """An export has two logits where the run has one, for its sigmoid."""
  workdir, out = tmp_path / 'run', tmp_path / 'export'
  Trainer(make_texts(tmp_path, pair=False, sigmoid=theirs), workdir).train()
  trained = inference.load_run(workdir)
  exporting.write(trained, workdir, out)
  examples = [unlabelled.to_example(Input('win we go'), (Text,))]
  (expected,) = trained.predict(examples, trained.task.features(examples))
  for source, sigmoid in [(out, True), (workdir, not theirs)]:
    config = make_texts(tmp_path, pair=False, sigmoid=sigmoid)
    config.model.pretrained = str(source)
    run = Trainer(config, tmp_path / f'next {source.name}')
    assert 'goes on from its head as well' in capsys.readouterr().out
    features = run.task.features(examples)
    (found,) = run.predict(run.init().params, examples, features)
    assert found == pytest.approx(expected, abs=1e-6)


def test_a_frozen_encoder_may_come_from_a_run(tmp_path, tagger, capsys):
  def freeze(config):
    config.model.frozen = True

  run = run_from(tmp_path, tagger / 'run', freeze)
  assert 'a frozen encoder has standardised states' in capsys.readouterr().out
  run.train()
  expected = predict(
    tmp_path / 'next', dicejax.load(tagger / 'run').decoder, SENTENCES
  )
  assert same(dicejax.load(tmp_path / 'next')(list(SENTENCES)), expected)


def test_labels_of_other_schemes_and_orders_are_read_as_bio():
  labels = 'B-PER', 'L-PER', 'O', 'U-LOC', 'I-PER'
  kernel = np.arange(10.0).reshape(2, 5)
  params = {'head': {'kernel': kernel, 'bias': kernel[0]}}
  found = in_bio(FineTuned(None, params, labels, {}))
  assert found.labels == ('O', 'B-PER', 'I-PER', 'B-LOC', 'I-PER')
  np.testing.assert_array_equal(
    found.params['head']['kernel'], kernel[:, [2, 0, 1, 3, 4]]
  )
  other = FineTuned(None, params, ('NOUN', 'O'), {})
  assert in_bio(other) is other


def test_commands_say_what_is_wrong(tmp_path, tagger, monkeypatch):
  with pytest.raises(FileExistsError, match='--out=.* is not empty'):
    exporting.check_empty(tagger)
  run = inference.load_run(tagger / 'run')
  run.config.task = 'query_spans'
  with pytest.raises(ValueError, match='transformers has no class for its'):
    exporting.write(run, tagger / 'run', tmp_path)
  import huggingface_hub

  def fail(*args, **kwargs):
    raise ConnectionError('no network\nand more')

  monkeypatch.setattr(huggingface_hub.HfApi, 'create_repo', fail)
  with pytest.raises(OSError, match='--push=a/b: no network. .* is whole'):
    exporting.push(tagger / 'export', 'a/b', False)


def test_names_the_command():
  path = pathlib.Path('runs/x')
  expected = 'python -m train.export --workdir=runs/x --out=exports/x'
  assert exporting.command(path, []) == expected
  assert exporting.command(path, ['a', 'b']) == (
    'python -m train.export --workdir=runs/x/a --out=exports/x-a (or b)'
  )
