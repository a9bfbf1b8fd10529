"""The losses as their formulas say, in float64 numpy, one set at a time."""

import numpy as np


def binary_scores(logits, softmax):
  """log p and log (1 - p) of every logit against the rest."""
  z = np.asarray(logits, np.float64)
  if not softmax:
    return -np.logaddexp(0, -z), -np.logaddexp(0, z)
  total = np.logaddexp.reduce(z, axis=-1, keepdims=True)
  rest = np.stack(
    [
      np.logaddexp.reduce(np.delete(z, c, axis=-1), axis=-1)
      for c in range(z.shape[-1])
    ],
    axis=-1,
  )
  return z - total, rest - total


def one_hot(labels, logits):
  labels = np.asarray(labels)
  if labels.ndim == np.ndim(logits):
    return labels.astype(np.float64)
  return (labels[..., None] == np.arange(np.shape(logits)[-1])).astype(float)


def tversky_of_set(q, y, alpha, beta, smooth):
  tp, fp, fn = (q * y).sum(), (q * (1 - y)).sum(), ((1 - q) * y).sum()
  return 1 - (tp + smooth) / (tp + alpha * fp + beta * fn + smooth)


def dice_of_set(q, y, smooth, square):
  below = (q**2).sum() + (y**2).sum() if square else q.sum() + y.sum()
  return 1 - (2 * (q * y).sum() + smooth) / (below + smooth)


def set_loss(
  of_set, logits, labels, *, axis=(), softmax, alpha=0.0, class_weights=None
):
  """`of_set(q, y)` of each set and class; the mean over classes."""
  log_p, log_not_p = binary_scores(logits, softmax)
  q = np.exp(log_p + alpha * log_not_p)
  y = one_hot(labels, logits)
  if not softmax:
    q, y = q[..., None], y[..., None]
  examples = q.ndim - 1
  axis = tuple(range(examples)) if axis is None else np.atleast_1d(axis)
  axis = tuple(int(a) for a in axis)
  kept = [a for a in range(examples) if a not in axis]
  order = [*kept, examples, *axis]
  q, y = np.transpose(q, order), np.transpose(y, order)
  out = np.empty(q.shape[: len(kept) + 1])
  for index in np.ndindex(out.shape):
    out[index] = of_set(q[index], y[index])
  weights = np.ones(out.shape[-1]) if class_weights is None else class_weights
  return (out * weights).sum(-1) / np.sum(weights)


def pointwise(f, logits, labels, *, softmax, class_weights=None, smoothing=0.0):
  """sum_c w_c y_c f(log p_c, log (1 - p_c))."""
  log_p, log_not_p = binary_scores(logits, softmax)
  y = one_hot(labels, logits)
  if not softmax:
    log_p, log_not_p = (
      np.stack([log_not_p, log_p], -1),
      np.stack([log_p, log_not_p], -1),
    )
    y = np.stack([1 - y, y], -1)
  y = (1 - smoothing) * y + smoothing / y.shape[-1]
  weights = np.ones(y.shape[-1]) if class_weights is None else class_weights
  return (weights * y * f(log_p, log_not_p)).sum(-1)


def gradient(f, x, step=1e-5):
  """Central differences of a scalar function, in float64."""
  x = np.asarray(x, np.float64)
  out = np.empty_like(x)
  for index in np.ndindex(x.shape):
    up, down = x.copy(), x.copy()
    up[index] += step
    down[index] -= step
    out[index] = (f(up) - f(down)) / (2 * step)
  return out


def asymmetric(logits, labels, gamma_positive, gamma_negative, margin):
  """-y (1-p)^g+ log p - (1-y) p_m^g- log(1-p_m) of each sigmoid."""
  log_p, log_not_p = binary_scores(logits, softmax=False)
  p_m = np.maximum(np.exp(log_p) - margin, 0)
  with np.errstate(divide='ignore'):
    log_not_pm = np.minimum(np.logaddexp(log_not_p, np.log(margin)), 0)
  positive = np.exp(gamma_positive * log_not_p) * log_p
  return -labels * positive - (1 - labels) * p_m**gamma_negative * log_not_pm


def zlpr(logits, labels, keep=None):
  """log(1 + sum y e^-s) + log(1 + sum (1-y) e^s), one row at a time."""
  s = np.asarray(logits, np.float64)
  keep = np.broadcast_to(True if keep is None else keep, s.shape)
  out = np.empty(s.shape[:-1])
  for row in np.ndindex(out.shape):
    out[row] = 0
    for sign, weights in [(-1, labels[row]), (1, 1 - labels[row])]:
      some = keep[row] & (weights > 0)
      terms = sign * s[row][some] + np.log(weights[some])
      total = np.logaddexp.reduce(terms, initial=-np.inf)
      out[row] += np.logaddexp(0, total)
  return out


def kept(loss, labels, count, keep):
  """All positives and the `count` hardest negatives, by a plain sort."""
  negatives = [i for i in range(len(loss)) if keep[i] and not labels[i] > 0]
  hard = [np.inf if np.isnan(value) else value for value in loss]
  negatives.sort(key=lambda i: (-hard[i], i))
  chosen = set(negatives[:count])
  return [
    bool(keep[i] and (labels[i] > 0 or i in chosen)) for i in range(len(loss))
  ]
