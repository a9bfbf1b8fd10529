"""Span metrics: entities out of tags, counts that add, scores out of counts."""

from dicejax.metrics._scores import f_score
from dicejax.metrics._scores import precision
from dicejax.metrics._scores import recall
from dicejax.metrics._scores import span_counts
from dicejax.metrics._scores import span_scores
from dicejax.metrics._spans import Span
from dicejax.metrics._spans import bio_tags
from dicejax.metrics._spans import entity_spans
from dicejax.metrics._spans import first_ill_formed

__all__ = [
  'Span',
  'bio_tags',
  'entity_spans',
  'f_score',
  'first_ill_formed',
  'precision',
  'recall',
  'span_counts',
  'span_scores',
]
