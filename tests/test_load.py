"""Models that transformers made: `dicejax.load` beside its pipelines."""

import pytest
import tokenizers

import dicejax

torch = pytest.importorskip('torch')
transformers = pytest.importorskip('transformers')

WORDS = 'anna works at siemens in munich and met bob gray who left'.split()
SENTENCES = [
  'Anna works at Siemens in Munich',
  'Bob',
  'Gray met Anna and Bob Gray in Munich',
]
SHAPE = dict(
  hidden_size=16,
  num_hidden_layers=2,
  num_attention_heads=2,
  intermediate_size=24,
  max_position_embeddings=40,
)
# In an order that is not dicejax's.
TAGS = ['B-PER', 'I-PER', 'O', 'B-LOC', 'I-LOC']


def _bert(path):
  pieces = ['[PAD]', '[UNK]', '[CLS]', '[SEP]', '[MASK]', *WORDS]
  pieces += [c for c in 'abcdefghijklmnopqrstuvwxyz'] + [
    f'##{c}' for c in 'abcdefghijklmnopqrstuvwxyz'
  ]
  (path / 'vocab.txt').write_text('\n'.join(pieces))
  return transformers.BertTokenizer.from_pretrained(path), len(pieces)


def _roberta(path):
  bpe = tokenizers.ByteLevelBPETokenizer()
  special = ['<s>', '<pad>', '</s>', '<unk>', '<mask>']
  bpe.train_from_iterator(SENTENCES * 3, 300, special_tokens=special)
  bpe.save_model(str(path))
  tokenizer = transformers.RobertaTokenizer.from_pretrained(
    path, add_prefix_space=True
  )
  return tokenizer, len(tokenizer)


def _deberta(path):
  letters = sorted({c for text in SENTENCES for c in text if c != ' '})
  special = ['[PAD]', '[UNK]', '[CLS]', '[SEP]', '[MASK]']
  # As in large vocabularies, no piece is a space alone.
  pieces = [
    '\u2581Anna',
    '\u2581in',
    *letters,
    *(f'\u2581{c}' for c in letters),
  ]
  vocabulary = [(x, 0.0) for x in special] + [(x, -2.0) for x in pieces]
  return transformers.DebertaV2Tokenizer(vocab=vocabulary), len(vocabulary)


FAMILIES = {
  'bert': (_bert, {}),
  'roberta': (_roberta, dict(pad_token_id=1)),
  'deberta-v2': (
    _deberta,
    dict(
      relative_attention=True,
      position_buckets=4,
      pos_att_type='p2c|c2p',
      share_att_key=True,
      norm_rel_ebd='layer_norm',
      position_biased_input=False,
    ),
  ),
}


@pytest.fixture(
  params=[
    'bert',
    'roberta',
    pytest.param('deberta-v2', marks=pytest.mark.slow),
  ]
)
def make(request, tmp_path):
  """Makes a directory as transformers saves it, with random weights."""
  make_tokenizer, settings = FAMILIES[request.param]

  def save(auto, **values):
    tokenizer, size = make_tokenizer(tmp_path)
    config = transformers.AutoConfig.for_model(
      request.param, vocab_size=size, **SHAPE, **settings, **values
    )
    torch.manual_seed(0)
    model = getattr(transformers, auto).from_config(config).eval()
    for name, p in model.named_parameters():
      p.data.normal_(mean=float('LayerNorm.weight' in name), std=0.4)
    out = tmp_path / 'model'
    model.save_pretrained(out)
    tokenizer.save_pretrained(out)
    return out

  return save


# The pipeline takes spaces for what parts the words of byte-level BPE.
@pytest.mark.filterwarnings('ignore:Tokenizer does not support real words')
def test_tags(make):
  ids = {tag: i for i, tag in enumerate(TAGS)}
  out = make(
    'AutoModelForTokenClassification',
    label2id=ids,
    id2label={i: tag for tag, i in ids.items()},
  )
  pipeline = transformers.pipeline(
    'token-classification', model=str(out), aggregation_strategy='first'
  )
  found = dicejax.load(out)(SENTENCES)
  assert any(record['entities'] for record in found)
  for text, record in zip(SENTENCES, found, strict=True):
    actual = [(e['type'], e['start'], e['end']) for e in record['entities']]
    expected = [
      # A piece of SentencePiece begins with the space before the word.
      (e['entity_group'], e['start'] + (text[e['start']] == ' '), e['end'])
      for e in pipeline(text)
    ]
    assert actual == expected
    assert record['decided_by'] == {'rule': 'argmax', 'offset': 0.0}


def test_labels(make):
  out = make('AutoModelForSequenceClassification', num_labels=3)
  pipeline = transformers.pipeline(
    'text-classification', model=str(out), top_k=None
  )
  found = dicejax.load(out)(SENTENCES)
  for text, record in zip(SENTENCES, found, strict=True):
    expected = {row['label']: row['score'] for row in pipeline([text])[0]}
    assert record['probabilities'] == pytest.approx(expected, abs=1e-5)
    assert record['label'] == max(expected, key=expected.__getitem__)


def test_pairs(make):
  out = make('AutoModelForSequenceClassification', num_labels=2)
  pipeline = transformers.pipeline(
    'text-classification', model=str(out), top_k=None
  )
  record = dicejax.load(out)([tuple(SENTENCES[:2])])[0]
  text, pair = SENTENCES[:2]
  rows = pipeline([{'text': text, 'text_pair': pair}])[0]
  expected = {row['label']: row['score'] for row in rows}
  assert record['probabilities'] == pytest.approx(expected, abs=1e-5)


def test_answers(make):
  out = make('AutoModelForQuestionAnswering')
  tokenizer = transformers.AutoTokenizer.from_pretrained(out)
  model = transformers.AutoModelForQuestionAnswering.from_pretrained(out)
  question, context = 'who left', SENTENCES[2]
  encoded = tokenizer(
    question, context, return_tensors='pt', return_offsets_mapping=True
  )
  offsets = encoded.pop('offset_mapping')[0].tolist()
  with torch.no_grad():
    found = model(**encoded)
  inside = [i for i, s in enumerate(encoded.sequence_ids(0)) if s == 1]
  score, first, last = max(
    (float(found.start_logits[0, i] + found.end_logits[0, j]), i, j)
    for i in inside
    for j in inside
    if i <= j
  )
  expected = context[offsets[first][0] : offsets[last][1]].strip()
  record = dicejax.load(out)({'question': question, 'context': context})
  assert record['answers'] == [expected]
  assert record['scores'] == pytest.approx([score], abs=1e-5)


def test_what_is_not_loaded(make):
  out = make('AutoModelForMaskedLM')
  with pytest.raises(ValueError, match='architectures is .*expected a class'):
    dicejax.load(out)
