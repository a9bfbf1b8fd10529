"""Classification: one label for a text or for a pair of texts."""

from train.tasks.classification.labels import get_labels
from train.tasks.classification.task import Classification

__all__ = ['Classification', 'get_labels']
