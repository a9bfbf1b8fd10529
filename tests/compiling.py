"""Compilation that takes less time, for what is computed once."""

import functools

import jax

# Most of the time of these tests is compilation.
QUICKLY = {'xla_backend_optimization_level': 0}
if jax.__version_info__ < (0, 11):
  # Newer versions do not know the first option.
  QUICKLY['xla_cpu_use_fusion_emitters'] = False
  QUICKLY['xla_cpu_parallel_codegen_split_count'] = 1
jit = functools.partial(jax.jit, compiler_options=QUICKLY)
