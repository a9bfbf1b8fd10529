"""Labellers of `concepts.py` that learn from labelled reports.

A labeller learns from some reports and scores others by each of its settings.
The setting and the threshold of a fold are those with the best macro F1 in
folds of its pool, so that nothing is chosen on the reports that are scored.
"""

import functools
import itertools
from collections.abc import Callable
from collections.abc import Iterator

import numpy as np
from concepts_systems import Annotated
from concepts_systems import Collection
from concepts_systems import System
from concepts_systems import affirmed
from concepts_systems import bm25
from concepts_systems import bm25s
from concepts_systems import has_labels
from concepts_systems import progress
from concepts_systems import splits_of

from dicejax import concepts
from dicejax import losses
from dicejax.concepts.labels import linear
from dicejax.concepts.labels import neighbours
from dicejax.concepts.labels.neighbours import Neighbour
from dicejax.concepts.ontology import ancestors

LINEAR = 'concepts, linear, cross entropy'
NEAREST = 'concepts, neighbours'
INNER = 3  # Folds of a pool, in which settings are chosen.
THRESHOLDS = (0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.35, 0.4, 0.5)
COUNTS = (5, 10, 20)  # Of neighbours.
DECAYS = (0.03, 0.1, 0.3, 1.0)
# C of scikit-learn, which is one over the decay, and the weights of classes.
STRENGTHS = (
  *itertools.product((1, 10, 100), (None, 'balanced')),
  (1000, 'balanced'),
)
# Maps the rows that are learnt from, their labels [fit, labels] and the rows
# that are scored to pairs of a setting and scores [rows, labels].
Labeller = Callable[
  [np.ndarray, np.ndarray, np.ndarray], Iterator[tuple[object, np.ndarray]]
]


def label_folds(
  collection: Collection, labeller: Labeller, name: str
) -> tuple[np.ndarray, list]:
  """Labels the queries of each fold with what its pool chooses.

  Returns:
    bool `[n, labels]`, and the setting and the threshold of each fold.
  """
  _, has = has_labels(collection)
  given, chosen = np.zeros_like(has), []
  for queries, pool in progress(splits_of(collection), name):
    chosen.append(_choose(labeller, has, pool))
    setting, threshold = chosen[-1]
    scores = dict(labeller(pool, has[pool], queries))[setting]
    given[queries] = scores >= threshold
  return given, chosen


def _choose(labeller, has, pool):
  """Chooses the setting and the threshold in folds of the pool."""
  rows = np.random.default_rng(1).permutation(pool)
  scores = {}
  for part in np.array_split(rows, INNER):
    fit, part = np.setdiff1d(pool, part), np.sort(part)
    for setting, values in labeller(fit, has[fit], part):
      whole = scores.setdefault(setting, np.zeros(has.shape))
      whole[part] = values
  found = {
    (setting, threshold): f1_scores(values[pool] >= threshold, has[pool]).mean()
    for setting, values in scores.items()
    for threshold in THRESHOLDS
  }
  return max(found, key=found.get)


def f1_scores(given: np.ndarray, has: np.ndarray) -> np.ndarray:
  """Computes the F1 of each label; 0 if nobody gives or has it."""
  both = 2 * (given & has).sum(0)
  return both / np.maximum(given.sum(0) + has.sum(0), 1)


def labellers(collection: Collection, annotated: Annotated) -> dict:
  """Returns the labellers by name."""
  mentions = annotated.mentions
  model = functools.partial(linear_model, mentions)
  found = {}
  if bm25s:
    short = [affirmed(text) for text in collection.texts]
    found['BM25, dropped, neighbours'] = text_neighbours(bm25(short))
  found |= {
    'TF-IDF + logistic regression': regression(collection.texts),
    NEAREST: concept_neighbours(collection, annotated),
    LINEAR: model(losses.cross_entropy),
    'concepts, linear, Dice': model(dice),
    'concepts, linear, cross entropy + Dice': model(entropy_and_dice),
    '- with denied concepts': linear_model(
      _with_denied(mentions), losses.cross_entropy
    ),
    '- with all ancestors': linear_model(
      _with_ancestors(mentions, annotated.ontology), losses.cross_entropy
    ),
  }
  return found


# Neighbours.


def concept_neighbours(collection, annotated) -> Labeller:
  """Searches an index of the rows that are learnt from."""
  ids, texts, mentions = collection.ids, collection.texts, annotated.mentions
  linker = dict(zip(texts, mentions, strict=True)).__getitem__

  def label(fit, has, rows):
    reports = concepts.Reports(*([x[row] for row in fit] for x in (ids, texts)))
    found = [mentions[row] for row in fit]
    index = concepts.ReportIndex(annotated.ontology, reports, found, linker)
    known = dict(zip(reports.ids, has, strict=True))
    near = [
      neighbours.nearest(texts[row], index, known, max(COUNTS)) for row in rows
    ]
    return _votes(near, known)

  return label


def text_neighbours(system: System) -> Labeller:
  """Takes the best of a system's scores; those of 0 are no neighbours."""

  def label(fit, has, rows):
    known = dict(enumerate(has))
    near = []
    for scores in system(rows, fit):
      best = np.argsort(-scores, kind='stable')[: max(COUNTS)]
      near.append([Neighbour(at, scores[at]) for at in best if scores[at] > 0])
    return _votes(near, known)

  return label


def _votes(near, known):
  """Yields the shares of the votes for each number of neighbours."""
  width = len(next(iter(known.values())))
  names = {id: np.flatnonzero(has).tolist() for id, has in known.items()}
  for k in COUNTS:
    shares = np.zeros((len(near), width))
    for row, found in zip(shares, near, strict=True):
      votes = neighbours.vote(found[:k], names, share=1e-9)
      for at, vote in votes.items():
        row[at] = vote.share
    yield k, shares


# Models.


def linear_model(mentions, loss) -> Labeller:
  """Trains `train_labels` with several decays."""

  def label(fit, has, rows):
    names = [set(np.flatnonzero(x).tolist()) for x in has]
    for decay in DECAYS:
      model = concepts.train_labels(
        [mentions[row] for row in fit],
        names,
        loss=loss,
        decay=decay,
        min_reports=1,
      )
      scores = np.zeros((len(rows), has.shape[1]))
      found = linear.probabilities(model, [mentions[row] for row in rows])
      scores[:, list(model.labels)] = found
      yield decay, scores

  return label


def dice(logits, targets):
  """Computes the Dice loss of each label, in reports that have it."""
  found = losses.dice(logits, targets, axis=0, smooth=0.1)
  return targets.sum(0) * found


def entropy_and_dice(logits, targets):
  """Adds cross entropy and Dice, both in reports."""
  entropy = losses.cross_entropy(logits, targets)
  return entropy.sum(0) + dice(logits, targets)


def _with_denied(mentions):
  """Makes a concept of its own of each that is denied, for the model."""
  polarity = concepts.Polarity
  return [
    [
      m._replace(concept=f'no {m.concept}', polarity=polarity.PRESENT)
      if m.polarity is polarity.ABSENT
      else m
      for m in row
    ]
    for row in mentions
  ]


def _with_ancestors(mentions, ontology):
  above = ancestors(ontology)
  return [
    [m._replace(concept=id) for m in row for id in above[m.concept]]
    for row in mentions
  ]


def regression(texts: list[str]) -> Labeller:
  """Trains scikit-learn's logistic regression on words and pairs of words."""
  from sklearn.feature_extraction.text import TfidfVectorizer
  from sklearn.linear_model import LogisticRegression

  def label(fit, has, rows):
    vectorizer = TfidfVectorizer(
      sublinear_tf=True, ngram_range=(1, 2), min_df=2
    )
    known = vectorizer.fit_transform([texts[row] for row in fit])
    asked = vectorizer.transform([texts[row] for row in rows])
    for strength, weight in STRENGTHS:
      scores = np.zeros((len(rows), has.shape[1]))
      for at, column in enumerate(has.T):
        if column.any():
          model = LogisticRegression(
            C=strength, class_weight=weight, solver='liblinear'
          )
          model.fit(known, column)
          scores[:, at] = model.predict_proba(asked)[:, 1]
      yield (strength, weight), scores

  return label
