"""Compilation that takes less time, for what is computed once."""

import functools

import jax

# Compilation is the time of these tests.
QUICKLY = {'xla_backend_optimization_level': 0}
if jax.__version_info__ < (0, 11):
  QUICKLY['xla_cpu_use_fusion_emitters'] = False  # It cannot be set later.
jit = functools.partial(jax.jit, compiler_options=QUICKLY)
