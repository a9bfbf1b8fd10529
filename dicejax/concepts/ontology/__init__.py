"""Ontologies: read, joined, and the weights of their concepts.

An ontology is a set of terms with names and more general parents. The Human
Phenotype Ontology and the Disease Ontology are free OBO files; the UMLS is read
from its RRF files by those who hold a licence. Terms of different files that
carry the same UMLS identifier are one concept.

Weights say how much it matters that two reports share a concept: by how rare it
is among reports, by where it stands, or by its semantic type.
"""

from dicejax.concepts.ontology.graph import ancestors
from dicejax.concepts.ontology.graph import synonym_components
from dicejax.concepts.ontology.merging import merge
from dicejax.concepts.ontology.obo import read_obo
from dicejax.concepts.ontology.terms import Ontology
from dicejax.concepts.ontology.terms import OntologyError
from dicejax.concepts.ontology.terms import Term
from dicejax.concepts.ontology.umls import read_umls
from dicejax.concepts.ontology.weights import TYPE_WEIGHTS
from dicejax.concepts.ontology.weights import corpus_information
from dicejax.concepts.ontology.weights import intrinsic_information
from dicejax.concepts.ontology.weights import type_weights

__all__ = [
  'Ontology',
  'OntologyError',
  'TYPE_WEIGHTS',
  'Term',
  'ancestors',
  'corpus_information',
  'intrinsic_information',
  'merge',
  'read_obo',
  'read_umls',
  'synonym_components',
  'type_weights',
]
