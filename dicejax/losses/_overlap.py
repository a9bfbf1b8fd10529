"""Overlap losses: one minus the overlap of predicted and true sets.

Each loss is a formula of the soft counts of a set. All of them share the
meaning of `axis`, `average`, `where`, `class_weights`, `axis_name` and
`activation`, which `dice` explains in full, and by default take all elements
as one set.
"""

from __future__ import annotations

import dataclasses
import numbers

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from dicejax.losses._elements import minima
from dicejax.losses._elements import powers
from dicejax.losses._elements import products
from dicejax.losses._elements import squares
from dicejax.losses._inputs import check_class_weights
from dicejax.losses._inputs import check_not_negative
from dicejax.losses._inputs import describe
from dicejax.losses._sets import Axis
from dicejax.losses._sets import AxisName
from dicejax.losses._sets import Sets
from dicejax.tversky import tversky_distance


def dice(
  logits: ArrayLike,
  labels: ArrayLike,
  *,
  smooth: ArrayLike = 1.0,
  square: bool = False,
  axis: Axis = None,
  average: str = 'macro',
  where: ArrayLike | None = None,
  class_weights: ArrayLike | None = None,
  axis_name: AxisName = None,
  activation: str | None = None,
) -> jax.Array:
  r"""Computes the Dice loss: one minus the soft F1 of each set.

  .. math::
    L = 1 - \frac{2 \sum_i p_i y_i + \gamma}{\sum_i p_i + \sum_i y_i + \gamma}

  where the sums run over the elements of a set. With `square`, the denominator
  has :math:`p_i^2` and :math:`y_i^2`.

  By default all elements are one set, and the loss is a scalar, a surrogate of
  the reported F1: macro F1 with `average='macro'`, micro F1 with
  `average='micro'` and a weight of 0 for the background class. With `axis=()`
  each element is a set of its own, which is the form of the paper for several
  classes; it is not a surrogate of F1.

  At initialisation the overlap losses have much smaller gradients than cross
  entropy, and almost none for a confident mistake. If training does not get
  going, add cross entropy. A set should hold many positives: with small
  batches, see `with_running_counts` and `accumulate`.

  Args:
    logits: float `[examples..., classes]` for softmax, `[examples...]` for
      independent sigmoids; never probabilities (which cannot be checked).
    labels: int class ids `[examples...]` (softmax: each class against the
      rest; an id outside `0..classes-1` that `where` does not exclude gives
      NaN), or targets in [0, 1] shaped like the logits (sigmoid: independent
      binary problems).
    smooth: :math:`\gamma \ge 0`, added to numerator and denominator, in units
      of counts. Above 0, sets without a positive still give a gradient.
    square: squares the terms of the denominator (Milletari et al.).
    axis: the example axes whose elements form one set, numbered as in the
      logits. None: all elements are one set. A tuple: one set for each element
      of the other axes, such as one per sentence. `()`: each element is a set.
    average: over the classes of a softmax. 'macro' is the mean of the losses of
      the classes, weighted by `class_weights`. 'micro' sums the counts over
      classes, weighted by `class_weights`, and takes one ratio. (Micro F1 of
      all classes is accuracy: give the background a weight of 0.)
    where: bool, broadcastable to the example axes. An element with False is
      excluded, in value and gradient, as if it were sliced away, whatever its
      logits and label are. Sets without an element have loss 0.
    class_weights: `[classes]`, at least 0, softmax only; equal by default. A
      weight of 0 leaves a class out, such as the tag `O`.
    axis_name: name of a `pmap` or `shard_map` axis over which the sets extend:
      counts are summed over it before the ratio. Not needed under `jit`.
    activation: None lets the labels decide. 'softmax' with labels shaped like
      the logits takes these for distributions over classes.

  Returns:
    Loss in [0, 1] with the example axes that are not in `axis`: a scalar by
    default. float32, or float64 for float64 logits.

  Raises:
    AssertionError: shapes that do not fit; the message has both.
    TypeError: logits that are not floating point, class ids that are not int,
      a `where` that is not bool.
    ValueError: an axis that is not an example axis, one class only, a negative
      `smooth` or class weight, an unknown `average` or `activation`,
      `average='micro'` with sigmoids or with class weights that are all 0.

  Example:
    >>> logits = jnp.array([9., -9., 9.])
    >>> print(f'{dice(logits, jnp.array([1, 0, 0])):.3f}')
    0.250

  References:
    Li et al., `Dice Loss for Data-imbalanced NLP Tasks
    <https://aclanthology.org/2020.acl-main.45>`_, 2020.
    Milletari et al., `V-Net <https://arxiv.org/abs/1606.04797>`_, 2016.
  """
  check_not_negative(smooth=smooth)
  sets = Sets.of(
    logits,
    labels,
    axis=axis,
    average=average,
    where=where,
    class_weights=class_weights,
    axis_name=axis_name,
    activation=activation,
  )
  # Dice is the Tversky index at 1/2, 1/2: its numerator and denominator halved.
  return sets.tversky(1 / 2, 1 / 2, smooth / 2, squares if square else products)


def self_adjusting_dice(
  logits: ArrayLike,
  labels: ArrayLike,
  *,
  alpha: ArrayLike = 0.01,
  smooth: ArrayLike = 1.0,
  square: bool = True,
  decay_gradient: str = 'full',
  axis: Axis = None,
  average: str = 'macro',
  where: ArrayLike | None = None,
  class_weights: ArrayLike | None = None,
  axis_name: AxisName = None,
  activation: str | None = None,
) -> jax.Array:
  r"""Computes the self-adjusting Dice loss: `dice` with decayed easy examples.

  .. math::
    L = 1 - \frac{2 \sum_i q_i y_i + \gamma}{\sum_i q_i + \sum_i y_i + \gamma},
    \qquad q_i = (1 - p_i)^\alpha p_i

  With `square`, the denominator has :math:`q_i^2` and :math:`y_i^2`. The
  gradient by the logit u,

  .. math::
    \frac{\partial q}{\partial u} = q \, (1 - (1 + \alpha) \, p), \qquad
    p = \operatorname{sigmoid}(u),

  changes sign at :math:`p = 1/(1+\alpha)`: confident positives are pushed
  back, and confident false positives are pushed further up. With the default
  :math:`\alpha` that happens above p = 0.990, with :math:`\alpha = 1` above
  0.5. `decay_gradient='stop'` takes :math:`(1-p)^\alpha` for a weight, as focal
  losses are explained; the gradient is then :math:`q \, (1 - p)`, which keeps
  its sign.

  Since q < 1 for :math:`\alpha > 0`, the loss of a perfectly predicted positive
  is not 0.

  Args:
    logits: float `[examples..., classes]` for softmax, `[examples...]` for
      independent sigmoids; never probabilities (which cannot be checked).
    labels: int class ids `[examples...]` (softmax), or targets in [0, 1] shaped
      like the logits (sigmoid).
    alpha: :math:`\alpha \ge 0`, exponent of the decay; not differentiated.
    smooth: :math:`\gamma \ge 0`, in units of counts.
    square: squares the terms of the denominator, as in all published
      experiments.
    decay_gradient: 'full' differentiates the decay, 'stop' does not.
    axis: see `dice`. `axis=()` is the published form for several classes (which
      sums over classes where this takes their mean); `axis=None` is the
      published binary form.
    average: see `dice`.
    where: see `dice`.
    class_weights: see `dice`.
    axis_name: see `dice`.
    activation: see `dice`.

  Returns:
    Loss in [0, 1], shaped as in `dice`.

  Raises:
    AssertionError, TypeError: see `dice`.
    ValueError: see `dice`; a negative `alpha`, an unknown `decay_gradient`.

  Example:
    >>> logits = jnp.array([[2., .5, -1.], [0., 1., .5]])
    >>> labels = jnp.array([0, 1])
    >>> print(f'{self_adjusting_dice(logits, labels):.4f}')
    0.0804
    >>> loss = self_adjusting_dice(logits, labels, axis=())  # the paper's form
    >>> print(*(f'{value:.4f}' for value in loss))
    0.0170 0.0762

  References:
    Li et al., `Dice Loss for Data-imbalanced NLP Tasks
    <https://aclanthology.org/2020.acl-main.45>`_, 2020.
  """
  check_not_negative(smooth=smooth)
  sets = Sets.of(
    logits,
    labels,
    axis=axis,
    average=average,
    where=where,
    class_weights=class_weights,
    axis_name=axis_name,
    activation=activation,
  )
  return sets.tversky(
    1 / 2,
    1 / 2,
    smooth / 2,
    squares if square else products,
    sets.decay(alpha, decay_gradient),
  )


def tversky(
  logits: ArrayLike,
  labels: ArrayLike,
  *,
  alpha: ArrayLike = 0.5,
  beta: ArrayLike = 0.5,
  smooth: ArrayLike = 1.0,
  axis: Axis = None,
  average: str = 'macro',
  where: ArrayLike | None = None,
  class_weights: ArrayLike | None = None,
  axis_name: AxisName = None,
  activation: str | None = None,
) -> jax.Array:
  r"""Computes the Tversky loss, which weighs false positives and negatives.

  .. math::
    L = 1 - \frac{TP + \gamma}{TP + \alpha\,FP + \beta\,FN + \gamma}, \quad
    TP = \sum_i p_i y_i, \;
    FP = \sum_i p_i (1 - y_i), \;
    FN = \sum_i (1 - p_i) y_i

  :math:`\alpha = \beta = \tfrac12` with :math:`\gamma / 2` is `dice` with
  :math:`\gamma`; the paper's experiments set :math:`\beta = 1 - \alpha`.

  Args:
    logits: float `[examples..., classes]` for softmax, `[examples...]` for
      independent sigmoids; never probabilities (which cannot be checked).
    labels: int class ids `[examples...]` (softmax), or targets in [0, 1] shaped
      like the logits (sigmoid).
    alpha: weight of false positives, at least 0.
    beta: weight of false negatives, at least 0; a larger one raises recall.
    smooth: :math:`\gamma \ge 0`, in units of counts.
    axis: see `dice`.
    average: see `dice`.
    where: see `dice`.
    class_weights: see `dice`.
    axis_name: see `dice`.
    activation: see `dice`.

  Returns:
    Loss in [0, 1], shaped as in `dice`.

  Raises:
    AssertionError, TypeError: see `dice`.
    ValueError: see `dice`; a negative `alpha` or `beta`.

  Example:
    >>> logits, labels = jnp.array([9., -9., 9.]), jnp.array([1, 0, 0])
    >>> print(f'{tversky(logits, labels, alpha=.9, beta=.1):.3f}')
    0.310

  References:
    Salehi et al., `Tversky loss <https://arxiv.org/abs/1706.05721>`_, 2017.
    Li et al., `Dice Loss for Data-imbalanced NLP Tasks
    <https://aclanthology.org/2020.acl-main.45>`_, 2020.
  """
  check_not_negative(alpha=alpha, beta=beta, smooth=smooth)
  sets = Sets.of(
    logits,
    labels,
    axis=axis,
    average=average,
    where=where,
    class_weights=class_weights,
    axis_name=axis_name,
    activation=activation,
  )
  return sets.tversky(alpha, beta, smooth)


def jaccard(
  logits: ArrayLike,
  labels: ArrayLike,
  *,
  smooth: ArrayLike = 1.0,
  axis: Axis = None,
  average: str = 'macro',
  where: ArrayLike | None = None,
  class_weights: ArrayLike | None = None,
  axis_name: AxisName = None,
  activation: str | None = None,
) -> jax.Array:
  r"""Computes the Jaccard loss: one minus the soft intersection over union.

  .. math::
    L = 1 - \frac{TP + \gamma}{TP + FP + FN + \gamma}

  This is the Tversky loss at :math:`\alpha = \beta = 1`. The Dice index D and
  the Jaccard index J are related by :math:`D = 2J / (1 + J)` where
  :math:`\gamma = 0`: both rank predictions
  alike, and the Jaccard loss is never the smaller one.

  Args:
    logits: float `[examples..., classes]` for softmax, `[examples...]` for
      independent sigmoids; never probabilities (which cannot be checked).
    labels: int class ids `[examples...]` (softmax), or targets in [0, 1] shaped
      like the logits (sigmoid).
    smooth: :math:`\gamma \ge 0`, in units of counts.
    axis: see `dice`.
    average: see `dice`.
    where: see `dice`.
    class_weights: see `dice`.
    axis_name: see `dice`.
    activation: see `dice`.

  Returns:
    Loss in [0, 1], shaped as in `dice`.

  Raises:
    AssertionError, TypeError, ValueError: see `dice`.

  Example:
    >>> logits, labels = jnp.array([9., -9., 9.]), jnp.array([1, 0, 0])
    >>> print(f'{jaccard(logits, labels):.3f}')
    0.333

  References:
    Rahman and Wang, `Optimizing Intersection-Over-Union in Deep Neural Networks
    <https://doi.org/10.1007/978-3-319-50835-1_22>`_, 2016.
  """
  check_not_negative(smooth=smooth)
  sets = Sets.of(
    logits,
    labels,
    axis=axis,
    average=average,
    where=where,
    class_weights=class_weights,
    axis_name=axis_name,
    activation=activation,
  )
  return sets.tversky(1, 1, smooth)


def f_beta(
  logits: ArrayLike,
  labels: ArrayLike,
  *,
  beta: ArrayLike = 1.0,
  smooth: ArrayLike = 1.0,
  axis: Axis = None,
  average: str = 'macro',
  where: ArrayLike | None = None,
  class_weights: ArrayLike | None = None,
  axis_name: AxisName = None,
  activation: str | None = None,
) -> jax.Array:
  r"""Computes the soft F-beta loss: recall counts beta times as much.

  .. math::
    L = 1 - \frac{TP + \gamma}{TP + \alpha\,FP + (1 - \alpha)\,FN + \gamma},
    \qquad \alpha = \frac{1}{1 + \beta^2}

  This is the Tversky loss at these weights, a surrogate of the F-beta that is
  reported; :math:`\beta = 1` is `dice` with :math:`2\gamma`.

  Args:
    logits: float `[examples..., classes]` for softmax, `[examples...]` for
      independent sigmoids; never probabilities (which cannot be checked).
    labels: int class ids `[examples...]` (softmax), or targets in [0, 1] shaped
      like the logits (sigmoid).
    beta: :math:`\beta \ge 0`; 0 is precision alone.
    smooth: :math:`\gamma \ge 0`, in units of counts.
    axis: see `dice`.
    average: see `dice`.
    where: see `dice`.
    class_weights: see `dice`.
    axis_name: see `dice`.
    activation: see `dice`.

  Returns:
    Loss in [0, 1], shaped as in `dice`.

  Raises:
    AssertionError, TypeError: see `dice`.
    ValueError: see `dice`; a negative `beta`.

  Example:
    >>> logits, labels = jnp.array([9., -9., 9.]), jnp.array([1, 0, 0])
    >>> print(f'{f_beta(logits, labels, beta=2.):.3f}')
    0.091

  References:
    van Rijsbergen, `Information Retrieval
    <http://www.dcs.gla.ac.uk/Keith/Preface.html>`_, chapter 7, 1979.
  """
  check_not_negative(beta=beta, smooth=smooth)
  sets = Sets.of(
    logits,
    labels,
    axis=axis,
    average=average,
    where=where,
    class_weights=class_weights,
    axis_name=axis_name,
    activation=activation,
  )
  alpha = 1 / (1 + jnp.square(beta))  # beta^2 / (1 + beta^2) would overflow.
  return sets.tversky(alpha, 1 - alpha, smooth)


def dice_plus_plus(
  logits: ArrayLike,
  labels: ArrayLike,
  *,
  gamma: ArrayLike = 2.0,
  smooth: ArrayLike = 1.0,
  axis: Axis = None,
  average: str = 'macro',
  where: ArrayLike | None = None,
  class_weights: ArrayLike | None = None,
  axis_name: AxisName = None,
  activation: str | None = None,
) -> jax.Array:
  r"""Computes the DSC++ loss: Dice that forgives small misses.

  .. math::
    L = 1 - \frac{2\,TP + s}{2\,TP + s
      + \sum_i (p_i (1 - y_i))^\gamma + \sum_i ((1 - p_i) y_i)^\gamma}

  It is meant against overconfidence. For labels 0 and 1, :math:`\gamma = 1` is
  `dice` and :math:`\gamma = 2` is `dice` with `square`, because then
  :math:`2 p y + (p - y)^2 = p^2 + y^2`.

  Args:
    logits: float `[examples..., classes]` for softmax, `[examples...]` for
      independent sigmoids; never probabilities (which cannot be checked).
    labels: int class ids `[examples...]` (softmax), or targets in [0, 1] shaped
      like the logits (sigmoid).
    gamma: :math:`\gamma \ge 1`, exponent of the misses.
    smooth: :math:`s \ge 0`, in units of counts.
    axis: see `dice`.
    average: see `dice`.
    where: see `dice`.
    class_weights: see `dice`.
    axis_name: see `dice`.
    activation: see `dice`.

  Returns:
    Loss in [0, 1], shaped as in `dice`.

  Raises:
    AssertionError, TypeError: see `dice`.
    ValueError: see `dice`; a `gamma` below 1.

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
    raise ValueError(f'gamma must be at least 1, got {gamma}.')
  sets = Sets.of(
    logits,
    labels,
    axis=axis,
    average=average,
    where=where,
    class_weights=class_weights,
    axis_name=axis_name,
    activation=activation,
  )
  return sets.tversky(1 / 2, 1 / 2, smooth / 2, powers(gamma))


def dice_semimetric(
  logits: ArrayLike,
  labels: ArrayLike,
  *,
  smooth: ArrayLike = 1.0,
  axis: Axis = None,
  average: str = 'macro',
  where: ArrayLike | None = None,
  class_weights: ArrayLike | None = None,
  axis_name: AxisName = None,
  activation: str | None = None,
) -> jax.Array:
  r"""Computes the Dice semimetric loss, for soft labels: lowest at p = y.

  .. math::
    L = 1 - \frac{2 \sum_i \min(p_i, y_i) + \gamma}
      {\sum_i p_i + \sum_i y_i + \gamma}
    = \frac{\sum_i |p_i - y_i|}{\sum_i p_i + \sum_i y_i + \gamma}

  For labels 0 and 1 it equals `dice`. For smoothed, averaged or distilled
  labels `dice` itself is wrong: because of its product :math:`p y`, its lowest
  value is at p = 1 for every y above one half.

  Args:
    logits: float `[examples..., classes]` for softmax, `[examples...]` for
      independent sigmoids; never probabilities (which cannot be checked).
    labels: int class ids `[examples...]` (softmax), or targets in [0, 1] shaped
      like the logits (sigmoid).
    smooth: :math:`\gamma \ge 0`, in units of counts.
    axis: see `dice`.
    average: see `dice`.
    where: see `dice`.
    class_weights: see `dice`.
    axis_name: see `dice`.
    activation: see `dice`.

  Returns:
    Loss in [0, 1], shaped as in `dice`.

  Raises:
    AssertionError, TypeError, ValueError: see `dice`.

  Example:
    >>> logits, labels = jnp.array([0., 0.]), jnp.array([.5, .5])
    >>> print(dice_semimetric(logits, labels))
    0.0

  References:
    Wang et al., `Dice Semimetric Losses
    <https://arxiv.org/abs/2303.16296>`_, 2023.
  """
  check_not_negative(smooth=smooth)
  sets = Sets.of(
    logits,
    labels,
    axis=axis,
    average=average,
    where=where,
    class_weights=class_weights,
    axis_name=axis_name,
    activation=activation,
  )
  return sets.tversky(1 / 2, 1 / 2, smooth / 2, minima)


def generalised_dice(
  logits: ArrayLike,
  labels: ArrayLike,
  *,
  axis: Axis = None,
  where: ArrayLike | None = None,
  class_weights: ArrayLike | None = None,
  axis_name: AxisName = None,
  activation: str | None = None,
) -> jax.Array:
  r"""Computes the generalised Dice loss: one Dice that weighs rare classes up.

  .. math::
    L = 1 - \frac{2 \sum_c w_c\,TP_c}{\sum_c w_c (2\,TP_c + FP_c + FN_c)},
    \qquad w_c = \frac{1}{\max(1, \sum_i y_{ic})^2}

  In a set without an example of a class the weight of that class is 1, as if it
  had one: a false positive costs something, and nothing is infinite. The paper
  leaves this case open.

  Args:
    logits: float `[examples..., classes]`, softmax.
    labels: int class ids `[examples...]`, or distributions shaped like the
      logits with `activation='softmax'`.
    axis: see `dice`.
    where: see `dice`.
    class_weights: `[classes]`, at least 0, factors of :math:`w_c`.
    axis_name: see `dice`.
    activation: None or 'softmax'.

  Returns:
    Loss in [0, 1], shaped as in `dice`.

  Raises:
    AssertionError, TypeError: see `dice`.
    ValueError: see `dice`; sigmoids.

  Example:
    >>> logits = jnp.array([[2., .5, -1.], [0., 1., .5]])
    >>> print(f'{generalised_dice(logits, jnp.array([0, 1])):.3f}')
    0.354

  References:
    Sudre et al., `Generalised Dice overlap as a deep learning loss function
    <https://arxiv.org/abs/1707.03237>`_, 2017.
  """
  sets = Sets.of(
    logits,
    labels,
    axis=axis,
    where=where,
    axis_name=axis_name,
    activation=activation,
  )
  if not sets.inputs.softmax:
    arrays = describe(logits=sets.inputs.logits, labels=sets.inputs.labels)
    raise ValueError(
      f'generalised_dice needs the classes of a softmax, got {arrays}.'
    )
  counts = sets.counts()
  examples = jax.lax.stop_gradient(counts.tp + counts.fn)
  weights = 1 / jnp.square(jnp.maximum(examples, 1))
  if class_weights is not None:
    factors = check_class_weights(class_weights, sets.inputs.logits)
    weights *= jnp.broadcast_to(factors, weights.shape)
  counts = jax.tree.map(lambda c: jnp.sum(weights * c, axis=-1), counts)
  return jnp.asarray(tversky_distance(counts))


def sigmoid_f1(
  logits: ArrayLike,
  labels: ArrayLike,
  *,
  beta: ArrayLike = 1.0,
  eta: ArrayLike = 0.0,
  smooth: ArrayLike = 0.0,
  axis: Axis = None,
  where: ArrayLike | None = None,
  axis_name: AxisName = None,
) -> jax.Array:
  r"""Computes the sigmoidF1 loss: Dice over a steeper sigmoid.

  .. math::
    L = 1 - \frac{2\,TP + \gamma}{2\,TP + FP + FN + \gamma}, \qquad
    p = \frac{1}{1 + e^{-\beta (z + \eta)}}

  For several labels per example, `axis=0` gives the loss of each label over the
  batch; their mean is a surrogate of the macro F1. By default all labels are
  one set, a surrogate of the micro F1. A steep sigmoid brings the counts near
  whole numbers, and takes the gradient from all logits that are not near
  :math:`-\eta`.

  Args:
    logits: float `[examples..., labels]`; never probabilities.
    labels: targets in [0, 1] shaped like the logits.
    beta: :math:`\beta \ge 0`, the slope; at 0, the loss is constant.
    eta: :math:`\eta`, the offset.
    smooth: :math:`\gamma \ge 0`, in units of counts.
    axis: see `dice`.
    where: see `dice`.
    axis_name: see `dice`.

  Returns:
    Loss in [0, 1], shaped as in `dice`.

  Raises:
    AssertionError, TypeError: see `dice`.
    ValueError: see `dice`; a negative `beta`.

  Example:
    >>> logits = jnp.array([[3., -1.], [-2., 1.], [1., 2.]])
    >>> labels = jnp.array([[1, 0], [0, 1], [0, 1]])
    >>> loss = sigmoid_f1(logits, labels, axis=0)
    >>> print(*(f'{value:.3f}' for value in loss))
    0.320 0.169

  References:
    Bénédict et al., `sigmoidF1 <https://arxiv.org/abs/2108.10566>`_, 2021.
  """
  check_not_negative(beta=beta, smooth=smooth)
  sets = Sets.of(
    logits,
    labels,
    axis=axis,
    where=where,
    axis_name=axis_name,
    activation='sigmoid',
  )
  z = sets.inputs.logits
  steeper = sets.inputs._replace(logits=(beta * (z + eta)).astype(z.dtype))
  sets = dataclasses.replace(sets, inputs=steeper)
  return sets.tversky(1 / 2, 1 / 2, smooth / 2)
