"""Losses that optimise overlap, for imbalanced NLP in JAX."""

from __future__ import annotations

from typing import TYPE_CHECKING
from typing import Any

from dicejax import losses
from dicejax import metrics

if TYPE_CHECKING:
  from dicejax.text.loading import load

__all__ = ['load', 'losses', 'metrics']
__version__ = '0.2.0'


def __getattr__(name: str) -> Any:
  # Loading models needs packages that losses and metrics do not.
  if name == 'load':
    from dicejax.text.loading import load

    return load
  raise AttributeError(f'module {__name__!r} has no attribute {name!r}')
