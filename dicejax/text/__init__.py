"""Texts in, tags, labels and answers out: what training and use share."""
