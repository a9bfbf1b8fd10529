"""Data: readers of public file formats, splits, and batches."""
