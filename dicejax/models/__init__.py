"""BERT and RoBERTa, with published weights, and the heads on top."""

from dicejax.models.bert import Bert
from dicejax.models.bert import BertConfig
from dicejax.models.finetuned import FineTuned
from dicejax.models.finetuned import load_finetuned
from dicejax.models.finetuned import save_finetuned
from dicejax.models.heads import QuerySpanLogits
from dicejax.models.heads import QuerySpanTagger
from dicejax.models.heads import SpanExtractor
from dicejax.models.heads import TextClassifier
from dicejax.models.heads import TokenTagger
from dicejax.models.heads import pool_states
from dicejax.models.pretrained import load_pooler
from dicejax.models.pretrained import load_pretrained
from dicejax.models.pretrained import resolve
from dicejax.models.pretrained import save_pretrained

__all__ = [
  'Bert',
  'BertConfig',
  'FineTuned',
  'QuerySpanLogits',
  'QuerySpanTagger',
  'SpanExtractor',
  'TextClassifier',
  'TokenTagger',
  'load_finetuned',
  'load_pooler',
  'load_pretrained',
  'pool_states',
  'resolve',
  'save_finetuned',
  'save_pretrained',
]
