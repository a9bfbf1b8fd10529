"""Builds the study's data sets: `python docs/study_data.py DIR OUT`.

DIR holds a folder for each corpus with its owner's files, whose names are
below; configs/ says where each is from. OUT gets a folder for each set, with
train, dev and test, or, where there is no official split, with test and a file
that `data.held_out` cuts into train and dev anew for each seed.

The same files give the same sets, to the byte: the digests are printed.
"""

import csv
import hashlib
import json
import pathlib
import re
import shutil
import sys
from collections.abc import Callable
from collections.abc import Iterable

import numpy as np

# Text, second text or '', and label.
Rows = list[tuple[str, str, str]]


def main(corpora: pathlib.Path, out: pathlib.Path) -> None:
  for name, build in SETS.items():
    folder = out / name
    folder.mkdir(parents=True, exist_ok=True)
    build(corpora, folder)
    for path in sorted(folder.iterdir()):
      digest = hashlib.sha256(path.read_bytes()).hexdigest()[:12]
      print(f'{digest}  {path.relative_to(out)}', flush=True)


def copies(suffix: str, **files: str) -> Callable:
  """Files of a corpus, under the names of their splits."""

  def build(corpora, folder):
    for split, file in files.items():
      shutil.copyfile(corpora / file, folder / f'{split}{suffix}')

  return build


def binary_sst(corpora, folder):
  """Whole sentences, in GLUE's splits; test has the treebank's labels."""
  for split in ('train', 'dev', 'test'):
    write(folder / f'{split}.tsv', sentences(corpora, f'stsa.binary.{split}'))


def one_of_sst5(label: str) -> Callable:
  """One of the five sentiments against the rest, in the official splits."""

  def build(corpora, folder):
    for split in ('train', 'dev', 'test'):
      rows = sentences(corpora, f'stsa.fine.{split}')
      rows = [(text, '', str(int(found == label))) for text, _, found in rows]
      write(folder / f'{split}.tsv', rows)

  return build


def sampled(read: Callable, rare: float | None, **sizes: int) -> Callable:
  """A sample of a corpus without official splits.

  Args:
    read: `(corpora) -> rows`, with label '1' where positive.
    rare: share of positives in every file; None: as in the corpus.
    sizes: of the files.
  """

  def build(corpora, folder):
    rng = np.random.default_rng(0)
    rows = list(dict.fromkeys(read(corpora)))  # A text that was sent twice.
    rows = [rows[i] for i in rng.permutation(len(rows))]
    by_label = {y: [row for row in rows if row[2] == y] for y in ('0', '1')}
    share = len(by_label['1']) / len(rows) if rare is None else rare
    for split, size in sizes.items():
      part = []
      for label, number in (
        ('1', round(size * share)),
        ('0', size - round(size * share)),
      ):
        if len(by_label[label]) < number:
          raise ValueError(
            f'{folder.name}: {split} takes {number} texts of label {label}, '
            f'but {len(by_label[label])} are left.'
          )
        part += by_label[label][:number]
        del by_label[label][:number]
      part = [part[i] for i in rng.permutation(size)]
      write(folder / f'{split}.tsv', part)

  return build


def sentences(corpora, file) -> Rows:
  path = corpora / 'sst5' / file
  lines = path.read_text('utf-8').rstrip('\n').split('\n')
  return [(line[2:], '', line[0]) for line in lines]


def questions(corpora) -> Rows:
  """Pairs of GLUE's QQP: the 23,497 rows of a file without header."""
  return [
    (row[3], row[4], row[5])
    for row in tabbed(corpora / 'qqp' / 'qqp_train_subset_23497.tsv')
    if len(row) == 6
  ]


def messages(corpora) -> Rows:
  return [
    (text, '', str(int(label == 'spam')))
    for label, text in tabbed(corpora / 'sms_spam' / 'SMSSpamCollection')
  ]


def reports(finding: str) -> Callable[[pathlib.Path], Rows]:
  """Chest X-ray reports of Open-i, and whether they have a finding."""

  def read(corpora):
    folder = corpora / 'radiology'
    with (folder / 'negbio' / 'openi_gld_std14.csv').open(newline='') as file:
      gold = {row['filename']: row[finding] for row in csv.DictReader(file)}
    path = folder / 'openi' / 'indiana_reports.csv'
    with path.open(newline='', encoding='utf-8') as file:
      return [
        (text, '', gold[f'CXR{row["uid"]}'])
        for row in csv.DictReader(file)
        if (text := f'{row["findings"]} {row["impression"]}'.strip())
        and gold.get(f'CXR{row["uid"]}') in ('0', '1')
      ]

  return read


def posts(entity: str) -> Callable[[pathlib.Path], Rows]:
  """Posts of all of WNUT-17, and whether they name an entity of this type."""

  def read(corpora):
    rows = []
    for file in _WNUT.values():
      text = (corpora / file).read_text('utf-8').replace('\t\n', '\n')
      for post in re.split(r'\n\s*\n', text.strip()):
        words, tags = zip(
          *(line.split('\t') for line in post.split('\n')), strict=True
        )
        rows.append((' '.join(words), '', str(int(f'B-{entity}' in tags))))
    return rows

  return read


def titles(topic: str) -> Callable[[pathlib.Path], Rows]:
  """Titles of the training file of TNEWS, and whether they have this topic."""

  def read(corpora):
    path = corpora / 'tnews' / 'train.json'
    found = map(json.loads, path.read_text('utf-8').splitlines())
    return [(x['sentence'], '', str(int(x['label'] == topic))) for x in found]

  return read


def tabbed(path) -> Iterable[list[str]]:
  for line in path.read_text('utf-8').rstrip('\n').split('\n'):
    yield line.split('\t')


def write(path: pathlib.Path, rows: Rows) -> None:
  lines = [('text', 'pair', 'label'), *rows]
  path.write_text(
    ''.join(
      '\t'.join(' '.join(cell.split()) for cell in row) + '\n' for row in lines
    ),
    'utf-8',
  )


_WNUT = dict(
  train='wnut17/wnut17train.conll',
  dev='wnut17/emerging.dev.conll',
  test='wnut17/emerging.test.annotated',
)
SETS = {
  'wnut17': copies('.conll', **_WNUT),
  'conll2003': copies(
    '.conll',
    train='conll03/eng.train',
    dev='conll03/eng.testa',
    test='conll03/eng.testb',
  ),
  'mrpc': copies(
    '.tsv',
    train='mrpc/train.tsv',
    dev='mrpc/dev.tsv',
    test='mrpc/msr_paraphrase_test.txt',
  ),
  'qqp': sampled(questions, None, train=6000, test=3000),
  'qqp5': sampled(questions, 0.05, train=6000, test=4000),
  'sms3': sampled(messages, 0.03, train=3000, test=1600),
  'sst2': binary_sst,
  'sst5_0': one_of_sst5('0'),
  'sst5_4': one_of_sst5('4'),
  'wnut17_group': sampled(posts('group'), None, train=3400, test=2000),
  'wnut17_creative': sampled(
    posts('creative-work'), None, train=3400, test=2000
  ),
  'tnews_115': sampled(titles('115'), None, train=6000, test=4000),
  'openi_effusion': sampled(reports('Effusion'), None, train=1500, test=900),
}

if __name__ == '__main__':
  if len(sys.argv) != 3:
    sys.exit('usage: python docs/study_data.py DIR OUT')
  try:
    main(*map(pathlib.Path, sys.argv[1:]))
  except (OSError, ValueError) as error:
    sys.exit(f'error: {error}')
