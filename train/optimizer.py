"""AdamW with linear warm-up and decay, as BERT is fine-tuned."""

import jax
import optax


def learning_rate(config, num_steps: int) -> optax.Schedule:
  """Makes a schedule: linear warm-up, then linear decay.

  Args:
    config: the section `optimizer` of a config: `learning_rate` is the peak,
      `warmup` a fraction of the steps, `final` a fraction of the peak.
    num_steps: the number of training steps.
  """
  warmup = round(config.warmup * num_steps)
  return optax.join_schedules(
    [
      optax.linear_schedule(0.0, config.learning_rate, warmup),
      optax.linear_schedule(
        config.learning_rate,
        config.final * config.learning_rate,
        num_steps - warmup,
      ),
    ],
    [warmup],
  )


def make_optimizer(config, num_steps: int) -> optax.GradientTransformation:
  """Makes clipping by the global norm, then AdamW with `learning_rate`.

  Args:
    config: the section `optimizer` of a config.
    num_steps: the number of training steps.
  """
  return optax.chain(
    optax.clip_by_global_norm(config.clip_norm),
    optax.adamw(
      learning_rate(config, num_steps),
      eps=config.eps,
      weight_decay=config.weight_decay,
      mask=decays,
    ),
  )


def decays(params):
  """Marks the parameters that decay: matrices, not biases or norms."""
  return jax.tree.map(lambda x: x.ndim > 1, params)
