"""BERT encoders that load published checkpoints, and the heads on top."""

from dicejax.models.bert import Bert
from dicejax.models.bert import BertConfig
from dicejax.models.heads import TokenTagger
from dicejax.models.pretrained import load_pretrained
from dicejax.models.pretrained import resolve
from dicejax.models.pretrained import save_pretrained

__all__ = [
  'Bert',
  'BertConfig',
  'TokenTagger',
  'load_pretrained',
  'resolve',
  'save_pretrained',
]
