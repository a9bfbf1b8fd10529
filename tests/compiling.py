"""Compilation that takes less time, for what is computed once."""

import functools

import jax

# Most of the time of these tests is compilation.
QUICKLY = {'xla_backend_optimization_level': 0}
if jax.__version_info__ < (0, 11):
  # Newer versions do not know this option.
  QUICKLY['xla_cpu_use_fusion_emitters'] = False
jit = functools.partial(jax.jit, compiler_options=QUICKLY)
