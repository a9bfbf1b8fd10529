"""Data sets: readers of public file formats, prepared once, read at random."""
