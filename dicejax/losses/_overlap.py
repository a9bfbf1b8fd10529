"""Losses of sets: one minus an overlap of what is predicted and what is true.

Each is a formula of the soft counts of `_counts.py`. All of them share the
meaning of `axis`, `where`, `class_weights`, `axis_name` and `activation`, told
in full at `dice`. By default each element is a set in the losses of the paper,
`dice`, `self_adjusting_dice` and `tversky`; in the others all are one set.
"""

import functools
import numbers

import jax
import jax.numpy as jnp

from dicejax.losses._counts import Prices
from dicejax.losses._counts import minima
from dicejax.losses._counts import powers
from dicejax.losses._counts import products
from dicejax.losses._counts import set_loss
from dicejax.losses._counts import soft_counts
from dicejax.losses._counts import squares
from dicejax.losses._inputs import check_class_weights
from dicejax.losses._inputs import check_inputs
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
    Prices(1 / 2, 1 / 2, smooth / 2),
    logits,
    labels,
    overlap=squares if square else products,
    alpha=alpha,
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
    Prices(alpha, beta, smooth),
    logits,
    labels,
    axis=axis,
    where=where,
    class_weights=class_weights,
    axis_name=axis_name,
    activation=activation,
  )


def jaccard(
  logits: jax.typing.ArrayLike,
  labels: jax.typing.ArrayLike,
  *,
  smooth: jax.typing.ArrayLike = 1.0,
  axis: int | tuple[int, ...] | None = None,
  where: jax.typing.ArrayLike | None = None,
  class_weights: jax.typing.ArrayLike | None = None,
  axis_name: str | tuple[str, ...] | None = None,
  activation: str | None = None,
) -> jax.Array:
  r"""Jaccard loss: one minus the soft intersection over union of each set.

  .. math::
    L = 1 - \frac{TP + \gamma}{TP + FP + FN + \gamma}

  the Tversky loss at :math:`\alpha = \beta = 1`. With D the Dice and J the
  Jaccard index, :math:`D = 2J / (1 + J)` where :math:`\gamma = 0`: both order
  sets alike, and this one punishes more.

  Args:
    logits: float `[examples..., classes]` for softmax, `[examples...]` for
      independent sigmoids. Never probabilities: that cannot be checked.
    labels: int class ids `[examples...]` (softmax), or of the shape of the
      logits (sigmoid).
    smooth: :math:`\gamma \ge 0`, in the unit of the counts.
    axis: see `dice`; here all elements are one set by default.
    where: see `dice`.
    class_weights: see `dice`.
    axis_name: see `dice`.
    activation: see `dice`.

  Returns:
    Loss in [0, 1], as of `dice`.

  Raises:
    AssertionError: types or shapes that do not fit, with both shapes.
    ValueError: as of `dice`.

  Example:
    >>> logits, labels = jnp.array([9., -9., 9.]), jnp.array([1, 0, 0])
    >>> print(f'{jaccard(logits, labels):.3f}')
    0.333

  References:
    Rahman and Wang, `Optimizing Intersection-Over-Union in Deep Neural Networks
    <https://doi.org/10.1007/978-3-319-50835-1_22>`_, 2016.
  """
  check_not_negative(smooth=smooth)
  return set_loss(
    Prices(1, 1, smooth),
    logits,
    labels,
    axis=axis,
    where=where,
    class_weights=class_weights,
    axis_name=axis_name,
    activation=activation,
  )


def f_beta(
  logits: jax.typing.ArrayLike,
  labels: jax.typing.ArrayLike,
  *,
  beta: jax.typing.ArrayLike = 1.0,
  smooth: jax.typing.ArrayLike = 1.0,
  axis: int | tuple[int, ...] | None = None,
  where: jax.typing.ArrayLike | None = None,
  class_weights: jax.typing.ArrayLike | None = None,
  axis_name: str | tuple[str, ...] | None = None,
  activation: str | None = None,
) -> jax.Array:
  r"""Soft F-beta loss: recall counts beta times as much as precision.

  .. math::
    L = 1 - \frac{TP + \gamma}{TP + \alpha\,FP + (1 - \alpha)\,FN + \gamma},
    \qquad \alpha = \frac{1}{1 + \beta^2}

  the Tversky loss at these prices. A surrogate of the F-beta
  that is reported; :math:`\beta = 1` is `dice` with :math:`2\gamma`.

  Args:
    logits: float `[examples..., classes]` for softmax, `[examples...]` for
      independent sigmoids. Never probabilities: that cannot be checked.
    labels: int class ids `[examples...]` (softmax), or of the shape of the
      logits (sigmoid).
    beta: :math:`\beta \ge 0`; 0 is precision alone.
    smooth: :math:`\gamma \ge 0`, in the unit of the counts.
    axis: see `dice`; here all elements are one set by default.
    where: see `dice`.
    class_weights: see `dice`.
    axis_name: see `dice`.
    activation: see `dice`.

  Returns:
    Loss in [0, 1], as of `dice`.

  Raises:
    AssertionError: types or shapes that do not fit, with both shapes.
    ValueError: as of `dice`; a negative `beta`.

  Example:
    >>> logits, labels = jnp.array([9., -9., 9.]), jnp.array([1, 0, 0])
    >>> print(f'{f_beta(logits, labels, beta=2.):.3f}')
    0.091

  References:
    van Rijsbergen, `Information Retrieval
    <http://www.dcs.gla.ac.uk/Keith/Preface.html>`_, chapter 7, 1979.
  """
  check_not_negative(beta=beta, smooth=smooth)
  # Written so that a large beta does not overflow.
  alpha = 1 / (1 + jnp.square(beta))
  return set_loss(
    Prices(alpha, 1 - alpha, smooth),
    logits,
    labels,
    axis=axis,
    where=where,
    class_weights=class_weights,
    axis_name=axis_name,
    activation=activation,
  )


def dice_plus_plus(
  logits: jax.typing.ArrayLike,
  labels: jax.typing.ArrayLike,
  *,
  gamma: jax.typing.ArrayLike = 2.0,
  smooth: jax.typing.ArrayLike = 1.0,
  axis: int | tuple[int, ...] | None = None,
  where: jax.typing.ArrayLike | None = None,
  class_weights: jax.typing.ArrayLike | None = None,
  axis_name: str | tuple[str, ...] | None = None,
  activation: str | None = None,
) -> jax.Array:
  r"""DSC++ loss: Dice that forgives small misses, against overconfidence.

  .. math::
    L = 1 - \frac{2\,TP + s}{2\,TP + s
      + \sum_i (p_i (1 - y_i))^\gamma + \sum_i ((1 - p_i) y_i)^\gamma}

  For labels 0 and 1, :math:`\gamma = 1` is `dice` and :math:`\gamma = 2` is
  `dice` with `square`, for then :math:`2 p y + (p - y)^2 = p^2 + y^2`.

  Args:
    logits: float `[examples..., classes]` for softmax, `[examples...]` for
      independent sigmoids. Never probabilities: that cannot be checked.
    labels: int class ids `[examples...]` (softmax), or of the shape of the
      logits (sigmoid).
    gamma: :math:`\gamma \ge 1`, exponent of the misses.
    smooth: :math:`s \ge 0`, in the unit of the counts.
    axis: see `dice`; here all elements are one set by default.
    where: see `dice`.
    class_weights: see `dice`.
    axis_name: see `dice`.
    activation: see `dice`.

  Returns:
    Loss in [0, 1], as of `dice`.

  Raises:
    AssertionError: types or shapes that do not fit, with both shapes.
    ValueError: as of `dice`; a `gamma` below 1.

  Example:
    >>> logits, labels = jnp.array([1., -1., 1.]), jnp.array([1, 0, 0])
    >>> print(f'{dice_plus_plus(logits, labels):.3f}')
    0.216

  References:
    Yeung et al., `Calibrating the Dice Loss to Handle Neural Network
    Overconfidence <https://doi.org/10.1007/s10278-022-00735-3>`_, 2023.
  """
  check_not_negative(smooth=smooth)
  if isinstance(gamma, numbers.Real) and gamma < 1:
    raise ValueError(f'gamma is at least 1, not {gamma}.')
  return set_loss(
    Prices(1 / 2, 1 / 2, smooth / 2),
    logits,
    labels,
    overlap=functools.partial(powers, gamma),
    axis=axis,
    where=where,
    class_weights=class_weights,
    axis_name=axis_name,
    activation=activation,
  )


def dice_semimetric(
  logits: jax.typing.ArrayLike,
  labels: jax.typing.ArrayLike,
  *,
  smooth: jax.typing.ArrayLike = 1.0,
  axis: int | tuple[int, ...] | None = None,
  where: jax.typing.ArrayLike | None = None,
  class_weights: jax.typing.ArrayLike | None = None,
  axis_name: str | tuple[str, ...] | None = None,
  activation: str | None = None,
) -> jax.Array:
  r"""Dice semimetric loss: Dice for soft labels, least where p equals y.

  .. math::
    L = 1 - \frac{2 \sum_i \min(p_i, y_i) + \gamma}
      {\sum_i p_i + \sum_i y_i + \gamma}
    = \frac{\sum_i |p_i - y_i|}{\sum_i p_i + \sum_i y_i + \gamma}

  For labels 0 and 1 it is `dice`. For smoothed, averaged or distilled labels
  `dice` itself is wrong: its product :math:`p y` is largest at p = 1, whatever
  y above one half is.

  Args:
    logits: float `[examples..., classes]` for softmax, `[examples...]` for
      independent sigmoids. Never probabilities: that cannot be checked.
    labels: int class ids `[examples...]` (softmax), or of the shape of the
      logits (sigmoid).
    smooth: :math:`\gamma \ge 0`, in the unit of the counts.
    axis: see `dice`; here all elements are one set by default.
    where: see `dice`.
    class_weights: see `dice`.
    axis_name: see `dice`.
    activation: see `dice`.

  Returns:
    Loss in [0, 1], as of `dice`.

  Raises:
    AssertionError: types or shapes that do not fit, with both shapes.
    ValueError: as of `dice`.

  Example:
    >>> logits, labels = jnp.array([0., 0.]), jnp.array([.5, .5])
    >>> print(dice_semimetric(logits, labels))
    0.0

  References:
    Wang et al., `Dice Semimetric Losses
    <https://arxiv.org/abs/2303.16296>`_, 2023.
  """
  check_not_negative(smooth=smooth)
  return set_loss(
    Prices(1 / 2, 1 / 2, smooth / 2),
    logits,
    labels,
    overlap=minima,
    axis=axis,
    where=where,
    class_weights=class_weights,
    axis_name=axis_name,
    activation=activation,
  )


def generalised_dice(
  logits: jax.typing.ArrayLike,
  labels: jax.typing.ArrayLike,
  *,
  axis: int | tuple[int, ...] | None = None,
  where: jax.typing.ArrayLike | None = None,
  class_weights: jax.typing.ArrayLike | None = None,
  axis_name: str | tuple[str, ...] | None = None,
  activation: str | None = None,
) -> jax.Array:
  r"""Generalised Dice loss: one Dice of all classes, rare ones weighed up.

  .. math::
    L = 1 - \frac{2 \sum_c w_c\,TP_c}{\sum_c w_c (2\,TP_c + FP_c + FN_c)},
    \qquad w_c = \frac{1}{\max(1, \sum_i y_{ic})^2}

  Of a set without an example of a class the weight of that class is 1, as if it
  had one: a false positive costs, and nothing is infinite. The paper leaves it
  open.

  Args:
    logits: float `[examples..., classes]`, softmax.
    labels: int class ids `[examples...]`; distributions of the shape of the
      logits with `activation='softmax'`.
    axis: see `dice`; here all elements are one set by default.
    where: see `dice`.
    class_weights: `[classes]`, at least 0, factors of :math:`w_c`.
    axis_name: see `dice`.
    activation: None or 'softmax'.

  Returns:
    Loss in [0, 1], as of `dice`.

  Raises:
    AssertionError: types or shapes that do not fit, with both shapes.
    ValueError: as of `dice`; sigmoids.

  Example:
    >>> logits = jnp.array([[2., .5, -1.], [0., 1., .5]])
    >>> print(f'{generalised_dice(logits, jnp.array([0, 1])):.3f}')
    0.354

  References:
    Sudre et al., `Generalised Dice overlap as a deep learning loss function
    <https://arxiv.org/abs/1707.03237>`_, 2017.
  """
  logits = jnp.asarray(logits)
  if activation != 'softmax' and jnp.ndim(labels) == logits.ndim:
    raise ValueError(
      'generalised_dice weighs the classes of a softmax. logits: '
      f'{list(logits.shape)}, labels: {list(jnp.shape(labels))}.'
    )
  counts = soft_counts(
    logits,
    labels,
    axis=axis,
    where=where,
    axis_name=axis_name,
    activation=activation,
  )
  examples = jax.lax.stop_gradient(counts.tp + counts.fn)
  weights = 1 / jnp.square(jnp.maximum(examples, 1))
  if class_weights is not None:
    class_weights = check_class_weights(
      class_weights, logits.astype(weights.dtype)
    )
    weights *= jnp.broadcast_to(class_weights, weights.shape)
  return tversky_distance(
    jax.tree.map(lambda count: jnp.sum(weights * count, axis=-1), counts)
  )


def sigmoid_f1(
  logits: jax.typing.ArrayLike,
  labels: jax.typing.ArrayLike,
  *,
  beta: jax.typing.ArrayLike = 1.0,
  eta: jax.typing.ArrayLike = 0.0,
  smooth: jax.typing.ArrayLike = 0.0,
  axis: int | tuple[int, ...] | None = 0,
  where: jax.typing.ArrayLike | None = None,
  axis_name: str | tuple[str, ...] | None = None,
) -> jax.Array:
  r"""sigmoidF1 loss of multi-label data: Dice over a steeper sigmoid.

  .. math::
    L = 1 - \frac{2\,TP + \gamma}{2\,TP + FP + FN + \gamma}, \qquad
    p = \frac{1}{1 + e^{-\beta (z + \eta)}}

  of each label over the batch; the mean over labels is a surrogate of the
  macro F1. A steep sigmoid brings the counts near whole numbers, and takes the
  gradient from all but the logits about :math:`-\eta`.

  Args:
    logits: float `[examples..., labels]`; never probabilities.
    labels: of the shape of the logits, 0 and 1 or anything between.
    beta: :math:`\beta > 0`, the slope.
    eta: :math:`\eta`, the offset.
    smooth: :math:`\gamma \ge 0`, in the unit of the counts.
    axis: see `dice`; here the first by default.
    where: see `dice`.
    axis_name: see `dice`.

  Returns:
    Loss in [0, 1], as of `dice`: by default of each label.

  Raises:
    AssertionError: types or shapes that do not fit, with both shapes.
    ValueError: as of `dice`; a negative `beta`.

  Example:
    >>> logits = jnp.array([[3., -1.], [-2., 1.], [1., 2.]])
    >>> labels = jnp.array([[1, 0], [0, 1], [0, 1]])
    >>> print(*(f'{loss:.3f}' for loss in sigmoid_f1(logits, labels)))
    0.320 0.169

  References:
    Bénédict et al., `sigmoidF1 <https://arxiv.org/abs/2108.10566>`_, 2021.
  """
  check_not_negative(beta=beta)
  x = check_inputs(logits, labels, where, 'sigmoid')
  steeper = beta * (x.logits + eta)
  return dice(
    steeper.astype(x.logits.dtype),
    x.labels,
    smooth=smooth,
    axis=axis,
    where=where,
    axis_name=axis_name,
  )
