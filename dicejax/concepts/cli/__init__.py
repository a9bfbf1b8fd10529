"""The command `python -m dicejax.concepts`."""
