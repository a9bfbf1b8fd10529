"""Tagging: a label for each word, predicted at its first sub-word."""

from dicejax.text.tags import Prediction
from train.tasks.tagging.labels import get_labels
from train.tasks.tagging.task import Tagging

__all__ = ['Prediction', 'Tagging', 'get_labels']
