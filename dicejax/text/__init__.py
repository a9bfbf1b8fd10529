"""Texts in; entities, tags, labels and answers out.

`dicejax.load` makes a `Predictor` of a trained model. Training uses the same
tokenizers, decoders and decisions. Needs `pip install 'dicejax[text]'`.
"""
