"""Thresholds of a label that are tuned on examples with known labels."""

import numpy as np
from scipy import special

from dicejax import metrics


def plug_in_threshold(logits: np.ndarray, positive: np.ndarray) -> float:
  """Computes the probability from which on a label is expected to be worth it.

  The labels only serve to fit a slope and a bias, which calibrate the
  probabilities; the threshold is the one with the highest expected F1.

  Args:
    logits: float `[n]`, finite, of the label against its absence.
    positive: bool `[n]`, at least one of which is true.

  Returns:
    A threshold on the probabilities of the model itself.
  """
  slope, bias = metrics.fit_platt(logits, positive)
  best, _ = metrics.plug_in_threshold(special.expit(slope * logits + bias))
  return float(special.expit((special.logit(best) - bias) / slope))
