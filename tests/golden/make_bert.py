"""Writes PyTorch's results: inputs, hidden states, gradients.

  python tests/golden/make_bert.py    # Needs torch and transformers.

A reference is a Hugging Face directory of random weights, with `expected.npz`
and, as the weights of a second such directory, the gradient of
sum(hidden * cotangent): of a mean over the real tokens.
"""

import pathlib

import numpy as np

SHAPES = {  # Every one differs from the others in every number.
  'bert_tiny': dict(
    vocab_size=11,
    hidden_size=6,
    num_hidden_layers=1,
    num_attention_heads=2,
    intermediate_size=7,
    max_position_embeddings=9,
    type_vocab_size=2,
    layer_norm_eps=1e-12,
  ),
  'bert_tanh': dict(
    vocab_size=23,
    hidden_size=10,
    num_hidden_layers=2,
    num_attention_heads=1,
    intermediate_size=24,
    max_position_embeddings=12,
    type_vocab_size=1,
    layer_norm_eps=1e-3,
    hidden_act='gelu_new',
  ),
  'bert_deep': dict(
    vocab_size=31,
    hidden_size=16,
    num_hidden_layers=3,
    num_attention_heads=4,
    intermediate_size=20,
    max_position_embeddings=16,
    type_vocab_size=3,
    layer_norm_eps=1e-2,
  ),
  'roberta_tiny': dict(
    model_type='roberta',
    vocab_size=15,
    hidden_size=4,
    num_hidden_layers=1,
    num_attention_heads=2,
    intermediate_size=5,
    max_position_embeddings=10,  # Two of them are never used.
    type_vocab_size=1,
    layer_norm_eps=1e-5,
    pad_token_id=1,
  ),
  'electra_tiny': dict(
    model_type='electra',
    vocab_size=13,
    hidden_size=6,
    embedding_size=5,
    num_hidden_layers=2,
    num_attention_heads=3,
    intermediate_size=8,
    max_position_embeddings=11,
    type_vocab_size=2,
    layer_norm_eps=1e-4,
  ),
  'albert_tiny': dict(  # Its layers share their weights.
    model_type='albert',
    vocab_size=12,
    hidden_size=8,
    embedding_size=3,
    num_hidden_layers=3,
    num_attention_heads=4,
    intermediate_size=9,
    max_position_embeddings=8,
    type_vocab_size=2,
    hidden_act='gelu_new',
  ),
  'distilbert_tiny': dict(  # Without segments.
    model_type='distilbert',
    vocab_size=14,
    dim=6,
    n_layers=2,
    n_heads=2,
    hidden_dim=10,
    max_position_embeddings=10,
  ),
  'mpnet_tiny': dict(  # Long enough for buckets of several distances.
    model_type='mpnet',
    vocab_size=16,
    hidden_size=8,
    num_hidden_layers=2,
    num_attention_heads=2,
    intermediate_size=6,
    max_position_embeddings=26,
    relative_attention_num_buckets=32,
    layer_norm_eps=1e-5,
    pad_token_id=1,
  ),
  'deberta_tiny': dict(  # As v3, beyond the farthest distance.
    model_type='deberta-v2',
    vocab_size=17,
    hidden_size=6,
    num_hidden_layers=2,
    num_attention_heads=2,
    intermediate_size=9,
    max_position_embeddings=15,
    relative_attention=True,
    position_buckets=4,
    max_relative_positions=7,
    pos_att_type='p2c|c2p',
    share_att_key=True,
    norm_rel_ebd='layer_norm',
    position_biased_input=False,
  ),
  'deberta_conv': dict(  # With all that v3 is without.
    model_type='deberta-v2',
    vocab_size=18,
    hidden_size=8,
    num_hidden_layers=1,
    num_attention_heads=4,
    intermediate_size=5,
    max_position_embeddings=13,
    type_vocab_size=2,
    layer_norm_eps=1e-4,
    relative_attention=True,
    max_relative_positions=6,
    pos_att_type='p2c|c2p',
    conv_kernel_size=3,
    conv_act='gelu',
  ),
  'modernbert_tiny': dict(  # Long enough for blocks of 2 tokens.
    model_type='modernbert',
    vocab_size=17,
    hidden_size=8,
    num_hidden_layers=4,
    num_attention_heads=2,
    intermediate_size=5,
    max_position_embeddings=13,
    local_attention=4,
    norm_eps=1e-4,
    bos_token_id=1,
    cls_token_id=1,
    eos_token_id=2,
    sep_token_id=2,
  ),
}


def write(directory, seed, model_type='bert', pad_token_id=0, **shape):
  """One reference, computed in float64."""
  # pytest imports this file for its doctests, with or without PyTorch.
  import torch
  import transformers

  torch.manual_seed(seed)
  config = transformers.AutoConfig.for_model(
    model_type, pad_token_id=pad_token_id, **shape
  )
  model = transformers.AutoModel.from_config(config).eval()
  with torch.no_grad():
    for name, p in model.named_parameters():
      # Large weights without zeros or ones, so that no mistake is small.
      is_scale = name.lower().endswith('norm.weight')
      p.normal_(mean=float(is_scale), std=0.3)
  model.save_pretrained(directory)

  length = shape['max_position_embeddings'] - 2
  mask = torch.arange(length) < torch.tensor([[length], [length - 3], [1]])
  tokens = torch.randint(pad_token_id + 1, shape['vocab_size'], mask.shape)
  tokens = tokens.where(mask, pad_token_id)
  segments = torch.randint(0, shape.get('type_vocab_size', 1), mask.shape)
  inputs = dict(input_ids=tokens, attention_mask=mask.long())
  if 'type_vocab_size' in shape:
    inputs['token_type_ids'] = segments
  cotangent = torch.randn(*mask.shape, model.config.hidden_size)
  cotangent *= mask[..., None] / mask.sum()
  hidden = model.double()(**inputs).last_hidden_state
  (hidden * cotangent).sum().backward()
  np.savez_compressed(
    pathlib.Path(directory) / 'expected.npz',
    tokens=tokens.int(),
    segments=segments.int(),
    mask=mask,
    cotangent=cotangent,
    hidden=hidden.detach(),
  )
  for p in model.parameters():
    p.data = torch.zeros_like(p) if p.grad is None else p.grad
  model.float().save_pretrained(pathlib.Path(directory) / 'gradient')


if __name__ == '__main__':
  for seed, (name, shape) in enumerate(SHAPES.items()):
    write(pathlib.Path(__file__).parent / name, seed, **shape)
