"""The table of encoder families, by the `model_type` of a `config.json`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import jax.numpy as jnp
from flax import linen as nn
from jax.typing import DTypeLike

from dicejax.models import bert
from dicejax.models import deberta
from dicejax.models import modernbert
from dicejax.models import xlnet
from dicejax.models.family import EncoderConfig
from dicejax.models.family import Family

FAMILIES: Mapping[str, Family] = {
  **bert.FAMILIES,
  **deberta.FAMILIES,
  **modernbert.FAMILIES,
  **xlnet.FAMILIES,
}


def find_family(config: EncoderConfig) -> Family:
  """Returns the family of a config."""
  return FAMILIES[config.model_type]


def make_config(model_type: str = 'bert', **fields: Any) -> EncoderConfig:
  """Makes the config of an encoder.

  Args:
    model_type: a key of `FAMILIES`.
    **fields: of the family's config; those left out have their defaults.

  Raises:
    TypeError: the family has no such field.
    ValueError: there is no such family, or the fields do not fit each other.

  Example:
    >>> make_config('roberta', hidden_size=768, pad_token_id=1).model_type
    'roberta'
  """
  if model_type not in FAMILIES:
    raise ValueError(
      f'model_type={model_type!r} is not one of {list(FAMILIES)}.'
    )
  return FAMILIES[model_type].config(model_type=model_type, **fields)


def make_encoder(
  config: EncoderConfig,
  dtype: DTypeLike = jnp.float32,
  name: str | None = None,
) -> nn.Module:
  """Makes the encoder of a config, which is called as `Bert` is.

  Args:
    config: the shape of the network.
    dtype: the type of the computation and of the hidden states.
    name: the name of the module in the one that it is a part of.

  Example:
    >>> type(make_encoder(bert.BertConfig())).__name__
    'Bert'
  """
  return find_family(config).encoder(config, dtype, name=name)
