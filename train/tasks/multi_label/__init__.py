"""Several labels for a text or for a pair of texts, each decided on its own."""

from train.tasks.multi_label.labels import get_labels
from train.tasks.multi_label.task import MultiLabel

__all__ = ['MultiLabel', 'get_labels']
