"""Query spans: entities as answers to queries, one per type (BERT-MRC)."""

from train.tasks.query_spans.labels import get_labels
from train.tasks.query_spans.task import QuerySpans

__all__ = ['QuerySpans', 'get_labels']
