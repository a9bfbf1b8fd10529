"""Texts as mentions of concepts: sentences, names, and what is said of them."""
