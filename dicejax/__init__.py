"""Losses that optimise overlap, for imbalanced NLP in JAX."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING
from typing import Any

if TYPE_CHECKING:
  from dicejax import losses
  from dicejax import metrics
  from dicejax.text.loading import load

__all__ = ['load', 'losses', 'metrics']
__version__ = '0.2.0'


def __getattr__(name: str) -> Any:
  # Loading models needs packages that losses and metrics do not, and these
  # import JAX, which takes longer than a search for reports.
  if name in ('losses', 'metrics'):
    return importlib.import_module(f'dicejax.{name}')
  if name == 'load':
    from dicejax.text.loading import load

    return load
  raise AttributeError(f'module {__name__!r} has no attribute {name!r}')
