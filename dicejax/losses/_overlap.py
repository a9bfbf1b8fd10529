"""Losses of sets: one minus an overlap of what is predicted and what is true.

Each is a formula of the soft counts of `_counts.py`. All of them share the
meaning of `axis`, `where`, `class_weights`, `axis_name` and `activation`, told
in full at `dice`.
"""

import functools

import jax

from dicejax.losses._counts import set_loss
from dicejax.losses._inputs import check_not_negative
from dicejax.tversky import tversky_distance


def dice(
  logits: jax.typing.ArrayLike,
  labels: jax.typing.ArrayLike,
  *,
  smooth: jax.typing.ArrayLike = 1.0,
  square: bool = False,
  axis: int | tuple[int, ...] | None = (),
  where: jax.typing.ArrayLike | None = None,
  class_weights: jax.typing.ArrayLike | None = None,
  axis_name: str | tuple[str, ...] | None = None,
  activation: str | None = None,
) -> jax.Array:
  r"""Dice loss: one minus the soft F1 of each set.

  .. math::
    L = 1 - \frac{2 \sum_i p_i y_i + \gamma}{\sum_i p_i + \sum_i y_i + \gamma}

  with the sums over the elements of a set, or over :math:`p_i^2` and
  :math:`y_i^2` below if `square`. A set of one element (`axis=()`) is the
  paper's example-level form; one set of all elements (`axis=None`) makes the
  loss a surrogate of the F1 that is reported. Where a model starts, all of
  them have a far smaller gradient than cross entropy, and next to none for a
  confident mistake: if training does not start, add cross entropy.

  Args:
    logits: float `[examples..., classes]` for softmax, `[examples...]` for
      independent sigmoids. Never probabilities: that cannot be checked.
    labels: int class ids `[examples...]`: softmax, each class against the rest;
      an id that is no class is a negative of all. Or of the shape of the
      logits, 0 and 1 or anything between: sigmoid, each a binary problem.
    smooth: :math:`\gamma \ge 0`. What lets an element without a positive count;
      in the unit of the counts.
    square: squared denominators (Milletari et al.).
    axis: the example axes whose elements form one set, numbered as in the
      logits. `()`: each element is a set. None: all elements are one set.
      A tuple: one set for each element of the other axes, as a sentence.
    where: bool, broadcastable to the example axes. An element with False is
      left out, as if it were cut away, whatever its logits and label are.
      Sets without an element have loss 0.
    class_weights: `[classes]`, at least 0, softmax only. Weights of the mean
      over classes, by default equal; a weight of 0 leaves a class, such as
      `O`, out.
    axis_name: name of a `pmap` or `shard_map` axis: the sets extend over it,
      counts are summed before the ratio. Not needed under `jit`.
    activation: by default as `labels` say. 'softmax' with labels of the shape
      of the logits takes them for distributions over classes.

  Returns:
    Loss in [0, 1], float32 (float64 for such logits), of the example axes that
    are left; without `axis`, mean over it for the mean over elements.

  Raises:
    AssertionError: types or shapes that do not fit, with both shapes.
    ValueError: an axis that is no example axis, a negative `smooth`, an
      unknown `activation`.

  Example:
    >>> import jax.numpy as jnp
    >>> logits = jnp.array([9., -9., 9.])
    >>> print(f'{dice(logits, jnp.array([1, 0, 0]), axis=None):.3f}')
    0.250

  References:
    Li et al., `Dice Loss for Data-imbalanced NLP Tasks
    <https://aclanthology.org/2020.acl-main.45>`_, 2020.
    Milletari et al., `V-Net <https://arxiv.org/abs/1606.04797>`_, 2016.
  """
  return self_adjusting_dice(
    logits,
    labels,
    alpha=0.0,
    smooth=smooth,
    square=square,
    axis=axis,
    where=where,
    class_weights=class_weights,
    axis_name=axis_name,
    activation=activation,
  )


def self_adjusting_dice(
  logits: jax.typing.ArrayLike,
  labels: jax.typing.ArrayLike,
  *,
  alpha: jax.typing.ArrayLike = 0.01,
  smooth: jax.typing.ArrayLike = 1.0,
  square: bool = True,
  decay_gradient: str = 'full',
  axis: int | tuple[int, ...] | None = (),
  where: jax.typing.ArrayLike | None = None,
  class_weights: jax.typing.ArrayLike | None = None,
  axis_name: str | tuple[str, ...] | None = None,
  activation: str | None = None,
) -> jax.Array:
  r"""Dice loss whose easy examples decay: `dice` of q in place of p.

  .. math::
    L = 1 - \frac{2 \sum_i q_i y_i + \gamma}{\sum_i q_i + \sum_i y_i + \gamma},
    \qquad q_i = (1 - p_i)^\alpha p_i

  and with :math:`q_i^2`, :math:`y_i^2` below if `square`. Its gradient,

  .. math::
    \frac{\partial q}{\partial u} = q \, (1 - (1 + \alpha) \, p), \qquad
    p = \operatorname{sigmoid}(u),

  changes sign at :math:`p = 1/(1+\alpha)`: above it a positive is pushed back,
  and a false positive is pushed further up. With the default :math:`\alpha`
  that is p > 0.990; with :math:`\alpha = 1`, p > 0.5. `decay_gradient='stop'`
  takes :math:`(1-p)^\alpha` for a weight, as focal-style losses do; the
  gradient is then :math:`q \, (1 - p)`, which keeps its sign.

  Since q < 1 for :math:`\alpha > 0`, the loss of a perfectly predicted positive
  is not 0.

  Args:
    logits: float `[examples..., classes]` for softmax, `[examples...]` for
      independent sigmoids. Never probabilities: that cannot be checked.
    labels: int class ids `[examples...]` (softmax), or of the shape of the
      logits (sigmoid).
    alpha: :math:`\alpha \ge 0`, exponent of the decay; not differentiated.
    smooth: :math:`\gamma \ge 0`, in the unit of the counts.
    square: squared denominators, as in all published experiments.
    decay_gradient: 'full' differentiates the decay, 'stop' does not.
    axis: see `dice`. `axis=()` is the published multi-class form (which sums
      over classes where this is their mean), `axis=None` its binary form.
    where: see `dice`.
    class_weights: see `dice`.
    axis_name: see `dice`.
    activation: see `dice`.

  Returns:
    Loss in [0, 1], as of `dice`.

  Raises:
    AssertionError: types or shapes that do not fit, with both shapes.
    ValueError: as of `dice`; a negative `alpha`, an unknown `decay_gradient`.

  Example:
    >>> import jax.numpy as jnp
    >>> logits = jnp.array([[2., .5, -1.], [0., 1., .5]])
    >>> loss = self_adjusting_dice(logits, jnp.array([0, 1]))
    >>> print(*(f'{value:.4f}' for value in loss))
    0.0170 0.0762

  References:
    Li et al., `Dice Loss for Data-imbalanced NLP Tasks
    <https://aclanthology.org/2020.acl-main.45>`_, 2020.
  """
  check_not_negative(smooth=smooth)
  return set_loss(
    # Dice is Tversky at 1/2, 1/2, with all four counts halved.
    functools.partial(tversky_distance, smooth=smooth / 2),
    logits,
    labels,
    alpha=alpha,
    square=square,
    decay_gradient=decay_gradient,
    axis=axis,
    where=where,
    class_weights=class_weights,
    axis_name=axis_name,
    activation=activation,
  )


def tversky(
  logits: jax.typing.ArrayLike,
  labels: jax.typing.ArrayLike,
  *,
  alpha: jax.typing.ArrayLike = 0.5,
  beta: jax.typing.ArrayLike = 0.5,
  smooth: jax.typing.ArrayLike = 1.0,
  axis: int | tuple[int, ...] | None = (),
  where: jax.typing.ArrayLike | None = None,
  class_weights: jax.typing.ArrayLike | None = None,
  axis_name: str | tuple[str, ...] | None = None,
  activation: str | None = None,
) -> jax.Array:
  r"""Tversky loss: false positives and false negatives at a price each.

  .. math::
    L = 1 - \frac{TP + \gamma}{TP + \alpha\,FP + \beta\,FN + \gamma}, \quad
    TP = \sum_i p_i y_i, \;
    FP = \sum_i p_i (1 - y_i), \;
    FN = \sum_i (1 - p_i) y_i

  :math:`\alpha = \beta = \tfrac12` with :math:`\gamma / 2` is `dice` with
  :math:`\gamma`; the paper's experiments set :math:`\beta = 1 - \alpha`.

  Args:
    logits: float `[examples..., classes]` for softmax, `[examples...]` for
      independent sigmoids. Never probabilities: that cannot be checked.
    labels: int class ids `[examples...]` (softmax), or of the shape of the
      logits (sigmoid).
    alpha: weight of false positives, at least 0.
    beta: weight of false negatives, at least 0; more of it, more recall.
    smooth: :math:`\gamma \ge 0`, in the unit of the counts.
    axis: see `dice`.
    where: see `dice`.
    class_weights: see `dice`.
    axis_name: see `dice`.
    activation: see `dice`.

  Returns:
    Loss in [0, 1], as of `dice`.

  Raises:
    AssertionError: types or shapes that do not fit, with both shapes.
    ValueError: as of `dice`; a negative `alpha` or `beta`.

  Example:
    >>> import jax.numpy as jnp
    >>> logits, labels = jnp.array([9., -9., 9.]), jnp.array([1, 0, 0])
    >>> print(f'{tversky(logits, labels, alpha=.9, beta=.1, axis=None):.3f}')
    0.310

  References:
    Salehi et al., `Tversky loss <https://arxiv.org/abs/1706.05721>`_, 2017.
    Li et al., `Dice Loss for Data-imbalanced NLP Tasks
    <https://aclanthology.org/2020.acl-main.45>`_, 2020.
  """
  check_not_negative(alpha=alpha, beta=beta, smooth=smooth)
  return set_loss(
    functools.partial(tversky_distance, alpha=alpha, beta=beta, smooth=smooth),
    logits,
    labels,
    axis=axis,
    where=where,
    class_weights=class_weights,
    axis_name=axis_name,
    activation=activation,
  )
