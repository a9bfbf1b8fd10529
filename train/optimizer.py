"""AdamW with linear warm-up and decay, as BERT is fine-tuned."""

import jax
import optax


def learning_rate(config, num_steps: int) -> optax.Schedule:
  """Linear from 0 to `config.learning_rate`, then to a share of it."""
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
  """Clips the gradient, then AdamW, from the part `optimizer` of a config."""
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
  """True for matrices: biases and the scales of norms are vectors."""
  return jax.tree.map(lambda x: x.ndim > 1, params)
