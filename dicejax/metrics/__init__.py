"""Metrics: counts, scores computed from counts, answers and decisions."""

from dicejax.metrics._answers import answer_f1
from dicejax.metrics._answers import exact_match
from dicejax.metrics._answers import normalize_answer
from dicejax.metrics._answers import span_set_scores
from dicejax.metrics._decisions import best_offset
from dicejax.metrics._decisions import fit_platt
from dicejax.metrics._decisions import fit_temperature
from dicejax.metrics._decisions import plug_in_threshold
from dicejax.metrics._ranking import average_precision
from dicejax.metrics._scores import class_scores
from dicejax.metrics._scores import f_score
from dicejax.metrics._scores import label_counts
from dicejax.metrics._scores import precision
from dicejax.metrics._scores import recall
from dicejax.metrics._scores import span_counts
from dicejax.metrics._spans import Span
from dicejax.metrics._spans import bio_tags
from dicejax.metrics._spans import entity_spans
from dicejax.metrics._spans import first_ill_formed
from dicejax.metrics._thresholds import best_null_threshold
from dicejax.metrics._thresholds import best_threshold
from dicejax.metrics._thresholds import best_thresholds

__all__ = [
  'Span',
  'answer_f1',
  'average_precision',
  'best_null_threshold',
  'best_offset',
  'best_threshold',
  'best_thresholds',
  'bio_tags',
  'class_scores',
  'entity_spans',
  'exact_match',
  'f_score',
  'first_ill_formed',
  'fit_platt',
  'fit_temperature',
  'label_counts',
  'normalize_answer',
  'plug_in_threshold',
  'precision',
  'recall',
  'span_counts',
  'span_set_scores',
]
