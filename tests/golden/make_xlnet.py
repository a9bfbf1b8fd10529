"""Writes PyTorch's results for XLNet: inputs, hidden states, gradients.

  python tests/golden/make_xlnet.py    # Needs torch and transformers.

A reference is as in make_bert.py. Of its texts, one has padding on the left and
one on the right.
"""

import pathlib

import numpy as np

SHAPES = {
  'xlnet_tiny': dict(
    vocab_size=13,
    d_model=6,
    n_layer=2,
    n_head=3,
    d_inner=8,
    clamp_len=4,
    layer_norm_eps=1e-3,
  ),
  'xlnet_deep': dict(
    vocab_size=29,
    d_model=16,
    n_layer=4,
    n_head=2,
    d_inner=20,
    ff_activation='relu',
  ),
}


def write(directory, seed, length=9, **shape):
  """One reference, computed in float64."""
  # pytest imports this file for its doctests, with or without PyTorch.
  import torch
  import transformers

  torch.manual_seed(seed)
  model = transformers.XLNetModel(transformers.XLNetConfig(**shape)).eval()
  for name, p in model.named_parameters():
    # Large weights without zeros or ones, so that no mistake is small.
    p.data.normal_(mean=float('layer_norm.weight' in name), std=0.3)
  model.save_pretrained(directory)

  mask = torch.ones(4, length, dtype=torch.bool)
  mask[1, : length // 3] = False
  mask[2, length // 2 :] = False
  mask[3, 1:] = False
  tokens = torch.randint(6, shape['vocab_size'], mask.shape).where(mask, 5)
  segments = torch.randint(0, 3, mask.shape).where(mask, 3)
  cotangent = torch.randn(*mask.shape, shape['d_model'])
  cotangent *= mask[..., None] / mask.sum()
  hidden = model.double()(
    tokens, attention_mask=mask.double(), token_type_ids=segments
  ).last_hidden_state
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
  write(pathlib.Path(__file__).parent / 'xlnet_tiny', 0, **SHAPES['xlnet_tiny'])
