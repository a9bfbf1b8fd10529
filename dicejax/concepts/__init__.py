"""Reports as sets of ontology concepts: found, compared, searched, labelled.

An ontology names the concepts, a linker finds them in reports, and an index
searches the reports and explains its hits::

  from dicejax import concepts

  linker = concepts.Linker(
    concepts.read_obo('hp.obo'), concepts.read_aliases('chest')
  )
  reports = concepts.read_reports('reports.csv', ['findings', 'impression'])
  index = concepts.ReportIndex.build(reports, linker)
  hits = index.search('No effusion. Large heart.', k=10)
  print(index.explain(hits[0].id, hits[1].id))
  labels = concepts.label(reports.texts, linker)
"""

import importlib
from typing import TYPE_CHECKING
from typing import Any

from dicejax.concepts.labels.learning import Learnt
from dicejax.concepts.labels.learning import LearntForm
from dicejax.concepts.labels.learning import format_aliases
from dicejax.concepts.labels.learning import learn_aliases
from dicejax.concepts.labels.neighbours import Neighbour
from dicejax.concepts.labels.neighbours import Vote
from dicejax.concepts.labels.neighbours import label_by_neighbours
from dicejax.concepts.labels.rules import PAPER_ORDER
from dicejax.concepts.labels.rules import PRESENT_FIRST
from dicejax.concepts.labels.rules import Evidence
from dicejax.concepts.labels.rules import Label
from dicejax.concepts.labels.rules import label
from dicejax.concepts.labels.rules import label_mentions
from dicejax.concepts.labels.rules import merge_labels
from dicejax.concepts.labels.table import LabelRule
from dicejax.concepts.labels.table import read_labels
from dicejax.concepts.ontology import Ontology
from dicejax.concepts.ontology import OntologyError
from dicejax.concepts.ontology import Term
from dicejax.concepts.ontology import corpus_information
from dicejax.concepts.ontology import intrinsic_information
from dicejax.concepts.ontology import merge
from dicejax.concepts.ontology import read_obo
from dicejax.concepts.ontology import read_umls
from dicejax.concepts.ontology import type_weights
from dicejax.concepts.search.explanation import Explanation
from dicejax.concepts.search.findings import Findings
from dicejax.concepts.search.index import Hit
from dicejax.concepts.search.index import ReportIndex
from dicejax.concepts.search.measures import Asymmetric
from dicejax.concepts.search.measures import Symmetric
from dicejax.concepts.search.measures import on_grid
from dicejax.concepts.text.aliases import Aliases
from dicejax.concepts.text.aliases import read_aliases
from dicejax.concepts.text.cues import read_cues
from dicejax.concepts.text.encoder_linker import EncoderLinker
from dicejax.concepts.text.extraction import extract
from dicejax.concepts.text.extraction import load_extractor
from dicejax.concepts.text.linker import Linker
from dicejax.concepts.text.mentions import Experiencer
from dicejax.concepts.text.mentions import Extractor
from dicejax.concepts.text.mentions import Mention
from dicejax.concepts.text.mentions import Polarity
from dicejax.concepts.text.mentions import Time
from dicejax.concepts.text.radgraph import RadGraphExtractor
from dicejax.concepts.text.radgraph import read_radgraph
from dicejax.concepts.text.reports import Reports
from dicejax.concepts.text.reports import read_reports
from dicejax.concepts.text.tagger import TaggerExtractor
from dicejax.concepts.text.tagger import load_tagger

if TYPE_CHECKING:
  from dicejax.concepts.labels.linear import LabelModel
  from dicejax.concepts.labels.linear import Prediction
  from dicejax.concepts.labels.linear import Reason
  from dicejax.concepts.labels.linear import predict_labels
  from dicejax.concepts.labels.linear import train_labels
  from dicejax.concepts.search.sets import ConceptSets
  from dicejax.concepts.search.sets import concept_sets
  from dicejax.concepts.search.similarity import greedy_retrieve
  from dicejax.concepts.search.similarity import pairwise
  from dicejax.concepts.search.similarity import search_sets
  from dicejax.concepts.search.soft import soft_similarity
  from dicejax.concepts.text.encoder import Encoder

# These need JAX, whose import takes longer than a search.
_LAZY = {
  'ConceptSets': 'search.sets',
  'Encoder': 'text.encoder',
  'LabelModel': 'labels.linear',
  'Prediction': 'labels.linear',
  'Reason': 'labels.linear',
  'concept_sets': 'search.sets',
  'greedy_retrieve': 'search.similarity',
  'pairwise': 'search.similarity',
  'predict_labels': 'labels.linear',
  'search_sets': 'search.similarity',
  'soft_similarity': 'search.soft',
  'train_labels': 'labels.linear',
}

__all__ = [
  'Aliases',
  'Asymmetric',
  'ConceptSets',
  'Encoder',
  'EncoderLinker',
  'Evidence',
  'Experiencer',
  'Explanation',
  'Extractor',
  'Findings',
  'Hit',
  'Label',
  'LabelModel',
  'LabelRule',
  'Learnt',
  'LearntForm',
  'Linker',
  'Mention',
  'Neighbour',
  'Ontology',
  'OntologyError',
  'PAPER_ORDER',
  'PRESENT_FIRST',
  'Polarity',
  'Prediction',
  'RadGraphExtractor',
  'Reason',
  'ReportIndex',
  'Reports',
  'Symmetric',
  'TaggerExtractor',
  'Term',
  'Time',
  'Vote',
  'concept_sets',
  'corpus_information',
  'extract',
  'format_aliases',
  'greedy_retrieve',
  'intrinsic_information',
  'label',
  'label_by_neighbours',
  'label_mentions',
  'learn_aliases',
  'load_extractor',
  'load_tagger',
  'merge',
  'merge_labels',
  'on_grid',
  'pairwise',
  'predict_labels',
  'read_aliases',
  'read_cues',
  'read_labels',
  'read_obo',
  'read_radgraph',
  'read_reports',
  'read_umls',
  'search_sets',
  'soft_similarity',
  'train_labels',
  'type_weights',
]


def __getattr__(name: str) -> Any:
  if name not in _LAZY:
    raise AttributeError(f'module {__name__!r} has no attribute {name!r}')
  module = importlib.import_module(f'dicejax.concepts.{_LAZY[name]}')
  return getattr(module, name)
