"""The Disease Ontology subset of 2026, read from DICEJAX_DATA."""

import os
import pathlib

import pytest

from dicejax.concepts import ontology

_DATA = pathlib.Path(os.environ.get('DICEJAX_DATA', ''))


@pytest.fixture(scope='module')
def diseases():
  return ontology.read_obo(_DATA / 'radiology/ontologies/doid/NCIthesaurus.obo')


def test_disease_ontology(diseases):
  # The counts are those of grep: 4,757 stanzas, 7 of them obsolete, 4,780 is_a
  # lines, 335 synonyms marked BROAD or RELATED.
  terms = diseases.terms.values()
  assert len(terms) == 4_750
  assert sum(len(term.parents) for term in terms) == 4_780
  assert diseases.skipped == {
    'obsolete terms': 7,
    'broad or related synonyms': 335,
  }
  with_umls = [t for t in terms if any('UMLS' in xref for xref in t.xrefs)]
  assert len(with_umls) == 4_511
  (root,) = (term for term in terms if not term.parents)
  assert root.name == 'disease'


def test_its_subset_joins_it(diseases):
  # The terms of the radiology subset that the other has, by their ids.
  subset = ontology.read_obo(
    _DATA / 'radiology/ontologies/doid/DO_RAD_slim.obo'
  )
  assert len(subset.terms) == 81
  merged = ontology.merge(diseases, subset)
  common = subset.terms.keys() & diseases.terms.keys()
  assert common
  assert all(merged.terms[id].name == diseases.terms[id].name for id in common)
  assert list(merged.terms)[: len(diseases.terms)] == list(diseases.terms)
