"""Span QA: the span of a context that answers a question, or several spans."""

from train.tasks.span_qa.task import Prediction
from train.tasks.span_qa.task import SpanQa
from train.tasks.span_qa.windows import get_labels

__all__ = ['Prediction', 'SpanQa', 'get_labels']
