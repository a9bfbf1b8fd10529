"""Defines an encoder family: its config, module and names of weights."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any
from typing import Literal
from typing import NamedTuple

from flax import linen as nn

from dicejax.models.layers import ACTIVATIONS

# Modules with weights: their name in Hugging Face's files, the path of their
# parameters here, and their kind, a key of `_LEAVES` in _weights.py.
Modules = tuple[tuple[str, str, str], ...]

_ATTENTIONS = ('xla', 'cudnn')
_NOTHING: Mapping = MappingProxyType({})


@dataclasses.dataclass(frozen=True)
class EncoderConfig:
  """The shape of an encoder: the fields that all families have.

  Names are Hugging Face's, defaults BERT base's.

  Attributes:
    model_type: what a `config.json` calls the network; a key of `FAMILIES`.
    max_position_embeddings: rows of the table of positions.
    remat: whether to recompute each layer for its gradient instead of storing
      its activations, which saves memory and costs one more forward pass. As
      with `attention`, published configs do not have it, and parameters are
      the same.
    attention: 'xla', or 'cudnn' for NVIDIA's flash attention, which needs a
      GPU, the type bfloat16 and no dropout of attention probabilities. JAX
      raises an error where cuDNN lacks a case, such as gradients at odd
      lengths.

  Raises:
    ValueError: the heads do not divide the hidden size; the activation or the
      attention is unknown.
  """

  vocab_size: int = 30522
  hidden_size: int = 768
  num_hidden_layers: int = 12
  num_attention_heads: int = 12
  intermediate_size: int = 3072
  hidden_act: str = 'gelu'
  hidden_dropout_prob: float = 0.1
  attention_probs_dropout_prob: float = 0.1
  max_position_embeddings: int = 512
  type_vocab_size: int = 2
  layer_norm_eps: float = 1e-12
  pad_token_id: int | None = 0
  initializer_range: float = 0.02
  model_type: str = 'bert'
  remat: bool = False
  attention: Literal['xla', 'cudnn'] = 'xla'

  def __post_init__(self):
    if self.num_attention_heads < 1 or (
      self.hidden_size % self.num_attention_heads
    ):
      raise ValueError(
        f'num_attention_heads={self.num_attention_heads} does not divide'
        f' hidden_size={self.hidden_size}.'
      )
    if self.hidden_act not in ACTIVATIONS:
      raise ValueError(
        f'hidden_act={self.hidden_act!r} is not one of {list(ACTIVATIONS)}.'
      )
    if self.attention not in _ATTENTIONS:
      raise ValueError(
        f'attention={self.attention!r} is not one of {list(_ATTENTIONS)}.'
      )

  @property
  def max_length(self) -> float:
    """The largest number of tokens per row; infinite without a limit."""
    return self.max_position_embeddings


class Hidden(NamedTuple):
  """The layer between hidden states and the logits of a head.

  Attributes:
    activation: a key of `ACTIVATIONS`.
    bias: whether the linear layer has a bias.
    norm: whether a layer norm follows the activation.
    norm_bias: whether this layer norm has a bias.
    on_tokens: whether heads for tokens and spans have it, too.
  """

  activation: str = 'tanh'
  bias: bool = True
  norm: bool = False
  norm_bias: bool = True
  on_tokens: bool = False


class Family(NamedTuple):
  """How networks of a model type are computed, and stored by Hugging Face.

  Attributes:
    name: beginning of the names of their classes in transformers.
    prefix: beginning of the names of the encoder's weights in a file with a
      head.
    config: the class of the config.
    encoder: the module, called with a config and a type, and then as `Bert` is.
    weights: lists the encoder's modules, given the config.
    text_head: the modules of a classifier of texts, with the prefix where they
      have it: `pooler` is the layer before the logits, `head` their own. Where
      a module has no bias there, `hidden` says so.
    token_head: the same for a classifier of tokens.
    span_head: the same for answers to questions.
    pooling: what a `config.json` calls the pooling of a classifier of texts; ''
      where it is always that of the first token.
    hidden: returns what the layer before the logits computes, given the config.
    pooler: the pooler that a pretrained encoder may come with.
    ignored: beginnings of the names of other parts of published models.
    last_norm: returns the path of the layer norm that the encoder ends with,
      given the config, or '' if other layers share it.
    read: returns the settings of a `config.json` under the names that the
      fields have there, whatever version wrote it.
    keys: fields that a `config.json` calls otherwise, and their names there.
    fixed: fields that a `config.json` does not have, and their values.
    defaults: what a `config.json` that leaves a field out means.
    required: settings for which only one value is supported, and this value.
    classes: tasks whose class in transformers ends otherwise, and its end.
    cls_is_last: whether the token for a whole text is the last, not the first.
  """

  name: str
  prefix: str
  config: type[EncoderConfig]
  encoder: type[nn.Module]
  weights: Callable[[Any], Modules]
  text_head: Modules
  hidden: Callable[[Any], Hidden]
  last_norm: Callable[[Any], str]
  token_head: Modules = (('classifier', 'head', 'dense'),)
  span_head: Modules = (('qa_outputs', 'head', 'dense'),)
  pooling: str = ''
  pooler: Modules = (('pooler.dense', 'pooler', 'dense'),)
  ignored: tuple[str, ...] = ()
  read: Callable[[dict[str, Any]], dict[str, Any]] = dict
  keys: Mapping[str, str] = _NOTHING
  fixed: Mapping[str, Any] = _NOTHING
  defaults: Mapping[str, Any] = _NOTHING
  required: Mapping[str, Any] = _NOTHING
  classes: Mapping[str, str] = _NOTHING
  cls_is_last: bool = False
