"""Encoders with published weights, and the heads on top."""

from dicejax.models.bert import Bert
from dicejax.models.bert import BertConfig
from dicejax.models.deberta import Deberta
from dicejax.models.deberta import DebertaConfig
from dicejax.models.families import FAMILIES
from dicejax.models.families import find_family
from dicejax.models.families import make_config
from dicejax.models.families import make_encoder
from dicejax.models.family import EncoderConfig
from dicejax.models.finetuned import FineTuned
from dicejax.models.finetuned import load_finetuned
from dicejax.models.finetuned import save_finetuned
from dicejax.models.heads import QuerySpanLogits
from dicejax.models.heads import QuerySpanTagger
from dicejax.models.heads import SpanExtractor
from dicejax.models.heads import TextClassifier
from dicejax.models.heads import TokenTagger
from dicejax.models.heads import pool_states
from dicejax.models.modernbert import ModernBert
from dicejax.models.modernbert import ModernBertConfig
from dicejax.models.pretrained import load_pooler
from dicejax.models.pretrained import load_pretrained
from dicejax.models.pretrained import resolve
from dicejax.models.pretrained import save_pretrained
from dicejax.models.xlnet import XLNet
from dicejax.models.xlnet import XLNetConfig

__all__ = [
  'FAMILIES',
  'Bert',
  'BertConfig',
  'Deberta',
  'DebertaConfig',
  'EncoderConfig',
  'FineTuned',
  'ModernBert',
  'ModernBertConfig',
  'QuerySpanLogits',
  'QuerySpanTagger',
  'SpanExtractor',
  'TextClassifier',
  'TokenTagger',
  'XLNet',
  'XLNetConfig',
  'find_family',
  'load_finetuned',
  'load_pooler',
  'load_pretrained',
  'make_config',
  'make_encoder',
  'pool_states',
  'resolve',
  'save_finetuned',
  'save_pretrained',
]
