"""Reports and retrieval systems of `concepts.py`, by text and by concepts."""

import collections
import csv
import dataclasses
import functools
import itertools
import pathlib
import re
import time
from collections.abc import Callable
from collections.abc import Sequence
from collections.abc import Set
from typing import Any
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from tqdm import tqdm

from dicejax import concepts
from dicejax.concepts.ontology import ancestors
from dicejax.concepts.search.measures import Measure

try:
  import bm25s
except ImportError:
  bm25s = None

# Progress bars, on a terminal only.
progress = functools.partial(tqdm, leave=False, disable=None)

FOLDS = 5
MIN_REPORTS = 5  # Labels of fewer reports are left out.
RECOMMENDED = 'concepts, recommended'
# Labels that do not name a finding.
LEFT_OUT = {
  'normal',
  'No Indexing',
  'Technical Quality of Image Unsatisfactory',
}
SENTENCE_END = re.compile(r'(?<=[.!?])\s+|\n+')
NEGATED = re.compile(
  r'\b(no|not|without|negative|free of|absent|resolved|normal|unremarkable'
  r'|clear|intact|within)\b',
  re.IGNORECASE,
)
# Maps queries and pool, as rows in ascending order, to scores [q, m], or to two
# arrays of scores, of which the second breaks ties of the first.
System = Callable[[np.ndarray, np.ndarray], Any]


class Collection(NamedTuple):
  """Reports, by row."""

  ids: list[str]
  texts: list[str]
  problems: list[frozenset[str]]  # Empty if no human labelled it.
  gold: dict[str, frozenset[str]]  # Classes by report.
  classes: list[str]
  test: frozenset[str]


@dataclasses.dataclass(frozen=True)
class Recipe:
  """How concepts are compared; the defaults are the recommended setting."""

  measure: Measure = concepts.Asymmetric()  # noqa: RUF009
  polarity: bool = True  # False counts all mentions as present.
  uncertain: bool = False  # True counts uncertain as present.
  information: bool = True  # Weights; False makes all of them 1.
  aliases: bool = True
  closure: bool = False  # True adds all ancestors.


class Annotated(NamedTuple):
  """Reports with their mentions, from one dictionary."""

  ontology: concepts.Ontology
  mentions: list[list[concepts.Mention]]


# The collection.


def read_collection(
  directory: pathlib.Path, more: list[pathlib.Path]
) -> Collection:
  reports = rows_of(directory / 'openi' / 'indiana_reports.csv')
  problems = {row['uid']: problems_of(row) for row in reports}
  gold = {}
  for file in [directory / 'negbio' / 'openi_gld_std14.csv', *more]:
    for row in rows_of(file):
      if 'Problems' in row:
        problems[row['uid']] = problems_of(row)
      else:
        uid = row.pop('filename').removeprefix('CXR')
        gold[uid] = frozenset(name for name in row if row[name] == '1')
        classes = [name for name in row if name != 'normal']
  test = (directory / 'negbio' / 'openi-testset.txt').read_text().split()
  return Collection(
    [row['uid'] for row in reports],
    [f'{row["findings"]}\n\n{row["impression"]}'.strip() for row in reports],
    [problems[row['uid']] for row in reports],
    gold,
    classes,
    frozenset(line.removeprefix('CXR') for line in test),
  )


def rows_of(file: pathlib.Path) -> list[dict[str, str]]:
  with file.open(encoding='utf-8', newline='') as lines:
    return list(csv.DictReader(lines))


def problems_of(row: dict[str, str]) -> frozenset[str]:
  return frozenset(filter(None, map(str.strip, row['Problems'].split(';'))))


def splits_of(collection: Collection) -> list[tuple[np.ndarray, np.ndarray]]:
  """Returns queries and pools: the test reports if labelled, else folds."""
  labelled = np.array([bool(names) for names in collection.problems])
  test = np.array([uid in collection.test for uid in collection.ids])
  if (labelled & test).any():
    return [(np.flatnonzero(test & labelled), np.flatnonzero(labelled & ~test))]
  return folds_of(np.flatnonzero(labelled))


def has_labels(collection: Collection) -> tuple[list[str], np.ndarray]:
  """Returns labels with enough reports, and bool `[n, labels]`."""
  counts = collections.Counter(itertools.chain(*collection.problems))
  names = sorted(
    name
    for name, number in counts.items()
    if number >= MIN_REPORTS and name not in LEFT_OUT
  )
  has = [[name in report for name in names] for report in collection.problems]
  return names, np.array(has)


# Text as a baseline.


def affirmed(text: str) -> str:
  """Drops the sentences that negate something or call it normal."""
  sentences = SENTENCE_END.split(text)
  return ' '.join(s for s in sentences if not NEGATED.search(s))


def tfidf(texts: list[str]) -> System:
  from sklearn.feature_extraction.text import TfidfVectorizer

  def scores(queries, pool):
    vectorizer = TfidfVectorizer(sublinear_tf=True, stop_words='english')
    candidates = vectorizer.fit_transform([texts[row] for row in pool])
    asked = vectorizer.transform([texts[row] for row in queries])
    return (asked @ candidates.T).toarray()

  return scores


def bm25(texts: list[str]) -> System:
  tokens = bm25s.tokenize(
    texts, stopwords='en', return_ids=False, show_progress=False
  )

  def scores(queries, pool):
    index = bm25s.BM25()
    index.index([tokens[row] for row in pool], show_progress=False)
    return np.stack(
      [
        index.get_scores(tokens[row]) if tokens[row] else np.zeros(len(pool))
        for row in queries
      ]
    )

  return scores


def minilm(directory: pathlib.Path, texts: list[str]) -> System:
  """Ranks by the cosine of mean token vectors of the first 256 tokens."""
  import tokenizers

  from dicejax import models

  config, params = models.load_pretrained(directory)
  tokenizer = tokenizers.Tokenizer.from_file(str(directory / 'tokenizer.json'))
  tokenizer.no_padding()
  tokenizer.enable_truncation(256)
  encoded = [encoding.ids for encoding in tokenizer.encode_batch(texts)]

  @jax.jit
  def encode(tokens, mask):
    states = models.Bert(config).apply({'params': params}, tokens, mask=mask)
    total = jnp.where(mask[..., None], states, 0).sum(1)
    return total / jnp.linalg.norm(total, axis=1, keepdims=True)

  vectors = np.zeros((len(texts), config.hidden_size), np.float32)
  order = sorted(range(len(texts)), key=lambda row: len(encoded[row]))
  size = 32
  for start in progress(range(0, len(order), size), 'MiniLM'):
    rows = order[start : start + size]
    longest = len(encoded[rows[-1]])
    # Lengths are rounded up, because every shape is compiled.
    tokens = np.zeros((size, -(-longest // 32) * 32), np.int32)
    mask = np.zeros(tokens.shape, bool)
    for i, row in enumerate(rows):
      tokens[i, : len(encoded[row])] = encoded[row]
      mask[i, : len(encoded[row])] = True
    vectors[rows] = encode(tokens, mask)[: len(rows)]
  return lambda queries, pool: vectors[queries] @ vectors[pool].T


# Concepts.


def annotate(files: list[pathlib.Path], texts: list[str]) -> dict:
  """Annotates the reports with and without the table of aliases."""
  ontology = concepts.merge(*map(concepts.read_obo, files))
  linkers = {
    True: concepts.Linker(ontology, concepts.read_aliases('chest')),
    False: concepts.Linker(ontology),
  }
  seconds = []
  for _ in range(3):
    start = time.perf_counter()
    for text in texts:
      linkers[True](text)
    seconds.append(time.perf_counter() - start)
  print(
    f'{len(ontology.terms)} terms, {len(linkers[True].ontology.terms)} with '
    'aliases. '
    f'Extraction on one core: {len(texts) / np.median(seconds):.0f} reports/s.'
  )
  return {
    aliases: Annotated(linker.ontology, [linker(text) for text in texts])
    for aliases, linker in linkers.items()
  }


def annotate_learnt(
  collection: Collection,
  ontology: concepts.Ontology,
  learn_from: Sequence[int],
  labels: Callable[[int], Set[str]],
  rows: Sequence[int],
  **settings,
) -> Annotated:
  """Learns surface forms from some reports, and annotates others with them.

  Args:
    collection: the reports.
    ontology: the concepts; no other aliases are used.
    learn_from: rows of the reports that are learnt from.
    labels: from such a row to its labels.
    rows: the reports that are annotated; the others have no mentions.
    **settings: of `learn_aliases`.
  """
  texts = collection.texts
  learnt = concepts.learn_aliases(
    [texts[row] for row in learn_from],
    [labels(row) for row in learn_from],
    ontology,
    **settings,
  )
  linker = concepts.Linker(ontology, learnt.aliases)
  mentions = [[] for _ in texts]
  for row in rows:
    mentions[row] = linker(texts[row])
  return Annotated(linker.ontology, mentions)


def learnt_system(
  collection: Collection,
  ontology: concepts.Ontology,
  number: int | None,
  **settings,
) -> System:
  """Ranks with the forms learnt from the human labels of the pool.

  `number` reports of the pool, drawn once, are learnt from; None is all.
  """

  def scores(queries, pool):
    annotated = annotate_learnt(
      collection,
      ontology,
      draw_rows(pool, number),
      lambda row: collection.problems[row] - LEFT_OUT,
      [*queries, *pool],
      **settings,
    )
    return ConceptSystem(annotated, Recipe())(queries, pool)

  return scores


def annotate_encoded(
  texts: list[str], linker: concepts.EncoderLinker, thresholds: Sequence[float]
) -> dict[float, Annotated]:
  """Annotates the reports with each threshold, and without phrases (1.01)."""
  linker.prepare(texts)
  annotated = {}
  for threshold in thresholds:
    linker.threshold = threshold
    mentions = [linker(text) for text in texts]
    annotated[threshold] = Annotated(linker.ontology, mentions)
  return annotated


def folds_of(rows: np.ndarray) -> list[tuple[np.ndarray, np.ndarray]]:
  """Divides rows into queries and pools, always in the same way."""
  rows = np.random.default_rng(0).permutation(rows)
  folds = np.array_split(rows, FOLDS)
  return [(np.sort(fold), np.setdiff1d(rows, fold)) for fold in folds]


def draw_rows(rows: np.ndarray, number: int | None) -> np.ndarray:
  """Draws so many of the rows, always the same; None is all."""
  if number is None:
    return rows
  return np.sort(np.random.default_rng(0).choice(rows, number, False))


def repolarise(mentions, change: dict):
  return [
    [m._replace(polarity=change.get(m.polarity, m.polarity)) for m in report]
    for report in mentions
  ]


def concept_ids(
  annotated: Annotated, recipe: Recipe
) -> tuple[Sequence[Set[str]], Sequence[Set[str]]]:
  """Returns the affirmed and the denied concepts of each report."""
  mentions = annotated.mentions
  if not recipe.polarity:
    present = dict.fromkeys(concepts.Polarity, concepts.Polarity.PRESENT)
    mentions = repolarise(mentions, present)
  uncertain = 'present' if recipe.uncertain else 'ignore'
  said = [concepts.Findings.of(m, uncertain=uncertain) for m in mentions]
  positive, negative = zip(*said, strict=True)
  if recipe.closure:
    above = ancestors(annotated.ontology)
    positive = [set().union(*map(above.get, ids)) for ids in positive]
  return positive, negative


class ConceptSystem:
  """Ranks by the concepts of reports, as a recipe says."""

  def __init__(self, annotated: Annotated, recipe: Recipe):
    self._ontology, self._recipe = annotated.ontology, recipe
    self._positive, negative = concept_ids(annotated, recipe)
    self._known = sorted(set().union(*self._positive, *negative))
    numbers = {concept: i for i, concept in enumerate(self._known)}
    self.sets = concepts.ConceptSets.from_ids(
      [[numbers[concept] for concept in ids] for ids in self._positive],
      [[numbers[concept] for concept in ids] for ids in negative],
    )

  def weights(self, pool: np.ndarray) -> np.ndarray:
    """Learns the weights `[V]` of the concepts from the pool."""
    if not self._recipe.information:
      return np.ones(len(self._known), np.float32)
    information = concepts.corpus_information(
      self._ontology, [self._positive[row] for row in pool]
    )
    return concepts.on_grid([information[id] for id in self._known])

  def __call__(self, queries, pool):
    weights, measure = self.weights(pool), self._recipe.measure
    asked, candidates = self.sets[queries], self.sets[pool]
    return tuple(
      np.asarray(concepts.pairwise(*sides, weights, measure=measure))
      for sides in [
        (asked, candidates),
        (negatives(asked), negatives(candidates)),
      ]
    )

  def fetch(self, queries, pool, order):
    return concepts.greedy_retrieve(
      self.sets[queries],
      self.sets[pool],
      order,
      self.weights(pool),
      measure=self._recipe.measure,
    )


def negatives(sets: concepts.ConceptSets) -> concepts.ConceptSets:
  """Returns the negative sets as positive ones."""
  nothing = np.full((len(sets), 1), -1, np.int32)
  return concepts.ConceptSets(sets.negative, nothing)


def with_text(sets: System, text: System, share: float = 0.2) -> System:
  """Adds text scores, scaled to at most `share`, to concept scores."""

  def scores(queries, pool):
    first, _ = sets(queries, pool)
    second = text(queries, pool)
    return first + share * second / np.maximum(second.max(1)[:, None], 1e-9)

  return scores


def retrieval_systems(
  collection: Collection, annotated: dict, directory: pathlib.Path | None
) -> dict[str, System]:
  def system(**changes):
    recipe = Recipe(**changes)
    return ConceptSystem(annotated[recipe.aliases], recipe)

  texts = collection.texts
  short = [affirmed(text) for text in texts]
  paper = concepts.Symmetric()
  systems = {'TF-IDF': tfidf(texts), 'TF-IDF, dropped': tfidf(short)}
  if bm25s:
    systems |= {'BM25': bm25(texts), 'BM25, dropped': bm25(short)}
  if directory:
    systems['MiniLM'] = minilm(directory, texts)
    systems['MiniLM, dropped'] = minilm(directory, short)
  systems |= {
    'concepts, as in the paper': system(
      measure=paper, uncertain=True, information=False
    ),
    'concepts, symmetric': system(measure=paper),
    RECOMMENDED: system(),
    '- polarity ignored': system(polarity=False),
    '- all weights 1': system(information=False),
    '- uncertain as present': system(uncertain=True),
    '- no aliases': system(aliases=False),
    '- with all ancestors': system(closure=True),
  }
  if bm25s:
    systems['recommended + 0.2 BM25, dropped'] = with_text(
      systems[RECOMMENDED], systems['BM25, dropped']
    )
  return systems
