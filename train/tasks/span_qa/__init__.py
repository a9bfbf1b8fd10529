"""Span QA: the span of a context that answers a question, or several spans."""

from dicejax.text.answers import Prediction
from train.tasks.span_qa.settings import get_labels
from train.tasks.span_qa.task import SpanQa

__all__ = ['Prediction', 'SpanQa', 'get_labels']
