"""Losses that optimise overlap, for imbalanced NLP in JAX."""

from dicejax import losses
from dicejax import metrics

__all__ = ['losses', 'metrics']
__version__ = '0.2.0'
